"""A form with a branch: asked on the public page and on the desk, kept, and shown as it was."""

from __future__ import annotations

import gc
import re
import warnings
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select
from webtest import Upload

from regional311.catalog.answers import kept_from
from regional311.database.session import Scope, open_session
from regional311.intake.models import Need, ServiceRequest
from regional311.intake.pictures import bare
from tests.intake.pictures_sent import JPEG, PNG, gps_exif, with_exif
from tests.web.conftest import elsewhere
from tests.web.forms_asked import QUESTIONS, ask, publish_person

CITY, COUNTY = "city-of-portland", "multnomah-county"
POTHOLE = f"/report?service={CITY}/pothole"


@pytest.fixture(autouse=True)
def office_hours(clock):
    """A Tuesday at eleven in Portland."""
    clock.now = datetime(2026, 10, 13, 18, tzinfo=UTC)


@pytest.fixture(scope="module", autouse=True)
def asked(web_engine, people) -> None:
    publish_person(web_engine, people.tenants[CITY])
    ask(web_engine, people.tenants[CITY], *QUESTIONS)


def report(browser: Any, **values: Any) -> Any:
    form = browser.get(f"{POTHOLE}&danger=none").forms["report"]
    for name, value in {**elsewhere(), **values}.items():
        form[name] = value
    return form


def number_of(page: Any) -> str:
    found = re.search(r"R-[0-9A-Z]{5}-[0-9A-Z]{5}", page.html.select_one(".d-number").text)
    assert found
    return found.group()


def stored(engine: Any, tenant: Any, number: str) -> Any:
    with open_session(engine, Scope(tenant)) as session:
        return session.execute(
            select(ServiceRequest.answers, ServiceRequest.description, Need.answers.label("need"))
            .outerjoin(Need, Need.id == ServiceRequest.need_id)
            .where(ServiceRequest.public_id == number)
        ).one()


def test_every_question_is_there_without_a_script(testapp):
    page = testapp.get(f"{POTHOLE}&danger=none").html
    wide = page.select_one("#report-answer-wide").find_parent(class_="r-field")
    assert wide["data-asked-if"] == '[[["answer-size", ["large"]]]]'
    words = wide.select_one("[data-only-if]").text
    assert words == "Only if “How big is it?” is answered: Larger."
    described = page.select_one("#report-answer-wide")["aria-describedby"].split()
    assert described == ["report-answer-wide-hint", "report-answer-wide-if"]
    # nobody may leave it out when it is asked, so that it is not called optional
    assert "(optional)" not in wide.text
    assert "A guess will do. 1 or more. 100 or less." in wide.text
    group = page.select_one(".r-asked")
    assert group["role"] == "group"
    assert group.select_one("h2").text == "Who was driving?"
    assert group["data-asked-if"] == '[[["answer-car", ["yes"]]]]'
    assert [each["name"] for each in group.select("input")] == [
        f"answer-driver-{each}" for each in ("name", "phone", "email")
    ]
    since = page.select_one("#report-answer-since")
    assert (since["type"], since["min"], since["max"]) == ("date", "2026-09-13", "2026-10-13")
    assert page.select_one("#report-answer-seen")["type"] == "datetime-local"
    assert page.select_one("#report-answer-driver-phone")["type"] == "tel"
    assert page.select_one('script[src*="questions.js"]')


def test_what_does_not_apply_is_ignored(testapp, web_engine, people):
    form = report(testapp, **{"answer-size": "small", "answer-wide": "very wide"})
    form["answer-driver-phone"] = "no number at all"
    number = number_of(form.submit("submit").maybe_follow())
    row = stored(web_engine, people.tenants[CITY], number)
    assert row.answers["coded"] == {"size": "small"}
    assert row.answers["told"] == {}
    assert row.need == row.answers


