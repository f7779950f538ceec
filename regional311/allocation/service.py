"""What each target bears of a pool in a month or a year, with the arithmetic that led there.

Targets are named as text: a partner's slug, `bureau:<key>` or `outside:<key>`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import select

from regional311.allocation.models import CostPool, PoolShare
from regional311.allocation.shares import month_of_year, shares_of_month
from regional311.database.session import TenantSession, scope_of
from regional311.errors import DomainError


class PoolMissing(DomainError):
    """A pool has no amount for the fiscal year."""


@dataclass(frozen=True, slots=True)
class MonthShares:
    """What a pool distributes in one month: the cents of each target sum to `month_cents`.

    `basis` is plain data that explains it: the pool, its method, what the shares rest on, and each
    target's exact part.
    """

    pool: CostPool
    month_cents: int
    cents: Mapping[str, int]
    basis: dict[str, Any]


def month_shares(
    session: TenantSession,
    pool_key: str,
    *,
    fiscal_year: int,
    month: int,
    stored_before: datetime | None = None,  # noqa: ARG001
) -> MonthShares:
    """Return what each target bears of a pool of this partner in a month (0 to 11) of a year.

    `stored_before` leaves out what was recorded at that instant or later, so that the same cut-off
    always gives the same answer.

    :raises PoolMissing: when the pool has no amount for the fiscal year.
    :raises SharesDoNotSum: when fixed shares do not make 100 %.
    """
    tenant_id = scope_of(session).tenant_id
    pool = session.execute(
        select(CostPool).where(
            CostPool.tenant_id == tenant_id,
            CostPool.key == pool_key,
            CostPool.fiscal_year == fiscal_year,
        )
    ).scalar_one_or_none()
    if pool is None:
        raise PoolMissing(
            f"The pool {pool_key} has no amount for the fiscal year {fiscal_year}.",
            field=pool_key,
        )
    rows = session.execute(
        select(PoolShare.payer_slug, PoolShare.percent).where(
            PoolShare.tenant_id == tenant_id, PoolShare.pool_id == pool.id
        )
    )
    percents: dict[str, Decimal] = {row.payer_slug: row.percent for row in rows}
    cents = shares_of_month(pool.yearly_cents, month, percents)
    month_cents = month_of_year(pool.yearly_cents, month)
    basis = {
        "pool": pool.key,
        "pool_name": pool.name,
        "fiscal_year": fiscal_year,
        "yearly_cents": pool.yearly_cents,
        "month": month + 1,
        "month_cents": month_cents,
        "shares": {
            key: {"percent": f"{percents[key].normalize():f}", "cents": cents[key]}
            for key in sorted(percents)
        },
        "source": pool.source,
    }
    return MonthShares(pool, month_cents, cents, basis)
