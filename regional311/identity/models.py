"""People, sign-in sessions and memberships: what is known before a tenant is.

The application's role has no rights on people, sessions, attempts and tracking tokens: it reaches
them through the SQL functions of the migration, each an exact look-up (`identity_of_session`,
`sign_in_candidate`, `tracked`) or a single change. Memberships belong to a tenant.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from regional311.database.base import IDENTITY, TENANT, Base, TenantId


class Person(Base):
    """Somebody who signs in."""

    __tablename__ = "people"
    __table_args__ = (
        Index("uq_people_email", "email", unique=True),
        {"info": IDENTITY},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    email: Mapped[str]
    """Lower case."""
    name: Mapped[str]
    password_hash: Mapped[str | None]
    disabled_at: Mapped[datetime | None]
    created_at: Mapped[datetime]


class SignInSession(Base):
    """A signed-in browser; only the hash of its secret is stored."""

    __tablename__ = "sign_in_sessions"
    __table_args__ = (Index(None, "person_id"), {"info": IDENTITY})

    token_hash: Mapped[bytes] = mapped_column(primary_key=True)
    person_id: Mapped[UUID]
    csrf_token: Mapped[str]
    created_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]


class SignInAttempt(Base):
    """Failed sign-ins counted by a keyed digest of the address or the e-mail, in windows."""

    __tablename__ = "sign_in_attempts"
    __table_args__ = {"info": IDENTITY}

    digest: Mapped[bytes] = mapped_column(primary_key=True)
    window_at: Mapped[datetime] = mapped_column(primary_key=True)
    failures: Mapped[int]


class TrackingToken(Base):
    """The secret link by which a person follows a request: its hash, and where to look."""

    __tablename__ = "tracking_tokens"
    __table_args__ = {"info": IDENTITY}

    token_hash: Mapped[bytes] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID]
    request_id: Mapped[UUID]


class Membership(Base):
    """The roles of a person in a partner."""

    __tablename__ = "memberships"
    __table_args__ = (Index(None, "person_id"), {"info": TENANT})

    tenant_id: Mapped[TenantId]
    person_id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    """The person's name as this partner's staff know it."""
    email: Mapped[str]
    roles: Mapped[list[str]]
    ended_at: Mapped[datetime | None]
