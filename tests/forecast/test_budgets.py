"""Budgets: set, watched, and printed on the statement as they were."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime
from uuid import uuid4

import pytest
from sqlalchemy import text

from regional311.chargeback import queries
from regional311.errors import NotFound
from regional311.forecast.budgets import (
    BadBudget,
    Party,
    budget_of_statement,
    budgets,
    outlook_of,
    set_budget,
    year_named,
    year_of,
)
from regional311.forecast.documents import document_of, write_document
from regional311.forecast.outlook import Method, Standing
from regional311.forecast.warnings import warn
from regional311.identity.service import create_person, grant

pytestmark = pytest.mark.commits

JULY = datetime(2026, 7, 2, 17, tzinfo=UTC)
NOVEMBER = datetime(2026, 11, 5, 17, tzinfo=UTC)


@pytest.fixture
def busy(region, bill):
    region.agree("city-county", "city", "county", "contact_handled", pool_key="i-and-r")
    region.rate("city", "phone", "contact_handled", "5")
    region.pool("city", "i-and-r", 60_000_000, {"city": 50, "county": 50})
    for month in (9, 10):
        for day in range(1, 5):
            region.use("city", "county", at=(2026, month, day, 9))
    bill(region, "2026-09")
    bill(region, "2026-10")
    return region


def of_county(region):
    return Party("received", region.tenants["city"])


def put(region, slug, party, amount_cents, now=JULY, **more):
    with region.of(slug) as session:
        return set_budget(
            session, party, fiscal_year=2027, amount_cents=amount_cents, now=now, **more
        )


def test_a_budget_is_watched_on_both_sides(busy, statements):
    put(busy, "county", of_county(busy), 20_000_000)
    put(busy, "county", of_county(busy), 31_000_000, now=NOVEMBER, note="Amended")
    put(busy, "city", Party("issued", busy.tenants["county"]), 29_000_000)
    with busy.of("county") as session:
        statements.clear()
        year = year_of(session, date(2026, 11, 5))
        (row,) = budgets(session, year, now=NOVEMBER)
        assert len(statements) <= 6
    assert (year.label, year.number) == ("FY 2026-27", 2027)
    assert (row.amount_cents, row.note, row.counterparty) == (31_000_000, "Amended", "City")
    assert row.outlook.billed_cents == 2 * (2_500_000 + 20_00)
    assert row.outlook.year_cents == 12 * 2_502_000
    assert row.standing is Standing.NEAR
    assert row.outlook.method is Method.RUN_RATE
    assert str(row.elapsed) == "34.8"
    assert (str(row.billed_percent), str(row.year_percent)) == ("16.1", "96.9")
    with busy.of("city") as session:
        (row,) = budgets(session, year_named(session, 2027), now=NOVEMBER)
        assert row.standing is Standing.WILL_EXCEED
        assert budgets(session, year_named(session, 2026), now=NOVEMBER) == []
        whole = outlook_of(session, Party("issued", busy.tenants["county"]), year)
        assert whole.year_cents == row.outlook.year_cents
        other = Party("issued", busy.tenants["county"], agreement_key="another")
        assert outlook_of(session, other, year).method is Method.NOTHING


def test_a_statement_shows_the_budget_that_held_when_it_was_issued(busy):
    put(busy, "county", of_county(busy), 20_000_000)
    put(busy, "county", of_county(busy), 40_000_000, now=NOVEMBER)
    with busy.of("county") as session:
        october = queries.statement(session, "CITY-00002")
        found = budget_of_statement(session, october)
        assert (found.amount_cents, found.used_cents) == (20_000_000, 5_004_000)
        assert (found.label, str(found.elapsed)) == ("FY 2026-27", "33.7")
        assert document_of(session, "CITY-00001").budget.used_cents == 2_502_000
        made = io.BytesIO()
        for form in ("pdf", "xlsx", "csv", "json"):
            assert write_document(session, "CITY-00002", form, made, now=NOVEMBER)
        assert not write_document(session, "CITY-00009", "pdf", made, now=NOVEMBER)
    with busy.of("city") as session:
        assert budget_of_statement(session, queries.statement(session, "CITY-00002")) is None


def test_finance_is_warned_once_a_standing_and_figure(busy):
    put(busy, "county", of_county(busy), 31_000_000)
    with busy.of("county") as session:
        for email, roles in (("fin@county.example", ["finance"]), ("desk@x.example", ["worker"])):
            person_id = create_person(session, email=email, name="P", password=None, now=JULY)
            grant(session, person_id=person_id, name="P", email=email, roles=roles)
    seen = []
    for _ in range(2):
        with busy.of("county") as session:
            seen.append(warn(session, now=NOVEMBER))
    put(busy, "county", of_county(busy), 20_000_000, now=NOVEMBER)
    with busy.of("county") as session:
        seen.append(warn(session, now=NOVEMBER))
        assert warn(session, now=NOVEMBER) == 0
        rows = session.execute(
            text(
                "SELECT recipient, heading, body FROM outbox_messages"
                " WHERE event = 'budget_warning'"
            )
        ).all()
    assert seen == [1, 0, 1]
    assert {row.recipient for row in rows} == {"fin@county.example"}
    assert {row.heading for row in rows} == {
        "Budget with City for FY 2026-27: nearly used up",
        "Budget with City for FY 2026-27: will not last",
    }
    assert "$50,040.00 of it is billed" in rows[0].body
    with busy.of("community") as session:
        assert warn(session, now=NOVEMBER) == 0


def test_a_budget_that_is_none_is_refused(region):
    said = {"fiscal_year": 2027, "amount_cents": 1, "warn_percent": 90}
    party = of_county(region)
    for other, changes, field in [
        (party, {"fiscal_year": 1999}, "year"),
        (party, {"amount_cents": -1}, "amount"),
        (party, {"warn_percent": 0}, "warn_percent"),
        (Party("lost", region.tenants["city"]), {}, "side"),
        (Party("received", region.tenants["county"]), {}, "counterparty"),
    ]:
        with region.of("county") as session, pytest.raises(BadBudget) as refused:
            set_budget(session, other, now=JULY, **(said | changes))
        assert refused.value.field == field
    with region.of("county") as session:
        with pytest.raises(BadBudget):
            year_named(session, 10)
        with pytest.raises(NotFound):
            set_budget(session, Party("received", uuid4()), now=JULY, **said)
