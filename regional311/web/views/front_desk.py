"""The front desk: who came in, who waits, who is called; and the screen of the waiting room."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, unquote
from uuid import UUID

from pyramid.httpexceptions import HTTPNotFound, HTTPSeeOther
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import view_config

from regional311.errors import InvalidInput
from regional311.floor.giving import direct_visit
from regional311.identity.members import names_of
from regional311.identity.permissions import Permissions as P
from regional311.inbox.queries import colleagues
from regional311.intake import front_desk
from regional311.intake.front_desk import Seen
from regional311.intake.models import Visit
from regional311.intake.service import Started
from regional311.referral.filing import start_contact
from regional311.tenancy.once import once
from regional311.web.forms import (
    Boolean,
    CheckboxWidget,
    Choice,
    Schema,
    SchemaNode,
    SelectWidget,
    String,
    TextWidget,
    form_key,
    handle_form_submission,
    make_form,
)
from regional311.web.i18n import _
from regional311.web.searching import danger_in, log_danger
from regional311.web.security import may
from regional311.web.telling import Telling, telling
from regional311.web.tree import FrontDesk, WaitingRoom, enter
from regional311.web.wording import LANGUAGES, choices, said


class ArrivalForm(Schema):
    """What somebody who comes in may say; nothing of it is needed."""

    name = SchemaNode(
        String(front_desk.LONGEST_NAME),
        title=_("Name, or what to call"),
        description=_("May stay empty: everybody gets a number."),
        widget=TextWidget(autocomplete="off"),
        missing=None,
    )
    reason = SchemaNode(
        String(front_desk.LONGEST),
        title=_("What it is about"),
        widget=TextWidget(autocomplete="off"),
        missing=None,
    )
    language = SchemaNode(
        Choice(LANGUAGES),
        title=_("Language"),
        widget=SelectWidget(values=choices(LANGUAGES), empty=None),
        missing="en",
        default="en",
    )
    interpreter = SchemaNode(
        Boolean(), title=_("Needs an interpreter"), widget=CheckboxWidget(), missing=False
    )
    accommodation = SchemaNode(
        String(front_desk.LONGEST),
        title=_("Accommodation needed"),
        widget=TextWidget(autocomplete="off"),
        missing=None,
    )
    line = SchemaNode(Choice(()), title=_("Where"), missing=None)


def _desks(tell: Telling) -> list[tuple[str, Any]]:
    """The partner's front desks: its lines where people walk in."""
    return [
        (line.key, line.name)
        for line in tell.published.lines.values()
        if line.tenant == tell.slug and line.channel == "walk_in" and not line.ended
    ]


def _arrival_form(request: Any) -> Any:
    tell = telling(request)
    desks = _desks(tell)
    schema = ArrivalForm()
    if len(desks) > 1:
        schema["line"].typ = Choice([key for key, _name in desks])
        schema["line"].widget = SelectWidget(values=desks, empty=None)
    else:
        del schema["line"]
    return make_form(
        request,
        schema,
        submit=_("Give a number"),
        name="arrive",
        action=f"/{tell.slug}/front-desk",
        once=True,
    )


@view_config(
    context=FrontDesk,
    permission=P.CONTACT_TAKE,
    request_method="GET",
    renderer="front_desk/index.jinja2",
)
def index(context: FrontDesk, request: Any) -> dict[str, Any]:
    """Who waits, who is being helped, who has left; and the form for who comes in."""
    return _page(request, _arrival_form(request))


