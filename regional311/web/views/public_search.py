"""The region's search for everybody: one box over all partners, and what narrows it down."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from babel.numbers import format_decimal
from pyramid.httpexceptions import HTTPNotFound, HTTPSeeOther
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import view_config

from regional311.catalog.search import Filters, Found, Hit, Point, Served
from regional311.catalog.search_log import record_choice, record_search
from regional311.tenancy.jurisdiction import Located
from regional311.web.emergencies import pinned
from regional311.web.entry_alerts import entry_alerts
from regional311.web.i18n import _, offered, page_language, translated
from regional311.web.partners import REGION
from regional311.web.public_pages import alternates, canonical
from regional311.web.searching import (
    corrections_of,
    danger_in,
    log_danger,
    ref_of,
    search_of,
    service_of,
    why,
)
from regional311.web.spoken import Spoken, own_language, spoken_service
from regional311.web.telling import Telling, call_link, telling
from regional311.web.tree import Root, enter
from regional311.web.wording import LANGUAGES, VERBS, said

PAGE: Final = 20
LONGEST_QUESTION: Final = 200
MILES: Final = ("1", "3", "5", "10", "25")
_METRES: Final = 1609.344
_NAMES: Final = (
    "q",
    "partner",
    "kind",
    "verb",
    "term",
    "language",
    "free",
    "papers",
    "open",
    "place",
    "latitude",
    "longitude",
    "serves",
    "within",
    "sort",
)
"""What an address of this page may say, in this order."""


@dataclass(frozen=True)
class Asked:
    """What the address of the page asks for; what is not offered counts as left out.

    `located` is the place that was named or given as a point, `point` a point in it.
    """

    words: str
    query: Mapping[str, str]
    filters: Filters
    located: Located | None
    point: Point | None
    page: int

    @property
    def narrowed(self) -> bool:
        """Whether anything but words was asked for."""
        return any(name not in ("q", "place", "latitude", "longitude") for name in self.query)

    def url(self, **changes: str | None) -> str:
        """Return the address of this page with something else, or something less, asked for."""
        query = {**self.query, **changes}
        return "/search?" + urlencode({name: query[name] for name in query if query[name]})


@view_config(
    context=Root,
    name="search",
    permission=NO_PERMISSION_REQUIRED,
    request_method="GET",
    renderer="public/search.jinja2",
)
def search(context: Root, request: Any) -> dict[str, Any]:
    """What there is for a person's words, and for what they narrow it down to."""
    enter(request, request.registry.partners.by_slug(REGION))
    tell = telling(request)
    asked = _asked(request, tell)
    nearest = asked.query.get("sort") == "near"
    found = search_of(request, staff=False, point=asked.point).find(
        request.dbsession,
        asked.words,
        asked.filters,
        first=(asked.page - 1) * PAGE,
        limit=PAGE,
        nearest=nearest,
        counted=True,
    )
    if asked.words and asked.page == 1 and not asked.narrowed:
        record_search(
            request.dbsession,
            now=request.now,
            door="public",
            words=asked.words,
            language=found.reading.language or page_language(request),
            results=found.total,
        )
    danger = danger_in(tell, asked.words)
    log_danger("search", danger)
    last = max(1, -(-found.total // PAGE))
    return {
        "asked": asked,
        "total": found.total,
        "hits": [_shown(request, tell, found, hit, asked) for hit in found.hits],
        "corrections": corrections_of(found),
        "danger": danger,
        "pinned": pinned(request, lambda ref: f"/services/{ref}"),
        "facets": _facets(request, tell, found, asked),
        "chips": _chips(request, tell, asked),
        "place": _place_told(tell, asked),
        "pages": [(number, asked.url(page=str(number))) for number in _pages(asked.page, last)],
        "page": asked.page,
        "lines": [
            {"name": row.name, "phone": tell.phone(slug), "link": call_link(tell.phone(slug) or "")}
            for slug, row in tell.published.tenants.items()
            if slug in tell.published.partners and tell.phone(slug)
        ],
        "canonical": canonical(request, *_NAMES, "page"),
        "alternates": alternates(request, offered(request)),
    }


@view_config(context=Root, name="found", permission=NO_PERMISSION_REQUIRED, request_method="GET")
def found(context: Root, request: Any) -> HTTPSeeOther:
    """Go on to a hit; which one was opened after which words is kept, and nothing else."""
    tell = telling(request)
    kind, _colon, ref = request.GET.get("to", "")[:200].partition(":")
    slug, _slash, key = ref.partition("/")
    if kind not in ("service", "article") or slug not in tell.published.tenants or not key:
        raise HTTPNotFound
    if kind == "service":
        service = tell.published.directory.find(ref)
        if service is None:
            raise HTTPNotFound
    elif not key.replace("-", "").isalnum() or not key.isascii():
        raise HTTPNotFound
    words = request.GET.get("q", "").strip()[:LONGEST_QUESTION]
    if words:
        enter(request, request.registry.partners.by_slug(REGION))
        count = request.GET.get("hits", "")
        record_choice(
            request.dbsession,
            now=request.now,
            door="public",
            words=words,
            language=page_language(request),
            results=_number(count, 1, 9_999) or 1,
            chosen=f"{kind}:{ref}",
        )
    return HTTPSeeOther(location=f"/{kind}s/{ref}")


# --- what is asked for ----------------------------------------------------------------------------


def _asked(request: Any, tell: Telling) -> Asked:
    given = {name: request.GET.get(name, "").strip()[:LONGEST_QUESTION] for name in _NAMES}
    given = {name: value for name, value in given.items() if value}
    located, point = _where(tell, given)
    offers = {
        "partner": set(tell.published.tenants),
        "kind": {"service", "article"},
        "verb": set(VERBS),
        "language": set(LANGUAGES) - {"en", "other"},
        "free": {"1"},
        "papers": {"no"},
        "open": {"1"},
        "serves": {"1"} if located is not None and located.known else set(),
        "within": set(MILES) if point is not None else set(),
        "sort": {"near"} if point is not None else set(),
    }
    query = {
        name: value for name, value in given.items() if name not in offers or value in offers[name]
    }
    if "term" in query and tell.published.terms.find(query["term"]) is None:
        del query["term"]
    if point is None or "place" in query:
        query.pop("latitude", None)
        query.pop("longitude", None)
    filters = Filters(
        partner=tell.published.ids[query["partner"]] if "partner" in query else None,
        kind=query.get("kind"),
        verb=query.get("verb"),
        terms=tell.published.terms.terms_of(query["term"]) if "term" in query else None,
        language=query.get("language"),
        free="free" in query,
        documents=False if "papers" in query else None,
        open_now="open" in query,
        serves=_served(tell, located) if "serves" in query and located else None,
        metres=round(int(query["within"]) * _METRES) if "within" in query else None,
    )
    page = _number(request.GET.get("page", ""), 1, 500) or 1
    return Asked(query.get("q", ""), query, filters, located, point, page)


def _where(tell: Telling, given: Mapping[str, str]) -> tuple[Located | None, Point | None]:
    """Find the place that was named, or else the point that was given, and a point in it."""
    if given.get("place"):
        located = tell.published.locate(words=given["place"])
        keys = [each.key for each in located.candidates if each.inside]
        index = tell.published.jurisdictions.by_key
        if not keys:
            return located, None
        middle = index[keys[0]].geometry.representative_point()
        return located, Point(float(middle.x), float(middle.y))
    longitude = _degrees(given.get("longitude", ""), 180)
    latitude = _degrees(given.get("latitude", ""), 90)
    if longitude is None or latitude is None:
        return None, None
    return (
        tell.published.locate(longitude=longitude, latitude=latitude),
        Point(longitude, latitude),
    )


def _served(tell: Telling, located: Located) -> Served:
    """Say which areas hold a place, and which partners' whole outlines; some have none."""
    published = tell.published
    partners: list[UUID] = []
    for slug, partner in published.partners.items():
        if not partner.outline or partner.outline in located.keys:
            partners.append(published.ids[slug])
    return Served(located.keys, tuple(partners))


def _degrees(text: str, limit: int) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return found if math.isfinite(found) and abs(found) <= limit else None


def _pages(page: int, last: int) -> list[int]:
    """Give the pages that are linked to: the first, the last, and those about this one.

    >>> _pages(7, 50), _pages(1, 1)
    ([1, 5, 6, 7, 8, 9, 50], [])
    """
    near = range(max(1, page - 2), min(last, page + 2) + 1)
    return sorted({1, *near, last}) if last > 1 else []


def _number(text: str, least: int, most: int) -> int | None:
    if not (text.isascii() and text.isdecimal() and len(text) < 6):
        return None
    return min(max(int(text), least), most)


# --- what is shown --------------------------------------------------------------------------------


def _shown(request: Any, tell: Telling, found: Found, hit: Hit, asked: Asked) -> dict[str, Any]:
    row = tell.published.tenants[tell.published.slugs[hit.tenant_id]]
    service = service_of(tell, hit)
    title, summary = Spoken(hit.title, hit.shown), Spoken(hit.summary, hit.shown)
    if service is not None:
        spoken = spoken_service(service, own_language(row), page_language(request))
        title, summary = spoken.name, spoken.summary
    alerts = [] if service is None else entry_alerts(request, service)
    ref = ref_of(tell, hit)
    said_back = {"to": f"{hit.kind}:{ref}", "q": asked.words, "hits": str(found.total)}
    return {
        "url": f"/found?{urlencode(said_back, safe='/:')}"
        if asked.words
        else f"/{hit.kind}s/{ref}",
        "title": title,
        "summary": summary,
        "partner": row.name,
        "verb": said(VERBS, hit.verb) if hit.verb else _("Question and answer"),
        "alerts": alerts,
        # what an emergency says of a service is newer than its usual hours
        "is_open": None if any(not each.location for each in alerts) else hit.is_open,
        "paused": hit.status == "temporarily closed",
        "free": hit.free and hit.kind == "service",
        "away": None if hit.metres is None else _away(tell, hit.metres),
        "reasons": why(found, hit),
    }


def _away(tell: Telling, metres: float) -> Any:
    miles = metres / _METRES
    number = format_decimal(round(miles, 1 if miles < 10 else 0), locale=tell.locale)
    return _("${miles} miles away", mapping={"miles": number})


def _facets(request: Any, tell: Telling, found: Found, asked: Asked) -> dict[str, Any]:
    """Give what can be chosen, with how many of the hits have it; nothing that none has."""
    counts = found.counts
    partners = counts.get("partner", {})
    terms = counts.get("term", {})
    branches = [
        (each.ref, each.named(page_language(request)))
        for taxonomy in tell.published.terms.taxonomies
        for top in tell.published.terms.tops(taxonomy)
        for each in (top, *tell.published.terms.below(top.ref))
        if each.ref == asked.query.get("term")
        or not tell.published.terms.terms_of(each.ref).isdisjoint(terms)
    ]
    return {
        "partner": [
            (slug, tell.partner(slug), partners.get(str(tenant_id), 0))
            for slug, tenant_id in tell.published.ids.items()
            if str(tenant_id) in partners or slug == asked.query.get("partner")
        ],
        "kind": [
            ("service", _("Services"), counts.get("kind", {}).get("service", 0)),
            ("article", _("Questions and answers"), counts.get("kind", {}).get("article", 0)),
        ],
        "verb": [
            (verb, said(VERBS, verb), counts.get("verb", {}).get(verb, 0))
            for verb in VERBS
            if verb in counts.get("verb", {}) or verb == asked.query.get("verb")
        ],
        "term": branches,
        "language": [
            (code, name, counts.get("language", {}).get(code, 0))
            for code, name in LANGUAGES.items()
            if code in counts.get("language", {}) or code == asked.query.get("language")
        ],
        "free": counts.get("free", {}).get("yes", 0),
        "papers": counts.get("documents", {}).get("no", 0),
        "within": MILES,
    }


def _chips(request: Any, tell: Telling, asked: Asked) -> list[tuple[Any, str]]:
    """Give what narrows the hits down, each with the address without it."""
    query = asked.query
    term = tell.published.terms.find(query.get("term", ""))
    named = {
        "partner": tell.partner(query.get("partner")),
        "kind": _("Services") if query.get("kind") == "service" else _("Questions and answers"),
        "verb": said(VERBS, query.get("verb", "")),
        "term": term.named(page_language(request)) if term else "",
        "language": _(
            "Help in ${language}",
            mapping={"language": translated(request, LANGUAGES.get(query.get("language", ""), ""))},
        ),
        "free": _("Costs nothing"),
        "papers": _("Nothing to bring"),
        "open": _("Open now"),
        "serves": _("Serves that place"),
        "within": _("Within ${miles} miles", mapping={"miles": query.get("within")}),
    }
    return [(named[name], asked.url(**{name: None})) for name in named if name in query]


def _place_told(tell: Telling, asked: Asked) -> dict[str, Any] | None:
    """Say where the place is taken to be, or that nobody knows it."""
    if asked.located is None:
        return None
    names = [each.name for each in asked.located.candidates if each.inside]
    return {"known": bool(names), "names": ", ".join(names), "typed": asked.query.get("place")}
