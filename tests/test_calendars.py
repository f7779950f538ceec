from __future__ import annotations

import doctest
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regional311 import calendars
from regional311.calendars import (
    BadHours,
    BadPeriod,
    BusinessCalendar,
    NaiveTime,
    NeverOpens,
    Period,
    Span,
    fiscal_year,
    fiscal_year_label,
    instant,
    month_of_fiscal_year,
    parse_hours,
)

PORTLAND = "America/Los_Angeles"
ZONES = st.sampled_from(
    [
        PORTLAND,
        "UTC",
        "America/Havana",
        "Asia/Beirut",
        "Atlantic/Azores",
        "Asia/Kathmandu",
    ]
)
WEEKDAYS = {day: ["08:00-18:00"] for day in ("mon", "tue", "wed", "thu", "fri")}
CITY = BusinessCalendar.from_week(PORTLAND, WEEKDAYS, {date(2026, 11, 11): "Veterans Day"})
NIGHT = BusinessCalendar.from_week(PORTLAND, {day: ["22:00-06:00"] for day in calendars.DAYS})
ALWAYS = BusinessCalendar.from_week(PORTLAND, {day: ["00:00-24:00"] for day in calendars.DAYS})
MOMENTS = st.integers(0, 2 * 365 * 24 * 60 * 60 - 1).map(
    lambda seconds: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)


def local(*parts: int, fold: int = 0, zone: str = PORTLAND) -> datetime:
    return datetime(*parts, tzinfo=ZoneInfo(zone), fold=fold)


def test_docstring_examples_hold():
    assert doctest.testmod(calendars).failed == 0


@pytest.mark.parametrize(
    ("at", "is_open"),
    [
        (local(2026, 10, 5, 8), True),
        (local(2026, 10, 5, 7, 59, 59), False),
        (local(2026, 10, 5, 17, 59, 59), True),
        (local(2026, 10, 5, 18), False),
        (local(2026, 10, 4, 12), False),
        (local(2026, 11, 11, 12), False),
        (datetime(2026, 10, 6, 0, 30, tzinfo=UTC), True),
    ],
)
def test_open_from_the_opening_to_before_the_closing(at, is_open):
    assert CITY.is_open(at) is is_open
    assert CITY.after_hours(at) is not is_open


def test_hours_over_midnight_belong_to_both_days():
    assert NIGHT.is_open(local(2026, 10, 5, 23, 59, 59))
    assert NIGHT.is_open(local(2026, 10, 6, 0))
    assert NIGHT.is_open(local(2026, 10, 6, 5, 59))
    assert not NIGHT.is_open(local(2026, 10, 6, 6))


def test_a_day_that_loses_an_hour_has_23_and_one_that_gains_has_25():
    assert ALWAYS.business_time(local(2026, 3, 8), local(2026, 3, 9)) == timedelta(hours=23)
    assert ALWAYS.business_time(local(2026, 11, 1), local(2026, 11, 2)) == timedelta(hours=25)


def test_an_opening_in_the_skipped_hour_is_the_instant_of_the_change():
    calendar = BusinessCalendar.from_week(PORTLAND, {"sun": ["02:30-04:00"]})
    ((opens, closes),) = calendar.open_spans(date(2026, 3, 8))
    assert opens == datetime(2026, 3, 8, 10, tzinfo=UTC)
    assert closes - opens == timedelta(hours=1)


def test_hours_wholly_in_the_skipped_hour_do_not_happen():
    calendar = BusinessCalendar.from_week(PORTLAND, {"sun": ["02:10-02:50"]})
    assert calendar.open_spans(date(2026, 3, 8)) == ()


def test_hours_in_the_doubled_hour_open_at_the_first_and_close_at_the_last():
    calendar = BusinessCalendar.from_week(PORTLAND, {"sun": ["01:00-01:30", "01:30-03:00"]})
    assert calendar.open_spans(date(2026, 11, 1)) == (
        (local(2026, 11, 1, 1).astimezone(UTC), local(2026, 11, 1, 3).astimezone(UTC)),
    )


