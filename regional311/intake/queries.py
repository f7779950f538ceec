"""What may be asked about contacts and requests: flat rows, a fixed number of statements.

Lists page by keyset: the cursor holds the sort value and the id of the last row, so that a page of
a million rows costs what a page of ten thousand costs. Several states are asked for one by one and
merged, because only then does each come from its index in order.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    Text,
    and_,
    case,
    func,
    literal,
    or_,
    select,
    text,
    true,
    tuple_,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session, aliased

from regional311.audit.models import AuditEvent
from regional311.audit.queries import HISTORY, AuditRow
from regional311.database.ids import parse_public_id
from regional311.database.session import scope_of
from regional311.errors import InvalidInput, NotFound
from regional311.identity.members import names_of
from regional311.identity.models import ApiClient, Membership
from regional311.intake import lifecycle
from regional311.intake.models import (
    Attachment,
    Contact,
    FollowedRequest,
    Inquirer,
    Need,
    RequestNote,
    RequestUpdate,
    ServiceRequest,
    Transfer,
)

Row = TypeVar("Row")

PAGE: Final = 25
EXPORT: Final = 5000
OPEN_SHOWN: Final = 50
"""Open contacts that the desk shows of one specialist: the last."""
"""Rows of one export."""


class BadCursor(InvalidInput):
    """The address of the next page is not one that was given out."""


@dataclass(frozen=True)
class Page(Generic[Row]):
    """One page of a list; ``after`` asks for the next, ``None`` on the last."""

    rows: list[Row]
    after: str | None


@dataclass(frozen=True, slots=True)
class ContactItem:
    """A contact in a list."""

    id: UUID
    public_id: str
    channel: str
    language: str
    line_key: str | None
    line_owner_id: UUID
    started_at: datetime
    ended_at: datetime | None
    handle_seconds: int
    after_hours: bool
    specialist_id: UUID | None
    call_type: str
    disposition: str | None
    danger_answer: str | None
    version: int


@dataclass(frozen=True, slots=True)
class RequestItem:
    """A request in a list."""

    id: UUID
    public_id: str
    service_key: str
    bureau_key: str | None
    queue: str | None
    intake_tenant_id: UUID
    state: str
    priority: str
    place_kind: str
    place_text: str | None
    latitude: Decimal | None
    longitude: Decimal | None
    confidential: bool
    assignee_id: UUID | None
    opened_at: datetime
    expected_at: datetime | None
    stands_since: datetime | None
    left_seconds: int | None
    closed_at: datetime | None
    heard_at: datetime | None
    version: int


@dataclass(frozen=True, slots=True)
class FollowedItem:
    """A request that lives with another partner, in a list."""

    id: UUID
    public_id: str
    owner_id: UUID
    service_key: str
    contact_id: UUID | None
    state: str
    public_message: str | None
    sent_at: datetime
    expected_at: datetime | None
    closed_at: datetime | None


@dataclass(frozen=True, slots=True)
class InquirerRow:
    """The person behind a contact."""

    id: UUID
    name: str | None
    phone: str | None
    email: str | None
    language: str
    safe_to_call: bool
    may_leave_message: bool
    wants_updates: bool
    updates_by: str
    may_follow_up: bool
    contact_prohibited: bool
    erased_at: datetime | None


@dataclass(frozen=True, slots=True)
class NeedRow:
    """One need of a contact."""

    id: UUID
    service_owner_id: UUID
    service_key: str
    term: str
    urgency: str
    status: str
    unmet_reason: str | None
    unmet_words: str | None
    description: str | None
    place_kind: str
    place_text: str | None
    latitude: Decimal | None
    longitude: Decimal | None
    answers: Mapping[str, Any] | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ContactRequest:
    """A request that came of a contact, one's own or followed."""

    id: UUID
    public_id: str
    owner_id: UUID
    service_key: str
    need_id: UUID | None
    state: str
    public_message: str | None
    opened_at: datetime
    expected_at: datetime | None
    closed_at: datetime | None


@dataclass(frozen=True, slots=True)
class TransferRow:
    """A live contact handed over."""

    id: UUID
    need_id: UUID | None
    kind: str
    target: str
    number: str
    result: str
    at: datetime


