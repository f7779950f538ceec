"""Open requests that may be the same as what is about to be filed, as pages show them."""

from __future__ import annotations

from typing import Any

from regional311.catalog.directory import Service
from regional311.database.session import acting_for
from regional311.intake.nearby import DEFAULT_HOURS, DEFAULT_METRES, Near, Sought, near
from regional311.referral.filing import Place, Preview
from regional311.referral.rules import OPEN_REQUEST
from regional311.web.i18n import _
from regional311.web.telling import Telling, telling
from regional311.web.wording import REQUEST_STATES, said


def sought(tell: Telling, service: Service, place: Any) -> Sought:
    """What the same as a request for `service` would be; `place` has words and a point, or lacks
    them.
    """
    words = place.text if isinstance(place, Place) else place.place_text
    return Sought(
        service_keys=tell.published.directory.alike(service.ref, tell.today),
        latitude=place.latitude,
        longitude=place.longitude,
        place_text=words,
        metres=service.details.get("duplicate_metres") or DEFAULT_METRES,
        hours=service.details.get("duplicate_hours") or DEFAULT_HOURS,
    )


def same_already(request: Any, seen: Preview, place: Place) -> list[Near]:
    """Give the open requests of whoever is responsible that may be the same."""
    decision, service = seen.decision, seen.service
    if decision is None or decision.outcome != OPEN_REQUEST or service is None:
        return []
    if service.confidential or service.tenant not in telling(request).published.ids:
        return []
    wanted = sought(telling(request), service, place)
    with acting_for(request.dbsession, telling(request).published.ids[service.tenant]):
        return near(request.dbsession, wanted, now=request.now)


def told(tell: Telling, owner: str, each: Near) -> dict[str, Any]:
    """One of them in words."""
    return {
        "number": each.public_id,
        "name": tell.published.names.get(f"{owner}/{each.service_key}", each.service_key),
        "where": where(each),
        "opened": tell.when(each.opened_at),
        "expected": tell.day(each.expected_at),
        "state": said(REQUEST_STATES, each.state),
        "words": each.description,
        "picture": each.picture,
        "too": each.me_too,
        "place": each.place_text,
    }


def where(each: Near) -> Any:
    """How far away it is."""
    if each.metres is None or each.metres < 1:
        return _("At the same place")
    return _("${metres} m away", mapping={"metres": each.metres})
