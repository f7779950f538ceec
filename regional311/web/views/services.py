"""The catalogue as staff read it: what a partner does, who keeps it, what 311 does with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from pyramid.view import view_config

from regional311.catalog import versions
from regional311.catalog.directory import Service
from regional311.catalog.freshness import standing
from regional311.catalog.kinds import named_things
from regional311.catalog.queries import sources
from regional311.identity.permissions import Permissions as P
from regional311.keeping.keepers import keepers
from regional311.referral.snapshot import invalidate
from regional311.web.catalogue_wording import STATES, STATUSES
from regional311.web.entry_alerts import entry_alerts
from regional311.web.freshness import freshness
from regional311.web.i18n import _
from regional311.web.listing import PAGE_SIZE, Column, Filter, Listing
from regional311.web.representations import csv_response, wanted
from regional311.web.security import may
from regional311.web.telling import Telling, telling
from regional311.web.tree import ServiceRecord, Services
from regional311.web.views.alike import same_elsewhere
from regional311.web.views.catalogue_editing import other_languages
from regional311.web.views.catalogue_versions import state_of, version_url
from regional311.web.wording import (
    CHANNELS,
    LANGUAGES,
    SERVICE_DISPOSITIONS,
    VERBS,
    choices,
    kind,
    said,
)

PROGRESS = {
    "draft": _("With a draft"),
    "scheduled": _("With a day of publication"),
    "ended": _("Ended"),
}


@view_config(
    context=Services,
    permission=P.SERVICE_READ,
    request_method="GET",
    renderer="services/list.jinja2",
)
def services(context: Services, request: Any) -> Any:
    """The partner's services with today's disposition, and what is drafted of them."""
    tell = telling(request)
    may_edit = may(request, P.SERVICE_EDIT)
    named = named_things(request.dbsession)
    listing = Listing(
        request,
        columns=[
            Column("name", _("Service"), sort=True),
            Column("verb", _("Kind"), sort=True),
            Column("bureau", _("Kept by"), sort=True),
            Column("disposition", _("Today"), sort=True),
            Column("status", _("State"), sort=True),
            Column("promise", _("Promise")),
        ],
        filters=[
            *_filters(request, named),
            *([Filter("state", _("State"), choices=list(PROGRESS.items()))] if may_edit else []),
        ],
        sort="name",
        csv=True,
    )
    drafts = versions.open_versions(request.dbsession, "service") if may_edit else []
    rows = _rows(tell, request, listing.values, drafts)
    order = (listing.sort or "name").removeprefix("-")
    rows.sort(
        key=lambda row: (str(request.localizer.translate(row[order])).casefold(), row["key"]),
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
    return {
        "listing": listing,
        "partner": request.tenant.name,
        "may_edit": may_edit,
        "url": f"/{tell.slug}/services",
        "waiting": len(drafts),
        "asked": {name: value for name, value in listing.values.items() if value},
    }


def _filters(request: Any, named: Mapping[str, Mapping[str, str]]) -> list[Filter]:
    return [
        Filter("q", _("Name or words"), type="search"),
        Filter("verb", _("Kind"), choices=choices(VERBS)),
        Filter("bureau", _("Kept by"), choices=_by_name(named.get("bureaus", {}))),
        Filter("disposition", _("Today"), choices=choices(SERVICE_DISPOSITIONS)),
        Filter("status", _("Can it be had"), choices=choices(STATUSES)),
        Filter(
            "missing",
            _("Language missing"),
            choices=choices(LANGUAGES, other_languages(request)),
        ),
        Filter("organization", _("Provided by"), choices=_by_name(named.get("organizations", {}))),
        Filter(
            "source",
            _("Comes from"),
            choices=[("kept", _("Kept here")), ("imported", _("An import"))],
        ),
    ]


def keys_asked_for(request: Any) -> set[str] | None:
    """The keys of the services that the filters of the list leave; None when they leave all."""
    filters = _filters(request, named_things(request.dbsession))
    listing = Listing(request, columns=[], filters=filters)
    if not listing.filtered:
        return None
    tell = telling(request)
    came = sources(request.dbsession)
    return {
        each.key
        for each in tell.published.directory.of(tell.slug, tell.today)
        if _fits(each, listing.values, tell, came)
    }


def _by_name(things: Mapping[str, str]) -> list[tuple[str, str]]:
    return sorted(things.items(), key=lambda one: one[1].casefold())


def _rows(
    tell: Telling, request: Any, asked: dict[str, str | None], drafts: Iterable[Any]
) -> list[dict[str, Any]]:
    drafted: dict[str, list[Any]] = {}
    for row in drafts:
        drafted.setdefault(row.key, []).append(row)
    came = sources(request.dbsession)
    state = asked.get("state")
    found = []
    for each in tell.published.directory.of(tell.slug):
        waiting = drafted.pop(each.key, [])
        if _fits(each, asked, tell, came) and _stands(each, waiting, state, tell):
            found.append(_row(each, tell, waiting))
    plain = {name for name, value in asked.items() if value} <= {"q", "state"}
    if plain and state in (None, "draft", "scheduled"):
        words = (asked["q"] or "").casefold()
        for key, waiting in drafted.items():
            # only drafted so far: nothing else is known of it
            kept = [each for each in waiting if state in (None, _progress(each))]
            if kept and words in f"{key} {kept[-1].called}".casefold():
                found.append(_drafted_row(kept[-1], request))
    return found


def _progress(version: Any) -> str:
    return "scheduled" if state_of(version) == "scheduled" else "draft"


def _stands(service: Service, waiting: list[Any], state: str | None, tell: Telling) -> bool:
    """Whether a service is in the state that was asked for; ended ones only when they were."""
    if state == "ended":
        return not service.offered(tell.today)
    if not service.offered(tell.today):
        return False
    return state is None or state in map(_progress, waiting)


def _fits(
    service: Service, asked: dict[str, str | None], tell: Telling, came: dict[str, str]
) -> bool:
    details = service.details
    words = (asked["q"] or "").casefold()
    there = {each["language"] for each in details.get("translation", ())}
    return (
        (not words or words in _searched(service))
        and asked["verb"] in (None, service.verb)
        and asked["bureau"] in (None, service.bureau)
        and asked["disposition"] in (None, service.disposition(tell.today))
        and asked["status"] in (None, details.get("status", "active"))
        and (asked["missing"] is None or asked["missing"] not in there)
        and asked["organization"] in (None, details.get("organization"))
        and asked["source"] in (None, came.get(service.key, "kept"))
    )


def _searched(service: Service) -> str:
    return " ".join((service.key, service.name, *service.keywords)).casefold()


def _row(service: Service, tell: Telling, waiting: list[Any]) -> dict[str, Any]:
    today = service.disposition(tell.today)
    status = service.details.get("status", "active")
    return {
        "key": service.key,
        "name": service.name,
        "verb": said(VERBS, service.verb),
        "bureau": tell.bureau(tell.slug, service.bureau),
        "code": today,
        "disposition": said(SERVICE_DISPOSITIONS, today),
        "kind": kind(SERVICE_DISPOSITIONS, today),
        "promise": tell.promise(service),
        "status": "" if status == "active" else said(STATUSES, status),
        "ended": None if service.offered(tell.today) else tell.day(service.ended_on),
        "versions": [
            (
                version_url(tell.request, "service", service.key, each.number),
                said(STATES, state_of(each)),
                kind(STATES, state_of(each)),
                tell.day(each.effective_on),
            )
            for each in waiting
        ],
        "url": None,
    }


def _drafted_row(version: Any, request: Any) -> dict[str, Any]:
    url = version_url(request, "service", version.key, version.number)
    state = state_of(version)
    return {
        **dict.fromkeys(("verb", "bureau", "code", "disposition", "status"), ""),
        **dict.fromkeys(("kind", "promise", "ended")),
        "key": version.key,
        "name": version.called,
        "versions": [
            (
                url,
                said(STATES, state),
                kind(STATES, state),
                telling(request).day(version.effective_on),
            )
        ],
        "url": url,
    }


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
        # published within the last second: the snapshot is read anew
        invalidate()
        tell = request.made_telling = Telling(request)
        found = tell.service(tell.slug, context.record.key)
    if found is None:
        raise RuntimeError("a stored service is not in the snapshot")
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
    named = ", ".join(each.name for each in kept.named(("service", found.key), found.bureau))
    status = details.get("status", "active")
    url = f"/{tell.slug}/services/{found.key}"
    may_edit = may(request, P.SERVICE_EDIT)
    waiting = []
    if may_edit:
        waiting = [
            row
            for row in versions.open_versions(request.dbsession, "service")
            if row.key == found.key
        ]
    return {
        "service": found,
        "fresh": freshness(request, found),
        "may_verify": may(request, P.SERVICE_WORK) and found.offered(tell.today),
        "due": standing(found.review_on, tell.today) in ("overdue", "soon"),
        "keepers_url": f"/{tell.slug}/reviews/keepers?service={found.key}"
        if may(request, P.SERVICE_PUBLISH)
        else None,
        "suggest_url": f"/{tell.slug}/suggestions/new?about={found.ref}",
        "verb": said(VERBS, found.verb),
        "information": details.get("information"),
        "alert": details.get("alert"),
        "alerts": entry_alerts(request, found),
        "others": others,
        "elsewhere": same_elsewhere(request, "service", found.key),
        "url": url,
        "may_edit": may_edit,
        "waiting": [
            (
                version_url(request, "service", found.key, row.number),
                row.number,
                said(STATES, state_of(row)),
                tell.day(row.effective_on),
            )
            for row in waiting
        ],
        "ended": tell.day(found.ended_on),
        "crumbs": [(f"/{tell.slug}/services", _("Services")), (None, found.name)],
        "facts": [
            (_("Kept by"), tell.bureau(found.tenant, found.bureau) or tell.partner(found.tenant)),
            (_("Can it be had"), None if status == "active" else said(STATUSES, status)),
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
