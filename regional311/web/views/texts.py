"""Where the provider of texts brings them: `POST /texts`, signed as Standard Webhooks says it.

    {"type": "message.received", "data": {"id": "...", "from": "+1...", "to": "...", "text": "..."}}
    {"type": "message.delivered", "data": {"reference": "..."}}
    {"type": "message.failed", "data": {"reference": "...", "reason": "...", "lasting": "yes"}}

The same message again is taken once. Nothing here is for people.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import view_config

from regional311.inbox import texting
from regional311.notices.phones import e164
from regional311.web.hooks import LONGEST_KEY, key_in, keys_of, refuse, signed, unproven
from regional311.web.representations import json_response
from regional311.web.telling import Telling, telling
from regional311.web.tree import Root, enter


@view_config(
    context=Root,
    name="texts",
    permission=NO_PERMISSION_REQUIRED,
    request_method="POST",
    require_csrf=False,  # a call carries its signature, never a person's cookie
)
def texts(context: Root, request: Any) -> Response:
    """Take a text or a report in."""
    tell = telling(request)
    partner = _partner(tell, request, unproven(request))
    keys = keys_of(request, "texts", partner, request.registry.configured.text_secret)
    said = signed(request, keys)
    if isinstance(said, Response):
        return said
    kind, data = said
    if kind == "message.received":
        return _received(tell, request, data)
    if kind in ("message.delivered", "message.failed"):
        return _reported(request, partner, data, arrived=kind == "message.delivered")
    # kinds that come later are not ours, and are not sent again
    return json_response({"kept": False})


def _partner(tell: Telling, request: Any, data: dict[str, str]) -> Any:
    """Whose text it is: by the number that it came to, or by the reference of ours."""
    line = texting.line_with(tell.published, e164(data.get("to", "")) or "")
    if line is not None:
        return request.registry.partners.by_slug(line.tenant)
    return _sender(request, data)


def _sender(request: Any, data: dict[str, str]) -> Any:
    try:
        return request.registry.partners.by_id(UUID(data.get("reference", "").partition("/")[0]))
    except ValueError:
        return None


def _received(tell: Telling, request: Any, data: dict[str, str]) -> Response:
    key = key_in(data)
    if key is None:
        said = f"Give the message's id, one line of at most {LONGEST_KEY} characters."
        return refuse(400, said, "id")
    sender, to = e164(data.get("from", "")), e164(data.get("to", ""))
    if sender is None or to is None:
        field = "from" if sender is None else "to"
        return refuse(400, "Give a telephone number, such as +15038234000.", field)
    if len(data.get("text", "")) > texting.LONGEST:
        return refuse(400, f"A text has at most {texting.LONGEST} characters.", "text")
    line = texting.line_with(tell.published, to)
    if line is None:
        return refuse(404, "No line for texts has this number.", "to")
    partner = request.registry.partners.by_slug(line.tenant)
    enter(request, partner)
    kept = texting.take_in(
        request.dbsession,
        tell.published,
        line,
        texting.Text(key, sender, data.get("text", "")),
        now=request.now,
    )
    return json_response({"kept": True, "thread": kept.public_id, "repeated": kept.repeated})


def _reported(request: Any, partner: Any, data: dict[str, str], *, arrived: bool) -> Response:
    reference = data.get("reference", "")[:LONGEST_KEY]
    message, _dot, again = reference.partition("/")[2].partition(".")
    try:
        message_id = UUID(message)
        sendings = int(again) if again.isascii() and again.isdecimal() else 1
    except ValueError:
        partner = None
    # who signed it speaks of its own texts only
    if partner is None or partner != _sender(request, data) or len(again) > 9:
        return refuse(404, "There is no such text.", "reference")
    enter(request, partner)
    reason = "".join(
        each for each in data.get("reason", "")[:60] if each.isalnum() or each in " _-"
    )
    found = texting.report(
        request.dbsession,
        message_id,
        arrived=arrived,
        reason=reason or "no reason given",
        now=request.now,
        sendings=sendings,
        lasting=data.get("lasting", "").lower() in ("yes", "true"),
    )
    return json_response({"kept": found})
