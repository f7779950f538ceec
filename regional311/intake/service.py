"""What may happen to contacts and service requests; the only writer of their tables.

A request lives with its owner. When another partner took it in, every change of status goes there
in an envelope, and that partner's :class:`FollowedRequest` is updated in the same transaction.
Internal notes never cross.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from regional311.audit.service import audit_row, record
from regional311.database.ids import new_id, public_id
from regional311.database.locking import locked_kept
from regional311.database.rows import new_row, put, send
from regional311.database.session import TenantSession, acting_for, mark_changed, scope_of
from regional311.errors import Conflict, InvalidInput, NotFound
from regional311.exchange.service import REQUEST_STATUS, tell
from regional311.intake import lifecycle, links, me_too
from regional311.intake.clocks import Before, keep_time
from regional311.intake.models import (
    Attachment,
    Contact,
    FollowedRequest,
    Inquirer,
    RequestHanding,
    RequestNote,
    RequestUpdate,
    ServiceRequest,
    Transfer,
)
from regional311.intake.nearby import cell, words_of
from regional311.intake.needs import settle
from regional311.intake.uploads import Upload
from regional311.metering import service as metering
from regional311.notices.service import STATES, Translate, as_written, outbox_row, reached_at
from regional311.notices.wording import Wording, usual

MAX_NOTE: Final = 4000
TRANSFER_RESULTS: Final = ("taken_over", "returned", "refused")


class ContactEnded(Conflict):
    """The contact has ended; it cannot be worked on any more."""


MERGED: Final = "It is merged into another request. Take it out of that one first, on its page."
"""Why nothing is done with a request that goes on as another one, and what can be."""


class NoteEmpty(InvalidInput):
    """A note needs words, and not too many."""


@dataclass(frozen=True, slots=True)
class Started:
    """A contact that has begun."""

    id: UUID
    public_id: str
    version: int


@dataclass(frozen=True, slots=True)
class Changed:
    """A record after a change: its new version and state."""

    id: UUID
    version: int
    state: str


def _its_key(_tenant_id: UUID, key: str, _language: str) -> str:
    return key


@dataclass(frozen=True, slots=True)
class Followers:
    """Names and addresses that messages to people need; without them nothing is written.

    ``names`` maps partners' ids and services' ``partner/key`` to names; ``url`` is the address of
    this site without a slash at the end. ``hold`` is how long letters wait before they leave, so
    that what they tell of can still be undone, ``cause_id`` what that is; ``silent`` writes none.
    ``wording`` has partners' own words, ``service`` what a service is called in a language.
    ``said`` has the words for the person by language, where they are prepared in several: each
    letter has them in its reader's, whoever that is, in place of the change's message.
    """

    names: Mapping[str, str]
    url: str = ""
    translate: Translate | None = None
    hold: timedelta = timedelta()
    silent: bool = False
    cause_id: UUID | None = None
    wording: Wording = usual
    service: Callable[[UUID, str, str], str] = _its_key
    said: Callable[[str], str] | None = None

    def name(self, key: object) -> str:
        """Give a name, or the key when there is none."""
        return self.names.get(str(key), str(key))


NO_FOLLOWERS: Final = Followers({})


def start_contact(
    session: TenantSession,
    *,
    now: datetime,
    channel: str,
    language: str = "en",
    line_key: str | None = None,
    line_owner_id: UUID | None = None,
    after_hours: bool = False,
    wait_seconds: int = 0,
    interpreter: bool = False,
) -> Started:
    """Begin a contact at the desk: the clock runs until it is closed or filed."""
    scope = scope_of(session)
    contact_id = new_id()
    number = public_id("C")
    put(
        session,
        new_row(
            Contact,
            tenant_id=scope.tenant_id,
            id=contact_id,
            public_id=number,
            source_key=f"desk:{contact_id}",
            line_key=line_key,
            line_owner_id=line_owner_id or scope.tenant_id,
            channel=channel,
            language=language,
            interpreter=interpreter,
            started_at=now,
            wait_seconds=wait_seconds,
            after_hours=after_hours,
            specialist_id=scope.person_id,
            version=1,
        ),
    )
    record(
        session,
        now=now,
        action="contact:start",
        subject_kind="contact",
        subject_id=contact_id,
        detail={"channel": channel},
    )
    return Started(contact_id, number, 1)


def update_contact(
    session: TenantSession,
    *,
    now: datetime,
    contact_id: UUID,
    version: int,
    language: str | None = None,
    interpreter: bool | None = None,
    accommodation: str | None = None,
    call_type: str | None = None,
    note: str | None = None,
    danger_answer: str | None = None,
) -> Changed:
    """Change what is known of a contact, also after it has ended; ``None`` leaves as it is.

    Raises :class:`NotFound` and :class:`Stale`.
    """
    given = {
        name: value
        for name, value in (
            ("language", language),
            ("interpreter", interpreter),
            ("accommodation", accommodation),
            ("call_type", call_type),
            ("note", note),
            ("danger_answer", danger_answer),
        )
        if value is not None
    }
    _among(call_type, lifecycle.CALL_TYPES, "call_type", "The call type is not on the list.")
    contact = _contact(session, contact_id, version, given)
    for name, value in given.items():
        setattr(contact, name, value)
    session.flush()
    record(
        session,
        now=now,
        action="contact:edit",
        subject_kind="contact",
        subject_id=contact_id,
        detail={"fields": sorted(given)},
    )
    return Changed(contact_id, contact.version, "ended" if contact.ended_at else "open")


def close_contact(
    session: TenantSession,
    *,
    now: datetime,
    contact_id: UUID,
    version: int,
    disposition: str,
    zone_day: date,
    call_type: str | None = None,
    note: str | None = None,
    service_owner_id: UUID | None = None,
    service_key: str | None = None,
    bureau_key: str | None = None,
    handle_seconds: int | None = None,
    revision: int = 1,
    over_at: datetime | None = None,
) -> Changed:
    """End a contact and meter it: the wrap-up says how it ended.

    ``zone_day`` is the partner's local day of ``now``, on which the work is booked.
    ``handle_seconds`` is the work, where it is not all the time since the start; ``revision`` is
    above 1 for a contact that was ended before and opened again by :func:`open_contact_again`.
    ``over_at`` is when the person was gone, where that is known to have been before ``now``.
    Raises :class:`ContactEnded` when it has ended already.
    """
    _among(disposition, lifecycle.DISPOSITIONS, "disposition", "Choose how the contact ended.")
    _among(call_type, lifecycle.CALL_TYPES, "call_type", "The call type is not on the list.")
    contact = _contact(session, contact_id, version, {"disposition": disposition})
    if contact.ended_at is not None:
        raise ContactEnded("This contact has ended already.")
    over_at = contact.gone_at or over_at
    contact.ended_at = now if over_at is None else max(min(over_at, now), contact.started_at)
    if handle_seconds is None:
        handle_seconds = max(0, int((contact.ended_at - contact.started_at).total_seconds()))
    contact.handle_seconds = handle_seconds
    contact.disposition = disposition
    if call_type is not None:
        contact.call_type = call_type
    if note is not None:
        contact.note = note
    session.flush()
    source_key = _handled(contact_id, revision)
    if revision > 1:
        # a correction of what was recorded before may have taken the next revision
        source_key = metering.free_revision(session, source_key)
    metering.record(
        session,
        metering.Usage(
            source_key=source_key,
            activity=metering.CONTACT_HANDLED,
            channel=contact.channel,
            language=contact.language,
            after_hours=contact.after_hours,
            service_owner_id=service_owner_id or contact.line_owner_id,
            service_key=service_key,
            bureau_key=bureau_key,
            line_owner_id=contact.line_owner_id,
            contact_id=contact_id,
            subject_id=contact_id,
            handle_seconds=contact.handle_seconds,
            occurred_at=contact.started_at,
            received_at=now,
            booked_on=zone_day,
        ),
    )
    record(
        session,
        now=now,
        action="contact:close",
        subject_kind="contact",
        subject_id=contact_id,
        detail={
            "disposition": disposition,
            "first_contact": lifecycle.first_contact_resolution(disposition),
        },
    )
    return Changed(contact_id, contact.version, "ended")


def open_contact_again(
    session: TenantSession, *, now: datetime, contact_id: UUID, zone_day: date, revision: int
) -> None:
    """Take back that a contact ended, and its metered work of that ``revision`` with it.

    Work that was corrected meanwhile is taken back as it is recorded now.
    """
    contact = locked_kept(session, Contact, contact_id, None, {}, "contact")
    if contact.ended_at is None:
        return
    contact.ended_at = contact.disposition = contact.gone_at = None
    session.flush()
    source_key = metering.live_revision(session, _handled(contact_id, revision))
    if source_key is not None:
        metering.correct(session, source_key, None, received_at=now, booked_on=zone_day)
    record(
        session,
        now=now,
        action="contact:reopen",
        subject_kind="contact",
        subject_id=contact_id,
    )


def _handled(contact_id: UUID, revision: int) -> str:
    return f"contact:{contact_id}:handled:{revision}"


@dataclass(frozen=True, slots=True)
class NewRequest:
    """A request as its owner will hold it.

    ``intake_tenant_id`` took it in; ``answers`` are those to its form, as
    :class:`regional311.catalog.answers.Kept` says them. ``expected_at``, ``warn_at`` and
    ``stood_seconds`` are its clock, as :mod:`regional311.intake.promises` counts it.
    """

    id: UUID
    public_id: str
    intake_tenant_id: UUID
    service_key: str
    opened_at: datetime
    bureau_key: str | None = None
    queue: str | None = None
    priority: str = "normal"
    description: str | None = None
    place_kind: str = "none"
    place_text: str | None = None
    latitude: Decimal | None = None
    longitude: Decimal | None = None
    confidential: bool = False
    contact_id: UUID | None = None
    need_id: UUID | None = None
    inquirer_id: UUID | None = None
    expected_at: datetime | None = None
    warn_at: datetime | None = None
    stood_seconds: int | None = None
    answers: Mapping[str, Any] | None = None


def request_rows(
    tenant_id: UUID, new: NewRequest, *, now: datetime, person_id: UUID | None, action: str
) -> tuple[ServiceRequest, Any]:
    """Make the owner's row of a new request, with its trail."""
    request = new_row(
        ServiceRequest,
        tenant_id=tenant_id,
        id=new.id,
        public_id=new.public_id,
        service_key=new.service_key,
        bureau_key=new.bureau_key,
        queue=new.queue,
        intake_tenant_id=new.intake_tenant_id,
        contact_id=new.contact_id,
        need_id=new.need_id,
        inquirer_id=new.inquirer_id,
        state="received",
        priority=new.priority,
        description=new.description,
        place_kind=new.place_kind,
        place_text=new.place_text,
        latitude=new.latitude,
        longitude=new.longitude,
        place_cell=cell(new.latitude, new.longitude),
        place_words=words_of(new.place_text),
        confidential=new.confidential,
        answers=new.answers,
        opened_at=new.opened_at,
        expected_at=new.expected_at,
        warn_at=new.warn_at,
        stood_seconds=new.stood_seconds,
        updated_at=now,
        version=1,
    )
    trail = audit_row(
        tenant_id,
        at=now,
        action=action,
        subject_kind="request",
        subject_id=new.id,
        person_id=person_id,
        detail={"service": new.service_key, "state": "received", "priority": new.priority},
    )
    return request, trail


