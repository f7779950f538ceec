"""Addresses, and numbers, at which messages do not arrive: none is sent until a person says so.

What is kept is the address, a code, a day and the message; nobody else's words. Nothing here
commits or looks at the clock.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import case, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from regional311.audit.service import record
from regional311.database.ids import new_id
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.errors import NotFound
from regional311.notices.models import MailTrouble, OutboxMessage
from regional311.notices.service import TO_PEOPLE

PAGE: Final = 50
TO_WHO_FILED: Final = tuple(sorted(e for e in TO_PEOPLE if not e.startswith("me_too")))
NOBODY: Final = re.compile(r"5\.(?:1\.[1236]|2\.1)\b")
"""Codes of RFC 3463 that say that nobody gets mail there; others are about the message or us."""


def note_trouble(
    session: Session,
    address: str,
    reason: str,
    *,
    message_id: UUID | None,
    lasting: bool,
    now: datetime,
) -> None:
    """Keep that mail did not arrive at an address: for good (`lasting`), or in passing.

    What passes is counted and stops nothing.
    """
    tenant_id = scope_of(session).tenant_id
    made = insert(MailTrouble).values(
        tenant_id=tenant_id,
        id=new_id(),
        address=address.lower(),
        passing=0 if lasting else 1,
        reason=reason,
        message_id=message_id,
        last_at=now,
        stopped_at=now if lasting else None,
    )
    values: dict[str, object] = {"reason": reason, "message_id": message_id, "last_at": now}
    if lasting:
        still = MailTrouble.stopped_at.is_not(None) & MailTrouble.lifted_at.is_(None)
        values |= {
            "stopped_at": case((still, MailTrouble.stopped_at), else_=now),
            "lifted_at": None,
            "lifted_by": None,
        }
    else:
        values |= {"passing": MailTrouble.passing + 1}
    session.execute(
        made.on_conflict_do_update(
            index_elements=[MailTrouble.tenant_id, MailTrouble.address], set_=values
        ),
        execution_options={"synchronize_session": False},
    )
    mark_changed(session)


def bounced(
    session: TenantSession, message_id: UUID, status: str, *, lasting: bool, now: datetime
) -> UUID | None:
    """Take a mail server's word that a message of ours did not arrive; give what it was about.

    One that left is dead for a lasting reason, for a person to see; a passing one is counted only.
    None: there is no such message, or its address was erased.
    """
    tenant_id = scope_of(session).tenant_id
    row = session.execute(
        select(OutboxMessage.recipient, OutboxMessage.subject_id)
        .where(
            OutboxMessage.tenant_id == tenant_id,
            OutboxMessage.id == message_id,
            OutboxMessage.channel == "email",
            OutboxMessage.state.in_(("sent", "dead")),
        )
        .with_for_update()
    ).one_or_none()
    if row is None or not row.recipient:
        return None
    gone = lasting and NOBODY.match(status) is not None
    note_trouble(session, row.recipient, status, message_id=message_id, lasting=gone, now=now)
    if lasting:
        session.execute(
            update(OutboxMessage)
            .where(OutboxMessage.tenant_id == tenant_id, OutboxMessage.id == message_id)
            .values(
                state="dead",
                bounced_at=now,
                died_at=now,
                last_error=f"It came back: nobody gets mail at this address ({status})."
                if gone
                else f"It came back ({status}).",
            )
            .execution_options(synchronize_session=False)
        )
    record(
        session,
        now=now,
        action="message:bounce",
        subject_kind="message",
        subject_id=message_id,
        detail={"status": status, "lasting": lasting},
    )
    subject_id: UUID | None = row.subject_id
    return subject_id


def lift(session: TenantSession, trouble_id: UUID, *, now: datetime) -> None:
    """Say that messages may be sent to an address again. Raises `NotFound`."""
    scope = scope_of(session)
    changed = session.execute(
        update(MailTrouble)
        .where(
            MailTrouble.tenant_id == scope.tenant_id,
            MailTrouble.id == trouble_id,
            MailTrouble.stopped_at.is_not(None),
            MailTrouble.lifted_at.is_(None),
        )
        .values(lifted_at=now, lifted_by=scope.person_id, passing=0)
        .returning(MailTrouble.id)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if changed is None:
        raise NotFound("Messages to that address are not stopped.")
    mark_changed(session)
    record(
        session,
        now=now,
        action="address:lift",
        subject_kind="address",
        subject_id=trouble_id,
    )


@dataclass(frozen=True, slots=True)
class Trouble:
    """An address at which mail did not arrive."""

    id: UUID
    address: str
    reason: str
    passing: int
    message_id: UUID | None
    last_at: datetime
    stopped_at: datetime | None
    lifted_at: datetime | None


def troubles(session: Session, *, stopped: bool | None = None) -> list[Trouble]:
    """Give the bound partner's addresses with trouble, the latest first. One statement."""
    query = (
        select(*(getattr(MailTrouble, each.name) for each in fields(Trouble)))
        .where(MailTrouble.tenant_id == scope_of(session).tenant_id)
        .order_by(MailTrouble.last_at.desc(), MailTrouble.id.desc())
        .limit(500)
    )
    is_stopped = MailTrouble.stopped_at.is_not(None) & MailTrouble.lifted_at.is_(None)
    if stopped is not None:
        query = query.where(is_stopped if stopped else ~is_stopped)
    return [Trouble(*row) for row in session.execute(query)]


def did_not_arrive(session: Session, subject_id: UUID) -> bool:
    """Whether what was written about something did not reach who filed it. One statement.

    Who said *me too* is somebody else.
    """
    tenant_id = scope_of(session).tenant_id
    latest = (
        select(OutboxMessage.state, MailTrouble.id)
        .outerjoin(
            MailTrouble,
            (MailTrouble.tenant_id == OutboxMessage.tenant_id)
            & (MailTrouble.address == func.lower(OutboxMessage.recipient))
            & MailTrouble.stopped_at.is_not(None)
            & MailTrouble.lifted_at.is_(None),
        )
        .where(
            OutboxMessage.tenant_id == tenant_id,
            OutboxMessage.subject_id == subject_id,
            OutboxMessage.event.in_(TO_WHO_FILED),
            or_(
                OutboxMessage.state == "dead",
                MailTrouble.id.is_not(None),
                (OutboxMessage.state == "withdrawn") & OutboxMessage.last_error.is_not(None),
            ),
        )
        .limit(1)
    )
    return session.execute(latest).first() is not None
