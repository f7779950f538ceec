"""A person stops notices, about one thing or all of a partner's, and starts them again.

Whoever holds the link in a message acts; nobody signs in. Nothing here commits or looks at the
clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from regional311.audit.service import record
from regional311.database.ids import new_id
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.notices.models import MailTrouble, NoticeStop, OutboxMessage


@dataclass(frozen=True, slots=True)
class Getting:
    """What somebody gets who holds the link in a message: about its subject, and at all."""

    message_id: UUID
    address: str
    heading: str
    language: str
    subject_id: UUID | None
    about: bool
    anything: bool


def getting(session: Session, message_id: UUID) -> Getting | None:
    """Give what the person gets to whom a message went; None: it was erased. Two statements."""
    tenant_id = scope_of(session).tenant_id
    row = session.execute(
        select(
            OutboxMessage.recipient,
            OutboxMessage.heading,
            OutboxMessage.language,
            OutboxMessage.subject_id,
        ).where(OutboxMessage.tenant_id == tenant_id, OutboxMessage.id == message_id)
    ).one_or_none()
    if row is None or not row.recipient:
        return None
    address = row.recipient.lower()
    stopped = set(
        session.scalars(
            select(NoticeStop.subject_id).where(
                NoticeStop.tenant_id == tenant_id,
                NoticeStop.address == address,
                or_(NoticeStop.subject_id.is_(None), NoticeStop.subject_id == row.subject_id),
                NoticeStop.stopped_at.is_not(None),
            )
        )
    )
    return Getting(
        message_id,
        address,
        row.heading,
        row.language,
        row.subject_id,
        about=row.subject_id is None or row.subject_id not in stopped,
        anything=None not in stopped,
    )


def change(
    session: TenantSession,
    got: Getting,
    *,
    everything: bool,
    stopped: bool,
    now: datetime,
    by: str = "page",
) -> None:
    """Stop notices or start them again, about the message's subject or all (`everything`).

    Twice is as good as once. `by` is how they said it: on the page, or by one press in their mail.
    """
    _keep(session, got.address, None if everything else got.subject_id, stopped=stopped, now=now)
    record(
        session,
        now=now,
        action="notices:stop" if stopped else "notices:start",
        subject_kind="message",
        subject_id=got.message_id,
        detail={"everything": everything, "by": by},
    )


def change_by_text(
    session: TenantSession, number: str, *, stopped: bool, thread_id: UUID, now: datetime
) -> None:
    """Stop all notices of a partner to a number, or start them again: STOP or START came from it.

    `thread_id` is where the text stands that said so. Twice is as good as once. Who starts them
    gets texts: what was known of the number is lifted.
    """
    _keep(session, number, None, stopped=stopped, now=now)
    if not stopped:
        session.execute(
            update(MailTrouble)
            .where(
                MailTrouble.tenant_id == scope_of(session).tenant_id,
                MailTrouble.address == number,
                MailTrouble.lifted_at.is_(None),
            )
            .values(lifted_at=now, lifted_by=None)
            .execution_options(synchronize_session=False)
        )
    record(
        session,
        now=now,
        action="notices:stop" if stopped else "notices:start",
        subject_kind="thread",
        subject_id=thread_id,
        detail={"everything": True, "by": "text"},
    )


def _keep(
    session: TenantSession, address: str, subject_id: UUID | None, *, stopped: bool, now: datetime
) -> None:
    at = now if stopped else None
    session.execute(
        insert(NoticeStop)
        .values(
            tenant_id=scope_of(session).tenant_id,
            id=new_id(),
            address=address,
            subject_id=subject_id,
            stopped_at=at,
            changed_at=now,
        )
        .on_conflict_do_update(
            index_elements=[NoticeStop.tenant_id, NoticeStop.address, NoticeStop.subject_id],
            set_={"stopped_at": at, "changed_at": now},
        )
    )
    mark_changed(session)
