"""Referrals for programs: the worklist in its parts, one referral, the steps that answer it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field
from pyramid.httpexceptions import HTTPForbidden

from regional311.identity.permissions import Permissions as P
from regional311.referral import lifecycle, queries, worklist
from regional311.referral.own_words import move_in_words
from regional311.web.api.operations import Call, Told, operation
from regional311.web.api.secrecy import check_seen, hidden_services
from regional311.web.api.shapes import (
    Changed,
    Happened,
    Key,
    Nothing,
    Page,
    Paged,
    Shape,
    Text,
)
from regional311.web.receiving import finish_days
from regional311.web.tree import ReferralRecord, Referrals

GROUP = "Referrals"
State = Literal[
    "requested",
    "accepted",
    "in_progress",
    "on_hold",
    "rejected",
    "completed",
    "failed",
    "cancelled",
    "entered_in_error",
]
Urgency = Literal["low", "normal", "high", "urgent"]
Declined = Literal[
    "no_capacity",
    "waitlist_only",
    "out_of_area",
    "not_eligible",
    "missing_documents",
    "out_of_funds",
    "service_ended",
    "duplicate",
    "needs_assessment",
    "wrong_agency",
    "other",
]
Ended = Literal[
    "person_declined",
    "could_not_contact",
    "no_show",
    "resolved_elsewhere",
    "sender_withdrew",
    "error",
    "other",
]
Held = Literal[
    "waiting_for_person", "waiting_for_documents", "waitlist", "needs_assessment", "other"
]
Outcome = Literal["met", "partially_met", "unmet", "unknown"]
View = Literal[
    "new",
    "mine",
    "overdue",
    "ageing",
    "work",
    "asked",
    "on_hold",
    "waitlist",
    "questions",
    "drafts",
    "onward",
    "to_stop",
    "sent",
    "closed",
]


class ReferralEntry(Shape):
    """A referral in a list."""

    number: str
    side: Literal["sent", "received"]
    partner: str = Field(description="The partner on the other side.")
    service: str
    urgency: Urgency
    state: str
    reason: str | None
    outcome: Outcome | None
    progress: str | None = Field(description="The receiver's own word for how far it is.")
    waitlist_position: int | None
    sent_at: datetime
    answered_at: datetime | None
    closed_at: datetime | None
    due_at: datetime | None = Field(description="When it should be answered.")
    finish_by: datetime | None = Field(description="When it should be done.")
    version: int
    url: str


class ReferralWhole(ReferralEntry):
    """One referral with exactly what was shared."""

    shared: dict[str, Any] = Field(
        description="What crossed, by the fields of the sharing policy; empty once it was erased."
    )
    note: str | None = Field(description="For this side only.")
    contact: str | None = Field(description="Number of the sender's contact; the sender's only.")
    history: list[Happened]


class ReferralsAsked(Paged):
    """Which part of the worklist; the filters are those of the page."""

    view: View = "new"
    state: State | None = None
    urgency: Urgency | None = None
    partner: Key | None = Field(None, description="Slug of the other side.")
    sort: Literal["sent", "-sent", "due", "-due", "finish", "-finish"] = "sent"


class Remark(Shape):
    """A step that needs no reason."""

    note: Text | None = Field(None, description="For this side only.")


class InWords(Remark):
    """A step that needs a reason."""

    words: Text | None = Field(
        None, description="The other side reads it. Needed when the reason is `other`."
    )


class Rejection(InWords):
    """Why it is rejected."""

    reason: Declined


class Hold(InWords):
    """Why it waits."""

    reason: Held


class End(InWords):
    """Why it ends without success."""

    reason: Ended


class Completion(Remark):
    """What became of the person's need."""

    outcome: Outcome


@operation(
    group=GROUP,
    path="/referrals",
    context=Referrals,
    permission=P.REFERRAL_READ,
    query=ReferralsAsked,
    answer=Page[ReferralEntry],
)
def list_referrals(call: Call[ReferralsAsked, None]) -> Any:
    """One part of the worklist: what is new, late, in work, waiting, sent or closed.

    What asks for confidential services is there only for who may see them.
    """
    asked, published = call.query, call.tell.published
    partner_id = None
    if asked.partner is not None:
        partner_id = published.ids.get(asked.partner)
        if partner_id is None:
            return call.page([], None)
    found = worklist.listed(
        call.session,
        asked.view,
        now=call.request.now,
        person_id=call.request.identity.person_id,
        state=asked.state,
        urgency=asked.urgency,
        counterparty_id=partner_id,
        without=hidden_services(call),
        sort=asked.sort.removeprefix("-"),
        oldest_first=not asked.sort.startswith("-"),
        after=call.after(),
        limit=asked.limit,
    )
    return call.page([_entry(call, row) for row in found.rows], found.after)


