"""The forms of the form builder: one question, the words of a language, the name of a group.

A question is asked for by its kind, so that a form holds only what that kind needs. Keys are made
from words and never shown as something to fill in.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal as Number
from typing import Any, Final

from regional311.catalog import form_building as building
from regional311.catalog.content import Question, QuestionGroup
from regional311.catalog.form_building import Offer, Words
from regional311.catalog.forms import CHOOSES, Asked, headed, said
from regional311.strict import canonical, from_plain, problems
from regional311.web.forms import (
    Boolean,
    CheckboxGroupWidget,
    CheckboxWidget,
    Choice,
    Choices,
    Decimal,
    HiddenWidget,
    Integer,
    NumberWidget,
    RadioWidget,
    Schema,
    SchemaNode,
    SelectWidget,
    String,
    TextWidget,
    rows,
)
from regional311.web.i18n import _

SEEN: Final = "seen"
"""The hidden field that says which version the form showed."""
ALWAYS: Final = "always"
GROUP: Final = "group"
KINDS: Final[Mapping[str, tuple[Any, Any]]] = {
    "choice": (_("One of several answers"), _("All answers are listed; one is picked.")),
    "choices": (_("Any of several answers"), _("All answers are listed; any may be ticked.")),
    "yes_no": (_("Yes or no"), _("Other questions can follow from it.")),
    "text": (_("A few words"), _("One line of text.")),
    "long_text": (_("Several lines"), _("Room to describe something.")),
    "number": (_("A number"), _("With a smallest and a largest, where they matter.")),
    "date": (_("A day"), _("Counted from today where it matters: not in the future.")),
    "date_time": (_("A day and a time"), _("On the clock of this partner.")),
    "place": (_("A place in words"), _("Beside the place that every request has.")),
    "phone": (_("A telephone number"), _("Of somebody else than who asks.")),
    "email": (_("An e-mail address"), _("Of somebody else than who asks.")),
    "file": (_("A picture or PDF"), _("Kept with the request, for staff only.")),
    GROUP: (_("A group of questions"), _("Questions that several forms share.")),
}
"""Every kind of question: what it is called, and when it is used."""

_DAYS: Final = {
    "any": _("Any day"),
    "today": _("Today"),
    "before": _("Days before today"),
    "after": _("Days after today"),
}
_COUNTED: Final = ("before", "after")
_WHEN: Final = {
    ALWAYS: _("Always"),
    "all": _("Only after the answers ticked below, to each question that has any ticked"),
    "any": _("As soon as one of the answers ticked below was given"),
}
_CONDITIONAL: Final = ("all", "any")


def _text(name: str, title: Any, hint: Any = None, **more: Any) -> SchemaNode:
    node = SchemaNode(String(200), name=name, title=title, **more)
    if hint is not None:
        node.description = hint
    return node


def _seen() -> SchemaNode:
    return SchemaNode(Integer(), name=SEEN, title="", widget=HiddenWidget())


# --- one question ---------------------------------------------------------------------------------


def question_form(
    kind: str, targets: Sequence[Asked], groups: Mapping[str, QuestionGroup]
) -> Schema:
    """The form of a question of a kind; `targets` are those on which it may depend."""
    schema = Schema()
    schema.add(_seen())
    if kind == GROUP:
        offered = [(key, each.name) for key, each in sorted(groups.items())]
        schema.add(
            SchemaNode(
                Choice(offered), name="group", title=_("Group"), widget=SelectWidget(values=offered)
            )
        )
        schema.add(_text("label", _("Heading above its questions")))
    else:
        schema.add(_text("label", _("Question"), _("As a person would ask it, in plain words.")))
    schema.add(_text("hint", _("Help below it"), missing=None))
    if kind != GROUP:
        schema.add(
            SchemaNode(
                Boolean(),
                name="required",
                title=_("It must be answered"),
                widget=CheckboxWidget(),
                missing=False,
            )
        )
    for node in _limits(kind):
        schema.add(node)
    for node in _conditions(targets):
        schema.add(node)
    return schema


def _limits(kind: str) -> list[SchemaNode]:
    if kind in CHOOSES:
        row = Schema()
        row.add(SchemaNode(String(60), name="key", title="", missing="", widget=HiddenWidget()))
        row.add(_text("label", _("Answer")))
        return [
            rows(
                "choice",
                row,
                title=_("Answers to choose from"),
                row_title=_("Answer ${number}"),
                add=_("Add an answer"),
                compact=True,
                spare=2,
            )
        ]
    if kind == "number":
        return [
            SchemaNode(Decimal(6), name=name, title=title, missing=None, widget=NumberWidget())
            for name, title in (("minimum", _("Smallest")), ("maximum", _("Largest")))
        ]
    if kind in ("text", "long_text"):
        return [
            SchemaNode(
                Integer(),
                name="longest",
                title=_("Most characters"),
                missing=None,
                widget=NumberWidget(width="xs"),
            )
        ]
    if kind in ("date", "date_time"):
        return [
            node
            for name, title in (("earliest", _("Earliest day")), ("latest", _("Latest day")))
            for node in _day(name, title)
        ]
    return []


def _day(name: str, title: Any) -> list[SchemaNode]:
    offered = list(_DAYS.items())
    return [
        SchemaNode(
            Choice(offered),
            name=name,
            title=title,
            widget=RadioWidget(values=offered),
            missing="any",
            default="any",
            needed=True,
        ),
        SchemaNode(
            Integer(),
            name=f"{name}_count",
            title=_("How many days"),
            missing=None,
            needed=True,
            widget=NumberWidget(width="xs"),
            asked_if=json.dumps([[[name, _COUNTED]]]),
            only_if=_("Only for days before or after today."),
        ),
    ]


def _conditions(targets: Sequence[Asked]) -> list[SchemaNode]:
    if not targets:
        return []
    nodes = [
        SchemaNode(
            Choice(list(_WHEN.items())),
            name="show_if",
            title=_("When it is asked"),
            widget=RadioWidget(values=list(_WHEN.items())),
            missing=ALWAYS,
            default=ALWAYS,
            needed=True,
        )
    ]
    for each in targets:
        options = each.options()
        nodes.append(
            SchemaNode(
                Choices(options),
                name=f"if-{each.key}",
                title=_("Answers to “${question}”", mapping={"question": _label(each)}),
                widget=CheckboxGroupWidget(values=options),
                missing=(),
                asked_if=json.dumps([[["show_if", _CONDITIONAL]]]),
                only_if=_("Only where it depends on that question."),
            )
        )
    return nodes


def _label(asked: Asked) -> str:
    label = said(asked).label
    return headed(said(asked.within).label, label) if asked.within else label


def values_of(question: Question) -> dict[str, Any]:
    """Give what the form of a question is filled with."""
    values: dict[str, Any] = {
        "label": question.label,
        "hint": question.hint,
        "required": question.required,
        "group": question.group,
        "choice": [{"key": each.key, "label": each.label} for each in question.choice],
        "minimum": question.minimum,
        "maximum": question.maximum,
        "longest": question.longest,
        "show_if": ALWAYS,
    }
    for name, days in (("earliest", question.earliest_days), ("latest", question.latest_days)):
        values[name], values[f"{name}_count"] = _said_days(days)
    if question.show_if is not None:
        values["show_if"] = question.show_if.match
        for one in question.show_if.parts:
            values[f"if-{one.question}"] = list(one.answers)
    return values


def _said_days(days: int | None) -> tuple[str, int | None]:
    if days is None:
        return "any", None
    if days == 0:
        return "today", None
    return ("before" if days < 0 else "after"), abs(days)


Wrong = list[tuple[tuple[str | int, ...], Any]]
"""What is wrong, each with the field that it is about."""


def question_said(
    kind: str, values: Mapping[str, Any], key: str, before: Question | None
) -> tuple[Question | None, Wrong]:
    """Give the question that was filled in, or what is wrong with it.

    `before` is the question as it was: its translations stay, and its answers keep their keys.
    """
    wrong: Wrong = []
    plain: dict[str, Any] = {
        "key": key,
        "kind": kind,
        **{name: values.get(name) for name in ("label", "hint", "group", "longest")},
        "required": bool(values.get("required")),
    }
    for name in ("minimum", "maximum"):
        number = values.get(name)
        plain[name] = Number(number) if number is not None else None
    for name in ("earliest", "latest"):
        days = _days(values.get(name), values.get(f"{name}_count"))
        if days is _MISSING:
            wrong.append(((f"{name}_count",), _("Enter how many days.")))
        plain[f"{name}_days"] = days
    if before is not None:
        plain["translation"] = [canonical(each) for each in before.translation]
    if kind in CHOOSES:
        offers = [Offer(each["label"], each.get("key") or "") for each in values.get("choice", ())]
        made = building.offered(offers, before.choice if before else ())
        plain["choice"] = [canonical(each) for each in made]
        if not made:
            wrong.append((("choice",), _("List at least one answer.")))
    match = values.get("show_if", ALWAYS)
    if match != ALWAYS:
        ticked = [
            {"question": name.removeprefix("if-"), "answers": list(answers)}
            for name, answers in values.items()
            if name.startswith("if-") and answers
        ]
        if ticked:
            first, *also = ticked
            # one condition is the same in both ways
            plain["show_if"] = {**first, "also": also, "match": match if also else "all"}
        else:
            wrong.append((("show_if",), _("Tick below after which answers it is asked.")))
    plain = {name: value for name, value in plain.items() if value is not None}
    wrong += (
        [((str(path[0]),), f"{message}.") for path, message in problems(Question, plain)]
        if not wrong
        else []
    )
    return (None if wrong else from_plain(Question, plain)), wrong


_MISSING: Final = object()


def _days(chosen: Any, count: int | None) -> Any:
    if chosen == "today":
        return 0
    if chosen not in _COUNTED:
        return None
    if count is None or count < 0:
        return _MISSING
    return -count if chosen == "before" else count


FAULT_FIELDS: Final[Mapping[str, str]] = {
    "earliest_days": "earliest",
    "latest_days": "latest",
    "group": "group",
    "choice": "choice",
    "minimum": "minimum",
    "maximum": "maximum",
    "longest": "longest",
    "show_if": "show_if",
}
"""Where the form says what is wrong with a part of a question."""


# --- the words of a language ----------------------------------------------------------------------


def translation_form(
    questions: Sequence[Question], language: str, group: QuestionGroup | None = None
) -> Schema:
    """The words of a form in another language, each beside the partner's own."""
    schema = Schema()
    schema.add(_seen())
    if group is not None:
        schema.add(_beside("name", _("Name of the group"), group.name, language))
    for place, each in enumerate(questions, 1):
        number = {"number": place}
        schema.add(
            _beside(
                f"label.{each.key}", _("Question ${number}", mapping=number), each.label, language
            )
        )
        if each.hint:
            title = _("Help below question ${number}", mapping=number)
            schema.add(_beside(f"hint.{each.key}", title, each.hint, language))
        for choice in each.choice:
            title = _("Answer to question ${number}", mapping=number)
            name = f"choice.{each.key}.{choice.key}"
            schema.add(_beside(name, title, choice.label, language))
    return schema


