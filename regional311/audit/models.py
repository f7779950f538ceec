"""The append-only trail of who did what; it holds ids and codes, never personal values."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, text
from sqlalchemy.orm import Mapped

from regional311.database.base import APPEND_ONLY, Base, RowId, TenantId


class AuditEvent(Base):
    """One thing that somebody did to one record; a record's history is its audit trail."""

    __tablename__ = "audit_events"
    __table_args__ = (
        Index(None, "tenant_id", "subject_id", "id"),
        Index(None, "tenant_id", "at"),
        Index(
            "ix_audit_events_given",
            "tenant_id",
            "at",
            postgresql_where=text("action = 'request:assign'"),
        ),
        {"info": APPEND_ONLY},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    at: Mapped[datetime]
    person_id: Mapped[UUID | None]
    """Who acted; null when the system did, or a visitor without an account."""
    action: Mapped[str]
    """`noun:verb`, such as `request:close`."""
    subject_kind: Mapped[str]
    subject_id: Mapped[UUID]
    detail: Mapped[dict[str, Any]]
