"""Answering a referral with the link in the message about it: once, and only while it is new.

Of one that expired the same link says what became of the person, once, for whoever has no account.
It shows nothing of what was shared, and so it is good for longer than for an answer.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import exists, select, update

from regional311.audit.service import record
from regional311.database.locking import locked
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.errors import Conflict
from regional311.intake.service import NO_FOLLOWERS, Changed, Followers
from regional311.referral import lifecycle, offers, questions
from regional311.referral.acceptance import FINISH_DAYS
from regional311.referral.models import Referral, ReferralMessage
from regional311.referral.own_words import move_in_words

ANSWERS = ("accepted", "rejected")
LATE_DAYS: Final = 60
"""Days after a link's last one for answers, on which it still says what became of the person."""


class LinkUsed(Conflict):
    """The link was used, has expired, or the referral was answered in another way."""


def answer_by_link(
    session: TenantSession,
    *,
    now: datetime,
    referral_id: UUID,
    expires_at: datetime,
    to: str,
    reason: str | None = None,
    words: str | None = None,
    note: str | None = None,
    finish_days: int = FINISH_DAYS,
    followers: Followers = NO_FOLLOWERS,
) -> Changed:
    """Accept or decline a referral by its link, as the bound receiver.

    Raises :class:`LinkUsed`, `NotFound`, and what
    :func:`regional311.referral.own_words.move_in_words` does.
    """
    if to == "accepted":
        offers.hold(session, referral_id)
    referral = locked(session, Referral, referral_id, None, {}, "referral")
    if to not in ANSWERS or not can_answer(referral, expires_at, now):
        raise LinkUsed("This link answers nothing any more.")
    changed = move_in_words(
        session,
        now=now,
        referral_id=referral_id,
        version=referral.version,
        to=to,
        reason=reason,
        words=words,
        note=note,
        finish_days=finish_days,
        followers=followers,
    )
    session.execute(
        update(Referral)
        .where(Referral.tenant_id == scope_of(session).tenant_id, Referral.id == referral_id)
        .values(link_used_at=now)
        .execution_options(synchronize_session=False)
    )
    mark_changed(session)
    record(
        session,
        now=now,
        action="referral:link",
        subject_kind="referral",
        subject_id=referral_id,
        detail={"to": to},
    )
    return changed


def ask_by_link(
    session: TenantSession, *, now: datetime, referral_id: UUID, expires_at: datetime, body: str
) -> None:
    """Ask the sender something by the link, as the bound receiver; it still answers afterwards.

    Raises :class:`LinkUsed`, `NotFound`, and what :func:`regional311.referral.questions.ask` does.
    """
    referral = locked(session, Referral, referral_id, None, {}, "referral")
    if not can_answer(referral, expires_at, now):
        raise LinkUsed("This link asks nothing any more.")
    questions.ask(session, now=now, referral_id=referral_id, version=referral.version, body=body)
    record(
        session,
        now=now,
        action="referral:link_ask",
        subject_kind="referral",
        subject_id=referral_id,
    )


def can_answer(referral: Referral, expires_at: datetime, now: datetime) -> bool:
    """Whether a link still answers: nobody has, and its time is not over."""
    return (
        now < expires_at
        and referral.link_used_at is None
        and referral.side == lifecycle.RECEIVER
        and referral.state == "requested"
    )


def say_late(
    session: TenantSession, *, now: datetime, referral_id: UUID, expires_at: datetime, body: str
) -> None:
    """Say, as the bound receiver, what became of the person of a referral that expired; once.

    Raises :class:`LinkUsed`, `NotFound`, and what :func:`regional311.referral.questions.ask` does.
    """
    referral = locked(session, Referral, referral_id, None, {}, "referral")
    if not can_say_late(session, referral, expires_at, now):
        raise LinkUsed("This link says nothing any more.")
    questions.ask(session, now=now, referral_id=referral_id, version=referral.version, body=body)
    record(
        session,
        now=now,
        action="referral:link",
        subject_kind="referral",
        subject_id=referral_id,
    )


def can_say_late(
    session: TenantSession, referral: Referral, expires_at: datetime, now: datetime
) -> bool:
    """Whether a link still says what became of it: it expired, and the receiver said nothing since.

    At most one statement, and none for a referral that did not expire.
    """
    if (
        now >= expires_at + timedelta(days=LATE_DAYS)
        or referral.side != lifecycle.RECEIVER
        or not questions.speaks_late(referral)
    ):
        return False
    said = select(
        exists().where(
            ReferralMessage.tenant_id == scope_of(session).tenant_id,
            ReferralMessage.referral_id == referral.id,
            ReferralMessage.side == lifecycle.RECEIVER,
            ReferralMessage.written_at >= referral.closed_at,
        )
    )
    return not session.execute(said).scalar_one()
