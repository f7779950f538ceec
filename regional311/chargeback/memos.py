"""Credit and debit memos: what is given back or added on lines of an issued statement, with reason.

A memo is a statement of its own that names the statement and the lines it is about, and goes the
way of every statement: a preparer, an approver, a number, an entry in both books, an envelope. An
issued statement never changes. All credits on a line together never exceed what the line still
stands for: its amount, with the corrections of it and its debits, less what was credited before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text

from regional311.chargeback import billing
from regional311.chargeback.series import lock_series
from regional311.chargeback.statement import Line, Payer
from regional311.database.session import TenantSession, scope_of
from regional311.errors import Conflict, InvalidInput, NotFound
from regional311.money import format_cents, from_cents

CREDIT_MEMO: Final = "credit_memo"
DEBIT_MEMO: Final = "debit_memo"
KINDS: Final = {CREDIT_MEMO: "credit", DEBIT_MEMO: "debit"}
"""Kinds of memo, and the kind of their lines."""
LONGEST_REASON: Final = 500
MOST_CENTS: Final = 10**13
SHOWN: Final = 200
"""Lines of a related statement that `about` names; its own page has all."""

_FOLLOWS: Final = ("difference", "reversal")
_KEPT: Final = (
    "books",
    "pool",
    "pool_name",
    "fiscal_year",
    "card",
    "rate",
    "activity",
    "service_name",
)
"""What a memo line keeps of the line's basis, so that it counts with the same pool or service."""


class NotIssuedYet(Conflict):
    """Only an issued statement has memos; a draft is simply made again."""


class CreditExceedsLine(InvalidInput):
    """The credits on a line would come to more than the line still stands for."""


@dataclass(frozen=True, slots=True)
class Creditable:
    """A line, and how many cents of it may still be credited."""

    position: int
    label: str
    amount_cents: int
    changed_cents: int
    """Corrections and debits of it that were issued."""
    credited_cents: int
    """Credits that were issued or are being prepared."""
    follows: tuple[str, int] | None
    """Number and line that it corrects, when credits belong on that line instead."""

    @property
    def left_cents(self) -> int:
        """What may still be credited; never below zero."""
        if self.follows is not None:
            return 0
        return max(0, self.amount_cents + self.changed_cents - self.credited_cents)


_STATEMENT = text("""
SELECT s.id, s.kind, s.counterparty_id, s.payer_kind, s.payer_key, s.period_key, e.number, e.state
FROM statements s
CROSS JOIN LATERAL (
    SELECT state, number FROM statement_events
    WHERE tenant_id = s.tenant_id AND statement_id = s.id ORDER BY position DESC LIMIT 1
) e
WHERE s.tenant_id = :tenant AND s.id = :statement AND s.side = 'issued'
""")

_LINES = text("""
WITH changes AS (
    SELECT (l.basis->'corrects'->>'line')::bigint AS position,
        sum(l.amount_cents) FILTER (WHERE l.kind = 'credit') AS credited,
        sum(l.amount_cents) FILTER (WHERE e.state = 'issued' AND (l.kind = 'debit'
            OR l.basis->'corrects'->>'change' IN ('difference', 'reversal'))) AS changed
    FROM statements s
    CROSS JOIN LATERAL (
        SELECT state FROM statement_events
        WHERE tenant_id = s.tenant_id AND statement_id = s.id ORDER BY position DESC LIMIT 1
    ) e
    JOIN statement_lines l ON l.tenant_id = s.tenant_id AND l.statement_id = s.id
    WHERE s.tenant_id = :tenant AND s.side = 'issued' AND s.corrects_id IS NOT NULL
        AND s.counterparty_id = :payer AND e.state <> 'void'
        AND l.basis->'corrects'->>'statement' = :number
    GROUP BY 1
)
SELECT l.position, l.label, l.amount_cents, coalesce(c.changed, 0)::bigint AS changed,
    coalesce(-c.credited, 0)::bigint AS credited, l.kind, l.service_period, l.line_key,
    l.agreement_key, l.basis
FROM statement_lines l LEFT JOIN changes c ON c.position = l.position
WHERE l.tenant_id = :tenant AND l.statement_id = :statement
    AND (CAST(:positions AS bigint[]) IS NULL OR l.position = ANY(:positions))
ORDER BY l.position
""")


def creditable(
    session: TenantSession, statement_id: UUID, positions: Iterable[int] | None = None
) -> list[Creditable]:
    """The lines of an issued statement, with what may still be credited on each.

    :raises NotFound: when this partner issues no such statement.
    :raises NotIssuedYet: when it has not been issued.
    """
    return [_creditable(row) for row in _lines(session, _issued(session, statement_id), positions)]