@dataclass(frozen=True, slots=True)
class NoteRow:
    """A note on a request."""

    id: UUID
    author_id: UUID | None
    internal: bool
    from_person: bool
    text: str
    at: datetime


@dataclass(frozen=True, slots=True)
class ContactDetail:
    """A contact with what came of it; referrals and decisions are asked in ``referral.queries``.

    ``people`` maps ids of the partner's staff that appear in it to names.
    """

    contact: ContactItem
    interpreter: bool
    accommodation: str | None
    note: str | None
    wait_seconds: int
    inquirer: InquirerRow | None
    needs: list[NeedRow]
    requests: list[ContactRequest]
    transfers: list[TransferRow]
    history: list[AuditRow]
    people: Mapping[UUID, str]


@dataclass(frozen=True, slots=True)
class RequestDetail:
    """What stands around a request: its notes, its person, its history.

    ``contact`` is the public number of the contact that it came from, when that is here.
    """

    notes: list[NoteRow]
    inquirer: InquirerRow | None
    contact: str | None
    history: list[AuditRow]
    people: Mapping[UUID, str]


@dataclass(frozen=True, slots=True)
class Tracked:
    """What the public page shows of a request: nothing personal, nothing internal."""

    public_id: str
    owner_id: UUID
    service_key: str
    opened_at: datetime
    state: str
    expected_at: datetime | None
    closed_at: datetime | None
    public_message: str | None
    updated_at: datetime
    merged: str | None
    """Number of the request that says the same and goes on, of which the rest is told."""
    erased_at: datetime | None = None
    """When what was told of it was erased: there is nothing to show any more."""


def _of(model: Any, row: type) -> list[Any]:
    return [getattr(model, each.name) for each in fields(row)]


def contacts(
    session: Session,
    *,
    channel: str | None = None,
    disposition: str | None = None,
    specialist_id: UUID | None = None,
    ended: bool | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    number: str | None = None,
    oldest_first: bool = False,
    after: str | None = None,
    limit: int = PAGE,
) -> Page[ContactItem]:
    """Give a page of the partner's contacts, the newest first: one statement."""
    query = select(*_of(Contact, ContactItem)).where(
        Contact.tenant_id == scope_of(session).tenant_id
    )
    for column, value in (
        (Contact.channel, channel),
        (Contact.disposition, disposition),
        (Contact.specialist_id, specialist_id),
    ):
        if value is not None:
            query = query.where(column == value)
    if ended is not None:
        query = query.where(Contact.ended_at.is_not(None) if ended else Contact.ended_at.is_(None))
    if since is not None:
        query = query.where(Contact.started_at >= since)
    if until is not None:
        query = query.where(Contact.started_at < until)
    query = numbered(query, Contact.public_id, number, "C")
    ordered = _ordered(query, Contact.started_at, Contact.id, oldest_first, after, limit)
    rows = [ContactItem(*row) for row in session.execute(ordered)]
    return page_of(rows, limit, lambda row: row.started_at)


def contact_numbers(session: Session, ids: Sequence[UUID]) -> dict[UUID, str]:
    """Give the public numbers of contacts by id: one statement, none for none."""
    if not ids:
        return {}
    rows = session.execute(
        select(Contact.id, Contact.public_id)
        .where(Contact.tenant_id == scope_of(session).tenant_id, Contact.id.in_(ids))
        .order_by(Contact.id)
    )
    return {row.id: row.public_id for row in rows}


def open_contacts(session: Session, specialist_id: UUID, limit: int) -> list[ContactItem]:
    """Give the last contacts that a specialist has not closed, the oldest first: one statement."""
    rows = session.execute(
        select(*_of(Contact, ContactItem))
        .where(
            Contact.tenant_id == scope_of(session).tenant_id,
            Contact.specialist_id == specialist_id,
            Contact.ended_at.is_(None),
        )
        .order_by(Contact.started_at.desc(), Contact.id.desc())
        .limit(limit)
    ).all()
    return [ContactItem(*row) for row in reversed(rows)]


