"""Conditions: what is accepted is total, what is not says why."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regional311.referral.conditions import (
    FACTS,
    MAX_DEPTH,
    BadCondition,
    Facts,
    compile_condition,
)

NIGHT = Facts(
    service="pothole",
    channel="phone",
    open=False,
    hour=23,
    weekday=7,
    boundaries=("city/portland",),
    answers=("size:wheel",),
)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("!open", True),
        ("true", True),
        ('channel == "phone" && !open', True),
        ('channel in ["web", "email"]', False),
        ('"city/portland" in boundaries', True),
        ("hour >= 22 || hour < 6", True),
        ("hour == -1", False),
        ("weekday > 5 ? hour > 20 : false", True),
        ("size(answers) == 1", True),
        ("boundaries.size() > 1", False),
        ('service.startsWith("pot") && service.endsWith("hole")', True),
        ("service.contains('thol')", True),
        ("(open || (!open && true)) != false", True),
        (r'language == "e\"n"', False),
        ("answers.size() == size(boundaries)", True),
    ],
)
def test_what_holds(text, holds):
    assert compile_condition(text).holds(NIGHT.context()) is holds


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("false && typo", "unknown-fact"),
        ("opne", "unknown-fact"),
        ("place.known", "unknown-fact"),
        ("service.known", "function"),
        ('service.matches("(a+)+$")', "function"),
        ("answers.map(a, answers.map(b, b)) == answers", "function"),
        ("answers.exists(a, true)", "function"),
        ("[1, 2].all(x, x > 0)", "type"),
        ('duration("1s")', "unknown-fact"),
        ("hour", "type"),
        ("service", "type"),
        ("false && (service > 1)", "type"),
        ("service == 1", "type"),
        ('service < "b"', "type"),
        ("answers == answers", "type"),
        ("hour in answers", "type"),
        ('"a" in service', "type"),
        ("!hour", "type"),
        ("hour && true", "type"),
        ("true && hour", "type"),
        ("true ? 1 : true", "type"),
        ("hour ? true : false", "type"),
        ("size(hour) > 1", "type"),
        ("hour.contains('a')", "type"),
        ("service.contains(1)", "type"),
        ('channel == "fax"', "value"),
        ('"fax" == channel', "value"),
        ('verb in ["report", "shout"]', "value"),
        ("1 < 2 < 3", "syntax"),
        ("", "syntax"),
        ("open open", "syntax"),
        ("open &&", "syntax"),
        ("(open", "syntax"),
        ("- service == 1", "syntax"),
        ('service == "a', "syntax"),
        ("hour > 1.5", "syntax"),
        ("hour > 0x10", "syntax"),
        ("service.contains 'a'", "syntax"),
        ('["a" "b"] == terms', "syntax"),
        ("open // comment", "syntax"),
        ("open == true" + " && open" * 70, "length"),
        ("service in [" + ", ".join(['"a"'] * 51) + "]", "length"),
        ("!" * (MAX_DEPTH + 1) + "open", "depth"),
        ("(" * (MAX_DEPTH + 1) + "open" + ")" * (MAX_DEPTH + 1), "depth"),
    ],
)
def test_what_is_refused(text, reason):
    with pytest.raises(BadCondition) as refused:
        compile_condition(text)
    assert refused.value.reason == reason
    assert refused.value.field == "condition"


def test_facts_and_their_documentation_are_the_same():
    kinds = {"text": str, "number": int, "flag": bool, "texts": list}
    values = Facts().values()
    assert values.keys() == FACTS.keys() == {each.name for each in fields(Facts)}
    for name, fact in FACTS.items():
        assert isinstance(values[name], kinds[fact.type]), name
        assert fact.meaning.endswith("."), name


def test_literals_are_kept_for_the_checks():
    condition = compile_condition('service in ["a", "b"] || "c" in boundaries || owner == "d"')
    assert condition.literals == {
        ("service", "a"),
        ("service", "b"),
        ("boundaries", "c"),
        ("owner", "d"),
    }


def test_compiled_once():
    assert compile_condition("open") is compile_condition("open")


texts = st.sampled_from(["service", "owner", "language", '"a"', "'b'"])
numbers = st.sampled_from(["hour", "weekday", "0", "-3", "size(terms)", "service.size()"])
flags = st.recursive(
    st.one_of(
        st.sampled_from(["open", "anonymous", "true", "false", '"x" in terms']),
        st.tuples(texts, st.sampled_from(["==", "!="]), texts).map(" ".join),
        st.tuples(numbers, st.sampled_from(["==", "<", ">="]), numbers).map(" ".join),
    ),
    lambda inner: st.one_of(
        inner.map(lambda one: f"!({one})"),
        st.tuples(inner, inner).map(lambda two: f"({two[0]}) && ({two[1]})"),
        st.tuples(inner, inner).map(lambda two: f"({two[0]}) || ({two[1]})"),
        st.tuples(inner, inner, inner).map(lambda of: f"({of[0]}) ? ({of[1]}) : ({of[2]})"),
    ),
    max_leaves=6,
)
facts = st.builds(
    Facts,
    service=st.text(max_size=5),
    hour=st.integers(0, 23),
    open=st.booleans(),
    terms=st.lists(st.sampled_from("xyz"), max_size=2).map(tuple),
)


@given(flags, facts)
def test_what_is_accepted_never_fails(text, given_facts):
    """Whatever the checker lets through gives true or false for any facts."""
    condition = compile_condition(text)
    assert isinstance(condition.program.execute(given_facts.context()), bool)


@given(st.text(max_size=60))
def test_anything_else_is_refused_politely(text):
    with suppress(BadCondition):
        compile_condition(text)
