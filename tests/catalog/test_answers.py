"""Answers are read strictly, checked where they are asked, and parted into facts and words."""

from __future__ import annotations

from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regional311.catalog import answers
from regional311.catalog.answers import (
    Unfit,
    check,
    coded_facts,
    read,
    reply,
    told_again,
    told_lines,
)
from regional311.catalog.content import Question
from regional311.catalog.forms import Form, resolve
from regional311.strict import from_plain

TODAY = date(2026, 10, 13)
ZONE = ZoneInfo("America/Los_Angeles")
SIZES = [{"key": "small", "label": "Small"}, {"key": "large", "label": "Large"}]


def asked(kind: str, **more: Any) -> Any:
    if kind in ("choice", "choices"):
        more["choice"] = SIZES
    made = from_plain(Question, {"key": "it", "label": "It?", "kind": kind, **more})
    return resolve([made], {}).questions[0]


def taken(kind: str, text: Any, **more: Any) -> Any:
    return read(asked(kind, **more), text, today=TODAY, zone=ZONE)


@pytest.mark.parametrize(
    ("kind", "more", "text", "kept"),
    [
        ("text", {}, "  a b ", "a b"),
        ("text", {}, "  ", None),
        ("text", {}, None, None),
        ("text", {}, ["a"], "a"),
        ("text", {}, [], None),
        ("text", {}, "e\u0301", "é"),
        ("long_text", {}, "a\r\nb", "a\nb"),
        ("number", {}, "012.50", "12.5"),
        ("number", {}, "-0", "0"),
        ("number", {"minimum": "-2"}, "-2", "-2"),
        ("date", {}, "2026-10-31", "2026-10-31"),
        ("date", {"earliest_days": 0}, "2026-10-13", "2026-10-13"),
        ("date", {"earliest_days": -7, "latest_days": 0}, "2026-10-06", "2026-10-06"),
        ("date_time", {}, "2026-10-31T14:30", "2026-10-31T14:30-07:00"),
        ("date_time", {}, "2026-12-01 14:30:05", "2026-12-01T14:30:05-08:00"),
        # a day is counted where the partner is, not where the clock of the sender is
        (
            "date_time",
            {"latest_days": 0},
            "2026-10-14T05:00:00Z",
            "2026-10-13T22:00-07:00",
        ),
        ("choice", {}, "large", "large"),
        ("yes_no", {}, "no", "no"),
        ("choices", {}, ["large", "small", "large"], ("small", "large")),
        ("choices", {}, "small", ("small",)),
        ("choices", {}, ["", " "], None),
        ("place", {}, "SE 5th & Main", "SE 5th & Main"),
        ("phone", {}, "+1 (503) 555-0142 x12", "+1 (503) 555-0142 x12"),
        ("phone", {}, "5035550142", "5035550142"),
        ("email", {}, "a@b.example", "a@b.example"),
    ],
)
def test_what_is_taken(kind, more, text, kept):
    assert taken(kind, text, **more) == kept


