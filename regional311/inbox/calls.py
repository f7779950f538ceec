"""Calls as a telephone system tells of them: what rings, who took it, what nobody answered.

The system's own id of a call makes each event count once, in whatever order they come. The owner of
the line has a row of each call; where others answer it, or are lent to answer it, each of them has
one of its own, and whoever takes the call takes it off all other desks. Nothing here looks at the
clock or commits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, or_, select, text, update

from regional311.audit.service import record
from regional311.database.ids import new_id
from regional311.database.locking import locked
from regional311.database.rows import new_row, put, send
from regional311.database.session import TenantSession, acting_for, mark_changed, scope_of
from regional311.errors import Conflict, NotFound
from regional311.inbox.models import Call
from regional311.intake.service import Started

EVENTS: Final = ("ringing", "answered", "ended")
LISTED_FOR: Final = timedelta(days=7)
"""How long a missed call is listed to be called back."""
RINGS_FOR: Final = timedelta(minutes=30)
"""A call of which nothing more is heard does not ring for ever."""
MOST: Final = 50
HERE: Final = "here"
BESIDE: Final = "beside"
LENT: Final = "lent"
ELSEWHERE: Final = "elsewhere"


class CallGone(Conflict):
    """The call was taken by somebody, or the caller has hung up."""


@dataclass(frozen=True, slots=True)
class Desks:
    """Where a call rings: ``here``, with the line's owner, or with who answers for it; never both.

    It rings ``beside`` at the partners that an emergency puts on the line while it is open, and at
    those of whom somebody is ``lent`` to it. Whom nobody answered is called back by the first.
    """

    answers: UUID | None = None
    """Another partner that answers the line now; none: its owner does, or nobody."""
    beside: tuple[UUID, ...] = ()
    lent: tuple[UUID, ...] = ()

    def rings(self) -> dict[UUID, str]:
        """How it rings at each of the others."""
        also = dict.fromkeys(self.lent, LENT) | dict.fromkeys(self.beside, BESIDE)
        return also | ({self.answers: HERE} if self.answers else {})


def announce(
    session: TenantSession,
    *,
    key: str,
    line_key: str,
    caller: str | None,
    event: str,
    now: datetime,
    desks: Desks = Desks(),
) -> bool:
    """Keep an event of a call; tell whether it was new. `caller` is E.164, or withheld.

    The session is the line's owner's. `desks` count with the first event: a call does not move on.
    """
    tenant_id = scope_of(session).tenant_id
    _alone(session, tenant_id, key)
    call = session.execute(
        select(Call).where(Call.tenant_id == tenant_id, Call.call_key == key).with_for_update()
    ).scalar_one_or_none()
    if call is None:
        first = {
            "line_key": line_key,
            "rang_at": now,
            "answered_at": now if event == "answered" else None,
            "ended_at": now if event == "ended" else None,
        }
        others = desks.rings()
        put(
            session,
            new_row(
                Call,
                tenant_id=tenant_id,
                id=new_id(),
                call_key=key,
                caller=None if desks.answers else caller,
                rings=ELSEWHERE if desks.answers else HERE,
                others=list(others),
                **first,
            ),
        )
        for other, rings in others.items():
            with acting_for(session, other):
                put(
                    session,
                    new_row(
                        Call,
                        tenant_id=other,
                        id=new_id(),
                        call_key=_key_elsewhere(tenant_id, key),
                        line_owner_id=tenant_id,
                        caller=caller,
                        rings=rings,
                        **first,
                    ),
                )
        return True
    column = {"answered": "answered_at", "ended": "ended_at"}.get(event)
    if column is None or getattr(call, column) is not None:
        return False
    setattr(call, column, now)
    session.flush()
    for other in call.others:
        with acting_for(session, other):
            values: dict[str, object] = {column: func.coalesce(getattr(Call, column), now)}
            _set(session, Call.call_key == _key_elsewhere(tenant_id, key), **values)
            if event == "ended":
                _set(
                    session,
                    Call.call_key == _key_elsewhere(tenant_id, key),
                    Call.rings != HERE,
                    Call.contact_id.is_(None),
                    rings=ELSEWHERE,
                    caller=None,
                )
    return True


def _alone(session: TenantSession, owner_id: UUID, key: str) -> None:
    """Let nobody else do anything with a call, at any partner, until the transaction ends."""
    session.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:what, 0))"),
        {"what": f"calls:{owner_id}:{key}"},
    )


def _key_elsewhere(owner_id: UUID, key: str) -> str:
    """The key of a call in rows of others: their own systems may use the same one."""
    return f"{owner_id}:{key}"


def _set(session: TenantSession, *conditions: ColumnElement[bool], **values: object) -> None:
    session.execute(
        update(Call)
        .where(Call.tenant_id == scope_of(session).tenant_id, *conditions)
        .values(**values)
        .execution_options(synchronize_session=False)
    )
    mark_changed(session)


def _take_off_other_desks(session: TenantSession, call_id: UUID) -> None:
    """Let a call ring at no other partner any more; the number of who called goes there, too."""
    me = scope_of(session).tenant_id
    mine = session.execute(
        select(Call.line_owner_id, Call.call_key).where(Call.tenant_id == me, Call.id == call_id)
    ).one_or_none()
    if mine is None:
        raise NotFound("There is no such call.")
    owner, key = me, mine.call_key
    if mine.line_owner_id is not None:
        owner, key = mine.line_owner_id, mine.call_key.partition(":")[2]
    _alone(session, owner, key)
    with acting_for(session, owner):
        others = session.execute(
            select(Call.others).where(Call.tenant_id == owner, Call.call_key == key)
        ).scalar_one()
    for each in {owner, *others} - {me}:
        with acting_for(session, each):
            theirs = key if each == owner else _key_elsewhere(owner, key)
            _set(session, Call.call_key == theirs, rings=ELSEWHERE, caller=None)


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
    _take_off_other_desks(session, call_id)
    call = locked(session, Call, call_id, None, {}, "call")
    if call.contact_id is not None or call.rings == ELSEWHERE:
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
    if (
        call.contact_id is not None
        or call.settled_at is not None
        or call.ended_at is None
        or call.rings != HERE
    ):
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
    line_owner_id: UUID | None
    rings: str

    @property
    def is_there(self) -> bool:
        """Whether the caller is still there."""
        return self.ended_at is None

    @property
    def over_at(self) -> datetime | None:
        """When the call that the contact is was over; nothing is known of one that we made."""
        return None if self.settled_at else self.ended_at


def open_calls(session: TenantSession, now: datetime) -> list[Heard]:
    """What rings, then what was missed lately, each the oldest first. One statement.

    What `rings` at those who are lent is for nobody else: the caller leaves it out for others.
    """
    rows = session.execute(
        select(*(getattr(Call, each.name) for each in fields(Heard)))
        .where(
            Call.tenant_id == scope_of(session).tenant_id,
            Call.contact_id.is_(None),
            Call.settled_at.is_(None),
            Call.rang_at > now - LISTED_FOR,
            or_(
                and_(Call.ended_at.is_not(None), Call.answered_at.is_(None), Call.rings == HERE),
                and_(
                    Call.ended_at.is_(None),
                    Call.rang_at > now - RINGS_FOR,
                    Call.rings != ELSEWHERE,
                ),
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
