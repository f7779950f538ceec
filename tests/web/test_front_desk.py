"""The front desk: take in, call, put back; and the screen of the waiting room."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

HERE = "/city-of-portland/front-desk"


@pytest.fixture(autouse=True)
def a_day_of_its_own(clock, request):
    """Another Tuesday for each test, at eleven in Portland."""
    names = [each.name for each in request.session.items if each.fspath == request.node.fspath]
    weeks = sorted(names).index(request.node.name)
    clock.now = datetime(2026, 10, 13, 18, tzinfo=UTC) + timedelta(weeks=weeks)


@pytest.fixture
def browser(sign_in):
    return sign_in("specialist", "city-of-portland")


def come(browser, **said):
    form = browser.get(HERE).forms["arrive"]
    for name, value in said.items():
        form[name] = value
    return form.submit("submit").follow()


def press(page, end, number=0):
    found = [form for form in page.forms.values() if form.action.endswith(end)]
    return found[number].submit().follow()


def test_nobody_waits(browser):
    page = browser.get(HERE)
    assert "Nobody is waiting." in page
    assert "next" not in page.forms


def test_somebody_comes_is_called_and_a_contact_begins(browser, clock, testapp):
    page = come(browser, name="Rosa Lee", reason="My water bill", language="es")
    assert "Number 1." in page
    come(browser)
    clock.now += timedelta(minutes=20)
    page = browser.get(HERE)
    assert "2 people wait" in page
    assert "2 have waited more than 15 minutes" in page
    page.forms["next"]["to"] = "Window 2"
    contact = page.forms["next"].submit().follow()
    assert "Number 1 is called." in contact
    assert contact.html.select_one(".d-visit").text == "Number 1 · Rosa Lee · My water bill"
    assert "Walk-in" in contact
    assert "Spanish" in contact
    shown = testapp.get("/waiting/city-of-portland")
    assert shown.html.select_one(".w-number").text == "1"
    assert shown.html.select_one(".w-to").text == "Window 2"
    assert "1 person waits" in shown
    assert "Rosa" not in shown
    assert "water" not in shown
    again = browser.get(HERE)
    assert again.forms["next"]["to"].value == "Window 2"
    assert "Rosa Lee" in again


def test_the_same_form_twice_is_one_number(browser):
    form = browser.get(HERE).forms["arrive"]
    form.submit("submit")
    page = form.submit("submit").follow()
    assert "1 person waits" in page


def test_who_left_is_put_back(browser):
    come(browser)
    gone = press(browser.get(HERE), "/leave")
    assert "has left" in gone
    assert "Nobody is waiting." in gone
    back = press(gone, "/back")
    assert "1 person waits" in back
    assert "1 person waits" in browser.get("/city-of-portland/desk")


def test_who_was_called_already_is_told(browser):
    come(browser)
    come(browser)
    page = browser.get(HERE)
    visit = page.html.select_one('button[name="visit"]')["value"]
    sent = {"csrf_token": page.forms["next"]["csrf_token"].value, "visit": visit}
    browser.post(f"{HERE}/call", sent)
    refused = browser.post(f"{HERE}/call", sent, status=409)
    assert "called or has left" in refused
    browser.post(f"{HERE}/call", {**sent, "visit": "x"}, status=400)


def test_a_partner_without_a_front_desk_has_no_screen(testapp):
    testapp.get("/waiting/211info", status=404)
    testapp.get("/waiting/nobody", status=404)


def test_the_page_stays_flat(browser, statements):
    taken = []
    for more in (3, 12):
        for _ in range(more):
            come(browser)
        statements.clear()
        browser.get(HERE)
        taken.append(len(statements))
    assert taken[0] == taken[1] <= 8
