"""What room services had at moments that are over, as their partners had said it by then."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from regional311.referral.acceptance import UNKNOWN, Room, room_now
from regional311.referral.models import Capacity


class RoomHistory:
    """Everything said of the room of services, by `partner/key`; asked for any moment of a time.

    >>> from datetime import UTC
    >>> at = lambda hour: datetime(2026, 1, 1, hour, tzinfo=UTC)
    >>> kept = RoomHistory([
    ...     ("a/beds", at(8), Room("has", at(20))), ("a/beds", at(12), Room("none", at(14)))])
    >>> [kept.state("a/beds", at(hour)) for hour in (7, 9, 12, 15)]
    ['unknown', 'has', 'none', 'unknown']
    """

    def __init__(self, said: Iterable[tuple[str, datetime, Room]]) -> None:
        self._said: dict[str, dict[str, list[tuple[datetime, Room]]]] = {}
        for ref, at, room in said:
            self._said.setdefault(ref, {}).setdefault(room.site, []).append((at, room))

    def state(self, ref: str, at: datetime) -> str:
        """Give what was known at a moment: the newest that was said by then, while it held."""
        newest = []
        for rows in self._said.get(ref, {}).values():
            place = bisect_right(rows, at, key=lambda each: each[0])
            if place:
                newest.append(rows[place - 1][1])
        found = room_now(newest, at)
        return UNKNOWN if found is None else found.state


def history(
    session: Session, slugs: Mapping[UUID, str], since: datetime, until: datetime
) -> RoomHistory:
    """Read what every partner said that held in a time, oldest first; one statement.

    What was said later counts before what still held, so nothing that was replaced is left out.
    """
    rows = session.execute(
        select(
            Capacity.tenant_id,
            Capacity.service_key,
            Capacity.location_key,
            Capacity.state,
            Capacity.places,
            Capacity.set_at,
            Capacity.until_at,
        )
        .where(Capacity.until_at > since, Capacity.set_at < until)
        .order_by(Capacity.set_at, Capacity.id)
    )
    return RoomHistory(
        (
            f"{slugs[row.tenant_id]}/{row.service_key}",
            row.set_at,
            Room(row.state, row.until_at, row.places, site=row.location_key or ""),
        )
        for row in rows
        if row.tenant_id in slugs
    )
