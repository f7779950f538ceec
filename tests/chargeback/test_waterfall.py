"""The terms of an agreement as lines: examples by hand, and what holds for any terms."""

from __future__ import annotations

import doctest
from dataclasses import dataclass
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regional311.chargeback import waterfall
from regional311.chargeback.agreement_terms import Discount, Funding, Terms
from regional311.chargeback.statement import KINDS, Line
from regional311.chargeback.waterfall import (
    Earlier,
    YearSoFar,
    further_lines,
    payable_cents,
    year_end_lines,
)
from regional311.money import from_cents

quick = settings(max_examples=80, deadline=None)


@dataclass(frozen=True)
class Missed:
    key: str
    percent: Decimal
    name: str = "Answered within 30 seconds"
    reading: Decimal = Decimal(45)
    goal: Decimal = Decimal(30)


def gross(*cents, kind="usage"):
    return [
        Line(0, kind, "2026-10", f"a|{n}", "Work", "a", {}, Decimal(1), None, from_cents(each), 0)
        for n, each in enumerate(cents)
    ]


def reckon(lines, terms, **said):
    return further_lines(lines, terms, agreement_key="a", period_key="2026-10", **said)


def kinds(lines):
    return [(line.kind, line.amount_cents) for line in lines]


def test_docstring_examples_hold():
    assert doctest.testmod(waterfall).failed == 0


def test_a_cap_of_100_with_70_billed_leaves_30_of_five_times_10():
    """Source: OpenMeter, spend limits: cap 100, billed 70, now 5 x 10: discount 20, pay 30."""
    work = gross(*[10_00] * 5)
    lines = reckon(work, Terms(not_to_exceed_cents=100_00), earlier=Earlier(paid_cents=70_00))
    assert kinds(lines) == [("cap", -20_00)]
    assert payable_cents([*work, *lines]) == 30_00
    assert "At most $100.00" in lines[0].basis["reason"]


def test_50_used_under_a_minimum_of_100_gives_50_more_on_the_final_run_only():
    """Source: OpenMeter, minimum spend: used 50, minimum 100: true-up 50."""
    terms = Terms(minimum_cents=100_00)
    assert kinds(reckon(gross(50_00), terms)) == [("minimum", 50_00)]
    assert reckon(gross(50_00), terms, final=False) == []
    assert kinds(reckon([], terms)) == [("minimum", 100_00)]
    assert reckon(gross(100_00), terms) == []


def test_every_step_in_its_order_by_hand():
    """1,000.00 gross; a grant of 30 % and a levy of 20 % leave 500.00; overhead 10 % makes 550.00;
    a discount of 4 % takes 22.00; a missed level 5 % of the gross takes 50.00: 478.00 is left, the
    cap leaves 400.00."""
    terms = Terms(
        funding=(
            Funding("grant", "State grant", "grant", Decimal(30)),
            Funding("levy", "Library levy", "levy", Decimal(20)),
        ),
        overhead_percent=Decimal(10),
        discounts=(Discount("Early", Decimal(4)),),
        not_to_exceed_cents=400_00,
        minimum_cents=100_00,
    )
    lines = reckon(gross(600_00, 400_00), terms, missed=[Missed("answered", Decimal(5))])
    assert kinds(lines) == [
        ("funding", -300_00),
        ("funding", -200_00),
        ("overhead", 50_00),
        ("discount", -22_00),
        ("credit", -50_00),
        ("cap", -78_00),
    ]
    assert [line.line_key for line in lines] == [
        "a|funding|grant",
        "a|funding|levy",
        "a|overhead",
        "a|discount|Early",
        "a|credit|answered",
        "a|cap",
    ]
    assert all(line.basis["reason"] and line.basis["books"] == "service" for line in lines)


@pytest.mark.parametrize(
    ("cents", "taken"), [(99_99, 0), (100_00, -5_00), (499_99, -25_00), (500_00, -50_00)]
)
def test_only_the_highest_tier_that_is_reached_counts(cents, taken):
    tiers = (Discount("Five", Decimal(5), 100_00), Discount("Ten", Decimal(10), 500_00))
    assert payable_cents(reckon(gross(cents), Terms(discounts=tiers))) == taken


