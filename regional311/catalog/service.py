"""The only writer of the published catalogue: what is said becomes rows, dispositions, history.

Files, forms, spreadsheets and imports all come through here, so that each change of a published
service, organisation or location is a numbered version with its author and its time.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from typing import Any, Final, Literal
from uuid import UUID

from sqlalchemy import case, func, select, update
from sqlalchemy.dialects.postgresql import Range

from regional311.catalog import content
from regional311.catalog.form_versions import keep_form_of
from regional311.catalog.freshness import next_review
from regional311.catalog.hsds.identifiers import entry_id
from regional311.catalog.models import (
    ContentVersion,
    Location,
    Organization,
    Service,
    ServiceDisposition,
    ServiceLocation,
)
from regional311.catalog.refresh import refresh, refresh_about
from regional311.catalog.reviews import usual_days
from regional311.database.ids import new_id
from regional311.database.rows import new_row, put, send
from regional311.database.session import TenantSession, scope_of
from regional311.errors import AlreadyInForce, NotFound
from regional311.strict import canonical, from_plain
from regional311.tenancy.queries import slug_of

_EMPTY: Final[Range[Any]] = Range(empty=True)
_COLUMNS: Final = {
    "name": "name",
    "summary": "summary",
    "verb": "verb",
    "bureau": "bureau_key",
    "term": "term",
    "keywords": "keywords",
    "channels": "channels",
    "boundary": "boundary_key",
    "confidential": "confidential",
    "target_hours": "target_hours",
}
"""Fields of `content.Service` that have a column of their own; all others are in `details`."""


def canonical_service(model: content.Service) -> dict[str, Any]:
    """Give what a service says as plain values, its dispositions by date."""
    said = canonical(model)
    said["disposition"] = sorted(said["disposition"], key=lambda one: one["valid_from"])
    return said


def service_columns(model: content.Service, said: dict[str, Any] | None = None) -> dict[str, Any]:
    """Give the columns of `services` that hold what a service says.

    `said` is its canonical form, for whoever has it already.
    """
    said = canonical(model) if said is None else said
    columns: dict[str, Any] = {column: getattr(model, name) for name, column in _COLUMNS.items()}
    columns["keywords"] = list(model.keywords)
    columns["channels"] = list(model.channels)
    details = {
        name: value
        for name, value in said.items()
        if name not in _COLUMNS and name not in ("key", "disposition")
    }
    columns["details"] = {"place": model.place, "priority": model.priority, **details}
    return columns


def kept_services(
    session: TenantSession, tenant_id: UUID, *conditions: Any
) -> Iterator[tuple[Service, content.Service]]:
    """Give a partner's own (not imported) services with what they say, in two statements."""
    entries: dict[UUID, list[dict[str, Any]]] = {}
    for row in _dispositions(session, tenant_id):
        entries.setdefault(row.service_id, []).append(_said_entry(row))
    rows = session.execute(
        select(Service)
        .where(Service.tenant_id == tenant_id, Service.source == "kept", *conditions)
        .order_by(Service.key)
    ).scalars()
    for row in rows:
        yield row, said_service(row, entries.get(row.id, []))


def _said_entry(row: Any) -> dict[str, Any]:
    return {
        "kind": row.disposition,
        "valid_from": row.valid.lower,
        "valid_to": row.valid.upper,
        "note": row.note,
    }


def stored_service(session: TenantSession, key: str) -> tuple[Service, content.Service] | None:
    """Give one service of the bound partner, kept or imported, with what it says."""
    tenant_id = scope_of(session).tenant_id
    row = session.execute(
        select(Service)
        .where(Service.tenant_id == tenant_id, Service.key == key)
        .execution_options(populate_existing=True)
    ).scalar_one_or_none()
    if row is None:
        return None
    entries = _dispositions(session, tenant_id, ServiceDisposition.service_id == row.id)
    return row, said_service(row, [_said_entry(each) for each in entries])


