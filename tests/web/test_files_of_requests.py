"""Files that answer no question: with the report, by the link, from staff; who may have them."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import select
from webtest import Upload

from regional311.database.ids import new_id
from regional311.database.rows import new_row, put
from regional311.database.session import Scope, session_scope
from regional311.intake.models import Attachment, ServiceRequest
from tests.intake.pictures_sent import JPEG, gps_exif, with_exif
from tests.web.conftest import elsewhere

CITY = "city-of-portland"
NUMBER = re.compile(r"R-[0-9A-Z]{5}-[0-9A-Z]{5}")
PHOTO = with_exif(JPEG, gps_exif())
"""As a telephone sends it, with the place."""
PDF = b"%PDF-1.7\nkept as it came"


def reported(browser, partner=CITY, service="pothole", **more):
    screen = browser.get(f"/report?service={partner}/{service}").forms["screen"]
    screen["danger"] = "none"
    form = screen.submit("submit").follow().forms["report"]
    for name, value in {**elsewhere(), **more}.items():
        form[name] = value
    return form


@pytest.fixture
def link(testapp):
    page = reported(testapp).submit("submit").follow()
    token = page.html.select_one("a.d-token")["href"]
    return token[token.index("/track/") :]


@pytest.fixture
def kept(web_engine, people):
    """What is kept under a file's name."""

    def find(name):
        with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
            return session.execute(
                select(Attachment.__table__).where(Attachment.name == name)
            ).all()

    return find


def add(browser, link, file, text=""):
    form = browser.get(link).forms["add"]
    form["file"], form["text"] = file, text
    return form.submit("submit")


def test_a_photo_comes_with_any_report_and_shows_no_place(testapp, sign_in, kept):
    form = reported(testapp, file=Upload("my hole.jpg", PHOTO, "image/jpeg"))
    number = NUMBER.search(form.submit("submit").follow().text)[0]
    (row,) = kept("my hole.jpg")
    assert b"GPS" in PHOTO
    assert b"GPS" not in row.content
    assert (row.question[:5], row.audience) == ("sent:", "staff")
    worker = sign_in("worker", CITY)
    page = worker.get(f"/{CITY}/requests/{number}")
    assert "from the person" in page
    assert page.click("^my hole.jpg$").body == row.content


def test_a_photo_stays_with_the_form_while_something_is_corrected(testapp, kept):
    form = reported(testapp, file=Upload("kept hole.jpg", PHOTO, "image/jpeg"), email="nobody")
    refused = form.submit("submit", status=400)
    assert "Kept: kept hole.jpg" in refused
    form = refused.forms["report"]
    form["email"] = ""
    assert NUMBER.search(form.submit("submit").follow().text)
    assert len(kept("kept hole.jpg")) == 1


def test_a_person_adds_a_file_by_the_link_once_and_has_it_back(testapp, sign_in, link, kept):
    page = add(testapp, link, Upload("letter.pdf", PDF, "application/pdf")).follow()
    assert "Whoever works on it reads it." in page
    add(testapp, link, Upload("letter.pdf", PDF, "application/pdf"), "The same again").follow()
    assert len(kept("letter.pdf")) == 1
    page = testapp.get(link)
    assert "The same again" in page
    file = page.click("letter.pdf")
    assert file.body == PDF
    assert file.headers["Content-Disposition"].startswith("attachment")
    worker = sign_in("worker", CITY)
    number = NUMBER.search(page.text)[0]
    assert number in worker.get(f"/{CITY}/requests?heard=yes")
    assert "The person sent a file" in worker.get(f"/{CITY}/requests/{number}")
    testapp.get(f"{link}/file?question=sent:0000000000000000", status=404)
    testapp.get(f"/track/{'x' * 43}/file?question={kept('letter.pdf')[0].question}", status=404)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("page.jpg", b"<html><script>alert(1)</script>", "Only pictures and PDF"),
        ("empty.png", b"", "The file is empty."),
        ("broken.jpg", b"\xff\xd8\xff\xe0 not a picture", "The picture is damaged"),
    ],
)
def test_what_is_no_picture_is_refused_and_what_was_written_stays(
    testapp, link, kept, name, content, said
):
    form = testapp.get(link).forms["add"]
    form["file"], form["text"] = Upload(name, content, "image/jpeg"), "Look at this"
    refused = form.submit("submit", status=400)
    assert said in refused
    assert refused.forms["add"]["text"].value == "Look at this"
    assert kept(name) == []