def test_a_source_gives_no_more_than_it_was_authorised():
    grant = Funding("grant", "State grant", "grant", Decimal(50), 100_00)
    lines = reckon(gross(300_00), Terms(funding=(grant,)), earlier=Earlier(0, {"grant": 70_00}))
    assert kinds(lines) == [("funding", -30_00)]
    assert lines[0].basis["given_cents"] == 70_00
    spent = Earlier(0, {"grant": 130_00})
    assert reckon(gross(300_00), Terms(funding=(grant,)), earlier=spent) == []


def test_a_minimum_never_passes_the_cap():
    terms = Terms(minimum_cents=100_00, not_to_exceed_cents=500_00)
    assert kinds(reckon([], terms, earlier=Earlier(450_00))) == [("minimum", 50_00)]
    assert reckon([], terms, earlier=Earlier(500_00)) == []


def test_a_share_of_a_pool_is_booked_as_a_share_with_all_that_follows():
    (line,) = reckon(gross(100_00, kind="pool"), Terms(overhead_percent=Decimal(10)))
    assert line.basis["books"] == "share"


def test_two_halves_of_a_cent_take_no_more_than_the_cent():
    halves = tuple(Funding(key, key, "grant", Decimal(50)) for key in ("one", "two"))
    work = gross(1)
    assert payable_cents([*work, *reckon(work, Terms(funding=halves))]) == 0


PERCENT = st.decimals(0, 100, places=2)
CENTS = st.integers(-(10**7), 10**9)