def _page(request: Any, form: Any) -> dict[str, Any]:
    tell = telling(request)
    seen = front_desk.visits(request.dbsession, tell.today)
    runs = may(request, P.FLOOR_RUN)
    people = colleagues(request.dbsession) if runs else {}
    names = names_of(
        request.dbsession, {who for each in seen for who in (each.called_by, each.for_id) if who}
    )
    desks = dict(_desks(tell))
    rows = {
        state: [_row(tell, request, each, names, desks) for each in seen if where(each)]
        for state, where in (
            ("waiting", lambda each: each.state == "waiting"),
            ("called", lambda each: each.under_way),
            ("done", lambda each: each.state != "waiting" and not each.under_way),
        )
    }
    usual = front_desk.usual_wait(seen)
    return {
        "form": form,
        "here": f"/{tell.slug}/front-desk",
        "screen_url": f"/waiting/{tell.slug}",
        "rows": rows,
        "colleagues": list(people.items()),
        "runs": runs,
        "next": _next(seen, request.identity.person_id),
        "usual": None if usual is None else tell.minutes(usual),
        "late": sum(each["late"] for each in rows["waiting"]),
        "last_place": unquote(request.cookies.get(PLACE, ""))[: front_desk.LONGEST_NAME],
    }


def _next(seen: Sequence[Seen], me: UUID) -> int | None:
    """The number that is called next: who waits for this person, then who waits for anybody."""
    waits = [each for each in seen if each.state == "waiting" and each.for_id in (None, me)]
    first = min(waits, key=lambda each: (each.for_id is None, each.number), default=None)
    return None if first is None else first.number


PLACE = "called_to"
"""The cookie in which this browser keeps at which window it stands."""


def _told(visit: Seen | front_desk.Arrival) -> str:
    """What somebody said at the door, in which danger may be named."""
    return " ".join(filter(None, (visit.reason, visit.accommodation)))


def _row(
    tell: Telling, request: Any, each: Seen, names: Any, desks: dict[str, Any]
) -> dict[str, Any]:
    waited = (each.called_at or each.left_at or request.now) - each.arrived_at
    return {
        "id": each.id,
        "number": each.number,
        "name": each.name,
        "reason": each.reason,
        "danger": next(iter(danger_in(tell, _told(each))), None),
        "language": said(LANGUAGES, each.language) if each.language != "en" else None,
        "interpreter": each.interpreter,
        "accommodation": each.accommodation,
        "desk": desks.get(each.line_key or "") if len(desks) > 1 else None,
        "arrived": tell.when(each.arrived_at),
        "waited": tell.minutes(waited),
        "late": each.state == "waiting" and waited > front_desk.LATE,
        "by": names.get(each.called_by),
        "for": names.get(each.for_id) if each.for_id else None,
        "for_id": each.for_id,
        "to": each.called_to,
        "contact": each.contact,
        "contact_url": f"/{tell.slug}/contacts/{each.contact}" if each.contact else None,
        "left": each.state == "left",
    }


@view_config(
    context=FrontDesk,
    permission=P.CONTACT_TAKE,
    request_method="POST",
    renderer="front_desk/index.jinja2",
)
def arrive(context: FrontDesk, request: Any) -> Any:
    """Take somebody in and say their number."""
    tell = telling(request)
    form = _arrival_form(request)
    desks = _desks(tell)

    def on_success(values: dict[str, Any]) -> HTTPSeeOther:
        line = values.pop("line", None) or (desks[0][0] if desks else None)
        arrival = front_desk.Arrival(**values, line_key=line)

        def take() -> dict[str, int]:
            number = front_desk.arrive(
                request.dbsession, arrival, today=tell.today, now=request.now
            )
            return {"number": number}

        made = once(request.dbsession, f"front-desk:{form_key(request)}", values, take)
        request.flash("success", _("Number ${number}.", mapping={"number": made["number"]}))
        signs = danger_in(tell, _told(arrival))
        log_danger("walk_in", signs)
        for sign in signs[:1]:
            request.flash(
                "error",
                _(
                    "Number ${called}: ${sign}? Do not let them wait. Call ${number} now.",
                    mapping={"called": made["number"], "sign": sign.name, "number": sign.number},
                ),
            )
        return HTTPSeeOther(location=f"/{tell.slug}/front-desk")

    return handle_form_submission(request, form, on_success, lambda: _page(request, form))