def said_service(row: Any, dispositions: list[dict[str, Any]]) -> content.Service:
    """Read a row of `services` and its dispositions back into what the partner says."""
    names = content.Service.model_fields
    said: dict[str, Any] = {name: row.details.get(name) for name in names}
    said |= {name: getattr(row, column) for name, column in _COLUMNS.items()}
    said |= {"key": row.key, "disposition": dispositions}
    return from_plain(content.Service, said)


def write_service(
    session: TenantSession,
    new: content.Service,
    *,
    known: tuple[UUID, content.Service] | None,
    today: date,
    now: datetime,
    person_id: UUID | None,
    source: str,
    number: int | None = None,
    unversioned: bool = False,
) -> UUID:
    """Publish what a service says from now on; give its id.

    `known` is the service as it is stored, when it is (one that had ended is taken up again).
    `number` is that of the version that is being published; without it a version is recorded.
    `unversioned` says that it has no version yet, which spares bulk loads a look-up.
    Raises `AlreadyInForce` when a disposition that has begun would be rewritten, `NotFound` for a
    location that the partner does not have.
    """
    if number is None:
        number = record_published(
            session,
            "service",
            new.key,
            canonical_service(new),
            unversioned=unversioned,
            now=now,
            person_id=person_id,
            source=source,
        )
    stamps = {"version": number, "updated_on": today, "modified_at": now}
    columns = {**service_columns(new), **stamps}
    if known is None:
        service_id = entry_id(slug_of(session), "service", new.key)
        columns["review_on"] = next_review(today, new.review_days, usual_days(session))
        put(
            session,
            Service(tenant_id=scope_of(session).tenant_id, id=service_id, key=new.key, **columns),
        )
        for entry in new.disposition:
            _insert_disposition(session, service_id, entry)
    else:
        service_id = known[0]
        if new.review_days != known[1].review_days:
            columns["review_on"] = func.coalesce(Service.verified_on, today) + (
                new.review_days or usual_days(session)
            )
        _change(session, Service, service_id, {**columns, **_not_ended(Service, today)})
        _write_dispositions(session, service_id, new, known[1], today)
    if new.location or (known is not None and known[1].location):
        _write_locations(session, service_id, new, today)
    refresh(session, "service", [new.key])
    keep_form_of(session, new, None if known is None else known[1])
    return service_id


def write_organization(
    session: TenantSession,
    new: content.Organization,
    *,
    known: UUID | None,
    today: date,
    now: datetime,
    person_id: UUID | None,
    source: str,
    number: int | None = None,
    unversioned: bool = False,
) -> UUID:
    """Publish what an organisation says from now on; give its id. See `write_service`."""
    if number is None:
        _record(session, "organization", new, unversioned, now, person_id, source)
    columns = {**organization_columns(new), "modified_at": now}
    return _write_keyed(session, Organization, new.key, columns, known, today)


def write_location(
    session: TenantSession,
    new: content.Location,
    *,
    known: UUID | None,
    today: date,
    now: datetime,
    person_id: UUID | None,
    source: str,
    number: int | None = None,
    unversioned: bool = False,
) -> UUID:
    """Publish what a location says from now on; give its id. See `write_service`."""
    if number is None:
        _record(session, "location", new, unversioned, now, person_id, source)
    columns = {**location_columns(new), "modified_at": now}
    return _write_keyed(session, Location, new.key, columns, known, today)


def _record(
    session: TenantSession,
    kind: str,
    new: content.Organization | content.Location,
    unversioned: bool,
    now: datetime,
    person_id: UUID | None,
    source: str,
) -> None:
    record_published(
        session,
        kind,
        new.key,
        canonical(new),
        unversioned=unversioned,
        now=now,
        person_id=person_id,
        source=source,
    )


