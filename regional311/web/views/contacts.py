"""Contacts: the list, and one contact from the first question to the wrap-up.

The contact's page is where a specialist lives: the danger screen first, then what is needed, where,
who is responsible and why, filing, another need, the end. What is typed is only stored when it is
filed; before that it is looked at in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal as Number
from decimal import InvalidOperation
from functools import partial
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import colander
import deform
from pyramid.httpexceptions import HTTPNotFound, HTTPSeeOther
from pyramid.renderers import render_to_response
from pyramid.response import Response
from pyramid.view import view_config

from regional311.audit.queries import HISTORY
from regional311.catalog.answers import Reply, kept_from
from regional311.catalog.directory import Service
from regional311.catalog.queries import forms
from regional311.database.ids import new_token
from regional311.errors import InvalidInput, Stale
from regional311.floor.callers import details_of
from regional311.floor.giving import look_along
from regional311.gazetteer.queries import Answer
from regional311.identity.permissions import Permissions as P
from regional311.inbox.calls import of_contact
from regional311.inbox.queries import colleagues
from regional311.inbox.working import revision_of
from regional311.intake import front_desk, lifecycle, queries
from regional311.intake.attachments import sent_besides
from regional311.intake.drafts import drop_draft, ending_of, keep_draft, keep_ending
from regional311.intake.needs import MAX_WORDS
from regional311.intake.service import close_contact, record_transfer, update_contact
from regional311.metering.queries import usage_of_contact
from regional311.referral import filing
from regional311.referral import queries as referrals
from regional311.referral.decision import explain, explain_stored
from regional311.referral.placing import placed
from regional311.web.answer_links import answer_link
from regional311.web.answering_now import number_to_give
from regional311.web.company import company_of, to_give_to
from regional311.web.desk_search import LONGEST_QUESTION, hits_of, record_pick
from regional311.web.entry_alerts import entry_alerts
from regional311.web.forms import (
    Boolean,
    CheckboxWidget,
    Choice,
    Decimal,
    Form,
    HiddenWidget,
    Integer,
    Schema,
    SchemaNode,
    SelectWidget,
    String,
    TextAreaWidget,
    TextWidget,
    field_id,
    form_key,
    handle_form_submission,
    make_form,
    sent_version,
    start_over,
)
from regional311.web.freshness import freshness
from regional311.web.histories import steps_asked, whole_history
from regional311.web.i18n import _
from regional311.web.listing import Column, Filter, Listing
from regional311.web.news import news_of, news_said, offer_news
from regional311.web.noting import notes_shown
from regional311.web.offering import (
    CONDITION,
    NOTHING_OFFERED,
    add_receivers_questions,
    answered_by,
    offered_to,
)
from regional311.web.questions import add_questions, asking, besides, files_of, told_again
from regional311.web.representations import csv_of_session, file_response, wanted
from regional311.web.same_already import same_already, told
from regional311.web.security import may
from regional311.web.shelf import shelf
from regional311.web.telling import Telling, telling
from regional311.web.tree import ContactRecord, Contacts
from regional311.web.views import caused, outcomes
from regional311.web.wording import (
    ACTIONS,
    ACTIVITIES,
    CHANNELS,
    DISPOSITIONS,
    LANGUAGES,
    NEED_STATES,
    OUTCOMES,
    PLACE_KINDS,
    PRIORITIES,
    REFERRAL_STATES,
    REQUEST_STATES,
    TRANSFER_RESULTS,
    UNMET_REASONS,
    choices,
    kind,
    read_out,
    said,
)
from regional311.web.written import WRITTEN, called_from, said_in_writing, written_on

PLACE = ("place_kind", "place", "latitude", "longitude")
CALLER = (
    "name",
    "phone",
    "email",
    "safe_to_call",
    "may_leave_message",
    "wants_updates",
    "news",
    "may_follow_up",
    "contact_prohibited",
    "interpreter",
    "accommodation",
)
_TICKS = (
    "safe_to_call",
    "may_leave_message",
    "wants_updates",
    "may_follow_up",
    "contact_prohibited",
)
CONSENT_ANSWERS = ("given", "written", "refused")
ASIDE = (
    "chosen",
    "at",
    "same_as",
    "consent",
    "shown",
    "cleared",
    "unmet",
    "unmet_words",
    "service",
    "version",
)
"""Fields whose controls stand outside the form's own list: in the preview, or hidden."""


# --- the list -------------------------------------------------------------------------------------


@view_config(
    context=Contacts,
    permission=P.CONTACT_READ,
    request_method="GET",
    renderer="contacts/list.jinja2",
)
def contacts(context: Contacts, request: Any) -> Any:
    """The contacts of this partner, filtered, sorted, by pages, or as CSV."""
    tell = telling(request)
    listing = Listing(
        request,
        columns=[
            Column("number", _("Number")),
            Column("started", _("Started"), sort=True),
            Column("channel", _("Channel")),
            Column("services", _("Needs")),
            Column("specialist", _("Taken by")),
            Column("ended", _("Ended")),
        ],
        filters=[
            Filter("state", _("State"), choices=[("open", _("Open")), ("ended", _("Ended"))]),
            Filter("channel", _("Channel"), choices=choices(CHANNELS)),
            Filter(
                "specialist",
                _("Taken by"),
                choices=[
                    ("me", _("Me")),
                    *((str(each), name) for each, name in colleagues(request.dbsession).items()),
                ],
            ),
            Filter("from", _("From day"), type="date"),
            Filter("until", _("Until day"), type="date"),
        ],
        sort="-started",
        csv=True,
    )
    asked = listing.values
    session = request.dbsession
    chosen: dict[str, Any] = {
        "ended": {"open": False, "ended": True}.get(asked["state"] or ""),
        "channel": asked["channel"],
        "specialist_id": _specialist(request, asked["specialist"]),
        "since": _start_of(tell, asked["from"]),
        "until": _start_of(tell, asked["until"], following=True),
        "oldest_first": listing.sort == "started",
    }
    if wanted(request) == "csv":
        return _exported(request, tell, chosen)
    page = queries.contacts(session, after=listing.after, **chosen)
    asked_for = _services_of(tell, session, page.rows)
    people: Mapping[Any, str] = queries.people(session, [row.specialist_id for row in page.rows])
    listing.fill(
        [
            {
                "public_id": row.public_id,
                "started": tell.when(row.started_at),
                "channel": said(CHANNELS, row.channel),
                "services": ", ".join(
                    tell.published.names.get(ref, ref) for ref in asked_for.get(row.id, ())
                ),
                "specialist": people.get(row.specialist_id, ""),
                "ended": said(DISPOSITIONS, row.disposition or "answered")
                if row.ended_at
                else _("Open"),
                "ended_kind": kind(DISPOSITIONS, row.disposition) if row.ended_at else "open",
            }
            for row in page.rows
        ],
        after=page.after,
    )
    takes = P.CONTACT_TAKE in request.identity.permissions(request.tenant.id)
    return {"listing": listing, "desk_url": f"/{tell.slug}/desk" if takes else None}


