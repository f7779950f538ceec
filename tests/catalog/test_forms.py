"""Groups are put in, and each person is asked what their answers before it make necessary."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regional311.catalog.content import Question, QuestionGroup, Service
from regional311.catalog.forms import (
    Form,
    Gap,
    form_from,
    gaps,
    groups_used,
    resolve,
    said,
)
from regional311.strict import canonical, digest, from_plain


def question(key: str, kind: str = "yes_no", **more: Any) -> Question:
    return from_plain(Question, {"key": key, "label": f"{key}?", "kind": kind, **more})


def depends(on: str, *answers: str) -> dict[str, Any]:
    return {"show_if": {"question": on, "answers": list(answers)}}


def made_group(key: str, *questions: Question) -> QuestionGroup:
    return from_plain(
        QuestionGroup,
        {"key": key, "name": key, "question": [canonical(each) for each in questions]},
    )


PHONE = made_group("phone", question("has"), question("number", "phone", **depends("has", "yes")))
PERSON = made_group(
    "person",
    question("name", "text"),
    question("contact", "group", group="phone"),
)
GROUPS = {"phone": PHONE, "person": PERSON}
DOG = [
    question("bites"),
    question("owner", "group", group="person", hint="If you know.", **depends("bites", "yes")),
    question("finder", "group", group="phone"),
    question("seen", **depends("owner-contact-has", "no")),
]


def keys(questions: Any) -> list[str]:
    return [each.key for each in questions]


def test_groups_are_put_in_as_often_as_they_are_named():
    form = resolve(DOG, GROUPS)
    assert keys(form.questions) == [
        "bites",
        "owner-name",
        "owner-contact-has",
        "owner-contact-number",
        "finder-has",
        "finder-number",
        "seen",
    ]
    number = form.find("owner-contact-number")
    assert number is not None
    assert [one.question for (one,) in number.clauses] == ["bites", "owner-contact-has"]
    assert number.within is not None
    assert number.within.key == "owner-contact"
    assert form.find("finder-number").clauses[0][0].question == "finder-has"
    assert form.find("nobody") is None


def several(match: str, *targets: str) -> dict[str, Any]:
    first, *also = ({"question": each, "answers": ["yes"]} for each in targets)
    return {"show_if": {**first, "also": also, "match": match}}


@pytest.mark.parametrize(
    ("match", "answers", "asked"),
    [
        ("all", {"a": "yes"}, False),
        ("all", {"a": "yes", "b": "yes"}, True),
        ("any", {}, False),
        ("any", {"b": "yes"}, True),
        ("any", {"a": "no", "b": "yes"}, True),
    ],
)
def test_a_question_may_depend_on_several(match, answers, asked):
    form = resolve([question("a"), question("b"), question("c", **several(match, "a", "b"))], {})
    assert ("c" in keys(form.shown(answers))) is asked


def test_what_a_group_asks_after_any_of_several_is_asked_so_wherever_it_is_put_in():
    inner = made_group(
        "inner", question("x"), question("y"), question("z", **several("any", "x", "y"))
    )
    form = resolve(
        [question("a"), question("in", "group", group="inner", **depends("a", "yes"))],
        {"inner": inner},
    )
    (z,) = [each for each in form.questions if each.key == "in-z"]
    assert [[one.question for one in each] for each in z.clauses] == [["a"], ["in-x", "in-y"]]
    assert "in-z" in keys(form.shown({"a": "yes", "in-y": "yes"}))
    assert "in-z" not in keys(form.shown({"in-y": "yes"}))


def test_a_form_says_everything_by_itself():
    form = resolve(DOG, GROUPS)
    again = form_from(form.content, "somebody")
    assert again == form
    assert again.digest == form.digest == digest(form.content)
    assert again.owner == "somebody"


def test_a_form_without_groups_is_what_the_service_says():
    """So what was kept before there were groups is the same form."""
    listed = [question("bites"), question("size", "number", minimum="-3", maximum="4.50")]
    assert resolve(listed, {}).content == {"question": [canonical(each) for each in listed]}


def test_a_group_that_cannot_be_put_in_gives_no_questions():
    looped = {"a": made_group("a", question("one"), question("more", "group", group="a"))}
    form = resolve([question("x", "group", group="a"), question("y", "group", group="b")], looped)
    assert keys(form.questions) == ["x-one"]
    assert groups_used(DOG, GROUPS) == {"person", "phone"}
    assert groups_used([question("x", "group", group="a")], looped) == {"a"}


@pytest.mark.parametrize(
    ("answers", "shown"),
    [
        ({}, ["bites", "finder-has"]),
        ({"bites": "no"}, ["bites", "finder-has"]),
        (
            {"bites": "yes"},
            ["bites", "owner-name", "owner-contact-has", "finder-has"],
        ),
        (
            {"bites": "yes", "owner-contact-has": "no"},
            ["bites", "owner-name", "owner-contact-has", "finder-has", "seen"],
        ),
        # an answer to what is not asked counts for nothing
        ({"bites": "no", "owner-contact-has": "no"}, ["bites", "finder-has"]),
        (
            {"bites": ("no", "yes"), "finder-has": ["yes"]},
            ["bites", "owner-name", "owner-contact-has", "finder-has", "finder-number"],
        ),
    ],
)
def test_what_is_asked_of_whom(answers, shown):
    assert keys(resolve(DOG, GROUPS).shown(answers)) == shown


@st.composite
def forms(draw: st.DrawFn) -> Form:
    """Forms of yes/no questions that depend on any one before them."""
    listed: list[Question] = []
    for number in range(draw(st.integers(1, 8))):
        more = {}
        if listed and draw(st.booleans()):
            target = draw(st.sampled_from(listed)).key
            more = depends(target, *draw(st.sets(st.sampled_from(["yes", "no"]), min_size=1)))
        listed.append(question(f"q{number}", **more))
    return resolve(listed, {})


ANSWERS = st.dictionaries(
    st.sampled_from([f"q{number}" for number in range(9)]), st.sampled_from(["yes", "no", ""])
)


@given(forms(), ANSWERS)
def test_what_is_not_asked_changes_nothing(form, answers):
    shown = keys(form.shown(answers))
    counted = {key: value for key, value in answers.items() if key in shown}
    assert keys(form.shown(counted)) == shown
    for each in form.questions:
        assert (each.key in shown) == all(
            any(
                one.question in shown and answers.get(one.question) in one.answers for one in clause
            )
            for clause in each.clauses
        )


def test_words_in_a_language_or_in_the_own_one():
    words = {"language": "es", "label": "¿Muerde?"}
    form = resolve(
        [
            question("bites", hint="Or did.", translation=[words]),
            question(
                "size",
                "choice",
                choice=[
                    {"key": "s", "label": "S", "translation": [{"language": "es", "label": "Ch"}]},
                    {"key": "l", "label": "L"},
                ],
            ),
        ],
        {},
    )
    bites, size = form.questions
    assert (said(bites, "es").label, said(bites, "es").hint) == ("¿Muerde?", "Or did.")
    assert (said(bites, "ru").label, said(bites, "ru").language) == ("bites?", "en")
    assert bites.options("es") == [("yes", "Sí"), ("no", "No")]
    assert size.options("es") == [("s", "Ch"), ("l", "L")]
    assert list(gaps(form.questions, ["en", "es"])) == [
        Gap("bites", "es", "hint"),
        Gap("size", "es", "label"),
        Gap("size", "es", "l"),
    ]


def test_every_service_of_the_example_region_has_its_form():
    from regional311.config.files import read_region
    from tests.conftest import ROOT

    asked: list[Service] = [
        each
        for tenant in read_region(ROOT).tenants.values()
        for each in tenant.services
        if each.question
    ]
    assert asked
    for each in asked:
        form = resolve(each.question, {})
        assert form_from(form.content) == form
