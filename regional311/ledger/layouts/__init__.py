"""What a batch for another general ledger looks like: data in TOML, one file a layout.

A layout has a name, a delimiter, an end of line, a form of dates, and columns; a column has a
title and either a `constant` or a `value` of `VALUES`, changed by `map`, `prefix` and `longest`.
`required` refuses a posting whose value is empty. Amounts are dollars and cents with a point.
"""

from __future__ import annotations

import csv
import io
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from importlib import resources
from typing import Any

from regional311.errors import InvalidInput, NotFound
from regional311.money import from_cents

VALUES = frozenset(
    {
        "account",
        "account_name",
        "amount",
        "batch_number",
        "booked_on",
        "cost_centre",
        "credit",
        "debit",
        "entry_id",
        "entry_number",
        "external_code",
        "family",
        "fiscal_month",
        "fiscal_year",
        "fund_code",
        "leg",
        "memo",
        "party",
        "period",
        "posted_on",
        "service_period",
        "side",
        "signed",
    }
)
"""What a column may show of a posting."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_AMOUNTS = frozenset({"amount", "credit", "debit", "signed"})
_SAFE = _AMOUNTS | {"booked_on", "posted_on", "entry_id", "leg", "batch_number"}
_COLUMN_KEYS = frozenset({"title", "constant", "value", "map", "prefix", "longest", "required"})
_KEYS = frozenset({"name", "delimiter", "line_end", "date_format", "column"})


class BadLayout(InvalidInput):
    """A layout names what there is not."""


class CodeMissing(InvalidInput):
    """A posting has no value for a column that the other ledger requires."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a layout."""

    title: str
    constant: str | None = None
    value: str | None = None
    map: Mapping[str, str] | None = None
    prefix: str = ""
    longest: int | None = None
    required: bool = False


@dataclass(frozen=True, slots=True)
class Layout:
    """The form of a batch's file."""

    name: str
    delimiter: str
    line_end: str
    date_format: str
    columns: tuple[Column, ...]

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Layout:
        """Read a layout from plain values, as TOML and the stored batches have them.

        :raises BadLayout: naming the key and what is allowed.
        """
        if unknown := said.keys() - _KEYS:
            raise BadLayout(f"A layout has no {', '.join(sorted(unknown))}.")
        columns = []
        for place, each in enumerate(said.get("column", ()), 1):
            if unknown := each.keys() - _COLUMN_KEYS:
                raise BadLayout(f"Column {place} of a layout has no {', '.join(sorted(unknown))}.")
            if ("constant" in each) == ("value" in each):
                raise BadLayout(f"Column {place} has either a constant or a value.")
            if each.get("value", "leg") not in VALUES:
                raise BadLayout(
                    f"Column {place} shows {each['value']}; there are {', '.join(sorted(VALUES))}."
                )
            columns.append(Column(**each))
        if not columns:
            raise BadLayout("A layout has at least one column.")
        delimiter = said.get("delimiter", ",")
        if delimiter not in (",", ";", "\t", "|"):
            raise BadLayout("A delimiter is a comma, a semicolon, a tab or a bar.")
        return cls(
            name=said["name"],
            delimiter=delimiter,
            line_end=said.get("line_end", "\n"),
            date_format=said.get("date_format", "%Y-%m-%d"),
            columns=tuple(columns),
        )


def layout_names() -> dict[str, str]:
    """Key to name of every layout there is."""
    return {key: str(read_layout(key)["name"]) for key in sorted(_files())}


def read_layout(key: str) -> dict[str, Any]:
    """The plain values of a layout; a batch keeps them as they were.

    :raises NotFound: naming the layouts there are.
    """
    files = _files()
    if key not in files:
        raise NotFound(f"There is no layout {key}; there are {', '.join(sorted(files))}.")
    return tomllib.loads(files[key].read_text(encoding="utf-8"))


def _files() -> dict[str, Any]:
    return {
        each.name.removesuffix(".toml"): each
        for each in resources.files(__name__).iterdir()
        if each.name.endswith(".toml")
    }


def render(layout: Layout, postings: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """The file as chunks of bytes: the titles, then a row a posting; always the same bytes.

    A text that a spreadsheet would take for a formula is defused with an apostrophe.

    :raises CodeMissing: naming the account and the column that lacks a value.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=layout.delimiter, lineterminator=layout.line_end)
    writer.writerow([column.title for column in layout.columns])
    for place, posting in enumerate(postings, 1):
        writer.writerow([_cell(layout, column, posting) for column in layout.columns])
        if place % 1_000 == 0:
            yield text.getvalue().encode()
            text.seek(0)
            text.truncate()
    yield text.getvalue().encode()


def _cell(layout: Layout, column: Column, posting: Mapping[str, Any]) -> str:
    if column.value is None:
        return column.constant or ""
    value = posting[column.value]
    if value in (None, ""):
        if column.required:
            raise CodeMissing(
                f"Account {posting['account']} ({posting['party'] or 'any party'}) has no"
                f" {column.value.replace('_', ' ')} for {column.title}; map it in ledger.toml.",
                field="layout",
            )
        return ""
    if column.value in _AMOUNTS:
        shown = f"{from_cents(value):.2f}"
    elif isinstance(value, date):
        shown = value.strftime(layout.date_format)
    else:
        shown = str(value)
        if column.map is not None:
            shown = column.map.get(shown, shown)
    shown = f"{column.prefix}{shown}"[: column.longest]
    if column.value not in _SAFE and shown.startswith(_FORMULA):
        shown = f"'{shown}"[: column.longest]
    return shown
