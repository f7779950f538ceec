"""Directories of services as packages of HSDS ↔ database: in for a partner, out for everybody.

What commands and the worker call; the rules are in `catalog.hsds`.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from io import BytesIO
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import orjson
import structlog
from sqlalchemy import Engine, func, select
from sqlalchemy.exc import DataError, DBAPIError
from sqlalchemy.orm import Session

from regional311.catalog.hsds import documents, queries, uploads
from regional311.catalog.hsds.assembling import Naming, Package, assemble
from regional311.catalog.hsds.comparing import Report
from regional311.catalog.hsds.importing import Order, take_package
from regional311.catalog.hsds.queries import Asked
from regional311.catalog.hsds.reading import read_path, read_stream
from regional311.catalog.hsds.region import Region
from regional311.catalog.hsds.tabular import Tables, rows_of, write_directory, write_zip
from regional311.database.session import Scope, TenantSession, open_session, session_scope
from regional311.errors import DomainError, Forbidden
from regional311.identity.models import Membership
from regional311.identity.permissions import Permissions, permissions_of
from regional311.referral.snapshot import NOBODY, Published, invalidate, published

log = structlog.get_logger("regional311.packages")
NOT_UNDERSTOOD: Final = (
    "Something in the package could not be understood. Nothing was taken. Tell an operator, who"
    " finds the reason in the log."
)


def region_of(
    snapshot: Published,
    at: datetime,
    url: str,
    *,
    slug: str | None = None,
    inside: bool = False,
    alerts: Mapping[UUID, Mapping[str, tuple[str, bool]]] | None = None,
) -> Region:
    """Give what stands around the entries of the region's directory, or of one partner's."""
    return Region(
        tenants={row.id: row for row in snapshot.tenants.values()},
        bureaus=tuple(snapshot.bureaus.values()),
        boundaries=tuple(snapshot.boundaries.values()),
        lines=tuple(snapshot.lines.values()),
        terms=snapshot.terms,
        at=at,
        url=url,
        kinds=frozenset(
            each.term for each in snapshot.directory.services if each.term and each.source == "kept"
        ),
        only=slug,
        inside=inside,
        alerts=alerts or {},
    )


# --- in ------------------------------------------------------------------------------------------


def import_directory(
    engine: Engine,
    path: Path,
    *,
    tenant: str,
    order: Order,
    now: datetime,
    url: str,
    person: str | None = None,
) -> Report:
    """Take a package in for a partner (its slug), all of it or nothing.

    With `person` (an e-mail address) it is done with that person's rights. Raises
    `PackageUnreadable`, `PackageTooLarge`, `Broken`, `NoBureau`, `NotFound`, `Forbidden`.
    """
    snapshot = published(engine)
    row = snapshot.tenant(tenant)
    package = assemble(read_path(path), Naming(tenant, order.feed))
    with session_scope(engine, Scope(row.id)) as session:
        who = None if person is None else _editor(session, tenant, person)
    with session_scope(engine, Scope(row.id, who)) as session:
        report = take_for(session, snapshot, tenant, package, order, now=now, url=url)
    if not order.dry_run:
        invalidate()
    return report


def take_for(
    session: TenantSession,
    snapshot: Published,
    tenant: str,
    package: Package,
    order: Order,
    *,
    now: datetime,
    url: str,
) -> Report:
    """Take a package in for the bound partner, in its transaction; see `take_package`."""
    region = region_of(snapshot, now, f"{url}/hsds", inside=True)
    today = snapshot.today(tenant, now)
    return take_package(session, package, region, order, today=today, now=now)


def work_packages(session: TenantSession, now: datetime, *, url: str) -> int:
    """Check the oldest uploaded package of the bound partner, or take it in: a chore of the worker.

    A package that cannot be read or taken is refused with the reason and has changed nothing. Says
    how many packages were looked at.
    """
    due = uploads.next_due(session)
    if due is None:
        return 0
    snapshot = Published.load(session)
    tenant = snapshot.slugs[due.tenant_id]
    order = Order(
        feed=due.feed,
        bureau=due.bureau_key,
        skip_broken=due.skip_broken,
        dry_run=due.state == "waiting",
        choices=due.choices,
        person_id=due.ordered_by,
    )
    try:
        with session.begin_nested():
            files = read_stream(BytesIO(due.content), due.name)
            package = assemble(files, Naming(tenant, due.feed))
            report = take_for(session, snapshot, tenant, package, order, now=now, url=url)
    except DomainError as error:
        uploads.refused(session, due.id, error.message, now)
        return 1
    except Exception as error:
        if isinstance(error, DBAPIError) and not isinstance(error, DataError):
            raise
        # somebody's file has found a mistake of ours: it must not stop the worker for everybody
        # what the error says may quote the file: only its kind and its place are logged
        log.warning("package_not_understood", package=str(due.id), **_place_of(error))
        uploads.refused(session, due.id, NOT_UNDERSTOOD, now)
        return 1
    if order.dry_run:
        uploads.checked(session, due.id, report.as_dict())
    else:
        uploads.taken(session, due.id, report.as_dict(), now)
    return 1


def _place_of(error: Exception) -> dict[str, Any]:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return {"error": type(error).__name__, "file": Path(frame.filename).name, "line": frame.lineno}


def _editor(session: TenantSession, tenant: str, person: str) -> Any:
    member = session.execute(
        select(Membership).where(
            Membership.tenant_id == session.scope.tenant_id,
            func.lower(Membership.email) == person.lower(),
            Membership.ended_at.is_(None),
        )
    ).scalar_one_or_none()
    if member is None:
        raise Forbidden(f"{person} does not work for {tenant}.")
    if Permissions.SERVICE_PUBLISH not in permissions_of(member.roles):
        raise Forbidden(f"{person} may not publish services: {Permissions.SERVICE_PUBLISH}.")
    return member.person_id


# --- out -----------------------------------------------------------------------------------------


def export_directory(
    engine: Engine, target: Path, *, tenant: str | None, now: datetime, url: str
) -> str:
    """Write the directory of the region or of one partner, as the ending of `target` says.

    `.zip` and a directory hold CSV tables, `.json` lists by kind, `.ndjson` full services. Gives
    one sentence about it. Raises `NotFound` for a partner that is not there.
    """
    snapshot = published(engine)
    slug = None if tenant is None else snapshot.tenant(tenant).slug
    scope = "" if slug is None else f"/{slug}"
    region = region_of(snapshot, now, f"{url}/hsds{scope}", slug=slug, inside=slug is not None)
    today = snapshot.today(slug or "region", now)
    with open_session(engine, NOBODY) as session:
        if target.suffix == ".ndjson":
            return _write_lines(target, session, region, today)
        if target.suffix == ".json":
            return _write_json(target, session, region, today)
        tables = tables_of(session, region, today)
    if target.suffix == ".zip":
        with target.open("wb") as stream:
            write_zip(stream, tables)
        return f"The package is in {target}."
    return f"The package is in {target}: {', '.join(write_directory(target, tables))}."


def _write_lines(target: Path, session: Session, region: Region, today: date) -> str:
    count = 0
    with target.open("wb") as stream:
        for row in queries.stream_services(session, region, Asked(), today, full=True):
            said = documents.full_service(row, region)
            stream.write(orjson.dumps(said, option=orjson.OPT_APPEND_NEWLINE))
            count += 1
    return f"{count} services are in {target}."


def _write_json(target: Path, session: Session, region: Region, today: date) -> str:
    said: dict[str, list[Any]] = {}
    for kind, document, refs in entries(session, region, today):
        named = {f"{other}_id": ref for other, ref in refs.items()}
        said.setdefault(f"{kind}s", []).append(document | named)
    target.write_bytes(orjson.dumps(said, option=orjson.OPT_INDENT_2))
    return f"{len(said.get('services', ()))} services are in {target}."


def tables_of(session: Session, region: Region, today: date) -> Tables:
    """Give a directory as the tables of a package."""
    tables = Tables()
    for kind, document, refs in entries(session, region, today):
        tables.add(rows_of(kind, document, refs))
    return tables


def entries(
    session: Session, region: Region, today: date
) -> Iterator[tuple[str, dict[str, Any], dict[str, str]]]:
    """Give every entry: its kind, its document, the ids of the entries that it names."""
    for body in region.bodies:
        yield "organization", body.document, {}
    there = {str(body.id) for body in region.bodies}
    for row in queries.stream_organizations(session, region, Asked(), today, full=True):
        there.add(str(row["id"]))
        yield "organization", documents.own_organization(row, region.around(row["tenant_id"])), {}
    for row in queries.stream_locations(session, region, today):
        owner = row["organization_id"]
        if owner is None and row["hsds"] is None:
            owner = region.body(row["tenant_id"], None).id
        refs = {} if owner is None else {"organization": str(owner)}
        yield "location", documents.own_location(row, region.around(row["tenant_id"])), refs
    for row in queries.stream_services(session, region, Asked(), today, full=True):
        provider = documents.provider_id(row, region)
        document = documents.full_service(row, region, nested=False)
        sites = document.pop("service_at_locations", [])
        yield "service", document, {"organization": provider} if provider in there else {}
        for site in sites:
            place = site.pop("location")["id"]
            refs = {"service": document["id"], "location": place}
            yield "service_at_location", site, refs
