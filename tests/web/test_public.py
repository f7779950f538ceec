"""The public door: search, report without an account, follow."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from regional311.web import pipeline
from tests.web.conftest import elsewhere

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


@pytest.mark.parametrize(
    ("came", "asked"), [("same-origin", False), ("none", True), ("cross-site", True)]
)
def test_a_link_that_was_passed_on_skips_no_question(testapp, came, asked):
    page = testapp.get(f"{POTHOLE}&danger=none", headers={"Sec-Fetch-Site": came})
    assert ("screen" in page.forms) == asked
    assert ("report" in page.forms) != asked


def test_danger_must_be_answered(testapp):
    answer = testapp.get(POTHOLE).forms["screen"].submit("submit", status=400)
    assert "Choose one." in answer


def test_a_report_without_a_name_gets_a_number_and_a_link(testapp, application):
    form = screened(testapp).forms["report"]
    form["place"] = "SW 5th Avenue and Main Street"
    form["latitude"], form["longitude"] = "45.5401", "-122.6511"
    form["description"] = "deep hole, near Rosa Lee's door"
    first, second = form.submit("submit").follow(), form.submit("submit").follow()
    number = first.html.select_one(".d-number").text.strip()
    assert re.fullmatch(r"R-[0-9A-Z]{5}-[0-9A-Z]{5}", number)
    assert second.html.select_one(".d-number").text.strip() == number
    link = first.html.select_one("a.d-token")["href"]
    assert second.html.select_one("a.d-token")["href"] == link
    shown = testapp.get(link[link.index("/track/") :])
    for text in (number, "Received", "City of Portland", "Expected by"):
        assert text in shown
    assert "Rosa" not in shown


def test_the_page_with_the_link_can_be_loaded_again_and_read_in_another_language(
    testapp, there, clock, application
):
    page = reported(testapp, there)
    link, address = page.html.select_one("a.d-token")["href"], page.request.path_qs
    secret = link.rpartition("/")[2]
    assert secret not in address
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["Referrer-Policy"] == "same-origin"
    assert testapp.get(address).html.select_one("a.d-token")["href"] == link
    spanish = page.html.select_one('.r-languages a[hreflang="es"]')["href"]
    read = testapp.get(spanish)
    assert read.html.html["lang"] == "es"
    assert read.html.select_one("a.d-token")["href"] == link
    other = type(testapp)(application)
    assert secret not in other.get(address).follow().text
    clock.now += timedelta(hours=1, seconds=1)
    gone = testapp.get(address).follow()
    assert secret not in gone


def test_each_report_of_a_browser_has_its_own_page(testapp):
    first, second = reported(testapp, elsewhere()), reported(testapp, elsewhere())
    assert track(first) != track(second)
    assert track(testapp.get(first.request.path_qs)) == track(first)
    assert track(testapp.get(second.request.path_qs)) == track(second)


def test_a_place_is_asked_for(testapp):
    form = screened(testapp).forms["report"]
    assert "Say where it is" in form.submit("submit", status=400)


def test_words_of_danger_stop_the_report(testapp):
    form = screened(testapp).forms["report"]
    form["place"] = "SE 82nd Avenue"
    form["latitude"], form["longitude"] = "45.5001", "-122.6301"
    form["description"] = "a car is on fire in the hole"
    stopped = form.submit("submit", status=400)
    assert "Call 911 now" in stopped
    form = stopped.forms["report"]
    form["cleared"] = True
    assert form.submit("submit").follow().html.select_one(".d-number")


def test_who_read_of_one_danger_is_told_of_another(testapp):
    form = screened(testapp).forms["report"]
    form["latitude"], form["longitude"] = elsewhere().values()
    form["description"] = "a car is on fire in the hole"
    form = form.submit("submit", status=400).forms["report"]
    form["cleared"] = True
    form["description"] = "a car is on fire, and I want to kill myself"
    stopped = form.submit("submit", status=400)
    assert "Call 988 now" in stopped
    form = stopped.forms["report"]
    assert not form["cleared"].checked
    assert "Call 911 now" in form.submit("submit", status=400)
    form["cleared"] = True
    assert form.submit("submit").follow().html.select_one(".d-number")


def test_a_wrong_link_shows_nothing(testapp):
    testapp.get("/track/" + "x" * 43, status=404)
    testapp.get("/track/short", status=404)


@pytest.fixture
def there():
    return elsewhere()


def reported(testapp, there, description="A deep hole", **more):
    form = screened(testapp).forms["report"]
    for name, value in there.items():
        form[name] = value
    form["description"] = description
    for name, value in more.items():
        form[name] = value
    return form.submit("submit").maybe_follow()


def track(page):
    return re.search(r"/track/[\w-]+", page.text)[0]


def test_what_is_known_is_shown_before_it_is_filed_and_counted(testapp, there):
    first = reported(testapp, there)
    number = first.html.select_one(".d-number").text.strip()
    asked = reported(testapp, there, "The same hole", email="eva@me.example", wants_updates=True)
    assert "Nothing was sent yet" in asked
    assert "A deep hole" in asked
    form = asked.forms["report"]
    assert form["description"].value == "The same hole"
    assert "Nothing was sent yet" in form.submit("submit")
    form["same_as"] = number
    counted = form.submit("submit").follow()
    assert "You are counted too" in counted
    assert counted.html.select_one(".d-number").text.strip() == number
    again = form.submit("submit").follow()
    assert track(again) == track(counted)
    shown = testapp.get(track(counted))
    assert "Somebody else filed it" in shown
    assert "add" not in shown.forms
    stop = next(f for f in shown.forms.values() if f.action.endswith("/stop"))
    stopped = stop.submit().follow()
    assert "You get no more letters" in stopped
    assert not any(f.action.endswith("/stop") for f in stopped.forms.values())
    mine = testapp.get(track(first))
    assert "add" in mine.forms
    add = mine.forms["add"]
    add["text"] = "By my own house"
    add.submit("submit").follow()
    assert "By my own house" not in testapp.get(track(counted))


def test_what_is_something_else_is_filed(testapp, there):
    number = reported(testapp, there).html.select_one(".d-number").text.strip()
    form = reported(testapp, there, "Another hole").forms["report"]
    form["same_as"] = "other"
    filed = form.submit("submit").follow()
    assert "Thank you: it is filed" in filed
    assert filed.html.select_one(".d-number").text.strip() != number


def test_a_made_up_number_is_not_counted(testapp, there):
    reported(testapp, there)
    form = reported(testapp, there, "Another hole").forms["report"]
    form["same_as"].force_value("R-00000-00000")
    assert "That one is no longer open" in form.submit("submit", status=400)


def test_who_said_me_too_cannot_act_for_who_filed_it(testapp, there):
    first = reported(testapp, there)
    form = reported(testapp, there, "The same hole").forms["report"]
    form["same_as"] = first.html.select_one(".d-number").text.strip()
    link = track(form.submit("submit").follow())
    token = testapp.get(track(first)).forms["add"]["csrf_token"].value
    sent = {"csrf_token": token, "text": "Open it", "submit": "submit"}
    testapp.post(f"{link}/add", sent, status=404)
    testapp.post(f"{track(first)}/stop", {"csrf_token": token}, status=404)


@pytest.mark.parametrize(
    ("language", "asks", "sign", "says"),
    [
        ("es", "¿Hay alguien herido", "Olor a gas", "Salga del edificio"),
        ("vi", "Có ai bị thương", "Mùi khí ga", "Hãy ra khỏi tòa nhà"),
        ("zh-Hant", "現在有人受傷", "瓦斯味", "請離開建築物"),
        ("ru", "Кто-нибудь сейчас ранен", "Запах газа", "Выйдите из здания"),
    ],
)
def test_danger_is_asked_and_answered_in_the_persons_language(testapp, language, asks, sign, says):
    page = testapp.get(f"{POTHOLE}&lang={language}")
    assert asks in page
    assert sign in page
    form = page.forms["screen"]
    form["danger"] = "gas"
    stopped = form.submit("submit")
    assert says in stopped
    # words in a report are met in the same language
    found = testapp.get("/search?q=gas+leak")
    assert says in found


LARGE = b"x" * 200
IN_PARTS = {"Content-Type": "multipart/form-data; boundary=x"}


@pytest.fixture
def little_allowed(monkeypatch):
    monkeypatch.setattr(pipeline, "LARGEST_UPLOAD", 100)


@pytest.mark.parametrize(("language", "says"), [("en", "too large"), ("es", "demasiado grande")])
@pytest.mark.usefixtures("little_allowed")
def test_what_is_too_large_is_told_on_a_page_in_the_persons_language(testapp, language, says):
    asked = {"Accept": "text/html", "Accept-Language": language} | IN_PARTS
    page = testapp.post(POTHOLE, LARGE, headers=asked, status=413)
    assert page.content_type == "text/html"
    assert page.html.html["lang"] == language
    assert says in page.html.main.text
    assert page.headers["Content-Security-Policy"]


@pytest.mark.usefixtures("little_allowed")
def test_programs_are_told_what_is_too_large_in_their_own_way(testapp):
    address = "/city-of-portland/open311/v2/requests.json"
    told = testapp.post(address, LARGE, headers=IN_PARTS, status=413)
    assert told.json[0]["code"] == 413
    asked = {"Authorization": "Bearer x"} | IN_PARTS
    told = testapp.post("/city-of-portland/requests", LARGE, headers=asked, status=413)
    assert told.content_type == "application/problem+json"
