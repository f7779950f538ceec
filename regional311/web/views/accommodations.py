"""Accommodation requests and complaints for staff: writing one down, deciding, counting, terms."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Final
from uuid import UUID

from pyramid.httpexceptions import HTTPNotFound, HTTPSeeOther
from pyramid.view import view_config
from sqlalchemy import select

from regional311.audit.queries import history
from regional311.casework import accommodations, paper
from regional311.casework.accommodation_figures import Group, counted_until, counts
from regional311.casework.accommodation_letters import heard_by
from regional311.casework.accommodation_terms import set_terms
from regional311.casework.accommodations import (
    LONGEST,
    OPEN,
    OUTCOMES,
    REQUEST,
    SORTS,
    due_on,
    on_appeal,
)
from regional311.casework.coordinators import Coordinator, Terms, terms_of
from regional311.identity.members import names_of
from regional311.identity.permissions import Permissions as P
from regional311.insight.suppression import FEW, THRESHOLD, WITHHELD, Said, suppress
from regional311.notices.service import day_in
from regional311.tenancy.models import Tenant
from regional311.web.accommodation_origins import keep_to_the_cleared, origin_of
from regional311.web.accommodations import (
    BASIS_WORDS,
    KIND_WORDS,
    OUTCOME_WORDS,
    STATE_WORDS,
    WAY_WORDS,
    AccommodationForm,
    letters_of,
    signs_in,
    take,
    warning,
)
from regional311.web.forms import (
    Choice,
    HiddenWidget,
    Integer,
    RadioWidget,
    Schema,
    SchemaNode,
    SelectWidget,
    String,
    TextAreaWidget,
    TextWidget,
    form_key,
    handle_form_submission,
    make_form,
)
from regional311.web.forms.rows import pressed, rows
from regional311.web.i18n import _, translated
from regional311.web.representations import csv_response, wanted
from regional311.web.searching import log_danger
from regional311.web.spoken import own_language
from regional311.web.telling import Telling, telling
from regional311.web.tree import (
    AccommodationDesk,
    AccommodationFigures,
    AccommodationRecord,
    Accommodations,
    Settings,
    accommodation_bureaus,
)
from regional311.web.wording import ACTIONS, CHANNELS, LANGUAGES, choices, said

WHOLE: Final = "*"
"""The choice of the whole partner; no key of a bureau looks like it."""


# --- the door for staff ---------------------------------------------------------------------------


class StaffAccommodationForm(AccommodationForm):
    """The same form, with the channel and the language of who asks."""

    channel = SchemaNode(
        Choice(CHANNELS),
        title=_("How they came"),
        widget=SelectWidget(values=choices(CHANNELS), empty=None),
    )
    language = SchemaNode(
        Choice(LANGUAGES),
        title=_("Language"),
        widget=SelectWidget(values=choices(LANGUAGES), empty=None),
    )
    origin = SchemaNode(String(20), title="", widget=HiddenWidget(), missing=None)


def _door_form(request: Any, *, warned: bool = False) -> Any:
    here = f"/{request.tenant.slug}/accommodation"
    get = request.GET
    origin = origin_of(request, get.get("from"))
    schema = StaffAccommodationForm()
    if not warned:
        del schema["cleared"]
    return make_form(
        request,
        schema,
        submit=_("Take it in"),
        name="accommodation",
        action=here,
        values={
            "owner": f"{request.tenant.slug}/",
            "channel": get.get("channel") if get.get("channel") in CHANNELS else "phone",
            "language": get.get("language") if get.get("language") in LANGUAGES else "en",
            **({} if origin is None else {**origin.values, "origin": origin.number}),
        },
        once=True,
        cancel_url=None if origin is None else origin.url,
    )


@view_config(
    context=AccommodationDesk,
    permission=P.ACCOMMODATION_TAKE,
    request_method="GET",
    renderer="accommodations/door.jinja2",
)
def door(context: AccommodationDesk, request: Any) -> dict[str, Any]:
    """Write one down for somebody on the phone, at the front desk or in a message."""
    return _door(request, _door_form(request))


def _door(request: Any, form: Any, signs: tuple[Any, ...] = ()) -> dict[str, Any]:
    return {"form": form, "made": None, **warning(request, signs)}


@view_config(
    context=AccommodationDesk,
    permission=P.ACCOMMODATION_TAKE,
    request_method="POST",
    renderer="accommodations/door.jinja2",
)
def take_in(context: AccommodationDesk, request: Any) -> Any:
    """Take it in, after danger has been asked about, and show number and link once."""
    signs = signs_in(request, request.POST.get("details", "")[:LONGEST])
    form = _door_form(request, warned=bool(signs))
    key = form_key(request)

    def on_success(values: dict[str, Any]) -> dict[str, Any]:
        if not values.pop("cleared", not signs):
            log_danger("desk", signs)
            request.response.status_int = 400
            return _door(request, form, signs)
        channel, language = values.pop("channel"), values.pop("language")
        origin = origin_of(request, values.pop("origin"))
        slug, number, token = take(
            request,
            request.dbsession,
            values,
            key=key,
            channel=channel,
            language=language,
        )
        if origin is not None:
            keep_to_the_cleared(request, origin)
        url = request.registry.configured.url
        return {
            "form": None,
            "made": {
                "number": number,
                "back": origin and (origin.url, origin.number, origin.written),
                "partner": telling(request).partner(slug),
                "link": f"{url}/accommodation/{slug}/{token}",
            },
        }

    return handle_form_submission(request, form, on_success, lambda: _door(request, form, signs))


# --- the coordinator's ----------------------------------------------------------------------------


@view_config(
    context=Accommodations,
    permission=P.ACCOMMODATION_WORK,
    request_method="GET",
    renderer="accommodations/list.jinja2",
)
def listed(context: Accommodations, request: Any) -> dict[str, Any]:
    """What must be done, the next day due first."""
    tell = telling(request)
    ended = request.GET.get("show") == "ended"
    sort = request.GET.get("sort") if request.GET.get("sort") in SORTS else None
    bureaus = context.bureaus()
    found = accommodations.listed(
        request.dbsession, bureaus=bureaus, still_open=not ended, sort=sort
    )
    here = f"/{tell.slug}/accommodations"
    return {
        "tabs": [
            (here, _("To do"), not ended),
            (f"{here}?show=ended", _("Ended"), ended),
        ],
        "rows": [
            {
                "url": f"{here}/{each.public_id}",
                "number": each.public_id,
                "sort": said(SORTS_SHORT, each.sort),
                "kind": _kind(each.sort, each.kind),
                "bureau": tell.bureau(tell.slug, each.bureau_key),
                "state": said(STATE_WORDS, each.state),
                "outcome": OUTCOME_WORDS.get(each.holds or ""),
                "received": tell.day(each.received_at),
                "due": tell.day(each.due_on),
                "late": each.due_on is not None and each.due_on < tell.today,
                "appeal": each.appealed,
            }
            for each in found
        ],
        "to_post": [
            (number, f"{here}/{number}#letters")
            for number in paper.to_post(request.dbsession, bureaus=bureaus)
        ],
        "figures_url": f"/{tell.slug}/accommodation-figures",
        "unnamed": bureaus == (),
        "whose": None if bureaus is None else [tell.bureau(tell.slug, each) for each in bureaus],
    }


SORTS_SHORT: Final = {"request": _("Request"), "complaint": _("Complaint")}
SORTS_MANY: Final = {"request": _("Requests"), "complaint": _("Complaints")}


def _kind(sort: str, key: str) -> Any:
    return said(KIND_WORDS if sort == REQUEST else BASIS_WORDS, key)


class AcknowledgeForm(Schema):
    """What the person is told at once."""

    words = SchemaNode(
        String(LONGEST, multiline=True),
        title=_("Words for the person"),
        widget=TextAreaWidget(rows=3, maxlength=LONGEST),
        missing=None,
    )
    version = SchemaNode(Integer(), title="", widget=HiddenWidget())


class DecideForm(Schema):
    """How it ends, and why."""

    outcome = SchemaNode(String(40), title=_("Outcome"))
    words = SchemaNode(
        String(LONGEST, multiline=True),
        title=_("Why, and what comes next"),
        description=_("The person reads this. A refusal needs its reason."),
        widget=TextAreaWidget(rows=4, maxlength=LONGEST),
        missing="",
    )
    version = SchemaNode(Integer(), title="", widget=HiddenWidget())

    def after_bind(self, node: Any, kw: dict[str, Any]) -> None:
        outcomes = OUTCOMES[kw["request"].context.record.sort]
        self["outcome"].typ = Choice(outcomes)
        self["outcome"].widget = RadioWidget(
            values=[(each, OUTCOME_WORDS[each]) for each in outcomes]
        )


class NoteForm(Schema):
    """Words to keep, or for the person."""

    audience = SchemaNode(
        Choice(("internal", "public")),
        title=_("Who reads it"),
        widget=RadioWidget(
            values=[("internal", _("Coordinators only")), ("public", _("The person, too"))]
        ),
    )
    words = SchemaNode(
        String(LONGEST, multiline=True),
        title=_("Note"),
        widget=TextAreaWidget(rows=3, maxlength=LONGEST),
    )


class AppealForm(Schema):
    """What holds after the appeal, and why."""

    outcome = SchemaNode(String(40), title=_("What holds now"))
    words = SchemaNode(
        String(LONGEST, multiline=True),
        title=_("What became of it"),
        description=_("The person reads this."),
        widget=TextAreaWidget(rows=4, maxlength=LONGEST),
    )
    version = SchemaNode(Integer(), title="", widget=HiddenWidget())

    def after_bind(self, node: Any, kw: dict[str, Any]) -> None:
        row = kw["request"].context.record
        outcomes = on_appeal(row.sort)
        self["outcome"].typ = Choice(outcomes)
        self["outcome"].widget = RadioWidget(
            values=[
                (
                    row.outcome,
                    _("It stays: ${outcome}", mapping={"outcome": OUTCOME_WORDS[row.outcome]}),
                ),
                *((each, OUTCOME_WORDS[each]) for each in outcomes if each != row.outcome),
            ]
        )


class OfficeForm(Schema):
    """Which office it is about after all."""

    bureau = SchemaNode(String(100), title=_("Office"))
    version = SchemaNode(Integer(), title="", widget=HiddenWidget())

    def after_bind(self, node: Any, kw: dict[str, Any]) -> None:
        request = kw["request"]
        own = request.context.record.bureau_key
        offices = [(WHOLE, _("Whoever coordinates the whole partner")), *_bureaus(request)]
        self["bureau"].typ = Choice([key for key, _name in offices])
        self["bureau"].widget = SelectWidget(
            values=[each for each in offices if each[0] != (own or WHOLE)], empty=_("Choose")
        )


_FORMS: Final = {
    "acknowledge": (AcknowledgeForm, _("Say that you have it")),
    "decide": (DecideForm, _("Decide it")),
    "note": (NoteForm, _("Add a note")),
    "office": (OfficeForm, _("Give it to another office")),
    "answer-appeal": (AppealForm, _("Answer the appeal")),
}


def _form(context: AccommodationRecord, request: Any, name: str) -> Any:
    schema, submit = _FORMS[name]
    here = request.resource_path(context).rstrip("/")
    return make_form(
        request,
        schema(),
        submit=submit,
        values={"version": context.record.version},
        name=name,
        action=f"{here}/{name}",
    )


@view_config(
    context=AccommodationRecord,
    permission=P.ACCOMMODATION_WORK,
    request_method="GET",
    renderer="accommodations/one.jinja2",
)
def one(context: AccommodationRecord, request: Any) -> dict[str, Any]:
    """One of them, whole."""
    return _page(context, request)


def _page(context: AccommodationRecord, request: Any, **failed: Any) -> dict[str, Any]:
    tell, row = telling(request), context.record
    here = request.resource_path(context).rstrip("/")
    past = history(request.dbsession, row.id)
    words = accommodations.words_on(request.dbsession, row.id)
    names = names_of(
        request.dbsession,
        {
            row.coordinator_id,
            *(each.author_id for each in words),
            *(each.person_id for each in past),
        },
    )
    still_open = row.state in OPEN
    appealed = row.appealed_at is not None and row.appeal_answered_at is None
    forms = [
        name
        for name, shown in (
            ("acknowledge", row.state == "received"),
            ("decide", still_open),
            ("answer-appeal", appealed),
            ("note", row.forgotten_at is None),
            ("office", due_on(row) is not None),
        )
        if shown
    ]
    return {
        "number": row.public_id,
        "title": _kind(row.sort, row.kind),
        "state": OUTCOME_WORDS[row.appeal_outcome or row.outcome]
        if row.outcome
        else said(STATE_WORDS, row.state),
        "state_kind": "open" if still_open else "waiting" if appealed else "done",
        "appeal": row.appeal,
        "appealed": appealed,
        "details": row.details,
        "late": (due := due_on(row)) is not None and due < tell.today,
        "due": tell.day(due),
        "forgotten": tell.day(row.forgotten_at),
        "facts": [
            (_("What it is"), said(SORTS_SHORT, row.sort)),
            (_("Bureau"), tell.bureau(tell.slug, row.bureau_key) or None),
            (_("Day"), tell.day(row.needed_on)),
            (_("Where"), row.place),
            (_("Received"), tell.when(row.received_at)),
            (_("Came by"), said(CHANNELS, row.channel)),
            (_("Language"), said(LANGUAGES, row.language)),
            _day_or_moment(
                tell,
                (_("Acknowledge by"), row.acknowledge_by),
                (_("Acknowledged"), row.acknowledged_at),
            ),
            _day_or_moment(tell, (_("Decide by"), row.decide_by), (_("Decided"), row.decided_at)),
            (
                _("Decision") if row.appeal_outcome else _("Outcome"),
                OUTCOME_WORDS[row.outcome] if row.outcome else None,
            ),
            (_("Why, and what comes next"), row.outcome_words),
            (
                _("Can be appealed through"),
                None if row.appealed_at else tell.day(row.appeal_until),
            ),
            (_("Coordinator"), names.get(row.coordinator_id) if row.coordinator_id else None),
            (_("Appealed"), tell.when(row.appealed_at)),
            (
                _("Answer the appeal by"),
                tell.day(row.appeal_by) if appealed else None,
            ),
            (
                _("What holds since the appeal"),
                OUTCOME_WORDS[row.appeal_outcome] if row.appeal_outcome else None,
            ),
            (_("What became of the appeal"), row.appeal_answer),
        ],
        "who": [
            (_("Name"), row.name),
            (_("Phone"), row.phone),
            (_("Email"), row.email),
            (_("Postal address"), row.address),
            (_("How to reach them"), row.reach),
            (_("They hear from us"), HEARS[heard_by(row)] if row.forgotten_at is None else None),
        ],
        "untold": row.forgotten_at is None and heard_by(row) == "none",
        "letters": [
            {
                "url": f"{here}/letter?letter={each.id}",
                "posted_url": None if each.sent_at else f"{here}/posted",
                "id": str(each.id),
                "when": tell.day(each.created_at),
                "sent": tell.day(each.sent_at),
            }
            for each in paper.papers(request.dbsession, row.id)
        ],
        "words": [
            {
                "from_person": each.from_person,
                "internal": each.internal,
                "text": each.words,
                "when": tell.when(each.at),
                "by": names.get(each.author_id) if each.author_id else None,
            }
            for each in words
        ],
        "forms": [
            (
                name,
                _FORMS[name][1],
                failed.get(name) or _form(context, request, name),
                name in failed or name in ("acknowledge", "answer-appeal"),
            )
            for name in forms
        ],
        "history": [
            {
                "when": tell.when(each.at),
                "title": said(ACTIONS, each.action),
                "by": names.get(each.person_id) if each.person_id else None,
                "note": _outcomes(each.detail)
                or (tell.bureau(tell.slug, each.detail.get("to")) or None),
            }
            for each in reversed(past)
        ],
        "crumbs": [(f"/{tell.slug}/accommodations", _("Accommodations")), (None, row.public_id)],
    }


def _day_or_moment(
    tell: Telling, due: tuple[Any, date], done: tuple[Any, datetime | None]
) -> tuple[Any, Any]:
    """The day by which something must be done or, since it is, when it was."""
    return (due[0], tell.day(due[1])) if done[1] is None else (done[0], tell.when(done[1]))


def _outcomes(detail: dict[str, Any]) -> Any:
    """How a step of the history ended it; of an appeal, from what to what."""
    now, before = (OUTCOME_WORDS.get(detail.get(each, "")) for each in ("outcome", "before"))
    if now is None or before is None or now == before:
        return now
    return _("${before}, now: ${now}", mapping={"before": before, "now": now})


def _submitted(context: AccommodationRecord, request: Any, name: str, act: Any, done: Any) -> Any:
    form = _form(context, request, name)

    def on_success(values: dict[str, Any]) -> HTTPSeeOther:
        act(values)
        request.flash("success", done)
        return HTTPSeeOther(location=request.resource_path(context).rstrip("/"))

    return handle_form_submission(
        request, form, on_success, lambda: _page(context, request, **{name: form})
    )


@view_config(
    context=AccommodationRecord,
    name="acknowledge",
    permission=P.ACCOMMODATION_WORK,
    request_method="POST",
    renderer="accommodations/one.jinja2",
)
def acknowledge(context: AccommodationRecord, request: Any) -> Any:
    """Say that somebody has it."""

    def act(values: dict[str, Any]) -> None:
        accommodations.acknowledge(
            request.dbsession,
            row_id=context.record.id,
            version=values["version"],
            words=values["words"],
            letters=letters_of(request, request.tenant.slug),
            now=request.now,
        )

    return _submitted(context, request, "acknowledge", act, _("It is acknowledged."))


@view_config(
    context=AccommodationRecord,
    name="decide",
    permission=P.ACCOMMODATION_WORK,
    request_method="POST",
    renderer="accommodations/one.jinja2",
)
def decide(context: AccommodationRecord, request: Any) -> Any:
    """Decide it."""

    def act(values: dict[str, Any]) -> None:
        accommodations.decide(
            request.dbsession,
            row_id=context.record.id,
            version=values["version"],
            outcome=values["outcome"],
            words=values["words"],
            today=telling(request).today,
            letters=letters_of(request, request.tenant.slug),
            now=request.now,
        )

    return _submitted(context, request, "decide", act, _("It is decided. The person sees it."))


@view_config(
    context=AccommodationRecord,
    name="note",
    permission=P.ACCOMMODATION_WORK,
    request_method="POST",
    renderer="accommodations/one.jinja2",
)
def note(context: AccommodationRecord, request: Any) -> Any:
    """Keep words."""

    def act(values: dict[str, Any]) -> None:
        accommodations.add_words(
            request.dbsession,
            row_id=context.record.id,
            words=values["words"],
            internal=values["audience"] == "internal",
            letters=letters_of(request, request.tenant.slug),
            now=request.now,
        )

    return _submitted(context, request, "note", act, _("Kept."))


@view_config(
    context=AccommodationRecord,
    name="answer-appeal",
    permission=P.ACCOMMODATION_WORK,
    request_method="POST",
    renderer="accommodations/one.jinja2",
)
def answer_appeal(context: AccommodationRecord, request: Any) -> Any:
    """Say what became of an appeal."""

    def act(values: dict[str, Any]) -> None:
        accommodations.answer_appeal(
            request.dbsession,
            row_id=context.record.id,
            version=values["version"],
            outcome=values["outcome"],
            words=values["words"],
            letters=letters_of(request, request.tenant.slug),
            now=request.now,
        )

    return _submitted(context, request, "answer-appeal", act, _("Answered. The person sees it."))


@view_config(
    context=AccommodationRecord,
    name="office",
    permission=P.ACCOMMODATION_WORK,
    request_method="POST",
    renderer="accommodations/one.jinja2",
)
def give_to_office(context: AccommodationRecord, request: Any) -> Any:
    """Give it to another office; whoever does not coordinate that one sees it no more."""
    form = _form(context, request, "office")

    def on_success(values: dict[str, Any]) -> HTTPSeeOther:
        bureau = None if values["bureau"] == WHOLE else values["bureau"]
        accommodations.give_to(
            request.dbsession,
            row_id=context.record.id,
            version=values["version"],
            bureau=bureau,
            letters=letters_of(request, request.tenant.slug),
            now=request.now,
        )
        request.flash("success", _("It is given on, and its coordinator is told."))
        mine = accommodation_bureaus(request)
        seen = mine is None or bureau in mine
        back = context if seen else context.__parent__
        return HTTPSeeOther(location=request.resource_path(back).rstrip("/"))

    return handle_form_submission(
        request, form, on_success, lambda: _page(context, request, office=form)
    )


# --- letters on paper -----------------------------------------------------------------------------

HEARS: Final = {**WAY_WORDS, "none": _("Nothing is sent to them")}


@view_config(
    context=AccommodationRecord,
    name="letter",
    permission=P.ACCOMMODATION_WORK,
    request_method="GET",
    renderer="accommodations/letter.jinja2",
)
def letter(context: AccommodationRecord, request: Any) -> dict[str, Any]:
    """A letter to be printed, as it goes into the envelope."""
    found = next(
        (
            each
            for each in paper.papers(request.dbsession, context.record.id)
            if str(each.id) == request.GET.get("letter", "")
        ),
        None,
    )
    if found is None:
        raise HTTPNotFound
    here = request.resource_path(context).rstrip("/")
    return {
        "letter": found,
        "partner": request.tenant.name,
        "day": day_in(found.created_at.astimezone(telling(request).zone).date(), found.language),
        "posted_url": None if found.sent_at else f"{here}/posted",
        "crumbs": [
            (f"/{request.tenant.slug}/accommodations", _("Accommodations")),
            (here, context.record.public_id),
            (None, _("Letter")),
        ],
    }


@view_config(
    context=AccommodationRecord,
    name="posted",
    permission=P.ACCOMMODATION_WORK,
    request_method="POST",
)
def posted(context: AccommodationRecord, request: Any) -> HTTPSeeOther:
    """Say that a letter is in the post."""
    try:
        letter_id = UUID(str(request.POST.get("letter", "")))
    except ValueError:
        raise HTTPNotFound from None
    paper.posted(request.dbsession, context.record.id, letter_id, now=request.now)
    request.flash("success", _("It is in the post."))
    return HTTPSeeOther(location=request.resource_path(context).rstrip("/"))


# --- figures --------------------------------------------------------------------------------------


@view_config(
    context=AccommodationFigures,
    permission=P.ACCOMMODATION_READ,
    request_method="GET",
    renderer="accommodations/figures.jinja2",
)
def figures(context: AccommodationFigures, request: Any) -> Any:
    """Counts and times by kind, bureau and outcome; small counts are not said."""
    tell = telling(request)
    year = request.GET.get("year", "")
    chosen = (
        int(year) if year.isdecimal() and year.isascii() and len(year) == 4 else tell.today.year
    )
    chosen = min(max(chosen, 2000), tell.today.year)
    first, last = date(chosen, 1, 1), counted_until(chosen, tell.today)
    groups = counts(
        request.dbsession,
        since=datetime.combine(first, time(), tell.zone),
        until=datetime.combine(last, time(), tell.zone),
        zone=str(tell.zone),
    )
    parts = [
        figures_of(tell, sort, [each for each in groups if each.sort == sort]) for sort in SORTS
    ]
    if wanted(request) == "csv":
        return csv_response(
            request,
            f"accommodations-{chosen}.csv",
            ["year", "until", "sort", "by", "what", "count", *TIME_WORDS],
            [
                [chosen, last, part.sort, by, line.key, line.count, *line.times.values()]
                for part in parts
                for by, lines in (("total", [part.total]), *part.divided.items())
                for line in lines
            ],
        )
    return {
        "year": chosen,
        "through": tell.day(last - timedelta(days=1)) if last > first else None,
        "years": list(range(tell.today.year, tell.today.year - 5, -1)),
        "columns": [TIME_WORDS[name] for name in TIMES],
        "parts": [
            {
                "title": SORTS_MANY[part.sort],
                "total": _plain(request, part.total.count),
                "times": [(TIME_WORDS[name], value) for name, value in part.total.times.items()],
                "tables": [
                    (
                        BY_WORDS[by],
                        [
                            (
                                each.label,
                                _plain(request, each.count),
                                [each.times[name] for name in TIMES],
                            )
                            for each in lines
                        ],
                    )
                    for by, lines in part.divided.items()
                ],
            }
            for part in parts
        ],
        "csv_url": f"/{tell.slug}/accommodation-figures?year={chosen}&format=csv",
        "here": f"/{tell.slug}/accommodation-figures",
    }


BY_WORDS: Final = {"kind": _("By kind"), "bureau": _("By bureau"), "outcome": _("By outcome")}
TIME_WORDS: Final = {
    "acknowledged_in_time_percent": _("Acknowledged in time, %"),
    "decided_in_time_percent": _("Decided in time, %"),
    "days_to_decide": _("Days until decided"),
    "appealed_percent": _("Appealed, %"),
    "changed_on_appeal_percent": _("Changed on appeal, %"),
}


TIMES: Final = ("acknowledged_in_time_percent", "decided_in_time_percent", "days_to_decide")
"""What is said of each kind, bureau and outcome, too."""


@dataclass(frozen=True, slots=True)
class Line:
    """A count as it may be said, and the times of those it counts, each None where they are few."""

    key: str
    label: Any
    count: Said
    times: dict[str, float | None]


@dataclass(frozen=True, slots=True)
class Figures:
    """What is said of requests, or of complaints."""

    sort: str
    total: Line
    divided: dict[str, list[Line]]


def figures_of(tell: Telling, sort: str, groups: list[Group]) -> Figures:
    """Say of one sort what may be said: nothing of the times of a count that is not said itself."""
    divided: dict[str, dict[str, list[Group]]] = {"kind": {}, "bureau": {}, "outcome": {}}
    for each in groups:
        for by, cells in divided.items():
            cells.setdefault(getattr(each, by) or "-", []).append(each)
    counted = suppress(
        sum(each.many for each in groups),
        {
            by: {key: sum(each.many for each in own) for key, own in cells.items()}
            for by, cells in divided.items()
        },
    )
    kinds = KIND_WORDS if sort == REQUEST else BASIS_WORDS
    labels: dict[str, Any] = {
        "kind": lambda key: said(kinds, key),
        "bureau": lambda key: tell.bureau(tell.slug, key) if key != "-" else _("No bureau named"),
        "outcome": lambda key: OUTCOME_WORDS[key] if key != "-" else _("Not decided yet"),
    }
    return Figures(
        sort,
        Line("", "", counted.total, _times(counted.total, groups, whole=True)),
        {
            by: [
                Line(key, labels[by](key), count, _times(count, divided[by][key]))
                for key, count in sorted((cells or {}).items())
            ]
            for by, cells in counted.divided.items()
        },
    )


def _times(count: Said, groups: list[Group], *, whole: bool = False) -> dict[str, float | None]:
    """Times and shares of a count; those of appeals of the whole only, as parts would add up."""

    def many(name: str) -> float:
        return sum(getattr(each, name) for each in groups)

    def tells_none(part: float, of: float) -> bool:
        """Whether a share leaves nobody alone: what it counts, and what it leaves, is not few."""
        return all(each == 0 or each >= THRESHOLD for each in (part, of - part))

    decided, appealed, changed = (
        many(name) for name in ("decided", "appealed", "changed_on_appeal")
    )
    said_of_all = isinstance(count, int) and count >= THRESHOLD
    said_of_decided = said_of_all and decided >= THRESHOLD
    shares = {
        "acknowledged_in_time_percent": ("acknowledged_in_time", many("many"), said_of_all),
        "decided_in_time_percent": ("decided_in_time", decided, said_of_decided),
        "days_to_decide": ("days_to_decide", decided * 100, said_of_decided),
        "appealed_percent": (
            "appealed",
            decided,
            whole and said_of_decided and tells_none(appealed, decided),
        ),
        "changed_on_appeal_percent": (
            "changed_on_appeal",
            appealed,
            whole and said_of_decided and appealed >= THRESHOLD and tells_none(changed, appealed),
        ),
    }
    # whole numbers: a share to many places would say how many it is of how many
    return {
        name: round(100 * many(part) / of) if shown else None
        for name, (part, of, shown) in shares.items()
    }


def _plain(request: Any, count: Said) -> Any:
    if count == FEW:
        return translated(request, _("few"))
    return translated(request, _("withheld")) if count == WITHHELD else count


# --- terms ----------------------------------------------------------------------------------------


def _bureaus(request: Any) -> list[tuple[str, str]]:
    """The partner's bureaus that are there now, by name."""
    tell = telling(request)
    bureaus = [
        (ref.partition("/")[2], row.name)
        for ref, row in tell.published.bureaus.items()
        if ref.startswith(f"{tell.slug}/") and row.ended_on is None
    ]
    return sorted(bureaus, key=lambda each: each[1])


