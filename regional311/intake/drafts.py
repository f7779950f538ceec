"""What is being written of a need in an open contact: kept as it is written, until it is filed.

A closed laptop, an ended session or a restart of the server loses nothing of it. It is emptied when
the need is filed, when the contact ends, and when nobody has come back for two days.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import null, update

from regional311.database.rows import send
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.intake.models import Contact

FOR: Final = timedelta(days=2)
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
) -> None:
    """Keep the fields of a form that is being written; the contact's version stays as it is.

    ``version`` is the contact's as the form began: what comes after the need was filed is late.
    """
    if sum(len(name) + len(value) for name, value in fields) > LONGEST:
        return
    draft = {"service": service, "fields": [list(each) for each in fields], "at": now.isoformat()}
    _set(
        session,
        Contact.id == contact_id,
        Contact.version == version,
        Contact.ended_at.is_(None),
        draft=draft,
    )


def drop_draft(session: TenantSession, contact_id: UUID) -> None:
    """Empty it: the need is filed, or is not wanted any more."""
    _set(session, Contact.id == contact_id, Contact.draft.is_not(None), draft=None)


def forget(session: TenantSession, now: datetime) -> int:
    """Empty the drafts of contacts that have ended or were left alone; give how many."""
    return _set(
        session,
        Contact.draft.is_not(None),
        (Contact.ended_at.is_not(None)) | (Contact.draft["at"].astext < (now - FOR).isoformat()),
        draft=None,
    )


def _set(session: TenantSession, *conditions: object, draft: Mapping[str, object] | None) -> int:
    send(session)
    done = session.execute(
        update(Contact)
        .where(Contact.tenant_id == scope_of(session).tenant_id, *conditions)  # type: ignore[arg-type]
        .values(draft=null() if draft is None else draft)
        .execution_options(synchronize_session=False)
    )
    changed: int = done.rowcount  # type: ignore[attr-defined]
    if changed:
        mark_changed(session)
    return changed
