"""Whether what was billed recovers what it cost: the roll of a year, the reserve, the 60-day test.

Pure figures in cents, and the questions that pages and books ask with them. Over-recovered is above
zero: the payers paid more than they owed.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, TypeVar

from regional311.errors import DomainError
from regional311.money import Weight, split

MONTHS_KEPT: Final = 6
"""A reserve of sixty days is two months of twelve: a sixth of a year."""

_Payer = TypeVar("_Payer", bound=Hashable)


class NobodyWasBilled(DomainError):
    """A cost has no payer to bear it: nothing was billed in the year."""


@dataclass(frozen=True, slots=True)
class Roll:
    """A year of a pool or of a billed service: opening + billed - owed = closing, in cents."""

    opening_cents: int
    billed_cents: int
    owed_cents: int

    @property
    def closing_cents(self) -> int:
        """What is over-recovered (above zero) or under-recovered at the end.

        >>> Roll(opening_cents=100, billed_cents=1200, owed_cents=1250).closing_cents
        50
        """
        return self.opening_cents + self.billed_cents - self.owed_cents

    @property
    def recovery_percent(self) -> Decimal | None:
        """Billed for each hundred owed, to a tenth; None when nothing was owed."""
        if not self.owed_cents:
            return None
        return (Decimal(self.billed_cents) * 100 / self.owed_cents).quantize(Decimal("0.1"))


@dataclass(frozen=True, slots=True)
class WorkingCapital:
    """The 60-day test of a billed service, in cents."""

    reserve_cents: int
    year_expense_cents: int
    """Twelve months' cash expense."""

    @property
    def limit_cents(self) -> int:
        """The most that may be kept: a sixth of the year, in whole cents."""
        return self.year_expense_cents // MONTHS_KEPT

    @property
    def holds(self) -> bool:
        """Whether the reserve is no more than sixty days of cash expense."""
        return self.reserve_cents * MONTHS_KEPT <= self.year_expense_cents

    @property
    def excess_cents(self) -> int:
        """What must be returned or taken off the next rates."""
        return max(0, self.reserve_cents - self.limit_cents)


def sixty_day_test(reserve_cents: int, year_expense_cents: int) -> WorkingCapital:
    """Compare a reserve with sixty days of twelve months' cash expense.

    Source: 2 CFR 200, Appendix V, section G.2: a working capital reserve of up to 60 days' cash
    expenses for normal operating purposes is considered reasonable.

    >>> test = sixty_day_test(210_000_00, 1_200_000_00)
    >>> test.holds, test.limit_cents, test.excess_cents
    (False, 20000000, 1000000)
    """
    return WorkingCapital(reserve_cents, year_expense_cents)


@dataclass(frozen=True, slots=True)
class Part:
    """One payer's year: what it owed, was billed, and brought along, in cents."""

    opening_cents: int
    billed_cents: int
    owed_cents: int

    @property
    def due_cents(self) -> int:
        """What it has still to pay; below zero it gets that much back."""
        return self.owed_cents - self.billed_cents - self.opening_cents


def parts_of(
    owed: Mapping[_Payer, int],
    billed: Mapping[_Payer, int],
    openings: Mapping[_Payer, int],
    *,
    own: _Payer | None = None,
) -> dict[_Payer, Part]:
    """Every payer's part of what a year really cost, beside what it was billed, in cents.

    `own` bears its part itself and is billed by nobody. Whoever was billed and bears nothing owes
    nothing. So openings, billed and what is due add up to the allocation of the actuals.
    """
    return {
        payer: Part(openings.get(payer, 0), billed.get(payer, 0), owed.get(payer, 0))
        for payer in owed.keys() | billed.keys() | openings.keys()
        if payer != own
    }


def owed_by_weight(
    actual_cents: int, weights: Mapping[_Payer, Weight], keys: Mapping[_Payer, str]
) -> dict[_Payer, int]:
    """An actual cost split once among payers, ties by their configured keys.

    :raises NobodyWasBilled: when every weight is zero.
    """
    if actual_cents and not any(weights.values()):
        raise NobodyWasBilled("Nobody is there to bear the cost: nothing was billed in the year.")
    bearers = sorted(weights, key=lambda each: keys[each])
    parts = split(actual_cents, [weights[each] for each in bearers], [keys[e] for e in bearers])
    return dict(zip(bearers, parts, strict=True))


def roll_of(parts: Mapping[_Payer, Part]) -> Roll:
    """The roll of a whole pool or service from those of its payers."""
    return Roll(
        sum(part.opening_cents for part in parts.values()),
        sum(part.billed_cents for part in parts.values()),
        sum(part.owed_cents for part in parts.values()),
    )
