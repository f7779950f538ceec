"""Who answers a line: the week as a page, the form, the public pages, the desk."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

CITY = "city-of-portland"


def told(page) -> str:
    """A page's text with ordinary blanks before AM and PM."""
    return page.text.replace("\u202f", " ")


@pytest.fixture(autouse=True)
def by_night(clock):
    """A Wednesday at nine in the evening in Portland."""
    before, clock.now = clock.now, datetime(2026, 12, 3, 5, tzinfo=UTC)
    yield
    clock.now = before


def test_a_week_is_shown_with_its_gaps_and_holidays(sign_in):
    app = sign_in("specialist", CITY)
    page = app.get(f"/{CITY}/lines/chat")
    assert "Nobody answers from 12:00 AM to 8:00 AM" in told(page)
    assert "Christmas Day" in page
    assert page.text.count("c-row") >= 8
    every = app.get(f"/{CITY}/lines")
    assert "Nobody answers" in every
    assert app.get(f"/{CITY}/lines/main", headers={"Accept": "application/json"}).json == {
        "line": f"{CITY}/main",
        "name": "City and County information, 311",
        "channel": "phone",
        "address": "503-823-4000",
        "answers": "partner",
        "partner": "211info",
        "answered_on": "211info/main",
        "emergency": False,
    }


def test_an_administrator_changes_the_table_and_everything_follows(sign_in, testapp):
    app = sign_in("administrator", CITY)
    form = app.get(f"/{CITY}/lines/social/edit").forms["form"]
    page = form.submit("rows", value="add fallback")
    form = page.forms["form"]
    form.set("answer", "211info/main")
    saved = form.submit("submit").follow()
    assert "211info answers" in saved


@pytest.mark.parametrize(
    ("field", "text"), [("mon", "8 to 5"), ("mon", "08:00-12:00, 11:00-13:00")]
)
def test_hours_that_cannot_be_read_are_refused(sign_in, field, text):
    app = sign_in("administrator", CITY)
    form = app.get(f"/{CITY}/lines/chat/edit").forms["form"]
    form[field] = text
    page = form.submit("submit", status=400)
    assert "08:00-17:00" in page or "overlap" in page


def hours(app, **days):
    """Give the chat line hours on the days named, and none on all others."""
    form = app.get(f"/{CITY}/lines/chat/edit").forms["form"]
    for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun"):
        form[day] = days.get(day, "")
    return form.submit("submit").follow()


def test_most_of_a_day_is_not_all_day(sign_in):
    page = hours(
        sign_in("administrator", CITY),
        **dict.fromkeys(("mon", "tue", "wed", "thu", "fri", "sat"), "00:00-23:00"),
        sun="00:30-24:00",
    )
    assert "12:00 AM – 11:00 PM" in told(page)
    assert "12:30 AM – 12:00 AM" in told(page)
    assert "All day" not in page.html.select_one("main").text.partition("year")[0]


def test_a_weekday_that_is_a_week_away_is_named_by_its_date(sign_in, testapp):
    """It is Wednesday evening: *opens on Wednesday* would send people to a closed door."""
    app = sign_in("administrator", CITY)
    assert "opens on December 9 at 8:00 AM" in told(hours(app, wed="08:00-09:00"))
    assert "opens on Tuesday at 8:00 AM" in told(hours(app, tue="08:00-09:00"))


def test_the_public_door_says_whom_to_call_now(testapp):
    page = testapp.get("/")
    assert "211info answers now at 211. City of Portland opens tomorrow at 8:00 AM." in told(page)
