"""The life of a statement, its lines and what they post: pure rules.

A statement is drafted by one person and approved by another. Once issued it is frozen for ever and
has a number; before that it can be made void. Charges are exact; a line is rounded to cents once,
half away from zero; the total is the sum of its rounded lines (EN 16931, BR-CO-10).
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from regional311.errors import Conflict, Forbidden
from regional311.ledger.books import DUE_FROM, DUE_TO, Leg, credit, debit
from regional311.money import to_cents


class State(StrEnum):
    """Where a statement stands; `received` is how an issued one stands with its payer."""

    DRAFT = "draft"
    IN_REVIEW = "in_review"
    APPROVED = "approved"
    ISSUED = "issued"
    RECEIVED = "received"
    VOID = "void"


MOVES: dict[State, frozenset[State]] = {
    State.DRAFT: frozenset({State.IN_REVIEW, State.VOID}),
    State.IN_REVIEW: frozenset({State.APPROVED, State.VOID}),
    State.APPROVED: frozenset({State.ISSUED, State.VOID}),
    State.ISSUED: frozenset(),
    State.RECEIVED: frozenset(),
    State.VOID: frozenset(),
}

OPEN = frozenset({State.DRAFT, State.IN_REVIEW, State.APPROVED})
"""States in which nothing has been billed yet."""


class MoveNotAllowed(Conflict):
    """A statement cannot go from where it stands to where it was sent."""


class PreparerMayNotApprove(Forbidden):
    """Whoever prepared or submitted a statement may not approve it."""


class ApproverUnknown(Forbidden):
    """Only a person may approve, never the system."""


def check_move(current: State, wanted: State) -> None:
    """Refuse a step that is not in the table of moves.

    :raises MoveNotAllowed: naming both states.
    """
    if wanted not in MOVES[current]:
        raise MoveNotAllowed(
            f"This statement is {spoken(current)}; it cannot become {spoken(wanted)}."
        )


def spoken(state: State) -> str:
    """A state as a person says it: ``in review``."""
    return state.value.replace("_", " ")


def check_approver(approver_id: UUID | None, involved: Iterable[UUID | None]) -> None:
    """Refuse an approval by somebody who prepared or submitted the statement.

    :raises PreparerMayNotApprove: when the approver is among `involved`.
    :raises ApproverUnknown: when nobody in particular approves.
    """
    if approver_id is None:
        raise ApproverUnknown("A statement is approved by a person.")
    if approver_id in set(involved):
        raise PreparerMayNotApprove(
            "Whoever prepared this statement cannot approve it; a second person must."
        )


KINDS = (
    "usage",
    "pool",
    "funding",
    "overhead",
    "discount",
    "credit",
    "cap",
    "minimum",
    "debit",
    "interest",
    "correction",
    "true_up",
    "carry_forward",
)
"""What a line can be; those of one agreement stand in this order."""

FAMILIES = {
    "usage": "service",
    "pool": "share",
    "true_up": "share",
    "carry_forward": "share",
    "interest": "interest",
}

PAYER_KINDS = ("partner", "bureau", "outside")


@dataclass(frozen=True, slots=True)
class Payer:
    """Who pays: another partner, a bureau of the provider, or an outside body without books here.

    `id` is the partner, and for the two others the provider itself, whose `key` then names them.
    """

    id: UUID
    kind: str = "partner"
    key: str | None = None

    @property
    def party(self) -> str | None:
        """How books name a payer that is no partner.

        >>> Payer(UUID(int=1), "bureau", "parks").party
        'bureau:parks'
        """
        return None if self.kind == "partner" else f"{self.kind}:{self.key}"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a statement: an exact sum of charges or a share of a pool, and its cents.

    `cents` is given where they do not follow from the exact amount alone: on a correction they are
    what lacks to the cents of a fresh rating, so that all lines of a period add up to it.
    """

    position: int
    kind: str
    service_period: str
    line_key: str
    label: str
    agreement_key: str
    basis: dict[str, Any]
    quantity: Decimal
    price: Decimal | None
    exact_amount: Decimal
    item_count: int
    cents: int | None = None

    @property
    def amount_cents(self) -> int:
        """The exact amount rounded once, half away from zero, unless the cents were given."""
        return to_cents(self.exact_amount) if self.cents is None else self.cents


