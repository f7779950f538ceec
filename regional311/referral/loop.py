"""How long a partner lets its loops stay open: when it asks, reminds, escalates and gives up.

Days are working days of the partner whose rule it is: days on which it is open at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Final

from regional311.calendars import BusinessCalendar

URGENCIES: Final = ("urgent", "high", "normal", "low")
USUAL_DAYS: Final[Mapping[str, int]] = {"urgent": 2, "high": 5, "normal": 14, "low": 30}
"""Working days until a follow-up, where a partner says nothing."""

LONGEST_SEARCH: Final = 3 * 366


@dataclass(frozen=True, slots=True)
class Loop:
    """A partner's own days: whole working days, and counts.

    `follow_up_days` by urgency; at most `attempts` tries, `retry_days` apart. A referral that was
    sent is reminded of `remind_days` before its answer is due, told to the receiver's supervisor
    `escalate_days` after, and fails `expire_days` after the last of both. What became of a need is
    missed after `outcome_days` (calendar days).
    """

    follow_up_days: Mapping[str, int] = field(default_factory=lambda: dict(USUAL_DAYS))
    attempts: int = 3
    retry_days: int = 2
    remind_days: int = 1
    escalate_days: int = 2
    expire_days: int = 10
    outcome_days: int = 30

    def days(self, urgency: str) -> int:
        """Working days until somebody asks what became of a need of this urgency."""
        return self.follow_up_days.get(urgency, USUAL_DAYS["normal"])


NUMBERS: Final = (
    "attempts",
    "retry_days",
    "remind_days",
    "escalate_days",
    "expire_days",
    "outcome_days",
)


def loop_of(settings: Mapping[str, Any]) -> Loop:
    """Read a partner's days from its settings; what it leaves out is as usual.

    >>> loop_of({"loop": {"attempts": 5}}).attempts, loop_of({}).days("urgent")
    (5, 2)
    """
    said = settings.get("loop") or {}
    by_urgency = {
        each["priority"]: int(each.get("follow_up_days") or USUAL_DAYS["normal"])
        for each in settings.get("service_levels") or ()
    }
    given = {name: int(said[name]) for name in NUMBERS if said.get(name) is not None}
    return Loop(follow_up_days={**USUAL_DAYS, **by_urgency}, **given)


def working_days_after(calendar: BusinessCalendar, day: date, days: int) -> date:
    """Give the day that is so many working days after another; a calendar that never opens counts
    every day.

    >>> office = BusinessCalendar.from_week("UTC", {"mon": ["08:00-17:00"], "tue": ["08:00-17:00"]})
    >>> working_days_after(office, date(2026, 11, 2), 2)
    datetime.date(2026, 11, 9)
    """
    found, left = day, days
    for _ in range(LONGEST_SEARCH):
        if left <= 0:
            return found
        found += timedelta(days=1)
        if calendar.open_spans(found):
            left -= 1
    return day + timedelta(days=days)


def working_days_between(calendar: BusinessCalendar, first: date, last: date) -> int:
    """Count the working days after `first` up to and with `last`; 0 when they come in reverse."""
    return sum(
        1
        for offset in range(1, (last - first).days + 1)
        if calendar.open_spans(first + timedelta(days=offset))
    )
