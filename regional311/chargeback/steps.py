"""The steps of a statement's life before it is issued: submit, approve, void."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from regional311.audit.service import record
from regional311.chargeback.models import Statement, StatementEvent
from regional311.chargeback.series import lock_series
from regional311.chargeback.statement import State, check_approver, check_move
from regional311.database.ids import new_id
from regional311.database.rows import put
from regional311.database.session import TenantSession, scope_of
from regional311.errors import NotFound

_VERBS = {
    State.DRAFT: "draft",
    State.IN_REVIEW: "submit",
    State.APPROVED: "approve",
    State.ISSUED: "issue",
    State.RECEIVED: "receive",
    State.VOID: "void",
}


def submit(session: TenantSession, statement_id: UUID, *, now: datetime) -> None:
    """Send a draft to review.

    :raises NotFound: when this partner issues no such statement.
    :raises MoveNotAllowed: when it is not a draft.
    """
    stands = current(session, statement_id)
    check_move(stands.state, State.IN_REVIEW)
    step(session, statement_id, stands.position, State.IN_REVIEW, now)


def approve(session: TenantSession, statement_id: UUID, *, now: datetime) -> None:
    """Approve a statement in review, as a person who neither prepared nor submitted it.

    :raises MoveNotAllowed: when it is not in review.
    :raises PreparerMayNotApprove: when the acting person prepared or submitted it.
    :raises ApproverUnknown: when nobody in particular acts.
    """
    stands = current(session, statement_id)
    check_move(stands.state, State.APPROVED)
    check_approver(scope_of(session).person_id, stands.involved)
    step(session, statement_id, stands.position, State.APPROVED, now)


def void(session: TenantSession, statement_id: UUID, *, reason: str, now: datetime) -> None:
    """Make a statement void before it is issued; a reason is given.

    :raises MoveNotAllowed: when it was issued or is void already.
    """
    stands = current(session, statement_id)
    check_move(stands.state, State.VOID)
    step(session, statement_id, stands.position, State.VOID, now, reason=reason)


@dataclass(frozen=True, slots=True)
class Current:
    """Where a statement stands, and after which step."""

    state: State
    position: int
    number: str | None
    involved: frozenset[UUID | None]
    """Who prepared and who submitted it."""


def current(session: TenantSession, statement_id: UUID) -> Current:
    """Where a statement that this partner issues stands, with the billing lock held."""
    scope = scope_of(session)
    lock_series(session)
    rows = session.execute(
        select(
            Statement.prepared_by,
            StatementEvent.state,
            StatementEvent.position,
            StatementEvent.number,
            StatementEvent.person_id,
        )
        .join(
            StatementEvent,
            (StatementEvent.tenant_id == Statement.tenant_id)
            & (StatementEvent.statement_id == Statement.id),
        )
        .where(
            Statement.tenant_id == scope.tenant_id,
            Statement.id == statement_id,
            Statement.side == "issued",
        )
        .order_by(StatementEvent.position)
    ).all()
    if not rows:
        raise NotFound("There is no such statement.")
    last = rows[-1]
    involved = {last.prepared_by}
    involved.update(row.person_id for row in rows if row.state == State.IN_REVIEW)
    return Current(State(last.state), last.position, last.number, frozenset(involved))


def step(
    session: TenantSession,
    statement_id: UUID,
    position: int,
    state: State,
    now: datetime,
    *,
    number: str | None = None,
    reason: str | None = None,
    by_person: bool = True,
) -> None:
    """Record a step of a statement's life after the one at `position`, and in the audit trail."""
    scope = scope_of(session)
    put(
        session,
        StatementEvent(
            tenant_id=scope.tenant_id,
            id=new_id(),
            statement_id=statement_id,
            position=position + 1,
            state=state.value,
            number=number,
            person_id=scope.person_id if by_person else None,
            reason=reason,
            at=now,
        ),
    )
    detail = {"state": state.value} | ({} if number is None else {"number": number})
    record(
        session,
        now=now,
        action=f"statement:{_VERBS[state]}",
        subject_kind="statement",
        subject_id=statement_id,
        detail=detail,
    )