def draft_memo(
    session: TenantSession,
    statement_id: UUID,
    items: Iterable[tuple[int, int, str]],
    *,
    kind: str,
    now: datetime,
) -> UUID:
    """Draft a memo on lines of an issued statement and return its id.

    `items` are position, cents (above zero) and reason. A `credit_memo` takes them off what the
    payer owes, a `debit_memo` adds them. It bills nothing until it is approved and issued.

    :raises NotFound: when this partner issues no such statement.
    :raises NotIssuedYet: when it has not been issued.
    :raises InvalidInput: naming the field: which line, amount or reason is not allowed.
    :raises CreditExceedsLine: naming the line and what may still be credited on it.
    """
    if kind not in KINDS:
        raise InvalidInput(f"A memo is one of {', '.join(KINDS)}, not {kind!r}.", field="kind")
    lock_series(session)
    about = _issued(session, statement_id)
    wanted = _checked(items)
    found = {row.position: row for row in _lines(session, about, {each[0] for each in wanted})}
    _check_lines(found, wanted, kind)
    sign = -1 if kind == CREDIT_MEMO else 1
    lines = [
        _memo_line(about.number, found[position], KINDS[kind], sign * cents, reason)
        for position, cents, reason in wanted
    ]
    payer = Payer(about.counterparty_id, about.payer_kind, about.payer_key)
    return billing.put_draft(
        session,
        None,
        payer,
        lines,
        kind=kind,
        corrects_id=statement_id,
        period_key=about.period_key,
        now=now,
    )


def _issued(session: TenantSession, statement_id: UUID) -> Any:
    row = session.execute(
        _STATEMENT, {"tenant": scope_of(session).tenant_id, "statement": statement_id}
    ).one_or_none()
    if row is None:
        raise NotFound("There is no such statement.")
    if row.state != "issued":
        raise NotIssuedYet("Only an issued statement can have a memo.")
    return row


def _lines(
    session: TenantSession, about: Any, positions: Iterable[int] | None = None
) -> Sequence[Any]:
    return session.execute(
        _LINES,
        {
            "tenant": scope_of(session).tenant_id,
            "statement": about.id,
            "payer": about.counterparty_id,
            "number": about.number,
            "positions": None if positions is None else sorted(positions),
        },
    ).all()


def _creditable(row: Any) -> Creditable:
    corrects = row.basis.get("corrects", {})
    follows = None
    if corrects.get("change") in _FOLLOWS:
        follows = (corrects["statement"], corrects["line"])
    return Creditable(row.position, row.label, row.amount_cents, row.changed, row.credited, follows)


