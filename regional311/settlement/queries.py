"""What can be asked about settling: flat rows, a fixed number of statements.

Statements of a partner's own bureaus are settled by their entry and are not among them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import text

from regional311.database.session import TenantSession, scope_of
from regional311.settlement.ageing import Document, Open, open_on

DUE_DAYS = 30
"""When a statement's agreements do not say."""
DISPUTE_DAYS = 30


@dataclass(frozen=True, slots=True)
class OpenRow:
    """A statement that was issued or received, and what is open of it on a day."""

    id: UUID
    public_id: str
    number: str
    kind: str
    side: str
    counterparty_id: UUID
    counterparty: str
    payer_kind: str
    payer_key: str | None
    period_key: str
    issued_on: date
    due_on: date
    total_cents: int
    is_interest: bool
    prepared_by: UUID | None
    terms: dict[str, Any]
    open: Open

    @property
    def party(self) -> tuple[UUID, str | None]:
        """The other side: a partner, or one of the bodies outside."""
        return self.counterparty_id, self.payer_key

    @property
    def settled_cents(self) -> int:
        """What payments, advances and netting settled of it."""
        return self.open.document.applied_cents

    @property
    def interest_percent(self) -> Decimal:
        """The lowest rate of the agreements it rests on; none when one of them has none."""
        agreements = (self.terms.get("agreements") or {}).values()
        rates = [(each.get("terms") or {}).get("interest_percent") for each in agreements]
        if not rates or None in rates:
            return Decimal(0)
        return min(Decimal(str(rate)) for rate in rates)

    def dispute_days(self, agreement_key: str) -> int:
        """For how many days after its issue a line of the agreement may be disputed."""
        agreement = (self.terms.get("agreements") or {}).get(agreement_key) or {}
        found = (agreement.get("terms") or {}).get("dispute_days")
        return DISPUTE_DAYS if found is None else int(found)


_DOCUMENTS = text("""
SELECT s.id, s.public_id, e.number, s.kind, s.side, s.counterparty_id,
    CASE WHEN s.payer_kind = 'partner' THEN t.name
        ELSE coalesce(s.parties->'payer'->>'name', s.payer_key, '') END AS counterparty,
    s.payer_kind, s.payer_key, s.period_key,
    (e.at AT TIME ZONE coalesce(s.parties->'issuer'->>'zone', issuer.zone))::date AS issued_on,
    coalesce((s.terms->>'due_days')::bigint, :due_days) AS due_days, s.total_cents, s.corrects_id,
    s.kind = 'debit_memo' AND EXISTS (SELECT FROM statement_lines l
        WHERE l.tenant_id = s.tenant_id AND l.statement_id = s.id
        AND l.kind = 'interest') AS is_interest,
    s.prepared_by, s.terms, coalesce(p.applied, 0)::bigint AS applied,
    coalesce(d.disputed, 0)::bigint AS disputed
FROM statements s
JOIN statement_events e ON e.tenant_id = s.tenant_id AND e.statement_id = s.id
    AND e.number IS NOT NULL
JOIN tenants t ON t.tenant_id = s.counterparty_id AND t.id = s.counterparty_id
JOIN tenants issuer ON issuer.id = issuer.tenant_id
    AND issuer.id = CASE s.side WHEN 'issued' THEN s.tenant_id ELSE s.counterparty_id END
LEFT JOIN (
    SELECT statement_id, sum(applied_cents) AS applied FROM payments
    WHERE tenant_id = :tenant AND paid_on <= :day AND statement_id IS NOT NULL
    GROUP BY statement_id
) p ON p.statement_id = s.id
LEFT JOIN (
    SELECT d.statement_id, sum(d.open_cents + d.credited_cents - coalesce(m.credited, 0))
        AS disputed
    FROM disputes d
    LEFT JOIN LATERAL (
        SELECT sum(v.amount_cents) AS credited FROM dispute_events v
        JOIN statement_events memo ON memo.tenant_id = v.tenant_id
            AND memo.statement_id = v.memo_id AND memo.number IS NOT NULL
        WHERE v.tenant_id = d.tenant_id AND v.dispute_id = d.id
    ) m ON true
    WHERE d.tenant_id = :tenant GROUP BY d.statement_id
) d ON d.statement_id = s.id
WHERE s.tenant_id = :tenant AND s.payer_kind <> 'bureau'
    AND (CAST(:side AS text) IS NULL OR s.side = :side)
    AND (CAST(:counterparty AS uuid) IS NULL OR s.counterparty_id = :counterparty)
    AND (e.at AT TIME ZONE coalesce(s.parties->'issuer'->>'zone', issuer.zone))::date <= :day
ORDER BY s.id
""")


