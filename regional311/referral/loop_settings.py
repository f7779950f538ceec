"""Change how long a partner lets its loops stay open, from a form; files see it as their own."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from regional311.audit.service import record
from regional311.database.session import TenantSession, scope_of
from regional311.errors import InvalidInput, Stale
from regional311.referral.loop import loop_of
from regional311.tenancy.own_settings import keep_settings, locked_settings

BOUNDS: Final[Mapping[str, tuple[int, int]]] = {
    "attempts": (1, 20),
    "retry_days": (1, 60),
    "remind_days": (0, 60),
    "escalate_days": (1, 60),
    "expire_days": (1, 365),
    "outcome_days": (1, 365),
}
"""Least and most of each number, as the files allow them."""
FOLLOW_UP: Final = (1, 365)


def set_loop(
    session: TenantSession,
    *,
    now: datetime,
    revision: int,
    numbers: Mapping[str, int],
    follow_up_days: Mapping[str, int],
) -> None:
    """Set the bound partner's days: `numbers` as `BOUNDS` names them, follow-ups by urgency.

    `revision` is the one that was seen. An urgency without a service level of the partner's has no
    days of its own. Raises :class:`Stale` and :class:`InvalidInput`.
    """
    settings, seen = locked_settings(session)
    if seen != revision:
        before = loop_of(settings)
        raise Stale(
            "Somebody else has changed these settings.",
            current={name: getattr(before, name) for name in BOUNDS},
            submitted=dict(numbers),
        )
    for name, (least, most) in BOUNDS.items():
        _check(name, numbers[name], least, most)
    settings["loop"] = {name: numbers[name] for name in BOUNDS}
    for level in settings.get("service_levels") or ():
        days = follow_up_days.get(level["priority"])
        if days is not None:
            _check(f"follow_up_{level['priority']}", days, *FOLLOW_UP)
            level["follow_up_days"] = days
    keep_settings(session, settings)
    record(
        session,
        now=now,
        action="settings:loop",
        subject_kind="tenant",
        subject_id=scope_of(session).tenant_id,
        detail={"loop": settings["loop"]},
    )


def _check(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise InvalidInput(f"Enter a number from {least} to {most}.", field=name)
