"""Who answers a line, at any moment: examples, and what holds for every table."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regional311.calendars import DAYS, BusinessCalendar
from regional311.tenancy.answering import (
    DAY_NAMES,
    HERE,
    NOBODY,
    PARTNER,
    VOICEMAIL,
    Answer,
    AnsweredLine,
    Fallback,
    Step,
    Surge,
    day_of,
    fallback_faults,
    gaps,
    lines_of,
    spells,
    step,
    who_answers,
)

ZONE = "America/Los_Angeles"
TZ = ZoneInfo(ZONE)
THANKSGIVING = {date(2026, 11, 26): "Thanksgiving"}
OFFICE = BusinessCalendar.from_week(
    ZONE,
    {day: ["08:00-17:00"] for day in DAYS[:5]},
    THANKSGIVING,
    {date(2026, 12, 24): ["08:00-12:00"]},
)
ALWAYS = BusinessCalendar.from_week(ZONE, {day: ["00:00-24:00"] for day in DAY_NAMES}, THANKSGIVING)
NEVER = BusinessCalendar.from_week(ZONE, {})


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=TZ)


def region(*steps: Step, other: BusinessCalendar = ALWAYS) -> dict[str, AnsweredLine]:
    lines = [
        AnsweredLine("county/main", "phone", OFFICE, steps),
        AnsweredLine("info/main", "phone", other),
        AnsweredLine("info/text", "text", other),
        AnsweredLine("city/main", "phone", OFFICE, (Step("county"),)),
    ]
    return {each.ref: each for each in lines}


NIGHT = step("info", DAYS, ["00:00-08:00", "17:00-24:00"], OFFICE)


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-11-25T08:00", Answer(HERE, "county", "county/main")),
        ("2026-11-25T16:59", Answer(HERE, "county", "county/main")),
        ("2026-11-25T17:00", Answer(PARTNER, "info", "info/main", 1)),
        # a holiday: the first row names no holiday, the second holds always
        ("2026-11-26T18:00", Answer(VOICEMAIL, "county", "county/main", 2)),
        # a special day: open in the morning, and neither row 1 at noon
        ("2026-12-24T11:59", Answer(HERE, "county", "county/main")),
        ("2026-12-24T12:00", Answer(VOICEMAIL, "county", "county/main", 2)),
        ("2026-12-24T17:00", Answer(PARTNER, "info", "info/main", 1)),
    ],
)
def test_the_first_row_that_holds_counts(moment: str, expected: Answer) -> None:
    assert who_answers(region(NIGHT, Step(VOICEMAIL)), "county/main", at(moment)) == expected


def test_a_closed_target_is_passed_over_and_no_circle_is_walked() -> None:
    lines = region(Step("city/main"), Step("info"), other=NEVER)
    assert who_answers(lines, "county/main", at("2026-11-25T20:00")) == Answer(NOBODY)
    assert who_answers(lines, "city/main", at("2026-11-25T20:00")) == Answer(NOBODY)


def test_nobody_said_stops_the_table() -> None:
    lines = region(Step(NOBODY), Step("info"))
    assert who_answers(lines, "county/main", at("2026-11-25T20:00")) == Answer(NOBODY, step=1)


def test_an_unknown_line_is_answered_by_nobody() -> None:
    assert who_answers(region(), "county/fax", at("2026-11-25T10:00")) == Answer(NOBODY)
    assert gaps(region(), "county/fax", at("2026-11-25T10:00"), at("2026-11-25T11:00")) != []


def test_a_text_is_answered_as_text_and_else_on_the_telephone() -> None:
    assert [each.ref for each in lines_of(region(), "info", "text")] == ["info/text", "info/main"]
    assert [each.ref for each in lines_of(region(), "info", "phone")] == ["info/main"]
    assert lines_of(region(), "info", "web") == []


def test_an_emergency_comes_before_the_table_for_its_time_only() -> None:
    lines = region(Step(VOICEMAIL))
    surge = Surge("county/main", "info/main", at("2026-11-25T19:00"), at("2026-11-25T21:00"))
    night = [
        who_answers(lines, "county/main", at(f"2026-11-25T{hour}:00"), [surge]).kind
        for hour in (18, 19, 20, 21)
    ]
    assert night == [VOICEMAIL, PARTNER, PARTNER, VOICEMAIL]
    assert who_answers(lines, "county/main", at("2026-11-25T20:00"), [surge]).surge
    cut = spells(lines, "county/main", at("2026-11-25T18:00"), at("2026-11-25T23:00"), [surge])
    assert [each.answer.kind for each in cut] == [VOICEMAIL, PARTNER, VOICEMAIL]


@pytest.mark.parametrize(("day", "hours"), [("2026-03-08", 23), ("2026-11-01", 25)])
def test_days_on_which_the_clocks_change_are_whole(day: str, hours: int) -> None:
    cut, cells = day_of(region(NIGHT), "county/main", ZONE, date.fromisoformat(day))
    assert sum((each.ends - each.starts for each in cut), timedelta()) == timedelta(hours=hours)
    assert [each.hour for each in cells] == list(range(24))
    assert all(each.answers for each in cells)


def test_an_hour_in_which_it_changes_shows_both() -> None:
    half = BusinessCalendar.from_week(ZONE, {"wed": ["08:30-17:00"]})
    lines = {"a/b": AnsweredLine("a/b", "phone", half)}
    _cut, cells = day_of(lines, "a/b", ZONE, date(2026, 11, 25))
    assert [each.kind for each in cells[8].answers] == [NOBODY, HERE]


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        (Fallback(answer="county"), "does not answer for itself"),
        (Fallback(answer="county/main"), "does not answer for itself"),
        (Fallback(answer="moon"), "no partner moon"),
        (Fallback(answer="info/fax"), "no line info/fax"),
        (Fallback(answer="info", hours=("08:00-12:00", "11:00-13:00")), "overlap"),
    ],
)
def test_a_row_that_cannot_be_says_why(row: Fallback, fault: str) -> None:
    lines = region()
    faults = fallback_faults(row, own="county/main", partners=("county", "info"), lines=lines)
    assert len(faults) == 1
    assert fault in faults[0]


# --- what holds for every table -------------------------------------------------------------------

MINUTES = st.integers(0, 96).map(lambda quarter: quarter * 15)


@st.composite
def spans(draw: st.DrawFn) -> list[str]:
    edges = sorted(draw(st.sets(MINUTES, max_size=4)))
    pairs = zip(edges[::2], edges[1::2], strict=False)
    return [
        f"{opens // 60:02}:{opens % 60:02}-{closes // 60:02}:{closes % 60:02}"
        for opens, closes in pairs
    ]


CALENDARS = st.dictionaries(st.sampled_from(DAY_NAMES), spans(), max_size=8).map(
    lambda week: BusinessCalendar.from_week(ZONE, week, THANKSGIVING)
)
STEPS = st.lists(
    st.builds(
        Step,
        st.sampled_from([VOICEMAIL, NOBODY, "info", "info/main", "city", "city/main", "gone/line"]),
        st.none() | CALENDARS,
    ),
    max_size=4,
)
STARTS = st.sampled_from(["2026-03-07", "2026-10-31", "2026-11-25", "2026-07-04"]).map(
    lambda day: datetime.fromisoformat(day).replace(tzinfo=UTC)
)


@given(CALENDARS, STEPS, CALENDARS, STARTS, st.integers(0, 4 * 24 * 60))
def test_every_moment_has_an_answer_and_the_spells_tell_the_same(
    own: BusinessCalendar,
    steps: list[Step],
    others: BusinessCalendar,
    start: datetime,
    minutes: int,
) -> None:
    lines = {
        "county/main": AnsweredLine("county/main", "phone", own, tuple(steps)),
        "info/main": AnsweredLine("info/main", "phone", others),
        "city/main": AnsweredLine("city/main", "phone", OFFICE, (Step("county"),)),
    }
    end = start + timedelta(days=4)
    cut = spells(lines, "county/main", start, end)
    assert cut[0].starts == start
    assert cut[-1].ends == end
    assert all(one.ends == two.starts and one.answer != two.answer for one, two in pairwise(cut))
    moment = start + timedelta(minutes=minutes)
    inside = [each for each in cut if each.starts <= moment < each.ends]
    asked = who_answers(lines, "county/main", moment)
    assert [each.answer for each in inside] == ([asked] if moment < end else [])
    if asked.kind == HERE:
        assert own.is_open(moment)
    if asked.kind == PARTNER:
        assert lines[asked.line].calendar.is_open(moment)
        assert not own.is_open(moment)
    # nothing is uncovered unless it says so
    unanswered = gaps(lines, "county/main", start, end)
    assert (asked.kind == NOBODY) == any(
        each.starts <= moment < each.ends for each in unanswered
    ) or moment >= end
