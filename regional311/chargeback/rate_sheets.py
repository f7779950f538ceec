"""A partner's rates as a spreadsheet: out, edited by hand, and in again.

One row is one rate; a rate that has no row any more ends. Days are cells with dates, amounts
numbers or decimal text, everything else text. What cannot be trusted is refused with its row and
column: formulas, days as text, numbers that are not exact at six places, other headings, unknown
sheets of numbers. Nothing here changes anything.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from openpyxl import Workbook, load_workbook
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter
from openpyxl.utils.exceptions import InvalidFileException

from regional311.chargeback.rate_cards import RateSaid, plain
from regional311.chargeback.rate_changes import Change
from regional311.chargeback.rate_texts import (
    read_phases,
    read_steps,
    read_surcharges,
    say_phases,
    say_steps,
    say_surcharges,
)
from regional311.errors import DomainError
from regional311.spreadsheets import SheetRefused, packed

COLUMNS = (
    "key",
    "card",
    "activity",
    "channel",
    "service",
    "language",
    "hours",
    "unit",
    "model",
    "amount",
    "steps",
    "surcharges",
    "phases",
    "valid_from",
    "valid_to",
    "source",
)
MOST_BYTES = 2_000_000
MOST_UNPACKED = 40_000_000
MOST_ROWS = 20_000
MOST_ERRORS = 100
STEP = 500
"""Rows after which it is told how far the reading is."""

Progress = Callable[[int, int | None], None]
"""Called with the rows that were read, and how many the file says there are."""

_REQUIRED = ("key", "card", "activity", "hours", "unit", "model", "amount", "valid_from")
_DAYS = ("valid_from", "valid_to")
_UNREADABLE = (
    zipfile.BadZipFile,
    InvalidFileException,
    KeyError,
    ValueError,
    IndexError,
    OSError,
    SyntaxError,
    TypeError,
)


@dataclass(frozen=True, slots=True)
class CellError:
    """What is wrong in a row, and in which column."""

    row: int
    column: str
    message: str


@dataclass(frozen=True, slots=True)
class Sheet:
    """What a file says: its rates by row, and what is broken."""

    rates: tuple[tuple[int, RateSaid], ...]
    errors: tuple[CellError, ...]


class _Broken(Exception):
    def __init__(self, column: str, message: str) -> None:
        super().__init__(message)
        self.column, self.message = column, message


def write_sheet(rates: Iterable[RateSaid]) -> bytes:
    """Return a workbook with a row for each rate; the same rates give the same bytes."""
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = "Rates"
    sheet.freeze_panes = "A2"
    for place, name in enumerate(COLUMNS, 1):
        sheet.cell(1, place, name).font = Font(bold=True)
        sheet.column_dimensions[get_column_letter(place)].width = 16
    for number, rate in enumerate(rates, 2):
        for place, name in enumerate(COLUMNS, 1):
            value = _said(rate, name)
            if value is None or value == "":
                continue
            cell = sheet.cell(number, place)
            if isinstance(value, str):
                cell.value = ILLEGAL_CHARACTERS_RE.sub("", value)
                cell.data_type = "s"
            else:
                cell.value = value
                cell.number_format = "yyyy-mm-dd"
    return packed(book)


def _said(rate: RateSaid, name: str) -> Any:
    if name == "amount":
        return plain(rate.amount)
    if name == "steps":
        return say_steps(rate.model, rate.steps)
    if name == "surcharges":
        return say_surcharges(rate.surcharges)
    if name == "phases":
        return say_phases(rate.phases)
    return getattr(rate, name)


def read_sheet(content: bytes, progress: Progress | None = None) -> Sheet:
    """Read a workbook as `write_sheet` makes it, after somebody edited it.

    Row by row: a large one is not held in memory as a whole, and `progress` hears how far it is.

    :raises SheetRefused: for a file that is too large, no workbook, or has other headings.
    """
    if len(content) > MOST_BYTES:
        raise SheetRefused(
            f"The file has {len(content):,} bytes; at most {MOST_BYTES:,} are taken.", field="sheet"
        )
    rates: list[tuple[int, RateSaid]] = []
    errors: list[CellError] = []
    places: dict[str, int] = {}
    for number, row, known in _rows(content):
        if number == 1:
            _check_headings(row)
            continue
        if number > MOST_ROWS + 1:
            raise SheetRefused(f"A file has at most {MOST_ROWS:,} rates.", field="sheet")
        if progress is not None and (number - 1) % STEP == 0:
            progress(number - 1, None if known is None else max(known - 1, number - 1))
        if all(cell.value in (None, "") for cell in row):
            continue
        if len(errors) >= MOST_ERRORS:
            break
        try:
            rate = _rate_of(row)
        except _Broken as broken:
            errors.append(CellError(number, broken.column, broken.message))
            continue
        if rate.key in places:
            message = f"Row {places[rate.key]} has this key already."
            errors.append(CellError(number, "key", message))
            continue
        places[rate.key] = number
        rates.append((number, rate))
    return Sheet(tuple(rates), tuple(errors))


def _rows(content: bytes) -> Iterator[tuple[int, list[Any], int | None]]:
    """Each row with its number and how many there should be; an empty sheet has an empty first."""
    number = 0
    try:
        _check_unpacked(content)
        book = load_workbook(io.BytesIO(content), read_only=True, keep_links=False)
        sheet = book["Rates"] if "Rates" in book.sheetnames else book.worksheets[0]
        rows = sheet.iter_rows(max_row=MOST_ROWS + 2)
        known = sheet.max_row
    except _UNREADABLE:
        raise _no_workbook() from None
    while True:
        try:
            row = next(rows, None)
        except _UNREADABLE:
            raise _no_workbook() from None
        if row is None:
            break
        number += 1
        yield number, list(row), known
    if not number:
        yield 1, [], known


def _no_workbook() -> SheetRefused:
    return SheetRefused(
        "This is not an XLSX workbook that can be read. Download the rates and edit that file.",
        field="sheet",
    )


def _check_unpacked(content: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(content)) as parts:
        if sum(part.file_size for part in parts.infolist()) > MOST_UNPACKED:
            raise SheetRefused("The file is too large when unpacked.", field="sheet")


def _check_headings(row: list[Any]) -> None:
    found = [cell.value for cell in row]
    while found and found[-1] is None:
        found.pop()
    for place, wanted in enumerate(COLUMNS):
        is_there = found[place] if place < len(found) else None
        if is_there != wanted:
            raise SheetRefused(
                f"Row 1, column {get_column_letter(place + 1)}: the heading must be {wanted!r},"
                f" not {str(is_there or '')[:60]!r}.",
                field="sheet",
            )
    if len(found) > len(COLUMNS):
        letter = get_column_letter(len(COLUMNS) + 1)
        raise SheetRefused(f"Row 1, column {letter}: there is no such column.", field="sheet")


def _rate_of(row: list[Any]) -> RateSaid:
    said: dict[str, Any] = {}
    for place, name in enumerate(COLUMNS):
        said[name] = _value(name, row[place]) if place < len(row) else None
    for place, cell in enumerate(row[len(COLUMNS) :], len(COLUMNS) + 1):
        if cell.value not in (None, ""):
            raise _Broken(get_column_letter(place), "There is no such column.")
    for name in _REQUIRED:
        if said[name] is None:
            raise _Broken(name, "Fill this in.")
    try:
        rate = RateSaid(
            **(
                said
                | {
                    "steps": read_steps(said["model"], said["steps"]),
                    "surcharges": read_surcharges(said["surcharges"]),
                    "phases": read_phases(said["phases"]),
                }
            )
        )
        rate.check()
    except DomainError as error:
        column = (error.field or "key").partition(".")[0].partition("[")[0]
        raise _Broken(column, error.message) from None
    return rate


def _value(name: str, cell: Any) -> Any:
    value = cell.value
    if value is None or value == "":
        return None
    if cell.data_type == "f" or (isinstance(value, str) and value.startswith("=")):
        raise _Broken(name, "A formula cannot be taken in; write its value.")
    if cell.data_type == "e":
        raise _Broken(name, f"The cell holds an error, {value}.")
    if name in _DAYS:
        return _day(name, value)
    if name == "amount":
        return _amount(name, value)
    if isinstance(value, bool) or not isinstance(value, str):
        if isinstance(value, int | float):
            raise _Broken(name, "The cell must be text; format the column as text.")
        raise _Broken(name, "The cell must be text.")
    return value.strip() or None


def _day(name: str, value: Any) -> date:
    if isinstance(value, datetime):
        if value.time() != datetime.min.time():
            raise _Broken(name, "A day has no time.")
        return value.date()
    if isinstance(value, date):
        return value
    raise _Broken(name, f"{str(value)[:40]!r} is text, not a date; enter it as a date.")


def _amount(name: str, value: Any) -> Decimal:
    if isinstance(value, bool):
        raise _Broken(name, "Write a number.")
    if isinstance(value, int):
        return Decimal(value)
    if isinstance(value, float):
        # what the sheet shows for a binary fraction: its shortest decimal text
        text = repr(value)
    elif isinstance(value, str) and value.isascii() and set(value.strip()) <= set("0123456789."):
        text = value.strip()
    else:
        raise _Broken(name, f"{str(value)[:40]!r} is not a number, such as 4.90.")
    try:
        found = Decimal(text)
    except InvalidOperation:
        raise _Broken(name, f"{text[:40]!r} is not a number, such as 4.90.") from None
    if not found.is_finite() or found != round(found, 6):
        raise _Broken(name, f"{text[:40]} is not exact at six decimal places.")
    return found


def changes_from(
    sheet: Sheet, known: Iterable[RateSaid], rows: Mapping[str, UUID], today: date
) -> list[Change]:
    """The changes that make what is known (`rows`: key to row) what the sheet says.

    A rate without a row in the sheet ends: today when it holds, at once when it has not begun. One
    that has ended already needs no row.
    """
    said = {rate.key for _, rate in sheet.rates}
    changes = [Change(rate.key, rows.get(rate.key), rate) for _, rate in sheet.rates]
    for rate in known:
        if rate.key in said or (rate.valid_to is not None and rate.valid_to <= today):
            continue
        begun = rate.valid_from is None or rate.valid_from < today
        ended = replace(rate, valid_to=today) if begun else None
        changes.append(Change(rate.key, rows[rate.key], ended))
    return changes