def _write_keyed(
    session: TenantSession,
    table: Any,
    key: str,
    columns: dict[str, Any],
    known: UUID | None,
    today: date,
) -> UUID:
    kind: Literal["organization", "location"]
    kind = "organization" if table is Organization else "location"
    if known is not None:
        _change(session, table, known, {**columns, **_not_ended(table, today)})
        refresh_about(session, kind, key)
        return known
    row_id = entry_id(slug_of(session), kind, key)
    put(session, table(tenant_id=scope_of(session).tenant_id, id=row_id, key=key, **columns))
    return row_id


def _not_ended(table: Any, today: date) -> dict[str, Any]:
    """Take up again what had ended; an end that is still to come stays."""
    return {"ended_on": case((table.ended_on > today, table.ended_on), else_=None)}


def record_published(
    session: TenantSession,
    kind: str,
    key: str,
    said: dict[str, Any],
    *,
    now: datetime,
    person_id: UUID | None,
    source: str,
    unversioned: bool = False,
) -> int:
    """Record a version that is published as it is made, and retire the one before; its number."""
    tenant_id = scope_of(session).tenant_id
    number, based_on = 1, None
    if not unversioned:
        number = next_number(session, kind, key)
        based_on = retire(session, kind, key)
    put(
        session,
        new_row(
            ContentVersion,
            tenant_id=tenant_id,
            id=new_id(),
            kind=kind,
            key=key,
            number=number,
            state="published",
            content=said,
            based_on=based_on,
            source=source,
            made_by=person_id,
            made_at=now,
            published_by=person_id,
            published_at=now,
        ),
    )
    return number


def next_number(session: TenantSession, kind: str, key: str) -> int:
    """Give the number of the next version of a thing."""
    newest = session.execute(
        select(func.max(ContentVersion.number)).where(
            ContentVersion.tenant_id == scope_of(session).tenant_id,
            ContentVersion.kind == kind,
            ContentVersion.key == key,
        )
    ).scalar_one()
    return int(newest or 0) + 1


def retire(session: TenantSession, kind: str, key: str) -> int | None:
    """Mark the published version of a thing as one of its past; give its number."""
    send(session)
    return session.execute(
        update(ContentVersion)
        .where(
            ContentVersion.tenant_id == scope_of(session).tenant_id,
            ContentVersion.kind == kind,
            ContentVersion.key == key,
            ContentVersion.state == "published",
        )
        .values(state="retired")
        .returning(ContentVersion.number),
        execution_options={"synchronize_session": False},
    ).scalar_one_or_none()


