"""Our own style sheets and scripts leave compressed; those of others lie compressed beside them.

Pages do not: they hold secrets and what somebody typed, and how well both compress together would
tell of the secrets (BREACH).
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

KINDS: Final = frozenset({"text/css", "text/javascript", "application/javascript"})


def compressing_factory(handler: Callable[[Any], Any], _registry: Any) -> Callable[[Any], Any]:
    """Compress each file below ``/static/`` once a process, for whoever reads gzip."""
    made: dict[tuple[str, datetime | None], bytes] = {}

    def compress(request: Any) -> Any:
        response = handler(request)
        if (
            request.method != "GET"
            or response.status_int != 200
            or not request.path_info.startswith("/static/")
            or response.content_type not in KINDS
        ):
            return response
        response.vary = ("Accept-Encoding",)
        if response.content_encoding or "Range" in request.headers or not _reads_gzip(request):
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


def _reads_gzip(request: Any) -> bool:
    asked = request.accept_encoding
    return bool(asked.header_value) and bool(asked.acceptable_offers(["gzip"]))
