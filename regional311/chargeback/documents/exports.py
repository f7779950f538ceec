"""A statement as CSV and JSON, piece by piece, however many lines it has.

JSON is one object: `schema` (`regional311/statement/1`), the header, and `lines`. Amounts in cents
are numbers, exact amounts, prices and quantities are decimal text. CSV has one row a line (RFC
4180, UTF-8); a text that a spreadsheet would take for a formula is defused with an apostrophe.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from regional311.chargeback.documents.content import Document, line_note
from regional311.chargeback.queries import LineRow

SCHEMA = "regional311/statement/1"
COLUMNS = (
    "statement",
    "position",
    "kind",
    "service_period",
    "label",
    "note",
    "corrects_statement",
    "corrects_line",
    "agreement",
    "payer_reference",
    "quantity",
    "price",
    "exact_amount",
    "amount_cents",
    "items",
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_ROWS = 500


def line_record(document: Document, line: LineRow) -> dict[str, Any]:
    """A line as plain values under the names of `COLUMNS`, without the statement's number."""
    corrects = line.basis.get("corrects")
    named: Mapping[str, Any] = corrects if isinstance(corrects, Mapping) else {}
    references = document.agreement_references.get(line.agreement_key, ())
    return {
        "position": line.position,
        "kind": line.kind,
        "service_period": line.service_period,
        "label": line.label,
        "note": line_note(line),
        "corrects_statement": named.get("statement"),
        "corrects_line": named.get("line"),
        "agreement": line.agreement_key,
        "payer_reference": "; ".join(f"{name}: {value}" for name, value in references) or None,
        "quantity": f"{line.quantity:f}",
        "price": None if line.price is None else f"{line.price:f}",
        "exact_amount": f"{line.exact_amount:f}",
        "amount_cents": line.amount_cents,
        "items": line.item_count,
    }


def header_record(document: Document) -> dict[str, Any]:
    """The statement without its lines, as plain values."""
    return {
        "schema": SCHEMA,
        "public_id": document.public_id,
        "number": None if document.number == document.public_id else document.number,
        "kind": document.kind,
        "side": document.side,
        "state": document.state,
        "period": document.period_key,
        "issuer": {"name": document.issuer.name, "contact": list(document.issuer.lines)},
        "payer": {"name": document.payer.name, "contact": list(document.payer.lines)},
        "dated": document.dated.isoformat(),
        "due_on": None if document.due_on is None else document.due_on.isoformat(),
        "corrects": document.corrects,
        "agreements": [
            {
                "key": key,
                "name": name,
                "payer_reference": dict(document.agreement_references.get(key, ())),
            }
            for key, name in document.agreements
        ],
        "summary": list(document.sentences),
        "parts": [
            {
                "name": part.name,
                "kind": part.kind,
                "amount_cents": part.amount_cents,
                "last_year_cents": part.last_year_cents,
                "items": part.item_count,
            }
            for part in document.parts
        ],
        "total_cents": document.total_cents,
        "line_count": document.line_count,
        "item_count": document.item_count,
        "digest": document.digest,
    }


def stream_json(
    document: Document, lines: Iterable[LineRow], also: Mapping[str, Any] | None = None
) -> Iterator[bytes]:
    """The whole statement as one JSON object in pieces; `also` adds to its header."""
    header = json.dumps(header_record(document) | dict(also or {}), ensure_ascii=False)
    yield f"{header[:-1]}, ".encode() + b'"lines": ['
    piece: list[str] = []
    first = True
    for line in lines:
        record = line_record(document, line) | {"basis": line.basis}
        piece.append(("" if first else ",") + "\n" + json.dumps(record, ensure_ascii=False))
        first = False
        if len(piece) == _ROWS:
            yield "".join(piece).encode()
            piece.clear()
    yield "".join(piece).encode() + b"\n]}\n"


def stream_csv(document: Document, lines: Iterable[LineRow]) -> Iterator[bytes]:
    """The lines of the statement as CSV in pieces."""

    def rows() -> Iterator[list[Any]]:
        yield list(COLUMNS)
        for line in lines:
            yield [document.number, *line_record(document, line).values()]

    return csv_pieces(rows())


def csv_pieces(rows: Iterable[Iterable[Any]]) -> Iterator[bytes]:
    """Rows as CSV, some hundreds at a time."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    for count, row in enumerate(rows, 1):
        writer.writerow([_cell(each) for each in row])
        if count % _ROWS == 0:
            yield buffer.getvalue().encode()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue().encode()


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, str) and value.startswith(_FORMULA):
        return value if _is_number(value) else f"'{value}"
    return value


def _is_number(text: str) -> bool:
    """Whether a text is a plain negative number, which is no formula."""
    return text.removeprefix("-").replace(".", "", 1).isdecimal()
