"""What may be asked of the inbox: who waits since when, and what was written."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, case, func, or_, select, tuple_

from regional311.database.session import TenantSession, scope_of
from regional311.identity.models import Membership
from regional311.identity.permissions import ROLE_PERMISSIONS, Permissions
from regional311.inbox.models import Thread, ThreadMessage
from regional311.intake.models import Contact
from regional311.notices.models import OutboxMessage

PAGE: Final = 50
MOST_IN_DANGER: Final = 20
MOST_MESSAGES: Final = 200
TABS: Final = ("new", "mine", "waiting", "others", "done", "automatic")


@dataclass(frozen=True, slots=True)
class Row:
    """A thread in a list."""

    id: UUID
    public_id: str
    channel: str
    line_key: str
    address: str | None
    name: str | None
    subject: str | None
    language: str
    state: str
    claimed_by: UUID | None
    danger: str | None
    confidential: bool
    automatic: str | None
    waiting_since: datetime
    last_at: datetime
    undeliverable_at: datetime | None


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks: confidential threads are there for cleared people and for whoever has them."""

    person_id: UUID
    cleared: bool

    def sees(self, row: Any) -> bool:
        """Whether a thread is there for them."""
        return not row.confidential or self.cleared or row.claimed_by == self.person_id

    def condition(self, tenant_id: UUID) -> ColumnElement[bool]:
        """The same, for a statement."""
        mine = Thread.tenant_id == tenant_id
        if self.cleared:
            return mine
        return mine & or_(Thread.confidential.is_(False), Thread.claimed_by == self.person_id)


def _tab(tab: str, me: UUID) -> ColumnElement[bool]:
    match tab:
        case "new":
            return Thread.state == "new"
        case "mine":
            return (Thread.state == "claimed") & (Thread.claimed_by == me)
        case "waiting":
            return Thread.state == "waiting"
        case "others":
            return (Thread.state == "claimed") & (Thread.claimed_by != me)
        case "automatic":
            return (Thread.state == "done") & Thread.automatic.is_not(None)
        case _:
            return (Thread.state == "done") & Thread.automatic.is_(None)


@dataclass(frozen=True, slots=True)
class Count:
    """How many there are, and since when the first of them waits."""

    number: int = 0
    since: datetime | None = None


def counts(session: TenantSession, viewer: Viewer) -> dict[str, Count]:
    """Count what is open, by tab; what is done is not counted. One statement."""
    mine = Thread.claimed_by == viewer.person_id
    which = case((Thread.state != "claimed", Thread.state), (mine, "mine"), else_="others").label(
        "which"
    )
    rows = session.execute(
        select(which, func.count(), func.min(Thread.waiting_since))
        .where(viewer.condition(scope_of(session).tenant_id), Thread.state != "done")
        .group_by(which)
    )
    return {which: Count(number, since) for which, number, since in rows}


