"""Who is calling: found by telephone number or name, with their consent, within the partner.

What is confidential of their history shows that it is there, and no more, to who is not cleared.
Nothing here looks at the clock or commits.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import or_, select

from regional311.audit.service import record
from regional311.database.locking import locked_kept
from regional311.database.session import TenantSession, scope_of
from regional311.errors import Conflict, InvalidInput, NotFound
from regional311.floor.watching import is_confidential
from regional311.intake.models import Contact, Inquirer, Need
from regional311.notices.phones import e164

MOST: Final = 10
"""People who are shown; more are too many to tell apart."""
HISTORY: Final = 60
SHORTEST_NAME: Final = 3


class NoConsent(InvalidInput):
    """Nobody is looked up without being asked first."""


class HasCaller(Conflict):
    """Something was filed for this contact already: who called is known by that."""


def asked_by(words: str) -> tuple[str, str]:
    """Tell a telephone number from a name: ("phone", its last ten digits) or ("name", the name).

    Raises `InvalidInput` for what is too short to be either.

    >>> asked_by("+1 (503) 823-4000"), asked_by("503-823-4000 ext. 12"), asked_by(" Rosa  LEE ")
    (('phone', '5038234000'), ('phone', '5038234000'), ('name', 'rosa lee'))
    """
    digits = re.sub(r"[^0-9]", "", words)
    letters = re.sub(r"[\W\d_]", "", words)
    if len(digits) >= 7 and len(letters) < 4:
        number = e164(words) or (digits if len(digits) >= 10 else None)
        if number is None:
            raise InvalidInput("Write the number with its area code.", field="q")
        return "phone", number[-10:]
    name = " ".join(words.split()).lower()
    if len(name) < SHORTEST_NAME:
        raise InvalidInput(
            "Write a telephone number, or at least three letters of the name.", field="q"
        )
    return "name", name[:200]


@dataclass(frozen=True, slots=True)
class Before:
    """A contact that somebody had before; nothing of what it says when it is confidential."""

    public_id: str
    started_at: datetime
    channel: str
    confidential: bool
    services: tuple[tuple[UUID, str], ...]


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who said who they are, and their contacts, the latest first."""

    id: UUID
    name: str | None
    phone: str | None
    email: str | None
    language: str
    contact_prohibited: bool
    contacts: tuple[Before, ...]


def find_callers(
    session: TenantSession,
    contact_id: UUID,
    words: str,
    *,
    consent: bool,
    secret: Collection[tuple[UUID, str]],
    now: datetime,
) -> list[Caller]:
    """Find who called before, and keep in the contact's trail that it was asked. Three statements.

    ``consent`` is that the person agreed to be looked up. Raises `NoConsent`, `InvalidInput`.
    """
    if not consent:
        raise NoConsent("Ask the person first whether you may look them up.", field="consent")
    by, key = asked_by(words)
    me = scope_of(session).tenant_id
    query = select(
        Inquirer.id,
        Inquirer.name,
        Inquirer.phone,
        Inquirer.email,
        Inquirer.language,
        Inquirer.contact_prohibited,
    ).where(
        Inquirer.tenant_id == me,
        Inquirer.erased_at.is_(None),
        or_(Inquirer.retain_until.is_(None), Inquirer.retain_until > now),
    )
    if by == "phone":
        query = query.where(Inquirer.phone_key == key)
    else:
        query = query.where(Inquirer.name_key >= key, Inquirer.name_key < f"{key}\U0010ffff")
    people = session.execute(query.order_by(Inquirer.id.desc()).limit(MOST)).all()
    past = _contacts_of(session, [each.id for each in people], secret)
    record(
        session,
        now=now,
        action="contact:lookup",
        subject_kind="contact",
        subject_id=contact_id,
        detail={"by": by, "found": len(people)},
    )
    return [
        Caller(
            each.id,
            each.name,
            each.phone,
            each.email,
            each.language,
            each.contact_prohibited,
            tuple(past.get(each.id, ())),
        )
        for each in people
    ]


def _contacts_of(
    session: TenantSession, people: list[UUID], secret: Collection[tuple[UUID, str]]
) -> dict[UUID, list[Before]]:
    if not people:
        return {}
    me = scope_of(session).tenant_id
    rows = session.execute(
        select(
            Contact.id,
            Contact.inquirer_id,
            Contact.public_id,
            Contact.started_at,
            Contact.channel,
            is_confidential(secret).label("confidential"),
        )
        .where(Contact.tenant_id == me, Contact.inquirer_id.in_(sorted(people)))
        .order_by(Contact.started_at.desc())
        .limit(HISTORY)
    ).all()
    needs: dict[UUID, list[tuple[UUID, str]]] = {}
    for need in session.execute(
        select(Need.contact_id, Need.service_owner_id, Need.service_key)
        .where(Need.tenant_id == me, Need.contact_id.in_(sorted(row.id for row in rows)))
        .order_by(Need.created_at, Need.id)
    ):
        needs.setdefault(need.contact_id, []).append((need.service_owner_id, need.service_key))
    found: dict[UUID, list[Before]] = {}
    for row in rows:
        found.setdefault(row.inquirer_id, []).append(
            Before(
                row.public_id,
                row.started_at,
                row.channel,
                row.confidential,
                tuple(needs.get(row.id, ())),
            )
        )
    return found


def say_who(
    session: TenantSession, contact_id: UUID, inquirer_id: UUID | None, *, now: datetime
) -> None:
    """Say that a caller is somebody who was found, or nobody of them.

    Raises `HasCaller` once something was filed, `NotFound` for somebody who is not there.
    """
    me = scope_of(session).tenant_id
    contact = locked_kept(session, Contact, contact_id, None, {}, "contact")
    filed = session.execute(
        select(Need.id).where(Need.tenant_id == me, Need.contact_id == contact_id).limit(1)
    ).first()
    if filed is not None or contact.ended_at is not None:
        raise HasCaller("Something was filed for this contact already.")
    if inquirer_id is not None:
        known = session.execute(
            select(Inquirer.id).where(
                Inquirer.tenant_id == me,
                Inquirer.id == inquirer_id,
                Inquirer.erased_at.is_(None),
            )
        ).one_or_none()
        if known is None:
            raise NotFound("There is no such person.")
    contact.inquirer_id = inquirer_id
    session.flush()
    record(
        session,
        now=now,
        action="contact:caller",
        subject_kind="contact",
        subject_id=contact_id,
        detail={"known": inquirer_id is not None},
    )


def details_of(session: TenantSession, inquirer_id: UUID | None) -> dict[str, object]:
    """Give what a form can begin with of somebody who was found. One statement, none for nobody."""
    if inquirer_id is None:
        return {}
    names = ("name", "phone", "email", "safe_to_call", "may_leave_message", "contact_prohibited")
    row = session.execute(
        select(*(getattr(Inquirer, name) for name in names)).where(
            Inquirer.tenant_id == scope_of(session).tenant_id,
            Inquirer.id == inquirer_id,
            Inquirer.erased_at.is_(None),
        )
    ).one_or_none()
    return {} if row is None else {name: getattr(row, name) for name in names}
