"""The billing of a month, quarter or fiscal year for the whole region, partner by partner."""

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
PAGE = 500
Progress = Callable[[str, str], None]
"""Called with a partner's slug and what is done for it next."""


class UnknownStep(InvalidInput):
    """Billing can go as far as draft, in_review, approved or issued."""


@dataclass(frozen=True, slots=True)
class Billed:
    """A bill of the period as it stands after billing."""

    statement_id: UUID
    public_id: str
    issuer_id: UUID
    payer_id: UUID
    payer_kind: str
    payer_key: str | None
    state: str
    number: str | None
    total_cents: int
    line_count: int
    item_count: int

    def payer(self, slugs: Mapping[UUID, str]) -> str:
        """The payer by name: `county`, `city/parks` for a bureau, `outside/power` for others."""
        if self.payer_kind == "partner":
            return slugs[self.payer_id]
        above = "outside" if self.payer_kind == "outside" else slugs[self.issuer_id]
        return f"{above}/{self.payer_key}"


def bill_month(
    engine: Engine,
    tenants: Mapping[str, UUID],
    period: Period,
    *,
    preparer: Mapping[UUID, UUID | None],
    approver: Mapping[UUID, UUID],
    until: str = "issued",
    now: datetime,
    stored_before: datetime | None = None,
    progress: Progress | None = None,
) -> list[Billed]:
    """Rate and bill a period for every partner (slug to id), as far as `until`.

    `preparer` and `approver` name the two acting people of each partner; None prepares as the
    system, and a partner that is not among the preparers is passed over. Every statement is issued
    in a transaction of its own. Once a partner has issued anything for the period, it is not rated
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
            if not _in_state(session, period, State.ISSUED):
                run = run_rating(session, period=period, now=now, stored_before=stored_before)
                billing.draft_statements(session, run.id, now=now)
        if progress is not None and len(steps) > 1:
            progress(slug, until)
        if "in_review" in steps:
            with session_scope(engine, prepares) as session:
                for statement_id in _in_state(session, period, State.DRAFT):
                    billing.submit(session, statement_id, now=now)
        if "approved" in steps:
            with session_scope(engine, approves) as session:
                for statement_id in _in_state(session, period, State.IN_REVIEW):
                    billing.approve(session, statement_id, now=now)
        if "issued" in steps:
            with session_scope(engine, prepares) as session:
                ready = _in_state(session, period, State.APPROVED)
            for statement_id in ready:
                with session_scope(engine, prepares) as session:
                    billing.issue(session, statement_id, now=now)
    return billed(engine, tenants, period)


def billed(engine: Engine, tenants: Mapping[str, UUID], period: Period) -> list[Billed]:
    """The bills of a period that are not void, by issuer and number."""
    states = [State.ISSUED.value, *(state.value for state in OPEN)]
    found = []
    for _, tenant_id in sorted(tenants.items()):
        with session_scope(engine, Scope(tenant_id)) as session:
            rows = _bills(session, period, states)
            found += [
                Billed(
                    statement_id=row.id,
                    public_id=row.public_id,
                    issuer_id=tenant_id,
                    payer_id=row.counterparty_id,
                    payer_kind=row.payer_kind,
                    payer_key=row.payer_key,
                    state=row.state,
                    number=row.number,
                    total_cents=row.total_cents,
                    line_count=row.line_count,
                    item_count=row.item_count,
                )
                for row in sorted(rows, key=lambda row: (row.number or "", row.id))
            ]
    return found


def _in_state(session: TenantSession, period: Period, state: State) -> list[UUID]:
    return sorted(row.id for row in _bills(session, period, [state.value]))


def _bills(session: TenantSession, period: Period, states: list[str]) -> list[queries.StatementRow]:
    """All bills of a period in these states, page by page."""
    found: list[queries.StatementRow] = []
    while True:
        page = queries.statements(
            session,
            side="issued",
            period_key=period.label,
            states=states,
            kind="bill",
            before=found[-1].id if found else None,
            limit=PAGE,
        )
        found += page
        if len(page) < PAGE:
            return found
