"""Go on duty and off again: who is there, in which languages; time lent to others is metered.

Lent time is metered once, when its duty ends, less what was spent on contacts: those on the
borrower's lines are metered by themselves, and so are those on a third partner's; on the lender's
own nothing was lent. So no second is charged twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from sqlalchemy import or_, select, update
from sqlalchemy.exc import IntegrityError

from regional311.audit.service import record
from regional311.cover.models import Aid, Duty, Emergency
from regional311.database.ids import new_id
from regional311.database.rows import new_row, put, send
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.errors import Conflict, InvalidInput, NotFound
from regional311.intake.models import Contact
from regional311.metering import service as metering
from regional311.tenancy.queries import local_day

LONGEST_DUTY: Final = timedelta(hours=16)

_TALKED: Final = ("phone", "walk_in")
"""Channels on which a contact takes all the time from its start to its end; what is written lies
for hours between two answers, and only the work on it counts."""


class AlreadyOnDuty(Conflict):
    """The person is on duty."""


@dataclass(frozen=True, slots=True)
class Stint:
    """A stretch of time from ``starts`` up to ``ends``."""

    starts: datetime
    ends: datetime


def lent_seconds(duty: Stint, handled: Iterable[Stint], besides: int = 0) -> int:
    """Seconds of a duty outside the contacts handled in it; overlapping ones count once.

    ``besides`` are seconds of work of which only the sum is known; never less than nothing is left.

    >>> from datetime import UTC
    >>> at = lambda minute: datetime(2026, 1, 1, 0, minute, tzinfo=UTC)
    >>> lent_seconds(Stint(at(0), at(30)), [Stint(at(5), at(15)), Stint(at(10), at(20))], 60)
    840
    """
    free, reached = timedelta(), duty.starts
    for each in sorted(handled, key=lambda stint: stint.starts):
        starts, ends = max(each.starts, duty.starts), min(each.ends, duty.ends)
        if starts >= ends:
            continue
        if starts > reached:
            free += starts - reached
        reached = max(reached, ends)
    if reached < duty.ends:
        free += duty.ends - reached
    return max(0, int(free.total_seconds()) - besides)


def over_at(emergency: Any) -> datetime:
    """When an emergency was over, or is going to be: never later than it was planned."""
    planned: datetime = emergency.ends_at
    return min(emergency.ended_at or planned, planned)


def go_on_duty(
    session: TenantSession,
    *,
    name: str,
    languages: Iterable[str],
    now: datetime,
    hours: int = 8,
    aid_id: UUID | None = None,
) -> UUID:
    """Put the acting person on duty, on the own desk or as lent help.

    :raises AlreadyOnDuty: when they are.
    :raises InvalidInput: when they are not among those lent, or the help is not accepted.
    """
    scope = scope_of(session)
    if scope.person_id is None:
        raise InvalidInput("Only a person goes on duty.")
    if not 1 <= hours <= LONGEST_DUTY.total_seconds() / 3600:
        raise InvalidInput("A duty lasts 1 to 16 hours.", field="hours")
    if aid_id is not None:
        aid = session.execute(
            select(Aid.state, Aid.people, Aid.lender_id, Emergency.ended_at, Emergency.ends_at)
            .join(Emergency, Emergency.id == Aid.emergency_id)
            .where(Aid.tenant_id == scope.tenant_id, Aid.id == aid_id)
            .with_for_update(of=Aid)
        ).one_or_none()
        if aid is None:
            raise NotFound("There is no such help.")
        lent = {each["id"] for each in aid.people}
        if (
            aid.state != "accepted"
            or aid.lender_id != scope.tenant_id
            or str(scope.person_id) not in lent
            or over_at(aid) <= now
        ):
            raise InvalidInput("You are not lent to that partner now.", field="aid")
    send(session)
    for row in _open(session, Duty.person_id == scope.person_id, Duty.until <= now):
        _close(session, row, at=row.until, now=now)
    duty_id = new_id()
    put(
        session,
        new_row(
            Duty,
            tenant_id=scope.tenant_id,
            id=duty_id,
            person_id=scope.person_id,
            name=name[:200],
            languages=list(dict.fromkeys(languages)),
            aid_id=aid_id,
            started_at=now,
            until=now + timedelta(hours=hours),
            ended_at=None,
        ),
    )
    try:
        send(session)
    except IntegrityError as error:
        if "uq_duties_open" not in str(error.orig):
            raise
        raise AlreadyOnDuty("You are on duty already.") from error
    record(
        session,
        now=now,
        action="duty:start",
        subject_kind="duty",
        subject_id=duty_id,
        detail={"aid": str(aid_id) if aid_id else None},
    )
    return duty_id


def go_off_duty(session: TenantSession, *, now: datetime) -> bool:
    """Take the acting person off duty; tell whether they were."""
    found = _open(session, Duty.person_id == scope_of(session).person_id)
    for row in found:
        _close(session, row, at=min(now, row.until), now=now)
    return bool(found)


def end_duties(session: TenantSession, *, now: datetime) -> int:
    """End the bound partner's duties that have come to their end; give how many."""
    found = _open(session, Duty.until <= now)
    for row in found:
        _close(session, row, at=row.until, now=now)
    return len(found)


