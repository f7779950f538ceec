"""Whether this installation can serve, for whoever watches it."""

from __future__ import annotations

from typing import Any

from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import view_config

from regional311.database.health import health
from regional311.web.tree import Root


@view_config(
    context=Root,
    name="healthz",
    permission=NO_PERMISSION_REQUIRED,
    request_method="GET",
    renderer="json",
)
def healthz(context: Root, request: Any) -> dict[str, Any]:
    """200 when the database is reached and its migrations are current, otherwise 503."""
    found = health(request.registry.engine)
    request.response.status_int = 200 if found.ok else 503
    request.response.headers["Cache-Control"] = "no-store"
    return {
        "ok": found.ok,
        "database": found.reachable,
        "migrations_current": found.migrations_current,
    }
