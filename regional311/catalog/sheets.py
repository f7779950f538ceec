"""Services as a spreadsheet: one row a service, out, edited by hand, and in again.

A column is one field in words: lists stand one a line in a cell. A sheet may leave columns out,
which leaves those fields as they are; an empty cell empties its field. The column `version` says
what the row was written from, so that what others changed since is merged and never overwritten. A
cell that says what it said is not read at all: nothing is lost by sending a sheet back as it came.

Nothing here changes anything: `compare` says what a sheet would do, row by row.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import pairwise, zip_longest
from typing import Any, Final

from regional311.catalog import content
from regional311.catalog.checks import Known, service_faults
from regional311.catalog.hours_text import read_week, say_week
from regional311.catalog.merge import Overlap, merge
from regional311.catalog.service import canonical_service
from regional311.errors import InvalidInput
from regional311.spreadsheets import Formula, SheetRefused, fused
from regional311.strict import from_plain, problems

MOST_BYTES: Final = 8_000_000
MOST_ROWS: Final = 20_000
TITLE: Final = "Services"

_ROW: Final = " | "
_LANGUAGE: Final = re.compile(r"([a-z]{2}(?:-[A-Za-z]+)?)\.([a-z_]+)")
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_PRICE: Final = re.compile(r"\$?\s*(\d{1,13})(?:\.(\d{1,2}))?")


@dataclass(frozen=True)
class Column:
    """One column: how a field is said in a cell, and read from one.

    `read` gets the cell's text and what the row was written from; it gives a plain value, None for
    an empty field, and raises `InvalidInput` with what is wrong.
    """

    name: str
    meaning: str
    say: Callable[[Mapping[str, Any]], Any]
    read: Callable[[str, Mapping[str, Any]], Any]


@dataclass(frozen=True)
class Broken:
    """What is wrong in a row, and in which column."""

    row: int
    column: str
    message: str


@dataclass(frozen=True)
class Wanted:
    """A row that says something new: what it makes of the version `seen`, None for a new service.

    `content` is what the row says, `before` what the service says now, `after` both together.
    `overlaps` are fields that somebody else changed since the sheet was written.
    """

    row: int
    key: str
    seen: int | None
    content: dict[str, Any]
    before: dict[str, Any] | None
    after: dict[str, Any]
    overlaps: tuple[Overlap, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """What a sheet would do."""

    new: tuple[Wanted, ...] = ()
    changed: tuple[Wanted, ...] = ()
    same: int = 0
    gone: tuple[str, ...] = ()
    broken: tuple[Broken, ...] = ()

    @property
    def rows_broken(self) -> int:
        """How many rows cannot be taken in."""
        return len({each.row for each in self.broken})


@dataclass(frozen=True)
class Sheet:
    """The rows of a file with something in them, by number, each cell by its column."""

    columns: tuple[str, ...]
    rows: tuple[tuple[int, dict[str, Any]], ...]

    def as_plain(self) -> dict[str, Any]:
        """Give the sheet as plain data, to be kept until it is applied."""
        return {
            "columns": list(self.columns),
            "rows": [[number, cells] for number, cells in self.rows],
        }

    @classmethod
    def of_plain(cls, said: Mapping[str, Any]) -> Sheet:
        """Read what `as_plain` gave."""
        return cls(tuple(said["columns"]), tuple((row[0], row[1]) for row in said["rows"]))


@dataclass(frozen=True)
class Standing:
    """What is known of one service: its newest version, and what others it may be made from."""

    number: int
    content: dict[str, Any]
    ended: bool = False
    older: Mapping[int, dict[str, Any]] = field(default_factory=dict)


# --- columns --------------------------------------------------------------------------------------


def _plain(name: str, meaning: str) -> Column:
    return Column(name, meaning, lambda said: said.get(name), lambda text, _base: text or None)


def _whole(name: str, meaning: str) -> Column:
    def read(text: str, _base: Mapping[str, Any]) -> Any:
        if not text:
            return None
        if not (text.isascii() and text.isdecimal() and len(text) < 10):
            raise InvalidInput(f"{text!r} is not a whole number")
        return int(text)

    return Column(name, meaning, lambda said: said.get(name), read)


def _listed(name: str, meaning: str) -> Column:
    return Column(
        name,
        f"{meaning} One a line.",
        lambda said: "\n".join(said.get(name, ())),
        lambda text, _base: list(dict.fromkeys(_lines(text))) or None,
    )


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _read_yes(text: str, _base: Mapping[str, Any]) -> Any:
    said = text.casefold()
    if said in ("", "no", "false"):
        return None
    if said in ("yes", "true"):
        return True
    raise InvalidInput(f"{text!r} is neither yes nor no")


def _read_hours(text: str, _base: Mapping[str, Any]) -> Any:
    return read_week(text) or None


def _say_dispositions(said: Mapping[str, Any]) -> str:
    entries = said.get("disposition", ())
    follows = [each["valid_from"] for each in entries[1:]]
    lines = []
    for entry, after in zip_longest(entries, follows):
        until = entry.get("valid_to")
        days = entry["valid_from"]
        if until is not None and until != after:
            days = f"{days} to {until}"
        lines.append(_ROW.join(filter(None, (days, entry["kind"], entry.get("note")))))
    return "\n".join(lines)


def _read_dispositions(text: str, _base: Mapping[str, Any]) -> Any:
    entries = []
    for line in _lines(text):
        days, *rest = (part.strip() for part in line.split("|", 2))
        first, _to, last = (part.strip() for part in days.partition(" to "))
        if not rest or any(_DAY.fullmatch(day) is None for day in (first, *filter(None, [last]))):
            raise InvalidInput(f"{line!r} must be a day, what 311 does, and a note: {_EXAMPLE}")
        entry = {"valid_from": first, "kind": rest[0]}
        if last:
            entry["valid_to"] = last
        if len(rest) > 1 and rest[1]:
            entry["note"] = rest[1]
        entries.append(entry)
    return following(entries) or None


_EXAMPLE: Final = "2027-07-01 | refer | Council, May 2026"


def following(entries: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Give dispositions by date, each ended by the first day of the next.

    >>> following([{"valid_from": "2027-01-01"}, {"valid_from": "2026-01-01"}])[0]
    {'valid_from': '2026-01-01', 'valid_to': '2027-01-01'}
    """
    ordered = sorted((dict(each) for each in entries), key=lambda one: one["valid_from"])
    for entry, after in pairwise(ordered):
        until = entry.get("valid_to")
        if until is None or until > after["valid_from"]:
            entry["valid_to"] = after["valid_from"]
    return ordered


