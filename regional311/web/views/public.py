"""The region's public door: find a service, report something without an account, follow it."""

from __future__ import annotations

from typing import Any

from pyramid.events import ApplicationCreated, subscriber
from pyramid.httpexceptions import HTTPNotFound
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import view_config

from regional311.calendars import DAYS
from regional311.catalog.directory import Service
from regional311.web.i18n import _
from regional311.web.telling import Telling, telling
from regional311.web.tree import Root
from regional311.web.wording import WEEKDAYS, said

SHOWN = 12


@subscriber(ApplicationCreated)
def offer_search(event: Any) -> None:
    """Put the search into the public door."""
    event.app.registry.public_search = public_search


def public_search(request: Any, question: str) -> list[dict[str, Any]]:
    """Find services of every partner by a person's words, the best first."""
    tell = telling(request)
    return [
        {
            "url": _service_url(hit.service),
            "title": hit.service.name,
            "summary": hit.service.summary,
            "partner": tell.partner(hit.service.tenant),
        }
        for hit in tell.published.search(question, tell.today, SHOWN)
    ]


@view_config(
    context=Root,
    name="service",
    permission=NO_PERMISSION_REQUIRED,
    request_method="GET",
    renderer="public/service.jinja2",
)
def service(context: Root, request: Any) -> dict[str, Any]:
    """One service: who does it, what to do, phone and hours, and how to report it here."""
    tell = telling(request)
    found = asked_service(request)
    website = found.details.get("website")
    areas = ", ".join(tell.published.names.get(key, key) for key in found.boundaries)
    return {
        "service": found,
        "owner": tell.published.tenants[found.tenant],
        "bureau": tell.bureau(found.tenant, found.bureau),
        "information": found.details.get("information"),
        "phone": tell.phone(found.tenant, found.bureau),
        "promise": tell.promise(found),
        "where": areas or None,
        "website": website,
        "website_name": (website or "").split("/")[2] if website else None,
        "report_url": f"/report?service={found.ref}" if takes_reports(found) else None,
        "report_label": _("Report it online") if found.verb == "report" else _("Ask for it online"),
        "others": [
            {"url": _service_url(each), "name": each.name, "who": tell.partner(each.tenant)}
            for each in tell.published.directory.family(found, tell.today)
            if each.tenant != found.tenant
        ],
        "hours": _hours(tell, found),
    }


def asked_service(request: Any) -> Service:
    """Return the service that the address names; 404 for one that is not offered."""
    tell = telling(request)
    found = tell.published.directory.find(request.GET.get("service", "")[:200])
    if found is None or not found.offered(tell.today):
        raise HTTPNotFound
    return found


def takes_reports(service: Service) -> bool:
    """Whether a service can be asked for on the web form."""
    return service.verb in ("report", "request") and (
        not service.channels or "web" in service.channels
    )


def _service_url(service: Service) -> str:
    return f"/service?service={service.ref}"


def _hours(tell: Telling, service: Service) -> list[dict[str, Any]]:
    shown = []
    for line in tell.published.lines.values():
        if line.tenant != service.tenant or line.channel not in ("phone", "walk_in", "text"):
            continue
        days = [
            (said(WEEKDAYS, day), ", ".join(tell.span(each) for each in spans) or _("Closed"))
            for day, spans in zip(DAYS, line.calendar.weekly, strict=True)
        ]
        shown.append({"name": line.name, "address": line.address, "days": days})
    return shown
