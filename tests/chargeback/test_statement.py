from __future__ import annotations

import doctest
from collections import Counter
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
    Payer,
    PreparerMayNotApprove,
    State,
    check_approver,
    check_move,
    content_digest,
    journal_legs,
    posts_as,
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
    """Source: EN 16931, rule BR-CO-10."""
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


KINDS_BOOKED = [
    ("usage", {}),
    ("pool", {"pool": "i-and-r"}),
    ("interest", {}),
    ("true_up", {}),
    ("cap", {"books": "service"}),
    ("funding", {"books": "share"}),
    ("correction", {"corrects": {"kind": "pool"}}),
]


@st.composite
def booked_lines(draw):
    found = []
    for position in range(1, draw(st.integers(0, 6)) + 1):
        kind, basis = draw(st.sampled_from(KINDS_BOOKED))
        agreement = draw(st.sampled_from(["one", "two"]))
        cents = draw(st.integers(-(10**9), 10**9))
        found.append(line(position, kind=kind, basis=basis, agreement_key=agreement, cents=cents))
    return found


def by_account(legs):
    sums = Counter()
    for leg in legs:
        sums[leg.account] += leg.net_cents
    return {account: cents for account, cents in sums.items() if cents}


@given(booked_lines())
def test_both_sides_balance_and_mirror(lines):
    issued = journal_legs(lines, "issued", Payer(COUNTY), CITY)
    received = journal_legs(lines, "received", Payer(COUNTY), CITY)
    assert [leg_problems(legs) for legs in (issued, received) if legs] == [
        [] for legs in (issued, received) if legs
    ]
    mirrored = {MIRRORS[account]: -cents for account, cents in by_account(issued).items()}
    assert mirrored == by_account(received)


@given(booked_lines(), st.sampled_from(["bureau", "outside"]))
def test_payers_without_books_have_one_balanced_entry_that_names_them(lines, kind):
    legs = journal_legs(lines, "issued", Payer(CITY, kind, "parks"), CITY)
    assert not legs or leg_problems(legs) == []
    assert {leg.party for leg in legs} <= {f"{kind}:parks"}
    assert {leg.counterparty_id for leg in legs} <= {None}
    sums, total = by_account(legs), total_cents(lines)
    if kind == "bureau":
        assert sums.get("interfund_expense", 0) == -sums.get("interfund_revenue", 0) == total
    else:
        assert sums.get("due_from_outside", 0) == total


def test_what_terms_change_is_booked_with_what_they_are_about():
    assert posts_as("overhead", {"books": "share"}) == "share"
    assert posts_as("correction", {"corrects": {"kind": "cap"}, "books": "service"}) == "service"
    assert posts_as("credit", {"corrects": {"kind": "usage"}}) == "service"
    assert posts_as("credit", {"corrects": {"kind": "overhead"}, "pool": "i-and-r"}) == "share"


@given(st.lists(st.decimals(-1000, 1000, places=6), min_size=1))
def test_rounding_moves_a_total_by_at_most_half_a_cent_a_line(amounts):
    lines = [line(n, str(amount)) for n, amount in enumerate(amounts, 1)]
    exact = sum(Fraction(amount) for amount in amounts) * 100
    assert abs(total_cents(lines) - exact) <= Fraction(len(lines), 2)
