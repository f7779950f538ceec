"""What may happen to a referral once it is sent.

Sender and receiver each hold a row with the same id. Every step is checked against the side that
takes it, written in its own row, and told to the other side in an envelope that is worked in the
same transaction. Notes stay on the side that wrote them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import case, or_, select, update

from regional311.audit.service import audit_row, record
from regional311.database.locking import locked
from regional311.database.rows import put
from regional311.database.session import TenantSession, acting_for, mark_changed, scope_of
from regional311.errors import Conflict, InvalidInput
from regional311.exchange.service import REFERRAL_ANSWER, tell
from regional311.intake.models import Contact, Inquirer
from regional311.intake.needs import settle
from regional311.intake.service import NO_FOLLOWERS, Changed, Followers
from regional311.metering import service as metering
from regional311.notices.service import outbox_row, reached_at
from regional311.referral import lifecycle, offers, waitlist
from regional311.referral.acceptance import FINISH_DAYS
from regional311.referral.follow_ups import keep_the_clock
from regional311.referral.held import hold
from regional311.referral.models import PersonLink, Referral
from regional311.referral.onward import ask_what_now, passed_on

MAX_NOTE: Final = 4000


class AlreadyClaimed(Conflict):
    """Somebody else of the partner works the referral."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one side tells the other about a referral: codes and times, never a note."""

    referral_id: UUID
    public_id: str
    other_id: UUID
    state: str
    reason: str | None
    outcome: str | None
    answered_at: datetime | None
    closed_at: datetime | None
    received_at: datetime | None
    progress: str | None = None
    finish_by: datetime | None = None

    def payload(self) -> dict[str, Any]:
        return {
            "state": self.state,
            "reason": self.reason,
            "outcome": self.outcome,
            "answered_at": _text(self.answered_at),
            "closed_at": _text(self.closed_at),
            "received_at": _text(self.received_at),
            "progress": self.progress,
            "finish_by": _text(self.finish_by),
        }


def opened(session: TenantSession, *, now: datetime, referral_id: UUID) -> bool:
    """Note that the receiver has opened a referral; tell whether this was the first time.

    *Received* is a time, not a state: nothing else changes.
    """
    referral = _referral(session, referral_id, None, {})
    if referral.side != lifecycle.RECEIVER or referral.received_at is not None:
        return False
    referral.received_at = now
    session.flush()
    _audit(session, now, "referral:open", referral_id, {})
    _tell(session, referral, now, NO_FOLLOWERS)
    return True


def claim(session: TenantSession, *, now: datetime, referral_id: UUID, version: int) -> Changed:
    """Take a referral of the partner's inbox oneself; its state stays.

    Raises :class:`AlreadyClaimed` when somebody else has it: who comes first has it.
    """
    person_id = scope_of(session).person_id
    referral = _received(session, referral_id, version, {"claimed_by": person_id})
    if referral.claimed_by not in (None, person_id):
        raise AlreadyClaimed("Somebody else has taken it already.")
    referral.claimed_by = person_id
    referral.before = None
    session.flush()
    _audit(session, now, "referral:claim", referral_id, {})
    return Changed(referral_id, referral.version, referral.state)


def unclaim(session: TenantSession, *, now: datetime, referral_id: UUID, version: int) -> Changed:
    """Give a referral back to everybody of the partner; its state stays."""
    referral = _received(session, referral_id, version, {"claimed_by": None})
    referral.claimed_by = None
    referral.before = None
    session.flush()
    _audit(session, now, "referral:unclaim", referral_id, {})
    return Changed(referral_id, referral.version, referral.state)


def say_progress(
    session: TenantSession,
    *,
    now: datetime,
    referral_id: UUID,
    version: int,
    word: str,
    state: str,
    followers: Followers = NO_FOLLOWERS,
) -> Changed:
    """Say in the receiver's own word how far it is; ``state`` is the common state it stands for.

    Where that is another one, the step is taken, too. Raises what :func:`move` does.
    """
    referral = _received(session, referral_id, version, {"progress": word})
    if referral.state != state:
        return move(
            session,
            now=now,
            referral_id=referral_id,
            version=version,
            to=state,
            reason="other" if state == "on_hold" else None,
            progress=word,
            followers=followers,
        )
    referral.progress = word
    referral.before = None
    session.flush()
    changed = Changed(referral_id, referral.version, state)
    _audit(session, now, "referral:progress", referral_id, {"progress": word})
    _tell(session, referral, now, NO_FOLLOWERS)
    return changed