@pytest.mark.parametrize(
    ("start", "hours", "end"),
    [
        (local(2026, 10, 5, 9), 4, local(2026, 10, 5, 13)),
        (local(2026, 10, 5, 8), 10, local(2026, 10, 5, 18)),
        (local(2026, 10, 5, 17), 2, local(2026, 10, 6, 9)),
        (local(2026, 10, 9, 17, 30), 1, local(2026, 10, 12, 8, 30)),
        (local(2026, 10, 10, 12), 1, local(2026, 10, 12, 9)),
        (local(2026, 11, 10, 17), 2, local(2026, 11, 12, 9)),
        (local(2026, 10, 5, 18), 0, local(2026, 10, 5, 18)),
        (local(2026, 10, 5, 9), Fraction(1, 2), local(2026, 10, 5, 9, 30)),
        (local(2026, 10, 5, 9), timedelta(minutes=90), local(2026, 10, 5, 10, 30)),
    ],
)
def test_adds_business_hours(start, hours, end):
    assert CITY.add_business_hours(start, hours) == end


def test_adds_more_than_the_days_looked_ahead():
    start = local(2026, 1, 1).astimezone(UTC)
    assert ALWAYS.add_business_hours(start, 24 * 2000) == start + timedelta(days=2000)


def test_next_opening():
    assert CITY.next_opening(local(2026, 10, 9, 18)) == local(2026, 10, 12, 8)
    assert CITY.next_opening(local(2026, 10, 9, 12)) == local(2026, 10, 9, 12)


def test_a_calendar_that_never_opens_says_so():
    closed = BusinessCalendar(PORTLAND, ((),) * 7)
    with pytest.raises(NeverOpens):
        closed.add_business_hours(local(2026, 10, 5), 1)
    with pytest.raises(NeverOpens):
        closed.next_opening(local(2026, 10, 5))


def test_negative_hours_and_naive_times_are_refused():
    with pytest.raises(BadHours):
        CITY.add_business_hours(local(2026, 10, 5), -1)
    with pytest.raises(NaiveTime):
        CITY.is_open(local(2026, 10, 5).replace(tzinfo=None))


@given(MOMENTS, st.integers(0, 200 * 60), st.integers(0, 200 * 60))
def test_business_hours_add_up(start, first, second):
    one, two = timedelta(minutes=first), timedelta(minutes=second)
    for calendar in (CITY, NIGHT):
        middle = calendar.add_business_hours(start, one)
        assert calendar.business_time(start, middle) == one
        end = calendar.add_business_hours(middle, two)
        assert end == calendar.add_business_hours(start, one + two) or not second


@given(MOMENTS, MOMENTS, MOMENTS)
def test_open_time_has_no_gap_and_no_overlap(one, two, three):
    for calendar in (CITY, NIGHT, ALWAYS):
        assert calendar.business_time(one, two) + calendar.business_time(
            two, three
        ) == calendar.business_time(one, three)
    assert ALWAYS.is_open(one)
    assert ALWAYS.business_time(one, two) == two - one


@given(ZONES, st.dates(date(1990, 1, 1), date(2030, 1, 1)))
def test_every_day_ends_where_the_next_begins(zone, day):
    calendar = BusinessCalendar.from_week(zone, {name: ["00:00-24:00"] for name in calendars.DAYS})
    ((opens, closes),) = calendar.open_spans(day)
    ((next_opens, _),) = calendar.open_spans(day + timedelta(days=1))
    assert closes == next_opens
    assert calendar.local_date(opens) == day
    assert calendar.local_date(closes - timedelta(seconds=1)) == day


@given(MOMENTS)
def test_a_moment_is_open_just_when_the_wall_clock_says_so(at):
    wall = at.astimezone(ZoneInfo(PORTLAND))
    expected = wall.weekday() < 5 and 8 <= wall.hour < 18 and wall.date() != date(2026, 11, 11)
    assert CITY.is_open(at) is expected


@pytest.mark.parametrize(
    "text",
    [
        "8:00-18:00",
        "08:00",
        "08:60-09:00",
        "25:00-26:00",
        "08:00-08:00",
        "08:00-24:30",
        "",
    ],
)
def test_refuses_unreadable_hours(text):
    with pytest.raises(BadHours):
        parse_hours(text)


def test_reads_hours_that_end_at_midnight():
    assert parse_hours("22:00-00:00") == (Span(1320, 1440),)
    assert parse_hours("22:00-24:00") == (Span(1320, 1440),)


