"""Read the readings of a base from a sheet: two columns, target and reading, in CSV or XLSX."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable, Sequence
from datetime import date, time
from typing import Any

from regional311.errors import InvalidInput

MOST_BYTES = 1_000_000
MOST_ROWS = 500
HEADINGS = ("target", "reading")


class SheetRefused(InvalidInput):
    """A sheet cannot be read; the message names the row."""


def read_sheet(content: bytes) -> dict[str, str]:
    """Read a sheet with the headings *target* and *reading*; empty rows do not count.

    Readings stay text: what they may say is decided where a snapshot is taken. In a workbook the
    first sheet counts; formulas and dates are refused, because nobody can see what they will say.

    :raises SheetRefused: in one sentence with the row.
    """
    _refuse_larger(len(content), MOST_BYTES)
    rows = _workbook(content) if content.startswith(b"PK") else _text(content)
    found: dict[str, str] = {}
    headings: list[str] | None = None
    for number, row in enumerate(rows, 1):
        values = [_value(each, number) for each in row]
        while values and not values[-1]:
            values.pop()
        if not values:
            continue
        if headings is None:
            headings = [each.lower() for each in values]
            if headings != list(HEADINGS):
                raise SheetRefused(
                    "The first row must be the headings target and reading.", field="file"
                )
            continue
        if len(values) != len(HEADINGS) or not all(values):
            raise SheetRefused(
                f"Row {number} must have a target and a reading, nothing else.", field="file"
            )
        if values[0] in found:
            raise SheetRefused(f"Row {number}: {values[0]} is there twice.", field="file")
        found[values[0]] = values[1]
        if len(found) > MOST_ROWS:
            raise SheetRefused(f"The sheet has more than {MOST_ROWS} rows.", field="file")
    if not found:
        raise SheetRefused("The sheet has no readings.", field="file")
    return found


def _refuse_larger(size: int, most: int) -> None:
    if size > most:
        raise SheetRefused(f"The file is larger than {most:,} bytes.", field="file")


def _text(content: bytes) -> Iterable[Sequence[Any]]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SheetRefused("The file is neither XLSX nor CSV in UTF-8.", field="file") from error
    if "\0" in text:
        raise SheetRefused("The file is neither XLSX nor CSV in UTF-8.", field="file")
    delimiter = ";" if ";" in text.partition("\n")[0] else ","
    try:
        return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise SheetRefused(f"The file is not CSV: {error}.", field="file") from error


def _workbook(content: bytes) -> Iterable[Sequence[Any]]:
    from openpyxl import load_workbook

    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            unpacked = sum(each.file_size for each in archive.infolist())
        _refuse_larger(unpacked, 50 * MOST_BYTES)
        book = load_workbook(io.BytesIO(content), read_only=True, data_only=False)
        try:
            return [
                row
                for row, _ in zip(
                    book.worksheets[0].iter_rows(values_only=True, max_col=8),
                    range(MOST_ROWS * 4),
                    strict=False,
                )
            ]
        finally:
            book.close()
    except SheetRefused:
        raise
    except Exception as error:
        # openpyxl raises whatever a broken part makes it stumble over
        raise SheetRefused("The file is not a workbook that can be read.", field="file") from error


def _value(value: Any, number: int) -> str:
    if value is None:
        return ""
    if isinstance(value, str) and value.startswith("="):
        raise SheetRefused(f"Row {number} has a formula; paste its value instead.", field="file")
    if isinstance(value, bool | date | time):
        raise SheetRefused(f"Row {number} has {value}, which is not a reading.", field="file")
    if isinstance(value, float):
        return f"{value:.6f}".rstrip("0").rstrip(".")
    return str(value).strip()
