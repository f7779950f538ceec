"""What goes on onward after the referral that it is part of has ended: withdrawn too, or kept.

Whoever referred onward decides, and is reminded until they have. What the person declined, and what
was entered in error, ends onward by itself; this is about all other ends.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from regional311.audit.service import record
from regional311.database.locking import locked
from regional311.database.session import TenantSession
from regional311.errors import Conflict, InvalidInput
from regional311.intake.service import NO_FOLLOWERS, Changed, Followers
from regional311.referral import lifecycle
from regional311.referral.held import hold
from regional311.referral.models import Referral
from regional311.referral.service import MAX_NOTE, move


class NothingToDecide(Conflict):
    """What it is part of goes on, or it was decided about, or it is over itself."""


def waits_for_word(referral: Referral) -> bool:
    """Whether the bound partner has to say what becomes of what it referred onward."""
    return (
        referral.side == lifecycle.SENDER
        and referral.above_ended_at is not None
        and referral.state in lifecycle.OPEN
    )


def withdraw_too(
    session: TenantSession,
    *,
    now: datetime,
    referral_id: UUID,
    version: int,
    followers: Followers = NO_FOLLOWERS,
) -> Changed:
    """Withdraw what was referred onward, because what it is part of has ended.

    Raises :class:`NothingToDecide`, and what :func:`regional311.referral.service.move` does.
    """
    _waiting(session, referral_id, version)
    return move(
        session,
        now=now,
        referral_id=referral_id,
        version=version,
        to="cancelled",
        reason="sender_withdrew",
        followers=followers,
    )


def keep_on(
    session: TenantSession, *, now: datetime, referral_id: UUID, version: int, words: str
) -> Changed:
    """Keep what was referred onward, and say why; the words are a note of this side.

    Raises :class:`NothingToDecide`, :class:`InvalidInput`, `NotFound` and `Stale`.
    """
    words = words.strip()
    if not words:
        raise InvalidInput("Say why it goes on.", field="words")
    referral = _waiting(session, referral_id, version)
    note = "\n".join(filter(None, (referral.note, words)))
    if len(note) > MAX_NOTE:
        raise InvalidInput(f"Say it in fewer words: at most {MAX_NOTE} characters.", field="words")
    referral.note, referral.above_ended_at = note, None
    session.flush()
    changed = Changed(referral_id, referral.version, referral.state)
    record(
        session,
        now=now,
        action="referral:keep_on",
        subject_kind="referral",
        subject_id=referral_id,
    )
    return changed


def _waiting(session: TenantSession, referral_id: UUID, version: int) -> Referral:
    hold(session, referral_id)
    referral = locked(session, Referral, referral_id, version, {}, "referral")
    if not waits_for_word(referral):
        raise NothingToDecide("Nothing is to be decided about this referral.")
    return referral
