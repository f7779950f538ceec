"""Change within which hours messages to people leave, from a form; files see it as their own."""

from __future__ import annotations

from copy import deepcopy
from datetime import datetime
from typing import Any

from sqlalchemy import select, update

from regional311.audit.service import record
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.errors import InvalidInput, Stale
from regional311.notices.quiet import check
from regional311.tenancy.models import Tenant


def set_hours(
    session: TenantSession, *, texts: str | None, mail: str | None, revision: int, now: datetime
) -> None:
    """Set the bound partner's hours for texts and for mail, each like 08:00-21:00.

    None for texts is the usual hours, for mail any time. `revision` is the one that was seen.
    Raises `Stale` and `InvalidInput`.
    """
    tenant_id = scope_of(session).tenant_id
    row = session.execute(
        select(Tenant.settings, Tenant.revision)
        .where(Tenant.tenant_id == tenant_id, Tenant.id == tenant_id)
        .with_for_update()
    ).one()
    wanted = {"texts": texts, "mail": mail}
    for field, value in wanted.items():
        problem = None if value is None else check(value)
        if problem is not None:
            raise InvalidInput(problem, field=field)
    if row.revision != revision:
        raise Stale(
            "Somebody else has changed these settings.",
            current=dict(row.settings.get("notices") or {}),
            submitted=wanted,
        )
    settings: dict[str, Any] = deepcopy(dict(row.settings))
    said = {name: value for name, value in wanted.items() if value is not None}
    settings.pop("notices", None)
    if said:
        settings["notices"] = said
    session.execute(
        update(Tenant)
        .where(Tenant.tenant_id == tenant_id, Tenant.id == tenant_id)
        .values(settings=settings, revision=Tenant.revision + 1)
        .execution_options(synchronize_session=False)
    )
    mark_changed(session)
    record(
        session,
        now=now,
        action="settings:notices",
        subject_kind="tenant",
        subject_id=tenant_id,
        detail=wanted,
    )
