"""A month's billing for the whole region, partner by partner."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Engine

from regional311.calendars import Period
from regional311.chargeback import billing, queries
from regional311.chargeback.rating import run_rating
from regional311.chargeback.statement import OPEN, State
from regional311.database.session import Scope, TenantSession, session_scope
from regional311.errors import InvalidInput

STEPS = ("draft", "in_review", "approved", "issued")
Progress = Callable[[str, str], None]
"""Called with a partner's slug and what is done for it next."""


class UnknownStep(InvalidInput):
    """Billing can go as far as draft, in_review, approved or issued."""


@dataclass(frozen=True, slots=True)
class Billed:
    """A statement of the month as it stands after billing."""

    statement_id: UUID
    public_id: str
    issuer_id: UUID
    payer_id: UUID
    state: str
    number: str | None
    total_cents: int
    line_count: int
    item_count: int


def bill_month(
    engine: Engine,
    tenants: Mapping[str, UUID],
    month: Period,
    *,
    preparer: Mapping[UUID, UUID | None],
    approver: Mapping[UUID, UUID],
    until: str = "issued",
    now: datetime,
    stored_before: datetime | None = None,
    progress: Progress | None = None,
) -> list[Billed]:
    """Rate and bill a month for every partner (slug to id), as far as `until`.

    `preparer` and `approver` name the two acting people of each partner; None prepares as the
    system, and a partner that is not among the preparers is passed over. Every statement is issued
    in a transaction of its own. Once a partner has issued anything for the month, it is not rated
    again and only what is still open goes on: billing that was interrupted continues, and billing
    twice changes nothing.
    """
    if until not in STEPS:
        raise UnknownStep(f"Billing goes until one of {', '.join(STEPS)}, not {until!r}.")
    steps = STEPS[: STEPS.index(until) + 1]
    for slug, tenant_id in sorted(tenants.items(), key=lambda item: item[1]):
        if tenant_id not in preparer:
            continue
        prepares = Scope(tenant_id, preparer[tenant_id])
        approves = Scope(tenant_id, approver.get(tenant_id))
        if progress is not None:
            progress(slug, "draft")
        with session_scope(engine, prepares) as session:
            if not _in_state(session, month, State.ISSUED):
                run = run_rating(session, period=month, now=now, stored_before=stored_before)
                billing.draft_statements(session, run.id, now=now)
        if progress is not None and len(steps) > 1:
            progress(slug, until)
        if "in_review" in steps:
            with session_scope(engine, prepares) as session:
                for statement_id in _in_state(session, month, State.DRAFT):
                    billing.submit(session, statement_id, now=now)
        if "approved" in steps:
            with session_scope(engine, approves) as session:
                for statement_id in _in_state(session, month, State.IN_REVIEW):
                    billing.approve(session, statement_id, now=now)
        if "issued" in steps:
            with session_scope(engine, prepares) as session:
                ready = _in_state(session, month, State.APPROVED)
            for statement_id in ready:
                with session_scope(engine, prepares) as session:
                    billing.issue(session, statement_id, now=now)
    return billed(engine, tenants, month)


def billed(engine: Engine, tenants: Mapping[str, UUID], month: Period) -> list[Billed]:
    """The statements of a month that are not void, by issuer and number."""
    states = [State.ISSUED.value, *(state.value for state in OPEN)]
    found = []
    for _, tenant_id in sorted(tenants.items()):
        with session_scope(engine, Scope(tenant_id)) as session:
            rows = queries.statements(
                session, side="issued", period_key=month.label, states=states, limit=1000
            )
            found += [
                Billed(
                    statement_id=row.id,
                    public_id=row.public_id,
                    issuer_id=tenant_id,
                    payer_id=row.counterparty_id,
                    state=row.state,
                    number=row.number,
                    total_cents=row.total_cents,
                    line_count=row.line_count,
                    item_count=row.item_count,
                )
                for row in sorted(rows, key=lambda row: (row.number or "", row.id))
            ]
    return found


def _in_state(session: TenantSession, month: Period, state: State) -> list[UUID]:
    rows = queries.statements(
        session, side="issued", period_key=month.label, states=[state.value], limit=1000
    )
    return sorted(row.id for row in rows)
