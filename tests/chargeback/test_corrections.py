from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regional311.chargeback.corrections import IssuedLine, difference, standing
from regional311.chargeback.statement import Line
from regional311.money import to_cents

KEYS = ("phone", "web", "interpreter", "cap")


def line(key="phone", quantity="5", price="10", exact=None, kind="usage", **basis):
    exact = Decimal(quantity) * Decimal(price) if exact is None else Decimal(exact)
    return Line(
        position=0,
        kind=kind,
        service_period="2026-10",
        line_key=f"city-county|{key}",
        label=key,
        agreement_key="city-county",
        basis={"rate": key, **basis},
        quantity=Decimal(quantity),
        price=None if price is None else Decimal(price),
        exact_amount=exact,
        item_count=int(Decimal(quantity)),
    )


def issue(number, lines):
    """The lines as they stand on an issued statement."""
    return [
        IssuedLine(f"CITY-{number:05d}", replace(each, position=position))
        for position, each in enumerate(lines, 1)
    ]


def told(lines):
    return [(each.basis["corrects"]["change"], each.quantity, each.amount_cents) for each in lines]


def test_five_to_eight_units_at_ten_is_thirty_more():
    """Source: the published example of re-rating, 5 → 8 units at 10 gives +30."""
    (more,) = difference(issue(1, [line()]), [line(quantity="8")])
    assert (more.kind, more.quantity, more.price, more.amount_cents) == ("correction", 3, 10, 3000)
    assert more.basis["corrects"] == {
        "statement": "CITY-00001",
        "line": 1,
        "kind": "usage",
        "change": "difference",
        "billed_quantity": "5",
        "billed_cents": 5000,
    }
    assert (more.service_period, more.line_key) == ("2026-10", "city-county|phone")


def test_volume_from_fifteen_at_ten_to_sixteen_at_five():
    """Source: the published example of re-rating, volume 15 at 10 → 16 at 5 is −150 and +80."""
    bill = issue(1, [line(quantity="15")])
    back, anew = difference(bill, [line(quantity="16", price="5")])
    assert told([back, anew]) == [("reversal", -15, -15000), ("replacement", 16, 8000)]
    assert (back.price, anew.price) == (10, 5)
    assert {each.basis["corrects"]["line"] for each in (back, anew)} == {1}


def test_a_volume_whose_price_stands_on_no_line_is_compared_by_the_unit():
    bill = issue(1, [line(quantity="15", price=None, exact="150", model="volume")])
    fresh = [line(quantity="16", price=None, exact="80", model="volume")]
    assert told(difference(bill, fresh)) == [
        ("reversal", -15, -15000),
        ("replacement", 16, 8000),
    ]
    fresh = [line(quantity="14", price=None, exact="140", model="volume")]
    assert told(difference(bill, fresh)) == [("difference", -1, -1000)]


def test_another_basis_is_never_a_bare_amount():
    bill = issue(1, [line("share", "1", None, "25000", kind="pool", yearly_cents=60_000_000)])
    fresh = [line("share", "1", None, "26000", kind="pool", yearly_cents=62_400_000)]
    assert told(difference(bill, fresh)) == [
        ("reversal", -1, -2_500_000),
        ("replacement", 1, 2_600_000),
    ]


def test_another_basis_over_the_same_amount_bills_nothing():
    bill = issue(1, [line("share", "1", None, "25000", kind="pool", base="first reading")])
    fresh = [line("share", "1", None, "25000", kind="pool", base="second reading")]
    assert difference(bill, fresh) == []


def test_two_versions_of_an_agreement_in_one_period_are_one_line():
    bill = issue(1, [line(quantity="2"), line(quantity="3")])
    assert difference(bill, [line(quantity="2"), line(quantity="3")]) == []
    (more,) = difference(bill, [line(quantity="4"), line(quantity="3")])
    assert (more.quantity, more.amount_cents) == (2, 2000)


def test_more_work_may_change_what_a_line_is_called():
    bill = issue(1, [line(channel="phone", service="county/pothole")])
    fresh = [line(quantity="6", channel=None, service=None, services="several")]
    assert told(difference(bill, fresh)) == [("difference", 1, 1000)]


def test_the_end_of_a_rate_changes_no_price():
    bill = issue(1, [line(valid_to=None)])
    assert difference(bill, [line(valid_to="2027-07-01")]) == []


def test_a_line_that_vanished_is_taken_back_and_may_come_again():
    bill = issue(1, [line(), line("web", "2", "3")])
    gone = difference(bill, [line()])
    assert told(gone) == [("reversal", -2, -600)]
    bill += issue(2, gone)
    (again,) = difference(bill, [line(), line("web", "4", "3")])
    assert told([again]) == [("addition", 4, 1200)]
    assert again.basis["corrects"]["statement"] == "CITY-00001"
    assert again.basis["corrects"]["line"] is None


