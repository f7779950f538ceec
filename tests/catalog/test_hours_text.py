"""Hours are taken as people write them, and written as they are read."""

from __future__ import annotations

import doctest

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regional311.catalog import hours_text
from regional311.catalog.hours_text import DAYS, read_day, read_week, say_day, say_week
from regional311.errors import InvalidInput


def test_docstring_examples_hold() -> None:
    assert doctest.testmod(hours_text).failed == 0


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("", []),
        (" Closed ", []),
        ("24 hours", ["00:00-24:00"]),
        ("8-17", ["08:00-17:00"]),
        ("8:30 am – 5 p.m.", ["08:30-17:00"]),
        ("9 to noon and 1pm to midnight", ["09:00-12:00", "13:00-24:00"]),
        ("12am-12pm", ["00:00-12:00"]),
        ("08.00-17.00", ["08:00-17:00"]),
    ],
)
def test_days_as_people_write_them(text: str, spans: list[str]) -> None:
    assert read_day(text) == spans


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("9-5", "ends before it begins"),
        ("9-9", "ends before it begins"),
        ("morning", "is not a span"),
        ("25-26", "no such time"),
        ("8:75-9", "no such time"),
        ("13pm-14pm", "no such time"),
        ("=1-2", "is not a span"),
    ],
)
def test_what_is_no_span_is_refused_in_words(text: str, why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        read_day(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("monday 8-12", "are no days"),
        ("fri-mon 8-12", "are no days"),
        ("mon 8-9; mon 9-10", "twice"),
    ],
)
def test_what_are_no_days_is_refused_in_words(text: str, why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        read_week(text)


SPANS = st.lists(st.integers(0, 24 * 60), min_size=2, max_size=6, unique=True).map(
    lambda points: [
        "-".join(f"{each // 60:02d}:{each % 60:02d}" for each in pair)
        for pair in zip(sorted(points)[::2], sorted(points)[1::2], strict=False)
    ]
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(DAYS), SPANS))
def test_what_is_written_is_read(week: dict[str, list[str]]) -> None:
    assert read_week(say_week(week)) == {day: spans for day, spans in week.items() if spans}
    for spans in week.values():
        assert read_day(say_day(spans)) == spans
