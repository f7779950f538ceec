"""Write messages to people into the outbox; :mod:`regional311.notices.delivery` sends them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

from babel import Locale, UnknownLocaleError
from babel.dates import format_date
from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Text,
    Uuid,
    any_,
    case,
    cast,
    exists,
    literal,
    select,
    update,
)
from sqlalchemy.orm import aliased

from regional311.database.ids import new_id
from regional311.database.rows import new_row, send
from regional311.database.session import TenantSession, acting_for, mark_changed, scope_of
from regional311.notices.models import MailTrouble, NoticeStop, OutboxMessage
from regional311.notices.phones import texted
from regional311.notices.texts import HOW_TO_STOP, MORE, SHORT, fit
from regional311.notices.wording import Wording, Words, fill, usual
from regional311.tenancy.models import Tenant

Translate = Callable[[str, str], str]
"""From a text and a language to the text in that language."""

TEXTS: Final[Mapping[str, tuple[str, str]]] = {
    "request_received": (
        "We received your request {number}",
        "Thank you. Your request {number} is with {partner}: {service}.\n\n{expected}{link}",
    ),
    "request_status": (
        "News on your request {number}",
        "{partner} says about your request {number}: {state}.\n\n{message}\n\n{link}",
    ),
    "request_closed": (
        "Your request {number} is closed",
        "{partner} closed your request {number}.\n\n{message}\n\n{link}",
    ),
    "me_too_status": (
        "News on {number}, which you have too",
        (
            "{partner} says about {number}: {state}.\n\n{message}\n\n{link}There you can also stop "
            "these letters.\n"
        ),
    ),
    "me_too_closed": (
        "{number}, which you have too, is closed",
        "{partner} closed {number}.\n\n{message}\n\n{link}There you can also stop these letters.\n",
    ),
    "mailbox_link": (
        "Your reports",
        (
            "Somebody asked us for a link to what was reported with this e-mail address. "
            "It works until {until}:\n\n{address}\n\n"
            "If it was not you, you need do nothing. Nobody sees anything without this letter.\n"
        ),
    ),
    "accommodation_new": (
        "{number} needs a coordinator",
        (
            "{number} came in at {partner} and needs to be acknowledged by {day}. What it is about "
            "stands only there.\n\n{link}"
        ),
    ),
    "accommodation_unplaced": (
        "{number} has no coordinator",
        (
            "{number} came in at {partner} and something must be done about it by {day}. Nobody is "
            "named to coordinate it, so that nobody can read it. Name somebody.\n\n{link}"
        ),
    ),
    "accommodation_appeal": (
        "{number}: the person does not agree",
        (
            "The person behind {number} at {partner} does not agree with the decision. They are "
            "owed an answer by {day}. What they say stands only there.\n\n{link}"
        ),
    ),
    "accommodation_given": (
        "{number} is yours now",
        (
            "{number} of {partner} was given to you. Something must be done about it by {day}. "
            "What it is about stands only there.\n\n{link}"
        ),
    ),
    "accommodation_added": (
        "{number}: the person adds something",
        (
            "The person behind {number} at {partner} has written something. It stands only there."
            "\n\n{link}"
        ),
    ),
    "accommodation_due": (
        "{number} is due on {day}",
        "{number} at {partner} must be {task}, by {day}.\n\n{link}",
    ),
    "accommodation_overdue": (
        "{number} is overdue",
        "{number} at {partner} should have been {task}, by {day}.\n\n{link}",
    ),
    "accommodation_acknowledged": (
        "News on {number}",
        (
            "Somebody at {partner} has {number} in hand. What they say to you stands only on your "
            "own page.\n\n{link}"
        ),
    ),
    "accommodation_decided": (
        "{number} is decided",
        (
            "{partner} has decided {number}. How, and why, stands only on your own page.\n\n"
            "If you do not agree, you can say so there, through {day}. It costs nothing.\n\n"
            "{link}"
        ),
    ),
    "accommodation_news": (
        "News on {number}",
        "There is something new on {number} of {partner}.\n\n{link}",
    ),
    "accommodation_appeal_answered": (
        "{number} was looked at again",
        (
            "You did not agree, and {partner} has looked at {number} again. What became of it "
            "stands only on your own page.\n\n{link}"
        ),
    ),
    "mentioned": (
        "You are mentioned: {number}",
        (
            "A colleague mentions you in a note on {number}. What it says stands only there: "
            "{address}\n"
        ),
    ),
    "referral_sent": (
        "A message for you",
        "There is something new for you.\n\n{link}",
    ),
    "referral_answered": (
        "News for you",
        "There is something new for you.\n\n{link}",
    ),
    "referral_waits": (
        "Referral {number} waits for an answer",
        (
            "{partner} sent you the referral {number} and waits for word of it by {day}. Accept "
            "it, say why not, or say how far it is: {address}\n"
        ),
    ),
    "referral_unanswered": (
        "Referral {number} has no answer",
        (
            "{partner} sent you the referral {number}. Word of it was due by {day}, and nobody has "
            "said anything. If that stays so it fails as expired, and the person is helped "
            "elsewhere: {address}\n"
        ),
    ),
    "onward_goes_on": (
        "What becomes of referral {number}?",
        (
            "What you got from another partner and referred onward to {partner} as {number} ended "
            "on {day}; the referral onward goes on. Withdraw it, too, or keep it and say why: "
            "{address}\n"
        ),
    ),
    "draft_left": (
        "Referral {number} is still a draft",
        (
            "The referral {number} to {partner} was kept as a draft on {day}, and nothing has gone "
            "out. Finish it, change it or discard it; if nobody does, it expires: {address}\n"
        ),
    ),
    "question_unanswered": (
        "A question about referral {number} has no answer",
        (
            "{partner} asked something about the referral {number} on {day}, and cannot go on "
            "before you answer. If nobody does, it fails as expired: {address}\n"
        ),
    ),
    "referral_new": (
        "New referral {number}",
        (
            "{partner} refers somebody to you: {service}. Its number is {number}. Please answer by "
            "{day}.\n\n"
            "See what was shared, and accept or decline, without an account: {address}\n\n"
            "The link works for one answer, through {last_day}. Whoever has it can answer: do not "
            "pass this message on.\n"
        ),
    ),
    "question_answered": (
        "Your question about referral {number} is answered",
        (
            "{partner} has answered what you asked about the referral {number}: {service}. Please "
            "answer it by {day}.\n\n"
            "Read it, and accept or decline, without an account: {address}\n\n"
            "The link works for one answer, through {last_day}. Whoever has it can answer: do not "
            "pass this message on.\n"
        ),
    ),
    "referral_taken": (
        "New referral {number}, taken as you wished",
        (
            "{partner} refers somebody to you: {service}. Your policy took it at once, or put it "
            "on your waitlist; it is in your inbox under {number}.\n"
        ),
    ),
    "never_contact": (
        "{number}: never contact the person",
        (
            "{partner} says that nobody may contact the person of {number}: it is not safe. Do "
            "not call, write or leave a message, and tell whoever else works on it: {address}\n"
        ),
    ),
    "line_open": (
        "{partner} is open: ring it for {number}",
        (
            "{line} of {partner} is open. The person behind {number} waits to be called back and "
            "put through. Call them, then ring the other desk: {address}\n"
        ),
    ),
    "line_gone": (
        "{number} waits for a line of {partner} that is there no more",
        (
            "{line} of {partner} is there no more. The person behind {number} waits to be called "
            "back and put through to it. Call them, and see what else can be done: {address}\n"
        ),
    ),
    "line_open_late": (
        "{number} waits to be put through to {partner}",
        (
            "{line} of {partner} has been open for an hour, and nobody has put {number} through. "
            "Somebody was promised a call: {address}\n"
        ),
    ),
    "rules_stopped": (
        "{number} to mend: rules of {partner}",
        (
            "These rules of {partner} decide, and cannot do what they say any more. What they say "
            "is passed over until somebody mends it:\n\n{services}\n\nThe rules: {address}\n"
        ),
    ),
    "agreement_expiring": (
        "Agreement ends soon: {agreement}",
        (
            "{agreement} ({reference}) of {partner} holds through {last_day}. Say by {notice_day} "
            "whether it goes on: draft its next version under Agreements, or let it end.\n"
        ),
    ),
    "rates_not_taken_over": (
        "Rates that you approved do not hold",
        (
            "You approved a change of {count} rates. Nothing of it holds: {problem}\n\n"
            "The change waits for approval again: Rates, Proposed changes.\n"
        ),
    ),
    "pool_changed": (
        "{partner} changed the shared cost {pool}",
        (
            "{partner} changed {pool} for the fiscal year {year}. Your part of the year:\n\n"
            "{parts}\n\nWhy: {why}\n\nWhat was billed stays; later bills use this. The agreement's "
            "page under Agreements keeps this message.\n"
        ),
    ),
    "pool_changed_outside": (
        "{partner} changed the shared cost {pool}",
        (
            "{partner} changed {pool} for the fiscal year {year}. Your part of the year:\n\n"
            "{parts}\n\nWhy: {why}\n\nWhat was billed stays; later bills use this.\n\nWhat you ask "
            "or do not accept, tell {contact}.\n"
        ),
    ),
    "pool_changed_bureaus": (
        "What bureaus bear of {pool} has changed",
        (
            "{partner} changed {pool} for the fiscal year {year}. The parts of bureaus in the year:"
            "\n\n{parts}\n\nWhy: {why}\n\nWhat was billed stays; later bills use this. Bureaus "
            "have no account here: tell those who answer for their budgets.\n"
        ),
    ),
    "reviews_due": (
        "{number} to look at: entries of {partner}",
        (
            "These entries of {partner} are due. Say whether each is still right, or correct it:"
            "\n\n{services}\n\nThe list: {address}\n"
        ),
    ),
    "suggestions_new": (
        "{number} suggested: entries of {partner}",
        (
            "Somebody suggests what these entries of {partner} should say:\n\n{services}\n\n"
            "Approve or decline each: {address}\n"
        ),
    ),
    "publishing_refused": (
        "{number} not published on its day: {partner}",
        (
            "What was to be published at {partner} is a draft again:\n\n{services}\n\n"
            "Mend it, have it reviewed and publish it: {address}\n"
        ),
    ),
    "suggestion_approved": (
        "Thank you for correcting {service}",
        (
            "Thank you for what you wrote about {service} ({field}). {partner} agrees and takes it "
            "over.\n\nSee it here: {address}\n"
        ),
    ),
    "suggestion_declined": (
        "Thank you for writing about {service}",
        (
            "Thank you for what you wrote about {service} ({field}). {partner} looked at it and "
            "leaves it as it is: {message}\n\nSee it here: {address}\n"
        ),
    ),
    "budget_warning": (
        "Budget with {partner} for {year}: {standing}",
        (
            "The budget with {partner} for {year} is {amount}. {billed} of it is billed, and the "
            "year is likely to end at {forecast}, when {elapsed} % of it has gone by. How that was "
            "reckoned stands under Budgets.\n"
        ),
    ),
    "payment_due_soon": (
        "Statement {number} is due on {day}",
        (
            "Statement {number} of {partner} is due on {day}. {amount} of it is open and not "
            "disputed. What you do not accept can be disputed, line by line, under Statements.\n"
        ),
    ),
    "payment_due": (
        "Statement {number} is due today",
        (
            "Statement {number} of {partner} is due today, {day}. {amount} of it is open and not "
            "disputed.\n"
        ),
    ),
    "payment_overdue": (
        "Statement {number} is overdue",
        (
            "Statement {number} of {partner} was due on {day}. {amount} of it is open, not "
            "disputed and {days} days overdue. If it was paid, tell {partner} day and reference.\n"
        ),
    ),
    "advance_requested": (
        "{partner} asks for {amount} in advance of {period}",
        (
            "{agreement} has {amount} paid in advance of {period}. {partner} asks for it by {day}, "
            "as {number}. It is taken off the bill of that period. Your requests stand under "
            "Payments, Advances asked for.\n"
        ),
    ),
    "advance_outside": (
        "{partner} asks for {amount} in advance of {period}",
        (
            "{agreement} has {amount} paid in advance of {period}. Please pay it by {day} and name "
            "{number}. It is taken off the bill of that period; this is no bill.\n"
        ),
    ),
    "statement_outside": (
        "Statement {number} of {partner}",
        (
            "{partner} has issued statement {number} for {period}: {owed}. It is attached as a "
            "PDF that a screen reader reads.\n\n"
            "What you ask or do not accept, tell {contact}.\n"
        ),
    ),
    "outside_due_soon": (
        "Statement {number} of {partner} is due on {day}",
        (
            "Statement {number} of {partner} is due on {day}. {amount} of it is open. It is "
            "attached once more.\n\nWhat you ask or do not accept, tell {contact}.\n"
        ),
    ),
    "outside_due": (
        "Statement {number} of {partner} is due today",
        (
            "Statement {number} of {partner} is due today, {day}. {amount} of it is open. It is "
            "attached once more.\n\nWhat you ask or do not accept, tell {contact}.\n"
        ),
    ),
    "outside_overdue": (
        "Statement {number} of {partner} is overdue",
        (
            "Statement {number} of {partner} was due on {day}. {amount} of it is open and {days} "
            "days overdue. It is attached once more.\n\nIf it was paid, tell {contact} day and "
            "reference; tell them, too, what you ask or do not accept.\n"
        ),
    ),
    "digest": (
        "{number} notices from {partner}",
        (
            "What {partner} has to tell you on {day}:\n\n\n{notices}\n\n\n"
            "What you get by mail, and when: {address}\n"
        ),
    ),
    "dispute_unanswered": (
        "Dispute {number} should have been answered",
        (
            "Dispute {number} of {partner} about statement {statement} should have been answered "
            "by {day}. {amount} is not decided. It is with {owner}.\n"
        ),
    ),
}
"""Heading and body of each event. ``{expected}`` and ``{link}`` are empty when there is nothing."""

TO_PEOPLE: Final = frozenset(
    {
        "request_received",
        "request_status",
        "request_closed",
        "me_too_status",
        "me_too_closed",
        "referral_sent",
        "referral_answered",
        "accommodation_acknowledged",
        "accommodation_decided",
        "accommodation_news",
        "accommodation_appeal_answered",
    }
)
"""Events that are told to people who ask for help; most others are for partners' staff."""

