"""The clock of a request: by when it is promised, and when somebody has to look at it.

Time is counted in the owner's business hours, from the opening. It stands still while the request
waits for the person, and while it is closed. A promise that was broken stays broken until the
request is closed: no pause and no other priority makes up for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from regional311.calendars import BusinessCalendar, NeverOpens
from regional311.intake.lifecycle import CLOSED

STANDS: Final = "waiting_person"
"""The state in which time stands still; work of partners is the owner's to hurry."""

USUAL_WARNING: Final = 75
"""Percent of a level after which staff are warned, where a partner says nothing."""

AGAIN: Final = 4
"""Whoever opens a request again gets at least a quarter of its level."""

_HURRIED: Final = ("high", "urgent")
_NONE: Final = timedelta()


@dataclass(frozen=True, slots=True)
class Level:
    """A promise: so much business time, and after how many percent of it staff are warned."""

    time: timedelta
    warn_at_percent: int = USUAL_WARNING


@dataclass(frozen=True, slots=True)
class Levels:
    """A partner's promises by priority, for services that have none of their own."""

    by_priority: Mapping[str, Level]

    def warning(self, priority: str) -> int:
        """Percent of a level of this priority after which staff are warned."""
        found = self.by_priority.get(priority)
        return found.warn_at_percent if found else USUAL_WARNING

    def level(self, target_hours: int | None, priority: str) -> Level | None:
        """Give the level of a service's `target_hours`, or else of the priority.

        What is urgent or high gets the shorter of the two. None: nothing is promised.

        >>> levels = levels_of({"service_levels": [{"priority": "urgent", "hours": 4}]})
        >>> [levels.level(hours, "urgent").time.seconds // 3600 for hours in (2, 16, None)]
        [2, 4, 4]
        >>> levels.level(16, "normal").time.seconds // 3600, levels.level(None, "normal")
        (16, None)
        """
        mine = self.by_priority.get(priority)
        if not target_hours:
            return mine
        own = Level(timedelta(hours=target_hours), self.warning(priority))
        if mine is not None and priority in _HURRIED and mine.time < own.time:
            return mine
        return own


def levels_of(settings: Mapping[str, Any]) -> Levels:
    """Read a partner's levels from its settings."""
    return Levels(
        {
            each["priority"]: Level(
                timedelta(hours=int(each["hours"])),
                int(each.get("warn_at_percent") or USUAL_WARNING),
            )
            for each in settings.get("service_levels") or ()
            if each.get("hours")
        }
    )


@dataclass(frozen=True, slots=True)
class Clock:
    """What is kept of a request's clock.

    It runs while there is `expected_at`, and then `warn_at` is when staff are warned. It stands
    since `stands_since` with the business time `left`. `stood` is the business time since the
    opening that does not count. With neither of both nothing is promised.
    """

    opened_at: datetime
    expected_at: datetime | None = None
    warn_at: datetime | None = None
    stands_since: datetime | None = None
    left: timedelta = _NONE
    stood: timedelta = _NONE

    @property
    def promised(self) -> bool:
        """Whether there is a promise, running or not."""
        return self.expected_at is not None or self.stands_since is not None


def promise(
    calendar: BusinessCalendar, at: datetime, level: Level | None, *, stood: timedelta = _NONE
) -> tuple[datetime | None, datetime | None]:
    """Give by when something is promised that was opened at a moment, and when staff are warned.

    A partner that never opens promises nothing.
    """
    if level is None:
        return None, None
    return _run(calendar, at, level.time + stood, _reserve(level.time, level.warn_at_percent))


def concerns(clock: Clock, was: str, to: str, *, other_priority: bool) -> bool:
    """Whether a change of a request touches its clock at all."""
    if to in CLOSED:
        return clock.stands_since is not None
    if other_priority:
        return True
    return clock.promised and was != to and (STANDS in (was, to) or was in CLOSED)


def changed(
    clock: Clock,
    calendar: BusinessCalendar,
    *,
    was: str,
    to: str,
    now: datetime,
    percent: int,
    closed_at: datetime | None = None,
    level: Level | None = None,
) -> Clock:
    """Give the clock after a request went from one state to another, or stayed.

    `percent` is that of the level after which staff are warned; `closed_at` is when it was closed,
    for one that is opened again; `level` is the new one, when the priority is another.
    """
    if was in CLOSED and to not in CLOSED and closed_at is not None:
        clock = _again(clock, calendar, closed_at, now, percent)
    if level is not None and to not in CLOSED:
        clock = _at_level(clock, calendar, level, now)
    return _pause(clock, calendar, now) if to == STANDS else resume(clock, calendar, now, percent)


def resume(clock: Clock, calendar: BusinessCalendar, now: datetime, percent: int) -> Clock:
    """Let time go on: what was left runs from now."""
    if clock.stands_since is None:
        return clock
    level = _used(clock, calendar, clock.stands_since) + clock.left
    expected, warn = _run(calendar, now, clock.left, _reserve(level, percent))
    stood = clock.stood + calendar.business_time(clock.stands_since, now)
    return Clock(clock.opened_at, expected, warn, stood=stood)


def _pause(clock: Clock, calendar: BusinessCalendar, now: datetime) -> Clock:
    if clock.expected_at is None or clock.expected_at <= now:
        return clock
    left = calendar.business_time(now, clock.expected_at)
    return Clock(clock.opened_at, stands_since=now, left=left, stood=clock.stood)


def _again(
    clock: Clock, calendar: BusinessCalendar, closed_at: datetime, now: datetime, percent: int
) -> Clock:
    if clock.expected_at is None:
        return clock
    level = calendar.business_time(clock.opened_at, clock.expected_at) - clock.stood
    left = max(calendar.business_time(closed_at, clock.expected_at), level / AGAIN, _NONE)
    expected, warn = _run(calendar, now, left, _reserve(level, percent))
    stood = calendar.business_time(clock.opened_at, now) + left - level
    return Clock(clock.opened_at, expected, warn, stood=stood)


def _at_level(clock: Clock, calendar: BusinessCalendar, level: Level, now: datetime) -> Clock:
    if clock.expected_at is not None and clock.expected_at <= now:
        return clock
    if clock.stands_since is not None:
        left = level.time - _used(clock, calendar, clock.stands_since)
        if left > _NONE:
            return replace(clock, left=left)
    expected, warn = promise(calendar, clock.opened_at, level, stood=clock.stood)
    return Clock(clock.opened_at, expected, warn, stood=clock.stood)


def _used(clock: Clock, calendar: BusinessCalendar, now: datetime) -> timedelta:
    return calendar.business_time(clock.opened_at, now) - clock.stood


def _reserve(time: timedelta, percent: int) -> timedelta:
    return time * (100 - percent) / 100


def _run(
    calendar: BusinessCalendar, start: datetime, time: timedelta, reserve: timedelta
) -> tuple[datetime | None, datetime | None]:
    """The end of so much open time, and the moment at which only the reserve of it is left."""
    time = max(time, _NONE)
    try:
        warn = calendar.add_business_hours(start, max(time - reserve, _NONE))
        return calendar.add_business_hours(warn, min(time, max(reserve, _NONE))), warn
    except NeverOpens:
        return None, None
