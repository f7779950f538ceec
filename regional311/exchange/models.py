"""What crosses: envelopes between partners, and tasks to and from systems outside."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from regional311.database.base import (
    APPEND_ONLY,
    ENVELOPE,
    TENANT,
    Base,
    RowId,
    TenantId,
    tenant_reference,
)


class Envelope(Base):
    """A minimised message; `tenant_id` is the receiver, `from_tenant_id` the sender.

    The receiver reads and works it, the sender may only insert, under its own name. There are no
    server defaults, because a sender cannot read back what it has sent.
    """

    __tablename__ = "envelopes"
    __table_args__ = (
        Index(None, "tenant_id", "kind", "subject_id"),
        Index(
            "ix_envelopes_personal",
            "tenant_id",
            "sent_at",
            postgresql_where=text(
                "kind IN ('referral', 'request', 'request_status', 'referral_message')"
            ),
        ),
        {"info": ENVELOPE},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    from_tenant_id: Mapped[UUID]
    kind: Mapped[str]
    """referral, referral_answer, request, request_status, statement, suggestion, ..."""
    subject_id: Mapped[UUID]
    payload: Mapped[dict[str, Any]]
    consent_id: Mapped[UUID | None]
    sent_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    received_at: Mapped[datetime | None]


class ExternalSystem(Base):
    """The system in which a partner works itself: what happens here to its referrals goes there.

    `way`: `push` (each posts to the other), `they_poll` (it fetches and posts), `we_poll` (we fetch
    and post). A partner has one at a time; one that has ended stays for its history.
    """

    __tablename__ = "external_systems"
    __table_args__ = (
        CheckConstraint("way IN ('push', 'they_poll', 'we_poll')", name="way_known"),
        CheckConstraint("(way = 'they_poll') = (address IS NULL)", name="asked_has_address"),
        Index(
            "ix_external_systems_one",
            "tenant_id",
            unique=True,
            postgresql_where=text("ended_at IS NULL"),
        ),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    name: Mapped[str]
    way: Mapped[str]
    address: Mapped[str | None]
    """Where its FHIR interface begins, such as https://partner.example/city/fhir."""
    key_id: Mapped[str]
    sealed_secret: Mapped[str | None]
    """None while a connection that a file made waits for its secret: nothing goes or comes."""
    sealed_former: Mapped[str | None]
    """The secret before, good for what comes in until `former_until`."""
    former_until: Mapped[datetime | None]
    known_as: Mapped[str]
    """What this partner is called over there: who does the work of what we send."""
    services: Mapped[dict[str, Any]]
    """Our key of a service to theirs, where they differ."""
    made_by: Mapped[UUID | None]
    made_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    gathered_at: Mapped[datetime]
    """The latest moment given to a task: those given later are later, whatever the clocks say."""
    cursor: Mapped[datetime | None]
    """How far we have fetched from it."""
    polled_at: Mapped[datetime | None]
    told_at: Mapped[datetime | None]
    """When it last took something from us."""
    heard_at: Mapped[datetime | None]
    """When something signed by it last came in."""
    problem: Mapped[str | None]
    """Why the last attempt failed, in our own words."""


class ExchangeTask(Base):
    """A referral as the outside system knows it, and whether it knows the latest; `id` is its id.

    One row a referral, so that only what holds now is told, however often it changed. `state`:
    `waiting`, `told`, `dead` (given up: a person can see and retry it).
    """

    __tablename__ = "exchange_tasks"
    __table_args__ = (
        tenant_reference("external_systems", "system_id"),
        CheckConstraint("state IN ('waiting', 'told', 'dead')", name="state_known"),
        Index(
            "ix_exchange_tasks_due",
            "tenant_id",
            "due_at",
            postgresql_where=text("state = 'waiting'"),
        ),
        Index(None, "tenant_id", "system_id", "changed_at", "id"),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    system_id: Mapped[UUID]
    identifier_system: Mapped[str]
    identifier_value: Mapped[str]
    version: Mapped[int]
    """The version of our referral that is to be told."""
    told_version: Mapped[int] = mapped_column(default=0)
    changed_at: Mapped[datetime]
    state: Mapped[str]
    attempts: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[datetime]
    leased_until: Mapped[datetime | None]
    told_at: Mapped[datetime | None]
    problem: Mapped[str | None]
    heard_at: Mapped[datetime | None]
    """The moment of the latest change of theirs that was taken, on their clock."""


class ExchangeReceipt(Base):
    """A signed message that came and was taken; its nonce is never taken again."""

    __tablename__ = "exchange_receipts"
    __table_args__ = (
        UniqueConstraint("tenant_id", "system_id", "nonce"),
        tenant_reference("external_systems", "system_id"),
        Index(None, "tenant_id", "system_id", "at"),
        {"info": APPEND_ONLY},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    system_id: Mapped[UUID]
    nonce: Mapped[str]
    at: Mapped[datetime]
    what: Mapped[str]
    """`message`, `task`, `poll`; or `refused:<rule>` for what we fetched and could not take."""
    subject_id: Mapped[UUID | None]
