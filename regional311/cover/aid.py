"""Mutual aid: a partner lends specialists to another's lines for the time of an emergency.

A row on each side with the same id, written in one transaction. The lender offers, the borrower
accepts; only real emergencies and only their time. The one who takes contacts stays in their own
partner: a contact on a lent line is that partner's work, on the borrower's line.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, update

from regional311.audit.service import record
from regional311.cover.duty import end_lent, over_at
from regional311.cover.models import Aid, Emergency
from regional311.database.ids import new_id
from regional311.database.rows import new_row, put, send
from regional311.database.session import TenantSession, acting_for, mark_changed, scope_of
from regional311.errors import Conflict, Forbidden, InvalidInput, NotFound

OPEN = ("offered", "accepted")


class AidOver(Conflict):
    """The help was answered or has ended already."""


def offer(
    session: TenantSession,
    *,
    emergency_id: UUID,
    to: UUID,
    people: Sequence[dict[str, Any]],
    lines: Sequence[str],
    note: str | None,
    now: datetime,
) -> UUID:
    """Offer people (``id``, ``name``, ``languages``) to another partner's lines.

    :raises InvalidInput: naming the field: emergency, to, people, lines.
    """
    scope = scope_of(session)
    row = session.execute(
        select(Emergency.drill, Emergency.ended_at, Emergency.ends_at).where(
            Emergency.id == emergency_id
        )
    ).one_or_none()
    if row is None or row.drill or row.ended_at is not None or row.ends_at <= now:
        raise InvalidInput("Help is lent in an emergency that is on.", field="emergency")
    if to == scope.tenant_id:
        raise InvalidInput("Choose another partner.", field="to")
    if not people:
        raise InvalidInput("Name at least one person.", field="people")
    if not lines:
        raise InvalidInput("Name at least one line.", field="lines")
    aid_id = new_id()
    values = {
        "id": aid_id,
        "emergency_id": emergency_id,
        "lender_id": scope.tenant_id,
        "borrower_id": to,
        "people": [dict(each) for each in people],
        "lines": list(lines),
        "note": (note or "").strip()[:500] or None,
        "state": "offered",
        "offered_at": now,
        "offered_by": scope.person_id,
        "answered_at": None,
        "answered_by": None,
        "ended_at": None,
    }
    put(session, new_row(Aid, tenant_id=scope.tenant_id, **values))
    _trail(session, aid_id, "offer", now, people=len(people))
    with acting_for(session, to):
        put(session, new_row(Aid, tenant_id=to, **values))
        _trail(session, aid_id, "offer", now, people=len(people))
    return aid_id


def answer(session: TenantSession, aid_id: UUID, *, accept: bool, now: datetime) -> None:
    """Accept or decline help that was offered to the bound partner; the first answer counts.

    :raises AidOver: when it was answered or withdrawn.
    """
    row = _locked(session, aid_id)
    if row.borrower_id != scope_of(session).tenant_id:
        raise Forbidden("Only the partner that was offered help answers.")
    if row.state != "offered":
        raise AidOver("This offer was answered or withdrawn already.")
    if accept and _over_at(session, row) <= now:
        raise AidOver("The emergency is over.")
    state = "accepted" if accept else "declined"
    _both(session, row, now, {"state": state, "answered_at": now, "answered_by": _me(session)})


def finish(session: TenantSession, aid_id: UUID, *, now: datetime) -> None:
    """End help from either side: withdrawn before it was accepted, ended after.

    Duties done for it end, and what they lent is metered on the lender's local day. Help ends with
    its emergency, whenever somebody notices: nothing after that was lent.

    :raises AidOver: when it is over.
    """
    row = _locked(session, aid_id)
    if row.state not in OPEN:
        raise AidOver("This help is over already.")
    state = "ended" if row.state == "accepted" else "withdrawn"
    at = max(min(now, _over_at(session, row)), row.answered_at or row.offered_at)
    _both(session, row, now, {"state": state, "ended_at": at})
    with acting_for(session, row.lender_id):
        end_lent(session, aid_id, at=at, now=now)


def _over_at(session: TenantSession, row: Any) -> datetime:
    return over_at(
        session.execute(
            select(Emergency.ended_at, Emergency.ends_at).where(Emergency.id == row.emergency_id)
        ).one()
    )


def end_with_emergencies(session: TenantSession, now: datetime) -> int:
    """End the help that the bound partner lends where the emergency is over; for the worker."""
    due = (
        session.execute(
            select(Aid.id)
            .join(Emergency, Emergency.id == Aid.emergency_id)
            .where(
                Aid.tenant_id == scope_of(session).tenant_id,
                Aid.lender_id == Aid.tenant_id,
                Aid.state.in_(OPEN),
                (Emergency.ended_at.is_not(None)) | (Emergency.ends_at <= now),
            )
            .order_by(Aid.id)
            .with_for_update(of=Aid, skip_locked=True)
        )
        .scalars()
        .all()
    )
    for aid_id in due:
        finish(session, aid_id, now=now)
    return len(due)


def _me(session: TenantSession) -> UUID | None:
    return scope_of(session).person_id


def _locked(session: TenantSession, aid_id: UUID) -> Any:
    """The row of the lender, locked: both sides meet there, whoever acts."""
    mine = session.execute(
        select(Aid.lender_id).where(Aid.tenant_id == scope_of(session).tenant_id, Aid.id == aid_id)
    ).one_or_none()
    if mine is None:
        raise NotFound("There is no such help.")
    with acting_for(session, mine.lender_id):
        return session.execute(
            select(Aid.__table__)
            .where(Aid.tenant_id == mine.lender_id, Aid.id == aid_id)
            .with_for_update()
        ).one()


def _both(session: TenantSession, row: Any, now: datetime, values: dict[str, Any]) -> None:
    for tenant_id in (row.lender_id, row.borrower_id):
        with acting_for(session, tenant_id):
            send(session)
            session.execute(
                update(Aid).where(Aid.tenant_id == tenant_id, Aid.id == row.id).values(**values),
                execution_options={"synchronize_session": False},
            )
            mark_changed(session)
            _trail(session, row.id, values["state"], now)


def _trail(session: TenantSession, aid_id: UUID, what: str, now: datetime, **detail: Any) -> None:
    record(
        session,
        now=now,
        action=f"aid:{what}",
        subject_kind="aid",
        subject_id=aid_id,
        detail=detail,
    )
