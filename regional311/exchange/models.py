"""Envelopes: the only way a private fact crosses from one partner to another."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index
from sqlalchemy.orm import Mapped

from regional311.database.base import ENVELOPE, Base, RowId, TenantId


class Envelope(Base):
    """A minimised message; `tenant_id` is the receiver, `from_tenant_id` the sender.

    The receiver reads and works it, the sender may only insert, under its own name. There are no
    server defaults, because a sender cannot read back what it has sent.
    """

    __tablename__ = "envelopes"
    __table_args__ = (
        Index(None, "tenant_id", "kind", "subject_id"),
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