WITH_STATEMENT: Final = frozenset(
    {"statement_outside", "outside_due_soon", "outside_due", "outside_overdue"}
)
"""Events that bring the PDF of a statement."""

TO_OUTSIDE: Final = WITH_STATEMENT | {"advance_outside", "pool_changed_outside"}
"""Events that payers outside the region are told of; they choose nothing here."""

STATES: Final[Mapping[str, str]] = {
    "received": "received",
    "triaged": "looked at",
    "assigned": "with somebody who works on it",
    "in_progress": "in progress",
    "waiting_person": "waiting for you",
    "waiting_partner": "waiting for somebody else",
    "closed": "closed",
    "merged": "joined with another request",
}
"""How far a request is, in a sentence."""

DUE: Final = "- {name} (by {day})"
NOT_PUBLISHED: Final = "- {name}, version {number}: {why}"
STOPPED: Final = "- {name}: {why}"
AND_MORE: Final = "- and {number} more"
"""Lines of a letter that lists entries."""

EXPECTED: Final = "We expect to be done by {day}.\n\n"
LINK: Final = "Follow it here: {address}\n"
WAY_OUT: Final = "What you get from us, and how to stop it: {address}"
"""Below every message to people who ask for help."""


def as_written(text: str, _language: str) -> str:
    """Leave a text in the language in which it was written."""
    return text