def test_caps_and_minimums_are_corrected_on_lines_of_their_own():
    """A cap of 100 over 50 + 60 took 10 off; with 5 units more it takes 60 off."""
    cap = line("cap", "1", None, "-10", kind="cap", cap_cents=10_000)
    bill = issue(1, [line(), line("web", "6", "10"), cap])
    fresh = [line(quantity="10"), line("web", "6", "10"), replace(cap, exact_amount=Decimal(-60))]
    lines = difference(bill, fresh)
    assert told(lines) == [("difference", 5, 5000), ("difference", 0, -5000)]
    assert [each.basis["corrects"]["kind"] for each in lines] == ["usage", "cap"]
    floor = line("minimum", "1", None, "50", kind="minimum", minimum_cents=10_000)
    bill = issue(1, [line(), floor])
    assert told(difference(bill, [line(quantity="12")])) == [
        ("difference", 7, 7000),
        ("reversal", -1, -5000),
    ]


def test_cents_telescope_where_rounding_the_difference_would_not():
    """3 × 4.905 = 14.715 is billed 14.72; 4 × 4.905 = 19.62 lacks 4.90, though 4.905 rounds up."""
    bill = issue(1, [line(quantity="3", price="4.905")])
    (more,) = difference(bill, [line(quantity="4", price="4.905")])
    assert (more.exact_amount, more.amount_cents) == (Decimal("4.905"), 490)


def test_before_anything_was_issued_the_rating_itself_is_due():
    fresh = [line()]
    assert difference([], fresh) == fresh


quantities = st.decimals(min_value=0, max_value=40, places=3)
prices = st.sampled_from(["0.125", "4.905", "10", "33.333333"])


@st.composite
def ratings(draw):
    """One rating of a period: some keys, each with a quantity and a price."""
    keys = draw(st.lists(st.sampled_from(KEYS), unique=True))
    return [line(key, str(draw(quantities)), draw(prices)) for key in keys]


def sums(lines):
    found = {}
    for each in lines:
        of = found.setdefault(each.line_key, [Decimal(0), Decimal(0), 0])
        of[0] += each.quantity
        of[1] += each.exact_amount
        of[2] += each.amount_cents
    return {key: tuple(of) for key, of in found.items() if any(of)}


def bill_all(runs):
    issued = []
    for number, fresh in enumerate(runs, 1):
        issued += issue(number, difference(issued, fresh))
    return issued


@settings(max_examples=80, deadline=None)
@given(st.lists(ratings(), min_size=1, max_size=6))
def test_any_sequence_of_ratings_adds_up_to_the_last(runs):
    issued = bill_all(runs)
    assert sums(each.line for each in issued) == sums(runs[-1])
    assert sum(each.line.amount_cents for each in issued) == sum(
        to_cents(each.exact_amount) for each in runs[-1]
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(ratings(), min_size=1, max_size=5))
def test_rating_again_without_a_change_bills_nothing(runs):
    issued = bill_all(runs)
    if issued:
        assert difference(issued, runs[-1]) == []


@settings(max_examples=60, deadline=None)
@given(st.lists(ratings(), min_size=1, max_size=4), ratings(), st.randoms())
def test_the_order_of_lines_changes_nothing(runs, fresh, random):
    issued = bill_all(runs)
    shuffled, mixed = issued[:], fresh[:]
    random.shuffle(shuffled)
    random.shuffle(mixed)
    wanted = difference(issued, fresh)
    if issued:
        assert difference(shuffled, mixed) == wanted


@settings(max_examples=80, deadline=None)
@given(st.lists(ratings(), min_size=1, max_size=4), ratings())
def test_what_is_taken_back_is_what_was_billed_and_no_more(runs, fresh):
    issued = bill_all(runs)
    if not issued:
        return
    billed = standing(issued)
    for each in difference(issued, fresh):
        corrects = each.basis["corrects"]
        if corrects["change"] == "reversal":
            was = billed[each.line_key]
            assert (each.quantity, each.exact_amount, each.amount_cents) == (
                -was.quantity,
                -was.exact_amount,
                -was.cents,
            )
        if corrects["line"] is not None:
            (named,) = [
                one.line
                for one in issued
                if (one.statement, one.line.position) == (corrects["statement"], corrects["line"])
            ]
            assert named.line_key == each.line_key
            assert named.service_period == each.service_period
        if corrects["change"] == "difference":
            assert each.price == named.price


@pytest.mark.parametrize("price", [None, "10"])
def test_equal_sums_bill_nothing(price):
    bill = issue(1, [line("share", "1", price, "10", kind="pool")])
    assert difference(bill, [line("share", "1", price, "10", kind="pool")]) == []
