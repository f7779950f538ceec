"""Asking later what became of a need: claim, try, stop; the only writer of follow-ups.

Somebody is asked only when they agreed to it and it is safe. The clock stops while all that the
need waits for is on hold. A follow-up that is over after at least one try is metered once, whatever
it needed; it is no contact of its own, so that the same work is not billed twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, func, select, update

from regional311.audit.service import record
from regional311.calendars import BusinessCalendar
from regional311.database.ids import new_id, public_id
from regional311.database.locking import locked
from regional311.database.rows import new_row, put, send
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.errors import Conflict, InvalidInput, NotFound
from regional311.intake import needs
from regional311.intake.models import Contact, Inquirer, Need
from regional311.intake.service import Changed
from regional311.metering import service as metering
from regional311.referral import lifecycle
from regional311.referral.follow_up import FollowUpClosed, after, check_attempt
from regional311.referral.loop import Loop, working_days_after, working_days_between
from regional311.referral.models import FollowUp, FollowUpAttempt, Referral
from regional311.tenancy.hours import business_hours
from regional311.tenancy.models import Tenant

MAX_NOTE: Final = 2000
PREFIX: Final = "U"


class NotAgreed(Conflict):
    """The person did not agree to be asked later, or contact would put them in danger."""


@dataclass(frozen=True, slots=True)
class Tried:
    """An attempt as it is recorded. `status`, `unmet_reason` and `words` are what they said."""

    result: str
    channel: str = "phone"
    status: str | None = None
    unmet_reason: str | None = None
    note: str | None = None
    words: str | None = None


def follow_up_row(
    tenant_id: UUID,
    *,
    contact_id: UUID,
    need_id: UUID,
    inquirer_id: UUID,
    due_on: date,
    urgency: str,
    language: str,
    now: datetime,
) -> FollowUp:
    """Make the row of a new follow-up; whoever makes it has seen that the person agreed."""
    return new_row(
        FollowUp,
        tenant_id=tenant_id,
        id=new_id(),
        public_id=public_id(PREFIX),
        contact_id=contact_id,
        need_id=need_id,
        inquirer_id=inquirer_id,
        due_on=due_on,
        urgency=urgency,
        language=language,
        state="open",
        created_at=now,
        version=1,
    )


def begin(
    session: TenantSession,
    *,
    now: datetime,
    contact_id: UUID,
    need_id: UUID,
    due_on: date,
    agreed: bool,
) -> str:
    """Plan to ask about a need of a contact, with the person's consent; give the number.

    Raises :class:`NotFound`, :class:`NotAgreed`, and :class:`Conflict` when one is planned.
    """
    tenant_id = scope_of(session).tenant_id
    row = session.execute(
        select(
            Need.urgency,
            Contact.language,
            Inquirer.id,
            Inquirer.contact_prohibited,
            Inquirer.may_follow_up,
            func.coalesce(Inquirer.phone, Inquirer.email).label("reached_at"),
            select(FollowUp.id)
            .where(
                FollowUp.tenant_id == tenant_id,
                FollowUp.need_id == need_id,
                FollowUp.state == "open",
            )
            .scalar_subquery()
            .label("planned"),
        )
        .join(Contact, (Contact.tenant_id == Need.tenant_id) & (Contact.id == Need.contact_id))
        .outerjoin(
            Inquirer,
            (Inquirer.tenant_id == Contact.tenant_id) & (Inquirer.id == Contact.inquirer_id),
        )
        .where(Need.tenant_id == tenant_id, Need.id == need_id, Need.contact_id == contact_id)
        .with_for_update(of=Need)
    ).one_or_none()
    if row is None:
        raise NotFound("There is no such need.")
    if row.planned is not None:
        raise Conflict("Somebody is going to ask about this need already.")
    if row.id is None or row.reached_at is None:
        raise NotAgreed("Nobody can be asked: the person left no number and no address.")
    if row.contact_prohibited:
        raise NotAgreed("Contact would put this person in danger: nobody asks them.")
    if not (agreed or row.may_follow_up):
        raise NotAgreed("Ask the person first whether they may be asked later.", field="agreed")
    if due_on < now.date():
        raise InvalidInput("Choose a day that is still to come.", field="due_on")
    session.execute(
        update(Inquirer)
        .where(Inquirer.tenant_id == tenant_id, Inquirer.id == row.id)
        .values(may_follow_up=True)
        .execution_options(synchronize_session=False)
    )
    made = follow_up_row(
        tenant_id,
        contact_id=contact_id,
        need_id=need_id,
        inquirer_id=row.id,
        due_on=due_on,
        urgency=row.urgency,
        language=row.language,
        now=now,
    )
    number = str(made.__dict__["public_id"])
    follow_up_id = made.__dict__["id"]
    put(session, made)
    _audit(session, now, "follow_up:plan", follow_up_id, {"due_on": due_on.isoformat()})
    return number


def claim(session: TenantSession, *, now: datetime, follow_up_id: UUID, version: int) -> Changed:
    """Take a follow-up oneself. Raises :class:`FollowUpClosed` when it is over."""
    person_id = scope_of(session).person_id
    found = _open(session, follow_up_id, version, {"claimed_by": person_id})
    found.claimed_by = person_id
    session.flush()
    _audit(session, now, "follow_up:claim", follow_up_id, {})
    return Changed(follow_up_id, found.version, found.state)


def attempt(
    session: TenantSession,
    tried: Tried,
    *,
    now: datetime,
    follow_up_id: UUID,
    version: int,
    loop: Loop,
    calendar: BusinessCalendar,
) -> Changed:
    """Record that somebody tried to ask, what came of it, and what the person said.

    Raises what :func:`check_attempt` raises, :class:`FollowUpClosed`, :class:`NotFound`, `Stale`.
    """
    if tried.note is not None and len(tried.note) > MAX_NOTE:
        raise InvalidInput(f"Write a note of at most {MAX_NOTE} characters.", field="note")
    scope = scope_of(session)
    found = _open(session, follow_up_id, version, {"result": tried.result})
    about = session.execute(
        select(
            Inquirer.may_leave_message,
            Inquirer.contact_prohibited,
            Need.service_owner_id,
            Need.service_key,
        )
        .join(Need, (Need.tenant_id == Inquirer.tenant_id) & (Need.id == found.need_id))
        .where(Inquirer.tenant_id == scope.tenant_id, Inquirer.id == found.inquirer_id)
    ).one()
    if about.contact_prohibited:
        raise NotAgreed("Contact would put this person in danger: nobody asks them.")
    check_attempt(
        tried.result,
        tried.channel,
        may_leave_message=about.may_leave_message,
        status=tried.status,
        unmet_reason=tried.unmet_reason,
        words=tried.words,
    )
    found.attempts += 1
    becomes = after(tried.result, found.attempts, loop.attempts)
    today = calendar.local_date(now)
    found.state, found.reason = becomes.state, becomes.reason
    found.claimed_by = found.claimed_by or scope.person_id
    if becomes.state == "open":
        found.due_on = working_days_after(calendar, today, loop.retry_days)
    else:
        found.closed_at = now
    session.flush()
    put(
        session,
        new_row(
            FollowUpAttempt,
            tenant_id=scope.tenant_id,
            id=new_id(),
            follow_up_id=follow_up_id,
            number=found.attempts,
            at=now,
            by_id=scope.person_id,
            channel=tried.channel,
            result=tried.result,
            need_status=tried.status,
            unmet_reason=tried.unmet_reason if tried.status == needs.UNMET else None,
            note=_note(tried),
        ),
    )
    changed = Changed(follow_up_id, found.version, found.state)
    _audit(
        session,
        now,
        "follow_up:attempt",
        follow_up_id,
        {"result": tried.result, "channel": tried.channel, "state": becomes.state},
    )
    if becomes.state != "open":
        _meter(session, found, about, tried, now=now, booked_on=today)
    need_id, contact_id = found.need_id, found.contact_id
    if tried.status is not None:
        needs.say(
            session,
            now=now,
            need_id=need_id,
            status=tried.status,
            unmet_reason=tried.unmet_reason,
            words=tried.words,
            how="follow_up",
        )
    if tried.result == "not_safe":
        stop_for_contact(session, contact_id, reason="not_safe", now=now)
    return changed


def _note(tried: Tried) -> str | None:
    """What is noted of an attempt: the reason in words, too, where it stands in no list."""
    words = needs.kept_words(tried.status or "", tried.unmet_reason, tried.words)
    return "\n".join(filter(None, (words, (tried.note or "").strip()))) or None


def stop(
    session: TenantSession, *, now: datetime, follow_up_id: UUID, version: int, reason: str
) -> Changed:
    """End a follow-up that nobody needs any more. Raises :class:`FollowUpClosed`, `Stale`."""
    found = _open(session, follow_up_id, version, {"reason": reason})
    found.state, found.reason, found.closed_at = "stopped", reason, now
    session.flush()
    _audit(session, now, "follow_up:stop", follow_up_id, {"reason": reason})
    return Changed(follow_up_id, found.version, found.state)


def stop_for_contact(
    session: TenantSession, contact_id: UUID, *, reason: str, now: datetime
) -> int:
    """End all follow-ups of a contact; say how many were open."""
    return _stop_where(session, FollowUp.contact_id == contact_id, reason=reason, now=now)


def _stop_where(
    session: TenantSession, which: ColumnElement[bool], *, reason: str, now: datetime
) -> int:
    send(session)
    stopped = list(
        session.execute(
            update(FollowUp)
            .where(
                FollowUp.tenant_id == scope_of(session).tenant_id, FollowUp.state == "open", which
            )
            .values(state="stopped", reason=reason, closed_at=now, version=FollowUp.version + 1)
            .returning(FollowUp.id)
            .execution_options(synchronize_session=False)
        ).scalars()
    )
    mark_changed(session)
    for each in stopped:
        _audit(session, now, "follow_up:stop", each, {"reason": reason})
    return len(stopped)


def keep_the_clock(session: TenantSession, need_id: UUID, *, now: datetime) -> None:
    """Stop the clock of a need's follow-up while all that it waits for is on hold, or let it go on.

    The due day then moves by the working days that it stood still. One statement where nothing has
    to change.
    """
    tenant_id = scope_of(session).tenant_id
    under_way = Referral.state.in_(lifecycle.OPEN)
    row = session.execute(
        select(
            FollowUp.id,
            FollowUp.held_at,
            FollowUp.due_on,
            func.bool_and(Referral.state == "on_hold").filter(under_way).label("held"),
        )
        .outerjoin(
            Referral,
            (Referral.tenant_id == FollowUp.tenant_id)
            & (Referral.need_id == FollowUp.need_id)
            & (Referral.side == lifecycle.SENDER),
        )
        .where(
            FollowUp.tenant_id == tenant_id,
            FollowUp.need_id == need_id,
            FollowUp.state == "open",
        )
        .group_by(FollowUp.id, FollowUp.held_at, FollowUp.due_on)
    ).one_or_none()
    if row is None or bool(row.held) == (row.held_at is not None):
        return
    values: dict[str, Any] = {"held_at": now}
    if row.held_at is not None:
        mine = session.execute(
            select(Tenant.zone, Tenant.settings).where(
                Tenant.tenant_id == tenant_id, Tenant.id == tenant_id
            )
        ).one()
        calendar = business_hours(mine)
        stood = working_days_between(
            calendar, calendar.local_date(row.held_at), calendar.local_date(now)
        )
        values = {"held_at": None, "due_on": working_days_after(calendar, row.due_on, stood)}
    session.execute(
        update(FollowUp)
        .where(FollowUp.tenant_id == tenant_id, FollowUp.id == row.id)
        .values(version=FollowUp.version + 1, **values)
        .execution_options(synchronize_session=False)
    )
    mark_changed(session)


def _open(
    session: TenantSession, follow_up_id: UUID, version: int, submitted: dict[str, Any]
) -> FollowUp:
    found = locked(session, FollowUp, follow_up_id, version, submitted, "follow-up")
    if found.state != "open":
        raise FollowUpClosed("This follow-up is over.")
    return found


def _meter(
    session: TenantSession,
    found: FollowUp,
    about: Any,
    tried: Tried,
    *,
    now: datetime,
    booked_on: date,
) -> None:
    metering.record(
        session,
        metering.Usage(
            source_key=f"follow_up:{found.id}:closed:1",
            activity=metering.FOLLOW_UP,
            channel=tried.channel,
            language=found.language,
            service_owner_id=about.service_owner_id,
            service_key=about.service_key,
            line_owner_id=found.tenant_id,
            contact_id=found.contact_id,
            subject_id=found.id,
            occurred_at=now,
            received_at=now,
            booked_on=booked_on,
        ),
    )


def _audit(
    session: TenantSession,
    now: datetime,
    action: str,
    follow_up_id: UUID,
    detail: dict[str, Any],
) -> None:
    record(
        session,
        now=now,
        action=action,
        subject_kind="follow_up",
        subject_id=follow_up_id,
        detail=detail,
    )
