"""Keeping the catalogue through HTTP: drafts, two people at once, publishing now and on a date."""

from __future__ import annotations

import csv
import gc
import io
import re
import socket
import warnings
from datetime import UTC, datetime, timedelta

import pytest
from openpyxl import load_workbook
from webtest import Upload

from regional311.catalog.versions import publish_due
from regional311.database.session import Scope, session_scope
from regional311.keeping.days import publish_on_their_day
from regional311.referral.snapshot import invalidate
from regional311.web.serve import BODY_BYTES
from tests.serving import serving

CITY, COUNTY, INFO = "city-of-portland", "multnomah-county", "211info"

pytestmark = pytest.mark.commits


@pytest.fixture(autouse=True)
def large_bodies():
    """What WebOb keeps of a large body on disk is closed when it is collected: here, not later."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        gc.collect()


@pytest.fixture(scope="module")
def clock():
    from .conftest import Clock

    return Clock(datetime(2026, 11, 3, 18, tzinfo=UTC))


@pytest.fixture
def keeper(sign_in):
    return sign_in("keeper", CITY)


@pytest.fixture
def editor(sign_in):
    return sign_in("editor", CITY)


@pytest.fixture
def fresh():
    """Each test sees what the one before it committed."""
    invalidate()


def edit(browser, key, **values):
    form = browser.get(f"/{CITY}/services/{key}/edit").forms["form"]
    for name, value in values.items():
        form[name] = value
    return form


def publish(browser, address, on=""):
    page = browser.get(address)
    page = submit_to(page, "/review").follow()
    form = page.forms["publish-form"]
    form["on"] = on
    return form.submit("submit")


def submit_to(page, path):
    """Press the button of the form that posts to a path."""
    form = next(
        form for form in page.forms.values() if form.action.partition("?")[0].endswith(path)
    )
    return form.submit()


def test_a_keeper_drafts_and_an_editor_publishes(keeper, editor, sign_in, fresh):
    form = edit(keeper, "abandoned-vehicle", fee="Free for you", wait="About a week")
    done = form.submit("submit")
    address = done.location
    page = done.follow()
    assert "Saved as a draft" in page
    assert "What it changes" in page
    assert "Free for you" in page
    assert "I have read it" not in page
    assert keeper.post(f"/{CITY}/services/abandoned-vehicle/review", status=403)
    assert "Free for you" not in sign_in("specialist", CITY).get(
        f"/{CITY}/services/abandoned-vehicle/versions"
    )
    done = publish(editor, address)
    assert "Published." in done.follow()
    history = sign_in("auditor", CITY).get(f"/{CITY}/services/abandoned-vehicle/versions")
    assert "Keeper" in history
    assert "Editor" in history
    assert history.forms["compare"]["old"].value == "1"
    compared = history.forms["compare"].submit()
    assert "About a week" in compared


def test_two_people_at_once_are_merged_and_what_both_changed_is_chosen(editor, sign_in, fresh):
    other = sign_in("administrator", CITY)
    mine, theirs = edit(editor, "street-light"), edit(other, "street-light")
    also = edit(sign_in("keeper", CITY), "street-light")
    theirs["fee"], theirs["wait"] = "Free", "Two days"
    theirs.submit("submit")
    also["alert"] = "Lamps are short at present."
    assert "together with what somebody else changed meanwhile" in also.submit("submit").follow()
    mine["fee"], mine["eligibility"] = "$5", "Anybody."
    page = mine.submit("submit").follow()
    assert "Your work is saved" in page
    assert "Free" in page
    assert "$5" in page
    form = page.forms["merge"]
    refused = form.submit(status=400)
    assert "Choose for every field" in refused
    form = refused.forms["merge"]
    form["choice fee"] = "mine"
    done = form.submit()
    page = done.follow()
    for words in ("$5", "Two days", "Anybody.", "Lamps are short"):
        assert words in page
    assert "Published." in publish(editor, done.location).follow()
    assert "There is nothing" not in editor.get(f"/{CITY}/services/street-light/versions")
    old_merge = editor.get(f"/{CITY}/services/street-light/merge?number=3")
    assert "Nothing to choose between" in old_merge


def test_a_version_is_published_on_its_day(editor, clock, web_engine, people, fresh):
    address = edit(editor, "parking-meter", alert="New meters.").submit("submit").location
    day = (clock.now + timedelta(days=30)).date()
    yesterday = (clock.now - timedelta(days=1)).date()
    page = editor.get(address)
    page = submit_to(page, "/review").follow()
    form = page.forms["publish-form"]
    form["on"] = yesterday.isoformat()
    assert "or a later day" in form.submit("submit", status=400)
    form["on"] = day.isoformat()
    page = form.submit("submit").follow()
    assert "It will be published on Dec 3, 2026." in page
    listed = editor.get(f"/{CITY}/services/drafts")
    assert "Has its day" in listed
    assert "Broken parking meter" in listed
    rows = editor.get(f"/{CITY}/services?state=scheduled")
    assert "parking-meter" in rows
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        assert publish_due(session, clock.now + timedelta(days=29)).published == 0
        assert publish_due(session, clock.now + timedelta(days=30)).published == 1
    invalidate()
    assert "New meters." in editor.get(f"/{CITY}/services/parking-meter")


def test_what_was_not_published_on_its_day_says_why_on_the_list(
    editor, clock, web_engine, people, fresh
):
    first = edit(editor, "sidewalk-cafe", fee="$2")
    address = first.submit("submit").location
    publish(editor, address, on=(clock.now + timedelta(days=30)).date().isoformat())
    publish(editor, edit(editor, "sidewalk-cafe", fee="Free").submit("submit").location)
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        assert publish_on_their_day(session, clock.now + timedelta(days=30), url="https://x") > 0
    for page in (editor.get(f"/{CITY}/services/drafts"), editor.get(address)):
        assert "Not published on its day" in page
        assert "changed the same: fee" in page
    submit_to(editor.get(address), "/discard")


def test_its_day_is_taken_back_and_the_draft_given_up_and_brought_back(editor, fresh):
    address = edit(editor, "noise", alert="Quiet week.").submit("submit").location
    page = publish(editor, address, on="2027-05-01").follow()
    page = submit_to(page, "/unschedule").follow()
    assert "It has no day any more" in page
    page = submit_to(page, "/discard").follow()
    assert "was given up" in page
    page = page.click("Version 2")
    page = submit_to(page, "/bring-back").follow()
    assert "is a draft again" in page
    assert "Quiet week." in page
    assert (
        "no longer a draft"
        in editor.post(
            address.partition("/version")[0] + "/review",
            {"number": "2", "csrf_token": page.forms[0]["csrf_token"].value},
        ).follow()
    )


def test_what_was_published_can_be_taken_back(editor, fresh):
    address = edit(editor, "graffiti", wait="A month").submit("submit").location
    publish(editor, address)
    address = edit(editor, "graffiti", fee="Free").submit("submit").location
    publish(editor, address)
    page = editor.get(f"/{CITY}/services/graffiti/version?number=2")
    done = submit_to(page, "/undo")
    assert "taken back in a draft" in done.follow()
    publish(editor, done.location)
    form = edit(editor, "graffiti")
    assert (form["wait"].value, form["fee"].value) == ("", "Free")


def test_a_service_ends_on_a_day_and_goes_on(editor, fresh):
    page = editor.get(f"/{CITY}/services/leaf-pickup/end")
    form = page.forms["form"]
    form["on"] = "2026-11-03"
    page = form.submit("submit").follow()
    assert "It ends on Nov 3, 2026." in page
    assert "leaf-pickup" not in editor.get(f"/{CITY}/services?q=leaf")
    assert "leaf-pickup" in editor.get(f"/{CITY}/services?q=leaf&state=ended")
    assert "It goes on." in submit_to(page, "/resume").follow()


# --- the form -------------------------------------------------------------------------------------


def fill(page, **values):
    """Fill fields by their ids below the form, `document-1-name` written document_1_name."""
    form = page.forms["form"]
    by_id = {field.id: field for fields in form.fields.values() for field in fields}
    for name, value in values.items():
        by_id[f"form-{name.replace('__', '-')}"].value = value
    return form


def values(page, start, end):
    """The values of the fields whose ids begin and end so."""
    fields = [field for each in page.forms["form"].fields.values() for field in each]
    found = [each for each in fields if each.id and each.id.startswith(f"form-{start}")]
    return [each.value for each in sorted(found, key=lambda one: one.pos) if each.id.endswith(end)]


def test_a_new_service_with_rows_is_drafted_published_and_found(editor, keeper, fresh):
    form = fill(
        keeper.get(f"/{CITY}/services/new"),
        key="tool-library",
        name="Tool library",
        summary="Tools to borrow for a week.",
        term="tool-library",
        group="Home",
        bureau="parks",
        keywords="borrow a drill\nladder\n\nladder",
        disposition__1__valid_from="2026-11-01",
        disposition__1__kind="resolve",
        hours__mon="9am-5pm, 6pm-8pm",
        hours__sat="10-2",
        document__1__name="Proof of address",
    )
    form["verb"] = "request"
    page = form.submit("submit", status=400)
    assert "Saturday: &#39;10-2&#39; ends before it begins" in page
    form = fill(page, hours__sat="10am-2pm")
    page = form.submit("rows", value="add document")
    assert values(page, "document", "name") == ["Proof of address", "", ""]
    page = fill(page, document__3__name="A deposit of $20").submit("rows", value="up document.2")
    assert values(page, "document", "name") == ["Proof of address", "A deposit of $20", ""]
    page = page.forms["form"].submit("rows", value="remove document.0")
    assert values(page, "document", "name") == ["A deposit of $20", ""]
    page = page.forms["form"].submit("rows", value="add location")
    place = page.forms["form"]["location"].options[1][0]
    page = fill(page, location__1__location=place, location__1__capacity__1__unit="tools").submit(
        "rows", value="add location.0.phone"
    )
    assert values(page, "location-1-phone", "number") == ["", ""]
    form = fill(
        page,
        location__1__capacity__1__maximum="300",
        location__1__phone__2__number="503-823-4000",
    )
    done = form.submit("submit")
    page = done.follow()
    for words in ("09:00-17:00, 18:00-20:00", "A deposit of $20", "300", "503-823-4000", "ladder"):
        assert words in page
    assert "Proof of address" not in page
    assert keeper.get(f"/{CITY}/services/tool-library").status_int == 200
    assert "Tool library" in keeper.get(f"/{CITY}/services?q=tool")
    publish(editor, done.location)
    assert "Tools to borrow" in editor.get(f"/{CITY}/services/tool-library")
    like = editor.get(f"/{CITY}/services/new?like=tool-library")
    assert values(like, "key", "key") == [""]
    assert values(like, "name", "name") == ["Tool library"]
    taken = fill(like, key="tool-library").submit("submit", status=400)
    assert "There is tool-library already" in taken
    word = fill(like, key="drafts").submit("submit", status=400)
    assert "This word is an address of its own" in word


# --- sheets and bulk changes ----------------------------------------------------------------------


def send_sheet(browser, content, name="services.csv"):
    form = browser.get(f"/{CITY}/services/sheet").forms["sheet-form"]
    form["sheet"] = Upload(name, content)
    return form.submit(expect_errors=True)


def test_a_sheet_goes_out_is_edited_and_comes_in_after_a_dry_run(editor, keeper, fresh):
    out = keeper.get(f"/{CITY}/services/export?as=csv&q=noise").text
    assert "noise-variance" in out
    rows = list(csv.reader(io.StringIO(out)))
    head, rows = rows[0], rows[1:]
    by_key = {row[0]: row for row in rows}
    fee, name = head.index("fee"), head.index("name")
    by_key["noise"][fee] = "Free"
    by_key["noise"][head.index("queue")] = "nowhere"
    by_key["noise-variance"][fee] = "$95"
    fresh_row = [*by_key["noise-variance"]]
    fresh_row[0], fresh_row[name], fresh_row[1] = "quiet-hours", "Quiet hours", ""
    text = io.StringIO()
    csv.writer(text).writerows([head, *rows, fresh_row])
    page = send_sheet(keeper, text.getvalue().encode()).follow()
    assert "Nothing has changed yet." in page
    assert "there is no queue nowhere" in page
    assert "$95" in page
    assert "Quiet hours" in page
    assert "pothole" in page.text.split("Without a row")[2]
    assert "End the" not in page
    refused = page.forms["apply"].submit(status=400)
    assert "1 row cannot be taken in" in refused
    form = refused.forms["apply"]
    form["rest"] = True
    page = form.submit().follow()
    assert "2 drafts were made" in page
    address = page.request.url
    assert "Publish all" not in page
    page = editor.get(address)
    page = submit_to(page, "/changes").follow()
    assert "2 were reviewed." in page
    page = submit_to(page, "/changes").follow()
    assert "2 were published." in page
    assert "$95" in editor.get(f"/{CITY}/services/noise-variance/versions?old=1&new=2")
    assert "Quiet hours" in editor.get(f"/{CITY}/services/quiet-hours")
    text = io.StringIO()
    csv.writer(text).writerows([head, by_key["noise-variance"], fresh_row])
    again = send_sheet(keeper, text.getvalue().encode()).follow()
    assert re.search(r"<dt>Changed</dt><dd>0</dd>", again.text)
    assert re.search(r"<dt>New</dt><dd>0</dd>", again.text)
    page = submit_to(editor.get(address), "/changes")
    assert "1 was taken back" in page
    assert "It is new with this version; end it instead." in page


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "Choose a file."),
        ("key,name\na,José".encode("latin-1"), "not in UTF-8"),
        (b"key,nam\na,b", "did you mean name?"),
        (b"x" * 8_000_001, "larger than 8,000,000 bytes"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_in_a_sentence(keeper, content, why):
    refused = send_sheet(keeper, content)
    assert (refused.status_int, why in refused) == (400, True)


def test_a_file_of_500_megabytes_is_refused_before_it_is_read(application):
    """The answer comes after the headers: not a byte of the file was sent."""
    with (
        serving(application, max_request_body_size=BODY_BYTES) as port,
        socket.create_connection(("127.0.0.1", port), timeout=30) as sent,
    ):
        sent.sendall(
            f"POST /{CITY}/services/sheet HTTP/1.1\r\nHost: localhost\r\n"
            f"Content-Type: multipart/form-data; boundary=x\r\n"
            f"Content-Length: {500 * 1024 * 1024}\r\n\r\n".encode()
        )
        assert b" 413 " in sent.recv(4096).partition(b"\r\n")[0]


def test_a_sheet_that_was_applied_or_replaced_waits_no_more(keeper):
    first = send_sheet(keeper, b"key,fee\nnoise,Free")
    send_sheet(keeper, b"key,fee\nnoise,Free of charge")
    assert keeper.get(first.location, status=404)
    assert keeper.get(f"/{CITY}/services/sheet?upload=nonsense", status=404)


def test_an_editor_ends_what_has_no_row_any_more(sign_in, web_engine, people, fresh):
    editor = sign_in("editor", COUNTY)
    out = editor.get(f"/{COUNTY}/services/export").body
    book = load_workbook(io.BytesIO(out))
    last = book.active.cell(book.active.max_row, 1).value
    book.active.delete_rows(book.active.max_row)
    saved = io.BytesIO()
    book.save(saved)
    form = editor.get(f"/{COUNTY}/services/sheet").forms["sheet-form"]
    form["sheet"] = Upload("county.xlsx", saved.getvalue())
    page = form.submit().follow()
    assert re.search(r"<dt>Without a row</dt><dd>1</dd>", page.text)
    form = page.forms["apply"]
    form["gone"] = True
    done = form.submit()
    assert done.status_int == 303
    page = editor.get(f"/{COUNTY}/services?state=ended")
    assert f"/services/{last}" in page


def test_several_services_are_changed_together_after_a_preview_and_taken_back(editor, fresh):
    page = editor.get(f"/{CITY}/services?q=parking")
    form = page.forms["bulk"]
    keys = [field._value for field in form.fields["key"]]
    assert len(keys) > 2
    for field in form.fields["key"][:2]:
        field.checked = True
    form = form.submit().forms["bulk-form"]
    assert "Choose services, a field" in form.submit("preview", status=400)
    form["field"], form["how"], form["value"] = "keywords", "add", "parking woes"
    page = form.submit("preview")
    assert page.text.count("parking woes") >= 3
    assert "Make 2 drafts" in page
    page = page.forms["bulk-form"].submit("apply").follow()
    assert "2 drafts were made" in page
    for words in ("2 were reviewed.", "2 were published."):
        page = submit_to(page, "/changes").follow()
        assert words in page
    assert "parking woes" in editor.get(f"/{CITY}/services/{keys[0]}/version")
    form = edit(editor, keys[0], fee="Free of charge")
    publish(editor, form.submit("submit").location)
    page = submit_to(page, "/changes").follow()
    assert "2 were taken back." in page
    form = edit(editor, keys[0])
    assert "parking woes" not in form["keywords"].value
    assert form["fee"].value == "Free of charge"
    wrong = editor.get(f"/{CITY}/services/bulk?all=yes&q=parking").forms["bulk-form"]
    wrong["field"], wrong["value"] = "bureau", "nobody"
    page = wrong.submit("preview")
    assert "there is no bureau nobody" in page
    assert "It changes nothing." in page
    assert "No service is chosen" in editor.get(f"/{CITY}/services/bulk")


# --- translations, locations, organisations -------------------------------------------------------


def test_a_translation_stands_beside_the_words_of_the_service(keeper, editor, fresh):
    page = keeper.get(f"/{CITY}/services/graffiti/translate?language=vi")
    assert "Graffiti" in page
    form = page.forms["form"]
    form["name"], form["summary"], form["keywords"] = "Vẽ bậy", "Xóa hình vẽ bậy.", "sơn\ntường"
    done = form.submit("submit")
    page = done.follow()
    assert "Vẽ bậy" in page
    publish(editor, done.location)
    assert "Nothing matches" in editor.get(f"/{CITY}/services?missing=vi&q=graffiti")
    assert keeper.get(f"/{CITY}/services/graffiti/translate?language=en", status=404)
    assert keeper.get(f"/{CITY}/services/no-such/translate?language=vi", status=404)


def test_documents_move_with_their_translations(editor, fresh):
    page = editor.get(f"/{CITY}/services/alarm-permit/edit")
    form = fill(page, document__1__name="Photo ID")
    page = form.submit("rows", value="add document")
    page = fill(page, document__2__name="Lease").submit("submit").follow()
    words = editor.get(f"/{CITY}/services/alarm-permit/translate?language=ru").forms["form"]
    words["name"], words["summary"] = "Сигнализация", "Разрешение."
    words["documents"] = "Удостоверение\nДоговор"
    words.submit("submit").follow()
    page = editor.get(f"/{CITY}/services/alarm-permit/edit")
    page = page.forms["form"].submit("rows", value="up document.1")
    assert values(page, "document", "name")[:2] == ["Lease", "Photo ID"]
    page.forms["form"].submit("submit").follow()
    words = editor.get(f"/{CITY}/services/alarm-permit/translate?language=ru").forms["form"]
    assert words["documents"].value.split() == ["Договор", "Удостоверение"]


@pytest.mark.parametrize(
    ("collection", "fields", "changed", "wrong", "why"),
    [
        (
            "locations",
            {"name": "Old hall", "address": "1 Main Street", "country": "US"},
            {"latitude": "45.5", "longitude": "-122.6", "hours__mon": "8-12"},
            {"latitude": "north"},
            "Enter degrees",
        ),
        (
            "organizations",
            {"name": "Tool club", "description": "Lends tools."},
            {"phone__1__number": "503-823-4000", "phone__1__name": "Office"},
            {"phone__1__number": "call"},
            "is not a telephone number",
        ),
    ],
)
def test_locations_and_organisations_are_drafted_published_edited_and_ended(
    editor, collection, fields, changed, wrong, why, fresh
):
    url = f"/{CITY}/{collection}"
    form = fill(editor.get(f"{url}/new"), key="of-tests", **fields)
    done = form.submit("submit")
    assert fields["name"] in editor.get(url)
    publish(editor, done.location)
    page = editor.get(f"{url}/of-tests")
    assert "No service names it." in page
    page = editor.get(f"{url}/of-tests/edit")
    refused = fill(page, **wrong).submit("submit", status=400)
    assert why in refused
    done = fill(editor.get(f"{url}/of-tests/edit"), **changed).submit("submit")
    publish(editor, done.location)
    page = editor.get(f"{url}/of-tests")
    for value in changed.values():
        assert value in page or value == "8-12"
    form = editor.get(f"{url}/of-tests/end").forms["form"]
    form.submit("submit")
    assert f"{collection}/of-tests" not in editor.get(f"{url}?q=of-tests")
    assert fields["name"] in editor.get(f"{url}?q=of-tests&state=ended")
    assert "of-tests" in editor.get(f"{url}?format=csv&state=ended")


def test_what_has_begun_is_not_rewritten_in_the_form(editor, fresh):
    page = editor.get(f"/{CITY}/services/pothole/edit")
    form = fill(page, disposition__1__kind="undecided")
    refused = form.submit("submit", status=400)
    assert "is resolve since" in refused


def test_pages_ask_a_fixed_number_of_statements(editor, statements, fresh):
    address = edit(editor, "pothole", fee="Free").submit("submit").location
    editor.get(f"/{CITY}/services")
    for path, most in (
        (f"/{CITY}/services", 8),
        (f"/{CITY}/locations", 8),
        (f"/{CITY}/services/drafts", 8),
        (f"/{CITY}/services/pothole", 10),
        (f"/{CITY}/services/pothole/edit", 10),
        (f"/{CITY}/services/pothole/versions", 10),
        (address, 10),
        (f"/{CITY}/services/pothole/translate?language=es", 10),
        (f"/{CITY}/services/bulk?key=pothole&key=noise", 10),
        (f"/{CITY}/services/export?as=csv", 10),
    ):
        statements.clear()
        editor.get(path)
        assert len(statements) <= most, (path, len(statements), statements)
