"""What can be asked of the outbox."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from regional311.database.session import scope_of
from regional311.notices.models import OutboxMessage

PAGE = 50


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that was given up; to whom it went and what it said is not shown."""

    id: UUID
    event: str
    attempts: int
    created_at: datetime
    last_error: str | None


def dead_letters(session: Session, *, limit: int = PAGE) -> list[DeadLetter]:
    """The messages of this partner that could not be sent, the newest first: one statement."""
    rows = session.execute(
        select(
            OutboxMessage.id,
            OutboxMessage.event,
            OutboxMessage.attempts,
            OutboxMessage.created_at,
            OutboxMessage.last_error,
        )
        .where(
            OutboxMessage.tenant_id == scope_of(session).tenant_id, OutboxMessage.state == "dead"
        )
        .order_by(OutboxMessage.id.desc())
        .limit(limit)
    )
    return [DeadLetter(*row) for row in rows]