def needed(session: Session, contact_ids: Sequence[UUID]) -> dict[UUID, list[tuple[UUID, str]]]:
    """Give the services that contacts asked for, as (owner, key), in order: one statement."""
    found: dict[UUID, list[tuple[UUID, str]]] = {}
    if not contact_ids:
        return found
    rows = session.execute(
        select(Need.contact_id, Need.service_owner_id, Need.service_key)
        .where(
            Need.tenant_id == scope_of(session).tenant_id, Need.contact_id.in_(sorted(contact_ids))
        )
        .order_by(Need.created_at, Need.id)
    )
    for row in rows:
        found.setdefault(row.contact_id, []).append((row.service_owner_id, row.service_key))
    return found


def familiar_services(
    session: Session, person_id: UUID, now: datetime, *, limit: int = 8
) -> list[tuple[UUID, str]]:
    """Give the services that a specialist's contacts were about, as (owner, key).

    The most frequent and most recent of the last two hundred contacts come first: what was asked
    for a week ago counts half. One statement.
    """
    tenant_id = scope_of(session).tenant_id
    recent = (
        select(Contact.id, Contact.started_at)
        .where(
            Contact.tenant_id == tenant_id,
            Contact.specialist_id == person_id,
            Contact.started_at <= now,
        )
        .order_by(Contact.started_at.desc())
        .limit(200)
        .subquery()
    )
    weeks = func.extract("epoch", now - recent.c.started_at) / 604_800
    asked = (
        select(Need.service_owner_id, Need.service_key)
        .join(recent, recent.c.id == Need.contact_id)
        .where(Need.tenant_id == tenant_id)
        .group_by(Need.service_owner_id, Need.service_key)
        .order_by(func.sum(1 / (1 + weeks)).desc(), Need.service_owner_id, Need.service_key)
        .limit(limit)
    )
    return [(row.service_owner_id, row.service_key) for row in session.execute(asked)]


def requests(
    session: Session,
    *,
    states: Sequence[str] | None = None,
    queue: str | None = None,
    service_key: str | None = None,
    priority: str | None = None,
    assignee_id: UUID | None = None,
    unassigned: bool = False,
    among: Select[Any] | None = None,
    unqueued: bool = False,
    overdue_at: datetime | None = None,
    at_risk_at: datetime | None = None,
    heard: bool = False,
    number: str | None = None,
    cleared: bool = False,
    oldest_first: bool = False,
    after: str | None = None,
    limit: int = PAGE,
) -> Page[RequestItem]:
    """Give a page of the partner's requests, the newest first: one statement.

    Confidential requests are left out unless the reader is ``cleared`` for them. Only open
    requests are overdue; ``at_risk_at`` leaves those of which staff are warned by then, and that
    are not overdue yet. ``heard`` leaves those
    whose person wrote and had no answer yet, ``unassigned`` those that nobody works, ``unqueued``
    those in no queue, ``among`` those whose id it gives.
    """
    query = select(*_of(ServiceRequest, RequestItem)).where(
        ServiceRequest.tenant_id == scope_of(session).tenant_id
    )
    for column, value in (
        (ServiceRequest.queue, queue),
        (ServiceRequest.service_key, service_key),
        (ServiceRequest.priority, priority),
        (ServiceRequest.assignee_id, assignee_id),
    ):
        if value is not None:
            query = query.where(column == value)
    if overdue_at is not None:
        query = query.where(ServiceRequest.expected_at < overdue_at)
        states = [each for each in states or lifecycle.OPEN if each in lifecycle.OPEN]
    if at_risk_at is not None:
        query = query.where(
            ServiceRequest.warn_at <= at_risk_at, ServiceRequest.expected_at >= at_risk_at
        )
        states = [each for each in states or lifecycle.OPEN if each in lifecycle.OPEN]
    if unqueued:
        query = query.where(ServiceRequest.queue.is_(None))
    if heard:
        query = query.where(ServiceRequest.heard_at.is_not(None))
    if unassigned:
        query = query.where(ServiceRequest.assignee_id.is_(None))
    if among is not None:
        query = query.where(ServiceRequest.id.in_(among))
    by_index = queue is not None or service_key is not None or assignee_id is not None
    if by_index and states is None:
        states = lifecycle.STATES
    if not cleared:
        query = query.where(ServiceRequest.confidential.is_(False))
    query = numbered(query, ServiceRequest.public_id, number, "R")
    ordered = by_state(
        query,
        ServiceRequest.state,
        states,
        (ServiceRequest.opened_at, ServiceRequest.id),
        oldest_first=oldest_first,
        after=after,
        limit=limit,
    )
    rows = [RequestItem(*row) for row in session.execute(ordered)]
    return page_of(rows, limit, lambda row: row.opened_at)


