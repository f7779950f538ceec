"""How a fiscal year is likely to end: what is billed, and what the rest of it will probably cost.

Pure rules, simple enough to be done again by hand. What is billed stands. A month to come costs its
*work* and *the rest* (shares of pools, overhead, caps and the like). Work follows last year where
last year is known: what was billed for work so far, times the month's pieces of work last year,
divided by last year's pieces in the months that are billed. Otherwise, and for the rest, a month to
come costs what the billed months cost on average.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum

from regional311.money import format_cents


class Method(StrEnum):
    """How the months to come were reckoned."""

    SEASONAL = "seasonal"
    RUN_RATE = "run_rate"
    LAST_YEAR = "last_year"
    NOTHING = "nothing"


class Standing(StrEnum):
    """How a budget stands, from well to badly."""

    WITHIN = "within"
    NEAR = "near"
    WILL_EXCEED = "will_exceed"
    EXCEEDED = "exceeded"


@dataclass(frozen=True, slots=True)
class Billed:
    """What was billed for a month: for work, for the rest, and the pieces of work in it."""

    work_cents: int = 0
    rest_cents: int = 0
    pieces: int = 0

    @property
    def cents(self) -> int:
        """All of it."""
        return self.work_cents + self.rest_cents


@dataclass(frozen=True, slots=True)
class Ahead:
    """A month of the year: billed, or forecast."""

    month: str
    cents: int
    billed: bool
    last_year_cents: int | None


@dataclass(frozen=True, slots=True)
class Outlook:
    """A fiscal year: its twelve months, their sums, and the sentences that explain them."""

    months: tuple[Ahead, ...]
    method: Method
    explanation: tuple[str, ...]

    @property
    def billed_cents(self) -> int:
        """What is billed so far."""
        return sum(month.cents for month in self.months if month.billed)

    @property
    def ahead_cents(self) -> int:
        """What is likely to come."""
        return sum(month.cents for month in self.months if not month.billed)

    @property
    def year_cents(self) -> int:
        """The year as it is likely to end."""
        return self.billed_cents + self.ahead_cents


def outlook(
    months: Sequence[str],
    this_year: Mapping[str, Billed],
    last_year: Mapping[str, Billed],
    *,
    pieces_last_year: Mapping[str, int] | None = None,
) -> Outlook:
    """Forecast a year from its billed months and the year before.

    `months` are the twelve of the year; `last_year` and `pieces_last_year` go by the keys of this
    year's months. Pieces of work that were counted but not billed stand in where last year has no
    bills.

    >>> billed = {"2026-07": Billed(100_00, 0, 10), "2026-08": Billed(300_00, 0, 30)}
    >>> outlook(["2026-07", "2026-08", "2026-09"], billed, {}).year_cents
    60000
    """
    billed = [month for month in months if month in this_year]
    ahead = [month for month in months if month not in this_year]
    pieces = {month: each.pieces for month, each in last_year.items()}
    if not any(pieces.values()):
        pieces = dict(pieces_last_year or {})
    if not billed:
        return _without_bills(months, last_year)
    work = sum(this_year[month].work_cents for month in billed)
    rest = sum(this_year[month].rest_cents for month in billed)
    base = sum(pieces.get(month, 0) for month in billed)
    seasonal = bool(base) and all(pieces.get(month, 0) > 0 for month in ahead)
    found = {}
    for month in ahead:
        of_work = _part(work, pieces[month], base) if seasonal else _part(work, 1, len(billed))
        found[month] = of_work + _part(rest, 1, len(billed))
    if not ahead:
        said = ["The whole year is billed."]
    elif seasonal:
        work_said = (
            f"Work: {format_cents(work)} was billed for {len(billed)} of {len(months)} months, in"
            f" which last year had {base:,} pieces of work. A month to come costs that, times its"
            " pieces of work last year, divided by them."
        )
        said = [work_said]
    else:
        work_said = (
            f"Work: {format_cents(work)} was billed for {len(billed)} of {len(months)} months; each"
            " month to come costs as much as these on average, because last year is not known for"
            " all of them."
        )
        said = [work_said]
    if ahead and rest:
        said.append(
            f"Shares and what else is not work: {format_cents(rest)} in the billed months; each"
            f" month to come costs as much on average, {format_cents(_part(rest, 1, len(billed)))}."
        )
    return Outlook(
        months=tuple(
            Ahead(
                month=month,
                cents=this_year[month].cents if month in this_year else found[month],
                billed=month in this_year,
                last_year_cents=last_year[month].cents if month in last_year else None,
            )
            for month in months
        ),
        method=Method.SEASONAL if seasonal else Method.RUN_RATE,
        explanation=tuple(said),
    )


def _without_bills(months: Sequence[str], last_year: Mapping[str, Billed]) -> Outlook:
    rows = tuple(
        Ahead(
            month,
            last_year[month].cents if month in last_year else 0,
            billed=False,
            last_year_cents=last_year[month].cents if month in last_year else None,
        )
        for month in months
    )
    if last_year:
        said = "Nothing is billed for this year yet; each month is taken to cost what it did last"
        return Outlook(rows, Method.LAST_YEAR, (f"{said} year.",))
    return Outlook(rows, Method.NOTHING, ("Nothing is billed yet, this year or last.",))


def _part(cents: int, weight: int, whole: int) -> int:
    """A part in whole cents, half away from zero."""
    exact = Decimal(cents) * weight / whole
    return int(exact.quantize(Decimal(1), ROUND_HALF_UP))


def standing(amount_cents: int, warn_percent: int, billed_cents: int, year_cents: int) -> Standing:
    """How a budget stands against what is billed and how the year is likely to end.

    >>> standing(1000, 90, 500, 1200).value
    'will_exceed'
    """
    if billed_cents > amount_cents:
        return Standing.EXCEEDED
    if year_cents > amount_cents:
        return Standing.WILL_EXCEED
    if year_cents * 100 >= amount_cents * warn_percent and year_cents:
        return Standing.NEAR
    return Standing.WITHIN
