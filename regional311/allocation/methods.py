"""Divide the costs of pools that serve targets and one another: four methods, exact to the cent.

A pool has a cost and serves consumers in quantities; consumers are targets, which keep what they
are given, and other pools, which pass it on. The methods differ only in what pools do to one
another:

- **direct**: a pool is divided among targets; what it did for other pools is ignored;
- **step-down**: pools close one after the other, each divided among the targets and the pools that
  are still open; the order is the caller's;
- **double step-down**: a first round in which every pool is divided among all others, those that
  closed before among them, and a second one that steps down what came back;
- **reciprocal**: all at once, as simultaneous equations.

What a pool does for itself is ignored by every method: it moves nothing, and what is left is
divided in the same proportions. All arithmetic is in rational numbers; cents are rounded once, at
the end. Costs are cents and may be negative or zero; quantities are never negative.

Source: 45 CFR 75 Appendix V; Horngren, *Cost Accounting*, chapter 15.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from typing import Any, TypeVar

from regional311.errors import InvalidInput
from regional311.money import Weight, split

METHODS = ("direct", "step-down", "double-step-down", "reciprocal")
"""The methods' names, in the order in which they are shown."""

_Key = TypeVar("_Key", bound=Hashable)


class BadCase(InvalidInput):
    """A name appears twice or nowhere, or a quantity is negative."""


class ClosedGroup(InvalidInput):
    """Pools serve only one another, so their cost never reaches a target.

    `members` names them; only the reciprocal method needs that their cost can leave.
    """

    def __init__(self, message: str, *, members: Sequence[str], field: str | None = None) -> None:
        super().__init__(message, field=field)
        self.members = tuple(members)


@dataclass(frozen=True, slots=True)
class Pool:
    """A cost and whom it serves: quantities by the name of a pool or a target."""

    name: str
    cents: int
    serves: Mapping[str, Weight]


@dataclass(frozen=True, slots=True)
class Target:
    """Who bears costs in the end, and what it costs by itself."""

    name: str
    cents: int = 0


@dataclass(frozen=True, slots=True)
class Case:
    """Pools in the order in which they step down, and targets. Names are unique among both."""

    pools: tuple[Pool, ...]
    targets: tuple[Target, ...]

    @property
    def total_cents(self) -> int:
        """All costs, those of the pools and the targets' own."""
        return sum(pool.cents for pool in self.pools) + sum(each.cents for each in self.targets)

    def check(self) -> None:
        """Refuse what no method could divide.

        :raises BadCase: naming what is wrong.
        """
        names = [pool.name for pool in self.pools] + [each.name for each in self.targets]
        known = set(names)
        if len(known) < len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            raise BadCase(f"The name {twice[0]} is given twice.", field=twice[0])
        for pool in self.pools:
            for name, quantity in pool.serves.items():
                if name not in known:
                    raise BadCase(
                        f"{pool.name} serves {name}, which is neither a pool nor a target.",
                        field=pool.name,
                    )
                if quantity < 0:
                    raise BadCase(
                        f"What {pool.name} serves to {name} cannot be negative.", field=pool.name
                    )


@dataclass(frozen=True, slots=True)
class Given:
    """What one unit of a pool's service cost in one round, and who got how many."""

    pool: str
    unit_cents: Fraction
    quantities: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Allocation:
    """What a method makes of a case: exact amounts in cents, and the cents they are rounded to.

    `gross` is what each pool had to distribute: its own cost and what other pools gave it.
    `given` is what a unit of each pool's service cost, one entry a round. `unallocated` names the
    pools that serve nobody whom the method lets them serve; their amount stays with them, in view.
    The cents of targets and unallocated amounts sum to the case's total.
    """

    method: str
    gross: Mapping[str, Fraction]
    gross_cents: Mapping[str, int]
    given: tuple[Given, ...]
    targets: Mapping[str, Fraction]
    cents: Mapping[str, int]
    unallocated: Mapping[str, Fraction]
    unallocated_cents: Mapping[str, int]
    total_cents: int

    def flows(self) -> dict[tuple[str, str], Fraction]:
        """Give what each pool gave to each consumer over all rounds, where something flowed."""
        found: dict[tuple[str, str], Fraction] = {}
        for each in self.given:
            for consumer, quantity in each.quantities.items():
                flow = (each.pool, consumer)
                found[flow] = found.get(flow, Fraction(0)) + each.unit_cents * quantity
        return found

    def as_dict(self) -> dict[str, Any]:
        """Give the answer for programs: whole cents, `unallocated` only when there is some."""
        found: dict[str, Any] = {
            "method": self.method,
            "pools": [
                {"name": name, "gross_cents": cents} for name, cents in self.gross_cents.items()
            ],
            "targets": [{"name": name, "cents": cents} for name, cents in self.cents.items()],
            "total_cents": self.total_cents,
        }
        if self.unallocated_cents:
            found["unallocated"] = [
                {"name": name, "cents": cents} for name, cents in self.unallocated_cents.items()
            ]
        return found


