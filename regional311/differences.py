"""What differs between two contents, field by field: what plans, versions and merges show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from regional311.strict import digest

_KEYS: Final = (
    "key",
    "code",
    "payer",
    "day",
    "priority",
    "valid_from",
    "location",
    "language",
    "number",
    "option",
    "unit",
    "name",
)
"""Fields that tell the things of a list apart, the first that all of them have."""


@dataclass(frozen=True)
class FieldChange:
    """One field of a thing: what the database has and what the file says; None is absent."""

    field: str
    old: Any
    new: Any


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[FieldChange, ...]:
    """Compare two contents field by field; things in lists are named by their own keys."""
    before, after = dict(_flat("", old)), dict(_flat("", new))
    return tuple(
        FieldChange(path, before.get(path), after.get(path))
        for path in dict.fromkeys([*before, *after])
        if before.get(path) != after.get(path)
    )


def _flat(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        if path.endswith("geometry"):
            points = sum(1 for _ in _positions(value.get("coordinates", ())))
            yield path, f"{value.get('type')} of {points} points, {digest(dict(value))[:8]}"
            return
        for name, item in value.items():
            yield from _flat(f"{path}.{name}" if path else name, item)
    elif isinstance(value, list) and value and isinstance(value[0], Mapping):
        keys = own_keys(value) or [str(number) for number in range(1, len(value) + 1)]
        for key, item in zip(keys, value, strict=True):
            yield from _flat(f"{path}[{key}]", item)
        yield f"{path} (order)", keys
    else:
        yield path, value


def _positions(value: Any) -> Iterator[Any]:
    if value and isinstance(value[0], (int, float)):
        yield value
    else:
        for item in value:
            yield from _positions(item)


def own_keys(items: Sequence[Any]) -> list[str] | None:
    """Give the keys by which the things of a list are told apart; None when nothing does.

    >>> own_keys([{"language": "es", "name": "Bache"}, {"language": "vi", "name": "O ga"}])
    ['es', 'vi']
    """
    if not all(isinstance(item, Mapping) for item in items):
        return None
    for name in _KEYS:
        if all(name in item for item in items):
            found = [str(item[name]) for item in items]
            return found if len(set(found)) == len(found) else None
    return None
