"""Live hand-overs on both desks: ring, answer or let pass, with the shared summary."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from pyramid.httpexceptions import HTTPNoContent, HTTPNotFound, HTTPSeeOther
from pyramid.renderers import render_to_response
from pyramid.view import view_config
from sqlalchemy import select

from regional311.cover import handovers, later_rings
from regional311.cover.handovers import AnsweredAlready, RingsAlready
from regional311.cover.later_rings import AskedAlready, OnTheLine, SeenToAlready, may_be_called
from regional311.cover.models import Handover
from regional311.cover.queries import handovers_of, on_duty
from regional311.database.ids import is_public_id
from regional311.database.rows import send
from regional311.database.session import scope_of
from regional311.errors import InvalidInput, NotFound
from regional311.identity.permissions import Permissions as P
from regional311.intake import queries
from regional311.notices.phones import shown as shown_number
from regional311.referral.filing import DangerNotAsked
from regional311.referral.handing_over import KEPT_DAYS, ring_through, summary
from regional311.tenancy.answering import HERE
from regional311.web import ringing_later
from regional311.web.i18n import _, translated
from regional311.web.ringing import STATES, attempts_of, shared_of, stop_of, waiting_of
from regional311.web.searching import danger_in
from regional311.web.security import may
from regional311.web.telling import Telling, call_link, telling
from regional311.web.tree import ContactRecord, Desk
from regional311.web.wording import CHANNELS, LANGUAGES, choices, said

RUNG = ("phone", "text", "chat")
"""Channels of the lines that can be rung."""


# --- who rings ------------------------------------------------------------------------------------


def _ready(context: ContactRecord) -> Any:
    found = context.record
    if found.danger_answer is None:
        raise DangerNotAsked(_("Ask first whether anybody is in danger."))
    return found


def _targets(tell: Telling, request: Any, channel: str, language: str) -> list[dict[str, Any]]:
    """The partners with their lines and who is on duty; who speaks the language comes first."""
    there = on_duty(request.dbsession, request.now)
    shown: list[dict[str, Any]] = []
    for slug in sorted(tell.published.partners, key=tell.partner):
        if slug == tell.slug:
            continue
        people: list[dict[str, Any]] = [
            {
                "value": f"person:{each.person_id}",
                "name": each.name,
                "languages": [said(LANGUAGES, code) for code in each.languages],
                "speaks": language in each.languages,
            }
            for each in there
            if each.tenant_id == tell.published.ids[slug]
        ]
        lines = []
        for line in tell.published.lines.values():
            if line.tenant != slug or line.ended or line.channel not in ("phone", channel):
                continue
            answer = tell.published.who_answers(line.ref, request.now)
            lines.append(
                {
                    "value": f"line:{line.ref}",
                    "name": line.name,
                    "address": line.address,
                    "open": answer.kind == HERE,
                    "closed": None if answer.kind == HERE else ringing_later.closed(tell, line),
                }
            )
        shown.append(
            {
                "slug": slug,
                "name": tell.partner(slug),
                "people": sorted(people, key=lambda one: not one["speaks"]),
                "lines": lines,
            }
        )
    return shown


def _shown(tell: Telling, row: Any) -> dict[str, Any]:
    return {
        "number": row.public_id,
        "who": tell.partner(row.partner_id) if row.partner_id else _("911"),
        "state": STATES[row.state],
        "rings": row.state == "ringing",
        "out": row.side == "out",
        "attempts": attempts_of(tell, row),
        "shared": shared_of(tell, row.shared),
        "stop": stop_of(tell, row),
        "reason": row.reason,
        "return_reason": row.return_reason,
        "taken_by": row.taken_name,
    }


@view_config(
    context=ContactRecord,
    name="handover",
    permission=P.CONTACT_TAKE,
    request_method="GET",
    renderer="contacts/handover.jinja2",
)
def handover(context: ContactRecord, request: Any) -> Any:
    """Whom to ring, what goes along, and what became of it; asked again by the page itself."""
    tell = telling(request)
    found = context.record
    rows = handovers_of(request.dbsession, found.id)
    here = f"/{tell.slug}/contacts/{found.public_id}"
    rung = [_shown(tell, each) for each in rows]
    seen = "-".join(f"{each.state}{len(each.attempts)}{each.consent_ended or ''}" for each in rows)
    part = {
        "rung": rung,
        "action": f"{here}/handover",
        "poll_url": f"{here}/handover?seen={seen}"
        if any(each["rings"] and each["out"] for each in rung)
        else None,
        "contact_url": here,
    }
    if "HX-Request" in request.headers:
        if request.GET.get("seen") == seen:
            return HTTPNoContent()
        return render_to_response("contacts/rung.jinja2", part, request=request)
    later = later_rings.later(request.dbsession, found.id)
    # who was promised a call is put through from the contact that they had
    ready = found.danger_answer == "none" and (found.ended_at is None or bool(later))
    language = request.GET.get("language") or found.language
    rings = any(each["rings"] for each in rung)
    targets = _targets(tell, request, found.channel, language) if ready and not rings else []
    free: dict[str, Any] = {}
    asked: dict[str, Any] = {}
    detail = queries.contact_detail(request.dbsession, found.id) if targets or later else None
    if detail is not None:
        if found.ended_at is not None:
            targets = _promised(targets, {row.partner for row in later})
        for each in targets:
            carried = summary(
                tell.published, detail, sender=tell.slug, to=each["slug"], now=request.now
            )
            free |= carried.free
            asked |= carried.asked
    sharing = tell.published.sharing(tell.today)
    callers = ringing_later.callers(tell, later)
    return {
        **part,
        "number": found.public_id,
        "danger": found.danger_answer not in (None, "none"),
        "unasked": found.danger_answer is None,
        "ended": found.ended_at is not None,
        "ask_danger": found.ended_at is not None and ready,
        "screen": tell.published.screen(tell.today),
        "later": [ringing_later.shown(tell, each, callers) for each in later],
        "called": _called(request, detail) if detail is not None else None,
        "waits": {each.line for each in later},
        "why": ringing_later.WHY,
        "any_closed": found.ended_at is None
        and any(each["closed"] for one in targets for each in one["lines"]),
        "targets": targets,
        "languages": choices(LANGUAGES),
        "language": language,
        "free": shared_of(tell, free),
        "asked": [
            (name, words, value)
            for name, (words, value) in zip(asked, shared_of(tell, asked), strict=True)
        ],
        "consent_text": sharing.question(found.language),
        "consent_language": sharing.asks_in(found.language),
        "consent_english": sharing.consent_text,
        "until": tell.day(request.now + timedelta(days=KEPT_DAYS)),
    }


def _promised(targets: list[dict[str, Any]], partners: set[str]) -> list[dict[str, Any]]:
    """Of those who can be rung, the partners to which an ended contact is still to be rung."""
    return [
        each
        for each in targets
        if each["slug"] in partners
        and (each["people"] or any(line["open"] for line in each["lines"]))
    ]


def _called(request: Any, detail: queries.ContactDetail) -> dict[str, Any]:
    """Whether the person can be called back, and at which number, for who may read it."""
    may_call = may_be_called(detail.inquirer)
    phone = detail.inquirer.phone if may_call and detail.inquirer else None
    readable = phone is not None and may(request, P.INQUIRER_READ)
    return {
        "may": may_call,
        "never": bool(detail.inquirer and detail.inquirer.contact_prohibited),
        "number": shown_number(phone) if readable and phone else None,
        "link": call_link(phone) if readable and phone else None,
        "language": said(LANGUAGES, detail.contact.language),
    }


@view_config(
    context=ContactRecord, name="handover", permission=P.CONTACT_TAKE, request_method="POST"
)
def ring(context: ContactRecord, request: Any) -> HTTPSeeOther:
    """Ring, ring again, or stop."""
    tell = telling(request)
    found = _ready(context)
    verb, session = request.POST.get("verb", ""), request.dbsession
    here = f"/{tell.slug}/contacts/{found.public_id}/handover"
    if verb in ("stop", "unanswered"):
        number = _number(request)
        handovers.withdraw(
            session,
            number,
            now=request.now,
            contact_id=found.id,
            unanswered=verb == "unanswered",
        )
        request.flash("info", _("It does not ring any more: the contact is yours."))
        return HTTPSeeOther(location=here)
    if verb in ("call", "not-reached", "drop"):
        return _seen_to(request, found.id, verb, here)
    if verb != "ring":
        raise InvalidInput(_("Choose whom to ring."), field="target")
    if found.danger_answer != "none":
        raise DangerNotAsked(_("Somebody is in danger: 911 comes first."))
    if request.POST.get("later"):
        try:
            words = ringing_later.ask(tell, found.id, request.POST)
        except AskedAlready as error:
            words = error.message
        request.flash("success", words)
        return HTTPSeeOther(location=here)
    if found.ended_at is not None:
        sign = _asked_again(request, tell, found)
        if sign is not None:
            request.flash("error", sign)
            return HTTPSeeOther(location=here)
    kind, _colon, value = request.POST.get("target", "").partition(":")
    person_id, person_name, line = None, None, value
    if kind == "person":
        duty = next(
            (each for each in on_duty(session, request.now) if str(each.person_id) == value), None
        )
        if duty is None or duty.tenant_id == request.tenant.id:
            raise InvalidInput(_("That person is not on duty any more."), field="target")
        person_id, person_name = duty.person_id, duty.name
        slug = tell.published.slugs[duty.tenant_id]
        line = _first_line(tell, slug, found.channel)
    elif kind != "line":
        raise InvalidInput(_("Choose whom to ring."), field="target")
    to = line.partition("/")[0]
    if kind == "line" and tell.published.who_answers(line, request.now).kind != HERE:
        raise InvalidInput(_("That line is closed now."), field="target")
    detail = queries.contact_detail(session, found.id)
    try:
        with session.begin_nested():
            ring_through(
                session,
                tell.published,
                detail,
                to=to,
                line=line,
                person_id=person_id,
                person_name=person_name,
                agreed=request.POST.getall("agreed"),
                reason=request.POST.get("reason"),
                now=request.now,
            )
            send(session)
    except RingsAlready as error:
        request.flash("info", error.message)
    return HTTPSeeOther(location=here)


def _seen_to(request: Any, contact_id: UUID, verb: str, here: str) -> HTTPSeeOther:
    """Keep who calls the person, that they were not reached, or that it is not needed any more."""
    try:
        ring_id = UUID(str(request.POST.get("id", "")))
    except ValueError:
        raise NotFound(_("This contact waits for no such line.")) from None
    session, now = request.dbsession, request.now
    try:
        if verb == "call":
            instead = request.POST.get("instead") == "yes"
            later_rings.take(session, contact_id, ring_id, now=now, instead=instead)
            request.flash("info", _("Colleagues see that you call them."))
        elif verb == "not-reached":
            later_rings.not_reached(session, contact_id, ring_id, now=now)
            request.flash("info", _("Kept. They stay on the desk's list: try again later."))
        else:
            reason = request.POST.get("reason", "")
            later_rings.drop(session, contact_id, ring_id, reason=reason, now=now)
            request.flash("success", _("Nobody is rung for it any more. The need stays as it is."))
    except (OnTheLine, SeenToAlready) as error:
        request.flash("info", error.message)
    return HTTPSeeOther(location=here)


def _asked_again(request: Any, tell: Telling, found: Any) -> str | None:
    """Keep what the danger screen found in a call that comes after the contact; give its words.

    :raises DangerNotAsked: when it was not asked.
    """
    answer = request.POST.get("danger", "")
    if answer == "none":
        return None
    screen = tell.published.screen(tell.today)
    sign = next((each for each in screen.signs if each.key == answer), None)
    if sign is None:
        raise DangerNotAsked(_("Ask first whether anybody is in danger."))
    later_rings.danger(request.dbsession, found.id, sign=sign.key, now=request.now)
    return (
        f"{translated(request, _('Call ${number}', mapping={'number': sign.number}))}: {sign.say}"
    )


def _first_line(tell: Telling, slug: str, channel: str) -> str:
    lines = [
        each
        for each in tell.published.lines.values()
        if each.tenant == slug and not each.ended and each.channel in RUNG
    ]
    if not lines:
        raise InvalidInput(_("That partner has no line that could be rung."), field="target")
    return min(lines, key=lambda each: (each.channel != channel, each.channel != "phone")).ref


def _number(request: Any) -> str:
    number = request.params.get("number", "")
    if not is_public_id(number, "W"):
        raise HTTPNotFound
    return str(number)


# --- who is rung ----------------------------------------------------------------------------------


@view_config(context=Desk, name="waiting", permission=P.CONTACT_TAKE, request_method="GET")
def waiting(context: Desk, request: Any) -> Any:
    """What rings here, as a part of the desk; nothing when it is as it was seen last."""
    shown = waiting_of(request)
    if request.GET.get("seen") == shown["waiting_seen"]:
        return HTTPNoContent()
    return render_to_response("desk/waiting.jinja2", shown, request=request)


@view_config(
    context=Desk,
    name="ring",
    permission=P.CONTACT_TAKE,
    request_method="GET",
    renderer="desk/ring.jinja2",
)
def rings(context: Desk, request: Any) -> Any:
    """One hand-over that rings here: the summary, and the two answers."""
    tell = telling(request)
    row = request.dbsession.execute(
        select(Handover.__table__).where(
            Handover.tenant_id == scope_of(request.dbsession).tenant_id,
            Handover.public_id == _number(request),
            Handover.side == "in",
        )
    ).one_or_none()
    if row is None:
        raise HTTPNotFound
    mine = row.person_id is None or row.person_id == request.identity.person_id
    return {
        **_shown(tell, row),
        "channel": said(CHANNELS, row.channel),
        "language": said(LANGUAGES, row.language),
        "since": tell.when(row.started_at),
        "person": row.person_name,
        "mine": mine,
        "returns": row.partner_id is not None,
        "action": f"/{tell.slug}/desk/ring",
        "personal": may(request, P.INQUIRER_READ),
        "danger": danger_in(
            tell, " ".join(filter(None, (row.reason, str(row.shared.get("note") or ""))))
        ),
    }


@view_config(context=Desk, name="ring", permission=P.CONTACT_TAKE, request_method="POST")
def answer(context: Desk, request: Any) -> HTTPSeeOther:
    """Take it over, which opens the contact here; or let it pass with a reason."""
    tell = telling(request)
    number = _number(request)
    if request.POST.get("verb") == "stop-seen":
        handovers.stop_seen(request.dbsession, number, now=request.now)
        request.flash("success", _("Confirmed: the other desk sees it."))
        return HTTPSeeOther(location=f"/{tell.slug}/desk")
    if request.POST.get("verb") == "return":
        handovers.pass_on(
            request.dbsession, number, reason=request.POST.get("reason", ""), now=request.now
        )
        request.flash("info", _("The other desk has it back, with your reason."))
        return HTTPSeeOther(location=f"/{tell.slug}/desk")
    row = request.dbsession.execute(
        select(Handover.shared, Handover.reason).where(
            Handover.tenant_id == scope_of(request.dbsession).tenant_id,
            Handover.public_id == number,
        )
    ).first()
    lines = [] if row is None else [each for each in (row.reason,) if each]
    if row is not None:
        lines += [
            f"{translated(request, words)}: {translated(request, value)}"
            for words, value in shared_of(tell, row.shared)
        ]
    try:
        taken = handovers.take_over(
            request.dbsession,
            number,
            name=request.identity.name,
            note="\n".join(lines),
            now=request.now,
        )
    except AnsweredAlready as error:
        request.flash("warning", error.message)
        return HTTPSeeOther(location=f"/{tell.slug}/desk")
    request.flash("success", _("It is yours. Ask first whether anybody is in danger."))
    return HTTPSeeOther(location=f"/{tell.slug}/contacts/{taken.contact_number}")
