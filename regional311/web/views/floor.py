"""The floor: who is on what, who waits, what is late; every number leads to its rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from babel.dates import format_timedelta
from pyramid.renderers import render_to_response
from pyramid.view import view_config

from regional311.floor import standing, watching
from regional311.floor.watching import Given, Risk, UnderWay, Waits
from regional311.identity.members import names_of
from regional311.identity.permissions import Permissions as P
from regional311.web.i18n import _
from regional311.web.ringing import line_heard
from regional311.web.telling import Telling, telling
from regional311.web.tree import Floor
from regional311.web.wording import CHANNELS, LANGUAGES, said

STATES: Final = {
    standing.ON_CONTACT: (_("On a contact"), "open"),
    standing.WRAP_UP: (_("Wrap-up"), "waiting"),
    standing.AVAILABLE: (_("Available"), "done"),
    standing.AWAY: (_("Not on duty"), "neutral"),
}
LATE_AFTER: Final = {"visit": 15, "thread": 60, "chat": 3, "call": 2, "ring": 1, "answer": 60}
"""Minutes of waiting after which it is marked, by what waits."""
RISKS: Final = {
    "request": _("Requests"),
    "answer": _("Referrals to answer"),
    "finish": _("Referrals to finish"),
    "follow_up": _("Follow-ups"),
    "put_through": _("To be put through when a line opens"),
}
ANYBODYS: Final = ("follow_up", "put_through")
"""What is taken up by whoever is free."""
NOBODY: Final = "nobody"


@view_config(
    context=Floor, permission=P.FLOOR_RUN, request_method="GET", renderer="floor/index.jinja2"
)
def floor(context: Floor, request: Any) -> Any:
    """The floor as it is now; asked again by the page itself, as a part of it."""
    shown = _shown(request)
    if "HX-Request" in request.headers:
        return render_to_response("floor/part.jinja2", shown, request=request)
    return shown


def _shown(request: Any) -> dict[str, Any]:
    tell, session, now = telling(request), request.dbsession, request.now
    contacts = watching.under_way(session, tell.confidential_services)
    on_duty = watching.there(session, now)
    waits = watching.waiting(session, today=tell.today, now=now)
    risks = watching.at_risk(
        session,
        today=tell.today,
        now=now,
        cleared=request.identity.cleared(request.tenant.id),
    )
    holders = {each.specialist_id for each in contacts} | set(on_duty)
    given = watching.given(
        session,
        since=tell.start_of(tell.today) or now,
        cleared=request.identity.cleared(request.tenant.id),
    )
    done = watching.ended(session, holders, since=tell.start_of(tell.today) or now)
    waited_for = {each.person_id for each in waits} | {each.person_id for each in risks}
    gave = {each.by_id for each in given} | {each.person_id for each in given}
    names = names_of(session, holders | waited_for | gave)
    asked = request.GET.get("state", "")
    rows = [
        _person(tell, person, names, contacts, on_duty, done, waits, risks)
        for person in sorted(holders, key=lambda each: names.get(each, ""))
    ]
    rows.sort(key=lambda each: standing.STATES.index(each["key"]))
    return {
        "here": f"/{tell.slug}/floor",
        "time": tell.when(now),
        "states": [
            {
                "key": key,
                "title": STATES[key][0],
                "number": sum(each["key"] == key for each in rows),
                "chosen": key == asked,
            }
            for key in standing.STATES
        ],
        "asked": asked if asked in STATES else None,
        "people": [each for each in rows if asked not in STATES or each["key"] == asked],
        "waits": [_wait(tell, each, names) for each in waits if each.kind != "answer"],
        "queues": _queues(tell, risks),
        "persons": _persons(tell, risks, names),
        "given": [_given(tell, each, names) for each in given],
        "contacts_url": f"/{tell.slug}/contacts?state=open",
        "open": len(contacts),
    }


def _person(
    tell: Telling,
    person: UUID,
    names: Any,
    contacts: Iterable[UnderWay],
    on_duty: dict[UUID, datetime],
    done: dict[UUID, watching.Ended],
    waits: Sequence[Waits],
    risks: Sequence[Risk],
) -> dict[str, Any]:
    own = [each for each in contacts if each.specialist_id == person]
    last = done.get(person)
    found = standing.standing(
        [standing.Busy(each.started_at, each.gone_at, each.live) for each in own],
        on_duty.get(person),
        last.last_at if last else None,
    )
    answers = next((w for w in waits if w.kind == "answer" and w.person_id == person), None)
    title, kind = STATES[found.state]
    return {
        "id": str(person),
        "name": names.get(person, ""),
        "key": found.state,
        "state": title,
        "kind": kind,
        "since": tell.when(found.since),
        "for": _age(tell, found.since) if found.since else None,
        "contacts": [_contact(tell, each) for each in own if each.live],
        "asleep": sum(not each.live for each in own),
        "done": last.number if last else 0,
        "done_url": _url(
            tell, "contacts", state="ended", specialist=str(person), **{"from": str(tell.today)}
        ),
        "answers": answers.number if answers else 0,
        "answers_since": _age(tell, answers.since) if answers else None,
        "answers_url": _url(tell, "inbox", tab="mine")
        if person == tell.request.identity.person_id
        else _url(tell, "inbox", tab="others", who=str(person)),
        "asleep_url": _url(tell, "contacts", state="open", specialist=str(person)),
        "overdue": sum(r.overdue for r in risks if r.kind == "request" and r.person_id == person),
        "overdue_url": _url(tell, "requests", overdue="yes", who=str(person)),
    }


def _contact(tell: Telling, each: UnderWay) -> dict[str, Any]:
    line = tell.published.lines.get(
        f"{tell.published.slugs.get(each.line_owner_id)}/{each.line_key}"
    )
    return {
        "url": f"/{tell.slug}/contacts/{each.public_id}",
        "number": each.public_id,
        "channel": said(CHANNELS, each.channel),
        "line": line.name if line else None,
        "language": said(LANGUAGES, each.language),
        "for": _age(tell, each.started_at),
        "wraps": each.gone_at is not None,
        "danger": each.in_danger,
        "confidential": each.confidential,
    }


def _wait(tell: Telling, each: Waits, names: Any) -> dict[str, Any]:
    name = line_heard(tell, each.line_owner_id, each.line_key) if each.line_key else None
    kind = "chat" if each.channel == "chat" else each.kind
    waited = tell.request.now - each.since
    return {
        "id": f"wait-{each.kind}-{each.channel or ''}-{each.line_key or ''}-"
        f"{each.line_owner_id or each.person_id or ''}",
        "what": {
            "visit": _("Front desk"),
            "chat": _("Chats"),
            "call": _("Calls that ring"),
            "ring": _("Handed over by others"),
            "thread": said(CHANNELS, each.channel) if each.channel else _("Inbox"),
        }[kind],
        "line": name,
        "for": names.get(each.person_id) if each.person_id else None,
        "number": each.number,
        "confidential": each.confidential,
        "longest": _lasting(tell, waited),
        "since": tell.when(each.since),
        "late": waited.total_seconds() > 60 * LATE_AFTER[kind],
        "url": {
            "visit": f"/{tell.slug}/front-desk",
            "call": f"/{tell.slug}/desk",
            "ring": f"/{tell.slug}/desk",
        }.get(each.kind)
        or _url(tell, "inbox", tab="new", channel=each.channel, line=each.line_key),
    }


def _queues(tell: Telling, risks: Sequence[Risk]) -> list[dict[str, Any]]:
    """Requests by queue, then what else was promised; the most overdue first."""
    queues = tell.published.queues(tell.slug)
    rows: list[dict[str, Any]] = []
    for kind in RISKS:
        keys = {each.queue for each in risks if each.kind == kind}
        for key in keys:
            some = [each for each in risks if each.kind == kind and each.queue == key]
            name = queues.get(key, key) if key else _("No queue")
            rows.append(
                {
                    "id": f"risk-{kind}-{key or ''}",
                    "what": RISKS[kind],
                    "where": name if kind == "request" else None,
                    **_counts(tell, kind, some, queue=key or "none"),
                }
            )
    return sorted(rows, key=lambda each: (-each["overdue"], -each["soon"]))


def _persons(tell: Telling, risks: Sequence[Risk], names: Any) -> list[dict[str, Any]]:
    """The same by who has it, nobody first."""
    rows = []
    risks = [each for each in risks if each.kind not in ANYBODYS]
    for person in {each.person_id for each in risks}:
        kinds = [
            {
                "kind": RISKS[kind],
                **_counts(tell, kind, some, who=str(person) if person else NOBODY),
            }
            for kind in RISKS
            if (some := [r for r in risks if r.kind == kind and r.person_id == person])
        ]
        rows.append(
            {
                "id": str(person or NOBODY),
                "name": names.get(person, "") if person else _("Nobody yet"),
                "nobody": person is None,
                "kinds": kinds,
            }
        )
    return sorted(rows, key=lambda each: (not each["nobody"], each["name"]))


def _given(tell: Telling, each: Given, names: Any) -> dict[str, Any]:
    queue = tell.published.queues(tell.slug).get(each.queue or "", each.queue)
    asked = {"who": str(each.person_id)} if each.person_id else {"queue": each.queue, "who": NOBODY}
    return {
        "id": f"given-{each.by_id or ''}-{each.person_id or ''}-{each.queue or ''}",
        "by": names.get(each.by_id, _("By itself")),
        "to": names.get(each.person_id, "") if each.person_id else queue,
        "number": each.number,
        "last": _age(tell, each.last),
        "url": _url(tell, "requests", state="open", **asked),
    }


def _counts(tell: Telling, kind: str, some: Sequence[Risk], **asked: str) -> dict[str, Any]:
    now = tell.request.now
    first = min(each.first for each in some)
    overdue = sum(each.overdue for each in some)
    if kind == "request":
        at, late = "requests", {"overdue": "yes", **asked}
        soon = {"overdue": "soon", **asked}
    elif kind == "follow_up":
        at, late, soon = "follow-ups", {"view": "overdue"}, {"view": "due"}
    elif kind == "put_through":
        at, late, soon = "desk", {}, {}
    else:
        views = ("overdue", "soon") if kind == "answer" else ("ageing", "ending")
        who = {"who": asked["who"]} if "who" in asked else {}
        at, late, soon = "referrals", {"view": views[0], **who}, {"view": views[1], **who}
    return {
        "overdue": overdue,
        "overdue_url": _url(tell, at, **late),
        "soon": sum(each.soon for each in some),
        "soon_url": _url(tell, at, **soon),
        "longest": _age(tell, first) if overdue and first < now else None,
    }


def _age(tell: Telling, since: datetime) -> Any:
    return _lasting(tell, tell.request.now - since)


def _lasting(tell: Telling, taken: timedelta) -> Any:
    """Minutes up to two hours, then hours and days."""
    if taken < timedelta(hours=2):
        return tell.minutes(taken)
    return format_timedelta(taken, threshold=1, locale=tell.locale)


def _url(tell: Telling, place: str, **asked: str | None) -> str:
    given = {name: value for name, value in asked.items() if value}
    return f"/{tell.slug}/{place}?{urlencode(given)}"
