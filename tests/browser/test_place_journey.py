"""A crossing of which there are two, on the form for everybody; and the list it comes from."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import pytest

from regional311.database.session import Scope, session_scope
from regional311.gazetteer.lists import read
from regional311.gazetteer.service import Source, take_list

from .conftest import PHONE, follow, visit

CITY = "city-of-portland"
LIST = b"""street,cross_street,city,latitude,longitude
SW 12th Ave,SW Main St,Portland,45.5176,-122.6860
SE 12th Ave,SE Main St,Portland,45.5139,-122.6533
"""
FORM = f"/report?service={CITY}/pothole&danger=none"


@pytest.fixture(autouse=True)
def _listed(site):
    with session_scope(site.engine, Scope(site.tenants[CITY])) as session:
        source = Source("crossings", "Crossings", "CC0")
        take_list(session, source, read(io.BytesIO(LIST), "list.csv"), now=datetime.now(UTC))


def test_one_of_two_crossings_is_picked(open_page, examine):
    page = open_page(width=PHONE)
    visit(page, FORM)
    page.get_by_label("Where is it?").fill("12th and Main")
    follow(page.get_by_role("button", name="Send it"))
    page.get_by_text("Several places fit these words. Nothing was sent yet.").wait_for()
    assert page.get_by_label("Where is it?").input_value() == "12th and Main"
    examine(page, "report-which-place")
    page.get_by_role("group", name="Which place do you mean?").wait_for()
    page.get_by_text("SE 12th Ave & SE Main St, Portland").click()
    follow(page.get_by_role("button", name="Send it"))
    assert page.locator(".d-number").inner_text().startswith("R-")


def test_without_a_script_and_by_keyboard_none_of_them_keeps_the_words(open_page):
    page = open_page(width=PHONE, scripts=False)
    visit(page, FORM)
    page.get_by_label("Where is it?").fill("Main & 12th, by the stairs")
    follow(page.get_by_role("button", name="Send it"))
    page.get_by_label("None of these: use my words").focus()
    page.keyboard.press("Space")
    follow(page.get_by_role("button", name="Send it"))
    assert page.locator(".d-number").inner_text().startswith("R-")


def test_a_list_is_seen_before_it_is_taken_in(open_page, examine):
    page = open_page("administrator", CITY, width=PHONE)
    page.goto(f"/{CITY}/settings")
    follow(page.get_by_role("link", name="Known places"))
    page.get_by_label("Key").fill("more")
    page.get_by_label("Name").fill("More")
    page.get_by_label("Terms on which it may be used").fill("CC0")
    broken = LIST + b"Oak St,1st Ave,Portland,95,0\n"
    file = {"name": "more.csv", "mimeType": "text/csv", "buffer": broken}
    page.get_by_label("CSV or GeoJSON file").set_input_files(file)
    follow(page.get_by_role("button", name="See what changes"))
    page.get_by_text("latitude is a number of degrees").wait_for()
    examine(page, "settings-places")
    follow(page.get_by_role("button", name="Take the sound rest in"))
    page.get_by_text("Taken in: more.csv").wait_for()
