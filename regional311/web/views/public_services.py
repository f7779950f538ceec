"""Services for everybody: lists by partner, and a page for each service, in its languages.

These pages need no account. Confidential services are nowhere; one that has ended says since when,
and what there is instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from functools import lru_cache
from itertools import groupby
from typing import Any, Final
from urllib.parse import quote_plus, urlencode

from babel.numbers import format_currency
from pyramid.httpexceptions import HTTPMovedPermanently, HTTPNotFound
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import view_config
from shapely.geometry import mapping as as_geojson

from regional311.calendars import BusinessCalendar
from regional311.catalog.article_queries import notices, public_articles_about
from regional311.catalog.directory import Service
from regional311.catalog.place_queries import ServicePlace, organization_named, places_of
from regional311.database.session import open_session
from regional311.referral.snapshot import NOBODY, Line, Published
from regional311.tenancy.hours import calendar_of
from regional311.tenancy.jurisdiction import geometry_from
from regional311.web import schema_org
from regional311.web.answering_now import now_on, telephone_of
from regional311.web.entry_alerts import closed_everywhere, entry_alerts
from regional311.web.i18n import _, page_language
from regional311.web.opening import SOON, opening, told_once
from regional311.web.public_pages import (
    alternates,
    canonical,
    languages_of,
    shown_notices,
    with_region,
)
from regional311.web.spoken import own_language, spoken_article, spoken_service
from regional311.web.telling import Telling, call_link, telling
from regional311.web.tree import PublicService, PublicServices, PublicServicesOf, Root
from regional311.web.wording import LANGUAGES, VERBS, said

ON_ONE_PAGE: Final = 300
"""A partner with more services than this is read heading by heading."""
_OUTLINE_DETAIL: Final = 0.0005
"""Degrees by which an outline is simplified for the small map: about fifty metres."""
_ORDER: Final = tuple(VERBS)
_SPOKEN_TO: Final = ("phone", "text", "walk_in")
"""Channels of lines on which one speaks with a person, in the order in which they are told."""


@view_config(context=Root, name="service", permission=NO_PERMISSION_REQUIRED, request_method="GET")
def old_address(context: Root, request: Any) -> HTTPMovedPermanently:
    """Lead from the address that services had before to the one they have."""
    found = telling(request).published.directory.find(request.GET.get("service", "")[:200])
    if found is None:
        raise HTTPNotFound
    return HTTPMovedPermanently(location=f"/services/{found.ref}")


# --- lists ----------------------------------------------------------------------------------------


@view_config(
    context=PublicServices,
    permission=NO_PERMISSION_REQUIRED,
    request_method="GET",
    renderer="public/partners.jinja2",
)
def partners(context: PublicServices, request: Any) -> dict[str, Any]:
    """The partners of the region, and how much each offers."""
    tell = telling(request)
    listed = []
    for slug in tell.published.partners:
        services = open_services(tell, slug)
        if services:
            row = tell.published.tenants[slug]
            listed.append(
                {
                    "url": f"/services/{slug}",
                    "name": row.name,
                    "summary": row.settings.get("summary"),
                    "language": own_language(row),
                    "services": len(services),
                }
            )
    return {"partners": listed, "canonical": canonical(request)}


def open_services(tell: Telling, slug: str) -> list[Service]:
    """Return what everybody may see of a partner's services of today."""
    return [
        each
        for each in tell.published.directory.of(slug, tell.today)
        if each.details.get("status") != "defunct"
    ]


