"""Letters on paper about accommodations: written into the outbox, printed and posted by a person.

They wait there until a coordinator says that they are in the post, and can be read later, word for
word, like every message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, select, update

from regional311.audit.service import record
from regional311.casework.coordinators import Coordinator
from regional311.casework.models import Accommodation
from regional311.database.ids import new_id
from regional311.database.rows import new_row, send
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.errors import NotFound
from regional311.locale.sentences import in_language
from regional311.notices.models import OutboxMessage
from regional311.notices.service import day_in
from regional311.notices.wording import fill

POSTED: Final = "accommodation:posted"
"""What the trail says when a letter is in the post."""

OUTCOMES: Final[Mapping[str, str]] = {
    "granted": "Granted",
    "granted_differently": "Granted in another way",
    "denied": "Not granted",
    "resolved": "Put right",
    "found": "The complaint is justified",
    "not_found": "The complaint is not justified",
    "sent_on": "Sent on to who must decide it",
    "withdrawn": "Taken back",
}
"""How each outcome is said."""

OPENINGS: Final[Mapping[str, str]] = {
    "accommodation_acknowledged": "Somebody at {partner} has {number} in hand.",
    "accommodation_decided": "{partner} has decided {number}: {outcome}.",
    "accommodation_news": "There is something new on {number} of {partner}.",
    "accommodation_appeal_answered": (
        "You did not agree, and {partner} has looked at {number} again. What holds now: {outcome}."
    ),
}
"""How a letter on paper begins."""

DECIDED_BY: Final = "It is decided by {day}."
MAY_APPEAL: Final = (
    "If you do not agree, you can say so through {day}. It costs nothing. Call or write to your "
    "coordinator, and say the number {number}."
)
ASK: Final = "Your coordinator: {name}"
ONLINE: Final = "You can read this, and answer, here, too: {address}"
"""Sentences of a letter on paper."""


@dataclass(frozen=True, slots=True)
class Paper:
    """What a letter on paper is written with: who writes, where to answer, how to appeal."""

    partner: str
    link: str
    coordinator: Coordinator | None
    appeal: str


def paper_row(
    row: Any,
    event: str,
    paper: Paper,
    *,
    day: date | None,
    outcome: str,
    words: str,
    now: datetime,
) -> OutboxMessage:
    """Make the outbox row of a letter on paper, in the person's language.

    `day` is the last day to disagree, for what was decided; `words` are the coordinator's own.
    """

    def say(sentence: str, **values: str) -> str:
        return fill(
            in_language(sentence, row.language),
            {"partner": paper.partner, "number": row.public_id, **values},
        )

    holds = in_language(OUTCOMES[outcome], row.language) if outcome else ""
    parts = [say(OPENINGS[event], outcome=holds), words.strip()]
    if event == "accommodation_acknowledged":
        parts.append(say(DECIDED_BY, day=day_in(row.decide_by, row.language)))
    if day is not None:
        parts += [say(MAY_APPEAL, day=day_in(day, row.language)), paper.appeal.strip()]
    if paper.coordinator is not None:
        known = (paper.coordinator.name, paper.coordinator.phone, paper.coordinator.email)
        parts.append(say(ASK, name=", ".join(filter(None, known))))
    if paper.link:
        parts.append(say(ONLINE, address=paper.link))
    to = "\n".join(filter(None, (row.name, row.address)))
    return new_row(
        OutboxMessage,
        tenant_id=row.tenant_id,
        id=new_id(),
        event=event,
        subject_id=row.id,
        channel="post",
        recipient=to,
        language=row.language,
        heading=row.public_id,
        body="\n\n".join(filter(None, parts)) + "\n",
        state="pending",
        attempts=0,
        created_at=now,
        due_at=now,
    )


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter on paper as it is printed."""

    id: UUID
    recipient: str
    language: str
    body: str
    created_at: datetime
    sent_at: datetime | None


