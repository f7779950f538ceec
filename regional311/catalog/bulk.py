"""Write many entries of the catalogue at once: the set-based twin of `catalog.service`.

Whoever imports a directory writes thousands of services; a fixed number of statements does it,
history, reviews and search documents included. What is written is the same as one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import Range

from regional311.catalog import content
from regional311.catalog.form_versions import keep_form_of
from regional311.catalog.freshness import next_review
from regional311.catalog.models import (
    ContentVersion,
    Location,
    Organization,
    Service,
    ServiceDisposition,
    ServiceLocation,
)
from regional311.catalog.refresh import refresh
from regional311.catalog.reviews import usual_days
from regional311.catalog.service import (
    location_columns,
    organization_columns,
    service_columns,
)
from regional311.database.ids import new_id
from regional311.database.rows import new_row, put, rewrite, send
from regional311.database.session import TenantSession, mark_changed, scope_of

Columns = Mapping[str, Any]

_NEWEST: Final = text("""
SELECT kind, key, max(number) AS number FROM content_versions
WHERE tenant_id = :me AND (kind, key) IN (
    SELECT * FROM unnest(CAST(:kinds AS text[]), CAST(:keys AS text[])))
GROUP BY kind, key
""")
_RETIRE: Final = text("""
UPDATE content_versions SET state = 'retired'
WHERE tenant_id = :me AND state = 'published' AND (kind, key) IN (
    SELECT * FROM unnest(CAST(:kinds AS text[]), CAST(:keys AS text[])))