def test_what_applies_is_checked_and_every_mistake_is_told_at_once(testapp):
    form = report(testapp, **{"answer-size": "large", "answer-car": "yes"})
    form["answer-driver-phone"] = "12"
    form["answer-since"] = "2026-10-14"
    form["answer-seen"] = "2026-13-14T10:00"
    page = form.submit("submit", status=400)
    problems = [each.text for each in page.html.select(".r-error-summary li")]
    assert problems == [
        "How wide is it, in feet?: Fill this in.",
        "Name: Fill this in.",
        "Telephone: Enter a telephone number of 7 to 15 digits, for example 503-555-0142.",
        "Since which day?: Enter Oct 13, 2026 or an earlier day.",
        "When did you see it?: Enter a date and a time, for example 2026-10-31 14:30.",
    ]
    links = [each["href"] for each in page.html.select(".r-error-summary a")]
    assert all(page.html.select_one(each) for each in links)
    # what was typed is still there
    assert page.forms["report"]["answer-driver-phone"].value == "12"
    assert page.forms["report"]["answer-size"].value == "large"


def test_a_branch_must_be_answered_even_by_who_sends_what_was_never_offered(testapp):
    form = report(testapp)
    form["answer-size"].force_value("gigantic")
    page = form.submit("submit", status=400)
    assert "How big is it?: Choose from the answers listed." in page


ANSWERS = {
    "answer-size": "large",
    "answer-wide": "2.50",
    "answer-car": "yes",
    "answer-driver-name": "Rosa Lee",
    "answer-driver-phone": "503-555-0142",
    "answer-since": "2026-10-01",
    "answer-seen": "2026-10-12T07:30",
    "answer-near": "The bakery",
    "answer-more": "It grows.\nEvery day.",
}


def filed(browser: Any, **more: Any) -> str:
    form = report(browser, **ANSWERS, **more)
    form.set("answer-lanes", True, index=1)
    return number_of(form.submit("submit").maybe_follow())


SHOWN = [
    ("How big is it?", "Larger"),
    ("How wide is it, in feet?", "2.5"),
    ("Did it damage a car?", "Yes"),
    ("Who was driving? Name", "Rosa Lee"),
    ("Who was driving? Telephone", "503-555-0142"),
    ("Who was driving? E-mail", "Not answered"),
    ("Which lanes?", "Right"),
    ("Since which day?", "Oct 1, 2026"),
    ("When did you see it?", "Oct 12, 2026, 7:30 AM"),
    ("What is nearby?", "The bakery"),
    ("What else?", "It grows.\nEvery day."),
]


def shown(page: Any, within: str = "") -> list[tuple[str, str]]:
    return [
        (row.dt.text.replace("\u202f", " "), row.dd.text.replace("\u202f", " "))
        for row in page.html.select(f"{within} .r-answers > div")
    ]


def test_a_request_shows_what_was_asked_and_answered(testapp, sign_in, web_engine, people):
    number = filed(testapp, description="In the right lane")
    row = stored(web_engine, people.tenants[CITY], number)
    assert row.description == "In the right lane"
    assert row.answers["coded"] == {"size": "large", "car": "yes", "lanes": "right"}
    assert row.answers["told"]["seen"] == "2026-10-12T07:30-07:00"
    worker = sign_in("worker", CITY)
    assert shown(worker.get(f"/{CITY}/requests/{number}")) == SHOWN


def test_years_later_the_questions_are_those_of_then(
    testapp, sign_in, web_engine, people, statements
):
    number = filed(testapp)
    other = {"key": "size", "label": "Size?", "kind": "text"}
    ask(web_engine, people.tenants[CITY], other)
    try:
        worker = sign_in("worker", CITY)
        worker.get(f"/{CITY}/requests/{number}")
        statements.clear()
        assert shown(worker.get(f"/{CITY}/requests/{number}")) == SHOWN
        assert len(statements) <= 10, statements
        assert "Size?" in testapp.get(f"{POTHOLE}&danger=none")
    finally:
        ask(web_engine, people.tenants[CITY], *QUESTIONS)


