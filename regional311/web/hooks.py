"""What programs outside send, signed as Standard Webhooks says it: read strictly, or refused."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pyramid.response import Response

from regional311.exchange.signing import SignatureRefused
from regional311.exchange.webhooks import key_of, verify
from regional311.inbox import hook_secrets
from regional311.web.partners import Partner
from regional311.web.representations import json_response
from regional311.web.tree import enter

LONGEST_KEY: Final = 200


def refuse(status: int, message: str, field: str | None = None) -> Response:
    """Answer what is wrong, and where."""
    answer = json_response({"error": "Refused", "message": message, "field": field})
    answer.status_int = status
    return answer


def key_in(data: Mapping[str, str]) -> str | None:
    """Give the sender's own id of what it brings; None for one that cannot be kept as it is."""
    key = data.get("id", "").strip()
    return key if key and len(key) <= LONGEST_KEY and key.isprintable() else None


def unproven(request: Any) -> dict[str, str]:
    """Give the texts that a message says of itself, before anybody knows who sent it.

    Good for one thing: to find whose secret must have signed it.
    """
    try:
        data = json.loads(request.body.decode())["data"]
    except (ValueError, RecursionError, TypeError, KeyError):
        return {}
    found = data.items() if isinstance(data, dict) else ()
    return {key: value for key, value in found if isinstance(value, str)}


def keys_of(request: Any, hook: str, partner: Partner | None, shared: str | None) -> list[bytes]:
    """Give the keys that are good for a partner: its own where it has one, else the installation's.

    Enters the partner.
    """
    own = None
    if partner is not None:
        enter(request, partner)
        own = hook_secrets.keys(
            request.dbsession, hook, sealed_by=request.registry.configured.secret, now=request.now
        )
    if own is not None:
        return own
    return [] if shared is None else [key_of(shared)]


def signed(request: Any, keys: Sequence[bytes]) -> tuple[str, dict[str, str]] | Response:
    """Give the type and the data of a message that was rightly signed; otherwise the refusal."""
    refused: Response | None = refuse(404, "Nothing is received here: no secret is configured.")
    for key in keys:
        try:
            verify(request.headers, request.body, key=key, now=request.now)
        except SignatureRefused as error:
            refused = refuse(401, error.message)
        else:
            refused = None
            break
    if refused is not None:
        return refused
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
