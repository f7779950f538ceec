"""Hours as people write them in forms and sheets: `8:30-12, 1pm-5pm` is two spans of a day."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from regional311.errors import InvalidInput
from regional311.strict import Week

DAYS: Final = tuple(Week.model_fields)
"""mon to sun, and holiday."""

WHOLE_DAY: Final = "00:00-24:00"
_TIME: Final = r"(\d{1,2})(?:[:.](\d{2}))?\s*(?:([ap])\.?m?\.?)?"
_SPAN: Final = re.compile(rf"\s*{_TIME}\s*(?:-|–|—|to)\s*{_TIME}\s*", re.IGNORECASE)
_NOON: Final = {"noon": "12:00", "midnight": "24:00"}
_CLOSED: Final = frozenset({"closed", "-", "–"})
_ALWAYS: Final = frozenset({"24 hours", "24h", "always", "all day"})


def read_day(text: str) -> list[str]:
    """Read the hours of one day, parted by commas; nothing and *closed* are a closed day.

    Times are of 24 hours unless they say am or pm: `9-5` is refused, since it ends before it
    begins. Raises `InvalidInput` with what is wrong.

    >>> read_day("8:30-12, 1pm-5pm")
    ['08:30-12:00', '13:00-17:00']
    """
    plain = text.strip().lower()
    if not plain or plain in _CLOSED:
        return []
    if plain in _ALWAYS:
        return [WHOLE_DAY]
    return [_span(part) for part in re.split(r"[,;]| and ", plain)]


def _span(part: str) -> str:
    said = part
    for word, time in _NOON.items():
        said = said.replace(word, time)
    found = _SPAN.fullmatch(said)
    if found is None:
        raise InvalidInput(f"{part.strip()!r} is not a span of hours, such as 8:00-17:00")
    opens, closes = _minutes(part, *found.groups()[:3]), _minutes(part, *found.groups()[3:])
    if closes <= opens:
        raise InvalidInput(
            f"{part.strip()!r} ends before it begins; write 5pm or 17:00, and a night as two spans"
        )
    return f"{_clock(opens)}-{_clock(closes)}"


def _minutes(part: str, hours: str, minutes: str | None, half: str | None) -> int:
    hour, minute = int(hours), int(minutes or 0)
    if half is not None:
        if not 1 <= hour <= 12:
            raise InvalidInput(f"{part.strip()!r} has no such time of day")
        hour = hour % 12 + (12 if half == "p" else 0)
    if minute > 59 or hour * 60 + minute > 24 * 60:
        raise InvalidInput(f"{part.strip()!r} has no such time of day")
    return hour * 60 + minute


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def say_day(spans: Iterable[str]) -> str:
    """Write the hours of a day as they are read."""
    return ", ".join(spans)


def read_week(text: str) -> dict[str, list[str]]:
    """Read a week in one text: `mon-fri 8:00-17:00; sat 9-12; holiday closed`.

    Days that are not named are closed. Raises `InvalidInput` with what is wrong.

    >>> read_week("mon-tue 8-12; sat 9:00-10:00")
    {'mon': ['08:00-12:00'], 'tue': ['08:00-12:00'], 'sat': ['09:00-10:00']}
    """
    week: dict[str, list[str]] = {}
    for part in filter(None, (each.strip() for each in text.split(";"))):
        days, _blank, hours = part.partition(" ")
        for day in _days(days.lower()):
            if day in week:
                raise InvalidInput(f"{day} is there twice")
            week[day] = read_day(hours)
    return {day: week[day] for day in DAYS if week.get(day)}


def _days(text: str) -> list[str]:
    found: list[str] = []
    for part in text.split(","):
        first, _dash, last = part.partition("-")
        last = last or first
        if first not in DAYS or last not in DAYS or DAYS.index(last) < DAYS.index(first):
            raise InvalidInput(f"{part!r} are no days; write {', '.join(DAYS)}, or mon-fri")
        found.extend(DAYS[DAYS.index(first) : DAYS.index(last) + 1])
    return found


def say_week(week: Mapping[str, Any] | None) -> str:
    """Write a week as it is read, days with the same hours together.

    >>> say_week({"mon": ["08:00-12:00"], "tue": ["08:00-12:00"], "sat": ["09:00-10:00"]})
    'mon-tue 08:00-12:00; sat 09:00-10:00'
    """
    said = [(day, say_day((week or {}).get(day, ()))) for day in DAYS]
    parts: list[str] = []
    first = 0
    while first < len(said):
        last = first
        while last + 1 < len(said) and said[last + 1][1] == said[first][1]:
            last += 1
        if said[first][1]:
            days = said[first][0] if first == last else f"{said[first][0]}-{said[last][0]}"
            parts.append(f"{days} {said[first][1]}")
        first = last + 1
    return "; ".join(parts)
