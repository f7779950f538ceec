"""The desk: one's open contacts, and the start of the next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.view import view_config

from regional311.cover.queries import aids_of, duty_of, lent_lines
from regional311.cover.spoken import spoken_by
from regional311.database.ids import new_token
from regional311.errors import InvalidInput
from regional311.identity.permissions import Permissions as P
from regional311.intake import front_desk, queries
from regional311.keeping.queries import open_suggestions
from regional311.referral.filing import start_contact
from regional311.referral.snapshot import Line
from regional311.tenancy.once import once
from regional311.web.answering import lines_answered_by
from regional311.web.forms import form_key
from regional311.web.i18n import _
from regional311.web.ringing import waiting_of
from regional311.web.shelf import shelf
from regional311.web.telling import Telling, telling
from regional311.web.tree import Desk
from regional311.web.wording import CHANNELS, LANGUAGES, choices, said


@view_config(
    context=Desk, permission=P.CONTACT_TAKE, request_method="GET", renderer="desk/desk.jinja2"
)
def desk(context: Desk, request: Any) -> dict[str, Any]:
    """My open contacts, and a form that starts another."""
    tell = telling(request)
    person_id = request.identity.person_id
    lent = lent_lines(request.dbsession, person_id, request.now)
    lines = _lines(tell, lent)
    duty = duty_of(request.dbsession, person_id)
    open_contacts = queries.open_contacts(request.dbsession, person_id, queries.OPEN_SHOWN)
    beside = shelf(request, f"/{tell.slug}/desk")
    has_front_desk = any(channel == "walk_in" for _key, _name, channel in lines)
    return {
        "front_desk_url": f"/{tell.slug}/front-desk" if has_front_desk else None,
        "at_front_desk": front_desk.how_many_wait(request.dbsession, tell.today)
        if has_front_desk
        else 0,
        "notices": beside.notices,
        "notices_of_others": beside.far,
        "answered": open_suggestions(request.dbsession, received=False),
        "answers_url": f"/{tell.slug}/suggestions?view=sent&writer=me",
        "action": f"/{tell.slug}/desk",
        **waiting_of(request),
        "duty": _duty(tell, duty),
        "aids": _aids(tell, request) if duty is None else [],
        "spoken": spoken_by(request.dbsession, person_id) if duty is None else [],
        "me_url": f"/{tell.slug}/me",
        "message_url": f"/{tell.slug}/desk/message",
        "form_key": new_token(),
        "channels": choices(CHANNELS),
        "languages": choices(LANGUAGES),
        "lines": lines,
        "chosen": {
            "channel": "phone",
            "line": next((key for key, _name, channel in lines if channel == "phone"), ""),
            "language": "en",
        },
        "open_url": f"/{tell.slug}/contacts?state=open&specialist=me"
        if len(open_contacts) == queries.OPEN_SHOWN
        else None,
        "open": [
            {
                "url": f"/{tell.slug}/contacts/{each.public_id}",
                "public_id": each.public_id,
                "channel": said(CHANNELS, each.channel),
                "since": tell.when(each.started_at),
                "stage": _stage(each),
            }
            for each in open_contacts
        ],
    }


@view_config(context=Desk, permission=P.CONTACT_TAKE, request_method="POST")
def start(context: Desk, request: Any) -> HTTPSeeOther:
    """Start a contact on the server at once, and go to its page."""
    tell = telling(request)
    channel = request.POST.get("channel", "")
    language = request.POST.get("language", "en")
    line = request.POST.get("line", "")
    if channel not in CHANNELS:
        raise InvalidInput(_("Choose one of the channels listed."), field="channel")
    if language not in LANGUAGES:
        raise InvalidInput(_("Choose one of the languages listed."), field="language")
    lent = lent_lines(request.dbsession, request.identity.person_id, request.now)
    if line and line not in {ref for ref, _name, _channel in _lines(tell, lent)}:
        raise InvalidInput(_("Choose one of the lines listed."), field="line")

    def begin() -> dict[str, str]:
        started = start_contact(
            request.dbsession,
            tell.published,
            now=request.now,
            channel=channel,
            language=language,
            line=line,
        )
        return {"contact": started.public_id}

    answer = once(
        request.dbsession,
        f"desk-start:{form_key(request)}",
        {"channel": channel, "language": language, "line": line},
        begin,
    )
    return HTTPSeeOther(location=f"/{tell.slug}/contacts/{answer['contact']}")


def _duty(tell: Telling, duty: Any) -> dict[str, Any] | None:
    if duty is None:
        return None
    return {
        "until": tell.when(duty.until),
        "lent": duty.aid_id is not None,
        "over": duty.until <= tell.request.now,
    }


def _aids(tell: Telling, request: Any) -> list[tuple[Any, str]]:
    """Help for which one is lent and can go on duty, with the partner's name."""
    me = str(request.identity.person_id)
    return [
        (each.id, tell.partner(each.borrower_id))
        for each in aids_of(request.dbsession)
        if each.state == "accepted"
        and each.lender_id == request.tenant.id
        and me in {one["id"] for one in each.people}
    ]


def _lines(tell: Telling, lent: Sequence[str] = ()) -> list[tuple[str, Any, str]]:
    """The partner's own lines, then those of others that it answers when they are closed.

    ``lent`` are the lines on which one helps another partner in an emergency.
    """
    lines = tell.published.lines
    own = [
        (ref, line.name, line.channel)
        for ref, line in lines.items()
        if line.tenant == tell.slug and not line.ended
    ]
    others = [
        (
            line.ref,
            _(
                "${partner}: ${line}",
                mapping={"partner": tell.partner(line.tenant), "line": line.name},
            ),
            line.channel,
        )
        for line in _of_others(tell, lent)
    ]
    return own + others


def _of_others(tell: Telling, lent: Sequence[str]) -> list[Line]:
    answered = lines_answered_by(tell, tell.slug, tell.published.surges_at(tell.request.now))
    known = {line.ref for line in answered}
    more = [tell.published.lines[ref] for ref in lent if ref in tell.published.lines]
    return answered + [line for line in more if line.ref not in known]


def _stage(contact: Any) -> Any:
    if contact.danger_answer is None:
        return _("Danger not asked yet")
    if contact.danger_answer != "none":
        return _("Danger")
    return _("In conversation")
