from __future__ import annotations

import doctest
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regional311 import money
from regional311.money import (
    BadAmount,
    BadWeight,
    NothingToSplitBy,
    format_cents,
    from_cents,
    parse_cents,
    split,
    to_cents,
)

CENTS = st.integers(-(10**13), 10**13)
WEIGHTS = st.lists(
    st.one_of(
        st.integers(0, 10**9),
        st.decimals(0, 10**6, places=4),
        st.fractions(0, 10**6, max_denominator=10**4),
    ),
    min_size=1,
    max_size=12,
).filter(any)


def test_docstring_examples_hold():
    assert doctest.testmod(money).failed == 0


@pytest.mark.parametrize(
    ("total", "weights", "parts"),
    [
        # worked examples of the domain notes (textbook largest remainder)
        pytest.param(99, [1] * 5, [20, 20, 20, 20, 19], id="99 cents by 5 equal"),
        pytest.param(18225, [98, 2], [17861, 364], id="182.25 by 98/2, a tie"),
        pytest.param(
            78508,
            [Decimal("33.33"), Decimal("33.33"), Decimal("33.34")],
            [26167, 26167, 26174],
            id="785.08 by 33.33/33.33/33.34",
        ),
        pytest.param(1, [95, 5], [1, 0], id="0.01 by 95/5"),
        pytest.param(500_000, [1] * 12, [41667] * 8 + [41666] * 4, id="5,000.00 by 12"),
        # the plan's I&R agreement: 600,000 a year, half City, half County
        pytest.param(60_000_000, [50, 50], [30_000_000, 30_000_000], id="I&R 50/50"),
        pytest.param(0, [1, 2], [0, 0], id="nothing"),
        pytest.param(0, [0, 0], [0, 0], id="nothing by nobody"),
        pytest.param(0, [], [], id="nothing, no targets"),
        pytest.param(-99, [1] * 5, [-20, -20, -20, -20, -19], id="a reversal"),
        pytest.param(10, [1, 0, 1], [5, 0, 5], id="zero weight gets zero"),
        pytest.param(
            100,
            [Fraction(1, 6), Fraction(1, 3), Fraction(1, 2)],
            [17, 33, 50],
            id="phase-in",
        ),
    ],
)
def test_splits_as_worked_by_hand(total, weights, parts):
    assert split(total, weights) == parts


def test_ties_go_to_the_smaller_key_not_to_the_first_row():
    assert split(1, [1, 1], ["county", "city"]) == [0, 1]


@pytest.mark.parametrize("total", [1, -1])
def test_all_zero_weights_leave_the_amount_unallocated(total):
    with pytest.raises(NothingToSplitBy):
        split(total, [0, 0])


def test_an_amount_without_targets_is_unallocated():
    with pytest.raises(NothingToSplitBy):
        split(5, [])


@pytest.mark.parametrize("weight", [-1, 0.5, True, Decimal("NaN"), Decimal("Infinity"), "1", None])
def test_refuses_what_is_not_a_weight(weight):
    with pytest.raises(BadWeight):
        split(10, [weight, Decimal(1)])


@pytest.mark.parametrize("keys", [["a"], ["a", "a"], ["a", "b", "c"]])
def test_refuses_keys_that_do_not_name_each_target_once(keys):
    with pytest.raises(BadWeight):
        split(10, [1, 1], keys)


@given(CENTS, WEIGHTS)
def test_parts_sum_and_stay_within_a_cent_of_the_exact_share(total, weights):
    parts = split(total, weights)
    assert sum(parts) == total
    whole = sum(Fraction(weight) for weight in weights)
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - Fraction(total) * Fraction(weight) / whole) < 1
        if weight == 0:
            assert part == 0


@given(CENTS, WEIGHTS)
def test_a_reversal_cancels_part_by_part(total, weights):
    assert split(-total, weights) == [-part for part in split(total, weights)]


@given(CENTS, WEIGHTS, st.randoms(use_true_random=False))
def test_order_of_rows_changes_nothing(total, weights, random):
    keys = [f"target-{index:02d}" for index in range(len(weights))]
    expected = dict(zip(keys, split(total, weights, keys), strict=True))
    rows = list(zip(weights, keys, strict=True))
    random.shuffle(rows)
    shuffled = split(total, [row[0] for row in rows], [row[1] for row in rows])
    assert {key: part for (_, key), part in zip(rows, shuffled, strict=True)} == expected


@given(CENTS, WEIGHTS, st.fractions(Fraction(1, 1000), 1000))
def test_a_common_factor_changes_nothing(total, weights, factor):
    assert split(total, [Fraction(weight) * factor for weight in weights]) == split(total, weights)


@pytest.mark.parametrize(
    ("amount", "cents"),
    [
        ("0.125", 13),
        ("-0.125", -13),
        ("0.124999", 12),
        ("1e3", 100_000),
        ("0", 0),
        ("123456789012345678901234567890.125", 12345678901234567890123456789013),
        ("4.5", 450),
    ],
)
def test_rounds_half_away_from_zero(amount, cents):
    assert to_cents(Decimal(amount)) == cents


@pytest.mark.parametrize("amount", [Decimal("NaN"), Decimal("Infinity"), 1.5, 3])
def test_only_finite_decimals_become_cents(amount):
    with pytest.raises(BadAmount):
        to_cents(amount)


@given(st.integers(-(10**20), 10**20))
def test_cents_survive_every_form(cents):
    assert to_cents(from_cents(cents)) == cents
    assert parse_cents(format_cents(cents)) == cents
    assert parse_cents(format_cents(cents, symbol="")) == cents


@given(st.decimals(-(10**12), 10**12, places=6))
def test_rounding_moves_by_at_most_half_a_cent(amount):
    assert abs(Fraction(to_cents(amount)) - Fraction(amount) * 100) <= Fraction(1, 2)


@pytest.mark.parametrize(
    ("text", "cents"),
    [("12", 1200), ("12.5", 1250), (" $1,234.56 ", 123456), ("-$0.05", -5)],
)
def test_reads_amounts_as_people_write_them(text, cents):
    assert parse_cents(text) == cents


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "1.234",
        "1e3",
        "NaN",
        "1,23.00",
        "12,345,6",
        "£5",
        "٣",
        "1 2",
        ".5",
        "5.",
    ],
)
def test_refuses_what_is_not_an_amount(text):
    with pytest.raises(BadAmount):
        parse_cents(text)
