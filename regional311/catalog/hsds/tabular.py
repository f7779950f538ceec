"""HSDS documents as the rows of a CSV package, and a package as a zip or a directory."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

from regional311.catalog.hsds.identifiers import Children
from regional311.catalog.hsds.shapes import NESTED, SHAPES, VERSION, Shape

Cells = dict[str, Any]
_FORMULA: Final = re.compile("'*[=@+\\-\t\r]")
_HARMLESS: Final = re.compile(r"[+-][0-9][0-9 .()-]*")
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""The date of every file in a zip, so that the same content gives the same bytes."""


def rows_of(
    kind: str, document: Mapping[str, Any], refs: Mapping[str, str]
) -> Iterator[tuple[str, Cells]]:
    """Give the rows of an entity and of everything in it, each with its table.

    `refs` are the ids of the entities that it names: organization, service, location.
    """
    shape = SHAPES[kind]
    named = {f"{other}_id": ref for other, ref in refs.items()}
    yield from _rows(shape, document, {n: v for n, v in named.items() if n in shape.columns})


def _rows(
    shape: Shape, document: Mapping[str, Any], owner: Mapping[str, Any]
) -> Iterator[tuple[str, Cells]]:
    row = {name: document[name] for name in shape.fields if name in document}
    row |= owner
    for name, inner in shape.objects.items():
        if name in document and name not in NESTED.get(shape.name, ()):
            row[_key_of(inner)] = document[name]["id"]
            yield from _rows(SHAPES[inner], document[name], {})
    yield shape.name, row
    for name, inner in shape.lists.items():
        if name in NESTED.get(shape.name, ()):
            continue
        for each in document.get(name, ()):
            yield from _rows(SHAPES[inner], each, _owned(inner, shape.name, document["id"]))


def _key_of(kind: str) -> str:
    return f"{kind}_id"


def _owned(kind: str, owner: str, owner_id: str) -> Cells:
    if kind == "attribute":
        return {"link_id": owner_id, "link_entity": owner}
    if kind == "metadata":
        return {"resource_id": owner_id, "resource_type": owner}
    return {_key_of(owner): owner_id}


class Tables:
    """Collects rows, each id once a table.

    What several own is one row with several owners when there is a column for each; otherwise the
    next owner gets a row of its own with an id made from both.
    """

    def __init__(self) -> None:
        self._rows: dict[str, dict[str, Cells]] = {name: {} for name in SHAPES}

    def add(self, rows: Iterable[tuple[str, Cells]]) -> None:
        """Take in rows as `rows_of` gives them."""
        for table, row in rows:
            self._add(table, row)

    def _add(self, table: str, row: Cells) -> None:
        known = self._rows[table].get(row["id"])
        if known is None:
            self._rows[table][row["id"]] = row
            return
        if all(known.get(name, value) == value for name, value in row.items()):
            known.update(row)
            return
        owner = "|".join(str(row.get(name, "")) for name in SHAPES[table].columns if name != "id")
        self._add(table, {**row, "id": Children(row["id"]).id("again", owner)})

    def contents(self) -> Iterator[tuple[str, bytes]]:
        """Give the files of a package, `datapackage.json` first; tables without rows are left out.

        Rows are in the order of their ids, so that the same catalogue gives the same bytes.
        """
        filled = {name: rows for name, rows in self._rows.items() if rows}
        yield "datapackage.json", _datapackage(filled)
        for name, rows in filled.items():
            yield SHAPES[name].file, _csv(SHAPES[name], [rows[each] for each in sorted(rows)])


def _csv(shape: Shape, rows: Iterable[Cells]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(shape.columns)
    writer.writerows([_cell(row.get(name)) for name in shape.columns] for row in rows)
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    return defused(value) if isinstance(value, str) else value


def defused(text: str) -> str:
    """Put an apostrophe before what a spreadsheet would take for a formula; see `armed`.

    Telephone and other numbers keep their signs.

    >>> defused("=1+1"), defused("+44 1234 234567"), defused("'=x")
    ("'=1+1", '+44 1234 234567', "''=x")
    """
    return f"'{text}" if _FORMULA.match(text) and not _HARMLESS.fullmatch(text) else text


def armed(text: str) -> str:
    """Give back what `defused` was given."""
    return text[1:] if text.startswith("'") and defused(text) != text else text


def _datapackage(tables: Iterable[str]) -> bytes:
    resources = []
    for name in tables:
        shape = SHAPES[name]
        keys = [
            {
                "fields": column,
                "reference": {"resource": column.removesuffix("_id"), "fields": "id"},
            }
            for column in shape.columns
            if column.removesuffix("_id") in SHAPES and column.endswith("_id")
        ]
        resources.append(
            {
                "name": name,
                "path": shape.file,
                "profile": "tabular-data-resource",
                "format": "csv",
                "mediatype": "text/csv",
                "encoding": "utf-8",
                "schema": {
                    "primaryKey": "id",
                    "fields": [
                        {"name": column, "type": _TYPES.get(shape.fields.get(column, ""), "string")}
                        for column in shape.columns
                    ],
                    **({"foreignKeys": keys} if keys else {}),
                },
            }
        )
    package = {
        "name": "human_services_data",
        "title": "Human services directory",
        "profile": "tabular-data-package",
        "version": VERSION,
        "resources": resources,
    }
    return json.dumps(package, indent=2).encode()


_TYPES: Final = {"number": "number", "date": "date", "moment": "datetime"}


def write_zip(stream: BinaryIO, tables: Tables) -> None:
    """Write a package as one zip file; the same content gives the same bytes."""
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in tables.contents():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)


def write_directory(directory: Path, tables: Tables) -> list[str]:
    """Write a package as files in a directory; give their names."""
    directory.mkdir(parents=True, exist_ok=True)
    names = []
    for name, content in tables.contents():
        (directory / name).write_bytes(content)
        names.append(name)
    return names
