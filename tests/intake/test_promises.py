"""The clock of a request: when it runs, when it stands, and what is left."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regional311.calendars import BusinessCalendar
from regional311.intake.promises import (
    STANDS,
    Clock,
    Level,
    changed,
    concerns,
    levels_of,
    promise,
    resume,
)

WEEK = {day: ["08:00-12:00", "13:00-17:00"] for day in ("mon", "tue", "wed", "thu", "fri")}
OFFICE = BusinessCalendar.from_week("America/Los_Angeles", WEEK)
NEVER = BusinessCalendar.from_week("America/Los_Angeles", {})
MONDAY = datetime(2026, 10, 5, 16, 0, tzinfo=UTC)
"""Nine in the morning in Portland."""

HOUR = timedelta(hours=1)
TWO_DAYS = Level(16 * HOUR)


def opened(level: Level | None = TWO_DAYS, at: datetime = MONDAY) -> Clock:
    return Clock(at, *promise(OFFICE, at, level))


def step(clock: Clock, was: str, to: str, now: datetime, **values) -> Clock:
    return changed(clock, OFFICE, was=was, to=to, now=now, **{"percent": 75, **values})


def local(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 10, day, tzinfo=UTC) + timedelta(hours=hour + 7, minutes=minute)


def test_a_promise_is_counted_in_business_hours_and_warned_of_before():
    clock = opened()
    assert clock.expected_at == local(7, 9)
    # three quarters of sixteen hours
    assert clock.warn_at == local(6, 14)
    assert promise(OFFICE, MONDAY, Level(16 * HOUR, 50))[1] == local(6, 9)


def test_nothing_is_promised_without_a_level_or_by_whoever_never_opens():
    assert promise(OFFICE, MONDAY, None) == (None, None)
    assert promise(NEVER, MONDAY, TWO_DAYS) == (None, None)


def test_time_stands_still_while_it_waits_for_the_person():
    waits = step(opened(), "in_progress", STANDS, local(5, 11))
    assert (waits.expected_at, waits.warn_at) == (None, None)
    assert (waits.stands_since, waits.left) == (local(5, 11), 14 * HOUR)
    # answered a week later, in the evening: what was left runs from the next morning on
    goes_on = step(waits, STANDS, "in_progress", local(12, 20))
    assert goes_on.expected_at == local(14, 15)
    assert goes_on.warn_at == local(14, 10)
    assert goes_on.stands_since is None


def test_waiting_for_a_partner_stops_no_clock():
    clock = opened()
    assert step(clock, "in_progress", "waiting_partner", local(5, 11)) == clock
    assert not concerns(clock, "in_progress", "waiting_partner", other_priority=False)


def test_who_is_warned_already_is_warned_at_once_when_it_goes_on():
    waits = step(opened(), "triaged", STANDS, local(6, 16))
    assert waits.left == 2 * HOUR
    goes_on = step(waits, STANDS, "in_progress", local(8, 9))
    assert (goes_on.warn_at, goes_on.expected_at) == (local(8, 9), local(8, 11))


def test_what_is_overdue_stays_overdue():
    clock, late = opened(), local(7, 10)
    assert step(clock, "in_progress", STANDS, late) == clock
    assert step(clock, STANDS, "in_progress", local(9, 10)) == clock
    lower = step(clock, "assigned", "assigned", late, level=Level(100 * HOUR))
    assert lower == clock


def test_closed_while_it_waits_says_what_was_still_promised():
    waits = step(opened(), "triaged", STANDS, local(5, 11))
    closed = step(waits, STANDS, "closed", local(6, 8))
    assert (closed.stands_since, closed.expected_at) == (None, local(7, 15))


def test_opened_again_it_has_what_was_left():
    clock = opened()
    again = step(clock, "closed", "triaged", local(19, 8), closed_at=local(5, 11))
    assert again.expected_at == local(20, 15)
    assert again.warn_at == local(20, 10)


@pytest.mark.parametrize("closed_at", [local(7, 8, 30), local(9, 9)])
def test_opened_again_it_has_a_quarter_of_its_level_at_least(closed_at):
    again = step(opened(), "closed", "triaged", local(19, 8), closed_at=closed_at)
    assert again.expected_at == local(19, 12)
    assert again.warn_at == local(19, 8)


def test_another_priority_counts_from_the_opening_without_the_pauses():
    urgent = step(opened(), "assigned", "assigned", local(5, 10), level=Level(4 * HOUR))
    assert urgent.expected_at == local(5, 14)
    waits = step(opened(), "triaged", STANDS, local(5, 10))
    goes_on = step(waits, STANDS, "in_progress", local(6, 8))
    urgent = step(goes_on, "in_progress", "in_progress", local(6, 9), level=Level(4 * HOUR))
    # one hour before the pause, three after it
    assert urgent.expected_at == local(6, 11)
    lower = step(urgent, "in_progress", "in_progress", local(6, 9), level=Level(10 * HOUR))
    assert lower.expected_at == local(7, 9)


def test_another_priority_while_it_waits_changes_what_is_left():
    waits = step(opened(), "triaged", STANDS, local(5, 11))
    assert step(waits, STANDS, STANDS, local(8, 9), level=Level(4 * HOUR)).left == 2 * HOUR
    # more time was used than there is now
    over = step(waits, STANDS, STANDS, local(8, 9), level=Level(HOUR))
    assert (over.stands_since, over.expected_at) == (None, local(5, 10))


def test_a_priority_that_promises_what_the_service_did_not():
    none = opened(None)
    assert not concerns(none, "triaged", STANDS, other_priority=False)
    found = step(none, "received", STANDS, local(5, 10), level=Level(4 * HOUR))
    assert found.left == 3 * HOUR
    assert step(none, "closed", "triaged", local(5, 10), closed_at=local(5, 9)) == none


def test_a_change_that_does_not_touch_the_clock_is_known_beforehand():
    clock = opened()
    assert not concerns(clock, "received", "triaged", other_priority=False)
    assert not concerns(clock, "triaged", "closed", other_priority=True)
    assert concerns(clock, "closed", "triaged", other_priority=False)
    assert concerns(clock, "triaged", "triaged", other_priority=True)


def test_levels_are_read_from_the_settings():
    levels = levels_of(
        {
            "service_levels": [
                {"priority": "high", "hours": 16, "warn_at_percent": 60},
                {"priority": "normal", "hours": 50},
                {"priority": "low"},
            ]
        }
    )
    assert levels.level(None, "high") == Level(16 * HOUR, 60)
    assert levels.level(8, "high") == Level(8 * HOUR, 60)
    assert levels.level(40, "high") == Level(16 * HOUR, 60)
    # what is not urgent has the time of its service, also when that is longer
    assert levels.level(80, "normal") == Level(80 * HOUR, 75)
    assert levels.level(None, "low") is None
    assert levels_of({}).warning("urgent") == 75


def test_time_goes_on_at_somebody_elses():
    clock = opened()
    assert resume(clock, OFFICE, local(5, 11), 75) == clock


moments = st.integers(0, 60 * 24 * 21).map(lambda minutes: MONDAY + timedelta(minutes=minutes))
hours = st.integers(1, 120)


@given(hours, st.lists(moments, min_size=2, max_size=8, unique=True))
def test_pauses_take_nothing_and_give_nothing(many, at):
    """What is used of a level is the open time outside the pauses, however many there are."""
    clock = opened(Level(many * HOUR))
    state, used, since = "triaged", timedelta(), MONDAY
    for now in sorted(at):
        if clock.expected_at is not None and clock.expected_at <= now:
            return
        to = "in_progress" if state == STANDS else STANDS
        if to == STANDS:
            used += OFFICE.business_time(since, now)
        clock = step(clock, state, to, now)
        state, since = to, now
        left = clock.left if state == STANDS else OFFICE.business_time(now, clock.expected_at)
        assert left == many * HOUR - used
        if clock.expected_at is not None:
            assert clock.warn_at <= clock.expected_at


@given(hours, hours, moments, moments)
def test_a_priority_taken_back_gives_the_promise_back(many, other, first, second):
    """Unless the other one was broken meanwhile, it is as if nothing had been."""
    at, later = sorted((first, second))
    clock = opened(Level(many * HOUR))
    moved = step(clock, "triaged", "triaged", at, level=Level(other * HOUR))
    back = step(moved, "triaged", "triaged", later, level=Level(many * HOUR))
    if moved.expected_at > later and clock.expected_at > at:
        assert back == clock
    else:
        assert back == moved


@given(hours, moments, moments)
def test_opened_again_it_is_never_late_at_once(many, first, second):
    closed_at, now = sorted((first, second))
    clock = opened(Level(many * HOUR))
    again = step(clock, "closed", "triaged", now, closed_at=closed_at)
    assert again.expected_at > now
    assert now <= again.warn_at <= again.expected_at
    left = OFFICE.business_time(now, again.expected_at)
    assert many * HOUR / 4 <= left <= many * HOUR