def documents(
    session: TenantSession,
    day: date,
    *,
    side: str | None = None,
    counterparty_id: UUID | None = None,
) -> list[OpenRow]:
    """Everything issued or received up to a day, with what is open of it then. One statement.

    What is disputed is as it stands now, whatever the day.
    """
    rows = session.execute(
        _DOCUMENTS,
        {
            "tenant": scope_of(session).tenant_id,
            "day": day,
            "side": side,
            "counterparty": counterparty_id,
            "due_days": DUE_DAYS,
        },
    ).all()
    found = open_on(
        (
            Document(
                id=row.id,
                due_on=row.issued_on + timedelta(days=row.due_days),
                total_cents=row.total_cents,
                about_id=row.corrects_id,
                applied_cents=row.applied,
                disputed_cents=row.disputed,
            )
            for row in rows
        ),
        day,
    )
    return [
        OpenRow(
            id=row.id,
            public_id=row.public_id,
            number=row.number,
            kind=row.kind,
            side=row.side,
            counterparty_id=row.counterparty_id,
            counterparty=row.counterparty,
            payer_kind=row.payer_kind,
            payer_key=row.payer_key,
            period_key=row.period_key,
            issued_on=row.issued_on,
            due_on=each.document.due_on,
            total_cents=row.total_cents,
            is_interest=row.is_interest,
            prepared_by=row.prepared_by,
            terms=row.terms,
            open=each,
        )
        for row, each in zip(rows, found, strict=True)
    ]


def document(session: TenantSession, statement_id: UUID, day: date) -> OpenRow | None:
    """One statement with what is open of it, which depends on those about it. Two statements."""
    counterparty_id = session.execute(
        text("SELECT counterparty_id FROM statements WHERE tenant_id = :tenant AND id = :id"),
        {"tenant": scope_of(session).tenant_id, "id": statement_id},
    ).scalar_one_or_none()
    if counterparty_id is None:
        return None
    found = documents(session, day, counterparty_id=counterparty_id)
    return next((each for each in found if each.id == statement_id), None)


def statement_names(session: TenantSession, ids: Sequence[UUID]) -> dict[UUID, str]:
    """Public ids of this partner's statements, by id. One statement at most."""
    if not ids:
        return {}
    rows = session.execute(
        text("SELECT id, public_id FROM statements WHERE tenant_id = :tenant AND id = ANY(:ids)"),
        {"tenant": scope_of(session).tenant_id, "ids": list(ids)},
    )
    return {row.id: row.public_id for row in rows}


# Payments


@dataclass(frozen=True, slots=True)
class PaymentRow:
    """A payment in a list."""

    id: UUID
    public_id: str
    side: str
    kind: str
    counterparty_id: UUID
    counterparty: str
    payer_kind: str
    payer_key: str | None
    statement_id: UUID | None
    statement: str | None
    """The number of the statement."""
    statement_public_id: str | None
    paid_on: date
    period_key: str
    cash_cents: int
    netted_cents: int
    applied_cents: int
    advance_cents: int
    reference: str
    method: str
    reason: str | None
    reverses_id: UUID | None
    reverses: str | None
    reversed_by: str | None
    netting_id: UUID | None
    recorded_by: UUID | None
    recorded_at: datetime


_PAYMENTS = text("""
SELECT p.id, p.public_id, p.side, p.kind, p.counterparty_id,
    CASE WHEN p.payer_kind = 'partner' THEN t.name
        ELSE coalesce(s.parties->'payer'->>'name', p.payer_key, '') END AS counterparty,
    p.payer_kind, p.payer_key, p.statement_id, e.number AS statement,
    s.public_id AS statement_public_id, p.paid_on, p.period_key, p.cash_cents, p.netted_cents,
    p.applied_cents, p.advance_cents, p.reference, p.method, p.reason, p.reverses_id,
    was.public_id AS reverses, by.public_id AS reversed_by, p.netting_id, p.recorded_by,
    p.recorded_at
FROM payments p
JOIN tenants t ON t.tenant_id = p.counterparty_id AND t.id = p.counterparty_id
LEFT JOIN statements s ON s.tenant_id = p.tenant_id AND s.id = p.statement_id
LEFT JOIN statement_events e ON e.tenant_id = p.tenant_id AND e.statement_id = p.statement_id
    AND e.number IS NOT NULL
LEFT JOIN payments was ON was.tenant_id = p.tenant_id AND was.id = p.reverses_id
LEFT JOIN payments by ON by.tenant_id = p.tenant_id AND by.reverses_id = p.id
WHERE p.tenant_id = :tenant AND (CAST(:id AS uuid) IS NULL OR p.id = :id)
    AND (CAST(:side AS text) IS NULL OR p.side = :side)
    AND (CAST(:kind AS text) IS NULL OR p.kind = :kind)
    AND (CAST(:counterparty AS uuid) IS NULL OR p.counterparty_id = :counterparty)
    AND (CAST(:statement AS uuid) IS NULL OR p.statement_id = :statement)
    AND (CAST(:before AS uuid) IS NULL OR p.id < :before)
ORDER BY p.id DESC LIMIT :limit
""")


