"""Tell finance people in good time, and once, that a budget will not last its year.

Each figure of a budget is told of when it is nearly used up, when it will not last and when it is
exceeded; a worse standing skips the better ones. A new figure starts over.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from regional311.database.ids import new_id
from regional311.database.rows import put
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.forecast.budgets import BudgetRow, budgets, year_of
from regional311.forecast.models import Budget, BudgetWarning
from regional311.forecast.outlook import Standing
from regional311.identity.permissions import Permissions
from regional311.identity.queries import who_may
from regional311.money import format_cents
from regional311.notices.models import OutboxMessage
from regional311.notices.service import outbox_row
from regional311.tenancy.models import Tenant

EVENT: Final = "budget_warning"
SAID: Final = {
    Standing.NEAR: "nearly used up",
    Standing.WILL_EXCEED: "will not last",
    Standing.EXCEEDED: "exceeded",
}
_ORDER: Final = tuple(Standing)


def warn(session: TenantSession, *, now: datetime) -> int:
    """Write this partner's warnings that are new into the outbox; say how many messages."""
    me = scope_of(session).tenant_id
    if session.execute(select(Budget.id).where(Budget.tenant_id == me).limit(1)).first() is None:
        return 0
    zone: str = session.execute(
        select(Tenant.zone).where(Tenant.tenant_id == me, Tenant.id == me)
    ).scalar_one()
    year = year_of(session, now.astimezone(ZoneInfo(zone)).date())
    told = 0
    people: list[str] | None = None
    for row in budgets(session, year, now=now):
        if row.standing not in SAID:
            continue
        if people is None:
            people = [each.email for each in who_may(session, Permissions.SCENARIO_EDIT)]
        if not _first(session, row, len(people), now):
            continue
        for email in people:
            put(session, _message(session, row, email, now))
            told += 1
    return told


def _message(session: TenantSession, row: BudgetRow, email: str, now: datetime) -> OutboxMessage:
    return outbox_row(
        scope_of(session).tenant_id,
        event=EVENT,
        recipient=email,
        language="en",
        now=now,
        subject_id=row.id,
        values={
            "partner": row.counterparty,
            "year": row.label,
            "standing": SAID[row.standing],
            "amount": format_cents(row.amount_cents),
            "billed": format_cents(row.outlook.billed_cents),
            "forecast": format_cents(row.outlook.year_cents),
            "elapsed": f"{row.elapsed.normalize():f}",
        },
    )


def _first(session: TenantSession, row: BudgetRow, told: int, now: datetime) -> bool:
    """Whether this standing, or a worse one, is told of for the first time; remembered at once."""
    worse = [each.value for each in _ORDER[_ORDER.index(row.standing) :]]
    known = session.execute(
        select(BudgetWarning.id).where(
            BudgetWarning.tenant_id == scope_of(session).tenant_id,
            BudgetWarning.budget_id == row.id,
            BudgetWarning.standing.in_(worse),
        )
    ).first()
    if known is not None:
        return False
    made = session.execute(
        insert(BudgetWarning)
        .values(
            tenant_id=scope_of(session).tenant_id,
            id=new_id(),
            budget_id=row.id,
            standing=row.standing.value,
            told=told,
            at=now,
        )
        .on_conflict_do_nothing()
        .returning(BudgetWarning.id)
    ).scalar_one_or_none()
    if made is not None:
        mark_changed(session)
    return made is not None