def attachment_rows(
    tenant_id: UUID,
    subject_id: UUID,
    files: Iterable[Upload],
    *,
    now: datetime,
    audience: str = "staff",
) -> list[Attachment]:
    """Make the rows of files that were sent for a need, or received with a request or referral."""
    return [
        new_row(
            Attachment,
            tenant_id=tenant_id,
            id=new_id(),
            subject_id=subject_id,
            question=each.question,
            name=each.name,
            media_type=each.media_type,
            size=len(each.content),
            digest=each.digest,
            content=each.content,
            stored_at=now,
            audience=audience,
        )
        for each in files
    ]


def erase_attachments(session: TenantSession, *subject_ids: UUID, now: datetime) -> None:
    """Forget the files that came with records; that they were there stays known."""
    send(session)
    session.execute(
        update(Attachment)
        .where(
            Attachment.tenant_id == scope_of(session).tenant_id,
            Attachment.subject_id.in_(subject_ids),
            Attachment.erased_at.is_(None),
        )
        .values(content=None, erased_at=now)
        .execution_options(synchronize_session=False)
    )
    mark_changed(session)


def open_request(session: TenantSession, new: NewRequest, *, now: datetime) -> Changed:
    """Open a request of the bound tenant's own, without a contact behind it."""
    scope = scope_of(session)
    put(
        session,
        *request_rows(
            scope.tenant_id, new, now=now, person_id=scope.person_id, action="request:open"
        ),
    )
    return Changed(new.id, 1, "received")


