"""When an entry is looked at again, and how old a look is."""

import doctest
from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from regional311.catalog import freshness
from regional311.catalog.freshness import Age, age, next_review, standing

TODAY = date(2026, 10, 5)
DAYS = st.integers(0, 20_000)


def test_the_examples_hold():
    assert doctest.testmod(freshness).failed == 0


def test_own_days_count_before_the_usual_ones():
    assert next_review(TODAY, 90, 365) == date(2027, 1, 3)
    assert next_review(TODAY, None, 365) == date(2027, 10, 5)


def test_an_entry_without_a_day_is_neither_due_nor_not():
    assert standing(None, TODAY) == "undated"


def test_ages_are_whole_units():
    assert age(TODAY - timedelta(days=20), TODAY) == Age("weeks", 2)
    assert age(date(2025, 8, 6), TODAY) == Age("months", 13)
    assert age(date(2025, 8, 5), TODAY) == Age("months", 14)
    assert age(date(2024, 2, 29), date(2026, 2, 28)) == Age("months", 23)
    assert age(date(2024, 2, 29), date(2026, 3, 1)) == Age("years", 2)
    assert age(TODAY + timedelta(days=3), TODAY) == Age("today")


@given(DAYS, DAYS)
def test_an_older_look_is_never_said_to_be_younger(one, other):
    def least(days: int) -> float:
        found = age(TODAY - timedelta(days=days), TODAY)
        unit = {"today": 0, "yesterday": 1, "days": 1, "weeks": 7, "months": 30.4, "years": 365}
        return unit[found.unit] * max(found.count, 1)

    if one < other:
        assert least(one) <= least(other)


@given(DAYS)
def test_there_are_at_least_two_of_a_unit(days):
    found = age(TODAY - timedelta(days=days), TODAY)
    assert found.count >= 2 or found.unit in ("today", "yesterday")
