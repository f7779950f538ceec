"""Service requests for programs: read them, file them, work them, as the pages do."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field, StringConstraints
from pyramid.httpexceptions import HTTPNotFound

from regional311.catalog.answers import Reply, check, kept_from
from regional311.catalog.answers import reply as reply_to
from regional311.errors import InvalidInput
from regional311.identity.permissions import Permissions as P
from regional311.identity.queries import who_may
from regional311.intake import lifecycle, merging, queries
from regional311.intake.service import add_note, assign_request, change_request
from regional311.intake.uploads import FileRefused, Upload, upload
from regional311.notices.phones import texted
from regional311.referral import filing
from regional311.referral.placing import placed
from regional311.web.answer_links import answer_link
from regional311.web.api.operations import Call, Told, operation
from regional311.web.api.secrecy import hidden_services
from regional311.web.api.shapes import (
    Changed,
    Key,
    Latitude,
    Line,
    Longitude,
    Nothing,
    Page,
    Paged,
    PartAsked,
    Shape,
    Short,
    Text,
    Words,
)
from regional311.web.news import sends_texts
from regional311.web.programs import secret_key
from regional311.web.searching import log_danger
from regional311.web.tree import RequestRecord, Requests

GROUP = "Requests"
State = Literal[
    "received",
    "triaged",
    "assigned",
    "in_progress",
    "waiting_person",
    "waiting_partner",
    "closed",
    "merged",
]
Priority = Literal["low", "normal", "high", "urgent"]
Resolution = Literal[
    "completed",
    "no_action_needed",
    "not_found",
    "duplicate",
    "not_our_responsibility",
    "out_of_funds",
    "person_withdrew",
    "other",
]


# --- shapes ---------------------------------------------------------------------------------------


class Spot(Shape):
    """Where it is."""

    kind: Literal["point", "address", "neighbourhood", "none"]
    text: str | None
    latitude: float | None
    longitude: float | None


class RequestEntry(Shape):
    """A request in a list."""

    number: str
    service: str = Field(description="Key of the service.")
    bureau: str | None
    queue: str | None
    taken_in_by: str = Field(description="The partner that took it in.")
    state: State
    priority: Priority
    place: Spot
    confidential: bool
    opened_at: datetime
    expected_at: datetime | None = Field(
        description="By when it is promised; null when nothing is, or while time stands still."
    )
    stands_since: datetime | None = Field(
        description="Since when time stands still, because the person has to answer."
    )
    left_seconds: int | None = Field(description="Business time that was left then.")
    closed_at: datetime | None
    person_wrote_at: datetime | None = Field(
        description="When the person last wrote, while nobody has done anything since."
    )
    version: int
    url: str


class RequestWhole(RequestEntry):
    """One request."""

    description: str | None
    resolution: Resolution | None
    message: str | None = Field(description="The latest words for the person.")
    answers: dict[str, str] = Field(
        description="To the service's questions, by key; several of a list with commas between."
    )
    me_too: int = Field(description="How many others have it, too.")


class FollowedEntry(Shape):
    """A request that was taken in here and lives with another partner."""

    number: str
    owner: str = Field(description="The partner that works it.")
    service: str
    state: str
    message: str | None
    sent_at: datetime
    expected_at: datetime | None
    closed_at: datetime | None


class Note(Shape):
    """A note on a request."""

    id: str
    audience: Literal["internal", "public"]
    from_person: bool
    text: str
    by: str | None
    at: datetime


class RequestsAsked(Paged):
    """Which requests; the filters are those of the page."""

    state: Literal["open"] | State | None = Field(
        None, description="`open` is every state before closed."
    )
    queue: Key | None = Field(None, description="Key of a queue.")
    service: Key | None = Field(None, description="Key of a service.")
    priority: Priority | None = None
    overdue: Literal["yes"] | None = None
    heard: Literal["yes"] | None = Field(None, description="Those whose person wrote last.")
    sort: Literal["-opened", "opened"] = "-opened"


class FollowedAsked(Paged):
    """Which of those that live with other partners."""

    state: Short | None = None


class NewPlace(Shape):
    """Where something is: words, a point, or both."""

    text: Line | None = None
    latitude: Latitude | None = None
    longitude: Longitude | None = None


class NewPerson(Shape):
    """Who asks; everything may be left out."""

    name: Line | None = None
    phone: Short | None = None
    email: Line | None = None
    safe_to_call: bool = False
    may_leave_message: bool = False
    wants_updates: bool = Field(default=False, description="The person agreed to get news.")
    updates_by: Literal["email", "text"] = Field(
        default="email",
        description="By what; text, to the phone number, where the partner sends texts.",
    )


FileContent = Annotated[
    str,
    StringConstraints(min_length=4, max_length=11_500_000),
    Field(description="In base64.", json_schema_extra={"contentEncoding": "base64"}),
]
"""A file of at most 8 MB."""


class NewFile(Shape):
    """A file that answers a question: a picture or a PDF of at most 8 MB."""

    question: Key = Field(description="Key of one of the service's questions for a file.")
    name: Line
    content: FileContent


class NewRequest(Shape):
    """What somebody needs, as every other door takes it, too."""

    service: Key = Field(
        description="Key of a service of this partner, or `partner/key` of another."
    )
    description: Text = ""
    place: NewPlace | None = None
    person: NewPerson | None = None
    answers: dict[Key, Words | list[Line]] = Field(
        default_factory=dict, description="To the service's questions, by key."
    )
    files: list[NewFile] = Field(default_factory=list, max_length=5)
    urgency: Priority = "normal"
    language: Literal["en", "es", "vi", "zh-Hant", "ru"] = "en"
    consent: Literal["given", "written", "refused"] = Field(
        "refused",
        description="Whether the person agreed that what identifies them goes to another partner: "
        "in words, on paper, or not.",
    )


class FiledAnswer(Shape):
    """What became of it."""

    outcome: str
    contact: str = Field(description="Number of the contact under which it is kept.")
    request: str | None
    referral: str | None
    owner: str | None = Field(description="The partner that takes care of it.")
    expected_at: datetime | None
    sentences: list[str] = Field(description="Why, in words.")
    track_url: str | None = Field(description="Where whoever holds the address follows it.")


class NewNote(Shape):
    """Words on a request."""

    audience: Literal["internal", "public"] = Field(
        description="Staff of this partner only, or the person and whoever took it in."
    )
    text: Text = Field(min_length=1)


class NoteAdded(Shape):
    """A note that was added; its words are not said again."""

    id: UUID
    audience: Literal["internal", "public"]
    at: datetime


class Assignment(Shape):
    """Who works it, where it waits, how urgent it is; what is left out stays."""

    assignee: UUID | None = Field(None, description="Id of somebody of this partner.")
    queue: Key | None = None
    priority: Priority | None = None


class Progress(Shape):
    """Where it goes next."""

    state: Literal["triaged", "in_progress", "waiting_person", "waiting_partner"]
    message: Words | None = Field(None, description="Words for the person.")


class Closing(Shape):
    """How it was resolved, in a word and in words for the person."""

    resolution: Resolution
    message: Words = Field(
        min_length=4,
        description="Words for the person; ten letters at least, a Chinese character is three.",
    )
    parts: Literal["close", "keep"] | None = Field(
        None, description="What becomes of its open parts; needed when there are any."
    )


class Reopening(Shape):
    """Why it is open again."""

    message: Words | None = None


# --- reading --------------------------------------------------------------------------------------


@operation(
    group=GROUP,
    path="/requests",
    context=Requests,
    permission=P.REQUEST_READ,
    query=RequestsAsked,
    answer=Page[RequestEntry],
)
def list_requests(call: Call[RequestsAsked, None]) -> Any:
    """The partner's own requests.

    Confidential ones are there only for who may see them.
    """
    asked = call.query
    states: tuple[str, ...] | None = None if asked.state is None else (asked.state,)
    if asked.state == "open" or (asked.overdue and asked.state is None):
        states = lifecycle.OPEN
    found = queries.requests(
        call.session,
        states=states,
        queue=asked.queue,
        service_key=asked.service,
        priority=asked.priority,
        overdue_at=call.request.now if asked.overdue else None,
        heard=asked.heard is not None,
        cleared=call.cleared,
        oldest_first=asked.sort == "opened",
        after=call.after(),
        limit=asked.limit,
    )
    return call.page([_entry(call, row) for row in found.rows], found.after)


@operation(
    group=GROUP,
    path="/requests/followed",
    context=Requests,
    name="followed",
    permission=P.REQUEST_READ,
    query=FollowedAsked,
    answer=Page[FollowedEntry],
)
def list_followed_requests(call: Call[FollowedAsked, None]) -> Any:
    """Requests that were taken in here and live with other partners."""
    found = queries.followed_requests(
        call.session,
        states=None if call.query.state is None else (call.query.state,),
        without=hidden_services(call),
        after=call.after(),
        limit=call.query.limit,
    )
    return call.page([_followed(call, row) for row in found.rows], found.after)


@operation(
    group=GROUP,
    path="/requests/{number}",
    context=RequestRecord,
    permission=P.REQUEST_READ,
    answer=RequestWhole | FollowedEntry,
    tagged=True,
)
def read_request(call: Call[Nothing, None]) -> Any:
    """One request; of one that lives with another partner what it told us."""
    row = call.record
    if follows(row):
        return _followed(call, row)
    content = {
        **_entry(call, row),
        "description": row.description,
        "resolution": row.resolution,
        "message": row.public_message,
        "answers": answers_of(row.answers),
        "me_too": row.me_too,
    }
    return Told(content, row.version)


@operation(
    group=GROUP,
    path="/requests/{number}/notes",
    context=RequestRecord,
    name="notes",
    permission=P.REQUEST_READ,
    query=PartAsked,
    answer=Page[Note],
)
def list_notes(call: Call[PartAsked, None]) -> Any:
    """The notes on a request, the oldest first."""
    if follows(call.record):
        raise HTTPNotFound
    detail = queries.request_detail(call.session, call.record.id)
    items = [
        {
            "id": str(each.id),
            "audience": "internal" if each.internal else "public",
            "from_person": each.from_person,
            "text": each.text,
            "by": detail.people.get(each.author_id) if each.author_id else None,
            "at": each.at,
        }
        for each in detail.notes
    ]
    return call.part(items, "id")


def answers_of(content: Any) -> dict[str, str]:
    """Give the answers that were kept, by question; several from a list have commas between."""
    kept = kept_from(content)
    if kept is None:
        return {}
    return {key: str(said) for part in (kept.reply.coded, kept.reply.told)
            for key, said in part.items()}  # fmt: skip


def follows(row: Any) -> bool:
    return not hasattr(row, "intake_tenant_id")


def _entry(call: Call[Any, Any], row: Any) -> dict[str, Any]:
    return {
        "number": row.public_id,
        "service": row.service_key,
        "bureau": row.bureau_key,
        "queue": row.queue,
        "taken_in_by": call.tell.published.slugs.get(row.intake_tenant_id, ""),
        "state": row.state,
        "priority": row.priority,
        "place": {
            "kind": row.place_kind,
            "text": row.place_text,
            "latitude": None if row.latitude is None else float(row.latitude),
            "longitude": None if row.longitude is None else float(row.longitude),
        },
        "confidential": row.confidential,
        "opened_at": row.opened_at,
        "expected_at": row.expected_at,
        "stands_since": row.stands_since,
        "left_seconds": row.left_seconds,
        "closed_at": row.closed_at,
        "person_wrote_at": row.heard_at,
        "version": row.version,
        "url": f"{call.here}/requests/{row.public_id}",
    }


def _followed(call: Call[Any, Any], row: Any) -> dict[str, Any]:
    return {
        "number": row.public_id,
        "owner": call.tell.published.slugs.get(row.owner_id, ""),
        "service": row.service_key,
        "state": row.state,
        "message": row.public_message,
        "sent_at": row.sent_at,
        "expected_at": row.expected_at,
        "closed_at": row.closed_at,
    }


TRACKED = "by its secret link"
"""What is kept where the answer has a secret link."""


def _track_url(call: Call[Any, Any], content: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Make the link by which a request is followed: it is derived from the call's key."""
    if content["track_url"] != TRACKED:
        return {}
    base = call.request.registry.configured.url.rstrip("/")
    return {"track_url": f"{base}/track/{filing.tracking_token(key)}"}


