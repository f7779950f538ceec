"""Who has what, changed from the floor: look along, take over, give, direct; and the wrap-up.

Whoever had it, and whoever has it now, is told. Nothing here looks at the clock or commits.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import func, select

from regional311.audit.models import AuditEvent
from regional311.audit.service import record
from regional311.database.locking import locked, locked_kept
from regional311.database.session import TenantSession, scope_of
from regional311.errors import InvalidInput
from regional311.floor.telling import tell_person
from regional311.inbox.models import Thread
from regional311.inbox.working import hand_on
from regional311.intake.front_desk import NotWaiting
from regional311.intake.models import Contact, Visit
from regional311.intake.service import ContactEnded

LOOK: Final = "contact:look"
GIVE: Final = "contact:give"
LOOKS_FOR: Final = timedelta(minutes=10)
"""For how long somebody who opened a colleague's contact counts as looking along."""


def look_along(session: TenantSession, found: Contact, *, now: datetime) -> bool:
    """Keep that somebody opened a colleague's open contact, once in a while; tell whether.

    The colleague is told. ``found`` is the contact's row.
    """
    scope = scope_of(session)
    if (
        found.ended_at is not None
        or found.specialist_id is None
        or found.specialist_id == scope.person_id
    ):
        return False
    last = session.execute(
        select(func.max(AuditEvent.at)).where(
            AuditEvent.tenant_id == scope.tenant_id,
            AuditEvent.subject_id == found.id,
            AuditEvent.action == LOOK,
            AuditEvent.person_id == scope.person_id,
        )
    ).scalar_one()
    if last is not None and now - last < LOOKS_FOR:
        return False
    record(session, now=now, action=LOOK, subject_kind="contact", subject_id=found.id)
    tell_person(
        session,
        found.specialist_id,
        "looked",
        subject_kind="contact",
        subject_id=found.id,
        number=found.public_id,
        now=now,
    )
    return True


def give_contact(
    session: TenantSession,
    contact_id: UUID,
    *,
    to: UUID,
    colleagues: Mapping[UUID, str],
    now: datetime,
) -> None:
    """Give an open contact to somebody, oneself included; what was written goes along.

    ``colleagues`` are those who may have it. Raises `InvalidInput`, `ContactEnded`, `NotFound`.
    """
    if to not in colleagues:
        raise InvalidInput("Choose one of those listed.", field="to")
    contact = locked_kept(session, Contact, contact_id, None, {}, "contact")
    if contact.ended_at is not None:
        raise ContactEnded("This contact has ended already.")
    before = contact.specialist_id
    if before == to:
        return
    contact.specialist_id = to
    number = contact.public_id
    session.flush()
    record(
        session,
        now=now,
        action=GIVE,
        subject_kind="contact",
        subject_id=contact_id,
        detail={"from": str(before) if before else None, "to": str(to)},
    )
    thread_id = session.execute(
        select(Thread.id).where(
            Thread.tenant_id == scope_of(session).tenant_id,
            Thread.contact_id == contact_id,
            Thread.state != "done",
        )
    ).scalar_one_or_none()
    if thread_id is not None:
        hand_on(session, thread_id, None, to=to, colleagues=dict(colleagues), now=now)
    for person, kind in ((before, "taken"), (to, "given")):
        if person is not None:
            tell_person(
                session,
                person,
                kind,
                subject_kind="contact",
                subject_id=contact_id,
                number=number,
                now=now,
            )


def say_gone(
    session: TenantSession, contact_id: UUID, version: int, *, gone: bool, now: datetime
) -> None:
    """Say that the person is gone and the wrap-up begins; or that they are still there."""
    contact = locked_kept(session, Contact, contact_id, version, {}, "contact")
    if contact.ended_at is not None:
        raise ContactEnded("This contact has ended already.")
    if (contact.gone_at is not None) == gone:
        return
    contact.gone_at = now if gone else None
    session.flush()
    record(
        session,
        now=now,
        action="contact:gone" if gone else "contact:still_there",
        subject_kind="contact",
        subject_id=contact_id,
    )


def direct_visit(
    session: TenantSession,
    visit_id: UUID,
    *,
    to: UUID | None,
    colleagues: Mapping[UUID, str],
    today: date,
    now: datetime,
) -> int:
    """Let somebody at the front desk wait for one colleague, or for anybody; give the number.

    Raises `InvalidInput`, `NotWaiting`, `NotFound`.
    """
    if to is not None and to not in colleagues:
        raise InvalidInput("Choose one of those listed.", field="for")
    visit = locked(session, Visit, visit_id, None, {}, "visit")
    if visit.state != "waiting" or visit.day != today:
        raise NotWaiting("This number was called or has left in the meantime.")
    if visit.for_id == to:
        return visit.number
    visit.for_id = to
    number = visit.number
    session.flush()
    record(
        session,
        now=now,
        action="visit:direct",
        subject_kind="visit",
        subject_id=visit_id,
        detail={"number": number, "to": str(to) if to else None},
    )
    if to is not None:
        tell_person(
            session,
            to,
            "given",
            subject_kind="visit",
            subject_id=visit_id,
            number=str(number),
            now=now,
        )
    return number
