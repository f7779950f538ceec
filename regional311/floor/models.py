"""What somebody should know of, what they have seen of it, and notes for colleagues."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Index
from sqlalchemy.orm import Mapped, mapped_column

from regional311.database.base import TENANT, Base, RowId, TenantId

KINDS = ("mentioned", "given", "taken", "looked")
NOTED = ("contact", "referral", "thread")
SUBJECTS = ("request", "contact", "referral", "thread", "visit")


def _among(column: str, values: tuple[str, ...]) -> str:
    return f"{column} IN ({', '.join(repr(value) for value in values)})"


class ForYouEntry(Base):
    """That a colleague did something that one person should know of; numbers, and no content."""

    __tablename__ = "for_you_entries"
    __table_args__ = (
        CheckConstraint(_among("kind", KINDS), name="kind_known"),
        CheckConstraint(_among("subject_kind", SUBJECTS), name="subject_known"),
        Index(None, "tenant_id", "person_id", "at"),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    person_id: Mapped[UUID]
    """Whose it is."""
    kind: Mapped[str]
    """mentioned in a note, given to them, taken from them, or looked along with."""
    subject_kind: Mapped[str]
    subject_id: Mapped[UUID]
    number: Mapped[str]
    """The subject's number, as people say it."""
    by_id: Mapped[UUID | None]
    at: Mapped[datetime]


class ForYouSeen(Base):
    """That somebody has seen one thing for them, and since when; newer news are unread again."""

    __tablename__ = "for_you_seen"
    __table_args__ = ({"info": TENANT},)

    tenant_id: Mapped[TenantId]
    person_id: Mapped[UUID] = mapped_column(primary_key=True)
    item: Mapped[str] = mapped_column(primary_key=True)
    """What it is, as `for_you.Item.key` says it."""
    seen_at: Mapped[datetime]


class InternalNote(Base):
    """A note for colleagues on a contact, a referral or a thread; it never leaves the partner."""

    __tablename__ = "internal_notes"
    __table_args__ = (
        CheckConstraint(_among("subject_kind", NOTED), name="subject_known"),
        Index(None, "tenant_id", "subject_id", "id"),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    subject_kind: Mapped[str]
    subject_id: Mapped[UUID]
    author_id: Mapped[UUID | None]
    text: Mapped[str]
    at: Mapped[datetime]
