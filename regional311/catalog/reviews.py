"""Say that entries are still right, and when somebody looks again."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime
from typing import Final
from uuid import UUID

from sqlalchemy import Integer, cast, func, select, update

from regional311.audit.service import record
from regional311.catalog.freshness import REVIEW_DAYS
from regional311.catalog.models import Service
from regional311.database.rows import send
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.errors import NotFound
from regional311.tenancy.models import Tenant
from regional311.tenancy.revision import raise_revision

MOST: Final = 500
"""Entries that are said to be right at once."""

_OWN_DAYS: Final = cast(Service.details["review_days"].astext, Integer)


def usual_days(session: TenantSession) -> int:
    """Give the days between two looks where an entry has none of its own; asked once a session."""
    known: dict[UUID, int] = session.info.setdefault("usual_review_days", {})
    tenant_id = scope_of(session).tenant_id
    if tenant_id not in known:
        found = session.execute(
            select(Tenant.settings["review_days"].astext).where(
                Tenant.tenant_id == tenant_id, Tenant.id == tenant_id
            )
        ).scalar_one_or_none()
        known[tenant_id] = int(found) if found else REVIEW_DAYS
    return known[tenant_id]


def verify(
    session: TenantSession, keys: Collection[str], *, today: date, now: datetime
) -> list[str]:
    """Say that all of these services is right as it stands; give the keys, sorted.

    Each is looked at again after its own days or the usual ones, and each is on the audit trail.
    Raises `NotFound` for a key that the partner does not have, or has no longer, and changes
    nothing then.
    """
    tenant_id = scope_of(session).tenant_id
    send(session)
    rows = session.execute(
        update(Service)
        .where(
            Service.tenant_id == tenant_id,
            Service.key.in_(sorted(set(keys))),
            Service.ended_on.is_(None),
        )
        .values(
            verified_on=today,
            review_on=today + func.coalesce(_OWN_DAYS, usual_days(session)),
        )
        .returning(Service.id, Service.key, Service.version),
        execution_options={"synchronize_session": False},
    ).all()
    mark_changed(session)
    missing = sorted(set(keys) - {row.key for row in rows})
    if missing:
        raise NotFound(f"There is no service {missing[0]}.")
    for row in rows:
        record(
            session,
            now=now,
            action="service:verify",
            subject_kind="service",
            subject_id=row.id,
            detail={"key": row.key, "version": row.version},
        )
    raise_revision(session)
    return sorted(row.key for row in rows)


def date_undated(session: TenantSession, *, today: date) -> int:
    """Give services without a day for the next look one, counted from today; say how many."""
    found = session.execute(
        update(Service)
        .where(
            Service.tenant_id == scope_of(session).tenant_id,
            Service.review_on.is_(None),
            Service.ended_on.is_(None),
        )
        .values(review_on=today + func.coalesce(_OWN_DAYS, usual_days(session)))
        .returning(Service.id),
        execution_options={"synchronize_session": False},
    ).all()
    if found:
        mark_changed(session)
        raise_revision(session)
    return len(found)
