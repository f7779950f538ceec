"""What can be asked of messages: which were written, what they are about, and who may read them.

A message may be read by who may read what it is about. For anybody else it is there without
address and words, so that everybody counts the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    Uuid,
    case,
    false,
    func,
    literal,
    or_,
    select,
    true,
    tuple_,
    union_all,
)
from sqlalchemy.orm import Session, aliased

from regional311.casework.models import Accommodation
from regional311.database.session import scope_of
from regional311.inbox.models import Thread
from regional311.intake.models import FollowedRequest, ServiceRequest
from regional311.notices.models import OutboxMessage
from regional311.referral.models import Referral

PAGE: Final = 50
SORTS: Final[Mapping[str, Any]] = {
    "written": OutboxMessage.id,
    "event": OutboxMessage.event,
    "state": OutboxMessage.state,
    "attempts": OutboxMessage.attempts,
}


@dataclass(frozen=True, slots=True)
class Reader:
    """Who looks: what is confidential is there for cleared people.

    `coordinates`: they work on the accommodation requests of the whole partner. `confidential` are
    the services, as (partner's id, key), that are confidential by themselves.
    """

    person_id: UUID
    cleared: bool
    coordinates: bool
    confidential: tuple[tuple[UUID, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which messages are meant; what is None is not asked for."""

    state: str | None = None
    event: str | None = None
    channel: str | None = None
    to: str | None = None
    """An address, exactly; found only among messages that the reader may read."""
    about: UUID | None = None
    """A request, referral, thread or accommodation request, or the contact that they are of."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message; `recipient`, `heading` and what was said are empty for who may not read it."""

    id: UUID
    event: str
    channel: str
    state: str
    attempts: int
    sendings: int
    created_at: datetime
    due_at: datetime
    sent_at: datetime | None
    delivered_at: datetime | None
    bounced_at: datetime | None
    last_error: str | None
    language: str
    subject_id: UUID | None
    request: str | None
    followed: str | None
    referral: str | None
    thread: str | None
    accommodation: str | None
    readable: bool
    recipient: str
    heading: str

    @property
    def about(self) -> tuple[str, str] | None:
        """Where what it is about is: the collection and the public number."""
        for collection, number in (
            ("requests", self.request or self.followed),
            ("referrals", self.referral),
            ("inbox", self.thread),
            ("accommodations", self.accommodation),
        ):
            if number is not None:
                return collection, number
        return None


def _readable(reader: Reader) -> ColumnElement[bool]:
    """Whether a message is the reader's to read; a subject that is there no more hides nothing."""
    # a letter of the day is its receiver's own
    hidden: list[ColumnElement[bool]] = [OutboxMessage.event == "digest"]
    if not reader.cleared:
        hidden += [
            func.coalesce(ServiceRequest.confidential, false()),
            func.coalesce(
                Thread.confidential & Thread.claimed_by.is_distinct_from(reader.person_id), false()
            ),
        ]
        if reader.confidential:
            secret = list(reader.confidential)
            us = OutboxMessage.tenant_id
            sent = tuple_(Referral.counterparty_id, Referral.service_key).in_(secret)
            ours = tuple_(us, Referral.service_key).in_(secret)
            followed = tuple_(FollowedRequest.owner_id, FollowedRequest.service_key).in_(secret)
            hidden += [
                func.coalesce(case((Referral.side == "sent", sent), else_=ours), false()),
                func.coalesce(followed, false()),
            ]
    if not reader.coordinates:
        hidden += [Accommodation.id.is_not(None), OutboxMessage.event.startswith("accommodation")]
    return ~or_(false(), *hidden)


def _joined(*columns: Any) -> Select[Any]:
    query = select(*columns)
    for model in (ServiceRequest, FollowedRequest, Referral, Thread, Accommodation):
        query = query.outerjoin(
            model,
            (model.tenant_id == OutboxMessage.tenant_id) & (model.id == OutboxMessage.subject_id),
        )
    return query


def _columns(reader: Reader) -> list[Any]:
    readable = _readable(reader)
    found = {
        "request": ServiceRequest.public_id,
        "followed": FollowedRequest.public_id,
        "referral": Referral.public_id,
        "thread": Thread.public_id,
        "accommodation": Accommodation.public_id,
        "readable": readable,
        "recipient": case((readable, OutboxMessage.recipient), else_=""),
        "heading": case((readable, OutboxMessage.heading), else_=""),
    }
    names = [each.name for each in fields(Message)]
    return [found[name] if name in found else getattr(OutboxMessage, name) for name in names]


def _matching(session: Session, query: Select[Any], reader: Reader, wanted: Wanted) -> Select[Any]:
    me = scope_of(session).tenant_id
    query = query.where(OutboxMessage.tenant_id == me)
    for name in ("state", "event", "channel"):
        value = getattr(wanted, name)
        if value is not None:
            query = query.where(getattr(OutboxMessage, name) == value)
    if wanted.to is not None:
        query = query.where(func.lower(OutboxMessage.recipient) == wanted.to, _readable(reader))
    if wanted.about is not None:
        # named apart from what is joined, so that the few subjects are found first
        kinds: list[Any] = [ServiceRequest, FollowedRequest, Referral, Thread]
        of_contact = [
            select(each.id).where(each.tenant_id == me, each.contact_id == wanted.about)
            for each in map(aliased, kinds)
        ]
        subjects = union_all(select(literal(wanted.about, Uuid)), *of_contact)
        query = query.where(OutboxMessage.subject_id.in_(subjects))
    return query


def listed(
    session: Session,
    reader: Reader,
    wanted: Wanted,
    *,
    sort: str = "-written",
    after: str | None = None,
) -> tuple[list[Message], str | None]:
    """Give a page of messages and the cursor of the next, None on the last. One statement.

    A cursor that is none counts as absent.
    """
    name, falling = sort.removeprefix("-"), sort.startswith("-")
    column = SORTS[name]
    order = (column.desc(), OutboxMessage.id.desc()) if falling else (column, OutboxMessage.id)
    # the page is found first, and only its few rows are joined with what they are about
    page = select(OutboxMessage.id) if wanted.to is None else _joined(OutboxMessage.id)
    page = _matching(session, page, reader, wanted)
    seen = _cursor(after)
    if seen is not None:
        last = (
            select(column, OutboxMessage.id)
            .where(OutboxMessage.tenant_id == scope_of(session).tenant_id, OutboxMessage.id == seen)
            .subquery()
        )
        key, other = tuple_(column, OutboxMessage.id), tuple_(*last.c)
        page = page.join(last, true()).where(key < other if falling else key > other)
    found = page.order_by(*order).limit(PAGE + 1).cte("page").prefix_with("MATERIALIZED")
    query = (
        _joined(*_columns(reader))
        .where(
            OutboxMessage.tenant_id == scope_of(session).tenant_id,
            OutboxMessage.id.in_(select(found.c.id)),
        )
        .order_by(*order)
    )
    rows = [Message(*row) for row in session.execute(query)]
    return rows[:PAGE], str(rows[PAGE - 1].id) if len(rows) > PAGE else None


def every(session: Session, reader: Reader, wanted: Wanted) -> Iterator[tuple[Message, str]]:
    """Give all messages that match with what they say, the newest first, read a part at a time."""
    said = func.coalesce(OutboxMessage.sent_body, OutboxMessage.body)
    words = case((_readable(reader), said), else_="")
    query = _matching(session, _joined(words, *_columns(reader)), reader, wanted)
    query = query.order_by(OutboxMessage.id.desc()).execution_options(yield_per=500)
    for row in session.execute(query):
        yield Message(*row[1:]), row[0]


def chosen(
    session: Session, reader: Reader, wanted: Wanted, *, state: str, limit: int
) -> list[UUID]:
    """Give the ids of those that match and are in this state, whether or not they may be read."""
    query = _matching(session, _joined(OutboxMessage.id), reader, wanted)
    query = query.where(OutboxMessage.state == state)
    return list(session.scalars(query.order_by(OutboxMessage.id).limit(limit)))


@dataclass(frozen=True, slots=True)
class Words:
    """A message with what it says: `sent` is what left, `written` what was to leave."""

    message: Message
    written: str
    sent: str | None


def one(session: Session, reader: Reader, message_id: UUID) -> Words | None:
    """Give one message with its words, empty for who may not read it. One statement."""
    readable = _readable(reader)
    body = case((readable, OutboxMessage.body), else_="")
    sent = case((readable, OutboxMessage.sent_body), else_=None)
    row = session.execute(
        _joined(body, sent, *_columns(reader)).where(
            OutboxMessage.tenant_id == scope_of(session).tenant_id, OutboxMessage.id == message_id
        )
    ).one_or_none()
    if row is None:
        return None
    return Words(Message(*row[2:]), row[0], row[1])


def _cursor(after: str | None) -> UUID | None:
    try:
        return UUID(after) if after else None
    except ValueError:
        return None