def test_refuses_calendars_that_contradict_themselves():
    with pytest.raises(BadHours, match="overlap"):
        BusinessCalendar.from_week(PORTLAND, {"mon": ["08:00-12:00", "11:00-13:00"]})
    with pytest.raises(BadHours, match="weekday"):
        BusinessCalendar.from_week(PORTLAND, {"monday": []})
    with pytest.raises(BadHours, match="seven"):
        BusinessCalendar(PORTLAND, ())
    with pytest.raises(BadHours):
        Span(600, 600)


def test_remembers_a_bounded_number_of_days(monkeypatch):
    monkeypatch.setattr(calendars, "_DAYS_KEPT", 3)
    calendar = BusinessCalendar.from_week(PORTLAND, WEEKDAYS)
    for day in range(1, 20):
        calendar.open_spans(date(2026, 10, day))
    assert len(calendar._days) <= 3


def test_a_month_is_half_open_in_its_zone():
    october = Period.of(2026, 10)
    assert october.label == "2026-10"
    assert date(2026, 10, 31) in october
    assert date(2026, 11, 1) not in october
    assert october.bounds(PORTLAND) == (
        datetime(2026, 10, 1, 7, tzinfo=UTC),
        datetime(2026, 11, 1, 7, tzinfo=UTC),
    )
    assert Period.month("2026-10") == october


def test_other_periods_repeat_their_length():
    week = Period(date(2026, 10, 5), date(2026, 10, 12))
    assert week.label == "2026-10-05..2026-10-11"
    assert week.next().start_on == week.end_on
    assert week.next().previous() == week
    assert not week.is_month
    assert week.overlaps(Period.of(2026, 10))
    assert not week.overlaps(week.next())


@pytest.mark.parametrize("text", ["2026-13", "2026-0", "26-10", "october", "2026-10-01", "9999-12"])
def test_refuses_what_is_not_a_month(text):
    with pytest.raises(BadPeriod):
        Period.month(text)


def test_refuses_periods_that_end_before_they_start():
    with pytest.raises(BadPeriod):
        Period(date(2026, 10, 1), date(2026, 10, 1))
    with pytest.raises(BadPeriod):
        list(Period(date(2026, 10, 2), date(2026, 11, 1)).months())
    with pytest.raises(BadPeriod):
        fiscal_year(date(2026, 10, 1), 13)


@given(ZONES, st.dates(date(1990, 1, 1), date(2030, 1, 1)))
def test_months_and_fiscal_years_follow_without_gap_or_overlap(zone, day):
    month = Period.month_of(day)
    assert day in month
    assert month.next().start_on == month.end_on
    assert month.next().previous() == month
    assert month.bounds(zone)[1] == month.next().bounds(zone)[0]
    year = fiscal_year(day)
    months = list(year.months())
    assert len(months) == 12
    assert months[month_of_fiscal_year(day)] == month
    assert fiscal_year(year.end_on).start_on == year.end_on


def test_names_fiscal_years():
    assert fiscal_year_label(date(2026, 7, 1)) == "FY 2026-27"
    assert fiscal_year_label(date(1999, 12, 31)) == "FY 1999-00"
    assert fiscal_year_label(date(2026, 5, 1), first_month=1) == "FY 2026"


def test_the_skipped_and_the_doubled_minute():
    assert instant(PORTLAND, date(2026, 3, 8), 150) == datetime(2026, 3, 8, 10, tzinfo=UTC)
    first = instant(PORTLAND, date(2026, 11, 1), 90)
    assert instant(PORTLAND, date(2026, 11, 1), 90, last=True) - first == timedelta(hours=1)


def test_holidays_have_hours_of_their_own():
    calendar = BusinessCalendar.from_week(
        "America/Los_Angeles",
        {"thu": ["08:00-17:00"], "holiday": ["10:00-12:00"]},
        {date(2026, 11, 26): "Thanksgiving Day"},
    )
    day = date(2026, 11, 26)
    assert calendar.open_spans(day) == (
        (datetime(2026, 11, 26, 18, tzinfo=UTC), datetime(2026, 11, 26, 20, tzinfo=UTC)),
    )
    assert len(calendar.open_spans(date(2026, 11, 19))) == 1
    assert calendar.on_holidays == (Span(600, 720),)