def change_request(
    session: TenantSession,
    *,
    now: datetime,
    request_id: UUID,
    version: int | None,
    to: str,
    resolution: str | None = None,
    message: str | None = None,
    assignee_id: UUID | None = None,
    queue: str | None = None,
    priority: str | None = None,
    parts: str | None = None,
    taken_out: bool = False,
    had: Mapping[str, Any] | None = None,
    followers: Followers = NO_FOLLOWERS,
) -> Changed:
    """Move a request to another state, and tell who follows it.

    ``message`` is for the person, in plain words; closing needs one, and a resolution. ``parts``
    says what becomes of its open parts when it ends: ``close`` those that are here in the same
    way, or ``keep`` them open. What is merged goes on only when it is ``taken_out``, which
    :mod:`regional311.intake.merging` does. ``had`` is as in :func:`assign_request`. Its clock
    follows, as :mod:`regional311.intake.promises` says.

    Raises :class:`NotFound`, :class:`Stale` and the errors of :mod:`regional311.intake.lifecycle`,
    among them `PartsOpen` when it is not said what becomes of parts.
    """
    submitted = {"state": to, "resolution": resolution, "public_message": message}
    request = _request(session, request_id, version, submitted)
    was = Before.of(request)
    before = was.state
    given = {"assignee_id": assignee_id, "queue": queue, "priority": priority}
    new = _new_of(request, given, had)
    if request.handed_to_id is not None:
        raise lifecycle.StepNotAllowed(
            "It was handed on to another partner, who works it now.", field="state"
        )
    if request.merged_into_id is not None and not taken_out:
        raise lifecycle.StepNotAllowed(MERGED, field="state")
    lifecycle.check_transition(
        before,
        to,
        resolution=resolution,
        message=message,
        assignee=assignee_id or request.assignee_id,
    )
    _among(priority, lifecycle.PRIORITIES, "priority", "The priority is not on the list.")
    if request.linked and to in lifecycle.CLOSED:
        closes = {"to": to, "resolution": resolution, "message": message, "followers": followers}
        _end_parts(session, request_id, parts, now, closes)
        # the parts told others of themselves, and what was loaded is not any more
        request = _request(session, request_id, version, submitted)
    request.state = to
    request.updated_at = now
    for name, value in (("public_message", message or None), *given.items()):
        if value is not None:
            setattr(request, name, value)
    if to in lifecycle.CLOSED:
        request.closed_at = now
        request.resolution = resolution or "duplicate"
    elif before in lifecycle.CLOSED:
        request.closed_at = None
        request.resolution = None
        request.merged_into_id = None
        request.helped = request.helped_words = request.helped_at = None
    if scope_of(session).person_id is not None:
        request.heard_at = None
    clock = keep_time(session, request, was, now=now)
    session.flush()
    changed = Changed(request_id, request.version, to)
    record(
        session,
        now=now,
        action=_action(before, to),
        subject_kind="request",
        subject_id=request_id,
        detail={"from": before, "to": to, "resolution": request.resolution, **new, **clock},
    )
    status = lifecycle.update_status(before, to, request.resolution)
    put(session, update_row(request, now, status, message))
    if request.linked:
        links.tell_linked(session, request, now=now)
    tell_followers(session, request, now, message, followers)
    return changed