def papers(session: TenantSession, row_id: UUID) -> list[Letter]:
    """Give the letters on paper about one accommodation, in order: one statement."""
    found = session.execute(
        select(*(getattr(OutboxMessage, name) for name in Letter.__slots__))
        .where(
            OutboxMessage.tenant_id == scope_of(session).tenant_id,
            OutboxMessage.subject_id == row_id,
            OutboxMessage.channel == "post",
            OutboxMessage.recipient != "",
            OutboxMessage.state != "withdrawn",
        )
        .order_by(OutboxMessage.id)
    )
    return [Letter(*each) for each in found]


def to_post(session: TenantSession, *, bureaus: Sequence[str] | None) -> list[str]:
    """Give the numbers of which letters wait to be printed, the oldest first: one statement.

    `bureaus` as for :func:`regional311.casework.accommodations.listed`.
    """
    query = (
        select(Accommodation.public_id)
        .join(
            OutboxMessage,
            (OutboxMessage.tenant_id == Accommodation.tenant_id)
            & (OutboxMessage.subject_id == Accommodation.id),
        )
        .where(
            OutboxMessage.tenant_id == scope_of(session).tenant_id,
            OutboxMessage.channel == "post",
            OutboxMessage.state == "pending",
        )
        .order_by(OutboxMessage.id)
    )
    if bureaus is not None:
        query = query.where(Accommodation.bureau_key.in_(list(bureaus)))
    return list(dict.fromkeys(session.scalars(query)))


@dataclass(frozen=True, slots=True)
class Unposted:
    """An accommodation of which a letter waits for the post, and since when the oldest does."""

    id: UUID
    public_id: str
    bureau_key: str | None
    since: datetime


def unposted(session: TenantSession) -> list[Unposted]:
    """Give of what letters wait for the post: one statement."""
    rows = session.execute(
        select(
            Accommodation.id,
            Accommodation.public_id,
            Accommodation.bureau_key,
            func.min(OutboxMessage.created_at),
        )
        .join(
            OutboxMessage,
            (OutboxMessage.tenant_id == Accommodation.tenant_id)
            & (OutboxMessage.subject_id == Accommodation.id),
        )
        .where(
            OutboxMessage.tenant_id == scope_of(session).tenant_id,
            OutboxMessage.channel == "post",
            OutboxMessage.state == "pending",
        )
        .group_by(Accommodation.id, Accommodation.public_id, Accommodation.bureau_key)
        .order_by(Accommodation.id)
    )
    return [Unposted(*each) for each in rows]


def withdraw_letters(session: TenantSession, row_id: UUID) -> None:
    """Post no letter any more that waits to be posted about one accommodation."""
    send(session)
    session.execute(
        update(OutboxMessage)
        .where(
            OutboxMessage.tenant_id == scope_of(session).tenant_id,
            OutboxMessage.subject_id == row_id,
            OutboxMessage.channel == "post",
            OutboxMessage.state == "pending",
        )
        .values(state="withdrawn")
        .execution_options(synchronize_session=False)
    )
    mark_changed(session)


def posted(session: TenantSession, row_id: UUID, letter_id: UUID, *, now: datetime) -> None:
    """Say that a letter is in the post. Twice is as good as once. Raises `NotFound`.

    Also of one that was withdrawn meanwhile: what went to somebody's house is kept.
    """
    send(session)
    mine = (
        OutboxMessage.tenant_id == scope_of(session).tenant_id,
        OutboxMessage.id == letter_id,
        OutboxMessage.subject_id == row_id,
        OutboxMessage.channel == "post",
    )
    done = session.execute(
        update(OutboxMessage)
        .where(*mine, OutboxMessage.state.in_(("pending", "withdrawn")))
        .values(state="sent", sent_at=now, attempts=1)
        .returning(OutboxMessage.id)
        .execution_options(synchronize_session=False)
    ).first()
    if done is None:
        if session.execute(select(OutboxMessage.id).where(*mine)).first() is None:
            raise NotFound("There is no such letter.")
        return
    mark_changed(session)
    record(
        session,
        now=now,
        action=POSTED,
        subject_kind="accommodation",
        subject_id=row_id,
        detail={"letter": str(letter_id)},
    )
