"""Take in what somebody wrote: danger first, then the thread it belongs to, and a contact.

Who writes of a danger is told at once which number to call (`danger_numbers.py`).
Nothing here looks at the clock or commits. What comes twice is taken once, also when both come at
the same moment.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import structlog
from sqlalchemy import select, text

from regional311.audit.service import record
from regional311.database.ids import new_id, public_id
from regional311.database.locking import locked
from regional311.database.rows import new_row, put, send
from regional311.database.session import TenantSession, scope_of
from regional311.inbox.danger_numbers import CHANNELS, number_said
from regional311.inbox.letters import LeftOut, base_subject
from regional311.inbox.models import Thread, ThreadMessage
from regional311.intake.models import Contact
from regional311.intake.service import attachment_rows
from regional311.intake.uploads import Upload
from regional311.referral.decision import Sign, screen
from regional311.referral.filing import start_contact
from regional311.referral.snapshot import Line, Published

LONGEST_KEY: Final = 400
GUESSED: Final = ("auto-reply", "list", "spam", "machine")
"""Why a letter counts as a machine's although a person may have written it."""

log = structlog.get_logger("regional311.inbox")


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message as it came on a line. `key` is the sender's own id of it; `address` is E.164 for a
    text, an address in lower case for a mail, nothing for a chat.
    """

    line: Line
    key: str
    text: str
    address: str | None = None
    name: str | None = None
    subject: str = ""
    language: str = "en"
    thread_id: UUID | None = None
    """The thread that it names beyond doubt: by a signed address, or by a chat's own link."""
    answers: tuple[UUID, ...] = ()
    references: tuple[str, ...] = ()
    automatic: str | None = None
    files: tuple[Upload, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    secret_hash: bytes | None = None
    """Of a chat that begins, the link by which it goes on."""


@dataclass(frozen=True, slots=True)
class Received:
    """What became of a message: its thread, and the signs of danger in it."""

    thread_id: UUID
    public_id: str
    message_id: UUID
    signs: tuple[str, ...]
    repeated: bool = False


def receive(
    session: TenantSession, published: Published, came: Incoming, *, now: datetime
) -> Received:
    """Keep a message in its thread, or in a new one. The line is one of the bound tenant's.

    A thread that was done, or whose contact has ended at the desk, begins anew with a contact of
    its own; automatic mail begins none, and wakes nobody.
    """
    tenant_id = scope_of(session).tenant_id
    key = f"{came.line.channel}:{came.line.key}:{came.key}"[:LONGEST_KEY]
    # one at a time of a person, so that two messages at once make one thread, and one message
    # that comes twice at once is seen to be the same
    session.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:what, 0))"),
        {"what": f"threads:{tenant_id}:{came.address or came.thread_id or key}"},
    )
    known = _known(session, key)
    if known is not None and came.line.channel == "email" and known[1] != came.text:
        # programs that give every letter the same id send more than one all the same
        key = f"{key} {hashlib.sha256(came.text.encode()).hexdigest()[:16]}"
        known = _known(session, key)
    if known is not None:
        return known[0]
    day = published.calendars[came.line.tenant].local_date(now)
    signs = screen(published.screen(day).signs, (), f"{came.subject}\n{came.text}")
    if signs and came.automatic in GUESSED:
        # a list or a filter may be wrong about who wrote; nobody who is in danger is left lying
        came = replace(came, automatic=None)
    if came.automatic is not None:
        signs = ()
    found = _thread(session, came)
    thread = None if found is None else locked(session, Thread, found, None, {}, "thread")
    fresh = thread is None or _begins_anew(session, thread)
    contact_id = None if thread is None else thread.contact_id
    if fresh and came.automatic is None:
        contact_id = start_contact(
            session,
            published,
            now=now,
            channel=came.line.channel,
            line=came.line.ref,
            language=came.language,
        ).id
        send(session)
    message_id = new_id()
    if thread is None:
        thread_id, number = new_id(), public_id("T")
        put(session, _new_thread(came, thread_id, number, contact_id, signs, now, tenant_id))
    else:
        thread_id, number = thread.id, thread.public_id
        _goes_on(thread, came, contact_id, signs, now, fresh=fresh)
        session.flush()
    put(
        session,
        new_row(
            ThreadMessage,
            tenant_id=tenant_id,
            id=message_id,
            thread_id=thread_id,
            contact_id=contact_id,
            direction="in",
            at=now,
            sender=_other_sender(thread, came),
            subject=came.subject or None,
            text=came.text,
            external_key=key,
            signs=list(signs),
            automatic=came.automatic,
            left_out=[{"name": each.name, "why": each.why} for each in came.left_out],
            files=len(came.files),
        ),
        *attachment_rows(tenant_id, message_id, came.files, now=now),
    )
    record(
        session,
        now=now,
        action="thread:receive",
        subject_kind="thread",
        subject_id=thread_id,
        detail={"channel": came.line.channel, "automatic": came.automatic},
    )
    for sign in signs:
        log.warning("danger_sign", channel=came.line.channel, sign=sign, thread=number)
    if signs and came.address and came.line.channel in CHANNELS:
        said = number_said(
            session,
            came.line,
            _first(published.screen(day).signs, signs).spoken(came.language),
            thread_id=thread_id,
            recipient=came.address,
            language=came.language,
            answers=came.key,
            now=now,
        )
        put(session, *filter(None, (said,)))
    return Received(thread_id, number, message_id, signs)


def _first(known: tuple[Sign, ...], found: tuple[str, ...]) -> Sign:
    """Give the sign that counts: the first of the region's that was found."""
    return next(each for each in known if each.key in found)


