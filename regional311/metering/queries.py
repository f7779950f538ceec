"""What may be asked about usage events: facts about work, without prices."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from regional311.database.session import scope_of
from regional311.metering.models import UsageEvent


@dataclass(frozen=True, slots=True)
class UsageRow:
    """One unit of work that was counted."""

    id: UUID
    activity: str
    channel: str
    service_owner_id: UUID | None
    service_key: str | None
    quantity: Decimal
    handle_seconds: int
    occurred_at: datetime


def usage_of_contact(session: Session, contact_id: UUID) -> list[UsageRow]:
    """Give the work that was counted for a contact: one statement."""
    rows = session.execute(
        select(*(getattr(UsageEvent, each.name) for each in fields(UsageRow)))
        .where(
            UsageEvent.tenant_id == scope_of(session).tenant_id,
            UsageEvent.contact_id == contact_id,
        )
        .order_by(UsageEvent.occurred_at, UsageEvent.id)
    )
    return [UsageRow(*row) for row in rows]
