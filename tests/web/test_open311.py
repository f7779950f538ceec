"""Open311 GeoReport v2 as its clients see it: every point that they rely on."""

from __future__ import annotations

import csv
import json
import re
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from regional311.cover import emergencies
from regional311.database.ids import new_token
from regional311.database.session import Scope, session_scope
from regional311.identity.clients import make_client, revoke
from regional311.intake import service as intake
from regional311.intake.open_requests import Wanted, every_open_request
from regional311.referral.snapshot import invalidate
from regional311.web import open311
from tests.intake.pictures_sent import JPEG

CITY, COUNTY = "city-of-portland", "multnomah-county"
BASE = f"/{CITY}/open311/v2"
IN_THE_CITY = {"lat": "45.5152", "long": "-122.6784"}
NOW = datetime(2026, 10, 13, 18, tzinfo=UTC)

pytestmark = pytest.mark.commits


@pytest.fixture(autouse=True)
def office_hours(clock):
    """A Tuesday at eleven in Portland."""
    clock.now = NOW


@pytest.fixture(scope="module")
def key(people, web_engine):
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        return make_client(
            session,
            name="An app",
            scopes=["open311:requests", "open311:updates"],
            a_minute=1000,
            now=NOW,
        )


@pytest.fixture
def post(testapp, key):
    """Send a request in; returns the first item of the answer."""

    def send(status=201, base=BASE, headers=None, **values):
        given = {"api_key": key, "service_code": "pothole", **IN_THE_CITY, **values}
        return testapp.post(f"{base}/requests.json", given, headers=headers, status=status).json[0]

    return send


def plain(element):
    """An XML document as the JSON one says it."""
    if len(element):
        names = {child.tag for child in element}
        if len(names) == 1 and element.tag in (
            "services",
            "attributes",
            "values",
            "service_requests",
            "errors",
            "formats",
            "endpoints",
            "service_request_updates",
        ):
            return [plain(child) for child in element]
        return {child.tag: plain(child) for child in element}
    return element.text


def spelled(content):
    """JSON content with every value as XML spells it."""
    if isinstance(content, dict):
        return {name: spelled(value) for name, value in content.items()}
    if isinstance(content, list):
        return [spelled(each) for each in content] or None
    if isinstance(content, bool):
        return str(content).lower()
    if isinstance(content, float):
        return f"{content:.6f}"
    return None if content in (None, "") else str(content)


def test_discovery_says_where_and_how(testapp):
    found = testapp.get(f"{BASE}/discovery.json").json
    (endpoint,) = found["endpoints"]
    assert endpoint["specification"] == "http://wiki.open311.org/GeoReport_v2"
    assert endpoint["url"].endswith(BASE)
    assert set(endpoint["formats"]) == {"text/xml", "application/json"}
    assert endpoint["type"] == "production"
    assert testapp.get("/open311/v2/discovery.xml").content_type == "text/xml"


@pytest.mark.parametrize("address", ["discovery", "services", "services/pothole", "requests"])
def test_both_formats_say_the_same(testapp, post, address):
    post(description="a <b>deep</b> hole & more\nsecond line")
    as_json = testapp.get(f"{BASE}/{address}.json")
    as_xml = testapp.get(f"{BASE}/{address}.xml")
    assert as_json.headers["Content-Type"] == "application/json; charset=utf-8"
    assert as_xml.headers["Content-Type"] == "text/xml; charset=utf-8"
    assert plain(ET.fromstring(as_xml.body)) == spelled(as_json.json)


def test_services_are_those_that_can_be_asked_for(testapp):
    found = {each["service_code"]: each for each in testapp.get(f"{BASE}/services.json").json}
    pothole = found["pothole"]
    assert pothole["metadata"] is True
    assert pothole["type"] == "realtime"
    assert "," in pothole["keywords"]
    assert pothole["group"] == "Streets"
    other = testapp.get(f"/{COUNTY}/open311/v2/services.json").json
    assert "pothole" not in {each["service_code"] for each in other}