def _received(
    session: TenantSession, referral_id: UUID, version: int, submitted: dict[str, Any]
) -> Referral:
    """Give an open referral of the inbox, locked."""
    referral = _referral(session, referral_id, version, submitted)
    if referral.side != lifecycle.RECEIVER or referral.state not in lifecycle.OPEN:
        raise lifecycle.StepNotAllowed("Only the receiver works an open referral.", field="state")
    return referral


def move(
    session: TenantSession,
    *,
    now: datetime,
    referral_id: UUID,
    version: int,
    to: str,
    reason: str | None = None,
    outcome: str | None = None,
    note: str | None = None,
    booked_on: date | None = None,
    finish_days: int = FINISH_DAYS,
    progress: str | None = None,
    by: str | None = None,
    followers: Followers = NO_FOLLOWERS,
) -> Changed:
    """Take one step with a referral, on both sides at once.

    `by` is ``lifecycle.CLOCK`` when it is time that takes it, after everybody was reminded; left
    out, it is the side that is bound.

    `to` is the state it goes to; `reason` and `outcome` are needed where
    :mod:`regional311.referral.lifecycle` says so. Who answers first works it. A completed referral
    is metered on ``booked_on``, the receiver's local day; one that is accepted should be done in
    ``finish_days``. ``progress`` is the receiver's own word for the new state. Of several partners
    that were offered the same need the first to accept has it.

    Raises :class:`NotFound`, :class:`Stale`, the errors of :mod:`regional311.referral.lifecycle`
    and :class:`regional311.referral.offers.TakenElsewhere`.
    """
    if note is not None and len(note) > MAX_NOTE:
        raise InvalidInput(f"Write a note of at most {MAX_NOTE} characters.", field="note")
    offer = offers.take(session, referral_id, now=now) if to == "accepted" else None
    ends = _ends_onward(to, reason)
    if to in _OVER:
        hold(session, referral_id, onward=True)
    referral = _referral(
        session, referral_id, version, {"state": to, "reason": reason, "outcome": outcome}
    )
    before = referral.state
    if before == "draft" and to == "requested":
        raise lifecycle.StepNotAllowed(
            "A draft is finished on its contact: what crosses is chosen there.", field="state"
        )
    lifecycle.check_transition(before, to, by or referral.side, reason=reason, outcome=outcome)
    if to == "completed" and booked_on is None:
        raise InvalidInput("The day on which the work is booked is missing.", field="booked_on")
    waited = referral.waitlist_position is not None and to != "on_hold"
    referral.before = (
        {
            "state": before,
            "reason": referral.reason,
            "progress": referral.progress,
            "answered_at": _text(referral.answered_at),
            "claimed_by": str(referral.claimed_by) if referral.claimed_by else None,
            "at": now.isoformat(),
        }
        if referral.side == lifecycle.RECEIVER
        and to in lifecycle.UNDOABLE
        and offer is None
        and not waited
        else None
    )
    referral.state = to
    referral.heard_at = now
    referral.reason = reason
    referral.progress = progress
    referral.asked_at = None
    if to == "accepted":
        referral.finish_by = now + timedelta(days=finish_days)
    if note:
        referral.note = note.strip()
    if to == "completed":
        referral.outcome = outcome
    if before == "requested":
        referral.answered_at = now
    if to in lifecycle.CLOSED:
        referral.closed_at = now
    if referral.side == lifecycle.RECEIVER:
        referral.received_at = referral.received_at or now
        referral.claimed_by = referral.claimed_by or scope_of(session).person_id
    other_id, side = referral.counterparty_id, referral.side
    service_key = referral.service_key
    if waited:
        referral.waitlist_position = referral.waitlist_days = None
    session.flush()
    changed = Changed(referral_id, referral.version, to)
    _audit(
        session,
        now,
        f"referral:{_VERBS[to]}",
        referral_id,
        {"from": before, "to": to, "reason": reason, "outcome": outcome},
    )
    if to == "completed" and booked_on is not None:
        _meter(session, referral, now, booked_on)
    if referral.side == lifecycle.SENDER:
        settle_need(session, referral.need_id, now)
    if before == "draft":
        # nothing has crossed: nobody else knows of it
        return changed
    answer = _answer(session, referral)
    if waited and referral.side == lifecycle.RECEIVER:
        how = waitlist.TAKEN if to in ("in_progress", "completed") else waitlist.GIVEN_UP
        waitlist.leave(session, referral_id, service_key, how, now=now)
    if offer is not None:
        with acting_for(session, offer.sender_id):
            for sibling in offers.others(session, offer.id, referral_id):
                move(
                    session,
                    now=now,
                    referral_id=sibling.id,
                    version=sibling.version,
                    to="cancelled",
                    reason="taken_elsewhere",
                )
    tell_answer(session, answer, other_id, now=now, followers=followers)
    me = scope_of(session).tenant_id
    if ends is not None:
        holder = other_id if side == lifecycle.SENDER else me
        with acting_for(session, holder):
            for each in passed_on(session, referral_id):
                if "cancelled" in lifecycle.next_states(each.state, lifecycle.SENDER):
                    move(
                        session,
                        now=now,
                        referral_id=each.id,
                        version=each.version,
                        to="cancelled",
                        reason=ends,
                        followers=followers,
                    )
    elif to in _OVER and reason != _BY_CONSENT:
        with acting_for(session, other_id if side == lifecycle.SENDER else me):
            ask_what_now(session, referral_id, now=now)
    return changed