def allocate(case: Case, method: str) -> Allocation:
    """Divide the costs of a case by a method.

    Each target's cents lie within a cent of its exact amount; the cents left over by rounding down
    go to the largest remainders, ties by name. Neither the order of targets nor a common factor in
    a pool's quantities changes anything; the order of pools matters to the stepping methods only.

    :raises BadCase: for a name given twice or nowhere, a negative quantity or an unknown method.
    :raises ClosedGroup: by the reciprocal method, when pools serve only one another.

    Source: Lumen, *Managerial Accounting*, 14.2.

    >>> case = Case(
    ...     (Pool("Maintenance", 8_000_00, {"Machining": 1500, "Assembly": 2500}),
    ...      Pool("Administration", 4_000_00, {"Machining": 250, "Assembly": 150})),
    ...     (Target("Machining", 32_000_00), Target("Assembly", 36_000_00)),
    ... )
    >>> allocate(case, "direct").cents
    {'Machining': 3750000, 'Assembly': 4250000}
    """
    case.check()
    if method not in _WAYS:
        raise BadCase(f"{method} is not one of {', '.join(METHODS)}.", field="method")
    found = _Work(case)
    _WAYS[method](found)
    targets = _received(case.targets, found.given)
    rounded = to_whole_cents({**targets, **found.unallocated})
    return Allocation(
        method=method,
        gross=found.gross,
        gross_cents={name: nearest_cent(amount) for name, amount in found.gross.items()},
        given=tuple(found.given),
        targets=targets,
        cents={name: rounded[name] for name in targets},
        unallocated=found.unallocated,
        unallocated_cents={name: rounded[name] for name in found.unallocated},
        total_cents=case.total_cents,
    )


def _received(targets: Sequence[Target], given: Sequence[Given]) -> dict[str, Fraction]:
    """What each target bears, summed over one common denominator."""
    whole = lcm(*(each.unit_cents.denominator for each in given))
    sums = {each.name: each.cents * whole for each in targets}
    for each in given:
        unit = int(each.unit_cents * whole)
        for consumer, quantity in each.quantities.items():
            if consumer in sums:
                sums[consumer] += unit * quantity
    return {name: Fraction(cents, whole) for name, cents in sums.items()}


def to_whole_cents(exact: Mapping[_Key, Fraction]) -> dict[_Key, int]:
    """Round exact amounts of cents, once, so that they keep their sum.

    Each is rounded down and the cents left go one each to the largest remainders, ties by key; a
    negative sum is the mirror image of the positive one. The sum must be a whole number.

    >>> to_whole_cents({"a": Fraction(1, 2), "b": Fraction(3, 2)})
    {'a': 1, 'b': 1}
    """
    total = sum(exact.values(), Fraction(0))
    if total.denominator != 1:
        raise ValueError("Only amounts that make whole cents together can be rounded.")
    sign = -1 if total < 0 else 1
    floors = {key: (sign * amount).__floor__() for key, amount in exact.items()}
    left = sign * total.numerator - sum(floors.values())
    if left:
        order: Any = lambda key: (floors[key] - sign * exact[key], key)  # noqa: E731
        for key in sorted(exact, key=order)[:left]:
            floors[key] += 1
    return {key: sign * cents for key, cents in floors.items()}