def every_page(
    read: Callable[..., Page[Row]], *, at_once: int = 2_000, **asked: Any
) -> Iterator[list[Row]]:
    """Give all that a list would page through, ``at_once`` rows at a time, in bounded memory.

    ``read`` gives a page by ``after`` and ``limit``; each begins where the last one ended.
    """
    after: str | None = None
    while True:
        page = read(after=after, limit=at_once, **asked)
        yield page.rows
        after = page.after
        if after is None:
            return


def every_request(session: Session, *, at_once: int = 2_000, **asked: Any) -> Iterator[RequestItem]:
    """Give all requests that :func:`requests` would page through, in bounded memory."""
    for rows in every_page(partial(requests, session), at_once=at_once, **asked):
        yield from rows


def followed_requests(
    session: Session,
    *,
    states: Sequence[str] | None = None,
    owner_id: UUID | None = None,
    without: Collection[tuple[UUID, str]] = (),
    oldest_first: bool = False,
    after: str | None = None,
    limit: int = PAGE,
) -> Page[FollowedItem]:
    """Give a page of the requests that live with other partners: one statement.

    ``without`` are services, as (owner, key), of which the reader may know nothing.
    """
    tenant_id = scope_of(session).tenant_id
    query = select(*_of(FollowedRequest, FollowedItem)).where(
        FollowedRequest.tenant_id == tenant_id,
        # what was followed and handed on to here is one's own
        FollowedRequest.owner_id != tenant_id,
    )
    if states is not None:
        query = query.where(FollowedRequest.state.in_(states))
    if owner_id is not None:
        query = query.where(FollowedRequest.owner_id == owner_id)
    if without:
        asked_for = tuple_(FollowedRequest.owner_id, FollowedRequest.service_key)
        query = query.where(asked_for.not_in(sorted(without)))
    ordered = _ordered(
        query, FollowedRequest.sent_at, FollowedRequest.id, oldest_first, after, limit
    )
    rows = [FollowedItem(*row) for row in session.execute(ordered)]
    return page_of(rows, limit, lambda row: row.sent_at)


def contact_detail(
    session: Session, contact_id: UUID, *, past: int | None = HISTORY
) -> ContactDetail:
    """Give a contact with needs, requests, transfers and history: four statements.

    `past` is how many of the newest steps of the history are given; None: all.

    Raises :class:`NotFound`.
    """
    tenant_id = scope_of(session).tenant_id
    row = session.execute(
        select(
            *_of(Contact, ContactItem),
            Contact.interpreter,
            Contact.accommodation,
            Contact.note,
            Contact.wait_seconds,
            Membership.name.label("specialist"),
            _transfers_of(tenant_id, contact_id).label("transfers"),
            *(each.label(f"inquirer_{each.key}") for each in _of(Inquirer, InquirerRow)),
        )
        .outerjoin(
            Membership,
            and_(
                Membership.tenant_id == Contact.tenant_id,
                Membership.person_id == Contact.specialist_id,
            ),
        )
        .outerjoin(
            Inquirer,
            and_(Inquirer.tenant_id == Contact.tenant_id, Inquirer.id == Contact.inquirer_id),
        )
        .where(Contact.tenant_id == tenant_id, Contact.id == contact_id)
    ).one_or_none()
    if row is None:
        raise NotFound("There is no such contact.")
    values = tuple(row)
    width = len(fields(ContactItem))
    contact = ContactItem(*values[:width])
    needs = session.execute(
        select(*_of(Need, NeedRow))
        .where(Need.tenant_id == tenant_id, Need.contact_id == contact_id)
        .order_by(Need.created_at, Need.id)
    )
    history, names = _history(session, contact_id, past)
    interpreter, accommodation, note, wait_seconds, specialist, transfers = values[
        width : width + 6
    ]
    if contact.specialist_id is not None and specialist is not None:
        names[contact.specialist_id] = specialist
    return ContactDetail(
        contact=contact,
        interpreter=interpreter,
        accommodation=accommodation,
        note=note,
        wait_seconds=wait_seconds,
        inquirer=InquirerRow(*values[width + 6 :]) if values[width + 6] else None,
        needs=[NeedRow(*each) for each in needs],
        requests=_requests_of(session, contact_id),
        transfers=[_transfer(each) for each in transfers],
        history=history,
        people=names,
    )


