"""Files of a package as rows and documents: directories, zips, CSV of any HSDS, JSON, ndjson.

Nothing is unpacked to disk, nothing is believed: sizes are checked before anything is read.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import lzma
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Final

import orjson

from regional311.catalog.hsds.faults import Fault, LeftOut, PackageTooLarge, PackageUnreadable
from regional311.catalog.hsds.shapes import SHAPES
from regional311.catalog.hsds.tabular import armed

MOST_BYTES: Final = 200 * 1024 * 1024
"""Size of everything in a package, unpacked."""

MOST_FILES: Final = 200
MOST_ROWS: Final = 1_000_000
_MOST_CELL: Final = 1_000_000
_JSON: Final = (".json", ".ndjson", ".jsonl")
_UNREADABLE: Final = re.compile("[\udc80-\udcff]")
_ESCAPED_CONTROL: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u00[01]")
_DAMAGED: Final = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    ValueError,
    RuntimeError,
    NotImplementedError,
    OSError,
    EOFError,
)
"""What a damaged zip file makes the library raise."""

_CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")

TABLES: Final = {
    **{name: name for name in SHAPES},
    **{shape.file.removesuffix(".csv"): name for name, shape in SHAPES.items()},
    **{f"{name}s": name for name in SHAPES},
    "services_at_location": "service_at_location",
    "services_at_locations": "service_at_location",
    "accessibility_for_disabilities": "accessibility",
    "service_capacities": "service_capacity",
    "additional_urls": "url",
    "additional_websites": "url",
    # tables of HSDS 1 and 2
    "physical_address": "physical_address",
    "physical_addresses": "physical_address",
    "postal_address": "postal_address",
    "postal_addresses": "postal_address",
    "regular_schedule": "regular_schedule",
    "regular_schedules": "regular_schedule",
    "holiday_schedule": "holiday_schedule",
    "holiday_schedules": "holiday_schedule",
    "service_taxonomy": "service_taxonomy",
    "services_taxonomy": "service_taxonomy",
    "service_taxonomies": "service_taxonomy",
    "service_attribute": "service_attribute",
    "service_attributes": "service_attribute",
    "other_attribute": "other_attribute",
    "other_attributes": "other_attribute",
    "eligibility": "eligibility",
    "eligibilities": "eligibility",
    "payment_accepted": "payment_accepted",
    "payments_accepted": "payment_accepted",
}
"""File names, as they are found, and what table each is."""

_NOT_KEPT: Final = frozenset(
    {"meta_table_description", "meta_table_descriptions", "datapackage", "base"}
)
"""Files about the package itself."""


@dataclass(slots=True)
class Row:
    """A row of a table, with where it stands; `values` has no blanks."""

    file: str
    number: int
    values: dict[str, Any]


@dataclass
class Files:
    """What is in a package: rows by table, and JSON documents.

    A document comes with its file, its place in it from 1, and its kind when the file says that.
    """

    tables: dict[str, list[Row]] = field(default_factory=dict)
    documents: list[tuple[str, int, str | None, Any]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)


def read_path(path: Path) -> Files:
    """Read a directory, a zip, or a single file.

    Raises `PackageUnreadable` or `PackageTooLarge`.
    """
    if not path.is_dir():
        with path.open("rb") as stream:
            return read_stream(stream, path.name)
    members = sorted(each for each in path.iterdir() if each.is_file())
    _check(sum(each.stat().st_size for each in members), len(members))
    return _gather((each.name, each.read_bytes()) for each in members)


def read_stream(stream: BinaryIO, name: str) -> Files:
    """Read a package from an open file that is called `name`; see `read_path`."""
    size = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    _check(size, 1)
    if size == 0:
        raise PackageUnreadable(f"{name} is empty.")
    if not zipfile.is_zipfile(stream):
        stream.seek(0)
        return _gather([(name, stream.read())])
    try:
        with zipfile.ZipFile(stream) as archive:
            members = [each for each in archive.infolist() if _counts(each)]
            _check(sum(each.file_size for each in members), len(members))
            contents = [(PurePosixPath(each.filename).name, archive.read(each)) for each in members]
    except _DAMAGED as error:
        raise PackageUnreadable(f"{name} is a zip file that cannot be read: {error}.") from error
    return _gather(contents)


def _counts(member: zipfile.ZipInfo) -> bool:
    parts = PurePosixPath(member.filename).parts
    return not member.is_dir() and not any(each.startswith((".", "__MACOSX")) for each in parts)


def _check(size: int, files: int) -> None:
    if size > MOST_BYTES:
        raise PackageTooLarge(
            f"The package has {size // 1_000_000} MB; at most {MOST_BYTES // 1_000_000} MB are"
            " taken in one go."
        )
    if files > MOST_FILES:
        raise PackageTooLarge(f"The package has {files} files; at most {MOST_FILES} are taken.")


def _gather(members: Any) -> Files:
    found = Files()
    contents = dict(members)
    paths = _paths(contents.pop("datapackage.json", b""))
    for name, content in contents.items():
        stem, suffix = PurePosixPath(name.lower()).stem, PurePosixPath(name.lower()).suffix
        if stem in _NOT_KEPT:
            continue
        if suffix in _JSON:
            _read_json(found, name, content)
        elif suffix == ".csv":
            table = paths.get(name) or TABLES.get(stem)
            if table is None:
                found.faults.append(
                    Fault(name, 0, "", "is no table of HSDS; it is left aside", LeftOut.NOTHING)
                )
                continue
            _read_csv(found, name, table, content)
    if not found.tables and not found.rows:
        named = ", ".join(sorted(contents)[:5]) or "nothing"
        raise PackageUnreadable(
            f"There is no table or document of HSDS in it, but {named}. Give CSV files such as"
            " services.csv, JSON, or a zip of them."
        )
    return found


def _paths(datapackage: bytes) -> dict[str, str]:
    """Give the tables that a datapackage.json names by file."""
    try:
        resources = json.loads(datapackage or b"{}").get("resources", [])
        named = [(PurePosixPath(each["path"]).name, each["name"]) for each in resources]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise PackageUnreadable(f"datapackage.json cannot be read: {error}.") from error
    return {path: TABLES[name] for path, name in named if name in TABLES}


# --- CSV -----------------------------------------------------------------------------------------


def _read_csv(found: Files, name: str, table: str, content: bytes) -> None:
    text = _decoded(content)
    header, _, _ = text.partition("\n")
    delimiter = max(",;\t", key=header.count)
    before = csv.field_size_limit(_MOST_CELL)
    try:
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        rows = found.tables.setdefault(table, [])
        columns = [each.strip().casefold() for each in next(lines, [])]
        if _UNREADABLE.search("".join(columns)) or not any(columns):
            raise PackageUnreadable(f"{name}: the first row must name the columns, in UTF-8.")
        for number, cells in enumerate(lines, 2):
            found.rows[name] = found.rows.get(name, 0) + 1
            if number > MOST_ROWS:
                raise PackageTooLarge(f"{name} has more than {MOST_ROWS} rows.")
            fault = _row_fault(name, number, columns, cells)
            if fault is not None:
                found.faults.append(fault)
                continue
            values = {
                column: armed(cell)
                for column, cell in zip(columns, cells, strict=False)
                if cell.strip() and column
            }
            if values:
                rows.append(Row(name, number, values))
    except csv.Error as error:
        raise PackageUnreadable(f"{name} is no CSV: {error}.") from error
    finally:
        csv.field_size_limit(before)


def _decoded(content: bytes) -> str:
    """Read UTF-8 or, with its mark, UTF-16; other bytes stay recognisable in their rows."""
    for mark, encoding in ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")):
        if content.startswith(mark):
            return content.decode(encoding, "replace")
    return content.decode("utf-8-sig", "surrogateescape")


def _row_fault(name: str, number: int, columns: list[str], cells: list[str]) -> Fault | None:
    for column, cell in zip(columns, cells, strict=False):
        wrong = _UNREADABLE.search(cell)
        if wrong is not None:
            byte = ord(wrong[0]) - 0xDC00
            reason = f"byte 0x{byte:02X} is not UTF-8; save the file as UTF-8 (not Windows or Mac)"
            return Fault(name, number, column, reason, LeftOut.ROW)
        if _CONTROL.search(cell):
            return Fault(name, number, column, "has a control character", LeftOut.ROW)
    if any(cell.strip() for cell in cells[len(columns) :]):
        reason = f"has {len(cells)} cells; the file has {len(columns)} columns"
        return Fault(name, number, "", reason, LeftOut.ROW)
    return None


# --- JSON ----------------------------------------------------------------------------------------


def _read_json(found: Files, name: str, content: bytes) -> None:
    for document in _documents(name, content):
        listed = _tables_in(document)
        if listed is not None:
            for file, table, rows in listed:
                found.rows[file] = len(rows)
                found.tables.setdefault(table, []).extend(
                    Row(file, number, {k: str(v) for k, v in row.items() if v not in (None, "")})
                    for number, row in enumerate(rows, 2)
                    if _may_be_kept(found, file, number, row)
                )
            continue
        for kind, each in _spread(document):
            number = found.rows[name] = found.rows.get(name, 0) + 1
            if _may_be_kept(found, name, number, each):
                found.documents.append((name, number, kind, each))


def _may_be_kept(found: Files, name: str, number: int, document: Any) -> bool:
    """Whether a document holds only what text and numbers may hold; a fault when it does not."""
    try:
        wrong = _ESCAPED_CONTROL.search(orjson.dumps(document))
    except orjson.JSONEncodeError as error:
        reason = f"cannot be kept: {error}"
    else:
        if wrong is None:
            return True
        reason = "has a control character"
    found.faults.append(Fault(name, number, "", reason, LeftOut.ROW))
    return False


def _documents(name: str, content: bytes) -> Iterator[Any]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PackageUnreadable(
            f"{name}: byte 0x{content[error.start]:02X} at {error.start} is not UTF-8; save the"
            " file as UTF-8."
        ) from error
    by_line = not name.lower().endswith(".json")
    for number, part in enumerate(text.splitlines() if by_line else [text], 1):
        if not part.strip():
            continue
        try:
            yield json.loads(part, parse_constant=_no_number)
        except (ValueError, RecursionError) as error:
            where = f" line {number}" if by_line else ""
            raise PackageUnreadable(f"{name}{where} is no JSON: {error}.") from error


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number")


def _tables_in(document: Any) -> list[tuple[str, str, list[Any]]] | None:
    """Give the tables of a document that holds a CSV package as JSON, by file name."""
    if not isinstance(document, dict) or not document:
        return None
    found = []
    for file, rows in document.items():
        stem = file.removesuffix(".csv")
        if not file.endswith(".csv") or not isinstance(rows, list):
            return None
        if stem in TABLES and all(isinstance(each, dict) for each in rows):
            found.append((file, TABLES[stem], rows))
    return found


def _spread(document: Any, kind: str | None = None) -> Iterator[tuple[str | None, Any]]:
    """Give the documents of a list, of a page of the API, or of lists by kind."""
    if isinstance(document, list):
        for each in document:
            yield from _spread(each, kind)
    elif isinstance(document, dict) and isinstance(document.get("contents"), list):
        yield from _spread(document["contents"], kind)
    elif (
        isinstance(document, dict)
        and document
        and "id" not in document
        and all(isinstance(each, list) and name in TABLES for name, each in document.items())
    ):
        for name, each in document.items():
            yield from _spread(each, TABLES[name])
    else:
        yield kind, document
