"""Who answers a line at a moment: its own people, another partner, a voicemail, or nobody.

Pure. Decisions, public pages, the desk and charges all ask :func:`who_answers`. A line's fallbacks
are looked at in order while it is closed: the first row that holds at that moment and whose target
answers by its own hours counts. Nothing is followed further than one step, so that two closed
partners never send people round in a circle.
"""

from __future__ import annotations

import itertools
from bisect import bisect
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints

from regional311.calendars import BadHours, BusinessCalendar, instant
from regional311.strict import Hours, Model, Words

HERE: Final = "here"
PARTNER: Final = "partner"
VOICEMAIL: Final = "voicemail"
NOBODY: Final = "nobody"
SAID: Final = (VOICEMAIL, NOBODY)
"""Targets of a fallback that are no partner."""

DayName = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun", "holiday"]
DAY_NAMES: Final[tuple[DayName, ...]] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun", "holiday")
_LIVE: Final = ("phone", "text", "chat")
"""Channels that can be put through to a line of another channel: somebody talks at once."""

Target = Annotated[
    str,
    StringConstraints(
        pattern=r"^[a-z0-9]+(-[a-z0-9]+)*(/[a-z0-9]+(-[a-z0-9]+)*)?$", min_length=1, max_length=121
    ),
]


class Fallback(Model):
    """Who answers a closed line in a span of time; the first row that holds counts."""

    answer: Target = Field(
        description="Partner, or one of its lines as `partner/line`; `voicemail`; `nobody`."
    )
    days: tuple[DayName, ...] = Field(
        default=(),
        description="Days on which the row holds, `mon` to `sun` and `holiday`; left out: all.",
    )
    hours: tuple[Hours, ...] = Field(
        default=(), description="Spans of time, a night as two; left out: all day."
    )


class SpecialDay(Model):
    """A day with hours of its own, whatever its weekday and whether it is a holiday."""

    day: date = Field(description="The day, once.")
    hours: tuple[Hours, ...] = Field(default=(), description="Spans of hours; left out: closed.")
    name: Words | None = Field(default=None, description="Why, in words for the public.")


@dataclass(frozen=True, slots=True)
class Step:
    """A row of a line's fallbacks: its target and when it holds; ``None`` is always."""

    answer: str
    holds: BusinessCalendar | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class AnsweredLine:
    """What of a line decides who answers it. ``ref`` is ``partner/line``."""

    ref: str
    channel: str
    calendar: BusinessCalendar = field(repr=False, compare=False)
    steps: tuple[Step, ...] = ()

    @property
    def partner(self) -> str:
        """The partner whose line it is."""
        return self.ref.partition("/")[0]


@dataclass(frozen=True, slots=True)
class Surge:
    """A target that comes before every fallback of a line in a span of time, as in a storm."""

    line: str
    answer: str
    starts_at: datetime
    ends_at: datetime | None = None

    def holds(self, at: datetime) -> bool:
        """Whether it is on at a moment; its end is no part of it."""
        return self.starts_at <= at and (self.ends_at is None or at < self.ends_at)


@dataclass(frozen=True, slots=True)
class Answer:
    """Who answers. ``partner`` and ``line`` are empty when nobody does.

    ``surge`` says that an emergency's table named them. ``step`` is the fallback's place, from 1.
    """

    kind: str
    partner: str = ""
    line: str = ""
    step: int = 0
    surge: bool = False

    @property
    def after_hours(self) -> bool:
        """Whether work done now on this line is outside its hours, as rates see it."""
        return self.kind != HERE


Lines = Mapping[str, AnsweredLine]


def fallback_faults(
    row: Fallback, *, own: str, partners: Collection[str], lines: Collection[str]
) -> list[str]:
    """Say what is wrong with a row of the line ``own`` (``partner/line``), in words."""
    faults = []
    partner, slash, _line = row.answer.partition("/")
    if row.answer in SAID:
        pass
    elif row.answer == own or (not slash and partner == own.partition("/")[0]):
        faults.append("a closed line does not answer for itself")
    elif partner not in partners:
        faults.append(f"there is no partner {partner}")
    elif slash and row.answer not in lines:
        faults.append(f"there is no line {row.answer}")
    try:
        BusinessCalendar.from_week("UTC", {"mon": row.hours})
    except BadHours as error:
        faults.append(error.message)
    return faults


def step(
    answer: str, days: Iterable[str], hours: Iterable[str], calendar: BusinessCalendar
) -> Step:
    """Make a row of a fallback table, in the zone and with the holidays of its line's calendar.

    :raises BadHours: for hours that overlap or cannot be read.
    """
    named, spans = tuple(days) or DAY_NAMES, tuple(hours) or ("00:00-24:00",)
    if named == DAY_NAMES and spans == ("00:00-24:00",):
        return Step(answer)
    week = dict.fromkeys(named, spans)
    return Step(answer, BusinessCalendar.from_week(calendar.zone, week, calendar.holidays))