def _specialist(request: Any, asked: str | None) -> UUID | None:
    if asked is None:
        return None
    found: UUID = request.identity.person_id if asked == "me" else UUID(asked)
    return found


def _services_of(tell: Telling, session: Any, rows: Sequence[Any]) -> dict[Any, list[str]]:
    """What each of these contacts was about, as partner/key: one statement.

    What is confidential is left out for who is not cleared, but for contacts of their own.
    """
    identity = tell.request.identity
    hidden = frozenset(tell.confidential_services)
    if identity.cleared(tell.request.tenant.id):
        hidden = frozenset()
    own = {row.id for row in rows if row.specialist_id == identity.person_id}
    found = queries.needed(session, [row.id for row in rows])
    return {
        contact_id: [
            f"{tell.published.slugs.get(owner, '')}/{key}"
            for owner, key in needs
            if contact_id in own or (owner, key) not in hidden
        ]
        for contact_id, needs in found.items()
    }


_COLUMNS = ("number", "started", "ended", "channel", "language", "disposition", "services")


def _exported(request: Any, tell: Telling, chosen: dict[str, Any]) -> Any:
    """All of them, however many, as CSV that is written while they are read."""

    def rows(session: Any) -> Iterator[Sequence[Any]]:
        for page in queries.every_page(partial(queries.contacts, session), **chosen):
            asked_for = _services_of(tell, session, page)
            for row in page:
                yield (
                    row.public_id,
                    row.started_at,
                    row.ended_at,
                    row.channel,
                    row.language,
                    row.disposition,
                    " ".join(asked_for.get(row.id, ())),
                )

    return csv_of_session(request, "contacts.csv", _COLUMNS, rows)


def _start_of(tell: Telling, day: str | None, *, following: bool = False) -> datetime | None:
    try:
        return tell.start_of(date.fromisoformat(day or ""), following=following)
    except ValueError:
        return None


# --- the form of a need ---------------------------------------------------------------------------


class NeedForm(Schema):
    """What a person needs, where, and what they want to say of themselves."""

    service = SchemaNode(String(200), title=_("Service"), widget=HiddenWidget())
    version = SchemaNode(Integer(), title=_("Version"), widget=HiddenWidget())
    place_kind = SchemaNode(
        Choice(PLACE_KINDS),
        title=_("Kind of place"),
        widget=SelectWidget(values=choices(PLACE_KINDS), empty=None),
        missing="address",
        default="address",
    )
    place = SchemaNode(
        String(300),
        title=_("Where"),
        description=_("Address or crossing, neighborhood, road or bridge."),
        widget=TextWidget(autocomplete="off", maxlength=300),
        missing=None,
    )
    latitude = SchemaNode(Decimal(6), title=_("Latitude"), missing=None)
    longitude = SchemaNode(Decimal(6), title=_("Longitude"), missing=None)
    description = SchemaNode(
        String(4000, multiline=True),
        title=_("What the person says"),
        widget=TextAreaWidget(rows=3, maxlength=4000),
        missing=None,
    )
    urgency = SchemaNode(
        Choice(PRIORITIES),
        title=_("Urgency"),
        widget=SelectWidget(values=choices(PRIORITIES), empty=None),
        missing="normal",
        default="normal",
    )
    name = SchemaNode(
        String(200), title=_("Name"), widget=TextWidget(autocomplete="off"), missing=None
    )
    phone = SchemaNode(
        String(40),
        title=_("Phone"),
        widget=TextWidget(type="tel", autocomplete="off"),
        missing=None,
    )
    email = SchemaNode(
        String(254),
        title=_("Email"),
        widget=TextWidget(type="email", autocomplete="off"),
        validator=colander.Email(_("Enter an e-mail address such as name@example.org.")),
        missing=None,
    )
    safe_to_call = SchemaNode(
        Boolean(), title=_("It is safe to call back"), widget=CheckboxWidget(), missing=False
    )
    may_leave_message = SchemaNode(
        Boolean(), title=_("We may leave a message"), widget=CheckboxWidget(), missing=False
    )
    wants_updates = SchemaNode(
        Boolean(), title=_("Wants news by e-mail"), widget=CheckboxWidget(), missing=False
    )
    may_follow_up = SchemaNode(
        Boolean(),
        title=_("We may ask later what became of it"),
        widget=CheckboxWidget(),
        missing=False,
    )
    contact_prohibited = SchemaNode(
        Boolean(),
        title=_("Never contact this person: it is not safe"),
        description=_("Nobody calls, writes or leaves a message, here or elsewhere."),
        widget=CheckboxWidget(),
        missing=False,
    )
    interpreter = SchemaNode(
        Boolean(), title=_("An interpreter is on the line"), widget=CheckboxWidget(), missing=False
    )
    accommodation = SchemaNode(
        String(300), title=_("Accommodation needed"), widget=TextWidget(), missing=None
    )
    chosen = SchemaNode(String(200), title=_("Responsible"), missing="", widget=HiddenWidget())
    consent = SchemaNode(
        Choice(CONSENT_ANSWERS), title=_("Consent"), missing="unasked", widget=HiddenWidget()
    )
    unmet = SchemaNode(
        Choice(UNMET_REASONS), title=_("Nobody can help"), missing="", widget=HiddenWidget()
    )
    unmet_words = SchemaNode(
        String(MAX_WORDS),
        title=_("Why nobody can help, in your own words"),
        missing="",
        widget=HiddenWidget(),
    )
    shown = SchemaNode(String(500), title=_("Shared fields"), missing="", widget=HiddenWidget())
    cleared = SchemaNode(Boolean(), title=_("Danger"), missing=False, widget=HiddenWidget())
    same_as = SchemaNode(String(40), title=_("The same as"), missing="", widget=HiddenWidget())
    at = SchemaNode(String(80), title=_("Known place"), missing="", widget=HiddenWidget())

    def validator(self, node: Any, values: dict[str, Any]) -> None:
        """A point has two numbers, both on Earth."""
        problem = colander.Invalid(node)
        for name, limit in (("latitude", 90), ("longitude", 180)):
            other = "longitude" if name == "latitude" else "latitude"
            if values[name] is None and (
                values["place_kind"] == "point" or values[other] is not None
            ):
                problem[name] = _("A point has a latitude and a longitude.")
            elif values[name] is not None and abs(values[name]) > limit:
                problem[name] = _(
                    "Enter degrees between -${limit} and ${limit}.", mapping={"limit": limit}
                )
        if problem.children:
            raise problem


