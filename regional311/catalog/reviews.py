"""Say that entries are still right, and when somebody looks again.

Services, articles and organisations are looked at again. Notices are not: they have days of their
own, after which they are over. Nor is what was imported as an organisation, which is kept where it
comes from.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date, datetime
from typing import Any, Final, Literal
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Integer,
    Subquery,
    cast,
    func,
    literal,
    null,
    select,
    union_all,
    update,
)

from regional311.audit.service import record
from regional311.catalog.freshness import REVIEW_DAYS, next_review
from regional311.catalog.models import Article, Organization, Service
from regional311.database.rows import send
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.errors import NotFound
from regional311.tenancy.models import Tenant
from regional311.tenancy.revision import raise_revision

MOST: Final = 500
"""Entries that are said to be right at once."""

Reviewed = Literal["service", "article", "organization"]
TABLES: Final[Mapping[Reviewed, Any]] = {
    "service": Service,
    "article": Article,
    "organization": Organization,
}
"""The kinds of entries that are looked at again."""
_WHICH: Final[Mapping[Reviewed, tuple[ColumnElement[bool], ...]]] = {
    "service": (),
    "article": (Article.kind != "notice",),
    "organization": (Organization.source == "kept",),
}
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


def reviewed_entries(tenant_id: UUID) -> Subquery:
    """Give everything of a partner that is looked at again, with its kind, name and bureau."""
    columns = {
        "service": (Service.name, Service.bureau_key),
        "article": (Article.title, Article.details["bureau"].astext),
        "organization": (Organization.name, null()),
    }
    return union_all(
        *(
            select(
                literal(kind).label("kind"),
                table.id,
                table.key,
                columns[kind][0].label("name"),
                columns[kind][1].label("bureau"),
                table.verified_on,
                table.review_on,
            ).where(table.tenant_id == tenant_id, table.ended_on.is_(None), *_WHICH[kind])
            for kind, table in TABLES.items()
        )
    ).subquery("entries")


def verify(
    session: TenantSession,
    keys: Collection[str],
    *,
    kind: Reviewed = "service",
    today: date,
    now: datetime,
) -> list[str]:
    """Say that all of these entries of a kind are right as they stand; give the keys, sorted.

    Each is looked at again after its own days or the usual ones, and each is on the audit trail.
    Raises `NotFound` for a key that the partner does not have, or has no longer, and changes
    nothing then.
    """
    tenant_id = scope_of(session).tenant_id
    table = TABLES[kind]
    send(session)
    rows = session.execute(
        update(table)
        .where(
            table.tenant_id == tenant_id,
            table.key.in_(sorted(set(keys))),
            table.ended_on.is_(None),
            *_WHICH[kind],
        )
        .values(verified_on=today, review_on=_next_look(session, kind, today))
        .returning(table.id, table.key, _VERSIONS.get(kind, null()).label("version")),
        execution_options={"synchronize_session": False},
    ).all()
    mark_changed(session)
    missing = sorted(set(keys) - {row.key for row in rows})
    if missing:
        raise NotFound(f"There is no {kind} {missing[0]}.")
    for row in rows:
        record(
            session,
            now=now,
            action=f"{kind}:verify",
            subject_kind=kind,
            subject_id=row.id,
            detail={"key": row.key, "version": row.version},
        )
    raise_revision(session)
    return sorted(row.key for row in rows)


_VERSIONS: Final[Mapping[str, Any]] = {"service": Service.version, "article": Article.version}


def _next_look(session: TenantSession, kind: Reviewed, today: date) -> Any:
    usual = usual_days(session)
    if kind == "service":
        return today + func.coalesce(_OWN_DAYS, usual)
    return next_review(today, None, usual)


def date_undated(session: TenantSession, *, today: date) -> int:
    """Give entries without a day for the next look one, counted from today; say how many."""
    found = 0
    for kind, table in TABLES.items():
        found += len(
            session.execute(
                update(table)
                .where(
                    table.tenant_id == scope_of(session).tenant_id,
                    table.review_on.is_(None),
                    table.ended_on.is_(None),
                    *_WHICH[kind],
                )
                .values(review_on=_next_look(session, kind, today))
                .returning(table.id),
                execution_options={"synchronize_session": False},
            ).all()
        )
    if found:
        mark_changed(session)
        raise_revision(session)
    return found
