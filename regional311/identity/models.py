"""People, sign-in sessions and memberships: what is known before a tenant is.

The application's role has no rights on people, sessions, attempts and tracking tokens: it reaches
them through the SQL functions of the migration, each an exact look-up (`identity_of_session`,
`sign_in_candidate`, `tracked`) or a single change. Memberships belong to a tenant.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from regional311.database.base import IDENTITY, TENANT, Base, RowId, TenantId


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
    me_too_id: Mapped[UUID | None]
    """Set for the link of who said *me too*: it shows less, and can stop the news."""


class PersonCode(Base):
    """The digest of a person's code, and whose contact it opens; known before a tenant is."""

    __tablename__ = "person_codes"
    __table_args__ = {"info": IDENTITY}

    code_hash: Mapped[bytes] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID]
    contact_id: Mapped[UUID]


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
    languages: Mapped[list[str]] = mapped_column(default=list, server_default=text("'{}'"))
    """Languages that they speak with callers, as they or an administrator said."""
    ended_at: Mapped[datetime | None]


class ApiClient(Base):
    """A program that a partner lets use its interfaces; only the hash of its key is stored."""

    __tablename__ = "api_clients"
    __table_args__ = (
        UniqueConstraint("tenant_id", "key_hash"),
        UniqueConstraint("tenant_id", "name"),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    name: Mapped[str]
    key_hash: Mapped[bytes]
    key_end: Mapped[str]
    """The last four characters, by which people tell keys apart."""
    scopes: Mapped[list[str]]
    a_minute: Mapped[int]
    """Most calls a minute: of Open311 those that send something, of the JSON API all."""
    made_by: Mapped[UUID | None]
    made_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    minute_at: Mapped[datetime | None]
    minute_calls: Mapped[int] = mapped_column(default=0)
    """Calls counted in the minute that began then."""
    revoked_at: Mapped[datetime | None]
    before_hash: Mapped[bytes | None]
    """Of the key before this one, which is good until `before_until`."""
    before_until: Mapped[datetime | None]
    rotated_at: Mapped[datetime | None]