@st.composite
def any_terms(draw):
    shares = draw(st.lists(st.integers(0, 100), max_size=3))
    whole = max(100, sum(shares))
    authorised = st.none() | st.integers(1, 10**7)
    return Terms(
        funding=tuple(
            Funding(f"s{n}", f"Source {n}", "grant", Decimal(each * 100 // whole), draw(authorised))
            for n, each in enumerate(shares)
        ),
        overhead_percent=draw(st.none() | PERCENT),
        discounts=tuple(
            Discount(f"d{n}", draw(PERCENT), draw(st.none() | st.integers(1, 10**8)))
            for n in range(draw(st.integers(0, 3)))
        ),
        not_to_exceed_cents=draw(st.none() | st.integers(1, 10**8)),
        minimum_cents=draw(st.none() | st.integers(1, 10**6)),
    )


@quick
@given(st.lists(CENTS, max_size=4), any_terms(), st.booleans())
def test_steps_come_in_order_and_sum_to_what_is_paid(cents, terms, final):
    work = gross(*cents)
    lines = reckon(work, terms, final=final, missed=[Missed("m", Decimal(5))])
    order = [KINDS.index(line.kind) for line in lines]
    assert order == sorted(order)
    assert len({line.line_key for line in lines}) == len(
        {(line.kind, line.label, line.line_key) for line in lines}
    )
    assert all(line.amount_cents for line in lines)
    paid = sum(cents) + sum(line.amount_cents for line in lines)
    assert paid == payable_cents([*work, *lines])
    before = sum(cents) + sum(line.amount_cents for line in lines if line.kind == "funding")
    assert min(0, sum(cents)) <= before <= max(0, sum(cents))
    if sum(cents) >= 0:
        assert paid >= 0


@quick
@given(st.lists(CENTS, min_size=1, max_size=8), any_terms(), st.integers(1, 10**8))
def test_a_cap_holds_over_any_sequence_of_partial_bills(bills, terms, cap):
    terms = Terms(
        funding=terms.funding,
        overhead_percent=terms.overhead_percent,
        discounts=terms.discounts,
        not_to_exceed_cents=cap,
        minimum_cents=terms.minimum_cents,
    )
    paid = 0
    for cents in bills:
        work = gross(cents)
        paid += payable_cents([*work, *reckon(work, terms, earlier=Earlier(paid))])
        assert paid <= cap


@quick
@given(st.lists(st.integers(0, 10**7), max_size=8), any_terms())
def test_no_source_passes_its_authorisation_over_any_sequence(bills, terms):
    given_so_far = {source.key: 0 for source in terms.funding}
    for cents in bills:
        for line in reckon(gross(cents), terms, earlier=Earlier(0, dict(given_so_far))):
            if line.kind == "funding":
                given_so_far[line.basis["source_key"]] -= line.amount_cents
    for source in terms.funding:
        if source.authorised_cents is not None:
            assert given_so_far[source.key] <= source.authorised_cents


@quick
@given(st.lists(CENTS, max_size=4), any_terms(), st.integers(0, 10**8))
def test_the_same_gross_gives_the_same_lines_whatever_its_order(cents, terms, paid):
    one = reckon(gross(*cents), terms, earlier=Earlier(paid))
    other = reckon(gross(*reversed(cents)), terms, earlier=Earlier(paid))
    assert one == other


def true_up(cents):
    return Line(
        0, "true_up", "2026", "a|true_up", "Centre", "a", {}, Decimal(1), None, from_cents(cents), 0
    )


def test_the_minimum_of_every_period_stays_paid_at_the_end_of_the_year():
    """Twelve periods of 80.00 under a minimum of 100.00: 960.00 of work, 1,200.00 paid.

    100.00 more of work are within it; of 300.00 more 60.00 are to pay; nothing is given back.
    """
    so_far = YearSoFar(paid_cents=1_200_00, gross_cents=960_00, minimum_cents=240_00, periods=12)
    terms = Terms(minimum_cents=100_00)

    def due(cents):
        return cents + payable_cents(year_end_lines(true_up(cents), terms, so_far))

    assert [due(cents) for cents in (100_00, 300_00, -50_00)] == [0, 60_00, 0]


def test_a_source_held_short_by_its_authorisation_gives_until_the_year_falls_below_it():
    """Half up to 300.00: of 1,000.00 it gave 300.00. 200.00 less is all the payer's; of 500.00 less
    the source gets back 50.00, since half of 500.00 is 250.00. It has nothing left to give more.
    """
    so_far = YearSoFar(
        paid_cents=700_00,
        gross_cents=1_000_00,
        funded_cents={"g": 300_00},
        funded_to_all_cents={"g": 300_00},
        periods=12,
    )
    terms = Terms(funding=(Funding("g", "Grant", "grant", Decimal(50), 300_00),))
    lines = [year_end_lines(true_up(cents), terms, so_far) for cents in (-200_00, -500_00, 80_00)]
    assert [kinds(each) for each in lines] == [[], [("funding", 50_00)], []]


def test_the_tier_of_a_discount_is_that_of_an_average_period():
    tiers = (Discount("Ten", Decimal(10), 100_00),)
    so_far = YearSoFar(paid_cents=1_080_00, gross_cents=1_200_00, periods=12)
    assert kinds(year_end_lines(true_up(60_00), Terms(discounts=tiers), so_far)) == [
        ("discount", -6_00)
    ]
    assert year_end_lines(true_up(-60_00), Terms(discounts=tiers), so_far) == []


@quick
@given(
    totals=st.lists(st.integers(0, 10_000).map(lambda n: 2 * n), min_size=1, max_size=6),
    cap=st.integers(1, 8_000),
    authorised=st.integers(1, 8_000),
)
def test_true_ups_in_any_number_come_to_what_the_year_really_cost(totals, cap, authorised):
    """After each of them the source has given half within its authorisation, the payer the rest
    within the cap, whatever went up and down before.
    """
    terms = Terms(
        funding=(Funding("g", "Grant", "grant", Decimal(50), authorised),), not_to_exceed_cents=cap
    )
    so_far = YearSoFar(periods=12)
    for total in totals:
        line = true_up(total - so_far.gross_cents)
        so_far = so_far.with_lines([line, *year_end_lines(line, terms, so_far)])
        given_by_source = min(authorised, total // 2)
        assert so_far.funded_cents.get("g", 0) == given_by_source
        assert so_far.paid_cents == min(cap, total - given_by_source)