PERSON_DECLINED: Final = "person_declined"


def _ends_onward(to: str, reason: str | None) -> str | None:
    """Why what the receiver has asked others for ends with a referral, too; None: it goes on.

    The person does not want it, or it was never meant. What ends otherwise its receiver may still
    see through.
    """
    if to == "entered_in_error":
        return "error"
    return reason if to == "cancelled" and reason == PERSON_DECLINED else None


_OVER: Final = ("cancelled", "failed", "entered_in_error")
"""Ends after which what was referred onward ends, too, or is asked about."""

_BY_CONSENT: Final = "consent_ended"
"""Why such an end asks nobody: what was referred onward goes on by its own consent, or ends."""


_VERBS: Final = {
    "draft": "draft",
    "requested": "send",
    "accepted": "accept",
    "rejected": "reject",
    "in_progress": "start",
    "on_hold": "hold",
    "completed": "complete",
    "failed": "fail",
    "cancelled": "cancel",
    "entered_in_error": "withdraw",
}


def _tell(session: TenantSession, referral: Referral, now: datetime, followers: Followers) -> None:
    """Tell the other side, and have it work the answer at once."""
    answer = _answer(session, referral)
    tell_answer(session, answer, referral.counterparty_id, now=now, followers=followers)


def _answer(session: TenantSession, referral: Referral) -> Answer:
    return Answer(
        referral.id,
        referral.public_id,
        scope_of(session).tenant_id,
        referral.state,
        referral.reason,
        referral.outcome,
        referral.answered_at,
        referral.closed_at,
        referral.received_at,
        referral.progress,
        referral.finish_by,
    )


def tell_answer(
    session: TenantSession,
    answer: Answer,
    other_id: UUID,
    *,
    now: datetime,
    followers: Followers = NO_FOLLOWERS,
) -> None:
    """Send an answer to the other side, and have it worked there at once."""
    tell(
        session,
        to=other_id,
        kind=REFERRAL_ANSWER,
        subject_id=answer.referral_id,
        payload=answer.payload(),
        now=now,
    )
    with acting_for(session, other_id):
        receive_answer(session, answer, now=now, followers=followers)


