"""What pages show of emergencies: the banner of every page, and what is pinned first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from regional311.catalog.article_queries import titles
from regional311.cover.emergency import InForce, real_first, seen_by
from regional311.referral.snapshot import published
from regional311.web.entry_alerts import entry_alerts
from regional311.web.i18n import _, page_language
from regional311.web.partners import REGION, Partner
from regional311.web.spoken import Spoken, own_language, spoken_service
from regional311.web.telling import Telling, telling

PLACE_WORDS = {
    "shelter": _("Shelter"),
    "warming": _("Warm place"),
    "cooling": _("Cool place"),
    "water": _("Water"),
    "closure": _("Closed"),
}


def entered(request: Any) -> Partner | None:
    """The partner in whose own part of the tree the page lies, when the person works there."""
    tenant: Partner | None = getattr(request, "tenant", None)
    node = getattr(request, "context", None)
    while node is not None and getattr(node, "__parent__", None) is not None:
        last, node = node, node.__parent__
        if node.__parent__ is None and (tenant is None or last.__name__ != tenant.slug):
            return None
    if tenant is None or request.identity is None or not request.identity.roles(tenant.id):
        return None
    return tenant


def on_now(request: Any) -> list[InForce]:
    """The emergencies that this request's pages show; none when they cannot be read.

    Staff see drills of their partner and of the region, everybody else none.
    """
    if getattr(request, "database_failed", False):
        return []
    known = getattr(request, "emergencies_on", None)
    if known is not None:
        return list(known)
    try:
        found = published(request.registry.engine).emergencies
    except SQLAlchemyError:
        return []
    partner = entered(request) if found else None
    if partner is not None and partner.slug == REGION:
        shown = real_first(
            each
            for each in found
            if each.on(request.now) and (not each.drill or each.tenant == REGION)
        )
    else:
        slug = None if partner is None else partner.slug
        shown = seen_by(found, request.now, tenant=slug, staff=partner is not None)
    request.emergencies_on = shown
    return list(shown)


def banners(request: Any) -> list[dict[str, Any]]:
    """What stands at the top of a page, in its language."""
    shown = []
    for each in on_now(request):
        language, said = each.said(page_language(request))
        partner = entered(request)
        shown.append(
            {
                "title": said["title"],
                "text": said.get("text") or "",
                "language": language,
                "drill": each.drill,
                "url": f"/{partner.slug}/emergencies/{each.public_id}"
                if partner is not None and each.tenant in (partner.slug, REGION)
                else f"/emergency#{each.public_id}",
                "log_url": f"/{partner.slug}/emergencies/{each.public_id}/log"
                if partner is not None and partner.slug != REGION
                else None,
            }
        )
    return shown


def pinned(request: Any, url_of: Callable[[str], str]) -> list[dict[str, Any]]:
    """The services that emergencies show before everything else, each once."""
    tell = telling(request)
    language = page_language(request)
    shown: dict[str, dict[str, Any]] = {}
    for emergency in on_now(request):
        for ref in emergency.services:
            service = tell.published.directory.find(ref)
            if service is None or not service.offered(tell.today) or ref in shown:
                continue
            own = own_language(tell.published.tenants[service.tenant])
            spoken = spoken_service(service, own, language)
            shown[ref] = {
                "ref": ref,
                "url": url_of(ref),
                "name": spoken.name,
                "summary": spoken.summary,
                "who": tell.partner(service.tenant),
                "drill": emergency.drill,
                "alerts": entry_alerts(request, service),
            }
    return list(shown.values())


def scripts(request: Any, url_of: Callable[[str], str]) -> list[dict[str, Any]]:
    """The scripts and answers that emergencies show first, by their addresses.

    One statement while there are any, else none.
    """
    drills: dict[str, bool] = {}
    for emergency in on_now(request):
        for ref in emergency.articles:
            drills.setdefault(ref, emergency.drill)
    return [
        {**each, "url": url_of(each["ref"]), "drill": drills[each["ref"]]}
        for each in titled(request, drills)
    ]


def titled(request: Any, refs: Iterable[str]) -> list[dict[str, Any]]:
    """Articles, as ``partner/key``, with title and partner; those that are over are left out."""
    tell = telling(request)
    asked = {
        ref: (tell.published.ids[slug], key)
        for ref in refs
        for slug, _slash, key in [ref.partition("/")]
        if slug in tell.published.ids
    }
    if not asked:
        return []
    names = titles(request.dbsession, asked.values(), tell.today)
    return [
        {"ref": ref, "name": names[article], "who": tell.partner(article[0])}
        for ref, article in asked.items()
        if article in names
    ]


def _place_name(tell: Telling, emergency: InForce, place: Mapping[str, str]) -> Spoken:
    """A place's name; one that is called as its service is said as the service says it."""
    service = tell.published.directory.find(place.get("service", ""))
    if service is None or service.name != place["name"]:
        return Spoken(place["name"], own_language(tell.published.tenants[emergency.tenant]))
    own = own_language(tell.published.tenants[service.tenant])
    return spoken_service(service, own, page_language(tell.request)).name


def places(tell: Telling, emergencies: list[InForce]) -> list[dict[str, Any]]:
    """Shelters and closures of emergencies, shelters first; none of a drill."""
    order = list(PLACE_WORDS)
    found = [
        {
            "kind": each["kind"],
            "word": PLACE_WORDS.get(each["kind"], each["kind"]),
            "name": _place_name(tell, emergency, each),
            "address": each.get("address"),
            "note": each.get("note"),
            "url": f"/services/{each['service']}" if each.get("service") else None,
            "who": tell.partner(emergency.tenant),
        }
        for emergency in emergencies
        if not emergency.drill
        for each in emergency.places
    ]
    return sorted(found, key=lambda each: (order.index(str(each["kind"])), str(each["name"])))
