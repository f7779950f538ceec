"""Tables out and in as XLSX and CSV: what every sheet of this system has in common.

What goes out is the same bytes for the same content, and no cell of it can be taken for a formula.
What comes in is measured before it is unpacked, and refused in one sentence when it cannot be
read; what the cells mean is decided by whoever asked for them.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from openpyxl import Workbook, load_workbook
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.styles import Alignment, Font
from openpyxl.utils import get_column_letter
from openpyxl.xml.functions import tostring

from regional311.errors import InvalidInput

FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula."""

_BEGINNING: Final = (1980, 1, 1, 0, 0, 0)
_OLD_WORKBOOK: Final = b"\xd0\xcf\x11\xe0"
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")


class SheetRefused(InvalidInput):
    """The file as a whole cannot be taken in."""


class Formula(str):
    """A cell of a file that holds a formula; its text, as it stands there."""

    __slots__ = ()


def packed(book: Workbook) -> bytes:
    """Save a workbook without the moment of saving: the same cells give the same bytes."""
    saved, target = io.BytesIO(), io.BytesIO()
    book.save(saved)
    moment = datetime(1980, 1, 1, tzinfo=UTC).replace(tzinfo=None)
    book.properties.created = book.properties.modified = moment
    core = tostring(book.properties.to_tree())
    with zipfile.ZipFile(saved) as parts, zipfile.ZipFile(target, "w") as out:
        for name in sorted(parts.namelist(), key=lambda each: (each[0] != "[", each)):
            entry = zipfile.ZipInfo(name, _BEGINNING)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 0
            out.writestr(entry, core if name == "docProps/core.xml" else parts.read(name))
    return target.getvalue()


def write_xlsx(title: str, headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """Write a table of text and whole numbers as a workbook with one sheet."""
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = title
    sheet.freeze_panes = "B2"
    for place, name in enumerate(headings, 1):
        sheet.cell(1, place, name).font = Font(bold=True)
        sheet.column_dimensions[get_column_letter(place)].width = 20
    for number, row in enumerate(rows, 2):
        for place, value in enumerate(row, 1):
            if value is None or value == "":
                continue
            cell = sheet.cell(number, place)
            if isinstance(value, str):
                cell.value = ILLEGAL_CHARACTERS_RE.sub("", value)
                cell.data_type = "s"
                cell.alignment = Alignment(vertical="top", wrap_text="\n" in value)
            else:
                cell.value = value
                cell.alignment = Alignment(vertical="top")
    return packed(book)


def write_csv(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """Write a table as CSV (RFC 4180, UTF-8); what looks like a formula gets an apostrophe."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(headings)
    writer.writerows(["" if each is None else defused(str(each)) for each in row] for row in rows)
    return text.getvalue().encode()


def defused(text: str) -> str:
    """Give a text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text


def fused(text: str) -> str:
    """Give a text without the apostrophe of `defused`.

    >>> fused(defused("-5")), fused("'tis")
    ('-5', "'tis")
    """
    return text[1:] if text.startswith("'") and text[1:].startswith(FORMULA) else text


def read_table(content: bytes, *, sheet: str, most_bytes: int, most_rows: int) -> list[list[Any]]:
    """Read the rows of a CSV file, or of a workbook's sheet of that name or else its first.

    Cells are text, numbers, truth values, dates, None, or `Formula`. Raises `SheetRefused` for a
    file that is too large, of another kind, or in another encoding than UTF-8.
    """
    if len(content) > most_bytes:
        raise SheetRefused(f"The file is larger than {most_bytes:,} bytes.", field="sheet")
    if content.startswith(b"PK"):
        rows = _workbook(content, sheet, most_bytes * 20, most_rows)
    else:
        rows = _text(content)
    if len(rows) > most_rows + 1:
        raise SheetRefused(f"A file has at most {most_rows:,} rows.", field="sheet")
    return rows


def _workbook(content: bytes, name: str, most_unpacked: int, most_rows: int) -> list[list[Any]]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as parts:
            unpacked = sum(part.file_size for part in parts.infolist())
        _refuse_unpacked(unpacked, most_unpacked)
        book = load_workbook(io.BytesIO(content), read_only=True, keep_links=False)
        try:
            there = book[name] if name in book.sheetnames else book.worksheets[0]
            rows = there.iter_rows(max_row=most_rows + 2)
            return [[_cell(each) for each in row] for row in rows]
        finally:
            book.close()
    except SheetRefused:
        raise
    except Exception as error:
        # openpyxl raises whatever a broken part makes it stumble over
        raise SheetRefused(
            "This is not an XLSX workbook that can be read.", field="sheet"
        ) from error


def _refuse_unpacked(size: int, most: int) -> None:
    if size > most:
        raise SheetRefused("The file is too large when unpacked.", field="sheet")


def _cell(cell: Any) -> Any:
    # a text may begin with what begins a formula; the file says which it is
    return Formula(cell.value) if cell.data_type == "f" else cell.value


def _text(content: bytes) -> list[list[Any]]:
    if content.startswith(_OLD_WORKBOOK):
        raise SheetRefused(
            "This is a workbook of an old Excel (.xls); save it as .xlsx.", field="sheet"
        )
    if content.startswith(_UTF16):
        raise SheetRefused("The file is in UTF-16; save it as CSV in UTF-8.", field="sheet")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise SheetRefused(
            f"Line {line}: the file is not in UTF-8, but probably in Windows-1252 (byte"
            f" {content[error.start]:02X}); save it as CSV in UTF-8.",
            field="sheet",
        ) from None
    if "\0" in text:
        raise SheetRefused("The file is neither XLSX nor CSV.", field="sheet")
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise SheetRefused(f"The file is not CSV: {error}.", field="sheet") from error
    return [[Formula(each) if each.startswith("=") else each for each in row] for row in rows]