def _end_parts(
    session: TenantSession,
    request_id: UUID,
    parts: str | None,
    now: datetime,
    closes: dict[str, Any],
) -> None:
    """End the open parts of a request that ends, if that is wanted; those elsewhere go on."""
    still_open = links.open_parts(links.links(session, request_id))
    if not still_open or parts == lifecycle.KEEP_PARTS:
        return
    if parts != lifecycle.CLOSE_PARTS or closes["to"] != "closed":
        numbers = ", ".join(each.other_number for each in still_open)
        raise lifecycle.PartsOpen(
            f"Parts of it are open: {numbers}. Say whether they are closed with it or go on.",
            field="parts",
        )
    here = scope_of(session).tenant_id
    for each in still_open:
        if each.other_tenant_id == here:
            change_request(
                session,
                now=now,
                request_id=each.other_id,
                version=None,
                parts=parts,
                **closes,
            )


def assign_request(
    session: TenantSession,
    *,
    now: datetime,
    request_id: UUID,
    version: int,
    assignee_id: UUID | None = None,
    queue: str | None = None,
    priority: str | None = None,
    had: Mapping[str, Any] | None = None,
) -> Changed:
    """Change who works a request, in which queue, how urgently; its state stays.

    Nothing of this crosses to others but another day by which it is promised, which comes with
    another priority. The history names what is new of it; ``had`` says what there was where the
    caller has changed it already.
    """
    _among(priority, lifecycle.PRIORITIES, "priority", "The priority is not on the list.")
    given = {"assignee_id": assignee_id, "queue": queue, "priority": priority}
    request = _request(session, request_id, version, given)
    new, was = _new_of(request, given, had), Before.of(request)
    for name, value in given.items():
        if value is not None:
            setattr(request, name, value)
    request.updated_at = now
    clock = keep_time(session, request, was, now=now)
    session.flush()
    changed = Changed(request_id, request.version, request.state)
    record(
        session,
        now=now,
        action="request:assign",
        subject_kind="request",
        subject_id=request_id,
        detail={**new, **clock},
    )
    if clock:
        tell_followers(session, request, now, None, replace(NO_FOLLOWERS, silent=True))
    return changed


