"""The region's public door and a partner's home."""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import urlencode

from pyramid.httpexceptions import HTTPMovedPermanently, HTTPSeeOther
from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import view_config

from regional311.catalog.article_queries import notices
from regional311.database.ids import parse_public_id
from regional311.database.session import Scope, open_session
from regional311.identity.permissions import Permissions as P
from regional311.intake.open_requests import Wanted, open_requests
from regional311.notices.handling import dead
from regional311.referral.snapshot import NOBODY
from regional311.web.answering_now import answering_now
from regional311.web.emergencies import pinned
from regional311.web.i18n import _, offered
from regional311.web.most_asked import most_asked
from regional311.web.navigation import menu_for
from regional311.web.open311 import seen_by_everybody
from regional311.web.public_pages import (
    alternates,
    canonical,
    shown_notices,
    spoken_name,
    with_region,
)
from regional311.web.spoken import own_language
from regional311.web.telling import telling
from regional311.web.tree import PublicPartner, Root, TenantNode, Track
from regional311.web.wording import VERBS

COLOUR: Final = re.compile(r"#[0-9a-f]{6}", re.ASCII)


@view_config(
    context=Root,
    permission=NO_PERMISSION_REQUIRED,
    request_method="GET",
    renderer="home/landing.jinja2",
)
def landing(context: Root, request: Any) -> Any:
    """What this is, who helps with what, how to follow a request, where to sign in."""
    if request.GET.get("q", "").strip():
        # the search was here before it had a page of its own
        return HTTPMovedPermanently(location=f"/search?{urlencode({'q': request.GET['q']})}")
    return {"partners": request.registry.partners.all(), **_door(request)}


def _door(request: Any, slug: str | None = None) -> dict[str, Any]:
    """What is at the door of the region, or of one partner: notices, verbs, most asked, lines."""
    published = telling(request).published
    tenants = None if slug is None else with_region(published, published.ids[slug])
    with open_session(request.registry.engine, NOBODY) as session:
        found = notices(session, telling(request).today, tenants=tenants, public=True)
    return {
        "notices": shown_notices(request, found),
        "pinned": pinned(request, lambda ref: f"/services/{ref}"),
        "verbs": list(VERBS.items()),
        "asked": most_asked(request, slug),
        "answering": answering_now(telling(request), slug),
        "canonical": canonical(request),
        "alternates": alternates(request, offered(request)),
        "slug": slug,
    }


@view_config(
    context=PublicPartner,
    permission=NO_PERMISSION_REQUIRED,
    request_method="GET",
    renderer="home/partner.jinja2",
)
def partner_home(context: PublicPartner, request: Any) -> dict[str, Any]:
    """A partner's home for everybody: in its name and colours, with what it helps with first."""
    partner, row = context.partner, telling(request).published.tenants.get(context.partner.slug)
    settings = {} if row is None else row.settings
    return {
        "partner": partner,
        "tagline": (settings.get("branding") or {}).get("tagline"),
        "own": "en" if row is None else own_language(row),
        "contact": settings.get("contact") or {},
        **_door(request, partner.slug),
    }


@view_config(
    context=PublicPartner,
    name="colours.css",
    permission=NO_PERMISSION_REQUIRED,
    request_method="GET",
)
def partner_colours(context: PublicPartner, request: Any) -> Response:
    """The partner's colours, which no page may carry in itself; our own where it has none."""
    row = telling(request).published.tenants.get(context.partner.slug)
    branding = {} if row is None else row.settings.get("branding") or {}
    colours = {
        "partner": branding.get("colour"),
        "partner-accent": branding.get("accent") or branding.get("colour"),
    }
    said = "".join(
        f"--{name}: {colour};"
        for name, colour in colours.items()
        if colour and COLOUR.fullmatch(colour)
    )
    return Response(f":root {{{said}}}\n", content_type="text/css", charset="utf-8")


@view_config(
    context=Track,
    permission=NO_PERMISSION_REQUIRED,
    request_method="GET",
    renderer="public/numbered.jinja2",
)
def track(context: Track, request: Any) -> Any:
    """Go to the page of a tracking code that was typed or pasted, also as a whole link.

    Who kept only the number sees what anybody may see of it.
    """
    said = request.GET.get("code", "").strip().partition("#")[0].partition("?")[0]
    code = said.rstrip("/").rpartition("/")[2]
    if (number := parse_public_id(code, "R")) is not None:
        return _numbered(request, number)
    if not code or not code.isascii() or not code.replace("-", "").replace("_", "").isalnum():
        request.flash("error", _("Paste the tracking link or code that you were given."))
        return HTTPSeeOther(location="/")
    return HTTPSeeOther(location=f"/track/{code}")


def _numbered(request: Any, number: str) -> Any:
    """How a request stands, as Open311 shows it; nothing of what is confidential or personal."""
    tell = telling(request)
    for slug in tell.published.partners:
        with open_session(request.registry.engine, Scope(tell.published.ids[slug])) as session:
            found = open_requests(
                session,
                Wanted(numbers=[number]),
                open_services=seen_by_everybody(tell.published, slug),
                limit=1,
            )
            session.rollback()
        for each in found:
            return {
                "number": each.public_id,
                "service_name": spoken_name(request, slug, each.service_key),
                "owner": slug,
                "owner_name": tell.partner(slug),
                "state": _("Open") if each.is_open else _("Closed"),
                "opened": tell.day(each.opened_at, "long"),
                "expected": tell.day(each.expected_at, "long") if each.is_open else None,
                "closed": None if each.is_open else tell.day(each.closed_at, "long"),
                "phone": tell.phone(slug),
            }
    request.flash(
        "error",
        _(
            "By its number alone we can show nothing of it. "
            "Use your link, or call and say the number."
        ),
    )
    return HTTPSeeOther(location="/")


@view_config(
    context=TenantNode,
    permission=P.TENANT_ENTER,
    request_method="GET",
    renderer="home/tenant.jinja2",
)
def tenant_home(context: TenantNode, request: Any) -> dict[str, Any]:
    """A card for each place that one's role opens."""
    permissions = request.identity.permissions(context.partner.id)
    groups = menu_for(permissions)
    return {
        "partner": context.partner,
        "dead": dead(request.dbsession) if P.MESSAGE_WORK in permissions else 0,
        "dead_url": f"/{context.partner.slug}/messages?state=dead",
        "groups": [
            (
                title,
                [
                    (f"/{context.partner.slug}/{entry.name}", entry.title, entry.summary)
                    for entry in entries
                ],
            )
            for title, entries in groups
        ],
    }