def nearest_cent(amount: Fraction) -> int:
    """Round an amount of cents to the nearest, half away from zero.

    >>> nearest_cent(Fraction(5, 2)), nearest_cent(Fraction(-5, 2))
    (3, -3)
    """
    whole = (2 * abs(amount.numerator) + amount.denominator) // (2 * amount.denominator)
    return whole if amount >= 0 else -whole


def capped_split(
    total_cents: int, demands: Sequence[int], keys: Sequence[Hashable] | None = None
) -> list[int]:
    """Divide an amount evenly, but give nobody more than it asks for.

    What the modest leave is divided evenly among the rest, until the amount or the demands are
    used up: the parts sum to the smaller of the two. All are cents and not negative; odd cents go
    by key, or by position.

    :raises BadCase: for a negative amount or demand.

    Source: Keshav, *An Engineering Approach to Computer Networking*, max-min fair share.

    >>> capped_split(1000, [200, 260, 400, 500])
    [200, 260, 270, 270]
    """
    if total_cents < 0 or any(demand < 0 for demand in demands):
        raise BadCase("Neither the amount nor a demand can be negative.", field="demands")
    names: Sequence[Any] = range(len(demands)) if keys is None else keys
    parts = [0] * len(demands)
    left = min(total_cents, sum(demands))
    asking = sorted(range(len(demands)), key=lambda each: (demands[each], names[each]))
    while asking and demands[asking[0]] * len(asking) <= left:
        modest = asking.pop(0)
        parts[modest] = demands[modest]
        left -= demands[modest]
    if asking:
        even = split(left, [1] * len(asking), [names[each] for each in asking])
        for each, part in zip(asking, even, strict=True):
            parts[each] = part
    return parts


class _Work:
    """A case as whole numbers: each pool's quantities scaled to integers, itself left out."""

    def __init__(self, case: Case) -> None:
        self.names = [pool.name for pool in case.pools]
        self.cents = {pool.name: Fraction(pool.cents) for pool in case.pools}
        self.serves = {pool.name: _whole(pool.serves, pool.name) for pool in case.pools}
        self.only_itself = {
            pool.name
            for pool in case.pools
            if not self.serves[pool.name] and pool.serves.get(pool.name)
        }
        self.given: list[Given] = []
        self.gross = dict.fromkeys(self.names, Fraction(0))
        self.unallocated: dict[str, Fraction] = {}

    def distribute(
        self, name: str, balance: dict[str, Fraction], closed: Collection[str] = ()
    ) -> None:
        """Give what a pool has now to its consumers, except those that are closed."""
        amount, balance[name] = balance[name], Fraction(0)
        self.gross[name] += amount
        if not amount:
            return
        serves = {
            consumer: quantity
            for consumer, quantity in self.serves[name].items()
            if consumer not in closed
        }
        if not serves:
            self.keep(name, amount)
            return
        unit = amount / sum(serves.values())
        self.given.append(Given(name, unit, serves))
        for consumer, quantity in serves.items():
            if consumer in balance:
                balance[consumer] += unit * quantity

    def keep(self, name: str, amount: Fraction) -> None:
        """Leave an amount with a pool, in view, since it serves nobody who could bear it."""
        self.unallocated[name] = self.unallocated.get(name, Fraction(0)) + amount


def _whole(serves: Mapping[str, Weight], own: str) -> dict[str, int]:
    exact = {name: Fraction(each) for name, each in serves.items() if each and name != own}
    common = lcm(*(each.denominator for each in exact.values()))
    return {name: int(each * common) for name, each in exact.items()}


def _direct(work: _Work) -> None:
    balance = dict(work.cents)
    for name in work.names:
        work.distribute(name, balance, closed=work.names)


def _step_down(work: _Work) -> None:
    _close_in_turn(work, dict(work.cents))


def _double_step_down(work: _Work) -> None:
    balance = dict(work.cents)
    for name in work.names:
        work.distribute(name, balance)
    _close_in_turn(work, balance)


