"""Tell keepers of what is due to be looked at and of what was suggested, in one e-mail a person."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import and_, exists, select, update
from sqlalchemy.dialects.postgresql import insert

from regional311.catalog.models import Service
from regional311.catalog.reviews import date_undated
from regional311.database.ids import new_id
from regional311.database.rows import put
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.identity.queries import Member
from regional311.keeping.keepers import keepers
from regional311.keeping.models import ReviewReminder, Suggestion
from regional311.keeping.suggestions import forget_senders
from regional311.notices.service import outbox_row
from regional311.tenancy.models import Tenant

LISTED: Final = 20
"""Entries that an e-mail names; the others are counted."""


def keep(session: TenantSession, *, now: datetime, url: str) -> int:
    """Do what keeping the bound partner's entries right takes now and then; say how much."""
    me = scope_of(session).tenant_id
    tenant = session.execute(
        select(Tenant.slug, Tenant.name, Tenant.zone).where(Tenant.tenant_id == me, Tenant.id == me)
    ).one()
    address = f"{url}/{tenant.slug}"
    told = remind(session, now=now, zone=tenant.zone, partner=tenant.name, address=address)
    told += tell_of_suggestions(session, now=now, partner=tenant.name, address=address)
    return told + forget_senders(session, now=now)


def remind(session: TenantSession, *, now: datetime, zone: str, partner: str, address: str) -> int:
    """Write the bound partner's reminders that are due into the outbox; say how many messages.

    A service is told of on the day by which it should be looked at or after, to its keepers, and
    again only when that day has been moved and has come. Services without a day get one first.
    `address` is that of the partner's pages.
    """
    me = scope_of(session).tenant_id
    today = now.astimezone(ZoneInfo(zone)).date()
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
    told = [(people[row.id], _due(row.name, row.review_on)) for row in due if row.id in fresh]
    return _tell(session, "reviews_due", told, partner, f"{address}/reviews?keeper=me", now)


def tell_of_suggestions(
    session: TenantSession, *, now: datetime, partner: str, address: str
) -> int:
    """Tell keepers once of each new suggestion, all in one e-mail; say how many messages."""
    me = scope_of(session).tenant_id
    new = session.execute(
        select(
            Suggestion.id,
            Suggestion.subject_key,
            Suggestion.subject_name,
            Service.bureau_key,
        )
        .outerjoin(
            Service,
            and_(
                Service.tenant_id == me,
                Service.key == Suggestion.subject_key,
                Suggestion.subject_kind == "service",
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
    told = [(kept.of(row.subject_key, row.bureau_key), f"- {row.subject_name}") for row in new]
    if not kept.everybody:
        return 0
    session.execute(
        update(Suggestion)
        .where(Suggestion.tenant_id == me, Suggestion.id.in_([row.id for row in new]))
        .values(told_at=now),
        execution_options={"synchronize_session": False},
    )
    mark_changed(session)
    return _tell(session, "suggestions_new", told, partner, f"{address}/suggestions", now)


def _tell(
    session: TenantSession,
    event: str,
    lines: Sequence[tuple[Sequence[Member], str]],
    partner: str,
    address: str,
    now: datetime,
) -> int:
    """Write one e-mail to each person with the lines that are for them."""
    found: dict[UUID, tuple[Member, list[str]]] = {}
    for people, line in lines:
        for person in people:
            found.setdefault(person.person_id, (person, []))[1].append(line)
    for person, mine in found.values():
        put(
            session,
            outbox_row(
                scope_of(session).tenant_id,
                event=event,
                recipient=person.email,
                language="en",
                now=now,
                values={
                    "partner": partner,
                    "number": str(len(mine)),
                    "services": listed(mine),
                    "address": address,
                },
            ),
        )
    return len(found)


def _due(name: str, day: date) -> str:
    return f"- {name} (by {day.isoformat()})"


def listed(lines: Sequence[str]) -> str:
    """Join lines; those beyond the first twenty are counted.

    >>> listed([f"- {number}" for number in range(25)]).splitlines()[-2:]
    ['- 19', '- and 5 more']
    """
    shown = list(lines[:LISTED])
    if len(lines) > LISTED:
        shown.append(f"- and {len(lines) - LISTED} more")
    return "\n".join(shown)


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
