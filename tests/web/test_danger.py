"""Words of danger on every door where somebody writes: the number is said, the sign is logged."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from regional311.web import searching
from tests.web.conftest import elsewhere
from tests.web.test_accommodations import fill
from tests.web.test_api import pothole, program
from tests.web.test_front_desk import HERE, come
from tests.web.test_public import screened
from tests.web.test_suggestion_pages import visitor_sends

__all__ = ["program"]

SLUG = "city-of-portland"
FIRE, DARK = "the house is on fire", "I want to kill myself"


@pytest.fixture(autouse=True)
def office_hours(clock):
    """A Tuesday at eleven in Portland."""
    clock.now = datetime(2026, 10, 13, 18, tzinfo=UTC)


@pytest.fixture
def logged(monkeypatch):
    """What the log of danger says: channel and sign."""

    class Kept(list):
        def warning(self, event, **said):
            assert event == "danger_sign"
            assert set(said) == {"channel", "sign"}
            self.append((said["channel"], said["sign"]))

    kept = Kept()
    monkeypatch.setattr(searching, "log", kept)
    return kept


def test_a_report_that_stops_is_logged(testapp, logged):
    form = screened(testapp).forms["report"]
    form["latitude"], form["longitude"] = elsewhere().values()
    form["description"] = FIRE
    assert "Call 911 now" in form.submit("submit", status=400)
    assert logged == [("web", "fire")]


def test_what_a_program_sends_is_logged(program, logged):
    program().once("/requests", pothole(description=FIRE), 422)
    assert logged == [("api", "fire")]


def test_a_first_letter_to_a_coordinator_and_all_that_follow(testapp, sign_in, logged):
    form = fill(testapp.get("/accommodation"), details=DARK)
    stopped = form.submit("submit", status=400)
    assert "988" in stopped
    assert logged.pop() == ("web", "suicide")
    form = stopped.forms["accommodation"]
    form["cleared"] = True
    mine = form.submit("submit").follow()
    form = mine.forms["add"]
    form["words"] = DARK
    mine = form.submit("submit").follow()
    assert "Call 988 now if anybody is in danger" in mine
    assert DARK in mine
    assert logged == [("web", "suicide")]


def test_a_desk_is_told_the_number_that_helps(sign_in, logged):
    browser = sign_in("specialist", SLUG)
    form = fill(browser.get(f"/{SLUG}/accommodation"), details=DARK)
    stopped = form.submit("submit", status=400)
    assert "Is somebody in danger? Call 988 now." in stopped
    assert logged == [("desk", "suicide")]


def test_a_correction_is_no_place_for_a_cry_for_help(testapp, logged):
    done = visitor_sends(testapp, "summary", DARK, reason="I live here").follow()
    assert "Call 988 now if anybody is in danger" in done
    assert logged == [("web", "suicide")]


def test_who_says_danger_at_the_door_is_not_left_to_wait(sign_in, logged):
    browser = sign_in("specialist", SLUG)
    page = come(browser, name="Rosa", reason="has chest pain")
    assert "Do not let them wait. Call 911 now." in page
    assert "Somebody is badly hurt or ill? Call 911" in browser.get(HERE)
    assert logged == [("walk_in", "medical")]
    assert "Call 911" not in come(browser, reason="Water bill").html.select("tbody tr")[1].text
