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

from regional311.cover.queries import lenders_of, lent_lines
from regional311.errors import InvalidInput, NotFound
from regional311.identity.permissions import Permissions as P
from regional311.inbox import calls
from regional311.inbox.models import Call
from regional311.intake.service import Started
from regional311.notices.phones import e164
from regional311.referral.filing import start_contact
from regional311.referral.snapshot import Line
from regional311.tenancy.answering import HERE, PARTNER
from regional311.web.hooks import LONGEST_KEY, key_in, keys_of, refuse, signed, unproven
from regional311.web.i18n import _
from regional311.web.representations import json_response
from regional311.web.ringing import ref_heard
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
        desks=_desks(request, tell, line),
    )
    return json_response({"kept": True, "repeated": not new})


def _desks(request: Any, tell: Telling, line: Line) -> calls.Desks:
    """Where a call on a line rings now. A voicemail, or nobody, is its owner's to call back."""
    answer = tell.published.who_answers(line.ref, request.now)
    named = {
        each.answer.partition("/")[0]
        for each in tell.published.surges_at(request.now)
        if each.line == line.ref and answer.kind == HERE
    } - {line.tenant}
    return calls.Desks(
        tell.published.ids[answer.partner] if answer.kind == PARTNER else None,
        tuple(tell.published.ids[each] for each in named & tell.published.partners.keys()),
        tuple(lenders_of(request.dbsession, line.ref, request.now)),
    )


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
        line = ref_heard(tell, call.line_owner_id, call.line_key)
        if call.rings == calls.LENT and line not in lent_lines(
            request.dbsession, request.identity.person_id, request.now
        ):
            raise NotFound(_("There is no such call."))
        return start_contact(
            request.dbsession,
            tell.published,
            now=request.now,
            channel="phone",
            line=line,
            wait_seconds=waited,
            rang_at=call.rang_at,
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
            line=ref_heard(tell, call.line_owner_id, call.line_key),
            rang_at=call.rang_at if call.line_owner_id else None,
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
