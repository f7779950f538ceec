"""Who answers a line, in words: for the week of a line, the desk and pages for everybody."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_time, get_day_names

from regional311.calendars import instant
from regional311.referral.snapshot import Line
from regional311.tenancy.answering import (
    HERE,
    NOBODY,
    PARTNER,
    VOICEMAIL,
    Answer,
    Spell,
    day_of,
    spells,
)
from regional311.web.i18n import _, translated
from regional311.web.telling import Telling

GAP_DAYS = 366
"""How far ahead days that differ and gaps are looked for: a year."""


def said_answer(tell: Telling, answer: Answer) -> Any:
    """Say who answers, in a few words."""
    if answer.kind == HERE:
        return _("Answered here")
    if answer.kind == VOICEMAIL:
        return _("Voicemail")
    if answer.kind == NOBODY:
        return _("Nobody answers")
    line = tell.published.lines.get(answer.line)
    if line is None or line.name == tell.partner(answer.partner):
        return _("${partner} answers", mapping={"partner": tell.partner(answer.partner)})
    return _(
        "${partner} answers: ${line}",
        mapping={"partner": tell.partner(answer.partner), "line": line.name},
    )


@dataclass(frozen=True)
class Cell:
    """An hour of the picture: how it is drawn, and what it says."""

    kind: str
    letter: str


@dataclass(frozen=True)
class WeekDay:
    """A day of a line's week: its name, its spells in words, and its 24 hours."""

    name: str
    spells: Sequence[tuple[str, Any, str]]
    cells: Sequence[Cell]


LETTERS = {HERE: "", PARTNER: "→", VOICEMAIL: "◌", NOBODY: "×"}


def week_of(tell: Telling, line: Line, monday: date) -> list[WeekDay]:
    """The seven days of a line from a day on, as they will be answered."""
    published = tell.published
    zone = line.calendar.zone
    found = []
    for day in (monday + timedelta(days=number) for number in range(7)):
        cut, hours = day_of(published.answered, line.ref, zone, day, published.surges)
        found.append(
            WeekDay(
                format_date(day, "EEEE, MMM d", locale=tell.locale),
                [
                    (_span(tell, each, zone), said_answer(tell, each.answer), each.answer.kind)
                    for each in cut
                ],
                [_cell(each.answers) for each in hours],
            )
        )
    return found


def _cell(answers: Sequence[Answer]) -> Cell:
    kinds = list(dict.fromkeys(each.kind for each in answers))
    kind = kinds[0] if len(kinds) == 1 else "mixed"
    return Cell(kind, LETTERS.get(kind, "/"))


def _span(tell: Telling, spell: Spell, zone: str) -> str:
    tz = ZoneInfo(zone)
    day = spell.starts.astimezone(tz).date()
    if (spell.starts, spell.ends) == (instant(zone, day), instant(zone, day, 24 * 60)):
        return translated(tell.request, _("All day"))
    starts, ends = (
        format_time(at, "short", tzinfo=tz, locale=tell.locale) for at in (spell.starts, spell.ends)
    )
    return f"{starts} – {ends}"


@dataclass(frozen=True)
class DifferentDay:
    """A day of the next year that is not like its weekday: its name and who answers."""

    day: str
    name: str
    spells: Sequence[tuple[str, Any]]
    gap: bool


def different_days(tell: Telling, line: Line, today: date) -> list[DifferentDay]:
    """The holidays and special days of a line in the year that comes."""
    published = tell.published
    zone = line.calendar.zone
    row = published.tenants[line.tenant]
    named = {**line.calendar.holidays, **dict(line.special_names)}
    days = sorted({*line.calendar.holidays, *line.calendar.special})
    shown = []
    for day in days:
        if not today <= day < today + timedelta(days=GAP_DAYS):
            continue
        cut, _hours = day_of(published.answered, line.ref, row.zone, day, published.surges)
        shown.append(
            DifferentDay(
                format_date(day, "full", locale=tell.locale),
                named.get(day, ""),
                [(_span(tell, each, zone), said_answer(tell, each.answer)) for each in cut],
                any(each.answer.kind == NOBODY for each in cut),
            )
        )
    return shown


def gap_sentences(tell: Telling, line: Line, monday: date) -> list[Any]:
    """Name the times of a usual week in which nobody answers, in plain words."""
    published = tell.published
    zone = line.calendar.zone
    tz = ZoneInfo(zone)
    start = datetime.combine(monday, datetime.min.time(), tz)
    end = datetime.combine(monday + timedelta(days=7), datetime.min.time(), tz)
    names = get_day_names("wide", locale=tell.locale)
    cut = spells(published.answered, line.ref, start, end, published.surges)
    gaps = [each for each in cut if each.answer.kind == NOBODY]
    if len(gaps) == 1 and len(cut) == 1:
        return [_("Nobody ever answers this line.")]
    said: dict[tuple[str, str], list[str]] = {}
    whole = []
    for each in gaps:
        opens, closes = each.starts.astimezone(tz), each.ends.astimezone(tz)
        times = (
            format_time(opens, "short", tzinfo=tz, locale=tell.locale),
            format_time(closes, "short", tzinfo=tz, locale=tell.locale),
        )
        if closes - opens < timedelta(hours=24):
            said.setdefault(times, []).append(names[opens.weekday()])
        else:
            whole.append(
                _(
                    "Nobody answers from ${day} ${opens} to ${until} ${closes}.",
                    mapping={
                        "day": names[opens.weekday()],
                        "opens": times[0],
                        "until": names[closes.weekday()],
                        "closes": times[1],
                    },
                )
            )
    return [
        *(
            _(
                "Nobody answers from ${opens} to ${closes}: ${days}.",
                mapping={"opens": times[0], "closes": times[1], "days": ", ".join(days)},
            )
            for times, days in said.items()
        ),
        *whole,
    ]


def lines_answered_by(tell: Telling, slug: str, surges: Iterable[Any] = ()) -> list[Line]:
    """The lines of others that a partner may answer: by a fallback, or in an emergency."""
    named = []
    for line in tell.published.lines.values():
        if line.tenant == slug or line.ended:
            continue
        targets = [each.answer for each in line.answered.steps]
        targets += [each.answer for each in surges if each.line == line.ref]
        if any(target.partition("/")[0] == slug for target in targets):
            named.append(line)
    return named
