"""A service as schema.org data, for search engines and other programs that read pages.

What is put into the page is data in a script element of type ``application/ld+json``: a browser
runs nothing of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from markupsafe import Markup

from regional311.calendars import DAYS, MINUTES_A_DAY, BusinessCalendar, Span

_DAYS: Final = dict(
    zip(
        DAYS,
        ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
        strict=True,
    )
)


def opening_hours(calendar: BusinessCalendar) -> list[dict[str, Any]]:
    """Return the weekly hours, and those of each coming holiday, as OpeningHoursSpecification.

    Days with the same hours are named together. A day that is closed all day opens and closes at
    midnight, as schema.org wants it.
    """
    alike: dict[Span, list[str]] = {}
    for day, spans in zip(DAYS, calendar.weekly, strict=True):
        for span in spans:
            alike.setdefault(span, []).append(f"https://schema.org/{_DAYS[day]}")
    return [_specification(span, dayOfWeek=days) for span, days in alike.items()]


def special_hours(calendar: BusinessCalendar, days: Iterable[Any]) -> list[dict[str, Any]]:
    """Return the hours of single days, which stand above those of the week."""
    spans = calendar.on_holidays or (Span(0, MINUTES_A_DAY),)
    closed = not calendar.on_holidays
    return [
        {
            **_specification(span, validFrom=day.isoformat(), validThrough=day.isoformat()),
            **({"closes": "00:00"} if closed else {}),
        }
        for day in days
        for span in spans
    ]


def _specification(span: Span, **more: Any) -> dict[str, Any]:
    return {
        "@type": "OpeningHoursSpecification",
        **more,
        "opens": _clock(span.opens),
        "closes": "23:59" if span.closes == MINUTES_A_DAY else _clock(span.closes),
    }


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


def without_none(value: Any) -> Any:
    """Leave out what is not known: None, and empty texts, lists and objects."""
    if isinstance(value, Mapping):
        kept = {key: without_none(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in (None, "", [], {})}
    if isinstance(value, (list, tuple)):
        return [each for each in map(without_none, value) if each not in (None, "", [], {})]
    return value


def script(data: Mapping[str, Any]) -> Markup:
    """Return the data as the content of a script element: nothing in it can end the element."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 (made of JSON whose special characters are escaped)
