"""When and how much of a line can be disputed, and what may become of it: pure rules.

What was opened is at all times upheld, credited, withdrawn or open, in cents. Each step moves cents
from open to one of the others; nothing moves back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Final

from regional311.errors import Conflict, InvalidInput
from regional311.money import format_cents

REASONS: Final = (
    "not_received",
    "wrong_quantity",
    "wrong_price",
    "wrong_payer",
    "not_agreed",
    "billed_twice",
    "other",
)
UPHELD, CREDITED, WITHDRAWN = "upheld", "credited", "withdrawn"
OUTCOMES: Final = (UPHELD, CREDITED, WITHDRAWN)


class DisputeTooLate(Conflict):
    """The days in which a line may be disputed are over."""


class MoreThanDisputable(InvalidInput):
    """More would be disputed than the line still has undisputed."""


class MoreThanOpen(InvalidInput):
    """More would be decided than is open of the dispute."""


@dataclass(frozen=True, slots=True)
class Amounts:
    """What became of a dispute, in cents."""

    amount_cents: int
    upheld_cents: int = 0
    credited_cents: int = 0
    withdrawn_cents: int = 0

    @property
    def open_cents(self) -> int:
        """What is not decided."""
        return self.amount_cents - self.upheld_cents - self.credited_cents - self.withdrawn_cents

    def move(self, outcome: str, cents: int) -> Amounts:
        """Let a part, or all that is open, end in an outcome.

        :raises MoreThanOpen: naming what is open.
        """
        if not 0 < cents <= self.open_cents:
            raise MoreThanOpen(
                f"Of this dispute {format_cents(self.open_cents)} is open; give an amount above"
                " zero and not above that.",
                field="amount",
            )
        name = f"{outcome}_cents"
        return replace(self, **{name: getattr(self, name) + cents})

    @property
    def state(self) -> str:
        """open, partly decided, or how it ended: the one outcome, or decided when it has several.

        >>> Amounts(10).move(CREDITED, 4).state, Amounts(10).move(UPHELD, 10).state
        ('partly_decided', 'upheld')
        """
        ends = [each for each in OUTCOMES if getattr(self, f"{each}_cents")]
        if self.open_cents:
            return "partly_decided" if ends else "open"
        return ends[0] if len(ends) == 1 else "decided"


def last_day(issued_on: date, dispute_days: int) -> date:
    """The last day on which a line may be disputed."""
    return issued_on + timedelta(days=dispute_days)


def check_in_time(issued_on: date, dispute_days: int, today: date) -> None:
    """Refuse a dispute after the agreed days.

    :raises DisputeTooLate: naming the last day.
    """
    last = last_day(issued_on, dispute_days)
    if today > last:
        raise DisputeTooLate(
            f"Lines of this statement could be disputed until {last.isoformat()}.", field="line"
        )


def check_amount(cents: int, undisputed_cents: int) -> None:
    """Refuse to dispute nothing, or more than is left of the line.

    :raises MoreThanDisputable: naming what is left.
    """
    if undisputed_cents <= 0:
        raise MoreThanDisputable(
            "Nothing of this line is left to dispute: it is disputed, decided or credited already.",
            field="amount",
        )
    if not 0 < cents <= undisputed_cents:
        raise MoreThanDisputable(
            f"Of this line {format_cents(undisputed_cents)} can be disputed; give an amount above"
            " zero and not above that.",
            field="amount",
        )