def _transfers_of(tenant_id: UUID, contact_id: UUID) -> Any:
    """The few transfers of a contact as one JSON value of its own row."""
    rows = (
        select(*_of(Transfer, TransferRow))
        .where(Transfer.tenant_id == tenant_id, Transfer.contact_id == contact_id)
        .order_by(Transfer.at, Transfer.id)
        .subquery()
    )
    found = func.coalesce(func.jsonb_agg(func.to_jsonb(rows.table_valued())), text("'[]'::jsonb"))
    return select(found).select_from(rows).scalar_subquery()


def _transfer(row: Mapping[str, Any]) -> TransferRow:
    return TransferRow(
        UUID(row["id"]),
        UUID(row["need_id"]) if row["need_id"] else None,
        row["kind"],
        row["target"],
        row["number"],
        row["result"],
        datetime.fromisoformat(row["at"]),
    )


def _history(
    session: Session, subject_id: UUID, limit: int | None
) -> tuple[list[AuditRow], dict[UUID, str]]:
    """Give the end of a record's trail with the names of who acted: one statement."""
    tenant_id = scope_of(session).tenant_id
    rows = session.execute(
        select(
            *_of(AuditEvent, AuditRow), func.coalesce(Membership.name, ApiClient.name).label("name")
        )
        .outerjoin(
            Membership,
            and_(
                Membership.tenant_id == AuditEvent.tenant_id,
                Membership.person_id == AuditEvent.person_id,
            ),
        )
        .outerjoin(
            ApiClient,
            and_(
                ApiClient.tenant_id == AuditEvent.tenant_id,
                ApiClient.id == AuditEvent.person_id,
            ),
        )
        .where(AuditEvent.tenant_id == tenant_id, AuditEvent.subject_id == subject_id)
        .order_by(AuditEvent.id.desc())
        .limit(limit)
    ).all()
    past = [AuditRow(*row[:-1]) for row in reversed(rows)]
    return past, {row.person_id: row.name for row in rows if row.name is not None}


def request_detail(
    session: Session, request_id: UUID, *, past: int | None = HISTORY
) -> RequestDetail:
    """Give what stands around a request, one's own or followed: three statements.

    `past` is how many of the newest steps of the history are given; None: all. The request itself
    is the caller's, who found it by its number.
    """
    tenant_id = scope_of(session).tenant_id
    noted = session.execute(
        select(
            *_of(RequestNote, NoteRow),
            func.coalesce(Membership.name, ApiClient.name).label("author"),
        )
        .outerjoin(Membership, _by(Membership, RequestNote.author_id, tenant_id))
        .outerjoin(ApiClient, _by(ApiClient, RequestNote.author_id, tenant_id))
        .where(
            RequestNote.tenant_id == tenant_id,
            RequestNote.request_id == request_id,
            RequestNote.withdrawn_at.is_(None),
        )
        .order_by(RequestNote.id)
    ).all()
    notes = [NoteRow(*row[:-1]) for row in noted]
    own = (
        select(ServiceRequest.contact_id, ServiceRequest.inquirer_id, ServiceRequest.assignee_id)
        .where(ServiceRequest.tenant_id == tenant_id, ServiceRequest.id == request_id)
        .union_all(
            select(FollowedRequest.contact_id, literal(None), literal(None)).where(
                FollowedRequest.tenant_id == tenant_id,
                FollowedRequest.id == request_id,
                # what was handed on has a row of one's own, too
                ~select(ServiceRequest.id)
                .where(ServiceRequest.tenant_id == tenant_id, ServiceRequest.id == request_id)
                .exists(),
            )
        )
        .subquery()
    )
    row = session.execute(
        select(
            Contact.public_id,
            own.c.assignee_id,
            Membership.name.label("assignee"),
            *_of(Inquirer, InquirerRow),
        )
        .select_from(own)
        .outerjoin(Membership, _by(Membership, own.c.assignee_id, tenant_id))
        .outerjoin(Contact, and_(Contact.tenant_id == tenant_id, Contact.id == own.c.contact_id))
        .outerjoin(
            Inquirer, and_(Inquirer.tenant_id == tenant_id, Inquirer.id == own.c.inquirer_id)
        )
    ).one_or_none()
    history, names = _history(session, request_id, past)
    contact, assignee_id, assignee, *inquirer = tuple(row) if row is not None else (None,) * 4
    names |= {each.author_id: each.author for each in noted if each.author is not None}
    if assignee is not None:
        names[assignee_id] = assignee
    return RequestDetail(
        notes, InquirerRow(*inquirer) if inquirer[0] else None, contact, history, names
    )