def outbox_row(
    tenant_id: UUID,
    *,
    event: str,
    recipient: str,
    language: str,
    now: datetime,
    channel: str = "email",
    subject_id: UUID | None = None,
    values: Mapping[str, str],
    expected_on: str = "",
    address: str = "",
    translate: Translate = as_written,
    wording: Wording = usual,
    hold: timedelta = timedelta(),
    cause_id: UUID | None = None,
    confidential: bool = False,
) -> OutboxMessage:
    """Make an outbox row in the person's language; ``values`` fill the event's text.

    That is the partner's own where ``wording`` has one, else the usual one. It leaves after
    ``hold`` at the earliest; ``cause_id`` is what may yet be undone (`release`, `withdraw_caused`).
    ``channel`` and ``recipient`` are as `reached_at` gives them. A text about something
    ``confidential`` leaves out what was said.
    """
    by_text = channel == "text"
    words = wording(tenant_id, event, language, channel) if event in TO_PEOPLE else None
    if words is None:
        standard = ("", SHORT[event]) if by_text else TEXTS[event]
        words = Words(*(translate(text, language) if text else "" for text in standard))
    filled = with_fragments(
        values,
        language=language,
        expected_on=expected_on,
        address=address,
        translate=translate,
        channel=channel,
    )
    if by_text:
        body = fit(
            words.body,
            filled,
            room_for=translate(HOW_TO_STOP, language),
            more=translate(MORE, language),
            withhold=confidential,
        )
    else:
        body = fill(words.body, filled).rstrip("\n") + "\n"
    return new_row(
        OutboxMessage,
        tenant_id=tenant_id,
        id=new_id(),
        event=event,
        subject_id=subject_id,
        channel=channel,
        recipient=recipient,
        language=language,
        heading=fill(words.heading, filled),
        body=body,
        state="pending",
        attempts=0,
        created_at=now,
        due_at=now + hold,
        cause_id=cause_id,
    )


