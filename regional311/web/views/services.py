"""The catalogue as staff read it: what a partner does, who keeps it, what 311 does with it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pyramid.view import view_config

from regional311.catalog.freshness import standing
from regional311.identity.permissions import Permissions as P
from regional311.keeping.keepers import keepers
from regional311.web.freshness import freshness
from regional311.web.i18n import _
from regional311.web.listing import PAGE_SIZE, Column, Filter, Listing
from regional311.web.representations import csv_response, wanted
from regional311.web.security import may
from regional311.web.telling import telling
from regional311.web.tree import ServiceRecord, Services
from regional311.web.wording import (
    CHANNELS,
    SERVICE_DISPOSITIONS,
    VERBS,
    choices,
    kind,
    said,
)


@view_config(
    context=Services,
    permission=P.SERVICE_READ,
    request_method="GET",
    renderer="services/list.jinja2",
)
def services(context: Services, request: Any) -> Any:
    """The partner's services with today's disposition."""
    tell = telling(request)
    bureaus = sorted(
        (row.key, row.name)
        for ref, row in tell.published.bureaus.items()
        if ref.startswith(f"{tell.slug}/")
    )
    listing = Listing(
        request,
        columns=[
            Column("name", _("Service"), sort=True),
            Column("verb", _("Kind"), sort=True),
            Column("bureau", _("Kept by"), sort=True),
            Column("disposition", _("Today")),
            Column("promise", _("Promise")),
        ],
        filters=[
            Filter("verb", _("Kind"), choices=choices(VERBS)),
            Filter("bureau", _("Kept by"), choices=bureaus),
            Filter("disposition", _("Today"), choices=choices(SERVICE_DISPOSITIONS)),
        ],
        sort="name",
        csv=True,
    )
    asked = listing.values
    rows = [
        {
            "key": each.key,
            "name": each.name,
            "verb": said(VERBS, each.verb),
            "bureau": tell.bureau(tell.slug, each.bureau),
            "code": each.disposition(tell.today),
            "disposition": said(SERVICE_DISPOSITIONS, each.disposition(tell.today)),
            "kind": kind(SERVICE_DISPOSITIONS, each.disposition(tell.today)),
            "promise": tell.promise(each),
        }
        for each in tell.published.directory.of(tell.slug, tell.today)
        if asked["verb"] in (None, each.verb)
        and asked["bureau"] in (None, each.bureau)
        and asked["disposition"] in (None, each.disposition(tell.today))
    ]
    order = (listing.sort or "name").removeprefix("-")
    rows.sort(
        key=lambda row: (request.localizer.translate(row[order]).casefold(), row["key"]),
        reverse=(listing.sort or "").startswith("-"),
    )
    if wanted(request) == "csv":
        return csv_response(
            request,
            "services.csv",
            ["key", "name", "verb", "bureau", "disposition"],
            [[row["key"], row["name"], row["verb"], row["bureau"], row["code"]] for row in rows],
        )
    after = listing.after or ""
    start = int(after) if after.isdecimal() and after.isascii() else 0
    page = rows[start : start + PAGE_SIZE]
    following = str(start + PAGE_SIZE) if start + PAGE_SIZE < len(rows) else None
    listing.fill(page, after=following, total=len(rows))
    return {"listing": listing, "partner": request.tenant.name}


@view_config(
    context=ServiceRecord,
    permission=P.SERVICE_READ,
    request_method="GET",
    renderer="services/service.jinja2",
)
def service(context: ServiceRecord, request: Any) -> dict[str, Any]:
    """One service: facts, what to tell the person, dispositions by date."""
    tell = telling(request)
    found = tell.service(tell.slug, context.record.key)
    if found is None:
        raise RuntimeError("a stored service is not in the snapshot yet")
    # who has just said that it is right sees it at once
    record = context.record
    found = replace(found, verified_on=record.verified_on, review_on=record.review_on)
    details = found.details
    others = [
        f"{each.name} ({tell.partner(each.tenant)})"
        for each in tell.published.directory.family(found, tell.today)
        if each.tenant != found.tenant
    ]
    areas = ", ".join(tell.published.names.get(key, key) for key in found.boundaries)
    kept = keepers(request.dbsession)
    named = ", ".join(each.name for each in kept.named(found.key, found.bureau))
    return {
        "service": found,
        "fresh": freshness(request, found),
        "may_verify": may(request, P.SERVICE_WORK) and found.offered(tell.today),
        "due": standing(found.review_on, tell.today) in ("overdue", "soon"),
        "keepers_url": f"/{tell.slug}/reviews/keepers?service={found.key}"
        if may(request, P.SERVICE_PUBLISH)
        else None,
        "url": f"/{tell.slug}/services/{found.key}",
        "suggest_url": f"/{tell.slug}/suggestions/new?about={found.ref}",
        "verb": said(VERBS, found.verb),
        "information": details.get("information"),
        "others": others,
        "crumbs": [(f"/{tell.slug}/services", _("Services")), (None, found.name)],
        "facts": [
            (_("Kept by"), tell.bureau(found.tenant, found.bureau) or tell.partner(found.tenant)),
            (_("Where"), areas or _("Everywhere in the partner’s area")),
            (
                _("Channels"),
                ", ".join(
                    request.localizer.translate(said(CHANNELS, each)) for each in found.channels
                )
                or _("All"),
            ),
            (_("Promise"), tell.promise(found)),
            (_("Queue"), tell.published.queues(found.tenant).get(found.queue)),
            (_("Confidential"), _("Yes") if found.confidential else None),
            (_("Key"), found.key),
            (_("Kept right by"), named or _("Everybody who works on entries")),
            (_("Last checked"), tell.day(found.verified_on) or _("Never")),
            (_("Check by"), tell.day(found.review_on)),
        ],
        "dispositions": [
            {
                "since": tell.day(each.valid_from) or _("always"),
                "until": tell.day(each.valid_to) or _("further notice"),
                "words": said(SERVICE_DISPOSITIONS, each.kind),
                "kind": kind(SERVICE_DISPOSITIONS, each.kind),
                "now": each.holds(tell.today),
            }
            for each in found.dispositions
        ],
    }
