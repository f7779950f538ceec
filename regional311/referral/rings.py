"""Through whose hands somebody came, so that they are not sent round in a circle.

A referral that is part of another names it on its sender's row only: the partner that has it sees
from whom it came, and not who was there before. Whether another partner was is asked here, one
partner after the other against the way that the person took, and only when they are to be sent on.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from uuid import UUID

from sqlalchemy import and_, select
from sqlalchemy.orm import aliased

from regional311.database.session import TenantSession, acting_for, scope_of
from regional311.referral.lifecycle import RECEIVER
from regional311.referral.models import Referral

LONGEST: Final = 20
"""Partners that are looked back over."""


def came_through(session: TenantSession, referral_id: UUID) -> frozenset[UUID]:
    """Give the partners that passed a referral of the bound partner on before it, nearest or not.

    Of one that was received: its sender, whoever that one had it from, and so on. Of one that was
    sent: the same for the referral that it is part of, and nothing where it is part of none. One
    statement, and a switch and one more for each partner on the way but the last; loaded objects
    are dropped by the switch.
    """
    way = _way(session, scope_of(session).tenant_id, referral_id)
    return frozenset(sender_id for _, _, sender_id in way)


def came_by(
    session: TenantSession, referral_id: UUID, sender_id: UUID
) -> list[tuple[UUID, UUID, UUID]]:
    """Give the referrals that one which was received is part of, the nearest first.

    Each with the partner that received it and the one that sent it. Statements as for
    :func:`came_through`.
    """
    return list(_way(session, sender_id, referral_id))


def _way(session: TenantSession, here: UUID, at: UUID) -> Iterator[tuple[UUID, UUID, UUID]]:
    """Go back from a referral as a partner has it: each with who received it, and who sent it."""
    seen = set()
    for _ in range(LONGEST):
        with acting_for(session, here):
            step = _before(session, at)
        if step is None or step in seen:
            return
        seen.add(step)
        at, sender_id = step
        yield at, here, sender_id
        here = sender_id


def _before(session: TenantSession, referral_id: UUID) -> tuple[UUID, UUID] | None:
    """Give the referral by which the bound partner got this need, and who sent it."""
    mine, whole = aliased(Referral), aliased(Referral)
    row = session.execute(
        select(mine.side, mine.counterparty_id, whole.id, whole.counterparty_id)
        .outerjoin(
            whole,
            and_(
                whole.tenant_id == mine.tenant_id,
                whole.id == mine.part_of_id,
                whole.side == RECEIVER,
            ),
        )
        .where(mine.tenant_id == scope_of(session).tenant_id, mine.id == referral_id)
    ).one_or_none()
    if row is None:
        return None
    side, sender_id, whole_id, whole_sender_id = row
    if side == RECEIVER:
        return referral_id, sender_id
    return None if whole_id is None else (whole_id, whole_sender_id)
