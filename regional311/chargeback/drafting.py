"""Drafts: one for each payer of a rating run, or for whatever lines a payer is to be billed.

A draft is frozen content: a line for each group of charges, for each share of a pool and for what
the terms add or take off, with the single pieces of work as leaves. A later run makes new drafts
and voids the earlier ones; what was issued stays for ever.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, text

from regional311.chargeback.collecting import (
    Dealings,
    billing_period,
    lines_of,
    read_dealings,
    read_run,
)
from regional311.chargeback.models import RatingRun, Statement, StatementLine
from regional311.chargeback.planning import joined_by_hash
from regional311.chargeback.series import lock_series
from regional311.chargeback.statement import (
    OPEN,
    Line,
    Payer,
    State,
    content_digest,
    total_cents,
)
from regional311.chargeback.steps import step
from regional311.database.ids import new_id, public_id
from regional311.database.rows import put
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.errors import Conflict


class AlreadyIssued(Conflict):
    """Everything that the run would bill was billed before; issued statements never change."""


class RunSuperseded(Conflict):
    """A later run of the period exists; only its charges can be billed."""


_STANDING = text("""
SELECT s.id, s.counterparty_id, s.payer_kind, s.payer_key, s.run_id, e.state, e.position
FROM statements s
CROSS JOIN LATERAL (
    SELECT state, position FROM statement_events
    WHERE tenant_id = s.tenant_id AND statement_id = s.id ORDER BY position DESC LIMIT 1
) e
WHERE s.tenant_id = :tenant AND s.side = 'issued' AND s.kind = 'bill' AND s.period_key = :period
ORDER BY s.id
""")

# The salt is thrown away after this: nobody can tell a contact from its reference, and the
# issuer's own rows still name it.
_ITEMS = text("""
INSERT INTO statement_items (tenant_id, id, line_id, usage_event_id, contact_id,
    contact_reference, occurred_at, activity, channel, language, after_hours, service_key,
    quantity, price, amount)
SELECT :tenant, uuidv7(), l.id, e.id, e.contact_id,
    'C-' || substr(encode(sha256(CAST(:salt AS bytea)
        || uuid_send(coalesce(e.contact_id, e.id))), 'hex'), 1, 20),
    e.occurred_at, e.activity, e.channel, e.language, e.after_hours, e.service_key, c.quantity,
    c.price, c.amount
FROM charges c
JOIN usage_events e ON e.tenant_id = c.tenant_id AND e.id = c.usage_event_id
    AND e.occurred_at >= :service_from AND e.occurred_at < :service_to
JOIN statements s ON s.tenant_id = c.tenant_id AND s.run_id = c.run_id
    AND s.counterparty_id = c.payer_id AND s.payer_kind = c.payer_kind
    AND coalesce(s.payer_key, '') = coalesce(c.payer_key, '') AND s.id = ANY(:drafts)
JOIN statement_lines l ON l.tenant_id = s.tenant_id AND l.statement_id = s.id
    AND l.line_key = c.line_key