def test_a_form_that_is_gone_is_told_by_its_keys(testapp, sign_in, web_engine, people):
    number = filed(testapp)
    with open_session(web_engine, Scope(people.tenants[CITY])) as session:
        request = session.execute(
            select(ServiceRequest).where(ServiceRequest.public_id == number)
        ).scalar_one()
        assert kept_from(request.answers) is not None
        request.answers = {**request.answers, "form": "0" * 64}
        session.commit()
    page = sign_in("worker", CITY).get(f"/{CITY}/requests/{number}")
    assert ("size", "large") in shown(page)


def started(browser: Any) -> Any:
    page = browser.get(f"/{CITY}/desk")
    form = next(each for each in page.forms.values() if "channel" in each.fields)
    form["channel"] = "phone"
    page = form.submit().follow()
    form = page.forms["screen"]
    form["answer"] = "none"
    return form.submit().follow()


def test_the_desk_asks_the_same_form(sign_in, web_engine, people):
    browser = sign_in("specialist", CITY)
    contact = started(browser)
    here = contact.request.path
    form = browser.get(f"{here}?service={CITY}/pothole").forms["need"]
    assert "Only if “How big is it?” is answered: Larger." in form.text
    assert '<h3 id="need-answer-driver-name-group">Who was driving?</h3>' in form.text
    form["place_kind"] = "point"
    for name, value in {**elsewhere(), **ANSWERS}.items():
        form[name] = value
    form["answer-wide"] = ""
    wrong = browser.post(form.action, form.submit_fields(), status=400)
    assert "How wide is it, in feet?: Fill this in." in wrong
    form = wrong.forms["need"]
    assert form["answer-near"].value == "The bakery"
    form["answer-wide"] = "2.5"
    form.set("answer-lanes", True, index=1)
    done = browser.post(form.action, form.submit_fields())
    number = number_of(done)
    assert shown(done, "article") == SHOWN
    assert stored(web_engine, people.tenants[CITY], number).answers["coded"]["size"] == "large"
    # who may not know who asked learns facts only
    seen = shown(sign_in("finance", CITY).get(here), "article")
    assert seen[0] == ("How big is it?", "Larger")
    assert seen[3] == ("Who was driving? Name", "Answered; not shown to your role")
    assert seen[5] == ("Who was driving? E-mail", "Not answered")


def test_the_preview_reads_what_can_be_read_so_far(sign_in):
    browser = sign_in("specialist", CITY)
    here = started(browser).request.path
    form = browser.get(f"{here}?service={CITY}/pothole").forms["need"]
    form["answer-size"] = "large"
    form["answer-wide"] = "not yet a number"
    form["answer-more"] = "a car is on fire"
    fields = [*form.submit_fields(), ("preview", "yes")]
    part = browser.post(f"{here}/preview", fields, headers={"HX-Request": "true"})
    assert "Call 911 first" in part


def test_a_message_asks_the_same_form(sign_in, web_engine, people):
    browser = sign_in("specialist", CITY)
    form = browser.get(f"/{CITY}/desk/message?service={CITY}/pothole").forms["message"]
    form["danger"] = "none"
    form["place_kind"] = "point"
    for name, value in {**elsewhere(), **ANSWERS}.items():
        form[name] = value
    form.set("answer-lanes", True, index=1)
    contact = form.submit("submit").follow()
    assert shown(contact, "article") == SHOWN


def test_answers_come_back_after_a_warning(testapp):
    form = report(testapp, **{**ANSWERS, "answer-near": "a car is on fire"})
    stopped = form.submit("submit", status=400)
    assert "Call 911 now" in stopped
    form = stopped.forms["report"]
    assert form["answer-seen"].value == "2026-10-12T07:30"
    assert form["answer-wide"].value == "2.5"
    form["cleared"] = True
    assert number_of(form.submit("submit").maybe_follow())


