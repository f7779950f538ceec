"""Taking back the receiver's last step, for a short time.

Undone can be what was accepted, declined, begun or put on hold, within some minutes, by the
receiver, while nothing else has happened to the referral on either side. It is not a step of the
table: the referral is as it was before the step, both sides' histories keep the step and that it
was taken back, and a message to the person that has not left yet is withdrawn. Completed, failed
and cancelled referrals stay: they were metered, or others were told to rely on them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select, update

from regional311.audit.service import record
from regional311.database.locking import locked
from regional311.database.session import TenantSession, acting_for, mark_changed
from regional311.errors import Conflict
from regional311.intake.service import Changed
from regional311.notices.service import withdraw
from regional311.referral import lifecycle, waitlist
from regional311.referral.models import Referral, ReferralOffer
from regional311.referral.service import Answer, tell_answer

WITHIN: Final = timedelta(minutes=10)


class TooLate(Conflict):
    """The step was taken too long ago, or something has happened since."""


def undoable_until(before: Mapping[str, Any] | None) -> datetime | None:
    """Give until when the last step can be taken back; nothing when it cannot."""
    return datetime.fromisoformat(str(before["at"])) + WITHIN if before else None


def undo(session: TenantSession, *, now: datetime, referral_id: UUID, version: int) -> Changed:
    """Take the receiver's last step back. Raises :class:`TooLate`, `NotFound` or `Stale`."""
    referral = locked(session, Referral, referral_id, version, {"state": None}, "referral")
    until = undoable_until(referral.before)
    if referral.side != lifecycle.RECEIVER or until is None or now > until:
        raise TooLate("The last step cannot be taken back any more.")
    before = referral.before or {}
    was, other_id = referral.state, referral.counterparty_id
    if was == "rejected":
        if _sent_again(session, referral_id, other_id):
            raise TooLate("The sender has already referred the person to somebody else.")
        # looking there has dropped what was loaded here
        referral = locked(session, Referral, referral_id, version, {}, "referral")
    answered = before["answered_at"]
    referral.state = before["state"]
    referral.reason = before["reason"]
    referral.progress = before["progress"]
    referral.answered_at = datetime.fromisoformat(answered) if answered else None
    referral.claimed_by = UUID(before["claimed_by"]) if before["claimed_by"] else None
    referral.closed_at = None
    if before["state"] == "requested":
        referral.finish_by = None
    referral.before = None
    waits, service_key = referral.waitlist_position is not None, referral.service_key
    if waits:
        referral.waitlist_position = referral.waitlist_days = None
    session.flush()
    changed = Changed(referral_id, referral.version, referral.state)
    record(
        session,
        now=now,
        action="referral:undo",
        subject_kind="referral",
        subject_id=referral_id,
        detail={"from": was, "to": referral.state},
    )
    answer = Answer(
        referral_id,
        referral.public_id,
        referral.tenant_id,
        referral.state,
        referral.reason,
        referral.outcome,
        referral.answered_at,
        None,
        referral.received_at,
        referral.progress,
        referral.finish_by,
    )
    if waits:
        waitlist.leave(session, referral_id, service_key, waitlist.GIVEN_UP, now=now)
    with acting_for(session, other_id):
        withdraw(session, referral_id)
    tell_answer(session, answer, other_id, now=now)
    return changed


def _sent_again(session: TenantSession, referral_id: UUID, other_id: UUID) -> bool:
    """Whether the sender has gone on, or another partner took what was offered to several.

    The sender's row is locked, so that it cannot meanwhile.
    """
    with acting_for(session, other_id):
        session.execute(
            update(Referral)
            .where(Referral.tenant_id == other_id, Referral.id == referral_id)
            .values(before=None)
            .execution_options(synchronize_session=False)
        )
        mark_changed(session)
        found = session.execute(
            select(Referral.id)
            .where(Referral.tenant_id == other_id, Referral.replaces_id == referral_id)
            .limit(1)
        ).first()
        taken = session.execute(
            select(ReferralOffer.id)
            .join(
                Referral,
                (Referral.tenant_id == ReferralOffer.tenant_id)
                & (Referral.offer_id == ReferralOffer.id),
            )
            .where(
                ReferralOffer.tenant_id == other_id,
                Referral.id == referral_id,
                ReferralOffer.taken_id.is_not(None),
            )
        ).first()
    return found is not None or taken is not None