def total_cents(lines: Iterable[Line]) -> int:
    """The total of a statement: the sum of its rounded lines."""
    return sum(line.amount_cents for line in lines)


def content_digest(period_key: str, lines: Sequence[Line]) -> str:
    """SHA-256 over the lines in order, the same on the issuer's and on the payer's side."""
    content = [
        [
            line.position,
            line.kind,
            line.service_period,
            line.line_key,
            line.label,
            line.agreement_key,
            line.basis,
            f"{line.quantity:.6f}",
            None if line.price is None else f"{line.price:.6f}",
            f"{line.exact_amount:.6f}",
            line.amount_cents,
            line.item_count,
        ]
        for line in sorted(lines, key=lambda line: line.position)
    ]
    text = json.dumps([period_key, content], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


DOCUMENT_FORMAT = "regional311 statement 1"


def document_digest(
    header: Mapping[str, Any], issuer_id: UUID, payer: Payer, number: str, issued_at: datetime
) -> str:
    """SHA-256 over all that an issued statement obliges to, the same on both sides.

    `header` has its content's digest, sums, parties and terms by the names of the table's columns.
    """
    content = [
        DOCUMENT_FORMAT,
        *(header[name] for name in ("public_id", "kind", "period_key", "digest")),
        *(header[name] for name in ("total_cents", "line_count", "item_count")),
        None if header["corrects_id"] is None else str(header["corrects_id"]),
        [str(issuer_id), str(payer.id), payer.kind, payer.key],
        number,
        issued_at.astimezone(UTC).isoformat(timespec="microseconds"),
        header["parties"],
        header["terms"],
    ]
    text = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def posts_as(kind: str, basis: Mapping[str, Any]) -> str:
    """What a line is booked as: `service`, `share` or `interest`.

    Usage is a service, pool lines, true-ups and what is carried forward are shares. A correction or
    memo goes where the line went that it corrects. What the terms of an agreement add or take off
    (funding, overhead, discounts, credits, cap, minimum) says in its basis what it is about.

    >>> posts_as("correction", {"corrects": {"kind": "pool"}})
    'share'
    """
    kind = basis.get("corrects", {}).get("kind", kind)
    if kind in FAMILIES:
        return FAMILIES[kind]
    return str(basis.get("books", "share" if "pool" in basis else "service"))


def journal_legs(lines: Iterable[Line], side: str, payer: Payer, issuer_id: UUID) -> list[Leg]:
    """The legs that a statement posts, from its lines in cents.

    Between partners the issuer has the total due from the payer, against revenue; the payer
    expenses it and owes it to the issuer (`side` is *issued* or *received*). A bureau's expense and
    the provider's revenue stand in one book; an outside body only owes. Each leg of revenue or
    expense is of one agreement. What comes to zero has no leg; a statement over zero may post
    nothing, and one below zero posts the other way round.
    """
    sums: defaultdict[tuple[str, str], int] = defaultdict(int)
    for line in lines:
        sums[posts_as(line.kind, line.basis), line.agreement_key] += line.amount_cents
    parts = [(*about, cents) for about, cents in sorted(sums.items()) if cents]
    whole = sum(sums.values())
    party = payer.party
    if payer.kind == "bureau":
        by_agreement: defaultdict[str, int] = defaultdict(int)
        for _, agreement, cents in parts:
            by_agreement[agreement] += cents
        legs = []
        for agreement, cents in sorted(by_agreement.items()):
            legs += [
                debit("interfund_expense", cents, party=party, family=agreement),
                credit("interfund_revenue", cents, party=party, family=agreement),
            ]
    elif payer.kind == "outside":
        legs = [debit("due_from_outside", whole, party=party)]
        legs += [
            credit(f"{name}_revenue", cents, party=party, family=agreement)
            for name, agreement, cents in parts
        ]
    elif side == "issued":
        legs = [debit(DUE_FROM, whole, payer.id)]
        legs += [
            credit(f"{name}_revenue", cents, payer.id, family=agreement)
            for name, agreement, cents in parts
        ]
    else:
        legs = [
            debit(f"{name}_expense", cents, issuer_id, family=agreement)
            for name, agreement, cents in parts
        ]
        legs.append(credit(DUE_TO, whole, issuer_id))
    return [leg for leg in legs if leg.net_cents]
