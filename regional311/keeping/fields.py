"""The fields of an entry that people may correct, as plain text both ways.

What a field says is written as text that anybody can read and change; a text is read back into the
field with everything that the catalogue's models ask of it. Fields of kind `note` have too many
parts for that: what is wrong with them is told in words, and the owner corrects them by hand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final, Literal, TypeVar

from pydantic import ValidationError

from regional311.calendars import DAYS
from regional311.catalog import articles, content
from regional311.errors import InvalidInput
from regional311.strict import Model, canonical

FieldKind = Literal["line", "text", "list", "week", "note"]
M = TypeVar("M", bound=Model)

SERVICE_FIELDS: Final[Mapping[str, FieldKind]] = {
    "name": "line",
    "summary": "text",
    "phone": "line",
    "email": "line",
    "website": "line",
    "hours": "week",
    "information": "text",
    "eligibility": "text",
    "how_to_apply": "text",
    "document": "list",
    "fee": "line",
    "wait": "line",
    "keywords": "list",
    "place": "note",
    "other": "note",
}
LOCATION_FIELDS: Final[Mapping[str, FieldKind]] = {
    "name": "line",
    "address": "line",
    "address_2": "line",
    "city": "line",
    "postal_code": "line",
    "hours": "week",
    "transportation": "line",
    "website": "line",
    "description": "text",
    "other": "note",
}
ORGANIZATION_FIELDS: Final[Mapping[str, FieldKind]] = {
    "name": "line",
    "description": "text",
    "email": "line",
    "website": "line",
    "phone": "note",
    "other": "note",
}
ARTICLE_FIELDS: Final[Mapping[str, FieldKind]] = {
    "title": "line",
    "text": "text",
    "other": "note",
}
"""The part for everybody; what only staff read, and the steps of a guide, are told of in words."""
FIELDS: Final[Mapping[str, Mapping[str, FieldKind]]] = {
    "service": SERVICE_FIELDS,
    "location": LOCATION_FIELDS,
    "organization": ORGANIZATION_FIELDS,
    "article": ARTICLE_FIELDS,
}
"""Kind of entry to the fields that may be corrected, in the order in which they are shown."""

_MODELS: Final[Mapping[type[Model], str]] = {
    content.Service: "service",
    content.Location: "location",
    content.Organization: "organization",
    articles.Article: "article",
}
_WORDS: Final[Mapping[str, type[Model]]] = {
    "service": content.ServiceWords,
    "article": articles.ArticleWords,
}
_TRANSLATED: Final = {"document": "documents"}
"""Fields that have another name in a translation."""

_DAY_NAMES: Final = (*DAYS, "holiday")
_LINE: Final = re.compile(r"([a-z]+)(?:\s*-\s*([a-z]+))?\s*:?\s+(.+)", re.ASCII | re.IGNORECASE)
_SPAN: Final = re.compile(r"(\d{1,2})(?::(\d{2}))?\s*-\s*(\d{1,2})(?::(\d{2}))?", re.ASCII)


class FieldRefused(InvalidInput):
    """A text cannot be what the field says; the message says what is allowed."""


def kind_of(entry: str, field: str) -> FieldKind | None:
    """Give how a field of a kind of entry is written; None when it may not be corrected."""
    return FIELDS.get(entry, {}).get(field)


def has_words(entry: str, field: str) -> bool:
    """Whether a field of a kind of entry has words of its own in a translation."""
    return entry in _WORDS and _TRANSLATED.get(field, field) in _WORDS[entry].model_fields


def text_of(said: Mapping[str, Any], field: str, language: str | None = None) -> str:
    """Write what a field says; empty when it says nothing.

    `said` is the entry's canonical form; with a language, the translation counts.
    """
    if language is not None:
        said = _words(said, language)
        field = _TRANSLATED.get(field, field)
    value = said.get(field)
    if value is None:
        return ""
    if field == "hours":
        return week_text(value)
    if field == "document":
        return "\n".join(each["name"] for each in value)
    return "\n".join(value) if isinstance(value, list) else str(value)


def with_text(entry: M, field: str, text: str, language: str | None = None) -> M:
    """Give the entry with a field saying the text; empty text takes an optional field away.

    Raises `FieldRefused` for a text that the field cannot say, or a field that is a note.
    """
    said = canonical(entry)
    entry_kind = _MODELS[type(entry)]
    kind = kind_of(entry_kind, field)
    if kind is None or kind == "note":
        raise FieldRefused("This cannot be corrected by itself; open the entry.", field="text")
    value = _value(said, field, kind, text.strip())
    if language is None:
        return _validated(type(entry), _changed(said, field, value))
    words = _words(said, language)
    if not words or not has_words(entry_kind, field):
        raise FieldRefused("There is no such translation; open the entry.", field="text")
    name = _TRANSLATED.get(field, field)
    if name == "documents":
        value = [each["name"] for each in value] if value else None
    translated = _changed(words, name, value)
    said["translation"] = [
        translated if each["language"] == language else each for each in said["translation"]
    ]
    return _validated(type(entry), said)


def week_text(week: Mapping[str, Any]) -> str:
    r"""Write weekly hours, days with the same hours together.

    >>> week_text({"mon": ["08:00-17:00"], "tue": ["08:00-17:00"], "sat": ["10:00-14:00"]})
    'mon-tue 08:00-17:00\nsat 10:00-14:00'
    """
    runs: list[tuple[str, str, str]] = []
    for day in _DAY_NAMES:
        spans = ", ".join(week.get(day, ()))
        if not spans:
            continue
        follows = runs and _DAY_NAMES.index(runs[-1][1]) + 1 == _DAY_NAMES.index(day)
        if follows and day != "holiday" and runs[-1][2] == spans:
            runs[-1] = (runs[-1][0], day, spans)
        else:
            runs.append((day, day, spans))
    return "\n".join(
        f"{first} {spans}" if first == last else f"{first}-{last} {spans}"
        for first, last, spans in runs
    )


def read_week(text: str) -> dict[str, list[str]]:
    """Read weekly hours as `week_text` writes them; a day left out is closed.

    `Mon - Fri: 8-17` and `saturday 10:00-14:00` are understood as well. Raises `FieldRefused`,
    naming the line.

    >>> read_week("Mon-Tue: 8-12, 13-17")
    {'mon': ['08:00-12:00', '13:00-17:00'], 'tue': ['08:00-12:00', '13:00-17:00']}
    """
    found: dict[str, list[str]] = {}
    for line in filter(None, (each.strip() for each in text.splitlines())):
        match = _LINE.fullmatch(line)
        days = [] if match is None else _days(match[1], match[2] or match[1])
        spans = [] if match is None else [_span(each.strip()) for each in match[3].split(",")]
        if not days or None in spans:
            raise FieldRefused(
                f"{line!r} is not a line of hours, such as mon-fri 08:00-17:00", field="text"
            )
        for day in days:
            if day in found:
                raise FieldRefused(f"{day} is there twice.", field="text")
            found[day] = [each for each in spans if each is not None]
    return found


def _days(first: str, last: str) -> list[str]:
    places = [_day(each.casefold()) for each in (first, last)]
    if None in places:
        return []
    start, end = places
    assert start is not None
    assert end is not None
    return list(_DAY_NAMES[start : end + 1])


def _day(name: str) -> int | None:
    for place, day in enumerate(_DAY_NAMES):
        if name.startswith(day) and len(name) < 12:
            return place
    return None


def _span(text: str) -> str | None:
    match = _SPAN.fullmatch(text)
    if match is None:
        return None
    opens, closes = int(match[1]), int(match[3])
    return f"{opens:02d}:{match[2] or '00'}-{closes:02d}:{match[4] or '00'}"


def _words(said: Mapping[str, Any], language: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = next(
        (each for each in said.get("translation") or () if each["language"] == language), {}
    )
    return found


def _changed(said: Mapping[str, Any], field: str, value: Any) -> dict[str, Any]:
    changed = {name: each for name, each in said.items() if name != field}
    if value:
        changed[field] = value
    return changed


def _value(said: Mapping[str, Any], field: str, kind: FieldKind, text: str) -> Any:
    if kind == "week":
        return read_week(text)
    if kind == "list":
        lines = [each.strip() for each in text.splitlines() if each.strip()]
        if field != "document":
            return lines
        known = {each["name"]: each for each in said.get("document") or ()}
        return [known.get(each, {"name": each}) for each in lines]
    return " ".join(text.split()) if kind == "line" else text


_ALLOWED: Final = {
    "phone": "Write a telephone number in digits, such as 503-823-4000.",
    "email": "Write an e-mail address such as name@example.org.",
    "website": "Write a web address that begins with https:// or http://.",
}


def _validated(model: type[M], said: Mapping[str, Any]) -> M:
    try:
        return model.model_validate_json(json.dumps(said))
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        field = str(problem["loc"][0]) if problem["loc"] else ""
        raise FieldRefused(_sentence(field, problem), field="text") from error


def _sentence(field: str, problem: Any) -> str:
    kind = problem["type"]
    if kind == "missing":
        return "This cannot be left empty."
    if kind == "string_too_long":
        return f"Use at most {problem['ctx']['max_length']} characters."
    if kind == "string_pattern_mismatch" and field in _ALLOWED:
        return _ALLOWED[field]
    if kind == "regional311":
        message: str = problem["msg"]
        return f"{message[:1].upper()}{message[1:]}."
    return _ALLOWED.get(field, "This field cannot say that; open the entry.")
