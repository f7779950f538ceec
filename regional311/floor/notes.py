"""Internal notes on contacts, referrals and threads; and telling who is mentioned in one.

Notes on requests are `intake.service.add_note`'s. Nothing here looks at the clock or commits.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import exists, or_, select, update

from regional311.audit.service import record
from regional311.database.ids import new_id
from regional311.database.rows import new_row, put
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.errors import InvalidInput
from regional311.floor.models import InternalNote
from regional311.floor.telling import tell_person
from regional311.identity.models import Membership
from regional311.inbox.models import Thread
from regional311.intake.models import Contact
from regional311.notices.service import outbox_row
from regional311.referral.models import Referral

LONGEST: Final = 4000
SHOWN: Final = 100


@dataclass(frozen=True, slots=True)
class Note:
    """An internal note."""

    id: UUID
    author: str | None
    text: str
    at: datetime


def notes(session: TenantSession, subject_id: UUID) -> list[Note]:
    """Give the notes on a record, the latest first. One statement."""
    rows = session.execute(
        select(InternalNote.id, Membership.name, InternalNote.text, InternalNote.at)
        .outerjoin(
            Membership,
            (Membership.tenant_id == InternalNote.tenant_id)
            & (Membership.person_id == InternalNote.author_id),
        )
        .where(
            InternalNote.tenant_id == scope_of(session).tenant_id,
            InternalNote.subject_id == subject_id,
            InternalNote.text != "",
        )
        .order_by(InternalNote.id.desc())
        .limit(SHOWN)
    )
    return [Note(row.id, row.name, row.text, row.at) for row in rows]


def write_note(
    session: TenantSession, *, subject_kind: str, subject_id: UUID, text: str, now: datetime
) -> UUID:
    """Write an internal note on a contact, a referral or a thread. Raises `InvalidInput`."""
    words = text.strip()
    if not words or len(words) > LONGEST:
        raise InvalidInput(f"Write a note of at most {LONGEST} characters.", field="text")
    scope, note_id = scope_of(session), new_id()
    put(
        session,
        new_row(
            InternalNote,
            tenant_id=scope.tenant_id,
            id=note_id,
            subject_kind=subject_kind,
            subject_id=subject_id,
            author_id=scope.person_id,
            text=words,
            at=now,
        ),
    )
    record(
        session,
        now=now,
        action=f"{subject_kind}:note",
        subject_kind=subject_kind,
        subject_id=subject_id,
        detail={"note": str(note_id), "internal": True},
    )
    return note_id


def forget(session: TenantSession, now: datetime) -> int:
    """Empty notes on what was forgotten, or whose consent has ended; give how many."""
    tenant_id = scope_of(session).tenant_id
    subject = InternalNote.subject_id
    gone = (
        (Thread, Thread.erased_at <= now),
        (Contact, Contact.erased_at <= now),
        (Referral, or_(Referral.consent_ended_at <= now, Referral.erased_at <= now)),
    )
    done = session.execute(
        update(InternalNote)
        .where(
            InternalNote.tenant_id == tenant_id,
            InternalNote.text != "",
            or_(
                *(
                    exists().where(of.tenant_id == tenant_id, of.id == subject, condition)
                    for of, condition in gone
                )
            ),
        )
        .values(text="")
        .returning(InternalNote.id)
        .execution_options(synchronize_session=False)
    ).all()
    if done:
        mark_changed(session)
    return len(done)


@dataclass(frozen=True, slots=True)
class Mentioned:
    """Somebody who is mentioned, and where they get mail."""

    person_id: UUID
    email: str


def tell_mentioned(
    session: TenantSession,
    people: Iterable[Mentioned],
    *,
    subject_kind: str,
    subject_id: UUID,
    number: str,
    address: str,
    now: datetime,
) -> None:
    """Put it on everybody's list and send them a mail, which says the number and nothing else."""
    scope = scope_of(session)
    for each in people:
        if each.person_id == scope.person_id:
            continue
        tell_person(
            session,
            each.person_id,
            "mentioned",
            subject_kind=subject_kind,
            subject_id=subject_id,
            number=number,
            now=now,
        )
        put(
            session,
            outbox_row(
                scope.tenant_id,
                event="mentioned",
                recipient=each.email,
                language="en",
                now=now,
                subject_id=subject_id,
                values={"number": number, "address": address},
            ),
        )
