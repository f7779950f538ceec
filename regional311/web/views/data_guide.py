"""Who keeps each partner's part of the catalogue, how fresh it is, and how to correct it."""

from __future__ import annotations

from typing import Any

from pyramid.httpexceptions import HTTPNotFound
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import view_config

from regional311.catalog.freshness import REVIEW_DAYS, standing
from regional311.web.public_pages import canonical
from regional311.web.spoken import own_language
from regional311.web.telling import Telling, call_link, telling
from regional311.web.tree import Root
from regional311.web.views.public_services import open_services

NAME = "data-guide"


def guide_path(slug: str | None = None) -> str:
    """Return the path of the guide to a partner's part, or to the whole region's."""
    return f"/{NAME}?partner={slug}" if slug else f"/{NAME}"


@view_config(
    context=Root,
    name=NAME,
    permission=NO_PERMISSION_REQUIRED,
    request_method="GET",
    renderer="public/data_guide.jinja2",
)
def data_guide(context: Root, request: Any) -> dict[str, Any]:
    """Each partner's part, or that of the one asked for."""
    tell = telling(request)
    asked = request.GET.get("partner", "")
    if asked and asked not in tell.published.tenants:
        raise HTTPNotFound
    slugs = [asked] if asked else list(tell.published.tenants)
    parts = [_part(tell, slug) for slug in slugs]
    taxonomies = tell.published.terms.taxonomies.values()
    return {
        "one": parts[0]["name"] if asked else None,
        "parts": [each for each in parts if each["services"] or asked],
        "taxonomies": [
            {
                "name": each.name,
                "description": each.description,
                "version": each.version,
                "website": each.website,
                "licence": each.licence,
                "keeper": tell.partner(each.tenant),
                "own": own_language(tell.published.tenants[each.tenant]),
            }
            for each in taxonomies
            if not asked or each.tenant in (asked, "region")
        ],
        "api_url": f"/hsds/{asked}" if asked else "/hsds/",
        "canonical": canonical(request, "partner"),
    }


def _part(tell: Telling, slug: str) -> dict[str, Any]:
    row = tell.published.tenants[slug]
    services = open_services(tell, slug)
    contact = row.settings.get("contact") or {}
    looked = [each.verified_on for each in services if each.verified_on is not None]
    current = [
        each
        for each in services
        if each.verified_on is not None and standing(each.review_on, tell.today) != "overdue"
    ]
    phone = tell.phone(slug)
    return {
        "slug": slug,
        "name": row.name,
        "own": own_language(row),
        "summary": row.settings.get("summary"),
        "services": len(services),
        "services_url": f"/services/{slug}",
        "days": row.settings.get("review_days") or REVIEW_DAYS,
        "current": len(current),
        "oldest": tell.day(min(looked), "long") if looked else None,
        "bureaus": sorted({tell.bureau(slug, each.bureau) for each in services if each.bureau}),
        "phone": phone,
        "phone_url": call_link(phone) if phone else None,
        "email": contact.get("email"),
        "website": contact.get("website"),
    }
