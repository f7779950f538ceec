"""Pools, bases and splits as files: what is refused, and what comes back from the database."""

# ruff: noqa: E501 - a message is compared as one line, as a person sees it

from __future__ import annotations

import re
from datetime import date, timedelta

import pytest

from regional311.allocation import base_changes
from regional311.allocation.pool_changes import versions
from regional311.config.apply import apply
from regional311.config.export import export
from regional311.config.files import ConfigInvalid, read_region
from regional311.config.plan import plan
from regional311.database.session import Scope, session_scope
from regional311.errors import AlreadyInForce

from .conftest import NOW
from .test_round_trip import tenant_id

CITY = "tenants/city-of-portland"
POOLS, BASES = f"{CITY}/pools.toml", f"{CITY}/bases.toml"
SPLITS = "tenants/multnomah-county/splits.toml"
CENTRE = "pool[contact-centre 2027]"


def replace(path, old, new):
    before = path.read_text(encoding="utf-8")
    assert old in before
    path.write_text(before.replace(old, new, 1), encoding="utf-8")


BAD = [
    (POOLS, 'base = "contacts"', 'base = "contact"', f"{CENTRE}.base: there is no base contact; did you mean contacts?"),
    (POOLS, '"2150000.00"', '"2150000.01"', f"{CENTRE}.amount: The sources less revenues and non-allocable parts make 2,150,000.00, the amount is 2,150,000.01."),
    (POOLS, 'base = "contacts"\n', "", f"{CENTRE}.share: the shares make 0 %, not 100 %"),
    (POOLS, "step_order = 1\n", 'step_order = 1\nmethod = "direct"\n', "pool[people-services 2027]: Pools that serve one another need one method"),
    (POOLS, 'percent = "50"', 'percent = "50"\n\n[[pool.share]]\npayer = "bureau:watre"\npercent = "0"', "pool[i-and-r 2026].share[bureau:watre].payer: there is no bureau watre; did you mean water?"),
    (POOLS, 'note = "The City', 'actual_amount = "1.00"\nnote = "The City', "pool[i-and-r 2026].actual_source: an actual amount and its source come together"),
    (POOLS, 'key = "contact-centre"', 'key = "call-centre"', "serves the pool contact-centre, which has no cost in that fiscal year."),
    (BASES, 'counts = "bureaus"\n', "", "base[contacts].counts: counted bases, and only these, say whose contacts count"),
    (BASES, 'percent = "50"', 'percent = "49"', "base[calls-and-positions].part: The parts of Contacts and positions, half each make 99 %, not 100 %."),
    (BASES, 'base = "positions"\npercent', 'base = "position"\npercent', "base[calls-and-positions].part[position].base: there is no base position; did you mean positions?"),
    (BASES, "number = 1", "number = 2", "snapshot[contacts 2].number: snapshots are numbered in their order; this one is 1"),
    (BASES, '"103000"', "103000", 'write a reading as text in quotes, such as "340000"'),
    (BASES, '"bureau:bds" = "103000"', '"Water" = "103000"', "snapshot"),
    (SPLITS, 'percent = "60"', 'percent = "59.5"', "split[information-and-referral].part: The parts make 99.5 %, they must make exactly 100 %."),
    (SPLITS, 'bureau = "human-services"', 'bureau = "human"', "part[human].bureau: there is no bureau human"),
    (SPLITS, 'name = "Information', 'base = "calls"\nname = "Information', "there is no base calls"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "old", "new", "message"), BAD, ids=range(len(BAD)))
def test_bad_pools_bases_and_splits_have_one_clear_message(root, file, old, new, message):
    replace(root / file, old, new)
    with pytest.raises(ConfigInvalid) as refused:
        read_region(root)
    assert any(
        f"{error.file}: {error.key}: {error.message}".startswith(f"{file}: ")
        and re.search(re.escape(message), f"{error.key}: {error.message}")
        for error in refused.value.errors
    ), [str(each) for each in refused.value.errors]