def organization_columns(
    model: content.Organization, said: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Give the columns of `organizations` that hold what an organisation says."""
    return _keyed_columns(model, {}, said)


def location_columns(model: content.Location, said: dict[str, Any] | None = None) -> dict[str, Any]:
    """Give the columns of `locations` that hold what a location says."""
    point = {"latitude": model.latitude, "longitude": model.longitude}
    return _keyed_columns(model, point, said)


def said_organization(row: Any) -> content.Organization:
    """Read a row of `organizations` back into what the partner says."""
    return from_plain(content.Organization, {**row.details, "key": row.key, "name": row.name})


def said_location(row: Any) -> content.Location:
    """Read a row of `locations` back into what the partner says."""
    point = {"latitude": row.latitude, "longitude": row.longitude}
    return from_plain(content.Location, {**row.details, **point, "key": row.key, "name": row.name})


def _keyed_columns(
    model: content.Organization | content.Location,
    columns: dict[str, Any],
    said: dict[str, Any] | None,
) -> dict[str, Any]:
    apart = {"key", "name", *columns}
    said = canonical(model) if said is None else said
    details = {name: value for name, value in said.items() if name not in apart}
    return {**columns, "name": model.name, "details": details}


def _write_locations(
    session: TenantSession, service_id: UUID, new: content.Service, today: date
) -> None:
    tenant_id = scope_of(session).tenant_id
    places = {
        row.key: row.id
        for row in session.execute(
            select(Location.key, Location.id).where(Location.tenant_id == tenant_id)
        )
    }
    kept = {
        row.location_id: row.id
        for row in session.execute(
            select(ServiceLocation.location_id, ServiceLocation.id).where(
                ServiceLocation.tenant_id == tenant_id, ServiceLocation.service_id == service_id
            )
        )
    }
    for each in new.location:
        place = places.get(each.location)
        if place is None:
            raise NotFound(f"There is no location {each.location}.", field="location")
        details = {name: value for name, value in canonical(each).items() if name != "location"}
        if place in kept:
            values = {"details": details, "ended_on": None}
            _change(session, ServiceLocation, kept.pop(place), values)
            continue
        put(
            session,
            ServiceLocation(
                tenant_id=tenant_id,
                id=entry_id(slug_of(session), "service_at_location", new.key, each.location),
                service_id=service_id,
                location_id=place,
                details=details,
            ),
        )
    for row_id in kept.values():
        _change(session, ServiceLocation, row_id, {"ended_on": today})


def _insert_disposition(
    session: TenantSession, service_id: UUID, entry: content.DispositionEntry
) -> None:
    put(
        session,
        ServiceDisposition(
            tenant_id=scope_of(session).tenant_id,
            id=new_id(),
            service_id=service_id,
            disposition=entry.kind,
            valid=_days(entry),
            note=entry.note,
        ),
    )


def _write_dispositions(
    session: TenantSession,
    service_id: UUID,
    new: content.Service,
    old: content.Service,
    today: date,
) -> None:
    refuse_rewriting(new, old, today)
    rows = {
        row.valid.lower: row
        for row in _dispositions(
            session, scope_of(session).tenant_id, ServiceDisposition.service_id == service_id
        )
    }
    kept = {day: row.id for day, row in rows.items()}
    for row_id in kept.values():
        _change(session, ServiceDisposition, row_id, {"valid": _EMPTY})
    for entry in new.disposition:
        row_id = kept.get(entry.valid_from)
        if row_id is None:
            _insert_disposition(session, service_id, entry)
            continue
        values = {"valid": _days(entry), "disposition": entry.kind, "note": entry.note}
        _change(session, ServiceDisposition, row_id, values)


def refuse_rewriting(new: content.Service, old: content.Service, today: date) -> None:
    wanted = {entry.valid_from: entry for entry in new.disposition}
    for entry in old.disposition:
        follows = wanted.get(entry.valid_from)
        if entry.valid_from > today or entry == follows:
            continue
        if follows is None or follows.kind != entry.kind:
            raise AlreadyInForce(
                f"service {new.key} is {entry.kind} since {entry.valid_from}; give that entry "
                "a valid_to and add a new one",
                field="disposition",
            )
        over = entry.valid_to is not None and entry.valid_to <= today
        ends = follows.valid_to
        if ends != entry.valid_to and (over or (ends is not None and ends < today)):
            raise AlreadyInForce(
                f"service {new.key}: the disposition from {entry.valid_from} cannot be ended "
                "in the past",
                field="disposition",
            )


def _dispositions(session: TenantSession, tenant_id: UUID, *conditions: Any) -> list[Any]:
    rows = session.execute(
        select(ServiceDisposition)
        .where(
            ServiceDisposition.tenant_id == tenant_id,
            ~func.isempty(ServiceDisposition.valid),
            *conditions,
        )
        .execution_options(populate_existing=True)
    ).scalars()
    return sorted(rows, key=lambda row: row.valid.lower or date.min)


def _days(entry: content.DispositionEntry) -> Range[date]:
    return Range(entry.valid_from, entry.valid_to, bounds="[)")


def _change(session: TenantSession, table: Any, row_id: UUID, values: dict[str, Any]) -> None:
    send(session)
    session.execute(
        update(table)
        .where(table.tenant_id == scope_of(session).tenant_id, table.id == row_id)
        .values(values),
        execution_options={"synchronize_session": False},
    )
