"""What is for one person: mentions, what they have, what came back, what is due; seen or unread.

Everything comes in one statement. A thing is unread while something happened to it after they last
acted on it, or after they said that they have seen it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    Text,
    and_,
    case,
    exists,
    func,
    literal,
    null,
    or_,
    select,
    text,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from regional311.audit.models import AuditEvent
from regional311.cover.models import LaterRing
from regional311.database.rows import send
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.floor.models import ForYouEntry, ForYouSeen
from regional311.inbox.models import Thread
from regional311.intake.models import Contact, ServiceRequest
from regional311.referral import lifecycle as referral_states
from regional311.referral.models import FollowUp, Referral, RuleAlert

KINDS: Final = (
    "mentioned",
    "given",
    "taken",
    "looked",
    "assigned",
    "wrote",
    "reopened",
    "claimed",
    "asked",
    "came_back",
    "answer",
    "follow_up",
    "line_open",
    "rule",
)
"""What it is; the first four are what a colleague did."""
KEPT_FOR: Final = timedelta(days=30)
MOST: Final = 50
"""Of each kind."""
NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Item:
    """One thing for somebody. ``service_key`` is what a request or a referral asks for."""

    key: str
    """What it is told apart by: its kind and its id."""
    kind: str
    subject_kind: str
    subject_id: UUID
    number: str
    by_id: UUID | None
    service_key: str | None
    owner_id: UUID | None
    at: datetime
    due_at: datetime | None
    unread: bool


def for_you(
    session: TenantSession,
    *,
    today: date,
    now: datetime,
    shows: Collection[str],
    cleared: bool,
) -> list[Item]:
    """Give what is for the acting person, unread first, then the latest. One statement.

    ``shows`` are the sorts of things that they may open: request, contact, referral, thread,
    visit, rules. Confidential requests are left out for who is not ``cleared``.
    """
    scope = scope_of(session)
    me, person = scope.tenant_id, scope.person_id
    assert person is not None
    parts = [_entries(me, person, now, shows)]
    if "request" in shows:
        parts.append(_requests(me, person, cleared=cleared))
    if "referral" in shows:
        parts += [_claimed(me, person), _sent(me, person, now)]
    if "thread" in shows:
        parts.append(_threads(me, person))
    if "contact" in shows:
        parts += [_follow_ups(me, person, today), _line_openings(me, person)]
    if "rules" in shows:
        parts.append(_stopped_rules(me))
    items = union_all(*parts).subquery()
    moved = func.greatest(items.c.mine_at, literal(NEVER))
    unread = items.c.at > func.coalesce(ForYouSeen.seen_at, moved)
    rows = session.execute(
        select(
            items.c.key,
            items.c.kind,
            items.c.subject_kind,
            items.c.subject_id,
            items.c.number,
            items.c.by_id,
            items.c.service_key,
            items.c.owner_id,
            items.c.at,
            items.c.due_at,
            unread,
        )
        .outerjoin(
            ForYouSeen,
            and_(
                ForYouSeen.tenant_id == me,
                ForYouSeen.person_id == person,
                ForYouSeen.item == items.c.key,
            ),
        )
        .order_by(unread.desc(), items.c.at.desc(), items.c.key)
    )
    return [Item(*tuple(row)) for row in rows]


def _part(kind: Any, subject_kind: Any, key: Any, **columns: Any) -> list[Any]:
    """The columns of one kind of thing; what is not said is null."""
    nothing_at = null().cast(ForYouEntry.at.type)
    nobody = null().cast(ForYouEntry.id.type)
    return [
        (kind if hasattr(kind, "label") else literal(kind)).label("kind"),
        (subject_kind if hasattr(subject_kind, "label") else literal(subject_kind)).label(
            "subject_kind"
        ),
        key.label("key"),
        columns["subject_id"].label("subject_id"),
        columns["number"].label("number"),
        columns.get("by_id", nobody).label("by_id"),
        columns.get("service_key", null().cast(Text)).label("service_key"),
        columns.get("owner_id", nobody).label("owner_id"),
        columns["at"].label("at"),
        columns.get("mine_at", nothing_at).label("mine_at"),
        columns.get("due_at", nothing_at).label("due_at"),
    ]


def _key(kind: str, row_id: Any) -> Any:
    return literal(f"{kind}:") + row_id.cast(Text)


def _some(query: Any) -> Any:
    return select(query.limit(MOST).subquery())


def _entries(me: UUID, person: UUID, now: datetime, shows: Collection[str]) -> Any:
    return _some(
        select(
            *_part(
                ForYouEntry.kind,
                ForYouEntry.subject_kind,
                _key("entry", ForYouEntry.id),
                subject_id=ForYouEntry.subject_id,
                number=ForYouEntry.number,
                by_id=ForYouEntry.by_id,
                at=ForYouEntry.at,
            )
        )
        .where(
            ForYouEntry.tenant_id == me,
            ForYouEntry.person_id == person,
            ForYouEntry.at > now - KEPT_FOR,
            ForYouEntry.subject_kind.in_(sorted(shows)),
        )
        .order_by(ForYouEntry.at.desc())
    )


def _happened(me: UUID, person: UUID, subject: Any) -> tuple[Any, Any]:
    """When others last did something to a record, and when the person did."""
    mine = AuditEvent.person_id == person
    trail = [AuditEvent.tenant_id == me, AuditEvent.subject_id == subject]
    last = select(func.max(AuditEvent.at)).where(*trail)
    theirs = last.where(or_(AuditEvent.person_id.is_(None), ~mine)).scalar_subquery()
    return theirs, last.where(mine).scalar_subquery()


def _reopened(me: UUID, person: UUID) -> Any:
    """Whether somebody else opened the request again after it was closed."""
    return (
        exists()
        .where(
            AuditEvent.tenant_id == me,
            AuditEvent.subject_id == ServiceRequest.id,
            AuditEvent.action == "request:reopen",
            or_(AuditEvent.person_id.is_(None), AuditEvent.person_id != person),
        )
        .correlate(ServiceRequest)
    )


def _requests(me: UUID, person: UUID, *, cleared: bool) -> Any:
    theirs, mine = _happened(me, person, ServiceRequest.id)
    kind = case(
        (ServiceRequest.heard_at.is_not(None), "wrote"),
        (_reopened(me, person), "reopened"),
        else_="assigned",
    )
    query = (
        select(
            *_part(
                kind,
                "request",
                _key("request", ServiceRequest.id),
                subject_id=ServiceRequest.id,
                number=ServiceRequest.public_id,
                service_key=ServiceRequest.service_key,
                owner_id=ServiceRequest.tenant_id,
                at=func.greatest(theirs, ServiceRequest.heard_at, ServiceRequest.opened_at),
                mine_at=mine,
                due_at=ServiceRequest.expected_at,
            )
        )
        .where(
            ServiceRequest.tenant_id == me,
            ServiceRequest.assignee_id == person,
            text("service_requests.state NOT IN ('closed', 'merged')"),
        )
        .order_by(ServiceRequest.opened_at.desc())
    )
    if not cleared:
        query = query.where(ServiceRequest.confidential.is_(False))
    return _some(query)


def _claimed(me: UUID, person: UUID) -> Any:
    theirs, mine = _happened(me, person, Referral.id)
    return _some(
        select(
            *_part(
                "claimed",
                "referral",
                _key("referral", Referral.id),
                subject_id=Referral.id,
                number=Referral.public_id,
                service_key=Referral.service_key,
                owner_id=Referral.tenant_id,
                at=func.greatest(theirs, Referral.sent_at),
                mine_at=mine,
                due_at=case(
                    (Referral.state == "requested", Referral.due_at), else_=Referral.finish_by
                ),
            )
        )
        .where(
            Referral.tenant_id == me,
            Referral.claimed_by == person,
            Referral.side == referral_states.RECEIVER,
            Referral.state.in_(referral_states.OPEN),
        )
        .order_by(Referral.sent_at.desc())
    )


def _sent(me: UUID, person: UUID, now: datetime) -> Any:
    """What the person's contacts sent, and the receiver declined, ended or asks about."""
    asked = Referral.asked_at.is_not(None)
    _theirs, mine = _happened(me, person, Referral.id)
    return _some(
        select(
            *_part(
                case((asked, "asked"), else_="came_back"),
                "referral",
                _key("sent", Referral.id),
                subject_id=Referral.id,
                number=Referral.public_id,
                service_key=Referral.service_key,
                owner_id=Referral.counterparty_id,
                at=case((asked, Referral.asked_at), else_=Referral.closed_at),
                mine_at=mine,
            )
        )
        .join(
            Contact,
            and_(Contact.tenant_id == Referral.tenant_id, Contact.id == Referral.contact_id),
        )
        .where(
            Referral.tenant_id == me,
            Referral.side == referral_states.SENDER,
            Contact.specialist_id == person,
            Referral.sent_at > now - 3 * KEPT_FOR,
            or_(
                and_(asked, Referral.state.in_((*referral_states.OPEN, "failed"))),
                and_(
                    Referral.state.in_(("rejected", "failed")),
                    Referral.closed_at > now - KEPT_FOR,
                ),
            ),
        )
        .order_by(Referral.sent_at.desc())
    )


