"""What a person does with messages that could not be sent: has them sent again, or sets them aside.

Nothing here commits or looks at the clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, exists, func, select, update
from sqlalchemy.orm import Session

from regional311.audit.service import record
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.notices.models import MailTrouble, OutboxMessage

AT_ONCE: Final = 1000
"""Messages that one press of a button touches."""


def send_again(session: TenantSession, ids: Sequence[UUID], *, now: datetime) -> int:
    """Put dead messages back, due now with a fresh count; give how many there were.

    Each is a sending of its own: whoever gets it does not take it for the one before. What would go
    where mail does not arrive stays as it is.
    """
    return _move(
        session,
        ids,
        ("dead", "aside"),
        "message:retry",
        now,
        {
            "state": "pending",
            "attempts": 0,
            "due_at": now,
            "leased_until": None,
            "delivered_at": None,
            "bounced_at": None,
            "died_at": None,
            "digest": False,
            "sendings": OutboxMessage.sendings + 1,
        },
        ~_stopped(),
    )


def nowhere(session: Session, message_id: UUID) -> bool:
    """Whether a message goes where none arrives: an address, or a number. One statement."""
    found = session.execute(
        select(OutboxMessage.id).where(
            OutboxMessage.tenant_id == scope_of(session).tenant_id,
            OutboxMessage.id == message_id,
            _stopped(),
        )
    )
    return found.first() is not None


def _stopped() -> ColumnElement[bool]:
    return exists().where(
        MailTrouble.tenant_id == OutboxMessage.tenant_id,
        MailTrouble.address == func.lower(OutboxMessage.recipient),
        MailTrouble.stopped_at.is_not(None),
        MailTrouble.lifted_at.is_(None),
    )


def set_aside(session: TenantSession, ids: Sequence[UUID], *, now: datetime) -> int:
    """Leave dead messages at that: nobody need look at them any more. Give how many there were."""
    return _move(session, ids, ("dead",), "message:aside", now, {"state": "aside"})


def bring_back(session: TenantSession, ids: Sequence[UUID], *, now: datetime) -> int:
    """Put what was set aside back among the dead ones; give how many there were."""
    return _move(session, ids, ("aside",), "message:bring_back", now, {"state": "dead"})


def _move(
    session: TenantSession,
    ids: Sequence[UUID],
    states: tuple[str, ...],
    action: str,
    now: datetime,
    values: dict[str, object],
    *conditions: ColumnElement[bool],
) -> int:
    moved = session.execute(
        update(OutboxMessage)
        .where(
            OutboxMessage.tenant_id == scope_of(session).tenant_id,
            OutboxMessage.id.in_(ids[:AT_ONCE]),
            OutboxMessage.state.in_(states),
            OutboxMessage.recipient != "",
            *conditions,
        )
        .values(values)
        .returning(OutboxMessage.id)
        .execution_options(synchronize_session=False)
    ).all()
    if moved:
        mark_changed(session)
    for row in moved:
        record(session, now=now, action=action, subject_kind="message", subject_id=row.id)
    return len(moved)


def dead(session: Session) -> int:
    """How many messages of the bound partner wait for a person to look at them. One statement."""
    return session.execute(
        select(func.count())
        .select_from(OutboxMessage)
        .where(
            OutboxMessage.tenant_id == scope_of(session).tenant_id, OutboxMessage.state == "dead"
        )
    ).scalar_one()
