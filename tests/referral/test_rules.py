"""Rules: reading them, and which of them applies."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regional311.referral.conditions import Facts
from regional311.referral.rules import (
    TRACE_CODES,
    BadRule,
    RuleBook,
    RuleSet,
    rule_from,
    rules_from,
)

ON = date(2026, 10, 5)
FACTS = Facts(
    service="pothole",
    asked="city/pothole",
    owner="city",
    partner="city",
    boundaries=("city/portland",),
    terms=("pothole",),
)


def book(*rules) -> RuleBook:
    contents = [
        {"key": f"r{at}", "outcome": "information", **each} for at, each in enumerate(rules)
    ]
    return RuleBook.of(RuleSet("city", 4, rules_from(contents)))


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ({}, "="),
        ({"services": ["pothole"]}, "="),
        ({"services": ["city/pothole"]}, "="),
        ({"services": ["county/pothole"]}, "s"),
        ({"match": {"services": ["graffiti"]}}, "s"),
        ({"verbs": ["pay"]}, "v"),
        ({"terms": ["shelter"]}, "t"),
        ({"boundaries": ["portland"]}, "="),
        ({"boundaries": ["county/bridges"]}, "b"),
        ({"channels": ["web"]}, "c"),
        ({"languages": ["ru"]}, "l"),
        ({"hours": "open"}, "="),
        ({"hours": "closed"}, "h"),
        ({"confidential": True}, "f"),
        ({"confidential": False}, "="),
        ({"urgency": ["urgent"]}, "u"),
        ({"owners": ["self"]}, "="),
        ({"owner": "other"}, "o"),
        ({"owners": ["nobody"]}, "o"),
        ({"dispositions": ["refer"]}, "p"),
        ({"condition": "hour == 12"}, "="),
        ({"condition": "hour == 13"}, "x"),
        ({"valid_from": "2026-10-05"}, "="),
        ({"valid_from": date(2026, 10, 6)}, "d"),
        ({"valid_to": "2026-10-05"}, "d"),
        ({"continues": True}, "+"),
        ({"continue": True}, "+"),
    ],
)
def test_one_code_a_rule(rule, code):
    assert book(rule).try_rules(FACTS, ON).trace == code
    assert code in TRACE_CODES


def test_first_match_wins_and_continuing_rules_add():
    tried = book(
        {"channels": ["web"]},
        {"continues": True, "notice": "One"},
        {"name": "wins", "outcome": "open_request"},
        {"outcome": "information"},
    ).try_rules(FACTS, ON)
    assert tried.trace == "c+="
    assert tried.matched.name == "wins"
    assert [each.note for each in tried.added] == ["One"]


def test_a_rule_that_cannot_be_carried_out_is_passed_over():
    tried = book({"outcome": "refer", "target": "211info"}, {}).try_rules(
        FACTS, ON, allowed=lambda rule: rule.outcome != "refer"
    )
    assert tried.trace == "n="


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"name": "No key"}, "key"),
        ({"key": "a"}, "outcome"),
        ({"key": "a", "outcome": "danger"}, "danger"),
        ({"key": "a", "outcome": "danger", "continues": True}, "danger"),
        ({"key": "a", "outcome": "refer"}, "target"),
        ({"key": "a", "outcome": "decline"}, "reason"),
        ({"key": "a", "outcome": "information", "chanels": ["web"]}, "chanels"),
        ({"key": "a", "outcome": "information", "channels": "web"}, "list"),
        ({"key": "a", "outcome": "information", "channels": ["fax"]}, "fax"),
        ({"key": "a", "outcome": "information", "match": {"odd": ["x"]}}, "odd"),
        ({"key": "a", "outcome": "information", "match": ["x"]}, "table"),
        ({"key": "a", "outcome": "information", "hours": "late"}, "open or closed"),
        ({"key": "a", "outcome": "information", "confidential": 1}, "true or false"),
        ({"key": "a", "outcome": "information", "continues": 1}, "true or false"),
        ({"key": "a", "outcome": "information", "name": 1}, "text"),
        ({"key": "a", "outcome": "information", "follow_up_days": True}, "days"),
        ({"key": "a", "outcome": "information", "follow_up_days": 400}, "days"),
        ({"key": "a", "outcome": "information", "valid_from": "soon"}, "date"),
        (
            {
                "key": "a",
                "outcome": "information",
                "valid_from": "2026-02-01",
                "valid_to": "2026-01-01",
            },
            "before",
        ),
        ({"key": "a", "outcome": "information", "condition": "typo"}, "typo"),
    ],
)
def test_bad_rules_say_why(content, words):
    with pytest.raises(BadRule) as refused:
        rule_from(content)
    assert words in refused.value.message


def test_nulls_and_empty_lists_are_left_out():
    rule = rule_from({"key": "a", "outcome": "information", "queue": None, "services": []})
    assert rule.match.always
    assert rule.queue == ""


@given(
    st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "channels": st.just(["web"]) | st.just(["phone"]),
                "condition": st.sampled_from(["open", "!open", "hour > 3"]),
                "continues": st.booleans(),
                "hours": st.sampled_from(["open", "closed"]),
            },
        ),
        max_size=8,
    ),
    st.builds(Facts, open=st.booleans(), hour=st.integers(0, 23)),
)
def test_the_trace_tells_the_whole_story(rules, facts):
    """One letter a rule tried; only the last may have matched, and then nothing was tried after."""
    tried = book(*rules).try_rules(facts, ON)
    assert len(tried.trace) <= len(rules)
    assert "=" not in tried.trace[:-1]
    assert tried.trace.endswith("=") == (tried.matched is not None)
    assert tried.trace.count("+") == len(tried.added)
    if tried.matched is None:
        assert len(tried.trace) == len(rules)