@pytest.mark.parametrize(
    ("kind", "more", "text", "code"),
    [
        ("text", {}, ["a", "b"], "one_value"),
        ("text", {}, {"a": 1}, "one_value"),
        ("text", {}, "a\nb", "unshowable"),
        ("text", {}, "a\x00", "unshowable"),
        ("text", {"longest": 3}, "four", "too_long"),
        ("long_text", {}, "x" * 2001, "too_long"),
        ("number", {}, "1e3", "number"),
        ("number", {}, "NaN", "number"),
        ("number", {}, "1,5", "number"),
        ("number", {}, "٣", "number"),
        ("number", {}, "1.0000001", "places"),
        ("number", {"minimum": "1.5"}, "1.4", "too_small"),
        ("number", {"maximum": "1.5"}, "1.6", "too_large"),
        ("date", {}, "31.10.2026", "date"),
        ("date", {}, "2026-02-30", "date"),
        ("date", {}, "1899-12-31", "year"),
        ("date", {"earliest_days": 1}, "2026-10-13", "too_early"),
        ("date", {"latest_days": -1}, "2026-10-13", "too_late"),
        ("date_time", {}, "2026-10-31", "date_time"),
        ("date_time", {}, "2026-10-31T25:00", "date_time"),
        ("date_time", {}, "1700-10-31T05:00", "year"),
        ("date_time", {}, "2027-03-14T02:30", "no_such_time"),
        ("date_time", {"latest_days": 0}, "2026-10-14T00:00", "too_late"),
        ("choice", {}, "huge", "not_offered"),
        ("yes_no", {}, "true", "not_offered"),
        ("choices", {}, ["small", "huge"], "not_offered"),
        ("choices", {}, [3], "not_offered"),
        ("phone", {}, "911", "phone"),
        ("phone", {}, "call me", "phone"),
        ("phone", {}, "5" * 41, "too_long"),
        ("email", {}, "a@b", "email"),
        ("email", {}, "a b@c.example", "email"),
    ],
)
def test_what_is_refused(kind, more, text, code):
    with pytest.raises(Unfit) as caught:
        taken(kind, text, **more)
    assert caught.value.code == code
    # and it can be said in words
    assert answers.CODES[code].format(**caught.value.values)


@given(st.text() | st.lists(st.text()) | st.none(), st.sampled_from(sorted(answers.LONGEST)))
def test_whatever_is_sent_is_taken_or_refused(text, kind):
    try:
        kept = taken(kind, text)
    except Unfit as error:
        answers.CODES[error.code].format(**error.values)
        return
    # what was kept is kept when it comes again
    assert kept is None or taken(kind, kept) == kept


@given(st.text(alphabet="0123456789+-(). x", max_size=40))
def test_telephone_numbers_are_read_in_no_time(text):
    for kind in ("phone", "number", "date", "date_time"):
        try:
            taken(kind, text)
        except Unfit:
            continue


FORM = resolve(
    [
        from_plain(Question, each)
        for each in (
            {"key": "size", "label": "How big?", "kind": "choice", "choice": SIZES},
            {
                "key": "wide",
                "label": "How wide?",
                "kind": "number",
                "required": True,
                "show_if": {"question": "size", "answers": ["large"]},
                "translation": [{"language": "es", "label": "¿Qué ancho?"}],
            },
            {"key": "seen", "label": "Seen when?", "kind": "choices", "choice": SIZES},
        )
    ],
    {},
)


def checked(**sent: Any) -> Any:
    return check(FORM, sent, today=TODAY, zone=ZONE)


def test_what_is_not_asked_is_neither_needed_nor_looked_at():
    found = checked(size="small", wide="very", unknown="x")
    assert (found.answers, found.faults) == ({"size": "small"}, ())


def test_what_is_asked_is_needed():
    found = checked(size="large")
    assert [str(each) for each in found.faults] == ["wide: Answer this."]


def test_every_fault_is_told_at_once():
    found = checked(size="large", wide="very", seen=["never"])
    assert [str(each) for each in found.faults] == [
        "wide: Enter a number, for example 12.5.",
        "seen: Choose from the answers listed.",
    ]


def test_answers_from_a_list_are_facts_and_all_others_are_told():
    found = checked(size="large", wide="2.50", seen=["large", "small"])
    made = reply(FORM, found.answers, "es")
    assert made.coded == {"size": "large", "seen": "small,large"}
    assert made.told == {"wide": "2.5"}
    assert coded_facts(made.coded) == ("seen:small", "seen:large", "size:large")
    assert told_lines(FORM, made.told, "es") == ["¿Qué ancho? 2.5"]
    assert [(each.label, each.answers) for each in told_again(FORM, made)] == [
        ("How big?", ("Large",)),
        ("¿Qué ancho?", ("2.5",)),
        ("Seen when?", ("Small", "Large")),
    ]


def test_what_was_not_answered_is_shown_as_asked():
    made = reply(FORM, checked(size="small").answers)
    assert [(each.label, each.answers) for each in told_again(FORM, made)] == [
        ("How big?", ("Small",)),
        ("Seen when?", ()),
    ]
    assert told_again(Form(), made) == []