def receive_answer(
    session: TenantSession, answer: Answer, *, now: datetime, followers: Followers = NO_FOLLOWERS
) -> None:
    """Take the other side's word for a referral: the row, the need, and the person who asked."""
    tenant_id = scope_of(session).tenant_id
    row = session.execute(
        update(Referral)
        .where(Referral.tenant_id == tenant_id, Referral.id == answer.referral_id)
        .values(
            state=answer.state,
            reason=answer.reason,
            outcome=answer.outcome,
            answered_at=answer.answered_at,
            closed_at=answer.closed_at,
            received_at=answer.received_at,
            progress=answer.progress,
            finish_by=answer.finish_by,
            before=None,
            asked_at=case((Referral.state == answer.state, Referral.asked_at), else_=None),
            heard_at=case(
                (
                    or_(
                        Referral.state != answer.state,
                        Referral.progress.is_distinct_from(answer.progress),
                    ),
                    now,
                ),
                else_=Referral.heard_at,
            ),
            version=Referral.version + 1,
        )
        .returning(
            Referral.side,
            Referral.need_id,
            Referral.contact_id,
            Referral.service_key,
            Referral.waitlist_position,
            Referral.offer_id,
        )
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
            action="referral:answer",
            subject_kind="referral",
            subject_id=answer.referral_id,
            detail={"state": answer.state, "reason": answer.reason, "outcome": answer.outcome},
        ),
    )
    if row.waitlist_position is not None and answer.state != "on_hold":
        waitlist.forget_position(session, answer.referral_id)
        if row.side == lifecycle.RECEIVER:
            key = row.service_key
            waitlist.leave(session, answer.referral_id, key, waitlist.ENDED, now=now)
    if row.side != lifecycle.SENDER:
        return
    settle_need(session, row.need_id, now)
    if answer.state == "requested":
        return
    code = (
        select(PersonLink.code)
        .where(
            PersonLink.tenant_id == tenant_id,
            PersonLink.contact_id == row.contact_id,
            PersonLink.ended_at.is_(None),
        )
        .order_by(PersonLink.made_at.desc())
        .limit(1)
        .scalar_subquery()
    )
    person = session.execute(
        select(
            Inquirer.email,
            Inquirer.phone,
            Inquirer.updates_by,
            Inquirer.language,
            code.label("code"),
        )
        .join(
            Contact,
            (Contact.tenant_id == Inquirer.tenant_id) & (Contact.inquirer_id == Inquirer.id),
        )
        .where(
            Contact.tenant_id == tenant_id,
            Inquirer.tenant_id == tenant_id,
            Contact.id == row.contact_id,
            Inquirer.wants_updates,
            Inquirer.erased_at.is_(None),
        )
    ).one_or_none()
    to = person and reached_at(person.updates_by, person.email, person.phone)
    if person is None or to is None:
        return
    options: dict[str, Any] = {}
    if followers.translate is not None:
        options["translate"] = followers.translate
    put(
        session,
        outbox_row(
            tenant_id,
            event="referral_answered",
            channel=to[0],
            recipient=to[1],
            language=person.language,
            now=now,
            subject_id=answer.referral_id,
            values={},
            address=f"{followers.url}/mine/{person.code}" if person.code and followers.url else "",
            wording=followers.wording,
            **options,
        ),
    )


def settle_need(session: TenantSession, need_id: UUID | None, now: datetime) -> None:
    """The need stands where all its referrals leave it; who follows it up waits with them."""
    if need_id is None:
        return
    settle(session, need_id)
    keep_the_clock(session, need_id, now=now)


def _meter(session: TenantSession, referral: Referral, now: datetime, booked_on: date) -> None:
    """The receiver did the work; who referred is a fact beside it."""
    home = scope_of(session).tenant_id
    metering.record(
        session,
        metering.Usage(
            source_key=f"referral:{referral.id}:closed:1",
            activity=metering.REFERRAL_CLOSED,
            channel=referral.channel,
            language=str(referral.shared.get("language") or "en"),
            service_owner_id=home,
            service_key=referral.service_key,
            referrer_id=referral.counterparty_id,
            line_owner_id=home,
            subject_id=referral.id,
            occurred_at=now,
            received_at=now,
            booked_on=booked_on,
        ),
    )


def _referral(
    session: TenantSession, referral_id: UUID, version: int | None, submitted: dict[str, Any]
) -> Referral:
    return locked(session, Referral, referral_id, version, submitted, "referral")


def _audit(
    session: TenantSession,
    now: datetime,
    action: str,
    referral_id: UUID,
    detail: dict[str, Any],
) -> None:
    record(
        session,
        now=now,
        action=action,
        subject_kind="referral",
        subject_id=referral_id,
        detail={name: value for name, value in detail.items() if value is not None},
    )


def _text(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
