"""Large changes of rates that were approved: taken over by the worker, all of them or none.

Twenty thousand rates take longer to write than anybody waits for a page, so approving them only
keeps the approval. The worker writes them in one transaction and tells meanwhile how far it is.
Where they no longer fit what is known the change waits as proposed again, and whoever approved it
is told why.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import structlog
from sqlalchemy import Engine, Row, Update, or_, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from regional311.audit.service import record
from regional311.chargeback.models import RateApproval, RateProposal
from regional311.chargeback.rate_changes import take_over
from regional311.database.rows import put
from regional311.database.session import (
    Scope,
    TenantSession,
    mark_changed,
    scope_of,
    session_scope,
)
from regional311.errors import DomainError
from regional311.identity.members import find_member
from regional311.notices.service import outbox_row

log = structlog.get_logger("regional311.rates")

PATIENCE: Final = timedelta(minutes=5)
"""A worker that said nothing for so long has died, and another one begins again."""
MOST_TAKES: Final = 3
"""So often an approval is begun; one at which every worker dies is not begun for ever."""
EVENT: Final = "rates_not_taken_over"
TOO_OFTEN: Final = (
    "Taking the prices over was begun three times and never came to an end. Approve it again, or"
    " tell an operator."
)
NOT_WRITTEN: Final = (
    "The prices could not be written. Tell an operator, who finds the reason in the log."
)
_TABLE: Final = RateApproval.__table__


@dataclass(slots=True)
class _Held:
    """An approval that this worker takes over, and what it last said of when it was at it."""

    approval: Row[Any]
    seen_at: datetime


class _Lost(Exception):
    """Another worker has the approval by now: this one was taken to have died."""


def latest_approval(session: TenantSession, proposal_id: UUID) -> Row[Any] | None:
    """How far the last approval of a large change is, or why it came to nothing. One statement."""
    return session.execute(
        select(_TABLE)
        .where(
            _TABLE.c.tenant_id == scope_of(session).tenant_id, _TABLE.c.proposal_id == proposal_id
        )
        .order_by(_TABLE.c.id.desc())
        .limit(1)
    ).one_or_none()


def work(engine: Engine, tenant_id: UUID, clock: Callable[[], datetime]) -> int:
    """Take over what a partner's people approved, the oldest first; return how many were ended.

    An errand of the worker. The prices, the state of their proposal and the end of the approval
    are written in one transaction, which a worker that was given up for dead cannot commit.
    """
    done = 0
    while (held := _take(engine, tenant_id, clock())) is not None:
        try:
            _take_over(engine, held, clock)
        except _Lost:
            log.info("rate_approval_lost", approval=str(held.approval.id))
        done += 1
    return done


def _take(engine: Engine, tenant_id: UUID, now: datetime) -> _Held | None:
    with session_scope(engine, Scope(tenant_id)) as session:
        due = session.execute(
            select(_TABLE)
            .where(
                _TABLE.c.tenant_id == tenant_id,
                _TABLE.c.ended_at.is_(None),
                or_(_TABLE.c.seen_at.is_(None), _TABLE.c.seen_at < now - PATIENCE),
            )
            .order_by(_TABLE.c.id)
            .limit(1)
            .with_for_update(skip_locked=True)
        ).one_or_none()
        if due is None:
            return None
        if due.begun < MOST_TAKES:
            session.execute(_change(due, done=0, begun=due.begun + 1, seen_at=now))
            mark_changed(session)
            return _Held(due, now)
        _give_up(session, due, TOO_OFTEN, now)
    return _take(engine, tenant_id, now)


def _take_over(engine: Engine, held: _Held, clock: Callable[[], datetime]) -> None:
    due = held.approval

    def progress(done: int) -> None:
        at = clock()
        with session_scope(engine, Scope(due.tenant_id)) as beside:
            _set(beside, held, done=done, seen_at=at)
        held.seen_at = at

    try:
        with session_scope(engine, Scope(due.tenant_id, due.approved_by)) as session:
            state = session.execute(
                select(RateProposal.state)
                .where(RateProposal.tenant_id == due.tenant_id, RateProposal.id == due.proposal_id)
                .with_for_update()
            ).scalar_one()
            if state != "approving":
                raise _Lost
            now = clock()
            take_over(session, due.proposal_id, now=now, progress=progress)
            _propose(session, due, state="approved")
            _record(session, due, now, "rate:take_over")
            _set(session, held, done=due.changes, ended_at=clock())
    except DomainError as error:
        _end(engine, held, error.message, clock())
    except DBAPIError as error:
        if not isinstance(error, IntegrityError):
            raise
        # a constraint that the checks before did not foresee would stop the worker for everybody
        log.warning("rates_not_written", approval=str(due.id), error=type(error.orig).__name__)
        _end(engine, held, NOT_WRITTEN, clock())


def _end(engine: Engine, held: _Held, problem: str, now: datetime) -> None:
    with session_scope(engine, Scope(held.approval.tenant_id)) as session:
        _set(session, held, seen_at=now)
        _give_up(session, held.approval, problem, now)


def _give_up(session: TenantSession, due: Row[Any], problem: str, now: datetime) -> None:
    """Let the change wait as proposed again, and tell whoever approved it."""
    session.execute(_change(due, done=0, ended_at=now, problem=problem))
    _propose(session, due, state="proposed", decided_by=None, decided_at=None)
    _record(session, due, now, "rate:fail_to_take_over")
    approver = find_member(session, due.approved_by)
    if approver is not None and approver.ended_at is None:
        told = outbox_row(
            due.tenant_id,
            event=EVENT,
            recipient=approver.email,
            language="en",
            now=now,
            subject_id=due.proposal_id,
            values={"count": f"{due.changes:,}", "problem": problem},
        )
        put(session, told)


def _propose(session: TenantSession, due: Row[Any], **values: Any) -> None:
    session.execute(
        update(RateProposal)
        .where(
            RateProposal.tenant_id == due.tenant_id,
            RateProposal.id == due.proposal_id,
            RateProposal.state == "approving",
        )
        .values(values)
        .execution_options(synchronize_session=False)
    )
    mark_changed(session)


def _record(session: TenantSession, due: Row[Any], now: datetime, action: str) -> None:
    record(
        session,
        now=now,
        action=action,
        subject_kind="rate_proposal",
        subject_id=due.proposal_id,
        detail={"rates": due.changes},
    )


def _set(session: TenantSession, held: _Held, **values: Any) -> None:
    """Write of an approval that this worker has still; all its transaction did goes with it.

    :raises _Lost: when another worker has it.
    """
    mine = RateApproval.ended_at.is_(None), RateApproval.seen_at == held.seen_at
    if session.execute(_change(held.approval, *mine, **values)).rowcount != 1:  # type: ignore[attr-defined]
        raise _Lost
    mark_changed(session)


def _change(due: Row[Any], *which: Any, **values: Any) -> Update:
    return (
        update(RateApproval)
        .where(RateApproval.tenant_id == due.tenant_id, RateApproval.id == due.id, *which)
        .values(values)
        .execution_options(synchronize_session=False)
    )
