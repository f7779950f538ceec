"""What may be asked of the floor: who has what open, who waits since when, what is late.

Each question is one statement, whatever the number of people; nothing here says what was said.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    Text,
    Uuid,
    and_,
    case,
    cast,
    exists,
    func,
    literal,
    null,
    or_,
    select,
    text,
    tuple_,
    union_all,
)
from sqlalchemy.dialects.postgresql import distinct_on

from regional311.audit.models import AuditEvent
from regional311.cover.later_rings import PUT_THROUGH_WITHIN
from regional311.cover.models import Duty, Handover, LaterRing
from regional311.database.session import TenantSession, scope_of
from regional311.inbox.calls import BESIDE, HERE, RINGS_FOR
from regional311.inbox.models import Call, Thread
from regional311.intake.models import Contact, FollowedRequest, Need, ServiceRequest, Visit
from regional311.referral.models import FollowUp, Referral
from regional311.referral.worklist import SOON, WORKED

MOST: Final = 300
"""Open contacts of a partner that are looked at."""

MOST_GIVEN: Final = 50
"""Rows of who gave requests to whom that are shown."""


@dataclass(frozen=True, slots=True)
class UnderWay:
    """An open contact and who has it: what is known of it from outside."""

    id: UUID
    public_id: str
    specialist_id: UUID
    channel: str
    language: str
    line_key: str | None
    line_owner_id: UUID
    started_at: datetime
    gone_at: datetime | None
    in_danger: bool
    waits: bool
    """Whether it is a thread that waits for the person."""
    confidential: bool

    @property
    def live(self) -> bool:
        """Whether somebody is there: mail and texts wait by themselves, and so does a chat that
        waits for the person.
        """
        return self.channel not in ("email", "text") and not self.waits


def is_confidential(secret: Collection[tuple[UUID, str]]) -> Any:
    """Whether a contact is confidential: its thread, a request of it, or what was asked for is.

    So it is when a request of it was handed on to a confidential service.

    ``secret`` are the confidential services, as (owner, key).
    """
    of_contact = [
        exists()
        .where(
            Thread.tenant_id == Contact.tenant_id,
            Thread.contact_id == Contact.id,
            Thread.confidential,
        )
        .correlate(Contact),
        exists()
        .where(
            ServiceRequest.tenant_id == Contact.tenant_id,
            ServiceRequest.contact_id == Contact.id,
            ServiceRequest.confidential,
        )
        .correlate(Contact),
    ]
    if secret:
        of_contact.append(
            exists()
            .where(
                Need.tenant_id == Contact.tenant_id,
                Need.contact_id == Contact.id,
                tuple_(Need.service_owner_id, Need.service_key).in_(sorted(secret)),
            )
            .correlate(Contact)
        )
        of_contact.append(
            exists()
            .where(
                FollowedRequest.tenant_id == Contact.tenant_id,
                FollowedRequest.contact_id == Contact.id,
                tuple_(FollowedRequest.owner_id, FollowedRequest.service_key).in_(sorted(secret)),
            )
            .correlate(Contact)
        )
    return or_(*of_contact)


def contact_is_confidential(
    session: TenantSession, contact_id: UUID, secret: Collection[tuple[UUID, str]]
) -> bool:
    """Whether one contact is confidential. One statement."""
    return contact_id in confidential_contacts(session, [contact_id], secret)


def confidential_contacts(
    session: TenantSession,
    contact_ids: Iterable[UUID | None],
    secret: Collection[tuple[UUID, str]],
) -> frozenset[UUID]:
    """Those of some contacts that are confidential. One statement, none for nothing."""
    wanted = {each for each in contact_ids if each is not None}
    if not wanted:
        return frozenset()
    rows = session.execute(
        select(Contact.id).where(
            Contact.tenant_id == scope_of(session).tenant_id,
            Contact.id.in_(sorted(wanted)),
            is_confidential(secret),
        )
    )
    return frozenset(row.id for row in rows)


def under_way(session: TenantSession, secret: Collection[tuple[UUID, str]]) -> list[UnderWay]:
    """Give the open contacts that somebody has, the longest first. One statement."""
    me = scope_of(session).tenant_id
    rows = session.execute(
        select(
            Contact.id,
            Contact.public_id,
            Contact.specialist_id,
            Contact.channel,
            Contact.language,
            Contact.line_key,
            Contact.line_owner_id,
            Contact.started_at,
            func.coalesce(Contact.gone_at, Call.ended_at),
            and_(Contact.danger_answer.is_not(None), Contact.danger_answer != "none"),
            func.coalesce(Thread.state == "waiting", literal(value=False)),
            is_confidential(secret),
        )
        .outerjoin(
            Thread, (Thread.tenant_id == Contact.tenant_id) & (Thread.contact_id == Contact.id)
        )
        .outerjoin(
            Call,
            (Call.tenant_id == Contact.tenant_id)
            & (Call.contact_id == Contact.id)
            & Call.settled_at.is_(None),
        )
        .where(
            Contact.tenant_id == me,
            Contact.ended_at.is_(None),
            Contact.specialist_id.is_not(None),
        )
        .order_by(Contact.started_at, Contact.id)
        .limit(MOST)
    )
    return [UnderWay(*tuple(row)) for row in rows]


def there(session: TenantSession, now: datetime) -> dict[UUID, datetime]:
    """Give who of the partner is on duty, and since when. One statement."""
    rows = session.execute(
        select(Duty.person_id, Duty.started_at).where(
            Duty.tenant_id == scope_of(session).tenant_id,
            Duty.started_at <= now,
            Duty.until > now,
            Duty.ended_at.is_(None),
        )
    )
    return {row.person_id: row.started_at for row in rows}


@dataclass(frozen=True, slots=True)
class Ended:
    """The contacts that somebody has begun since a time and ended, and when the last one ended."""

    number: int
    last_at: datetime


def ended(
    session: TenantSession, people: Collection[UUID], *, since: datetime
) -> dict[UUID, Ended]:
    """Give what these people have begun since and ended. One statement, none for nobody."""
    if not people:
        return {}
    rows = session.execute(
        select(Contact.specialist_id, func.count(), func.max(Contact.ended_at))
        .where(
            Contact.tenant_id == scope_of(session).tenant_id,
            Contact.specialist_id.in_(sorted(people)),
            Contact.started_at >= since,
            Contact.ended_at.is_not(None),
        )
        .group_by(Contact.specialist_id)
    )
    return {person: Ended(number, last) for person, number, last in rows if person and last}


@dataclass(frozen=True, slots=True)
class Waits:
    """Some who wait in one place for the same, or whom one person lets wait."""

    kind: str
    """visit, thread, call, ring; or answer: a thread that somebody has claimed."""
    channel: str | None
    line_key: str | None
    person_id: UUID | None
    """For whom they wait, if for one."""
    number: int
    confidential: int
    since: datetime
    line_owner_id: UUID | None
    """Whose line it is, where this partner answers for another; none for its own."""


def waiting(session: TenantSession, *, today: date, now: datetime) -> list[Waits]:
    """Count who waits: at front desks, in the inbox, on the telephone. One statement."""
    me = scope_of(session).tenant_id
    nothing, nobody = null().cast(Text), null().cast(Uuid)
    secret = func.count().filter(Thread.confidential)
    visits = (
        select(
            literal("visit"),
            literal("walk_in"),
            Visit.line_key,
            Visit.for_id,
            func.count(),
            literal(0),
            func.min(Visit.arrived_at),
            nobody,
        )
        .where(Visit.tenant_id == me, Visit.day == today, Visit.state == "waiting")
        .group_by(Visit.line_key, Visit.for_id)
    )
    new = (
        select(
            literal("thread"),
            Thread.channel,
            Thread.line_key,
            nobody,
            func.count(),
            secret,
            func.min(Thread.waiting_since),
            nobody,
        )
        .where(Thread.tenant_id == me, Thread.state == "new")
        .group_by(Thread.channel, Thread.line_key)
    )
    claimed = (
        select(
            literal("answer"),
            nothing,
            nothing,
            Thread.claimed_by,
            func.count(),
            secret,
            func.min(Thread.waiting_since),
            nobody,
        )
        .where(Thread.tenant_id == me, Thread.state == "claimed")
        .group_by(Thread.claimed_by)
    )
    calls = (
        select(
            literal("call"),
            literal("phone"),
            Call.line_key,
            nobody,
            func.count(),
            literal(0),
            func.min(Call.rang_at),
            Call.line_owner_id,
        )
        .where(
            Call.tenant_id == me,
            Call.contact_id.is_(None),
            Call.settled_at.is_(None),
            Call.ended_at.is_(None),
            Call.rang_at > now - RINGS_FOR,
            Call.rings.in_((HERE, BESIDE)),
        )
        .group_by(Call.line_owner_id, Call.line_key)
    )
    rings = (
        select(
            literal("ring"),
            nothing,
            nothing,
            Handover.person_id,
            func.count(),
            literal(0),
            func.min(Handover.started_at),
            nobody,
        )
        .where(
            Handover.tenant_id == me,
            Handover.side == "in",
            Handover.state == "ringing",
            or_(Handover.rings_until.is_(None), Handover.rings_until > now),
        )
        .group_by(Handover.person_id)
    )
    rows = session.execute(union_all(visits, new, claimed, calls, rings))
    return sorted((Waits(*tuple(row)) for row in rows), key=lambda each: each.since)


@dataclass(frozen=True, slots=True)
class Risk:
    """Promises of one kind that are broken or will be soon, in a queue and with somebody.

    Soon is within a day; for a request it is when as much of its time is gone as its partner's
    levels say. ``first`` is the earliest of them.
    """

    kind: str
    """request; answer or finish, of a referral; follow_up; put_through, to a line that opens."""
    queue: str | None
    person_id: UUID | None
    overdue: int
    soon: int
    first: datetime


def at_risk(session: TenantSession, *, today: date, now: datetime, cleared: bool) -> Sequence[Risk]:
    """Count what is overdue and due soon, by queue and by who has it. One statement.

    Confidential requests are counted for who is ``cleared`` for them only.
    """
    me, until = scope_of(session).tenant_id, now + SOON
    nothing = null().cast(Text)

    def counted(kind: str, queue: Any, person: Any, due: Any, at: Any = now) -> list[Any]:
        return [
            literal(kind),
            queue,
            person,
            func.count().filter(due < at),
            func.count().filter(due >= at),
        ]

    due, warned = ServiceRequest.expected_at, ServiceRequest.warn_at
    requests = (
        select(
            *counted("request", ServiceRequest.queue, ServiceRequest.assignee_id, due),
            func.min(due),
        )
        .where(
            ServiceRequest.tenant_id == me,
            warned.is_not(None),
            warned <= now,
            # as the index says it, word for word
            text("service_requests.state NOT IN ('closed', 'merged')"),
        )
        .group_by(ServiceRequest.queue, ServiceRequest.assignee_id)
    )
    if not cleared:
        requests = requests.where(ServiceRequest.confidential.is_(False))
    received = (Referral.tenant_id == me, Referral.side == "received")
    answers = (
        select(
            *counted("answer", nothing, Referral.claimed_by, Referral.due_at),
            func.min(Referral.due_at),
        )
        .where(
            *received,
            Referral.state == "requested",
            Referral.asked_at.is_(None),
            Referral.due_at < until,
        )
        .group_by(Referral.claimed_by)
    )
    finishes = (
        select(
            *counted("finish", nothing, Referral.claimed_by, Referral.finish_by),
            func.min(Referral.finish_by),
        )
        .where(*received, Referral.state.in_(WORKED), Referral.finish_by < until)
        .group_by(Referral.claimed_by)
    )
    asks = (
        select(
            *counted("follow_up", nothing, FollowUp.claimed_by, FollowUp.due_on, today),
            func.min(func.timezone("UTC", FollowUp.due_on + func.make_interval())),
        )
        .where(
            FollowUp.tenant_id == me,
            FollowUp.state == "open",
            FollowUp.held_at.is_(None),
            FollowUp.due_on < today,
        )
        .group_by(FollowUp.claimed_by)
    )
    promised = LaterRing.opens_at + PUT_THROUGH_WITHIN
    rings = (
        select(
            *counted("put_through", nothing, LaterRing.asked_by, promised),
            func.min(promised),
        )
        .where(LaterRing.tenant_id == me, LaterRing.state == "waiting", LaterRing.opens_at < until)
        .group_by(LaterRing.asked_by)
    )
    rows = session.execute(union_all(requests, answers, finishes, asks, rings))
    return [Risk(*tuple(row)) for row in rows]


@dataclass(frozen=True, slots=True)
class Given:
    """Open requests that somebody gave on, by who has them now; nobody: they wait in the queue."""

    by_id: UUID | None
    person_id: UUID | None
    queue: str | None
    number: int
    last: datetime


def given(session: TenantSession, *, since: datetime, cleared: bool) -> Sequence[Given]:
    """Count requests that were given on, one by one or many at once, the last first. One statement.

    Each counts once, for who gave it last to whoever has it now: what was undone, given on again or
    has ended is not there, nor what people took themselves. Confidential requests are counted for
    who is ``cleared`` for them only.
    """
    tenant_id = scope_of(session).tenant_id
    wanted: list[Any] = [
        AuditEvent.tenant_id == tenant_id,
        AuditEvent.at >= since,
        # as the index says it, word for word
        text("audit_events.action = 'request:assign'"),
        text("service_requests.state NOT IN ('closed', 'merged')"),
        # what a change of the priority alone, or one that was undone, does not say
        case(
            (
                ServiceRequest.assignee_id.is_(None),
                AuditEvent.detail["queue"].astext == ServiceRequest.queue,
            ),
            else_=AuditEvent.detail["assignee_id"].astext == cast(ServiceRequest.assignee_id, Text),
        ),
    ]
    if not cleared:
        wanted.append(ServiceRequest.confidential.is_(False))
    each = (
        select(
            AuditEvent.person_id,
            ServiceRequest.assignee_id,
            case((ServiceRequest.assignee_id.is_(None), ServiceRequest.queue)).label("queue"),
            AuditEvent.at,
        )
        .ext(distinct_on(AuditEvent.subject_id))
        .join(
            ServiceRequest,
            and_(
                ServiceRequest.tenant_id == AuditEvent.tenant_id,
                ServiceRequest.id == AuditEvent.subject_id,
            ),
        )
        .where(*wanted)
        .order_by(AuditEvent.subject_id, AuditEvent.at.desc(), AuditEvent.id.desc())
        .subquery()
        .c
    )
    last = func.max(each.at)
    rows = session.execute(
        select(each.person_id, each.assignee_id, each.queue, func.count(), last)
        .where(each.person_id.is_distinct_from(each.assignee_id))
        .group_by(each.person_id, each.assignee_id, each.queue)
        .order_by(last.desc())
        .limit(MOST_GIVEN)
    )
    return [Given(*tuple(row)) for row in rows]
