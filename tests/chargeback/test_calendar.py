"""The days of billing: the periods of a fiscal year, and what follows each."""

import doctest
from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regional311.calendars import Period, fiscal_year
from regional311.chargeback import calendar
from regional311.chargeback.agreement_terms import Billing, Terms
from regional311.chargeback.calendar import due, period_of, periods, state

YEAR = fiscal_year(date(2026, 10, 5), 7)
TERMS = Terms(due_days=30, dispute_days=45, late_event_days=10)


def test_examples_in_the_documentation() -> None:
    assert doctest.testmod(calendar).failed == 0


def test_october_by_the_month() -> None:
    """Oregon's fiscal year: October is the fourth month; fifteen days to submit, thirty to pay."""
    found = due("share", TERMS, YEAR, None, None)
    assert len(found) == 12
    october = found[3]
    assert october.period == Period.month("2026-10")
    assert october.run_on == date(2026, 11, 1)
    assert october.submit_on == date(2026, 11, 16)
    assert october.due_on == date(2026, 12, 16)
    assert october.dispute_on == date(2026, 12, 31)
    assert october.late_on == date(2026, 11, 11)


@pytest.mark.parametrize(
    ("every", "labels"),
    [
        ("quarter", ["2026-07-01..2026-09-30", "2026-10-01..2026-12-31"]),
        ("year", ["2026-07-01..2027-06-30"]),
    ],
)
def test_quarters_and_years_are_the_providers(every: str, labels: list[str]) -> None:
    assert [each.label for each in periods(every, YEAR)][:2] == labels


def test_an_agreement_has_only_the_periods_it_holds_in() -> None:
    found = due("share", TERMS, YEAR, date(2026, 9, 15), date(2027, 1, 1))
    assert [each.period.label for each in found] == ["2026-09", "2026-10", "2026-11", "2026-12"]


@pytest.mark.parametrize(
    ("statements", "today", "expected"),
    [
        ([], date(2026, 10, 31), "coming"),
        ([], date(2026, 11, 1), "open"),
        (["draft"], date(2026, 11, 3), "drafted"),
        (["draft", "issued"], date(2026, 11, 3), "drafted"),
        (["void"], date(2026, 11, 3), "open"),
        (["issued"], date(2027, 3, 1), "issued"),
        (["issued", "void"], date(2026, 11, 3), "issued"),
        ([], date(2026, 11, 16), "open"),
        ([], date(2026, 11, 17), "late"),
        (["in_review"], date(2026, 11, 17), "late"),
    ],
)
def test_where_a_period_stands(statements: list[str], today: date, expected: str) -> None:
    october = due("share", TERMS, YEAR, None, None)[3]
    assert state(october, statements, today) == expected


def test_a_period_that_was_run_without_lines_has_nothing_to_bill() -> None:
    october = due("share", TERMS, YEAR, None, None)[3]
    assert state(october, ["void"], date(2027, 1, 1), rated=True) == "nothing"
    assert state(october, ["draft"], date(2026, 11, 2), rated=True) == "drafted"
    assert state(october, [], date(2026, 10, 31), rated=True) == "coming"


@pytest.mark.parametrize("label", ["", "2026", "2026-13", "2026-10-02..2026-10-01", "x..y"])
def test_what_is_no_label_of_a_period(label: str) -> None:
    assert period_of(label) is None


@settings(max_examples=100, deadline=None)
@given(
    every=st.sampled_from(["month", "quarter", "year"]),
    day=st.dates(date(2000, 1, 1), date(2100, 1, 1)),
    first=st.integers(1, 12),
    submit=st.integers(0, 60),
)
def test_periods_tile_their_year_and_read_back(every, day, first, submit) -> None:
    """Half-open periods: each day of the year lies in one, none is left out."""
    year = fiscal_year(day, first)
    found = list(periods(every, year))
    assert found[0].start_on == year.start_on
    assert found[-1].end_on == year.end_on
    assert all(one.end_on == two.start_on for one, two in pairwise(found))
    assert sum(day in each for each in found) == 1
    assert all(period_of(each.label) == each for each in found)
    terms = Terms(billing=Billing(every, submit))
    for each in due("a", terms, year, None, None):
        assert each.run_on <= each.submit_on <= each.due_on
        assert each.submit_on - each.run_on == timedelta(days=submit)
