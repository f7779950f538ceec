"""When an agreement is billed: the periods of a fiscal year and the days that follow each.

All days are local days of the provider, all spans half-open. A period is a month, a quarter or a
whole fiscal year of the provider. It can be run from the day after its last; it must be submitted
within the agreed days; a statement issued on the last day of submission is due, and may be
disputed, so many days later; late work still joins until the end of the late window.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from regional311.calendars import BadPeriod, Period, fiscal_year
from regional311.chargeback.agreement_terms import Terms

MONTHS = {"month": 1, "quarter": 3, "year": 12}
"""How many months a period of each kind has."""


@dataclass(frozen=True, slots=True)
class Due:
    """One period of one agreement with its days; each `…_on` is the first day that is too late."""

    agreement_key: str
    period: Period
    run_on: date
    """From this day on the period is over and can be run."""
    submit_on: date
    """The last day on which it may be issued."""
    due_on: date
    """When it is paid if issued on the last day; an earlier issue is due earlier."""
    dispute_on: date
    """The last day to dispute it, counted from the last day of issue."""
    late_on: date
    """The first day on which late work no longer joins the period."""


def periods(every: str, year: Period) -> Iterator[Period]:
    """The periods of a fiscal year, in order, without a gap.

    >>> year = Period(date(2026, 7, 1), date(2027, 7, 1))
    >>> [each.label for each in periods("quarter", year)][:2]
    ['2026-07-01..2026-09-30', '2026-10-01..2026-12-31']
    """
    months = list(year.months())
    size = MONTHS[every]
    for first in range(0, len(months), size):
        last = months[min(first + size, len(months)) - 1]
        yield Period(months[first].start_on, last.end_on)


def finished(every: str, day: date, first_month: int, count: int) -> list[Period]:
    """The latest periods that were over on a day, the newest first.

    >>> [each.label for each in finished("month", date(2026, 11, 2), 7, 2)]
    ['2026-10', '2026-09']
    """
    year = fiscal_year(day, first_month)
    found: list[Period] = []
    while len(found) < count:
        found += [each for each in reversed(list(periods(every, year))) if each.end_on <= day]
        year = fiscal_year(year.start_on - timedelta(days=1), first_month)
    return found[:count]


def due(
    agreement_key: str,
    terms: Terms,
    year: Period,
    valid_from: date | None,
    valid_to: date | None,
) -> list[Due]:
    """The billing calendar of an agreement for a fiscal year of its provider.

    Only periods in which it holds for a day; a period that it begins or ends in is billed whole.
    """
    found = []
    for period in periods(terms.billing.every, year):
        if valid_from is not None and period.end_on <= valid_from:
            continue
        if valid_to is not None and period.start_on >= valid_to:
            continue
        submit_on = period.end_on + timedelta(days=terms.billing.submit_days)
        found.append(
            Due(
                agreement_key,
                period,
                run_on=period.end_on,
                submit_on=submit_on,
                due_on=submit_on + timedelta(days=terms.due_days),
                dispute_on=submit_on + timedelta(days=terms.dispute_days),
                late_on=period.end_on + timedelta(days=terms.late_event_days),
            )
        )
    return found


STATES = ("coming", "open", "drafted", "issued", "nothing", "missing", "late")
"""Missing is late for its payer: whether there was anything to bill only its provider knows."""
_DRAFTED = frozenset({"draft", "in_review", "approved"})


def state(due_: Due, statements: Iterable[str], today: date, *, rated: bool = False) -> str:
    """Where a period stands: one of `STATES`.

    `statements` are the states of the period's statements with lines of the agreement; `rated` says
    that the period was run, so that no line means *nothing* to bill. Late is a period that is not
    issued after its last day of submission.
    """
    there = set(statements)
    if "issued" in there and not there & _DRAFTED:
        return "issued"
    if rated and today >= due_.run_on and not there - {"void"}:
        return "nothing"
    if today > due_.submit_on:
        return "late"
    if there & _DRAFTED:
        return "drafted"
    return "open" if today >= due_.run_on else "coming"


def period_of(label: str) -> Period | None:
    """Read a period's label, as `Period.label` writes it; None for anything else.

    >>> period_of("2026-07-01..2026-09-30").end_on
    datetime.date(2026, 10, 1)
    """
    first, dots, last = label.partition("..")
    try:
        if not dots:
            return Period.month(label)
        return Period(date.fromisoformat(first), date.fromisoformat(last) + timedelta(days=1))
    except (BadPeriod, ValueError):
        return None