def _beside(name: str, title: Any, words: str, language: str) -> SchemaNode:
    widget = TextWidget(maxlength=200, attributes={"lang": language})
    return _text(name, title, missing="", widget=widget, beside=words, plain=True)


def translation_values(
    questions: Sequence[Question], language: str, group: QuestionGroup | None = None
) -> dict[str, Any]:
    """Give what is said in a language so far."""
    values: dict[str, Any] = {}
    if group is not None:
        values["name"] = next(
            (each.name for each in group.translation if each.language == language), None
        )
    for each in questions:
        for words in each.translation:
            if words.language == language:
                values[f"label.{each.key}"] = words.label
                values[f"hint.{each.key}"] = words.hint
        for choice in each.choice:
            for one in choice.translation:
                if one.language == language:
                    values[f"choice.{each.key}.{choice.key}"] = one.label
    return values


def words_said(
    questions: Sequence[Question], values: Mapping[str, Any]
) -> tuple[dict[str, Words], Wrong]:
    """Give the words that were filled in, by question, and what is wrong with them."""
    words = {
        each.key: Words(
            values.get(f"label.{each.key}") or "",
            values.get(f"hint.{each.key}") or "",
            {one.key: values.get(f"choice.{each.key}.{one.key}") or "" for one in each.choice},
        )
        for each in questions
    }
    wrong: Wrong = [
        ((f"label.{key}",), _("Put the question itself into this language, too."))
        for key, each in words.items()
        if each.hint and not each.label
    ]
    return words, wrong


# --- groups ---------------------------------------------------------------------------------------


def name_form(*, new: bool) -> Schema:
    """The name of a group of questions."""
    schema = Schema()
    if not new:
        schema.add(_seen())
    schema.add(
        _text(
            "name",
            _("What it asks about"),
            _("For instance: The owner of the animal. Each form may say it otherwise."),
        )
    )
    return schema
