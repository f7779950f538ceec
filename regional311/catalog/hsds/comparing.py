"""What a package would change of what is stored: new, changed, gone, or changed on both sides.

Pure: a unit is an organisation, a location, or a service with its sites. What was changed here
since the last import, in forms, stays when its package is as it was; when both changed it is a
conflict that a person settles, as between files and forms.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from regional311.catalog.hsds.assembling import Package
from regional311.catalog.hsds.faults import Fault, LeftOut
from regional311.catalog.hsds.shapes import SHAPES
from regional311.differences import FieldChange

Said = Mapping[str, Any]
_KEY_LENGTH: Final = 50
SHOWN_ROWS: Final = 2000
"""Rows that a report lists; all are counted."""


class Verdict(StrEnum):
    """What becomes of a row, or of an entry."""

    NEW = "new"
    CHANGED = "changed"
    GONE = "gone"
    SAME = "unchanged"
    CONFLICT = "conflict"
    BROKEN = "broken"


@dataclass
class Unit:
    """An entry as its package has it: said in HSDS, what it refers to, and its sites likewise."""

    kind: str
    id: str
    source_id: str
    said: dict[str, Any]
    refs: dict[str, str]
    file: str
    row: int
    sites: list[Unit] = field(default_factory=list)


@dataclass
class Held:
    """An entry as it is stored.

    `now` is what it says here, in the canonical form of its model; `agreed` whether that is what
    it said when both sides last agreed. `ended` says that it is no more, `gone` that its package
    was the reason. `imported` is false for what is kept here without a package.
    """

    id: UUID
    key: str
    unit: Unit
    now: dict[str, Any]
    agreed: bool
    ended: bool
    gone: bool


@dataclass(frozen=True)
class Conflict:
    """An entry that changed on both sides: field by field, what is here and what comes."""

    kind: str
    key: str
    name: str
    fields: tuple[FieldChange, ...]

    @property
    def ref(self) -> str:
        """The name by which a choice is made: `kind/key`."""
        return f"{self.kind}/{self.key}"


@dataclass(frozen=True, slots=True)
class RowChange:
    """What becomes of one row of a file."""

    file: str
    row: int
    verdict: Verdict
    name: str
    reason: str = ""


@dataclass
class Report:
    """What a package changed, or would change.

    `files` counts rows by file and verdict, `entries` counts entries by kind and verdict. `rows`
    lists what is not as it was, the first of them.
    """

    files: dict[str, Counter[str]] = field(default_factory=dict)
    entries: dict[str, Counter[str]] = field(default_factory=dict)
    rows: list[RowChange] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    dry_run: bool = False

    @property
    def broken(self) -> int:
        """Rows and values that would be left out."""
        return sum(each.refuses for each in self.faults)

    @property
    def changes(self) -> int:
        """Entries that are new, changed or gone."""
        return sum(
            counts[verdict]
            for counts in self.entries.values()
            for verdict in (Verdict.NEW, Verdict.CHANGED, Verdict.GONE)
        )

    def count(self, changes: Iterable[RowChange]) -> None:
        """Count rows, and list those that are not as they were."""
        for each in changes:
            self.files.setdefault(each.file, Counter())[each.verdict] += 1
            if each.verdict is not Verdict.SAME and len(self.rows) < SHOWN_ROWS:
                self.rows.append(each)

    def as_dict(self) -> dict[str, Any]:
        """Give it as plain values."""
        return {
            "dry_run": self.dry_run,
            "files": {name: dict(counts) for name, counts in sorted(self.files.items())},
            "entries": {name: dict(counts) for name, counts in self.entries.items()},
            "rows": [
                {
                    "file": each.file,
                    "row": each.row,
                    "verdict": each.verdict.value,
                    "name": each.name,
                    **({"reason": each.reason} if each.reason else {}),
                }
                for each in self.rows
            ],
            "faults": [each.as_dict() for each in self.faults[:SHOWN_ROWS]],
            "fault_count": len(self.faults),
            "broken": self.broken,
            "conflicts": [
                {
                    "kind": each.kind,
                    "key": each.key,
                    "name": each.name,
                    "fields": [
                        {"field": one.field, "here": one.old, "package": one.new}
                        for one in each.fields
                    ],
                }
                for each in self.conflicts
            ],
        }

    def __str__(self) -> str:
        verb = "would be" if self.dry_run else "were"
        lines = [f"{self.changes} entries {verb} changed."]
        for name, counts in sorted(self.files.items()):
            said = ", ".join(f"{counts[each]} {each.value}" for each in Verdict if counts[each])
            lines.append(f"  {name}: {said or 'nothing'}")
        if self.conflicts:
            lines.append("Changed here and in the package, and left as they are here:")
            for each in self.conflicts:
                lines.append(f"  {each.ref} ({each.name})")
                lines += [
                    f"    {one.field}: here {one.old!r}, package {one.new!r}" for one in each.fields
                ]
        for refuses, words in (
            (True, "rows or values are broken, and left out when the rest is taken:"),
            (False, "values are kept as they came, and not used here:"),
        ):
            found = [each for each in self.faults if each.refuses is refuses]
            if found:
                lines += [f"{len(found)} {words}", *(f"  {each}" for each in found[:50])]
            if len(found) > 50:
                lines.append(f"  and {len(found) - 50} more (--json lists them)")
        return "\n".join(lines)


def units_of(package: Package) -> dict[str, dict[str, Unit]]:
    """Give the entries of a package by kind and id, sites with their services."""
    found: dict[str, dict[str, Unit]] = {}
    for kind in ("organization", "location", "service"):
        found[kind] = {each.id: _unit(each) for each in package.entities[kind].values()}
    for each in package.entities["service_at_location"].values():
        service = found["service"].get(each.refs.get("service", ""))
        if service is not None:
            service.sites.append(_unit(each))
    return found


def _unit(entity: Any) -> Unit:
    said = {name: value for name, value in entity.said.items() if name != "id"}
    return Unit(
        entity.kind, entity.id, entity.source_id, said, dict(entity.refs), entity.file, entity.row
    )


def moved(held: Held, unit: Unit) -> bool:
    """Whether a package says something else than when it was last taken in."""
    old = held.unit
    return (old.said, old.refs) != (unit.said, unit.refs) or [
        (e.id, e.said, e.refs) for e in old.sites
    ] != [(e.id, e.said, e.refs) for e in unit.sites]


def verdict_of(held: Held | None, unit: Unit) -> Verdict:
    """Say what becomes of an entry of a package.

    What was ended here by a person stays ended while its package is as it was.
    """
    if held is None:
        return Verdict.NEW
    if held.gone:
        return Verdict.CHANGED
    if not moved(held, unit):
        return Verdict.SAME
    return Verdict.CHANGED if held.agreed and not held.ended else Verdict.CONFLICT


def key_of(name: str, entry_id: str, taken: set[str]) -> str:
    """Make a key of a name and the beginning of an id; one that is not taken, and takes it.

    >>> key_of("Café Lucía: free meals!", "5d0e7c2c-3c1b-5f0e", set())
    'cafe-lucia-free-meals-5d0e7c'
    """
    plain = unicodedata.normalize("NFKD", name.casefold())
    words = re.sub(r"[^a-z0-9]+", "-", "".join(c for c in plain if not unicodedata.combining(c)))
    start = words.strip("-")[:_KEY_LENGTH].rstrip("-")
    digits = re.sub(r"[^0-9a-f]", "", entry_id)
    for length in (6, 8, 32):
        key = "-".join(filter(None, (start[: 59 - length], digits[:length]))).strip("-")
        if key not in taken:
            break
    taken.add(key)
    return key


def broken_rows(faults: Iterable[Fault]) -> Iterator[RowChange]:
    """Give the rows that are left out, each once."""
    seen = set()
    for each in faults:
        if each.left_out is LeftOut.ROW and (each.file, each.row) not in seen:
            seen.add((each.file, each.row))
            yield RowChange(each.file, each.row, Verdict.BROKEN, each.column, each.reason)


def row_changes(
    package: Package,
    old: Mapping[tuple[str, str], Said],
    new: Mapping[tuple[str, str], Said],
    conflicting: set[tuple[str, str]],
) -> Iterator[RowChange]:
    """Give what becomes of every row of a package, and the rows that it has no more.

    Objects are known by table and id; what one row makes of several counts once. `old` and `new`
    are those of entries that differ, all others are as they were; `conflicting` those of entries
    that stay as they are.
    """
    rows: dict[tuple[str, int], tuple[set[Verdict], str]] = {
        place: ({Verdict.SAME}, "") for key, place in package.places.items() if key not in new
    }
    for key, row in new.items():
        place = package.places.get(key, (package.files.get(key[0], key[0]), 0))
        before = old.get(key)
        if before == row:
            verdict = Verdict.SAME
        elif key in conflicting:
            verdict = Verdict.CONFLICT
        else:
            verdict = Verdict.NEW if before is None else Verdict.CHANGED
        verdicts, name = rows.setdefault(place, (set(), ""))
        verdicts.add(verdict)
        rows[place] = verdicts, name or _named(row)
    for (file, number), (verdicts, name) in rows.items():
        yield RowChange(file, number, _one_of(verdicts), name)
    for key, row in old.items():
        if key not in new:
            verdict = Verdict.CONFLICT if key in conflicting else Verdict.GONE
            yield RowChange(package.files.get(key[0], SHAPES[key[0]].file), 0, verdict, _named(row))


def _one_of(verdicts: set[Verdict]) -> Verdict:
    """Say what becomes of a row by what becomes of the objects that it makes.

    >>> _one_of({Verdict.SAME, Verdict.NEW}).value
    'changed'
    """
    if len(verdicts) == 1:
        return next(iter(verdicts))
    return Verdict.CONFLICT if Verdict.CONFLICT in verdicts else Verdict.CHANGED


def _named(row: Said) -> str:
    for name in ("name", "number", "document", "option", "address_1", "description", "url", "id"):
        if row.get(name):
            return str(row[name])[:80]
    return ""