@view_config(
    context=PublicServicesOf,
    permission=NO_PERMISSION_REQUIRED,
    request_method="GET",
    renderer="public/services.jinja2",
)
def services_of(context: PublicServicesOf, request: Any) -> dict[str, Any]:
    """A partner's services by what one wants to do and by heading."""
    tell = telling(request)
    slug = context.partner.slug
    row = tell.published.tenants[slug]
    every = open_services(tell, slug)
    asked = request.GET.get("group", "")[:200]
    chosen = [each for each in every if each.group == asked] if asked else every
    if asked and not chosen:
        raise HTTPNotFound
    page = _page_number(request, len(chosen))
    by_heading = not asked and len(every) > ON_ONE_PAGE
    start = (page - 1) * ON_ONE_PAGE
    ordered = sorted(chosen, key=_by_verb_and_heading)[start : start + ON_ONE_PAGE]
    last = max(1, -(-len(chosen) // ON_ONE_PAGE))
    query = {"group": asked} if asked else {}
    return {
        "partner": row,
        "heading": asked or None,
        "own": own_language(row),
        "verbs": [] if by_heading else list(_listed(request, row, ordered)),
        "headings": list(_headings(slug, every)) if by_heading else [],
        "total": len(chosen),
        "notices": _notices(request, slug),
        "pages": [
            (number, f"/services/{slug}?{urlencode({**query, 'page': number})}")
            for number in range(1, last + 1)
        ]
        if last > 1 and not by_heading
        else [],
        "page": page,
        "canonical": canonical(request, "group", "page"),
    }


def _page_number(request: Any, count: int) -> int:
    asked = request.GET.get("page", "1")
    last = max(1, -(-count // ON_ONE_PAGE))
    if not (asked.isascii() and asked.isdecimal() and len(asked) < 6 and 1 <= int(asked) <= last):
        raise HTTPNotFound
    return int(asked)


def _by_verb_and_heading(each: Service) -> tuple[int, str, str, str]:
    return _ORDER.index(each.verb), each.group.casefold(), each.name.casefold(), each.key


def _listed(request: Any, row: Any, services: Sequence[Service]) -> Iterator[dict[str, Any]]:
    own, wanted = own_language(row), page_language(request)
    for verb, of_verb in groupby(services, key=lambda each: each.verb):
        yield {
            "key": verb,
            "title": said(VERBS, verb),
            "groups": [
                {
                    "title": heading,
                    "services": [
                        {
                            "url": f"/services/{each.ref}",
                            "alerts": entry_alerts(request, each),
                            **_named(each, own, wanted),
                        }
                        for each in group
                    ],
                }
                for heading, group in groupby(of_verb, key=lambda each: each.group)
            ],
        }


def _named(service: Service, own: str, wanted: str) -> dict[str, Any]:
    spoken = spoken_service(service, own, wanted)
    return {"name": spoken.name, "summary": spoken.summary}


def _headings(slug: str, services: Sequence[Service]) -> Iterator[dict[str, Any]]:
    ordered = sorted(services, key=lambda each: (each.group.casefold(), each.group))
    for heading, group in groupby(ordered, key=lambda each: each.group):
        yield {
            "title": heading,
            "url": f"/services/{slug}?{urlencode({'group': heading})}",
            "services": sum(1 for _each in group),
        }


def _notices(request: Any, slug: str) -> list[dict[str, Any]]:
    tell = telling(request)
    whose = [tell.published.ids[each] for each in (slug, "region") if each in tell.published.ids]
    with open_session(request.registry.engine, NOBODY) as session:
        return shown_notices(request, notices(session, tell.today, tenants=whose, public=True))


# --- one service ----------------------------------------------------------------------------------


@view_config(
    context=PublicService,
    permission=NO_PERMISSION_REQUIRED,
    request_method="GET",
    renderer="public/service.jinja2",
)
def service(context: PublicService, request: Any) -> dict[str, Any]:
    """One service: what it is, who can get it and how, when and where; or that it has ended."""
    tell = telling(request)
    found = context.service
    row = tell.published.tenants[found.tenant]
    own, wanted = own_language(row), page_language(request)
    spoken = spoken_service(found, own, wanted)
    ended = not found.offered(tell.today) or found.details.get("status") == "defunct"
    page = {
        "service": found,
        "spoken": spoken,
        "owner": row,
        "own": own,
        "verb": said(VERBS, found.verb),
        "ended_on": tell.day(found.ended_on, "long"),
        "others": _others(tell, found, wanted),
        "canonical": canonical(request),
        "alternates": alternates(request, spoken.languages),
        "languages": languages_of(request, spoken.languages),
    }
    if ended:
        request.response.status_int = 410
        request.override_renderer = "public/ended.jinja2"
        return page
    with open_session(request.registry.engine, NOBODY) as session:
        places = places_of(session, row.id, found.id, tell.today) if found.id else []
        organization = found.details.get("organization")
        provider = organization_named(session, row.id, organization) if organization else None
        related = public_articles_about(session, found.ref, tell.today)
        pinned = notices(
            session, tell.today, tenants=with_region(tell.published, row.id), public=True
        )
    alerts = entry_alerts(request, found)
    shown_places = [_place(tell, found, each, own) for each in places]
    areas = [tell.published.names.get(key, key) for key in found.boundaries]
    phones = _phones(tell, found, provider)
    calendars, other_lines = _calendars(tell, found, phones)
    hours = [(name, address, opening(tell, calendar)) for name, address, calendar in calendars]
    data = _data(request, found, spoken, row, provider, places, calendars, phones, areas)
    return {
        **page,
        "notices": shown_notices(request, pinned),
        "alerts": alerts,
        "provider": provider[0] if provider else None,
        "bureau": tell.bureau(found.tenant, found.bureau),
        "closed_at_present": found.details.get("status") in ("inactive", "temporarily closed"),
        "report_url": f"/report?service={found.ref}"
        if found.on_web_form and not closed_everywhere(alerts)
        else None,
        "report_label": _("Report it online") if found.verb == "report" else _("Ask for it online"),
        "phones": phones,
        "email": found.details.get("email"),
        "website": _website(found.details.get("website")),
        "promise": tell.promise(found),
        "ages": _ages(found.details),
        "costs": [_cost(tell, each) for each in found.details.get("cost") or ()],
        "spoken_languages": [
            said(LANGUAGES, each) for each in found.details.get("languages") or ()
        ],
        "areas": areas,
        "hours": [
            {"name": name, "address": address, "opening": each} for name, address, each in hours
        ],
        "other_lines": [
            {
                "name": line.name,
                "address": line.address,
                "url": call_link(line.address) if line.channel == "phone" else None,
                "opening": opening(tell, line.calendar),
            }
            for line in other_lines
        ],
        "call_now": now_on(tell, telephone)
        if (telephone := telephone_of(tell, found.tenant)) is not None
        else None,
        "holidays": told_once(
            [
                *((name or spoken.name.text, each) for name, _address, each in hours),
                *((each["name"], each["opening"]) for each in shown_places if each["opening"]),
            ]
        ),
        "places": shown_places,
        "map_url": f"/services/{found.ref}/map"
        if any(each.latitude is not None for each in places) or _areas(tell.published, found)
        else None,
        "related": [
            {
                "url": f"/articles/{tell.published.slugs[each.tenant_id]}/{each.said.key}",
                "title": spoken_article(
                    each.said,
                    own_language(tell.published.tenants[tell.published.slugs[each.tenant_id]]),
                    wanted,
                ).title,
            }
            for each in related
        ],
        "suggest_url": f"/suggest?{urlencode({'about': found.ref})}",
        "verified": tell.day(found.verified_on, "long"),
        "updated": tell.day(found.updated_on, "long"),
        "data": schema_org.script(data),
    }


def _others(tell: Telling, found: Service, wanted: str) -> list[dict[str, Any]]:
    return [
        {
            "url": f"/services/{each.ref}",
            "name": spoken_service(
                each, own_language(tell.published.tenants[each.tenant]), wanted
            ).name,
            "who": tell.partner(each.tenant),
        }
        for each in tell.published.directory.family(found, tell.today)
        if each.ref != found.ref
    ]


def _website(address: str | None) -> dict[str, str] | None:
    return None if not address else {"url": address, "name": address.split("/")[2]}


def _phone(number: str, **more: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {"kind": "voice", "extension": None, "name": None, "languages": []}
    return {"number": number, "url": call_link(number), **plain, **more}


def _phone_entries(entries: Any) -> list[dict[str, Any]]:
    return [
        _phone(
            each["number"],
            kind=each.get("kind", "voice"),
            extension=each.get("extension"),
            name=each.get("name"),
            languages=[said(LANGUAGES, code) for code in each.get("languages") or ()],
        )
        for each in entries or ()
    ]


def _phones(tell: Telling, found: Service, provider: Any) -> list[dict[str, Any]]:
    if found.details.get("phone"):
        return [_phone(found.details["phone"])]
    if provider and provider[1].get("phone"):
        return _phone_entries(provider[1]["phone"])
    number = tell.phone(found.tenant, found.bureau)
    return [_phone(number)] if number else []


def _ages(details: Mapping[str, Any]) -> Any:
    youngest, oldest = details.get("minimum_age"), details.get("maximum_age")
    values = {"youngest": youngest, "oldest": oldest}
    if youngest is not None and oldest is not None:
        return _("For people from ${youngest} to ${oldest} years of age", mapping=values)
    if youngest is not None:
        return _("For people of ${youngest} years and older", mapping=values)
    if oldest is not None:
        return _("For people up to ${oldest} years of age", mapping=values)
    return None


def _cost(tell: Telling, cost: Mapping[str, Any]) -> dict[str, Any]:
    amount = cost.get("amount")
    price = None
    if amount is not None:
        exact = Decimal(str(amount))
        price = format_currency(exact, "USD", locale=tell.locale) if exact else _("Free")
    return {"option": cost["option"], "price": price, "details": cost.get("details")}


def _calendars(
    tell: Telling, found: Service, phones: Sequence[Mapping[str, Any]]
) -> tuple[list[tuple[str | None, str | None, BusinessCalendar]], list[Line]]:
    """Return the hours that concern a service, and the partner's lines beside them.

    Its own hours are all that concerns it. When it has none: those of the lines whose number the
    page shows; when there is no such line, those of the partner's first.
    """
    row = tell.published.tenants[found.tenant]
    if week := found.details.get("hours"):
        return [(None, None, calendar_of(row, week))], []
    every = sorted(
        (
            line
            for line in tell.published.lines.values()
            if line.tenant == found.tenant and line.channel in _SPOKEN_TO
        ),
        key=lambda line: _SPOKEN_TO.index(line.channel),
    )
    shown = {each["url"] for each in phones}
    near = [line for line in every if line.channel == "phone" and call_link(line.address) in shown]
    near = near or [line for line in every if line.address == tell.phone(found.tenant)]
    near = near or every[:1]
    beside = [line for line in every if line not in near]
    return [(line.name, line.address, line.calendar) for line in near], beside


def _place_week(found: Service, place: ServicePlace) -> Mapping[str, Any] | None:
    return (
        place.at.get("hours") or found.details.get("hours") or place.location.get("hours") or None
    )


def _place(tell: Telling, found: Service, place: ServicePlace, own: str) -> dict[str, Any]:
    said_there = place.location
    week = place.at.get("hours") or place.location.get("hours")
    address = _address(place)
    return {
        "key": place.key,
        "name": place.name,
        "description": said_there.get("description"),
        "note": place.at.get("note"),
        "address": address,
        "map_url": f"https://www.openstreetmap.org/search?query={quote_plus(', '.join(address))}"
        if address and said_there.get("kind", "physical") == "physical"
        else None,
        "website": _website(said_there.get("website")),
        "transportation": said_there.get("transportation"),
        "phones": _phone_entries([*place.at.get("phone", ()), *said_there.get("phone", ())]),
        "accessibility": [
            (each["name"], each.get("details")) for each in said_there.get("accessibility") or ()
        ],
        "languages": [said(LANGUAGES, each) for each in said_there.get("languages") or ()],
        "capacity": [
            {
                "unit": each["unit"],
                "available": each.get("available"),
                "maximum": each.get("maximum"),
                "on": tell.day(_day(each.get("updated_on")), "long"),
            }
            for each in place.at.get("capacity") or ()
        ],
        "opening": opening(tell, calendar_of(tell.published.tenants[found.tenant], week))
        if week
        else None,
        "language": own,
    }


def _address(place: ServicePlace) -> list[str]:
    where = place.location
    town = " ".join(filter(None, (where.get("state"), where.get("postal_code"))))
    return [
        line
        for line in (
            where.get("address"),
            where.get("address_2"),
            ", ".join(filter(None, (where.get("city"), town))),
        )
        if line
    ]


# --- the map --------------------------------------------------------------------------------------


@view_config(
    context=PublicService,
    name="map",
    permission=NO_PERMISSION_REQUIRED,
    request_method="GET",
    renderer="json",
)
def service_map(context: PublicService, request: Any) -> dict[str, Any]:
    """The areas that are served and the places, as GeoJSON, for the small map of the page."""
    tell = telling(request)
    found = context.service
    if not found.offered(tell.today) or found.id is None:
        raise HTTPNotFound
    tenant_id = tell.published.ids[found.tenant]
    with open_session(request.registry.engine, NOBODY) as session:
        places = places_of(session, tenant_id, found.id, tell.today)
    features = [
        {
            "type": "Feature",
            "properties": {"name": tell.published.names.get(key, key)},
            "geometry": outline(tell.published, key),
        }
        for key in _areas(tell.published, found)
    ]
    features += [
        {
            "type": "Feature",
            "properties": {"name": each.name, "address": ", ".join(_address(each))},
            "geometry": {"type": "Point", "coordinates": [each.longitude, each.latitude]},
        }
        for each in places
        if each.latitude is not None and each.longitude is not None
    ]
    return {"type": "FeatureCollection", "features": features}


def _areas(published: Published, found: Service) -> list[str]:
    outline = published.partners[found.tenant].outline if found.tenant in published.partners else ""
    wanted = found.boundaries or ((outline,) if outline else ())
    return [key for key in wanted if key in published.boundaries]


@lru_cache(maxsize=64)
def outline(published: Published, key: str) -> Any:
    """Give a boundary as GeoJSON, as detailed as a small map shows it."""
    return as_geojson(geometry_from(published.boundaries[key].geometry).simplify(_OUTLINE_DETAIL))


# --- for programs ---------------------------------------------------------------------------------


def _data(
    request: Any,
    found: Service,
    spoken: Any,
    row: Any,
    provider: Any,
    places: Sequence[ServicePlace],
    calendars: Sequence[tuple[str | None, str | None, BusinessCalendar]],
    phones: Sequence[Mapping[str, Any]],
    areas: Sequence[str],
) -> dict[str, Any]:
    """Say the same as the page, as schema.org data."""
    details = found.details
    base = request.registry.configured.url.rstrip("/")
    address = f"{base}/services/{found.ref}"
    governmental = row.kind in ("city", "county")
    owner = {
        "@type": "GovernmentOrganization" if governmental else "Organization",
        "name": row.name,
        "url": (row.settings.get("contact") or {}).get("website"),
        "telephone": (row.settings.get("contact") or {}).get("phone"),
    }
    body = (
        {
            "@type": "Organization",
            "name": provider[0],
            "url": provider[1].get("website"),
            "email": provider[1].get("email"),
        }
        if provider
        else owner
    )
    hours = schema_org.opening_hours(calendars[0][2]) if calendars else []
    channels = [
        {
            "@type": "ServiceChannel",
            "availableLanguage": list(details.get("languages") or ()),
            "serviceUrl": f"{base}/report?service={found.ref}" if found.on_web_form else None,
            "servicePhone": [
                {
                    "@type": "ContactPoint",
                    "telephone": each["url"].removeprefix("tel:"),
                    "hoursAvailable": hours,
                }
                for each in phones
            ],
            "serviceLocation": [_place_data(request, row, found, each) for each in places],
        }
    ]
    return dict(
        schema_org.without_none(
            {
                "@context": "https://schema.org",
                "@type": "GovernmentService" if governmental and not provider else "Service",
                "@id": address,
                "url": address,
                "name": spoken.name.text,
                "alternateName": details.get("alternate_name"),
                "description": spoken.summary.text,
                "inLanguage": spoken.name.language,
                "serviceType": found.group,
                "provider": body,
                "serviceOperator": body if governmental and not provider else None,
                "areaServed": [
                    {"@type": "AdministrativeArea", "name": name}
                    for name in areas or ([row.name] if governmental else [])
                ],
                "hoursAvailable": hours,
                "availableChannel": channels,
                "termsOfService": spoken.eligibility.text if spoken.eligibility else None,
                "offers": [
                    {
                        "@type": "Offer",
                        "name": each["option"],
                        "price": each.get("amount"),
                        "priceCurrency": "USD" if each.get("amount") is not None else None,
                        "description": each.get("details"),
                    }
                    for each in details.get("cost") or ()
                ],
            }
        )
    )


def _place_data(request: Any, row: Any, found: Service, place: ServicePlace) -> dict[str, Any]:
    where = place.location
    week = _place_week(found, place)
    calendar = calendar_of(row, week) if week else None
    today = calendar.local_date(request.now) if calendar else None
    return {
        "@type": "Place",
        "name": place.name,
        "address": {
            "@type": "PostalAddress",
            "streetAddress": ", ".join(
                filter(None, (where.get("address"), where.get("address_2")))
            ),
            "addressLocality": where.get("city"),
            "addressRegion": where.get("state"),
            "postalCode": where.get("postal_code"),
            "addressCountry": where.get("country", "US"),
        }
        if where.get("address")
        else None,
        "geo": {
            "@type": "GeoCoordinates",
            "latitude": place.latitude,
            "longitude": place.longitude,
        }
        if place.latitude is not None
        else None,
        "telephone": [
            call_link(each["number"]).removeprefix("tel:") for each in where.get("phone") or ()
        ],
        "amenityFeature": [
            {"@type": "LocationFeatureSpecification", "name": each["name"], "value": True}
            for each in where.get("accessibility") or ()
        ],
        "openingHoursSpecification": schema_org.opening_hours(calendar) if calendar else None,
        "specialOpeningHoursSpecification": schema_org.special_hours(
            calendar, [day for day in sorted(calendar.holidays) if today <= day < today + SOON]
        )
        if calendar and today
        else None,
    }


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None