def _new_of(
    request: ServiceRequest, given: Mapping[str, Any], had: Mapping[str, Any] | None
) -> dict[str, str]:
    """What a request is given that it did not have, as its history says it."""
    before = {name: getattr(request, name) for name in given} | dict(had or {})
    return {
        name: str(value)
        for name, value in given.items()
        if value is not None and value != before[name]
    }


def add_note(
    session: TenantSession,
    *,
    now: datetime,
    request_id: UUID,
    text: str,
    internal: bool = True,
    followers: Followers = NO_FOLLOWERS,
) -> UUID:
    """Write a note on a request. An internal one stays with its owner; any other is for the person.

    Raises :class:`NoteEmpty`, :class:`NotFound`, and `StepNotAllowed` for words to the person about
    what was handed on.
    """
    text = text.strip()
    if not text or len(text) > MAX_NOTE:
        raise NoteEmpty(f"Write a note of at most {MAX_NOTE} characters.", field="text")
    request = _request(session, request_id, None, {})
    if not internal and request.handed_to_id is not None:
        raise lifecycle.StepNotAllowed("It was handed on; who has it now speaks with the person.")
    scope = scope_of(session)
    note_id = new_id()
    put(
        session,
        new_row(
            RequestNote,
            tenant_id=scope.tenant_id,
            id=note_id,
            request_id=request_id,
            author_id=scope.person_id,
            internal=internal,
            text=text,
            at=now,
        ),
    )
    record(
        session,
        now=now,
        action="request:note",
        subject_kind="request",
        subject_id=request_id,
        detail={"note": str(note_id), "internal": internal},
    )
    if not internal:
        request.public_message = text
        request.heard_at = None
        request.updated_at = now
        session.flush()
        status = lifecycle.update_status(request.state, request.state, request.resolution)
        put(session, update_row(request, now, status, text))
        tell_followers(session, request, now, text, followers)
    return note_id


class UpdateTaken(Conflict):
    """A client's update with this id was taken before."""