class CoordinatorRow(Schema):
    """One coordinator."""

    name = SchemaNode(String(200), title=_("Name or office"))
    email = SchemaNode(
        String(200), title=_("E-mail"), widget=TextWidget(type="email"), missing=None
    )
    phone = SchemaNode(String(40), title=_("Phone"), widget=TextWidget(type="tel"), missing=None)
    bureau = SchemaNode(String(100), title=_("For which bureau"))

    def after_bind(self, node: Any, kw: dict[str, Any]) -> None:
        bureaus = _bureaus(kw["request"])
        self["bureau"].typ = Choice([WHOLE, *(key for key, _name in bureaus)])
        self["bureau"].widget = SelectWidget(
            values=[
                (WHOLE, _("The whole partner: sees every bureau")),
                *bureaus,
            ],
            empty=_("Choose"),
        )


APPEALS_IN: Final = tuple(key for key in LANGUAGES if key != "other")


class TermsForm(Schema):
    """Days, the words on appeals, and who coordinates."""

    def after_bind(self, node: Any, kw: dict[str, Any]) -> None:
        tell = telling(kw["request"])
        del self[f"appeal_{own_language(tell.published.tenants[tell.slug])}"]

    def __init__(self, *args: Any, **kw: Any) -> None:
        super().__init__(*args, **kw)
        for name, title in (
            ("acknowledge_days", _("Working days until it is acknowledged")),
            ("decide_days", _("Working days until it is decided")),
            ("appeal_days", _("Working days until an appeal is answered")),
            ("keep_days", _("Days after its end until all but what is counted is erased")),
        ):
            self.add(
                SchemaNode(
                    Integer(),
                    name=name,
                    title=title,
                    widget=TextWidget(inputmode="numeric", maxlength=5),
                )
            )
        self.add(
            SchemaNode(
                String(1000, multiline=True),
                name="appeal",
                title=_("How to appeal, as the person reads it"),
                widget=TextAreaWidget(rows=3, maxlength=1000),
                missing="",
            )
        )
        for language in APPEALS_IN:
            self.add(
                SchemaNode(
                    String(1000, multiline=True),
                    name=f"appeal_{language}",
                    title=_("The same in ${language}", mapping={"language": LANGUAGES[language]}),
                    widget=TextAreaWidget(rows=3, maxlength=1000),
                    missing="",
                )
            )
        self.add(
            rows(
                "coordinators",
                CoordinatorRow(),
                title=_("Coordinators"),
                row_title=_("Coordinator ${number}"),
                add=_("Add a coordinator"),
            )
        )
        self.add(SchemaNode(Integer(), name="revision", title="", widget=HiddenWidget()))


