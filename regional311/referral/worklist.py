"""The worklist of a partner: what is new, mine, late, waiting; counted, and a page at a time.

Every part of it follows an index, and counting stops at :data:`MOST`: a list of a hundred thousand
open referrals takes as long as one of a hundred.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, exists, false, func, not_, select
from sqlalchemy.orm import Session

from regional311.database.session import scope_of
from regional311.intake.models import Contact
from regional311.intake.queries import PAGE, Page, by_state, page_of
from regional311.referral import lifecycle
from regional311.referral.models import Referral
from regional311.referral.queries import ReferralItem

MOST: Final = 999
"""Beyond this a tab says *more than*."""

SOON: Final = timedelta(days=1)
"""What is due within this is due soon."""

WORKED: Final = ("accepted", "in_progress")

Condition = Callable[[datetime, UUID | None], ColumnElement[bool]]


def _received(*more: ColumnElement[bool]) -> ColumnElement[bool]:
    return and_(Referral.side == lifecycle.RECEIVER, *more)


TABS: Final[Mapping[str, tuple[tuple[str, ...], Condition]]] = {
    "new": (
        ("requested",),
        lambda _now, _person: _received(Referral.asked_at.is_(None)),
    ),
    "mine": (
        lifecycle.OPEN,
        lambda _now, person: _received(Referral.claimed_by == person),
    ),
    "overdue": (
        ("requested",),
        lambda now, _person: _received(Referral.asked_at.is_(None), Referral.due_at < now),
    ),
    "soon": (
        ("requested",),
        lambda now, _person: _received(
            Referral.asked_at.is_(None), Referral.due_at >= now, Referral.due_at < now + SOON
        ),
    ),
    "ageing": (WORKED, lambda now, _person: _received(Referral.finish_by < now)),
    "ending": (
        WORKED,
        lambda now, _person: _received(Referral.finish_by >= now, Referral.finish_by < now + SOON),
    ),
    "work": (WORKED, lambda _now, _person: _received()),
    "asked": (
        lifecycle.OPEN,
        lambda _now, _person: _received(Referral.asked_at.is_not(None)),
    ),
    "on_hold": (
        ("on_hold",),
        lambda _now, _person: _received(Referral.waitlist_position.is_(None)),
    ),
    "waitlist": (
        ("on_hold",),
        lambda _now, _person: _received(Referral.waitlist_position.is_not(None)),
    ),
    "questions": (
        (*lifecycle.OPEN, "failed"),
        lambda _now, _person: and_(
            Referral.side == lifecycle.SENDER, Referral.asked_at.is_not(None)
        ),
    ),
    "drafts": (("draft",), lambda _now, _person: Referral.side == lifecycle.SENDER),
    "onward": (
        lifecycle.OPEN,
        lambda _now, _person: and_(
            Referral.side == lifecycle.SENDER, Referral.above_ended_at.is_not(None)
        ),
    ),
    "to_stop": (
        lifecycle.STATES,
        lambda _now, _person: _received(
            Referral.consent_ended_at.is_not(None), Referral.stop_seen_at.is_(None)
        ),
    ),
    "sent": (lifecycle.STATES, lambda _now, _person: Referral.side == lifecycle.SENDER),
    "closed": (lifecycle.CLOSED, lambda _now, _person: _received()),
}
"""Of each part of the list: the states that are in it, and what else must hold."""

COUNTED: Final = tuple(name for name in TABS if name not in ("sent", "closed"))

SORTS: Final[Mapping[str, Any]] = {
    "sent": Referral.sent_at,
    "due": Referral.due_at,
    "finish": Referral.finish_by,
}


def counts(session: Session, *, now: datetime, person_id: UUID | None) -> dict[str, int]:
    """Count every part that waits for somebody, up to one more than `MOST`: one statement."""
    me = scope_of(session).tenant_id
    columns = []
    for name in COUNTED:
        states, condition = TABS[name]
        some = (
            select(Referral.id)
            .where(Referral.tenant_id == me, Referral.state.in_(states), condition(now, person_id))
            .limit(MOST + 1)
            .subquery()
        )
        columns.append(select(func.count()).select_from(some).scalar_subquery().label(name))
    return dict(session.execute(select(*columns)).one()._mapping)  # noqa: SLF001


def listed(
    session: Session,
    tab: str,
    *,
    now: datetime,
    person_id: UUID | None,
    state: str | None = None,
    service_key: str | None = None,
    counterparty_id: UUID | None = None,
    urgency: str | None = None,
    claimed_by: UUID | None = None,
    unclaimed: bool = False,
    without: Iterable[tuple[UUID, str]] = (),
    unless_taken_by: UUID | None = None,
    sort: str = "sent",
    oldest_first: bool = True,
    after: str | None = None,
    limit: int = PAGE,
) -> Page[ReferralItem]:
    """Give a page of one part of the list: one statement.

    ``without`` are services, as (owner, key), whose referrals are left out, except those sent for
    contacts that ``unless_taken_by`` took in.
    """
    states, condition = TABS[tab]
    if state is not None:
        states = tuple(each for each in states if each == state)
    names = [each.name for each in fields(ReferralItem)]
    query: Select[Any] = select(*(getattr(Referral, name) for name in names)).where(
        Referral.tenant_id == scope_of(session).tenant_id, condition(now, person_id)
    )
    for column, value in (
        (Referral.service_key, service_key),
        (Referral.counterparty_id, counterparty_id),
        (Referral.urgency, urgency),
        (Referral.claimed_by, claimed_by),
    ):
        if value is not None:
            query = query.where(column == value)
    if unclaimed:
        query = query.where(Referral.claimed_by.is_(None))
    me = scope_of(session).tenant_id
    taken = (
        false()
        if unless_taken_by is None
        else exists().where(
            Contact.tenant_id == Referral.tenant_id,
            Contact.id == Referral.contact_id,
            Contact.specialist_id == unless_taken_by,
        )
    )
    for owner_id, key in without:
        at_owner = (
            Referral.side == lifecycle.RECEIVER
            if owner_id == me
            else and_(
                Referral.side == lifecycle.SENDER, Referral.counterparty_id == owner_id, ~taken
            )
        )
        query = query.where(not_(and_(Referral.service_key == key, at_owner)))
    column = SORTS[sort]
    if sort != "sent":
        query = query.where(column.is_not(None))
    ordered = by_state(
        query,
        Referral.state,
        states,
        (column, Referral.id),
        oldest_first=oldest_first,
        after=after,
        limit=limit,
    )
    rows = [ReferralItem(*row) for row in session.execute(ordered)]
    return page_of(rows, limit, lambda row: getattr(row, column.key))
