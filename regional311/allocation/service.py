"""What each target bears of a pool in a month or a year, and what may be written about it.

Targets are named as text: a partner's slug, `bureau:<key>` or `outside:<key>`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from regional311.allocation.models import CostPool
from regional311.allocation.shares import MONTHS
from regional311.allocation.year import PoolMissing, Year, read_year
from regional311.database.session import TenantSession

__all__ = ["MonthShares", "PoolMissing", "YearShares", "month_shares", "year_shares"]


@dataclass(frozen=True, slots=True)
class MonthShares:
    """What a pool distributes in one month: the cents of each target sum to `month_cents`.

    When its base reads nothing but zeros the amount stays unallocated: `cents` are zero and
    `basis` names `unallocated_cents`. `basis` is plain data that explains the shares: the pool, its
    method, what other pools gave it, the snapshots, and each target's exact part.
    """

    pool: CostPool
    month_cents: int
    cents: Mapping[str, int]
    basis: dict[str, Any]


@dataclass(frozen=True, slots=True)
class YearShares:
    """What a pool distributes in a fiscal year: its twelve months added up."""

    pool: CostPool
    year_cents: int
    cents: Mapping[str, int]
    months: tuple[MonthShares, ...]


def month_shares(
    session: TenantSession,
    pool_key: str,
    *,
    fiscal_year: int,
    month: int,
    stored_before: datetime | None = None,
    actual: bool = False,
) -> MonthShares:
    """Return what each target bears of a pool of this partner in a month (0 to 11) of a year.

    `stored_before` leaves out versions stored and snapshots taken at that instant or later, so that
    the same cut-off gives the same answer. `actual` asks for actual costs where they are known.

    :raises PoolMissing: when the pool has no amount for the fiscal year, or its base is not there.
    :raises SharesDoNotSum: when fixed shares do not make 100 %.
    :raises BaseWithoutReadings: when its base has none from before the end of the month.
    :raises MethodsDiffer: when pools that serve one another have several methods.
    :raises ClosedGroup: when, by the reciprocal method, they serve only one another.
    """
    return _month(
        read_year(session, fiscal_year, stored_before=stored_before), pool_key, month, actual
    )


def year_shares(
    session: TenantSession,
    pool_key: str,
    *,
    fiscal_year: int,
    stored_before: datetime | None = None,
    actual: bool = False,
) -> YearShares:
    """Return what each target bears of a pool in all months of a fiscal year; see `month_shares`.

    With `actual` it is what a true-up sets against what was billed.
    """
    year = read_year(session, fiscal_year, stored_before=stored_before)
    months = tuple(_month(year, pool_key, month, actual) for month in range(MONTHS))
    cents: dict[str, int] = {}
    for each in months:
        for target, part in each.cents.items():
            cents[target] = cents.get(target, 0) + part
    return YearShares(year.pool(pool_key), sum(each.month_cents for each in months), cents, months)


def _month(year: Year, pool_key: str, month: int, actual: bool) -> MonthShares:
    pool = year.pool(pool_key)
    found = year.month(pool_key, month, actual=actual)
    weights = year.weights_of(pool, year.month_end(month))
    basis = {
        "pool": pool.key,
        "pool_name": pool.name,
        "fiscal_year": year.fiscal_year,
        "yearly_cents": pool.yearly_cents,
        "month": month + 1,
        "month_cents": found.month_cents,
        "base": weights.basis,
        "source": pool.source,
        **found.basis(weights.by_target),
    }
    for part in ("sources", "revenues", "non_allocable"):
        if made_of := getattr(pool, part):
            basis[part] = made_of
    if actual and pool.actual_cents is not None:
        basis["actual_cents"] = pool.actual_cents
        basis["actual_source"] = pool.actual_source
    return MonthShares(pool, found.month_cents, found.cents, basis)