def reached_at(by: str, email: str | None, phone: str | None) -> tuple[str, str] | None:
    """Give channel and address by which somebody who wants news hears; None: they cannot.

    >>> reached_at("text", "a@b.example", "503-555-0123"), reached_at("email", None, "503-555-0123")
    (('text', '+15035550123'), None)
    """
    address = texted(phone or "") if by == "text" else email
    return (by, address) if address else None


GONE: Final[Mapping[str, Any]] = {
    "state": "withdrawn",
    "recipient": "",
    "heading": "",
    "body": "",
    "begins_for": None,
}


def release(session: TenantSession, causes: Sequence[UUID], *, at: datetime) -> None:
    """Let what these causes wrote leave at a moment, at whichever partner it was written.

    What a later letter to the same person about the same thing has overtaken does not leave.
    """
    later = aliased(OutboxMessage)
    overtaken = exists().where(
        later.tenant_id == OutboxMessage.tenant_id,
        later.subject_id == OutboxMessage.subject_id,
        later.recipient == OutboxMessage.recipient,
        later.created_at > OutboxMessage.created_at,
    )
    _everywhere(session, causes, GONE, overtaken)
    _everywhere(session, causes, {"due_at": at})


def withdraw_caused(session: TenantSession, causes: Sequence[UUID]) -> None:
    """Withdraw what was written by these causes and has not left, at whichever partner."""
    _everywhere(session, causes, GONE)