def _terms_form(request: Any) -> Any:
    me, here = request.tenant.id, f"/{request.tenant.slug}/settings"
    tenant = request.dbsession.execute(
        select(Tenant.settings, Tenant.revision).where(Tenant.tenant_id == me, Tenant.id == me)
    ).one()
    terms = terms_of(tenant.settings)
    return make_form(
        request,
        TermsForm(),
        values={
            "acknowledge_days": terms.acknowledge_days,
            "decide_days": terms.decide_days,
            "appeal_days": terms.appeal_days,
            "keep_days": terms.keep_days,
            "appeal": terms.appeal,
            **{f"appeal_{language}": words for language, words in terms.appeals.items()},
            "coordinators": [
                {
                    "name": each.name,
                    "email": each.email or None,
                    "phone": each.phone or None,
                    "bureau": WHOLE if each.whole else each.bureau or None,
                }
                for each in terms.coordinators
            ],
            "revision": tenant.revision,
        },
        name="accommodation",
        action=f"{here}/accommodation",
        cancel_url=here,
    )


def _terms_page(request: Any, form: Any) -> dict[str, Any]:
    here = f"/{request.tenant.slug}/settings"
    return {"form": form, "crumbs": [(here, _("Settings")), (None, _("Accommodations"))]}


@view_config(
    context=Settings,
    name="accommodation",
    permission=P.SETTINGS_EDIT,
    request_method="GET",
    renderer="accommodations/terms.jinja2",
)
def terms(context: Settings, request: Any) -> dict[str, Any]:
    """The terms as they are."""
    return _terms_page(request, _terms_form(request))


