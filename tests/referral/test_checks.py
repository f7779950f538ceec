"""The checks before publishing: every problem with its rule's name."""

from __future__ import annotations

import pytest

from regional311.referral.checks import Known, check_contents, check_rules
from regional311.referral.rules import rules_from

KNOWN = Known(
    tenant="city",
    services=frozenset({"city/pothole", "county/road"}),
    boundaries=frozenset({"city/portland"}),
    terms=frozenset({"pothole", "shelter"}),
    partners=frozenset({"city", "county", "211info", "lonely"}),
    agencies=frozenset({"odot"}),
    partnerships=frozenset({"county", "211info"}),
    queues=frozenset({"streets"}),
    fields=frozenset({"need"}),
    others={
        "county": rules_from(
            [
                {"key": "back", "name": "Back", "outcome": "refer", "target": "city",
                 "terms": ["shelter"]},
            ]
        )
    },
)  # fmt: skip
INFORM = {"outcome": "information"}


def problems(*rules) -> list[tuple[str, str]]:
    contents = [{"key": f"r{at}", "name": f"Rule {at}", **each} for at, each in enumerate(rules)]
    return [(each.name, each.code) for each in check_contents(contents, KNOWN)]


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ({"services": ["nothing"], **INFORM}, "unknown-service"),
        ({"boundaries": ["nowhere"], **INFORM}, "unknown-boundary"),
        ({"terms": ["odd"], **INFORM}, "unknown-term"),
        ({"owners": ["nobody-known"], **INFORM}, "unknown-owner"),
        ({"outcome": "refer", "target": "nowhere"}, "unknown-target"),
        ({"queue": "none", **INFORM}, "unknown-queue"),
        ({"share": ["shoe-size"], **INFORM}, "unknown-field"),
        ({"condition": "typo", **INFORM}, "unreadable"),
        ({"condition": 'service == "nothing"', **INFORM}, "unknown-service"),
        ({"condition": '"nowhere" in boundaries', **INFORM}, "unknown-boundaries"),
        ({"condition": 'owner == "who"', **INFORM}, "unknown-owner"),
        ({"outcome": "danger"}, "danger"),
        ({"outcome": "refer", "target": "self"}, "target"),
        ({"outcome": "open_request", "target": "odot"}, "target"),
        ({"outcome": "open_request", "target": "lonely"}, "no-agreement"),
        ({"owners": ["nobody"], "outcome": "open_request", "target": "owner"}, "unreachable"),
        ({"outcome": "refer", "target": "county", "terms": ["shelter"]}, "loop"),
        ({"outcome": "refer", "target": "owner", "owners": ["county"]}, "loop"),
    ],
)
def test_each_problem_has_its_code(rule, code):
    assert problems(rule) == [("Rule 0", code)]


@pytest.mark.parametrize(
    "rule",
    [
        {"services": ["pothole", "county/road"], **INFORM},
        {"owners": ["self", "odot"], "condition": 'owner == ""', **INFORM},
        {"outcome": "refer", "target": "county", "terms": ["pothole"]},
        {"outcome": "warm_transfer", "target": "odot"},
        {"outcome": "warm_transfer", "target": "self"},
        {"queue": "elsewhere", "outcome": "open_request", "target": "county",
         "terms": ["pothole"]},
        {"continues": True, "note": "Hello"},
    ],
)  # fmt: skip
def test_good_rules_have_none(rule):
    assert problems(rule) == []


@pytest.mark.parametrize(
    ("earlier", "later", "shadowed"),
    [
        ({}, {"channels": ["web"]}, True),
        ({"channels": ["web", "phone"]}, {"channels": ["web"]}, True),
        ({"channels": ["web"]}, {"channels": ["web", "phone"]}, False),
        ({"channels": ["web"]}, {}, False),
        ({"continues": True}, {}, False),
        ({"condition": "open"}, {}, False),
        ({"condition": "open"}, {"condition": "open", "channels": ["web"]}, True),
        ({"hours": "open"}, {"hours": "open", "verbs": ["pay"]}, True),
        ({"hours": "open"}, {}, False),
        ({"confidential": True}, {}, False),
        ({"confidential": True}, {"confidential": True}, True),
        ({"services": ["pothole"]}, {"services": ["city/pothole"]}, True),
        ({"valid_to": "2027-01-01"}, {}, False),
        ({"valid_from": "2020-01-01"}, {"valid_from": "2021-01-01"}, True),
        ({"valid_to": "2027-01-01"}, {"valid_to": "2026-01-01"}, True),
    ],
)
def test_shadows(earlier, later, shadowed):
    found = problems({**INFORM, **earlier}, {**INFORM, **later})
    assert (("Rule 1", "shadowed") in found) is shadowed


def test_duplicates():
    same = {"key": "same", "name": "Same", "channels": ["web"], **INFORM}
    other = {"key": "same", "name": "Other", "channels": ["phone"], **INFORM}
    named = {"key": "new", "name": "Same", "channels": ["text"], **INFORM}
    found = check_contents([same, other, named], KNOWN)
    assert [(each.rule, each.code) for each in found] == [
        ("same", "duplicate"),
        ("new", "duplicate"),
    ]
    assert found[1].message == "Rule same has this name."


@pytest.mark.parametrize(
    "apart",
    [
        {"terms": ["pothole"]},
        {"terms": ["shelter"], "valid_to": "2000-01-01"},
    ],
)
def test_no_loop_when_nothing_can_match_both(apart):
    later = Known(
        "city",
        frozenset(),
        frozenset(),
        frozenset({"pothole", "shelter"}),
        frozenset({"city", "county"}),
        partnerships=frozenset({"county"}),
        others={
            "county": rules_from(
                [
                    {
                        "key": "b",
                        "outcome": "refer",
                        "target": "city",
                        "terms": ["shelter"],
                        "valid_from": "2020-01-01",
                    }
                ]
            )
        },
    )
    rules = rules_from([{"key": "a", "outcome": "refer", "target": "county", **apart}])
    assert check_rules(rules, later) == []


def test_known_of_the_region(region):
    from tests.little_region import NOW

    on = region.today("city", NOW)
    known = Known.of(region.region(on), "city", region.boundaries, region.queues("city"))
    assert "city/pothole" in known.services
    assert known.partnerships == {"county", "211info"}
    rules = region.region(on).rulebooks["city"].rule_set.rules
    assert check_rules(rules, known) == []