def test_the_region_asks_whose_jurisdiction(testapp, key):
    for method in (testapp.get, testapp.post):
        for said, status in (("", 400), ("jurisdiction_id=", 400), ("jurisdiction_id=x", 404)):
            answer = method(f"/open311/v2/requests.json?{said}", status=status)
            assert answer.json[0]["code"] == status
    found = testapp.get(f"/open311/v2/services.json?jurisdiction_id={CITY}").json
    assert found == testapp.get(f"{BASE}/services.json").json
    values = {"api_key": key, "service_code": "pothole", "jurisdiction_id": CITY, **IN_THE_CITY}
    assert "service_request_id" in testapp.post("/open311/v2/requests.json", values).json[0]


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("services.csv", 404),
        ("services", 404),
        ("services/nothing.json", 404),
        ("requests/R-00000-00000.json", 404),
        ("requests/nonsense.xml", 404),
        ("tokens/unknown.json", 404),
        ("requests.json?start_date=2026-01-01&end_date=2026-06-01", 400),
        ("requests.json?start_date=yesterday", 400),
        ("requests.json?status=broken", 400),
        ("requests.json?page=0", 400),
        ("requests.json?page_size=1001", 400),
        ("requests.json?bbox=1,2,3", 400),
        ("requests.json?bbox=2,2,1,3", 400),
        ("requests.json?end_date=2026-01-01&start_date=2026-02-01", 400),
    ],
)
def test_a_refusal_is_told_in_the_format_asked_for(testapp, address, status):
    answer = testapp.get(f"{BASE}/{address}", status=status)
    if ".json" in address:
        assert answer.json[0]["code"] == status
        assert answer.json[0]["description"]
    else:
        error = ET.fromstring(answer.body).find("error")
        assert error.findtext("code") == str(status)
        assert error.findtext("description")


def test_a_method_that_is_not_offered(testapp):
    answer = testapp.delete(f"{BASE}/requests.json", status=405)
    assert answer.json[0]["code"] == 405


def test_sending_needs_a_good_key(testapp, people, web_engine):
    for given in ({}, {"api_key": "wrong"}):
        answer = testapp.post(f"{BASE}/requests.json", {**given, **IN_THE_CITY}, status=403)
        assert answer.json[0]["code"] == 403
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        other = make_client(session, name="Old", scopes=["open311:updates"], now=NOW)
    values = {"api_key": other, "service_code": "pothole", **IN_THE_CITY}
    testapp.post(f"{BASE}/requests.json", values, status=403)
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        (client_id,) = session.execute(
            text("SELECT id FROM api_clients WHERE name = 'Old'")
        ).scalars()
        revoke(session, client_id, now=NOW)
    testapp.post(f"{BASE}/servicerequestupdates.json", {"api_key": other}, status=403)


def test_a_key_of_one_partner_opens_no_other(testapp, key):
    values = {"api_key": key, "service_code": "bridge-pothole", **IN_THE_CITY}
    testapp.post(f"/{COUNTY}/open311/v2/requests.json", values, status=403)


def test_a_key_is_good_for_so_many_calls_a_minute(testapp, people, web_engine, clock):
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        key = make_client(session, name="Slow", scopes=["open311:requests"], a_minute=2, now=NOW)
    values = {"api_key": key, "service_code": "pothole", **IN_THE_CITY}
    for _ in range(2):
        testapp.post(f"{BASE}/requests.json", values, status=201)
    answer = testapp.post(f"{BASE}/requests.json", values, status=429)
    assert "2 times a minute" in answer.json[0]["description"]
    assert answer.headers["Retry-After"] == "60"
    clock.now = NOW + timedelta(minutes=1)
    testapp.post(f"{BASE}/requests.json", values, status=201)


def test_a_refused_call_is_counted_too(testapp, people, web_engine):
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        key = make_client(session, name="Wrong", scopes=["open311:requests"], a_minute=3, now=NOW)
    for _ in range(3):
        testapp.post(f"{BASE}/requests.json", {"api_key": key}, status=400)
    testapp.post(f"{BASE}/requests.json", {"api_key": key}, status=429)
    testapp.post(f"{BASE}/servicerequestupdates.json", {"api_key": key}, status=429)


def test_what_goes_to_another_partner_has_a_token_that_can_be_looked_up(testapp, key):
    answer = posted_until_one_is_passed_on(testapp, key)
    shown = testapp.get(f"{BASE}/tokens/{answer['token']}.json").json
    assert shown == [{"service_request_id": "", "token": answer["token"]}]
    testapp.get(f"/{COUNTY}/open311/v2/tokens/{answer['token']}.json", status=404)
    region = f"/open311/v2/tokens/{answer['token']}.xml?jurisdiction_id={CITY}"
    assert answer["token"] in testapp.get(region)


