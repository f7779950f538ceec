"""One form, two definitions for programs: both say what our own check takes."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker

from regional311.catalog.answers import check
from regional311.catalog.content import Question, QuestionGroup
from regional311.catalog.definitions import json_schema, open311_attributes
from regional311.catalog.forms import Form, resolve
from regional311.strict import decimal_text, from_plain

TODAY = date(2026, 10, 13)
ZONE = ZoneInfo("America/Los_Angeles")
OFFERED = ("one", "two", "three")
KINDS = (
    "text",
    "long_text",
    "number",
    "date",
    "date_time",
    "choice",
    "choices",
    "yes_no",
    "place",
    "phone",
    "email",
)


@st.composite
def condition(draw: st.DrawFn, target: dict[str, Any]) -> dict[str, Any]:
    """That a question was answered by some of what it offers."""
    offered = ("yes", "no") if target["kind"] == "yes_no" else OFFERED
    answers = draw(st.sets(st.sampled_from(offered), min_size=1))
    return {"question": target["key"], "answers": sorted(answers)}


@st.composite
def forms(draw: st.DrawFn) -> Form:
    """Forms of every kind of question, with limits and with branches of any depth."""
    listed: list[dict[str, Any]] = []
    for number in range(draw(st.integers(1, 6))):
        kind = draw(st.sampled_from(KINDS))
        made: dict[str, Any] = {
            "key": f"q{number}",
            "label": f"Question {number}",
            "kind": kind,
            "required": draw(st.booleans()),
        }
        if kind in ("choice", "choices"):
            made["choice"] = [{"key": each, "label": each.title()} for each in OFFERED]
        if kind in ("text", "long_text") and draw(st.booleans()):
            made["longest"] = draw(st.integers(1, 40))
        if kind == "number" and draw(st.booleans()):
            made |= {"minimum": "-2.5", "maximum": "100"}
        targets = [each for each in listed if each["kind"] in ("choice", "choices", "yes_no")]
        if targets and draw(st.booleans()):
            first, *also = (
                draw(condition(target))
                for target in draw(
                    st.lists(st.sampled_from(targets), min_size=1, unique_by=lambda one: one["key"])
                )
            )
            match = draw(st.sampled_from(("all", "any")))
            made["show_if"] = {**first, "also": also, "match": match}
        listed.append(made)
    return resolve([from_plain(Question, each) for each in listed], {})


LINES = st.text(
    st.characters(categories=("L", "N", "P", "S", "Zs"), max_codepoint=0x2FFF), max_size=45
)
DAYS = st.dates(date(1899, 1, 1), date(2201, 1, 1))
TIMES = st.integers(-2_240_000_000, 7_300_000_000).map(
    lambda seconds: datetime.fromtimestamp(seconds, UTC).isoformat()
)
NUMBERS = st.decimals(-1000, 1000, places=2)


def instance(kind: str) -> st.SearchStrategy[Any]:
    """What a program may send as the answer to a question of this kind, right or wrong."""
    likely: dict[str, st.SearchStrategy[Any]] = {
        "number": NUMBERS,
        "date": DAYS.map(str),
        "date_time": TIMES,
        "choice": st.sampled_from(OFFERED),
        "yes_no": st.sampled_from(["yes", "no"]),
        "choices": st.lists(st.sampled_from(OFFERED), unique=True),
        "phone": st.from_regex(r"[+]?[0-9() .-]{5,20}( ?x[0-9]{1,4})?", fullmatch=True),
        "email": st.from_regex(r"[a-z]{1,5}@[a-z.]{1,9}", fullmatch=True),
        "long_text": st.lists(LINES, max_size=3).map("\n".join),
    }
    return likely.get(kind, LINES) | LINES


def as_text(value: Any) -> Any:
    return decimal_text(value) if isinstance(value, Decimal) else value


def as_json(form: Form, answers: dict[str, Any]) -> dict[str, Any]:
    """Answers in their canonical text as the JSON that the schema describes."""
    found: dict[str, Any] = {}
    for key, value in answers.items():
        asked = form.find(key)
        assert asked is not None
        if asked.kind == "number":
            found[key] = Decimal(value)
        else:
            found[key] = list(value) if isinstance(value, tuple) else value
    return found


def validator(form: Form) -> Draft202012Validator:
    schema = json_schema(form, title="Form")
    Draft202012Validator.check_schema(schema)
    # what is served is what was made
    assert json.loads(json.dumps(schema)) == schema
    return Draft202012Validator(schema, format_checker=FormatChecker())


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.data())
def test_what_our_check_takes_is_valid_and_what_is_valid_our_check_takes(data):
    form = data.draw(forms())
    sent = {
        each.key: data.draw(instance(each.kind))
        for each in form.questions
        if data.draw(st.integers(0, 4))
    }
    found = check(
        form, {key: as_text(value) for key, value in sent.items()}, today=TODAY, zone=ZONE
    )
    schema = validator(form)
    if not found.faults:
        assert list(schema.iter_errors(as_json(form, dict(found.answers)))) == []
    # for the questions that are asked, both say the same of what was sent
    asked = {each.key: each for each in found.shown}
    given_ = {key: value for key, value in sent.items() if key in asked and value not in ("", [])}
    given_ = {
        key: value
        for key, value in given_.items()
        if not (isinstance(value, str) and not value.strip())
    }
    if schema.is_valid(given_):
        # JSON Schema has no words for the years we take, and dates by their sound
        odd = {"year", "date_time"}
        assert [str(each) for each in found.faults if each.code not in odd] == []


def made(*questions: dict[str, Any], groups: dict[str, QuestionGroup] | None = None) -> Form:
    return resolve([from_plain(Question, each) for each in questions], groups or {})


SIZE = {
    "key": "size",
    "label": "How big?",
    "kind": "choice",
    "required": True,
    "choice": [
        {"key": "s", "label": "Small", "translation": [{"language": "es", "label": "Chico"}]},
        {"key": "l", "label": "Large"},
    ],
    "translation": [{"language": "es", "label": "¿Qué tan grande?"}],
}
WIDE = {
    "key": "wide",
    "label": "How wide?",
    "hint": "In feet.",
    "kind": "number",
    "minimum": "0.5",
    "maximum": "100",
    "required": True,
    "show_if": {"question": "size", "answers": ["l"]},
}


def test_a_branch_in_json_schema():
    schema = validator(made(SIZE, WIDE))
    assert schema.is_valid({"size": "s"})
    assert schema.is_valid({"size": "l", "wide": 2})
    for wrong in ({}, {"size": "l"}, {"size": "s", "wide": 2}, {"size": "l", "wide": 0.4}):
        assert not schema.is_valid(wrong), wrong
    assert not schema.is_valid({"size": "s", "colour": "red"})


def test_several_conditions_and_several_answers_in_json_schema():
    days = {
        "key": "days",
        "label": "When?",
        "kind": "choices",
        "choice": [{"key": "mon", "label": "Monday"}, {"key": "tue", "label": "Tuesday"}],
    }
    inner = from_plain(
        QuestionGroup,
        {
            "key": "time",
            "name": "Time",
            "question": [
                {"key": "known", "label": "Known?", "kind": "yes_no"},
                {
                    "key": "at",
                    "label": "At?",
                    "kind": "text",
                    "required": True,
                    "show_if": {"question": "known", "answers": ["yes"]},
                },
            ],
        },
    )
    put_in = {
        "key": "monday",
        "label": "On Monday",
        "kind": "group",
        "group": "time",
        "show_if": {"question": "days", "answers": ["mon"]},
    }
    schema = validator(made(days, put_in, groups={"time": inner}))
    assert schema.is_valid({"days": ["tue"]})
    assert schema.is_valid({"days": ["mon", "tue"], "monday-known": "yes", "monday-at": "9"})
    assert not schema.is_valid({"days": ["mon"], "monday-known": "yes"})
    assert not schema.is_valid({"days": ["tue"], "monday-known": "yes"})


def test_days_are_carried_beside_the_schema():
    schema = json_schema(
        made({"key": "d", "label": "Day", "kind": "date", "earliest_days": 0}), title="Form"
    )
    assert schema["properties"]["d"]["x-earliest-days"] == 0
    assert "required" not in schema


def test_open311_attributes():
    owner = from_plain(
        QuestionGroup,
        {
            "key": "who",
            "name": "Who",
            "question": [{"key": "phone", "label": "Phone?", "kind": "phone", "required": True}],
        },
    )
    form = made(
        SIZE,
        WIDE,
        {"key": "photo", "label": "A photo?", "kind": "file", "required": True},
        {"key": "owner", "label": "The owner", "kind": "group", "group": "who"},
        {"key": "day", "label": "Since?", "kind": "date", "latest_days": 0, "earliest_days": -30},
        groups={"who": owner},
    )
    size, wide, phone, day = open311_attributes(form)
    assert size == {
        "variable": True,
        "code": "size",
        "datatype": "singlevaluelist",
        "required": True,
        "datatype_description": "",
        "order": 1,
        "description": "How big?",
        "values": [{"key": "s", "name": "Small"}, {"key": "l", "name": "Large"}],
    }
    # a question that is not always asked can never be required there
    assert (wide["required"], wide["datatype"]) == (False, "number")
    assert wide["datatype_description"] == (
        "In feet. 0.5 or more. 100 or less. Only if “How big?” is answered: Large."
    )
    assert (phone["code"], phone["description"]) == ("owner-phone", "The owner: Phone?")
    assert (phone["required"], phone["order"]) == (True, 3)
    assert day["datatype_description"] == "At most 30 days ago. Not after today."
    assert "values" not in day


def test_open311_in_another_language():
    size, wide = open311_attributes(made(SIZE, WIDE), "es", lambda text: f"[{text}]")
    assert size["description"] == "¿Qué tan grande?"
    assert [each["name"] for each in size["values"]] == ["Chico", "Large"]
    assert wide["datatype_description"].endswith("[Only if “¿Qué tan grande?” is answered: Large.]")


@given(forms())
def test_every_form_has_attributes_in_order(form):
    found = open311_attributes(form)
    assert [each["order"] for each in found] == list(range(1, len(form.questions) + 1))
    assert all(("values" in each) == each["datatype"].endswith("list") for each in found)