@view_config(context=FrontDesk, name="call", permission=P.CONTACT_TAKE, request_method="POST")
def call(context: FrontDesk, request: Any) -> HTTPSeeOther:
    """Call one, or whoever has waited longest, and go to the contact that begins."""
    tell = telling(request)
    place = request.POST.get("to", "").strip() or None

    def begin(visit: Visit, waited: int) -> Started:
        return start_contact(
            request.dbsession,
            tell.published,
            now=request.now,
            channel="walk_in",
            line=f"{tell.slug}/{visit.line_key}" if visit.line_key else "",
            language=visit.language,
            wait_seconds=waited,
        )

    number, contact = front_desk.call(
        request.dbsession,
        today=tell.today,
        now=request.now,
        begin=begin,
        visit_id=_asked(request) if request.POST.get("visit") else None,
        to=place,
    )
    request.flash("success", _("Number ${number} is called.", mapping={"number": number}))
    answer = HTTPSeeOther(location=f"/{tell.slug}/contacts/{contact}")
    answer.set_cookie(
        PLACE,
        quote(place or ""),
        path=f"/{tell.slug}/front-desk",
        httponly=True,
        samesite="Lax",
        secure=request.scheme == "https",
    )
    return answer


@view_config(context=FrontDesk, name="leave", permission=P.CONTACT_TAKE, request_method="POST")
def leave(context: FrontDesk, request: Any) -> HTTPSeeOther:
    """Somebody went away, or did not come."""
    tell = telling(request)
    number = front_desk.leave(
        request.dbsession, visit_id=_asked(request), today=tell.today, now=request.now
    )
    request.flash(
        "success",
        _("Number ${number} has left. It can be put back below.", mapping={"number": number}),
    )
    return HTTPSeeOther(location=f"/{tell.slug}/front-desk")


@view_config(context=FrontDesk, name="back", permission=P.CONTACT_TAKE, request_method="POST")
def back(context: FrontDesk, request: Any) -> HTTPSeeOther:
    """Put somebody who left back where they were."""
    tell = telling(request)
    number = front_desk.come_back(
        request.dbsession, visit_id=_asked(request), today=tell.today, now=request.now
    )
    request.flash("success", _("Number ${number} waits again.", mapping={"number": number}))
    return HTTPSeeOther(location=f"/{tell.slug}/front-desk")


@view_config(context=FrontDesk, name="direct", permission=P.FLOOR_RUN, request_method="POST")
def direct(context: FrontDesk, request: Any) -> HTTPSeeOther:
    """Let somebody wait for one colleague, or for anybody again."""
    tell, chosen = telling(request), request.POST.get("for", "")
    try:
        to = UUID(chosen) if chosen else None
    except ValueError:
        raise InvalidInput(_("Choose one of those listed."), field="for") from None
    people = colleagues(request.dbsession)
    number = direct_visit(
        request.dbsession,
        _asked(request),
        to=to,
        colleagues=people,
        today=tell.today,
        now=request.now,
    )
    request.flash(
        "success",
        _("Number ${number} waits for ${name}.", mapping={"number": number, "name": people[to]})
        if to
        else _("Number ${number} waits for anybody.", mapping={"number": number}),
    )
    return HTTPSeeOther(location=f"/{tell.slug}/front-desk")


def _asked(request: Any) -> UUID:
    try:
        return UUID(str(request.POST.get("visit", "")))
    except ValueError:
        raise InvalidInput(_("Choose one of those listed."), field="visit") from None


@view_config(
    context=WaitingRoom,
    permission=NO_PERMISSION_REQUIRED,
    request_method="GET",
    renderer="public/waiting.jinja2",
)
def waiting_room(context: WaitingRoom, request: Any) -> dict[str, Any]:
    """What the screen shows: who is called where, how many wait. Numbers only."""
    enter(request, context.partner)
    tell = telling(request)
    if not _desks(tell):
        raise HTTPNotFound
    seen = front_desk.visits(request.dbsession, tell.today)
    usual = front_desk.usual_wait(seen)
    return {
        "partner": context.partner.name,
        "called": [
            {"number": each.number, "to": each.called_to}
            for each in front_desk.to_show(seen, request.now)
        ],
        "waiting": sum(each.state == "waiting" for each in seen),
        "usual": None if usual is None else tell.minutes(usual),
        "time": tell.when(request.now),
    }
