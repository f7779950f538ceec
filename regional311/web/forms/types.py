"""Colander types that take what a form may send and nothing else.

Colander's own are lenient: its `Decimal` takes NaN, Infinity and 1e3, its `Integer` turns 3.9 into
3, its `Boolean` calls anything true, its `String` keeps control characters. Each type here turns
text into one Python value or raises `colander.Invalid` with a sentence that says what is allowed.
"""

from __future__ import annotations

import datetime as dt
import decimal
import re
import unicodedata
from collections.abc import Iterable
from typing import Any, Self

import colander

from regional311.database import ids
from regional311.web.i18n import _

_INTEGER = re.compile(r"-?\d{1,18}", re.ASCII)
_DECIMAL = re.compile(r"-?\d{1,15}(\.\d{1,9})?", re.ASCII)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_MONEY = re.compile(r"-?\d{1,13}(\.\d{1,2})?", re.ASCII)
_GROUPED = re.compile(r"-?\d{1,3}(,\d{3})+(\.\d+)?", re.ASCII)


class _Text(colander.SchemaType):
    """A type written as one piece of text; blank means that nothing was given."""

    def serialize(self, node: Any, appstruct: Any) -> Any:
        if appstruct is colander.null or appstruct is None:
            return colander.null
        return self.write(appstruct)

    def deserialize(self, node: Any, cstruct: Any) -> Any:
        if cstruct is colander.null or cstruct is None:
            return colander.null
        if not isinstance(cstruct, str):
            raise colander.Invalid(node, _("Enter one value."))
        text = cstruct.strip()
        if not text:
            return colander.null
        return self.read(node, text)

    def write(self, value: Any) -> str:
        return str(value)

    def read(self, node: Any, text: str) -> Any:
        raise NotImplementedError


class String(_Text):
    """Text without surrounding blanks and control characters, at most `max_length` characters.

    `multiline=True` allows tabs and line breaks (stored as single line feeds). Text is kept in
    Unicode's composed form, so that what looks the same is the same.
    """

    def __init__(self, max_length: int = 200, *, multiline: bool = False) -> None:
        self.max_length = max_length
        self.multiline = multiline

    def read(self, node: Any, text: str) -> str:
        text = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))
        allowed = "\n\t" if self.multiline else ""
        for character in text:
            if character in allowed:
                continue
            if unicodedata.category(character) in {"Cc", "Cs", "Co"}:
                raise colander.Invalid(
                    node, _("Remove the characters that cannot be shown, such as control codes.")
                )
        if len(text) > self.max_length:
            raise colander.Invalid(
                node,
                _(
                    "Use at most ${limit} characters; this has ${count}.",
                    mapping={"limit": self.max_length, "count": len(text)},
                ),
            )
        return text


class Secret(colander.SchemaType):
    """A password: taken exactly as typed, never written back into a page."""

    def __init__(self, max_length: int = 512) -> None:
        self.max_length = max_length

    def serialize(self, node: Any, appstruct: Any) -> Any:
        return colander.null

    def deserialize(self, node: Any, cstruct: Any) -> Any:
        if cstruct is colander.null or cstruct == "":
            return colander.null
        if not isinstance(cstruct, str) or len(cstruct) > self.max_length or "\0" in cstruct:
            raise colander.Invalid(node, _("This is too long to be a password."))
        return cstruct


class Integer(_Text):
    """A whole number in plain digits (`-` allowed): no 3.9, no 1e3, no separators."""

    def read(self, node: Any, text: str) -> int:
        if not _INTEGER.fullmatch(text):
            raise colander.Invalid(
                node, _("Enter a whole number in digits, for example ${one}.", mapping={"one": 12})
            )
        return int(text)


class Decimal(_Text):
    """An exact number such as 12.5: at most 9 places, no NaN, no Infinity, no exponent."""

    def __init__(self, places: int = 6) -> None:
        self.places = places

    def write(self, value: Any) -> str:
        return format(decimal.Decimal(value), "f")

    def read(self, node: Any, text: str) -> decimal.Decimal:
        if not _DECIMAL.fullmatch(text):
            raise colander.Invalid(node, _("Enter a number, for example 12.5."))
        if len(text.partition(".")[2]) > self.places:
            raise colander.Invalid(
                node, _("Use at most ${places} decimal places.", mapping={"places": self.places})
            )
        return decimal.Decimal(text)


