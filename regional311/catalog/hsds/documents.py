"""Rows of the catalogue as HSDS documents: own parts, and nested as the specification nests them.

What was imported and not changed here comes out as it came in; what was changed is laid over it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from regional311.catalog.hsds import mapping
from regional311.catalog.hsds.identifiers import Children
from regional311.catalog.hsds.mapping import Around, Document, Said
from regional311.catalog.hsds.region import Region
from regional311.catalog.hsds.shapes import plain
from regional311.strict import digest

_COLUMNS: Final = {
    "key": "key",
    "name": "name",
    "summary": "summary",
    "verb": "verb",
    "bureau": "bureau_key",
    "term": "term",
    "keywords": "keywords",
    "channels": "channels",
    "boundary": "boundary_key",
    "target_hours": "target_hours",
}
_LONG_AGO: Final = "2000-01-01T00:00:00Z"
"""The last change of what nobody has recorded a change of."""


# --- what rows say -------------------------------------------------------------------------------


def said_by_service(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Give what a service says, from its row, in the canonical form of its model."""
    said = {name: row[column] for name, column in _COLUMNS.items() if row[column] not in (None, [])}
    said |= {name: value for name, value in row["details"].items() if name != "organization"}
    if organization := row["details"].get("organization"):
        said["organization"] = organization
    if entries := row.get("dispositions"):
        said["disposition"] = [
            {name: value for name, value in each.items() if value is not None} for each in entries
        ]
    return said


