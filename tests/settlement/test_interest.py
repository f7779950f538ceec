"""Interest on a real database: which days, what principal, never twice."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from regional311.chargeback import billing
from regional311.ledger.queries import trial_balance
from regional311.settlement import queries
from regional311.settlement.disputes import open_dispute, withdraw
from regional311.settlement.interest import accrued, assess, assessments
from regional311.settlement.payments import record_payment

pytestmark = pytest.mark.commits

ISSUED = datetime(2026, 7, 1, 18, tzinfo=UTC)
DUE = date(2026, 7, 31)


def noon(day):
    return datetime(day.year, day.month, day.day, 19, tzinfo=UTC)


@pytest.fixture
def bill(region, bills):
    region.agree("share", "city", "county", terms={"interest_percent": "6", "due_days": 30, "x": 1})
    return bills.bill(
        "city", "county", [1_000_000], at=ISSUED, period="2026-07", interest_percent="6"
    )


def pay(region, bill, cents, day):
    with region.of("city") as session:
        record_payment(
            session,
            statement_id=bill,
            amount_cents=cents,
            paid_on=day,
            reference=f"{day}",
            method="ach",
            key=f"{day}",
            now=noon(date(2026, 12, 1)),
        )


def assess_on(region, day):
    with region.of("city", region.preparer) as session:
        return assess(session, now=noon(day))


def assessed(region, bill):
    with region.of("city") as session:
        return [(a.days.lower, a.days.upper, a.cents) for a in assessments(session, bill)]


def test_days_and_principal_by_hand(region, bills, bill):
    """10,000.00 at 6 %: 31 days of August on all of it, then 29 days on 4,000.00.

    10,000 x 0.06 x 31 / 365 = 50.9589…, 4,000 x 0.06 x 29 / 365 = 19.0684…: together 70.03.
    Source: docs/finance/settlement.md, *Interest*.
    """
    assert assess_on(region, DUE + timedelta(days=1)) == []
    pay(region, bill, 600_000, date(2026, 9, 1))
    (memo,) = assess_on(region, date(2026, 9, 30))
    assert assessed(region, bill) == [(date(2026, 8, 1), date(2026, 9, 30), 7003)]
    assert assess_on(region, date(2026, 9, 30)) == []
    bills.issue("city", memo, at=noon(date(2026, 9, 30)))
    with region.of("county") as session:
        rows = {row.id: row for row in queries.documents(session, date(2026, 10, 1))}
        assert rows[memo].is_interest
        assert rows[memo].total_cents == 7003
        balance = {row.account_key: row.balance_cents for row in trial_balance(session)}
        assert balance["interest_expense"] == 7003
    pay(region, bill, 400_000, date(2026, 10, 2))
    (second,) = assess_on(region, date(2027, 3, 1))
    # two days on 4,000.00, and nothing on the interest that is overdue too
    assert assessed(region, bill)[1] == (date(2026, 9, 30), date(2027, 3, 1), 132)
    assert second != memo


def test_a_void_memo_lets_its_days_be_assessed_again(region, bills, bill):
    (memo,) = assess_on(region, date(2026, 9, 1))
    with region.of("city") as session:
        billing.void(session, memo, reason="Too early", now=noon(date(2026, 9, 1)))
        assert [each.cents for each in accrued(session, now=noon(date(2026, 9, 1)))]
    assert len(assess_on(region, date(2026, 9, 1))) == 1
    assert len(assessed(region, bill)) == 2
    with pytest.raises(IntegrityError, match="no_day_twice"), region.of("city") as session:
        session.execute(text("UPDATE interest_assessments SET live = true"))


def test_what_is_disputed_bears_none_while_it_is(region, bills, bill):
    with region.of("county", region.approver) as session:
        made = open_dispute(
            session,
            bill,
            1,
            amount_cents=1_000_000,
            reason="other",
            evidence="All of it",
            now=noon(date(2026, 7, 20)),
        )
        withdraw(session, made, amount_cents=1_000_000, note="Settled", now=noon(date(2026, 9, 10)))
    assess_on(region, date(2026, 9, 20))
    # from the end of September 10 on: ten days, 10,000 x 0.06 x 10 / 365
    assert assessed(region, bill) == [(date(2026, 8, 1), date(2026, 9, 20), 1644)]


def test_without_a_rate_in_every_agreement_there_is_no_interest(region, bills):
    bills.bill("city", "county", [10_000], at=ISSUED, period="2026-07")
    assert assess_on(region, date(2027, 9, 20)) == []


def test_any_cut_into_runs_assesses_each_day_once(region, bills, bill):
    days = [date(2026, 8, 10), date(2026, 8, 10), date(2026, 8, 11), date(2026, 9, 30)]
    for day in days:
        assess_on(region, day)
    found = assessed(region, bill)
    assert [each[0] for each in found] == [date(2026, 8, 1), *(each[1] for each in found[:-1])]
    assert sum((to - first).days for first, to, _ in found) == 60
