"""What agreements have paid in advance is asked for once, on both sides, and never billed twice."""

from __future__ import annotations

import doctest
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import Range

from regional311.settlement import advance_requests
from regional311.settlement.advance_requests import ask, asked, to_ask
from regional311.settlement.payments import Whom, record_payment, refund
from regional311.settlement.prepayments import take_off
from tests.settlement.test_payments import check_books, open_of

pytestmark = pytest.mark.commits

TODAY = date(2026, 11, 2)
NOW = datetime(2026, 11, 2, 20, tzinfo=UTC)
PREPAID = {"due_days": 30, "number_prefix": "CITY", "prepay_cents": 500_00}


def test_docstring_examples_hold():
    assert doctest.testmod(advance_requests).failed == 0


@pytest.fixture
def agreed(region, bills):
    bills.member("county", "Cora", "finance")
    bills.member("county", "Wanda", "worker")
    region.agree("share", "city", "county", "contact_handled", terms=PREPAID)
    return region


def asking(region, now=NOW):
    with region.of("city", region.preparer) as session:
        return ask(session, now=now)


def rows(region, slug, side):
    with region.of(slug) as session:
        return [
            (each.period_key, each.amount_cents, each.came_cents, each.due_on)
            for each in asked(session, side=side)
        ]


def mail(region, slug):
    with region.of(slug) as session:
        return session.execute(
            text("SELECT event, recipient, body FROM outbox_messages ORDER BY id")
        ).all()


def paid(region, cents, whom, now=NOW, key="pay", act=record_payment):
    with region.of("city") as session:
        act(
            session,
            amount_cents=cents,
            paid_on=now.date(),
            reference=key,
            method="wire",
            key=key,
            now=now,
            whom=whom,
        )


def test_each_period_is_asked_for_once_on_both_sides(agreed):
    """On November 2 what is left of November, and December, which begins within 30 days."""
    with agreed.of("city") as session:
        assert [each.period.label for each in to_ask(session, TODAY)] == ["2026-11", "2026-12"]
    assert (asking(agreed), asking(agreed)) == (2, 0)
    wanted = [
        ("2026-11", 500_00, 0, date(2026, 12, 2)),
        ("2026-12", 500_00, 0, date(2026, 12, 2)),
    ]
    assert rows(agreed, "city", "issued") == rows(agreed, "county", "received") == wanted
    assert rows(agreed, "community", "received") == rows(agreed, "county", "issued") == []
    first, second = mail(agreed, "county")
    assert {first.recipient, second.recipient} == {"cora@county.example"}
    assert "$500.00 paid in advance of November 2026" in first.body
    assert asking(agreed, NOW + timedelta(days=30)) == 1, "then January may be asked for"


def test_what_comes_answers_the_oldest_and_is_taken_off_the_bill(agreed, bills):
    county = Whom(agreed.tenants["county"])
    paid(agreed, 70_00, county, NOW - timedelta(days=1), "before")
    asking(agreed)
    later = NOW + timedelta(days=3)
    paid(agreed, 700_00, county, later)
    assert [row[2] for row in rows(agreed, "city", "issued")] == [500_00, 200_00]
    assert [row[2] for row in rows(agreed, "county", "received")] == [500_00, 200_00]
    bill = bills.bill("city", "county", [900_00], at=later, prepay_cents=500_00)
    with agreed.of("city") as session:
        assert take_off(session, now=later) == 1
    assert open_of(agreed, "city", bill) == 400_00
    assert [row[2] for row in rows(agreed, "city", "issued")] == [500_00, 200_00]
    paid(agreed, 250_00, county, later, "back", refund)
    assert [row[2] for row in rows(agreed, "city", "issued")] == [450_00, 0]
    with agreed.of("city") as session:
        first, _ = asked(session, side="issued")
    assert not first.is_late(first.due_on)
    assert first.is_late(first.due_on + timedelta(days=1))
    check_books(agreed)


def test_a_body_outside_gets_a_letter_where_it_is_reached(region, bills):
    for key, email in (("port", "bills@port.example"), ("zoo", None)):
        region.agree(
            key,
            "city",
            "city",
            "contact_handled",
            payer_kind="outside",
            payer_key=key,
            terms=PREPAID
            | {"outside": {"name": key.title()} | ({"email": email} if email else {})},
        )
    assert asking(region) == 4
    found = mail(region, "city")
    assert [(row.event, row.recipient) for row in found] == [
        ("advance_outside", "bills@port.example")
    ] * 2
    assert "this is no bill" in found[0].body
    with region.of("city") as session:
        assert {each.other for each in asked(session, side="issued")} == {"Port", "Zoo"}


def test_the_version_that_holds_on_the_first_day_says_how_much(region, bills):
    """From December 600.00 are agreed, and nothing any more from the middle of January."""
    middle = date(2027, 1, 15)
    for version, (since, until, cents) in enumerate(
        [
            (date(2026, 7, 1), date(2026, 12, 1), 500_00),
            (date(2026, 12, 1), middle, 600_00),
            (middle, None, None),
        ],
        1,
    ):
        terms = PREPAID | {"prepay_cents": cents}
        region.agree(
            "share",
            "city",
            "county",
            "contact_handled",
            version=version,
            valid=Range(since, until),
            terms={name: value for name, value in terms.items() if value is not None},
        )
    with region.of("city") as session:
        at = {
            day: [(each.period.label, each.amount_cents) for each in to_ask(session, day)]
            for day in (TODAY, date(2026, 12, 20), date(2027, 1, 20))
        }
    assert list(at.values()) == [
        [("2026-11", 500_00), ("2026-12", 600_00)],
        [("2026-12", 600_00), ("2027-01", 600_00)],
        [("2027-01", 600_00)],
    ]


def test_an_agreement_without_an_advance_and_a_bureau_are_not_asked(region, bills):
    region.agree("plain", "city", "county", "contact_handled")
    region.agree(
        "bureau",
        "city",
        "city",
        "contact_handled",
        payer_kind="bureau",
        payer_key="water",
        terms=PREPAID,
    )
    assert asking(region) == 0