# --- filing ---------------------------------------------------------------------------------------


@operation(
    group=GROUP,
    path="/requests",
    context=Requests,
    method="POST",
    permission=P.CONTACT_TAKE,
    body=NewRequest,
    answer=FiledAnswer,
    status=201,
    creates=True,
    secret=_track_url,
)
def file_request(call: Call[Nothing, NewRequest]) -> Any:
    """File what somebody needs.

    Whose it is is decided as at every door: it becomes a request here or at another partner, or a
    referral. Words that name a danger are answered with the number to call, and nothing is filed:
    nobody is there to ask.
    """
    intake = _intake(call)
    tell, request = call.tell, call.request
    seen = filing.preview(tell.published, tell.slug, intake, now=request.now)
    if seen.signs:
        log_danger("api", seen.signs)
        sign = seen.signs[0]
        raise DangerNamed(
            f"Call {sign.number} now if anybody is in danger: the words sound like "
            f"{sign.name.lower()}. Nothing was filed.",
            field="description",
        )
    filed = filing.take_in(
        call.session,
        tell.published,
        intake,
        now=request.now,
        url=request.registry.configured.url,
        translate=tell.translate,
        link=answer_link(request),
    )
    return {
        "outcome": filed.outcome,
        "contact": filed.contact_public_id,
        "request": filed.request_public_id or None,
        "referral": filed.referral_public_id or None,
        "owner": filed.owner or None,
        "expected_at": filed.expected_at,
        "sentences": list(filed.sentences) + list(filed.notes),
        # kept so, whoever reads the database; `_track_url` makes the link for who asks
        "track_url": TRACKED if filed.token else None,
    }