WHERE c.tenant_id = :tenant AND c.run_id = :run AND c.state = 'rated'
""")


def draft_statements(session: TenantSession, run_id: UUID, *, now: datetime) -> list[UUID]:
    """Make a draft for each payer of a run and return their ids, in the order of the payers.

    Open bills of earlier runs of the period (draft, in review, approved) become void. A payer whose
    bill for the period was issued already is left out. Drafting the same run again gives its open
    bills and changes nothing.

    :raises NotFound: when this partner has no such run.
    :raises RunSuperseded: when the period was rated again later.
    :raises AlreadyIssued: when every payer's bill was issued already.
    :raises PoolMissing: when an agreement shares a pool without an amount for the year.
    :raises SharesDoNotSum: when the shares of a pool do not make 100 %.
    """
    scope = scope_of(session)
    lock_series(session)
    run = read_run(session, run_id)
    latest = session.execute(
        select(func.max(RatingRun.number)).where(
            RatingRun.tenant_id == scope.tenant_id, RatingRun.period_key == run.period_key
        )
    ).scalar_one()
    if run.number < latest:
        raise RunSuperseded(f"Run {run.number} of {run.period_key} was followed by run {latest}.")
    dealings = read_dealings(session, billing_period(run.period_key))
    standing = _standing(session, run, dealings)
    if open_already := [each.id for each in standing if each.run_id == run.id and each.open]:
        return open_already
    billed = {each.payer for each in standing if each.state == State.ISSUED}
    for each in standing:
        if each.open:
            reason = f"Superseded by rating run {run.number}"
            step(session, each.id, each.position, State.VOID, now, reason=reason)
    lines = lines_of(session, run, dealings, billed_before=billed)
    payers = [payer for payer in lines if payer not in billed]
    if lines and not payers:
        raise AlreadyIssued(f"All statements for {run.period_key} have been issued already.")
    about = _About(run.id, run.period_key, dealings, "bill", None)
    drafts = [_put_draft(session, about, payer, lines[payer], now) for payer in payers]
    parameters = {
        "tenant": scope.tenant_id,
        "run": run_id,
        "service_from": run.service_from,
        "service_to": run.service_to,
        "drafts": drafts,
        "salt": secrets.token_bytes(32),
    }
    with joined_by_hash(session):
        session.execute(_ITEMS, parameters)
    mark_changed(session)
    return drafts


def put_draft(
    session: TenantSession,
    run_id: UUID | None,
    payer: Payer,
    lines: Sequence[Line],
    *,
    kind: str = "bill",
    corrects_id: UUID | None = None,
    period_key: str | None = None,
    now: datetime,
) -> UUID:
    """Put a draft over these lines, numbered in their order, and return its id.

    `period_key` is that of the run unless there is none. Leaves are put by whoever has them; each
    line says in `item_count` how many it will have.

    :raises NotFound: when this partner has no such run.
    """
    lock_series(session)
    label = read_run(session, run_id).period_key if run_id is not None else period_key or ""
    dealings = read_dealings(session, billing_period(label))
    about = _About(run_id, label, dealings, kind, corrects_id)
    return _put_draft(session, about, payer, lines, now)


@dataclass(frozen=True, slots=True)
class _About:
    """What the drafts of one occasion have in common."""

    run_id: UUID | None
    period_key: str
    dealings: Dealings
    kind: str
    corrects_id: UUID | None


@dataclass(frozen=True, slots=True)
class _Standing:
    id: UUID
    payer: Payer
    run_id: UUID
    state: State
    position: int

    @property
    def open(self) -> bool:
        return self.state in OPEN


def _standing(session: TenantSession, run: RatingRun, dealings: Dealings) -> list[_Standing]:
    """Every bill of the run's period, in the order of the payers."""
    rows = session.execute(_STANDING, {"tenant": run.tenant_id, "period": run.period_key})
    found = [
        _Standing(
            row.id,
            Payer(row.counterparty_id, row.payer_kind, row.payer_key),
            row.run_id,
            State(row.state),
            row.position,
        )
        for row in rows
    ]
    return sorted(found, key=lambda each: dealings.order(each.payer))


def _put_draft(
    session: TenantSession,
    about: _About,
    payer: Payer,
    unnumbered: Sequence[Line],
    now: datetime,
) -> UUID:
    scope, dealings = scope_of(session), about.dealings
    lines = [replace(line, position=position) for position, line in enumerate(unnumbered, 1)]
    used = {line.agreement_key for line in lines}
    under = [each for key, each in sorted(dealings.agreements.items()) if key in used]
    due_days = [each.json["due_days"] for each in under if "due_days" in each.json]
    statement_id = new_id()
    put(
        session,
        Statement(
            tenant_id=scope.tenant_id,
            id=statement_id,
            public_id=public_id("S"),
            side="issued",
            kind=about.kind,
            counterparty_id=payer.id,
            payer_kind=payer.kind,
            payer_key=payer.key,
            corrects_id=about.corrects_id,
            period_key=about.period_key,
            run_id=about.run_id,
            total_cents=total_cents(lines),
            line_count=len(lines),
            item_count=sum(line.item_count for line in lines),
            digest=content_digest(about.period_key, lines),
            parties={
                "issuer": dealings.me.snapshot() | {"zone": dealings.zone},
                "payer": dealings.party(payer).snapshot(),
            },
            terms={
                "agreements": {
                    each.key: {"name": each.name, "version": each.version, "terms": each.json}
                    for each in under
                },
                "due_days": min(due_days, default=None),
            },
            prepared_by=scope.person_id,
            created_at=now,
        ),
        *(line_row(scope.tenant_id, statement_id, new_id(), line) for line in lines),
    )
    step(session, statement_id, 0, State.DRAFT, now)
    return statement_id


def line_row(tenant_id: UUID, statement_id: UUID, line_id: UUID, line: Line) -> StatementLine:
    """The row of a line, on either side."""
    return StatementLine(
        tenant_id=tenant_id,
        id=line_id,
        statement_id=statement_id,
        amount_cents=line.amount_cents,
        **_fields(line),
    )


def _fields(line: Line) -> dict[str, Any]:
    return {name: getattr(line, name) for name in Line.__dataclass_fields__ if name != "cents"}