def test_nothing_at_all_is_refused(testapp, link):
    assert "Write something, or choose a file." in testapp.get(link).forms["add"].submit(
        "submit", status=400
    )


def test_a_person_sends_some_files_and_not_any_number(testapp, link):
    for number in range(10):
        add(testapp, link, Upload(f"{number}.pdf", PDF + bytes([number]), "application/pdf"))
    page = add(testapp, link, Upload("more.pdf", PDF + b"more", "application/pdf")).follow()
    assert "You have sent many files already" in page


def test_staff_add_a_file_and_say_who_may_have_it(testapp, sign_in, link, kept):
    worker = sign_in("worker", CITY)
    at = f"/{CITY}/requests/{NUMBER.search(testapp.get(link).text)[0]}"
    form = worker.get(at).forms["attach"]
    assert form["audience"].value == "staff"
    assert "Fill this in" in form.submit("submit", status=400)
    form["file"] = Upload("mended.jpg", PHOTO, "image/jpeg")
    page = form.submit("submit").follow()
    assert "staff only" in page
    assert "mended.jpg" not in testapp.get(link)
    (row,) = kept("mended.jpg")
    testapp.get(f"{link}/file?question={row.question}", status=404)
    show = next(f for f in page.forms.values() if f.action.endswith("/show-file"))
    page = show.submit().follow()
    assert testapp.get(link).click("mended.jpg").body == row.content
    assert "Who may have a file was changed" in page
    hide = next(f for f in page.forms.values() if f.action.endswith("/show-file"))
    hide.submit().follow()
    testapp.get(f"{link}/file?question={row.question}", status=404)
    token = hide["csrf_token"].value
    gone = {"csrf_token": token, "file": "nothing", "audience": "person"}
    worker.post(f"{at}/show-file", gone, status=404)


def test_of_the_same_photo_twice_that_one_is_given_and_not_taken_again(
    testapp, sign_in, link, kept, web_engine, people
):
    """As requests have it that were sent the same file before it was looked for with the need."""
    add(testapp, link, Upload("twice.jpg", PHOTO, "image/jpeg")).follow()
    (row,) = kept("twice.jpg")
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        need = session.execute(
            select(ServiceRequest.need_id).where(ServiceRequest.id == row.subject_id)
        ).scalar_one()
        put(
            session,
            new_row(
                Attachment,
                **{**row._asdict(), "id": new_id(), "subject_id": need, "audience": "staff"},
            ),
        )
    at = f"/{CITY}/requests/{NUMBER.search(testapp.get(link).text)[0]}"
    page = sign_in("worker", CITY).get(at)
    assert "Keep twice.jpg to staff" not in page
    (show,) = (f for f in page.forms.values() if f.action.endswith("/show-file"))
    page = show.submit().follow()
    assert "Let the person have twice.jpg" not in page
    by_hand = {"csrf_token": show["csrf_token"].value, "file": str(row.id), "audience": "staff"}
    refused = page.test_app.post(f"{at}/show-file", by_hand, expect_errors=True)
    assert "What the person sent stays with them" in (refused.maybe_follow() or refused)
    assert {each.audience for each in kept("twice.jpg")} == {"person"}


def test_a_photo_goes_where_the_words_go_and_staff_who_took_it_in_see_it(testapp, sign_in, kept):
    """A pothole in the City that somebody brings to the County."""
    form = reported(
        testapp,
        "multnomah-county",
        "road-pothole",
        description="Deep",
        file=Upload("brought.jpg", PHOTO, "image/jpeg"),
    )
    form["consent"].checked = True
    number = NUMBER.search(form.submit("submit").follow().text)[0]
    (row,) = kept("brought.jpg")
    city = sign_in("worker", CITY).get(f"/{CITY}/requests/{number}")
    assert city.click("^brought.jpg$").body == row.content
    supervisor = sign_in("supervisor", "multnomah-county")
    contact = supervisor.get(f"/multnomah-county/requests/{number}").click("it came from")
    assert contact.click("^brought.jpg$").body == row.content