def _everywhere(
    session: TenantSession,
    causes: Sequence[UUID],
    values: Mapping[str, object],
    *conditions: ColumnElement[bool],
) -> None:
    if not causes:
        return
    partners = session.scalars(select(Tenant.id).where(Tenant.tenant_id == Tenant.id)).all()
    for partner_id in partners:
        with acting_for(session, partner_id):
            changed = session.execute(
                update(OutboxMessage)
                .where(
                    OutboxMessage.tenant_id == partner_id,
                    OutboxMessage.cause_id == any_(literal(list(causes), ARRAY(Uuid))),
                    OutboxMessage.state == "pending",
                    *conditions,
                )
                .values(dict(values))
                .returning(OutboxMessage.id)
                .execution_options(synchronize_session=False)
            ).first()
            if changed is not None:
                mark_changed(session)


def withdraw_to(
    session: TenantSession,
    recipients: Sequence[str],
    subject_ids: Sequence[UUID],
    events: Sequence[str],
) -> None:
    """Withdraw what has not left of these events, about these subjects, to these addresses."""
    changed = session.execute(
        update(OutboxMessage)
        .where(
            OutboxMessage.tenant_id == scope_of(session).tenant_id,
            OutboxMessage.subject_id.in_(subject_ids),
            OutboxMessage.recipient.in_(recipients),
            OutboxMessage.event.in_(events),
            OutboxMessage.state.in_(("pending", "dead", "aside")),
        )
        .values(dict(GONE))
        .returning(OutboxMessage.id)
        .execution_options(synchronize_session=False)
    ).first()
    if changed is not None:
        mark_changed(session)