def in_danger(session: TenantSession, viewer: Viewer) -> list[Row]:
    """Threads whose words sound like danger, until somebody has looked: the latest first."""
    rows = session.execute(
        select(*_columns())
        .where(viewer.condition(scope_of(session).tenant_id), Thread.danger.is_not(None))
        .order_by(Thread.last_at.desc())
        .limit(MOST_IN_DANGER)
    )
    return [Row(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class Page:
    """Some threads, and the cursor of the next."""

    rows: list[Row]
    after: str | None


def listed(
    session: TenantSession,
    viewer: Viewer,
    tab: str,
    *,
    channel: str | None = None,
    line: str | None = None,
    language: str | None = None,
    claimed_by: UUID | None = None,
    words: str | None = None,
    after: str | None = None,
    limit: int = PAGE,
) -> Page:
    """Give a tab's threads: who has waited longest first; of what is done, the latest first."""
    asked = select(*_columns()).where(
        viewer.condition(scope_of(session).tenant_id), _tab(tab, viewer.person_id)
    )
    for column, value in (
        (Thread.channel, channel),
        (Thread.line_key, line),
        (Thread.language, language),
        (Thread.claimed_by, claimed_by),
    ):
        if value is not None:
            asked = asked.where(column == value)
    if words is not None:
        asked = asked.where(
            or_(
                *(
                    column.icontains(words, autoescape=True)
                    for column in (Thread.public_id, Thread.address, Thread.name, Thread.subject)
                )
            )
        )
    latest = tab in ("done", "automatic")
    order = Thread.last_at if latest else Thread.waiting_since
    cursor = _read_cursor(after)
    if cursor is not None:
        place = tuple_(order, Thread.id)
        asked = asked.where(place < cursor if latest else place > cursor)
    asked = asked.order_by(
        *((order.desc(), Thread.id.desc()) if latest else (order, Thread.id))
    ).limit(limit + 1)
    rows = [Row(*row) for row in session.execute(asked)]
    more = None
    if len(rows) > limit:
        rows = rows[:limit]
        last = rows[-1]
        more = f"{(last.last_at if latest else last.waiting_since).isoformat()}_{last.id}"
    return Page(rows, more)


def _read_cursor(after: str | None) -> Any:
    at, _blank, row_id = (after or "").partition("_")
    try:
        found = datetime.fromisoformat(at), UUID(row_id)
    except ValueError:
        return None
    return None if found[0].tzinfo is None else found


@dataclass(frozen=True, slots=True)
class Said:
    """A message of a thread; `state` and `error` are those of its way out, of an answer."""

    id: UUID
    direction: str
    at: datetime
    author_id: UUID | None
    sender: str | None
    subject: str | None
    text: str
    signs: list[str]
    automatic: str | None
    left_out: list[dict[str, Any]]
    files: int
    state: str | None
    error: str | None
    delivered_at: datetime | None


def messages(session: TenantSession, thread_id: UUID) -> list[Said]:
    """Give the latest messages of a thread, the first of them first. One statement."""
    own = [getattr(ThreadMessage, each.name) for each in fields(Said)[:-3]]
    rows = session.execute(
        select(*own, OutboxMessage.state, OutboxMessage.last_error, OutboxMessage.delivered_at)
        .outerjoin(
            OutboxMessage,
            (OutboxMessage.tenant_id == ThreadMessage.tenant_id)
            & (OutboxMessage.id == ThreadMessage.id),
        )
        .where(
            ThreadMessage.tenant_id == scope_of(session).tenant_id,
            ThreadMessage.thread_id == thread_id,
        )
        .order_by(ThreadMessage.id.desc())
        .limit(MOST_MESSAGES)
    )
    return [Said(*tuple(row)) for row in rows][::-1]


def contact_of(session: TenantSession, contact_id: UUID | None) -> tuple[str, bool] | None:
    """Give the number of a thread's contact, and whether it has ended. One statement."""
    if contact_id is None:
        return None
    row = session.execute(
        select(Contact.public_id, Contact.ended_at).where(
            Contact.tenant_id == scope_of(session).tenant_id, Contact.id == contact_id
        )
    ).one_or_none()
    return None if row is None else (row.public_id, row.ended_at is not None)


def thread_of(session: TenantSession, contact_id: UUID) -> Row | None:
    """Give the thread that a contact is of. One statement."""
    row = session.execute(
        select(*_columns()).where(
            Thread.tenant_id == scope_of(session).tenant_id, Thread.contact_id == contact_id
        )
    ).first()
    return None if row is None else Row(*row)


def colleagues(session: TenantSession) -> dict[UUID, str]:
    """Give who may have a thread, by name: the members whose roles take contacts."""
    takes = [
        role
        for role, permissions in ROLE_PERMISSIONS.items()
        if Permissions.CONTACT_TAKE in permissions
    ]
    rows = session.execute(
        select(Membership.person_id, Membership.name)
        .where(
            Membership.tenant_id == scope_of(session).tenant_id,
            Membership.ended_at.is_(None),
            Membership.roles.overlap(takes),
        )
        .order_by(Membership.name)
    )
    return {row.person_id: row.name for row in rows}


def _columns() -> list[Any]:
    return [getattr(Thread, each.name) for each in fields(Row)]