def posted_until_one_is_passed_on(testapp, key):
    """Give the first answer that has a token: what was asked for became no request of the City."""
    for each in testapp.get(f"{BASE}/services.json").json:
        sent = {"api_key": key, "service_code": each["service_code"], **IN_THE_CITY}
        answer = testapp.post(f"{BASE}/requests.json", sent, status="*")
        if answer.status_int == 201 and "token" in answer.json[0]:
            return answer.json[0]
    raise AssertionError("Nothing was passed on.")


def test_an_address_beside_a_point_is_told(testapp, post):
    number = post(address_string="SW 5th Avenue and Main Street")["service_request_id"]
    (found,) = testapp.get(f"{BASE}/requests/{number}.json").json
    assert found["address"] == "SW 5th Avenue and Main Street"
    assert found["lat"] == 45.5152


def test_what_changed_lately_is_found_however_old_it_is(testapp, post, clock, web_engine, people):
    clock.now = NOW - timedelta(days=200)
    old, still = post()["service_request_id"], post()["service_request_id"]
    clock.now = NOW
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        request_id, version = session.execute(
            text("SELECT id, version FROM service_requests WHERE public_id = :id"), {"id": old}
        ).one()
        intake.change_request(
            session,
            now=NOW,
            request_id=request_id,
            version=version,
            to="closed",
            resolution="completed",
            message="A crew filled the hole.",
        )

    def numbers(query):
        rows = testapp.get(f"{BASE}/requests.json?{query}").json
        return {each["service_request_id"] for each in rows}

    after = "updated_after=2026-10-13T00:00:00Z"
    assert old in numbers(after)
    assert still not in numbers(after)
    assert old not in numbers(f"{after}&start_date=2026-10-01T00:00:00Z")


def test_numbers_overrule_everything_else(testapp, post):
    number = post()["service_request_id"]
    for other in (
        "status=closed",
        "status=nonsense",
        "start_date=nonsense",
        "bbox=1,2",
        "page=7",
        "page_size=0",
        "service_code=graffiti",
        "updated_after=nonsense",
    ):
        rows = testapp.get(f"{BASE}/requests.json?service_request_id={number}&{other}").json
        assert [each["service_request_id"] for each in rows] == [number], other


def test_updates_are_read_in_pages(testapp, post, people, web_engine, clock):
    for _ in range(3):
        number = post()["service_request_id"]
        with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
            request_id, version = session.execute(
                text("SELECT id, version FROM service_requests WHERE public_id = :id"),
                {"id": number},
            ).one()
            intake.change_request(
                session,
                now=NOW,
                request_id=request_id,
                version=version,
                to="closed",
                resolution="completed",
                message="A crew filled the hole.",
            )
    address = f"{BASE}/servicerequestupdates.json"
    every = [each["update_id"] for each in testapp.get(address).json]
    assert len(every) >= 3
    walked = [
        each["update_id"]
        for page in range(1, len(every) + 2)
        for each in testapp.get(f"{address}?page_size=1&page={page}").json
    ]
    assert walked == every
    testapp.get(f"{address}?page_size=0", status=400)


def test_a_request_comes_back_as_it_was_sent(testapp, post):
    words = "first line\nsecond & <b>third</b> ñ"
    number = post(description=words, address_string="SW 5th and Main", first_name="Rosa")[
        "service_request_id"
    ]
    (found,) = testapp.get(f"{BASE}/requests/{number}.json").json
    assert found["description"] == words
    assert found["status"] == "open"
    assert found["service_code"] == "pothole"
    assert (found["lat"], found["long"]) == (45.5152, -122.6784)
    assert found["requested_datetime"] == "2026-10-13T11:00:00-07:00"
    assert found["expected_datetime"]
    assert found["agency_responsible"]
    assert "Rosa" not in json.dumps(found)
    assert "closed_datetime" not in json.dumps(found)
    assert (
        "extended_attributes" in testapp.get(f"{BASE}/requests/{number}.json?extensions=true").text
    )


