"""What of debts between partners goes round in circles and can be set off: a pure rule.

Only what a party is owed and owes in turn goes away: every party gives up as much of its claims as
of its debts, so that nobody's net position changes and over the region everything comes to zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

Debts: TypeAlias = Mapping[tuple[str, str], int]
"""(creditor, debtor) to cents above zero."""


def set_off(debts: Debts) -> dict[tuple[str, str], int]:
    """How much of each debt goes away: pairs first, then ever longer circles, until none is left.

    Parties are named by text; the order of the debts changes nothing.

    >>> set_off({("a", "b"): 100, ("b", "a"): 30})
    {('a', 'b'): 30, ('b', 'a'): 30}
    >>> set_off({("a", "b"): 50, ("b", "c"): 40, ("c", "a"): 70})
    {('a', 'b'): 40, ('b', 'c'): 40, ('c', 'a'): 40}
    """
    left = {pair: cents for pair, cents in sorted(debts.items()) if cents > 0}
    gone: dict[tuple[str, str], int] = {}
    parties = sorted({party for pair in left for party in pair})
    for length in range(2, len(parties) + 1):
        while circle := _circle(left, parties, length):
            cents = min(left[pair] for pair in circle)
            for pair in circle:
                gone[pair] = gone.get(pair, 0) + cents
                left[pair] -= cents
                if not left[pair]:
                    del left[pair]
    return dict(sorted(gone.items()))


def _circle(
    left: Mapping[tuple[str, str], int], parties: Iterable[str], length: int
) -> list[tuple[str, str]]:
    """The first circle of so many parties, as its pairs; empty when there is none."""
    follows: dict[str, list[str]] = {}
    for creditor, debtor in sorted(left):
        follows.setdefault(creditor, []).append(debtor)
    for start in parties:
        # a circle is found from its first party; the parties before it are done with
        reached: dict[str, str] = {}
        frontier = [start]
        for depth in range(1, length + 1):
            ahead = []
            for party in frontier:
                for then in follows.get(party, ()):
                    if then == start:
                        if depth == length:
                            return _walk_back(reached, start, party)
                    elif then not in reached:
                        reached[then] = party
                        ahead.append(then)
            frontier = ahead
    return []


def _walk_back(reached: Mapping[str, str], start: str, last: str) -> list[tuple[str, str]]:
    pairs = [(last, start)]
    while last != start:
        before = reached[last]
        pairs.append((before, last))
        last = before
    return pairs[::-1]


def net_positions(debts: Debts) -> dict[str, int]:
    """What each party is owed less what it owes, in cents; the sum over all is zero.

    >>> net_positions({("a", "b"): 100, ("b", "a"): 30})
    {'a': 70, 'b': -70}
    """
    found: dict[str, int] = {}
    for (creditor, debtor), cents in sorted(debts.items()):
        found[creditor] = found.get(creditor, 0) + cents
        found[debtor] = found.get(debtor, 0) - cents
    return found


def spread(cents: int, amounts: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    """Take an amount off statements in their order; those that are not touched are left out.

    >>> spread(70, [("first", 50), ("second", 50), ("third", 50)])
    [('first', 50), ('second', 20)]
    """
    found = []
    for name, open_cents in amounts:
        part = min(cents, open_cents)
        if part > 0:
            found.append((name, part))
            cents -= part
    return found