def take_update(
    session: TenantSession,
    *,
    client_id: UUID,
    client_key: str,
    request_id: UUID,
    status: str,
    message: str,
    at: datetime,
    now: datetime,
) -> UUID:
    """Keep what a client of the interface says of a request; staff see it as a note.

    It does not move the request: that is its owner's to do. Raises :class:`UpdateTaken` when the
    client's id of the update was used before, :class:`InvalidInput` for an unknown status, and
    the errors of :func:`add_note`.
    """
    if status not in lifecycle.UPDATE_STATUSES:
        raise InvalidInput(
            f"A status is one of {', '.join(lifecycle.UPDATE_STATUSES)}.", field="status"
        )
    tenant_id = scope_of(session).tenant_id
    taken = session.execute(
        select(RequestUpdate.id).where(
            RequestUpdate.tenant_id == tenant_id,
            RequestUpdate.client_id == client_id,
            RequestUpdate.client_key == client_key,
        )
    ).one_or_none()
    if taken is not None:
        raise UpdateTaken(f"The update {client_key} was taken before.", field="update_id")
    add_note(session, now=now, request_id=request_id, text=f"{status}: {message}".strip(": "))
    update_id = new_id()
    put(
        session,
        new_row(
            RequestUpdate,
            tenant_id=tenant_id,
            id=update_id,
            request_id=request_id,
            at=at,
            status=status,
            message=message or None,
            client_id=client_id,
            client_key=client_key,
        ),
    )
    return update_id


def update_row(
    request: ServiceRequest, now: datetime, status: str, message: str | None
) -> RequestUpdate:
    """Make the row of what the public may know of a change."""
    return new_row(
        RequestUpdate,
        tenant_id=request.tenant_id,
        id=new_id(),
        request_id=request.id,
        at=now,
        status=status,
        message=message or None,
    )


