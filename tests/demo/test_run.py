"""The whole demo on a small month: what it counts, and that a second run adds nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from regional311.demo.run import OtherDemo, run
from regional311.referral.snapshot import invalidate
from regional311.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
CONTACTS = 400

pytestmark = pytest.mark.commits


@pytest.fixture
def site(committed_database, tmp_path: Path):
    invalidate()
    engine = committed_database.engine()
    yield engine, Settings(var=tmp_path)
    invalidate()


def test_a_small_month_is_billed_and_its_books_hold(site) -> None:
    engine, settings = site

    report = run(engine, settings, contacts=CONTACTS, as_json=True, root=ROOT)
    told = report.as_dict()

    assert report.ok, report.problems
    assert told["contacts"] == sum(told["decisions"].values()) == CONTACTS
    assert told["requests"] > 0
    assert told["referrals"] > 0
    assert told["usage_events"]["rated"] > 0
    assert sum(each["items"] for each in told["statements"]) == told["usage_events"]["rated"]
    assert {each["state"] for each in told["statements"]} == {"issued"}
    assert all(each["number"] for each in told["statements"])
    assert {
        (each["issuer"], each["payer"], each["total_cents"]) for each in told["statements"]
    } == {(each["creditor"], each["debtor"], each["cents"]) for each in told["owed"]}
    assert set(told["seconds"]) == {"configure", "people", "contacts", "work", "bill", "check"}

    again = run(engine, settings, contacts=CONTACTS, as_json=True, root=ROOT).as_dict()

    assert again | {"seconds": {}} == told | {"seconds": {}}


def test_the_password_is_not_in_the_report_and_stays(site) -> None:
    engine, settings = site

    first = run(engine, settings, contacts=1, as_json=True, root=ROOT)
    second = run(engine, settings, contacts=1, as_json=True, root=ROOT)

    assert first.password == second.password
    assert first.password not in str(first.as_dict())
    assert (settings.var / "demo-password").stat().st_mode & 0o077 == 0
    roles = {(each.tenant, each.role) for each in first.accounts}
    assert ("211info", "partner") in roles
    assert ("region", "auditor") in roles


def test_another_size_is_refused(site) -> None:
    engine, settings = site
    run(engine, settings, contacts=1, as_json=True, root=ROOT)

    with pytest.raises(OtherDemo, match="demo of 1 contacts"):
        run(engine, settings, contacts=2, as_json=True, root=ROOT)
