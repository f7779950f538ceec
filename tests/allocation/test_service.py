"""Pools on the real database: shares of a month and what they rest on."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from regional311.allocation.bases import BadReading, BaseWithoutReadings, MixGoesRound
from regional311.allocation.bill_splits import (
    BilledLine,
    Part,
    PartsDoNotSum,
    Rule,
    RuleTaken,
    divide,
    save_split,
    split_bill,
)
from regional311.allocation.models import AllocationBase, BaseSnapshot, CostPool
from regional311.allocation.pools import PoolExists, PoolSaid, save_pool
from regional311.allocation.service import PoolMissing, month_shares, year_shares
from regional311.allocation.snapshots import (
    KeyTaken,
    NotCounted,
    Taken,
    count_readings,
)
from regional311.allocation.year import read_bases
from regional311.calendars import Period
from regional311.database.ids import new_id
from regional311.database.rows import put
from regional311.errors import DomainError, InvalidInput, NotFound
from regional311.metering.models import UsageEvent
from tests.pools import next_base, next_readings, next_version

NOW = datetime(2026, 12, 5, 18, tzinfo=UTC)


def test_fixed_shares_are_what_the_agreement_says(dbsession):
    """The City/County agreement on information and referral: 600,000 a year, half each."""
    found = month_shares(dbsession, "i-and-r", fiscal_year=2027, month=3)
    assert found.month_cents == 50_000_00
    assert found.cents == {"city-of-portland": 25_000_00, "multnomah-county": 25_000_00}
    assert found.pool.name == "Information and referral, 503-823-4000"
    assert found.basis["shares"]["multnomah-county"] == {
        "percent": "50",
        "weight": "50",
        "exact_cents": "2500000",
        "cents": 25_000_00,
    }
    assert found.basis["base"] == {"kind": "fixed", "name": "Fixed shares"}


def test_a_year_is_its_months_and_takes_actuals_when_asked(dbsession):
    year = year_shares(dbsession, "i-and-r", fiscal_year=2027)
    assert year.cents == {"city-of-portland": 300_000_00, "multnomah-county": 300_000_00}
    next_version(dbsession, "i-and-r", actual_cents=612_345_67, actual_source="Year-end close")
    actual = year_shares(dbsession, "i-and-r", fiscal_year=2027, actual=True)
    assert actual.year_cents == 612_345_67 == sum(actual.cents.values())
    assert actual.months[0].basis["actual_source"] == "Year-end close"
    assert year_shares(dbsession, "i-and-r", fiscal_year=2027).year_cents == 600_000_00


def test_a_pool_without_an_amount_is_named(dbsession):
    with pytest.raises(PoolMissing, match="fiscal year 2041"):
        month_shares(dbsession, "i-and-r", fiscal_year=2041, month=0)


# The City's contact centre and the pools that support it


def test_support_reaches_the_bureaus_through_the_contact_centre(dbsession):
    """The example region: people services, then technology, then the contact centre."""
    found = month_shares(dbsession, "contact-centre", fiscal_year=2027, month=0)
    assert set(found.basis["received"]) == {"people-services", "technology"}
    assert found.month_cents == sum(found.cents.values()) > 2_150_000_00 // 12
    assert found.basis["base"]["snapshots"][0]["number"] == 1
    water = found.basis["shares"]["bureau:water"]
    assert Fraction(water["exact_cents"]) == pytest.approx(water["cents"], abs=1)
    assert found.basis["revenues"][0]["cents"] == 300_000_00


def test_all_pools_of_a_year_give_what_they_cost(dbsession):
    keys = ("people-services", "technology", "contact-centre")
    years = [year_shares(dbsession, key, fiscal_year=2027) for key in keys]
    assert sum(year.year_cents for year in years) == 440_000_00 + 325_000_00 + 2_150_000_00
    for year in years:
        assert sum(year.cents.values()) == year.year_cents


def test_a_later_snapshot_changes_later_runs_only(dbsession):
    before = month_shares(dbsession, "contact-centre", fiscal_year=2027, month=5)
    taken = next_readings(
        dbsession,
        "contacts",
        {"bureau:water": "1", "bureau:parks": "3"},
        as_of=date(2026, 11, 30),
        now=NOW,
    )
    assert (taken.number, taken.again) == (2, False)
    assert month_shares(dbsession, "contact-centre", fiscal_year=2027, month=3).cents.keys() == (
        before.cents.keys()
    )
    after = month_shares(dbsession, "contact-centre", fiscal_year=2027, month=5)
    assert after.cents.keys() == {"bureau:water", "bureau:parks"}
    cut_off = month_shares(
        dbsession, "contact-centre", fiscal_year=2027, month=5, stored_before=NOW
    )
    assert cut_off.cents == before.cents


# Bases and snapshots


def base(session, key="test", kind="fte", **fields):
    return next_base(session, key, now=NOW, kind=kind, **fields)


def snapshot(session, key="test", **fields):
    said = {"as_of": date(2026, 6, 30), "source": "Budget", "readings": {"bureau:water": "2"}}
    return next_readings(session, key, now=NOW, **(said | fields))


def test_the_same_snapshot_twice_is_one(dbsession):
    base(dbsession)
    assert snapshot(dbsession).number == 1
    assert snapshot(dbsession, readings={"bureau:water": "2.0"}) == Taken(1, again=True)
    assert snapshot(dbsession, readings={"bureau:water": "3"}).number == 2
    rows = dbsession.execute(
        select(BaseSnapshot.number, BaseSnapshot.readings)
        .where(BaseSnapshot.base_key == "test")
        .order_by(BaseSnapshot.number)
    ).all()
    assert [tuple(row) for row in rows] == [(1, {"bureau:water": "2"}), (2, {"bureau:water": "3"})]


@pytest.mark.parametrize(
    ("fields", "error", "field"),
    [
        ({"source": " "}, InvalidInput, "source"),
        ({"as_of": date(2041, 1, 1)}, InvalidInput, "as_of"),
        ({"readings": {"bureau:water": "x"}}, BadReading, "readings"),
        ({"readings": {}}, BadReading, "readings"),
        ({"key": "nowhere"}, NotFound, None),
        ({"key": "calls-and-positions"}, InvalidInput, "readings"),
    ],
)
def test_a_bad_snapshot_is_refused(dbsession, fields, error, field):
    base(dbsession)
    with pytest.raises(error) as refused:
        snapshot(dbsession, **fields)
    assert refused.value.field == field


def test_equal_readings_are_equal(dbsession):
    base(dbsession, kind="equal")
    with pytest.raises(InvalidInput, match="the same"):
        snapshot(dbsession, readings={"bureau:water": "1", "bureau:parks": "2"})


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"kind": "calls"}, InvalidInput),
        ({"kind": "contact_count"}, InvalidInput),
        ({"parts": {"contacts": Decimal(100)}}, MixGoesRound),
        ({"kind": "mix", "parts": {"contacts": Decimal(99)}}, MixGoesRound),
        ({"kind": "mix", "parts": {"nowhere": Decimal(100)}}, BaseWithoutReadings),
        ({"kind": "mix", "parts": {"test": Decimal(100)}}, MixGoesRound),
        ({"kind": "mix", "parts": {"contacts": Decimal(100)}, "rolling_quarters": 8}, InvalidInput),
        ({"key": "contacts", "new": True}, KeyTaken),
    ],
)
def test_a_bad_base_is_refused(dbsession, fields, error):
    with pytest.raises(error):
        base(dbsession, **fields)


def test_a_base_is_changed_by_its_key(dbsession):
    assert base(dbsession).number == 1
    assert base(dbsession, rolling_quarters=8).number == 2
    assert read_bases(dbsession)["test"].rolling_quarters == 8


def test_contacts_are_counted_by_bureau_and_partner(dbsession, tenants, city):
    place = count()

    def use(owner, bureau, quantity=1, seconds=90, at=datetime(2026, 8, 3, 18, tzinfo=UTC)):
        put(
            dbsession,
            UsageEvent(
                tenant_id=city.tenant_id,
                id=new_id(),
                source_key=f"count:{next(place)}",
                content_digest="",
                activity="contact_handled",
                channel="phone",
                language="en",
                after_hours=False,
                service_owner_id=None if owner is None else tenants[owner],
                bureau_key=bureau,
                quantity=Decimal(quantity),
                handle_seconds=seconds,
                occurred_at=at,
                received_at=at,
                booked_on=at.date(),
            ),
        )

    use("city-of-portland", "water")
    use("city-of-portland", "water")
    use("city-of-portland", "water", quantity=-1)
    use("city-of-portland", "parks", seconds=100)
    use("multnomah-county", "library")
    use(None, None)
    use("city-of-portland", "parks", at=datetime(2026, 9, 3, 18, tzinfo=UTC))
    august = Period.of(2026, 8)
    for key, counts in (("b", "bureaus"), ("p", "partners"), ("a", "all")):
        base(dbsession, key=key, kind="contact_count", counts=counts)
    base(dbsession, key="minutes", kind="handle_minutes", counts="bureaus")
    rows = {row.key: row for row in dbsession.execute(select(AllocationBase)).scalars()}
    assert count_readings(dbsession, rows["b"], august) == {
        "bureau:parks": "1",
        "bureau:water": "1",
    }
    assert count_readings(dbsession, rows["p"], august) == {
        "city-of-portland": "3",
        "multnomah-county": "1",
    }
    assert count_readings(dbsession, rows["a"], august) == {
        "bureau:parks": "1",
        "bureau:water": "1",
        "city-of-portland": "1",
        "multnomah-county": "1",
    }
    assert count_readings(dbsession, rows["minutes"], august) == {
        "bureau:parks": "1.666667",
        "bureau:water": "1.5",
    }
    with pytest.raises(NotCounted):
        count_readings(dbsession, rows["positions"], august)


# Pools


def said(**fields):
    return PoolSaid(
        **(
            {"name": "Test", "yearly_cents": 1200, "source": "Budget", "base_key": "contacts"}
            | fields
        )
    )


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"method": "triple"}, "method"),
        ({"sources": [{"name": "a", "cents": 1}]}, "amount"),
        ({"revenues": [{"name": "a", "cents": 1}]}, "sources"),
        ({"shares": {"a": Decimal(100)}}, "base"),
        ({"base_key": None, "shares": {"a": Decimal("99.99")}}, "share"),
        ({"base_key": None, "shares": {"A b": Decimal(100)}}, "share"),
        ({"base_key": None, "shares": {"pool:test": Decimal(100)}}, "share"),
        ({"base_key": "nowhere"}, "base"),
    ],
)
def test_a_bad_pool_is_refused_and_changes_nothing(dbsession, fields, field):
    with pytest.raises(DomainError) as refused:
        save_pool(dbsession, "test", 2027, said(**fields), now=NOW)
    assert refused.value.field == field
    assert not dbsession.execute(select(CostPool).where(CostPool.key == "test")).all()


def test_a_pool_is_made_changed_and_divided(dbsession):
    parts = {
        "sources": [{"name": "Personnel", "account": "511000", "cents": 2000}],
        "revenues": [{"name": "Grant", "cents": 500}],
        "non_allocable": [{"name": "Outreach", "cents": 300}],
    }
    first = save_pool(dbsession, "test", 2027, said(**parts), now=NOW, new=True)
    assert first.number == 1
    with pytest.raises(PoolExists):
        save_pool(dbsession, "test", 2027, said(**parts), now=NOW, new=True)
    assert month_shares(dbsession, "test", fiscal_year=2027, month=0).month_cents == 100
    fixed = said(base_key=None, shares={"bureau:water": Decimal(75), "bureau:parks": Decimal(25)})
    assert save_pool(dbsession, "test", 2027, fixed, now=NOW).number == 2
    found = month_shares(dbsession, "test", fiscal_year=2027, month=0)
    assert found.cents == {"bureau:water": 75, "bureau:parks": 25}
    whole = said(
        base_key=None,
        shares={"bureau:water": Decimal(100)},
        actual_cents=-2400,
        actual_source="Close",
    )
    save_pool(dbsession, "test", 2027, whole, now=NOW)
    found = month_shares(dbsession, "test", fiscal_year=2027, month=0)
    assert found.cents == {"bureau:water": 100}
    year = year_shares(dbsession, "test", fiscal_year=2027, actual=True)
    assert year.cents == {"bureau:water": -2400}
    with pytest.raises(InvalidInput, match="rests on"):
        save_pool(dbsession, "test", 2027, replace(whole, actual_source=" "), now=NOW)


# A payer divides its own bill


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(-(10**7), 10**7), max_size=6),
    st.lists(st.integers(0, 100), min_size=1, max_size=5),
)
def test_the_parts_of_a_bill_sum_line_by_line(amounts, shares):
    parts = {Part(f"b{place}", None, None): Fraction(share) for place, share in enumerate(shares)}
    rule = Rule("r", "R", None, parts, {})
    lines = [BilledLine(place, "a", cents) for place, cents in enumerate(amounts)]
    found = divide(lines, [rule])
    for line in lines:
        assert sum(e.cents for e in found if e.position == line.position) == line.amount_cents


def test_a_rule_for_an_agreement_goes_before_the_one_for_all(dbsession):
    def keep(key, **fields):
        said = {"agreement_key": None, "base_key": None, "parts": []}
        return save_split(dbsession, key=key, name=key.title(), now=NOW, **(said | fields))

    keep("bureaus", base_key="contacts")
    keep(
        "share",
        agreement_key="info",
        parts=[
            {"percent": "60", "fund_code": "100", "cost_centre": None},
            {"percent": "40", "fund_code": "200", "cost_centre": "7"},
        ],
    )
    lines = [BilledLine(1, "info", 101), BilledLine(2, "other", 832_000)]
    found = split_bill(dbsession, lines, before=date(2026, 11, 1))
    assert [(each.part.fund_code, each.cents) for each in found if each.position == 1] == [
        ("100", 61),
        ("200", 40),
    ]
    by_bureau = {each.part.bureau: each for each in found if each.position == 2}
    assert by_bureau["water"].cents == 340_000
    assert by_bureau["water"].part.cost_centre == "403"
    with pytest.raises(RuleTaken, match="a rule bureaus already"):
        keep("bureaus", base_key="contacts", new=True)
    with pytest.raises(InvalidInput, match="no base nowhere"):
        keep("bad", agreement_key="x", base_key="nowhere")
    with pytest.raises(RuleTaken, match="bureaus divides"):
        keep("again", base_key="positions")
    with pytest.raises(PartsDoNotSum, match=r"99\.5 %"):
        keep("bad", agreement_key="x", parts=[{"percent": "99.5"}])
    with pytest.raises(InvalidInput, match="same place"):
        keep("bad", agreement_key="x", parts=[{"percent": "50"}, {"percent": "50"}])
    with pytest.raises(InvalidInput, match="not both"):
        keep("bad", agreement_key="x", base_key="contacts", parts=[{"percent": "100"}])
    keep("bureaus", parts=[{"percent": "100", "fund_code": "300"}])
    found = split_bill(dbsession, lines[1:], before=date(2026, 11, 1))
    assert [(each.part.fund_code, each.cents) for each in found] == [("300", 832_000)]


def test_a_line_without_a_rule_stays_whole():
    assert divide([BilledLine(1, "a", 5)], [])[0].rule_key is None
