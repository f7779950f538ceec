"""What must hold between the pools, bases and splits that a partner's files say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Protocol

from regional311.allocation.bases import POOL, Base, BaseWithoutReadings, Snapshot, weights
from regional311.allocation.bill_splits import check_parts
from regional311.allocation.network import YearPool, month_of, together
from regional311.allocation.pools import PartsDoNotMakeTheAmount, PoolSaid, check_pool
from regional311.allocation.snapshots import BaseSaid
from regional311.config import schema
from regional311.errors import DomainError


class Marks(Protocol):
    """Where errors about one file are told."""

    def __call__(self, key: str, message: str) -> None:
        """Tell what is wrong with a key."""

    def unique(self, table: str, keys: Iterable[object], what: str = "key") -> None:
        """Refuse keys that are used twice."""

    def known(
        self, path: str, value: str | None, allowed: Iterable[str], what: str, of: str = ""
    ) -> None:
        """Refuse a key that is not there."""


def cents(amount: Decimal) -> int:
    """Dollars of a file, which have at most two places, as cents."""
    return int(amount * 100)


def pool_said(pool: schema.Pool) -> PoolSaid:
    """What a file says of a pool, as the service takes it."""
    return PoolSaid(
        name=pool.name,
        yearly_cents=cents(pool.amount),
        source=pool.source,
        note=pool.note,
        sources=[
            {"name": each.name, "cents": cents(each.amount)}
            | ({} if each.account is None else {"account": each.account})
            for each in pool.account
        ],
        revenues=[{"name": each.name, "cents": cents(each.amount)} for each in pool.revenue],
        non_allocable=[
            {"name": each.name, "cents": cents(each.amount)} for each in pool.non_allocable
        ],
        method=pool.method,
        base_key=pool.base,
        step_order=pool.step_order,
        shares={share.payer: share.percent for share in pool.share},
        actual_cents=None if pool.actual_amount is None else cents(pool.actual_amount),
        actual_source=pool.actual_source,
    )


def check_pools(pools: schema.PoolsFile, bases: schema.BasesFile | None, mark: Marks) -> None:
    """Check each pool by itself, then the pools of each year together.

    `bases` is none when its file could not be read.
    """
    mark.unique("pool", [f"{item.key} {item.fiscal_year}" for item in pools.pool])
    for pool in pools.pool:
        path = f"pool[{pool.key} {pool.fiscal_year}]"
        mark.unique(f"{path}.share", [item.payer for item in pool.share], "payer")
        _check_one(pool, path, mark)
        if (pool.actual_amount is None) != (pool.actual_source is None):
            mark(f"{path}.actual_source", "an actual amount and its source come together")
        if bases is not None:
            mark.known(f"{path}.base", pool.base, [base.key for base in bases.base], "base")
    if bases is not None:
        _check_together(pools, bases, mark)


def _check_one(pool: schema.Pool, path: str, mark: Marks) -> None:
    total = sum((share.percent for share in pool.share), Decimal(0))
    if pool.base is None and total != 100:
        mark(f"{path}.share", f"the shares make {total.normalize():f} %, not 100 %")
        return
    if f"{POOL}{pool.key}" in {share.payer for share in pool.share}:
        mark(f"{path}.share", "a pool has no share in itself")
    try:
        check_pool(pool_said(pool))
    except PartsDoNotMakeTheAmount as error:
        mark(f"{path}.amount", error.message)
    except DomainError as error:
        mark(f"{path}.{error.field}", error.message)


def _check_together(pools: schema.PoolsFile, bases: schema.BasesFile, mark: Marks) -> None:
    """Divide the pools of each year as far as readings are known, to find what cannot be."""
    every = bases_of(bases)
    years: dict[int, list[YearPool]] = {}
    for pool in pools.pool:
        by: Mapping[str, Fraction] = {share.payer: Fraction(share.percent) for share in pool.share}
        if pool.base is not None:
            if pool.base not in every:
                continue
            try:
                by = weights(every[pool.base], every, date.max).by_target
            except DomainError:
                continue
        years.setdefault(pool.fiscal_year, []).append(
            YearPool(pool.key, pool.name, cents(pool.amount), pool.method, pool.step_order, by)
        )
    for year, known in years.items():
        keys = [pool.key for pool in known]
        if len(set(keys)) < len(keys):
            continue
        try:
            for group in together(known):
                month_of(group, 0)
        except DomainError as error:
            key = (error.field or "").removeprefix(POOL)
            mark(f"pool[{key if key in keys else keys[0]} {year}]", error.message)


def base_said(base: schema.AllocationBase) -> BaseSaid:
    """What a file says of a base, as the service takes it."""
    return BaseSaid(
        name=base.name,
        kind=base.kind,
        counts=base.counts,
        rolling_quarters=base.rolling_quarters,
        parts={part.base: part.percent for part in base.part},
        note=base.note,
        valid_from=base.valid_from,
    )


def bases_of(file: schema.BasesFile) -> dict[str, Base]:
    """The bases of a file with their snapshots, by key."""
    return {
        base.key: Base(
            base.key,
            base.name,
            base.kind,
            [
                Snapshot(each.number, each.as_of, each.source, each.readings)
                for each in file.snapshot
                if each.base == base.key
            ],
            base.rolling_quarters,
            {part.base: part.percent for part in base.part},
        )
        for base in file.base
    }


def check_bases(file: schema.BasesFile, mark: Marks) -> None:
    """Check each base and that snapshots are numbered without gaps."""
    mark.unique("base", [base.key for base in file.base])
    every = bases_of(file)
    for base in file.base:
        path = f"base[{base.key}]"
        mark.unique(f"{path}.part", [part.base for part in base.part], "base")
        counted = base.kind in ("contact_count", "handle_minutes")
        if counted != (base.counts is not None):
            mark(f"{path}.counts", "counted bases, and only these, say whose contacts count")
        if base.kind != "mix":
            if base.part:
                mark(f"{path}.part", "only a mix has parts")
            continue
        if base.rolling_quarters is not None:
            mark(f"{path}.rolling_quarters", "a mix does not roll; the bases in it may")
        for part in base.part:
            mark.known(f"{path}.part[{part.base}].base", part.base, every, "base")
        if all(part.base in every for part in base.part):
            try:
                weights(every[base.key], every, date.max)
            except BaseWithoutReadings:
                continue
            except DomainError as error:
                mark(f"{path}.part", error.message)
    kinds = {base.key: base.kind for base in file.base}
    numbers: dict[str, int] = {}
    for each in file.snapshot:
        path = f"snapshot[{each.base} {each.number}]"
        mark.known(f"{path}.base", each.base, kinds, "base")
        if kinds.get(each.base) == "mix":
            mark(f"{path}.base", "a mix has no readings of its own; its parts have")
        wanted = numbers.get(each.base, 0) + 1
        if each.number != wanted:
            mark(f"{path}.number", f"snapshots are numbered in their order; this one is {wanted}")
        numbers[each.base] = wanted


def check_splits(
    file: schema.SplitsFile, bases: set[str] | None, bureaus: set[str] | None, mark: Marks
) -> None:
    """Check each rule, and that no two are for the same lines. None: a file was not readable."""
    mark.unique("split", [each.key for each in file.split])
    mark.unique("split", [each.agreement or "all" for each in file.split], "agreement")
    for each in file.split:
        path = f"split[{each.key}]"
        if bases is not None:
            mark.known(f"{path}.base", each.base, bases, "base")
        for part in each.part:
            if bureaus is not None:
                mark.known(f"{path}.part[{part.bureau}].bureau", part.bureau, bureaus, "bureau")
        try:
            check_parts(each.base, split_parts(each))
        except DomainError as error:
            mark(f"{path}.part", error.message)


def split_parts(split: schema.BillSplit) -> list[dict[str, str]]:
    """The parts of a rule as the service keeps them."""
    return [
        {
            name: value if isinstance(value, str) else f"{value:f}"
            for name in ("percent", "bureau", "fund_code", "cost_centre")
            if (value := getattr(part, name)) is not None
        }
        for part in split.part
    ]


def bearers_of(
    pool_key: str | None, pools: Iterable[schema.Pool], bases: schema.BasesFile | None
) -> set[str] | None:
    """Who bears a part of a pool in any year; None when its base has no readings to tell."""
    every = bases_of(bases) if bases is not None else {}
    found: set[str] = set()
    for pool in pools:
        if pool.key != pool_key:
            continue
        if pool.base is None:
            found |= {share.payer for share in pool.share}
            continue
        try:
            found |= weights(every[pool.base], every, date.max).by_target.keys()
        except (KeyError, DomainError):
            return None
    return found