class Money(_Text):
    """An amount in dollars, as integer cents: `1,250.50` is 125050. A third decimal is refused."""

    def write(self, value: Any) -> str:
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"cents are whole numbers, not {value!r}")
        sign = "-" if value < 0 else ""
        return f"{sign}{abs(value) // 100}.{abs(value) % 100:02d}"

    def read(self, node: Any, text: str) -> int:
        plain = text.removeprefix("$").strip()
        if _GROUPED.fullmatch(plain):
            plain = plain.replace(",", "")
        if not _MONEY.fullmatch(plain):
            raise colander.Invalid(
                node, _("Enter an amount in dollars and cents, for example 1250.50.")
            )
        return int(decimal.Decimal(plain) * 100)


class Boolean(colander.SchemaType):
    """A checkbox: `true` when ticked, nothing when not; every other value is refused."""

    def serialize(self, node: Any, appstruct: Any) -> Any:
        if appstruct is colander.null or appstruct is None:
            return colander.null
        return "true" if appstruct else "false"

    def deserialize(self, node: Any, cstruct: Any) -> Any:
        if cstruct is colander.null:
            return colander.null
        if cstruct in ("true", "false"):
            return cstruct == "true"
        raise colander.Invalid(node, _("Tick the box or leave it."))


class Date(_Text):
    """A calendar date written year-month-day, between 1900 and 2199."""

    def write(self, value: Any) -> str:
        return str(value.isoformat())

    def read(self, node: Any, text: str) -> dt.date:
        wrong = colander.Invalid(node, _("Enter a date as year-month-day, for example 2026-10-31."))
        if not _DATE.fullmatch(text):
            raise wrong
        try:
            day = dt.date.fromisoformat(text)
        except ValueError:
            raise wrong from None
        if not 1900 <= day.year < 2200:
            raise colander.Invalid(node, _("Enter a year between 1900 and 2199."))
        return day


class PublicId(_Text):
    """A public number such as R-7K3M9-QP4TX; forgives case, blanks and look-alike letters."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def read(self, node: Any, text: str) -> str:
        found = ids.parse_public_id(text, self.prefix)
        if found is None:
            raise colander.Invalid(
                node,
                _(
                    "This is no ${prefix} number; check it character by character.",
                    mapping={"prefix": self.prefix},
                ),
            )
        return found


class Choice(_Text):
    """One of the values offered; anything else, also a value offered earlier, is refused.

    `choices` holds (value, label) pairs or plain values.
    """

    def __init__(self, choices: Iterable[Any]) -> None:
        self.values = frozenset(_value_of(each) for each in choices)

    def read(self, node: Any, text: str) -> str:
        if text not in self.values:
            raise colander.Invalid(node, _("Choose one of the options listed."))
        return text


class Choices(colander.SchemaType):
    """Any number of the values offered, in the order offered, each once: a list of strings."""

    def __init__(self, choices: Iterable[Any]) -> None:
        self.values = tuple(_value_of(each) for each in choices)

    def serialize(self, node: Any, appstruct: Any) -> Any:
        if appstruct is colander.null or appstruct is None:
            return colander.null
        return [str(each) for each in appstruct]

    def deserialize(self, node: Any, cstruct: Any) -> Any:
        if cstruct is colander.null:
            return colander.null
        if not isinstance(cstruct, (list, tuple)) or not set(cstruct) <= set(self.values):
            raise colander.Invalid(node, _("Choose from the options listed."))
        return [value for value in self.values if value in cstruct]


class Schema(colander.MappingSchema):
    """Base of every form's schema: a key that it does not name is refused.

    An instance belongs to one request, with all that is in it. Colander gives every instance the
    nodes of the class themselves: what one request offers in a field, another would show.
    """

    def __new__(cls, *args: Any, **kw: Any) -> Self:
        """Make a schema with nodes of its own."""
        made: Self = super().__new__(cls, *args, **kw)
        made.children = _own(made.children)
        return made

    def schema_type(self) -> colander.Mapping:
        return colander.Mapping(unknown="raise")


def _own(nodes: Iterable[colander.SchemaNode]) -> list[colander.SchemaNode]:
    """Copy nodes and all that is below them."""
    made = []
    for node in nodes:
        each = object.__new__(node.__class__)
        each.__dict__.update(node.__dict__)
        each.children = _own(node.children)
        made.append(each)
    return made


def complete(node: colander.SchemaNode, request: Any) -> None:
    """Call every `after_bind(node, kw)` of a schema that was made for this request.

    The innermost come first. Colander's own `bind` copies the schema, which is new already, and
    looks through all that each node has for deferred values, of which these forms have none: it
    took longer than validating.
    """
    for child in node.children:
        complete(child, request)
    node.bindings = {"request": request}
    if getattr(node, "after_bind", None):
        node.after_bind(node, node.bindings)


def _value_of(choice: Any) -> str:
    return str(choice[0] if isinstance(choice, tuple) else choice)
