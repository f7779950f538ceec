"""What a service says is looked at as a whole, and every fault says where it is."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from regional311.catalog.checks import Known, group_faults, service_faults
from regional311.catalog.content import QuestionGroup, Service
from regional311.strict import from_plain

KNOWN = Known(
    bureaus={"streets"},
    queues={"work"},
    boundaries={"east"},
    locations={"hall"},
    organizations={"bank"},
    groups={
        "person": from_plain(
            QuestionGroup,
            {
                "key": "person",
                "name": "A person",
                "question": [
                    {"key": "knows", "label": "Do you know who?", "kind": "yes_no"},
                    {
                        "key": "name",
                        "label": "Who?",
                        "kind": "text",
                        "show_if": {"question": "knows", "answers": ["yes"]},
                    },
                ],
            },
        )
    },
)
WHO = {"key": "owner", "label": "The owner", "kind": "group", "group": "person"}
PLAIN: dict[str, Any] = {
    "key": "pothole",
    "name": "Pothole",
    "summary": "A hole.",
    "verb": "report",
    "bureau": "streets",
    "term": "pothole",
    "group": "Streets",
    "disposition": [{"kind": "resolve", "valid_from": date(2026, 7, 1)}],
}
SIZE = {
    "key": "size",
    "label": "How big?",
    "kind": "choice",
    "choice": [{"key": "small", "label": "Small"}, {"key": "large", "label": "Large"}],
}


def faults(**said: Any) -> list[tuple[str, str]]:
    return list(service_faults(from_plain(Service, {**PLAIN, **said}), KNOWN))


def asked(**said: Any) -> dict[str, Any]:
    return {"key": "car", "label": "Can a car pass?", "kind": "yes_no", **said}


def test_a_service_without_a_fault():
    shown = asked(show_if={"question": "size", "answers": ["large"]})
    where = {"location": "hall", "areas": ["east"]}
    assert faults(question=[SIZE, shown], location=[where], organization="bank") == []


@pytest.mark.parametrize(
    ("said", "where", "what"),
    [
        ({"bureau": "street"}, "bureau", "did you mean streets"),
        ({"place": "none", "boundary": "east"}, "boundary", "without a place"),
        ({"minimum_age": 18, "maximum_age": 12}, "maximum_age", "below minimum_age"),
        ({"taxonomy": ["oe:food", "oe:food"]}, "taxonomy[oe:food].term", "twice"),
        ({"location": [{"location": "barn"}]}, "location[barn].location", "no location barn"),
        (
            {"location": [{"location": "hall", "areas": ["west"]}]},
            "location[hall].areas",
            "no boundary west",
        ),
        (
            {
                "location": [
                    {
                        "location": "hall",
                        "capacity": [{"unit": "beds", "maximum": 3, "available": 4}],
                    }
                ]
            },
            "location[hall].capacity",
            "more beds",
        ),
        (
            {"translation": [{"language": "es", "name": "a", "summary": "b", "documents": ["c"]}]},
            "translation[es].documents",
            "the service has 0",
        ),
        ({"question": [asked(longest=3)]}, "question[car].longest", "limits text"),
        ({"question": [asked(kind="group")]}, "question[car].group", "names a group"),
        (
            {"question": [asked(kind="number", minimum="5", maximum="2")]},
            "question[car].maximum",
            "below minimum",
        ),
        (
            {"question": [asked(show_if={"question": "car", "answers": ["yes"]})]},
            "question[car].show_if.question",
            "itself",
        ),
        (
            {"question": [asked(show_if={"question": "size", "answers": ["large"]}), SIZE]},
            "question[car].show_if.question",
            "not an earlier question",
        ),
        (
            {"question": [SIZE, asked(show_if={"question": "size", "answers": ["huge"]})]},
            "question[car].show_if.answers",
            "offers large, small",
        ),
        ({"question": [{**WHO, "group": "persons"}]}, "question[owner].group", "mean person"),
        ({"question": [{**WHO, "required": True}]}, "question[owner].required", "each question"),
        (
            {"question": [WHO, asked(show_if={"question": "owner", "answers": ["yes"]})]},
            "question[car].show_if.question",
            "owner is a group; name one of its questions",
        ),
        (
            {"question": [WHO, asked(show_if={"question": "owner-name", "answers": ["yes"]})]},
            "question[car].show_if.question",
            "owner-name is text",
        ),
        (
            {"question": [{**WHO, "show_if": {"question": "owner-knows", "answers": ["yes"]}}]},
            "question[owner].show_if.question",
            "itself",
        ),
        (
            {
                "question": [
                    SIZE,
                    asked(
                        show_if={
                            "question": "size",
                            "answers": ["large"],
                            "also": [{"question": "colour", "answers": ["red"]}],
                        }
                    ),
                ]
            },
            "question[car].show_if.also[1].question",
            "colour is not an earlier question",
        ),
        (
            {
                "question": [
                    SIZE,
                    asked(
                        show_if={
                            "question": "size",
                            "answers": ["large"],
                            "also": [{"question": "size", "answers": ["small"]}],
                        }
                    ),
                ]
            },
            "question[car].show_if[size].question",
            "used twice",
        ),
        ({"question": [WHO, asked(key="owner-name")]}, "question[owner-name].key", "already"),
        ({"question": [asked(key="owner-name"), WHO]}, "question[owner].key", "already"),
    ],
)
def test_each_fault_says_where_it_is(said, where, what):
    found = faults(**said)
    assert [each[0] for each in found] == [where]
    assert what in found[0][1]


def test_a_question_may_depend_on_one_of_a_group():
    shown = asked(show_if={"question": "owner-knows", "answers": ["no"]})
    assert faults(question=[WHO, shown]) == []


def test_what_stands_in_a_file_that_could_not_be_read_is_not_missed():
    shown = asked(show_if={"question": "owner-knows", "answers": ["no"]})
    unread = replace(KNOWN, groups=None)
    service = from_plain(Service, {**PLAIN, "question": [WHO, shown]})
    assert list(service_faults(service, unread)) == []


def group(key: str, *questions: dict[str, Any]) -> QuestionGroup:
    return from_plain(QuestionGroup, {"key": key, "name": key, "question": list(questions)})


def puts_in(name: str) -> dict[str, Any]:
    return {"key": "inner", "label": "Inner", "kind": "group", "group": name}


@pytest.mark.parametrize(
    ("groups", "what"),
    [
        ({"a": ["a"]}, "group a contains itself: a → a"),
        ({"a": ["b"], "b": ["a"]}, "group a contains itself: a → b → a"),
        (
            {"a": ["b"], "b": ["c"], "c": ["d"], "d": []},
            "groups go at most 3 deep: a → b → c → d",
        ),
        ({"a": ["b"]}, "there is no group of questions b"),
    ],
)
def test_groups_that_come_to_no_end(groups, what):
    made = {
        key: group(key, asked(), *(puts_in(each) for each in inner))
        for key, inner in groups.items()
    }
    found = list(group_faults(made["a"], Known(groups=made)))
    assert found == [("question[inner].group", what)]


def test_a_form_has_an_end():
    many = {"many": group("many", *(asked(key=f"q{number}") for number in range(101)))}
    twice = [
        {"key": key, "label": key, "kind": "group", "group": "many"} for key in ("first", "second")
    ]
    service = from_plain(Service, {**PLAIN, "question": twice})
    assert list(service_faults(service, replace(KNOWN, groups=many))) == [
        ("question[second]", "with its groups a form has at most 200 questions")
    ]


def test_a_group_is_translated_once_a_language():
    words = [{"language": "es", "name": "Persona"}, {"language": "es", "name": "Gente"}]
    said = {"key": "a", "name": "a", "question": [asked()], "translation": words}
    found = list(group_faults(from_plain(QuestionGroup, said), KNOWN))
    assert found == [("translation[es].language", "es is used twice (entry 2)")]


def test_terms_exist_in_the_taxonomies_that_are_here():
    terms = ["region:food", "region:fod", "elsewhere:anything"]
    sorted_by = from_plain(Service, PLAIN | {"taxonomy": terms})
    known = replace(KNOWN, terms={"region": frozenset({"food"})})
    assert list(service_faults(sorted_by, known)) == [
        ("taxonomy", "there is no term fod in region; did you mean food?")
    ]
    assert not list(service_faults(sorted_by, KNOWN))
