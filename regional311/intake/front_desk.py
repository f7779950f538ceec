"""Who waits at a front desk, and who is called next.

Somebody who comes gets a number of the day. Being called begins a contact, whose waiting time is
then known. Names are for the specialist who calls; the waiting room is shown numbers. Nothing here
looks at the clock or commits.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import func, literal, or_, select, text, update

from regional311.audit.service import record
from regional311.database.ids import new_id
from regional311.database.rows import new_row, put, send
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.errors import Conflict, InvalidInput, NotFound
from regional311.intake.models import Contact, Visit
from regional311.intake.service import Started, close_contact, update_contact
from regional311.tenancy.models import Tenant

LONGEST_NAME: Final = 100
LONGEST: Final = 300
LATE: Final = timedelta(minutes=15)
"""Waiting longer than this is marked."""
SHOWN: Final = timedelta(minutes=10)
"""How long the waiting room is shown who was called."""
TELLING: Final = 3
"""Visits of the day that must have been called before a wait is foretold."""
REMEMBERED: Final = 10
"""Of how many of the last it is the median."""


class NobodyWaits(Conflict):
    """There is nobody to call."""


class NotWaiting(Conflict):
    """This visit was called, or has left, in the meantime."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """What is asked of somebody who comes in; all of it may be left out."""

    name: str | None = None
    reason: str | None = None
    language: str = "en"
    interpreter: bool = False
    accommodation: str | None = None
    line_key: str | None = None


def arrive(session: TenantSession, arrival: Arrival, *, today: date, now: datetime) -> int:
    """Give somebody the next number of the day. Raises `InvalidInput`."""
    for field, longest in (
        ("name", LONGEST_NAME),
        ("reason", LONGEST),
        ("accommodation", LONGEST),
    ):
        if len(getattr(arrival, field) or "") > longest:
            raise InvalidInput(f"Write at most {longest} characters.", field=field)
    scope = scope_of(session)
    # one at a time in a partner, so that no number is given twice
    session.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended('visits:' || :tenant, 0))"),
        {"tenant": str(scope.tenant_id)},
    )
    last = session.execute(
        select(func.max(Visit.number)).where(Visit.tenant_id == scope.tenant_id, Visit.day == today)
    ).scalar_one()
    number, visit_id = (last or 0) + 1, new_id()
    put(
        session,
        new_row(
            Visit,
            tenant_id=scope.tenant_id,
            id=visit_id,
            day=today,
            number=number,
            line_key=arrival.line_key,
            name=arrival.name,
            reason=arrival.reason,
            language=arrival.language,
            interpreter=arrival.interpreter,
            accommodation=arrival.accommodation,
            state="waiting",
            arrived_at=now,
            taken_in_by=scope.person_id,
        ),
    )
    _record(session, now, "visit:arrive", visit_id, {"number": number})
    return number


def call(
    session: TenantSession,
    *,
    today: date,
    now: datetime,
    begin: Callable[[Visit, int], Started],
    visit_id: UUID | None = None,
    line_key: str | None = None,
    to: str | None = None,
) -> tuple[int, str]:
    """Call somebody, or whoever has waited longest; give the number and the contact's.

    Who waits for the acting person comes first, who waits for somebody else is left to them.
    `begin` starts the contact for a visit and its seconds of waiting. Two who call at once call
    two people. `line_key` keeps to one front desk; `to` is the window. Raises `NobodyWaits`,
    `NotWaiting`, `InvalidInput`.
    """
    scope = scope_of(session)
    if to is not None and len(to) > LONGEST_NAME:
        raise InvalidInput(f"Write at most {LONGEST_NAME} characters.", field="to")
    send(session)
    waiting = select(Visit).where(
        Visit.tenant_id == scope.tenant_id, Visit.day == today, Visit.state == "waiting"
    )
    if visit_id is not None:
        waiting = waiting.where(Visit.id == visit_id).with_for_update()
    else:
        if line_key is not None:
            waiting = waiting.where(Visit.line_key == line_key)
        mine = Visit.for_id == scope.person_id
        waiting = waiting.where(or_(Visit.for_id.is_(None), mine))
        waiting = waiting.order_by(Visit.for_id.is_(None), Visit.number)
        waiting = waiting.limit(1).with_for_update(skip_locked=True)
    visit = session.execute(waiting.execution_options(populate_existing=True)).scalar_one_or_none()
    if visit is None:
        if visit_id is not None:
            raise NotWaiting("This number was called or has left in the meantime.")
        raise NobodyWaits("Nobody is waiting.")
    started = begin(visit, max(0, int((now - visit.arrived_at).total_seconds())))
    send(session)
    update_contact(
        session,
        now=now,
        contact_id=started.id,
        version=started.version,
        interpreter=visit.interpreter,
        accommodation=visit.accommodation,
        note=visit.reason,
    )
    visit.state, visit.contact_id = "called", started.id
    visit.called_at, visit.called_by, visit.called_to = now, scope.person_id, to
    session.flush()
    _record(session, now, "visit:call", visit.id, {"number": visit.number})
    return visit.number, started.public_id


def leave(session: TenantSession, *, visit_id: UUID, today: date, now: datetime) -> int:
    """Somebody went away, or did not come when called: a contact that began ends as a hang-up."""
    visit = _visit(session, visit_id)
    if visit.state == "left":
        return visit.number
    contact_id = visit.contact_id if visit.state == "called" else None
    visit.state, visit.left_at = "left", now
    session.flush()
    _record(session, now, "visit:leave", visit_id, {"number": visit.number})
    number = visit.number
    if contact_id is not None:
        open_contact = session.execute(
            select(Contact.version).where(
                Contact.tenant_id == scope_of(session).tenant_id,
                Contact.id == contact_id,
                Contact.ended_at.is_(None),
            )
        ).scalar_one_or_none()
        if open_contact is not None:
            close_contact(
                session,
                now=now,
                contact_id=contact_id,
                version=open_contact,
                disposition="hang_up",
                zone_day=today,
            )
    return number


def come_back(session: TenantSession, *, visit_id: UUID, today: date, now: datetime) -> int:
    """Put somebody who left back where they were. Raises `NotWaiting` on another day."""
    visit = _visit(session, visit_id)
    if visit.state != "left" or visit.day != today:
        raise NotWaiting("Only who left today can be put back.")
    visit.state, visit.left_at = "waiting", None
    visit.called_at = visit.called_by = visit.called_to = visit.contact_id = None
    session.flush()
    _record(session, now, "visit:back", visit_id, {"number": visit.number})
    return visit.number


def forget(session: TenantSession, now: datetime) -> int:
    """Forget what people said of themselves on days that are over; give how many."""
    tenant_id = scope_of(session).tenant_id
    zone = session.execute(
        select(Tenant.zone).where(Tenant.tenant_id == tenant_id, Tenant.id == tenant_id)
    ).scalar_one()
    today = now.astimezone(ZoneInfo(zone)).date()
    done = session.execute(
        update(Visit)
        .where(
            Visit.tenant_id == tenant_id,
            Visit.day < today,
            func.coalesce(Visit.name, Visit.reason, Visit.accommodation).is_not(None),
        )
        .values(name=None, reason=None, accommodation=None)
        .execution_options(synchronize_session=False)
    )
    forgotten: int = done.rowcount  # type: ignore[attr-defined]
    if forgotten:
        mark_changed(session)
    return forgotten


@dataclass(frozen=True, slots=True)
class Seen:
    """A visit of the day, as staff sees it; `contact` is the number of the contact that began."""

    id: UUID
    number: int
    line_key: str | None
    name: str | None
    reason: str | None
    language: str
    interpreter: bool
    accommodation: str | None
    state: str
    arrived_at: datetime
    called_at: datetime | None
    called_by: UUID | None
    called_to: str | None
    left_at: datetime | None
    for_id: UUID | None
    contact: str | None
    ended_at: datetime | None

    @property
    def under_way(self) -> bool:
        """Whether they were called and are being helped."""
        return self.state == "called" and self.ended_at is None


def visits(session: TenantSession, today: date) -> list[Seen]:
    """Give the visits of a day by number. One statement."""
    own = [getattr(Visit, each.name) for each in fields(Seen)[:-2]]
    rows = session.execute(
        select(*own, Contact.public_id, Contact.ended_at)
        .outerjoin(
            Contact, (Contact.tenant_id == Visit.tenant_id) & (Contact.id == Visit.contact_id)
        )
        .where(Visit.tenant_id == scope_of(session).tenant_id, Visit.day == today)
        .order_by(Visit.number)
    )
    return [Seen(*tuple(row)) for row in rows]


def of_contact(session: TenantSession, contact_id: UUID, today: date) -> Seen | None:
    """Give the visit of today that a contact is. One statement."""
    own = [getattr(Visit, each.name) for each in fields(Seen)[:-2]]
    row = session.execute(
        select(*own, literal(None), literal(None)).where(
            Visit.tenant_id == scope_of(session).tenant_id,
            Visit.day == today,
            Visit.contact_id == contact_id,
        )
    ).first()
    return None if row is None else Seen(*tuple(row))


def how_many_wait(session: TenantSession, today: date) -> int:
    """How many wait at the front desks of the partner. One statement."""
    return session.execute(
        select(func.count()).where(
            Visit.tenant_id == scope_of(session).tenant_id,
            Visit.day == today,
            Visit.state == "waiting",
        )
    ).scalar_one()


def usual_wait(seen: Sequence[Seen]) -> timedelta | None:
    """How long the last who were called had waited: the median, nothing while they are too few."""
    called = sorted((each for each in seen if each.called_at is not None), key=_called)
    waits = [(_called(each) - each.arrived_at).total_seconds() for each in called[-REMEMBERED:]]
    if len(waits) < TELLING:
        return None
    return timedelta(seconds=statistics.median(waits))


def to_show(seen: Sequence[Seen], now: datetime) -> list[Seen]:
    """Those whom the waiting room is shown as called, the latest first."""
    return sorted(
        (each for each in seen if each.under_way and now - _called(each) <= SHOWN),
        key=_called,
        reverse=True,
    )


def _called(each: Seen) -> datetime:
    assert each.called_at is not None
    return each.called_at


def _visit(session: TenantSession, visit_id: UUID) -> Visit:
    send(session)
    found = session.execute(
        select(Visit)
        .where(Visit.tenant_id == scope_of(session).tenant_id, Visit.id == visit_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).scalar_one_or_none()
    if found is None:
        raise NotFound("There is no such visit.")
    return found


def _record(
    session: TenantSession, now: datetime, action: str, visit_id: UUID, detail: dict[str, Any]
) -> None:
    record(
        session,
        now=now,
        action=action,
        subject_kind="visit",
        subject_id=visit_id,
        detail=detail,
    )
