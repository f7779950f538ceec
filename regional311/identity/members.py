"""Who belongs to a partner, and with which roles: what its administrators may change.

A partner is never left without an administrator, and nobody takes that role from themselves.
Ending a membership ends the person's sessions, so that no browser keeps the old rights.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import any_, literal, select, text, union_all
from sqlalchemy.orm import Session

from regional311.audit.service import record
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.errors import Conflict, InvalidInput, NotFound, Stale
from regional311.identity.models import ApiClient, Membership
from regional311.identity.queries import Member
from regional311.identity.service import create_person, end_membership, grant

ADMINISTRATOR = "administrator"


class LastAdministrator(Conflict):
    """A partner would be left without anybody who can administer it."""


class OwnAdministration(Conflict):
    """Nobody takes the administrator's role from themselves, or ends their own membership."""


class AlreadyMember(Conflict):
    """The person is a member of this partner already."""


def find_member(session: Session, person_id: UUID) -> Member | None:
    """One member, also one who has left. One statement."""
    row = _row(session, person_id)
    if row is None:
        return None
    return Member(
        row.person_id, row.name, row.email, tuple(row.roles), row.ended_at, tuple(row.languages)
    )


def names_of(session: Session, person_ids: Iterable[UUID | None]) -> dict[UUID, str]:
    """The names of this partner's people and programs by id. One statement at most.

    Strangers are left out.
    """
    wanted = {each for each in person_ids if each is not None}
    if not wanted:
        return {}
    tenant_id, ids = scope_of(session).tenant_id, sorted(wanted)
    people = select(Membership.person_id, Membership.name).where(
        Membership.tenant_id == tenant_id, Membership.person_id.in_(ids)
    )
    programs = select(ApiClient.id, ApiClient.name).where(
        ApiClient.tenant_id == tenant_id, ApiClient.id.in_(ids)
    )
    return {row[0]: row[1] for row in session.execute(union_all(people, programs))}


def add_member(
    session: TenantSession, *, name: str, email: str, roles: Sequence[str], now: datetime
) -> UUID:
    """Make somebody a member of this partner, and return the person's id.

    Somebody who is known by that address keeps their sign-in; a new person cannot sign in until a
    password is set. Raises `AlreadyMember`, or `InvalidInput` without a role or an address.
    """
    _need_roles(roles)
    person_id = create_person(session, email=email, name=name, password=None, now=now)
    known = _row(session, person_id)
    if known is not None and known.ended_at is None:
        raise AlreadyMember("This person is a member already; change their roles.", field="email")
    grant(session, person_id=person_id, name=name, email=email, roles=roles)
    _note(session, now, "membership:grant", person_id, {"roles": sorted(roles)})
    return person_id


def change_roles(
    session: TenantSession,
    person_id: UUID,
    *,
    roles: Sequence[str],
    expected: Sequence[str],
    now: datetime,
) -> None:
    """Give a member exactly these roles; the next page that they open already obeys them.

    `expected` are the roles that the form showed. Raises `Stale` when they are others by now,
    `OwnAdministration`, `LastAdministrator`, or `NotFound` for somebody who is no member.
    """
    _need_roles(roles)
    row = _active(session, person_id)
    if sorted(row.roles) != sorted(expected):
        raise Stale(
            "Somebody else changed this person's roles.",
            current={"roles": ", ".join(sorted(row.roles))},
            submitted={"roles": ", ".join(sorted(roles))},
        )
    if ADMINISTRATOR in row.roles and ADMINISTRATOR not in roles:
        _keep_an_administrator(session, person_id)
    before = sorted(row.roles)
    grant(session, person_id=person_id, name=row.name, email=row.email, roles=roles)
    _note(
        session,
        now,
        "membership:change",
        person_id,
        {"before": before, "after": sorted(roles)},
    )


def remove_member(session: TenantSession, person_id: UUID, *, now: datetime) -> None:
    """End a membership; the person is signed out everywhere.

    Raises `OwnAdministration`, `LastAdministrator`, or `NotFound` for somebody who is no member.
    """
    row = _active(session, person_id)
    if person_id == scope_of(session).person_id:
        raise OwnAdministration("You cannot end your own membership; another administrator can.")
    if ADMINISTRATOR in row.roles:
        _keep_an_administrator(session, person_id)
    end_membership(session, person_id=person_id, now=now)
    session.execute(text("SELECT end_sessions_of(:person)"), {"person": person_id})
    mark_changed(session)
    _note(session, now, "membership:end", person_id, {})


def _keep_an_administrator(session: Session, person_id: UUID) -> None:
    if person_id == scope_of(session).person_id:
        raise OwnAdministration(
            "You cannot give up your own administrator role; another administrator can end it.",
            field="roles",
        )
    others = session.scalars(
        select(Membership.person_id)
        .where(
            Membership.tenant_id == scope_of(session).tenant_id,
            Membership.ended_at.is_(None),
            literal(ADMINISTRATOR) == any_(Membership.roles),
            Membership.person_id != person_id,
        )
        .with_for_update()
    ).all()
    if not others:
        raise LastAdministrator(
            "This is the last administrator; make somebody else one first.", field="roles"
        )


def _need_roles(roles: Sequence[str]) -> None:
    if not roles:
        raise InvalidInput(
            "Choose at least one role, or end the membership instead.", field="roles"
        )


def _row(session: Session, person_id: UUID) -> Membership | None:
    return session.scalar(
        select(Membership).where(
            Membership.tenant_id == scope_of(session).tenant_id,
            Membership.person_id == person_id,
        )
    )


def _active(session: Session, person_id: UUID) -> Membership:
    row = session.scalar(
        select(Membership)
        .where(
            Membership.tenant_id == scope_of(session).tenant_id,
            Membership.person_id == person_id,
            Membership.ended_at.is_(None),
        )
        .with_for_update()
    )
    if row is None:
        raise NotFound("There is no such member of this partner.")
    return row


def _note(
    session: TenantSession, now: datetime, action: str, person_id: UUID, detail: dict[str, object]
) -> None:
    record(
        session,
        now=now,
        action=action,
        subject_kind="person",
        subject_id=person_id,
        detail=detail,
    )
