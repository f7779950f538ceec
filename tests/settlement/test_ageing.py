"""What is open, for how long, with what interest: pure rules."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regional311.settlement.accrual import (
    Stretch,
    exact_interest,
    first_day,
    interest_cents,
    stretches,
)
from regional311.settlement.ageing import (
    BUCKETS,
    Document,
    aged,
    bucket_of,
    open_amounts,
    open_on,
)

DAY = date(2026, 11, 1)
QUICK = settings(max_examples=100, deadline=None)


@st.composite
def families(draw):
    """Bills with credits, debits, payments and disputes of their own."""
    count = draw(st.integers(1, 8))
    found = []
    for number in range(1, count + 1):
        about = draw(st.none() | st.integers(1, number - 1)) if number > 1 else None
        found.append(
            Document(
                id=UUID(int=number),
                due_on=DAY + timedelta(days=draw(st.integers(-200, 60))),
                total_cents=draw(st.integers(-500, 1000)),
                about_id=None if about is None else UUID(int=about),
                applied_cents=draw(st.integers(-100, 500)),
                disputed_cents=draw(st.integers(0, 300)),
            )
        )
    return found


@given(families())
@QUICK
def test_open_is_what_was_billed_less_what_was_settled(documents):
    left = open_amounts(documents)
    assert sum(left.values()) == sum(d.total_cents - d.applied_cents for d in documents)
    assert left == open_amounts(documents[::-1])
    opens = open_on(documents, DAY)
    sums = aged(opens)
    assert sums.total_cents == sum(left.values())
    assert all(cents >= 0 for cents in sums.buckets)
    for each in opens:
        assert 0 <= each.disputed_cents <= max(0, each.open_cents)
        assert each.overdue_cents + each.disputed_cents <= max(0, each.open_cents)
        assert each.states
    # within a family no bill is open while a credit is left over
    roots = {}
    for each in documents:
        roots[each.id] = each.id if each.about_id is None else roots[each.about_id]
    for root in set(roots.values()):
        amounts = [left[each] for each, head in roots.items() if head == root]
        assert all(cents >= 0 for cents in amounts) or all(cents <= 0 for cents in amounts)


def one(total=100, **fields):
    return open_on([Document(UUID(int=1), fields.pop("due_on", DAY), total, **fields)], DAY)[0]


def test_states_say_everything_that_holds():
    assert one().states == ("issued",)
    assert one(applied_cents=40).states == ("partly_paid",)
    assert one(applied_cents=100).states == ("settled",)
    assert one(applied_cents=110).states == ("credit",)
    late = DAY - timedelta(days=1)
    assert one(due_on=late).states == ("overdue",)
    assert one(due_on=late, disputed_cents=30, applied_cents=10).states == (
        "partly_disputed",
        "overdue",
        "partly_paid",
    )
    assert one(due_on=late, disputed_cents=100).states == ("partly_disputed",)


def test_a_disputed_part_does_not_age():
    late = one(due_on=DAY - timedelta(days=45), disputed_cents=30)
    assert (late.bucket, late.overdue_cents, late.disputed_cents) == ("31-60", 70, 30)
    assert aged([late]).buckets == (0, 0, 70, 0, 0)


@pytest.mark.parametrize("days", [-5, 0, 1, 30, 31, 60, 61, 90, 91, 4000])
def test_every_day_has_one_bucket(days):
    assert bucket_of(days) in BUCKETS
    assert BUCKETS.index(bucket_of(days)) <= BUCKETS.index(bucket_of(days + 1))


def test_a_credit_goes_to_the_statement_that_it_is_about_first():
    early = Document(UUID(int=1), DAY, 100)
    later = Document(UUID(int=2), DAY + timedelta(days=9), 50, about_id=early.id)
    credit = Document(UUID(int=3), DAY, -60, about_id=later.id)
    assert list(open_amounts([early, later, credit]).values()) == [90, 0, 0]


def test_what_is_open_by_hand():
    """Source: docs/finance/settlement.md, *What is open*."""
    bill = Document(
        UUID(int=1),
        DAY - timedelta(days=45),
        605_050,
        applied_cents=100_000,
        disputed_cents=60_000,
    )
    credit = Document(UUID(int=2), DAY, -5_000, about_id=bill.id)
    sums = aged(open_on([bill, credit], DAY))
    assert (sums.total_cents, sums.disputed_cents) == (500_050, 60_000)
    assert sums.buckets == (0, 0, 440_050, 0, 0)


# Interest

CHANGES = st.lists(st.tuples(st.integers(-20, 60), st.integers(-50, 10**6)), max_size=8)


@given(CHANGES, st.integers(0, 50), st.integers(0, 40), st.integers(0, 40))
@QUICK
def test_two_assessments_of_neighbouring_days_are_one_of_all(changes, first, one, two):
    start = DAY + timedelta(days=first)
    middle, end = start + timedelta(days=one), start + timedelta(days=one + two)
    days = [(DAY + timedelta(days=day), cents) for day, cents in changes]
    parts = stretches(start, middle, days) + stretches(middle, end, days)
    percent = Decimal("6.25")
    assert exact_interest(parts, percent) == exact_interest(stretches(start, end, days), percent)
    last = dict(sorted(days))
    expected = Fraction(0)
    day = start
    while day < end:
        known = [at for at in last if at <= day]
        expected += max(0, last[max(known)]) if known else 0
        day += timedelta(days=1)
    expected = expected * Fraction(percent) / 36500
    assert exact_interest(stretches(start, end, days), percent) == expected


def test_interest_is_rounded_once_half_away_from_zero():
    days = [Stretch(DAY, DAY + timedelta(days=1), 1)] * 3
    assert interest_cents(days, Decimal(0)) == 0
    half = [Stretch(DAY, DAY + timedelta(days=365), 50)]
    assert interest_cents(half, Decimal(1)) == 1
    assert interest_cents(half, Decimal("0.99")) == 0


def test_interest_starts_on_the_day_after_the_due_date():
    assert first_day(DAY, None) == DAY + timedelta(days=1)
    assert first_day(DAY, DAY + timedelta(days=40)) == DAY + timedelta(days=40)