def _known(session: TenantSession, key: str) -> tuple[Received, str | None] | None:
    row = session.execute(
        select(
            Thread.id, Thread.public_id, ThreadMessage.id, ThreadMessage.signs, ThreadMessage.text
        )
        .join(
            Thread,
            (Thread.tenant_id == ThreadMessage.tenant_id) & (Thread.id == ThreadMessage.thread_id),
        )
        .where(
            ThreadMessage.tenant_id == scope_of(session).tenant_id,
            ThreadMessage.external_key == key,
        )
    ).one_or_none()
    if row is None:
        return None
    return Received(row[0], row[1], row[2], tuple(row[3]), repeated=True), row[4]


def _thread(session: TenantSession, came: Incoming) -> UUID | None:
    """Find the thread that a message goes on with, at this partner, on its channel."""
    tenant_id, channel = scope_of(session).tenant_id, came.line.channel
    if came.thread_id is not None:
        return session.execute(
            select(Thread.id).where(
                Thread.tenant_id == tenant_id,
                Thread.id == came.thread_id,
                Thread.channel == channel,
                Thread.erased_at.is_(None),
            )
        ).scalar_one_or_none()
    if channel == "email":
        return _by_references(session, came) or _by_subject(session, came)
    return session.execute(
        select(Thread.id)
        .where(
            Thread.tenant_id == tenant_id,
            Thread.channel == channel,
            Thread.address == came.address,
            Thread.address.is_not(None),
            Thread.line_key == came.line.key,
        )
        .order_by(Thread.id.desc())
        .limit(1)
    ).scalar_one_or_none()


def _by_references(session: TenantSession, came: Incoming) -> UUID | None:
    if not came.answers and not came.references:
        return None
    keys = [f"email:{came.line.key}:{each}"[:LONGEST_KEY] for each in came.references]
    return session.execute(
        select(ThreadMessage.thread_id)
        .join(
            Thread,
            (Thread.tenant_id == ThreadMessage.tenant_id) & (Thread.id == ThreadMessage.thread_id),
        )
        .where(
            ThreadMessage.tenant_id == scope_of(session).tenant_id,
            Thread.erased_at.is_(None),
            ThreadMessage.id.in_(came.answers) | ThreadMessage.external_key.in_(keys),
        )
        .order_by(ThreadMessage.id.desc())
        .limit(1)
    ).scalar_one_or_none()


def _by_subject(session: TenantSession, came: Incoming) -> UUID | None:
    """An open thread of the address that the subject answers: some programs name no references.

    Several people may write from one address: it must be the same name, as far as it is given.
    """
    wanted = base_subject(came.subject)
    if came.automatic is not None or wanted == " ".join(came.subject.casefold().split()):
        return None
    rows = session.execute(
        select(Thread.id, Thread.subject, Thread.name)
        .where(
            Thread.tenant_id == scope_of(session).tenant_id,
            Thread.channel == "email",
            Thread.address == came.address,
            Thread.line_key == came.line.key,
            Thread.state != "done",
        )
        .order_by(Thread.id.desc())
        .limit(20)
    )
    return next(
        (
            row.id
            for row in rows
            if wanted
            and base_subject(row.subject or "") == wanted
            and (came.name is None or row.name is None or came.name == row.name)
        ),
        None,
    )


def _begins_anew(session: TenantSession, thread: Thread) -> bool:
    if thread.state == "done" or thread.contact_id is None:
        return True
    ended = session.execute(
        select(Contact.ended_at).where(
            Contact.tenant_id == thread.tenant_id, Contact.id == thread.contact_id
        )
    ).scalar_one()
    return ended is not None


def _new_thread(
    came: Incoming,
    thread_id: UUID,
    number: str,
    contact_id: UUID | None,
    signs: tuple[str, ...],
    now: datetime,
    tenant_id: UUID,
) -> Any:
    idle = came.automatic is not None
    return new_row(
        Thread,
        tenant_id=tenant_id,
        id=thread_id,
        public_id=number,
        channel=came.line.channel,
        line_key=came.line.key,
        address=came.address,
        name=came.name,
        subject=came.subject or None,
        language=came.language,
        state="done" if idle else "new",
        contact_id=contact_id,
        danger=signs[0] if signs else None,
        automatic=came.automatic,
        began_at=now,
        waiting_since=now,
        last_at=now,
        done_at=now if idle else None,
        secret_hash=came.secret_hash,
        version=1,
    )


def _goes_on(
    thread: Thread,
    came: Incoming,
    contact_id: UUID | None,
    signs: tuple[str, ...],
    now: datetime,
    *,
    fresh: bool,
) -> None:
    thread.last_at = now
    thread.before = None
    if came.automatic == "bounce":
        thread.undeliverable_at = now
        # what was said has not arrived: whoever said it is told by where it now lies
        if thread.state == "waiting":
            thread.state, thread.waiting_since = "claimed", now
        elif thread.state == "done" and thread.automatic is None:
            thread.state, thread.claimed_by, thread.done_at = "new", None, None
            thread.waiting_since = now
        return
    if came.automatic is not None:
        return
    if fresh:
        thread.contact_id, thread.handled_seconds, thread.closings = contact_id, 0, 0
        thread.acted_at = None
    if thread.state == "done":
        thread.state, thread.claimed_by, thread.done_at = "new", None, None
        thread.waiting_since, thread.automatic = now, None
    elif thread.state == "waiting":
        thread.state, thread.waiting_since = "claimed", now
    thread.name = thread.name or came.name
    thread.undeliverable_at = None
    if signs:
        thread.danger = signs[0]


def _other_sender(thread: Thread | None, came: Incoming) -> str | None:
    return came.address if thread is not None and thread.address != came.address else None