def _need_form(
    context: ContactRecord, request: Any, service: Service, values: dict[str, Any] | None = None
) -> Form:
    schema = NeedForm()
    if service.place == "none":
        for name in PLACE:
            del schema[name]
    offer_news(request, schema, telling(request).slug, _("Wants news"))
    add_questions(request, schema, service, level=3)
    add_receivers_questions(request, schema)
    contact = context.record
    return make_form(
        request,
        schema,
        submit=_("File it"),
        buttons=(("preview", _("Who is responsible?")), ("walk", _("Guide"))),
        values={
            "service": service.ref,
            "version": contact.version,
            "interpreter": contact.interpreter,
            "accommodation": contact.accommodation,
            "place_kind": "address",
            "urgency": "normal",
        }
        | (values or {}),
        name="need",
        once=True,
    )


def _intake(
    context: ContactRecord,
    request: Any,
    service: Service,
    values: dict[str, Any],
    key: str,
    place: filing.Place,
    reply: Reply | None = None,
) -> filing.Intake:
    """Make the intake of what was typed. `values` may lack what was left out."""
    contact = context.record
    tell = telling(request)
    said_yes = values.get("consent") or "unasked"
    line = ""
    if contact.line_key:
        line = f"{tell.published.slugs[contact.line_owner_id]}/{contact.line_key}"
    return filing.Intake(
        source="desk",
        key=key,
        channel=contact.channel,
        started_at=contact.started_at,
        service=service.ref,
        line=line,
        language=contact.language,
        interpreter=bool(values.get("interpreter", contact.interpreter)),
        accommodation=values.get("accommodation", contact.accommodation),
        after_hours=contact.after_hours,
        asker=asker_of(values),
        place=place,
        description=values.get("description") or "",
        urgency=values.get("urgency") or "normal",
        reply=reply,
        files=files_of(values),
        danger_answer=contact.danger_answer,
        cleared=bool(values.get("cleared")),
        chosen=values.get("chosen") or "",
        eligible=answered_by(values),
        consent={"written": "given"}.get(said_yes, said_yes),
        consent_method="written" if said_yes == "written" else "spoken",
        unmet=values.get("unmet") or "",
        unmet_words=values.get("unmet_words") or "",
        consent_fields=tuple(filter(None, (values.get("shown") or "").split(","))),
        same_as=values.get("same_as") or "",
        contact_id=contact.id,
        contact_version=values.get("version", contact.version),
        note=contact.note,
        ends=False,
    )


_NOT_KEPT = frozenset({*ASIDE, "csrf_token", "form_key", "preview", "walk", "held_files"})


def _written(request: Any) -> list[tuple[str, str]]:
    """What was typed in the form so far; what is agreed and looked at is asked anew."""
    return [
        (name, value)
        for name, value in request.POST.items()
        if isinstance(value, str) and value and name not in _NOT_KEPT
    ]


def asker_of(values: dict[str, Any]) -> filing.Asker | None:
    """Make the person of what was typed; nobody when they said nothing of themselves."""
    given = {name: values.get(name) for name in ("name", "phone", "email")}
    prohibited = bool(values.get("contact_prohibited"))
    if not any(given.values()) and not prohibited:
        return None
    return filing.Asker(
        name=given["name"],
        phone=given["phone"],
        email=given["email"],
        safe_to_call=bool(values.get("safe_to_call")),
        may_leave_message=bool(values.get("may_leave_message")),
        **news_of(values),
        may_follow_up=bool(values.get("may_follow_up")),
        contact_prohibited=prohibited,
    )


def place_of(values: dict[str, Any]) -> filing.Place:
    """Make the place of what was typed."""
    chosen = values.get("place_kind") or "none"
    if chosen == "none":
        return filing.Place()
    latitude, longitude = values.get("latitude"), values.get("longitude")
    text = values.get("place") or ""
    if latitude is not None and longitude is not None:
        return filing.Place(text, latitude, longitude, "point")
    return filing.Place(text, kind=chosen) if text and chosen != "point" else filing.Place()


def _placed(request: Any, values: dict[str, Any]) -> tuple[filing.Place, Answer]:
    """The place with its point, where its words mean a known one or one was picked."""
    published = telling(request).published
    return placed(request.dbsession, published, place_of(values), values.get("at") or "")


def _as_typed(request: Any) -> dict[str, Any]:
    """Read a form that is still being written: what cannot be read yet counts as left out."""
    sent: dict[str, Any] = {
        name: value.strip()[:4000] or None
        for name, value in request.POST.items()
        if isinstance(value, str)
    }
    for name in ("latitude", "longitude"):
        try:
            number = Number(sent.get(name) or "")
            limit = 90 if name == "latitude" else 180
            sent[name] = number if abs(number) <= limit else None
        except InvalidOperation:
            sent[name] = None
    if sent.get("urgency") not in PRIORITIES:
        sent["urgency"] = None
    if sent.get("consent") not in CONSENT_ANSWERS:
        sent["consent"] = None
    if sent.get("unmet") not in UNMET_REASONS:
        sent["unmet"] = None
    for name in (*_TICKS, "interpreter", "cleared"):
        sent[name] = sent.get(name) == "true"
    sent.pop("version", None)
    return sent


