"""When an entry is to be looked at again, and how old the last look is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, Literal

REVIEW_DAYS: Final = 365
"""Days between two looks where neither the entry nor its partner says otherwise."""
SOON_DAYS: Final = 30
"""An entry whose day comes within so many days is due soon."""

Standing = Literal["overdue", "soon", "later", "undated"]
Unit = Literal["today", "yesterday", "days", "weeks", "months", "years"]


@dataclass(frozen=True, slots=True)
class Age:
    """How long ago a day was, in the largest unit of which there are at least two."""

    unit: Unit
    count: int = 0


def next_review(seen_on: date, review_days: int | None, usual_days: int) -> date:
    """The day by which somebody looks again, after a look on a day.

    >>> str(next_review(date(2026, 10, 5), 90, REVIEW_DAYS))
    '2027-01-03'
    """
    return seen_on + timedelta(days=review_days or usual_days)


def standing(review_on: date | None, today: date) -> Standing:
    """Whether the day of the next look is over, near or far; on the day itself it is near.

    >>> today = date(2026, 10, 5)
    >>> [standing(today + timedelta(days=days), today) for days in (-1, 0, 30, 31)]
    ['overdue', 'soon', 'soon', 'later']
    """
    if review_on is None:
        return "undated"
    if review_on < today:
        return "overdue"
    return "soon" if review_on <= today + timedelta(days=SOON_DAYS) else "later"


def age(day: date, today: date) -> Age:
    """How long ago a day was; a day to come counts as today. Months and years are whole ones.

    >>> [age(date(2026, 10, 5) - timedelta(days=days), date(2026, 10, 5)).unit
    ...  for days in (0, 1, 13, 14, 60, 61, 729, 730)]
    ['today', 'yesterday', 'days', 'weeks', 'weeks', 'months', 'months', 'years']
    """
    days = (today - day).days
    if days <= 0:
        return Age("today")
    if days == 1:
        return Age("yesterday", 1)
    if days < 14:
        return Age("days", days)
    months = 12 * (today.year - day.year) + today.month - day.month - (today.day < day.day)
    if months < 2:
        return Age("weeks", days // 7)
    if months < 24:
        return Age("months", months)
    return Age("years", months // 12)
