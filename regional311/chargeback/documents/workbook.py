"""A statement as an XLSX workbook: numbers as numbers, no formula, the same bytes every time.

openpyxl writes row by row, so that memory does not grow with the lines. It stamps the moment of
saving into the file; the parts are packed again with the statement's own date.
"""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from datetime import UTC
from decimal import Decimal
from typing import IO, Any, cast

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.styles import Font
from openpyxl.xml.functions import tostring

from regional311.chargeback.documents.content import Document
from regional311.chargeback.documents.exports import COLUMNS, line_record
from regional311.chargeback.queries import LineRow
from regional311.money import from_cents

ROWS = 1_048_000
"""How many lines fit on a sheet; more are in CSV and JSON, and the cover says so."""

_CORE = "docProps/core.xml"
_BEGINNING = (1980, 1, 1, 0, 0, 0)
_BOLD = Font(bold=True)
_MONEY = "#,##0.00"
_EXACT = "#,##0.00####"
_HEADINGS = {
    "statement": "Statement",
    "position": "Line",
    "kind": "Kind",
    "service_period": "Service period",
    "label": "For",
    "note": "Note",
    "corrects_statement": "Corrects statement",
    "corrects_line": "Corrects line",
    "agreement": "Agreement",
    "payer_reference": "Your reference",
    "quantity": "Quantity",
    "price": "Price",
    "exact_amount": "Exact amount",
    "amount_cents": "Amount",
    "items": "Pieces of work",
}
_WIDTHS = (14, 7, 12, 15, 60, 40, 14, 9, 26, 34, 12, 12, 14, 14, 12)


def write_xlsx(document: Document, lines: Iterable[LineRow], target: IO[bytes]) -> None:
    """Write the document with all its lines to `target`, a file that can be sought."""
    book = Workbook(write_only=True)
    _cover(book, document)
    _lines(book, document, lines)
    book.properties.creator = document.issuer.name
    book.properties.title = document.title
    with tempfile.TemporaryFile() as saved:
        book.save(cast("Any", saved))
        _repack(book, document, saved, target)


def _repack(book: Workbook, document: Document, saved: IO[bytes], target: IO[bytes]) -> None:
    made = document.made_at.astimezone(UTC).replace(tzinfo=None, microsecond=0)
    book.properties.created = book.properties.modified = made
    core = tostring(book.properties.to_tree())
    with (
        zipfile.ZipFile(saved) as parts,
        zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in sorted(
            parts.namelist(), key=lambda name: (name != "[Content_Types].xml", name)
        ):
            entry = zipfile.ZipInfo(name, _BEGINNING)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 0
            with packed.open(entry, "w", force_zip64=True) as to:
                if name == _CORE:
                    to.write(core if isinstance(core, bytes) else core.encode())
                    continue
                with parts.open(name) as source:
                    while piece := source.read(1 << 16):
                        to.write(piece)


def _cover(book: Workbook, document: Document) -> None:
    sheet = book.create_sheet("Cover")
    for column, width in zip("ABC", (34, 22, 22), strict=True):
        sheet.column_dimensions[column].width = width
    sheet.append([_text(sheet, document.title, bold=True)])
    if document.warning:
        sheet.append([_text(sheet, document.warning, bold=True)])
    for sentence in document.sentences:
        sheet.append([_text(sheet, sentence)])
    sheet.append([])
    for name, value in _facts(document):
        sheet.append([_text(sheet, name), value if isinstance(value, int) else _said(sheet, value)])
    sheet.append([])
    before = document.last_year
    heads = ["For", document.period, *([before[0]] if before else [])]
    sheet.append([_text(sheet, each, bold=True) for each in heads])
    for part in document.parts:
        row = [_text(sheet, part.name), _cents(sheet, part.amount_cents)]
        sheet.append(row + ([_cents(sheet, part.last_year_cents or 0)] if before else []))
    row = [_text(sheet, "Total", bold=True), _cents(sheet, document.total_cents, bold=True)]
    sheet.append(row + ([_cents(sheet, before[1], bold=True)] if before else []))


def _facts(document: Document) -> Iterator[tuple[str, Any]]:
    yield "Number", document.number
    yield "Period", document.period
    yield "From", document.issuer.name
    yield "To", document.payer.name
    yield "Date", document.dated
    if document.due_on is not None:
        yield "Due", document.due_on
    if document.corrects:
        yield "About statement", document.corrects
    yield from document.references
    if document.budget is not None:
        yield f"Budget for {document.budget.label}", from_cents(document.budget.amount_cents)
        yield "Used with this statement", from_cents(document.budget.used_cents)
    yield "Lines", document.line_count
    if document.line_count > ROWS:
        yield "Lines on the next sheet", f"the first {ROWS:,}; CSV and JSON have all of them"
    yield "Fingerprint (SHA-256)", document.digest


def _lines(book: Workbook, document: Document, lines: Iterable[LineRow]) -> None:
    sheet = book.create_sheet("Lines")
    for place, width in enumerate(_WIDTHS):
        sheet.column_dimensions[chr(ord("A") + place)].width = width
    sheet.freeze_panes = "A2"
    sheet.append([_text(sheet, _HEADINGS[name], bold=True) for name in COLUMNS])
    # a row is written as it is appended, so that its cells can serve the next one
    cells = {name: WriteOnlyCell(sheet) for name in COLUMNS}
    for name in ("price", "exact_amount"):
        cells[name].number_format = _EXACT
    cells["amount_cents"].number_format = _MONEY
    row = list(cells.values())
    for place, line in enumerate(lines):
        if place == ROWS:
            return
        values = line_record(document, line) | {
            "statement": document.number,
            "quantity": line.quantity,
            "price": line.price,
            "exact_amount": line.exact_amount,
            "amount_cents": from_cents(line.amount_cents),
        }
        for name, cell in cells.items():
            _put(cell, values[name])
        sheet.append(row)


def _put(cell: Any, value: Any) -> None:
    """Let a cell say a number, or a text also when it begins like a formula."""
    if isinstance(value, str):
        cell.value = ILLEGAL_CHARACTERS_RE.sub("", value)
        cell.data_type = "s"
    else:
        cell.value = value.normalize() if isinstance(value, Decimal) and value else value


def _said(sheet: Any, value: Any) -> Any:
    if isinstance(value, Decimal):
        return _money(sheet, value, _MONEY)
    return _text(sheet, value) if isinstance(value, str) else value


def _text(sheet: Any, value: str, *, bold: bool = False) -> Any:
    """A cell of text, also when it begins like a formula."""
    cell = WriteOnlyCell(sheet)
    _put(cell, value)
    if bold:
        cell.font = _BOLD
    return cell


def _cents(sheet: Any, cents: int, *, bold: bool = False) -> Any:
    cell = _money(sheet, from_cents(cents), _MONEY)
    if bold:
        cell.font = _BOLD
    return cell


def _money(sheet: Any, amount: Decimal, form: str = _EXACT) -> Any:
    cell = WriteOnlyCell(sheet, cast("Any", amount))
    cell.number_format = form
    return cell
