"""Read the trail of the bound tenant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from regional311.audit.models import AuditEvent
from regional311.database.session import scope_of

PAGE = 50
HISTORY: Final = 200
"""Steps of one record that are shown at first: the newest."""


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One thing that was done; ``person_id`` is empty for the system and visitors."""

    id: UUID
    at: datetime
    person_id: UUID | None
    action: str
    subject_kind: str
    subject_id: UUID
    detail: dict[str, Any]


_COLUMNS = (
    AuditEvent.id,
    AuditEvent.at,
    AuditEvent.person_id,
    AuditEvent.action,
    AuditEvent.subject_kind,
    AuditEvent.subject_id,
    AuditEvent.detail,
)


def history(session: Session, subject_id: UUID, limit: int | None = HISTORY) -> list[AuditRow]:
    """Give the last that happened to one record, the oldest first: one statement.

    Without a limit it is all that ever happened.
    """
    tenant_id = scope_of(session).tenant_id
    rows = session.execute(
        select(*_COLUMNS)
        .where(AuditEvent.tenant_id == tenant_id, AuditEvent.subject_id == subject_id)
        .order_by(AuditEvent.id.desc())
        .limit(limit)
    ).all()
    return [AuditRow(*row) for row in reversed(rows)]


def trail(
    session: Session,
    *,
    before: UUID | None = None,
    action: str = "",
    person_id: UUID | None = None,
    subject_id: UUID | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    without: str | None = None,
    limit: int = PAGE,
) -> list[AuditRow]:
    """Give a page of the trail, the newest first, older than the id ``before``.

    ``action`` is a whole action or, ending in ``:``, all actions on a noun; ``since`` is inclusive,
    ``until`` exclusive; ``without`` is a kind of record that the reader may not know of.
    """
    query = select(*_COLUMNS).where(AuditEvent.tenant_id == scope_of(session).tenant_id)
    if before is not None:
        query = query.where(AuditEvent.id < before)
    if person_id is not None:
        query = query.where(AuditEvent.person_id == person_id)
    if subject_id is not None:
        query = query.where(AuditEvent.subject_id == subject_id)
    if since is not None:
        query = query.where(AuditEvent.at >= since)
    if until is not None:
        query = query.where(AuditEvent.at < until)
    if without is not None:
        query = query.where(AuditEvent.subject_kind != without)
    if action.endswith(":"):
        query = query.where(AuditEvent.action >= action, AuditEvent.action < f"{action}~")
    elif action:
        query = query.where(AuditEvent.action == action)
    rows = session.execute(query.order_by(AuditEvent.id.desc()).limit(limit))
    return [AuditRow(*row) for row in rows]
