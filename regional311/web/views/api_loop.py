"""What closes the loop, for programs: needs and what became of them, waitlists, questions."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import Field
from pyramid.httpexceptions import HTTPNotFound

from regional311.floor.watching import contact_is_confidential
from regional311.identity.permissions import Permissions as P
from regional311.intake import needs, queries
from regional311.referral import kept_on, questions, waiting
from regional311.referral.answered import tell_of_answer
from regional311.web.answer_links import answer_link
from regional311.web.api.operations import Call, Told, operation
from regional311.web.api.secrecy import check_seen, hidden_services
from regional311.web.api.shapes import Changed, Key, Nothing, Page, Paged, Shape, Words
from regional311.web.tree import ContactRecord, ReferralRecord, Referrals
from regional311.web.views.api_referrals import check_referral_seen

CONTACTS, REFERRALS = "Contacts", "Referrals"
Status = Literal["open", "referred", "partially_met", "met", "unmet", "unknown"]
Sayable = Literal["met", "partially_met", "unmet", "open", "unknown"]
Reason = Literal[needs.UNMET_REASONS]  # type: ignore[valid-type]


class NeedEntry(Shape):
    """One need of a contact, and what became of it."""

    id: UUID
    service: str
    urgency: str
    status: Status
    unmet_reason: str | None
    unmet_words: str | None = Field(description="The reason in words, when it is *other*.")
    created_at: datetime


class Needs(Shape):
    """The needs of a contact, in their order."""

    items: list[NeedEntry]


class Outcome(Shape):
    """What became of a need."""

    need: UUID = Field(strict=False)
    status: Sayable
    unmet_reason: Reason | None = Field(None, description="Needed when it is unmet.")
    unmet_words: Words | None = Field(
        None, max_length=needs.MAX_WORDS, description="Needed when the reason is *other*."
    )


class Standing(Shape):
    """How a need stands, from all that is known of it."""

    status: Status
    unmet_reason: str | None


class WaitingEntry(Shape):
    """One who waits, and for how long it may be."""

    number: str
    partner: str = Field(description="Who sent it.")
    service: str
    urgency: str
    position: int | None = Field(description="Null while a place is offered to them.")
    days: int | None = Field(description="An estimate where the pace of the last weeks allows one.")
    version: int


class WaitlistAsked(Paged):
    """Whose waitlist."""

    service: Key | None = Field(None, description="Key of one of the partner's services.")


class Message(Shape):
    """A line of what the two sides wrote to each other."""

    side: Literal["sent", "received"]
    text: str | None = Field(description="Null once the consent has ended.")
    at: datetime


class Thread(Shape):
    """What the two sides wrote, the first line first."""

    items: list[Message]


class Line(Shape):
    """What is written to the other side."""

    text: Words = Field(min_length=1)


# --- needs ----------------------------------------------------------------------------------------


@operation(
    group=CONTACTS,
    path="/contacts/{number}/needs",
    context=ContactRecord,
    name="needs",
    permission=P.CONTACT_READ,
    answer=Needs,
    tagged=True,
)
def list_needs(call: Call[Nothing, None]) -> Any:
    """The needs of a contact, and what became of each."""
    detail, hidden = queries.contact_detail(call.session, call.record.id), hidden_services(call)
    if not call.cleared and contact_is_confidential(
        call.session, call.record.id, call.tell.confidential_services
    ):
        raise HTTPNotFound
    slugs = call.tell.published.slugs
    items = [
        {
            "id": each.id,
            "service": f"{slugs.get(each.service_owner_id, '')}/{each.service_key}",
            "urgency": each.urgency,
            "status": each.status,
            "unmet_reason": each.unmet_reason,
            "unmet_words": each.unmet_words,
            "created_at": each.created_at,
        }
        for each in detail.needs
        if (each.service_owner_id, each.service_key) not in hidden
    ]
    return Told({"items": items}, detail.contact.version)


@operation(
    group=CONTACTS,
    path="/contacts/{number}/outcome",
    context=ContactRecord,
    name="outcome",
    method="POST",
    permission=P.CONTACT_EDIT,
    body=Outcome,
    answer=Standing,
    changes=True,
)
def say_outcome(call: Call[Nothing, Outcome]) -> Any:
    """Say what became of a need of a contact; what was said before stays in its history."""
    said = call.body
    detail = queries.contact_detail(call.session, call.record.id)
    for each in detail.needs:
        if each.id == said.need:
            check_seen(call, each.service_owner_id, each.service_key)
    found = needs.say(
        call.session,
        now=call.request.now,
        need_id=said.need,
        status=said.status,
        unmet_reason=said.unmet_reason,
        words=said.unmet_words,
        contact_id=call.record.id,
    )
    content = {"status": found.status, "unmet_reason": found.unmet_reason}
    return Told(content, call.record.version)


# --- waitlists ------------------------------------------------------------------------------------


@operation(
    group=REFERRALS,
    path="/referrals/waitlist",
    context=Referrals,
    name="waitlist",
    permission=P.REFERRAL_READ,
    query=WaitlistAsked,
    answer=Page[WaitingEntry],
)
def list_waitlist(call: Call[WaitlistAsked, None]) -> Any:
    """Who waits for the partner's services, service by service in their order, with an estimate."""
    found = waiting.waiting_list(call.session, now=call.request.now, service_key=call.query.service)
    slugs, me, hidden = call.tell.published.slugs, call.request.tenant.id, hidden_services(call)
    items = [
        {
            "number": each.public_id,
            "partner": slugs.get(each.counterparty_id, ""),
            "service": each.service_key,
            "urgency": each.urgency,
            "position": each.position,
            "days": each.days,
            "version": each.version,
        }
        for each in found
        if (me, each.service_key) not in hidden
    ]
    return call.part(items, "number")


