"""The outbox: what must be told after a commit, written in the same transaction."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from regional311.database.base import TENANT, Base, RowId, TenantId


class OutboxMessage(Base):
    """One message to one address, delivered at least once; its id is the message's id.

    `state`: pending, sent, dead (given up: a person sees it, has it sent again or sets it aside),
    aside (a dead one that somebody left at that), withdrawn (nobody should get it any more).
    """

    __tablename__ = "outbox_messages"
    __table_args__ = (
        CheckConstraint(
            "state IN ('pending', 'sent', 'dead', 'aside', 'withdrawn')", name="state_known"
        ),
        CheckConstraint("channel IN ('email', 'text')", name="channel_known"),
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
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    event: Mapped[str]
    """What it tells of: request_received, request_closed, referral_sent, ..."""
    subject_id: Mapped[UUID | None]
    channel: Mapped[str] = mapped_column(default="email", server_default="email")
    """By what it leaves: email, or text to a telephone."""
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