def who_answers(lines: Lines, ref: str, at: datetime, surges: Iterable[Surge] = ()) -> Answer:
    """Say who answers a line at a moment; total: every moment has an answer.

    A line that is unknown or has ended is answered by nobody.
    """
    line = lines.get(ref)
    if line is None:
        return Answer(NOBODY)
    if line.calendar.is_open(at):
        return Answer(HERE, line.partner, ref)
    for each in surges:
        if each.line == ref and each.holds(at):
            found = _reached(lines, line, each.answer, at)
            if found is not None:
                return Answer(found.kind, found.partner, found.line, surge=True)
    for place, row in enumerate(line.steps, 1):
        if row.holds is not None and not row.holds.is_open(at):
            continue
        if row.answer == NOBODY:
            return Answer(NOBODY, step=place)
        found = _reached(lines, line, row.answer, at)
        if found is not None:
            return Answer(found.kind, found.partner, found.line, place)
    return Answer(NOBODY)


def _reached(lines: Lines, line: AnsweredLine, target: str, at: datetime) -> Answer | None:
    """Who is there for a target at a moment; None when that line is closed, too."""
    if target == VOICEMAIL:
        return Answer(VOICEMAIL, line.partner, line.ref)
    if "/" in target:
        other = lines.get(target)
        if other is None or not other.calendar.is_open(at):
            return None
        return Answer(PARTNER, other.partner, other.ref)
    for other in lines_of(lines, target, line.channel):
        if other.calendar.is_open(at):
            return Answer(PARTNER, target, other.ref)
    return None


def lines_of(lines: Lines, partner: str, channel: str) -> list[AnsweredLine]:
    """A partner's lines that can answer for a channel: the same one first, then its telephones."""
    mine = [each for each in lines.values() if each.partner == partner]
    same = [each for each in mine if each.channel == channel]
    talks = channel in _LIVE and channel != "phone"
    return same + ([each for each in mine if each.channel == "phone"] if talks else [])


@dataclass(frozen=True, slots=True)
class Spell:
    """A time without a change: from ``starts``, up to and not including ``ends``."""

    starts: datetime
    ends: datetime
    answer: Answer


def spells(
    lines: Lines, ref: str, start: datetime, end: datetime, surges: Iterable[Surge] = ()
) -> list[Spell]:
    """Cut a time at every change of who answers; the spells join up and cover all of it."""
    switched = tuple(surges)
    marks = [start, *(each for each in _changes(lines, ref, start, end, switched)), end]
    found: list[Spell] = []
    for starts, ends in itertools.pairwise(marks):
        if starts >= ends:
            continue
        answer = who_answers(lines, ref, starts, switched)
        if found and found[-1].answer == answer:
            found[-1] = Spell(found[-1].starts, ends, answer)
        else:
            found.append(Spell(starts, ends, answer))
    return found


def _changes(
    lines: Lines, ref: str, start: datetime, end: datetime, surges: tuple[Surge, ...]
) -> list[datetime]:
    line = lines.get(ref)
    if line is None:
        return []
    calendars = {id(line.calendar): line.calendar}
    targets = [each.answer for each in line.steps] + [
        each.answer for each in surges if each.line == ref
    ]
    for row in line.steps:
        if row.holds is not None:
            calendars[id(row.holds)] = row.holds
    for target in targets:
        reached = [lines[target]] if target in lines else lines_of(lines, target, line.channel)
        for other in reached:
            calendars[id(other.calendar)] = other.calendar
    marks = {
        mark
        for calendar in calendars.values()
        for mark in _marks(calendar, start, end)
        if start < mark < end
    }
    marks |= {
        mark
        for each in surges
        if each.line == ref
        for mark in (each.starts_at, each.ends_at)
        if mark is not None and start < mark < end
    }
    return sorted(marks)


def _marks(calendar: BusinessCalendar, start: datetime, end: datetime) -> Iterator[datetime]:
    day, last = calendar.local_date(start), calendar.local_date(end)
    while day <= last:
        for opens, closes in calendar.open_spans(day):
            yield opens
            yield closes
        day += timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Hour:
    """An hour of a local day: who answers it, in order; more than one when it changes within."""

    hour: int
    answers: tuple[Answer, ...]


def day_of(
    lines: Lines, ref: str, zone: str, day: date, surges: Iterable[Surge] = ()
) -> tuple[list[Spell], list[Hour]]:
    """One local day of a line: its spells, and hour by hour as a picture shows it.

    A day on which the clocks change still has 24 rows: the hour that is skipped is answered as the
    moment of the change is, the hour that comes twice shows both.
    """
    start, end = instant(zone, day), instant(zone, day, 24 * 60)
    found = spells(lines, ref, start, end, surges)
    begins = [each.starts for each in found]
    hours = []
    for hour in range(24):
        opens = instant(zone, day, hour * 60)
        closes = instant(zone, day, (hour + 1) * 60)
        first = max(bisect(begins, opens) - 1, 0)
        last = max(bisect(begins, closes - timedelta(seconds=1)) - 1, first)
        answers: dict[Answer, None] = {}
        for each in found[first : last + 1]:
            answers[each.answer] = None
        hours.append(Hour(hour, tuple(answers)))
    return found, hours


def gaps(
    lines: Lines, ref: str, start: datetime, end: datetime, surges: Iterable[Surge] = ()
) -> list[Spell]:
    """The times in which nobody answers."""
    return [each for each in spells(lines, ref, start, end, surges) if each.answer.kind == NOBODY]