class DangerNamed(InvalidInput):
    """The words name a danger: somebody must be asked first, and a program cannot."""


def _intake(call: Call[Nothing, NewRequest]) -> filing.Intake:
    said, tell = call.body, call.tell
    ref = said.service if "/" in said.service else f"{tell.slug}/{said.service}"
    service = tell.published.directory.find(ref)
    if service is None or not service.offered(tell.today):
        raise InvalidInput("There is no such service.", field="service")
    place = said.place or NewPlace()
    if (place.latitude is None) != (place.longitude is None):
        raise InvalidInput("latitude and longitude come together.", field="place")
    point = [None if each is None else _degrees(each) for each in (place.latitude, place.longitude)]
    given = filing.Place((place.text or "").strip(), point[0], point[1])
    try:
        filing.check_near(tell.published, given)
    except filing.FarAway as error:
        raise InvalidInput(error.message, field="place/latitude") from None
    where = placed(call.request.dbsession, tell.published, given)[0]
    if service.place == "required" and where.stored_kind == "none":
        raise InvalidInput("Say where it is: text, or latitude and longitude.", field="place")
    person = said.person or NewPerson()
    if person.email and ("@" not in person.email or " " in person.email):
        raise InvalidInput("Write an address such as name@example.org.", field="person/email")
    by_text = person.wants_updates and person.updates_by == "text"
    if by_text and not sends_texts(call.request, tell.slug):
        raise InvalidInput("No news are sent by text here.", field="person/updates_by")
    if by_text and texted(person.phone or "") is None:
        raise InvalidInput(
            "Write a number that gets texts, in this country, such as 503-555-0123.",
            field="person/phone",
        )
    asker = filing.Asker(
        name=person.name or None,
        phone=person.phone or None,
        email=person.email or None,
        safe_to_call=person.safe_to_call,
        may_leave_message=person.may_leave_message,
        wants_updates=person.wants_updates and (by_text or bool(person.email)),
        updates_by=person.updates_by,
    )
    known = asker.name or asker.phone or asker.email
    files = tuple(
        taken(each.question, each.name, each.content, field=f"files/{at}/content")
        for at, each in enumerate(said.files)
    )
    return filing.Intake(
        source="api",
        key=secret_key(
            call.request,
            call.request.identity.person_id,
            call.request.headers["Idempotency-Key"].strip(),
        ),
        channel="app",
        started_at=call.request.now,
        service=ref,
        language=said.language,
        asker=asker if known else None,
        place=where,
        description=said.description.strip().replace("\r\n", "\n"),
        urgency=said.urgency,
        reply=_reply(call, service, files),
        files=files,
        consent="refused" if said.consent == "refused" else "given",
        consent_method="written" if said.consent == "written" else "spoken",
    )


