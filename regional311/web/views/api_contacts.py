"""Contacts for programs: read them, log one, end one."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from regional311.errors import InvalidInput
from regional311.floor.watching import contact_is_confidential
from regional311.identity.permissions import Permissions as P
from regional311.inbox.working import revision_of
from regional311.intake import queries
from regional311.intake.service import close_contact, update_contact
from regional311.referral import filing
from regional311.referral import queries as referrals
from regional311.web.answering import lines_answered_by
from regional311.web.api.operations import Call, Told, operation
from regional311.web.api.secrecy import hidden_services
from regional311.web.api.shapes import (
    Changed,
    Day,
    Happened,
    Key,
    Nothing,
    Page,
    Paged,
    Shape,
    Words,
)
from regional311.web.tree import ContactRecord, Contacts
from regional311.web.views.api_requests import Spot
from regional311.web.written import WRITTEN

GROUP = "Contacts"
Channel = Literal["phone", "walk_in", "web", "email", "text", "chat", "social", "app", "voicemail"]
Language = Literal["en", "es", "vi", "zh-Hant", "ru"]
Disposition = Literal[
    "answered", "request_filed", "referred", "transferred", "declined", "hang_up", "danger"
]
CallType = Literal[
    "information",
    "referral",
    "assistance",
    "crisis",
    "follow_up",
    "transfer",
    "out_of_scope",
    "hang_up",
]


class ContactEntry(Shape):
    """A contact in a list."""

    number: str
    channel: str
    language: str
    line: str | None = Field(description="The line, as `partner/key`.")
    started_at: datetime
    ended_at: datetime | None
    handle_seconds: int
    after_hours: bool
    call_type: str
    disposition: Disposition | None = Field(description="How it ended.")
    services: list[str] = Field(description="What was asked for, as `partner/key`.")
    version: int
    url: str


class Need(Shape):
    """One thing that was needed."""

    service: str
    urgency: str
    status: str
    description: str | None
    place: Spot | None


class Caller(Shape):
    """Who asked."""

    name: str | None
    phone: str | None
    email: str | None
    language: str
    safe_to_call: bool
    may_leave_message: bool
    wants_updates: bool
    updates_by: Literal["email", "text"]
    contact_prohibited: bool


class ContactWhole(ContactEntry):
    """One contact; words, places and who asked only for `inquirer:read`."""

    needs: list[Need]
    requests: list[str] = Field(description="Numbers of the requests that came of it.")
    referrals: list[str] = Field(description="Numbers of the referrals that came of it.")
    caller: Caller | None
    note: str | None
    history: list[Happened]


class ContactsAsked(Paged):
    """Which contacts; the filters are those of the page."""

    state: Literal["open", "ended"] | None = None
    channel: Channel | None = None
    specialist: Literal["me"] | None = Field(None, description="Those that who asks has logged.")
    from_: Day | None = Field(None, alias="from", description="From this day of the partner's.")
    until: Day | None = Field(None, description="Until this day, included.")
    sort: Literal["-started", "started"] = "-started"


class NewContact(Shape):
    """A contact that begins, or one that is over already."""

    channel: Channel
    line: Key | None = Field(None, description="The line, as `partner/key`.")
    language: Language = "en"
    interpreter: bool = False
    danger: Literal["none"] | None = Field(
        None, description="`none` once somebody asked whether anybody is in danger."
    )
    call_type: CallType | None = None
    note: Words | None = None
    disposition: Disposition | None = Field(None, description="How it ended; left out, it goes on.")


class WrapUp(Shape):
    """How a contact ended."""

    disposition: Disposition
    call_type: CallType | None = None
    note: Words | None = None


@operation(
    group=GROUP,
    path="/contacts",
    context=Contacts,
    permission=P.CONTACT_READ,
    query=ContactsAsked,
    answer=Page[ContactEntry],
)
def list_contacts(call: Call[ContactsAsked, None]) -> Any:
    """The partner's contacts: facts and codes, nobody's words."""
    asked = call.query
    found = queries.contacts(
        call.session,
        ended=None if asked.state is None else asked.state == "ended",
        channel=asked.channel,
        specialist_id=call.request.identity.person_id if asked.specialist else None,
        since=call.tell.start_of(asked.from_),
        until=call.tell.start_of(asked.until, following=True),
        oldest_first=asked.sort == "started",
        after=call.after(),
        limit=asked.limit,
    )
    asked_for = queries.needed(call.session, [row.id for row in found.rows])
    items = [_entry(call, row, asked_for.get(row.id, ())) for row in found.rows]
    return call.page(items, found.after)


@operation(
    group=GROUP,
    path="/contacts/{number}",
    context=ContactRecord,
    permission=P.CONTACT_READ,
    answer=ContactWhole,
    tagged=True,
)
def read_contact(call: Call[Nothing, None]) -> Any:
    """One contact with what came of it.

    What was said, where, and who asked is there only for `inquirer:read`.
    """
    detail = queries.contact_detail(call.session, call.record.id)
    came = referrals.referrals_of_contact(call.session, call.record.id)
    hidden = hidden_services(call)
    secret = not call.cleared and contact_is_confidential(
        call.session, call.record.id, call.tell.confidential_services
    )
    needs = [
        each for each in detail.needs if (each.service_owner_id, each.service_key) not in hidden
    ]
    # a note and a name could say what is confidential, and whose it is
    whole = call.may(P.INQUIRER_READ) and len(needs) == len(detail.needs) and not secret
    row, person = detail.contact, detail.inquirer
    shown = whole and person is not None and person.erased_at is None
    kept = [(each.service_owner_id, each.service_key) for each in needs]
    content = {
        **_entry(call, row, kept),
        "needs": [_need(call, each, whole=whole) for each in needs],
        "requests": [
            each.public_id
            for each in detail.requests
            if (each.owner_id, each.service_key) not in hidden
        ],
        "referrals": [
            each.public_id
            for each in came
            if (each.counterparty_id, each.service_key) not in hidden
        ],
        "caller": {name: getattr(person, name) for name in Caller.model_fields} if shown else None,
        "note": detail.note if whole else None,
        "history": [
            {
                "at": each.at,
                "action": each.action,
                "by": detail.people.get(each.person_id) if each.person_id else None,
            }
            for each in detail.history
        ],
    }
    return Told(content, row.version)


def _need(call: Call[Any, Any], row: Any, *, whole: bool) -> dict[str, Any]:
    return {
        "service": _ref(call, row.service_owner_id, row.service_key),
        "urgency": row.urgency,
        "status": row.status,
        "description": row.description if whole else None,
        "place": {
            "kind": row.place_kind,
            "text": row.place_text,
            "latitude": None if row.latitude is None else float(row.latitude),
            "longitude": None if row.longitude is None else float(row.longitude),
        }
        if whole
        else None,
    }


def _ref(call: Call[Any, Any], owner: Any, key: str) -> str:
    return f"{call.tell.published.slugs.get(owner, '')}/{key}"


def _entry(call: Call[Any, Any], row: Any, needs: Any) -> dict[str, Any]:
    hidden = hidden_services(call)
    return {
        "number": row.public_id,
        "channel": row.channel,
        "language": row.language,
        "line": _ref(call, row.line_owner_id, row.line_key) if row.line_key else None,
        "started_at": row.started_at,
        "ended_at": row.ended_at,
        "handle_seconds": row.handle_seconds,
        "after_hours": row.after_hours,
        "call_type": row.call_type,
        "disposition": row.disposition,
        "services": [_ref(call, *each) for each in needs if tuple(each) not in hidden],
        "version": row.version,
        "url": f"{call.here}/contacts/{row.public_id}",
    }


# --- logging --------------------------------------------------------------------------------------


@operation(
    group=GROUP,
    path="/contacts",
    context=Contacts,
    method="POST",
    permission=P.CONTACT_TAKE,
    body=NewContact,
    answer=Changed,
    status=201,
    creates=True,
)
def log_contact(call: Call[Nothing, NewContact]) -> Any:
    """Log a contact: its clock runs from now until it is ended.

    One that is over already says with `disposition` how it ended.
    """
    said, tell, now = call.body, call.tell, call.request.now
    if said.line is not None and said.line not in _lines(call):
        raise InvalidInput("This partner does not answer such a line.", field="line")
    if said.disposition is not None and said.danger is None:
        raise InvalidInput(
            "Ask first whether anybody is in danger, and say `none`.", field="danger"
        )
    started = filing.start_contact(
        call.session,
        tell.published,
        now=now,
        channel=said.channel,
        line=said.line or "",
        language=said.language,
    )
    known = update_contact(
        call.session,
        now=now,
        contact_id=started.id,
        version=started.version,
        interpreter=said.interpreter or None,
        call_type=said.call_type,
        note=said.note,
        danger_answer=said.danger,
    )
    version, state = known.version, "open"
    if said.disposition is not None:
        done = close_contact(
            call.session,
            now=now,
            contact_id=started.id,
            version=version,
            disposition=said.disposition,
            zone_day=tell.today,
        )
        version, state = done.version, "ended"
    return _changed(call, started.public_id, state, version)


def _lines(call: Call[Any, Any]) -> set[str]:
    tell = call.tell
    own = {
        ref
        for ref, each in tell.published.lines.items()
        if each.tenant == tell.slug and not each.ended
    }
    surges = tell.published.surges_at(call.request.now)
    return own | {each.ref for each in lines_answered_by(tell, tell.slug, surges)}


@operation(
    group=GROUP,
    path="/contacts/{number}/wrap-up",
    context=ContactRecord,
    name="wrap-up",
    method="POST",
    permission=P.CONTACT_TAKE,
    body=WrapUp,
    answer=Changed,
    changes=True,
)
def end_contact(call: Call[Nothing, WrapUp]) -> Any:
    """End a contact: how it ended, and a note. Its work is counted from then on."""
    found, said, tell = call.record, call.body, call.tell
    if found.danger_answer is None:
        raise filing.DangerNotAsked("Ask first whether anybody is in danger.")
    needs = queries.needed(call.session, [found.id]).get(found.id, [])
    owner, key = needs[0] if needs else (None, None)
    asked_for = tell.service(owner, key) if key else None
    done = close_contact(
        call.session,
        now=call.request.now,
        contact_id=found.id,
        version=call.version,
        disposition=said.disposition,
        zone_day=tell.today,
        call_type=said.call_type,
        note=said.note,
        revision=revision_of(call.session, found.id) if found.channel in WRITTEN else 1,
        service_owner_id=owner,
        service_key=key,
        bureau_key=asked_for.bureau or None if asked_for else None,
    )
    return _changed(call, found.public_id, "ended", done.version)


def _changed(call: Call[Any, Any], number: str, state: str, version: int) -> Told:
    content = {
        "number": number,
        "state": state,
        "version": version,
        "url": f"{call.here}/contacts/{number}",
    }
    return Told(content, version)
