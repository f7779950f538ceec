"""Locations and organisations: where services are given, and who gives them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyramid.view import view_config

from regional311.catalog import versions
from regional311.catalog.kinds import KINDS, named_things
from regional311.catalog.queries import keyed_rows
from regional311.catalog.service import said_location, said_organization
from regional311.identity.permissions import Permissions as P
from regional311.web.catalogue_wording import STATES, Wording
from regional311.web.i18n import _
from regional311.web.listing import PAGE_SIZE, Column, Filter, Listing
from regional311.web.representations import csv_response, wanted
from regional311.web.security import may
from regional311.web.telling import Telling, telling
from regional311.web.tree import LocationRecord, Locations, OrganizationRecord, Organizations
from regional311.web.views.alike import same_elsewhere
from regional311.web.views.catalogue_versions import COLLECTIONS, state_of, url_of, version_url
from regional311.web.views.reviews import looked_at
from regional311.web.wording import kind as tag_of
from regional311.web.wording import said

TITLES = {"location": _("Locations"), "organization": _("Organisations")}
LEADS = {
    "location": _("Places where services are given; each may serve several."),
    "organization": _("Bodies outside the partner that provide services."),
}
_HEAD = ("key", "name", "description")
READ = {"location": said_location, "organization": said_organization}


@view_config(
    context=Locations,
    permission=P.SERVICE_READ,
    request_method="GET",
    renderer="catalogue/places.jinja2",
)
@view_config(
    context=Organizations,
    permission=P.SERVICE_READ,
    request_method="GET",
    renderer="catalogue/places.jinja2",
)
def places(context: Any, request: Any) -> Any:
    """The partner's locations or organisations, with the services of each."""
    kind: str = context.kind
    tell = telling(request)
    may_edit = may(request, P.SERVICE_EDIT)
    listing = Listing(
        request,
        columns=[
            Column("name", _("Name"), sort=True),
            Column("where", _("Address") if kind == "location" else _("Web address")),
            Column("services", _("Services"), number=True),
            Column("state", _("State")),
        ],
        filters=[
            Filter("q", _("Name or address"), type="search"),
            Filter("state", _("State"), choices=[("ended", _("Ended")), ("unused", _("Unused"))]),
        ],
        sort="name",
        csv=True,
    )
    drafts: dict[str, list[Any]] = {}
    for row in versions.open_versions(request.dbsession, kind) if may_edit else ():
        drafts.setdefault(row.key, []).append(row)
    used = _used(tell, kind)
    asked = listing.values
    words = (asked["q"] or "").casefold()
    rows = []
    for row in keyed_rows(request.dbsession, KINDS[kind].table):
        ended = row.ended_on is not None and row.ended_on <= tell.today
        where = _where(kind, row.details)
        waiting = drafts.pop(row.key, [])
        if (
            ended == (asked["state"] == "ended")
            and (asked["state"] != "unused" or not used.get(row.key))
            and words in f"{row.key} {row.name} {where}".casefold()
        ):
            rows.append(_row(request, kind, row.key, row.name, where, used, waiting, row.ended_on))
    for key, waiting in drafts.items() if asked["state"] is None else ():
        if words in f"{key} {waiting[-1].called}".casefold():
            rows.append(_row(request, kind, key, waiting[-1].called, "", used, waiting, None))
    rows.sort(
        key=lambda row: (row["name"].casefold(), row["key"]),
        reverse=(listing.sort or "").startswith("-"),
    )
    if wanted(request) == "csv":
        columns = ("key", "name", "where", "services")
        return csv_response(
            request,
            f"{COLLECTIONS[kind]}.csv",
            columns,
            [[row[name] for name in columns] for row in rows],
        )
    after = listing.after or ""
    start = int(after) if after.isdecimal() and after.isascii() else 0
    following = str(start + PAGE_SIZE) if start + PAGE_SIZE < len(rows) else None
    listing.fill(rows[start : start + PAGE_SIZE], after=following, total=len(rows))
    return {
        "listing": listing,
        "title": TITLES[kind],
        "lead": LEADS[kind],
        "new_url": f"/{tell.slug}/{COLLECTIONS[kind]}/new" if may_edit else None,
        "new_words": _("New location") if kind == "location" else _("New organisation"),
        "where_words": _("Address") if kind == "location" else _("Web address"),
    }


def _row(
    request: Any,
    kind: str,
    key: str,
    name: str,
    where: str,
    used: Mapping[str, list[Any]],
    waiting: list[Any],
    ended_on: Any,
) -> dict[str, Any]:
    tell = telling(request)
    return {
        "key": key,
        "name": name,
        "where": where,
        "services": len(used.get(key, ())),
        "url": url_of(request, kind, key),
        "ended": tell.day(ended_on),
        "versions": [
            (
                version_url(request, kind, key, each.number),
                said(STATES, state_of(each)),
                tag_of(STATES, state_of(each)),
                tell.day(each.effective_on),
            )
            for each in waiting
        ],
    }


def _where(kind: str, details: Mapping[str, Any]) -> str:
    if kind == "organization":
        return str(details.get("website", ""))
    parts = [details.get(name) for name in ("address", "city", "postal_code", "website")]
    return ", ".join(filter(None, parts))


def _used(tell: Telling, kind: str) -> dict[str, list[Any]]:
    """The partner's services of today by location or organisation."""
    used: dict[str, list[Any]] = {}
    for service in tell.published.directory.of(tell.slug, tell.today):
        if kind == "organization":
            keys = [service.details.get("organization")]
        else:
            keys = [each["location"] for each in service.details.get("location", ())]
        for key in filter(None, keys):
            used.setdefault(key, []).append(service)
    return used


@view_config(
    context=LocationRecord,
    permission=P.SERVICE_READ,
    request_method="GET",
    renderer="catalogue/place.jinja2",
)
@view_config(
    context=OrganizationRecord,
    permission=P.SERVICE_READ,
    request_method="GET",
    renderer="catalogue/place.jinja2",
)
def place(context: Any, request: Any) -> dict[str, Any]:
    """One location or organisation: what is said of it, and its services."""
    kind: str = context.kind
    tell = telling(request)
    row = context.record
    content = KINDS[kind].said(READ[kind](row))
    may_edit = may(request, P.SERVICE_EDIT)
    words = Wording(request, named_things(request.dbsession))
    waiting = []
    if may_edit:
        waiting = [
            each for each in versions.open_versions(request.dbsession, kind) if each.key == row.key
        ]
    url = url_of(request, kind, row.key)
    facts = words.facts(
        KINDS[kind].model, {name: each for name, each in content.items() if name not in _HEAD}
    )
    looked = looked_at(request, "organization", row) if kind == "organization" else {"looked": None}
    return {
        **looked,
        "name": row.name,
        "lead": content.get("description"),
        "facts": [*facts, (_("Key"), [row.key])],
        "services": [
            (f"/{tell.slug}/services/{each.key}", each.name)
            for each in _used(tell, kind).get(row.key, ())
        ],
        "waiting": [
            (
                version_url(request, kind, row.key, each.number),
                each.number,
                said(STATES, state_of(each)),
                tell.day(each.effective_on),
            )
            for each in waiting
        ],
        "elsewhere": same_elsewhere(request, kind, row.key),
        "ended": tell.day(row.ended_on),
        "url": url,
        "may_edit": may_edit,
        "crumbs": [(f"/{tell.slug}/{COLLECTIONS[kind]}", TITLES[kind]), (None, row.name)],
    }
