"""What a person's own link shows once the record behind it was erased."""

from __future__ import annotations

from typing import Any

from regional311.web.telling import telling


def removed(request: Any, slug: str) -> dict[str, Any]:
    """Say that there is nothing any more, and whom to call; on whatever page the link leads to."""
    request.override_renderer = "public/removed.jinja2"
    request.response.headers["Cache-Control"] = "no-store"
    return {"phone": telling(request).phone(slug)}
