"""Fields in which people write one thing a line: `Water; 340000`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from regional311.errors import InvalidInput
from regional311.money import BadAmount, format_cents, parse_cents

MOST_LINES = 500


def rows(text: str | None, columns: int, *, field: str, example: str) -> list[list[str]]:
    """Read lines of values parted by semicolons; empty lines do not count.

    :raises InvalidInput: naming the line that has more or fewer values.
    """
    found = []
    lines = (text or "").splitlines()
    if len(lines) > MOST_LINES:
        raise InvalidInput(f"Write at most {MOST_LINES} lines.", field=field)
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        values = [value.strip() for value in line.split(";")]
        if len(values) != columns or not values[0]:
            raise InvalidInput(f"Write line {number} as: {example}", field=field)
        found.append(values)
    return found


def pairs(text: str | None, *, field: str, example: str) -> dict[str, str]:
    """Read lines of a name and a value.

    :raises InvalidInput: naming the line, or the name that is there twice.
    """
    found: dict[str, str] = {}
    for name, value in rows(text, 2, field=field, example=example):
        if name in found:
            raise InvalidInput(f"{name} is there twice.", field=field)
        found[name] = value
    return found


def percents(text: str | None, *, field: str, example: str) -> dict[str, Decimal]:
    """Read lines of a name and a percentage between 0 and 100 with at most six places.

    :raises InvalidInput: naming the line or the value.
    """
    found = {}
    for name, value in pairs(text, field=field, example=example).items():
        found[name] = percent(value, field=field)
    return found


def percent(text: str, *, field: str) -> Decimal:
    """Read a percentage between 0 and 100 with at most six places.

    :raises InvalidInput: naming the value.
    """
    try:
        number = Decimal(text.removesuffix("%").strip())
    except InvalidOperation:
        number = Decimal("NaN")
    exponent = number.as_tuple().exponent
    if (
        not text.isascii()
        or not number.is_finite()
        or not 0 <= number <= 100
        or not isinstance(exponent, int)
        or exponent < -6
        or "e" in text.lower()
    ):
        raise InvalidInput(f"{text} is not a percentage such as 50 or 33.333.", field=field)
    return number


def amounts(
    text: str | None, *, field: str, example: str, account: bool = False
) -> list[dict[str, Any]]:
    """Read lines of a name, an account when asked for, and an amount of dollars.

    :raises InvalidInput: naming the line or the amount.
    """
    found: list[dict[str, Any]] = []
    for name, *rest in rows(text, 3 if account else 2, field=field, example=example):
        try:
            cents = parse_cents(rest[-1])
        except BadAmount as error:
            raise InvalidInput(f"{name}: {error.message}", field=field) from error
        row: dict[str, Any] = {"name": name, "cents": cents}
        if account and rest[0]:
            row["account"] = rest[0]
        found.append(row)
    return found


def amounts_text(found: Iterable[Mapping[str, Any]], *, account: bool = False) -> str:
    """Write amounts as they are read."""
    return "\n".join(
        "; ".join(
            [
                each["name"],
                *([each.get("account") or ""] if account else []),
                format_cents(each["cents"], symbol=""),
            ]
        )
        for each in found
    )


def pairs_text(found: Mapping[str, str]) -> str:
    """Write names and values as they are read."""
    return "\n".join(f"{name}; {value}" for name, value in found.items())
