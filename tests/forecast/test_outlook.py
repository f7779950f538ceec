"""How a year is likely to end, by rules that can be done again by hand."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regional311.forecast.outlook import Billed, Method, Standing, outlook, standing

MONTHS = [f"2026-{month:02d}" for month in range(7, 13)] + [f"2027-{m:02d}" for m in range(1, 7)]


def test_months_to_come_follow_last_years_work():
    """600.00 for 60 pieces in two months; last year had 40 in them, and 80 in the third month."""
    this_year = {"2026-07": Billed(200_00, 50_00, 20), "2026-08": Billed(400_00, 50_00, 40)}
    last_year = {month: Billed(100_00, 0, 20) for month in MONTHS}
    last_year["2026-09"] = Billed(300_00, 0, 80)
    found = outlook(MONTHS, this_year, last_year)
    assert found.method is Method.SEASONAL
    assert found.billed_cents == 700_00
    september, october = found.months[2:4]
    assert september.cents == 600_00 * 80 // 40 + 50_00
    assert october.cents == 600_00 * 20 // 40 + 50_00
    assert (september.billed, september.last_year_cents) == (False, 300_00)
    assert "$600.00 was billed for 2 of 12 months" in found.explanation[0]
    assert "$50.00" in found.explanation[1]


def test_without_last_year_months_to_come_cost_the_average():
    found = outlook(MONTHS, {"2026-07": Billed(100_01, 0, 1), "2026-08": Billed(0, 0, 0)}, {})
    assert found.method is Method.RUN_RATE
    assert found.months[5].cents == 50_01
    assert found.ahead_cents == 10 * 50_01


def test_counted_work_stands_in_for_bills_of_last_year():
    pieces = dict.fromkeys(MONTHS, 10) | {"2027-06": 30}
    found = outlook(MONTHS, {"2026-07": Billed(100_00, 0, 9)}, {}, pieces_last_year=pieces)
    assert found.method is Method.SEASONAL
    assert found.months[-1].cents == 300_00


def test_a_year_without_bills_is_like_the_last_one():
    last_year = {"2026-07": Billed(10, 5, 1)}
    found = outlook(MONTHS, {}, last_year)
    assert (found.method, found.year_cents) == (Method.LAST_YEAR, 15)
    assert outlook(MONTHS, {}, {}).method is Method.NOTHING


def test_a_whole_year_is_what_was_billed():
    found = outlook(MONTHS, {month: Billed(100, 1, 1) for month in MONTHS}, {})
    assert (found.billed_cents, found.ahead_cents) == (1212, 0)
    assert found.explanation == ("The whole year is billed.",)


@given(st.dictionaries(st.sampled_from(MONTHS), st.integers(0, 10**9), min_size=1))
@settings(max_examples=100, deadline=None)
def test_the_months_always_sum_to_the_year(cents):
    this_year = {month: Billed(amount, 0, 1) for month, amount in cents.items()}
    found = outlook(MONTHS, this_year, {})
    assert [month.month for month in found.months] == MONTHS
    assert found.billed_cents == sum(cents.values())
    assert found.year_cents == sum(month.cents for month in found.months)


@pytest.mark.parametrize(
    ("billed", "year", "expected"),
    [
        (1001, 1001, Standing.EXCEEDED),
        (500, 1001, Standing.WILL_EXCEED),
        (500, 900, Standing.NEAR),
        (500, 899, Standing.WITHIN),
        (0, 0, Standing.WITHIN),
    ],
)
def test_a_budget_warns_in_time(billed, year, expected):
    assert standing(1000, 90, billed, year) is expected
