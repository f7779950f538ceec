"""The one order in which referrals are locked, so that two partners never wait for each other.

Offers before the referrals that are part of them; the receiver's row of a referral before the
sender's; beside each other by id; what a referral is part of before what was referred onward from
it. Whoever sends one on holds the row that it received, so that nothing is added below what is
held. Consents, needs and contacts come after the referrals.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

from sqlalchemy import select

from regional311.database.rows import send
from regional311.database.session import TenantSession, acting_for, scope_of
from regional311.referral.lifecycle import SENDER
from regional311.referral.models import Referral, ReferralOffer


def hold(session: TenantSession, *referral_ids: UUID, onward: bool = False) -> None:
    """Hold referrals of the bound partner on both sides, and with `onward` all that came of them.

    Call it before anything of them is loaded: looking at the other side drops what was. What the
    bound partner does not have is left out.
    """
    if not referral_ids:
        return
    send(session)
    _hold(session, referral_ids, onward=onward)


def _hold(session: TenantSession, referral_ids: Collection[UUID], *, onward: bool) -> None:
    home = scope_of(session).tenant_id
    rows = session.execute(
        select(Referral.id, Referral.side, Referral.counterparty_id, Referral.offer_id)
        .where(Referral.tenant_id == home, Referral.id.in_(referral_ids))
        .order_by(Referral.id)
    ).all()
    ends = [
        (row.id, home, row.counterparty_id)
        if row.side == SENDER
        else (row.id, row.counterparty_id, home)
        for row in rows
    ]
    offers = {
        (sender_id, row.offer_id)
        for row, (_, sender_id, _) in zip(rows, ends, strict=True)
        if row.offer_id is not None
    }
    for sender_id, offer_id in sorted(offers):
        _lock(session, ReferralOffer, sender_id, offer_id)
    for referral_id, sender_id, receiver_id in ends:
        _lock(session, Referral, receiver_id, referral_id)
        _lock(session, Referral, sender_id, referral_id)
    if onward:
        for referral_id, _, receiver_id in ends:
            with acting_for(session, receiver_id):
                below = _below(session, referral_id)
                if below:
                    _hold(session, below, onward=True)


def _lock(session: TenantSession, model: Any, tenant_id: UUID, row_id: UUID) -> None:
    with acting_for(session, tenant_id):
        session.execute(
            select(model.id)
            .where(model.tenant_id == tenant_id, model.id == row_id)
            .with_for_update()
        )


def _below(session: TenantSession, referral_id: UUID) -> list[UUID]:
    """What the bound partner referred onward of one that it received: one statement."""
    return list(
        session.execute(
            select(Referral.id).where(
                Referral.tenant_id == scope_of(session).tenant_id,
                Referral.side == SENDER,
                Referral.part_of_id == referral_id,
            )
        ).scalars()
    )
