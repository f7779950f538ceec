"""Strict models: the base of what files, forms and imports may say, and its canonical form.

Unknown keys are refused, a number is never read as text nor text as a number, and money and
percentages are text in quotes so that no binary fraction ever touches them. Dates are half-open:
``valid_from`` is the first day, ``valid_to`` the first day no more. What a model says has one
canonical form, so that two sides can be compared and remembered by a digest.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, Final, Literal, TypeVar
from zoneinfo import available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)
from pydantic_core import PydanticCustomError

from regional311.errors import DomainError

Channel = Literal["phone", "walk_in", "web", "email", "text", "chat", "social", "app", "voicemail"]
Language = Literal["en", "es", "vi", "zh-Hant", "ru"]
Urgency = Literal["low", "normal", "high", "urgent"]
_MONEY = re.compile(r"\d{1,12}(\.\d{1,6})?")
_CENTS = re.compile(r"\d{1,13}(\.\d{1,2})?")
_SIGNED_CENTS = re.compile(r"-?\d{1,13}(\.\d{1,2})?")
_READING = re.compile(r"\d{1,15}(\.\d{1,6})?")
_LIMIT = re.compile(r"-?\d{1,15}(\.\d{1,6})?", re.ASCII)
_PERCENT = re.compile(r"\d{1,3}(\.\d{1,6})?")
_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)")


def _wrong(message: str) -> PydanticCustomError:
    return PydanticCustomError("regional311", "{message}", {"message": message})


def _decimal_text(pattern: re.Pattern[str], what: str, example: str) -> Any:
    def read(value: object) -> Decimal:
        if isinstance(value, bool) or not isinstance(value, str):
            raise _wrong(f'write {what} as text in quotes, such as "{example}"')
        if pattern.fullmatch(value) is None:
            raise _wrong(f'{value!r} is not {what}, such as "{example}"')
        return Decimal(value)

    return read


def _above_zero(value: Decimal) -> Decimal:
    if value <= 0:
        raise _wrong("must be more than zero; leave the price out to make the work unrated")
    return value


def _up_to_hundred(value: Decimal) -> Decimal:
    if value > 100:
        raise _wrong("a percentage is at most 100")
    return value


def _zone(value: str) -> str:
    if value not in available_timezones():
        raise _wrong(f"{value!r} is not a time zone, such as America/Los_Angeles")
    return value


def _hours(value: str) -> str:
    found = _HOURS.fullmatch(value)
    if found is None:
        raise _wrong(f'{value!r} is not a span of hours, such as "08:00-17:00"')
    opens, closes = value.split("-")
    if closes > "24:00":
        raise _wrong(f"{closes} is later than 24:00")
    if closes <= opens:
        raise _wrong(f"{closes} is not after {opens}; write a night as two spans")
    return value


def _expression(value: str) -> str:
    if len(value) > 500:
        raise _wrong(f"a condition has at most 500 characters, this one {len(value)}")
    return value


Key = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", min_length=1, max_length=60)
]
Party = Annotated[
    str,
    StringConstraints(
        pattern=r"^((bureau|outside):)?[a-z0-9]+(-[a-z0-9]+)*$", min_length=1, max_length=70
    ),
]
Name = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]+(_[a-z0-9]+)*$", min_length=1, max_length=60)
]
Words = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^\S(.*\S)?$")]
Prose = Annotated[str, StringConstraints(min_length=1, max_length=4000)]
Phone = Annotated[str, StringConstraints(pattern=r"^[0-9+][0-9 +-]{1,19}$")]
WebAddress = Annotated[str, StringConstraints(pattern=r"^https?://\S+$", max_length=300)]
Email = Annotated[str, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$", max_length=200)]
Host = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$")]
Colour = Annotated[str, StringConstraints(pattern=r"^#[0-9a-f]{6}$")]
Code = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z][0-9A-Za-z.-]{0,19}$")]
Money = Annotated[
    Decimal,
    BeforeValidator(_decimal_text(_MONEY, "an amount of dollars", "4.90")),
    AfterValidator(_above_zero),
]
Quantity = Annotated[
    Decimal,
    BeforeValidator(_decimal_text(_MONEY, "a number", "100")),
]
Cents = Annotated[
    Decimal,
    BeforeValidator(_decimal_text(_CENTS, "an amount of dollars and cents", "600000.00")),
    AfterValidator(_above_zero),
]
SignedCents = Annotated[
    Decimal,
    BeforeValidator(_decimal_text(_SIGNED_CENTS, "an amount of dollars and cents", "600000.00")),
]
Price = Annotated[
    Decimal,
    BeforeValidator(_decimal_text(_CENTS, "an amount of dollars and cents", "25.00")),
]
Reading = Annotated[Decimal, BeforeValidator(_decimal_text(_READING, "a reading", "340000"))]
Limit = Annotated[Decimal, BeforeValidator(_decimal_text(_LIMIT, "a number", "12.5"))]
TargetName = Annotated[
    str,
    StringConstraints(
        pattern=r"^((bureau|outside|pool):)?[a-z0-9]+(-[a-z0-9]+)*$", min_length=1, max_length=80
    ),
]
Percent = Annotated[
    Decimal,
    BeforeValidator(_decimal_text(_PERCENT, "a percentage", "33.333")),
    AfterValidator(_up_to_hundred),
]
Zone = Annotated[str, AfterValidator(_zone)]
Hours = Annotated[str, AfterValidator(_hours)]
Expression = Annotated[str, AfterValidator(_expression)]


class Model(BaseModel):
    """The base of every table in a file: strict, frozen, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Dated(Model):
    """Something that holds from one day until another."""

    valid_from: date = Field(description="First day on which this holds.")
    valid_to: date | None = Field(
        default=None, description="First day on which it holds no more; left out: still holds."
    )