def _by(model: Any, who: Any, tenant_id: UUID) -> ColumnElement[bool]:
    """Somebody of the partner's, or a program, by id."""
    key = model.person_id if model is Membership else model.id
    return and_(model.tenant_id == tenant_id, key == who)


def own_request(session: Session, request_id: UUID) -> UUID:
    """Give the id again when the request lives here: one statement. Raises :class:`NotFound`."""
    found = session.execute(
        select(ServiceRequest.id).where(
            ServiceRequest.tenant_id == scope_of(session).tenant_id,
            ServiceRequest.id == request_id,
        )
    ).scalar_one_or_none()
    if found is None:
        raise NotFound("There is no such request here.")
    return found


def numbered_requests(
    session: Session, numbers: Sequence[str], *, cleared: bool
) -> list[tuple[UUID, str]]:
    """Give requests of one's own by their numbers, as (id, number): one statement.

    Those that are not there, or that the reader is not ``cleared`` for, are left out.
    """
    query = select(ServiceRequest.id, ServiceRequest.public_id).where(
        ServiceRequest.tenant_id == scope_of(session).tenant_id,
        ServiceRequest.public_id.in_(list(numbers)),
    )
    if not cleared:
        query = query.where(ServiceRequest.confidential.is_(False))
    return [(row.id, row.public_id) for row in session.execute(query.order_by(ServiceRequest.id))]


@dataclass(frozen=True, slots=True)
class Merged:
    """A request that says the same as another."""

    id: UUID
    public_id: str


