"""What is open with a partner that has left the region comes back, with that as its reason.

A partner has left when agreements named it and none does any more. Its referrals are cancelled on
both sides by the clock of whoever sent them; the needs are open again, and can be referred to
somebody else.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import select, text, tuple_

from regional311.database.session import TenantSession, scope_of
from regional311.errors import DomainError
from regional311.intake.service import NO_FOLLOWERS, Followers
from regional311.referral import lifecycle
from regional311.referral.models import Referral
from regional311.referral.service import move
from regional311.tenancy.models import Tenant

LEFT: Final = "partner_left"
BATCH: Final = 200
"""Referrals that are read at once."""

# agreements belong to a higher floor; who is named by them is published
_LEFT = text("""
SELECT party FROM agreements, unnest(ARRAY[provider_id, payer_id]) AS party
WHERE NOT isempty(valid) GROUP BY party HAVING bool_and(coalesce(upper(valid) <= :today, false))
""")


def left(session: TenantSession, today: date) -> set[UUID]:
    """Give the partners whose agreements have all ended by a day, and none is to begin.

    One statement.
    """
    return set(session.execute(_LEFT, {"today": today}).scalars())


def bring_back(
    session: TenantSession, *, now: datetime, followers: Followers = NO_FOLLOWERS
) -> int:
    """Cancel what the bound partner sent to those who have left; say how many.

    Doing it again changes nothing. When the partner itself has left, nothing of its own comes back:
    there is nobody to go on.
    """
    tenant_id = scope_of(session).tenant_id
    zone = session.execute(
        select(Tenant.zone).where(Tenant.tenant_id == tenant_id, Tenant.id == tenant_id)
    ).scalar_one()
    gone = left(session, now.astimezone(ZoneInfo(zone)).date())
    if not gone or tenant_id in gone:
        return 0
    back = 0
    for row in _open_with(session, gone):
        # what somebody changes at the same moment comes back in the next round
        with suppress(DomainError), session.begin_nested():
            move(
                session,
                now=now,
                referral_id=row.id,
                version=row.version,
                to="cancelled",
                reason=LEFT,
                followers=followers,
            )
            back += 1
    return back


def _open_with(session: TenantSession, gone: Collection[UUID]) -> Iterator[Any]:
    """Give what the bound partner sent to others and is open, a page at a time."""
    query = (
        select(Referral.id, Referral.version, Referral.sent_at)
        .where(
            Referral.tenant_id == scope_of(session).tenant_id,
            Referral.side == lifecycle.SENDER,
            Referral.state.in_(lifecycle.OPEN),
            Referral.counterparty_id.in_(sorted(gone)),
        )
        .order_by(Referral.sent_at, Referral.id)
        .limit(BATCH)
    )
    page = session.execute(query).all()
    while page:
        yield from page
        after = (page[-1].sent_at, page[-1].id)
        page = session.execute(query.where(tuple_(Referral.sent_at, Referral.id) > after)).all()
