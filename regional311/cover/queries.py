"""What may be asked of emergencies, duty and lent help."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import and_, exists, func, or_, select, tuple_
from sqlalchemy.orm import Session

from regional311.cover.emergency import InForce
from regional311.cover.models import Aid, Duty, Emergency, Handover
from regional311.database.session import TenantSession, scope_of
from regional311.intake.models import Contact, Need, ServiceRequest
from regional311.metering.models import UsageEvent
from regional311.metering.service import LENT_MINUTE


def emergencies_kept(session: Session, slugs: Mapping[UUID, str]) -> list[InForce]:
    """Give every emergency that has not been ended, for the snapshot; drills as well."""
    rows = session.execute(
        select(Emergency.__table__)
        .where(Emergency.ended_at.is_(None))
        .order_by(Emergency.started_at, Emergency.id)
    )
    return [in_force(row, slugs[row.tenant_id]) for row in rows if row.tenant_id in slugs]


def in_force(row: Any, slug: str) -> InForce:
    """Give a row as pages and decisions see it."""
    return InForce(
        slug,
        row.id,
        row.public_id,
        row.kind,
        row.drill,
        row.texts,
        tuple(row.services),
        tuple(row.articles),
        tuple(row.places),
        tuple((each["line"], each["answer"]) for each in row.surges),
        row.started_at,
        row.ends_at,
        row.ended_at,
    )


def emergencies(session: TenantSession, limit: int = 50) -> list[Any]:
    """Give the bound partner's own emergencies and drills, newest first."""
    me = scope_of(session).tenant_id
    return list(
        session.execute(
            select(Emergency.__table__)
            .where(Emergency.tenant_id == me)
            .order_by(Emergency.started_at.desc(), Emergency.id.desc())
            .limit(limit)
        )
    )


def on_duty(session: Session, now: datetime) -> list[Any]:
    """Give everybody of every partner who is on duty, by name."""
    return list(
        session.execute(
            select(Duty.__table__)
            .where(Duty.started_at <= now, Duty.until > now, Duty.ended_at.is_(None))
            .order_by(Duty.name, Duty.id)
        )
    )


@dataclass(frozen=True, slots=True)
class During:
    """What the bound partner took in while an emergency was on."""

    contacts: int
    after_hours: int
    for_others: int
    in_danger: int
    longest_wait_seconds: int
    lent_minutes: int


def during(session: TenantSession, starts: datetime, ends: datetime) -> During:
    """Count what was taken in from one moment to another; two statements."""
    me = scope_of(session).tenant_id
    inside = (Contact.tenant_id == me, Contact.started_at >= starts, Contact.started_at < ends)
    row = session.execute(
        select(
            func.count(),
            func.count().filter(Contact.after_hours),
            func.count().filter(Contact.line_owner_id != me),
            func.count().filter(
                Contact.danger_answer.is_not(None), Contact.danger_answer != "none"
            ),
            func.coalesce(func.max(Contact.wait_seconds), 0),
        ).where(*inside)
    ).one()
    lent = session.execute(
        select(func.coalesce(func.sum(UsageEvent.quantity), 0)).where(
            UsageEvent.tenant_id == me,
            UsageEvent.activity == LENT_MINUTE,
            UsageEvent.occurred_at >= starts,
            UsageEvent.occurred_at < ends,
        )
    ).scalar_one()
    return During(*row, int(lent))


Times = Sequence[tuple[datetime, datetime]]


def taken_in(session: TenantSession, parts: Sequence[tuple[UUID, str, Times]]) -> list[int]:
    """Count the bound partner's contacts on each line (owner, key) in some times; one statement."""
    if not parts:
        return []
    counts = [
        func.count().filter(
            Contact.line_owner_id == owner_id,
            Contact.line_key == key,
            or_(*(and_(Contact.started_at >= at, Contact.started_at < end) for at, end in times)),
        )
        for owner_id, key, times in parts
    ]
    first = min(at for _owner, _key, times in parts for at, _end in times)
    last = max(end for _owner, _key, times in parts for _at, end in times)
    row = session.execute(
        select(*counts).where(
            Contact.tenant_id == scope_of(session).tenant_id,
            Contact.started_at >= first,
            Contact.started_at < last,
        )
    ).one()
    return [int(each) for each in row]


MOST_PLACES = 5000
"""Places and services that are looked at one by one, the most frequent first."""


@dataclass(frozen=True, slots=True)
class NeedPlace:
    """Needs of one service with where they are, as far as somebody said."""

    service_owner_id: UUID
    service_key: str
    place_kind: str
    place_text: str | None
    latitude: float | None
    longitude: float | None
    count: int