def _preview(
    context: ContactRecord, request: Any, service: Service, values: dict[str, Any]
) -> dict[str, Any]:
    """Say who would get it and why, and what would be shared."""
    tell = telling(request)
    reply = asking(request, service).reply_so_far()
    place, known_places = _placed(request, values)
    intake = _intake(context, request, service, values, "", place, reply)
    seen = filing.preview(tell.published, tell.slug, intake, now=request.now)
    decision = seen.decision
    if seen.signs or decision is None:
        sign = seen.signs[0]
        return {
            "outcome": "danger",
            "answer": _("Call ${number} first", mapping={"number": sign.number}),
            "why": [sign.name, sign.say],
            "explained_in": "en",
            "cleared": False,
            "ask_cleared": True,
            "notes": (),
            "information": None,
            "phone": None,
            "candidates": [],
            "consent": None,
            "same": [],
            "places": None,
            **NOTHING_OFFERED,
            "unmet": None,
        }
    names = tell.published.sharing(tell.today).fields
    target = decision.target or decision.owner
    answer, *why = explain(decision, tell.published.names, tell.explain)
    consent = None
    personal = intake.asker is not None or decision.outcome == "refer"
    if seen.needs_consent and personal:
        consent = {
            **read_out(
                seen.consent_text, seen.consent_language, seen.consent_english, intake.language
            ),
            "written": seen.written,
            "partner": tell.partner(target),
            "always": [names.get(name, name) for name in seen.shared_fields],
            "fields": [names.get(name, name) for name in seen.consent_fields],
            "shown": ",".join(seen.consent_fields),
            "answer": values.get("consent") or "",
            "error": None,
        }
    candidates = []
    if decision.ambiguous or intake.chosen:
        candidates = [
            {
                "ref": f"{owner}/{key}",
                "who": tell.partner(owner),
                "name": tell.service_name(owner, key),
                "boundary": tell.published.names.get(boundary) if boundary else None,
            }
            for owner, key, boundary in decision.candidates
            if tell.published.directory.find(f"{owner}/{key}") is not None
        ]
    found = seen.service or service
    informs = decision.outcome in ("resolve_here", "information", "decline")
    return {
        "outcome": decision.outcome,
        "answer": answer,
        "why": why,
        "explained_in": tell.explained_in,
        "notes": decision.notes,
        "information": found.details.get("information") if informs else None,
        "phone": number_to_give(tell, target)
        if decision.outcome in ("information", "warm_transfer", "decline") and target
        else None,
        "candidates": candidates,
        "chosen": intake.chosen,
        "consent": consent,
        "unmet": {
            "choices": choices(UNMET_REASONS),
            "chosen": intake.unmet,
            "words": intake.unmet_words,
            "most": MAX_WORDS,
        },
        "cleared": intake.cleared,
        "ask_cleared": intake.cleared,
        "same": _same(request, seen, intake.place, values.get("same_as")),
        "places": {
            "one": known_places.one,
            "offered": known_places.places,
            "chosen": values.get("at") or "",
        }
        if known_places.places
        else None,
        **offered_to(tell, decision, intake),
    }


def _same(
    request: Any, seen: filing.Preview, place: filing.Place, chosen: str | None
) -> list[dict[str, Any]]:
    """Open requests that may be the same; one's own can be opened."""
    tell = telling(request)
    owner = seen.service.tenant if seen.service else ""
    opens = owner == tell.slug and may(request, P.REQUEST_READ)
    shown = []
    for each in same_already(request, seen, place):
        url = f"/{tell.slug}/requests/{each.public_id}" if opens else None
        shown.append(
            {
                **told(tell, owner, each),
                "url": url,
                "picture_url": f"{url}/file?{urlencode({'question': each.picture})}"
                if url and each.picture
                else None,
                "chosen": each.public_id == chosen,
            }
        )
    return shown


# --- one contact ----------------------------------------------------------------------------------


@dataclass
class Work:
    """What is under way on the page: a picked service with its form, or what came of it."""

    service: Service | None = None
    form: Form | None = None
    preview: dict[str, Any] | None = None
    filed: dict[str, Any] | None = None
    stale: Stale | None = None
    problem: Any = None
    caller_open: bool = False
    walked: str = ""
    """A script and where one is in it, as ``slug/key:choice.choice``."""


@view_config(
    context=ContactRecord,
    permission=P.CONTACT_READ,
    request_method="GET",
    renderer="contacts/contact.jinja2",
)
def contact(context: ContactRecord, request: Any) -> dict[str, Any]:
    """One contact: what to do next while it is open, and all that came of it."""
    work = Work(walked=request.GET.get("walk", ""))
    look_along(request.dbsession, context.record, now=request.now)
    asked = request.GET.get("service", "")[:LONGEST_QUESTION]
    if asked and _editable(context, request) and context.record.danger_answer == "none":
        work.service = offered(request, asked)
        record_pick(request, f"service:{work.service.ref}")
        begins = said_in_writing(request, context) | details_of(
            request.dbsession, context.record.inquirer_id
        )
        work.form = _need_form(context, request, work.service, begins)
        draft = context.record.draft
        if draft and draft.get("service") == work.service.ref:
            written = [(str(name), str(value)) for name, value in draft["fields"]]
            names = {name for name, value in written if value}
            # what was found out of the caller since then, above all that nobody may call them
            found = [
                (name, "true" if value is True else str(value))
                for name, value in begins.items()
                if value and name not in names
            ]
            work.form.take_unfinished(
                [each for each in written if each[0] not in dict(found)] + found
            )
            work.caller_open = any(
                name in CALLER and value not in ("", "none") for name, value in draft["fields"]
            )
        work.preview = (
            _preview(context, request, work.service, {"place_kind": "none"})
            if work.service.place == "none"
            else None
        )
    elif work.walked:
        record_pick(request, f"article:{work.walked.partition(':')[0]}")
    return _page(context, request, work)


@view_config(
    context=ContactRecord,
    name="services",
    permission=P.CONTACT_TAKE,
    request_method="GET",
    renderer="contacts/hits.jinja2",
)
def services(context: ContactRecord, request: Any) -> dict[str, Any]:
    """The services found by the caller's words, as a part of the page."""
    return _hits(context, request)


def _hits(context: ContactRecord, request: Any) -> dict[str, Any]:
    return hits_of(request, _here(context, request), walks=True)


def _here(context: ContactRecord, request: Any) -> str:
    return str(request.resource_path(context)).rstrip("/")