def _degrees(value: float) -> Decimal:
    return round(Decimal(str(value)), 6)


def taken(question: str, name: str, sent: str, *, field: str) -> Upload:
    """Take a file that was sent in base64; `field` is where in the body. Raises `InvalidInput`."""
    try:
        content = base64.b64decode(sent, validate=True)
    except ValueError:
        raise InvalidInput("Is not base64.", field=field) from None
    try:
        return upload(question, name, content)
    except FileRefused as error:
        raise InvalidInput(error.message, field=field) from None


def _reply(call: Call[Nothing, NewRequest], service: Any, files: Sequence[Upload]) -> Reply | None:
    form = call.tell.published.form(service)
    asked = {each.key for each in form.questions if each.kind == "file"}
    questions = [each.question for each in files]
    for at, question in enumerate(questions):
        if question not in asked:
            fault = "This service asks for no such file."
            raise InvalidInput(fault, field=f"files/{at}/question")
        if question in questions[:at]:
            raise InvalidInput("One file answers a question.", field=f"files/{at}/question")
    sent = call.body.answers
    known = {each.key for each in form.questions}
    if unknown := sorted(set(sent) - known):
        raise InvalidInput("This service asks no such question.", field=f"answers/{unknown[0]}")
    if not form.questions:
        return None
    if words := sorted(asked & set(sent)):
        raise InvalidInput("A file comes in files, not in words.", field=f"answers/{words[0]}")
    given = {each.question: [each.name] for each in files} | {
        key: list(value) if isinstance(value, (list, tuple)) else [value]
        for key, value in sent.items()
    }
    checked = check(form, given, today=call.tell.today, zone=call.tell.zone)
    if checked.faults:
        wrong = checked.faults[0]
        raise InvalidInput(
            str(wrong).partition(": ")[2] or str(wrong), field=f"answers/{wrong.question}"
        )
    return reply_to(form, checked.answers)


