"""What a receiver does with its waitlist: put somebody on it, move up, offer a place, take off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select, update

from regional311.audit.service import record
from regional311.database.locking import locked
from regional311.database.rows import put, rewrite, send
from regional311.database.session import TenantSession, scope_of
from regional311.errors import Conflict
from regional311.intake.service import NO_FOLLOWERS, Changed, Followers
from regional311.referral import lifecycle
from regional311.referral.acceptance import FINISH_DAYS
from regional311.referral.models import Referral, WaitlistPlace
from regional311.referral.sending import place_row
from regional311.referral.service import move
from regional311.referral.waitlist import TAKEN, WEEKS, estimate_days, tell_positions


class NotWaiting(Conflict):
    """The referral is not on the waitlist, or already is."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """One who waits, as the receiver sees it; ``days`` is an estimate, or nothing."""

    referral_id: UUID
    public_id: str
    counterparty_id: UUID
    service_key: str
    urgency: str
    version: int
    rank: int
    joined_at: datetime
    offered_at: datetime | None
    position: int | None
    days: int | None


def put_on_list(
    session: TenantSession,
    *,
    now: datetime,
    referral_id: UUID,
    version: int,
    finish_days: int = FINISH_DAYS,
    followers: Followers = NO_FOLLOWERS,
) -> Changed:
    """Accept a referral on to the end of the waitlist; the sender sees where it stands.

    Raises :class:`NotWaiting` when it is on it already, and what :func:`move` does.
    """
    referral = _open(session, referral_id, version)
    if referral.waitlist_position is not None:
        raise NotWaiting("It is on the waitlist already.")
    state, service_key = referral.state, referral.service_key
    before = None
    if state == "requested":
        version = move(
            session,
            now=now,
            referral_id=referral_id,
            version=version,
            to="accepted",
            finish_days=finish_days,
        ).version
        before = _open(session, referral_id, version).before
    if state != "on_hold":
        version = move(
            session,
            now=now,
            referral_id=referral_id,
            version=version,
            to="on_hold",
            reason="waitlist",
            followers=followers,
        ).version
    if before is not None:
        # both are one step to who takes it back
        session.execute(
            update(Referral)
            .where(Referral.tenant_id == scope_of(session).tenant_id, Referral.id == referral_id)
            .values(before=before)
            .execution_options(synchronize_session="fetch")
        )
    put(session, place_row(scope_of(session).tenant_id, referral_id, service_key, now))
    _record(session, now, "waitlist", referral_id)
    tell_positions(session, service_key, now=now)
    return Changed(referral_id, version, "on_hold")


def move_up(session: TenantSession, *, now: datetime, referral_id: UUID, version: int) -> None:
    """Move a referral before the one before it; nothing happens to the first.

    Raises :class:`NotWaiting` when it does not wait, or a place is offered to it.
    """
    referral = _open(session, referral_id, version)
    place = _place(session, referral_id)
    if place.offered_at is not None:
        raise NotWaiting("A place is offered already.")
    waiting = session.execute(
        select(WaitlistPlace.id, WaitlistPlace.rank)
        .where(
            WaitlistPlace.tenant_id == place.tenant_id,
            WaitlistPlace.service_key == place.service_key,
            WaitlistPlace.left_at.is_(None),
            WaitlistPlace.offered_at.is_(None),
        )
        .order_by(WaitlistPlace.rank, WaitlistPlace.id)
        .with_for_update()
    ).all()
    order = [row.id for row in waiting]
    at = order.index(place.id)
    if at == 0:
        return
    order[at - 1], order[at] = order[at], order[at - 1]
    known = {row.id: row.rank for row in waiting}
    moved, last = [], -1
    for each, rank in zip(order, sorted(known.values()), strict=True):
        # those who came at the same moment have one rank until somebody is moved
        last = max(rank, last + 1)
        if known[each] != last:
            moved.append({"id": each, "rank": last})
    rewrite(session, WaitlistPlace, moved)
    _record(session, now, "move_up", referral_id)
    tell_positions(session, referral.service_key, now=now)


def offer_place(session: TenantSession, *, now: datetime, referral_id: UUID, version: int) -> None:
    """Offer a place: it is held for the person until they take it or give it up."""
    referral = _open(session, referral_id, version)
    place = _place(session, referral_id)
    if place.offered_at is not None:
        raise NotWaiting("A place is offered already.")
    place.offered_at = now
    session.flush()
    _record(session, now, "offer_place", referral_id)
    tell_positions(session, referral.service_key, now=now)


def _open(session: TenantSession, referral_id: UUID, version: int) -> Referral:
    referral = locked(session, Referral, referral_id, version, {}, "referral")
    if referral.side != lifecycle.RECEIVER or referral.state not in lifecycle.OPEN:
        raise NotWaiting("Only the receiver of an open referral keeps a waitlist.")
    return referral


def _place(session: TenantSession, referral_id: UUID) -> WaitlistPlace:
    place = session.execute(
        select(WaitlistPlace)
        .where(
            WaitlistPlace.tenant_id == scope_of(session).tenant_id,
            WaitlistPlace.referral_id == referral_id,
            WaitlistPlace.left_at.is_(None),
        )
        .with_for_update()
        .execution_options(populate_existing=True)
    ).scalar_one_or_none()
    if place is None:
        raise NotWaiting("It is not on the waitlist.")
    return place


def _record(session: TenantSession, now: datetime, verb: str, referral_id: UUID) -> None:
    record(
        session,
        now=now,
        action=f"referral:{verb}",
        subject_kind="referral",
        subject_id=referral_id,
    )


def stands(session: TenantSession, referral_id: UUID) -> Changed:
    """Give where a referral of the bound partner stands now: one statement."""
    send(session)
    row = session.execute(
        select(Referral.version, Referral.state).where(
            Referral.tenant_id == scope_of(session).tenant_id, Referral.id == referral_id
        )
    ).one()
    return Changed(referral_id, row.version, row.state)


def waiting_list(
    session: TenantSession, *, now: datetime, service_key: str | None = None
) -> Sequence[Waiting]:
    """Give the receiver's waitlists, service by service in order: two statements."""
    me = scope_of(session).tenant_id
    taken = session.execute(
        select(WaitlistPlace.service_key, func.count().label("number"))
        .where(
            WaitlistPlace.tenant_id == me,
            WaitlistPlace.how == TAKEN,
            WaitlistPlace.left_at >= now - timedelta(weeks=WEEKS),
        )
        .group_by(WaitlistPlace.service_key)
    )
    pace = {row.service_key: int(row.number) for row in taken}
    query = (
        select(
            Referral.id,
            Referral.public_id,
            Referral.counterparty_id,
            WaitlistPlace.service_key,
            Referral.urgency,
            Referral.version,
            WaitlistPlace.rank,
            WaitlistPlace.joined_at,
            WaitlistPlace.offered_at,
        )
        .join(
            Referral,
            (Referral.tenant_id == WaitlistPlace.tenant_id)
            & (Referral.id == WaitlistPlace.referral_id),
        )
        .where(WaitlistPlace.tenant_id == me, WaitlistPlace.left_at.is_(None))
        .order_by(WaitlistPlace.service_key, WaitlistPlace.rank, WaitlistPlace.id)
    )
    if service_key is not None:
        query = query.where(WaitlistPlace.service_key == service_key)
    found: list[Waiting] = []
    counted: dict[str, int] = {}
    for row in session.execute(query):
        position = None
        if row.offered_at is None:
            position = counted[row.service_key] = counted.get(row.service_key, 0) + 1
        days = estimate_days(position or 0, pace.get(row.service_key, 0))
        found.append(Waiting(*row, position, days))
    return found