def record_transfer(
    session: TenantSession, *, now: datetime, contact_id: UUID, transfer_id: UUID, result: str
) -> None:
    """Say what came of one transfer that a contact was offered; others stay as they are.

    ``result`` is taken_over, returned or refused. Raises :class:`NotFound` when it is not open.
    """
    _among(result, TRANSFER_RESULTS, "result", "Say what came of the transfer.")
    send(session)
    found = session.execute(
        update(Transfer)
        .where(
            Transfer.tenant_id == scope_of(session).tenant_id,
            Transfer.contact_id == contact_id,
            Transfer.id == transfer_id,
            Transfer.result == "offered",
        )
        .values(result=result)
        .returning(Transfer.need_id)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    mark_changed(session)
    if found is None:
        raise NotFound("That transfer is not open in this contact.")
    if found.need_id is not None:
        settle(session, found.need_id)
    record(
        session,
        now=now,
        action="contact:transfer",
        subject_kind="contact",
        subject_id=contact_id,
        detail={"transfer": str(transfer_id), "result": result},
    )


def tell_followers(
    session: TenantSession,
    request: ServiceRequest,
    now: datetime,
    message: str | None,
    followers: Followers,
    *,
    said_before: bool = False,
) -> None:
    """Tell the partner that took the request in, the person who asked, and whose it is too.

    Of a confidential request other partners, and who said *me too* when it was none, hear how it
    stands and no words, but those that were ``said_before`` it was one. The person's own letter
    has them.
    """
    status = RequestStatus(
        request.id,
        request.public_id,
        scope_of(session).tenant_id,
        request.service_key,
        request.state,
        message,
        request.expected_at,
        request.closed_at,
        request.resolution,
        request.confidential,
    )
    handed, me_toos = request.handed_from_id is not None, request.me_too
    intake_id, request_id = request.intake_tenant_id, request.id
    others = replace(status, unsaid=request.confidential)
    first = status if said_before or intake_id == status.owner_id else others
    _tell_one(session, request, first, now, followers)
    if handed:
        _tell_senders(session, intake_id, others, now, followers)
    if me_toos:
        _tell_me_toos(session, request_id, others, now, followers)


def _tell_senders(
    session: TenantSession,
    intake_id: UUID,
    status: RequestStatus,
    now: datetime,
    followers: Followers,
) -> None:
    """Tell the partners through whose hands it went, and whose it is too there."""
    rows = session.execute(
        select(RequestHanding.from_id, RequestHanding.to_id).where(
            RequestHanding.tenant_id == status.owner_id,
            RequestHanding.request_id == status.request_id,
        )
    )
    for partner_id in sorted({each for row in rows for each in row} - {status.owner_id}):
        if partner_id != intake_id:
            tell(
                session,
                to=partner_id,
                kind=REQUEST_STATUS,
                subject_id=status.request_id,
                payload=status.payload(),
                now=now,
            )
        with acting_for(session, partner_id):
            if partner_id != intake_id:
                receive_status(session, status, now=now, followers=followers)
            many = session.execute(
                select(ServiceRequest.me_too).where(
                    ServiceRequest.tenant_id == partner_id, ServiceRequest.id == status.request_id
                )
            ).scalar_one_or_none()
            if many:
                _tell_me_toos(session, status.request_id, status, now, followers)


def _tell_me_toos(
    session: TenantSession,
    request_id: UUID,
    status: RequestStatus,
    now: datetime,
    followers: Followers,
) -> None:
    """Tell whose it is too at the bound partner, and who filed what was merged into it there."""
    tenant_id = scope_of(session).tenant_id
    if status.unsaid:
        status, followers = replace(status, message=None), replace(followers, said=None)
    for each in _merged_into(session, request_id):
        theirs = replace(status, request_id=each.id, public_id=each.public_id)
        _tell_one(session, each, theirs, now, followers)
    said_too = me_too.listeners(session, request_id)
    for listener in said_too:
        if not followers.silent:
            _write(session, tenant_id, status, listener, now, followers)
    for partner_id in sorted({each.intake_tenant_id for each in said_too}):
        needs = [
            each.need_id
            for each in said_too
            if each.intake_tenant_id == partner_id and each.need_id is not None
        ]
        if partner_id != status.owner_id and _says_something(status):
            for need_id in needs:
                said = me_too.Standing(status.state, status.resolution, status.closed_at)
                me_too.tell_need(session, partner_id, need_id, said, now=now)
        with acting_for(session, partner_id):
            for need_id in needs:
                _set_need(session, need_id, status)


def _merged_into(session: TenantSession, request_id: UUID) -> list[Any]:
    return list(
        session.execute(
            select(
                ServiceRequest.id,
                ServiceRequest.public_id,
                ServiceRequest.intake_tenant_id,
                ServiceRequest.need_id,
                ServiceRequest.inquirer_id,
            ).where(
                ServiceRequest.tenant_id == scope_of(session).tenant_id,
                ServiceRequest.merged_into_id == request_id,
            )
        )
    )


def _tell_one(
    session: TenantSession,
    request: Any,
    status: RequestStatus,
    now: datetime,
    followers: Followers,
) -> None:
    if request.intake_tenant_id == scope_of(session).tenant_id:
        _set_need(session, request.need_id, status)
        _notify(session, request.inquirer_id, status, now, followers)
        return
    tell(
        session,
        to=request.intake_tenant_id,
        kind=REQUEST_STATUS,
        subject_id=request.id,
        payload=status.payload(),
        now=now,
    )
    with acting_for(session, request.intake_tenant_id):
        receive_status(session, status, now=now, followers=followers)


@dataclass(frozen=True, slots=True)
class RequestStatus:
    """What the owner says of a request: all that ever crosses.

    That it is ``confidential`` is in no envelope; letters ask for it. What is ``unsaid`` is its
    message: only the letter to the person has it, and no row of another partner.
    """

    request_id: UUID
    public_id: str
    owner_id: UUID
    service_key: str
    state: str
    message: str | None
    expected_at: datetime | None
    closed_at: datetime | None
    resolution: str | None
    confidential: bool
    unsaid: bool = False

    def payload(self) -> dict[str, Any]:
        return {
            "state": self.state,
            "message": None if self.unsaid else self.message,
            "expected_at": self.expected_at.isoformat() if self.expected_at else None,
            "closed_at": self.closed_at.isoformat() if self.closed_at else None,
            "resolution": self.resolution,
        }


def receive_status(
    session: TenantSession,
    status: RequestStatus,
    *,
    now: datetime,
    followers: Followers = NO_FOLLOWERS,
) -> None:
    """Take the owner's word for a request that the bound tenant follows."""
    tenant_id = scope_of(session).tenant_id
    values: dict[str, Any] = {
        "state": status.state,
        "expected_at": status.expected_at,
        "closed_at": status.closed_at,
        "updated_at": now,
    }
    if status.message and not status.unsaid:
        values["public_message"] = status.message
    row = session.execute(
        update(FollowedRequest)
        .where(FollowedRequest.tenant_id == tenant_id, FollowedRequest.id == status.request_id)
        .values(values)
        .returning(FollowedRequest.contact_id, FollowedRequest.need_id)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    mark_changed(session)
    if row is None:
        return
    put(
        session,
        audit_row(
            tenant_id,
            at=now,
            action="request:status",
            subject_kind="request",
            subject_id=status.request_id,
            detail={"state": status.state, "from": str(status.owner_id)},
        ),
    )
    _set_need(session, row.need_id, status)
    inquirer_id = session.execute(
        select(Contact.inquirer_id).where(
            Contact.tenant_id == tenant_id, Contact.id == row.contact_id
        )
    ).scalar_one_or_none()
    _notify(session, inquirer_id, status, now, followers)


def _set_need(session: TenantSession, need_id: UUID | None, status: RequestStatus) -> None:
    """A closed request leaves its need met or not, by its resolution; reopened, it waits again."""
    if need_id is not None and _says_something(status):
        settle(session, need_id)


def _says_something(status: RequestStatus) -> bool:
    return status.state in lifecycle.CLOSED or status.state == "triaged"


def _notify(
    session: TenantSession,
    inquirer_id: UUID | None,
    status: RequestStatus,
    now: datetime,
    followers: Followers,
) -> None:
    if inquirer_id is None or followers.silent:
        return
    tenant_id = scope_of(session).tenant_id
    inquirer = session.execute(
        select(Inquirer.email, Inquirer.phone, Inquirer.updates_by, Inquirer.language).where(
            Inquirer.tenant_id == tenant_id,
            Inquirer.id == inquirer_id,
            Inquirer.wants_updates,
            Inquirer.erased_at.is_(None),
        )
    ).one_or_none()
    if inquirer is not None:
        _write(session, tenant_id, status, inquirer, now, followers)


def _write(
    session: TenantSession,
    tenant_id: UUID,
    status: RequestStatus,
    reader: Any,
    now: datetime,
    followers: Followers,
) -> None:
    """News of a request, to who filed it or to who said *me too*; a merged one goes on."""
    to = reached_at(reader.updates_by, reader.email, reader.phone)
    if to is None:
        return
    said = followers.said(reader.language) if followers.said else status.message or ""
    closed = status.state == "closed"
    listens = isinstance(reader, me_too.Listener)
    about = "me_too" if listens else "request"
    options: dict[str, Any] = {}
    if followers.translate is not None:
        options["translate"] = followers.translate
    if listens:
        options["address"] = f"{followers.url}/track/{reader.token}"
    put(
        session,
        outbox_row(
            tenant_id,
            event=f"{about}_closed" if closed else f"{about}_status",
            channel=to[0],
            recipient=to[1],
            language=reader.language,
            now=now,
            hold=followers.hold,
            cause_id=followers.cause_id,
            wording=followers.wording,
            subject_id=status.request_id,
            confidential=status.confidential,
            values={
                "number": status.public_id,
                "partner": followers.name(status.owner_id),
                "state": (followers.translate or as_written)(
                    STATES.get(status.state, status.state), reader.language
                ),
                "message": said,
            },
            **options,
        ),
    )


def _contact(
    session: Session, contact_id: UUID, version: int, submitted: dict[str, Any]
) -> Contact:
    return locked_kept(session, Contact, contact_id, version, submitted, "contact")


def _request(
    session: Session, request_id: UUID, version: int | None, submitted: dict[str, Any]
) -> ServiceRequest:
    return locked_kept(session, ServiceRequest, request_id, version, submitted, "request")


def _among(value: str | None, allowed: tuple[str, ...], field: str, message: str) -> None:
    if value is not None and value not in allowed:
        raise InvalidInput(message, field=field)


def _action(before: str, to: str) -> str:
    if to == "closed":
        return "request:close"
    if before == "closed":
        return "request:reopen"
    return {
        "triaged": "request:triage",
        "assigned": "request:assign",
        "in_progress": "request:start",
        "merged": "request:merge",
    }.get(to, "request:wait")
