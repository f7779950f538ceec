"""What the catalogue may say and what HSDS may, made up: strategies read from the models."""

from __future__ import annotations

import types
import typing
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid5

import annotated_types
from hypothesis import strategies as st
from pydantic import StringConstraints

from regional311 import strict
from regional311.catalog import content
from regional311.catalog.hsds.shapes import NESTED, SHAPES
from regional311.strict import canonical, from_plain

PLAIN = st.characters(codec="utf-8", exclude_categories=["C", "Z"])
LINE = st.text(st.one_of(PLAIN, st.just(" ")), min_size=1, max_size=40).filter(
    lambda text: text.strip() == text and text
)
PROSE = st.text(st.one_of(PLAIN, st.sampled_from(" \n")), min_size=1, max_size=120).filter(
    lambda text: text.strip()
)
TIMES = ["00:00", "08:00", "12:30", "17:00", "24:00"]
SPANS = [f"{a}-{b}" for place, a in enumerate(TIMES) for b in TIMES[place + 1 :]]
DECIMALS = st.decimals(0, 9999, places=2).map(lambda each: f"{each:.2f}")
WEEK = st.dictionaries(
    st.sampled_from(list(strict.Week.model_fields)),
    st.sets(st.sampled_from(SPANS), min_size=1, max_size=2).map(sorted),
)
WORD = st.text("abc0", min_size=1, max_size=4)
SPELLED = {
    r"^[a-z0-9]+(-[a-z0-9]+)*$": st.lists(WORD, min_size=1, max_size=3).map("-".join),
    r"^https?://\S+$": st.text(PLAIN, min_size=1, max_size=20).map("http://{}".format),
    r"^[^@\s]+@[^@\s]+\.[^@\s]+$": st.tuples(WORD, WORD, WORD).map(
        lambda words: "{}@{}.{}".format(*words)
    ),
}


def said(model: type[strict.Model]) -> st.SearchStrategy[dict[str, Any]]:
    """Anything that a model can say, in its canonical form."""
    return plain(model).map(lambda values: canonical(from_plain(model, values)))


def plain(model: type[strict.Model]) -> st.SearchStrategy[dict[str, Any]]:
    if model is strict.Week:
        return WEEK
    required, optional = {}, {}
    for name, info in model.model_fields.items():
        values = of_type(info.annotation, info.metadata)
        (required if info.is_required() else optional)[name] = values
    return st.fixed_dictionaries(required, optional=optional)


def of_type(annotation: Any, metadata: typing.Sequence[Any] = ()) -> st.SearchStrategy[Any]:
    origin, inside = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return of_type(inside[0], [*inside[1:], *metadata])
    if origin is typing.Literal:
        return st.sampled_from(inside)
    if origin is tuple:
        least = next((each.min_length for each in metadata if hasattr(each, "min_length")), 0) or 0
        return st.lists(of_type(inside[0]), min_size=least, max_size=3)
    if origin in (typing.Union, types.UnionType):
        return of_type(next(each for each in inside if each is not type(None)), metadata)
    if isinstance(annotation, type) and issubclass(annotation, strict.Model):
        return plain(annotation)
    if annotation is Decimal:
        return DECIMALS
    if annotation is date:
        return st.dates(date(2000, 1, 1), date(2100, 1, 1)).map(str)
    if annotation is bool:
        return st.booleans()
    if annotation in (int, float):
        least = next((each.ge for each in metadata if isinstance(each, annotated_types.Ge)), 0)
        most = next((each.le for each in metadata if isinstance(each, annotated_types.Le)), 10**6)
        if annotation is int:
            return st.integers(int(least), int(most))
        return st.floats(least, most, allow_nan=False)
    assert annotation is str, annotation
    rules = [each for each in metadata if isinstance(each, StringConstraints)]
    pattern = rules[0].pattern if rules else None
    if pattern is None:
        return PROSE
    if pattern == r"^\S(.*\S)?$":
        return LINE
    if str(pattern) in SPELLED:
        return SPELLED[str(pattern)]
    longest = rules[0].max_length or 100
    found = st.from_regex(str(pattern).removesuffix("$") + r"\Z", fullmatch=True)
    return found.filter(lambda text: len(text) <= longest and text.isprintable())


IDS = st.integers(0, 10**6).map(lambda number: str(uuid5(UUID(int=311), str(number))))
NUMBERS = st.one_of(st.integers(-1000, 1000), st.floats(-1000, 1000, allow_nan=False))
TEXT = st.text(st.one_of(PLAIN, st.sampled_from(" \n")), min_size=1, max_size=60)
KINDS = {
    "text": TEXT,
    "number": NUMBERS,
    "uuid": IDS,
    "uri": st.sampled_from(["http://example.com", "https://example.org/a?b=c", "www.example.org"]),
    "email": st.sampled_from(["a@example.org", "b.c@example.com"]),
    "date": st.dates().map(str),
    "time": st.sampled_from(["09:00", "17:30:00", "9:00", "23:59:59"]),
    "moment": st.datetimes().map(lambda at: at.isoformat() + "Z"),
}


def document(kind: str, depth: int = 2) -> st.SearchStrategy[dict[str, Any]]:
    """Any document of HSDS of this kind, without other entities in it."""
    shape = SHAPES[kind]
    required: dict[str, Any] = {}
    optional: dict[str, Any] = {}
    for name, of in shape.fields.items():
        values = KINDS[of]
        if name in shape.choices:
            values = st.sampled_from(shape.choices[name])
        if (kind, name) == ("phone", "number"):
            values = st.one_of(
                TEXT, st.sampled_from(["(312) 938-2106", "1-800-LAW-REP-4", "211", "no phone"])
            )
        (required if name in shape.required else optional)[name] = values
    if kind == "service_capacity":
        required["unit"] = document("unit", 0)
    if depth:
        apart = NESTED.get(kind, frozenset())
        for name, inner in shape.lists.items():
            if name not in apart:
                optional[name] = st.lists(document(inner, depth - 1), min_size=1, max_size=2)
        for name, inner in shape.objects.items():
            if name not in apart and name not in required:
                optional[name] = document(inner, depth - 1)
    return st.fixed_dictionaries(required, optional=optional)


SAID_SERVICE = said(content.Service)
SAID_LOCATION = said(content.Location)
SAID_ORGANIZATION = said(content.Organization)
SAID_SITE = said(content.ServiceLocation)