# --- working --------------------------------------------------------------------------------------


def changed(call: Call[Any, Any], done: Any) -> Told:
    number = call.record.public_id
    content = {
        "number": number,
        "state": done.state,
        "version": done.version,
        "url": f"{call.here}/requests/{number}",
    }
    return Told(content, done.version)


def own(call: Call[Any, Any]) -> dict[str, Any]:
    """What every step needs."""
    return {
        "now": call.request.now,
        "request_id": call.record.id,
        "version": call.version,
    }


_STEP: dict[str, Any] = {
    "group": GROUP,
    "context": RequestRecord,
    "method": "POST",
    "permission": P.REQUEST_WORK,
}


class Worker(Shape):
    """Somebody who may work requests."""

    id: UUID
    name: str


@operation(
    group=GROUP,
    path="/requests/workers",
    context=Requests,
    name="workers",
    permission=P.REQUEST_WORK,
    query=PartAsked,
    answer=Page[Worker],
)
def list_workers(call: Call[PartAsked, None]) -> Any:
    """Who of this partner can be given a request, by name."""
    found = who_may(call.session, P.REQUEST_WORK)
    return call.part([{"id": each.person_id, "name": each.name} for each in found], "id")


@operation(
    **_STEP,
    path="/requests/{number}/assign",
    name="assign",
    body=Assignment,
    answer=Changed,
    changes=True,
)
def assign(call: Call[Nothing, Assignment]) -> Any:
    """Say who works a request, in which queue, how urgently.

    A new one counts as sorted by that; whoever is named becomes who works it. Where the state
    changes by it, whoever follows the request is told, and a person who wanted news gets a letter.
    """
    said = call.body
    given = {name: value for name, value in said if value is not None}
    if not given:
        raise InvalidInput("Give assignee, queue or priority.", field="assignee")
    if said.queue is not None and said.queue not in call.tell.published.queues(call.tell.slug):
        raise InvalidInput("There is no such queue.", field="queue")
    if said.assignee is not None:
        able = {each.person_id for each in who_may(call.session, P.REQUEST_WORK)}
        if said.assignee not in able:
            raise InvalidInput("Nobody with this id works requests here.", field="assignee")
    return give(call, assignee=said.assignee, queue=said.queue, priority=said.priority)


