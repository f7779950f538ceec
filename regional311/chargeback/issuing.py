"""Issuing a statement: its number, its entries, and the payer's own copy of it, all or nothing.

A partner gets the statement as envelopes, unpacked as its own rows and checked against what was
sent, and its books get the mirrored entry, in the same transaction. A bureau and an outside body
have no books of their own: there is one entry, in the issuer's. An outside body gets it by e-mail.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import select, text

from regional311.chargeback.collecting import billing_period
from regional311.chargeback.drafting import line_row
from regional311.chargeback.models import Statement, StatementLine
from regional311.chargeback.outside import tell_of_issue
from regional311.chargeback.series import mint_number
from regional311.chargeback.statement import (
    Line,
    Payer,
    State,
    check_move,
    content_digest,
    document_digest,
    journal_legs,
    total_cents,
)
from regional311.chargeback.steps import current, step
from regional311.database.ids import new_id
from regional311.database.rows import put
from regional311.database.session import TenantSession, acting_for, mark_changed, scope_of
from regional311.errors import DomainError
from regional311.exchange.models import Envelope
from regional311.ledger.seals import keep_document
from regional311.ledger.service import NewEntry, first_open_period, open_accounts, post

ITEMS_AN_ENVELOPE = 1000


class DeliveryDamaged(DomainError):
    """What the payer unpacked differs from what the issuer sent; nothing was issued."""


@dataclass(frozen=True, slots=True)
class Issued:
    """An issued statement: its number, and whether it was issued just now or before."""

    statement_id: UUID
    number: str
    again: bool


# What both sides have of an item, in a form that no setting of a session changes; hashed in
# buckets, so that a million items need little memory.
_ITEMS_SEAL = text("""
WITH buckets AS (
    SELECT get_byte(uuid_send(i.id), 15) AS bucket, count(*) AS items,
        sha256(convert_to(string_agg(concat_ws(' ', i.id, i.line_id, i.contact_reference,
            extract(epoch FROM i.occurred_at), i.activity, i.channel, i.language, i.after_hours,
            coalesce(i.service_key, '-'), i.quantity, i.price, i.amount),
            E'\\n' ORDER BY i.id), 'UTF8')) AS hash
    FROM statement_items i
    JOIN statement_lines l ON l.tenant_id = i.tenant_id AND l.id = i.line_id
    WHERE i.tenant_id = :tenant AND l.tenant_id = :tenant AND l.statement_id = :statement
    GROUP BY bucket
)
SELECT coalesce(sum(items), 0)::bigint AS items,
    encode(sha256(coalesce(string_agg(hash, ''::bytea ORDER BY bucket), ''::bytea)), 'hex')
        AS digest
FROM buckets
""")

_ITEM = {
    "id": "uuid",
    "line_id": "uuid",
    "contact_reference": "text",
    "occurred_at": "timestamptz",
    "activity": "text",
    "channel": "text",
    "language": "text",
    "after_hours": "boolean",
    "service_key": "text",
    "quantity": "numeric(18, 6)",
    "price": "numeric(18, 6)",
    "amount": "numeric(18, 6)",
}
"""What the payer gets of an item, in this order: named in each, names would be most of it."""

_SEND_ITEMS = text(f"""
INSERT INTO envelopes (tenant_id, id, from_tenant_id, kind, subject_id, payload, sent_at)
SELECT :payer, uuidv7(), :tenant, 'statement_items', :statement,
    jsonb_build_object('part', part, 'items',
        jsonb_agg(jsonb_build_array({", ".join(_ITEM)}) ORDER BY id)),
    :now
FROM (
    SELECT i.*, (row_number() OVER (ORDER BY i.id) - 1) / :size AS part
    FROM statement_items i
    JOIN statement_lines l ON l.tenant_id = i.tenant_id AND l.id = i.line_id
    WHERE i.tenant_id = :tenant AND l.tenant_id = :tenant AND l.statement_id = :statement
) parts GROUP BY part
""")

_UNPACK_ITEMS = text(f"""
INSERT INTO statement_items (tenant_id, {", ".join(_ITEM)})
SELECT :tenant, {", ".join(f"CAST(i->>{at} AS {kind})" for at, kind in enumerate(_ITEM.values()))}
FROM envelopes e
CROSS JOIN LATERAL jsonb_array_elements(e.payload->'items') AS i
WHERE e.tenant_id = :tenant AND e.from_tenant_id = :issuer AND e.kind = 'statement_items'
    AND e.subject_id = :statement
""")

# The items are the payer's own rows now; what they were packed in need not be kept twice.
_EMPTY_ENVELOPES = text("""
UPDATE envelopes SET received_at = :now,
    payload = (payload - 'items') || jsonb_build_object(
        'count', jsonb_array_length(coalesce(payload->'items', '[]'::jsonb)))
