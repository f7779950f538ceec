"""Write the trail: one row a change, in the change's own transaction."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from regional311.audit.models import AuditEvent
from regional311.database.ids import new_id
from regional311.database.rows import new_row, put
from regional311.database.session import TenantSession, scope_of


def audit_row(
    tenant_id: UUID,
    *,
    at: datetime,
    action: str,
    subject_kind: str,
    subject_id: UUID,
    person_id: UUID | None = None,
    detail: Mapping[str, Any] | None = None,
) -> AuditEvent:
    """Make an audit row; ``action`` is ``noun:verb``, ``detail`` holds ids and codes only."""
    return new_row(
        AuditEvent,
        tenant_id=tenant_id,
        id=new_id(),
        at=at,
        person_id=person_id,
        action=action,
        subject_kind=subject_kind,
        subject_id=subject_id,
        detail=dict(detail or {}),
    )


def record(
    session: TenantSession,
    *,
    now: datetime,
    action: str,
    subject_kind: str,
    subject_id: UUID,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Record what the acting person did to one record of the bound tenant."""
    scope = scope_of(session)
    put(
        session,
        audit_row(
            scope.tenant_id,
            at=now,
            action=action,
            subject_kind=subject_kind,
            subject_id=subject_id,
            person_id=scope.person_id,
            detail=detail,
        ),
    )
