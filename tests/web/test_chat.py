"""Chat: begun by anybody while somebody answers, answered in the inbox, ended by either."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

CITY = "city-of-portland"
HERE = f"/chat/{CITY}"
OPEN = datetime(2026, 10, 5, 18, tzinfo=UTC)
NIGHT = datetime(2026, 10, 6, 7, tzinfo=UTC)


@pytest.fixture(autouse=True)
def monday(clock):
    clock.now = OPEN


def form_of(page, end):
    return next(form for form in page.forms.values() if form.action.endswith(end))


def begin(testapp, text, address=HERE):
    form = form_of(testapp.get(address), HERE)
    form["text"] = text
    return form.submit().follow()


def thread(browser, words):
    listed = browser.get(f"/{CITY}/inbox?channel=chat")
    for link in listed.html.select("table a.usa-link"):
        page = browser.get(link["href"])
        if words in page:
            return page
    raise AssertionError(words)


def test_a_chat_is_answered_in_the_inbox_and_ended_there(testapp, sign_in):
    page = begin(testapp, "Where do I get a bin?")
    assert page.request.path.startswith(f"{HERE}/")
    browser = sign_in("specialist", CITY)
    ours = thread(browser, "Where do I get a bin?")
    form = form_of(ours, "/answer")
    form["text"] = "At the depot on Division."
    form.submit("then", value="waiting")
    page = testapp.get(page.request.path)
    assert "At the depot on Division." in page.html.select_one("#said").text
    form = form_of(page, page.request.path)
    form["text"] = "Thank you"
    form.submit()
    page = form.submit().follow()
    assert page.html.select_one("#said").text.count("Thank you") == 1
    late = form_of(page, page.request.path)
    form_of(browser.get(ours.request.path), "/done").submit().follow()
    page = testapp.get(page.request.path)
    assert "The chat has ended." in page
    assert "Your message" not in page
    late["text"] = "Wait, the depot is on fire"
    page = late.submit().follow()
    # what a voice says, who stays on the line, is not written
    assert page.html.select_one(".usa-alert--error").get_text() == "Call 911 now"
    assert "the depot is on fire" in page.html.select_one("#said").text


def test_the_person_ends_it_and_whoever_answers_sees_that(testapp, sign_in):
    page = begin(testapp, "Never mind me")
    page = form_of(page, "/end").submit().follow()
    assert "The chat has ended." in page
    ours = thread(sign_in("specialist", CITY), "Never mind me")
    assert "The person has left" in ours
    assert not any(form.action.endswith("/answer") for form in ours.forms.values())


def test_danger_names_the_number_at_once(testapp):
    page = begin(testapp, "there is a gas leak")
    told = page.html.select_one(".usa-alert--error").get_text()
    assert told.startswith("Leave the building")
    assert told.count("911") == 1
    spanish = testapp.get(f"{page.request.path}?lang=es").html.select_one(".usa-alert--error")
    assert spanish.get_text().startswith("Salga del edificio")


def test_while_nobody_answers_it_says_whom_to_call(testapp, clock):
    clock.now = NIGHT
    page = testapp.get(HERE)
    assert "Nobody answers chats here now." in page
    assert not any(form.action == HERE for form in page.forms.values())
    assert testapp.get("/").html.select_one(f'a[href="{HERE}"]') is None
    clock.now = OPEN
    assert testapp.get("/").html.select_one(f'a[href="{HERE}"]').text == "Chat now"
    testapp.get("/chat/nobody", status=404)
    testapp.get(f"{HERE}/{'x' * 43}", status=404)


def test_it_speaks_spanish_and_refuses_nothing_and_too_much(testapp):
    page = testapp.get(f"{HERE}?lang=es")
    assert "Empezar el chat" in page
    form = form_of(testapp.get(f"{HERE}?lang=en"), HERE)
    form["text"] = " "
    assert "Write something" in form.submit(status=400)
    page = begin(testapp, "one")
    for number in range(9):
        form = form_of(testapp.get(page.request.path), page.request.path)
        form["text"] = f"more {number}"
        form.submit()
    form = form_of(testapp.get(page.request.path), page.request.path)
    form["text"] = "too fast"
    assert "You write fast" in form.submit(status=429)


def test_it_waits_without_a_script_on_a_page_of_its_own(testapp):
    page = begin(testapp, "patient")
    waiting = testapp.get(f"{page.request.path}?follow=1")
    assert 'http-equiv="refresh"' in waiting
    assert "Write a message" in waiting
    assert 'http-equiv="refresh"' not in page


def test_only_what_is_new_is_said_by_a_screen_reader(testapp, sign_in):
    page = begin(testapp, "Is the library open today?")
    path, asks = page.request.path, {"HX-Request": "true"}
    assert page.html.select_one("#said")["hx-get"] == f"{path}?seen=1"
    assert page.html.select_one("#said")["aria-live"] == "off"
    assert page.html.select_one("#news").get_text(strip=True) == ""
    testapp.get(f"{path}?seen=1", headers=asks, status=204)
    browser = sign_in("specialist", CITY)
    form = form_of(thread(browser, "Is the library open today?"), "/answer")
    form["text"] = "Until six."
    form.submit("then", value="waiting")
    changed = testapp.get(f"{path}?seen=1", headers=asks)
    assert changed.html.select_one("#news").get_text(strip=True).endswith(": Until six.")
    testapp.get(f"{path}?seen=2", headers=asks, status=204)
    testapp.get(f"{path}?seen=two", headers=asks, status=200)
