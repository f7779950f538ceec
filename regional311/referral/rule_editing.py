"""Changing an ordered list of rules as it is stored: pure, a list in, another list out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from regional311.errors import Conflict, NotFound
from regional311.keys import key_for

Stored = Mapping[str, Any]
"""A rule or a case as it is stored, with its `key`."""

MOST_RULES: Final = 1000
MOST_CASES: Final = 500


class TooMany(Conflict):
    """A set holds no more rules or cases than this."""


def place_of(rules: Sequence[Stored], key: str) -> int:
    """Give a rule's place, from 0. Raises :class:`NotFound`."""
    for at, each in enumerate(rules):
        if each["key"] == key:
            return at
    raise NotFound(f"There is no {key} in this version; somebody may have removed it.")


def find(rules: Sequence[Stored], key: str) -> Stored:
    """Give a rule. Raises :class:`NotFound`."""
    return rules[place_of(rules, key)]


def added(rules: Sequence[Stored], new: Stored, at: int | None = None) -> list[Stored]:
    """Put a rule in at a place, from 0; at the end without one.

    Raises :class:`Conflict` for a key that is taken, :class:`TooMany`.
    """
    if any(each["key"] == new["key"] for each in rules):
        raise Conflict(f"There is {new['key']} already.", field="key")
    if len(rules) >= MOST_RULES:
        raise TooMany(f"A version holds at most {MOST_RULES} of these.")
    at = len(rules) if at is None else max(0, min(at, len(rules)))
    return [*rules[:at], new, *rules[at:]]


def replaced(rules: Sequence[Stored], key: str, new: Stored) -> list[Stored]:
    """Put another content in a rule's place. Raises :class:`NotFound`."""
    at = place_of(rules, key)
    return [*rules[:at], new, *rules[at + 1 :]]


def removed(rules: Sequence[Stored], key: str) -> list[Stored]:
    """Take a rule out. Raises :class:`NotFound`."""
    at = place_of(rules, key)
    return [*rules[:at], *rules[at + 1 :]]


def moved(rules: Sequence[Stored], key: str, to: int) -> list[Stored]:
    """Give a rule another place, from 0; beyond an end it is the end. Raises :class:`NotFound`.

    >>> [each["key"] for each in moved([{"key": "a"}, {"key": "b"}, {"key": "c"}], "a", 1)]
    ['b', 'a', 'c']
    """
    here = place_of(rules, key)
    rest = [*rules[:here], *rules[here + 1 :]]
    to = max(0, min(to, len(rest)))
    return [*rest[:to], rules[here], *rest[to:]]


def copied(rules: Sequence[Stored], key: str, name: str) -> list[Stored]:
    """Put a copy after a rule, switched off, so that it decides nothing before it is edited."""
    at = place_of(rules, key)
    taken = {each["key"] for each in rules}
    copy = {**rules[at], "key": key_for(name, taken, "rule"), "name": name, "off": True}
    return added(rules, copy, at + 1)


def switched(rules: Sequence[Stored], key: str) -> list[Stored]:
    """Switch a rule off, or on again."""
    rule = dict(find(rules, key))
    if rule.pop("off", False):
        return replaced(rules, key, rule)
    return replaced(rules, key, {**rule, "off": True})