def _say_documents(said: Mapping[str, Any]) -> str:
    return "\n".join(
        _ROW.join(filter(None, (each["name"], each.get("website"))))
        for each in said.get("document", ())
    )


def _read_documents(text: str, _base: Mapping[str, Any]) -> Any:
    found = []
    for line in _lines(text):
        name, bar, website = (part.strip() for part in line.rpartition("|"))
        found.append({"name": name, "website": website} if bar else {"name": website})
    return found or None


def _say_costs(said: Mapping[str, Any]) -> str:
    lines = []
    for each in said.get("cost", ()):
        parts = [each["option"], each.get("amount", ""), each.get("details", "")]
        while not parts[-1]:
            parts.pop()
        lines.append(_ROW.join(parts))
    return "\n".join(lines)


def _read_costs(text: str, _base: Mapping[str, Any]) -> Any:
    found = []
    for line in _lines(text):
        option, *rest = (part.strip() for part in line.split("|", 2))
        entry = {"option": option}
        if rest and rest[0]:
            price = _PRICE.fullmatch(rest[0].replace(",", ""))
            if price is None:
                raise InvalidInput(f"{rest[0]!r} is not an amount of dollars, such as 25.00")
            entry["amount"] = f"{price[1]}.{(price[2] or '').ljust(2, '0')}"
        if len(rest) > 1 and rest[1]:
            entry["details"] = rest[1]
        found.append(entry)
    return found or None


def _read_locations(text: str, base: Mapping[str, Any]) -> Any:
    there = {each["location"]: each for each in base.get("location", ())}
    keys = dict.fromkeys(_lines(text))
    return [there.get(key, {"location": key}) for key in keys] or None