def test_asked_and_told_again_in_another_language(
    application, testapp, sign_in, web_engine, people, monkeypatch
):
    monkeypatch.setitem(application.registry.languages, "es", "Español")
    spanish = {"Accept-Language": "es"}
    page = testapp.get(f"{POTHOLE}&danger=none", headers=spanish)
    assert "¿Qué tan grande es?" in page
    assert page.html.select_one("label[for=report-answer-near] > span[lang=en]")
    form = page.forms["report"]
    for name, value in {**elsewhere(), **ANSWERS}.items():
        form[name] = value
    number = number_of(form.submit("submit", headers=spanish).follow(headers=spanish))
    assert stored(web_engine, people.tenants[CITY], number).answers["language"] == "es"
    page = sign_in("worker", CITY).get(f"/{CITY}/requests/{number}")
    assert ("¿Qué tan grande es?", "Más grande") in shown(page)
    assert page.html.select_one(".r-answers dt")["lang"] == "es"


PHOTO = {"key": "photo", "label": "A photo?", "kind": "file"}
PHOTOGRAPH = with_exif(JPEG, gps_exif(6))


@pytest.fixture(scope="module")
def asked_for_photos(web_engine, people):
    """Graffiti is asked about with a photo."""
    ask(web_engine, people.tenants[CITY], PHOTO, key="graffiti")
    return f"/report?service={CITY}/graffiti&danger=none"


def send_photo(browser: Any, address: str, name: str, content: bytes, **options: Any) -> Any:
    form = browser.get(address).forms["report"]
    for field, value in elsewhere().items():
        form[field] = value
    form["answer-photo"] = Upload(name, content)
    return form.submit("submit", **options).maybe_follow()


def test_a_photo_is_sent_kept_and_given_back(testapp, sign_in, asked_for_photos):
    page = testapp.get(asked_for_photos)
    assert page.forms["report"].enctype == "multipart/form-data"
    assert "A picture or a PDF of at most 8 MB." in page
    number = number_of(send_photo(testapp, asked_for_photos, "Größe.exe", PHOTOGRAPH))
    worker = sign_in("worker", CITY)
    page = worker.get(f"/{CITY}/requests/{number}")
    link = page.html.select_one(".r-answers a")
    assert link.text == "Größe.jpg"
    file = worker.get(link["href"])
    assert file.body == bare("image/jpeg", PHOTOGRAPH)
    assert b"GPS" in PHOTOGRAPH
    assert b"GPS" not in file.body
    assert file.content_type == "application/octet-stream"
    assert file.headers["Content-Disposition"] == (
        "attachment; filename=\"Gr__e.jpg\"; filename*=UTF-8''Gr%C3%B6%C3%9Fe.jpg"
    )
    assert file.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert file.headers["X-Content-Type-Options"] == "nosniff"
    assert file.headers["Cache-Control"] == "no-store"
    worker.get(f"/{CITY}/requests/{number}/file?question=other", status=404)
    # the contact has the same file, for those who may know who asked
    contact = sign_in("specialist", CITY).get(page.html.select_one("a[href*=contacts]")["href"])
    assert contact.click("Größe.jpg").body == file.body


def test_a_question_whose_key_is_file_is_a_question(testapp, sign_in, web_engine, people):
    ask(web_engine, people.tenants[CITY], PHOTO | {"key": "file"}, key="street-light")
    form = testapp.get(f"/report?service={CITY}/street-light&danger=none").forms["report"]
    for field, value in elsewhere().items():
        form[field] = value
    form["answer-file"] = Upload("lamp.jpg", JPEG)
    number = number_of(form.submit("submit").maybe_follow())
    page = sign_in("worker", CITY).get(f"/{CITY}/requests/{number}")
    assert page.click("^lamp.jpg$").status_int == 200
    assert "from the person" not in page