def offered(request: Any, ref: str) -> Service:
    """Give a service that can be asked for today, by `partner/key`; otherwise 404."""
    tell = telling(request)
    found = tell.published.directory.find(ref)
    if found is None or not found.offered(tell.today):
        raise HTTPNotFound
    return found


def _editable(context: ContactRecord, request: Any) -> bool:
    return context.record.ended_at is None and bool(request.has_permission(P.CONTACT_TAKE, context))


def _page(context: ContactRecord, request: Any, work: Work) -> dict[str, Any]:
    tell = telling(request)
    session = request.dbsession
    found = context.record
    here = _here(context, request)
    detail = queries.contact_detail(session, found.id, past=steps_asked(request))
    # while one searches for the next need, why the last went where it went can wait
    searching = work.service is None and bool(request.GET.get("q", "").strip())
    decisions = [] if searching else referrals.decisions_of_contact(session, found.id)
    sent = referrals.referrals_of_contact(session, found.id)
    editable = _editable(context, request)
    screened = found.danger_answer is not None
    danger = None
    if screened and found.danger_answer != "none":
        danger = _danger(tell, found, detail.transfers)
    asks = editable and screened and danger is None
    personal = may(request, P.INQUIRER_READ)
    money = may(request, P.BILLING_READ)
    screen = tell.published.screen(tell.today)
    beside = (
        shelf(request, here, service=work.service, walked=work.walked, caller=found.language)
        if asks
        else None
    )
    company = company_of(request, found, detail.history, detail.people) if editable else None
    if company is not None and company["give_url"]:
        company["colleagues"] = to_give_to(request, found)
    answered = {each.id: None if searching else kept_from(each.answers) for each in detail.needs}
    asked = forms(session, [each.form for each in answered.values() if each is not None])
    # only what comes by a page or an app can bring files besides
    by_itself = found.channel in ("web", "app") and not searching
    files = sent_besides(session, *(each.id for each in detail.needs)) if by_itself else {}
    return {
        "notices": beside.notices if beside else [],
        "articles": beside.articles if beside else [],
        "signs": screen.signs,
        "emergency": screen.number,
        "contact": found,
        "written": written_on(request, found) if personal else None,
        "visit": front_desk.of_contact(session, found.id, tell.today)
        if editable and personal and found.channel == "walk_in"
        else None,
        "called": called_from(request, found, detail.inquirer, editable=editable)
        if personal
        else None,
        "crumbs": [
            (f"/{tell.slug}/desk", _("Desk"))
            if editable
            else (f"/{tell.slug}/contacts", _("Contacts")),
            (None, found.public_id),
        ],
        "urls": {
            "here": here,
            **{
                name: f"{here}/{name.replace('_', '-')}"
                for name in (
                    "danger",
                    "guide",
                    "services",
                    "need",
                    "preview",
                    "transfer",
                    "draft",
                    "wrap_up",
                    "consents",
                )
            },
        },
        "editable": editable,
        "company": company,
        "since": found.started_at.isoformat() if editable and found.gone_at is None else None,
        "taken": tell.minutes((found.gone_at or request.now) - found.started_at)
        if editable
        else None,
        "draft": {
            "url": f"{here}?{urlencode({'service': found.draft['service']})}",
            "service": tell.service_name(*found.draft["service"].split("/", 1)),
        }
        if asks and found.draft and "service" in found.draft and work.service is None
        else None,
        "languages": choices(LANGUAGES),
        "gone": {
            "url": f"{here}/gone",
            "at": tell.when(found.gone_at),
        }
        if editable and screened
        else None,
        "screen": screen if editable and not screened else None,
        "danger": danger,
        "accommodation_url": f"/{tell.slug}/accommodation?from={found.public_id}"
        if editable and may(request, P.ACCOMMODATION_TAKE)
        else None,
        "handover_url": f"{here}/handover"
        if asks and tell.slug in tell.published.partners
        else None,
        "transfers": [
            {"id": each.id, "to": tell.partner(each.target), "number": each.number}
            for each in detail.transfers
            if editable and each.result == "offered"
        ],
        "transfer_results": choices(TRANSFER_RESULTS, ("taken_over", "returned", "refused")),
        "asking": asks and work.service is None,
        "picked": None
        if work.service is None
        else {
            "ref": work.service.ref,
            "name": work.service.name,
            "who": tell.partner(work.service.tenant),
            "summary": work.service.summary,
            "alerts": entry_alerts(request, work.service),
            "fresh": freshness(request, work.service),
            "suggest_url": f"/{tell.slug}/suggestions/new?about={work.service.ref}",
        },
        # a guide that is walked has the focus itself, and so has what was wrong
        "begins": request.method == "GET" and not work.walked,
        "form": work.form,
        "form_key": work.form.form_key if work.form is not None else new_token(),
        "groups": _groups(work.form) if work.form is not None else {},
        "field_id": field_id,
        "null": colander.null,
        "preview": work.preview,
        "caller_open": work.caller_open,
        "filed": work.filed,
        "stale": work.stale,
        "problem": work.problem,
        "needs": [
            {
                **_need(tell, each, detail, decisions, sent, personal=personal),
                **outcomes.need_part(tell, each, detail, sent, here, personal=personal),
                "asked": [
                    *told_again(
                        request,
                        answered[each.id],
                        asked,
                        personal=personal,
                        files_at=f"{here}/file?need={each.id}&question=",
                    ),
                    *besides(
                        files.get(each.id, ()),
                        personal=personal,
                        files_at=f"{here}/file?need={each.id}&question=",
                    ),
                ],
            }
            for each in detail.needs
        ],
        "wrap_up": _wrap_up(found, outcomes.asked_at_the_end(tell, detail, sent))
        if editable and screened
        else None,
        "facts": _facts(tell, found, detail, personal=personal),
        "inquirer": _inquirer(detail.inquirer) if personal else None,
        "internal": notes_shown(
            request,
            found,
            "contacts",
            writes=may(request, P.CONTACT_TAKE),
            any_there=len(detail.history) >= HISTORY
            or any(each.action == "contact:note" for each in detail.history),
        )
        if personal and not searching
        else None,
        "usage": [_usage(tell, each) for each in usage_of_contact(session, found.id)]
        if money
        else [],
        "caused": caused.panel(request, found.id) if money else None,
        "history_whole": whole_history(request, detail.history),
        "history": [
            {
                "when": tell.when(each.at),
                "title": said(ACTIONS, each.action),
                "by": _named(detail, each.person_id),
                "note": outcomes.said_of_a_need(tell, each, detail.needs),
            }
            for each in reversed(detail.history)
        ],
        **(_hits(context, request) if asks and work.service is None else {}),
    }


