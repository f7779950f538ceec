"""Take off a bill what its agreement has the payer pay in advance of each period.

The agreement says how much (`prepay_cents`). The payer's money is recorded as an advance when it
comes; once the bill of a period is issued, so much of it settles the bill, never more than is held
or is open and undisputed. Each bill is settled in this way once: whoever reverses it has decided.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from regional311.database.session import TenantSession, scope_of
from regional311.settlement import queries
from regional311.settlement.models import Payment
from regional311.settlement.payments import PaymentInClosedPeriod, apply_advance
from regional311.settlement.relations import parties, today_of


def prepaid_cents(row: queries.OpenRow) -> int:
    """What the agreements of a statement have its payer pay in advance of a period."""
    agreements = (row.terms.get("agreements") or {}).values()
    return sum(int((each.get("terms") or {}).get("prepay_cents") or 0) for each in agreements)


def take_off(session: TenantSession, *, now: datetime) -> int:
    """Settle this partner's issued bills from what was paid in advance; say how many.

    The oldest bill goes first. In a month whose books are closed nothing is settled.
    """
    me = parties(session)[scope_of(session).tenant_id]
    if me.kind == "region":
        return 0
    held = {
        (row.counterparty_id, row.payer_key): row.cents
        for row in queries.advances(session)
        if row.side == "received" and row.cents > 0
    }
    if not held:
        return 0
    today = today_of(me, now)
    due = [
        row
        for row in queries.documents(session, today, side="issued")
        if row.kind == "bill"
        and held.get(row.party, 0) > 0
        and row.open.undisputed_cents > 0
        and prepaid_cents(row) > 0
    ]
    before = _settled_before(session, [row.id for row in due])
    done = 0
    for row in due:
        cents = min(prepaid_cents(row), row.open.undisputed_cents, held[row.party])
        if cents <= 0 or row.id in before:
            continue
        with suppress(PaymentInClosedPeriod):
            apply_advance(session, row.id, on=today, key=_key(row.id), now=now, most_cents=cents)
            held[row.party] -= cents
            done += 1
    return done


def _key(statement_id: UUID) -> str:
    return f"prepaid:{statement_id}"


def _settled_before(session: TenantSession, statement_ids: list[UUID]) -> set[UUID]:
    keys = {_key(each): each for each in statement_ids}
    found = session.execute(
        select(Payment.key).where(
            Payment.tenant_id == scope_of(session).tenant_id, Payment.key.in_(list(keys))
        )
    ).scalars()
    return {keys[key] for key in found if key is not None}
