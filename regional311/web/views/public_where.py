"""The outlines of the region, for saying on a small map where something is."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import view_config

from regional311.referral.snapshot import Published
from regional311.web.telling import telling
from regional311.web.tree import Root
from regional311.web.views.public_services import outline


@view_config(
    context=Root,
    name="where",
    permission=NO_PERMISSION_REQUIRED,
    request_method="GET",
    renderer="json",
)
def where(context: Root, request: Any) -> dict[str, Any]:
    """Areas and lines of every partner with their names, as GeoJSON; areas come first."""
    request.response.cache_control = "public, max-age=300"
    return everywhere(telling(request).published)


@lru_cache(maxsize=1)
def everywhere(published: Published) -> dict[str, Any]:
    """Give the outlines of a published version, made once however many there are."""
    features = [
        {
            "type": "Feature",
            "properties": {"name": row.name, "partner": key.partition("/")[0]},
            "geometry": outline(published, key),
        }
        for key, row in sorted(published.boundaries.items())
    ]
    features.sort(key=lambda each: each["geometry"]["type"].endswith("LineString"))
    return {"type": "FeatureCollection", "features": features}