COLUMNS: Final[tuple[Column, ...]] = (
    _plain("key", "Key, which never changes; a new one makes a new service."),
    Column(
        "version",
        "Number of the version that the row was written from; leave it as it is.",
        lambda _said: None,
        lambda text, base: _whole("version", "").read(text, base),
    ),
    _plain("name", "Name in the public's words."),
    _plain("alternate_name", "Another name it goes by."),
    _plain("summary", "What it is and what happens, in plain words."),
    _plain("verb", "find, report, request, apply or pay."),
    _plain("bureau", "Key of the bureau that does the work."),
    _plain("organization", "Key of the organisation that provides it; empty: the partner."),
    Column(
        "status",
        "active, inactive, temporarily closed or defunct.",
        lambda said: said.get("status", "active"),
        lambda text, _base: text or None,
    ),
    Column(
        "steps",
        "single or multiple.",
        lambda said: said.get("steps", "single"),
        lambda text, _base: text or None,
    ),
    _plain("term", "Kind of need, shared by all partners."),
    _listed("taxonomy", "Terms of taxonomies, such as open-eligibility:food-pantry."),
    _plain("group", "Heading under which it is listed."),
    _listed("keywords", "Callers' words for it."),
    _listed("channels", "Channels it may be asked on; empty: all."),
    Column(
        "place",
        "required, optional or none: whether a place is given.",
        lambda said: said.get("place", "optional"),
        lambda text, _base: text or None,
    ),
    _plain("boundary", "Key of the boundary where it is offered; empty: everywhere."),
    _plain("queue", "Key of the queue where its requests arrive."),
    Column(
        "priority",
        "low, normal, high or urgent.",
        lambda said: said.get("priority", "normal"),
        lambda text, _base: text or None,
    ),
    _whole("target_hours", "Business hours until done."),
    Column(
        "confidential",
        "yes or no: whether its requests are seen by cleared roles only.",
        lambda said: "yes" if said.get("confidential") else "no",
        _read_yes,
    ),
    _plain("alert", "What everybody must know at present."),
    _plain("information", "What to tell the person."),
    _plain("eligibility", "Who can get it."),
    _whole("minimum_age", "Youngest age."),
    _whole("maximum_age", "Oldest age."),
    _plain("how_to_apply", "How to ask for it."),
    _plain("wait", "How long people wait for it."),
    Column(
        "hours",
        "Hours of a week, such as mon-fri 8:00-17:00; sat 9am-noon.",
        lambda said: say_week(said.get("hours")),
        _read_hours,
    ),
    _listed("languages", "Languages in which help is given: en, es, vi, zh-Hant, ru."),
    _plain("phone", "Number to ask at."),
    _plain("email", "E-mail address to ask at."),
    _plain("website", "Where the form or text is."),
    _plain("fee", "What it costs, in words."),
    _whole("review_days", "Days after which somebody looks again."),
    _whole("duplicate_metres", "Distance within which two requests may be the same."),
    _whole("duplicate_hours", "Hours within which two requests may be the same."),
    Column(
        "disposition",
        f"What 311 does with it from a day on, one a line: {_EXAMPLE}.",
        _say_dispositions,
        _read_dispositions,
    ),
    Column(
        "document",
        "What to bring, one a line: name | web address.",
        _say_documents,
        _read_documents,
    ),
    Column("cost", "Costs, one case a line: case | dollars | details.", _say_costs, _read_costs),
    Column(
        "location",
        "Keys of its locations, one a line; hours and numbers there stay as they are.",
        lambda said: "\n".join(each["location"] for each in said.get("location", ())),
        _read_locations,
    ),
)
"""Every column of a service; those of other languages follow, such as `es.name`."""

WORDS: Final = tuple(name for name in content.ServiceWords.model_fields if name != "language")
"""Fields of another language, each a column named `language.field`."""

_SPOKEN: Final = ("en", "es", "vi", "zh-Hant", "ru")
_BY_NAME: Final = {each.name: each for each in COLUMNS}


def headings(languages: Iterable[str]) -> tuple[str, ...]:
    """Give the names of all columns with those of some languages."""
    words = (f"{language}.{name}" for language in languages for name in WORDS)
    return (*(each.name for each in COLUMNS), *words)


def written(said: Mapping[str, Any], number: int, names: Sequence[str]) -> list[Any]:
    """Give the cells of a service's row."""
    return [number if name == "version" else cell(said, name) for name in names]


def cell(said: Mapping[str, Any], name: str) -> Any:
    """Give what a service says in one column: text, a whole number, or None."""
    column = _BY_NAME.get(name)
    if column is not None:
        return column.say(said)
    language, _dot, part = name.partition(".")
    words: Mapping[str, Any] = next(
        (each for each in said.get("translation", ()) if each["language"] == language), {}
    )
    value = words.get(part)
    return "\n".join(value) if isinstance(value, list) else value


