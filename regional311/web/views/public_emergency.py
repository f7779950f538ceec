"""What is happening now, for everybody: the emergencies of the region in the visitor's language."""

from __future__ import annotations

from typing import Any

from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import view_config

from regional311.web.emergencies import on_now, pinned, places
from regional311.web.i18n import offered, page_language
from regional311.web.public_pages import alternates, canonical
from regional311.web.representations import json_response, wanted
from regional311.web.telling import telling
from regional311.web.tree import Root


@view_config(
    context=Root,
    name="emergency",
    permission=NO_PERMISSION_REQUIRED,
    request_method="GET",
    renderer="public/emergency.jinja2",
)
def emergency(context: Root, request: Any) -> Any:
    """What is told, shelters and closures, and what helps; never a drill."""
    tell = telling(request)
    found = on_now(request)
    shown = []
    for each in found:
        language, said = each.said(page_language(request))
        shown.append(
            {
                "id": each.public_id,
                "title": said["title"],
                "text": said.get("text") or "",
                "language": language,
                "who": tell.partner(each.tenant),
                "since": tell.when(each.started_at),
            }
        )
    if wanted(request) == "json":
        return json_response(
            [
                {
                    "id": each.public_id,
                    "partner": each.tenant,
                    "kind": each.kind,
                    "texts": each.texts,
                    "places": list(each.places),
                    "started_at": each.started_at,
                    "ends_at": each.ends_at,
                }
                for each in found
            ]
        )
    return {
        "emergencies": shown,
        "places": places(tell, found),
        "pinned": pinned(request, lambda ref: f"/services/{ref}"),
        "canonical": canonical(request),
        "alternates": alternates(request, offered(request)),
    }
