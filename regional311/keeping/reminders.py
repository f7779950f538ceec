"""Remind keepers of what is due to be looked at: one e-mail a person, once for each due day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import exists, select
from sqlalchemy.dialects.postgresql import insert

from regional311.catalog.models import Service
from regional311.catalog.reviews import date_undated
from regional311.database.ids import new_id
from regional311.database.rows import put
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.identity.queries import Member
from regional311.keeping.keepers import keepers
from regional311.keeping.models import ReviewReminder
from regional311.notices.service import outbox_row
from regional311.tenancy.models import Tenant

EVENT: Final = "reviews_due"
LISTED: Final = 20
"""Services that an e-mail names; the others are counted."""


def remind(session: TenantSession, *, now: datetime, url: str) -> int:
    """Write this partner's reminders that are due into the outbox; say how many messages.

    A service is told of on the day by which it should be looked at or after, to its keepers, and
    again only when that day has been moved and has come. Services without a day get one first.
    """
    me = scope_of(session).tenant_id
    tenant = session.execute(
        select(Tenant.slug, Tenant.name, Tenant.zone).where(Tenant.tenant_id == me, Tenant.id == me)
    ).one()
    today = now.astimezone(ZoneInfo(tenant.zone)).date()
    date_undated(session, today=today)
    due = session.execute(
        select(Service.id, Service.key, Service.name, Service.bureau_key, Service.review_on)
        .where(
            Service.tenant_id == me,
            Service.ended_on.is_(None),
            Service.review_on <= today,
            ~exists().where(
                ReviewReminder.tenant_id == me,
                ReviewReminder.service_id == Service.id,
                ReviewReminder.due_on == Service.review_on,
            ),
        )
        .order_by(Service.review_on, Service.name, Service.key)
    ).all()
    if not due:
        return 0
    kept = keepers(session)
    people = {row.id: kept.of(row.key, row.bureau_key) for row in due}
    # what nobody keeps yet is told of as soon as somebody does
    due = [row for row in due if people[row.id]]
    if not due:
        return 0
    fresh = _first(session, [(row.id, row.review_on, len(people[row.id])) for row in due], now)
    told: dict[UUID, tuple[Member, list[Any]]] = {}
    for row in due:
        if row.id in fresh:
            for person in people[row.id]:
                told.setdefault(person.person_id, (person, []))[1].append(row)
    for person, rows in told.values():
        put(
            session,
            outbox_row(
                me,
                event=EVENT,
                recipient=person.email,
                language="en",
                now=now,
                values={
                    "partner": tenant.name,
                    "number": str(len(rows)),
                    "services": listed([(row.name, row.review_on) for row in rows]),
                    "address": f"{url}/{tenant.slug}/reviews?keeper=me",
                },
            ),
        )
    return len(told)


def listed(services: Sequence[tuple[str, date]]) -> str:
    """Write services with their days, one a line; those beyond the first twenty are counted.

    >>> listed([("Pothole in a street", date(2026, 10, 5))])
    '- Pothole in a street (by 2026-10-05)'
    """
    lines = [f"- {name} (by {day.isoformat()})" for name, day in services[:LISTED]]
    if len(services) > LISTED:
        lines.append(f"- and {len(services) - LISTED} more")
    return "\n".join(lines)


def _first(
    session: TenantSession, due: Sequence[tuple[UUID, date, int]], now: datetime
) -> frozenset[UUID]:
    """Give the services that are told of for the first time; all are remembered at once."""
    tenant_id = scope_of(session).tenant_id
    made = session.execute(
        insert(ReviewReminder)
        .values(
            [
                {
                    "tenant_id": tenant_id,
                    "id": new_id(),
                    "service_id": service_id,
                    "due_on": due_on,
                    "told": told,
                    "at": now,
                }
                for service_id, due_on, told in due
            ]
        )
        .on_conflict_do_nothing()
        .returning(ReviewReminder.service_id)
    ).scalars()
    found = frozenset(made)
    if found:
        mark_changed(session)
    return found
