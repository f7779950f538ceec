"""What programs outside send, signed as Standard Webhooks says it: read strictly, or refused."""

from __future__ import annotations

import json
from typing import Any

from pyramid.response import Response

from regional311.exchange.signing import SignatureRefused
from regional311.exchange.webhooks import key_of, verify
from regional311.web.representations import json_response


def refuse(status: int, message: str, field: str | None = None) -> Response:
    """Answer what is wrong, and where."""
    answer = json_response({"error": "Refused", "message": message, "field": field})
    answer.status_int = status
    return answer


def signed(request: Any, secret: str | None) -> tuple[str, dict[str, str]] | Response:
    """Give the type and the data of a message that was rightly signed; otherwise the refusal."""
    if secret is None:
        return refuse(404, "Nothing is received here: no secret is configured.")
    try:
        verify(request.headers, request.body, key=key_of(secret), now=request.now)
    except SignatureRefused as error:
        return refuse(401, error.message)
    try:
        sent = json.loads(request.body.decode())
        kind, data = sent["type"], sent["data"]
    except (ValueError, RecursionError, TypeError, KeyError):
        return refuse(400, "Send one JSON object with type and data, in UTF-8.")
    if not isinstance(kind, str):
        return refuse(400, "type must be text.", "type")
    if not isinstance(data, dict) or not all(isinstance(each, str) for each in data.values()):
        return refuse(400, "data must be one object of texts.", "data")
    return kind, data
