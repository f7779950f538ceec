"""Which languages somebody speaks with callers: a fact of their membership, everywhere the same."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, update

from regional311.audit.service import record
from regional311.cover.models import Duty
from regional311.database.rows import send
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.errors import NotFound
from regional311.identity.models import Membership


def spoken_by(session: TenantSession, person_id: UUID | None) -> list[str]:
    """Give the languages that a member of the bound partner speaks; none when nobody said."""
    found = session.execute(
        select(Membership.languages).where(
            Membership.tenant_id == scope_of(session).tenant_id,
            Membership.person_id == person_id,
        )
    ).scalar_one_or_none()
    return list(found or ())


def speak(
    session: TenantSession, person_id: UUID, languages: Iterable[str], *, now: datetime
) -> bool:
    """Keep which languages a member speaks; tell whether that is new.

    Who is on duty is seen with them at once: rings and lists of other partners read the duty.

    :raises NotFound: for somebody who does not work here.
    """
    me = scope_of(session).tenant_id
    spoken = list(dict.fromkeys(languages))
    send(session)
    before = session.execute(
        select(Membership.languages)
        .where(
            Membership.tenant_id == me,
            Membership.person_id == person_id,
            Membership.ended_at.is_(None),
        )
        .with_for_update()
    ).scalar_one_or_none()
    if before is None:
        raise NotFound("There is no such member of this partner.")
    if list(before) == spoken:
        return False
    for table, still in ((Membership, Membership.ended_at), (Duty, Duty.ended_at)):
        session.execute(
            update(table)
            .where(table.tenant_id == me, table.person_id == person_id, still.is_(None))
            .values(languages=spoken),
            execution_options={"synchronize_session": False},
        )
    mark_changed(session)
    record(
        session,
        now=now,
        action="membership:languages",
        subject_kind="person",
        subject_id=person_id,
        detail={"before": list(before), "after": spoken},
    )
    return True
