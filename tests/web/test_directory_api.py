"""The directory for programs: HSDS 3.2.3, point by point, for the region and for one partner."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from uuid import UUID

import pytest

from regional311.catalog import content
from regional311.catalog.hsds import mapping
from regional311.catalog.hsds.identifiers import entry_id
from regional311.catalog.service import write_location, write_organization, write_service
from regional311.catalog.taxonomies import write_taxonomy
from regional311.database.session import Scope, session_scope
from regional311.referral.snapshot import invalidate
from regional311.strict import from_plain
from regional311.tenancy.revision import raise_revision
from regional311.web import directory
from tests.catalog.hsds_schemas import faults, needs_data

pytestmark = pytest.mark.commits

CITY, INFO = "city-of-portland", "211info"
DAY = date(2026, 11, 2)
NOW = datetime(2026, 11, 2, 20, 30, 15, 123456, tzinfo=UTC)
ORGANIZATIONS = [
    {
        "key": "food-bank",
        "name": "Rose City Food Bank",
        "description": "Food for everybody.",
        "phone": [{"number": "503-555-0140", "languages": ["es"]}],
        "location": "hall",
    },
    {"key": "kitchen", "name": "Kitchen", "description": "Cooks.", "parent": "food-bank"},
    {"key": "refuge", "name": "Quillfeather House", "description": "A house to be safe in."},
]
LOCATIONS = [
    {
        "key": "hall",
        "name": "Food hall",
        "organization": "food-bank",
        "address": "100 NE Test Street",
        "city": "Portland",
        "state": "OR",
        "postal_code": "97991",
        "latitude": 45.52,
        "longitude": -122.66,
        "hours": {"mon": ["09:00-17:00"], "tue": ["09:00-17:00"]},
        "accessibility": [{"name": "Ramp"}],
    },
    {
        "key": "barn",
        "name": "Barn",
        "organization": "food-bank",
        "latitude": 45.62,
        "longitude": -122.66,
        "postal_code": "97992-0001",
    },
    {"key": "secret", "name": "The quillfeather", "organization": "refuge", "postal_code": "97991"},
]
SERVICE = {
    "verb": "find",
    "bureau": "community",
    "term": "food",
    "group": "Food",
    "disposition": [{"kind": "refer", "valid_from": "2026-07-01"}],
}
SERVICES = [
    SERVICE
    | {
        "key": "pantry",
        "name": "Food pantry on Mondays",
        "summary": "A bag of food.",
        "organization": "food-bank",
        "taxonomy": ["try:food"],
        "phone": "503-555-0141",
        "languages": ["es", "zh-Hant"],
        "fee": "Free",
        "cost": [{"option": "Bag", "amount": "2.50"}],
        "document": [{"name": "Proof of address", "website": "https://example.org/proof"}],
        "hours": {"fri": ["20:00-24:00"], "holiday": ["10:00-12:00"]},
        "location": [
            {"location": "hall", "note": "Ring twice."},
            {
                "location": "barn",
                "capacity": [{"unit": "bags", "available": 4, "updated_on": "2026-10-31"}],
            },
        ],
    },
    SERVICE
    | {
        "key": "refuge",
        "name": "Quillfeather",
        "summary": "The quillfeather pantry.",
        "organization": "refuge",
        "confidential": True,
        "location": [{"location": "secret"}, {"location": "hall"}],
    },
    SERVICE | {"key": "soup", "name": "Soup", "summary": "Soup pantry.", "organization": "kitchen"},
]
PANTRY = str(entry_id(INFO, "service", "pantry"))
FOOD_BANK = str(entry_id(INFO, "organization", "food-bank"))
REFUGE = entry_id(INFO, "organization", "refuge")


@pytest.fixture(scope="module", autouse=True)
def filled(web_engine, people):
    """211 with a food bank, and a refuge whose requests are confidential."""
    stamp = {"today": DAY, "now": NOW, "person_id": None, "source": "form"}
    with session_scope(web_engine, Scope(people.tenants[INFO])) as session:
        terms = [{"code": "food", "name": "Food"}, {"code": "bags", "name": "B", "parent": "food"}]
        tree = {"key": "try", "name": "Try", "description": "A try.", "term": terms}
        write_taxonomy(session, from_plain(content.Taxonomy, tree), source="kept", today=DAY)
        for said in ORGANIZATIONS:
            write_organization(session, from_plain(content.Organization, said), known=None, **stamp)
        for said in LOCATIONS:
            write_location(session, from_plain(content.Location, said), known=None, **stamp)
        for said in SERVICES:
            write_service(session, from_plain(content.Service, said), known=None, **stamp)
        raise_revision(session)
    invalidate()
    yield
    invalidate()


def contents(testapp, path):
    return testapp.get(path).json["contents"]


def walked(testapp, path, size):
    """Every entry of a list, page by page."""
    found, number = [], 1
    while True:
        page = testapp.get(f"{path}{'&' if '?' in path else '?'}per_page={size}&page={number}").json
        found += page["contents"]
        assert (page["page_number"], page["size"]) == (number, len(page["contents"]))
        assert page["first_page"] == (number == 1)
        assert page["empty"] == (page["contents"] == [])
        if page["last_page"]:
            assert page["total_items"] == len(found)
            assert page["total_pages"] == number
            return found
        number += 1


def test_the_api_says_what_it_is(testapp):
    said = testapp.get("/hsds/").json
    assert said["version"] == "3.2.3"
    assert said["profile"].startswith("https://")
    assert testapp.get(said["openapi_url"]).json["openapi"] == "3.1.0"
    assert {"publisher", "data_guide", "description"} <= set(said)
    assert "211info" in testapp.get(f"/hsds/{INFO}").json["publisher"]


@needs_data
@pytest.mark.parametrize("scope", ["", f"/{INFO}", f"/{CITY}"])
@pytest.mark.parametrize(
    ("name", "kind", "query"),
    [
        ("services", "service", "full=false"),
        ("services", "service", "full=true"),
        ("organizations", "organization", "full=false"),
        ("organizations", "organization", "full=true"),
        ("organizations", "organization", "full_service=true"),
        ("service_at_locations", "service_at_location", "full=false"),
        ("service_at_locations", "service_at_location", "full=true"),
        ("taxonomies", "taxonomy", ""),
        ("taxonomy_terms", "taxonomy_term", ""),
    ],
)
def test_everything_that_is_emitted_is_strictly_valid(testapp, scope, name, kind, query):
    path = f"/hsds{scope}/{name}?per_page=500&{query}"
    found = contents(testapp, path)
    assert found
    lines = testapp.get(f"/hsds{scope}/{name}?format=ndjson&{query}").text.splitlines()
    assert [json.loads(each) for each in lines] == found
    for document in found:
        assert faults(kind, document) == [], document["id"]
    one = testapp.get(f"/hsds{scope}/{name}/{found[0]['id']}").json
    assert faults(kind, one) == []
    assert one["id"] == found[0]["id"]


@needs_data
def test_the_strict_check_finds_what_is_wrong(testapp):
    said = testapp.get(f"/hsds/services/{PANTRY}").json
    said["service_at_locations"][0]["location"]["colour"] = "red"
    said["phones"][0]["number"] = 5
    said["organization"]["phones"] = []
    assert len(faults("service", said)) == 3


@pytest.mark.parametrize(
    "name", ["services", "organizations", "service_at_locations", "taxonomies", "taxonomy_terms"]
)
@pytest.mark.parametrize("size", [1, 7, 500])
def test_walking_the_pages_gives_each_id_once(testapp, name, size):
    if size == 1 and name in ("services", "organizations", "taxonomy_terms"):
        name += "?search=food"
    ids = [each["id"] for each in walked(testapp, f"/hsds/{name}", size)]
    assert len(ids) == len(set(ids)) > 0
    assert all(str(UUID(each)) == each for each in ids)


def test_past_the_end_is_an_empty_page(testapp):
    page = testapp.get("/hsds/services?page=900").json
    assert (page["empty"], page["contents"], page["size"]) == (True, [], 0)


@pytest.mark.parametrize("name", ["services", "organizations", "service_at_locations"])
def test_post_is_the_same_read(testapp, name):
    read = testapp.get(f"/hsds/{name}?search=food&per_page=2").json
    assert read["contents"]
    assert testapp.post(f"/hsds/{name}", {"search": "food", "per_page": "2"}).json == read
    assert testapp.post_json(f"/hsds/{name}", {"search": "food", "per_page": 2}).json == read
    assert testapp.post(f"/hsds/{name}?search=food&per_page=2").json == read
    wrong = testapp.post(
        f"/hsds/{name}", "[1]", content_type="application/json", expect_errors=True
    )
    assert (wrong.status_int, wrong.json["code"]) == (400, "BadParameter")


def test_minimal_gives_ids_and_dates_of_all_at_once(testapp):
    every = {each["id"] for each in walked(testapp, "/hsds/services", 500)}
    page = testapp.get("/hsds/services?minimal=true").json
    assert {each["id"] for each in page["contents"]} == every
    assert {tuple(sorted(each)) for each in page["contents"]} == {("id", "last_modified")}
    assert page["total_pages"] == 1
    assert testapp.get("/hsds/services?minimal=true&per_page=1").json["size"] == 1


def test_help_is_found_though_what_is_asked_of_it_is_confidential(testapp):
    (found,) = contents(testapp, "/hsds/services?search=quillfeather")
    assert found["id"] == str(entry_id(INFO, "service", "refuge"))
    assert testapp.get(f"/hsds/organizations/{REFUGE}").json["name"] == "Quillfeather House"


def test_search_reads_whole_words_in_any_language(testapp):
    def found(words):
        return {each["id"] for each in contents(testapp, f"/hsds/services?search={words}")}

    pothole = str(entry_id("city-of-portland", "service", "pothole"))
    assert pothole in found("potholes")
    assert pothole in found("baches")
    assert found("potholes+baches") == set() == found("%25")


def test_filters_hold_together(testapp):
    named = lambda query: [each["name"] for each in contents(testapp, f"/hsds/services?{query}")]  # noqa: E731
    term = next(
        each
        for each in contents(testapp, "/hsds/taxonomy_terms?per_page=500")
        if each["name"] == "Food" and each["taxonomy"] == "Try"
    )
    taxonomy = next(each for each in contents(testapp, "/hsds/taxonomies") if each["name"] == "Try")
    pantry = ["Food pantry on Mondays"]
    assert named(f"taxonomy_term_id={term['id']}") == pantry
    assert named(f"taxonomy_id={taxonomy['id']}") == pantry
    assert named(f"organization_id={FOOD_BANK}") == pantry
    assert named(f"organization_id={FOOD_BANK}&search=monday") == pantry
    assert named(f"organization_id={FOOD_BANK}&search=tuesday") == []
    assert named(f"taxonomy_term_id={UUID(int=5)}") == []
    kind = mapping.kind_of_service("pothole")["id"]
    assert [each for each in named(f"taxonomy_term_id={kind}") if "othole" in each]
    found = contents(testapp, f"/hsds/organizations?taxonomy_term_id={term['id']}")
    assert [each["id"] for each in found] == [FOOD_BANK]
    sites = contents(testapp, f"/hsds/service_at_locations?taxonomy_term_id={term['id']}")
    assert {each["location"]["name"] for each in sites} == {"Food hall", "Barn"}


def test_terms_by_taxonomy_parent_and_top(testapp):
    taxonomy = next(e for e in contents(testapp, "/hsds/taxonomies") if e["name"] == "Try")
    path = f"/hsds/taxonomy_terms?taxonomy_id={taxonomy['id']}"
    food, bags = sorted(contents(testapp, path), key=lambda each: "parent_id" in each)
    assert bags["parent_id"] == food["id"]
    assert food["taxonomy_detail"]["id"] == taxonomy["id"]
    assert contents(testapp, f"{path}&top_only=true") == [food]
    assert contents(testapp, f"{path}&parent_id={food['id']}") == [bags]


def test_modified_after_is_inclusive_to_the_millisecond(testapp):
    moment = testapp.get(f"/hsds/services/{PANTRY}").json["last_modified"]
    assert moment == "2026-11-02T20:30:15.123Z"
    ids = lambda when: {  # noqa: E731
        each["id"]
        for each in contents(testapp, f"/hsds/services?per_page=500&modified_after={when}")
    }
    assert PANTRY in ids(moment)
    assert PANTRY not in ids("2026-11-02T20:30:15.124Z")
    assert PANTRY in ids("2026-11-02T12:30:15.123-08:00")
    assert PANTRY in ids("2026-11-02")
    assert contents(testapp, f"/hsds/service_at_locations?modified_after={moment}")
    assert contents(testapp, "/hsds/service_at_locations?modified_after=2099-01-01") == []


def test_what_a_service_says_in_full(testapp):
    said = testapp.get(f"/hsds/services/{PANTRY}").json
    assert said["organization"]["name"] == "Rose City Food Bank"
    assert {each["name"] for each in said["organization"]["locations"]} == {"Food hall", "Barn"}
    hall, barn = said["service_at_locations"]
    assert (hall["description"], hall["location"]["name"]) == ("Ring twice.", "Food hall")
    assert barn["location"]["latitude"] == 45.62
    assert said["capacities"][0]["available"] == 4
    friday, holiday = said["schedules"]
    assert (friday["byday"], friday["opens_at"], friday["closes_at"]) == ("FR", "20:00", "23:59:59")
    assert friday["timezone"] in (-8, -7)
    assert holiday["description"] == mapping.HOLIDAYS
    assert said["cost_options"][0]["amount"] == 2.5
    assert [each["code"] for each in said["languages"]] == ["es", "zh"]
    assert said["phones"][0]["number"] == "503-555-0141"
    assert said["required_documents"][0]["uri"] == "https://example.org/proof"


def test_a_partner_and_its_bureaus_are_organizations(testapp):
    partner = entry_id(CITY, "partner")
    said = testapp.get(f"/hsds/organizations/{partner}").json
    assert said["name"] == "City of Portland, Oregon"
    bureau = entry_id(CITY, "bureau", "pbot")
    transport = testapp.get(f"/hsds/organizations/{bureau}").json
    assert transport["parent_organization_id"] == str(partner)
    provided = contents(testapp, f"/hsds/services?organization_id={bureau}&per_page=500")
    assert {each["id"] for each in transport["services"]} == {each["id"] for each in provided}
    full = testapp.get(f"/hsds/organizations/{bureau}?full_service=true").json["services"]
    assert "attributes" in full[0]
    kitchen = testapp.get(f"/hsds/organizations/{entry_id(INFO, 'organization', 'kitchen')}").json
    assert kitchen["parent_organization_id"] == FOOD_BANK


def test_an_area_has_its_shape(testapp):
    service = next(
        each
        for each in contents(testapp, f"/hsds/{CITY}/services?full=true&per_page=500")
        if "service_areas" in each
    )
    area = service["service_areas"][0]
    feature = testapp.get(area["uri"].removeprefix("http://localhost")).json
    assert feature["id"] == area["id"]
    assert feature["geometry"]["type"] in ("Polygon", "MultiPolygon", "LineString")


def test_near_a_postcode_and_serving_it(testapp):
    places = lambda query: {  # noqa: E731
        each["location"]["name"]
        for each in contents(
            testapp, f"/hsds/service_at_locations?organization_id={FOOD_BANK}&{query}"
        )
    }
    assert places("postcode=97991&proximity=2000") == {"Food hall"}
    assert places("postcode=97991-3333&proximity=20000") == {"Food hall", "Barn"}
    assert places("postcode=97992&proximity=100") == {"Barn"}
    assert places("postcode=10001&proximity=2000") == set()
    # 211 has no outline: it serves everybody
    assert places("postcode=97991") >= {"Food hall", "Barn"}
    assert places("postcode=10001") == set()
    wrong = testapp.get("/hsds/service_at_locations?proximity=5", status=400).json
    assert "postcode" in wrong["detail"]


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("page=0", "page"),
        ("page=1.5", "page"),
        ("per_page=501", "500"),
        ("full=maybe", "true or false"),
        ("organization_id=7", "UUID"),
        ("modified_after=soon", "2026-07-01T12:00:00Z"),
        ("format=xml", "json or ndjson"),
        (f"search={'x' * 201}", "200"),
    ],
)
def test_a_bad_parameter_is_named_with_what_is_allowed(testapp, query, word):
    answer = testapp.get(f"/hsds/services?{query}", status=400)
    assert answer.content_type == "application/problem+json"
    assert set(answer.json) == {"type", "title", "status", "detail", "code"}
    assert word in answer.json["detail"]
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_an_empty_parameter_counts_as_absent(testapp):
    bare = testapp.get("/hsds/services").json
    assert testapp.get("/hsds/services?search=&page=&full=&organization_id=").json == bare


@pytest.mark.parametrize(
    "path", ["nothing", "services/nothing", f"services/{UUID(int=1)}", "nobody/services", "areas"]
)
def test_what_is_not_there_is_one_shape_of_error(testapp, path):
    answer = testapp.get(f"/hsds/{path}", status=404)
    assert answer.content_type == "application/problem+json"
    assert answer.json["status"] == 404


def test_a_wrong_method_is_405(testapp):
    answer = testapp.put("/hsds/services", status=405)
    assert answer.content_type == "application/problem+json"
    assert answer.headers["Allow"] == "GET, HEAD, POST"


def test_one_partners_entries_are_not_anothers(testapp):
    assert testapp.get(f"/hsds/{CITY}/services/{PANTRY}", status=404)
    assert testapp.get(f"/hsds/{INFO}/services/{PANTRY}").json["id"] == PANTRY
    ids = {each["id"] for each in contents(testapp, f"/hsds/{CITY}/services?per_page=500")}
    assert PANTRY not in ids
    every = {each["id"] for each in contents(testapp, "/hsds/services?per_page=500")}
    assert ids < every


def test_answers_may_be_kept_and_asked_again_by_their_tag(testapp):
    first = testapp.get("/hsds/services")
    assert first.headers["Access-Control-Allow-Origin"] == "*"
    assert "public" in first.headers["Cache-Control"]
    assert "Set-Cookie" not in first.headers
    again = testapp.get("/hsds/services", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_int, again.body) == (304, b"")
    other = testapp.get("/hsds/services?page=2", headers={"If-None-Match": first.headers["ETag"]})
    assert other.status_int == 200


def test_a_signed_in_browser_gets_the_same(sign_in, testapp):
    browser = sign_in("administrator", CITY)
    assert browser.get("/hsds/services").json == testapp.get("/hsds/services").json


def test_only_so_many_streams_at_a_time(application, testapp):
    gate = application.registry.directory_streams
    for _ in range(directory.STREAMS):
        gate.acquire()
    try:
        answer = testapp.get("/hsds/services?format=ndjson", status=503)
        assert answer.headers["Retry-After"] == "30"
        assert answer.content_type == "application/problem+json"
    finally:
        for _ in range(directory.STREAMS):
            gate.release()
    assert testapp.get("/hsds/services?format=ndjson").status_int == 200
    assert gate.acquire(blocking=False)
    gate.release()


@pytest.mark.parametrize(
    ("path", "most"),
    [
        ("services", 4),
        ("services?full=true", 4),
        ("services?minimal=true", 4),
        ("service_at_locations?full=true", 4),
        ("service_at_locations?postcode=97991&proximity=500", 5),
        ("organizations?full_service=true", 8),
        ("taxonomy_terms", 1),
        (f"services/{PANTRY}", 3),
        (f"organizations/{FOOD_BANK}?full_service=true", 4),
        ("services?format=ndjson&full=true", 3),
    ],
)
def test_a_page_runs_a_fixed_number_of_statements(testapp, statements, path, most):
    testapp.get(f"/hsds/{path}")
    for size in ("1", "500"):
        statements.clear()
        testapp.get(f"/hsds/{path}{'&' if '?' in path else '?'}per_page={size}")
        assert len(statements) <= most, statements


def test_the_description_names_every_path_and_parameter(testapp):
    said = testapp.get("/hsds/openapi.json").json
    for name in ("services", "organizations", "service_at_locations", "taxonomies"):
        assert {"get", "post"} <= set(said["paths"][f"/{name}"])
        assert "get" in said["paths"][f"/{name}/{{id}}"]
    names = {each["name"] for each in said["paths"]["/services"]["get"]["parameters"]}
    assert names == {
        *("search", "page", "per_page", "format", "taxonomy_term_id", "taxonomy_id"),
        *("organization_id", "modified_after", "minimal", "full"),
    }
    sites = {e["name"] for e in said["paths"]["/service_at_locations"]["get"]["parameters"]}
    assert sites == names - {"minimal"} | {"postcode", "proximity"}
