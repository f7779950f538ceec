"""Keeping the catalogue through HTTP: drafts, two people at once, publishing now and on a date."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from regional311.catalog.versions import publish_due
from regional311.database.session import Scope, session_scope
from regional311.referral.snapshot import invalidate

CITY, COUNTY, INFO = "city-of-portland", "multnomah-county", "211info"

pytestmark = pytest.mark.commits


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
        assert publish_due(session, clock.now + timedelta(days=29)) == 0
        assert publish_due(session, clock.now + timedelta(days=30)) == 1
    invalidate()
    assert "New meters." in editor.get(f"/{CITY}/services/parking-meter")


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
