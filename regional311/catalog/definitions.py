"""A form for programs: as JSON Schema (2020-12), and as Open311 GeoReport v2 attributes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

from regional311.catalog.answers import EMAIL, PHONE, PLACES, longest
from regional311.catalog.content import Condition
from regional311.catalog.forms import CODED, OWN_LANGUAGE, Asked, Clause, Form, headed, said
from regional311.strict import decimal_text

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_UNSHOWABLE: Final = "\x00-\x1f\x7f-\x9f\ue000-\uf8ff\U000f0000-\U0010ffff"
_LINE: Final = rf"^(?=.*\S)[^{_UNSHOWABLE}]*$"
_LINES: Final = rf"^(?=[\s\S]*\S)([^{_UNSHOWABLE}]|[\n\r\t])*$"
_DATE_TIME: Final = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2})?(Z|[+-][0-9]{2}:[0-9]{2})$"
)
_DATATYPES: Final[Mapping[str, str]] = {
    "text": "string",
    "long_text": "text",
    "number": "number",
    "date": "datetime",
    "date_time": "datetime",
    "choice": "singlevaluelist",
    "choices": "multivaluelist",
    "yes_no": "singlevaluelist",
    "place": "string",
    "phone": "string",
    "email": "string",
}
"""Open311's kind of each of ours; what is not here cannot be asked over Open311."""

ONLY_IF: Final = "Only if “{question}” is answered: {answers}."
ONLY_IF_ANY: Final = "Only if one of these was answered: {conditions}."
AT_MOST: Final = "At most {limit} characters."
FROM: Final = "{limit} or more."
UP_TO: Final = "{limit} or less."
DAYS: Final[Mapping[tuple[str, int], str]] = {
    ("earliest", 0): "Not before today.",
    ("latest", 0): "Not after today.",
    ("earliest", -1): "At most {days} days ago.",
    ("earliest", 1): "At least {days} days from today.",
    ("latest", -1): "At least {days} days ago.",
    ("latest", 1): "At most {days} days from today.",
}
"""What a limit of days says, by which it is and its sign."""

Translate = Callable[[str], str]


# --- in words -------------------------------------------------------------------------------------


def limits_said(asked: Asked, translate: Translate = str) -> list[str]:
    """Give the limits of an answer as sentences."""
    found = []
    if asked.longest is not None:
        found.append(translate(AT_MOST).format(limit=asked.longest))
    if asked.minimum is not None:
        found.append(translate(FROM).format(limit=decimal_text(asked.minimum)))
    if asked.maximum is not None:
        found.append(translate(UP_TO).format(limit=decimal_text(asked.maximum)))
    for name, days in (("earliest", asked.earliest_days), ("latest", asked.latest_days)):
        if days is not None:
            sentence = DAYS[name, (days > 0) - (days < 0)]
            found.append(translate(sentence).format(days=abs(days)))
    return found


def conditions_said(
    form: Form, asked: Asked, language: str = OWN_LANGUAGE, translate: Translate = str
) -> list[str]:
    """Give the conditions under which a question is asked as sentences."""
    found = []
    for clause in asked.clauses:
        parts = list(_parts(form, clause, language))
        if len(parts) == 1:
            ((question, answers),) = parts
            found.append(translate(ONLY_IF).format(question=question, answers=answers))
        elif parts:
            listed = "; ".join(f"“{question}” {answers}" for question, answers in parts)
            found.append(translate(ONLY_IF_ANY).format(conditions=listed))
    return found


def _parts(form: Form, clause: Clause, language: str) -> Iterator[tuple[str, str]]:
    """Give the questions of a clause with their answers, in words."""
    for each in clause:
        target = form.find(each.question)
        if target is not None:
            words = dict(target.options(language))
            answers = ", ".join(words.get(one, one) for one in each.answers)
            yield said(target, language).label, answers


# --- JSON Schema ----------------------------------------------------------------------------------


def json_schema(form: Form, *, title: str, language: str = OWN_LANGUAGE) -> dict[str, Any]:
    """Describe the answers to a form: an object with a property for each question that is asked.

    A question that is not asked of somebody has no property. Days are counted from the day on
    which the form is answered; JSON Schema has no word for that, so that `x-earliest-days` and
    `x-latest-days` carry it.
    """
    schema: dict[str, Any] = {
        "$schema": DIALECT,
        "title": title,
        "type": "object",
        "properties": {each.key: _property(each, language) for each in form.questions},
        "additionalProperties": False,
    }
    required = [each.key for each in form.questions if each.required and not each.clauses]
    if required:
        schema["required"] = required
    branches = [_branch(form, each) for each in form.questions if each.clauses]
    if branches:
        schema["allOf"] = branches
    return schema


