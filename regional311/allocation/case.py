"""Read an allocation case from a TOML file: pools in their step order, and targets.

The file needs no database and no configuration::

    [[pool]]
    name = "Maintenance"
    cost = "8000.00"
    [pool.serves]
    Machining = 1500
    Assembly = 2500

    [[target]]
    name = "Machining"
    cost = "32000"

    [[target]]
    name = "Assembly"
    cost = "36000"

Costs are dollars with at most two places and may be negative; quantities are whole or decimal and
may not. Both are numbers or text in quotes; either way they are read exactly.
"""

from __future__ import annotations

import re
import tomllib
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, NoReturn

from regional311.allocation.methods import Case, Pool, Target
from regional311.errors import InvalidInput

_NUMBER = re.compile(r"-?\d{1,18}(\.\d{1,18})?")
_LARGEST = Decimal(10) ** 15


class CaseRefused(InvalidInput):
    """A file of a case cannot be read; the message names the file and the key."""


def read_case(path: Path) -> Case:
    """Read the file of a case.

    :raises CaseRefused: in one line that names the file and the key.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise CaseRefused(f"{path}: cannot be read: {reason}.") from error
    try:
        tables = tomllib.loads(text, parse_float=Decimal)
    except (ValueError, InvalidOperation, RecursionError) as error:
        raise CaseRefused(f"{path}: is not TOML: {str(error).splitlines()[0]}.") from error
    reader = _Reader(path)
    reader.only(tables, {"pool", "target"}, "")
    pools = tuple(
        Pool(*reader.name_and_cents(table, place), reader.serves(table, place))
        for table, place in reader.tables(tables, "pool", {"name", "cost", "serves"})
    )
    targets = tuple(
        Target(*reader.name_and_cents(table, place))
        for table, place in reader.tables(tables, "target", {"name", "cost"})
    )
    case = Case(pools, targets)
    _check(case, reader)
    return case


def _check(case: Case, reader: _Reader) -> None:
    """Refuse names given twice or nowhere, in the words of the file."""
    names: set[str] = set()
    for kind, each in [("pool", pool) for pool in case.pools] + [
        ("target", target) for target in case.targets
    ]:
        if each.name in names:
            reader.refuse(f"{kind}[{each.name}].name", "is the name of an earlier pool or target")
        names.add(each.name)
    for pool in case.pools:
        for consumer in pool.serves:
            if consumer not in names:
                reader.refuse(f"pool[{pool.name}].serves", f"{consumer} is neither pool nor target")


class _Reader:
    def __init__(self, path: Path) -> None:
        self.path = path

    def refuse(self, key: str, why: str) -> NoReturn:
        shown = f"{key}: {why}".replace("\n", " ").replace("\r", " ")
        raise CaseRefused(f"{self.path}: {shown}.", field=key)

    def only(self, table: dict[str, Any], known: set[str], place: str) -> None:
        for key in table:
            if key not in known:
                self.refuse(
                    f"{place}{key}", f"is not a key of a case, which are {', '.join(sorted(known))}"
                )

    def tables(
        self, tables: dict[str, Any], key: str, known: set[str]
    ) -> list[tuple[dict[str, Any], str]]:
        found = tables.get(key, [])
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            self.refuse(key, f"write each {key} as a table [[{key}]]")
        if not found:
            self.refuse(key, f"a case needs at least one [[{key}]]")
        placed = []
        for number, table in enumerate(found, 1):
            name = table.get("name")
            place = f"{key}[{name if isinstance(name, str) and name.strip() else number}]"
            self.only(table, known, f"{place}.")
            placed.append((table, place))
        return placed

    def name_and_cents(self, table: dict[str, Any], place: str) -> tuple[str, int]:
        name = table.get("name")
        if not isinstance(name, str) or not name.strip():
            self.refuse(f"{place}.name", "must be a text that is not empty")
        if "cost" not in table:
            self.refuse(f"{place}.cost", 'is missing; write dollars such as "8000.00"')
        cents = self.number(table["cost"], f"{place}.cost", 'dollars such as "8000.00"') * 100
        if cents != cents.to_integral_value():
            self.refuse(f"{place}.cost", "has more than two places; a cost is whole cents")
        return name, int(cents)

    def serves(self, table: dict[str, Any], place: str) -> dict[str, Decimal]:
        serves = table.get("serves", {})
        if not isinstance(serves, dict):
            self.refuse(f"{place}.serves", "must be a table of consumers and quantities")
        found = {}
        for consumer, value in serves.items():
            key = f"{place}.serves.{consumer}"
            quantity = self.number(value, key, "a quantity such as 1500 or 0.5")
            if quantity < 0:
                self.refuse(key, "a quantity cannot be negative")
            found[consumer] = quantity
        return found

    def number(self, value: object, key: str, example: str) -> Decimal:
        plain = isinstance(value, str) and value.isascii() and _NUMBER.fullmatch(value)
        if isinstance(value, bool) or not (plain or isinstance(value, int | Decimal)):
            self.refuse(key, f"must be {example}")
        number = Decimal(value)  # type: ignore[arg-type]
        if not number.is_finite():
            self.refuse(key, f"must be {example}")
        exponent = number.as_tuple().exponent
        if abs(number) >= _LARGEST or (isinstance(exponent, int) and exponent < -18):
            self.refuse(key, "has too many digits; at most 15 before the point and 18 after it")
        return number