@dataclass(frozen=True)
class _Group:
    """Some of a form's fields, as the form's templates read them."""

    children: list[Any]


def _groups(form: Form) -> dict[str, _Group]:
    """Part the fields: those with a place of their own on the page are not listed twice."""
    by_name = {child.name: child for child in form.children}
    caller = [by_name[name] for name in CALLER if name in by_name]
    point = [by_name[name] for name in ("latitude", "longitude") if name in by_name]
    apart = {*CALLER, *ASIDE, "latitude", "longitude"}
    return {
        "main": _Group(
            [
                child
                for child in form.children
                if child.name not in apart and not child.name.startswith(CONDITION)
            ]
        ),
        "point": _Group(point),
        "caller": _Group(caller),
    }


def _danger(tell: Telling, found: Any, transfers: Any) -> dict[str, Any]:
    screen = tell.published.screen(tell.today)
    sign = next((each for each in screen.signs if each.key == found.danger_answer), None)
    return {
        "number": sign.number if sign else screen.number,
        "sign": sign.name if sign else found.danger_answer,
        "say": sign.say if sign else screen.say,
        "transfers": [
            (said(TRANSFER_RESULTS, each.result), tell.when(each.at)) for each in transfers
        ],
    }


def _need(
    tell: Telling, need: Any, detail: Any, decisions: Any, sent: Any, *, personal: bool
) -> dict[str, Any]:
    items: list[dict[str, Any]] = []
    for each in detail.requests:
        if each.need_id != need.id:
            continue
        own = tell.published.slugs.get(each.owner_id) == tell.slug
        expected = tell.day(each.expected_at)
        items.append(
            {
                "what": _("Request")
                if own
                else _("Request at ${partner}", mapping={"partner": tell.partner(each.owner_id)}),
                "url": f"/{tell.slug}/requests/{each.public_id}"
                if may(tell.request, P.REQUEST_READ)
                else None,
                "number": each.public_id,
                "state": said(REQUEST_STATES, each.state),
                "kind": kind(REQUEST_STATES, each.state),
                "detail": _("Expected by ${day}", mapping={"day": expected})
                if expected and each.closed_at is None
                else None,
                "message": each.public_message,
            }
        )
    for each in sent:
        if each.need_id != need.id:
            continue
        outcome = said(OUTCOMES, each.outcome) if each.outcome else None
        items.append(
            {
                "what": _(
                    "Referral to ${partner}",
                    mapping={"partner": tell.partner(each.counterparty_id)},
                ),
                "url": f"/{tell.slug}/referrals/{each.public_id}"
                if may(tell.request, P.REFERRAL_READ)
                else None,
                "number": each.public_id,
                "state": said(REFERRAL_STATES, each.state),
                "kind": kind(REFERRAL_STATES, each.state),
                "detail": outcome,
                "message": None,
            }
        )
    for each in detail.transfers:
        if each.need_id != need.id:
            continue
        items.append(
            {
                "what": _("Transfer to ${partner}", mapping={"partner": tell.partner(each.target)}),
                "url": None,
                "number": each.number,
                "state": said(TRANSFER_RESULTS, each.result),
                "kind": kind(TRANSFER_RESULTS, each.result),
                "detail": None,
                "message": None,
            }
        )
    return {
        "id": need.id,
        "service": tell.service_name(need.service_owner_id, need.service_key),
        "who": tell.partner(need.service_owner_id),
        "status": said(NEED_STATES, need.status),
        "status_kind": kind(NEED_STATES, need.status),
        "place": tell.place(need) if personal else None,
        "description": need.description if personal else None,
        "results": items,
        "decisions": [_decision(tell, each) for each in decisions if each.need_id == need.id],
        "explained": False,
    }


def _decision(tell: Telling, decision: Any) -> dict[str, Any]:
    answer, *why = explain_stored(
        decision.outcome, decision.trace, tell.published.names, tell.explain
    )
    version = _(
        "Rules of ${partner}, version ${version}; decided ${when}.",
        mapping={
            "partner": tell.partner(decision.trace.get("rule_tenant") or tell.slug),
            "version": decision.rule_set_version,
            "when": tell.when(decision.decided_at),
        },
    )
    url = f"/{tell.slug}/contacts/{tell.request.context.__name__}/why#{decision.id}"
    return {
        "answer": answer,
        "why": why,
        "explained_in": tell.explained_in,
        "version": version,
        "url": url,
    }


def _named(detail: Any, person_id: Any) -> str | None:
    found: str | None = detail.people.get(person_id)
    return found


def _wrap_up(found: Any, asked: list[dict[str, Any]]) -> dict[str, Any]:
    typed = ending_of(found.draft)
    for each in asked:
        each["chosen"] = typed.get(each["field"]) or each["chosen"]
    chosen = typed.get("disposition") or found.disposition or "answered"
    return {
        "asked": asked,
        "choices": choices(DISPOSITIONS),
        "disposition": chosen,
        "note": typed.get("note", found.note),
        "answered": found.disposition in (None, "answered")
        and not any(each["needed"] for each in asked),
    }


def _facts(tell: Telling, found: Any, detail: Any, *, personal: bool) -> list[tuple[Any, Any]]:
    line = tell.published.lines.get(
        f"{tell.published.slugs.get(found.line_owner_id)}/{found.line_key}"
    )
    answer = None
    if found.danger_answer is not None:
        signs = {each.key: each.name for each in tell.published.screen(tell.today).signs}
        answer = (
            _("None of the signs")
            if found.danger_answer == "none"
            else signs.get(found.danger_answer, found.danger_answer)
        )
    minutes = round(found.handle_seconds / 60) if found.ended_at else None
    return [
        (_("Channel"), said(CHANNELS, found.channel)),
        (_("Line"), f"{tell.partner(found.line_owner_id)}: {line.name}" if line else None),
        (_("Language"), said(LANGUAGES, found.language)),
        (_("Interpreter"), _("Yes") if found.interpreter else None),
        (_("Accommodation"), found.accommodation if personal else None),
        (_("Danger screen"), answer or _("Not asked yet")),
        (_("Started"), tell.when(found.started_at)),
        (_("Ended"), tell.when(found.ended_at)),
        (_("Minutes"), minutes),
        (_("How it ended"), said(DISPOSITIONS, found.disposition) if found.ended_at else None),
        (_("Taken by"), _named(detail, found.specialist_id)),
        (_("After hours"), _("Yes") if found.after_hours else None),
        (_("Note"), found.note if found.ended_at and personal else None),
    ]


