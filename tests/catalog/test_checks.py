"""What a service says is looked at as a whole, and every fault says where it is."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from regional311.catalog.checks import Known, service_faults
from regional311.catalog.content import Service
from regional311.strict import from_plain

KNOWN = Known(
    bureaus={"streets"},
    queues={"work"},
    boundaries={"east"},
    locations={"hall"},
    organizations={"bank"},
    groups={"who"},
)
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
    ],
)
def test_each_fault_says_where_it_is(said, where, what):
    found = faults(**said)
    assert [each[0] for each in found] == [where]
    assert what in found[0][1]
