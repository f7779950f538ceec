"""What was erased, in counts: who answers for it can say so years later."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Index
from sqlalchemy.orm import Mapped

from regional311.database.base import APPEND_ONLY, Base, RowId, TenantId


class Erasure(Base):
    """So many records of a kind were erased at once: their time was up, or a person asked.

    It says how many and when, and nothing that leads to whom.
    """

    __tablename__ = "erasures"
    __table_args__ = (
        CheckConstraint("count > 0", name="something"),
        CheckConstraint("(kind = 'person') = (reason IS NOT NULL)", name="person_has_reason"),
        Index(None, "tenant_id", "kind", "at"),
        {"info": APPEND_ONLY},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    kind: Mapped[str]
    """A kind of the policy of retention, or `person`: everything of one person."""
    count: Mapped[int]
    at: Mapped[datetime]
    by_id: Mapped[UUID | None]
    """Who erased a person; null where the time was up."""
    reason: Mapped[str | None]
    """Why a person was erased, as `person.REASONS` says it."""
    last_at: Mapped[datetime | None]
    """Of envelopes: when the last of them was sent; the next round begins there."""
    last_id: Mapped[UUID | None]
    """Of answers: the last of them, likewise."""