def _inquirer(found: Any) -> list[tuple[Any, Any]] | None:
    if found is None or found.erased_at is not None:
        return None
    return [
        (_("Name"), found.name),
        (_("Phone"), found.phone),
        (_("Email"), found.email),
        (_("Safe to call back"), _("Yes") if found.safe_to_call else _("No")),
        (_("May leave a message"), _("Yes") if found.may_leave_message else _("No")),
        (_("News"), news_said(found)),
        (_("May be asked later"), _("Yes") if found.may_follow_up else _("No")),
        (_("Never contact"), _("It is not safe") if found.contact_prohibited else None),
    ]


def _usage(tell: Telling, event: Any) -> Any:
    return _(
        "${activity}: ${when}",
        mapping={
            "activity": tell.request.localizer.translate(said(ACTIVITIES, event.activity)),
            "when": tell.when(event.occurred_at),
        },
    )


# --- what may be done -----------------------------------------------------------------------------


@view_config(context=ContactRecord, name="danger", permission=P.CONTACT_TAKE, request_method="POST")
def answer_danger(context: ContactRecord, request: Any) -> HTTPSeeOther:
    """Keep the answer to the danger screen; a sign is filed at once, with the offer of 911."""
    tell = telling(request)
    answer = request.POST.get("answer", "")
    version = sent_version(request)
    signs = {each.key for each in tell.published.screen(tell.today).signs}
    if answer == "none":
        update_contact(
            request.dbsession,
            now=request.now,
            contact_id=context.record.id,
            version=version,
            danger_answer="none",
        )
    elif answer in signs:
        empty = Service(tell.slug, "", "")
        intake = replace(
            _intake(
                context, request, empty, {"version": version}, form_key(request), filing.Place()
            ),
            service="",
            danger_answer=answer,
        )
        filing.take_in(request.dbsession, tell.published, intake, now=request.now, look_first=True)
    else:
        raise InvalidInput(_("Choose one of the answers listed."), field="answer")
    return HTTPSeeOther(location=_here(context, request))


@view_config(
    context=ContactRecord, name="transfer", permission=P.CONTACT_TAKE, request_method="POST"
)
def answer_transfer(context: ContactRecord, request: Any) -> HTTPSeeOther:
    """Say what came of one offer to put the caller through."""
    try:
        transfer_id = UUID(str(request.POST.get("transfer", "")))
    except ValueError:
        raise InvalidInput(_("Choose one of the transfers listed."), field="transfer") from None
    record_transfer(
        request.dbsession,
        now=request.now,
        contact_id=context.record.id,
        transfer_id=transfer_id,
        result=request.POST.get("result", ""),
    )
    return HTTPSeeOther(location=_here(context, request))


@view_config(context=ContactRecord, name="draft", permission=P.CONTACT_TAKE, request_method="POST")
def draft(context: ContactRecord, request: Any) -> Response:
    """Keep what is being typed, of a need or at the end; 409 where it comes too late."""
    known: dict[str, Any] = {"version": sent_version(request), "now": request.now}
    session, contact_id, fields = request.dbsession, context.record.id, _written(request)
    if "service" in request.POST:
        service = offered(request, request.POST["service"])
        kept = keep_draft(session, contact_id, service.ref, fields, **known)
    else:
        kept = keep_ending(session, contact_id, fields, **known)
    return Response(status=204 if kept else 409)


@view_config(
    context=ContactRecord,
    name="preview",
    permission=P.CONTACT_TAKE,
    request_method="POST",
    renderer="contacts/contact.jinja2",
)
def preview(context: ContactRecord, request: Any) -> Any:
    """Say who is responsible and why, before anything is filed; what is written is kept as such."""
    service = offered(request, request.POST.get("service", ""))
    keep_draft(
        request.dbsession,
        context.record.id,
        service.ref,
        _written(request),
        version=sent_version(request),
        now=request.now,
    )
    values = _as_typed(request)
    seen = _preview(context, request, service, values)
    if "HX-Request" in request.headers:
        return render_to_response("contacts/preview.jinja2", {"preview": seen}, request=request)
    form = _need_form(context, request, service)
    try:
        form.validate(list(request.POST.items()))
    except deform.ValidationFailure:
        request.response.status_int = 400
    return _page(
        context,
        request,
        Work(service, form, seen, caller_open=any(values.get(name) for name in CALLER)),
    )


@view_config(
    context=ContactRecord,
    name="guide",
    permission=P.CONTACT_TAKE,
    request_method="GET",
    renderer="contacts/guide.jinja2",
)
def guide(context: ContactRecord, request: Any) -> dict[str, Any]:
    """A script where one is in it, as a part of the page."""
    here = _here(context, request)
    screen = telling(request).published.screen(telling(request).today)
    asked = request.GET.get("service", "")[:LONGEST_QUESTION]
    walked, caller = request.GET.get("walk", ""), context.record.language
    found = shelf(request, here, walked=walked, caller=caller).articles
    if not found or found[0]["walk"] is None:
        raise HTTPNotFound
    return {
        "article": found[0],
        "urls": {"here": here, "guide": f"{here}/guide", "danger": f"{here}/danger"},
        "picked": {"ref": offered(request, asked).ref} if asked else None,
        "contact": context.record,
        "form_key": new_token(),
        "signs": screen.signs,
        "emergency": screen.number,
    }


@view_config(
    context=ContactRecord,
    name="guide",
    permission=P.CONTACT_TAKE,
    request_method="POST",
    renderer="contacts/contact.jinja2",
)
def walk_guide(context: ContactRecord, request: Any) -> dict[str, Any]:
    """Go a step in a script, with everything that was typed of the need still there."""
    service = offered(request, request.POST.get("service", ""))
    typed = _as_typed(request)
    form = _need_form(context, request, service)
    form.take_unfinished(list(request.POST.items()))
    seen = _preview(context, request, service, typed)
    caller = any(typed.get(name) for name in CALLER)
    walked = request.POST.get("walk", "")
    return _page(context, request, Work(service, form, seen, caller_open=caller, walked=walked))