def test_questions_are_attributes_and_answers_are_checked(testapp, post, sign_in):
    definition = testapp.get(f"{BASE}/services/pothole.json").json
    assert definition["service_code"] == "pothole"
    orders = [each["order"] for each in definition["attributes"]]
    assert orders == list(range(1, len(orders) + 1))
    size = next(each for each in definition["attributes"] if each["code"] == "size")
    assert size["datatype"] == "singlevaluelist"
    assert {"key": "wheel", "name": "As wide as a wheel"} in size["values"]
    refused = post(status=400, **{"attribute[size]": "enormous"})
    assert "size" in refused["description"]
    number = post(**{"attribute[size]": "wheel"})["service_request_id"]
    page = sign_in("worker", CITY).get(f"/{CITY}/requests/{number}")
    assert "As wide as a wheel" in page


@pytest.mark.parametrize(
    ("values", "status"),
    [
        ({"service_code": ""}, 400),
        ({"service_code": "nothing"}, 404),
        ({"lat": "", "long": ""}, 400),
        ({"long": ""}, 400),
        ({"lat": "north"}, 400),
        ({"lat": "91"}, 400),
        ({"lat": "NaN"}, 400),
        ({"lat": "1_0"}, 400),
        ({"description": "x" * 4001}, 400),
        ({"media_url": "javascript:alert(1)"}, 400),
        ({"email": "no address"}, 400),
        ({"description": "somebody is trapped in the car, not breathing"}, 400),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_filed(testapp, post, values, status):
    before = testapp.get(f"{BASE}/requests.json?page_size=1000").json
    assert post(status=status, **values)["code"] == status
    assert testapp.get(f"{BASE}/requests.json?page_size=1000").json == before


def test_exactly_4000_characters_pass(testapp, post):
    number = post(description="x" * 4000)["service_request_id"]
    (found,) = testapp.get(f"{BASE}/requests/{number}.json").json
    assert len(found["description"]) == 4000


def test_an_address_is_place_enough(testapp, post):
    number = post(lat="", long="", address_string="SW 5th Avenue")["service_request_id"]
    (found,) = testapp.get(f"{BASE}/requests/{number}.json").json
    assert (found["address"], found["lat"], found["long"]) == ("SW 5th Avenue", None, None)


def test_a_call_that_is_repeated_files_once(post):
    headers = {"Idempotency-Key": "3f2a"}
    first = post(headers=headers, description="again")
    assert post(headers=headers, description="again") == first
    assert post(status=409, headers=headers, description="other")["code"] == 409
    assert post(description="again") != first


def test_lists_narrow_by_time_service_status_and_place(testapp, post, clock):
    clock.now = NOW - timedelta(days=200)
    old = post()["service_request_id"]
    clock.now = NOW
    new = post(service_code="street-light", lat="45.60", long="-122.70")["service_request_id"]

    def numbers(query=""):
        rows = testapp.get(f"{BASE}/requests.json?page_size=1000&{query}").json
        times = [each["requested_datetime"] for each in rows]
        assert times == sorted(times, reverse=True)
        return {each["service_request_id"] for each in rows}

    assert new in numbers()
    assert old not in numbers()
    assert numbers(f"service_request_id={old},R-00000-00000") == {old}
    at = (NOW - timedelta(days=200)).isoformat().replace("+00:00", "Z")
    assert old in numbers(f"start_date={at}")
    assert new in numbers("service_code=street-light,graffiti")
    assert new not in numbers("service_code=pothole")
    assert new in numbers("status=open,closed")
    assert new not in numbers("status=closed")
    assert new in numbers("bbox=-122.71,45.59,-122.69,45.61")
    assert new not in numbers("bbox=-122.79,45.59,-122.78,45.61")
    assert numbers("page=100000") == set()
    assert old not in numbers("status=&service_code=")


def test_what_happens_is_told(testapp, post, people, web_engine, clock):
    number = post()["service_request_id"]
    clock.now = NOW + timedelta(hours=2)
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        request_id, version = session.execute(
            text("SELECT id, version FROM service_requests WHERE public_id = :id"), {"id": number}
        ).one()
        intake.change_request(
            session,
            now=clock.now,
            request_id=request_id,
            version=version,
            to="closed",
            resolution="completed",
            message="A crew filled the hole.",
        )
    (found,) = testapp.get(f"{BASE}/requests/{number}.json").json
    assert (found["status"], found["status_notes"]) == ("closed", "A crew filled the hole.")
    assert found["updated_datetime"] == "2026-10-13T13:00:00-07:00"
    rows = testapp.get(f"{BASE}/servicerequestupdates.json?start_date=2026-10-13T19:00:00Z").json
    (row,) = [each for each in rows if each["service_request_id"] == number]
    assert (row["status"], row["description"]) == ("FIXED", "A crew filled the hole.")
    after = "start_date=2026-10-13T20:00:01Z"
    assert testapp.get(f"{BASE}/servicerequestupdates.json?{after}").json == []


def test_another_system_sends_an_update_once(testapp, post, key, sign_in):
    number = post()["service_request_id"]
    values = {
        "api_key": key,
        "service_request_id": number,
        "update_id": "77",
        "status": "OPEN",
        "description": "It is deeper now.",
    }
    address = f"{BASE}/servicerequestupdates.json"
    assert testapp.post(address, values, status=201).json[0]["update_id"]
    assert testapp.post(address, values, status=409).json[0]["code"] == 409
    for name, wrong in (
        ("status", "BROKEN"),
        ("update_id", ""),
        ("updated_datetime", "2030-01-01"),
    ):
        testapp.post(address, {**values, "update_id": "78", name: wrong}, status=400)
    testapp.post(address, {**values, "service_request_id": "R-0"}, status=404)
    page = sign_in("worker", CITY).get(f"/{CITY}/requests/{number}")
    assert "OPEN: It is deeper now." in page
    assert "It is deeper now." not in testapp.get(f"{BASE}/servicerequestupdates.json").text


def test_what_is_confidential_is_nowhere(testapp, post, people, web_engine):
    number = post()["service_request_id"]
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        session.execute(
            text("UPDATE service_requests SET confidential = true WHERE public_id = :id"),
            {"id": number},
        )
    testapp.get(f"{BASE}/requests/{number}.json", status=404)
    assert number not in testapp.get(f"{BASE}/requests.json?service_request_id={number}").text
    assert number not in testapp.get(f"{BASE}/requests.json?page_size=1000").text


def test_open_data_is_a_file_of_all(testapp, post):
    number = post(description="=cmd()")["service_request_id"]
    answer = testapp.get(f"{BASE}/requests.csv")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(answer.text.splitlines()))
    (row,) = [each for each in rows if each["service_request_id"] == number]
    assert (row["service_code"], row["description"]) == ("pothole", "'=cmd()")
    assert testapp.get(f"{BASE}/requests.csv?start_date=2027-01-01").text.count("\n") == 1
    testapp.get(f"{BASE}/requests.csv?start_date=soon", status=400)


def test_all_are_read_in_pages(people, web_engine, post):
    numbers = {post()["service_request_id"] for _ in range(5)}
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        found = [
            each.public_id
            for each in every_open_request(session, Wanted(), open_services={"pothole"}, at_once=2)
        ]
    assert len(found) == len(set(found))
    assert numbers <= set(found)


def test_one_partners_requests_are_unknown_to_another(testapp, post):
    number = post()["service_request_id"]
    testapp.get(f"/{COUNTY}/open311/v2/requests/{number}.json", status=404)
    found = testapp.get(f"/{COUNTY}/open311/v2/requests.json?service_request_id={number}")
    assert found.json == []
    empty = testapp.get(f"/{COUNTY}/open311/v2/requests.xml?service_request_id={number}")
    assert ET.fromstring(empty.body).tag == "service_requests"


def test_danger_comes_before_everything_that_may_be_wrong(testapp, key):
    for base, values in (
        ("requests", {"service_code": "pothole", "description": "He is not breathing"}),
        (
            "requests",
            {"service_code": "pothole", "attribute[no]": "not breathing", **IN_THE_CITY},
        ),
        ("requests", {"service_code": "pothole", "description": "No respira", **IN_THE_CITY}),
        (
            "servicerequestupdates",
            {"service_request_id": "R-1", "update_id": "1", "description": "not breathing"},
        ),
    ):
        said = testapp.post(f"{BASE}/{base}.json", {"api_key": key, **values}, status=400).json
        assert said[0]["description"].startswith("Call 911 now"), values


def test_an_emergency_is_told_while_it_is_on_and_in_the_callers_language(
    testapp, post, people, web_engine
):
    number = post()["service_request_id"]
    address = f"{BASE}/requests/{number}.json"
    texts = {
        "en": {"title": "Ice", "text": "Stay in."},
        "es": {"title": "Hielo", "text": "Quédese en casa."},
    }
    place = {"kind": "closure", "name": "Potholes", "service": f"{CITY}/pothole"}
    known = emergencies.Known({"storm"}, (), (), (), entries=[f"{CITY}/pothole"])
    for drill in (True, False):
        plan = emergencies.Plan("storm", texts, NOW + timedelta(hours=5), places=(place,))
        with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
            emergencies.start(session, plan, reason="Ice", drill=drill, known=known, now=NOW)
        invalidate()
        listed = {
            each["service_code"]: each["description"]
            for each in testapp.get(f"{BASE}/services.json").json
        }
        assert listed["pothole"].startswith("Ice. Stay in. Closed for now: Ice.") is not drill
        assert listed["graffiti"].startswith("Ice. Stay in.") is not drill
        notice = testapp.get(address).json[0]["service_notice"]
        assert notice == (None if drill else "Ice. Stay in.")
        sent = post(headers={"Accept-Language": "es"})
        assert ("Hielo. Quédese en casa." in (sent["service_notice"] or "")) is not drill
        with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
            emergencies.end_due(session, NOW + timedelta(hours=6))
        invalidate()
    assert testapp.get(address).json[0]["service_notice"] is None


def test_an_administrator_makes_and_revokes_a_key(sign_in, testapp):
    browser = sign_in("administrator", CITY)
    form = browser.get(f"/{CITY}/clients/new").forms["form"]
    form["name"] = "Town app"
    shown = form.submit("submit")
    made = shown.html.find("code").text
    values = {"api_key": made, "service_code": "pothole", **IN_THE_CITY}
    testapp.post(f"{BASE}/requests.json", values, status=201)
    listed = browser.get(f"/{CITY}/clients")
    assert made not in listed
    assert made[-4:] in listed
    revoking = [
        form for form in listed.forms.values() if form.action.rstrip("/").endswith("revoke")
    ]
    for each in revoking:
        assert each.submit().status_int == 303
    testapp.post(f"{BASE}/requests.json", values, status=403)
    again = browser.get(f"/{CITY}/clients?format=csv&state=revoked").text
    assert "Town app" in again


@pytest.mark.parametrize("name", sorted(open311.FORMATS))
def test_characters_that_xml_cannot_write_do_not_break_it(name):
    answer = open311.reply(name, "services", [{"description": "a\x00b\x0bc é"}])
    if name == "xml":
        assert ET.fromstring(answer.body).find("service").findtext("description") == "abc é"


@pytest.fixture
def photographer(people, web_engine):
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        return make_client(
            session, name=new_token(), scopes=["open311:requests"], a_minute=100, now=NOW
        )


TAGGED = {"service_code": "graffiti", "description": "paint", **IN_THE_CITY}


@pytest.mark.parametrize("form", ["json", "xml"])
@pytest.mark.parametrize("base", [BASE, "/open311/v2"])
def test_a_photo_comes_in_parts_and_is_kept_with_the_request(
    testapp, photographer, web_engine, people, base, form
):
    with_photo = [("media", "../hole.exe", JPEG)]
    sent = testapp.post(
        f"{base}/requests.{form}",
        TAGGED | {"api_key": photographer, "jurisdiction_id": CITY},
        upload_files=with_photo,
        status=201,
    )
    number = re.search(r"R-\w{5}-\w{5}", sent.text)[0]
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        kept = session.execute(
            text(
                "SELECT a.name, a.media_type FROM attachments a JOIN service_requests r"
                " ON r.need_id = a.subject_id WHERE r.public_id = :number"
            ),
            {"number": number},
        ).all()
    assert [tuple(each) for each in kept] == [("hole.jpg", "image/jpeg")]
    shown = testapp.get(f"{BASE}/requests/{number}.json").json[0]
    assert shown["media_url"] is None


@pytest.mark.parametrize(
    ("changes", "content", "said"),
    [
        ({}, b"MZ no picture", "Only pictures and PDF"),
        ({}, b"", "empty"),
    ],
)
def test_a_photo_that_cannot_be_taken_is_named(testapp, photographer, changes, content, said):
    values = TAGGED | {"api_key": photographer} | changes
    refused = testapp.post(
        f"{BASE}/requests.json", values, upload_files=[("media", "a.jpg", content)], status=400
    )
    assert refused.json[0]["description"].startswith("media: ")
    assert said in refused.json[0]["description"]
