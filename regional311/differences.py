"""What differs between two contents, field by field: what plans, versions and merges show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from regional311.strict import digest


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
        keys = [_own_key(item, index) for index, item in enumerate(value)]
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


def _own_key(item: Mapping[str, Any], index: int) -> str:
    for name in ("key", "code", "payer", "day", "priority", "valid_from"):
        if name in item:
            return str(item[name])
    return str(index + 1)
