"""Tell keepers of what is due to be looked at and of what was suggested, in one e-mail a person."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import and_, exists, select, update
from sqlalchemy.dialects.postgresql import insert

from regional311.catalog.reviews import date_undated, reviewed_entries
from regional311.database.ids import new_id
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.keeping.keepers import keepers
from regional311.keeping.letters import Letterhead, letterhead, tell
from regional311.keeping.models import ReviewReminder, Suggestion
from regional311.keeping.suggestions import forget_senders
from regional311.notices.service import DUE


def keep(session: TenantSession, *, now: datetime, url: str) -> int:
    """Do what keeping the bound partner's entries right takes now and then; say how much."""
    head = letterhead(session, url)
    told = remind(session, head, now=now)
    told += tell_of_suggestions(session, head, now=now)
    return told + forget_senders(session, now=now)


def remind(session: TenantSession, head: Letterhead, *, now: datetime) -> int:
    """Write the bound partner's reminders that are due into the outbox; say how many messages.

    An entry is told of on the day by which it should be looked at or after, to its keepers, and
    again only when that day has been moved and has come. Entries without a day get one first.
    """
    me = scope_of(session).tenant_id
    today = head.today(now)
    date_undated(session, today=today)
    entries = reviewed_entries(me).c
    due = session.execute(
        select(
            entries.kind,
            entries.id,
            entries.key,
            entries.name,
            entries.bureau,
            entries.review_on,
        )
        .where(
            entries.review_on <= today,
            ~exists().where(
                ReviewReminder.tenant_id == me,
                ReviewReminder.subject_kind == entries.kind,
                ReviewReminder.subject_id == entries.id,
                ReviewReminder.due_on == entries.review_on,
            ),
        )
        .order_by(entries.review_on, entries.name, entries.key)
    ).all()
    if not due:
        return 0
    kept = keepers(session)
    people = {row.id: kept.of((row.kind, row.key), row.bureau) for row in due}
    # what nobody keeps yet is told of as soon as somebody does
    due = [row for row in due if people[row.id]]
    if not due:
        return 0
    fresh = _first(session, [(row, len(people[row.id])) for row in due], now)
    line = head.sentence(DUE)
    told = [
        (people[row.id], line.format(name=row.name, day=head.day(row.review_on)))
        for row in due
        if row.id in fresh
    ]
    return tell(session, head, "reviews_due", told, page="reviews?keeper=me", now=now)


def tell_of_suggestions(session: TenantSession, head: Letterhead, *, now: datetime) -> int:
    """Tell keepers once of each new suggestion, all in one e-mail; say how many messages."""
    me = scope_of(session).tenant_id
    entries = reviewed_entries(me).c
    new = session.execute(
        select(
            Suggestion.id,
            Suggestion.subject_kind,
            Suggestion.subject_key,
            Suggestion.subject_name,
            entries.bureau,
        )
        .outerjoin(
            entries.key.table,
            and_(
                entries.kind == Suggestion.subject_kind,
                entries.key == Suggestion.subject_key,
            ),
        )
        .where(
            Suggestion.tenant_id == me,
            Suggestion.owner_id == me,
            Suggestion.state == "new",
            Suggestion.told_at.is_(None),
        )
        .order_by(Suggestion.id)
    ).all()
    if not new:
        return 0
    kept = keepers(session)
    told = [
        (kept.of((row.subject_kind, row.subject_key), row.bureau), f"- {row.subject_name}")
        for row in new
    ]
    if not kept.everybody:
        return 0
    session.execute(
        update(Suggestion)
        .where(Suggestion.tenant_id == me, Suggestion.id.in_([row.id for row in new]))
        .values(told_at=now),
        execution_options={"synchronize_session": False},
    )
    mark_changed(session)
    return tell(session, head, "suggestions_new", told, page="suggestions", now=now)


def _first(
    session: TenantSession, due: Sequence[tuple[Any, int]], now: datetime
) -> frozenset[UUID]:
    """Give the entries that are told of for the first time; all are remembered at once."""
    tenant_id = scope_of(session).tenant_id
    made = session.execute(
        insert(ReviewReminder)
        .values(
            [
                {
                    "tenant_id": tenant_id,
                    "id": new_id(),
                    "subject_kind": row.kind,
                    "subject_id": row.id,
                    "due_on": row.review_on,
                    "told": told,
                    "at": now,
                }
                for row, told in due
            ]
        )
        .on_conflict_do_nothing()
        .returning(ReviewReminder.subject_id)
    ).scalars()
    found = frozenset(made)
    if found:
        mark_changed(session)
    return found
