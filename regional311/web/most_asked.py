"""What is asked for most, for the start page: services, and nobody who asked.

Each partner's latest requests are counted in its own name. A process counts once in a while: what
is asked most changes slowly, and the start page is opened often.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import func, select

from regional311.database.session import Scope, open_session
from regional311.intake.models import ServiceRequest
from regional311.web.i18n import page_language
from regional311.web.partners import REGION
from regional311.web.spoken import own_language, spoken_service
from regional311.web.telling import telling

AGAIN: Final = timedelta(minutes=10)
SINCE: Final = timedelta(days=30)
LATEST: Final = 5_000
"""Requests of a partner that are counted, however many there are."""
FEW: Final = 5
"""What was asked for more seldom is not named: it could tell of somebody."""
SHOWN: Final = 8


def most_asked(request: Any, slug: str | None = None) -> list[dict[str, Any]]:
    """Give the services that were asked for most lately and are offered, with their pages.

    Those of one partner where it is named.
    """
    tell, found = telling(request), []
    for ref in _counted(request):
        if slug is not None and ref.partition("/")[0] != slug:
            continue
        service = tell.published.directory.find(ref)
        if service is None or not service.offered(tell.today) or service.confidential:
            continue
        own = own_language(tell.published.tenants[service.tenant])
        spoken = spoken_service(service, own, page_language(request))
        found.append(
            {
                "url": f"/services/{service.ref}",
                "name": spoken.name,
                "partner": tell.partner(service.tenant),
            }
        )
    return found[:SHOWN]


def _counted(request: Any) -> list[str]:
    """Services as ``partner/key``, the most asked first: one statement a partner, now and then."""
    registry, now = request.registry, request.now
    known: tuple[datetime, list[str]] | None = getattr(registry, "most_asked", None)
    if known is not None and abs(now - known[0]) < AGAIN:
        return known[1]
    # whoever comes while this thread counts has the list as it was
    registry.most_asked = (now, known[1] if known is not None else [])
    counts: Counter[str] = Counter()
    for slug, tenant_id in telling(request).published.ids.items():
        if slug == REGION:
            continue
        latest = (
            select(ServiceRequest.service_key)
            .where(
                ServiceRequest.tenant_id == tenant_id,
                ServiceRequest.opened_at > now - SINCE,
                ServiceRequest.confidential.is_(False),
            )
            .order_by(ServiceRequest.opened_at.desc())
            .limit(LATEST)
            .subquery()
        )
        many = func.count()
        with open_session(registry.engine, Scope(tenant_id)) as session:
            rows = session.execute(
                select(latest.c.service_key, many)
                .group_by(latest.c.service_key)
                .having(many >= FEW)
            ).all()
            session.rollback()
        counts.update({f"{slug}/{key}": number for key, number in rows})
    ordered = sorted(counts, key=lambda ref: (-counts[ref], ref))
    registry.most_asked = (now, ordered)
    return ordered
