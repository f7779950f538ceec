"""The pools of a fiscal year together: what each gives to each target in a month.

A month bears a twelfth of every pool's year, to the cent. Pools that serve one another are divided
together, by the one method that they share, so that nothing is billed twice and nothing is lost:
the cents that a month's pools give to targets, and what stays unallocated, sum to the month's cost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from regional311.allocation.bases import POOL, fraction_text
from regional311.allocation.methods import (
    METHODS,
    Allocation,
    Case,
    ClosedGroup,
    Pool,
    Target,
    allocate,
    nearest_cent,
    to_whole_cents,
)
from regional311.allocation.shares import month_of_year
from regional311.errors import Conflict


class MethodsDiffer(Conflict):
    """Pools that serve one another are to be divided by different methods."""


class PoolServesNoPool(Conflict):
    """A base names a pool that has no cost in the fiscal year."""


@dataclass(frozen=True, slots=True)
class YearPool:
    """A pool of a fiscal year: what it costs, and the weight of each target and pool it serves."""

    key: str
    name: str
    cents: int
    method: str
    step_order: int
    weights: Mapping[str, Fraction]

    @property
    def node(self) -> str:
        """Its name among targets."""
        return f"{POOL}{self.key}"


@dataclass(frozen=True, slots=True)
class PoolMonth:
    """What one pool does in a month, in exact cents and in whole ones.

    `cents` are those of targets; pools that it serves got `given`. `received` came from pools that
    serve it. `cents` and `unallocated_cents` sum to `month_cents`.
    """

    key: str
    method: str
    own_cents: int
    gross: Fraction
    received: Mapping[str, Fraction]
    given: Mapping[str, Fraction]
    exact: Mapping[str, Fraction]
    cents: Mapping[str, int]
    unallocated_cents: int

    @property
    def month_cents(self) -> int:
        """What is left for targets after other pools were served."""
        return sum(self.cents.values()) + self.unallocated_cents

    def basis(self, weights: Mapping[str, Fraction]) -> dict[str, Any]:
        """The arithmetic as plain values: exact amounts in cents, then the rounded ones."""
        whole = sum((weights[target] for target in self.exact), Fraction(0))
        shares = {}
        for target in sorted(self.exact):
            part = weights[target] / whole if whole else Fraction(0)
            shares[target] = {
                "percent": percent_text(part),
                "weight": fraction_text(weights[target]),
                "exact_cents": fraction_text(self.exact[target]),
                "cents": self.cents[target],
            }
        found: dict[str, Any] = {
            "method": self.method,
            "own_cents": self.own_cents,
            "gross_cents": nearest_cent(self.gross),
            "received": {key: fraction_text(each) for key, each in sorted(self.received.items())},
            "given": {key: fraction_text(each) for key, each in sorted(self.given.items())},
            "shares": shares,
        }
        if self.unallocated_cents:
            found["unallocated_cents"] = self.unallocated_cents
        return found


def percent_text(part: Fraction) -> str:
    """A part of the whole in per cent, with at most six places.

    >>> percent_text(Fraction(1, 2)), percent_text(Fraction(1, 3))
    ('50', '33.333333')
    """
    return fraction_text(Fraction(nearest_cent(part * 10**8), 10**6))


def percents(weights: Mapping[str, Fraction], places: int = 6) -> dict[str, Decimal]:
    """Each target's part in per cent, rounded so that all make exactly 100; none of zeros.

    >>> percents({"a": Fraction(1), "b": Fraction(1), "c": Fraction(1)}, 2)
    {'a': Decimal('33.34'), 'b': Decimal('33.33'), 'c': Decimal('33.33')}
    """
    whole = sum(weights.values(), Fraction(0))
    if not whole:
        return {}
    units = to_whole_cents(
        {target: weight * 100 * 10**places / whole for target, weight in weights.items()}
    )
    return {target: Decimal(units[target]).scaleb(-places) for target in weights}


def together(pools: Iterable[YearPool]) -> list[tuple[YearPool, ...]]:
    """The groups of pools that serve one another, each in its step order, by their first keys.

    :raises PoolServesNoPool: when a base names a pool that is not among them.
    :raises MethodsDiffer: when the pools of a group have different methods.
    """
    by_node = {pool.node: pool for pool in pools}
    group_of = {node: {node} for node in by_node}
    for pool in by_node.values():
        for target, weight in pool.weights.items():
            if not target.startswith(POOL) or not weight:
                continue
            if target not in by_node:
                raise PoolServesNoPool(
                    f"The pool {pool.key} serves the pool {target.removeprefix(POOL)}, which has"
                    " no cost in that fiscal year.",
                    field=pool.key,
                )
            one, two = group_of[pool.node], group_of[target]
            if one is not two:
                one |= two
                for node in two:
                    group_of[node] = one
    groups = []
    for node in sorted(by_node):
        members = group_of[node]
        if min(members) != node:
            continue
        group = sorted(
            (by_node[each] for each in members), key=lambda pool: (pool.step_order, pool.key)
        )
        if len({pool.method for pool in group}) > 1:
            names = ", ".join(f"{pool.key} {pool.method}" for pool in group)
            raise MethodsDiffer(
                f"Pools that serve one another need one method; these have several: {names}.",
                field="method",
            )
        groups.append(tuple(group))
    return groups


def case_of(group: Sequence[YearPool], cents: Mapping[str, int]) -> Case:
    """A group of pools as a case, with what each costs by key; targets cost nothing themselves."""
    targets = sorted({name for pool in group for name in pool.weights if not name.startswith(POOL)})
    return Case(
        tuple(Pool(pool.node, cents[pool.key], _known(pool, group)) for pool in group),
        tuple(Target(name) for name in targets),
    )


def _known(pool: YearPool, group: Sequence[YearPool]) -> dict[str, Fraction]:
    """A pool's weights without pools outside its group, which it serves with nothing."""
    nodes = {each.node for each in group}
    return {
        name: weight
        for name, weight in pool.weights.items()
        if not name.startswith(POOL) or name in nodes
    }