@operation(
    group=GROUP,
    path="/referrals/{number}",
    context=ReferralRecord,
    permission=P.REFERRAL_READ,
    answer=ReferralWhole,
    tagged=True,
)
def read_referral(call: Call[Nothing, None]) -> Any:
    """One referral: exactly what was shared, and its history."""
    check_referral_seen(call)
    detail = queries.referral_detail(call.session, call.record.id)
    content = {
        **_entry(call, detail.referral),
        "shared": dict(detail.shared),
        "note": detail.note,
        "contact": detail.contact,
        "history": [
            {
                "at": each.at,
                "action": each.action,
                "by": detail.people.get(each.person_id) if each.person_id else None,
            }
            for each in detail.history
        ],
    }
    return Told(content, detail.referral.version)


def check_referral_seen(call: Call[Any, Any]) -> None:
    """Answer 404 for a referral that asks for what is confidential to who asks."""
    row = call.record
    owner = call.request.tenant.id if row.side == lifecycle.RECEIVER else row.counterparty_id
    check_seen(call, owner, row.service_key)


def _entry(call: Call[Any, Any], row: Any) -> dict[str, Any]:
    return {
        "number": row.public_id,
        "side": row.side,
        "partner": call.tell.published.slugs.get(row.counterparty_id, ""),
        "service": row.service_key,
        "urgency": row.urgency,
        "state": row.state,
        "reason": row.reason,
        "outcome": row.outcome,
        "progress": row.progress,
        "waitlist_position": row.waitlist_position if row.state == "on_hold" else None,
        "sent_at": row.sent_at,
        "answered_at": row.answered_at,
        "closed_at": row.closed_at,
        "due_at": row.due_at,
        "finish_by": row.finish_by,
        "version": row.version,
        "url": f"{call.here}/referrals/{row.public_id}",
    }


# --- steps ----------------------------------------------------------------------------------------


def _step(name: str, body: type[Shape], permission: P = P.REFERRAL_ACCEPT) -> dict[str, Any]:
    return {
        "group": GROUP,
        "path": f"/referrals/{{number}}/{name}",
        "context": ReferralRecord,
        "name": name,
        "method": "POST",
        "permission": permission,
        "body": body,
        "answer": Changed,
        "changes": True,
    }


@operation(**_step("accept", Remark))
def accept_referral(call: Call[Nothing, Remark]) -> Any:
    """Take a referral on; the sender sees it."""
    return _moved(call, "accepted", note=call.body.note)


@operation(**_step("progress", Remark))
def start_referral(call: Call[Nothing, Remark]) -> Any:
    """Start or go on working on a referral."""
    return _moved(call, "in_progress", note=call.body.note)


@operation(**_step("reject", Rejection))
def reject_referral(call: Call[Nothing, Rejection]) -> Any:
    """Decline a referral with a reason."""
    return _moved(call, "rejected", **_why(call.body))


@operation(**_step("hold", Hold))
def hold_referral(call: Call[Nothing, Hold]) -> Any:
    """Put a referral on hold with a reason."""
    return _moved(call, "on_hold", **_why(call.body))


@operation(**_step("complete", Completion))
def complete_referral(call: Call[Nothing, Completion]) -> Any:
    """Finish a referral and say what became of the need."""
    said = call.body
    return _moved(
        call, "completed", outcome=said.outcome, note=said.note, booked_on=call.tell.today
    )


@operation(**_step("fail", End))
def fail_referral(call: Call[Nothing, End]) -> Any:
    """End a referral without success, with a reason."""
    return _moved(call, "failed", **_why(call.body))


@operation(**_step("cancel", End, P.REFERRAL_READ))
def cancel_referral(call: Call[Nothing, End]) -> Any:
    """Withdraw a referral.

    The sender's key needs `contact:take` for that, the receiver's `referral:accept`.
    """
    sent = call.record.side == lifecycle.SENDER
    if not call.may(P.CONTACT_TAKE if sent else P.REFERRAL_ACCEPT):
        raise HTTPForbidden
    return _moved(call, "cancelled", **_why(call.body))


@operation(**_step("in-error", Remark, P.CONTACT_TAKE))
def referral_in_error(call: Call[Nothing, Remark]) -> Any:
    """Say that a referral should never have been sent, however far it went: by its sender."""
    return _moved(call, "entered_in_error", note=call.body.note)


def _why(said: Rejection | Hold | End) -> dict[str, Any]:
    return {"reason": said.reason, "words": said.words, "note": said.note}


def _moved(call: Call[Any, Any], to: str, **values: Any) -> Told:
    check_referral_seen(call)
    if to == "accepted":
        values["finish_days"] = finish_days(call.tell, call.record)
    done = move_in_words(
        call.session,
        now=call.request.now,
        referral_id=call.record.id,
        version=call.version,
        to=to,
        followers=call.tell.followers(),
        **values,
    )
    number = call.record.public_id
    content = {
        "number": number,
        "state": done.state,
        "version": done.version,
        "url": f"{call.here}/referrals/{number}",
    }
    return Told(content, done.version)
