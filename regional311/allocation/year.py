"""A partner's pools, shares, bases and snapshots of a fiscal year, read at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, or_, select
from sqlalchemy.dialects.postgresql import distinct_on

from regional311.allocation.bases import POOL, Base, Snapshot, Weights, holding, weights
from regional311.allocation.methods import to_whole_cents
from regional311.allocation.models import AllocationBase, BaseSnapshot, CostPool, PoolShare
from regional311.allocation.network import PoolMonth, YearPool, month_of, together
from regional311.allocation.shares import MONTHS, NoSuchMonth, check_shares
from regional311.database.session import TenantSession, scope_of
from regional311.errors import DomainError
from regional311.tenancy.models import Tenant


class PoolMissing(DomainError):
    """A pool has no amount for the fiscal year, or the base that it names is not there."""


@dataclass(frozen=True)
class Year:
    """What is known of a fiscal year's pools; everything below is pure."""

    fiscal_year: int
    starts_in: int
    pools: Mapping[str, CostPool]
    percents: Mapping[UUID, Mapping[str, Decimal]]
    base_versions: Sequence[Base]

    def bases(self, before: date | None = None) -> dict[str, Base]:
        """The bases as they hold for days before one; without a day, the newest version of each."""
        return holding(self.base_versions, before)

    def pool(self, key: str) -> CostPool:
        """The pool with this key.

        :raises PoolMissing: when it has no amount for the year.
        """
        found = self.pools.get(key)
        if found is None:
            raise PoolMissing(
                f"The pool {key} has no amount for the fiscal year {self.fiscal_year}.", field=key
            )
        return found

    def month_end(self, month: int) -> date:
        """The first day after a month (0 to 11) of this fiscal year."""
        if not 0 <= month < MONTHS:
            raise NoSuchMonth("A fiscal year has months 0 to 11.")
        first = self.fiscal_year - 1 if self.starts_in > 1 else self.fiscal_year
        month_number = self.starts_in + month
        return date(first + month_number // 12, month_number % 12 + 1, 1)

    def weights_of(self, pool: CostPool, before: date) -> Weights:
        """What a pool is divided by, as it was known of the days before one.

        :raises SharesDoNotSum: when fixed shares do not make 100 %.
        :raises PoolMissing: when it names a base that is not there.
        :raises BaseWithoutReadings: when its base has none.
        """
        if pool.base_key is None:
            percents = self.percents.get(pool.id, {})
            check_shares(percents)
            fixed = {target: Fraction(percents[target]) for target in sorted(percents)}
            return Weights(fixed, {"kind": "fixed", "name": "Fixed shares"})
        bases = self.bases(before)
        base = bases.get(pool.base_key)
        if base is None:
            raise PoolMissing(
                f"The pool {pool.key} is divided by the base {pool.base_key}, which is not there.",
                field=pool.key,
            )
        return weights(base, bases, before)

    def group_of(self, key: str, before: date, *, actual: bool = False) -> tuple[YearPool, ...]:
        """The pools that are divided together with one, itself among them, in step order.

        Their cost is what was budgeted or, when asked for and known, the actual one.

        :raises PoolMissing: when the pool has no amount for the year.
        :raises MethodsDiffer: when they have several methods.
        """
        self.pool(key)
        group = together(
            YearPool(
                key=pool.key,
                name=pool.name,
                cents=_cost(pool, actual=actual),
                method=pool.method,
                step_order=pool.step_order,
                weights=self.weights_of(pool, before).by_target,
            )
            for pool in self.perhaps_with(key)
        )
        return next(pools for pools in group if any(pool.key == key for pool in pools))

    def perhaps_with(self, key: str) -> list[CostPool]:
        """The pools that any snapshot, however old, could tie to one."""
        found, waiting = {key}, [key]
        while waiting:
            each = waiting.pop()
            tied = self._served[each] | {
                giver for giver, served in self._served.items() if each in served
            }
            new = (tied & self.pools.keys()) - found
            found |= new
            waiting.extend(new)
        return [self.pools[each] for each in sorted(found)]

    @cached_property
    def _served(self) -> dict[str, set[str]]:
        """The keys of pools that each pool's shares, or any snapshot of its base, ever named."""
        return {
            pool.key: {
                target.removeprefix(POOL)
                for target in self._targets_of(pool)
                if target.startswith(POOL)
            }
            for pool in self.pools.values()
        }

    def _targets_of(self, pool: CostPool) -> set[str]:
        if pool.base_key is None:
            return set(self.percents.get(pool.id, {}))
        made_of = self.bases_in(pool.base_key)
        return {
            target
            for base in self.base_versions
            if base.key in made_of
            for snapshot in base.snapshots
            for target in snapshot.readings
        }

    def bases_in(self, key: str) -> set[str]:
        """A base and all that any version of it, or of a part of it, was ever a mix of."""
        found: set[str] = set()
        waiting = {key}
        while waiting:
            found |= waiting
            waiting = {
                part for base in self.base_versions if base.key in waiting for part in base.parts
            } - found
        return found

    def month(self, key: str, month: int, *, actual: bool = False) -> PoolMonth:
        """What a pool gives to each target in a month (0 to 11)."""
        return month_of(self.group_of(key, self.month_end(month), actual=actual), month)[key]

    def actual_shares(self, key: str) -> tuple[dict[str, int], int]:
        """What each target bears of a pool's actual cost (its budget while there is none) in cents,
        and what stays unallocated.

        The exact parts of the twelve months are added up and rounded once for the year, together
        with those of the pools that are divided together with it.
        """
        exact: defaultdict[tuple[str, str], Fraction] = defaultdict(Fraction)
        for number in range(MONTHS):
            group = self.group_of(key, self.month_end(number), actual=True)
            for pool, month in month_of(group, number).items():
                given = sum(month.given.values(), Fraction(0))
                for target, part in month.exact.items():
                    exact[pool, target] += part
                    given += part
                exact[pool, ""] += month.gross - given
        cents = to_whole_cents(exact)
        shares = {target: part for (pool, target), part in cents.items() if pool == key and target}
        return shares, cents[key, ""]


def _cost(pool: CostPool, *, actual: bool) -> int:
    if actual and pool.actual_cents is not None:
        return pool.actual_cents
    return pool.yearly_cents


def fiscal_year_of(day: date, starts_in: int) -> int:
    """The name of the fiscal year that has a day in it: the year in which it ends.

    >>> fiscal_year_of(date(2026, 10, 5), 7), fiscal_year_of(date(2026, 10, 5), 1)
    (2027, 2026)
    """
    return day.year + 1 if 1 < starts_in <= day.month else day.year


def starts_in_month(session: TenantSession) -> int:
    """The month in which this partner's fiscal year begins."""
    tenant_id = scope_of(session).tenant_id
    return session.execute(
        select(Tenant.fiscal_year_starts_in).where(
            Tenant.tenant_id == tenant_id, Tenant.id == tenant_id
        )
    ).scalar_one()


def newest_pools(
    tenant_id: UUID, *conditions: ColumnElement[bool], stored_before: datetime | None = None
) -> Select[Any]:
    """The ids of the version of each pool and year that holds, or held for a cut-off."""
    known = [] if stored_before is None else [_known(CostPool, stored_before)]
    return (
        select(CostPool.id)
        .where(CostPool.tenant_id == tenant_id, *conditions, *known)
        .ext(distinct_on(CostPool.key, CostPool.fiscal_year))
        .order_by(CostPool.key, CostPool.fiscal_year, CostPool.number.desc())
    )


def _known(model: type[CostPool | AllocationBase], before: datetime) -> ColumnElement[bool]:
    return or_(model.stored_at.is_(None), model.stored_at < before)


def read_year(
    session: TenantSession,
    fiscal_year: int,
    *,
    stored_before: datetime | None = None,
    starts_in: int | None = None,
) -> Year:
    """Read this partner's pools of a fiscal year with all that they are divided by.

    `stored_before` leaves out versions that were stored, and snapshots that were taken, at that
    instant or later. Five statements, four when it is known in which month the year begins.
    """
    tenant_id = scope_of(session).tenant_id
    if starts_in is None:
        starts_in = starts_in_month(session)
    pools = session.execute(
        select(CostPool)
        .where(
            CostPool.tenant_id == tenant_id,
            CostPool.id.in_(
                newest_pools(
                    tenant_id, CostPool.fiscal_year == fiscal_year, stored_before=stored_before
                )
            ),
        )
        .order_by(CostPool.step_order, CostPool.key),
        execution_options={"populate_existing": True},
    ).scalars()
    by_key = {pool.key: pool for pool in pools}
    percents: dict[UUID, dict[str, Decimal]] = {pool.id: {} for pool in by_key.values()}
    shares = session.execute(
        select(PoolShare.pool_id, PoolShare.payer_slug, PoolShare.percent).where(
            PoolShare.tenant_id == tenant_id, PoolShare.pool_id.in_(list(percents))
        )
    )
    for pool_id, target, percent in shares:
        percents[pool_id][target] = percent
    return Year(
        fiscal_year=fiscal_year,
        starts_in=starts_in,
        pools=by_key,
        percents=percents,
        base_versions=read_base_versions(session, stored_before=stored_before),
    )


def read_bases(session: TenantSession, *, before: date | None = None) -> dict[str, Base]:
    """Read this partner's bases with their snapshots, by key, as they hold for days before one.

    Without a day, the newest version of each. Two statements.
    """
    return holding(read_base_versions(session), before)


def read_base_versions(
    session: TenantSession, *, stored_before: datetime | None = None
) -> list[Base]:
    """Read every version of this partner's bases, with snapshots, by key and number.

    Two statements.
    """
    tenant_id = scope_of(session).tenant_id
    taken = select(
        BaseSnapshot.base_key,
        BaseSnapshot.number,
        BaseSnapshot.as_of,
        BaseSnapshot.source,
        BaseSnapshot.readings,
        BaseSnapshot.digest,
    ).where(BaseSnapshot.tenant_id == tenant_id)
    asked = select(AllocationBase).where(AllocationBase.tenant_id == tenant_id)
    if stored_before is not None:
        taken = taken.where(BaseSnapshot.taken_at < stored_before)
        asked = asked.where(_known(AllocationBase, stored_before))
    snapshots: dict[str, list[Snapshot]] = {}
    for row in session.execute(taken.order_by(BaseSnapshot.base_key, BaseSnapshot.number)):
        readings = {target: Decimal(text) for target, text in row.readings.items()}
        snapshots.setdefault(row.base_key, []).append(
            Snapshot(row.number, row.as_of, row.source, readings, row.digest)
        )
    rows = session.execute(
        asked.order_by(AllocationBase.key, AllocationBase.number),
        execution_options={"populate_existing": True},
    ).scalars()
    return [_base(row, snapshots.get(row.key, [])) for row in rows]


def _base(row: AllocationBase, snapshots: list[Snapshot]) -> Base:
    return Base(
        key=row.key,
        name=row.name,
        kind=row.kind,
        snapshots=snapshots,
        rolling_quarters=row.rolling_quarters,
        parts={each["base"]: Decimal(each["percent"]) for each in row.parts},
        counts=row.counts,
        note=row.note,
        number=row.number,
        valid_from=row.valid_from,
    )
