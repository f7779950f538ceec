"""Change within which hours messages to people leave, from a form; files see it as their own."""

from __future__ import annotations

from datetime import datetime

from regional311.audit.service import record
from regional311.database.session import TenantSession, scope_of
from regional311.errors import InvalidInput, Stale
from regional311.notices.quiet import check
from regional311.tenancy.own_settings import keep_settings, locked_settings


def set_hours(
    session: TenantSession, *, texts: str | None, mail: str | None, revision: int, now: datetime
) -> None:
    """Set the bound partner's hours for texts and for mail, each like 08:00-21:00.

    None for texts is the usual hours, for mail any time. `revision` is the one that was seen.
    Raises `Stale` and `InvalidInput`.
    """
    settings, seen = locked_settings(session)
    wanted = {"texts": texts, "mail": mail}
    for field, value in wanted.items():
        problem = None if value is None else check(value)
        if problem is not None:
            raise InvalidInput(problem, field=field)
    if seen != revision:
        raise Stale(
            "Somebody else has changed these settings.",
            current=dict(settings.get("notices") or {}),
            submitted=wanted,
        )
    said = {name: value for name, value in wanted.items() if value is not None}
    settings.pop("notices", None)
    if said:
        settings["notices"] = said
    keep_settings(session, settings)
    record(
        session,
        now=now,
        action="settings:notices",
        subject_kind="tenant",
        subject_id=scope_of(session).tenant_id,
        detail=wanted,
    )
