"""The region's public door and a partner's home."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from pyramid.httpexceptions import HTTPMovedPermanently, HTTPSeeOther
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import view_config

from regional311.catalog.article_queries import notices
from regional311.database.session import open_session
from regional311.identity.permissions import Permissions as P
from regional311.notices.handling import dead
from regional311.referral.snapshot import NOBODY
from regional311.web.answering_now import answering_now
from regional311.web.emergencies import pinned
from regional311.web.i18n import _, offered
from regional311.web.most_asked import most_asked
from regional311.web.navigation import menu_for
from regional311.web.public_pages import alternates, canonical, shown_notices
from regional311.web.telling import telling
from regional311.web.tree import Root, TenantNode, Track
from regional311.web.wording import VERBS


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
    return {
        "partners": request.registry.partners.all(),
        "notices": _notices(request),
        "pinned": pinned(request, lambda ref: f"/services/{ref}"),
        "verbs": list(VERBS.items()),
        "asked": most_asked(request),
        "answering": answering_now(telling(request)),
        "canonical": canonical(request),
        "alternates": alternates(request, offered(request)),
    }


def _notices(request: Any) -> list[dict[str, Any]]:
    with open_session(request.registry.engine, NOBODY) as session:
        return shown_notices(request, notices(session, telling(request).today, public=True))


@view_config(context=Track, permission=NO_PERMISSION_REQUIRED, request_method="GET")
def track(context: Track, request: Any) -> HTTPSeeOther:
    """Go to the page of a tracking code that was typed or pasted, also as a whole link."""
    said = request.GET.get("code", "").strip().partition("#")[0].partition("?")[0]
    code = said.rstrip("/").rpartition("/")[2]
    if not code or not code.isascii() or not code.replace("-", "").replace("_", "").isalnum():
        request.flash("error", _("Paste the tracking link or code that you were given."))
        return HTTPSeeOther(location="/")
    return HTTPSeeOther(location=f"/track/{code}")


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
