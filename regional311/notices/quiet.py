"""Within which hours messages to people leave. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

_HOUR: Final = r"(?:[01]\d|2[0-3]):[0-5]\d"
_WRITTEN: Final = re.compile(rf"{_HOUR}-{_HOUR}", re.ASCII)

DIGEST_AT: Final = time(7)
"""When the letter of the day leaves, on the partner's clock."""


@dataclass(frozen=True, slots=True)
class Hours:
    """From when to when, within a day."""

    opens: time
    closes: time


TEXTS: Final = Hours(time(8), time(21))
"""Hours for texts, where the partner says nothing: those of the federal rule (47 CFR 64.1200)."""


def hours_of(settings: Mapping[str, Any], channel: str) -> Hours | None:
    """Give the hours that a partner set for a channel (email, text); None: at any time.

    >>> hours_of({}, "text") == TEXTS, hours_of({}, "email")
    (True, None)
    >>> hours_of({"notices": {"texts": "09:00-20:30"}}, "text").closes
    datetime.time(20, 30)
    """
    said = (settings.get("notices") or {}).get({"email": "mail", "text": "texts"}[channel])
    if said is None:
        return TEXTS if channel == "text" else None
    opens, _dash, closes = said.partition("-")
    return Hours(time.fromisoformat(opens), time.fromisoformat(closes))


def check(said: str) -> str | None:
    """Say what is wrong with hours as they are written; None when nothing is.

    >>> check("08:00-21:00"), check("22:00-07:00")
    (None, 'The end comes after the beginning, on the same day.')
    >>> check("8-21")
    'Write hours like 08:00-21:00.'
    """
    if _WRITTEN.fullmatch(said) is None:
        return "Write hours like 08:00-21:00."
    opens, _dash, closes = said.partition("-")
    return None if opens < closes else "The end comes after the beginning, on the same day."


def leaves_at(now: datetime, hours: Hours | None, zone: ZoneInfo) -> datetime:
    """Give when something may leave that is to leave now: now, or when the hours begin next.

    >>> from datetime import UTC
    >>> zone = ZoneInfo("America/Los_Angeles")
    >>> late = datetime(2026, 10, 6, 5, 30, tzinfo=UTC)
    >>> leaves_at(late, TEXTS, zone).astimezone(zone).isoformat()
    '2026-10-06T08:00:00-07:00'
    """
    if hours is None:
        return now
    local = now.astimezone(zone)
    if hours.opens <= local.time() < hours.closes:
        return now
    days = 0 if local.time() < hours.opens else 1
    return _at(local, days, hours.opens, zone)


def next_digest(now: datetime, zone: ZoneInfo) -> datetime:
    """Give when the next letter of the day leaves."""
    local = now.astimezone(zone)
    return _at(local, 0 if local.time() < DIGEST_AT else 1, DIGEST_AT, zone)


def _at(local: datetime, days: int, at: time, zone: ZoneInfo) -> datetime:
    return datetime.combine(local.date() + timedelta(days=days), at, tzinfo=zone)