def said_by_row(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Give what an organisation or a location says, from its row, likewise."""
    point = {n: row[n] for n in ("latitude", "longitude") if row.get(n) is not None}
    return {"key": row["key"], "name": row["name"], **point, **row["details"]}


def agreed(said: Said, mapped: Iterable[str]) -> str:
    """Give the digest of what both sides of an import agree on: what HSDS can say of it."""
    names = set(mapped)
    return digest({name: value for name, value in said.items() if name in names})


def service_fields(original: Said) -> frozenset[str]:
    """Give the fields of a service that its package decides: HSDS's, and facts that it carries."""
    return mapping.SERVICE_MAPPED | (mapping.read_facts(original).keys() & mapping.TAKEN_FACTS)


def _as_imported(
    row_id: UUID | str,
    hsds: Mapping[str, Any],
    now: Said,
    mapped: Iterable[str],
    write: Callable[[Said], Document],
    read: Callable[[Said], Said],
) -> Document:
    """Give an imported document with what was changed here since laid over it."""
    names = frozenset(mapped)
    original = {"id": str(row_id), **hsds["said"]}
    if agreed(now, names) == hsds["means"]:
        return original

    def told(said: Said) -> Document:
        return write({name: value for name, value in said.items() if name in names})

    return mapping.overlay(original, told(now), lambda document: told(read(document)))


# --- the four entities without each other --------------------------------------------------------


def own_service(row: Mapping[str, Any], around: Around) -> Document:
    """Give a service without its organisation and sites."""
    said, hsds = said_by_service(row), row["hsds"]
    if hsds is None:
        document = mapping.service_document(said, row["id"], around)
    else:
        document = _as_imported(
            row["id"],
            hsds,
            said,
            service_fields(hsds["said"]),
            lambda now: mapping.service_document(now, row["id"], around),
            lambda original: mapping.said_service(original, around),
        )
    if row["verified_on"] is not None:
        document["assured_date"] = max(str(row["verified_on"]), document.get("assured_date", ""))
    document["last_modified"] = _last_modified(row["modified"], document.get("last_modified"))
    if row["key"] in around.alerts:
        _alert(document, *around.alerts[row["key"]])
    return document


def _alert(document: Document, sentence: str, closed: bool) -> None:
    """Lay what holds for the time being over a document; its own alert stays behind it."""
    document["alert"] = " ".join(filter(None, (sentence, document.get("alert"))))
    if closed and document["status"] == "active":
        document["status"] = "temporarily closed"


def own_site(row: Mapping[str, Any], around: Around) -> Document:
    """Give a service at a location without either."""
    hsds = row["hsds"]
    if hsds is None:
        return mapping.site_document(row["details"], row["id"], around)
    return _as_imported(
        row["id"],
        hsds,
        row["details"],
        mapping.SITE_MAPPED,
        lambda now: mapping.site_document(now, row["id"], around),
        lambda original: mapping.said_site(original, around),
    )


def own_location(row: Mapping[str, Any], around: Around) -> Document:
    """Give a location."""
    said, hsds = said_by_row(row), row["hsds"]
    if hsds is None:
        return mapping.location_document(said, row["id"], around)
    return _as_imported(
        row["id"],
        hsds,
        said,
        mapping.LOCATION_MAPPED,
        lambda now: mapping.location_document(now, row["id"], around),
        mapping.said_place,
    )


def own_organization(row: Mapping[str, Any], around: Around) -> Document:
    """Give an organisation without its locations and services."""
    said, hsds, parent = said_by_row(row), row["hsds"], row.get("parent_id")
    if hsds is None:
        return mapping.organization_document(said, row["id"], around, parent_id=parent)
    return _as_imported(
        row["id"],
        hsds,
        said,
        mapping.ORGANIZATION_MAPPED,
        lambda now: mapping.organization_document(now, row["id"], around),
        mapping.said_body,
    )


def _last_modified(at: datetime | None, original: str | None) -> str:
    """Give the moment in milliseconds; as its package wrote it while it is that one."""
    if at is None:
        return original or _LONG_AGO
    if original is not None and datetime.fromisoformat(original) == at:
        return original
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# --- nested --------------------------------------------------------------------------------------


def service_entry(row: Mapping[str, Any], region: Region) -> Document:
    """Give a service as lists show it: plain fields, its organisation and programme."""
    around = region.around(row["tenant_id"])
    document = own_service(row, around)
    shown = plain("service", document)
    shown["organization"] = plain("organization", _provider(row, region))
    if "program" in document:
        shown["program"] = plain("program", document["program"])
    return shown


def full_service(row: Mapping[str, Any], region: Region, *, nested: bool = True) -> Document:
    """Give a service with everything in it; without its organisation unless it is `nested`."""
    around = region.around(row["tenant_id"])
    document = own_service(row, around)
    sites = _in_order(row)
    if sites:
        document["service_at_locations"] = [
            own_site(site, around) | {"location": own_location(site["location"], around)}
            for site in sites
        ]
    rooms = mapping.capacities(
        row["id"], [(site["location"]["name"], site["details"]) for site in sites]
    )
    if rooms and row["hsds"] is None:
        document["capacities"] = rooms
    _also_listed(document, "service", row)
    if nested:
        document["organization"] = full_provider(row, region)
    return document


def minimal_service(row: Mapping[str, Any]) -> Document:
    """Give the id of a service and when it last changed."""
    return {"id": str(row["id"]), "last_modified": _last_modified(row["modified"], None)}


def site_entry(row: Mapping[str, Any], region: Region) -> Document:
    """Give a service at a location as lists show it; `row` is the service's, with one site."""
    around = region.around(row["tenant_id"])
    site = row["sites"][0]
    return {
        **plain("service_at_location", own_site(site, around)),
        "location": plain("location", own_location(site["location"], around)),
        "service": service_entry(row, region),
    }


def full_site(row: Mapping[str, Any], region: Region) -> Document:
    """Give a service at a location with everything in it."""
    around = region.around(row["tenant_id"])
    site = row["sites"][0]
    service = full_service({**row, "sites": []}, region)
    return {
        **own_site(site, around),
        "location": own_location(site["location"], around),
        "service": service,
    }


def organization_entry(row: Mapping[str, Any], region: Region) -> Document:
    """Give an organisation as lists show it."""
    return plain("organization", own_organization(row, region.around(row["tenant_id"])))


def full_organization(row: Mapping[str, Any], region: Region) -> Document:
    """Give an organisation with its locations, without its services."""
    around = region.around(row["tenant_id"])
    document = own_organization(row, around)
    _also_listed(document, "organization", row)
    return _with_locations(document, row, around)


def full_provider(row: Mapping[str, Any], region: Region) -> Document:
    """Give the organisation that provides a service, with its locations."""
    provider = row["provider"]
    if provider is None:
        return region.body(row["tenant_id"], row["bureau_key"]).document
    return full_organization({**provider, "tenant_id": row["tenant_id"]}, region)


def provider_id(row: Mapping[str, Any], region: Region) -> str:
    """Give the id of the organisation that provides a service."""
    return str(_provider(row, region)["id"])


def with_services(
    document: Document, rows: Iterable[Mapping[str, Any]], region: Region, *, full: bool
) -> Document:
    """Add an organisation's services: in full, or what lists show of them."""
    services = []
    for row in rows:
        if full:
            services.append(full_service(row, region, nested=False))
        else:
            shown = service_entry(row, region)
            del shown["organization"]
            services.append(shown)
    return {**document, "services": services} if services else document


def _provider(row: Mapping[str, Any], region: Region) -> Document:
    provider = row["provider"]
    if provider is None:
        return region.body(row["tenant_id"], row["bureau_key"]).document
    return own_organization(provider, region.around(row["tenant_id"]))


def _with_locations(document: Document, row: Mapping[str, Any], around: Around) -> Document:
    office = row["details"].get("location")
    places = sorted(
        row.get("locations") or (), key=lambda each: (each["key"] != office, each["id"])
    )
    if places:
        document["locations"] = [own_location(each, around) for each in places]
    return document


def _in_order(row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Give a service's sites in the order in which it names them."""
    order = {
        each["location"]: place for place, each in enumerate(row["details"].get("location", ()))
    }
    last = len(order)
    return sorted(
        row.get("sites") or (),
        key=lambda each: (order.get(each["location"]["key"], last), each["id"]),
    )


def _also_listed(document: Document, kind: str, row: Mapping[str, Any]) -> None:
    """Say which entries of others people have found to be the same."""
    others = row.get("same") or ()
    if others:
        children = Children(document["id"])
        document["attributes"] = [
            *document.get("attributes", ()),
            *(mapping.fact(kind, mapping.ALSO_LISTED, each, children) for each in sorted(others)),
        ]
