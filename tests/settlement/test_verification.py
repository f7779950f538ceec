"""Payments that the database's owner has changed are named."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from regional311.ledger import seals
from regional311.settlement import netting
from regional311.settlement.payments import (
    Whom,
    apply_advance,
    record_payment,
    refund,
    reverse_payment,
)
from regional311.settlement.verification import check_books, payment_problems
from tests.ledger.test_seals import tamper

pytestmark = pytest.mark.commits

NOW = datetime(2026, 11, 20, 18, tzinfo=UTC)
DAY = date(2026, 11, 20)


def record(session, what, amount, *, key, **about):
    said = {"paid_on": DAY, "reference": key, "method": "check", "key": key, "now": NOW}
    return what(session, amount_cents=amount, **said, **about)


@pytest.fixture
def paid(region, bills):
    """Payments of every kind: by a partner and by a body outside, in part, over, back, reversed."""
    first = bills.bill("city", "county", [10000])
    region.agree(
        "port",
        "city",
        "city",
        "contact_handled",
        payer_kind="outside",
        payer_key="port",
    )
    outside = bills.bill("city", "city", [5000], outside="port")
    with region.of("city", region.preparer) as session:
        record(session, record_payment, 4000, key="part", statement_id=first)
        over = record(session, record_payment, 7500, key="over", statement_id=first)
        port = Whom(region.tenants["city"], "port")
        record(session, record_payment, 3000, key="ahead", whom=port)
        apply_advance(session, outside, on=DAY, key="applied", now=NOW)
        record(session, record_payment, 900, key="later", statement_id=outside)
        county = Whom(region.tenants["county"])
        record(session, refund, 500, key="back", whom=county)
        mistaken = record(session, record_payment, 800, key="mistaken", whom=county)
        reverse_payment(session, mistaken, reason="Not ours.", on=DAY, now=NOW)
    for slug in region.tenants:
        with region.of(slug) as session:
            seals.seal_everything(session, NOW + timedelta(minutes=1))
    assert over
    return region


def found(region):
    """The kinds of problems of payments and of the chain."""
    report = check_books(region.engine, region.tenants)
    return {
        each.kind
        for check in report.checks
        if check.name in ("payments_kept", "chain")
        for each in check.problems
    }


def test_payments_of_every_kind_hold(paid):
    assert found(paid) == set()
    with paid.of("city") as session:
        assert payment_problems(session) == []
    report = check_books(paid.engine, paid.tenants, tenant="county")
    assert [each.holds for each in report.checks if each.name == "payments_kept"] == [True]


MOVED = "applied_cents = applied_cents - 100, advance_cents = advance_cents + 100"


@pytest.mark.parametrize(
    ("attack", "wanted"),
    [
        (
            f"UPDATE payments SET {MOVED} WHERE reference = 'over'",
            {"payment_changed", "payment_posted_differs"},
        ),
        (
            f"UPDATE payments SET {MOVED} WHERE reference = 'over' AND side = 'received'",
            {"payment_changed", "payment_posted_differs", "payment_copy_differs"},
        ),
        (f"UPDATE payments SET {MOVED} WHERE reference = 'later'", {"payment_changed"}),
        (f"UPDATE payments SET {MOVED} WHERE kind = 'application'", {"payment_changed"}),
        (
            "UPDATE payments SET paid_on = paid_on - 15 WHERE reference = 'part'",
            {"payment_changed"},
        ),
        (
            "UPDATE payments SET period_key = '2026-10' WHERE reference = 'part'",
            {"payment_posted_differs"},
        ),
        ("DELETE FROM payments WHERE reference = 'part'", {"payment_missing"}),
        (
            "DELETE FROM payments WHERE reference = 'back' AND side = 'paid'",
            {"payment_missing", "payment_copy_differs"},
        ),
    ],
)
def test_a_payment_that_was_changed_is_named(paid, empty_database, attack, wanted):
    tamper(empty_database, (attack,))
    assert found(paid) == wanted


def test_a_payment_is_held_against_its_entry_without_what_was_kept(paid, empty_database):
    tamper(
        empty_database,
        ("DELETE FROM ledger_documents",),
        (f"UPDATE payments SET {MOVED} WHERE reference = 'part'",),
    )
    assert found(paid) == {"entry_deleted", "payment_posted_differs"}


def test_netting_is_held_against_what_its_entries_set_off(region, bills, empty_database):
    bills.bill("city", "county", [6000])
    bills.bill("county", "city", [8000])
    with region.of("city") as session:
        made = netting.propose(session, [region.tenants["county"]], now=NOW)
    for slug in ("city", "county"):
        with region.of(slug, region.preparer) as session:
            netting.consent(session, made, now=NOW)
    assert found(region) == set()
    attack = "netted_cents = netted_cents - 100, applied_cents = applied_cents - 100"
    tamper(empty_database, (f"UPDATE payments SET {attack} WHERE kind = 'netting'",))
    assert found(region) == {"payment_changed", "netting_differs"}