# --- one change of several ------------------------------------------------------------------------

LISTS: Final = frozenset(
    {
        "taxonomy",
        "keywords",
        "channels",
        "languages",
        "disposition",
        "document",
        "cost",
        "location",
    }
)
"""Columns whose cells hold one thing a line."""

ALTERED: Final = tuple(
    each.name for each in COLUMNS if each.name not in ("key", "version", "name", "summary")
)
"""Columns that may be changed for several services at once."""


def altered(
    said: Mapping[str, Any], name: str, how: str, value: str, find: str = ""
) -> dict[str, Any]:
    """Give a service with one column changed: `set`, lines to `add` or to `remove`, or `replace`.

    `replace` puts `value` in the place of each `find`. Raises `InvalidInput` with what is wrong.
    """
    text = str(cell(said, name) or "")
    if how == "set":
        wanted = value
    elif how == "replace":
        if not find:
            raise InvalidInput("write what is to be replaced", field="find")
        wanted = text.replace(find, value)
    else:
        if name not in LISTS:
            raise InvalidInput("lines are added to and removed from lists only", field="how")
        lines, given = _lines(text), _lines(value)
        if not given:
            raise InvalidInput("write what is added or removed", field="value")
        gone = {line.casefold() for line in given}
        kept = [line for line in lines if line.casefold() not in gone]
        wanted = "\n".join(kept if how == "remove" else [*kept, *given])
        if how == "add" and gone <= {line.casefold() for line in lines}:
            wanted = text
    made = dict(said)
    if wanted != text:
        _put(made, name, wanted, said)
    return made


def row_problems(said: Mapping[str, Any], known: Known) -> list[tuple[str, str]]:
    """Give what is wrong with what a service says, each by its column."""
    return list(_problems(said, tuple(_BY_NAME), known))


# --- reading --------------------------------------------------------------------------------------


def read_sheet(rows: Sequence[Sequence[Any]]) -> Sheet:
    """Tell the cells of a table by their columns.

    Raises `SheetRefused` for headings that are missing, unknown or there twice.
    """
    named = [str(each or "").strip() for each in (rows[0] if rows else ())]
    while named and not named[-1]:
        named.pop()
    _check_headings(named)
    found = []
    for number, row in enumerate(rows[1:], 2):
        cells = {name: row[place] for place, name in enumerate(named) if place < len(row)}
        beyond = [each for each in row[len(named) :] if each not in (None, "")]
        if any(each not in (None, "") for each in cells.values()) or beyond:
            found.append((number, {name: _kept(each) for name, each in cells.items()}))
            if beyond:
                found[-1][1]["?"] = {"beyond": True}
    if not found:
        raise SheetRefused("The sheet has no rows below its headings.", field="sheet")
    return Sheet(tuple(named), tuple(found))


