"""Lists of known places through HTTP: seen row by row, taken in, ended."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from webtest import Upload

from regional311.database.session import Scope, session_scope
from regional311.gazetteer.queries import find
from regional311.web.views import place_lists

CITY = "city-of-portland"
PAGE = f"/{CITY}/settings/places"
LIST = """street,cross_street,city,latitude,longitude
SE Division St,SE 82nd Ave,Portland,45.50457,-122.57852
NE Sandy Blvd,NE 82nd Ave,Portland,45.56190,-122.57860
"""

pytestmark = pytest.mark.commits


@pytest.fixture
def administrator(sign_in):
    return sign_in("administrator", CITY)


@pytest.fixture
def found(web_engine, people):
    def found(words):
        with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
            return find(session, words).how

    return found


def send(browser, sheet, key, name="list.csv", status=200, **head):
    form = browser.get(PAGE).forms["import"]
    for field, value in {"key": key, "name": "Crossings", "licence": "CC0", **head}.items():
        form[field] = value
    form["file"] = Upload(name, sheet if isinstance(sheet, bytes) else sheet.encode())
    return form.submit(status=status)


def counts(page):
    told = page.html.select("section dl > div") or page.html.select("section dl")
    return " ".join(" ".join(each.text.split()) for each in told)


def test_a_list_is_seen_then_taken_in_and_ended(administrator, found):
    page = send(administrator, LIST, "seen")
    assert "New2" in counts(page)
    assert found("82nd and Division") == "unknown"
    done = page.forms["take"].submit("take").follow()
    assert "Taken in: list.csv" in done
    assert found("82nd and Division") == "one"
    again = send(administrator, LIST, "seen", name="list.CSV")
    assert "No place would change" in again
    ending = next(
        form for form in done.forms.values() if form.fields.get("end", [None])[0] is not None
    )
    ended = ending.submit("end").follow()
    assert "Words find its places no more" in ended
    assert found("82nd and Division") == "unknown"
    log = administrator.get(f"/{CITY}/audit")
    assert "places:import" in log
    assert "places:end" in log


def test_broken_rows_are_told_by_row_and_the_rest_is_taken(administrator, found):
    page = send(administrator, LIST + "Oak St,1st Ave,,95,0\n<b>,,,45,-122\n", "broken")
    rows = [
        [cell.text for cell in row.select("th, td")] for row in page.html.select("section tbody tr")
    ]
    assert rows == [
        ["4", "latitude is a number of degrees between -90 and 90."],
        ["5", "number is missing; address needs it."],
    ]
    button = page.html.select_one("#take button")
    assert button["value"] == "sound"
    form = page.forms["take"]
    form.submit("take").follow()
    assert found("NE 82nd and Sandy") == "one"


def test_a_broken_file_is_not_taken_whole_by_a_made_up_form(administrator, web_engine, people):
    page = send(administrator, LIST + "Oak St,1st Ave,,95,0\n", "whole")
    fields = [(name, value) for name, value in page.forms["take"].submit_fields() if name != "take"]
    administrator.post(PAGE, [*fields, ("take", "all")], status=400)
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        kept = session.scalar(text("SELECT count(*) FROM place_sources WHERE key = 'whole'"))
    assert kept == 0


@pytest.mark.parametrize(
    ("sheet", "name", "head", "says"),
    [
        (b"\xff\xfe", "list.csv", {}, "not UTF-8"),
        ("a,b\n1,2\n", "list.csv", {}, "latitude and longitude"),
        (LIST, "list.exe", {}, ".csv or .geojson"),
        (LIST, "list.csv", {"licence": ""}, "licence"),
        (LIST, "list.csv", {"key": "Not A Key"}, "lower case"),
        (LIST, "list.csv", {"website": "javascript:alert(1)"}, "https://"),
        (b"x" * 301, "list.csv", {}, "regional311 places import"),
    ],
)
def test_what_cannot_be_taken_is_said(administrator, monkeypatch, sheet, name, head, says):
    monkeypatch.setattr(place_lists, "MOST_BYTES", 300)
    page = send(administrator, sheet, head.pop("key", "refused"), name, 400, **head)
    assert "Nothing was taken in" in page
    assert says in page.html.select_one(".usa-alert--error").text


def test_a_file_that_names_nothing_ends_nothing(administrator):
    page = send(administrator, LIST.splitlines()[0] + "\n", "empty")
    assert "The file names no place" in page
    assert "take" not in page.forms


def test_without_a_file_nothing_is_taken(administrator):
    form = administrator.get(PAGE).forms["import"]
    form["key"], form["name"], form["licence"] = "none", "None", "CC0"
    assert "Choose a file" in form.submit(status=400)


def test_what_was_shown_comes_back_as_it_was(administrator):
    page = send(administrator, LIST, "bad-bytes")
    page.forms["take"]["sent"].force_value("not base64!")
    page.forms["take"].submit("take", status=400)


def test_a_list_that_is_not_there_is_not_ended(administrator):
    token = administrator.get(PAGE).forms["import"]["csrf_token"].value
    administrator.post(PAGE, {"csrf_token": token, "end": "nobody-s"}, status=404)
