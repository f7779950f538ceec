from __future__ import annotations

import doctest
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from itertools import product
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regional311.chargeback import statement
from regional311.chargeback.statement import (
    MOVES,
    OPEN,
    ApproverUnknown,
    Line,
    MoveNotAllowed,
    PreparerMayNotApprove,
    State,
    check_approver,
    check_move,
    content_digest,
    journal_legs,
    total_cents,
)
from regional311.ledger.books import MIRRORS, leg_problems

CITY, COUNTY = UUID(int=1), UUID(int=2)
ALLOWED = {
    ("draft", "in_review"),
    ("in_review", "approved"),
    ("approved", "issued"),
    ("draft", "void"),
    ("in_review", "void"),
    ("approved", "void"),
}


def line(position=1, exact="1.005", **fields):
    said = {
        "service_period": "2026-10",
        "kind": "usage",
        "line_key": "key",
        "label": "Contact handled",
        "agreement_key": "city-county",
        "basis": {"rate": "phone"},
        "quantity": Decimal(1),
        "price": Decimal("1.005"),
        "item_count": 1,
    }
    return Line(position=position, exact_amount=Decimal(exact), **(said | fields))


def test_docstring_examples_hold():
    assert doctest.testmod(statement).failed == 0


@pytest.mark.parametrize(("current", "wanted"), [*product(State, State)])
def test_only_the_listed_moves_are_allowed(current, wanted):
    if (current, wanted) in ALLOWED:
        check_move(current, wanted)
    else:
        with pytest.raises(MoveNotAllowed, match=f"is {statement.spoken(current)}"):
            check_move(current, wanted)


def test_what_is_open_can_still_be_made_void():
    assert {state for state in State if State.VOID in MOVES[state]} == OPEN


def test_preparer_and_submitter_may_not_approve():
    check_approver(UUID(int=3), [UUID(int=1), None, UUID(int=2)])
    for person in (UUID(int=1), UUID(int=2)):
        with pytest.raises(PreparerMayNotApprove):
            check_approver(person, [UUID(int=1), None, UUID(int=2)])
    with pytest.raises(ApproverUnknown):
        check_approver(None, [UUID(int=1)])


@pytest.mark.parametrize(
    ("exact", "cents"), [("0.125", 13), ("-0.125", -13), ("0.124999", 12), ("0.004999", 0)]
)
def test_a_line_is_rounded_once_half_away_from_zero(exact, cents):
    assert line(exact=exact).amount_cents == cents


def test_the_total_is_the_sum_of_rounded_lines_not_the_rounded_sum():
    lines = [line(position, "0.005") for position in range(1, 4)]
    assert total_cents(lines) == 3


def test_the_digest_sees_every_field_and_no_order():
    lines = [line(1), line(2, "2.5")]
    digest = content_digest("2026-10", lines)
    assert content_digest("2026-10", lines[::-1]) == digest
    scaled = replace(lines[0], exact_amount=Decimal("1.005000"), quantity=Decimal("1.0"))
    assert content_digest("2026-10", [scaled, lines[1]]) == digest
    assert content_digest("2026-11", lines) != digest
    for change in (
        {"label": "x"},
        {"kind": "pool"},
        {"line_key": "x"},
        {"agreement_key": "x"},
        {"basis": {}},
        {"quantity": Decimal(2)},
        {"price": None},
        {"exact_amount": Decimal("1.005001")},
        {"item_count": 2},
    ):
        assert content_digest("2026-10", [replace(lines[0], **change), lines[1]]) != digest


AMOUNTS = st.lists(st.tuples(st.sampled_from(["usage", "pool"]), st.integers(-(10**9), 10**9)))


@given(AMOUNTS)
def test_both_sides_balance_and_mirror(amounts):
    issued = journal_legs(amounts, "issued", COUNTY)
    received = journal_legs(amounts, "received", CITY)
    assert [leg_problems(legs) for legs in (issued, received) if legs] == [
        [] for legs in (issued, received) if legs
    ]
    by_account = {leg.account: leg.net_cents for leg in received}
    assert {MIRRORS[leg.account]: -leg.net_cents for leg in issued} == by_account


@given(st.lists(st.decimals(-1000, 1000, places=6), min_size=1))
def test_rounding_moves_a_total_by_at_most_half_a_cent_a_line(amounts):
    lines = [line(n, str(amount)) for n, amount in enumerate(amounts, 1)]
    exact = sum(Fraction(amount) for amount in amounts) * 100
    assert abs(total_cents(lines) - exact) <= Fraction(len(lines), 2)
