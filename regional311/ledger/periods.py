"""Closing the months of a partner's books, and opening one again by two people.

Months close in order and open again in the opposite order, so that what is closed has nothing open
before it. Soft-closed refuses postings just as closed does; it says that the month is still being
looked at. Opening either again is asked for by one person with a reason and granted by another.
Each step is a row that stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from regional311.audit.service import record
from regional311.database.ids import new_id
from regional311.database.rows import put
from regional311.database.session import TenantSession, scope_of
from regional311.errors import Conflict, Forbidden, InvalidInput, NotFound
from regional311.ledger.models import LedgerPeriod, LedgerPeriodEvent
from regional311.ledger.service import (
    CLOSED,
    OPEN,
    SOFT_CLOSED,
    PeriodClosed,
    lock_calendar,
)

LONGEST_REASON = 500


class PeriodsCloseInOrder(Conflict):
    """An earlier period is still open, or a later one is closed."""


class ReopeningNotAsked(Conflict):
    """Nobody has asked to open this period again, or it was answered already."""


class SamePerson(Forbidden):
    """Whoever asks to open a period again cannot grant it."""


@dataclass(frozen=True, slots=True)
class PeriodEvent:
    """A step in the life of a period; `kind` as in the table's check."""

    id: UUID
    period_key: str
    kind: str
    reason: str | None
    person_id: UUID | None
    at: datetime


def close_period(
    session: TenantSession, period_key: str, *, now: datetime, soft: bool = False
) -> None:
    """Close a month for posting, after every earlier one; closed already is no change.

    :raises NotFound: when nothing was ever posted to it.
    :raises PeriodsCloseInOrder: when an earlier period is not closed as far as this one would be.
    :raises PeriodClosed: when a closed period would become soft-closed.
    """
    period, earlier, _later = _locked(session, period_key)
    wanted = SOFT_CLOSED if soft else CLOSED
    if period.state == wanted:
        return
    if period.state == CLOSED:
        raise PeriodClosed(f"The period {period_key} is closed for good.")
    enough = {CLOSED, SOFT_CLOSED} if soft else {CLOSED}
    late = [each.key for each in earlier if each.state not in enough]
    if late:
        raise PeriodsCloseInOrder(f"Close {late[0]} first: periods close in order.")
    period.state = wanted
    session.flush()
    _step(session, period_key, "soft_closed" if soft else "closed", now, None)


def request_reopening(
    session: TenantSession, period_key: str, *, reason: str, now: datetime
) -> UUID:
    """Ask that a closed or soft-closed month be opened again, saying why; return the request's id.

    :raises InvalidInput: when the reason is empty or too long.
    :raises PeriodsCloseInOrder: when a later period is closed: that one comes first.
    :raises Conflict: when the period is open, or was asked for already.
    """
    said = _reason(reason)
    if scope_of(session).person_id is None:
        raise Forbidden("A period is opened again by people, never by the system.")
    period, _earlier, later = _locked(session, period_key)
    if period.state == OPEN:
        raise Conflict(f"The period {period_key} is open.")
    _refuse_later(later)
    if _pending(session, period_key) is not None:
        raise Conflict(f"To open {period_key} again has been asked for already.")
    return _step(session, period_key, "reopen_requested", now, said)


def approve_reopening(session: TenantSession, period_key: str, *, now: datetime) -> None:
    """Open a month again that somebody else has asked for.

    :raises ReopeningNotAsked: when no request waits.
    :raises SamePerson: when the acting person asked for it.
    :raises PeriodsCloseInOrder: when a later period was closed in the meantime.
    """
    period, _earlier, later = _locked(session, period_key)
    request = _answerable(session, period_key)
    _refuse_later(later)
    period.state = OPEN
    session.flush()
    _step(session, period_key, "reopened", now, request.reason)


def decline_reopening(
    session: TenantSession, period_key: str, *, reason: str, now: datetime
) -> None:
    """Leave a month closed that somebody else has asked to open again, saying why.

    :raises ReopeningNotAsked: when no request waits.
    :raises SamePerson: when the acting person asked for it.
    :raises InvalidInput: when the reason is empty or too long.
    """
    said = _reason(reason)
    _locked(session, period_key)
    _answerable(session, period_key)
    _step(session, period_key, "reopen_declined", now, said)