def _threads(me: UUID, person: UUID) -> Any:
    """Threads of theirs in which the person waits for an answer."""
    return _some(
        select(
            *_part(
                "answer",
                "thread",
                _key("thread", Thread.id),
                subject_id=Thread.id,
                number=Thread.public_id,
                at=func.greatest(Thread.waiting_since, Thread.last_at),
                mine_at=Thread.acted_at,
            )
        )
        .where(Thread.tenant_id == me, Thread.claimed_by == person, Thread.state == "claimed")
        .order_by(Thread.waiting_since)
    )


def _follow_ups(me: UUID, person: UUID, today: date) -> Any:
    # a day of the calendar counts from its first moment
    due = func.timezone("UTC", FollowUp.due_on + func.make_interval())
    _theirs, mine = _happened(me, person, FollowUp.id)
    return _some(
        select(
            *_part(
                "follow_up",
                "contact",
                _key("follow-up", FollowUp.id),
                subject_id=FollowUp.id,
                number=FollowUp.public_id,
                at=due,
                mine_at=mine,
                due_at=due,
            )
        )
        .where(
            FollowUp.tenant_id == me,
            FollowUp.claimed_by == person,
            FollowUp.state == "open",
            FollowUp.held_at.is_(None),
            FollowUp.due_on <= today,
        )
        .order_by(FollowUp.due_on)
    )


