"""The questions of a service's form: one field each, and what the answers become.

Answers from a list are facts that rules may read. What is typed freely is told with the
description: it may say who somebody is, and facts never do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from regional311.catalog.directory import Service
from regional311.web.forms import (
    CheckboxGroupWidget,
    Choice,
    Choices,
    Date,
    DateWidget,
    Decimal,
    NumberWidget,
    RadioWidget,
    Schema,
    SchemaNode,
    String,
    TextAreaWidget,
    TextWidget,
)
from regional311.web.i18n import _

PREFIX = "answer-"
_CODED = ("choice", "choices", "yes_no")


def questions_of(service: Service) -> list[Mapping[str, Any]]:
    """Return the questions of a service's form, in order."""
    return list(service.details.get("question") or service.details.get("questions") or ())


def add_questions(schema: Schema, service: Service) -> None:
    """Add a field for each question of the service, before who asks."""
    for question in questions_of(service):
        node = _node(question)
        if not question.get("required"):
            node.missing = None
        schema.add_before("name", node)


def answers_of(service: Service, values: Mapping[str, Any]) -> tuple[dict[str, str], list[str]]:
    """Return the answers that are codes, by question, and the others as lines of text."""
    coded: dict[str, str] = {}
    told: list[str] = []
    for question in questions_of(service):
        value = values.get(PREFIX + question["key"])
        if value in (None, "", []):
            continue
        if question["kind"] in _CODED:
            coded[question["key"]] = ",".join(value) if isinstance(value, list) else str(value)
        else:
            told.append(f"{question['label']} {value}")
    return coded, told


def _node(question: Mapping[str, Any]) -> SchemaNode:
    kind = question["kind"]
    if kind == "yes_no":
        offered = [("yes", _("Yes")), ("no", _("No"))]
    else:
        offered = [
            (each["key"], each["label"])
            for each in question.get("choice") or question.get("choices") or ()
        ]
    typ, widget = {
        "text": lambda: (String(300), TextWidget(maxlength=300)),
        "long_text": lambda: (String(2000, multiline=True), TextAreaWidget(maxlength=2000)),
        "number": lambda: (Decimal(), NumberWidget()),
        "date": lambda: (Date(), DateWidget()),
        "choice": lambda: (Choice(offered), RadioWidget(values=offered)),
        "yes_no": lambda: (Choice(offered), RadioWidget(values=offered)),
        "choices": lambda: (Choices(offered), CheckboxGroupWidget(values=offered)),
    }[kind]()
    return SchemaNode(
        typ,
        name=PREFIX + question["key"],
        title=question["label"],
        description=question.get("hint") or "",
        widget=widget,
    )
