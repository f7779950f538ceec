"""What a partner referred onward of what it got: whatever is said of the one holds for the other.

Only the partner that sent it on knows of it, so that the way is followed from partner to partner,
each in its own name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import select

from regional311.database.session import TenantSession, scope_of
from regional311.referral.lifecycle import SENDER
from regional311.referral.models import Referral


def passed_on(session: TenantSession, referral_id: UUID) -> Sequence[Any]:
    """Give what the bound partner referred onward of one that it received, locked: one statement.

    Rows of id, public_id, counterparty_id, state, version, consent_id and consent_ended_at. Whoever
    sends one on at the same moment holds the row that they received: lock that one before.
    """
    return session.execute(
        select(
            Referral.id,
            Referral.public_id,
            Referral.counterparty_id,
            Referral.state,
            Referral.version,
            Referral.consent_id,
            Referral.consent_ended_at,
        )
        .where(
            Referral.tenant_id == scope_of(session).tenant_id,
            Referral.side == SENDER,
            Referral.part_of_id == referral_id,
        )
        .order_by(Referral.id)
        .with_for_update()
    ).all()
