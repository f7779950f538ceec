"""Keepers, reminders and suggestions: a partner's own, never published."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlalchemy.orm import Mapped

from regional311.database.base import TENANT, Base, RowId, TenantId


class Keeper(Base):
    """A person of the partner who keeps an entry right, or everything of a bureau."""

    __tablename__ = "keepers"
    __table_args__ = (
        UniqueConstraint("tenant_id", "subject_kind", "subject_key", "person_id"),
        CheckConstraint(
            "subject_kind IN ('service', 'bureau', 'article', 'organization')",
            name="subject_known",
        ),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    subject_kind: Mapped[str]
    subject_key: Mapped[str]
    person_id: Mapped[UUID]
    named_at: Mapped[datetime]
    named_by: Mapped[UUID | None]
    ended_at: Mapped[datetime | None]


class ReviewReminder(Base):
    """That an entry's keepers were told that it is due: once for each day on which it was."""

    __tablename__ = "review_reminders"
    __table_args__ = (
        UniqueConstraint("tenant_id", "subject_kind", "subject_id", "due_on"),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    subject_kind: Mapped[str]
    """service, article or organization."""
    subject_id: Mapped[UUID]
    due_on: Mapped[date]
    told: Mapped[int]
    """How many people."""
    at: Mapped[datetime]


class Suggestion(Base):
    """What somebody says that a field of an entry should say.

    The owner has the row that is decided. When a specialist of another partner sent it, that
    partner has a row with the same id: who wrote it stays there, the answer comes back to it.
    """

    __tablename__ = "suggestions"
    __table_args__ = (
        CheckConstraint("state IN ('new', 'approved', 'declined')", name="state_known"),
        CheckConstraint(
            "subject_kind IN ('service', 'location', 'article', 'organization')",
            name="subject_known",
        ),
        Index(None, "tenant_id", "owner_id", "state"),
        Index(None, "tenant_id", "person_id"),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    owner_id: Mapped[UUID]
    """The partner whose entry it is about."""
    from_tenant_id: Mapped[UUID | None]
    """The partner whose specialist wrote it; null when the public did."""
    person_id: Mapped[UUID | None]
    """Who wrote it, on the row of their own partner only."""
    subject_kind: Mapped[str]
    subject_key: Mapped[str]
    subject_name: Mapped[str]
    """What the entry was called then."""
    field: Mapped[str]
    """One of `fields.FIELDS`."""
    language: Mapped[str | None]
    """The translation that it is about; null for the text in the partner's own language."""
    said: Mapped[str | None]
    """What the field said when it was written."""
    wanted: Mapped[str]
    """What it should say, in the writer's words: data, never markup."""
    reason: Mapped[str | None]
    email: Mapped[str | None]
    """Where thanks go; emptied when they are sent."""
    written_in: Mapped[str]
    """Language of the page on which it was written, in which thanks are said."""
    sender_digest: Mapped[str | None]
    """Keyed digest of a visitor's address, by which a flood is stopped; emptied after a day."""
    state: Mapped[str]
    answer: Mapped[str | None]
    """What the owner says to the writer: why not, or what was done."""
    version: Mapped[int | None]
    """Number of the version that the approved field went into; null when it was settled by hand."""
    made_at: Mapped[datetime]
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[UUID | None]
    told_at: Mapped[datetime | None]
    """When the keepers were told of it."""
    seen_at: Mapped[datetime | None]
    """When the writer read the answer."""
    erased_at: Mapped[datetime | None]