def with_fragments(
    values: Mapping[str, str],
    *,
    language: str,
    expected_on: str,
    address: str,
    translate: Translate,
    channel: str = "email",
) -> dict[str, str]:
    """Give values with the sentences that a message has only where there is something to say."""
    expected = link = ""
    if expected_on:
        day = day_in(date.fromisoformat(expected_on), language)
        expected = fill(translate(EXPECTED, language), {"day": day})
        if channel == "text":
            expected = f"{expected.strip()} "
    if address and channel == "text":
        link = address
    elif address:
        link = fill(translate(LINK, language), {"address": address})
    return {"message": "", **values, "expected": expected, "link": link}


def forget_whom(session: TenantSession, *subject_ids: UUID) -> None:
    """Withdraw what has not left about subjects, and keep nowhere to whom it was written."""
    withdraw(session, *subject_ids)
    tenant_id = scope_of(session).tenant_id
    # a stop belongs to one address; its id takes that place
    session.execute(
        update(NoticeStop)
        .where(NoticeStop.tenant_id == tenant_id, NoticeStop.subject_id.in_(subject_ids))
        .values(address=cast(NoticeStop.id, Text)),
        execution_options={"synchronize_session": False},
    )
    written = select(OutboxMessage.id).where(
        OutboxMessage.tenant_id == tenant_id, OutboxMessage.subject_id.in_(subject_ids)
    )
    session.execute(
        update(MailTrouble)
        .where(MailTrouble.tenant_id == tenant_id, MailTrouble.message_id.in_(written))
        .values(message_id=None),
        execution_options={"synchronize_session": False},
    )
    mark_changed(session)


@lru_cache(maxsize=4096)
def day_in(day: date | None, language: str) -> str:
    """A day as a language writes it, in English where the language is none of those known.

    >>> day_in(date(2026, 11, 3), "other"), day_in(date(2026, 11, 3), "es"), day_in(None, "en")
    ('November 3, 2026', '3 de noviembre de 2026', '')
    """
    try:
        locale = Locale.parse(language, sep="-")
    except (UnknownLocaleError, ValueError):
        locale = Locale("en")
    return "" if day is None else format_date(day, "long", locale=locale)


def withdraw(session: TenantSession, *subject_ids: UUID) -> None:
    """Withdraw what has not left about subjects, and empty what was written and to whom.

    What programs are told by webhook stays: it names nobody, and is not written a second time.
    """
    send(session)
    session.execute(
        update(OutboxMessage)
        .where(
            OutboxMessage.tenant_id == scope_of(session).tenant_id,
            OutboxMessage.subject_id.in_(subject_ids),
            OutboxMessage.channel != "webhook",
        )
        .values(
            recipient="",
            heading="",
            body="",
            sent_body=None,
            begins_for=None,
            state=case((OutboxMessage.state == "sent", "sent"), else_="withdrawn"),
        ),
        execution_options={"synchronize_session": False},
    )
    mark_changed(session)