def _property(asked: Asked, language: str) -> dict[str, Any]:
    words = said(asked, language)
    found: dict[str, Any] = {"title": words.label}
    if words.hint:
        found["description"] = words.hint
    match asked.kind:
        case "choice" | "yes_no":
            return found | {"oneOf": _options(asked, language)}
        case "choices":
            items = {"oneOf": _options(asked, language)}
            return found | {"type": "array", "items": items, "uniqueItems": True, "minItems": 1}
        case "number":
            found["type"] = "number"
            found["x-decimal-places"] = PLACES
            if asked.minimum is not None:
                found["minimum"] = _plain(asked.minimum)
            if asked.maximum is not None:
                found["maximum"] = _plain(asked.maximum)
            return found
        case "date":
            return found | {"type": "string", "format": "date"} | _days(asked)
        case "date_time":
            moment = {"type": "string", "format": "date-time", "pattern": _DATE_TIME}
            return found | moment | _days(asked)
        case "phone":
            return found | {"type": "string", "pattern": PHONE, "maxLength": longest(asked)}
        case "email":
            text = {"type": "string", "format": "email", "pattern": EMAIL}
            return found | text | {"maxLength": longest(asked)}
    pattern = _LINES if asked.kind == "long_text" else _LINE
    return found | {"type": "string", "pattern": pattern, "maxLength": longest(asked)}


def _options(asked: Asked, language: str) -> list[dict[str, str]]:
    return [{"const": key, "title": words} for key, words in asked.options(language)]


def _days(asked: Asked) -> dict[str, int]:
    named = {"x-earliest-days": asked.earliest_days, "x-latest-days": asked.latest_days}
    return {name: days for name, days in named.items() if days is not None}


def _plain(number: Decimal) -> int | float:
    return int(number) if number == number.to_integral_value() else float(number)


def _branch(form: Form, asked: Asked) -> dict[str, Any]:
    return {
        "if": _together("allOf", [_clause(form, each) for each in asked.clauses]),
        "then": {"required": [asked.key]} if asked.required else True,
        "else": {"properties": {asked.key: False}},
    }


def _clause(form: Form, clause: Clause) -> dict[str, Any]:
    return _together("anyOf", [_holds(form, each) for each in clause])


def _together(how: str, parts: list[dict[str, Any]]) -> dict[str, Any]:
    return parts[0] if len(parts) == 1 else {how: parts}


def _holds(form: Form, condition: Condition) -> dict[str, Any]:
    one_of: dict[str, Any] = {"enum": list(condition.answers)}
    target = form.find(condition.question)
    if target is not None and target.kind == "choices":
        one_of = {"type": "array", "contains": one_of}
    return {"properties": {condition.question: one_of}, "required": [condition.question]}


# --- Open311 --------------------------------------------------------------------------------------


def open311_attributes(
    form: Form, language: str = OWN_LANGUAGE, translate: Translate = str
) -> list[dict[str, Any]]:
    """Describe a form as the attributes of a GeoReport v2 service definition.

    GeoReport knows no conditions: a question that is not always asked is never required there,
    and says when it is to be answered. Files have no place in it and are left out.
    """
    asked = [each for each in form.questions if each.kind in _DATATYPES]
    return [
        {
            "variable": True,
            "code": each.key,
            "datatype": _DATATYPES[each.kind],
            "required": each.required and not each.clauses,
            "datatype_description": _description(form, each, language, translate),
            "order": order,
            "description": _label(each, language),
            **(
                {"values": [{"key": key, "name": name} for key, name in each.options(language)]}
                if each.kind in CODED
                else {}
            ),
        }
        for order, each in enumerate(asked, 1)
    ]


def _label(asked: Asked, language: str) -> str:
    label = said(asked, language).label
    return headed(said(asked.within, language).label, label) if asked.within else label


def _description(form: Form, asked: Asked, language: str, translate: Translate) -> str:
    hint = said(asked, language).hint
    sentences = [
        *([hint] if hint else []),
        *limits_said(asked, translate),
        *conditions_said(form, asked, language, translate),
    ]
    return " ".join(sentences)