WHERE tenant_id = :tenant AND from_tenant_id = :issuer AND subject_id = :statement
    AND kind IN ('statement', 'statement_items') AND received_at IS NULL
""")


def issue(session: TenantSession, statement_id: UUID, *, now: datetime) -> Issued:
    """Number an approved statement, post it in both books and deliver it, all or nothing.

    The number is the next of this issuer, without gaps. Where a partner's period is closed, its
    entry goes to the first open period after it and keeps the service period. Issuing again gives
    the same number and changes nothing.

    :raises MoveNotAllowed: when it is not approved.
    :raises DeliveryDamaged: when the payer's copy does not come out the same.
    """
    scope = scope_of(session)
    stands = current(session, statement_id)
    if stands.state == State.ISSUED:
        assert stands.number is not None
        return Issued(statement_id, stands.number, again=True)
    check_move(stands.state, State.ISSUED)
    statement = session.execute(
        select(Statement).where(
            Statement.tenant_id == scope.tenant_id, Statement.id == statement_id
        )
    ).scalar_one()
    header = _header(statement)
    payer = Payer(statement.counterparty_id, statement.payer_kind, statement.payer_key)
    periods = _book_periods(session, {scope.tenant_id, payer.id}, header["period_key"])
    number = mint_number(session, _prefix(header))
    step(session, statement_id, stands.position, State.ISSUED, now, number=number)
    lines = _lines(session, statement_id)
    if payer.kind == "partner":
        _send(session, header, payer.id, number, lines, now)
    _post(session, header, lines, "issued", payer, scope.tenant_id, periods, number, now)
    digest = document_digest(header, scope.tenant_id, payer, number, now)
    keep_document(session, "statement", statement_id, digest, now=now)
    if payer.kind == "outside":
        tell_of_issue(session, header, number, now=now)
    if payer.kind == "partner":
        with acting_for(session, payer.id):
            _receive(session, statement_id, scope.tenant_id, now)
            _post(session, header, lines, "received", payer, scope.tenant_id, periods, number, now)
            keep_document(session, "statement", statement_id, digest, now=now)
    return Issued(statement_id, number, again=False)


def _book_periods(
    session: TenantSession, tenant_ids: set[UUID], service_period: str
) -> dict[UUID, str]:
    """Where each partner books: locked in the order of their ids, so that no two issues cross.

    What is billed by the quarter or year is booked in its last month.
    """
    periods = {}
    *_, last = billing_period(service_period).months()
    for tenant_id in sorted(tenant_ids):
        with acting_for(session, tenant_id):
            open_accounts(session)
            periods[tenant_id] = first_open_period(session, last.label)
    return periods


def _header(statement: Statement) -> dict[str, Any]:
    """The statement as plain values, which stay when the tenant is switched."""
    return {
        "id": str(statement.id),
        "public_id": statement.public_id,
        "kind": statement.kind,
        "corrects_id": None if statement.corrects_id is None else str(statement.corrects_id),
        "period_key": statement.period_key,
        "total_cents": statement.total_cents,
        "line_count": statement.line_count,
        "item_count": statement.item_count,
        "digest": statement.digest,
        "parties": statement.parties,
        "terms": statement.terms,
    }


def _prefix(header: dict[str, Any]) -> str:
    """The issuer's prefix as its agreements have it, otherwise made from its own name."""
    for agreement in header["terms"]["agreements"].values():
        prefix = agreement["terms"].get("number_prefix")
        if prefix:
            return str(prefix)
    return str(header["parties"]["issuer"]["slug"]).upper()


def _lines(session: TenantSession, statement_id: UUID) -> list[dict[str, Any]]:
    """The lines of a statement as plain values, in order."""
    rows = session.execute(
        select(StatementLine)
        .where(
            StatementLine.tenant_id == scope_of(session).tenant_id,
            StatementLine.statement_id == statement_id,
        )
        .order_by(StatementLine.position)
    ).scalars()
    return [
        {
            "id": str(row.id),
            "position": row.position,
            "kind": row.kind,
            "service_period": row.service_period,
            "line_key": row.line_key,
            "label": row.label,
            "agreement_key": row.agreement_key,
            "basis": row.basis,
            "quantity": str(row.quantity),
            "price": None if row.price is None else str(row.price),
            "exact_amount": str(row.exact_amount),
            "amount_cents": row.amount_cents,
            "item_count": row.item_count,
        }
        for row in rows
    ]


