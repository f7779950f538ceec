"""Keep the pools of a partner: what they cost and how they are divided, version by version.

What was stored stays, so that a run of then reads what it read; who may store a version, and when,
is said in `pool_changes`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import select

from regional311.allocation.bases import POOL, check_key, check_target, plain
from regional311.allocation.models import AllocationBase, CostPool, PoolShare
from regional311.allocation.network import MethodsDiffer
from regional311.allocation.shares import check_shares
from regional311.allocation.year import read_year
from regional311.audit.service import record
from regional311.database.ids import new_id
from regional311.database.rows import put, send
from regional311.database.session import TenantSession, scope_of
from regional311.errors import Conflict, InvalidInput, NotFound

METHODS = ("direct", "step_down", "double_step_down", "reciprocal")


class PartsDoNotMakeTheAmount(InvalidInput):
    """The sources, less revenues and what may not be allocated, make another amount."""


class PoolExists(Conflict):
    """The pool has an amount for the fiscal year."""


@dataclass(frozen=True, slots=True)
class PoolSaid:
    """What a pool of a fiscal year is, apart from its key and year. Amounts are cents.

    `sources` hold name, account and cents, `revenues` and `non_allocable` name and cents. A pool
    has a base or `shares`: per cent by target. `actual_cents` is what it cost in the end, beside
    its budget; what was billed stays.
    """

    name: str
    yearly_cents: int
    source: str
    note: str | None = None
    sources: Sequence[Mapping[str, Any]] = ()
    revenues: Sequence[Mapping[str, Any]] = ()
    non_allocable: Sequence[Mapping[str, Any]] = ()
    method: str = "step_down"
    base_key: str | None = None
    step_order: int = 0
    shares: Mapping[str, Decimal] = field(default_factory=dict)
    actual_cents: int | None = None
    actual_source: str | None = None

    @classmethod
    def of_row(cls, row: Any, shares: Mapping[str, Decimal]) -> PoolSaid:
        """Read a version and its shares; a share of nothing is none."""
        said = {name: getattr(row, name) for name in _COLUMNS}
        return cls(**said, shares={each: percent for each, percent in shares.items() if percent})

    @classmethod
    def of_json(cls, said: Mapping[str, Any]) -> PoolSaid:
        """Read what `as_json` gave."""
        shares = {target: Decimal(percent) for target, percent in said["shares"].items()}
        return cls(**(dict(said) | {"shares": shares}))

    def as_json(self) -> dict[str, Any]:
        """The same as plain values: percentages are text without needless noughts."""
        return self.values() | {
            "shares": {target: plain(self.shares[target]) for target in sorted(self.shares)}
        }

    def values(self) -> dict[str, Any]:
        """The columns of a version, without those that say which it is."""
        lists = ("sources", "revenues", "non_allocable")
        return {name: getattr(self, name) for name in _COLUMNS} | {
            name: [dict(each) for each in getattr(self, name)] for name in lists
        }


_COLUMNS = tuple(each.name for each in fields(PoolSaid) if each.name != "shares")


def allocable_cents(
    sources: Sequence[Mapping[str, Any]],
    revenues: Sequence[Mapping[str, Any]],
    non_allocable: Sequence[Mapping[str, Any]],
) -> int:
    """What is divided: the sources, less revenues first, then what stays with the general fund.

    >>> allocable_cents([{"cents": 900}, {"cents": 100}], [{"cents": 150}], [{"cents": 50}])
    800
    """
    taken_off: int = sum(each["cents"] for each in (*revenues, *non_allocable))
    costs: int = sum(each["cents"] for each in sources)
    return costs - taken_off


def check_pool(said: PoolSaid) -> None:
    """Refuse a pool whose parts do not fit together.

    :raises PartsDoNotMakeTheAmount: when the sources make another amount.
    :raises SharesDoNotSum: when it has no base and its shares do not make 100 %.
    :raises InvalidInput: for an unknown method, a base beside shares, revenues without sources, an
        actual cost that rests on nothing.
    """
    if not 0 <= said.step_order <= 999:
        raise InvalidInput("A place is between 0 and 999.", field="step_order")
    if said.method not in METHODS:
        raise InvalidInput(f"A method is one of {', '.join(METHODS)}.", field="method")
    if said.sources:
        makes = allocable_cents(said.sources, said.revenues, said.non_allocable)
        if makes != said.yearly_cents:
            raise PartsDoNotMakeTheAmount(
                f"The sources less revenues and non-allocable parts make {makes / 100:,.2f}, the"
                f" amount is {said.yearly_cents / 100:,.2f}.",
                field="amount",
            )
    elif said.revenues or said.non_allocable:
        raise InvalidInput(
            "Revenues and non-allocable parts are taken off sources; name the sources too.",
            field="sources",
        )
    if said.actual_cents is not None and not (said.actual_source or "").strip():
        raise InvalidInput("Say what the actual cost rests on.", field="actual_source")
    if said.base_key is None:
        for target in said.shares:
            check_target(target, field="share")
        check_shares(said.shares)
    elif said.shares:
        raise InvalidInput("A pool has a base or shares, not both.", field="base")


def check_of_year(session: TenantSession, key: str, fiscal_year: int, said: PoolSaid) -> None:
    """Refuse what a pool of a year may not say, beside what `check_pool` refuses.

    :raises BadKey: for a text that is no key.
    :raises NotFound: when it names a base that is not there.
    :raises InvalidInput: as `check_pool` does, for a year out of bounds, for a share in itself.
    """
    check_key(key)
    if not 2000 <= fiscal_year <= 2100:
        raise InvalidInput("A fiscal year is between 2000 and 2100.", field="fiscal_year")
    check_pool(said)
    if f"{POOL}{key}" in said.shares:
        raise InvalidInput("A pool has no share in itself.", field="share")
    _require_base(session, said.base_key)


def save_pool(
    session: TenantSession,
    key: str,
    fiscal_year: int,
    said: PoolSaid,
    *,
    now: datetime,
    made_by: UUID | None = None,
    why: str | None = None,
    new: bool = False,
) -> CostPool:
    """Store the next version of a pool of a fiscal year; those before it stay as they are.

    It holds at once, for whatever is run from `now` on: who calls this has asked a second person,
    and taken `now` from `cut_offs.stamp`.
    Pools that serve one another have one method: a change is a version of each of them.

    :raises PoolExists: when it is to be new and is there.
    :raises MethodsDiffer: when it is new and pools that it is tied to have another method.
    :raises NotFound: or `InvalidInput`, as `check_of_year` does.
    """
    check_of_year(session, key, fiscal_year, said)
    found = newest(session, key, fiscal_year)
    if found is not None and new:
        raise PoolExists(f"The pool {key} has an amount for {fiscal_year} already.", field="key")
    number = 1 if found is None else found.number + 1
    store = partial(_store, session, fiscal_year, now=now, made_by=made_by, why=why)
    stored = store(key, number, said)
    year = read_year(session, fiscal_year)
    for tied in year.perhaps_with(key):
        if tied.key == key or tied.method == said.method:
            continue
        if new:
            raise MethodsDiffer(
                f"Pools that serve one another need one method; {tied.name} has another.",
                field="method",
            )
        theirs = PoolSaid.of_row(tied, year.percents.get(tied.id, {}))
        store(tied.key, tied.number + 1, replace(theirs, method=said.method))
    return stored


def newest(session: TenantSession, key: str, fiscal_year: int) -> CostPool | None:
    """The version of a pool of a year that holds."""
    return session.execute(
        select(CostPool)
        .where(
            CostPool.tenant_id == scope_of(session).tenant_id,
            CostPool.key == key,
            CostPool.fiscal_year == fiscal_year,
        )
        .order_by(CostPool.number.desc())
        .limit(1)
    ).scalar_one_or_none()


def shares_of(session: TenantSession, pool_ids: Collection[UUID]) -> dict[UUID, dict[str, Decimal]]:
    """The shares of some versions, by target."""
    found: dict[UUID, dict[str, Decimal]] = {pool_id: {} for pool_id in pool_ids}
    rows = session.execute(
        select(PoolShare.pool_id, PoolShare.payer_slug, PoolShare.percent).where(
            PoolShare.tenant_id == scope_of(session).tenant_id, PoolShare.pool_id.in_(list(found))
        )
    )
    for pool_id, target, percent in rows:
        found[pool_id][target] = percent
    return found


def _store(
    session: TenantSession,
    fiscal_year: int,
    key: str,
    number: int,
    said: PoolSaid,
    *,
    now: datetime,
    made_by: UUID | None,
    why: str | None,
) -> CostPool:
    scope = scope_of(session)
    stored = version(
        scope.tenant_id,
        key,
        fiscal_year,
        said,
        number=number,
        stored_at=now,
        made_by=made_by,
        approved_by=scope.person_id,
        why=why,
    )
    put(session, *stored)
    send(session)
    pool = stored[0]
    assert isinstance(pool, CostPool)
    record(
        session,
        now=now,
        action="pool:add" if number == 1 else "pool:change",
        subject_kind="pool",
        subject_id=pool.id,
        detail={"key": key, "fiscal_year": fiscal_year, "number": number},
    )
    return pool


def version(
    tenant_id: UUID, key: str, fiscal_year: int, said: PoolSaid, **known: Any
) -> list[CostPool | PoolShare]:
    """The rows of a version: itself, then its shares. `known` says which it is, since when, and
    who made it.
    """
    pool = CostPool(
        tenant_id=tenant_id,
        id=new_id(),
        key=key,
        fiscal_year=fiscal_year,
        **known,
        **said.values(),
    )
    shares = [
        PoolShare(
            tenant_id=tenant_id, id=new_id(), pool_id=pool.id, payer_slug=target, percent=percent
        )
        for target, percent in said.shares.items()
    ]
    return [pool, *shares]


def _require_base(session: TenantSession, base_key: str | None) -> None:
    if base_key is None:
        return
    found = session.execute(
        select(AllocationBase.id).where(
            AllocationBase.tenant_id == scope_of(session).tenant_id,
            AllocationBase.key == base_key,
            AllocationBase.number == 1,
        )
    ).scalar_one_or_none()
    if found is None:
        raise NotFound(f"There is no base {base_key}.", field="base")
