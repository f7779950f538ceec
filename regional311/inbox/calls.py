"""Calls as a telephone system tells of them: what rings, who took it, what nobody answered.

The system's own id of a call makes each event count once, in whatever order they come. Nothing here
looks at the clock or commits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import and_, or_, select, text

from regional311.audit.service import record
from regional311.database.ids import new_id
from regional311.database.locking import locked
from regional311.database.rows import new_row, put, send
from regional311.database.session import TenantSession, scope_of
from regional311.errors import Conflict
from regional311.inbox.models import Call
from regional311.intake.service import Started

EVENTS: Final = ("ringing", "answered", "ended")
LISTED_FOR: Final = timedelta(days=7)
"""How long a missed call is listed to be called back."""
RINGS_FOR: Final = timedelta(minutes=30)
"""A call of which nothing more is heard does not ring for ever."""
MOST: Final = 50


class CallGone(Conflict):
    """The call was taken by somebody, or the caller has hung up."""


def announce(
    session: TenantSession,
    *,
    key: str,
    line_key: str,
    caller: str | None,
    event: str,
    now: datetime,
) -> bool:
    """Keep an event of a call; tell whether it was new. `caller` is E.164, or withheld."""
    tenant_id = scope_of(session).tenant_id
    session.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:what, 0))"),
        {"what": f"calls:{tenant_id}:{key}"},
    )
    call = session.execute(
        select(Call).where(Call.tenant_id == tenant_id, Call.call_key == key).with_for_update()
    ).scalar_one_or_none()
    if call is None:
        put(
            session,
            new_row(
                Call,
                tenant_id=tenant_id,
                id=new_id(),
                call_key=key,
                line_key=line_key,
                caller=caller,
                rang_at=now,
                answered_at=now if event == "answered" else None,
                ended_at=now if event == "ended" else None,
            ),
        )
        return True
    if event == "answered" and call.answered_at is None:
        call.answered_at = now
    elif event == "ended" and call.ended_at is None:
        call.ended_at = now
    else:
        return False
    session.flush()
    return True


def take(
    session: TenantSession,
    call_id: UUID,
    *,
    begin: Callable[[Call, int], Started],
    now: datetime,
) -> Started:
    """Open the contact of a call that rings: the wait is known. Raises `CallGone`, `NotFound`.

    `begin` starts the contact for a call and its seconds of waiting.
    """
    call = locked(session, Call, call_id, None, {}, "call")
    if call.contact_id is not None:
        raise CallGone("Somebody has taken this call already.")
    if call.ended_at is not None:
        raise CallGone("The caller has hung up.")
    until = call.answered_at or now
    started = begin(call, max(0, int((until - call.rang_at).total_seconds())))
    send(session)
    call.contact_id, call.answered_at = started.id, until
    session.flush()
    _note(session, call, "call:take", now)
    return started


def call_back(
    session: TenantSession,
    call_id: UUID,
    *,
    begin: Callable[[Call], Started] | None,
    now: datetime,
) -> Started | None:
    """Call back whom nobody answered, or (without `begin`) leave it at that. Raises `CallGone`."""
    call = locked(session, Call, call_id, None, {}, "call")
    if call.contact_id is not None or call.settled_at is not None or call.ended_at is None:
        raise CallGone("Somebody has called back already, or settled it.")
    started = None if begin is None else begin(call)
    send(session)
    call.contact_id = started.id if started else None
    call.settled_at, call.settled_by = now, scope_of(session).person_id
    session.flush()
    _note(session, call, "call:back" if begin else "call:settle", now)
    return started


@dataclass(frozen=True, slots=True)
class Heard:
    """A call that rings, or that nobody answered."""

    id: UUID
    line_key: str
    caller: str | None
    rang_at: datetime
    answered_at: datetime | None
    ended_at: datetime | None
    settled_at: datetime | None

    @property
    def rings(self) -> bool:
        """Whether the caller is still there."""
        return self.ended_at is None

    @property
    def over_at(self) -> datetime | None:
        """When the call that the contact is was over; nothing is known of one that we made."""
        return None if self.settled_at else self.ended_at


def open_calls(session: TenantSession, now: datetime) -> list[Heard]:
    """What rings, then what was missed lately, each the oldest first. One statement."""
    rows = session.execute(
        select(*(getattr(Call, each.name) for each in fields(Heard)))
        .where(
            Call.tenant_id == scope_of(session).tenant_id,
            Call.contact_id.is_(None),
            Call.settled_at.is_(None),
            Call.rang_at > now - LISTED_FOR,
            or_(
                and_(Call.ended_at.is_not(None), Call.answered_at.is_(None)),
                and_(Call.ended_at.is_(None), Call.rang_at > now - RINGS_FOR),
            ),
        )
        .order_by(Call.ended_at.is_not(None), Call.rang_at, Call.id)
        .limit(MOST)
    )
    return [Heard(*tuple(row)) for row in rows]


def of_contact(session: TenantSession, contact_id: UUID) -> Heard | None:
    """Give the call that a contact is. One statement."""
    row = session.execute(
        select(*(getattr(Call, each.name) for each in fields(Heard))).where(
            Call.tenant_id == scope_of(session).tenant_id, Call.contact_id == contact_id
        )
    ).one_or_none()
    return None if row is None else Heard(*tuple(row))


def _note(session: TenantSession, call: Call, action: str, now: datetime) -> None:
    record(session, now=now, action=action, subject_kind="call", subject_id=call.id)