class Week(Model):
    """Weekly hours in the partner's zone; a day left out is closed."""

    mon: tuple[Hours, ...] = Field(default=(), description="Spans of hours on Mondays.")
    tue: tuple[Hours, ...] = Field(default=(), description="Spans of hours on Tuesdays.")
    wed: tuple[Hours, ...] = Field(default=(), description="Spans of hours on Wednesdays.")
    thu: tuple[Hours, ...] = Field(default=(), description="Spans of hours on Thursdays.")
    fri: tuple[Hours, ...] = Field(default=(), description="Spans of hours on Fridays.")
    sat: tuple[Hours, ...] = Field(default=(), description="Spans of hours on Saturdays.")
    sun: tuple[Hours, ...] = Field(default=(), description="Spans of hours on Sundays.")
    holiday: tuple[Hours, ...] = Field(
        default=(), description="Spans of hours on the partner's holidays, whatever the weekday."
    )


# --- what is wrong, in words ----------------------------------------------------------------------

_WORDS: Final[Mapping[str, str]] = {
    "missing": "is missing",
    "string_type": "must be text in quotes",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "bool_type": "must be true or false",
    "date_type": "must be a date without quotes, such as 2026-07-01",
    "tuple_type": "must be a list in square brackets",
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
    "too_short": "must hold at least one",
    "string_too_short": "must not be empty",
}
_PATTERNS: Final[Mapping[str, str]] = {
    "^[a-z0-9]+(-[a-z0-9]+)*$": "is not a key: lower case letters, digits and single hyphens",
    "^[a-z0-9]+(_[a-z0-9]+)*$": "is not a name: lower case letters, digits and single underscores",
    r"^\S(.*\S)?$": "must be one line that neither begins nor ends with a blank",
    r"^[0-9+][0-9 +-]{1,19}$": "is not a telephone number, such as 503-823-4000",
    r"^https?://\S+$": "is not a web address, such as https://example.org/",
    r"^[^@\s]+@[^@\s]+\.[^@\s]+$": "is not an e-mail address",
    "^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$": (
        "is not a code: letters, digits, and between them dots, hyphens and underscores"
    ),
    "^[a-z0-9]+(-[a-z0-9]+)*:[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$": (
        "is not a term, such as region:food"
    ),
    "^#[0-9a-f]{6}$": "is not a colour, such as #1a4480",
}


def in_words(problem: Any) -> str:
    """Say in a few words what pydantic found wrong with one value."""
    kind = problem["type"]
    context = problem.get("ctx", {})
    if kind in _WORDS:
        return _WORDS[kind]
    if kind == "literal_error":
        return f"{problem['input']!r} is not one of {context['expected']}"
    if kind == "string_pattern_mismatch":
        what = _PATTERNS.get(context["pattern"], f"does not fit {context['pattern']}")
        return f"{problem['input']!r} {what}"
    if kind == "string_too_long":
        return f"has more than {context['max_length']} characters"
    if kind == "greater_than_equal":
        return f"must be at least {context['ge']}"
    if kind == "less_than_equal":
        return f"must be at most {context['le']}"
    return str(problem["msg"])


def problems(
    model: type[Model], content: Mapping[str, Any]
) -> list[tuple[tuple[str | int, ...], str]]:
    """Give everything that is wrong with plain values, each by its path and in words."""
    try:
        model.model_validate_json(json.dumps(_without_none(content)))
    except ValidationError as error:
        return [(each["loc"], in_words(each)) for each in error.errors(include_url=False)]
    return []


# --- canonical form ------------------------------------------------------------------------------

M = TypeVar("M", bound=Model)


class StoredUnreadable(DomainError):
    """The database holds something that a file could not say."""


def canonical(model: Model) -> dict[str, Any]:
    """Return what a model says as plain values; what equals its default is left out."""
    found: dict[str, Any] = {}
    for name, default in _defaults(type(model)):
        value = getattr(model, name)
        if value is not None and value != default:
            found[name] = _plain(name, value)
    return found


_REQUIRED: Final = object()


@cache
def _defaults(model: type[Model]) -> tuple[tuple[str, Any], ...]:
    """Give the fields of a model with what each equals when it is left out."""
    return tuple(
        (name, _REQUIRED if info.is_required() else info.default)
        for name, info in model.model_fields.items()
    )


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, Model):
        return canonical(value)
    if isinstance(value, (tuple, list)):
        return [_plain(name, item) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(name, item) for key, item in value.items()}
    if isinstance(value, Decimal):
        return decimal_text(value, places=2 if name in ("amount", "actual_amount") else 0)
    if isinstance(value, date):
        return value.isoformat()
    return value


def decimal_text(value: Decimal, *, places: int = 0) -> str:
    """Write an exact number with at least `places` decimals and no other closing zeros.

    >>> decimal_text(Decimal("4.900000"), places=2)
    '4.90'
    """
    text = f"{value.normalize():f}"
    whole, _, part = text.partition(".")
    part = part.ljust(places, "0")
    return f"{whole}.{part}" if part else whole


def from_plain(model: type[M], content: Mapping[str, Any]) -> M:
    """Read plain values, as `canonical` writes them, into a model.

    Raises `StoredUnreadable`, because only the database can hold something else.
    """
    try:
        return model.model_validate_json(json.dumps(_without_none(content)))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise StoredUnreadable(
            f"The database has a {model.__name__} that no file can say: {where}: {first['msg']}"
        ) from error


def _without_none(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, (list, tuple)):
        return [_without_none(item) for item in value]
    if isinstance(value, Decimal):
        return decimal_text(value)
    if isinstance(value, date):
        return value.isoformat()
    return value


def digest(content: Mapping[str, Any]) -> str:
    """Return the digest by which files and database remember what they agreed on."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
