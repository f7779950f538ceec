"""What is done with a thread: claim, give back, hand on, answer, end, and take the last step back.

Whoever acts on a version that others have changed is told, and nothing is written. Nothing here
looks at the clock or commits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import case, select, update

from regional311.audit.service import record
from regional311.database.ids import new_id
from regional311.database.locking import locked
from regional311.database.rows import new_row, put, send
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.errors import Conflict, InvalidInput
from regional311.inbox.letters import clean, reply_address
from regional311.inbox.models import Thread, ThreadMessage
from regional311.intake.models import Contact
from regional311.intake.service import close_contact, open_contact_again, update_contact
from regional311.notices.models import OutboxMessage

WITHIN: Final = timedelta(minutes=10)
"""How long the last step can be taken back."""
MOST_AT_ONCE: Final = timedelta(minutes=15)
"""Work that is counted between two acts at most: what is longer was spent on something else."""
LIVE: Final = timedelta(hours=1)
"""Since the last word of a thread: so long they write each other, and a text leaves at any hour."""
LONGEST: Final = {"email": 20_000, "text": 1_500, "chat": 4_000}
"""Characters of an answer, by channel."""
SUBJECT_OF_ONE_WITHOUT: Final = "Your message"


class HasAnother(Conflict):
    """Somebody else has it."""


class NotNow(Conflict):
    """It is in a state in which this cannot be done."""


class DangerNotSettled(Conflict):
    """Its words sound like danger, and nobody has looked into that yet."""


class TooLateToUndo(Conflict):
    """The step was taken too long ago, or something has happened since."""


@dataclass(frozen=True, slots=True)
class From:
    """As whom an answer is written: the line's address and name, and its partner's."""

    address: str
    line: str
    partner: str
    secret: str


def claim(session: TenantSession, thread_id: UUID, *, now: datetime) -> None:
    """Take a thread that nobody has, whatever was written in it since. Raises `HasAnother`,
    `NotNow`, `NotFound`.
    """
    thread = _thread(session, thread_id, None)
    me = _me(session)
    if thread.claimed_by == me:
        return
    if thread.claimed_by is not None:
        raise HasAnother("Somebody else has it already.")
    if thread.state != "new":
        raise NotNow("It is done. Open it again first.")
    _remember(thread, "claim", now)
    thread.state, thread.claimed_by, thread.acted_at = "claimed", me, now
    _on_contact(session, thread, me, now)
    _note(session, thread, "thread:claim", now)


def claim_next(session: TenantSession, *, now: datetime) -> str | None:
    """Take whoever has waited longest, danger first, and give the thread's number; None: nobody.

    Two who ask at once get two threads. What is confidential is not given out.
    """
    found = session.execute(
        select(Thread.id, Thread.public_id)
        .where(
            Thread.tenant_id == scope_of(session).tenant_id,
            Thread.state == "new",
            Thread.confidential.is_(False),
        )
        .order_by(Thread.danger.is_(None), Thread.waiting_since, Thread.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    ).one_or_none()
    if found is None:
        return None
    claim(session, found.id, now=now)
    return str(found.public_id)


def as_it_comes_back(at: Any, now: datetime) -> dict[str, Any]:
    """What changes of a thread whose answer did not arrive: whoever answered has it again, and one
    that was done is new. `at` is when that was known.
    """
    return {
        "undeliverable_at": at,
        "state": case(
            (Thread.state == "waiting", "claimed"),
            (Thread.state == "done", "new"),
            else_=Thread.state,
        ),
        "claimed_by": case((Thread.state == "done", None), else_=Thread.claimed_by),
        "done_at": None,
        "waiting_since": case(
            (Thread.state.in_(("waiting", "done")), now), else_=Thread.waiting_since
        ),
        "before": None,
        "version": Thread.version + 1,
    }


def note_undelivered(session: TenantSession, thread_id: UUID, *, now: datetime) -> None:
    """Keep in a thread's trail that an answer did not arrive."""
    record(
        session,
        now=now,
        action="thread:undelivered",
        subject_kind="thread",
        subject_id=thread_id,
        detail={},
    )


