"""Rates side by side over time: which work has which price when, where nothing holds, and twice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

from regional311.chargeback.rate_cards import RateSaid
from regional311.chargeback.rates import Scope


@dataclass(frozen=True, slots=True)
class Stretch:
    """Days on which no rate of the grid begins or ends; None is open. `until` is exclusive."""

    since: date | None
    until: date | None


@dataclass(frozen=True, slots=True)
class Cell:
    """What holds for some work in a stretch: one rate, several at once, or none between others."""

    kind: str
    """price, overlap, gap, or none (before the first and after the last)."""
    rates: tuple[RateSaid, ...] = ()
    changed: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """Some work, and its cells by stretch."""

    scope: Scope
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Grid:
    """A card over time."""

    stretches: tuple[Stretch, ...]
    rows: tuple[Row, ...]

    @property
    def gaps(self) -> int:
        """How many cells are between two rates without having one."""
        return self._count("gap")

    @property
    def overlaps(self) -> int:
        """How many cells have two rates at once."""
        return self._count("overlap")

    def _count(self, kind: str) -> int:
        return sum(cell.kind == kind for row in self.rows for cell in row.cells)


def grid(
    rates: Iterable[RateSaid],
    *,
    changed: frozenset[str] = frozenset(),
    scopes: Iterable[Scope] | None = None,
    since: date | None = None,
) -> Grid:
    """Lay rates out: a row for each kind of work, a column for each stretch in which none changes.

    `changed` are the keys to mark, `scopes` the rows to show (all unless told), `since` leaves out
    the stretches that end before.
    """
    by_scope: defaultdict[Scope, list[RateSaid]] = defaultdict(list)
    wanted = None if scopes is None else set(scopes)
    for rate in rates:
        if wanted is None or rate.scope in wanted:
            by_scope[rate.scope].append(rate)
    stretches = [
        each
        for each in _stretches([rate for same in by_scope.values() for rate in same])
        if since is None or each.until is None or each.until > since
    ]
    return Grid(
        tuple(stretches),
        tuple(
            Row(scope, tuple(_cells(by_scope[scope], stretches, changed)))
            for scope in sorted(by_scope, key=_order)
        ),
    )


def _order(scope: Scope) -> tuple[str, ...]:
    return (
        scope.card,
        scope.activity,
        scope.channel or "",
        scope.service or "",
        scope.language or "",
        scope.hours,
    )


def _stretches(rates: list[RateSaid]) -> list[Stretch]:
    bounds = {rate.valid_from for rate in rates} | {rate.valid_to for rate in rates}
    days = sorted(day for day in bounds if day is not None)
    if not days:
        return [Stretch(None, None)] if rates else []
    inner = [Stretch(one, two) for one, two in pairwise(days)]
    before = [Stretch(None, days[0])] if any(rate.valid_from is None for rate in rates) else []
    after = [Stretch(days[-1], None)] if any(rate.valid_to is None for rate in rates) else []
    return before + inner + after


def _cells(same: list[RateSaid], stretches: list[Stretch], changed: frozenset[str]) -> list[Cell]:
    found = []
    first = min(_begin(rate.valid_from) for rate in same)
    last = max(_end(rate.valid_to) for rate in same)
    for stretch in stretches:
        holding = tuple(
            rate
            for rate in same
            if _begin(rate.valid_from) < _end(stretch.until)
            and _begin(stretch.since) < _end(rate.valid_to)
        )
        if len(holding) > 1:
            kind = "overlap"
        elif holding:
            kind = "price"
        else:
            inside = first < _begin(stretch.since) and _end(stretch.until) < last
            kind = "gap" if inside else "none"
        found.append(Cell(kind, holding, any(rate.key in changed for rate in holding)))
    return found


def _begin(day: date | None) -> date:
    return day or date.min


def _end(day: date | None) -> date:
    return day or date.max
