"""What programs are told when something cannot be done: problem+json (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
from pyramid.response import Response

PROBLEM: Final = "application/problem+json"


def problem(
    status: int,
    title: str,
    detail: str,
    *,
    code: str | None = None,
    errors: Sequence[Mapping[str, str]] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return a problem; `errors` name the fields (`pointer`), parameters or headers that it is of.

    `code` is the broken rule's stable name.
    """
    content: dict[str, Any] = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
    }
    if code:
        content["code"] = code
    if errors:
        content["errors"] = list(errors)
    answer = Response(orjson.dumps(content), status=status, content_type=PROBLEM, charset=None)
    answer.headers["Cache-Control"] = "no-store"
    answer.headers.update(headers or {})
    return answer
