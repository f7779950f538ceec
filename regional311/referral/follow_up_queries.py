"""What may be asked about follow-ups and about needs whose outcome nobody recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, and_, func, select, true, tuple_
from sqlalchemy.orm import Session

from regional311.audit.queries import AuditRow, history
from regional311.database.session import scope_of
from regional311.errors import InvalidInput, NotFound
from regional311.intake import needs
from regional311.intake.models import Contact, Inquirer, Need
from regional311.intake.queries import PAGE, Page, page_of, people
from regional311.referral.models import FollowUp, FollowUpAttempt

VIEWS: Final = ("due", "overdue", "ahead", "mine", "held", "done")
BUCKETS: Final = ((0, 7), (7, 30), (30, 90), (90, None))
"""Ages in days by which needs without an outcome are counted: from, and below."""


@dataclass(frozen=True, slots=True)
class FollowUpItem:
    """A follow-up in a list."""

    id: UUID
    public_id: str
    contact_id: UUID
    need_id: UUID
    due_on: date
    urgency: str
    language: str
    state: str
    reason: str | None
    attempts: int
    claimed_by: UUID | None
    held_at: datetime | None
    created_at: datetime
    closed_at: datetime | None
    version: int
    contact: str
    service_owner_id: UUID
    service_key: str
    status: str


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """One time that somebody tried."""

    number: int
    at: datetime
    by_id: UUID | None
    channel: str
    result: str
    need_status: str | None
    unmet_reason: str | None
    note: str | None


@dataclass(frozen=True, slots=True)
class FollowUpDetail:
    """A follow-up with whom to ask, what was tried, and its history."""

    follow_up: FollowUpItem
    name: str | None
    phone: str | None
    email: str | None
    safe_to_call: bool
    may_leave_message: bool
    contact_prohibited: bool
    interpreter: bool
    attempts: list[AttemptRow]
    history: list[AuditRow]
    people: Mapping[UUID, str]


@dataclass(frozen=True, slots=True)
class Counts:
    """How many follow-ups are open, by what is asked of somebody."""

    due: int
    overdue: int
    mine: int
    held: int


@dataclass(frozen=True, slots=True)
class MissingOutcome:
    """A need of an ended contact of which nobody has recorded what became of it."""

    id: UUID
    contact_id: UUID
    contact: str
    service_owner_id: UUID
    service_key: str
    urgency: str
    status: str
    created_at: datetime


_FLAT: Final = ("contact", "service_owner_id", "service_key", "status")


def _items() -> Select[Any]:
    own = [getattr(FollowUp, each.name) for each in fields(FollowUpItem) if each.name not in _FLAT]
    return (
        select(
            *own,
            Contact.public_id.label("contact"),
            Need.service_owner_id,
            Need.service_key,
            Need.status,
        )
        .join(
            Contact,
            and_(Contact.tenant_id == FollowUp.tenant_id, Contact.id == FollowUp.contact_id),
        )
        .join(Need, and_(Need.tenant_id == FollowUp.tenant_id, Need.id == FollowUp.need_id))
    )


def follow_ups(
    session: Session,
    *,
    view: str,
    today: date,
    person_id: UUID | None,
    urgency: str | None = None,
    language: str | None = None,
    after: str | None = None,
    limit: int = PAGE,
) -> Page[FollowUpItem]:
    """Give a page of follow-ups: one statement.

    `view` is ``due`` (today or before), ``overdue``, ``ahead``, ``mine``, ``held`` or ``done``;
    those that are done come with the newest first, all others with the most pressing.
    """
    done = view == "done"
    query = _items().where(FollowUp.tenant_id == scope_of(session).tenant_id)
    if done:
        query = query.where(FollowUp.state != "open")
    else:
        query = query.where(FollowUp.state == "open")
        query = query.where(
            {
                "due": and_(FollowUp.due_on <= today, FollowUp.held_at.is_(None)),
                "overdue": and_(FollowUp.due_on < today, FollowUp.held_at.is_(None)),
                "ahead": and_(FollowUp.due_on > today, FollowUp.held_at.is_(None)),
                "mine": FollowUp.claimed_by == person_id,
                "held": FollowUp.held_at.is_not(None),
            }.get(view, true())
        )
    for column, value in ((FollowUp.urgency, urgency), (FollowUp.language, language)):
        if value is not None:
            query = query.where(column == value)
    key: Any = FollowUp.closed_at if done else FollowUp.due_on
    if after is not None:
        mark = _mark(after, moment=done)
        place = tuple_(key, FollowUp.id)
        query = query.where(place < mark if done else place > mark)
    order = (key.desc(), FollowUp.id.desc()) if done else (key, FollowUp.id)
    rows = [FollowUpItem(*row) for row in session.execute(query.order_by(*order).limit(limit + 1))]
    if len(rows) <= limit:
        return Page(rows, None)
    last = rows[limit - 1]
    at = last.closed_at if done else last.due_on
    assert at is not None
    return Page(rows[:limit], f"{at.isoformat()}_{last.id}")


def counts(session: Session, *, today: date, person_id: UUID | None) -> Counts:
    """Count the open follow-ups: one statement."""
    runs = FollowUp.held_at.is_(None)
    row = session.execute(
        select(
            func.count().filter(runs, FollowUp.due_on <= today),
            func.count().filter(runs, FollowUp.due_on < today),
            func.count().filter(FollowUp.claimed_by == person_id),
            func.count().filter(FollowUp.held_at.is_not(None)),
        ).where(FollowUp.tenant_id == scope_of(session).tenant_id, FollowUp.state == "open")
    ).one()
    return Counts(*row)


def follow_up_detail(session: Session, follow_up_id: UUID) -> FollowUpDetail:
    """Give one follow-up: four statements. Raises :class:`NotFound`."""
    tenant_id = scope_of(session).tenant_id
    row = session.execute(
        _items()
        .add_columns(
            Inquirer.name,
            Inquirer.phone,
            Inquirer.email,
            Inquirer.safe_to_call,
            Inquirer.may_leave_message,
            Inquirer.contact_prohibited,
            Contact.interpreter,
        )
        .join(
            Inquirer,
            and_(Inquirer.tenant_id == FollowUp.tenant_id, Inquirer.id == FollowUp.inquirer_id),
        )
        .where(FollowUp.tenant_id == tenant_id, FollowUp.id == follow_up_id)
    ).one_or_none()
    if row is None:
        raise NotFound("There is no such follow-up.")
    width = len(fields(FollowUpItem))
    values: tuple[Any, ...] = tuple(row)
    item = FollowUpItem(*values[:width])
    tried = [
        AttemptRow(*each)
        for each in session.execute(
            select(*(getattr(FollowUpAttempt, each.name) for each in fields(AttemptRow)))
            .where(
                FollowUpAttempt.tenant_id == tenant_id,
                FollowUpAttempt.follow_up_id == follow_up_id,
            )
            .order_by(FollowUpAttempt.number)
        )
    ]
    past = history(session, follow_up_id)
    named = [item.claimed_by, *(each.by_id for each in tried), *(each.person_id for each in past)]
    name, phone, email, safe, may_leave, prohibited, interpreter = values[width:]
    return FollowUpDetail(
        follow_up=item,
        name=name,
        phone=phone,
        email=email,
        safe_to_call=safe,
        may_leave_message=may_leave,
        contact_prohibited=prohibited,
        interpreter=interpreter,
        attempts=tried,
        history=past,
        people=people(session, named),
    )


def follow_ups_of_contact(session: Session, contact_id: UUID) -> list[FollowUpItem]:
    """Give the follow-ups of a contact, the newest first: one statement."""
    rows = session.execute(
        _items()
        .where(FollowUp.tenant_id == scope_of(session).tenant_id, FollowUp.contact_id == contact_id)
        .order_by(FollowUp.created_at.desc(), FollowUp.id.desc())
    )
    return [FollowUpItem(*row) for row in rows]


def missing_outcomes(
    session: Session,
    *,
    now: datetime,
    status: str | None = None,
    older_than: int = 0,
    younger_than: int | None = None,
    after: str | None = None,
    limit: int = PAGE,
) -> Page[MissingOutcome]:
    """Give needs of ended contacts without an outcome, the oldest first: one statement.

    Ages are in days.
    """
    query = (
        select(
            Need.id,
            Need.contact_id,
            Contact.public_id,
            Need.service_owner_id,
            Need.service_key,
            Need.urgency,
            Need.status,
            Need.created_at,
        )
        .join(Contact, and_(Contact.tenant_id == Need.tenant_id, Contact.id == Need.contact_id))
        .where(
            Need.tenant_id == scope_of(session).tenant_id,
            Need.status.in_((status,) if status else needs.WITHOUT_OUTCOME),
            Need.created_at <= now - timedelta(days=older_than),
            Contact.ended_at.is_not(None),
        )
    )
    if younger_than is not None:
        query = query.where(Need.created_at > now - timedelta(days=younger_than))
    if after is not None:
        query = query.where(tuple_(Need.created_at, Need.id) > _mark(after, moment=True))
    query = query.order_by(Need.created_at, Need.id).limit(limit + 1)
    rows = [MissingOutcome(*row) for row in session.execute(query)]
    return page_of(rows, limit, lambda row: row.created_at)


def missing_by_age(session: Session, *, now: datetime) -> list[int]:
    """Count needs of ended contacts without an outcome, by `BUCKETS`: one statement."""
    found = []
    for start, end in BUCKETS:
        within = [Need.created_at <= now - timedelta(days=start)]
        if end is not None:
            within.append(Need.created_at > now - timedelta(days=end))
        found.append(func.count().filter(*within))
    row = session.execute(
        select(*found)
        .join(Contact, and_(Contact.tenant_id == Need.tenant_id, Contact.id == Need.contact_id))
        .where(
            Need.tenant_id == scope_of(session).tenant_id,
            Need.status.in_(needs.WITHOUT_OUTCOME),
            Contact.ended_at.is_not(None),
        )
    ).one()
    return list(row)


def _mark(after: str, *, moment: bool) -> tuple[date, UUID]:
    text, _, row_id = after.partition("_")
    try:
        at: date = datetime.fromisoformat(text) if moment else date.fromisoformat(text)
        return at, UUID(row_id)
    except ValueError as error:
        raise InvalidInput("There is no such page.", field="after") from error
