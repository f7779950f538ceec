"""Who is calling, found with consent; what is being written comes back; the language changes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from regional311.database.ids import new_id
from regional311.database.session import Scope, session_scope
from regional311.floor.callers import find_callers
from regional311.intake import drafts
from regional311.referral.filing import Asker, Intake, Place, take_in
from regional311.referral.snapshot import published

CITY = "city-of-portland"
POTHOLE = f"{CITY}/pothole"


@pytest.fixture(autouse=True)
def tuesday(clock):
    clock.now = datetime(2026, 10, 13, 18, tzinfo=UTC)


@pytest.fixture
def browser(sign_in):
    return sign_in("specialist", CITY)


@pytest.fixture
def called_before(web_engine, people, clock):
    """`called_before(name, phone)`: somebody called the City and left these; gives the contact."""

    def call(name: str, phone: str, tenant: str = CITY) -> str:
        with session_scope(web_engine, Scope(people.tenants[tenant])) as session:
            made = take_in(
                session,
                published(web_engine),
                Intake(
                    source="desk",
                    key=str(new_id()),
                    channel="phone",
                    started_at=clock.now,
                    service=POTHOLE,
                    asker=Asker(name=name, phone=phone),
                    place=Place("", "45.5051", "-122.6750"),
                    danger_answer="none",
                ),
                now=clock.now,
                look_first=True,
            )
        return made.contact_public_id

    return call


def started(browser):
    page = browser.get(f"/{CITY}/desk").forms["start"].submit().follow()
    page.forms["screen"]["answer"] = "none"
    return page.forms["screen"].submit().follow()


def here(page):
    return f"/{CITY}/contacts/{page.html.select_one('h1').text.strip()}"


def look_up(browser, place, words, *, agreed=True):
    form = next(f for f in browser.get(f"{place}/caller").forms.values() if "q" in f.fields)
    form["q"] = words
    form["consent"] = agreed
    return form.submit(status="*")


@pytest.mark.parametrize("words", ["+1 (503) 555-0142", "5035550142", "rosa  QUINTERO", "Rosa Qui"])
def test_who_agrees_is_found_and_the_form_begins_with_them(browser, called_before, words):
    number = called_before("Rosa Quintero", "503-555-0142")
    place = here(started(browser))
    page = look_up(browser, place, words)
    assert "Rosa Quintero" in page
    assert number in page
    assert "Pothole" in page
    assert ("503-555-0142" in page) == (words[-4:] == "0142")
    assert "0142" in page
    choose = next(f for f in page.forms.values() if f.action.endswith("/known"))
    assert "The form begins with what is known of them." in choose.submit().follow()
    form = browser.get(f"{place}?service={POTHOLE}").forms["need"]
    assert form["name"].value == "Rosa Quintero"
    assert form["phone"].value == "503-555-0142"
    other = browser.get(f"{place}/caller")
    forget = next(f for f in other.forms.values() if f.action.endswith("/known"))
    assert "It is nobody who was found." in forget.submit().follow()
    form = browser.get(f"{place}?service={POTHOLE}").forms["need"]
    assert form["name"].value == ""


@pytest.mark.parametrize("words", ["503-555-0142", "5035550142 ext 3", "+1 503 555 0142"])
@pytest.mark.parametrize("kept", ["503-555-0142 x12", "(503) 555-0142, ext. 9", "tel:503-555-0142"])
def test_an_extension_keeps_nobody_from_being_found(browser, called_before, words, kept):
    called_before("Rosa Quintero", kept)
    assert "Rosa Quintero" in look_up(browser, here(started(browser)), words)


def test_nobody_is_looked_up_without_consent_or_by_three_digits(browser, called_before):
    called_before("Rosa Quintero", "503-555-0142")
    place = here(started(browser))
    page = look_up(browser, place, "Rosa Quintero", agreed=False)
    assert page.status_int == 400
    assert "Ask the person first whether you may look them up." in page
    assert "503-555-0142" not in page
    assert "with its area code" in look_up(browser, place, "555-0142")
    page = look_up(browser, place, "50")
    assert page.status_int == 400
    assert "at least three letters" in page
    assert "Caller looked up" not in browser.get(place)
    look_up(browser, place, "Nobody Of That Name")
    assert "Caller looked up, with consent" in browser.get(place)


def test_another_partners_callers_are_not_found(browser, called_before, web_engine, people):
    called_before("Zelda Elsewhere", "503-555-0177", "multnomah-county")
    page = look_up(browser, here(started(browser)), "Zelda Elsewhere")
    assert "Nobody here by that number or name." in page


def test_what_is_being_written_comes_back_after_signing_in_anew(browser, sign_in, clock):
    place = here(started(browser))
    form = browser.get(f"{place}?service={POTHOLE}").forms["need"]
    form["description"] = "As wide as a car"
    form["name"] = "Rosa"
    fields = [*form.submit_fields(), ("preview", "yes")]
    browser.post(f"{place}/preview", fields)
    clock.advance(hours=3)
    again = sign_in("specialist", CITY)
    page = again.get(place)
    assert "Go on with what you were writing:" in page
    form = page.click("Go on with what you were writing").forms["need"]
    assert form["description"].value == "As wide as a car"
    assert form["name"].value == "Rosa"
    form["latitude"], form["longitude"] = "45.4321", "-122.6543"
    form["place_kind"] = "point"
    filed = form.submit()
    assert "Go on with what you were writing:" not in filed
    assert "Go on with what you were writing:" not in again.get(place)


def test_every_field_is_kept_as_it_is_typed_also_at_the_end(browser, sign_in):
    place = here(started(browser))
    form = browser.get(f"{place}?service={POTHOLE}").forms["need"]
    form["description"] = "Half a sente"
    browser.post(f"{place}/draft", form.submit_fields(), status=204)
    ending = browser.get(place).forms["wrap-up"]
    ending["note"], ending["disposition"] = "Calls again", "hang_up"
    browser.post(f"{place}/draft", ending.submit_fields(), status=204)
    again = sign_in("specialist", CITY)
    page = again.get(place)
    assert page.forms["wrap-up"]["note"].value == "Calls again"
    assert page.forms["wrap-up"]["disposition"].value == "hang_up"
    form = page.click("Go on with what you were writing").forms["need"]
    assert form["description"].value == "Half a sente"
    form["latitude"], form["longitude"] = "45.4421", "-122.6643"
    form["place_kind"] = "point"
    late = form.submit_fields()
    form.submit()
    # the need is filed: what was typed of it comes too late, what was written of the end stays
    again.post(f"{place}/draft", late, status=409)
    page = again.get(place)
    assert "Go on with what you were writing:" not in page
    assert page.forms["wrap-up"]["note"].value == "Calls again"


def test_what_was_left_alone_is_forgotten(browser, web_engine, people, clock):
    place = here(started(browser))
    form = browser.get(f"{place}?service={POTHOLE}").forms["need"]
    form["description"] = "Soon forgotten"
    browser.post(f"{place}/preview", [*form.submit_fields(), ("preview", "yes")])
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        assert drafts.forget(session, clock.now) == 0
    clock.advance(days=3)
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        assert drafts.forget(session, clock.now) >= 1


def test_the_language_changes_in_the_middle(browser):
    page = started(browser)
    form = next(f for f in page.forms.values() if f.action.endswith("/about"))
    form["language"] = "vi"
    form["interpreter"] = True
    changed = form.submit().follow()
    facts = changed.html.select_one("[aria-labelledby=facts-heading]").text
    assert "Vietnamese" in facts
    assert "Interpreter" in facts
    assert changed.html.select_one("[data-timer]")


def test_a_lookup_asks_little(browser, called_before, statements, web_engine, people, clock):
    called_before("Ann Statement", "503-555-0188")
    place = here(started(browser))
    look_up(browser, place, "5035550188")
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        statements.clear()
        found = find_callers(
            session, new_id(), "5035550188", consent=True, secret=(), now=clock.now
        )
        assert [each.name for each in found] == ["Ann Statement"]
        assert len([each for each in statements if each.startswith("SELECT")]) <= 3