def give(
    call: Call[Any, Any],
    *,
    assignee: UUID | None = None,
    queue: str | None = None,
    priority: str | None = None,
) -> Told:
    """Say who works an open request, in which queue, how urgently; what is None stays."""
    state = call.record.state
    values = {**own(call), "assignee_id": assignee, "queue": queue, "priority": priority}
    to = "assigned" if assignee is not None else "triaged" if state == "received" else None
    if to is not None and to in lifecycle.next_states(state):
        done = change_request(call.session, to=to, followers=call.tell.followers(), **values)
    elif state in lifecycle.OPEN:
        done = assign_request(call.session, **values)
    else:
        raise lifecycle.StepNotAllowed("Open the request again first.", field="state")
    return changed(call, done)


@operation(
    **_STEP,
    path="/requests/{number}/progress",
    name="progress",
    body=Progress,
    answer=Changed,
    changes=True,
)
def move_request(call: Call[Nothing, Progress]) -> Any:
    """Say where an open request goes next: sorted, in progress, or waiting for somebody."""
    if call.record.state in lifecycle.CLOSED:
        raise lifecycle.StepNotAllowed("Open the request again first.", field="state")
    return changed(call, _move(call, call.body.state, message=call.body.message))


@operation(
    **_STEP,
    path="/requests/{number}/close",
    name="close",
    body=Closing,
    answer=Changed,
    changes=True,
)
def close_request(call: Call[Nothing, Closing]) -> Any:
    """Close a request with how it was resolved and plain words for the person.

    Whoever follows it is told.
    """
    said = call.body
    done = _move(call, "closed", resolution=said.resolution, message=said.message, parts=said.parts)
    return changed(call, done)


@operation(
    **_STEP,
    path="/requests/{number}/reopen",
    name="reopen",
    body=Reopening,
    answer=Changed,
    changes=True,
)
def reopen_request(call: Call[Nothing, Reopening]) -> Any:
    """Open a closed request again.

    One that is merged into another is taken out of that first (`take-out`).
    """
    if call.record.state not in lifecycle.CLOSED:
        raise lifecycle.StepNotAllowed("The request is open.", field="state")
    if call.record.state == "merged":
        raise merging.StillMerged(
            "It is merged into another request: take it out first (POST .../take-out), which opens"
            " it again, or open the other one.",
            field="state",
        )
    return changed(call, _move(call, "triaged", message=call.body.message))


def _move(call: Call[Any, Any], to: str, **values: Any) -> Any:
    return change_request(
        call.session, to=to, followers=call.tell.followers(), **own(call), **values
    )


@operation(
    **_STEP,
    path="/requests/{number}/note",
    name="note",
    body=NewNote,
    answer=NoteAdded,
    status=201,
    creates=True,
)
def add_request_note(call: Call[Nothing, NewNote]) -> Any:
    """Add a note to a request; a public one is told to the person."""
    if follows(call.record):
        raise HTTPNotFound
    said = call.body
    note_id = add_note(
        call.session,
        now=call.request.now,
        request_id=call.record.id,
        text=said.text,
        internal=said.audience == "internal",
        followers=call.tell.followers(),
    )
    return {"id": note_id, "audience": said.audience, "at": call.request.now}
