from __future__ import annotations

import doctest
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regional311.allocation import shares
from regional311.allocation.shares import (
    NoSuchMonth,
    SharesDoNotSum,
    check_shares,
    month_of_year,
    shares_of_month,
)


def test_docstring_examples_hold():
    assert doctest.testmod(shares).failed == 0


def test_a_year_of_5000_is_eight_months_of_416_67_and_four_of_416_66():
    months = [month_of_year(500_000, month) for month in range(12)]
    assert months == [41667] * 8 + [41666] * 4


@st.composite
def percents(draw):
    cuts = sorted(draw(st.lists(st.integers(0, 100_000_000), max_size=5)))
    ends = [0, *cuts, 100_000_000]
    return {f"party-{n}": Decimal(ends[n + 1] - ends[n]) / 1_000_000 for n in range(len(ends) - 1)}


@given(st.integers(-(10**12), 10**12), percents())
def test_a_fiscal_year_of_months_sums_to_the_cent(yearly, parts):
    months = [shares_of_month(yearly, month, parts) for month in range(12)]
    assert sum(sum(month.values()) for month in months) == yearly
    for number, month in enumerate(months):
        assert sum(month.values()) == month_of_year(yearly, number)
        assert set(month) == set(parts)


@pytest.mark.parametrize("parts", [{}, {"a": "99.999999"}, {"a": "50", "b": "50.1"}])
def test_shares_that_do_not_make_100_are_refused(parts):
    with pytest.raises(SharesDoNotSum):
        check_shares({key: Decimal(value) for key, value in parts.items()})


@pytest.mark.parametrize("month", [-1, 12])
def test_a_fiscal_year_has_twelve_months(month):
    with pytest.raises(NoSuchMonth):
        month_of_year(1, month)