def _step(name: str, permission: P = P.REFERRAL_ACCEPT, **more: Any) -> dict[str, Any]:
    return {
        "group": REFERRALS,
        "path": f"/referrals/{{number}}/{name}",
        "context": ReferralRecord,
        "name": name,
        "method": "POST",
        "permission": permission,
        "answer": Changed,
        "changes": True,
        **more,
    }


def _at(call: Call[Any, Any]) -> dict[str, Any]:
    check_referral_seen(call)
    return {
        "now": call.request.now,
        "referral_id": call.record.id,
        "version": call.version,
    }


@operation(**_step("waitlist"))
def put_on_waitlist(call: Call[Nothing, None]) -> Any:
    """Take a referral on to the end of its service's waitlist; the sender sees the position."""
    waiting.put_on_list(call.session, **_at(call), followers=call.tell.followers())
    return _now(call)


@operation(**_step("move-up"))
def move_up(call: Call[Nothing, None]) -> Any:
    """Move one that waits before the one before it."""
    waiting.move_up(call.session, **_at(call))
    return _now(call)


@operation(**_step("offer-place"))
def offer_place(call: Call[Nothing, None]) -> Any:
    """Offer a place to one that waits."""
    waiting.offer_place(call.session, **_at(call))
    return _now(call)


# --- questions ------------------------------------------------------------------------------------


@operation(
    group=REFERRALS,
    path="/referrals/{number}/messages",
    context=ReferralRecord,
    name="messages",
    permission=P.REFERRAL_READ,
    answer=Thread,
    tagged=True,
)
def list_messages(call: Call[Nothing, None]) -> Any:
    """What the two sides of a referral wrote to each other."""
    check_referral_seen(call)
    found = questions.thread(call.session, call.record.id)
    items = [{"side": each.side, "text": each.body, "at": each.written_at} for each in found]
    return Told({"items": items}, call.record.version)


@operation(**_step("ask", body=Line))
def ask_sender(call: Call[Nothing, Line]) -> Any:
    """Ask the sender something; the time for an answer stands still."""
    questions.ask(call.session, **_at(call), body=call.body.text)
    return _now(call)


@operation(**_step("reply", P.CONTACT_TAKE, body=Line))
def reply_to_receiver(call: Call[Nothing, Line]) -> Any:
    """Answer what the receiver asked."""
    questions.answer(call.session, **_at(call), body=call.body.text)
    tell_of_answer(
        call.session,
        call.tell.published,
        now=call.request.now,
        referral_id=call.record.id,
        link=answer_link(call.request),
    )
    return _now(call)


@operation(**_step("keep-on", body=Line))
def keep_onward(call: Call[Nothing, Line]) -> Any:
    """Keep what was referred onward although what it is part of has ended; the text says why."""
    kept_on.keep_on(call.session, **_at(call), words=call.body.text)
    return _now(call)


@operation(**_step("withdraw-too"))
def withdraw_onward(call: Call[Nothing, None]) -> Any:
    """Withdraw what was referred onward because what it is part of has ended."""
    kept_on.withdraw_too(call.session, **_at(call), followers=call.tell.followers())
    return _now(call)


def _now(call: Call[Any, Any]) -> Told:
    """How the referral stands after a step."""
    row = waiting.stands(call.session, call.record.id)
    number = call.record.public_id
    content = {
        "number": number,
        "state": row.state,
        "version": row.version,
        "url": f"{call.here}/referrals/{number}",
    }
    return Told(content, row.version)
