"""The outbox: what must be told after a commit, written in the same transaction."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from regional311.database.base import TENANT, Base, RowId, TenantId


class OutboxMessage(Base):
    """One message to one address, delivered at least once; its id is the message's id.

    `state`: pending, sent, dead (given up: a person sees it, has it sent again or sets it aside),
    aside (a dead one that somebody left at that), withdrawn (nobody should get it any more),
    gathered (it left with others in one letter of the day).
    """

    __tablename__ = "outbox_messages"
    __table_args__ = (
        CheckConstraint(
            "state IN ('pending', 'sent', 'dead', 'aside', 'withdrawn', 'gathered')",
            name="state_known",
        ),
        CheckConstraint("channel IN ('email', 'text', 'post', 'webhook')", name="channel_known"),
        Index(
            "ix_outbox_messages_due",
            "tenant_id",
            "due_at",
            postgresql_where=text("state = 'pending'"),
        ),
        Index(
            "ix_outbox_messages_dead", "tenant_id", "id", postgresql_where=text("state = 'dead'")
        ),
        Index(
            "ix_outbox_messages_subject",
            "tenant_id",
            "subject_id",
            "id",
            postgresql_where=text("subject_id IS NOT NULL"),
        ),
        Index(
            "ix_outbox_messages_cause",
            "tenant_id",
            "cause_id",
            postgresql_where=text("cause_id IS NOT NULL AND state = 'pending'"),
        ),
        Index(
            "ix_outbox_messages_posted",
            "tenant_id",
            "subject_id",
            postgresql_where=text("channel = 'post' AND state = 'pending'"),
        ),
        Index(
            "ix_outbox_messages_begins",
            "tenant_id",
            "begins_for",
            "begins_at",
            postgresql_where=text("begins_for IS NOT NULL"),
        ),
        Index(
            "ix_outbox_messages_texted",
            "tenant_id",
            "recipient",
            postgresql_where=text("channel = 'text' AND state = 'sent'"),
        ),
        Index(
            "ix_outbox_messages_kept",
            "tenant_id",
            "created_at",
            postgresql_where=text(
                "state IN ('sent', 'aside', 'withdrawn', 'gathered') AND recipient <> ''"
            ),
        ),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    event: Mapped[str]
    """What it tells of: request_received, request_closed, referral_sent, ..."""
    subject_id: Mapped[UUID | None]
    channel: Mapped[str] = mapped_column(default="email", server_default="email")
    """By what it leaves: email, text to a telephone, post (a person prints it), webhook."""
    recipient: Mapped[str]
    language: Mapped[str] = mapped_column(default="en")
    heading: Mapped[str]
    body: Mapped[str]
    headers: Mapped[dict[str, Any] | None]
    """Of an answer, how it is tied to what it answers, as `delivery.compose` reads it."""
    state: Mapped[str] = mapped_column(default="pending")
    attempts: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]
    due_at: Mapped[datetime]
    leased_until: Mapped[datetime | None]
    sent_at: Mapped[datetime | None]
    delivered_at: Mapped[datetime | None]
    """When a telephone company said that it arrived."""
    last_error: Mapped[str | None]
    sendings: Mapped[int] = mapped_column(default=1, server_default="1")
    """1, and one more each time that a person has it sent again; who gets it tells them apart."""
    sent_body: Mapped[str | None]
    """What left, word for word, where that was not exactly `body`."""
    bounced_at: Mapped[datetime | None]
    """When it was said that it did not arrive."""
    died_at: Mapped[datetime | None]
    """When it was given up."""
    cause_id: Mapped[UUID | None]
    """What it was written by that may yet be undone: a row of a change of many."""
    begins_for: Mapped[str | None]
    """Of the first message about its subject to an address: which mailbox, as a digest."""
    begins_at: Mapped[datetime | None]
    """When it left."""
    digest: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    """It waits for the letter of the day, in which it leaves with others."""


class NoticeStop(Base):
    """A person wants no notices: about one thing, or none at all (no subject)."""

    __tablename__ = "notice_stops"
    __table_args__ = (
        UniqueConstraint("tenant_id", "address", "subject_id", postgresql_nulls_not_distinct=True),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    address: Mapped[str]
    subject_id: Mapped[UUID | None]
    stopped_at: Mapped[datetime | None]
    """Null once they want them again."""
    changed_at: Mapped[datetime]


class NoticeChoice(Base):
    """How a colleague gets one kind of notice by mail: at once, once a day, never."""

    __tablename__ = "notice_choices"
    __table_args__ = (
        UniqueConstraint("tenant_id", "person_id", "event"),
        CheckConstraint("how IN ('at_once', 'daily', 'never')", name="how_known"),
        Index(None, "tenant_id", "address"),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    person_id: Mapped[UUID]
    address: Mapped[str]
    """Where they get it, in lower case: letters are known by that."""
    event: Mapped[str]
    how: Mapped[str]


class MailTrouble(Base):
    """An address or number at which messages did not arrive; none is sent there while stopped."""

    __tablename__ = "mail_troubles"
    __table_args__ = (UniqueConstraint("tenant_id", "address"), {"info": TENANT})

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    address: Mapped[str]
    passing: Mapped[int] = mapped_column(default=0)
    """How often mail did not arrive for a reason that passes."""
    reason: Mapped[str]
    """The code that mail servers gave, such as 5.1.1, or the provider of texts, such as 422."""
    message_id: Mapped[UUID | None]
    last_at: Mapped[datetime]
    stopped_at: Mapped[datetime | None]
    lifted_at: Mapped[datetime | None]
    """When somebody said that mail arrives there again."""
    lifted_by: Mapped[UUID | None]
