"""A resident follows a request by its link, adds words, rates it and opens it again."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from pyramid.security import NO_PERMISSION_REQUIRED
from sqlalchemy import text

from regional311.database.ids import public_id
from regional311.database.session import Scope, session_scope
from tests.web.conftest import elsewhere

CITY = "city-of-portland"
NUMBER = re.compile(r"R-[0-9A-Z]{5}-[0-9A-Z]{5}")


@pytest.fixture
def link(testapp):
    screen = testapp.get(f"/report?service={CITY}/pothole").forms["screen"]
    screen["danger"] = "none"
    form = screen.submit("submit").follow().forms["report"]
    for name, value in elsewhere().items():
        form[name] = value
    token = form.submit("submit").follow().html.select_one("a.d-token")["href"]
    return token[token.index("/track/") :]


def staff_page(browser, page):
    return browser.get(f"/{CITY}/requests/{NUMBER.search(page.text)[0]}")


def closed(browser, page):
    form = staff_page(browser, page).forms["close"]
    form["resolution"], form["message"] = "completed", "The crew filled it this morning."
    return form.submit("submit").follow()


def test_words_of_the_person_reach_who_works_on_it(testapp, sign_in, link):
    form = testapp.get(link).forms["add"]
    form["text"] = "It is beside the <b>blue</b> house."
    page = form.submit("submit").follow()
    assert "Whoever works on it reads it." in page
    assert "It is beside the &lt;b&gt;blue&lt;/b&gt; house." in page
    worker = sign_in("worker", CITY)
    assert "the person wrote" in worker.get(f"/{CITY}/requests?heard=yes")
    shown = staff_page(worker, page)
    assert "From the person who asked" in shown
    assert "The person wrote" in shown


def test_a_closed_request_is_rated_and_opened_again(testapp, sign_in, link):
    worker = sign_in("worker", CITY)
    page = testapp.get(link)
    assert "rate" not in page.forms
    closed(worker, page)
    page = testapp.get(link)
    assert "add" not in page.forms
    assert "The crew filled it this morning." in page
    rated = page.forms["rate"]
    assert "Choose one." in rated.submit("submit", status=400)
    rated["helped"], rated["text"] = "no", "Another hole."
    assert "Thank you." in rated.submit("submit").follow()
    assert "Another hole." in staff_page(worker, page)
    again = testapp.get(link).forms["reopen"]
    assert "Fill this in." in again.submit("submit", status=400)
    again["text"] = "It was the hole next to it."
    assert "It is open again." in again.submit("submit").follow()
    assert "Sorted" in testapp.get(link)


def test_a_stale_form_says_what_is_true_now(testapp, sign_in, link):
    worker = sign_in("worker", CITY)
    closed(worker, testapp.get(link))
    again = testapp.get(link).forms["reopen"]
    again["text"] = "Still there."
    again.submit("submit")
    assert "Something else has happened since" in again.submit("submit").follow()


def test_a_form_without_its_secret_or_a_wrong_link_changes_nothing(
    testapp, link, web_engine, people
):
    testapp.post(f"{link}/add", {"text": "x"}, status=400)
    testapp.post(f"/track/{'x' * 43}/add", {"text": "x"}, status=404)
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        notes = text("SELECT count(*) FROM request_notes WHERE text = 'x'")
        assert session.execute(notes).scalar() == 0


def test_after_an_error_the_page_can_be_read_in_another_language(testapp, link):
    wrong = testapp.get(link).forms["add"].submit("submit", status=400)
    spanish = wrong.html.select_one('.r-languages a[hreflang="es"]')["href"]
    assert spanish == f"{link}?lang=es"
    assert testapp.get(spanish).html.html["lang"] == "es"


def test_every_form_of_a_public_page_has_a_page_to_come_back_to(application):
    """Where a form is only sent to, a language's link leads to the page above."""
    every = [each for each in application.registry.declared_views if not each.exception_only]
    pages = {(each.context, each.name) for each in every if "GET" in each.methods}
    public = [each for each in every if each.permission == NO_PERMISSION_REQUIRED]
    sent_to = {
        (each.context, each.name)
        for each in public
        if each.name and each.methods == {"POST"} and (each.context, each.name) not in pages
    }
    assert {"add", "rate", "reopen", "appeal", "word"} <= {name for _context, name in sent_to}
    alone = {name for context, name in sent_to if (context, "") not in pages}
    assert alone == {"sign-out"}


def test_who_kept_only_the_number_sees_how_it_stands_and_nothing_else(testapp, link):
    form = testapp.get(link).forms["add"]
    form["text"] = "By the house of Rosa Lee"
    number = NUMBER.search(form.submit("submit").follow().text)[0]
    follow = next(each for each in testapp.get("/").forms.values() if each.action == "/track")
    follow["code"] = number.lower()
    page = follow.submit()
    assert number in page
    for said in ("Pothole", "City of Portland", "Open", "Expected by", "call"):
        assert said.lower() in page.text.lower()
    assert "Rosa" not in page
    assert link not in page
    assert page.html.select_one('meta[name="robots"]')["content"] == "noindex"
    assert not [each for each in page.forms.values() if each.method == "POST"]


def test_a_confidential_or_unknown_number_says_the_same(testapp, link, people, web_engine):
    number = NUMBER.search(testapp.get(link).text)[0]
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        session.execute(
            text("UPDATE service_requests SET confidential = true WHERE public_id = :id"),
            {"id": number},
        )
    unknown = testapp.get(f"/track?code={public_id('R')}").follow().text
    hidden = testapp.get(f"/track?code={number}").follow().text
    assert number not in hidden
    assert "we can show nothing of it" in unknown
    assert "we can show nothing of it" in hidden


def expected_by(page):
    told = {each.text.strip(): each for each in page.html.select("dt")}
    found = told.get("Expected by")
    return found and found.find_next("dd").text.strip()


def test_time_stands_still_until_the_person_answers(testapp, sign_in, link, clock):
    worker = sign_in("worker", CITY)
    page = testapp.get(link)
    number, day = NUMBER.search(page.text)[0], expected_by(page)
    assert day
    clock.now += timedelta(hours=1)
    form = staff_page(worker, page).forms["wait"]
    form["state"], form["message"] = "waiting_person", "On which side of the street is it?"
    shown = form.submit("submit").follow()
    assert "Time stands still until the person answers: " in shown
    assert "Waiting for the person · Time stands still until the person answers." in " ".join(
        shown.text.split()
    )
    listed = worker.get(f"/{CITY}/requests?state=waiting_person&service=pothole")
    row = next(each for each in listed.html.select("tbody tr") if number in each.text)
    assert "stands still" in row.text
    assert "overdue" not in row.text
    open311 = f"/{CITY}/open311/v2/requests/{number}.json"
    assert testapp.get(open311).json[0]["expected_datetime"] is None
    waits = testapp.get(link)
    assert "Time stands still until they have the answer." in waits
    assert expected_by(waits) is None

    clock.now += timedelta(days=40)
    form = waits.forms["add"]
    form["text"] = "On the north side."
    goes_on = form.submit("submit").follow()
    assert "Time stands still" not in goes_on
    assert expected_by(goes_on) not in (None, day)
    worker = sign_in("worker", CITY)
    assert "Time goes on: expected by " in staff_page(worker, page)
    assert testapp.get(open311).json[0]["expected_datetime"]
