"""Who is signed in, and where a tracking token leads: exact look-ups before a tenant is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection, select, text
from sqlalchemy.orm import Session

from regional311.database.ids import token_hash
from regional311.database.session import scope_of
from regional311.identity.models import Membership
from regional311.identity.permissions import Permissions, permissions_of

IDLE = timedelta(hours=2)
"""A session ends when nothing was asked for this long: a lunch break and a meeting, not a night."""
LONGEST = timedelta(hours=12)
"""A session ends after this in any case: one long shift."""

_IDENTITY = text(
    "SELECT person_id, name, csrf_token, memberships FROM identity_of_session(:token, :at, :idle)"
)
_MAY_SIGN_IN = text(
    "SELECT EXISTS (SELECT FROM sign_in_candidate(:email) WHERE person_id = :person)"
)
_TRACKED = text("SELECT tenant_id, request_id, me_too_id FROM tracked(:token)")


@dataclass(frozen=True)
class Identity:
    """A signed-in person with their roles in every partner they work for."""

    person_id: UUID
    name: str
    csrf_secret: str = field(repr=False)
    memberships: Mapping[UUID, frozenset[str]]

    def roles(self, tenant_id: UUID) -> frozenset[str]:
        """Return the roles in this partner; none for somebody who does not work there."""
        return self.memberships.get(tenant_id, frozenset())

    def permissions(self, tenant_id: UUID) -> frozenset[Permissions]:
        """Return what this person may do in this partner."""
        return permissions_of(self.roles(tenant_id))

    def cleared(self, tenant_id: UUID) -> bool:
        """Whether they may see what is confidential there: it is for who works on it."""
        return Permissions.REQUEST_WORK in self.permissions(tenant_id)


@dataclass(frozen=True)
class Tracked:
    """The request that a tracking token shows."""

    tenant_id: UUID
    request_id: UUID
    me_too_id: UUID | None = None
    """Who said *me too*, when the link is theirs."""


@dataclass(frozen=True)
class Member:
    """Somebody who works for a partner."""

    person_id: UUID
    name: str
    email: str
    roles: tuple[str, ...]
    ended_at: datetime | None
    languages: tuple[str, ...] = ()


def identity_of(connection: Connection, token: str, *, now: datetime) -> Identity | None:
    """Return who holds this session token, or None when it is unknown or over. One statement."""
    row = connection.execute(
        _IDENTITY, {"token": token_hash(token), "at": now, "idle": IDLE}
    ).one_or_none()
    if row is None:
        return None
    return Identity(
        person_id=UUID(str(row.person_id)),
        name=row.name,
        csrf_secret=row.csrf_token,
        memberships={
            UUID(tenant_id): frozenset(roles) for tenant_id, roles in row.memberships.items()
        },
    )


def may_sign_in(session: Session, *, person_id: UUID, email: str) -> bool:
    """Whether a person with this address has not been disabled. One statement."""
    found = session.execute(_MAY_SIGN_IN, {"email": email, "person": person_id})
    return bool(found.scalar_one())


def tracked(connection: Connection, token: str) -> Tracked | None:
    """Return what a tracking token shows, or None. One statement."""
    row = connection.execute(_TRACKED, {"token": token_hash(token)}).one_or_none()
    if row is None:
        return None
    return Tracked(
        tenant_id=UUID(str(row.tenant_id)),
        request_id=UUID(str(row.request_id)),
        me_too_id=UUID(str(row.me_too_id)) if row.me_too_id else None,
    )


def who_may(session: Session, *permissions: Permissions) -> list[Member]:
    """Return who works for the session's partner and may do one of these, by name. One statement.

    Those who left are not among them.
    """
    return [
        each
        for each in members(session)
        if each.ended_at is None and not permissions_of(each.roles).isdisjoint(permissions)
    ]


def members(session: Session) -> list[Member]:
    """Return who works for the session's partner, by name; those who left come last."""
    rows = session.execute(
        select(
            Membership.person_id,
            Membership.name,
            Membership.email,
            Membership.roles,
            Membership.ended_at,
            Membership.languages,
        )
        .where(Membership.tenant_id == scope_of(session).tenant_id)
        .order_by(Membership.ended_at.is_not(None), Membership.name, Membership.person_id)
    )
    return [Member(row[0], row[1], row[2], tuple(row[3]), row[4], tuple(row[5])) for row in rows]
