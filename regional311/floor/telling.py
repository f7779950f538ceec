"""Tell one person that a colleague did something: a line for them, with a number and no content."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from regional311.database.ids import new_id
from regional311.database.rows import new_row, put
from regional311.database.session import TenantSession, scope_of
from regional311.floor.models import ForYouEntry


def tell_person(
    session: TenantSession,
    person_id: UUID,
    kind: str,
    *,
    subject_kind: str,
    subject_id: UUID,
    number: str,
    now: datetime,
) -> None:
    """Write it for somebody; nothing when they did it themselves."""
    scope = scope_of(session)
    if person_id == scope.person_id:
        return
    put(
        session,
        new_row(
            ForYouEntry,
            tenant_id=scope.tenant_id,
            id=new_id(),
            person_id=person_id,
            kind=kind,
            subject_kind=subject_kind,
            subject_id=subject_id,
            number=number,
            by_id=scope.person_id,
            at=now,
        ),
    )
