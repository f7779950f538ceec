"""Interest on what is overdue: simple, by whole days, actual/365, rounded once: a pure rule.

A day bears interest when, at its end, something undisputed was overdue. Interest itself bears none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

DAYS_A_YEAR = 365
"""Also in a leap year (actual/365 fixed)."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Days with one principal in cents; `to` is exclusive."""

    first: date
    to: date
    cents: int

    @property
    def days(self) -> int:
        """How many days there are."""
        return (self.to - self.first).days


def stretches(first: date, to: date, changes: Iterable[tuple[date, int]]) -> list[Stretch]:
    """The stretches of days from `first` to before `to` that bear interest.

    `changes` say what the principal is from the end of a day on; before the first of them, and
    whenever it is not above zero, nothing bears interest.

    >>> days = [date(2026, 1, day) for day in (1, 5, 11)]
    >>> found = stretches(days[0], days[2], [(days[0], 100), (days[1], 40)])
    >>> [(each.days, each.cents) for each in found]
    [(4, 100), (6, 40)]
    """
    cuts: dict[date, int] = {}
    standing = 0
    for day, cents in sorted(changes):
        if day <= first:
            standing = cents
        elif day < to:
            cuts[day] = cents
    found: list[Stretch] = []
    begins = first
    for day, cents in [*sorted(cuts.items()), (to, 0)]:
        if standing > 0 and begins < day:
            if found and found[-1].to == begins and found[-1].cents == standing:
                found[-1] = Stretch(found[-1].first, day, standing)
            else:
                found.append(Stretch(begins, day, standing))
        begins, standing = day, cents
    return found


def exact_interest(over: Sequence[Stretch], percent: Decimal) -> Fraction:
    """The exact interest in cents, at a percentage a year."""
    weighted = sum(each.cents * each.days for each in over)
    return Fraction(weighted) * Fraction(percent) / 100 / DAYS_A_YEAR


def interest_cents(over: Sequence[Stretch], percent: Decimal) -> int:
    """The interest rounded once, half away from zero; principals are above zero.

    >>> day = date(2026, 1, 1)
    >>> interest_cents([Stretch(day, day + timedelta(days=73), 1_000_000)], Decimal(6))
    12000
    """
    exact = exact_interest(over, percent)
    return (2 * exact.numerator + exact.denominator) // (2 * exact.denominator)


def first_day(due_on: date, assessed_to: date | None) -> date:
    """The first day that may bear interest now: after the due date, and after what was assessed."""
    after = due_on + timedelta(days=1)
    return after if assessed_to is None else max(after, assessed_to)
