"""One need offered to several partners: the first to accept has it, exactly once.

Each partner has a referral of its own, so that nobody sees whom else was asked. The sender's row of
the offer is what those who accept at the same moment wait for; it is always locked before any
referral, so that two of them never wait for each other (`held.py` says the whole order).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, update

from regional311.database.rows import send
from regional311.database.session import TenantSession, acting_for, mark_changed, scope_of
from regional311.errors import Conflict
from regional311.referral import lifecycle
from regional311.referral.models import Referral, ReferralOffer


class TakenElsewhere(Conflict):
    """Another partner that was offered the same need has accepted it first."""


@dataclass(frozen=True, slots=True)
class Taken:
    """An offer that the acting partner has just won."""

    id: UUID
    sender_id: UUID


def hold(session: TenantSession, referral_id: UUID) -> None:
    """Hold the offer that a received referral is part of, for who locks the referral itself next.

    Nothing is held of one that is part of none, or was answered.
    """
    row = _offered(session, referral_id)
    if row is None:
        return
    with acting_for(session, row.counterparty_id):
        session.execute(
            select(ReferralOffer.id)
            .where(ReferralOffer.tenant_id == row.counterparty_id, ReferralOffer.id == row.offer_id)
            .with_for_update()
        )


def take(session: TenantSession, referral_id: UUID, *, now: datetime) -> Taken | None:
    """Take an offer to several partners, if the referral is part of one.

    Raises :class:`TakenElsewhere`.
    """
    row = _offered(session, referral_id)
    if row is None:
        return None
    with acting_for(session, row.counterparty_id):
        send(session)
        won = session.execute(
            update(ReferralOffer)
            .where(
                ReferralOffer.tenant_id == row.counterparty_id,
                ReferralOffer.id == row.offer_id,
                ReferralOffer.taken_id.is_(None),
            )
            .values(taken_id=referral_id, taken_at=now)
            .returning(ReferralOffer.id)
            .execution_options(synchronize_session=False)
        ).scalar_one_or_none()
        mark_changed(session)
    if won is None:
        raise TakenElsewhere("Another partner has taken it already.")
    return Taken(row.offer_id, row.counterparty_id)


def _offered(session: TenantSession, referral_id: UUID) -> Any:
    """The offer that a received referral is part of and that waits for an answer, and whose."""
    return session.execute(
        select(Referral.offer_id, Referral.counterparty_id).where(
            Referral.tenant_id == scope_of(session).tenant_id,
            Referral.id == referral_id,
            Referral.side == lifecycle.RECEIVER,
            Referral.state == "requested",
            Referral.offer_id.is_not(None),
        )
    ).one_or_none()


def others(session: TenantSession, offer_id: UUID, referral_id: UUID) -> Sequence[Any]:
    """Give the sender's other referrals of an offer that still wait for an answer."""
    return session.execute(
        select(Referral.id, Referral.version)
        .where(
            Referral.tenant_id == scope_of(session).tenant_id,
            Referral.side == lifecycle.SENDER,
            Referral.offer_id == offer_id,
            Referral.id != referral_id,
            Referral.state == "requested",
        )
        .order_by(Referral.id)
    ).all()
