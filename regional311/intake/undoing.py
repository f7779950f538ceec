"""Taking a change of a request back: it says again what it said before, and everybody hears so.

Only what nobody has touched since is taken back. Letters that wait for the time to undo are never
sent. The history keeps both, the change and that it was undone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select, update

from regional311.audit.service import record
from regional311.database.locking import locked
from regional311.database.rows import put, send
from regional311.database.session import TenantSession, acting_for, mark_changed, scope_of
from regional311.intake import lifecycle, links
from regional311.intake.models import FollowedRequest, ServiceRequest
from regional311.intake.needs import settle
from regional311.intake.service import NO_FOLLOWERS, Changed, tell_followers, update_row
from regional311.notices.models import OutboxMessage

_TIMES: Final = ("expected_at", "closed_at", "heard_at", "helped_at")
_IDS: Final = ("assignee_id", "merged_into_id")
_PLAIN: Final = (
    "state",
    "queue",
    "priority",
    "resolution",
    "public_message",
    "helped",
    "helped_words",
)


def as_it_was(request: Any) -> dict[str, Any]:
    """Give what a change can touch of a request, as plain values."""
    return {
        **{name: getattr(request, name) for name in _PLAIN},
        **{name: _text(getattr(request, name)) for name in (*_TIMES, *_IDS)},
    }


def put_back(
    session: TenantSession,
    *,
    now: datetime,
    request_id: UUID,
    version: int,
    before: Mapping[str, Any],
    changed_at: datetime,
) -> Changed:
    """Put a request back as it was before a change that left it at `version`.

    `changed_at` is when that was: letters of that moment that have not left are withdrawn. Raises
    `Stale` when somebody has changed it since.
    """
    request = locked(session, ServiceRequest, request_id, version, dict(before), "request")
    was = request.state
    for name in _PLAIN:
        setattr(request, name, before[name])
    for name in _TIMES:
        value = before[name]
        setattr(request, name, datetime.fromisoformat(value) if value else None)
    for name in _IDS:
        setattr(request, name, UUID(before[name]) if before[name] else None)
    request.updated_at = now
    session.flush()
    changed = Changed(request_id, request.version, request.state)
    intake_id, need_id = request.intake_tenant_id, request.need_id
    record(
        session,
        now=now,
        action="request:undo",
        subject_kind="request",
        subject_id=request_id,
        detail={"from": was, "to": request.state},
    )
    _withdraw(session, request_id, changed_at)
    if was == request.state:
        return changed
    status = lifecycle.update_status(was, request.state, request.resolution)
    put(session, update_row(request, now, status, None))
    if request.linked:
        links.tell_linked(session, request, now=now)
    tell_followers(session, request, now, None, replace(NO_FOLLOWERS, silent=True))
    if need_id is not None and was in lifecycle.CLOSED:
        settle(session, need_id)
    if intake_id != scope_of(session).tenant_id:
        with acting_for(session, intake_id):
            _withdraw(session, request_id, changed_at)
            theirs = session.execute(
                select(FollowedRequest.need_id).where(
                    FollowedRequest.tenant_id == intake_id, FollowedRequest.id == request_id
                )
            ).scalar_one_or_none()
            if theirs is not None and was in lifecycle.CLOSED:
                settle(session, theirs)
    return changed


def _withdraw(session: TenantSession, request_id: UUID, written_at: datetime) -> None:
    """Withdraw the letters about a request that were written at a moment and have not left."""
    send(session)
    session.execute(
        update(OutboxMessage)
        .where(
            OutboxMessage.tenant_id == scope_of(session).tenant_id,
            OutboxMessage.subject_id == request_id,
            OutboxMessage.created_at == written_at,
            OutboxMessage.state == "pending",
        )
        .values(state="withdrawn", recipient="", heading="", body="")
        .execution_options(synchronize_session=False)
    )
    mark_changed(session)


def _text(value: Any) -> str | None:
    if value is None:
        return None
    return value.isoformat() if isinstance(value, datetime) else str(value)
