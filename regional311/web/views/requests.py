"""Service requests: the queue, one request with what to do next, those followed at partners."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from pyramid.httpexceptions import HTTPNotFound, HTTPSeeOther
from pyramid.view import view_config

from regional311.audit.queries import HISTORY
from regional311.casework.tags import TAGGED, add_tag, remove_tag, tags
from regional311.catalog.answers import kept_from
from regional311.catalog.queries import forms
from regional311.errors import InvalidInput
from regional311.identity.permissions import Permissions as P
from regional311.intake import lifecycle, queries
from regional311.intake.added_files import ADDED, MOST, MOST_SENT, SENT_FILE
from regional311.intake.attachments import SENT, attachments
from regional311.intake.giving import give
from regional311.intake.links import open_parts
from regional311.intake.merging import merge, take_out
from regional311.intake.nearby import near
from regional311.intake.service import MERGED, add_note, change_request
from regional311.web import closing, noting, request_list
from regional311.web.forms import (
    Choice,
    Form,
    HiddenWidget,
    Integer,
    RadioWidget,
    Schema,
    SchemaNode,
    SelectWidget,
    String,
    TextAreaWidget,
    TextWidget,
    handle_form_submission,
    make_form,
    sent_version,
)
from regional311.web.histories import steps_asked, whole_history
from regional311.web.i18n import _
from regional311.web.listing import Column, Filter, Listing
from regional311.web.news import news_said
from regional311.web.questions import told_again
from regional311.web.representations import csv_of_session, file_response, wanted
from regional311.web.same_already import sought, told
from regional311.web.telling import Telling, telling
from regional311.web.tree import RequestRecord, Requests
from regional311.web.views import bulk_changes, request_files, request_handing, request_links
from regional311.web.wording import (
    ACTIONS,
    HELPED,
    PRIORITIES,
    REQUEST_STATES,
    RESOLUTIONS,
    choices,
    kind,
    said,
)

# --- lists ----------------------------------------------------------------------------------------


@view_config(
    context=Requests,
    permission=P.REQUEST_READ,
    request_method="GET",
    renderer="requests/list.jinja2",
)
def requests(context: Requests, request: Any) -> Any:
    """The requests of this partner, filtered, sorted, by pages, or as CSV."""
    if request.GET.get("with") == "partners":
        return _followed(request)
    sent_home = bulk_changes.default_view(request)
    if sent_home is not None:
        return sent_home
    tell = telling(request)
    works = request.has_permission(P.REQUEST_WORK, context)
    listing = Listing(
        request,
        columns=[
            *([Column("chosen", _("Choose"))] if works else []),
            Column("number", _("Number")),
            Column("service", _("Service")),
            Column("state", _("Status")),
            Column("priority", _("Priority")),
            Column("queue", _("Queue")),
            Column("who", _("Worked by")),
            Column("place", _("Place")),
            Column("opened", _("Opened"), sort=True),
            Column("expected", _("Expected")),
        ],
        filters=request_list.filters(request),
        sort="-opened",
        csv=True,
    )
    chosen = request_list.asked(request, listing.values) | {
        "oldest_first": listing.sort == "opened"
    }
    if wanted(request) == "csv":
        return _exported(request, tell, chosen)
    page = queries.requests(request.dbsession, after=listing.after, **chosen)
    queues = tell.published.queues(tell.slug)
    names = {each.person_id: each.name for each in request_list.colleagues(request)}
    listing.fill(
        [
            {
                "public_id": row.public_id,
                "service": tell.service_name(tell.slug, row.service_key),
                "state": said(REQUEST_STATES, row.state),
                "kind": kind(REQUEST_STATES, row.state),
                "priority": said(PRIORITIES, row.priority),
                "queue": queues.get(row.queue or "", row.queue),
                "who": names.get(row.assignee_id) if row.assignee_id else None,
                "place": _("Confidential") if row.confidential else tell.place(row),
                "opened": tell.when(row.opened_at),
                "expected": _("stands still") if row.stands_since else tell.day(row.expected_at),
                "late": _late(row, request),
                "heard": row.heard_at is not None,
            }
            for row in page.rows
        ],
        after=page.after,
    )
    return {
        "listing": listing,
        "title": _("Our requests"),
        "followed": False,
        "tabs": _tabs(tell, followed=False),
        **bulk_changes.beside_list(request, listing, works=works),
    }


_COLUMNS = ("number", "service", "status", "priority", "queue", "place", "opened", "expected")


def _exported(request: Any, tell: Telling, chosen: dict[str, Any]) -> Any:
    """All of them, however many, as CSV that is written while they are read."""

    def rows(session: Any) -> Iterator[Sequence[Any]]:
        for row in queries.every_request(session, **chosen):
            yield (
                row.public_id,
                row.service_key,
                row.state,
                row.priority,
                row.queue,
                tell.place(row),
                row.opened_at,
                row.expected_at,
            )

    return csv_of_session(request, "requests.csv", _COLUMNS, rows)


def _followed(request: Any) -> Any:
    tell = telling(request)
    listing = Listing(
        request,
        columns=[
            Column("number", _("Number")),
            Column("service", _("Service")),
            Column("owner", _("With")),
            Column("state", _("Status")),
            Column("opened", _("Opened")),
            Column("expected", _("Expected")),
        ],
        filters=[
            Filter(
                "state",
                _("Status"),
                choices=[("open", _("Open")), *choices(REQUEST_STATES)],
            ),
            # the tab, so that filtering it stays there
            Filter("with", _("With"), choices=[("partners", "")], type="hidden"),
        ],
    )
    state = listing.values["state"]
    page = queries.followed_requests(
        request.dbsession,
        states=("in_transit", *lifecycle.OPEN) if state == "open" else _one(state),
        without=request.context.hidden(),
        after=listing.after,
    )
    listing.fill(
        [
            {
                "public_id": row.public_id,
                "service": tell.service_name(row.owner_id, row.service_key),
                "owner": tell.partner(row.owner_id),
                "state": said(REQUEST_STATES, row.state),
                "kind": kind(REQUEST_STATES, row.state),
                "opened": tell.when(row.sent_at),
                "expected": tell.day(row.expected_at),
                "late": _late(row, request),
            }
            for row in page.rows
        ],
        after=page.after,
    )
    return {
        "listing": listing,
        "title": _("Our people’s requests at other partners"),
        "followed": True,
        "views": None,
        "bulk": None,
        "tabs": _tabs(tell, followed=True),
    }


def _tabs(tell: Telling, *, followed: bool) -> list[tuple[str, Any, bool]]:
    here = f"/{tell.slug}/requests"
    return [
        (here, _("Ours"), not followed),
        (f"{here}?with=partners", _("At other partners"), followed),
    ]


def _one(state: str | None) -> tuple[str, ...] | None:
    return None if state is None else (state,)


def _late(row: Any, request: Any) -> bool:
    return (
        row.expected_at is not None
        and row.state not in lifecycle.CLOSED
        and row.expected_at < request.now
    )


# --- forms ----------------------------------------------------------------------------------------


def _version() -> SchemaNode:
    return SchemaNode(Integer(), name="version", title=_("Version"), widget=HiddenWidget())


class CloseForm(Schema):
    """How it was resolved, and the words for the person."""

    resolution = SchemaNode(
        Choice(lifecycle.RESOLUTIONS),
        title=_("How it was resolved"),
        widget=SelectWidget(values=choices(RESOLUTIONS)),
    )
    text = SchemaNode(
        String(40),
        title=_("A text to begin with"),
        description=_("Choose one and press “Put the text in”; then change it as you like."),
        missing=None,
    )
    message = SchemaNode(
        String(2000, multiline=True),
        title=_("Words for the person"),
        description=_("The person reads this. Say plainly what was done."),
        widget=TextAreaWidget(rows=3, maxlength=2000),
    )
    parts = SchemaNode(
        Choice(lifecycle.PARTS),
        title=_("Its parts are still open"),
        widget=RadioWidget(
            values=[
                (
                    lifecycle.CLOSE_PARTS,
                    _("Close the parts that are here in the same way"),
                    _("Parts at other partners go on; it is theirs to close them."),
                ),
                (lifecycle.KEEP_PARTS, _("Leave them open")),
            ]
        ),
    )
    version = _version()

    def after_bind(self, node: Any, kw: dict[str, Any]) -> None:
        request = kw["request"]
        texts = closing.choices_of(request, request.context.record)
        if texts:
            self["text"].typ = Choice([key for key, _words in texts])
            self["text"].widget = SelectWidget(values=texts, empty=_("None"))
        else:
            del self["text"]
        if not open_parts(request_links.linked(request, request.context.record)):
            del self["parts"]


class WaitForm(Schema):
    """For whom it waits."""

    state = SchemaNode(
        Choice(lifecycle.WAITING),
        title=_("Waiting for"),
        widget=RadioWidget(
            values=[("waiting_person", _("The person")), ("waiting_partner", _("A partner"))]
        ),
    )
    message = SchemaNode(
        String(2000, multiline=True),
        title=_("Words for the person"),
        description=_("Say what is missing, if the person can do something about it."),
        widget=TextAreaWidget(rows=3, maxlength=2000),
        missing=None,
    )
    version = _version()


class TriageForm(Schema):
    """Queue, priority and who works it."""

    queue = SchemaNode(String(100), title=_("Team"), missing=None)
    assignee = SchemaNode(String(40), title=_("Worked by"), missing=None)
    priority = SchemaNode(
        Choice(lifecycle.PRIORITIES),
        title=_("Priority"),
        widget=RadioWidget(values=choices(PRIORITIES)),
    )
    version = _version()

    def after_bind(self, node: Any, kw: dict[str, Any]) -> None:
        people = [
            (str(each.person_id), each.name) for each in request_list.colleagues(kw["request"])
        ]
        self["assignee"].typ = Choice([key for key, _name in people])
        self["assignee"].widget = SelectWidget(values=people, empty=_("Nobody yet"))
        queues = list(telling(kw["request"]).published.queues(kw["request"].tenant.slug).items())
        self["queue"].typ = Choice(queues)
        self["queue"].widget = SelectWidget(values=queues, empty=_("No team"))


class ReopenForm(Schema):
    """Why it is opened again."""

    message = SchemaNode(
        String(2000, multiline=True),
        title=_("Words for the person"),
        widget=TextAreaWidget(rows=3, maxlength=2000),
        missing=None,
    )
    version = _version()


class NoteForm(Schema):
    """A note for colleagues or for the person."""

    audience = SchemaNode(
        Choice(("internal", "public")),
        title=_("Who reads it"),
        widget=RadioWidget(
            values=[
                ("internal", _("Internal"), _("Staff of this partner only. It never leaves.")),
                ("public", _("Public"), _("The person, and the partner that took it in.")),
            ]
        ),
    )
    text = SchemaNode(String(4000, multiline=True), title=_("Note"))


class MergeForm(Schema):
    """Which one goes on, and what the person is told."""

    version = SchemaNode(Integer(), title=_("Version"), widget=HiddenWidget())
    into = SchemaNode(
        String(40),
        title=_("Number of the request that goes on"),
        widget=TextWidget(maxlength=40, autocomplete="off"),
    )
    message = SchemaNode(
        String(2000, multiline=True),
        title=_("Message to the person"),
        description=_("From then on they hear what becomes of the other one."),
        widget=TextAreaWidget(rows=3),
    )


SAME_AS_ANOTHER = _(
    "Somebody has reported the same. We work on both together and tell you what becomes of it."
)


# --- one request ----------------------------------------------------------------------------------


@view_config(
    context=RequestRecord,
    permission=P.REQUEST_READ,
    request_method="GET",
    renderer="requests/request.jinja2",
)
def one(context: RequestRecord, request: Any) -> dict[str, Any]:
    """One request: what it is, what to do next, notes, history."""
    return page_of_own(context, request)


def page_of_own(context: RequestRecord, request: Any, **failed: Any) -> dict[str, Any]:
    tell = telling(request)
    found = context.record
    follows = not hasattr(found, "intake_tenant_id")
    owner_id = found.owner_id if follows else request.tenant.id
    service = tell.service_name(owner_id, found.service_key)
    detail = queries.request_detail(request.dbsession, found.id, past=steps_asked(request))
    names: Mapping[Any, str] = detail.people
    handed = getattr(found, "handed_to_id", None) is not None
    common = {
        "found": found,
        "service": service,
        "state": _("Handed on") if handed else said(REQUEST_STATES, found.state),
        "kind": kind(REQUEST_STATES, found.state),
        "late": _late(found, request),
        "secret": (owner_id, found.service_key) in tell.confidential_services
        if follows
        else found.confidential,
        "followed": follows,
        "owner": tell.partner(owner_id),
        "message": found.public_message,
        "crumbs": [(f"/{tell.slug}/requests", _("Requests")), (None, found.public_id)],
        "history": [_event(tell, each, names) for each in reversed(detail.history)],
        "history_whole": whole_history(request, detail.history),
        "main": [],
        "close_form": None,
        "wait_form": None,
        "triage_form": None,
        "triage_label": _("Give it to a team or a colleague, or change its priority"),
        "reopen_form": None,
        "note_form": None,
        "handles": [],
        "notes": [],
        "inquirer": None,
        "prohibited": False,
        "asked": [],
        "added": [],
        "show_url": None,
        "attach_form": None,
        "description": None,
        "opened": next(iter(failed), None),
        "contact_url": f"/{tell.slug}/contacts/{detail.contact}" if detail.contact else None,
        "near": [],
        "merged": [],
        "kept": None,
        "merge_form": None,
        "merging": bool(request.GET.get("into")),
        "take_out": None,
    }
    if follows:
        return common | {
            "facts": [
                (_("With"), tell.partner(owner_id)),
                (_("Sent"), tell.when(found.sent_at)),
                (_("Expected by"), tell.day(found.expected_at)),
                (_("Closed"), tell.when(found.closed_at)),
                (_("Last news"), tell.when(found.updated_at)),
            ],
        }
    works = request.has_permission(P.REQUEST_WORK, context)
    here = request.resource_path(context).rstrip("/")
    kept = kept_from(found.answers)
    asked = forms(request.dbsession, [kept.form] if kept else ())
    common |= {
        "asked": told_again(request, kept, asked, files_at=f"{here}/file?question="),
        "description": found.description,
        "facts": [
            (_("Place"), tell.place(found)),
            (_("Kept by"), tell.bureau(tell.slug, found.bureau_key) or None),
            (_("Queue"), tell.published.queues(tell.slug).get(found.queue or "", found.queue)),
            (_("Priority"), said(PRIORITIES, found.priority)),
            (_("Worked by"), names.get(found.assignee_id)),
            (_("Taken in by"), tell.partner(found.intake_tenant_id)),
            (_("Opened"), tell.when(found.opened_at)),
            (_("Expected by"), _expected(tell, found)),
            (_("Others who have it too"), found.me_too or None),
            (_("Closed"), tell.when(found.closed_at)),
            (_("Resolution"), said(RESOLUTIONS, found.resolution) or None),
            (_("Said to the person"), found.public_message),
            (_("Did it help?"), said(HELPED, found.helped) or None),
            (_("In the person’s words"), found.helped_words),
        ],
        "notes": [
            {
                "internal": each.internal,
                "from_person": each.from_person,
                "text": each.text,
                "when": tell.when(each.at),
                "by": names.get(each.author_id),
            }
            for each in detail.notes
        ],
        "inquirer": _inquirer(detail.inquirer),
        "prohibited": detail.inquirer is not None and detail.inquirer.contact_prohibited,
        **_together(context, request),
        **request_links.shown(request, context),
        **request_handing.shown(request, context),
        "tags": tags(request.dbsession, found.id) if _was_tagged(detail.history) else [],
        "tag_url": f"{here}/tag" if works else None,
        "added": _added(tell, request, here, detail.history),
        "show_url": f"{here}/show-file" if works else None,
        "attach_form": failed.get("attach") or request_files.attach_form(context, request)
        if works and found.handed_to_id is None
        else None,
    }
    for name in ("link", "send-back"):
        if name in failed:
            common[f"{name.replace('-', '_')}_form"] = failed[name]
    works = works and found.handed_to_id is None
    return common | (_to_do(context, request, failed) if works else {})


def _was_tagged(history: Sequence[Any]) -> bool:
    """Whether there may be tags: whoever put one on is in the trail, as far as that was read."""
    return len(history) >= HISTORY or any(each.action == TAGGED for each in history)


def _added(tell: Telling, request: Any, here: str, history: Sequence[Any]) -> list[dict[str, Any]]:
    """Files that answer no question, where the trail says that the person or staff gave any."""
    gave = (ADDED, SENT_FILE)
    if len(history) < HISTORY and not any(each.action in gave for each in history):
        return []
    record = request.context.record
    found = attachments(
        request.dbsession, record.id, record.need_id, added=True, limit=MOST + MOST_SENT + 1
    )
    return [
        {
            "id": str(each.id),
            "name": each.name,
            "when": tell.when(each.stored_at),
            "url": f"{here}/file?question={each.question}",
            "from_person": each.question.startswith(SENT),
            "shown": each.audience == "person",
        }
        for each in found.rows
        if each.erased_at is None
    ]


def _together(context: RequestRecord, request: Any) -> dict[str, Any]:
    """Those that may be the same, those that are, and the one that goes on."""
    tell, found = telling(request), context.record
    here = f"/{tell.slug}/requests"
    around: list[dict[str, Any]] = []
    service = tell.published.directory.find(f"{tell.slug}/{found.service_key}")
    if found.state in lifecycle.OPEN and not found.confidential and service is not None:
        around = [
            {**told(tell, tell.slug, each), "url": f"{here}/{each.public_id}"}
            for each in near(
                request.dbsession, sought(tell, service, found), now=request.now, but=found.id
            )
        ]
    family = [
        {"number": each.public_id, "url": f"{here}/{each.public_id}", "id": each.id}
        for each in queries.merged_with(request.dbsession, found.id, found.merged_into_id)
    ]
    return {
        "near": around,
        "merged": [each for each in family if each["id"] != found.merged_into_id],
        "kept": next((each for each in family if each["id"] == found.merged_into_id), None),
    }


def _to_do(context: RequestRecord, request: Any, failed: dict[str, Any]) -> dict[str, Any]:
    found = context.record
    here = request.resource_path(context).rstrip("/")
    next_states = lifecycle.next_states(found.state)
    mine = found.assignee_id == request.identity.person_id
    values = {
        "version": found.version,
        "queue": found.queue,
        "priority": found.priority,
        "assignee": str(found.assignee_id) if found.assignee_id else None,
        "into": request.GET.get("into", "")[:40],
        "message": request.localizer.translate(SAME_AS_ANOTHER)
        if request.GET.get("into")
        else None,
    }

    def form(name: str, schema: Schema, submit: Any) -> Any:
        return failed.get(name) or make_form(
            request, schema, submit=submit, values=values, name=name, action=f"{here}/{name}"
        )

    main = []
    if found.state == "assigned" and mine:
        main.append({"url": f"{here}/start", "label": _("Start work")})
    elif found.state in lifecycle.WAITING:
        main.append({"url": f"{here}/start", "label": _("Go on working")})
    if found.state in lifecycle.OPEN and not mine:
        main.append({"url": f"{here}/assign", "label": _("Assign to me")})
    return {
        "main": main,
        "close_form": failed.get("close") or _close_form(request, here, values)
        if "closed" in next_states
        else None,
        "wait_form": form("wait", WaitForm(), _("Put on wait"))
        if set(lifecycle.WAITING) & set(next_states)
        else None,
        "triage_form": form("triage", TriageForm(), _("Sort it"))
        if found.state in lifecycle.OPEN
        else None,
        "triage_label": _("Sort it: team, who works it, priority")
        if found.state == "received"
        else _("Give it to a team or a colleague, or change its priority"),
        "reopen_form": form("reopen", ReopenForm(), _("Open it again"))
        if found.state == "closed"
        else None,
        "merge_form": form("merge", MergeForm(), _("Merge it"))
        if "merged" in next_states
        else None,
        "take_out": f"{here}/take-out" if found.merged_into_id is not None else None,
        "handles": noting.to_mention(request, noting.request_subject(request, found)),
        "note_form": failed.get("note")
        or make_form(
            request, NoteForm(), submit=_("Add the note"), name="note", action=f"{here}/note"
        ),
    }


PUT_IN: Final = "put_in"
"""The button that puts a text for closing into the form."""


def _close_form(request: Any, here: str, values: Mapping[str, Any] | None = None) -> Form:
    shown = ("version", "resolution", "text", "message", "parts")
    offers = bool(closing.texts_for(request, request.context.record))
    return make_form(
        request,
        CloseForm(),
        submit=_("Close the request"),
        buttons=((PUT_IN, _("Put the text in")),) if offers else (),
        values={name: (values or {}).get(name) for name in shown},
        name="close",
        action=f"{here}/close",
    )


def _expected(tell: Telling, found: Any) -> Any:
    """By when it is promised, or that time stands still and how much of it is left."""
    if found.stands_since is None:
        return tell.day(found.expected_at)
    hours, minutes = divmod((found.left_seconds or 0) // 60, 60)
    return _(
        "Time stands still until the person answers: ${left} of business time are left.",
        mapping={"left": f"{hours}:{minutes:02d} h"},
    )


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
    ]


def _event(tell: Telling, event: Any, names: Mapping[Any, str]) -> dict[str, Any]:
    note = None
    if event.action == "request:undo" and event.detail.get("from") in lifecycle.CLOSED:
        note = _(
            "It is open again: ${state}", mapping={"state": REQUEST_STATES[event.detail["to"]]}
        )
    elif event.detail.get("to"):
        note = said(REQUEST_STATES, event.detail["to"])
    elif event.detail.get("state"):
        note = said(REQUEST_STATES, event.detail["state"])
    notes = [each for each in (note, _clock_said(tell, event.detail)) if each]
    return {
        "when": tell.when(event.at),
        "title": said(ACTIONS, event.action),
        "by": names.get(event.person_id),
        "note": " · ".join(map(tell.translate, notes)) or None,
    }


def _clock_said(tell: Telling, detail: Mapping[str, Any]) -> Any:
    """What a step did to the clock."""
    if detail.get("clock") == "stands":
        return _("Time stands still until the person answers.")
    if not detail.get("expected_at"):
        return None
    day = {"day": tell.day(datetime.fromisoformat(detail["expected_at"]))}
    if detail.get("clock") == "goes_on":
        return _("Time goes on: expected by ${day}", mapping=day)
    return _("Now expected by ${day}", mapping=day)


# --- what may be done -----------------------------------------------------------------------------


def _back(context: RequestRecord, request: Any) -> HTTPSeeOther:
    return HTTPSeeOther(location=request.resource_path(context).rstrip("/"))


def _submitted(
    context: RequestRecord,
    request: Any,
    name: str,
    schema: Schema | Form,
    submit: Any,
    act: Callable[[dict[str, Any]], Any],
    done: Any,
) -> Any:
    here = request.resource_path(context).rstrip("/")
    form = (
        schema
        if isinstance(schema, Form)
        else make_form(request, schema, submit=submit, name=name, action=f"{here}/{name}")
    )

    def on_success(values: dict[str, Any]) -> HTTPSeeOther:
        act(values)
        request.flash("success", done)
        return _back(context, request)

    return handle_form_submission(
        request, form, on_success, lambda: page_of_own(context, request, **{name: form})
    )


@view_config(context=RequestRecord, name="assign", permission=P.REQUEST_WORK, request_method="POST")
def assign(context: RequestRecord, request: Any) -> HTTPSeeOther:
    """Take the request oneself or, when they are named, give it to a team and a colleague."""
    team, person_id = _given(context, request)
    give(
        request.dbsession,
        now=request.now,
        request_id=context.record.id,
        version=sent_version(request),
        team=team,
        person_id=person_id,
        followers=telling(request).followers(),
    )
    mine = person_id == request.identity.person_id
    request.flash("success", _("The request is yours.") if mine else _("It is given on."))
    return _back(context, request)


def _given(context: RequestRecord, request: Any) -> tuple[str | None, UUID | None]:
    """To which team and to whom; left out, it stays with its team, and whoever asks takes it."""
    queries.own_request(request.dbsession, context.record.id)
    queue, assignee = request.POST.get("queue"), request.POST.get("assignee")
    if queue is None and assignee is None:
        return context.record.queue, request.identity.person_id
    if queue and queue not in telling(request).published.queues(request.tenant.slug):
        raise InvalidInput(_("There is no such queue."), field="queue")
    able = {str(each.person_id): each.person_id for each in request_list.colleagues(request)}
    if assignee and assignee not in able:
        raise InvalidInput(_("Choose one of those listed."), field="assignee")
    return (
        context.record.queue if queue is None else queue or None,
        context.record.assignee_id if assignee is None else able.get(assignee),
    )


@view_config(context=RequestRecord, name="start", permission=P.REQUEST_WORK, request_method="POST")
def start(context: RequestRecord, request: Any) -> HTTPSeeOther:
    """Start or go on working."""
    change_request(
        request.dbsession,
        now=request.now,
        request_id=context.record.id,
        version=sent_version(request),
        to="in_progress",
        followers=telling(request).followers(),
    )
    request.flash("success", _("The request is in progress."))
    return _back(context, request)


@view_config(
    context=RequestRecord,
    name="triage",
    permission=P.REQUEST_WORK,
    request_method="POST",
    renderer="requests/request.jinja2",
)
def triage(context: RequestRecord, request: Any) -> Any:
    """Set team, priority and who works it; a new request is sorted by it."""

    def act(values: dict[str, Any]) -> None:
        give(
            request.dbsession,
            now=request.now,
            request_id=context.record.id,
            version=values["version"],
            team=values["queue"],
            person_id=UUID(values["assignee"]) if values["assignee"] else None,
            priority=values["priority"],
            followers=telling(request).followers(),
        )

    return _submitted(
        context,
        request,
        "triage",
        TriageForm(),
        _("Sort it"),
        act,
        _("Team, priority and who works it are set."),
    )


@view_config(
    context=RequestRecord,
    name="wait",
    permission=P.REQUEST_WORK,
    request_method="POST",
    renderer="requests/request.jinja2",
)
def wait(context: RequestRecord, request: Any) -> Any:
    """Put the request on wait."""

    def act(values: dict[str, Any]) -> None:
        change_request(
            request.dbsession,
            now=request.now,
            request_id=context.record.id,
            version=values["version"],
            to=values["state"],
            message=values["message"],
            followers=telling(request).followers(),
        )

    return _submitted(
        context, request, "wait", WaitForm(), _("Put on wait"), act, _("The request waits.")
    )


@view_config(
    context=RequestRecord,
    name="close",
    permission=P.REQUEST_WORK,
    request_method="POST",
    renderer="requests/request.jinja2",
)
def close(context: RequestRecord, request: Any) -> Any:
    """Close with a resolution and plain words; or put a text in first, which keeps nothing."""
    if PUT_IN in request.POST:
        here = request.resource_path(context).rstrip("/")
        values = closing.with_text(request, context.record)
        return page_of_own(context, request, close=_close_form(request, here, values))

    def act(values: dict[str, Any]) -> None:
        change_request(
            request.dbsession,
            now=request.now,
            request_id=context.record.id,
            version=values["version"],
            to="closed",
            resolution=values["resolution"],
            message=values["message"],
            parts=values.get("parts"),
            followers=telling(request).followers(),
        )

    return _submitted(
        context,
        request,
        "close",
        _close_form(request, request.resource_path(context).rstrip("/")),
        _("Close the request"),
        act,
        _("The request is closed, and whoever follows it is told."),
    )


@view_config(
    context=RequestRecord,
    name="merge",
    permission=P.REQUEST_WORK,
    request_method="POST",
    renderer="requests/request.jinja2",
)
def merge_into(context: RequestRecord, request: Any) -> Any:
    """Merge the request into another one that says the same."""

    def act(values: dict[str, Any]) -> None:
        merge(
            request.dbsession,
            now=request.now,
            request_id=context.record.id,
            version=values["version"],
            into=values["into"],
            message=values["message"],
            followers=telling(request).followers(),
        )

    return _submitted(
        context,
        request,
        "merge",
        MergeForm(),
        _("Merge it"),
        act,
        _("The two are one now. You can take it out again below."),
    )


@view_config(
    context=RequestRecord, name="take-out", permission=P.REQUEST_WORK, request_method="POST"
)
def take_out_again(context: RequestRecord, request: Any) -> HTTPSeeOther:
    """Take a merged request out again."""
    take_out(
        request.dbsession,
        now=request.now,
        request_id=context.record.id,
        version=sent_version(request),
        followers=telling(request).followers(),
    )
    request.flash("success", _("It is a request of its own again."))
    return _back(context, request)


@view_config(
    context=RequestRecord,
    name="reopen",
    permission=P.REQUEST_WORK,
    request_method="POST",
    renderer="requests/request.jinja2",
)
def reopen(context: RequestRecord, request: Any) -> Any:
    """Open a closed request again; a merged one is taken out of the other instead."""
    if getattr(context.record, "merged_into_id", None) is not None:
        raise lifecycle.StepNotAllowed(MERGED, field="state")

    def act(values: dict[str, Any]) -> None:
        change_request(
            request.dbsession,
            now=request.now,
            request_id=context.record.id,
            version=values["version"],
            to="triaged",
            message=values["message"],
            followers=telling(request).followers(),
        )

    return _submitted(
        context, request, "reopen", ReopenForm(), _("Open it again"), act, _("It is open again.")
    )


@view_config(
    context=RequestRecord,
    name="note",
    permission=P.REQUEST_WORK,
    request_method="POST",
    renderer="requests/request.jinja2",
)
def note(context: RequestRecord, request: Any) -> Any:
    """Add a note for colleagues, or for the person."""

    def act(values: dict[str, Any]) -> None:
        internal = values["audience"] == "internal"
        subject = noting.request_subject(request, context.record)
        # what the person reads names no colleague
        found, unknown = noting.meant(request, subject, values["text"] if internal else "")
        add_note(
            request.dbsession,
            now=request.now,
            request_id=context.record.id,
            text=values["text"],
            internal=internal,
            followers=telling(request).followers(),
        )
        noting.tell_who_is_meant(request, subject, found, unknown)

    return _submitted(
        context, request, "note", NoteForm(), _("Add the note"), act, _("The note is added.")
    )


@view_config(context=RequestRecord, name="tag", permission=P.REQUEST_WORK, request_method="POST")
def tag(context: RequestRecord, request: Any) -> HTTPSeeOther:
    """Put a tag on, or take one off."""
    found = queries.own_request(request.dbsession, context.record.id)
    if "off" in request.POST:
        gone = remove_tag(request.dbsession, found, request.POST["off"], now=request.now)
        request.flash("success", _("The tag “${tag}” is off.", mapping={"tag": gone}))
    else:
        put_on = add_tag(request.dbsession, found, request.POST.get("tag", ""), now=request.now)
        request.flash("success", _("The tag “${tag}” is on.", mapping={"tag": put_on}))
    return _back(context, request)


@view_config(
    context=RequestRecord,
    name="file",
    permission=P.REQUEST_READ,
    request_method="GET",
)
def file(context: RequestRecord, request: Any) -> Any:
    """A file that was sent with the request, to be saved."""
    asked, record = request.GET.get("question", "")[:250], context.record
    if not hasattr(record, "intake_tenant_id"):
        raise HTTPNotFound
    found = queries.attachment(request.dbsession, asked, record.need_id, record.id)
    if found is None:
        raise HTTPNotFound
    return file_response(found.name, found.content)