def _checked(items: Iterable[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    wanted = []
    for position, cents, given in items:
        reason = " ".join(given.split())
        if not reason:
            raise InvalidInput(f"Say why line {position} is changed.", field="reason")
        if len(reason) > LONGEST_REASON:
            raise InvalidInput(f"A reason has at most {LONGEST_REASON} characters.", field="reason")
        if not 0 < cents <= MOST_CENTS:
            raise InvalidInput(f"The amount on line {position} must be above zero.", field="amount")
        wanted.append((position, cents, reason))
    if not wanted:
        raise InvalidInput("A memo is about at least one line.", field="line")
    return wanted


def _check_lines(
    found: Mapping[int, Any], wanted: Iterable[tuple[int, int, str]], kind: str
) -> None:
    sums: defaultdict[int, int] = defaultdict(int)
    for position, cents, _ in wanted:
        if position not in found:
            raise InvalidInput(f"The statement has no line {position}.", field="line")
        sums[position] += cents
    if kind != CREDIT_MEMO:
        return
    for position, cents in sorted(sums.items()):
        line = _creditable(found[position])
        if line.follows is not None:
            number, original = line.follows
            raise InvalidInput(
                f"Line {position} corrects line {original} of {number}; credit that line.",
                field="line",
            )
        if cents > line.left_cents:
            raise CreditExceedsLine(
                f"Line {position} has {format_cents(line.left_cents)} left to credit, "
                f"not {format_cents(cents)}.",
                field="amount",
            )


def _memo_line(number: str, row: Any, kind: str, cents: int, reason: str) -> Line:
    corrects = row.basis.get("corrects", {})
    basis = {name: row.basis[name] for name in _KEPT if name in row.basis}
    return Line(
        position=0,
        kind=kind,
        service_period=row.service_period,
        line_key=f"{row.line_key}|{kind}",
        label=row.label,
        agreement_key=row.agreement_key,
        basis=basis
        | {
            "corrects": {
                "statement": number,
                "line": row.position,
                "kind": corrects.get("kind", row.kind),
                "change": kind,
            },
            "reason": reason,
        },
        quantity=Decimal(1),
        price=None,
        exact_amount=from_cents(cents),
        item_count=0,
    )


# --- what followed a statement --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RelatedLine:
    """A line of a correction or memo: which line it is about, by how much and why."""

    position: int
    label: str
    corrects: int | None
    """The line of the statement that it is about; none when that had no such line."""
    change: str
    """difference, reversal, replacement, addition, credit or debit."""
    amount_cents: int
    reason: str | None


@dataclass(frozen=True, slots=True)
class Related:
    """A correction or memo about a statement, as far as this partner may see it."""

    statement_id: UUID
    public_id: str
    kind: str
    number: str | None
    state: str
    total_cents: int
    line_count: int
    lines: tuple[RelatedLine, ...]
    """The first of its lines that are about the statement."""


_ABOUT = text("""
WITH mine AS (
    SELECT s.id, s.counterparty_id, e.number
    FROM statements s
    JOIN statement_events e ON e.tenant_id = s.tenant_id AND e.statement_id = s.id
        AND e.number IS NOT NULL
    WHERE s.tenant_id = :tenant AND s.id = :statement
), related AS (
    SELECT s.id, s.public_id, s.kind, s.total_cents, s.line_count, e.state, e.number,
        mine.number AS about
    FROM mine
    JOIN statements s ON s.tenant_id = :tenant AND s.counterparty_id = mine.counterparty_id
        AND s.corrects_id IS NOT NULL AND s.id <> mine.id
    CROSS JOIN LATERAL (
        SELECT state, number FROM statement_events
        WHERE tenant_id = s.tenant_id AND statement_id = s.id ORDER BY position DESC LIMIT 1
    ) e
    WHERE e.state <> 'void'
)
SELECT r.id, r.public_id, r.kind, r.number, r.state, r.total_cents, r.line_count,
    l.position, l.label, (l.basis->'corrects'->>'line')::bigint AS corrects,
    l.basis->'corrects'->>'change' AS change, l.amount_cents, l.basis->>'reason' AS reason
FROM related r
CROSS JOIN LATERAL (
    SELECT * FROM statement_lines
    WHERE tenant_id = :tenant AND statement_id = r.id
        AND basis->'corrects'->>'statement' = r.about
        AND (CAST(:position AS bigint) IS NULL
            OR (basis->'corrects'->>'line')::bigint = :position)
    ORDER BY position LIMIT :shown
) l
ORDER BY r.id, l.position
""")


def about(session: TenantSession, statement_id: UUID, position: int | None = None) -> list[Related]:
    """The corrections and memos about a statement, or one line of it, the earliest first.

    The statement is issued or received. Drafts are the issuer's own: the payer has no rows of
    them. One statement.
    """
    rows = session.execute(
        _ABOUT,
        {
            "tenant": scope_of(session).tenant_id,
            "statement": statement_id,
            "position": position,
            "shown": SHOWN,
        },
    )
    found: dict[UUID, tuple[Any, list[RelatedLine]]] = {}
    for row in rows:
        line = RelatedLine(
            row.position, row.label, row.corrects, row.change, row.amount_cents, row.reason
        )
        found.setdefault(row.id, (row, []))[1].append(line)
    return [Related(*(*row[:7], tuple(lines))) for row, lines in found.values()]


# --- lists ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MemoRow:
    """A correction, memo or true-up in a list, with the number of what it is about."""

    id: UUID
    public_id: str
    side: str
    kind: str
    counterparty: str
    payer_key: str | None
    period_key: str
    state: str
    number: str | None
    total_cents: int
    corrects_public_id: str | None
    corrects_number: str | None


_LISTED = text("""
SELECT s.id, s.public_id, s.side, s.kind, t.short_name AS counterparty, s.payer_key, s.period_key,
    e.state, e.number, s.total_cents, o.public_id AS corrects_public_id, (
        SELECT number FROM statement_events
        WHERE tenant_id = s.tenant_id AND statement_id = s.corrects_id AND number IS NOT NULL
    ) AS corrects_number
FROM statements s
JOIN tenants t ON t.tenant_id = s.counterparty_id AND t.id = s.counterparty_id
CROSS JOIN LATERAL (
    SELECT state, number FROM statement_events
    WHERE tenant_id = s.tenant_id AND statement_id = s.id ORDER BY position DESC LIMIT 1
) e
LEFT JOIN statements o ON o.tenant_id = s.tenant_id AND o.id = s.corrects_id
WHERE s.tenant_id = :tenant AND s.kind <> 'bill'
    AND (CAST(:kind AS text) IS NULL OR s.kind = :kind)
    AND (CAST(:side AS text) IS NULL OR s.side = :side)
    AND (CAST(:state AS text) IS NULL OR e.state = :state)
    AND (CAST(:before AS uuid) IS NULL OR s.id < :before)
ORDER BY s.id DESC LIMIT :limit
""")


def listed(
    session: TenantSession,
    *,
    side: str | None = None,
    kind: str | None = None,
    state: str | None = None,
    before: UUID | None = None,
    limit: int = 50,
) -> list[MemoRow]:
    """A page of corrections, memos and true-ups, issued and received, the latest first."""
    rows = session.execute(
        _LISTED,
        {
            "tenant": scope_of(session).tenant_id,
            "side": side,
            "kind": kind,
            "state": state,
            "before": before,
            "limit": limit,
        },
    )
    return [MemoRow(*row) for row in rows]
