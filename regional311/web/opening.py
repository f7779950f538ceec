"""When somebody is there: a week in lines, holidays that come, and whether it is open now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any, Final
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_time, get_day_names

from regional311.calendars import (
    DAYS,
    MINUTES_A_DAY,
    BusinessCalendar,
    NeverOpens,
    Span,
    instant,
)
from regional311.web.i18n import _
from regional311.web.telling import Telling

SOON: Final = timedelta(days=45)
"""Holidays are told this long before."""
_ALWAYS: Final = timedelta(days=8)


@dataclass(frozen=True)
class Opening:
    """Hours as a page shows them.

    `now` says in a few words whether it is open at this moment, and until or from when;
    `days` are lines of days with the same hours; `holidays` the days that differ, soon.
    """

    is_open: bool
    now: Any
    days: Sequence[tuple[Any, Any]]
    holidays: Sequence[Holiday]


@dataclass(frozen=True, order=True)
class Holiday:
    """A day that comes soon on which the hours are not those of the week."""

    on: date
    name: str
    day: str
    spans: Any


def opening(tell: Telling, calendar: BusinessCalendar) -> Opening:
    """Say when a calendar is open, as of now, in the words of the page's language."""
    at = tell.request.now
    return Opening(
        is_open=calendar.is_open(at),
        now=_now(tell, calendar, at),
        days=list(_week(tell, calendar)),
        holidays=list(_holidays(tell, calendar, calendar.local_date(at))),
    )


def _week(tell: Telling, calendar: BusinessCalendar) -> Iterator[tuple[Any, Any]]:
    names = get_day_names("wide", locale=tell.locale)
    week = list(enumerate(calendar.weekly))
    for spans, group in groupby(week, key=lambda each: each[1]):
        days = [names[day] for day, _spans in group]
        yield _days(days), _open(tell, spans)


def _days(names: Sequence[str]) -> Any:
    if len(names) == len(DAYS):
        return _("Every day")
    if len(names) == 1:
        return names[0]
    if len(names) == 2:
        return _("${first} and ${last}", mapping={"first": names[0], "last": names[1]})
    return _("${first} to ${last}", mapping={"first": names[0], "last": names[-1]})


def _open(tell: Telling, spans: Sequence[Span]) -> Any:
    if not spans:
        return _("Closed all day")
    if [(each.opens, each.closes) for each in spans] == [(0, MINUTES_A_DAY)]:
        return _("Open around the clock")
    return ", ".join(tell.span(each) for each in spans)


def _holidays(tell: Telling, calendar: BusinessCalendar, today: date) -> Iterator[Holiday]:
    for day in sorted({*calendar.holidays, *calendar.special}):
        spans = calendar.special.get(day, calendar.on_holidays)
        if today <= day < today + SOON and calendar.weekly[day.weekday()] != spans:
            name = calendar.holidays.get(day, "")
            yield Holiday(day, name, _day(tell, day), _open(tell, spans))


def told_once(
    openings: Iterable[tuple[str, Opening]],
) -> list[tuple[Holiday, list[tuple[str | None, Any]]]]:
    """Put the holidays of several named weeks together, so that a page tells each day once.

    A day comes with what is so on it: one entry without a name when it is the same for all of
    them, else an entry for each that differs from its week, by its name.
    """
    named = list(openings)
    days: dict[tuple[date, str], list[tuple[str, Holiday]]] = {}
    for name, each in named:
        for holiday in each.holidays:
            days.setdefault((holiday.on, holiday.name), []).append((name, holiday))
    told = []
    for _key, found in sorted(days.items()):
        first = found[0][1]
        alike = len(found) == len(named) and all(one.spans == first.spans for _n, one in found)
        spans: list[tuple[str | None, Any]] = [
            (None if alike else name, one.spans) for name, one in found
        ]
        told.append((first, spans[:1] if alike else spans))
    return told


def _day(tell: Telling, day: date) -> str:
    return format_date(day, "full", locale=tell.locale)


def _now(tell: Telling, calendar: BusinessCalendar, at: datetime) -> Any:
    zone = ZoneInfo(calendar.zone)
    if calendar.is_open(at):
        closes = _closing(calendar, at)
        if closes - at >= _ALWAYS:
            return _("Open now, around the clock")
        time = _time(tell, closes, zone)
        if calendar.local_date(closes) == calendar.local_date(at):
            return _("Open now, until ${time}", mapping={"time": time})
        return _(
            "Open now, until ${time} on ${day}",
            mapping={"time": time, "day": _day(tell, calendar.local_date(closes))},
        )
    try:
        opens = calendar.next_opening(at)
    except NeverOpens:
        return _("Not open at present")
    days = (calendar.local_date(opens) - calendar.local_date(at)).days
    values = {"time": _time(tell, opens, zone), "day": _day(tell, calendar.local_date(opens))}
    if days == 0:
        return _("Closed now, opens today at ${time}", mapping=values)
    if days == 1:
        return _("Closed now, opens tomorrow at ${time}", mapping=values)
    return _("Closed now, opens at ${time} on ${day}", mapping=values)


def _closing(calendar: BusinessCalendar, at: datetime) -> datetime:
    """The end of the open time that a moment lies in, over midnight too, looked for a week long."""
    day = calendar.local_date(at)
    last = next(end for start, end in calendar.open_spans(day) if start <= at < end)
    while last - at < _ALWAYS and last == instant(calendar.zone, day + timedelta(days=1)):
        day += timedelta(days=1)
        following = calendar.open_spans(day)
        if not following or following[0][0] != last:
            break
        last = following[0][1]
    return last


def _time(tell: Telling, at: datetime, zone: ZoneInfo) -> str:
    return format_time(at, "short", tzinfo=zone, locale=tell.locale)
