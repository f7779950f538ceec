from __future__ import annotations

import doctest
from datetime import date, timedelta
from decimal import Decimal
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regional311.chargeback import rates
from regional311.chargeback.rates import (
    Price,
    Scope,
    Work,
    charge,
    fits,
    rate_problems,
    resolve,
    units,
)

OCTOBER = date(2026, 10, 1)
CARD = "partners"


def price(key: str, amount: str = "1", start: date = OCTOBER, end: date | None = None, **scope):
    return Price(key, Scope(CARD, "contact_handled", **scope), Decimal(amount), start, end)


def work(**facts):
    said = {
        "activity": "contact_handled",
        "channel": "phone",
        "language": "en",
        "after_hours": False,
        "service": "pothole",
        "done_on": OCTOBER,
    }
    return Work(**(said | facts))


SCOPES = st.builds(
    Scope,
    st.just(CARD),
    st.just("contact_handled"),
    st.sampled_from([None, "pothole", "shelter"]),
    st.sampled_from([None, "en", "es"]),
    st.sampled_from([None, "phone", "web"]),
    st.sampled_from(["any", "business", "after"]),
)
DAYS = st.integers(0, 30).map(lambda days: OCTOBER + timedelta(days=days))


def test_docstring_examples_hold():
    assert doctest.testmod(rates).failed == 0


def test_service_beats_language_beats_channel_beats_hours_beats_any():
    every = [
        price("service", service="pothole"),
        price("language", language="en", channel="phone", hours="business"),
        price("channel", channel="phone", hours="business"),
        price("hours", hours="business"),
        price("any"),
    ]
    for left in range(len(every)):
        assert resolve(reversed(every[left:]), CARD, work()) == every[left]


@pytest.mark.parametrize(
    "facts",
    [
        {"activity": "warm_transfer"},
        {"service": None},
        {"language": "es"},
        {"channel": "web"},
        {"after_hours": True},
        {"done_on": date(2026, 9, 30)},
        {"done_on": date(2026, 11, 1)},
    ],
)
def test_work_outside_every_scope_is_unrated(facts):
    only = price(
        "only",
        end=date(2026, 11, 1),
        service="pothole",
        language="en",
        channel="phone",
        hours="business",
    )
    assert resolve([only], CARD, work()) == only
    assert resolve([only], CARD, work(**facts)) is None
    assert resolve([only], "another card", work()) is None


@given(st.lists(SCOPES, unique=True))
def test_one_rate_wins_among_scopes_that_fit_the_same_work(scopes):
    for channel, language, late in product(("phone", "web"), ("en", "es"), (True, False)):
        done = work(channel=channel, language=language, after_hours=late)
        fitting = [scope.specificity for scope in scopes if fits(scope, CARD, done)]
        assert len(set(fitting)) == len(fitting)


@pytest.mark.parametrize(
    ("unit", "quantity", "seconds", "counted"),
    [
        ("each", 1, 300, "1"),
        ("each", -1, 300, "-1"),
        ("minute", 1, 100, "1.666667"),
        ("minute", -1, 100, "-1.666667"),
        ("minute", 7, 0, "7"),
        ("minute", 0, 60, "0"),
    ],
)
def test_counts_units(unit, quantity, seconds, counted):
    assert units(unit, Decimal(quantity), seconds) == Decimal(counted)


@given(st.decimals(0, 1000, places=6), st.integers(0, 100_000), st.sampled_from(["each", "minute"]))
def test_a_reversal_takes_back_just_as_much(amount, seconds, unit):
    forward = charge(amount, units(unit, Decimal(1), seconds))
    assert charge(amount, units(unit, Decimal(-1), seconds)) == -forward


def test_finds_overlaps_and_gaps_with_their_days():
    found = rate_problems(
        [
            price("c", start=date(2026, 12, 1)),
            price("a", end=date(2026, 11, 1)),
            price("b", start=date(2026, 10, 15), end=date(2026, 11, 15)),
            price("other scope", channel="web"),
        ]
    )
    assert [(one.kind, one.keys, one.from_on, one.to_on) for one in found] == [
        ("overlap", ("a", "b"), date(2026, 10, 15), date(2026, 11, 1)),
        ("gap", ("b", "c"), date(2026, 11, 15), date(2026, 12, 1)),
    ]
    assert "both hold from 2026-10-15 to 2026-11-01" in found[0].message
    assert "nothing holds from 2026-11-15 to 2026-12-01" in found[1].message


def test_two_open_ended_rates_overlap_without_end():
    (found,) = rate_problems([price("a"), price("b", start=date(2026, 11, 1))])
    assert (found.kind, found.to_on) == ("overlap", None)
    assert found.message == "Rates a and b both hold from 2026-11-01 on."


@given(st.lists(st.tuples(DAYS, DAYS).filter(lambda pair: pair[0] < pair[1]), max_size=6))
def test_no_overlap_is_found_just_when_each_day_has_one_rate(spans):
    prices = [price(str(n), start=start, end=end) for n, (start, end) in enumerate(spans)]
    problems = rate_problems(prices)
    days = [OCTOBER + timedelta(days=n) for n in range(31)]
    counts = [sum(one.valid_on(day) for one in prices) for day in days]
    assert any(problem.kind == "overlap" for problem in problems) is (max(counts) > 1)
    uncovered = {day for day, count in zip(days, counts, strict=True) if count == 0}
    gaps = {
        day
        for problem in problems
        if problem.kind == "gap"
        for day in days
        if problem.from_on <= day < problem.to_on
    }
    inside = {day for day in uncovered if spans and min(s for s, _ in spans) < day}
    assert gaps == {day for day in inside if day < max(end for _, end in spans)}