def _check_headings(named: Sequence[str]) -> None:
    known = headings(_SPOKEN)
    for place, name in enumerate(named, 1):
        if name not in known:
            close = get_close_matches(name, known, 1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise SheetRefused(
                f"Row 1, column {place}: there is no column {name[:60]!r}{hint}", field="sheet"
            )
        if name in named[: place - 1]:
            raise SheetRefused(f"Row 1, column {place}: {name} is there twice.", field="sheet")
    if "key" not in named:
        raise SheetRefused("Row 1: the column key is missing.", field="sheet")


def _kept(value: Any) -> Any:
    """A cell as plain data; what cannot be taken is kept as why."""
    if isinstance(value, Formula):
        return {"formula": True}
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    if isinstance(value, str):
        return fused(value.replace("\r\n", "\n")).strip()
    return {"value": str(value)[:40]}


def compare(
    sheet: Sheet, standing: Mapping[str, Standing], known: Known, *, all_of_them: bool = True
) -> Comparison:
    """Say what a sheet would do to services that stand as they do.

    With `all_of_them` services without a row are gone.
    """
    new, changed, broken = [], [], []
    same = 0
    rows: dict[str, int] = {}
    for number, cells in sheet.rows:
        wanted, wrong = _wanted(number, cells, sheet.columns, standing, known)
        key = cells.get("key")
        if isinstance(key, str) and key:
            if key in rows:
                wrong = [Broken(number, "key", f"row {rows[key]} has this key already")]
            rows.setdefault(key, number)
        if wrong:
            broken.extend(wrong)
        elif wanted is None:
            same += 1
        elif wanted.before is None:
            new.append(wanted)
        else:
            changed.append(wanted)
    gone = [
        key for key, each in standing.items() if all_of_them and key not in rows and not each.ended
    ]
    return Comparison(tuple(new), tuple(changed), same, tuple(gone), tuple(broken))


def _wanted(
    number: int,
    cells: Mapping[str, Any],
    columns: Sequence[str],
    standing: Mapping[str, Standing],
    known: Known,
) -> tuple[Wanted | None, list[Broken]]:
    """Read one row: what it wants, None when nothing, or what is wrong in it."""
    if "?" in cells:
        return None, [Broken(number, "?", "there is a cell beyond the last column")]
    key = cells.get("key")
    if not isinstance(key, str) or not key:
        return None, [Broken(number, "key", "fill this in")]
    now = standing.get(key)
    seen, base, wrong = _seen(number, cells, now)
    if wrong is not None:
        return None, [wrong]
    said: dict[str, Any] = {**base, "key": key}
    broken: list[Broken] = []
    for name in columns:
        value = cells.get(name)
        if name in ("key", "version") or value == cell(base, name):
            continue
        try:
            text = _text(value)
            if text != (cell(base, name) or ""):
                _put(said, name, text, base)
        except InvalidInput as error:
            broken.append(Broken(number, name, error.message))
    if broken:
        return None, broken
    broken = [Broken(number, *each) for each in _problems(said, columns, known)]
    if broken:
        return None, broken
    mine = canonical_service(from_plain(content.Service, said))
    if now is None:
        return Wanted(number, key, None, mine, None, mine), []
    merged = merge(base, mine, now.content)
    if merged.clean and merged.content == now.content:
        return None, []
    return Wanted(number, key, seen, mine, now.content, merged.content, merged.overlaps), []


def _seen(
    number: int, cells: Mapping[str, Any], now: Standing | None
) -> tuple[int | None, Mapping[str, Any], Broken | None]:
    """The version that a row was written from, and what it said."""
    said = cells.get("version")
    if now is None:
        return None, {}, None
    if said in (None, ""):
        return now.number, now.content, None
    version = int(said) if isinstance(said, str) and said.isdecimal() and len(said) < 10 else -1
    if version == now.number:
        return version, now.content, None
    if version in now.older:
        return version, now.older[version], None
    return None, {}, Broken(number, "version", f"there is no version {str(said)[:40]}")


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        if "formula" in value:
            raise InvalidInput("a formula cannot be taken in; write its value")
        raise InvalidInput(f"{value['value']} is not text; format the column as text")
    return str(value)


def _put(said: dict[str, Any], name: str, text: str, base: Mapping[str, Any]) -> None:
    column = _BY_NAME.get(name)
    if column is None:
        _put_words(said, name, text)
        return
    value = column.read(text, base)
    if value is None:
        said.pop(name, None)
    else:
        said[name] = value


def _put_words(said: dict[str, Any], name: str, text: str) -> None:
    language, _dot, part = name.partition(".")
    several = part in ("keywords", "documents")
    value: Any = _lines(text) if several else text
    words = [dict(each) for each in said.get("translation", ())]
    there = next((each for each in words if each["language"] == language), None)
    if there is None:
        there = {"language": language}
        words.append(there)
    if value:
        there[part] = value
    else:
        there.pop(part, None)
    said["translation"] = [each for each in words if len(each) > 1]
    if not said["translation"]:
        del said["translation"]


def _problems(
    said: Mapping[str, Any], columns: Sequence[str], known: Known
) -> Iterator[tuple[str, str]]:
    """What is wrong with a row as a whole, each by its column."""
    found = problems(content.Service, said)
    for path, message in found:
        yield _column_of(path, said, columns), message
    if not found:
        for where, message in service_faults(from_plain(content.Service, said), known):
            name = re.split(r"[.\[]", where)[0]
            yield (name if name in columns else "key"), f"{where}: {message}"


def _column_of(path: Sequence[str | int], said: Mapping[str, Any], columns: Sequence[str]) -> str:
    name = str(path[0]) if path else "key"
    if name == "translation" and len(path) > 2 and isinstance(path[1], int):
        name = f"{said['translation'][path[1]]['language']}.{path[2]}"
    return name if name in columns or name in _BY_NAME else "key"