def end_lent(session: TenantSession, aid_id: UUID, *, at: datetime, now: datetime) -> None:
    """End the bound partner's duties of some help that was over ``at`` a moment, maybe before."""
    for row in _open(session, Duty.aid_id == aid_id):
        _close(session, row, at=min(at, row.until), now=now)


def _open(session: TenantSession, *conditions: Any) -> list[Any]:
    return list(
        session.execute(
            select(Duty.__table__)
            .where(
                Duty.tenant_id == scope_of(session).tenant_id,
                Duty.ended_at.is_(None),
                *conditions,
            )
            .with_for_update()
        )
    )


def _close(session: TenantSession, row: Any, *, at: datetime, now: datetime) -> None:
    borrower_id, at = (None, at) if row.aid_id is None else _lent_until(session, row, at)
    ends = max(at, row.started_at)
    send(session)
    session.execute(
        update(Duty)
        .where(Duty.tenant_id == row.tenant_id, Duty.id == row.id)
        .values(ended_at=ends),
        execution_options={"synchronize_session": False},
    )
    mark_changed(session)
    record(session, now=now, action="duty:end", subject_kind="duty", subject_id=row.id)
    if borrower_id is not None:
        _meter(session, row, borrower_id, Stint(row.started_at, ends), now)


def _lent_until(session: TenantSession, duty: Any, at: datetime) -> tuple[UUID, datetime]:
    """To whom a duty was lent, and until when: never after the emergency, whoever ends it when."""
    row = session.execute(
        select(Aid.borrower_id, Emergency.ended_at, Emergency.ends_at)
        .join(Emergency, Emergency.id == Aid.emergency_id)
        .where(Aid.tenant_id == duty.tenant_id, Aid.id == duty.aid_id)
    ).one()
    return row.borrower_id, min(at, over_at(row))


def _meter(
    session: TenantSession, duty: Any, borrower_id: UUID, stint: Stint, now: datetime
) -> None:
    """Record the lent time of a duty that has ended, in whole minutes, once for ever."""
    contacts = session.execute(
        select(
            Contact.channel,
            Contact.line_owner_id,
            Contact.started_at,
            Contact.ended_at,
            Contact.handle_seconds,
        ).where(
            Contact.tenant_id == duty.tenant_id,
            Contact.specialist_id == duty.person_id,
            Contact.started_at < stint.ends,
            or_(Contact.ended_at.is_(None), Contact.ended_at > stint.starts),
        )
    )
    handled, besides = [], 0
    for each in contacts:
        span = Stint(each.started_at, each.ended_at or stint.ends)
        theirs = each.line_owner_id == borrower_id
        if each.channel in _TALKED or (theirs and each.ended_at is None):
            handled.append(span)
        elif each.ended_at is not None:
            inside = min(span.ends, stint.ends) - max(span.starts, stint.starts)
            besides += min(each.handle_seconds, int(inside.total_seconds()))
    minutes = lent_seconds(stint, handled, besides) // 60
    if minutes == 0:
        return
    metering.record(
        session,
        metering.Usage(
            source_key=f"duty:{duty.id}:lent:1",
            activity=metering.LENT_MINUTE,
            channel="phone",
            service_owner_id=borrower_id,
            line_owner_id=borrower_id,
            subject_id=duty.id,
            quantity=Decimal(minutes),
            handle_seconds=0,
            occurred_at=stint.starts,
            received_at=now,
            booked_on=local_day(session, now),
        ),
    )
