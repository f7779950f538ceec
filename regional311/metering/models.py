"""Usage events: facts about work done, recorded in the work's own transaction; no prices here."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from regional311.database.base import APPEND_ONLY, Base, RowId, TenantId


class UsageEvent(Base):
    """One unit of work that a partner did and that somebody may pay for.

    Facts only: who did it (the tenant), for whose service, where, on whose referral. Which of them
    pays is the agreement's rule, applied when the event is rated.
    """

    __tablename__ = "usage_events"
    __table_args__ = (
        UniqueConstraint("tenant_id", "source_key"),
        CheckConstraint("handle_seconds >= 0", name="seconds_not_negative"),
        Index(None, "tenant_id", "occurred_at", "received_at"),
        Index(None, "tenant_id", "contact_id"),
        Index(
            "ix_usage_events_taking_back",
            "tenant_id",
            "received_at",
            "id",
            postgresql_where="reverses_id IS NOT NULL",
        ),
        {"info": APPEND_ONLY},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    source_key: Mapped[str]
    """Source record + activity + revision: the same work is never metered twice."""
    content_digest: Mapped[str]
    activity: Mapped[str]
    """contact_handled, request_taken_in, referral_closed, warm_transfer, ..."""
    channel: Mapped[str]
    language: Mapped[str]
    after_hours: Mapped[bool]
    service_owner_id: Mapped[UUID | None]
    service_key: Mapped[str | None]
    bureau_key: Mapped[str | None]
    jurisdiction_id: Mapped[UUID | None]
    referrer_id: Mapped[UUID | None]
    line_owner_id: Mapped[UUID | None]
    """Whose line was answered: work done for a closed partner's line is that partner's."""
    contact_id: Mapped[UUID | None]
    subject_id: Mapped[UUID | None]
    quantity: Mapped[Decimal] = mapped_column(default=Decimal(1))
    handle_seconds: Mapped[int] = mapped_column(default=0)
    occurred_at: Mapped[datetime]
    received_at: Mapped[datetime]
    booked_on: Mapped[date]
    reverses_id: Mapped[UUID | None]
