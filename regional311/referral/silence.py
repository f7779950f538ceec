"""What is done about a referral of which nobody has said anything: remind, escalate, give up.

The steps come in this order, each once for a silence; a word from the other side ends the silence,
and the steps begin anew with the next. While a referral is on hold nothing is due.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final

from regional311.calendars import BusinessCalendar
from regional311.referral.lifecycle import OPEN
from regional311.referral.loop import Loop, working_days_after

REMINDED: Final = "reminded"
ESCALATED: Final = "escalated"
EXPIRED: Final = "expired"
STEPS: Final = (REMINDED, ESCALATED, EXPIRED)


@dataclass(frozen=True, slots=True)
class Silence:
    """A referral as the passing of time sees it.

    `since` is the day of the last word, `answer_on` the day by which it should be answered or,
    since it was accepted, done; `done` are the steps of this silence, each with its day.
    """

    state: str
    urgency: str
    since: date
    answer_on: date | None = None
    done: dict[str, date] = field(default_factory=dict)

    @property
    def counts(self) -> bool:
        """Whether somebody is waited for at all."""
        return self.state in OPEN and self.state != "on_hold"


def due_on(silence: Silence, loop: Loop, calendar: BusinessCalendar) -> date:
    """The day on which a word is due; without one, after the days of its urgency."""
    if silence.answer_on is not None:
        return max(silence.answer_on, silence.since)
    return working_days_after(calendar, silence.since, loop.days(silence.urgency))


def planned(
    silence: Silence, loop: Loop, calendar: BusinessCalendar
) -> tuple[tuple[str, date], ...]:
    """Give the steps that are still to come, with the first day of each; nothing when none counts.

    A step that was late moves those after it: nobody is escalated on the day of their first
    reminder, and nothing fails on the day that it was escalated.
    """
    if not silence.counts:
        return ()
    due = due_on(silence, loop, calendar)
    remind = _before(calendar, due, loop.remind_days)
    last = silence.done.get(REMINDED)
    escalate = working_days_after(calendar, due, loop.escalate_days)
    if last is not None:
        escalate = max(escalate, working_days_after(calendar, last, 1))
    told = silence.done.get(ESCALATED)
    expire = working_days_after(calendar, told or escalate, loop.expire_days)
    days = {REMINDED: max(remind, silence.since), ESCALATED: escalate, EXPIRED: expire}
    return tuple((step, days[step]) for step in STEPS if step not in silence.done)


def next_step(silence: Silence, today: date, loop: Loop, calendar: BusinessCalendar) -> str | None:
    """The step that has come: the first that was not taken, once its day is there.

    A worker that was away takes one step, and the next on another day.
    """
    coming = planned(silence, loop, calendar)
    if coming and coming[0][1] <= today:
        return coming[0][0]
    return None


def _before(calendar: BusinessCalendar, day: date, days: int) -> date:
    """The day from which on it is at most so many working days to another."""
    found = day
    for _ in range(days):
        previous = found - timedelta(days=1)
        while not calendar.open_spans(previous) and (found - previous).days < 30:
            previous -= timedelta(days=1)
        found = previous
    return found
