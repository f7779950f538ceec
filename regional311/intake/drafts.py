"""What is being written in an open contact, of a need and at its end: kept as it is written.

A closed laptop, an ended session or a restart of the server loses nothing of it. What was written
of a need is emptied when the need is filed, all of it when the contact ends, and when nobody has
come back for two days.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import case, cast, func, null, update
from sqlalchemy.dialects.postgresql import JSONB

from regional311.database.rows import send
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.intake.models import Contact

FOR: Final = timedelta(days=2)
ENDING: Final = "ending"
LONGEST: Final = 60_000
"""Characters of all fields together; more is not kept."""


def keep_draft(
    session: TenantSession,
    contact_id: UUID,
    service: str,
    fields: Sequence[tuple[str, str]],
    *,
    version: int,
    now: datetime,
) -> bool:
    """Keep the fields of a need's form; the contact's version stays as it is. Say whether they are.

    ``version`` is the contact's as the form began: what comes after the need was filed is late.
    """
    said = {"service": service, "fields": [list(each) for each in fields]}
    return _keep(session, contact_id, said, fields, version, now)


def keep_ending(
    session: TenantSession,
    contact_id: UUID,
    fields: Sequence[tuple[str, str]],
    *,
    version: int,
    now: datetime,
) -> bool:
    """Keep the fields of the form that ends the contact, in the same way."""
    said = {ENDING: [list(each) for each in fields]}
    return _keep(session, contact_id, said, fields, version, now)


def ending_of(draft: Mapping[str, Any] | None) -> dict[str, str]:
    """Give what was written in the form that ends the contact.

    >>> ending_of({"ending": [["note", "Calls again"]], "at": "2026-10-13T18:00:00+00:00"})
    {'note': 'Calls again'}
    """
    return {str(name): str(value) for name, value in (draft or {}).get(ENDING, ())}


def drop_draft(session: TenantSession, contact_id: UUID) -> None:
    """Empty what was written of a need: it is filed, or is not wanted any more."""
    rest = Contact.draft.op("-")("service").op("-")("fields")
    kept = case((Contact.draft.has_key(ENDING), rest), else_=null())
    _set(session, Contact.id == contact_id, Contact.draft.is_not(None), draft=kept)


def forget(session: TenantSession, now: datetime) -> int:
    """Empty the drafts of contacts that have ended or were left alone; give how many."""
    return _set(
        session,
        Contact.draft.is_not(None),
        (Contact.ended_at.is_not(None)) | (Contact.draft["at"].astext < (now - FOR).isoformat()),
        draft=null(),
    )


def _keep(
    session: TenantSession,
    contact_id: UUID,
    said: Mapping[str, Any],
    fields: Sequence[tuple[str, str]],
    version: int,
    now: datetime,
) -> bool:
    if sum(len(name) + len(value) for name, value in fields) > LONGEST:
        return False
    before = func.coalesce(Contact.draft, cast({}, JSONB))
    return bool(
        _set(
            session,
            Contact.id == contact_id,
            Contact.version == version,
            Contact.ended_at.is_(None),
            draft=before.op("||")(cast({**said, "at": now.isoformat()}, JSONB)),
        )
    )


def _set(session: TenantSession, *conditions: object, draft: Any) -> int:
    send(session)
    done = session.execute(
        update(Contact)
        .where(Contact.tenant_id == scope_of(session).tenant_id, *conditions)  # type: ignore[arg-type]
        .values(draft=draft)
        .execution_options(synchronize_session=False)
    )
    changed: int = done.rowcount  # type: ignore[attr-defined]
    if changed:
        mark_changed(session)
    return changed