RETURNING kind, key, number
""")
# References are checked row by row with a plan that a connection makes once. Made while a table was
# nearly empty, it reads all of the table, which takes minutes when that fills meanwhile.
_FORGET: Final = text("DISCARD PLANS")
_BY_INDEX: Final = text("SELECT set_config('enable_seqscan', :value, true)")
_ABOUT: Final = text("""
SELECT key FROM services
WHERE tenant_id = :me AND details ->> 'organization' = ANY(:organizations)
UNION
SELECT s.key FROM locations AS l
JOIN service_locations AS h ON h.tenant_id = :me AND h.location_id = l.id
JOIN services AS s ON s.tenant_id = :me AND s.id = h.service_id
WHERE l.tenant_id = :me AND l.key = ANY(:locations)
""")


@dataclass(frozen=True)
class SiteWrite:
    """A service at a location: a row to be made (`new`) or changed."""

    id: UUID
    location_id: UUID
    details: Columns
    columns: Columns
    new: bool


@dataclass(frozen=True)
class EntryWrite:
    """An organisation, a location or a service to be made (`new`) or changed.

    `said` is the canonical form of its model, `columns` those that the model does not fill.
    `gone_sites` are the ids of a service's rows at locations where it is not given any more.
    """

    id: UUID
    model: content.Organization | content.Location | content.Service
    said: dict[str, Any]
    columns: Columns
    new: bool
    sites: Sequence[SiteWrite] = ()
    gone_sites: Sequence[UUID] = ()


@dataclass(frozen=True)
class Written:
    """When, by whom and through what entries are written."""

    today: date
    now: datetime
    person_id: UUID | None
    source: str


def write_many(
    session: TenantSession,
    by: Written,
    *,
    organizations: Sequence[EntryWrite] = (),
    locations: Sequence[EntryWrite] = (),
    services: Sequence[EntryWrite] = (),
) -> None:
    """Publish many entries of the bound partner, each with a version of its own."""
    numbers = _versions(
        session,
        by,
        [
            (kind, each.model.key, each.said)
            for kind, entries in (
                ("organization", organizations),
                ("location", locations),
                ("service", services),
            )
            for each in entries
        ],
    )
    session.execute(_FORGET)
    session.execute(_BY_INDEX, {"value": "off"})
    for table, entries in ((Organization, organizations), (Location, locations)):
        _rows(session, table, [(each, _keyed_columns(each)) for each in entries])
    _services(session, by, services, numbers)
    send(session)
    session.execute(_BY_INDEX, {"value": "on"})
    keys = {each.model.key for each in services}
    if organizations or locations:
        send(session)
        keys |= set(
            session.scalars(
                _ABOUT,
                {
                    "me": scope_of(session).tenant_id,
                    "organizations": [each.model.key for each in organizations],
                    "locations": [each.model.key for each in locations],
                },
            )
        )
    refresh(session, "service", keys)


def end_many(
    session: TenantSession, table: type[Any], ended: Mapping[UUID, Columns], today: date
) -> None:
    """End rows of one table today; each may change other columns, the same for all."""
    rewrite(
        session,
        table,
        [{"id": row_id, "ended_on": today, **columns} for row_id, columns in ended.items()],
    )


def _versions(
    session: TenantSession, by: Written, entries: Sequence[tuple[str, str, dict[str, Any]]]
) -> dict[tuple[str, str], int]:
    """Record a version of each entry that is published as it is made; give their numbers."""
    if not entries:
        return {}
    send(session)
    me = scope_of(session).tenant_id
    named = {
        "me": me,
        "kinds": [kind for kind, _, _ in entries],
        "keys": [key for _, key, _ in entries],
    }
    newest = {(row.kind, row.key): row.number for row in session.execute(_NEWEST, named)}
    before = {}
    if newest:
        before = {(row.kind, row.key): row.number for row in session.execute(_RETIRE, named)}
        mark_changed(session)
    numbers = {}
    for kind, key, said in entries:
        numbers[kind, key] = number = newest.get((kind, key), 0) + 1
        put(
            session,
            new_row(
                ContentVersion,
                tenant_id=me,
                id=new_id(),
                kind=kind,
                key=key,
                number=number,
                state="published",
                content=said,
                based_on=before.get((kind, key)),
                source=by.source,
                made_by=by.person_id,
                made_at=by.now,
                published_by=by.person_id,
                published_at=by.now,
            ),
        )
    return numbers


def _keyed_columns(entry: EntryWrite) -> dict[str, Any]:
    if isinstance(entry.model, content.Location):
        return location_columns(entry.model, entry.said)
    assert isinstance(entry.model, content.Organization)
    return organization_columns(entry.model, entry.said)


def _rows(
    session: TenantSession, table: type[Any], entries: Iterable[tuple[EntryWrite, Columns]]
) -> None:
    me = scope_of(session).tenant_id
    changed = []
    for each, columns in entries:
        values = {**columns, **each.columns, "ended_on": None}
        if each.new:
            put(session, new_row(table, tenant_id=me, id=each.id, key=each.model.key, **values))
        else:
            changed.append({"id": each.id, **values})
    rewrite(session, table, changed)


def _services(
    session: TenantSession,
    by: Written,
    services: Sequence[EntryWrite],
    numbers: Mapping[tuple[str, str], int],
) -> None:
    me = scope_of(session).tenant_id
    days = usual_days(session)
    prepared = []
    sites, ended = [], []
    for each in services:
        assert isinstance(each.model, content.Service)
        stamps: dict[str, Any] = {
            "version": numbers["service", each.model.key],
            "updated_on": by.today,
        }
        if each.new:
            stamps["review_on"] = next_review(by.today, each.model.review_days, days)
        prepared.append((each, {**service_columns(each.model, each.said), **stamps}))
    _rows(session, Service, prepared)
    for each in services:
        assert isinstance(each.model, content.Service)
        if each.new:
            for entry in each.model.disposition:
                put(
                    session,
                    new_row(
                        ServiceDisposition,
                        tenant_id=me,
                        id=new_id(),
                        service_id=each.id,
                        disposition=entry.kind,
                        valid=Range(entry.valid_from, entry.valid_to, bounds="[)"),
                        note=entry.note,
                    ),
                )
        for site in each.sites:
            values = {"details": site.details, **site.columns, "ended_on": None}
            if site.new:
                put(
                    session,
                    new_row(
                        ServiceLocation,
                        tenant_id=me,
                        id=site.id,
                        service_id=each.id,
                        location_id=site.location_id,
                        **values,
                    ),
                )
            else:
                sites.append({"id": site.id, **values})
        ended += [{"id": row_id, "ended_on": by.today} for row_id in each.gone_sites]
        if each.model.question:
            keep_form_of(session, each.model, None)
    rewrite(session, ServiceLocation, sites)
    rewrite(session, ServiceLocation, ended)
