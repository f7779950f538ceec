"""A partner's home for everybody, and the way to the desk for who works there."""

from __future__ import annotations

import re

import pytest
from webtest import TestApp

from regional311.web import most_asked

CITY, COUNTY = "city-of-portland", "multnomah-county"
HOME = f"/partners/{CITY}"


def test_everything_of_the_regions_home_is_there_for_one_partner(testapp):
    page = testapp.get(HOME)
    assert page.html.h1.text == "City of Portland"
    assert "Ask once" in page
    search = next(each for each in page.forms.values() if each.action == "/search")
    search["q"] = "pothole"
    found = search.submit()
    assert "partner=city-of-portland" in found.request.path_qs
    assert "City of Portland" in found
    verbs = [each["href"] for each in page.html.select(".p-verbs a")]
    assert len(verbs) == 5
    for address in verbs:
        assert f"partner={CITY}" in address
        assert testapp.get(address).status_int == 200
    assert page.html.select_one(f'a[href="/services/{CITY}"]')
    assert testapp.get(page.html.select_one('a[href^="/accommodation"]')["href"])
    assert {each.action for each in page.forms.values()} == {"/search", "/track"}


def test_only_what_is_asked_of_this_partner_is_most_asked_there(testapp, application, monkeypatch):
    refs = [f"{COUNTY}/road-pothole", f"{CITY}/pothole"]
    monkeypatch.setattr(most_asked, "_counted", lambda _request: refs)
    shown = [each["href"] for each in testapp.get(HOME).html.select(".p-asked a")]
    assert shown == [f"/services/{CITY}/pothole"]
    every = [each["href"] for each in testapp.get("/").html.select(".p-asked a")]
    assert every == [f"/services/{each}" for each in refs]


def test_it_has_the_partners_colours_and_carries_no_style_in_the_page(testapp):
    page = testapp.get(HOME)
    assert not page.html.select("style, [style]")
    sheet = testapp.get(page.html.select_one('link[href$="colours.css"]')["href"])
    assert sheet.content_type == "text/css"
    assert "--partner: #00426a;" in sheet
    assert "--partner: #1a5632;" in testapp.get(f"/partners/{COUNTY}/colours.css")


@pytest.mark.parametrize("language", ["es", "vi", "zh-Hant", "ru"])
def test_it_is_there_in_each_language(testapp, language):
    page = testapp.get(f"{HOME}?lang={language}")
    assert page.html.html["lang"] == language
    assert "Say what you need" not in page
    assert "Everything here" not in page


def test_who_does_not_work_there_comes_to_it_and_who_does_to_the_work(testapp, sign_in):
    assert testapp.get(f"/{CITY}").location.endswith(HOME)
    assert testapp.get("/region").location.endswith("/")
    page = testapp.get(HOME)
    link = next(each for each in page.html.select("main a") if "Sign in" in each.text)
    assert link["href"] == f"/auth/sign-in?next=/{CITY}"
    browser = sign_in("specialist", CITY)
    assert f"/{CITY}/desk" in browser.get(f"/{CITY}")
    assert f"/{CITY}/desk" in browser.get(browser.get(link["href"]).location)
    assert browser.get(HOME).html.h1.text == "City of Portland"


def test_pages_of_a_partners_services_lead_to_it(testapp):
    for address in (f"/services/{CITY}", f"/services/{CITY}/pothole"):
        crumbs = [each["href"] for each in testapp.get(address).html.select("nav a[href]")]
        assert HOME in crumbs
    assert HOME in [each["href"] for each in testapp.get("/").html.select("main a[href]")]
    assert HOME in testapp.get("/sitemap.xml")


def test_there_is_none_for_nobody_nor_for_the_region(testapp: TestApp):
    for address in ("/partners/nobody", "/partners/region", "/partners", f"{HOME}/desk"):
        testapp.get(address, status=404)


def test_no_confidential_service_is_named_most_asked(testapp):
    page = testapp.get(HOME)
    assert not re.search(r"[\w.]+@[\w.]+", page.html.main.text)
