"""Read a tree of terms, or crosswalks, from a CSV file: what can be taken, and what is broken.

Two layouts of a tree are understood, told apart by their first row.

*Our own* has the columns `code` and `name`, and may have `parent` (the code of the term above),
`description`, and `name_es`, `name_vi`, `name_zh-Hant`, `name_ru` for other languages.

*Open Eligibility* has a column `slug` (`services:food:meals`) and then, for each level, a column a
language (`level0:name_en`, `level0:name_he`, ...). Deeper levels go on beyond the named columns. A
colon becomes a dot in the code, because references are `taxonomy:code`.

Crosswalks have the columns `term`, `relation`, `other` and may have `note`.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, Generic, TypeVar, get_args

from pydantic import ValidationError

from regional311.catalog.content import Crosswalk, Relation, Term
from regional311.catalog.taxonomy import taxonomy_of, term_faults
from regional311.errors import InvalidInput
from regional311.strict import Language, Model

MOST_BYTES: Final = 5_000_000
MOST_ROWS: Final = 20_000
LANGUAGES: Final[tuple[str, ...]] = get_args(Language)
OWN: Final = frozenset({"code", "name", "parent", "description"})
_NAME_IN: Final = re.compile(r"name_(.+)")
_LEVEL: Final = re.compile(r"level(\d+):name_(.+)")

M = TypeVar("M", bound=Model)


class SheetRefused(InvalidInput):
    """A file cannot be read at all; the message says why and what is allowed."""


@dataclass(frozen=True, order=True)
class BrokenRow:
    """A row that cannot be taken: its number in the file, its column, and what is wrong."""

    row: int
    column: str
    message: str

    def __str__(self) -> str:
        return f"row {self.row}, {self.column}: {self.message}"


@dataclass(frozen=True)
class Sheet(Generic[M]):
    """What a file says: the sound entries with their rows, what is broken, what was left out."""

    entries: tuple[M, ...]
    rows: tuple[int, ...] = ()
    broken: tuple[BrokenRow, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Row:
    number: int
    cells: Sequence[str]


def read_terms(content: bytes) -> Sheet[Term]:
    """Read a tree of terms in either layout. Raises `SheetRefused` for what is no such table.

    A row whose code, name or parent is wrong is broken, and so is each that stands below it.
    """
    header, rows = _table(content)
    if header and header[0] == "slug":
        return _sound(*_open_eligibility(header, rows))
    return _sound(*_own(header, rows))


def read_crosswalks(content: bytes) -> Sheet[Crosswalk]:
    """Read crosswalks. Raises `SheetRefused` for what is no such table."""
    header, rows = _table(content)
    _require(
        header, needed=("term", "relation", "other"), known={"term", "relation", "other", "note"}
    )
    found: list[tuple[int, Crosswalk]] = []
    broken: list[BrokenRow] = []
    pairs: dict[frozenset[str], int] = {}
    for row in rows:
        said = dict(zip(header, row.cells, strict=False))
        if not _fits(row, header, broken):
            continue
        values = {name: said.get(name) or None for name in ("term", "relation", "other", "note")}
        made = _made(Crosswalk, values, row.number, broken)
        if made is None:
            continue
        if taxonomy_of(made.term) == taxonomy_of(made.other):
            message = "is of the same taxonomy; a crosswalk ties two"
            broken.append(BrokenRow(row.number, "other", message))
            continue
        first = pairs.setdefault(frozenset((made.term, made.other)), row.number)
        if first != row.number:
            broken.append(BrokenRow(row.number, "term", f"ties what row {first} ties already"))
            continue
        found.append((row.number, made))
    return _sheet(found, broken)


# --- layouts --------------------------------------------------------------------------------------


def _own(
    header: Sequence[str], rows: Iterable[_Row]
) -> tuple[list[tuple[int, Term]], list[BrokenRow], list[str]]:
    spoken = {
        name: match[1]
        for name in header
        if (match := _NAME_IN.fullmatch(name)) and match[1] in LANGUAGES
    }
    _require(header, needed=("code", "name"), known={*OWN, *(f"name_{each}" for each in LANGUAGES)})
    found: list[tuple[int, Term]] = []
    broken: list[BrokenRow] = []
    for row in rows:
        if not _fits(row, header, broken):
            continue
        said = dict(zip(header, row.cells, strict=False))
        values: dict[str, object] = {name: said.get(name) or None for name in OWN}
        values["translation"] = _words((spoken[name], said.get(name)) for name in spoken)
        term = _made(Term, values, row.number, broken)
        if term is not None:
            found.append((row.number, term))
    return found, broken, []


def _open_eligibility(
    header: Sequence[str], rows: Iterable[_Row]
) -> tuple[list[tuple[int, Term]], list[BrokenRow], list[str]]:
    levels = [_LEVEL.fullmatch(name) for name in header[1:]]
    languages = [match[2] for match in levels if match is not None and match[1] == "0"]
    expected = [
        f"level{place // len(languages)}:name_{languages[place % len(languages)]}"
        for place in range(len(levels))
        if languages
    ]
    if "en" not in languages or list(header[1:]) != expected:
        raise SheetRefused(
            "After slug come the names of each level in each language: level0:name_en, ...",
            field="file",
        )
    found: list[tuple[int, Term]] = []
    broken: list[BrokenRow] = []
    for row in rows:
        slug = row.cells[0]
        path = slug.split(":")
        cells = row.cells[1:]
        if len(cells) > len(path) * len(languages) and any(cells[len(path) * len(languages) :]):
            message = f"{slug} is {len(path)} deep, and the row names more"
            broken.append(BrokenRow(row.number, "slug", message))
            continue
        mine = cells[(len(path) - 1) * len(languages) :]
        names = dict(zip(languages, mine, strict=False))
        values: dict[str, object] = {
            "code": ".".join(path) or None,
            "name": names.get("en") or None,
            "parent": ".".join(path[:-1]) or None,
            "translation": _words(names.items()),
        }
        term = _made(Term, values, row.number, broken)
        if term is not None:
            found.append((row.number, term))
    others = [each for each in languages if each not in LANGUAGES]
    notes = [f"Names in {', '.join(others)} were left out: not a language here."] if others else []
    return found, broken, notes


def _words(names: Iterable[tuple[str, str | None]]) -> tuple[dict[str, str], ...]:
    return tuple(
        {"language": language, "name": name}
        for language, name in names
        if name and language in LANGUAGES and language != "en"
    )


# --- what is sound --------------------------------------------------------------------------------


def _sound(found: list[tuple[int, Term]], broken: list[BrokenRow], notes: list[str]) -> Sheet[Term]:
    """Leave out what no tree can hold: codes twice, parents that are not there, loops."""
    first: dict[str, int] = {}
    for number, term in found:
        before = first.setdefault(term.code, number)
        if before != number:
            broken.append(BrokenRow(number, "code", f"{term.code} is used in row {before} already"))
    kept = [(number, term) for number, term in found if first[term.code] == number]
    rows = {term.code: number for number, term in kept}
    named = {
        match[1]: message
        for path, message in term_faults(term for _, term in kept)
        if (match := re.fullmatch(r"term\[(.+)\]\.parent", path))
    }
    while named:
        broken += [BrokenRow(rows[code], "parent", message) for code, message in named.items()]
        kept = [(number, term) for number, term in kept if term.code not in named]
        gone = named
        named = {
            term.code: f"stands below {term.parent}, which is broken"
            for _, term in kept
            if term.parent in gone
        }
    return _sheet(kept, broken, notes)


def _sheet(
    found: Sequence[tuple[int, M]], broken: Iterable[BrokenRow], notes: Sequence[str] = ()
) -> Sheet[M]:
    return Sheet(
        tuple(each for _, each in found),
        tuple(number for number, _ in found),
        tuple(sorted(broken)),
        tuple(notes),
    )


def _made(
    model: type[M], values: Mapping[str, object], number: int, broken: list[BrokenRow]
) -> M | None:
    for name, value in values.items():
        if isinstance(value, str) and value.startswith(("=", "@")):
            broken.append(BrokenRow(number, name, "is a formula to a spreadsheet; write its value"))
            return None
    try:
        return model.model_validate(
            {name: value for name, value in values.items() if value is not None}
        )
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        broken.append(BrokenRow(number, *_in_words(problem)))
        return None


def _in_words(problem: object) -> tuple[str, str]:
    assert isinstance(problem, dict)
    column = str(problem["loc"][0]) if problem["loc"] else "row"
    kind = problem["type"]
    if kind == "missing":
        return column, "is missing"
    if kind == "string_too_long":
        return column, f"has more than {problem['ctx']['max_length']} characters"
    if kind == "literal_error":
        return column, f"{problem['input']} is not one of {', '.join(get_args(Relation))}"
    if column in ("code", "parent"):
        return column, (
            f"{problem['input']} is not a code: letters, digits, and between them dots, hyphens"
            " and underscores"
        )
    if column in ("term", "other"):
        return column, f"{problem['input']} is not a term, such as region:food"
    return column, "must be one line of text"


def _fits(row: _Row, header: Sequence[str], broken: list[BrokenRow]) -> bool:
    if any(row.cells[len(header) :]):
        broken.append(BrokenRow(row.number, "row", "has more cells than the first row names"))
        return False
    return True


# --- the table ------------------------------------------------------------------------------------


def _table(content: bytes) -> tuple[list[str], list[_Row]]:
    if len(content) > MOST_BYTES:
        raise SheetRefused(f"The file is larger than {MOST_BYTES:,} bytes.", field="file")
    text = _text(content)
    first = text.partition("\n")[0]
    delimiter = next((each for each in (",", ";", "\t") if each in first), ",")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] = []
    rows: list[_Row] = []
    try:
        for cells in reader:
            values = [each.strip() for each in cells]
            if not any(values):
                continue
            if not header:
                header = [each for each in values if each]
                continue
            rows.append(_Row(reader.line_num, values))
            if len(rows) > MOST_ROWS:
                raise SheetRefused(f"The file has more than {MOST_ROWS:,} rows.", field="file")
    except csv.Error as error:
        raise SheetRefused(
            f"The file is not CSV: line {reader.line_num}: {error}.", field="file"
        ) from error
    if not rows:
        raise SheetRefused("The file has no rows below the first.", field="file")
    return header, rows


def _text(content: bytes) -> str:
    if content.startswith(b"PK"):
        raise SheetRefused("The file is a workbook; save the sheet as CSV (UTF-8).", field="file")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SheetRefused(
            f"Line {line} is not UTF-8 text; save the file as CSV (UTF-8).", field="file"
        ) from error
    if "\0" in text:
        raise SheetRefused("The file is not text; save it as CSV (UTF-8).", field="file")
    return text


def _require(header: Sequence[str], *, needed: Sequence[str], known: set[str]) -> None:
    for name in needed:
        if name not in header:
            raise SheetRefused(
                f"The first row must name the column {name}; it names {', '.join(header[:8])}.",
                field="file",
            )
    for name in header:
        if name not in known:
            close = get_close_matches(name, known, 1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise SheetRefused(f"There is no column {name} here{hint}", field="file")
        if header.count(name) > 1:
            raise SheetRefused(f"The column {name} is there twice.", field="file")
