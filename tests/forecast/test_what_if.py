"""What would have been billed: side by side with what was, and no row changed."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from sqlalchemy import text

from regional311.calendars import Period
from regional311.database.base import Base
from regional311.errors import NotFound
from regional311.forecast.changes import BadChange, Changes
from regional311.forecast.service import (
    AlreadyShared,
    Comparison,
    PeriodTooLong,
    save,
    share,
    try_out,
)

pytestmark = pytest.mark.commits

NOVEMBER = datetime(2026, 11, 5, 17, tzinfo=UTC)
OCTOBER = Period.of(2026, 10)
DIGESTS = " UNION ALL ".join(
    f"SELECT '{name}', md5(coalesce(string_agg(md5(t::text), '' ORDER BY md5(t::text)), ''))"
    f" FROM {name} t"
    for name, table in sorted(Base.metadata.tables.items())
    if table.info["kind"] != "identity"
)


@pytest.fixture
def busy(region, bill):
    """October: ten contacts at 5.00 for the County, four for the Community, a pool; issued."""
    region.agree("city-county", "city", "county", "contact_handled", pool_key="i-and-r")
    region.agree("city-community", "city", "community", "contact_handled")
    region.rate("city", "phone", "contact_handled", "5", channel="phone")
    region.pool("city", "i-and-r", 60_000_000, {"city": 50, "county": 50})
    for number in range(10):
        region.use("city", "county", at=(2026, 10, 1 + number, 9))
    for number in range(4):
        region.use("city", "community", at=(2026, 10, 1 + number, 10))
    bill(region, "2026-10")
    return region


def digests(region):
    """Every row of every table that each partner sees, as one hash a table."""
    found = {}
    for slug in region.tenants:
        with region.of(slug) as session:
            found[slug] = dict(session.execute(text(DIGESTS)).all())
    return found


def tried(region, period=OCTOBER, **changes):
    """Try something out and see that nothing was written, in the same transaction or later."""
    before = digests(region)
    with region.of("city") as session:
        found = try_out(session, period, Changes.of(changes), now=NOVEMBER)
        assert dict(session.execute(text(DIGESTS)).all()) == before["city"]
    assert digests(region) == before
    return found


def by_payer(found):
    return {row.payer: (row.before_cents, row.after_cents) for row in found.by_payer()}


def test_nothing_changed_gives_what_was_billed(busy):
    found = tried(busy)
    assert found.basis == "billed"
    assert by_payer(found) == {"county": (2_505_000,) * 2, "community": (2000, 2000)}
    assert found.before_cents == found.after_cents == 2_507_000
    assert all(row.difference_cents == 0 for row in found.rows)
    assert Comparison.of(found.as_json()) == found


ASSUMED = [
    ({"rates": {"phone": "6.5"}}, 2_506_500, 2600),
    ({"rates_percent": "10"}, 2_505_500, 2200),
    ({"rates_percent": "-100"}, 2_500_000, 0),
    ({"shares": {"i-and-r": {"city": "40", "county": "60"}}}, 3_005_000, 2000),
    ({"pools": {"i-and-r": 72_000_000}}, 3_005_000, 2000),
    ({"pools_percent": "-50"}, 1_255_000, 2000),
    ({"volume_percent": "50"}, 2_507_500, 3000),
    ({"volume_percent": "-50"}, 2_502_500, 1000),
    ({"volume_percent": "150"}, 2_512_500, 5000),
    ({"volume_percent": "50", "volume_activity": "follow_up"}, 2_505_000, 2000),
    ({"terms": {"city-county": {"not_to_exceed_cents": 2_000_000}}}, 2_000_000, 2000),
    ({"terms": {"city-community": {"minimum_cents": 9000}}}, 2_505_000, 9000),
    ({"method": "direct"}, 2_505_000, 2000),
]


def test_other_rates_shares_volumes_and_rules_beside_the_bill(busy):
    before = digests(busy)
    for changes, county, community in ASSUMED:
        with busy.of("city") as session:
            found = try_out(session, OCTOBER, Changes.of(changes), now=NOVEMBER)
        wanted = {"county": (2_505_000, county), "community": (2000, community)}
        assert by_payer(found) == wanted, changes
    assert digests(busy) == before


def test_another_rule_of_payment_makes_others_pay(busy):
    busy.use("city", "county", at=(2026, 10, 20, 9), jurisdiction="community")
    found = tried(busy, payer_rules={"city-county": "line_owner"})
    assert by_payer(found)["county"] == (2_505_000, 2_500_000)


def test_a_month_that_was_not_billed_is_compared_with_how_things_stand(busy):
    busy.use("city", "county", at=(2026, 11, 3, 9))
    found = tried(busy, Period.of(2026, 11), rates_percent="100")
    assert found.basis == "as_things_stand"
    assert by_payer(found)["county"] == (2_500_500, 2_501_000)
    both = tried(busy, Period(OCTOBER.start_on, Period.of(2026, 11).end_on), rates_percent="100")
    assert both.basis == "partly_billed"
    assert by_payer(both)["county"] == (5_005_500, 5_011_000)


def test_a_budgeted_month_borrows_the_work_of_another(busy):
    found = tried(busy, Period.of(2027, 3), work_of="2026-10", volume_percent="100")
    assert found.basis == "as_things_stand"
    assert by_payer(found) == {"county": (2_505_000, 2_510_000), "community": (2000, 4000)}
    with pytest.raises(BadChange, match="has work of its own"):
        tried(busy, Period.of(2026, 10), work_of="2026-09")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"rates": {"phone": "-1"}}, "rates.phone"),
        ({"rates": {"phone": "NaN"}}, "rates.phone"),
        ({"rates": {"phone": None}}, "rates.phone"),
        ({"rates_percent": "1001"}, "rates_percent"),
        ({"shares": {"i-and-r": {"city": "99.99"}}}, "shares.i-and-r"),
        ({"shares": {"i-and-r": 5}}, "shares.i-and-r"),
        ({"pools": {"i-and-r": -1}}, "pools.i-and-r"),
        ({"pools": {"i-and-r": "5"}}, "pools.i-and-r"),
        ({"method": "by-ear"}, "method"),
        ({"payer_rules": {"city-county": "nobody"}}, "payer_rules.city-county"),
        ({"work_of": "October"}, "work_of"),
        ({"moon": "full"}, "moon"),
    ],
)
def test_what_makes_no_figure_is_named(changes, field):
    with pytest.raises(BadChange) as refused:
        Changes.of(changes)
    assert refused.value.field == field


def test_what_is_not_there_is_named_and_changes_nothing(busy):
    before = digests(busy)
    for changes, field in [
        ({"rates": {"fax": "1"}}, "rates.fax"),
        ({"shares": {"another": {"city": "100"}}}, "shares.another"),
        ({"pools": {"another": 5}}, "pools.another"),
        ({"terms": {"county-city": {}}}, "terms.county-city"),
        ({"terms": {"city-county": {"overhead_percent": "101"}}}, "terms.city-county"),
    ]:
        with busy.of("city") as session:
            with pytest.raises(BadChange) as refused:
                try_out(session, OCTOBER, Changes.of(changes), now=NOVEMBER)
            session.rollback()
        assert refused.value.field == field
    for period in (
        Period(OCTOBER.start_on, NOVEMBER.date()),
        Period(OCTOBER.start_on, OCTOBER.start_on.replace(year=2028)),
    ):
        with busy.of("city") as session, pytest.raises(PeriodTooLong):
            try_out(session, period, Changes(), now=NOVEMBER)
    assert digests(busy) == before


def test_changes_are_plain_data():
    assert Changes.of({}).none
    said = {
        "rates": {"phone": "6.5"},
        "shares": {"i-and-r": {"city": "40", "county": "60"}},
        "volume_percent": "-5",
        "terms": {"a": {"minimum_cents": 5}},
    }
    changes = Changes.of(said)
    assert changes.as_json() == said
    assert changes.rates["phone"] == Decimal("6.5")
    assert not changes.none


def test_a_scenario_is_kept_and_shared_with_its_own_lines(busy):
    changes = Changes.of({"rates_percent": "10"})
    with busy.of("city", busy.preparer) as session:
        found = try_out(session, OCTOBER, changes, now=NOVEMBER)
        number = save(
            session, name="Ten more", note=None, changes=changes, comparison=found, now=NOVEMBER
        )
        (row,) = session.execute(text("SELECT * FROM scenarios")).all()
        assert (row.public_id, row.name, row.made_by) == (number, "Ten more", busy.preparer)
        assert Comparison.of(row.result) == found
        share(session, row.id, busy.tenants["county"], now=NOVEMBER)
        with pytest.raises(AlreadyShared):
            share(session, row.id, busy.tenants["county"], now=NOVEMBER)
        with pytest.raises(NotFound):
            share(session, row.id, busy.tenants["region"], now=NOVEMBER)
    with busy.of("county") as session:
        (theirs,) = session.execute(text("SELECT * FROM scenarios")).all()
        assert (theirs.id, theirs.from_tenant_id) == (row.id, busy.tenants["city"])
        assert {each["payer"] for each in theirs.result["rows"]} == {"county"}
        with pytest.raises(NotFound):
            share(session, row.id, busy.tenants["community"], now=NOVEMBER)
    with busy.of("community") as session:
        assert session.execute(text("SELECT count(*) FROM scenarios")).scalar_one() == 0