def needs_since(
    session: TenantSession,
    starts: datetime,
    ends: datetime,
    *,
    secret: Collection[tuple[UUID, str]] | None = None,
) -> tuple[list[NeedPlace], int]:
    """Count the needs of the bound partner's contacts of a time by service and place.

    ``secret`` are the confidential services, as (owner, key), for who may see nothing of them or of
    confidential requests; None for who is cleared. Gives the most frequent, and how many needs
    there are in all. One statement.
    """
    me = scope_of(session).tenant_id
    by = (
        Need.service_owner_id,
        Need.service_key,
        Need.place_kind,
        Need.place_text,
        Need.latitude,
        Need.longitude,
    )
    query = (
        select(*by, func.count(), func.sum(func.count()).over())
        .join(Contact, (Contact.tenant_id == Need.tenant_id) & (Contact.id == Need.contact_id))
        .where(Contact.tenant_id == me, Contact.started_at >= starts, Contact.started_at < ends)
        .group_by(*by)
        .order_by(func.count().desc(), *by)
        .limit(MOST_PLACES)
    )
    if secret is not None:
        query = query.where(
            ~exists().where(
                ServiceRequest.tenant_id == Need.tenant_id,
                ServiceRequest.contact_id == Need.contact_id,
                ServiceRequest.need_id == Need.id,
                ServiceRequest.confidential,
            )
        )
        if secret:
            owner_and_key = tuple_(Need.service_owner_id, Need.service_key)
            query = query.where(owner_and_key.not_in(sorted(secret)))
    rows = session.execute(query).all()
    found = [
        NeedPlace(
            *row[:4],
            None if row[4] is None else float(row[4]),
            None if row[5] is None else float(row[5]),
            row[6],
        )
        for row in rows
    ]
    return found, int(rows[0][7]) if rows else 0


def aids_of(session: TenantSession, emergency_id: UUID | None = None) -> list[Any]:
    """Give the help that the bound partner lends or is lent, newest first."""
    statement = (
        select(Aid.__table__)
        .where(Aid.tenant_id == scope_of(session).tenant_id)
        .order_by(Aid.offered_at.desc(), Aid.id.desc())
        .limit(100)
    )
    if emergency_id is not None:
        statement = statement.where(Aid.emergency_id == emergency_id)
    return list(session.execute(statement))


def lent_lines(session: TenantSession, person_id: UUID | None, now: datetime) -> list[str]:
    """Give the lines of others that a person may take contacts on because they are on lent duty."""
    me = scope_of(session).tenant_id
    rows = session.execute(
        select(Aid.lines)
        .join(Duty, (Duty.tenant_id == Aid.tenant_id) & (Duty.aid_id == Aid.id))
        .join(Emergency, Emergency.id == Aid.emergency_id)
        .where(
            Aid.tenant_id == me,
            Aid.state == "accepted",
            Duty.person_id == person_id,
            Duty.ended_at.is_(None),
            Duty.until > now,
            Emergency.ended_at.is_(None),
            Emergency.ends_at > now,
        )
    ).scalars()
    return sorted({line for lines in rows for line in lines})


def lenders_of(session: TenantSession, line: str, now: datetime) -> list[UUID]:
    """Give the partners of whom somebody is on duty to help on a line of the bound partner."""
    rows = session.execute(
        select(Aid.lender_id, Aid.lines)
        .join(Duty, (Duty.tenant_id == Aid.lender_id) & (Duty.aid_id == Aid.id))
        .join(Emergency, Emergency.id == Aid.emergency_id)
        .where(
            Aid.tenant_id == scope_of(session).tenant_id,
            Aid.borrower_id == Aid.tenant_id,
            Aid.state == "accepted",
            Duty.ended_at.is_(None),
            Duty.until > now,
            Emergency.ended_at.is_(None),
            Emergency.ends_at > now,
        )
    )
    return sorted({lender for lender, lines in rows if line in lines})


def duty_of(session: TenantSession, person_id: UUID | None) -> Any:
    """Give a person's open duty, or nothing."""
    return session.execute(
        select(Duty.__table__).where(
            Duty.tenant_id == scope_of(session).tenant_id,
            Duty.person_id == person_id,
            Duty.ended_at.is_(None),
        )
    ).one_or_none()


def window(row: Any, now: datetime) -> tuple[datetime, datetime]:
    """From when until when an emergency was on, until now when it still is."""
    return row.started_at, max(
        row.started_at + timedelta(seconds=1), row.ended_at or min(now, row.ends_at)
    )


def waiting(session: TenantSession, now: datetime) -> list[Any]:
    """Give what rings at the bound partner's desk, the longest first.

    What came along with a consent that has ended is given behind it, until somebody has confirmed
    that it is not used any more.
    """
    rings = and_(
        Handover.state == "ringing",
        or_(Handover.rings_until.is_(None), Handover.rings_until > now),
    )
    to_stop = and_(Handover.consent_ended_at.is_not(None), Handover.stop_seen_at.is_(None))
    return list(
        session.execute(
            select(Handover.__table__)
            .where(
                Handover.tenant_id == scope_of(session).tenant_id,
                Handover.side == "in",
                or_(rings, to_stop),
            )
            .order_by(rings.desc(), Handover.started_at, Handover.id)
            .limit(50)
        )
    )


def handovers_of(session: TenantSession, contact_id: UUID) -> list[Any]:
    """Give a contact's hand-overs, out and in, the newest first."""
    return list(
        session.execute(
            select(Handover.__table__)
            .where(
                Handover.tenant_id == scope_of(session).tenant_id,
                Handover.contact_id == contact_id,
            )
            .order_by(Handover.started_at.desc(), Handover.id.desc())
        )
    )
