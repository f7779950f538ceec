"""The calendars of a partner: its own hours, and those of whatever it opens, with its holidays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, Final, Protocol

from regional311.calendars import DAYS, BadHours, BusinessCalendar

_ALL_DAY: Final = "00:00-24:00"


class Zoned(Protocol):
    """Whatever has a partner's zone and settings, such as its row."""

    @property
    def zone(self) -> str: ...
    @property
    def settings(self) -> Mapping[str, Any]: ...


def _holidays(row: Zoned) -> dict[date, str]:
    found = row.settings.get("holiday") or row.settings.get("holidays") or ()
    return {
        date.fromisoformat(str(each.get("day") or each["date"])): str(each.get("name") or "")
        for each in found
    }


def _spans(spans: Iterable[Any]) -> list[str]:
    return [each if isinstance(each, str) else f"{each[0]}-{each[1]}" for each in spans]


def calendar_of(
    row: Zoned,
    hours: Mapping[str, Any],
    special_days: Iterable[Mapping[str, Any]] = (),
) -> BusinessCalendar:
    """Give the calendar of a week's hours at a partner: its zone, holidays and special days."""
    named = dict(hours)
    if hours.get("always"):
        named = {day: [_ALL_DAY] for day in (*DAYS, "holiday")}
    week = {day: _spans(named[day] or ()) for day in (*DAYS, "holiday") if day in named}
    holidays = _holidays(row)
    try:
        special = {
            date.fromisoformat(each["day"]): tuple(each.get("hours") or ()) for each in special_days
        }
        return BusinessCalendar.from_week(row.zone, week, holidays, special)
    except BadHours:
        return BusinessCalendar.from_week(row.zone, {}, holidays)


def business_hours(row: Zoned) -> BusinessCalendar:
    """Give the calendar of a partner's usual hours, in which its business days are counted."""
    hours = row.settings.get("hours") or {day: ["08:00-17:00"] for day in DAYS[:5]}
    return calendar_of(row, hours)