@view_config(
    context=Settings,
    name="accommodation",
    permission=P.SETTINGS_EDIT,
    request_method="POST",
    renderer="accommodations/terms.jinja2",
)
def keep_terms(context: Settings, request: Any) -> Any:
    """Keep other terms; they hold for what comes in from now on."""
    form = _terms_form(request)
    if pressed(request, form):
        return _terms_page(request, form)

    def on_success(values: dict[str, Any]) -> HTTPSeeOther:
        set_terms(
            request.dbsession,
            Terms(
                values["acknowledge_days"],
                values["decide_days"],
                values["appeal_days"],
                values["keep_days"],
                values["appeal"],
                tuple(
                    Coordinator(
                        each["name"],
                        each["email"] or "",
                        each["phone"] or "",
                        "" if each["bureau"] == WHOLE else each["bureau"],
                        each["bureau"] == WHOLE,
                    )
                    for each in values["coordinators"]
                ),
                {each: values.get(f"appeal_{each}") or "" for each in APPEALS_IN},
            ),
            revision=values["revision"],
            now=request.now,
        )
        request.flash("success", _("Kept."))
        return HTTPSeeOther(location=f"/{request.tenant.slug}/settings")

    return handle_form_submission(request, form, on_success, lambda: _terms_page(request, form))