def merged_with(session: Session, request_id: UUID, kept_id: UUID | None) -> list[Merged]:
    """Give those that are merged into a request, and the one that it is merged into itself.

    One statement, the oldest first.
    """
    rows = session.execute(
        select(ServiceRequest.id, ServiceRequest.public_id)
        .where(
            ServiceRequest.tenant_id == scope_of(session).tenant_id,
            or_(ServiceRequest.merged_into_id == request_id, ServiceRequest.id == kept_id),
        )
        .order_by(ServiceRequest.id)
    )
    return [Merged(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class File:
    """A file that somebody sent."""

    name: str
    content: bytes


def attachment(session: Session, question: str, *subjects: UUID | None) -> File | None:
    """Give the file that answers a question of one of these records: one statement."""
    return _file(session, question, Attachment.subject_id.in_(filter(None, subjects)))


def attachment_of_contact(
    session: Session, question: str, contact_id: UUID, need_id: UUID
) -> File | None:
    """Give the file that answers a question of a need of a contact: one statement."""
    need = select(Need.id).where(
        Need.tenant_id == scope_of(session).tenant_id,
        Need.contact_id == contact_id,
        Need.id == need_id,
    )
    return _file(session, question, Attachment.subject_id.in_(need))


def _file(session: Session, question: str, subject: ColumnElement[bool]) -> File | None:
    row = session.execute(
        select(*_of(Attachment, File)).where(
            Attachment.tenant_id == scope_of(session).tenant_id,
            Attachment.question == question,
            Attachment.content.is_not(None),
            subject,
        )
    ).first()
    return None if row is None else File(*row)


def people(session: Session, ids: Sequence[UUID | None]) -> dict[UUID, str]:
    """Give the names of the partner's staff and programs by id: one statement, none for nobody."""
    return names_of(session, ids)


def tracked(session: Session, request_id: UUID) -> Tracked | None:
    """Give what the public may know of a request of the bound tenant: one statement.

    The caller found tenant and request by the hash of the tracking token.
    """
    tenant_id = scope_of(session).tenant_id
    kept, gone = aliased(ServiceRequest), aliased(FollowedRequest)
    # a merged one is told of as the one that goes on, wherever that went
    told = [
        case(
            (gone.id.is_not(None), getattr(gone, name)),
            (kept.id.is_not(None), getattr(kept, name)),
            else_=getattr(ServiceRequest, name),
        )
        for name in ("state", "expected_at", "closed_at", "public_message", "updated_at")
    ]
    own = (
        select(
            ServiceRequest.public_id,
            ServiceRequest.tenant_id.label("owner_id"),
            ServiceRequest.service_key,
            ServiceRequest.opened_at,
            *told,
            kept.public_id,
            ServiceRequest.erased_at,
        )
        .outerjoin(
            kept,
            and_(
                kept.tenant_id == ServiceRequest.tenant_id,
                kept.id == ServiceRequest.merged_into_id,
            ),
        )
        .outerjoin(
            gone,
            and_(
                gone.tenant_id == kept.tenant_id,
                gone.id == kept.id,
                gone.owner_id != tenant_id,
                kept.handed_to_id.is_not(None),
            ),
        )
        .where(
            ServiceRequest.tenant_id == tenant_id,
            ServiceRequest.id == request_id,
            # what was handed on is told of as its new owner says
            ServiceRequest.handed_to_id.is_(None),
        )
    )
    followed = select(
        FollowedRequest.public_id,
        FollowedRequest.owner_id,
        FollowedRequest.service_key,
        FollowedRequest.sent_at,
        FollowedRequest.state,
        FollowedRequest.expected_at,
        FollowedRequest.closed_at,
        FollowedRequest.public_message,
        FollowedRequest.updated_at,
        literal(None),
        select(Contact.erased_at)
        .where(Contact.tenant_id == tenant_id, Contact.id == FollowedRequest.contact_id)
        .scalar_subquery(),
    ).where(
        FollowedRequest.tenant_id == tenant_id,
        FollowedRequest.id == request_id,
        FollowedRequest.owner_id != tenant_id,
    )
    row: Any = session.execute(union_all(own, followed)).first()
    return Tracked(*row) if row is not None else None


def stands(session: Session, request_id: UUID) -> bool:
    """Whether the clock of a request of the bound tenant stands still: one statement."""
    found = session.execute(
        select(ServiceRequest.stands_since).where(
            ServiceRequest.tenant_id == scope_of(session).tenant_id,
            ServiceRequest.id == request_id,
        )
    ).scalar_one_or_none()
    return found is not None


@dataclass(frozen=True, slots=True)
class Told:
    """Words between a partner and the person who asked, and who said them."""

    at: datetime
    from_person: bool
    text: str


def told(session: Session, request_id: UUID) -> list[Told]:
    """Give what the bound tenant told the person of its request and was told, the latest first."""
    tenant_id = scope_of(session).tenant_id
    ours = select(RequestUpdate.at, literal(False), RequestUpdate.message).where(
        RequestUpdate.tenant_id == tenant_id,
        RequestUpdate.request_id == request_id,
        RequestUpdate.message.is_not(None),
        RequestUpdate.client_id.is_(None),
    )
    theirs = select(RequestNote.at, literal(True), RequestNote.text).where(
        RequestNote.tenant_id == tenant_id,
        RequestNote.request_id == request_id,
        RequestNote.from_person,
    )
    found: list[Any] = list(session.execute(union_all(ours, theirs)))
    return sorted((Told(*row) for row in found), key=lambda row: row.at, reverse=True)


def _requests_of(session: Session, contact_id: UUID) -> list[ContactRequest]:
    tenant_id = scope_of(session).tenant_id
    own = select(
        ServiceRequest.id,
        ServiceRequest.public_id,
        ServiceRequest.tenant_id.label("owner_id"),
        ServiceRequest.service_key,
        ServiceRequest.need_id,
        ServiceRequest.state,
        ServiceRequest.public_message,
        ServiceRequest.opened_at,
        ServiceRequest.expected_at,
        ServiceRequest.closed_at,
    ).where(
        ServiceRequest.tenant_id == tenant_id,
        ServiceRequest.contact_id == contact_id,
        ServiceRequest.handed_to_id.is_(None),
    )
    followed = select(
        FollowedRequest.id,
        FollowedRequest.public_id,
        FollowedRequest.owner_id,
        FollowedRequest.service_key,
        FollowedRequest.need_id,
        FollowedRequest.state,
        FollowedRequest.public_message,
        FollowedRequest.sent_at,
        FollowedRequest.expected_at,
        FollowedRequest.closed_at,
    ).where(
        FollowedRequest.tenant_id == tenant_id,
        FollowedRequest.contact_id == contact_id,
        FollowedRequest.owner_id != tenant_id,
    )
    rows = [ContactRequest(*row) for row in session.execute(union_all(own, followed))]
    return sorted(rows, key=lambda row: (row.opened_at, row.id))


def numbered(query: Select[Any], column: Any, number: str | None, prefix: str) -> Select[Any]:
    """Limit a query to a public number, or to those that begin as typed."""
    if not number:
        return query
    whole = parse_public_id(number, prefix)
    if whole is not None:
        return query.where(column == whole)
    start = number.strip().upper()
    return query.where(column >= start, column < f"{start}~")


def _ordered(
    query: Select[Any], column: Any, key: Any, oldest_first: bool, after: str | None, limit: int
) -> Select[Any]:
    if after is not None:
        query = query.where(beyond(column, key, after, oldest_first=oldest_first))
    if oldest_first:
        return query.order_by(column, key).limit(limit + 1)
    return query.order_by(column.desc(), key.desc()).limit(limit + 1)


def by_state(
    query: Select[Any],
    state: Any,
    states: Sequence[str] | None,
    order: tuple[Any, Any],
    *,
    oldest_first: bool,
    after: str | None,
    limit: int,
) -> Select[Any]:
    """Order a query by its index: for several states, each by itself and then merged."""
    if states is None or len(states) == 1:
        if states is not None:
            query = query.where(state == states[0])
        return _ordered(query, *order, oldest_first, after, limit)
    wanted = (
        func.unnest(literal(list(states), ARRAY(Text)))
        .table_valued("state")
        .render_derived("wanted")
    )
    each = query.where(state == wanted.c.state)
    parts = _ordered(each, *order, oldest_first, after, limit).lateral()
    merged = select(parts).select_from(wanted).join(parts, true())
    column, key = parts.c[order[0].key], parts.c[order[1].key]
    if oldest_first:
        return merged.order_by(column, key).limit(limit + 1)
    return merged.order_by(column.desc(), key.desc()).limit(limit + 1)


def beyond(column: Any, key: Any, after: str, *, oldest_first: bool) -> ColumnElement[bool]:
    """Give the condition for what comes after a place in a list. Raises :class:`BadCursor`."""
    at, row_id = _cursor(after)
    place = tuple_(column, key)
    mark = tuple_(literal(at, column.type), literal(row_id, key.type))
    return place > mark if oldest_first else place < mark


def _cursor(after: str) -> tuple[datetime, UUID]:
    text, _, row_id = after.partition("_")
    try:
        return datetime.fromisoformat(text).astimezone(UTC), UUID(row_id)
    except ValueError as error:
        raise BadCursor("There is no such page.", field="after") from error


def page_of(rows: list[Row], limit: int, sort: Callable[[Row], datetime]) -> Page[Row]:
    """Cut a list that was asked for with one row too many; that row says there is a next page."""
    if len(rows) <= limit:
        return Page(rows, None)
    last: Any = rows[limit - 1]
    return Page(rows[:limit], f"{sort(last).isoformat()}_{last.id}")