def month_of(group: Sequence[YearPool], month: int) -> dict[str, PoolMonth]:
    """What each pool of a group gives in a month (0 to 11) of the year, by key.

    Each pool's part of each target is rounded once, and all parts of the group keep their sum: the
    cents left by rounding down go to the largest remainders, ties by pool and target.

    :raises ClosedGroup: by the reciprocal method, when pools serve only one another.
    """
    own = {pool.key: month_of_year(pool.cents, month) for pool in group}
    method = group[0].method.replace("_", "-")
    found = allocate(case_of(group, own), method)
    flows = found.flows()
    exact: dict[tuple[str, str], Fraction] = {}
    for pool in group:
        for target in pool.weights:
            if not target.startswith(POOL):
                exact[pool.node, target] = flows.get((pool.node, target), Fraction(0))
        if pool.node in found.unallocated:
            exact[pool.node, ""] = found.unallocated[pool.node]
    cents = to_whole_cents(exact)
    return {
        pool.key: PoolMonth(
            key=pool.key,
            method=pool.method,
            own_cents=own[pool.key],
            gross=found.gross[pool.node],
            received=_flows_between(flows, taker=pool.node),
            given=_flows_between(flows, giver=pool.node),
            exact={
                name: part for (node, name), part in exact.items() if node == pool.node and name
            },
            cents={
                name: part for (node, name), part in cents.items() if node == pool.node and name
            },
            unallocated_cents=cents.get((pool.node, ""), 0),
        )
        for pool in group
    }


def _flows_between(
    flows: Mapping[tuple[str, str], Fraction], *, giver: str = "", taker: str = ""
) -> dict[str, Fraction]:
    return {
        (one if taker else two).removeprefix(POOL): amount
        for (one, two), amount in flows.items()
        if two.startswith(POOL) and (one == giver or two == taker)
    }


def side_by_side(group: Sequence[YearPool]) -> list[Allocation]:
    """The whole year of a group by every method that can divide it, in the order of methods.

    A method that cannot, because pools serve only one another, is left out.
    """
    case = case_of(group, {pool.key: pool.cents for pool in group})
    found = []
    for method in METHODS:
        try:
            found.append(allocate(case, method))
        except ClosedGroup:
            continue
    return found
