"""Remind coordinators before and on the day that counts, and tell who leads them when it is over.

Each step is taken once, whatever restarts: that it was taken is a row with a unique key, written in
the transaction in which the letters are. A worker that was away takes the latest step only.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import and_, or_, select
from sqlalchemy.dialects.postgresql import insert

from regional311.casework.accommodation_letters import Letters, tell_coordinator
from regional311.casework.accommodations import OPEN, due_on
from regional311.casework.coordinators import terms_of
from regional311.casework.models import Accommodation, AccommodationReminder
from regional311.casework.paper import unposted
from regional311.database.ids import new_id
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.tenancy.models import Tenant

TASKS: Final[Mapping[str, tuple[str, int]]] = {
    "acknowledge": ("acknowledged", 1),
    "decide": ("decided", 3),
    "appeal": ("answered, because the person does not agree with the decision", 3),
}
"""How a letter says what must be done, and how many days before it is first said."""

POST: Final = "put into the post: a letter to the person waits"
AGAIN_DAYS: Final = 7
"""Who leads is told on the first day that it is overdue, and again every so many days."""
MOST_STEPS: Final = 12
"""After so many no more are told: then it is a matter for people."""
LISTED: Final = 10_000


def task_of(state: str) -> str:
    """What must be done next in a state.

    >>> [task_of(state) for state in ("received", "acknowledged", "decided")]
    ['acknowledge', 'decide', 'appeal']
    """
    return {"received": "acknowledge", "acknowledged": "decide"}.get(state, "appeal")


def step_on(task: str, due: date, today: date) -> str | None:
    """The step that has come: before, due, overdue-0, overdue-7 and so on; None while it is early.

    >>> from datetime import timedelta
    >>> due = date(2026, 11, 30)
    >>> [step_on("decide", due, due + timedelta(days=day)) for day in (-4, -3, 0, 1, 7, 8)]
    [None, 'before', 'due', 'overdue-0', 'overdue-0', 'overdue-7']
    """
    days = (today - due).days
    if days < -TASKS[task][1]:
        return None
    if days <= 0:
        return "due" if days == 0 else "before"
    return f"overdue-{min((days - 1) // AGAIN_DAYS, MOST_STEPS) * AGAIN_DAYS}"


def remind(session: TenantSession, *, now: datetime, url: str) -> int:
    """Write the bound partner's reminders that are due; say how many letters. A worker's chore."""
    tenant_id = scope_of(session).tenant_id
    mine = session.execute(
        select(Tenant.name, Tenant.slug, Tenant.zone, Tenant.settings).where(
            Tenant.tenant_id == tenant_id, Tenant.id == tenant_id
        )
    ).one()
    letters = Letters(mine.name, mine.slug, url, terms_of(mine.settings))
    today = now.astimezone(ZoneInfo(mine.zone)).date()
    row = Accommodation
    waiting = session.execute(
        select(
            row.id,
            row.public_id,
            row.bureau_key,
            row.state,
            row.acknowledge_by,
            row.decide_by,
            row.appealed_at,
            row.appeal_by,
            row.appeal_answered_at,
        )
        .where(
            row.tenant_id == tenant_id,
            or_(
                row.state.in_(OPEN),
                and_(row.appealed_at.is_not(None), row.appeal_answered_at.is_(None)),
            ),
        )
        .order_by(row.received_at, row.id)
        .limit(LISTED)
    ).all()
    told = 0
    for each in waiting:
        day, task = due_on(each), task_of(each.state)
        step = None if day is None else step_on(task, day, today)
        if day is None or step is None or not _first(session, each.id, f"{task}-{step}", now):
            continue
        late = step.startswith("overdue")
        told += tell_coordinator(
            session,
            letters,
            each.id,
            each.public_id,
            each.bureau_key,
            day,
            event="accommodation_overdue" if late else "accommodation_due",
            task=TASKS[task][0],
            lead=late,
            now=now,
        )
    return told + _letters(session, letters, now=now, zone=ZoneInfo(mine.zone))


def _letters(session: TenantSession, letters: Letters, *, now: datetime, zone: ZoneInfo) -> int:
    """Remind of letters on paper that nobody has posted, on the day after and every seven days."""
    today, told = now.astimezone(zone).date(), 0
    for each in unposted(session):
        since = each.since.astimezone(zone).date()
        days = (today - since).days
        if days < 1 or not _first(session, each.id, f"post-{since}-{days // AGAIN_DAYS}", now):
            continue
        told += tell_coordinator(
            session,
            letters,
            each.id,
            each.public_id,
            each.bureau_key,
            since,
            event="accommodation_overdue",
            task=POST,
            lead=days >= AGAIN_DAYS,
            now=now,
        )
    return told


def _first(session: TenantSession, row_id: UUID, step: str, now: datetime) -> bool:
    """Whether a step is taken for the first time; it is remembered at once."""
    made = session.execute(
        insert(AccommodationReminder)
        .values(
            tenant_id=scope_of(session).tenant_id,
            id=new_id(),
            accommodation_id=row_id,
            step=step,
            at=now,
        )
        .on_conflict_do_nothing()
        .returning(AccommodationReminder.id)
    ).scalar_one_or_none()
    if made is not None:
        mark_changed(session)
    return made is not None
