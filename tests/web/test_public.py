"""The public door: search, report without an account, follow."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

POTHOLE = "/report?service=city-of-portland/pothole"


@pytest.fixture(autouse=True)
def office_hours(clock):
    """A Tuesday at eleven in Portland."""
    clock.now = datetime(2026, 10, 13, 18, tzinfo=UTC)


def screened(browser, address=POTHOLE):
    form = browser.get(address).forms["screen"]
    form["danger"] = "none"
    return form.submit("submit").follow()


def test_a_service_is_found_in_plain_words(testapp):
    form = testapp.get("/").forms
    page = next(f for f in form.values() if "q" in f.fields)
    page["q"] = "hole in the street"
    found = page.submit().click("Pothole in a street").follow()
    assert "City of Portland" in found
    assert "Report it online" in found
    assert "When you can reach a person" in found


def test_no_such_service(testapp):
    for address in ("/service?service=city-of-portland/nothing", "/service", "/report"):
        testapp.get(address, status=404)


def test_danger_is_asked_first_and_files_nothing(testapp):
    page = testapp.get(POTHOLE)
    assert "report" not in page.forms
    form = page.forms["screen"]
    form["danger"] = "fire"
    answer = form.submit("submit")
    assert "Call 911 now" in answer
    assert "Nothing was filed here" in answer


def test_danger_must_be_answered(testapp):
    answer = testapp.get(POTHOLE).forms["screen"].submit("submit", status=400)
    assert "Choose one." in answer


def test_a_report_without_a_name_gets_a_number_and_a_link(testapp, application):
    form = screened(testapp).forms["report"]
    form["place"] = "SW 5th Avenue and Main Street"
    form["latitude"], form["longitude"] = "45.5152", "-122.6784"
    form["description"] = "deep hole, near Rosa Lee's door"
    first, second = form.submit("submit"), form.submit("submit")
    number = first.html.select_one(".d-number").text.strip()
    assert re.fullmatch(r"R-[0-9A-Z]{5}-[0-9A-Z]{5}", number)
    assert second.html.select_one(".d-number").text.strip() == number
    link = first.html.select_one("a.d-token")["href"]
    assert second.html.select_one("a.d-token")["href"] == link
    shown = testapp.get(link[link.index("/track/") :])
    for text in (number, "Received", "City of Portland", "Expected by"):
        assert text in shown
    assert "Rosa" not in shown


def test_a_place_is_asked_for(testapp):
    form = screened(testapp).forms["report"]
    assert "Say where it is" in form.submit("submit", status=400)


def test_words_of_danger_stop_the_report(testapp):
    form = screened(testapp).forms["report"]
    form["place"] = "SW 5th Avenue and Main Street"
    form["latitude"], form["longitude"] = "45.5152", "-122.6784"
    form["description"] = "a car is on fire in the hole"
    stopped = form.submit("submit", status=400)
    assert "Call 911 now" in stopped
    form = stopped.forms["report"]
    form["cleared"] = True
    assert form.submit("submit").html.select_one(".d-number")


def test_a_wrong_link_shows_nothing(testapp):
    testapp.get("/track/" + "x" * 43, status=404)
    testapp.get("/track/short", status=404)
