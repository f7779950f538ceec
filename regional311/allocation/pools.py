"""Keep the pools of a partner: what they cost and how they are divided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import select, update

from regional311.allocation.bases import POOL, check_key, check_target
from regional311.allocation.models import AllocationBase, CostPool, PoolShare
from regional311.allocation.network import MethodsDiffer
from regional311.allocation.shares import check_shares
from regional311.allocation.year import read_year
from regional311.audit.service import record
from regional311.database.ids import new_id
from regional311.database.rows import put
from regional311.database.session import TenantSession, mark_changed, scope_of
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
    has a base or `shares`: per cent by target.
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
    :raises InvalidInput: for an unknown method, a base beside shares, revenues without sources.
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
    if said.base_key is None:
        for target in said.shares:
            check_target(target, field="share")
        check_shares(said.shares)
    elif said.shares:
        raise InvalidInput("A pool has a base or shares, not both.", field="base")


def save_pool(
    session: TenantSession,
    key: str,
    fiscal_year: int,
    said: PoolSaid,
    *,
    now: datetime,
    new: bool = False,
) -> UUID:
    """Make a pool of a fiscal year, or change it; statements that were issued stay.

    Pools that serve one another have one method: a change goes for all of them.

    :raises PoolExists: when it is to be new and is there.
    :raises MethodsDiffer: when it is new and pools that it is tied to have another method.
    :raises NotFound: when it names a base that is not there.
    :raises InvalidInput: as `check_pool` does.
    """
    tenant_id = scope_of(session).tenant_id
    check_key(key)
    if not 2000 <= fiscal_year <= 2100:
        raise InvalidInput("A fiscal year is between 2000 and 2100.", field="fiscal_year")
    check_pool(said)
    if f"{POOL}{key}" in said.shares:
        raise InvalidInput("A pool has no share in itself.", field="share")
    _require_base(session, said.base_key)
    values = {
        "name": said.name,
        "yearly_cents": said.yearly_cents,
        "source": said.source,
        "note": said.note,
        "sources": [dict(each) for each in said.sources],
        "revenues": [dict(each) for each in said.revenues],
        "non_allocable": [dict(each) for each in said.non_allocable],
        "method": said.method,
        "base_key": said.base_key,
        "step_order": said.step_order,
    }
    pool_id = session.execute(
        select(CostPool.id).where(
            CostPool.tenant_id == tenant_id,
            CostPool.key == key,
            CostPool.fiscal_year == fiscal_year,
        )
    ).scalar_one_or_none()
    if pool_id is not None and new:
        raise PoolExists(f"The pool {key} has an amount for {fiscal_year} already.", field="key")
    action = "pool:change"
    if pool_id is None:
        pool_id, action = new_id(), "pool:add"
        put(
            session,
            CostPool(tenant_id=tenant_id, id=pool_id, key=key, fiscal_year=fiscal_year, **values),
        )
    else:
        _change(session, pool_id, values)
    _save_shares(session, pool_id, said.shares)
    _share_the_method(session, key, fiscal_year, said.method, now=now, new=new)
    record(
        session,
        now=now,
        action=action,
        subject_kind="pool",
        subject_id=pool_id,
        detail={"key": key, "fiscal_year": fiscal_year},
    )
    return pool_id


def _share_the_method(
    session: TenantSession, key: str, fiscal_year: int, method: str, *, now: datetime, new: bool
) -> None:
    for tied in read_year(session, fiscal_year).perhaps_with(key):
        if tied.key == key or tied.method == method:
            continue
        if new:
            raise MethodsDiffer(
                f"Pools that serve one another need one method; {tied.name} has another.",
                field="method",
            )
        _change(session, tied.id, {"method": method})
        record(
            session,
            now=now,
            action="pool:change",
            subject_kind="pool",
            subject_id=tied.id,
            detail={"key": tied.key, "fiscal_year": fiscal_year, "fields": ["method"]},
        )


def _require_base(session: TenantSession, base_key: str | None) -> None:
    if base_key is None:
        return
    found = session.execute(
        select(AllocationBase.id).where(
            AllocationBase.tenant_id == scope_of(session).tenant_id,
            AllocationBase.key == base_key,
        )
    ).scalar_one_or_none()
    if found is None:
        raise NotFound(f"There is no base {base_key}.", field="base")


def _change(session: TenantSession, pool_id: UUID, values: Mapping[str, Any]) -> None:
    session.execute(
        update(CostPool)
        .where(CostPool.tenant_id == scope_of(session).tenant_id, CostPool.id == pool_id)
        .values(dict(values)),
        execution_options={"synchronize_session": False},
    )
    mark_changed(session)


def _save_shares(session: TenantSession, pool_id: UUID, shares: Mapping[str, Decimal]) -> None:
    """Make the shares what is said; one that is left out becomes zero and stays on record."""
    tenant_id = scope_of(session).tenant_id
    rows = session.execute(
        select(PoolShare.payer_slug, PoolShare.id).where(
            PoolShare.tenant_id == tenant_id, PoolShare.pool_id == pool_id
        )
    )
    known: dict[str, UUID] = {row.payer_slug: row.id for row in rows}
    for target, share_id in known.items():
        session.execute(
            update(PoolShare)
            .where(PoolShare.tenant_id == tenant_id, PoolShare.id == share_id)
            .values(percent=shares.get(target, Decimal(0))),
            execution_options={"synchronize_session": False},
        )
    put(
        session,
        *(
            PoolShare(
                tenant_id=tenant_id,
                id=new_id(),
                pool_id=pool_id,
                payer_slug=target,
                percent=percent,
            )
            for target, percent in shares.items()
            if target not in known
        ),
    )
    mark_changed(session)


def record_actual(
    session: TenantSession, pool_id: UUID, *, cents: int, source: str, now: datetime
) -> None:
    """Keep what a pool cost in the end, beside its budget; what was billed stays.

    :raises NotFound: when this partner has no such pool.
    :raises InvalidInput: when the source is missing.
    """
    tenant_id = scope_of(session).tenant_id
    found = session.execute(
        select(CostPool.key, CostPool.fiscal_year).where(
            CostPool.tenant_id == tenant_id, CostPool.id == pool_id
        )
    ).one_or_none()
    if found is None:
        raise NotFound("There is no such pool.")
    if not source.strip():
        raise InvalidInput("Say what the actual cost rests on.", field="actual_source")
    _change(session, pool_id, {"actual_cents": cents, "actual_source": source})
    record(
        session,
        now=now,
        action="pool:actual",
        subject_kind="pool",
        subject_id=pool_id,
        detail={"key": found.key, "fiscal_year": found.fiscal_year},
    )