def test_what_is_no_picture_is_refused_and_must_be_chosen_again(testapp, asked_for_photos):
    page = send_photo(testapp, asked_for_photos, "cat.jpg", b"<script>", status=400)
    assert "A photo?: Only pictures and PDF can be taken" in page
    assert "Choose the file again" in page
    assert page.html.select_one("#report-answer-photo")["aria-invalid"] == "true"
    page = send_photo(testapp, asked_for_photos, "cat.jpg", JPEG[:60], status=400)
    assert "A photo?: The picture is damaged." in page


def test_a_photo_stays_while_something_else_is_corrected(testapp, sign_in, asked_for_photos, clock):
    form = testapp.get(asked_for_photos).forms["report"]
    form["answer-photo"] = Upload("hole.jpg", JPEG, "image/jpeg")
    form["email"] = "no address"
    for name, value in elsewhere().items():
        form[name] = value
    page = form.submit("submit", status=400)
    assert "Kept: hole.jpg." in page
    form = page.forms["report"]
    form["email"] = "still none"
    page = form.submit("submit", status=400)
    assert "Kept: hole.jpg." in page
    late = page.forms["report"]
    form = page.forms["report"]
    form["email"] = ""
    number = number_of(form.submit("submit").maybe_follow())
    worker = sign_in("worker", CITY)
    page = worker.get(f"/{CITY}/requests/{number}")
    assert page.html.select_one(".r-answers a").text == "hole.jpg"
    assert worker.get(page.html.select_one(".r-answers a")["href"]).body == bare("image/jpeg", JPEG)
    # a token that is nobody's, or too old, brings no file
    clock.advance(hours=3)
    assert "Kept:" not in late.submit("submit", status=400)


def test_a_photo_stays_when_it_is_asked_whether_it_is_known(testapp, sign_in, asked_for_photos):
    place = elsewhere()

    def send(**values):
        form = testapp.get(asked_for_photos).forms["report"]
        for name, value in (place | values).items():
            form[name] = value
        return form.submit("submit").maybe_follow()

    number_of(send())
    page = send(**{"answer-photo": Upload("mine.jpg", JPEG, "image/jpeg")})
    assert "Others have reported something here" in page
    assert "Kept: mine.jpg." in page
    form = page.forms["report"]
    form["same_as"] = "other"
    number = number_of(form.submit("submit").maybe_follow())
    page = sign_in("worker", CITY).get(f"/{CITY}/requests/{number}")
    assert page.html.select_one(".r-answers a").text == "mine.jpg"


def test_a_file_is_not_taken_where_none_is_asked_for(testapp):
    form = report(testapp, **{"answer-size": "small"})
    fields = [*form.submit_fields(), ("submit", "submit")]
    files = [("answer-near", "x.jpg", JPEG)]
    fields = [each for each in fields if each[0] != "answer-near"]
    page = testapp.post(POTHOLE, fields, upload_files=files, status=400)
    assert "Enter one value." in page


def test_more_than_a_form_may_have_is_refused_before_it_is_read(testapp, asked_for_photos):
    large = JPEG + b"0" * 13 * 1024 * 1024
    with warnings.catch_warnings():
        # what WebOb keeps of a large body on disk is closed when it is collected
        warnings.simplefilter("ignore", ResourceWarning)
        told = send_photo(testapp, asked_for_photos, "a.jpg", large, status=413).text
        gc.collect()
    assert "too large" in told


def test_the_desk_takes_a_photo_and_does_not_send_it_with_every_look(sign_in, asked_for_photos):
    browser = sign_in("specialist", CITY)
    here = started(browser).request.path
    form = browser.get(f"{here}?service={CITY}/graffiti").forms["need"]
    assert 'hx-params="not answer-photo"' in form.text
    form["place_kind"] = "point"
    for name, value in elsewhere().items():
        form[name] = value
    form["answer-photo"] = Upload("wall.png", PNG)
    done = form.submit()
    assert ("A photo?", "wall.png") in shown(done, "article")
