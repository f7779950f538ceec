"""Where what a partner got went on: referrals onward, and requests from hand to hand.

Whatever is said of the one holds for the other. Only the partner that sent it on knows of it, so
that the way is followed from partner to partner, each in its own name.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, union_all, update

from regional311.database.rows import send
from regional311.database.session import TenantSession, acting_for, mark_changed, scope_of
from regional311.intake.models import FollowedRequest, RequestHanding
from regional311.referral.lifecycle import OPEN, SENDER
from regional311.referral.models import Referral


def passed_on(session: TenantSession, referral_id: UUID) -> Sequence[Any]:
    """Give what the bound partner referred onward of one that it received: one statement.

    Rows of id, public_id, counterparty_id, state, version, consent_id and consent_ended_at. Whoever
    changes them has held the chain before (:func:`regional311.referral.held.hold`).
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
    ).all()


def ask_what_now(session: TenantSession, referral_id: UUID, *, now: datetime) -> None:
    """Let the bound partner decide about what it referred onward of one that has just ended."""
    send(session)
    session.execute(
        update(Referral)
        .where(
            Referral.tenant_id == scope_of(session).tenant_id,
            Referral.side == SENDER,
            Referral.part_of_id == referral_id,
            Referral.state.in_(OPEN),
        )
        .values(above_ended_at=now, version=Referral.version + 1)
        .execution_options(synchronize_session=False)
    )
    mark_changed(session)


def holders(session: TenantSession, request_id: UUID) -> list[UUID]:
    """Give the partners besides the bound one that have a request, or had it before somebody."""
    home = scope_of(session).tenant_id
    met: set[UUID] = set()
    ahead = {home}
    while ahead:
        at = min(ahead)
        met.add(at)
        with acting_for(session, at):
            ahead |= _hands(session, request_id)
        ahead -= met
    return sorted(met - {home})


def _hands(session: TenantSession, request_id: UUID) -> set[UUID]:
    """Through whose hands the bound partner knows that a request went. One statement."""
    tenant_id = scope_of(session).tenant_id
    way = (RequestHanding.tenant_id == tenant_id, RequestHanding.request_id == request_id)
    followed = (FollowedRequest.tenant_id == tenant_id, FollowedRequest.id == request_id)
    return set(
        session.execute(
            union_all(
                select(FollowedRequest.owner_id).where(*followed),
                select(RequestHanding.from_id).where(*way),
                select(RequestHanding.to_id).where(*way),
            )
        ).scalars()
    )