def test_a_closed_group_of_pools_is_refused_with_its_members(root):
    text = (root / POOLS).read_text()
    for key in ("people-services", "technology", "contact-centre"):
        text = text.replace(f'key = "{key}"', f'key = "{key}"\nmethod = "reciprocal"', 1)
    (root / POOLS).write_text(text)
    readings = (root / BASES).read_text()
    for bureau in ("bds", "parks", "pbot", "revenue", "water"):
        readings = re.sub(rf'"bureau:{bureau}" = "\d{{3}}"\n', "", readings)
    readings = readings.replace('"pool:contact-centre" = "28"\n', "")
    readings = readings.replace('"pool:contact-centre" = "65"\n', "")
    (root / BASES).write_text(readings)
    with pytest.raises(ConfigInvalid) as refused:
        read_region(root)
    assert any("serve only one another" in each.message for each in refused.value.errors)


@pytest.mark.commits
def test_pools_bases_and_splits_come_back_whole(empty_engine, root, tmp_path):
    replace(root / BASES, 'kind = "fte"', 'kind = "fte"\nrolling_quarters = 8')
    replace(
        root / POOLS,
        'source = "311 plan, November 2018: full operation"',
        'source = "311 plan"\nactual_amount = "-12.50"\nactual_source = "Close"',
    )
    apply(empty_engine, root, now=NOW)
    assert str(plan(empty_engine, root, now=NOW)) == "No changes."
    export(empty_engine, tmp_path / "out", now=NOW)
    assert str(plan(empty_engine, tmp_path / "out", now=NOW)) == "No changes."
    one = read_region(root).tenants["city-of-portland"]
    two = read_region(tmp_path / "out").tenants["city-of-portland"]
    assert {pool.key: pool for pool in one.pools} == {pool.key: pool for pool in two.pools}
    assert {each.key: each for each in one.bases} == {each.key: each for each in two.bases}
    assert {(each.base, each.number): each for each in one.snapshots} == {
        (each.base, each.number): each for each in two.snapshots
    }
    assert one.splits == two.splits
    later = NOW + timedelta(days=1)
    replace(root / POOLS, 'actual_amount = "-12.50"', 'actual_amount = "-13.50"')
    apply(empty_engine, root, now=later)
    assert str(plan(empty_engine, root, now=later)) == "No changes."
    with session_scope(empty_engine, Scope(tenant_id(empty_engine, "city-of-portland"))) as session:
        new, old = versions(session, "contact-centre", 2027)
        assert (new.number, new.actual_cents, new.stored_at) == (2, -13_50, later)
        assert (old.number, old.actual_cents, old.stored_at) == (1, -12_50, None)
    replace(root / BASES, "rolling_quarters = 8", "valid_from = 2027-01-01")
    apply(empty_engine, root, now=later)
    assert str(plan(empty_engine, root, now=later)) == "No changes."
    with session_scope(empty_engine, Scope(tenant_id(empty_engine, "city-of-portland"))) as session:
        new, old = base_changes.versions(session, "positions")
        said = (new.number, new.rolling_quarters, new.valid_from, new.stored_at)
        assert said == (2, None, date(2027, 1, 1), later)
        assert (old.number, old.rolling_quarters, old.stored_at) == (1, 8, None)
    replace(root / BASES, '"340000"', '"340001"')
    with pytest.raises(AlreadyInForce, match="stays as it was taken"):
        apply(empty_engine, root, now=later)
    replace(root / BASES, '"340001"', '"340000"')
    with (root / BASES).open("a") as file:
        file.write(
            '\n[[snapshot]]\nbase = "contacts"\nnumber = 2\nas_of = 2026-10-31\nsource = "Count"\n'
            '\n[snapshot.readings]\n"bureau:water" = "5"\n'
        )
    (root / SPLITS).unlink()
    done = str(apply(empty_engine, root, now=later))
    assert done == "1 added, 1 ended."
    assert str(plan(empty_engine, root, now=later)) == "No changes."