def period_events(session: TenantSession, period_key: str | None = None) -> list[PeriodEvent]:
    """The steps of one period, or of all, the latest first."""
    query = select(
        LedgerPeriodEvent.id,
        LedgerPeriodEvent.period_key,
        LedgerPeriodEvent.kind,
        LedgerPeriodEvent.reason,
        LedgerPeriodEvent.person_id,
        LedgerPeriodEvent.at,
    ).where(LedgerPeriodEvent.tenant_id == scope_of(session).tenant_id)
    if period_key is not None:
        query = query.where(LedgerPeriodEvent.period_key == period_key)
    rows = session.execute(query.order_by(LedgerPeriodEvent.id.desc()))
    return [PeriodEvent(*row) for row in rows]


def waiting_request(session: TenantSession, period_key: str) -> PeriodEvent | None:
    """The request to open this period again that nobody has answered."""
    events = period_events(session, period_key)
    return events[0] if events and events[0].kind == "reopen_requested" else None


def _locked(
    session: TenantSession, period_key: str
) -> tuple[LedgerPeriod, list[LedgerPeriod], list[LedgerPeriod]]:
    """The period, those before and those after it, all locked in order."""
    lock_calendar(session)
    periods = list(
        session.execute(
            select(LedgerPeriod)
            .where(LedgerPeriod.tenant_id == scope_of(session).tenant_id)
            .order_by(LedgerPeriod.key)
            .with_for_update()
            .execution_options(populate_existing=True)
        ).scalars()
    )
    for place, period in enumerate(periods):
        if period.key == period_key:
            return period, periods[:place], periods[place + 1 :]
    raise NotFound(f"These books have no period {period_key}.")


def _refuse_later(later: list[LedgerPeriod]) -> None:
    closed = [each.key for each in later if each.state != OPEN]
    if closed:
        raise PeriodsCloseInOrder(f"Open {closed[-1]} again first: the latest comes first.")


def _reason(text: str) -> str:
    said = text.strip()
    if not said or len(said) > LONGEST_REASON:
        raise InvalidInput(f"Say why, in at most {LONGEST_REASON} characters.", field="reason")
    return said


def _pending(session: TenantSession, period_key: str) -> LedgerPeriodEvent | None:
    last = session.execute(
        select(LedgerPeriodEvent)
        .where(
            LedgerPeriodEvent.tenant_id == scope_of(session).tenant_id,
            LedgerPeriodEvent.period_key == period_key,
        )
        .order_by(LedgerPeriodEvent.position.desc())
        .limit(1)
    ).scalar_one_or_none()
    return last if last is not None and last.kind == "reopen_requested" else None


def _answerable(session: TenantSession, period_key: str) -> LedgerPeriodEvent:
    request = _pending(session, period_key)
    if request is None:
        raise ReopeningNotAsked(f"Nobody has asked to open {period_key} again.")
    person_id = scope_of(session).person_id
    if person_id is None or person_id == request.person_id:
        raise SamePerson("Whoever asks to open a period again cannot answer; a second person must.")
    return request


def _step(
    session: TenantSession, period_key: str, kind: str, now: datetime, reason: str | None
) -> UUID:
    scope = scope_of(session)
    positions = session.execute(
        select(LedgerPeriodEvent.position).where(
            LedgerPeriodEvent.tenant_id == scope.tenant_id,
            LedgerPeriodEvent.period_key == period_key,
        )
    ).scalars()
    event_id = new_id()
    put(
        session,
        LedgerPeriodEvent(
            tenant_id=scope.tenant_id,
            id=event_id,
            period_key=period_key,
            position=max(positions, default=0) + 1,
            kind=kind,
            reason=reason,
            person_id=scope.person_id,
            at=now,
        ),
    )
    record(
        session,
        now=now,
        action=f"ledger_period:{kind}",
        subject_kind="ledger_period",
        subject_id=event_id,
        detail={"period": period_key},
    )
    return event_id