def came_back(session: TenantSession, thread_id: UUID, *, now: datetime) -> bool:
    """Bring a thread back to the inbox whose answer did not arrive; False when it is no thread.

    One that was forgotten stays so.

    Whoever answered has it again, and one that was done is new: they see by where it lies that the
    person heard nothing. For a report of the telephone company, a bounce, or a mail server that
    refuses for good. Doing it twice changes nothing more than the moment.
    """
    send(session)
    found = session.execute(
        update(Thread)
        .where(
            Thread.tenant_id == scope_of(session).tenant_id,
            Thread.id == thread_id,
            Thread.erased_at.is_(None),
        )
        .values(as_it_comes_back(now, now))
        .returning(Thread.id)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    mark_changed(session)
    if found is None:
        return False
    note_undelivered(session, thread_id, now=now)
    return True


def give_back(
    session: TenantSession, thread_id: UUID, version: int | None, *, now: datetime
) -> None:
    """Put a thread of one's own back to the new ones."""
    thread = _thread(session, thread_id, version)
    if thread.claimed_by is None:
        raise NotNow("Nobody has it.")
    if thread.claimed_by != _me(session):
        raise HasAnother("Somebody else has it.")
    _remember(thread, "give_back", now)
    thread.handled_seconds += _worked(thread, now)
    if thread.state == "waiting":
        thread.waiting_since = now
    thread.state, thread.claimed_by, thread.acted_at = "new", None, now
    _on_contact(session, thread, None, now)
    _note(session, thread, "thread:give_back", now)


def hand_on(
    session: TenantSession,
    thread_id: UUID,
    version: int | None,
    *,
    to: UUID,
    colleagues: dict[UUID, str],
    now: datetime,
) -> None:
    """Give a thread to a colleague, or take it from one. `colleagues` are those who may have it."""
    if to not in colleagues:
        raise InvalidInput("Choose one of those listed.", field="to")
    thread = _thread(session, thread_id, version)
    if thread.state == "done":
        raise NotNow("It is done. Open it again first.")
    _remember(thread, "hand_on", now)
    thread.handled_seconds += _worked(thread, now)
    if thread.state == "new":
        thread.state = "claimed"
    thread.claimed_by, thread.acted_at = to, now
    _on_contact(session, thread, to, now)
    _note(session, thread, "thread:hand_on", now, {"to": str(to)})


def answer(
    session: TenantSession,
    thread_id: UUID,
    version: int,
    *,
    text: str,
    sender: From,
    done: bool,
    today: date,
    now: datetime,
) -> UUID:
    """Answer on the channel on which it came; the thread then waits for the person, or is done.

    Answering takes a thread that nobody has. Raises `Stale` when the person or a colleague wrote
    meanwhile, `HasAnother`, `NotNow`, `DangerNotSettled`, `InvalidInput`.
    """
    words = clean(text).strip()
    thread = _thread(session, thread_id, version)
    most = LONGEST[thread.channel]
    if not words or len(words) > most:
        raise InvalidInput(f"Write something, at most {most} characters.", field="text")
    me = _me(session)
    if thread.claimed_by not in (None, me):
        raise HasAnother("Somebody else has it. Take it over first.")
    if thread.channel != "chat" and not thread.address:
        raise NotNow("It names no address that could be answered.")
    if thread.stopped_at is not None:
        if thread.channel == "chat":
            raise NotNow("The person has left the chat.")
        raise NotNow("The person sent STOP: no text may be sent there until they send START.")
    if thread.state == "done":
        raise NotNow("It is done. Open it again first.")
    if thread.claimed_by is None:
        _on_contact(session, thread, me, now)
        thread.acted_at = thread.acted_at or now
    live = now - thread.last_at <= LIVE
    thread.handled_seconds += _worked(thread, now)
    thread.state, thread.claimed_by, thread.acted_at = "waiting", me, now
    thread.waiting_since, thread.last_at, thread.before = now, now, None
    message_id = new_id()
    rows: list[Any] = [
        new_row(
            ThreadMessage,
            tenant_id=thread.tenant_id,
            id=message_id,
            thread_id=thread.id,
            contact_id=thread.contact_id,
            direction="out",
            at=now,
            author_id=me,
            text=words,
        )
    ]
    if thread.channel != "chat":
        rows.append(_outgoing(session, thread, message_id, words, sender, now, live=live))
    session.flush()
    put(session, *rows)
    _note(session, thread, "thread:answer", now, {"message": str(message_id)})
    if done:
        _end(session, thread, "answered", today, now)
    return message_id


def finish(
    session: TenantSession,
    thread_id: UUID,
    version: int | None,
    *,
    disposition: str,
    today: date,
    now: datetime,
) -> None:
    """End a thread and its contact: `disposition` says how, as at the desk."""
    thread = _thread(session, thread_id, version)
    if thread.state == "done":
        return
    if thread.claimed_by not in (None, _me(session)):
        raise HasAnother("Somebody else has it. Take it over first.")
    _end(session, thread, disposition, today, now)


def undo(
    session: TenantSession, thread_id: UUID, version: int | None, *, today: date, now: datetime
) -> str:
    """Take the last step back and say which. Raises `TooLateToUndo`."""
    thread = _thread(session, thread_id, version)
    before = thread.before
    if not undoable(before, now):
        raise TooLateToUndo("The last step cannot be taken back any more.")
    assert before is not None
    if before["ended"] and thread.contact_id is not None:
        open_contact_again(
            session,
            now=now,
            contact_id=thread.contact_id,
            zone_day=today,
            revision=thread.closings,
        )
    thread.state = before["state"]
    thread.claimed_by = UUID(before["claimed_by"]) if before["claimed_by"] else None
    thread.waiting_since = datetime.fromisoformat(before["waiting_since"])
    if before["step"] in ("done", "give_back", "hand_on"):
        thread.handled_seconds = before["handled_seconds"]
        acted_at = before["acted_at"]
        thread.acted_at = datetime.fromisoformat(acted_at) if acted_at else None
    thread.done_at = thread.before = None
    _on_contact(session, thread, thread.claimed_by, now)
    _note(session, thread, "thread:undo", now, {"step": before["step"]})
    return str(before["step"])


def revision_of(session: TenantSession, contact_id: UUID) -> int:
    """Give how often the contact of a thread will have ended with the next time. One statement."""
    ended = session.execute(
        select(Thread.closings).where(
            Thread.tenant_id == scope_of(session).tenant_id, Thread.contact_id == contact_id
        )
    ).scalar()
    return 1 + (ended or 0)


def undoable(before: dict[str, Any] | None, now: datetime) -> bool:
    """Whether a step can still be taken back."""
    return before is not None and now <= datetime.fromisoformat(before["at"]) + WITHIN


def open_again(
    session: TenantSession,
    thread_id: UUID,
    version: int | None,
    *,
    begin: Callable[[Thread], UUID],
    now: datetime,
) -> None:
    """Take up a thread that is done: to write once more, or because it was no automatic mail.

    `begin` starts the contact of what is asked now and gives its id.
    """
    thread = _thread(session, thread_id, version)
    if thread.state != "done":
        return
    thread.contact_id, thread.handled_seconds, thread.closings = begin(thread), 0, 0
    thread.state, thread.claimed_by = "claimed", _me(session)
    thread.done_at = thread.before = thread.automatic = None
    thread.waiting_since = thread.acted_at = now
    _note(session, thread, "thread:open", now)


def settle_danger(
    session: TenantSession, thread_id: UUID, version: int | None, *, sign: str, now: datetime
) -> None:
    """Keep what somebody found out: that it is no danger, or that the sign is right."""
    thread = _thread(session, thread_id, version)
    if thread.danger is None:
        return
    if sign not in ("none", thread.danger):
        raise InvalidInput("Choose one of the answers listed.", field="sign")
    thread.danger = None
    _note(session, thread, "thread:danger", now, {"sign": sign})
    open_one = _open_contact(session, thread)
    if open_one is not None:
        update_contact(
            session, now=now, contact_id=open_one[0], version=open_one[1], danger_answer=sign
        )


def keep_confidential(
    session: TenantSession, thread_id: UUID, version: int | None, *, on: bool, now: datetime
) -> None:
    """Show a thread to cleared roles and to whoever has it only, or to all again."""
    thread = _thread(session, thread_id, version)
    thread.confidential = on
    _note(session, thread, "thread:confidential", now, {"on": on})


# --- parts ----------------------------------------------------------------------------------------


def _thread(session: TenantSession, thread_id: UUID, version: int | None) -> Thread:
    return locked(session, Thread, thread_id, version, {"state": None}, "thread")


def _me(session: TenantSession) -> UUID:
    person_id = scope_of(session).person_id
    assert person_id is not None
    return person_id


def _remember(thread: Thread, step: str, now: datetime, *, ended: bool = False) -> None:
    thread.before = {
        "step": step,
        "at": now.isoformat(),
        "state": thread.state,
        "claimed_by": str(thread.claimed_by) if thread.claimed_by else None,
        "waiting_since": thread.waiting_since.isoformat(),
        "ended": ended,
        "handled_seconds": thread.handled_seconds,
        "acted_at": thread.acted_at.isoformat() if thread.acted_at else None,
    }


def _worked(thread: Thread, now: datetime) -> int:
    """Seconds of work since the last act of whoever has it; nobody works what nobody has."""
    if thread.claimed_by is None:
        return 0
    since = max(thread.acted_at or now, thread.waiting_since)
    if thread.state == "waiting":
        return 0
    return int(min(max(now - since, timedelta()), MOST_AT_ONCE).total_seconds())


def _on_contact(
    session: TenantSession, thread: Thread, person_id: UUID | None, now: datetime
) -> None:
    """The contact is that person's now, or nobody's; it waits until somebody has it."""
    if thread.contact_id is None:
        return
    contact = locked(session, Contact, thread.contact_id, None, {}, "contact")
    if contact.ended_at is not None:
        return
    if contact.specialist_id is None and person_id is not None:
        contact.wait_seconds = max(0, int((now - contact.started_at).total_seconds()))
    contact.specialist_id = person_id
    session.flush()


def _open_contact(session: TenantSession, thread: Thread) -> tuple[UUID, int] | None:
    session.flush()
    row = session.execute(
        select(Contact.id, Contact.version).where(
            Contact.tenant_id == thread.tenant_id,
            Contact.id == thread.contact_id,
            Contact.ended_at.is_(None),
        )
    ).one_or_none()
    return None if row is None else (row.id, row.version)


def _end(
    session: TenantSession, thread: Thread, disposition: str, today: date, now: datetime
) -> None:
    if thread.danger is not None:
        raise DangerNotSettled("Its words sound like danger: settle that first.")
    open_one = _open_contact(session, thread)
    _remember(thread, "done", now, ended=open_one is not None)
    thread.handled_seconds += _worked(thread, now)
    thread.state, thread.claimed_by, thread.done_at = "done", None, now
    if open_one is not None:
        _on_contact(session, thread, _me(session), now)
        thread.closings += 1
        contact_id, version = _open_contact(session, thread) or open_one
        close_contact(
            session,
            now=now,
            contact_id=contact_id,
            version=version,
            disposition=disposition,
            zone_day=today,
            handle_seconds=thread.handled_seconds,
            revision=thread.closings,
        )
    _note(session, thread, "thread:done", now, {"disposition": disposition})


def _outgoing(
    session: TenantSession,
    thread: Thread,
    message_id: UUID,
    words: str,
    sender: From,
    now: datetime,
    *,
    live: bool,
) -> Any:
    headers: dict[str, Any] = {"from": [sender.line, sender.address]}
    heading, body = "", words
    if thread.channel == "text" and live:
        headers["live"] = True
    if thread.channel == "email":
        answered = [
            each.partition(":")[2].partition(":")[2].partition(" ")[0]
            for each in session.scalars(
                select(ThreadMessage.external_key)
                .where(
                    ThreadMessage.tenant_id == thread.tenant_id,
                    ThreadMessage.thread_id == thread.id,
                    ThreadMessage.external_key.is_not(None),
                )
                .order_by(ThreadMessage.id.desc())
                .limit(20)
            )
            if each is not None
        ]
        back = reply_address(sender.address, thread.id, sender.secret)
        headers |= {
            "reply_to": back,
            "sender": back,
            "references": list(reversed(answered)),
        }
        subject = thread.subject or SUBJECT_OF_ONE_WITHOUT
        heading = subject if subject.lower().startswith("re:") else f"Re: {subject}"
        body = f"{words}\n\n-- \n{sender.line}\n{sender.partner}\n{thread.public_id}\n"
    return new_row(
        OutboxMessage,
        tenant_id=thread.tenant_id,
        id=message_id,
        event="thread_answer",
        subject_id=thread.id,
        channel=thread.channel,
        recipient=thread.address,
        language=thread.language,
        heading=heading,
        body=body,
        headers=headers,
        created_at=now,
        due_at=now,
    )


def _note(
    session: TenantSession,
    thread: Thread,
    action: str,
    now: datetime,
    detail: dict[str, Any] | None = None,
) -> None:
    session.flush()
    record(
        session,
        now=now,
        action=action,
        subject_kind="thread",
        subject_id=thread.id,
        detail=detail,
    )