def _send(
    session: TenantSession,
    header: dict[str, Any],
    payer_id: UUID,
    number: str,
    lines: list[dict[str, Any]],
    now: datetime,
) -> None:
    """Put the statement, its lines and its items into envelopes to the payer."""
    tenant_id = scope_of(session).tenant_id
    statement_id = UUID(header["id"])
    items, items_digest = _items_seal(session, statement_id)
    put(
        session,
        Envelope(
            tenant_id=payer_id,
            id=new_id(),
            from_tenant_id=tenant_id,
            kind="statement",
            subject_id=statement_id,
            payload={
                "statement": header,
                "number": number,
                "lines": lines,
                "items": [],
                "item_count": items,
                "items_digest": items_digest,
            },
            sent_at=now,
        ),
    )
    session.execute(
        _SEND_ITEMS,
        {
            "tenant": tenant_id,
            "payer": payer_id,
            "statement": statement_id,
            "size": ITEMS_AN_ENVELOPE,
            "now": now,
        },
    )
    mark_changed(session)


def _items_seal(session: TenantSession, statement_id: UUID) -> tuple[int, str]:
    row = session.execute(
        _ITEMS_SEAL, {"tenant": scope_of(session).tenant_id, "statement": statement_id}
    ).one()
    return row.items, row.digest


def _receive(session: TenantSession, statement_id: UUID, issuer_id: UUID, now: datetime) -> None:
    """Unpack a delivered statement as this payer's own rows and check that nothing was lost.

    :raises DeliveryDamaged: when count or digest of lines or items differ from what was sent.
    """
    scope = scope_of(session)
    payload = session.execute(
        select(Envelope.payload).where(
            Envelope.tenant_id == scope.tenant_id,
            Envelope.from_tenant_id == issuer_id,
            Envelope.kind == "statement",
            Envelope.subject_id == statement_id,
        )
    ).scalar_one()
    header, number = payload["statement"], payload["number"]
    lines = {UUID(line["id"]): _line_from(line) for line in payload["lines"]}
    put(
        session,
        Statement(
            tenant_id=scope.tenant_id,
            id=statement_id,
            public_id=header["public_id"],
            side="received",
            kind=header["kind"],
            counterparty_id=issuer_id,
            corrects_id=None if header["corrects_id"] is None else UUID(header["corrects_id"]),
            period_key=header["period_key"],
            total_cents=header["total_cents"],
            line_count=header["line_count"],
            item_count=header["item_count"],
            digest=header["digest"],
            parties=header["parties"],
            terms=header["terms"],
            created_at=now,
        ),
        *(
            line_row(scope.tenant_id, statement_id, line_id, line)
            for line_id, line in lines.items()
        ),
    )
    step(session, statement_id, 0, State.RECEIVED, now, number=number, by_person=False)
    parameters = {
        "tenant": scope.tenant_id,
        "issuer": issuer_id,
        "statement": statement_id,
        "now": now,
    }
    session.execute(_UNPACK_ITEMS, parameters)
    session.execute(_EMPTY_ENVELOPES, parameters)
    mark_changed(session)
    came = (
        total_cents(lines.values()),
        len(lines),
        content_digest(header["period_key"], list(lines.values())),
        *_items_seal(session, statement_id),
    )
    sent = (
        header["total_cents"],
        header["line_count"],
        header["digest"],
        payload["item_count"],
        payload["items_digest"],
    )
    if came != sent or payload["item_count"] != header["item_count"]:
        raise DeliveryDamaged(f"The payer's copy of {number} differs from what was sent.")


def _line_from(line: dict[str, Any]) -> Line:
    return Line(
        position=line["position"],
        kind=line["kind"],
        service_period=line["service_period"],
        line_key=line["line_key"],
        label=line["label"],
        agreement_key=line["agreement_key"],
        basis=line["basis"],
        quantity=Decimal(line["quantity"]),
        price=None if line["price"] is None else Decimal(line["price"]),
        exact_amount=Decimal(line["exact_amount"]),
        item_count=line["item_count"],
        cents=line["amount_cents"],
    )


def _post(
    session: TenantSession,
    header: dict[str, Any],
    lines: Sequence[dict[str, Any]],
    side: str,
    payer: Payer,
    issuer_id: UUID,
    periods: dict[UUID, str],
    number: str,
    now: datetime,
) -> None:
    legs = journal_legs([_line_from(line) for line in lines], side, payer, issuer_id)
    if not legs:
        return
    statement_id = UUID(header["id"])
    partners = payer.kind == "partner"
    entry = NewEntry(
        period_key=periods[scope_of(session).tenant_id],
        service_period=header["period_key"],
        memo=f"Statement {number}",
        source_key=f"statement:{statement_id}:{side}",
        legs=legs,
        source_id=statement_id,
        counterparty_id=(payer.id if side == "issued" else issuer_id) if partners else None,
        mirror_id=statement_id if partners else None,
    )
    post(session, entry, now=now)
