"""Calls: a telephone system tells of them (`POST /calls`, signed), the desk opens and calls back.

{"type": "call.ringing", "data": {"id": "...", "to": "+15038234000", "from": "+1..."}}
{"type": "call.answered", "data": {"id": "...", "to": "+15038234000"}}
{"type": "call.ended", "data": {"id": "...", "to": "+15038234000"}}
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import view_config

from regional311.errors import InvalidInput
from regional311.identity.permissions import Permissions as P
from regional311.inbox import calls
from regional311.inbox.models import Call
from regional311.intake.service import Started
from regional311.notices.phones import e164
from regional311.referral.filing import start_contact
from regional311.referral.snapshot import Line
from regional311.web.hooks import LONGEST_KEY, key_in, keys_of, refuse, signed, unproven
from regional311.web.i18n import _
from regional311.web.representations import json_response
from regional311.web.telling import Telling, telling
from regional311.web.tree import Desk, Root, enter


@view_config(
    context=Root,
    name="calls",
    permission=NO_PERMISSION_REQUIRED,
    request_method="POST",
    require_csrf=False,  # a call carries its signature, never a person's cookie
)
def told(context: Root, request: Any) -> Response:
    """Keep what a telephone system says of a call."""
    tell = telling(request)
    line = _line(tell, unproven(request).get("to", ""))
    partner = None if line is None else request.registry.partners.by_slug(line.tenant)
    keys = keys_of(request, "calls", partner, request.registry.configured.phone_secret)
    said = signed(request, keys)
    if isinstance(said, Response):
        return said
    kind, data = said
    event = kind.removeprefix("call.")
    if event not in calls.EVENTS or kind == event:
        return refuse(400, "type is call.ringing, call.answered or call.ended.", "type")
    key = key_in(data)
    if key is None:
        said = f"Give the call's id, one line of at most {LONGEST_KEY} characters."
        return refuse(400, said, "id")
    if line is None:
        return refuse(404, "No telephone line has this number.", "to")
    enter(request, request.registry.partners.by_slug(line.tenant))
    new = calls.announce(
        request.dbsession,
        key=key,
        line_key=line.key,
        caller=e164(data.get("from", "")),
        event=event,
        now=request.now,
    )
    return json_response({"kept": True, "repeated": not new})


def _line(tell: Telling, number: str) -> Line | None:
    """The telephone line with a number, however either is spelled; short numbers as they are."""
    wanted = e164(number) or number.strip()
    return next(
        (
            each
            for each in tell.published.lines.values()
            if each.channel == "phone"
            and not each.ended
            and (e164(each.address) or each.address) == wanted
        ),
        None,
    )


def _asked(request: Any) -> UUID:
    try:
        return UUID(str(request.POST.get("call", "")))
    except ValueError:
        raise InvalidInput(_("Choose one of those listed."), field="call") from None


@view_config(context=Desk, name="call", permission=P.CONTACT_TAKE, request_method="POST")
def take(context: Desk, request: Any) -> HTTPSeeOther:
    """Open the contact of a call that rings."""
    tell = telling(request)

    def begin(call: Call, waited: int) -> Started:
        return start_contact(
            request.dbsession,
            tell.published,
            now=request.now,
            channel="phone",
            line=f"{tell.slug}/{call.line_key}",
            wait_seconds=waited,
        )

    started = calls.take(request.dbsession, _asked(request), begin=begin, now=request.now)
    return HTTPSeeOther(location=f"/{tell.slug}/contacts/{started.public_id}")


@view_config(context=Desk, name="call-back", permission=P.CONTACT_TAKE, request_method="POST")
def call_back(context: Desk, request: Any) -> HTTPSeeOther:
    """Call back whom nobody answered, as a contact of one's own; or leave it at that."""
    tell = telling(request)

    def begin(call: Call) -> Started:
        return start_contact(
            request.dbsession,
            tell.published,
            now=request.now,
            channel="phone",
            line=f"{tell.slug}/{call.line_key}",
        )

    started = calls.call_back(
        request.dbsession,
        _asked(request),
        begin=begin if request.POST.get("then") == "call" else None,
        now=request.now,
    )
    if started is None:
        request.flash("success", _("It is off the list."))
        return HTTPSeeOther(location=f"/{tell.slug}/desk")
    return HTTPSeeOther(location=f"/{tell.slug}/contacts/{started.public_id}")
