"""What is open on statements and how long it has been due: pure rules.

A statement and the memos and corrections about it are a family. What a family's credits come to is
taken off its other documents, first off the one that a credit is about, then off what is due
earliest, so that the open amounts of a family always sum to its totals less its payments. A
disputed part does not age; a day is overdue from the day after the due date.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Final
from uuid import UUID

CURRENT, TO_30, TO_60, TO_90, OVER_90 = "current", "1-30", "31-60", "61-90", "over-90"
BUCKETS: Final = (CURRENT, TO_30, TO_60, TO_90, OVER_90)
"""How many days what is open and undisputed has been overdue."""

SETTLED, OVERDUE, DISPUTED, PARTLY_PAID, ISSUED, CREDIT = (
    "settled",
    "overdue",
    "partly_disputed",
    "partly_paid",
    "issued",
    "credit",
)
STATES: Final = (SETTLED, CREDIT, DISPUTED, OVERDUE, PARTLY_PAID, ISSUED)
"""How a statement stands; the first that holds is the one that is said first."""


@dataclass(frozen=True, slots=True)
class Document:
    """A bill, correction or memo as it was issued, in cents.

    `about_id` is the document that it corrects; `applied_cents` what payments settled of it.
    """

    id: UUID
    due_on: date
    total_cents: int
    about_id: UUID | None = None
    applied_cents: int = 0
    disputed_cents: int = 0


@dataclass(frozen=True, slots=True)
class Open:
    """What is open of one document on a day; below zero it is a credit of the payer's."""

    document: Document
    open_cents: int
    disputed_cents: int
    """The part of what is open that is disputed."""
    days_overdue: int
    """Zero or less when it is not due yet."""

    @property
    def undisputed_cents(self) -> int:
        """What is open and ages."""
        return self.open_cents - self.disputed_cents

    @property
    def bucket(self) -> str:
        """Where the undisputed part stands."""
        return bucket_of(self.days_overdue)

    @property
    def overdue_cents(self) -> int:
        """What should have been paid by now."""
        return max(0, self.undisputed_cents) if self.days_overdue > 0 else 0

    @property
    def states(self) -> tuple[str, ...]:
        """Everything that holds of it, the most telling first."""
        if self.open_cents == 0:
            return (SETTLED,)
        if self.open_cents < 0:
            return (CREDIT,)
        found = []
        if self.disputed_cents:
            found.append(DISPUTED)
        if self.overdue_cents:
            found.append(OVERDUE)
        if self.document.applied_cents:
            found.append(PARTLY_PAID)
        return tuple(found) or (ISSUED,)


def bucket_of(days_overdue: int) -> str:
    """The bucket of what has been overdue for so many days.

    >>> [bucket_of(days) for days in (0, 1, 30, 31, 60, 61, 90, 91)]
    ['current', '1-30', '1-30', '31-60', '31-60', '61-90', '61-90', 'over-90']
    """
    if days_overdue <= 0:
        return CURRENT
    for last, bucket in ((30, TO_30), (60, TO_60), (90, TO_90)):
        if days_overdue <= last:
            return bucket
    return OVER_90


def open_on(documents: Iterable[Document], day: date) -> list[Open]:
    """What is open of each document on a day, in their order."""
    given = list(documents)
    amounts = open_amounts(given)
    found = []
    for each in given:
        amount = amounts[each.id]
        disputed = max(0, min(each.disputed_cents, amount))
        found.append(Open(each, amount, disputed, (day - each.due_on).days))
    return found


def open_amounts(documents: Sequence[Document]) -> dict[UUID, int]:
    """The cents open of each document, after the credits of its family.

    >>> day = date(2026, 11, 1)
    >>> bill = Document(UUID(int=1), day, 100)
    >>> credit = Document(UUID(int=2), day, -30, about_id=bill.id)
    >>> list(open_amounts([bill, credit]).values())
    [70, 0]
    """
    roots = _roots(documents)
    left = {each.id: each.total_cents - each.applied_cents for each in documents}
    families: defaultdict[UUID, list[Document]] = defaultdict(list)
    for each in sorted(documents, key=lambda each: (each.due_on, each.id)):
        families[roots[each.id]].append(each)
    for family in families.values():
        for giver in sorted(family, key=lambda each: each.id):
            if left[giver.id] >= 0:
                continue
            takers = sorted(
                (each for each in family if left[each.id] > 0),
                key=lambda each: each.id != giver.about_id,
            )
            for taker in takers:
                part = min(left[taker.id], -left[giver.id])
                left[taker.id] -= part
                left[giver.id] += part
    return left


def _roots(documents: Sequence[Document]) -> dict[UUID, UUID]:
    """The document at the head of each one's family; one that is not there heads none."""
    about = {each.id: each.about_id for each in documents}
    roots = {}
    for each in documents:
        root, seen = each.id, {each.id}
        while (above := about[root]) is not None and above in about and above not in seen:
            seen.add(above)
            root = above
        roots[each.id] = root
    return roots


@dataclass(frozen=True, slots=True)
class Aged:
    """Open amounts by how long they have been due, in cents; `credit_cents` is below zero."""

    buckets: tuple[int, int, int, int, int] = (0, 0, 0, 0, 0)
    disputed_cents: int = 0
    credit_cents: int = 0

    @property
    def total_cents(self) -> int:
        """Everything open."""
        return sum(self.buckets) + self.disputed_cents + self.credit_cents


def aged(opens: Iterable[Open]) -> Aged:
    """The sums by bucket; together they are everything that is open."""
    sums = dict.fromkeys(BUCKETS, 0)
    found = Aged()
    for each in opens:
        if each.open_cents < 0:
            found = replace(found, credit_cents=found.credit_cents + each.open_cents)
            continue
        sums[each.bucket] += each.undisputed_cents
        found = replace(found, disputed_cents=found.disputed_cents + each.disputed_cents)
    values = (sums[CURRENT], sums[TO_30], sums[TO_60], sums[TO_90], sums[OVER_90])
    return replace(found, buckets=values)
