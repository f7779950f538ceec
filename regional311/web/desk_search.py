"""The desk's search box: hits as one types, picked by an address, and what was picked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from regional311.catalog.directory import Service
from regional311.catalog.search_log import record_choice, record_search
from regional311.intake.queries import familiar_services
from regional311.web.emergencies import pinned, scripts
from regional311.web.entry_alerts import entry_alerts
from regional311.web.freshness import freshness
from regional311.web.offering import room_of
from regional311.web.searching import (
    corrections_of,
    danger_in,
    ref_of,
    search_of,
    service_of,
    why,
)
from regional311.web.telling import telling
from regional311.web.wording import VERBS, said

LONGEST_QUESTION: Final = 200
HITS: Final = 8
ANSWERS: Final = 3
SEARCHED: Final = 16
"""Hits that are looked at for both."""


def hits_of(request: Any, here: str, *, walks: bool = False) -> dict[str, Any]:
    """Give what was searched for (`?q=`) and what was found, each picked by an address here.

    `walks` says that articles can be opened there. An empty box offers what this specialist is
    mostly asked for. Two statements, or one.
    """
    tell = telling(request)
    words = request.GET.get("q", "").strip()[:LONGEST_QUESTION]
    part = "HX-Request" in request.headers
    shown: dict[str, Any] = {
        "q": words,
        "searched": here,
        "live": f"{here}/services" if walks else None,
        "hits": [],
        "answers": [],
        "familiar": [],
        "pinned": pinned(request, lambda ref: f"{here}?{urlencode({'service': ref}, safe='/')}"),
        "pinned_scripts": scripts(
            request, lambda ref: f"{here}?{urlencode({'walk': f'{ref}:'}, safe='/:')}"
        )
        if walks
        else [],
        "corrections": [],
        "danger": danger_in(tell, words),
        "explained": request.GET.get("why") == "1",
        "final": part and request.GET.get("final") == "1",
    }
    if not words:
        shown["familiar"] = list(_familiar(request, here))
        return shown
    search = search_of(request, staff=True, own=request.tenant.id)
    found = search.find(request.dbsession, words, typing=True, limit=SEARCHED)
    if not part or shown["final"]:
        record_search(
            request.dbsession,
            now=request.now,
            door="desk",
            words=words,
            language=found.reading.language or search.language,
            results=found.total,
        )
    for hit in found.hits:
        picked = {"q": words, "hits": found.total}
        service = service_of(tell, hit)
        reasons = why(found, hit) if shown["explained"] else []
        if service is not None and len(shown["hits"]) < HITS and service.offered(tell.today):
            url = f"{here}?{urlencode({'service': service.ref, **picked}, safe='/')}"
            shown["hits"].append(_offer(request, service, url, reasons))
        elif walks and hit.kind == "article" and len(shown["answers"]) < ANSWERS:
            walk = {"walk": f"{ref_of(tell, hit)}:", **picked}
            shown["answers"].append(
                {
                    "url": f"{here}?{urlencode(walk, safe='/:')}",
                    "name": hit.title,
                    "who": tell.partner(hit.tenant_id),
                    "verb": None,
                    "summary": hit.summary,
                    "fresh": None,
                    "room": None,
                    "alerts": [],
                    "guide": hit.heading == "script",
                    "reasons": reasons,
                }
            )
    shown["corrections"] = corrections_of(found)
    return shown


def _familiar(request: Any, here: str) -> Iterator[dict[str, Any]]:
    tell = telling(request)
    for owner, key in familiar_services(request.dbsession, request.identity.person_id, request.now):
        service = tell.service(owner, key)
        if service is not None and service.offered(tell.today):
            yield _offer(
                request, service, f"{here}?{urlencode({'service': service.ref}, safe='/')}"
            )


def _offer(request: Any, service: Service, url: str, reasons: Sequence[Any] = ()) -> dict[str, Any]:
    tell = telling(request)
    return {
        "url": url,
        "name": service.name,
        "who": tell.partner(service.tenant),
        "verb": said(VERBS, service.verb),
        "summary": service.summary,
        "fresh": freshness(request, service),
        "room": room_of(tell, service),
        "alerts": entry_alerts(request, service),
        "guide": False,
        "reasons": reasons,
    }


def record_pick(request: Any, chosen: str) -> None:
    """Keep that a hit was picked, when one was: its address says which words found it."""
    words = request.GET.get("q", "").strip()[:LONGEST_QUESTION]
    if not words:
        return
    count = request.GET.get("hits", "")
    record_choice(
        request.dbsession,
        now=request.now,
        door="desk",
        words=words,
        language="en",
        results=int(count) if count.isascii() and count.isdecimal() and len(count) < 5 else 1,
        chosen=chosen,
    )
