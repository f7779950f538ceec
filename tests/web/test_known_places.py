"""Words of a place at every door: what they mean, what is asked about, and what stays words."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from regional311.database.ids import new_token
from regional311.database.session import Scope, session_scope
from regional311.gazetteer.lists import read
from regional311.gazetteer.service import Source, take_list
from regional311.identity.clients import make_client
from tests.web.test_api import API_SCOPES, Program
from tests.web.test_desk import described, look, picked, screened
from tests.web.test_public import screened as screened_publicly

pytestmark = pytest.mark.commits

CITY = "city-of-portland"
NOW = datetime(2026, 10, 13, 18, tzinfo=UTC)
LIST = """kind,name,street,cross_street,city,latitude,longitude
crossing,,SE Division St,SE 82nd Ave,Portland,45.50457,-122.57852
crossing,,NE Broadway,NE 7th Ave,Portland,45.53497,-122.65840
crossing,,SW Broadway,SW 7th Ave,Portland,45.51690,-122.67960
landmark,Skidmore Fountain,,,Portland,45.52260,-122.67060
"""


@pytest.fixture(scope="module", autouse=True)
def _listed(web_engine, people):
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        source = Source("crossings", "Crossings", "CC0")
        take_list(session, source, read(io.BytesIO(LIST.encode()), "list.csv"), now=NOW)


@pytest.fixture(autouse=True)
def _office_hours(clock):
    clock.now = NOW


@pytest.fixture
def stored(web_engine, people):
    """The words and the point of the newest request, as they are kept."""

    def stored():
        with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
            row = session.execute(
                text(
                    "SELECT place_text, latitude, longitude FROM service_requests"
                    " ORDER BY id DESC LIMIT 1"
                )
            ).one()
        return row.place_text, *(each and float(each) for each in row[1:])

    return stored


def written(testapp, words, **more):
    form = screened_publicly(testapp).forms["report"]
    form["place"] = words
    form["description"] = f"A hole ({new_token()[:8]})"
    for name, value in more.items():
        form[name] = value
    return form


def asked_of(testapp, words, **more):
    return written(testapp, words, **more).submit("submit").maybe_follow()


def filed_from(form):
    """Send it; what another test reported there is something else."""
    page = form.submit("submit").maybe_follow()
    if "report" in page.forms:
        page.forms["report"]["same_as"] = "other"
        page = page.forms["report"].submit("submit").follow()
    assert page.html.select_one(".d-number")
    return page


def choices(page):
    return [each["value"] for each in page.html.select("input[type=radio][name=at]")]


def said_of(page):
    return [each.text for each in page.html.select("input[name=at] + label")]


def test_a_crossing_in_words_is_a_point(testapp, stored):
    filed_from(written(testapp, "Division and 82nd"))
    assert stored() == ("Division and 82nd", 45.50457, -122.57852)


def test_of_several_places_one_is_picked(testapp, stored):
    asked = asked_of(testapp, "Broadway & 7th")
    assert "Several places fit these words. Nothing was sent yet." in asked
    assert [each.strip() for each in said_of(asked)] == [
        "NE Broadway & NE 7th Ave, Portland",
        "SW Broadway & SW 7th Ave, Portland",
        "None of these: use my words",
    ]
    form = asked.forms["report"]
    assert form["place"].value == "Broadway & 7th"
    form["at"] = choices(asked)[1]
    filed_from(form)
    assert stored() == ("Broadway & 7th", 45.5169, -122.6796)


def test_none_of_them_keeps_the_words(testapp, stored):
    asked = asked_of(testapp, "Broadway & 7th")
    form = asked.forms["report"]
    form["at"] = "words"
    first = filed_from(form)
    again = form.submit("submit").follow()
    assert again.html.select_one(".d-number") == first.html.select_one(".d-number")
    assert stored() == ("Broadway & 7th", None, None)


def test_a_slip_of_the_pen_is_asked_about(testapp, stored):
    asked = asked_of(testapp, "Skidmoor Fountain")
    assert "We know no place by these words" in asked
    form = asked.forms["report"]
    form["at"] = choices(asked)[0]
    filed_from(form)
    assert stored() == ("Skidmoor Fountain", 45.5226, -122.6706)


def test_words_that_nobody_knows_are_taken_as_they_are(testapp, stored):
    filed_from(written(testapp, "behind the blue barn"))
    assert stored() == ("behind the blue barn", None, None)


def test_who_picks_nothing_is_asked_again(testapp):
    form = asked_of(testapp, "Broadway & 7th").forms["report"]
    again = form.submit("submit", status=400)
    assert "Choose the place that you mean" in again
    assert len(choices(again)) == 3


@pytest.mark.parametrize("made_up", ["x" * 80, "00000000-0000-0000-0000-000000000000", ""])
def test_a_made_up_place_is_none(testapp, made_up):
    form = asked_of(testapp, "Broadway & 7th").forms["report"]
    form["at"].force_value(made_up)
    assert len(choices(form.submit("submit"))) == 3


def test_other_words_after_the_question_are_looked_up_anew(testapp, stored):
    asked = asked_of(testapp, "Broadway & 7th")
    form = asked.forms["report"]
    form["at"] = choices(asked)[0]
    form["place"] = "Skidmore Fountain"
    filed_from(form)
    assert stored() == ("Skidmore Fountain", 45.5226, -122.6706)


def test_a_point_is_not_looked_up(testapp, statements):
    asked_of(testapp, "Broadway & 7th", latitude="45.4801", longitude="-122.6102")
    assert not [each for each in statements if "known_places" in each]


def test_a_contact_without_a_place_looks_nothing_up(sign_in, statements):
    page = picked(screened(sign_in("specialist", CITY)), "hole in the street", "pothole")
    described(page, place_kind="none", description="a hole")
    statements.clear()
    look(page)
    assert not [each for each in statements if "known_places" in each]


def at_the_desk(sign_in, words):
    page = picked(screened(sign_in("specialist", CITY)), "hole in the street", "pothole")
    described(page, place_kind="address", place=words, description="a hole")
    return page


def test_the_desk_says_which_place_is_meant(sign_in, statements):
    page = at_the_desk(sign_in, "82nd and Division")
    statements.clear()
    seen = look(page)
    assert "SE Division St &amp; SE 82nd Ave, Portland" in seen
    assert "No place was given" not in seen
    assert len([each for each in statements if "known_places" in each]) == 1


def test_the_desk_offers_the_places_that_may_be_meant(sign_in):
    page = at_the_desk(sign_in, "Broadway and 7th")
    seen = look(page)
    assert "Which place is meant?" in seen
    assert "match several known places" in seen
    assert "No place was given" not in seen
    chosen = choices(seen)
    assert chosen[-1] == "words"
    again = look(page, at=chosen[0])
    assert "match several known places" not in again
    assert "Inside Portland" in again
    assert again.html.select_one(f"input[name=at][value='{chosen[0]}']").has_attr("checked")


def test_the_desk_says_that_words_are_not_located(sign_in):
    seen = look(at_the_desk(sign_in, "behind the blue barn"))
    assert "The place is described in words and could not be located." in seen
    assert "No place was given" not in seen


def test_open311_finds_an_address_string(testapp, web_engine, people, stored):
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        key = make_client(session, name="Places", scopes=["open311:requests"], a_minute=99, now=NOW)
    form = {
        "api_key": key,
        "service_code": "pothole",
        "address_string": "7th at NE Broadway",
        "attribute[size]": "wheel",
    }
    (answer,) = testapp.post(f"/{CITY}/open311/v2/requests.json", form, status=201).json
    assert answer["service_request_id"]
    assert stored() == ("7th at NE Broadway", 45.53497, -122.6584)


def test_the_api_finds_words(application, web_engine, people, stored, testapp):
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        key = make_client(session, name="Places API", scopes=list(API_SCOPES), a_minute=99, now=NOW)
    program = Program(testapp, CITY, key)
    program.once(
        "/requests",
        {
            "service": "pothole",
            "place": {"text": "SW 7th & SW Broadway"},
            "answers": {"size": "wheel"},
        },
        key="places-1",
    )
    assert stored() == ("SW 7th & SW Broadway", 45.5169, -122.6796)