@view_config(
    context=ContactRecord,
    name="need",
    permission=P.CONTACT_TAKE,
    request_method="POST",
    renderer="contacts/contact.jinja2",
)
def file_need(context: ContactRecord, request: Any) -> Any:
    """File what is needed. The same form sent twice gets the first answer again."""
    tell = telling(request)
    if context.record.danger_answer is None:
        raise filing.DangerNotAsked(_("Ask first whether anybody is in danger."))
    service = offered(request, request.POST.get("service", ""))
    form = _need_form(context, request, service)
    typed = _as_typed(request)

    def on_success(values: dict[str, Any]) -> dict[str, Any]:
        reply = asking(request, service).reply(values)
        place = _placed(request, values)[0]
        intake = _intake(context, request, service, values, form_key(request), place, reply)
        known = filing.first_answer(request.dbsession, intake)
        if known is None:
            _check_place(tell, request, intake, service)
        filed = known or filing.take_in(
            request.dbsession,
            tell.published,
            intake,
            now=request.now,
            url=request.registry.configured.url,
            translate=tell.translate,
            link=answer_link(request),
        )
        drop_draft(request.dbsession, context.record.id)
        _read_again(context)
        return _page(context, request, Work(filed=_filed(tell, request, service, filed)))

    def on_failure() -> dict[str, Any]:
        seen = _preview(context, request, service, typed)
        if form.problem is not None and seen.get("consent") and typed.get("consent") is None:
            seen["consent"]["error"] = form.problem
        caller = any(typed.get(name) for name in CALLER)
        return _page(context, request, Work(service, form, seen, caller_open=caller))

    try:
        return handle_form_submission(request, form, on_success, on_failure)
    except Stale as error:
        start_over(request)
        _read_again(context)
        request.response.status_int = 409
        work = Work(service if context.record.ended_at is None else None, form, stale=error)
        return _page(context, request, work)


def _read_again(context: ContactRecord) -> None:
    """Take the record as it is now: it was changed since the address was looked up."""
    parent = context.__parent__
    if isinstance(parent, Contacts):
        context.record = parent.find(context.__name__) or context.record


def _check_place(tell: Telling, request: Any, intake: filing.Intake, service: Service) -> None:
    """Several partners could be responsible and nothing says where: ask, do not guess."""
    if intake.chosen or service.place != "required" or intake.place.stored_kind != "none":
        return
    raise InvalidInput(
        _("Say where it is, or choose who is responsible."),
        field="place",
    )


def _filed(tell: Telling, request: Any, service: Service, filed: filing.Filed) -> dict[str, Any]:
    target = tell.partner(filed.target)
    joins = filed.outcome == "open_request" and filed.request_id is None
    title = (
        _("Counted with ${partner}", mapping={"partner": target})
        if joins
        else {
            "open_request": _("Request filed with ${partner}", mapping={"partner": target}),
            "refer": _("Referred to ${partner}", mapping={"partner": target}),
            "warm_transfer": _("Offer to transfer to ${partner}", mapping={"partner": target}),
            "information": _("Give this information"),
            "resolve_here": _("Answer it here"),
            "decline": _("It cannot be taken"),
            "danger": _("Call 911 first"),
        }.get(filed.outcome, _("Filed"))
    )
    informs = filed.outcome in ("information", "resolve_here", "decline", "warm_transfer")
    told = tell.published.directory.find(f"{filed.owner}/{service.key}") or service
    return {
        "title": title,
        "number": filed.request_public_id or filed.referral_public_id,
        "expected": tell.day(filed.expected_at, "long"),
        "track_url": f"{request.host_url}/track/{filed.token}" if filed.token else None,
        "code": filed.code,
        "code_url": f"{request.host_url}/mine/{filed.code}" if filed.code else None,
        "phone": number_to_give(tell, filed.target) if informs and filed.target else None,
        "information": told.details.get("information") if informs else None,
        "notes": filed.notes,
        "why": filed.sentences[1:],
        "repeated": filed.repeated,
    }


@view_config(
    context=ContactRecord,
    name="wrap-up",
    permission=P.CONTACT_TAKE,
    request_method="POST",
    renderer="contacts/contact.jinja2",
)
def wrap_up(context: ContactRecord, request: Any) -> Any:
    """End the contact: how it ended, and a note."""
    tell = telling(request)
    found = context.record
    if found.danger_answer is None:
        raise filing.DangerNotAsked(_("Ask first whether anybody is in danger."))
    needs = queries.needed(request.dbsession, [found.id]).get(found.id, [])
    owner, key = needs[0] if needs else (None, None)
    service = tell.service(owner, key) if key else None
    disposition = request.POST.get("disposition", "")
    unsaid = outcomes.say_at_the_end(context, request)
    if unsaid is not None:
        request.response.status_int = 400
        return _page(context, request, Work(problem=unsaid))
    call = of_contact(request.dbsession, found.id) if found.channel == "phone" else None
    close_contact(
        request.dbsession,
        now=request.now,
        over_at=call.over_at if call else None,
        # one that was written may have been ended in the inbox, and that taken back
        revision=revision_of(request.dbsession, found.id) if found.channel in WRITTEN else 1,
        contact_id=found.id,
        version=sent_version(request),
        disposition=disposition,
        zone_day=tell.today,
        note=request.POST.get("note", "").strip()[:2000] or None,
        service_owner_id=owner,
        service_key=key,
        bureau_key=service.bureau or None if service else None,
    )
    if lifecycle.first_contact_resolution(disposition):
        request.flash("success", _("Finished: resolved at the first contact."))
    else:
        request.flash("success", _("Finished."))
    return HTTPSeeOther(location=f"/{tell.slug}/desk")


@view_config(
    context=ContactRecord,
    name="file",
    permission=P.INQUIRER_READ,
    request_method="GET",
)
def file(context: ContactRecord, request: Any) -> Any:
    """A file that was sent for a need, to be saved."""
    asked = request.GET.get("question", "")[:250]
    try:
        need_id = UUID(request.GET.get("need", ""))
    except ValueError:
        raise HTTPNotFound from None
    found = queries.attachment_of_contact(request.dbsession, asked, context.record.id, need_id)
    if found is None:
        raise HTTPNotFound
    return file_response(found.name, found.content)
