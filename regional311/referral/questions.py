"""Questions back and their answers: a thread about one referral, between its two sides.

What is written crosses in an envelope and is kept by both sides under the same id. While a question
waits, the receiver's time for an answer stands still; the sender's answer opens it again.

Of a referral that expired the receiver can still say what became of the person. The referral stays
as it ended; the line waits among the sender's questions until somebody has answered it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select, update

from regional311.audit.service import audit_row, record
from regional311.database.ids import new_id
from regional311.database.locking import locked
from regional311.database.rows import new_row, put, send
from regional311.database.session import TenantSession, acting_for, mark_changed, scope_of
from regional311.errors import Conflict, InvalidInput
from regional311.exchange.service import ERASED, tell
from regional311.referral import lifecycle
from regional311.referral.held import hold
from regional311.referral.models import Referral, ReferralMessage

MESSAGE_KIND: Final = "referral_message"
"""The kind of the envelopes that carry a question or an answer."""

MAX_BODY: Final = 2000


class NothingAsked(Conflict):
    """There is no question to answer, or the referral is not open any more."""


@dataclass(frozen=True, slots=True)
class Message:
    """A line of the thread; ``side`` wrote it. ``body`` is None once it was erased."""

    side: str
    body: str | None
    written_by: UUID | None
    written_at: datetime


def ask(
    session: TenantSession, *, now: datetime, referral_id: UUID, version: int, body: str
) -> None:
    """Ask the sender something about an open referral; the time for an answer stands still.

    Of one that has expired: say late what became of it.
    """
    referral = locked(session, Referral, referral_id, version, {"asked_at": now}, "referral")
    if referral.side != lifecycle.RECEIVER or not _speaks(referral):
        raise NothingAsked("Only the receiver of an open or expired referral writes about it.")
    _write(session, referral, _checked(body), now)


def answer(
    session: TenantSession, *, now: datetime, referral_id: UUID, version: int, body: str
) -> None:
    """Answer what the receiver asked: the referral is new to it again, with the time it lost."""
    hold(session, referral_id)
    referral = locked(session, Referral, referral_id, version, {"asked_at": None}, "referral")
    if referral.side != lifecycle.SENDER or not _speaks(referral) or referral.asked_at is None:
        raise NothingAsked("Nothing is asked about this referral.")
    _write(session, referral, _checked(body), now)


def remark(session: TenantSession, *, now: datetime, referral_id: UUID, body: str) -> None:
    """Write a line that asks nothing and moves no clock, on both sides."""
    hold(session, referral_id)
    referral = locked(session, Referral, referral_id, None, {}, "referral")
    _write(session, referral, _checked(body), now, moves=False)


def take(
    session: TenantSession, *, now: datetime, referral_id: UUID, message_id: UUID, body: str
) -> bool:
    """Keep a line that the bound partner's own system wrote, once; tell whether it was new.

    It is a question of the receiver, or what it says late, or the sender's answer to either where
    it can be; otherwise a note that both sides read and that moves no clock. After the consent has
    ended nothing is kept.
    """
    tenant_id = scope_of(session).tenant_id
    hold(session, referral_id)
    referral = session.execute(
        select(Referral)
        .where(Referral.tenant_id == tenant_id, Referral.id == referral_id)
        .execution_options(populate_existing=True)
    ).scalar_one()
    known = session.execute(
        select(ReferralMessage.id).where(
            ReferralMessage.tenant_id == tenant_id, ReferralMessage.id == message_id
        )
    ).one_or_none()
    if known is not None or referral.shared == ERASED or referral.consent_ended_at is not None:
        return False
    asks = referral.side == lifecycle.RECEIVER
    moves = _speaks(referral) and (asks or referral.asked_at is not None)
    _write(session, referral, body, now, message_id=message_id, moves=moves)
    return True


def _speaks(referral: Referral) -> bool:
    """Whether something can be written; of an expired one only while the consent holds."""
    return referral.state in lifecycle.OPEN or speaks_late(referral)


def speaks_late(referral: Any) -> bool:
    """Whether it expired and something can be said of it all the same: while the consent holds."""
    return (
        referral.state not in lifecycle.OPEN
        and lifecycle.may_be_asked_about(referral.state, referral.reason)
        and referral.shared != ERASED
        and referral.consent_ended_at is None
    )


def _checked(body: str) -> str:
    body = body.strip()
    if not body or len(body) > MAX_BODY:
        raise InvalidInput(f"Write something, at most {MAX_BODY} characters.", field="body")
    return body


def _write(
    session: TenantSession,
    referral: Referral,
    body: str,
    now: datetime,
    *,
    message_id: UUID | None = None,
    moves: bool = True,
) -> None:
    """Keep a line on both sides and, where it `moves`, stop the clock or let it go on."""
    scope = scope_of(session)
    referral_id, side, other_id = referral.id, referral.side, referral.counterparty_id
    asks = side == lifecycle.RECEIVER
    message_id = message_id or new_id()
    waited = now - (referral.asked_at or now)
    due_at = referral.due_at + waited if referral.due_at else None
    finish_by = referral.finish_by + waited if referral.finish_by else None
    if not moves:
        asked_at = referral.asked_at
    elif asks:
        # a second question does not begin the wait anew
        asked_at = referral.asked_at or now
    else:
        asked_at, referral.due_at, referral.finish_by = None, due_at, finish_by
    values: dict[str, Any] = {}
    if moves:
        referral.asked_at = asked_at
        referral.before = None
        session.flush()
        values = {
            "asked_at": asked_at,
            "due_at": referral.due_at,
            "finish_by": referral.finish_by,
            "before": None,
        }
    put(session, _row(scope.tenant_id, message_id, referral_id, side, body, scope.person_id, now))
    late = asks and moves and referral.state not in lifecycle.OPEN
    verb = ("late" if late else "ask") if asks else "reply"
    heard = ("told_late" if late else "asked") if asks else "replied"
    record(
        session,
        now=now,
        action=f"referral:{verb}",
        subject_kind="referral",
        subject_id=referral_id,
    )
    tell(
        session,
        to=other_id,
        kind=MESSAGE_KIND,
        subject_id=referral_id,
        payload={"id": str(message_id), "body": body},
        now=now,
    )
    with acting_for(session, other_id):
        put(
            session,
            _row(other_id, message_id, referral_id, side, body, None, now),
            audit_row(
                other_id,
                at=now,
                action=f"referral:{heard}",
                subject_kind="referral",
                subject_id=referral_id,
            ),
        )
        send(session)
        session.execute(
            update(Referral)
            .where(Referral.tenant_id == other_id, Referral.id == referral_id)
            .values(**values, version=Referral.version + 1)
            .execution_options(synchronize_session=False)
        )
        mark_changed(session)


def _row(
    tenant_id: UUID,
    message_id: UUID,
    referral_id: UUID,
    side: str,
    body: str,
    person_id: UUID | None,
    now: datetime,
) -> ReferralMessage:
    return new_row(
        ReferralMessage,
        tenant_id=tenant_id,
        id=message_id,
        referral_id=referral_id,
        side=side,
        body=body,
        written_by=person_id,
        written_at=now,
    )


def thread(session: TenantSession, referral_id: UUID) -> Sequence[Message]:
    """Give the thread of a referral, the first line first; one statement."""
    rows = session.execute(
        select(
            ReferralMessage.side,
            ReferralMessage.body,
            ReferralMessage.written_by,
            ReferralMessage.written_at,
        )
        .where(
            ReferralMessage.tenant_id == scope_of(session).tenant_id,
            ReferralMessage.referral_id == referral_id,
        )
        .order_by(ReferralMessage.written_at, ReferralMessage.id)
    )
    return [Message(*row) for row in rows]


def erase_messages(session: TenantSession, *referral_ids: UUID) -> None:
    """Empty what was written about referrals; that something was written stays known."""
    send(session)
    session.execute(
        update(ReferralMessage)
        .where(
            ReferralMessage.tenant_id == scope_of(session).tenant_id,
            ReferralMessage.referral_id.in_(referral_ids),
        )
        .values(body=None)
        .execution_options(synchronize_session=False)
    )
    mark_changed(session)
