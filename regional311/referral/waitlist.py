"""Waiting for a place: who is next, for about how long, and what is said of it.

Only the receiver sees its list. A sender is told the position of its own referral and, where the
pace of the last weeks says something, about how long it takes; nothing of anybody else crosses.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import orjson
from sqlalchemy import select, text, update

from regional311.database.rows import send
from regional311.database.session import TenantSession, acting_for, mark_changed, scope_of
from regional311.exchange.service import tell
from regional311.referral.models import Referral, WaitlistPlace

WAITLIST_KIND: Final = "waitlist"
"""The kind of the envelopes that tell positions."""

WEEKS: Final = 8
"""Weeks whose pace is looked at."""

FEWEST: Final = 3
"""Places that must have been taken in these weeks before anything is said of how long it takes."""

TAKEN, GIVEN_UP, ENDED = "taken", "given_up", "ended"


def estimate_days(position: int, taken: int, days: int = WEEKS * 7) -> int | None:
    """Give about how many days a place takes at a pace, or nothing where it says too little.

    ``taken`` places were taken in the last ``days``.

    >>> estimate_days(4, 8), estimate_days(1, 2)
    (28, None)
    """
    if position < 1 or taken < FEWEST:
        return None
    return math.ceil(position * days / taken)


def tell_position(session: TenantSession, referral_id: UUID, *, now: datetime) -> None:
    """Tell the sender of one referral where it stands."""
    row = session.execute(
        select(WaitlistPlace.service_key).where(
            WaitlistPlace.tenant_id == scope_of(session).tenant_id,
            WaitlistPlace.referral_id == referral_id,
            WaitlistPlace.left_at.is_(None),
        )
    ).scalar_one_or_none()
    if row is not None:
        tell_positions(session, row, now=now, only=referral_id)


_STANDING: Final = text("""
WITH pace AS (
    SELECT count(*) AS taken FROM waitlist_places
    WHERE tenant_id = :me AND service_key = :service AND how = 'taken' AND left_at >= :since
), standing AS (
    SELECT p.referral_id, p.offered_at, CASE WHEN p.offered_at IS NOT NULL THEN 0 ELSE
        count(*) FILTER (WHERE p.offered_at IS NULL) OVER (ORDER BY p.rank, p.id) END AS position
    FROM waitlist_places AS p
    WHERE p.tenant_id = :me AND p.service_key = :service AND p.left_at IS NULL
)
SELECT s.referral_id, r.counterparty_id, s.position, pace.taken,
    r.waitlist_position AS known, r.waitlist_days AS known_days
FROM standing AS s
JOIN referrals AS r ON r.tenant_id = :me AND r.id = s.referral_id
CROSS JOIN pace
ORDER BY r.counterparty_id, s.position
""")


def tell_positions(
    session: TenantSession, service_key: str, *, now: datetime, only: UUID | None = None
) -> None:
    """Tell senders where their referrals stand, as far as that has changed.

    One envelope and one statement for each sender, however many wait.
    """
    me = scope_of(session).tenant_id
    send(session)
    rows = session.execute(
        _STANDING, {"me": me, "service": service_key, "since": now - timedelta(weeks=WEEKS)}
    ).all()
    moved: dict[UUID, list[dict[str, Any]]] = {}
    for row in rows:
        days = estimate_days(row.position, row.taken)
        changed = (row.position, days) != (row.known, row.known_days)
        if changed and only in (None, row.referral_id):
            moved.setdefault(row.counterparty_id, []).append(
                {"id": str(row.referral_id), "position": row.position, "days": days}
            )
    _write(session, [each for one in moved.values() for each in one])
    for other_id in sorted(moved):
        tell(
            session,
            to=other_id,
            kind=WAITLIST_KIND,
            subject_id=UUID(moved[other_id][0]["id"]),
            payload={"places": moved[other_id]},
            now=now,
        )
        with acting_for(session, other_id):
            _write(session, moved[other_id])


def leave(
    session: TenantSession, referral_id: UUID, service_key: str, how: str, *, now: datetime
) -> None:
    """End a referral's place; those behind it move up, and their senders are told."""
    send(session)
    session.execute(
        update(WaitlistPlace)
        .where(
            WaitlistPlace.tenant_id == scope_of(session).tenant_id,
            WaitlistPlace.referral_id == referral_id,
            WaitlistPlace.left_at.is_(None),
        )
        .values(left_at=now, how=how)
        .execution_options(synchronize_session=False)
    )
    mark_changed(session)
    tell_positions(session, service_key, now=now)


def forget_position(session: TenantSession, referral_id: UUID) -> None:
    """Forget where a referral stood that waits no more."""
    session.execute(
        update(Referral)
        .where(Referral.tenant_id == scope_of(session).tenant_id, Referral.id == referral_id)
        .values(waitlist_position=None, waitlist_days=None)
        .execution_options(synchronize_session=False)
    )
    mark_changed(session)


def _write(session: TenantSession, places: Sequence[Mapping[str, Any]]) -> None:
    """Write positions into the bound partner's rows; versions stay, nobody's form is outdated."""
    if not places:
        return
    send(session)
    session.execute(
        text(
            "UPDATE referrals AS r SET waitlist_position = n.position, waitlist_days = n.days"
            " FROM jsonb_to_recordset(CAST(:places AS jsonb)) AS n(id uuid, position bigint,"
            " days bigint) WHERE r.tenant_id = :me AND r.id = n.id"
        ),
        {"me": scope_of(session).tenant_id, "places": _json(places)},
    )
    mark_changed(session)


def _json(places: Sequence[Mapping[str, Any]]) -> str:
    return orjson.dumps([dict(each) for each in places]).decode()
