"""Our own style sheets and scripts leave compressed; those of others lie compressed beside them.

A page leaves compressed only where no cookie came and it holds no token of a form, as on a first
visit. All others may hold secrets beside what somebody typed, and how well both compress together
would tell of the secrets (BREACH).
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

KINDS: Final = frozenset({"text/css", "text/javascript", "application/javascript"})
PAGE: Final = "text/html"


def compressing_factory(handler: Callable[[Any], Any], _registry: Any) -> Callable[[Any], Any]:
    """Compress each file below ``/static/`` once a process, for whoever reads gzip."""
    made: dict[tuple[str, datetime | None], bytes] = {}

    def compress(request: Any) -> Any:
        response = handler(request)
        if request.method != "GET" or response.status_int != 200:
            return response
        page = response.content_type == PAGE
        if not page and not (
            request.path_info.startswith("/static/") and response.content_type in KINDS
        ):
            return response
        if page and not _without_secrets(request):
            return response
        response.vary = (*(response.vary or ()), "Accept-Encoding")
        if response.content_encoding or "Range" in request.headers or not _reads_gzip(request):
            return response
        if page:
            response.body = gzip.compress(response.body, 6, mtime=0)
            response.content_encoding = "gzip"
            return response
        key = request.path_info, response.last_modified
        parts = response.app_iter
        if key not in made:
            made[key] = gzip.compress(response.body, 9, mtime=0)
        if hasattr(parts, "close"):
            parts.close()
        response.body = made[key]
        response.content_encoding = "gzip"
        return response

    return compress


def _without_secrets(request: Any) -> bool:
    """Whether nobody is known to us by a cookie or a key, and no token for a form was made."""
    token = getattr(request, "anonymous_csrf_token", None)
    return not (request.cookies or request.authorization or token)


def _reads_gzip(request: Any) -> bool:
    asked = request.accept_encoding
    return bool(asked.header_value) and bool(asked.acceptable_offers(["gzip"]))