def _line_openings(me: UUID, person: UUID) -> Any:
    """Contacts that the person promised to ring through, and whose line is open now."""
    return _some(
        select(
            *_part(
                "line_open",
                "contact",
                _key("line-open", LaterRing.id),
                subject_id=LaterRing.contact_id,
                number=Contact.public_id,
                at=LaterRing.told_at,
                due_at=LaterRing.opens_at,
            )
        )
        .join(
            Contact,
            and_(Contact.tenant_id == LaterRing.tenant_id, Contact.id == LaterRing.contact_id),
        )
        .where(
            LaterRing.tenant_id == me,
            LaterRing.asked_by == person,
            LaterRing.state == "waiting",
            LaterRing.told_at.is_not(None),
        )
        .order_by(LaterRing.told_at)
    )


def _stopped_rules(me: UUID) -> Any:
    """Rules that decide and cannot do what they say: for everybody who keeps rules."""
    return _some(
        select(
            *_part(
                "rule",
                "rules",
                _key("rule", RuleAlert.id),
                subject_id=RuleAlert.rule_set_id,
                number=func.coalesce(func.nullif(RuleAlert.name, ""), RuleAlert.message),
                at=RuleAlert.found_at,
            )
        )
        .where(RuleAlert.tenant_id == me, RuleAlert.gone_at.is_(None))
        .order_by(RuleAlert.found_at.desc())
    )


def see(session: TenantSession, keys: Sequence[str], *, now: datetime) -> None:
    """Keep that the acting person has seen these."""
    scope = scope_of(session)
    if not keys:
        return
    send(session)
    given = insert(ForYouSeen).values(
        [
            {
                "tenant_id": scope.tenant_id,
                "person_id": scope.person_id,
                "item": key,
                "seen_at": now,
            }
            for key in sorted(set(keys))
        ]
    )
    session.execute(
        given.on_conflict_do_update(
            index_elements=["tenant_id", "person_id", "item"],
            set_={"seen_at": given.excluded.seen_at},
        )
    )
    mark_changed(session)


def unsee(session: TenantSession, seen_at: datetime) -> int:
    """Make unread again what the acting person has seen at one moment; give how many."""
    scope = scope_of(session)
    done = session.execute(
        update(ForYouSeen)
        .where(
            ForYouSeen.tenant_id == scope.tenant_id,
            ForYouSeen.person_id == scope.person_id,
            ForYouSeen.seen_at == seen_at,
        )
        .values(seen_at=NEVER)
        .execution_options(synchronize_session=False)
    )
    mark_changed(session)
    changed: int = done.rowcount  # type: ignore[attr-defined]
    return changed
