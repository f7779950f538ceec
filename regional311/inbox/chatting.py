"""A chat of somebody without an account: it is a thread like others, held by its secret link."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import func, select

from regional311.audit.service import record
from regional311.database.ids import new_id, new_token, token_hash
from regional311.database.locking import locked
from regional311.database.session import TenantSession, scope_of
from regional311.errors import Conflict, InvalidInput
from regional311.inbox.letters import clean
from regional311.inbox.models import Thread, ThreadMessage
from regional311.inbox.receiving import Incoming, receive
from regional311.referral.snapshot import Line, Published

LONGEST: Final = 2_000
LONGEST_NAME: Final = 100
MOST_A_MINUTE: Final = 10
MOST_SHOWN: Final = 200


class ChatEnded(Conflict):
    """One of the two has ended the chat."""


class TooFast(Conflict):
    """More was written in a minute than anybody reads."""


@dataclass(frozen=True, slots=True)
class Chat:
    """A chat as its page shows it."""

    id: UUID
    public_id: str
    line_key: str
    danger: str | None
    ended: bool
    left: bool
    """The person has ended it themselves."""


@dataclass(frozen=True, slots=True)
class Words:
    """One message: whether it is ours, when, and its words."""

    ours: bool
    at: datetime
    text: str


def begin(
    session: TenantSession,
    published: Published,
    line: Line,
    *,
    text: str,
    name: str | None,
    language: str,
    now: datetime,
) -> str:
    """Begin a chat with its first message and give the secret of its link.

    Raises `InvalidInput`, naming `name` or `text`.
    """
    secret = new_token()
    called = " ".join(clean(name or "").split())
    if len(called) > LONGEST_NAME:
        raise InvalidInput(f"A name has at most {LONGEST_NAME} characters.", field="name")
    receive(
        session,
        published,
        Incoming(
            line=line,
            key=str(new_id()),
            text=_words(text),
            name=called or None,
            language=language,
            secret_hash=token_hash(secret),
        ),
        now=now,
    )
    return secret


def find(session: TenantSession, secret: str) -> Chat | None:
    """Give the chat of a link. One statement."""
    row = session.execute(
        select(
            Thread.id,
            Thread.public_id,
            Thread.line_key,
            Thread.danger,
            (Thread.state == "done") | Thread.stopped_at.is_not(None),
            Thread.stopped_at.is_not(None),
        ).where(
            Thread.tenant_id == scope_of(session).tenant_id,
            Thread.secret_hash == token_hash(secret),
        )
    ).one_or_none()
    if row is None:
        return None
    return Chat(*row)


def said(session: TenantSession, chat: Chat) -> list[Words]:
    """Give what was written, the first of it first. One statement."""
    rows = session.execute(
        select(ThreadMessage.direction, ThreadMessage.at, ThreadMessage.text)
        .where(
            ThreadMessage.tenant_id == scope_of(session).tenant_id,
            ThreadMessage.thread_id == chat.id,
        )
        .order_by(ThreadMessage.id.desc())
        .limit(MOST_SHOWN)
    )
    return [Words(direction == "out", at, text) for direction, at, text in rows][::-1]


def say(
    session: TenantSession,
    published: Published,
    line: Line,
    chat: Chat,
    *,
    text: str,
    language: str,
    now: datetime,
) -> None:
    """Add what the person writes. Raises `ChatEnded`, `TooFast`, `InvalidInput`.

    What was on its way while it was ended here begins it anew: it is heard all the same.
    """
    words = _words(text)
    if chat.left:
        raise ChatEnded("The chat has ended.")
    written = session.execute(
        select(func.count()).where(
            ThreadMessage.tenant_id == scope_of(session).tenant_id,
            ThreadMessage.thread_id == chat.id,
            ThreadMessage.direction == "in",
            ThreadMessage.at > now - timedelta(minutes=1),
        )
    ).scalar_one()
    if written >= MOST_A_MINUTE:
        raise TooFast("Too many messages in a minute.")
    receive(
        session,
        published,
        Incoming(
            line=line,
            key=str(new_id()),
            text=words,
            language=language,
            thread_id=chat.id,
        ),
        now=now,
    )


def leave(session: TenantSession, chat: Chat, *, now: datetime) -> None:
    """The person ends the chat; whoever answers it says how it ended."""
    thread = locked(session, Thread, chat.id, None, {}, "chat")
    if thread.state == "done" or thread.stopped_at is not None:
        return
    thread.stopped_at = thread.last_at = now
    session.flush()
    record(session, now=now, action="thread:leave", subject_kind="thread", subject_id=thread.id)


def _words(text: str) -> str:
    words = clean(text).strip()
    if not words or len(words) > LONGEST:
        raise InvalidInput(f"Write something, at most {LONGEST} characters.", field="text")
    return words
