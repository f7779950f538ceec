"""Keepers and reminders: a partner's own, never published."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, UniqueConstraint
from sqlalchemy.orm import Mapped

from regional311.database.base import TENANT, Base, RowId, TenantId, tenant_reference


class Keeper(Base):
    """A person of the partner who keeps a service right, or all services of a bureau."""

    __tablename__ = "keepers"
    __table_args__ = (
        UniqueConstraint("tenant_id", "subject_kind", "subject_key", "person_id"),
        CheckConstraint("subject_kind IN ('service', 'bureau')", name="subject_known"),
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
    """That a service's keepers were told that it is due: once for each day on which it was."""

    __tablename__ = "review_reminders"
    __table_args__ = (
        UniqueConstraint("tenant_id", "service_id", "due_on"),
        tenant_reference("services", "service_id"),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    service_id: Mapped[UUID]
    due_on: Mapped[date]
    told: Mapped[int]
    """How many people."""
    at: Mapped[datetime]
