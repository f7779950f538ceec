"""Forms are built one change at a time, and no change breaks another question."""

from __future__ import annotations

from typing import Any

import pytest

from regional311.catalog.content import Choice, Question, QuestionGroup
from regional311.catalog.form_building import (
    MustFollow,
    Offer,
    StillNeeded,
    Words,
    added,
    find,
    moved,
    new_faults,
    offered,
    removed,
    replaced,
    targets,
    translated,
)
from regional311.errors import NotFound
from regional311.strict import from_plain


def question(key: str, kind: str = "yes_no", **more: Any) -> Question:
    return from_plain(Question, {"key": key, "label": f"{key}?", "kind": kind, **more})


def depends(on: str) -> dict[str, Any]:
    return {"show_if": {"question": on, "answers": ["yes"]}}


GROUPS = {
    "who": from_plain(
        QuestionGroup,
        {
            "key": "who",
            "name": "Who",
            "question": [
                {"key": "known", "label": "Known?", "kind": "yes_no"},
                {"key": "name", "label": "Name?", "kind": "text"},
            ],
        },
    )
}
FORM = (
    question("big"),
    question("wide", "number", **depends("big")),
    question("owner", "group", group="who"),
    question("asked", "text", **depends("owner-known")),
)


def keys(questions: Any) -> list[str]:
    return [each.key for each in questions]


def test_a_question_is_added_replaced_and_taken_out():
    more = added(FORM, question("more"))
    assert keys(more) == ["big", "wide", "owner", "asked", "more"]
    other = question("wide", "text", **depends("big"))
    assert find(replaced(FORM, other), "wide").kind == "text"
    assert keys(removed(FORM, "asked")) == ["big", "wide", "owner"]
    for change in (lambda: removed(FORM, "gone"), lambda: replaced(FORM, question("gone"))):
        with pytest.raises(NotFound):
            change()


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("big", "“wide?” is asked only after an answer to “big?”: change that one first."),
        ("owner", "“asked?” is asked only after an answer to “owner?”: change that one first."),
    ],
)
def test_what_others_depend_on_stays(key, message):
    with pytest.raises(StillNeeded) as caught:
        removed(FORM, key)
    assert caught.value.message == message


def test_questions_move_past_those_that_they_do_not_depend_on():
    assert keys(moved(FORM, "owner", -1)) == ["big", "owner", "wide", "asked"]
    assert moved(FORM, "big", -1) == FORM
    assert moved(FORM, "asked", 1) == FORM
    for key, by in (("wide", -1), ("big", 1), ("asked", -1), ("owner", 1)):
        with pytest.raises(MustFollow):
            moved(FORM, key, by)


def test_what_a_question_may_depend_on():
    assert keys(targets(FORM, GROUPS)) == ["big", "owner-known"]
    assert keys(targets(FORM, GROUPS, "owner")) == ["big"]
    assert targets(FORM, GROUPS, "big") == []


def test_only_what_is_wrong_now_is_told():
    broken = (question("a", **depends("gone")), question("b"))
    worse = added(broken, question("b"))
    assert new_faults(broken, broken, {}) == []
    assert new_faults(broken, worse, {}) == [
        ("question[b].key", "b is used twice (entry 3)"),
    ]


BEFORE = (
    from_plain(
        Choice,
        {"key": "s", "label": "Small", "translation": [{"language": "es", "label": "Chico"}]},
    ),
    from_plain(Choice, {"key": "l", "label": "Large"}),
)


def test_answers_keep_their_keys_and_translations():
    made = offered([Offer("Huge"), Offer("Little", "s"), Offer("S")], BEFORE)
    assert [(each.key, each.label) for each in made] == [
        ("huge", "Huge"),
        ("s", "Little"),
        ("s-2", "S"),
    ]
    assert made[1].translation == BEFORE[0].translation
    # a key that never was is no way to make one
    assert offered([Offer("Other", "made-up")], BEFORE)[0].key == "other"


def test_translations_are_put_in_and_taken_out():
    form = (question("size", "choice", choice=[{"key": "s", "label": "Small"}]), question("other"))
    said = translated(form, "es", {"size": Words("¿Tamaño?", "Más o menos.", {"s": "Chico"})})
    assert said[0].translation[0].label == "¿Tamaño?"
    assert said[0].choice[0].translation[0].label == "Chico"
    assert said[1] == form[1]
    russian = translated(said, "ru", {"size": Words("Размер?")})
    again = translated(russian, "es", {"size": Words("¿De qué tamaño?", "", {"s": "Chiquito"})})
    assert [(each.language, each.label, each.hint) for each in again[0].translation] == [
        ("es", "¿De qué tamaño?", None),
        ("ru", "Размер?", None),
    ]
    empty = translated(said, "es", {"size": Words()})
    assert empty == form
