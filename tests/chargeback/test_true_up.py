from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regional311.chargeback.reconciliation import (
    NobodyWasBilled,
    Part,
    Roll,
    owed_by_weight,
    parts_of,
    roll_of,
    sixty_day_test,
)
from regional311.money import split

HALVES = {"city": Decimal(50), "county": Decimal(50)}


def keyed(weights):
    return {each: each for each in weights}


def settle(actual, weights, billed=(), openings=(), own=None):
    owed = owed_by_weight(actual, weights, keyed(weights))
    return parts_of(owed, dict(billed), dict(openings), own=own)


def test_the_fifty_fifty_share_settles_to_the_cent():
    """Source: the City/County 50/50 share; 600,000.00 budgeted, 618,000.01 spent.

    The County was billed 300,000.00 and owes half of the actuals. The odd cent goes by the key:
    the City bears 309,000.01 itself, the County owes 309,000.00 and has 9,000.00 still to pay.
    """
    parts = settle(618_000_01, HALVES, {"county": 300_000_00}, own="city")
    assert parts == {"county": Part(0, 300_000_00, 309_000_00)}
    assert parts["county"].due_cents == 9_000_00


def test_what_was_carried_into_the_year_counts():
    """Over-recovered by 100 last year: 100 less was billed this year, and nothing is due."""
    parts = settle(2_000_00, HALVES, {"county": 900_00}, {"county": 100_00}, own="city")
    assert parts["county"].due_cents == 0
    assert roll_of(parts) == Roll(100_00, 900_00, 1_000_00)
    assert roll_of(parts).closing_cents == 0


def test_the_roll_of_a_billed_service():
    roll = Roll(opening_cents=12_000_00, billed_cents=240_000_00, owed_cents=246_500_00)
    assert roll.closing_cents == 5_500_00
    assert roll.recovery_percent == Decimal("97.4")
    assert Roll(0, 5, 0).recovery_percent is None


def test_sixty_days_of_cash_expense_may_be_kept():
    """Source: 2 CFR 200, Appendix V; twelve months of 120,000.00 allow 20,000.00."""
    assert sixty_day_test(20_000_00, 120_000_00).holds
    over = sixty_day_test(20_000_01, 120_000_00)
    assert (over.holds, over.limit_cents, over.excess_cents) == (False, 20_000_00, 1)
    assert sixty_day_test(-5, 0).holds
    assert sixty_day_test(-5, 0).excess_cents == 0


def test_a_cost_that_nobody_bears_is_refused():
    with pytest.raises(NobodyWasBilled):
        settle(5, {"county": 0})


names = st.sampled_from(["bureau:parks", "city", "community", "county", "outside:school"])
amounts = st.integers(-(10**9), 10**9)


@settings(max_examples=100, deadline=None)
@given(
    amounts,
    st.dictionaries(names, st.integers(1, 10**6), min_size=1),
    st.dictionaries(names, amounts),
    st.dictionaries(names, amounts),
)
def test_billed_and_true_ups_are_the_allocation_of_the_actuals(actual, weights, billed, openings):
    parts = settle(actual, weights, billed, openings)
    ordered = sorted(weights)
    shares = dict(
        zip(ordered, split(actual, [weights[each] for each in ordered], ordered), strict=True)
    )
    for payer, part in parts.items():
        settled = part.opening_cents + part.billed_cents + part.due_cents
        assert settled == shares.get(payer, 0)
    roll = roll_of(parts)
    assert roll.owed_cents == actual
    assert roll.closing_cents == -sum(part.due_cents for part in parts.values())


@settings(max_examples=60, deadline=None)
@given(amounts, amounts, st.dictionaries(names, st.integers(1, 10**6), min_size=2))
def test_a_second_true_up_bills_only_what_changed_since(first, second, weights):
    once = settle(first, weights)
    billed = {payer: part.due_cents for payer, part in once.items()}
    again = settle(first, weights, billed)
    assert not any(part.due_cents for part in again.values())
    later = settle(second, weights, billed)
    assert sum(part.due_cents for part in later.values()) == second - first