def _close_in_turn(work: _Work, balance: dict[str, Fraction]) -> None:
    closed: set[str] = set()
    for name in work.names:
        closed.add(name)
        work.distribute(name, balance, closed)


def _reciprocal(work: _Work) -> None:
    """Solve what a unit of each pool costs when all serve one another at once.

    With whole quantities s, sums S and unit costs x, each pool distributes what it costs and gets:
    S_i x_i - sum over k of s_ki x_k = cost_i. Once every pool's cost can leave, the leading minors
    of that matrix are positive, so that elimination without divisions needs no other pivots.
    """
    _refuse_closed_groups(work)
    place = {name: number for number, name in enumerate(n for n in work.names if work.serves[n])}
    rows = [[0] * (len(place) + 1) for _ in place]
    for name, number in place.items():
        rows[number][number] = sum(work.serves[name].values())
        rows[number][-1] = int(work.cents[name])
        for consumer, quantity in work.serves[name].items():
            if consumer in place:
                rows[place[consumer]][number] -= quantity
    units, whole = solve(rows)
    kept = {name: work.cents[name] for name in work.names if name not in place}
    for name, number in place.items():
        unit = Fraction(units[number], whole)
        work.gross[name] = unit * rows[number][number] if unit else Fraction(0)
        if unit:
            work.given.append(Given(name, unit, work.serves[name]))
            for consumer in kept.keys() & work.serves[name].keys():
                kept[consumer] += unit * work.serves[name][consumer]
    for name, amount in kept.items():
        work.gross[name] = amount
        if amount:
            work.keep(name, amount)


def solve(rows: Sequence[Sequence[int]]) -> tuple[list[int], int]:
    """Solve linear equations in whole numbers: the unknowns' numerators and their denominator.

    Each row holds the coefficients of one equation and, last, its right side. Every leading minor
    must be above zero, as it is for pools whose cost can leave. Fraction-free (Bareiss): every
    division is exact and every number in between is a minor of the matrix, so none grows beyond it.

    >>> solve([[2, -1, 10], [-1, 2, 5]])
    ([25, 20], 3)
    """
    work = [list(row) for row in rows]
    size = len(work)
    last = 1
    for step in range(size):
        pivot = work[step][step]
        tail = work[step][step + 1 :]
        for number in range(step + 1, size):
            row = work[number]
            factor = row[step]
            if factor:
                row[step + 1 :] = [
                    (pivot * mine - factor * theirs) // last
                    for mine, theirs in zip(row[step + 1 :], tail, strict=True)
                ]
            else:
                row[step + 1 :] = [pivot * mine // last for mine in row[step + 1 :]]
        last = pivot
    found = [0] * size
    for step in range(size - 1, -1, -1):
        row = work[step]
        known = sum(row[other] * found[other] for other in range(step + 1, size) if row[other])
        found[step] = (row[-1] * last - known) // row[step]
    return found, last


def _refuse_closed_groups(work: _Work) -> None:
    """Refuse pools from which no chain of service leads to a target or to a pool that keeps."""
    within = {
        name: {each for each in work.serves[name] if each in work.serves} for name in work.names
    }
    reached: dict[str, set[str]] = {}
    for name in work.names:
        seen, waiting = {name}, [name]
        while waiting:
            new = within[waiting.pop()] - seen
            seen |= new
            waiting.extend(new)
        reached[name] = seen
    for name in work.names:
        group = reached[name]
        served = set().union(*(work.serves[each] for each in group))
        idle = any(not work.serves[each] and each not in work.only_itself for each in group)
        if idle or not served <= group or any(name not in reached[each] for each in group):
            continue
        members = [each for each in work.names if each in group]
        whom = "itself" if len(members) == 1 else "one another"
        raise ClosedGroup(
            f"{_listed(members)} serve{'s' if len(members) == 1 else ''} only {whom}, so no cost"
            " ever reaches a target; let one of them serve a target or use another method.",
            members=members,
        )


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


_WAYS: Mapping[str, Callable[[_Work], None]] = {
    "direct": _direct,
    "step-down": _step_down,
    "double-step-down": _double_step_down,
    "reciprocal": _reciprocal,
}