def payments(
    session: TenantSession,
    *,
    payment_id: UUID | None = None,
    side: str | None = None,
    kind: str | None = None,
    counterparty_id: UUID | None = None,
    statement_id: UUID | None = None,
    before: UUID | None = None,
    limit: int = 50,
) -> list[PaymentRow]:
    """A page of payments, the latest first. One statement."""
    rows = session.execute(
        _PAYMENTS,
        {
            "tenant": scope_of(session).tenant_id,
            "id": payment_id,
            "side": side,
            "kind": kind,
            "counterparty": counterparty_id,
            "statement": statement_id,
            "before": before,
            "limit": limit,
        },
    )
    return [PaymentRow(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class AdvanceRow:
    """What is held in advance for somebody (`received`) or by somebody (`paid`), in cents."""

    side: str
    counterparty_id: UUID
    payer_key: str | None
    cents: int


def advances(
    session: TenantSession, *, day: date | None = None, counterparty_id: UUID | None = None
) -> list[AdvanceRow]:
    """Advances that are not used up, up to a day. One statement."""
    rows = session.execute(
        text(
            "SELECT side, counterparty_id, payer_key, sum(advance_cents)::bigint AS cents"
            " FROM payments WHERE tenant_id = :tenant"
            " AND (CAST(:day AS date) IS NULL OR paid_on <= :day)"
            " AND (CAST(:other AS uuid) IS NULL OR counterparty_id = :other)"
            " GROUP BY side, counterparty_id, payer_key HAVING sum(advance_cents) <> 0"
            " ORDER BY counterparty_id, payer_key, side"
        ),
        {"tenant": scope_of(session).tenant_id, "day": day, "other": counterparty_id},
    )
    return [AdvanceRow(*row) for row in rows]


def outside_payers(session: TenantSession) -> list[tuple[str, str]]:
    """Key and name of the bodies outside the region that agreements of this partner name."""
    rows = session.execute(
        text(
            "SELECT DISTINCT ON (payer_key) payer_key,"
            " coalesce(terms->'outside'->>'name', payer_key) FROM agreements"
            " WHERE provider_id = :me AND payer_kind = 'outside'"
            " ORDER BY payer_key, version DESC"
        ),
        {"me": scope_of(session).tenant_id},
    )
    return [(row[0], row[1]) for row in rows]


# Disputes


@dataclass(frozen=True, slots=True)
class DisputeRow:
    """A dispute in a list."""

    id: UUID
    public_id: str
    side: str
    counterparty_id: UUID
    counterparty: str
    statement_id: UUID
    statement: str
    statement_public_id: str
    line_position: int
    line_label: str
    line_cents: int
    reason: str
    evidence: str
    amount_cents: int
    upheld_cents: int
    credited_cents: int
    withdrawn_cents: int
    open_cents: int
    opened_on: date
    answer_by: date
    owner_id: UUID | None
    owner_name: str | None
    prepared_by: UUID | None


_DISPUTES = text("""
SELECT d.id, d.public_id, d.side, d.counterparty_id, t.name AS counterparty, d.statement_id,
    coalesce(e.number, s.public_id) AS statement, s.public_id, d.line_position,
    l.label, l.amount_cents AS line_cents, d.reason, d.evidence, d.amount_cents, d.upheld_cents,
    d.credited_cents, d.withdrawn_cents, d.open_cents, d.opened_on, d.answer_by, d.owner_id,
    d.owner_name, s.prepared_by
FROM disputes d
JOIN statements s ON s.tenant_id = d.tenant_id AND s.id = d.statement_id
LEFT JOIN statement_events e ON e.tenant_id = d.tenant_id AND e.statement_id = d.statement_id
    AND e.number IS NOT NULL
JOIN statement_lines l ON l.tenant_id = d.tenant_id AND l.id = d.line_id
JOIN tenants t ON t.tenant_id = d.counterparty_id AND t.id = d.counterparty_id
WHERE d.tenant_id = :tenant AND (CAST(:id AS uuid) IS NULL OR d.id = :id)
    AND (CAST(:side AS text) IS NULL OR d.side = :side)
    AND (CAST(:counterparty AS uuid) IS NULL OR d.counterparty_id = :counterparty)
    AND (CAST(:statement AS uuid) IS NULL OR d.statement_id = :statement)
    AND (CAST(:open AS boolean) IS NULL OR (d.open_cents > 0) = :open)
    AND (CAST(:before AS uuid) IS NULL OR d.id < :before)
ORDER BY d.id DESC LIMIT :limit
""")


def disputes(
    session: TenantSession,
    *,
    dispute_id: UUID | None = None,
    side: str | None = None,
    counterparty_id: UUID | None = None,
    statement_id: UUID | None = None,
    still_open: bool | None = None,
    before: UUID | None = None,
    limit: int = 50,
) -> list[DisputeRow]:
    """A page of disputes, the latest first. One statement."""
    rows = session.execute(
        _DISPUTES,
        {
            "tenant": scope_of(session).tenant_id,
            "id": dispute_id,
            "side": side,
            "counterparty": counterparty_id,
            "statement": statement_id,
            "open": still_open,
            "before": before,
            "limit": limit,
        },
    )
    return [DisputeRow(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class ThreadRow:
    """A step of a dispute; `memo` is the number or public id of the credit memo it led to."""

    position: int
    kind: str
    amount_cents: int
    note: str
    by_partner_id: UUID
    person_id: UUID | None
    memo_id: UUID | None
    memo: str | None
    memo_public_id: str | None
    memo_state: str | None
    at: datetime


def thread(session: TenantSession, dispute_id: UUID) -> list[ThreadRow]:
    """The steps of a dispute in order. One statement.

    A memo that is not issued is on the issuer's side only.
    """
    rows = session.execute(
        text(
            "SELECT v.position, v.kind, v.amount_cents, v.note, v.by_partner_id, v.person_id,"
            " v.memo_id, coalesce(e.number, s.public_id) AS memo, s.public_id, e.state, v.at"
            " FROM dispute_events v LEFT JOIN statements s ON s.tenant_id = v.tenant_id"
            " AND s.id = v.memo_id LEFT JOIN LATERAL ("
            "  SELECT number, state FROM statement_events WHERE tenant_id = s.tenant_id"
            "  AND statement_id = s.id ORDER BY position DESC LIMIT 1) e ON true"
            " WHERE v.tenant_id = :tenant AND v.dispute_id = :dispute ORDER BY v.position"
        ),
        {"tenant": scope_of(session).tenant_id, "dispute": dispute_id},
    )
    return [ThreadRow(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class DisputableLine:
    """A line of a statement, and how much of it may still be disputed, in cents."""

    id: UUID
    position: int
    label: str
    agreement_key: str
    amount_cents: int
    undisputed_cents: int


_LINES = text("""
WITH changes AS (
    SELECT (l.basis->'corrects'->>'line')::bigint AS position, sum(l.amount_cents) AS cents
    FROM statements s
    JOIN statement_events e ON e.tenant_id = s.tenant_id AND e.statement_id = s.id
        AND e.number IS NOT NULL
    JOIN statement_lines l ON l.tenant_id = s.tenant_id AND l.statement_id = s.id
    WHERE s.tenant_id = :tenant AND s.corrects_id = :statement
        AND l.basis->'corrects'->>'line' IS NOT NULL
        AND l.basis->'corrects'->>'change' IN ('difference', 'reversal', 'credit', 'debit')
    GROUP BY 1
), taken AS (
    SELECT d.line_id, sum(d.open_cents + d.upheld_cents + d.credited_cents
        - coalesce(m.credited, 0)) AS cents
    FROM disputes d
    LEFT JOIN LATERAL (
        SELECT sum(v.amount_cents) AS credited FROM dispute_events v
        JOIN statement_events memo ON memo.tenant_id = v.tenant_id
            AND memo.statement_id = v.memo_id AND memo.number IS NOT NULL
        WHERE v.tenant_id = d.tenant_id AND v.dispute_id = d.id
    ) m ON true
    WHERE d.tenant_id = :tenant AND d.statement_id = :statement GROUP BY d.line_id
)
SELECT l.id, l.position, l.label, l.agreement_key, l.amount_cents,
    (l.amount_cents + coalesce(c.cents, 0) - coalesce(t.cents, 0))::bigint AS undisputed
FROM statement_lines l
LEFT JOIN changes c ON c.position = l.position
LEFT JOIN taken t ON t.line_id = l.id
WHERE l.tenant_id = :tenant AND l.statement_id = :statement
    AND (CAST(:position AS bigint) IS NULL OR l.position = :position)
ORDER BY l.position LIMIT :limit
""")


def disputable(
    session: TenantSession, statement_id: UUID, *, position: int | None = None, limit: int = 500
) -> list[DisputableLine]:
    """The lines of a statement and what of each may be disputed still. One statement.

    Left out is what is disputed now, was upheld, or was credited, with or without a dispute.
    """
    rows = session.execute(
        _LINES,
        {
            "tenant": scope_of(session).tenant_id,
            "statement": statement_id,
            "position": position,
            "limit": limit,
        },
    )
    return [DisputableLine(*row) for row in rows]


# How what bears interest went up and down


@dataclass(frozen=True, slots=True)
class Movement:
    """What changed a document on a day, in cents: `applied` of payments, or `disputed`."""

    document_id: UUID
    on: date
    applied_cents: int
    disputed_cents: int


_MOVEMENTS = text("""
SELECT statement_id, paid_on, sum(applied_cents)::bigint AS applied, 0::bigint AS disputed
FROM payments WHERE tenant_id = :tenant AND statement_id = ANY(:documents)
GROUP BY statement_id, paid_on
UNION ALL
SELECT d.statement_id, (v.at AT TIME ZONE :zone)::date, 0,
    sum(CASE v.kind WHEN 'opened' THEN v.amount_cents
        WHEN 'upheld' THEN -v.amount_cents WHEN 'withdrawn' THEN -v.amount_cents
        ELSE 0 END)::bigint
FROM disputes d
JOIN dispute_events v ON v.tenant_id = d.tenant_id AND v.dispute_id = d.id
WHERE d.tenant_id = :tenant AND d.statement_id = ANY(:documents) GROUP BY 1, 2
UNION ALL
SELECT d.statement_id, (memo.at AT TIME ZONE :zone)::date, 0, -sum(v.amount_cents)::bigint
FROM disputes d
JOIN dispute_events v ON v.tenant_id = d.tenant_id AND v.dispute_id = d.id
JOIN statement_events memo ON memo.tenant_id = v.tenant_id AND memo.statement_id = v.memo_id
    AND memo.number IS NOT NULL
WHERE d.tenant_id = :tenant AND d.statement_id = ANY(:documents) GROUP BY 1, 2
""")


def movements(session: TenantSession, document_ids: Sequence[UUID], *, zone: str) -> list[Movement]:
    """Payments of documents by their day, and what was disputed of them by day. One statement."""
    rows = session.execute(
        _MOVEMENTS,
        {
            "tenant": scope_of(session).tenant_id,
            "documents": list(document_ids),
            "zone": zone,
        },
    )
    return [Movement(*row) for row in rows]


# Confirmed balances and netting


@dataclass(frozen=True, slots=True)
class Balance:
    """What stands between this partner and another party on a day, in cents."""

    counterparty_id: UUID
    payer_key: str | None
    name: str
    claims_cents: int
    """Open on statements that we issued."""
    owes_cents: int
    """Open on statements that we received."""
    overdue_cents: int
    """Of what is claimed."""
    disputed_cents: int
    held_cents: int = 0
    """Paid to us in advance."""
    advanced_cents: int = 0
    """Paid by us in advance."""

    @property
    def net_cents(self) -> int:
        """Above zero when the other owes us on balance, advances counted."""
        return self.claims_cents - self.owes_cents - self.held_cents + self.advanced_cents


def balances(rows: Iterable[OpenRow], held: Iterable[AdvanceRow] = ()) -> list[Balance]:
    """What stands with each other party, by name; what comes to nothing everywhere stays."""
    sums: dict[tuple[UUID, str | None], dict[str, int]] = {}
    names: dict[tuple[UUID, str | None], str] = {}
    zero = {
        "claims_cents": 0,
        "owes_cents": 0,
        "overdue_cents": 0,
        "disputed_cents": 0,
        "held_cents": 0,
        "advanced_cents": 0,
    }
    for row in rows:
        names[row.party] = row.counterparty
        one = sums.setdefault(row.party, dict(zero))
        if row.side == "issued":
            one["claims_cents"] += row.open.open_cents
            one["overdue_cents"] += row.open.overdue_cents
        else:
            one["owes_cents"] += row.open.open_cents
        one["disputed_cents"] += row.open.disputed_cents
    for each in held:
        party = (each.counterparty_id, each.payer_key)
        one = sums.setdefault(party, dict(zero))
        one["held_cents" if each.side == "received" else "advanced_cents"] += each.cents
    return sorted(
        (
            Balance(party[0], party[1], names.get(party, party[1] or ""), **one)
            for party, one in sums.items()
        ),
        key=lambda each: (each.name, str(each.counterparty_id)),
    )
