"""The JSON API over HTTP: keys, scopes, paging, versions, repeats, problems."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from itertools import count

import pytest
from jsonschema import Draft202012Validator
from PIL import Image
from pyramid.httpexceptions import HTTPNoContent
from pyramid.request import Request
from sqlalchemy import select, update
from webtest import TestApp

from regional311.calendars import Period
from regional311.chargeback.month import bill_month
from regional311.database.ids import new_id
from regional311.database.session import Scope, session_scope
from regional311.identity.clients import API_SCOPES, SCOPES, make_client
from regional311.intake.models import ServiceRequest
from regional311.referral.filing import Intake, take_in
from regional311.referral.snapshot import published
from regional311.tenancy.models import IdempotencyKey
from regional311.web.api.operations import OPERATIONS, Operation
from regional311.web.api.shapes import Paged
from regional311.web.pipeline import guard_factory
from regional311.web.views import (
    api_contacts,
    api_figures,
    api_loop,
    api_referrals,
    api_request_parts,
    api_requests,
    api_services,
)
from tests.web.conftest import elsewhere, follow_confidential

pytestmark = pytest.mark.commits

CITY, COUNTY, INFO = "city-of-portland", "multnomah-county", "211info"
NOW = datetime(2026, 11, 3, 18, tzinfo=UTC)
_numbers = count(1)
VIEWS = (
    *(api_contacts, api_figures, api_loop, api_referrals),
    *(api_request_parts, api_requests, api_services),
)
"""Where operations are: the register is whole once these are imported."""


@dataclass
class Program:
    """A program with a key of one partner."""

    app: TestApp
    slug: str
    key: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    def get(self, path, status=200, **headers):
        return self.app.get(f"/{self.slug}{path}", headers=self.headers | headers, status=status)

    def post(self, path, body=None, status=200, **headers):
        return self.app.post_json(
            f"/{self.slug}{path}", {} if body is None else body,
            headers=self.headers | headers, status=status,
        )  # fmt: skip

    def once(self, path, body, status=201, key=None):
        """Send with a key of its own."""
        repeat = {"Idempotency-Key": key or f"call-{next(_numbers)}"}
        return self.post(path, body, status, **repeat)

    def change(self, path, body=None, status=200, seen=None):
        """Change what is there as it is now, or as it was `seen`."""
        at = path.rpartition("/")[0]
        tag = seen or self.get(at).headers["ETag"]
        return self.post(path, body, status, **{"If-Match": tag})


@pytest.fixture(autouse=True)
def november(clock):
    clock.now = NOW


@pytest.fixture
def program(application, web_engine, people):
    def make(slug=CITY, scopes=API_SCOPES, a_minute=1000):
        with session_scope(web_engine, Scope(people.tenants[slug])) as session:
            key = make_client(
                session, name=f"Program {next(_numbers)}", scopes=list(scopes),
                a_minute=a_minute, now=NOW,
            )  # fmt: skip
        return Program(TestApp(application), slug, key)

    return make


def pothole(**more):
    place = {name: float(value) for name, value in elsewhere().items()}
    return {"service": "pothole", "place": place, "answers": {"size": "wheel"}, **more}


def test_a_request_is_filed_read_worked_and_closed(program):
    robot = program()
    filed = robot.once("/requests", pothole(description="deep")).json
    assert "Pothole in a street" in robot.app.get(filed["track_url"]).text
    one = robot.get(f"/requests/{filed['request']}")
    assert one.json["description"] == "deep"
    assert one.json["answers"]["size"] == "wheel"
    at = f"/requests/{filed['request']}"
    robot.change(f"{at}/assign", {"priority": "high"})
    robot.change(f"{at}/progress", {"state": "in_progress"})
    done = robot.change(f"{at}/close", {"resolution": "completed", "message": "It is filled."})
    assert done.json["state"] == "closed"
    assert robot.get(at).json["version"] == done.json["version"]
    robot.change(f"{at}/reopen", {"message": "It sank again."})
    robot.once(f"{at}/note", {"audience": "internal", "text": "Looked at twice."})
    assert [each["text"] for each in robot.get(f"{at}/notes").json["items"]] == ["Looked at twice."]


@pytest.fixture
def document(testapp):
    return testapp.get("/api/openapi.json").json


# --- the register, the document and the views ----------------------------------------------------


def test_every_operation_has_its_view_and_stands_in_the_document(application, document):
    views = {
        id(each.callable.operation): each
        for each in application.registry.declared_views
        if hasattr(each.callable, "operation")
    }
    assert {id(each) for each in OPERATIONS.values()} == set(views)
    for key, view in views.items():
        operation = next(each for each in OPERATIONS.values() if id(each) == key)
        assert view.context is operation.context
        assert view.methods == {operation.method}
        assert view.permission is operation.permission
        assert view.name == operation.name
    told = {
        (method.upper(), path, each["operationId"])
        for path, methods in document["paths"].items()
        for method, each in methods.items()
        if method != "parameters"
    }
    assert told == {
        (each.method, "/{partner}" + each.path, each.id) for each in OPERATIONS.values()
    }
    for each in OPERATIONS.values():
        last = each.path.rpartition("/")[2]
        assert each.name in ("", last)


def test_every_scope_of_the_api_opens_something():
    needed = {str(each.permission) for each in OPERATIONS.values()}
    assert needed | {"request:confidential", "inquirer:read"} == set(map(str, API_SCOPES))


def test_the_document_is_openapi_that_schemas_hold_in(document):
    assert document["openapi"] == "3.1.0"
    names = set(document["components"]["schemas"])
    for reference in re.findall(r'"#/components/(\w+)/([^"]+)"', json.dumps(document)):
        assert reference[1] in document["components"][reference[0]]
    for name in names:
        Draft202012Validator.check_schema(document["components"]["schemas"][name])


def test_the_page_lists_every_operation(testapp):
    page = testapp.get("/api")
    for each in OPERATIONS.values():
        assert f"{each.method} {each.path}" in page.html.text


def answer_of(document, operation, status):
    """The validator of an operation's answer."""
    path = document["paths"]["/{partner}" + operation.path][operation.method.lower()]
    told = path["responses"][str(status)]
    if "$ref" in told:
        told = document["components"]["responses"][told["$ref"].rpartition("/")[2]]
    (content,) = told["content"].values()
    return Draft202012Validator(
        {**content["schema"], "components": document["components"]},
        format_checker=Draft202012Validator.FORMAT_CHECKER,
    )


@dataclass
class Place:
    """What there is at a partner, by what stands in an operation's address."""

    request: str
    contact: str
    referral: str
    statement: str


@pytest.fixture(scope="module")
def keyed(application, web_engine, people, clock):
    """Make a key of the City's with some scopes, once for the module."""
    keys = {}

    def key(*scopes):
        if scopes not in keys:
            with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
                made = make_client(
                    session, name=f"Scoped {len(keys)}", scopes=scopes, a_minute=6000, now=NOW
                )
            keys[scopes] = Program(TestApp(application), CITY, made)
        return keys[scopes]

    return key


@pytest.fixture(scope="module")
def place(keyed, web_engine, people, clock):
    """A request, a contact, a referral and a bill of the City's."""
    clock.now = NOW
    robot = keyed(*map(str, API_SCOPES))
    filed = robot.once("/requests", pothole(description="deep")).json
    said = {"audience": "public", "text": "We have seen it."}
    robot.once(f"/requests/{filed['request']}/note", said)
    people.account(CITY, "worker")
    contact = robot.once("/contacts", {"channel": "phone", "danger": "none"}).json["number"]
    sent = robot.once("/requests", SHELTER).json["referral"]
    city, at = people.tenants[CITY], datetime(2026, 10, 6, 18, tzinfo=UTC)
    with session_scope(web_engine, Scope(city)) as session:
        taken = Intake(
            source="demo", key="october", channel="phone", started_at=at,
            ended_at=at + timedelta(minutes=4), handle_seconds=240, service=f"{COUNTY}/library",
            danger_answer="none", consent="refused",
        )  # fmt: skip
        take_in(session, published(web_engine), taken, now=at)
    preparer, approver = people.make("p@city.example", {}), people.make("a@city.example", {})
    bill_month(
        web_engine,
        {CITY: city},
        Period.of(2026, 10),
        preparer={city: preparer},
        approver={city: approver},
        now=NOW,
    )
    bill = robot.get("/statements").json["items"][0]["public_id"]
    return Place(filed["request"], contact, sent, bill)


SHELTER = {
    "service": f"{INFO}/shelter",
    "description": "sleeps in a car",
    "answers": {"people": "2"},
    "consent": "given",
    "person": {"name": "Ana Q", "phone": "503-555-0142"},
}


def address(operation, place, service="pothole", line="main"):
    group = operation.path.split("/")[1]
    number = getattr(place, {"insight": "request"}.get(group, group[:-1]), None)
    path = operation.path.replace("{number}", str(number))
    return path.replace("{key}", service if group == "services" else line)


def asks(operation):
    """Whether the address alone does not say what is asked for."""
    return any(each.is_required() for each in operation.query.model_fields.values())


@pytest.mark.parametrize(
    "each",
    [each for each in OPERATIONS.values() if each.method == "GET" and not asks(each)],
    ids=lambda each: each.id,
)
def test_reading_answers_as_documented(keyed, place, document, each: Operation):
    found = keyed(*map(str, API_SCOPES)).get(address(each, place))
    answer_of(document, each, 200).validate(found.json)
    assert found.json


# --- keys -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("each", OPERATIONS.values(), ids=lambda each: each.id)
def test_a_key_does_what_its_scopes_say_and_nothing_else(keyed, place, each: Operation):
    path, call = address(each, place), each.method.lower()
    others = [str(scope) for scope in API_SCOPES if scope != each.permission]
    refused = getattr(keyed(*others), call)(path, status=403).json
    assert refused["code"] == "ScopeMissing"
    assert each.permission in refused["detail"]
    # let in, where a change then lacks what it must say
    let_in = getattr(keyed(str(each.permission)), call)(path, status="*")
    whole = call == "get" and not asks(each)
    assert let_in.status_int == 200 if whole else let_in.status_int in (400, 422, 428)


def test_a_key_is_good_for_its_partner_only(program, place):
    city, county = program(), program(COUNTY)
    for path in ("/requests", "/contacts", "/referrals", "/statements", "/services", "/lines"):
        refused = city.app.get(f"/{COUNTY}{path}", headers=city.headers, status=401)
        assert refused.json["code"] == "KeyRefused"
        assert refused.headers["WWW-Authenticate"].startswith("Bearer")
        listed = county.get(path).json
        assert place.request not in json.dumps(listed)
    for path in (f"/requests/{place.request}", f"/contacts/{place.contact}"):
        county.get(path, status=404)
        county.post(f"{path}/wrap-up", {"disposition": "answered"}, status=404)


def test_unknown_and_missing_keys(testapp):
    for headers in ({"Authorization": "Bearer no-such-key"}, {"Authorization": "Bearer \xff"},
                    {"Accept": "application/json"}):  # fmt: skip
        found = testapp.get(f"/{CITY}/requests", headers=headers, status=401)
        assert found.content_type == "application/problem+json"
        assert found.headers["WWW-Authenticate"]
    testapp.post_json(f"/{CITY}/requests", {}, status=401)


def test_a_key_opens_no_page_for_people(program, testapp):
    robot = program()
    for path in ("/desk", "/clients", "/people", "/audit", "/requests/new"):
        found = robot.get(path, status="*")
        assert found.status_int in (403, 404, 406)
        assert found.content_type == "application/problem+json"
    # what the key's permissions would allow a person
    found = robot.get("/follow-ups", status=406).json
    assert "page for people" in found["detail"]
    robot.get("/requests?format=csv", status=422)


def test_keys_stand_in_no_log(program, caplog, capfd):
    robot = program(scopes=["service:read"])
    with caplog.at_level("DEBUG"):
        robot.get("/services")
        robot.get("/requests", status=403)
        robot.app.get(f"/{CITY}/services", headers={"Authorization": f"Bearer {robot.key}x"},
                      status=401)  # fmt: skip
    said = capfd.readouterr()
    assert robot.key not in caplog.text + said.out + said.err


def test_too_many_calls_in_a_minute(program, clock):
    robot = program(a_minute=2)
    robot.get("/services")
    robot.get("/services")
    refused = robot.get("/services", status=429)
    assert refused.json["code"] == "TooOften"
    assert refused.headers["Retry-After"] == "60"
    clock.advance(seconds=61)
    robot.get("/services")


def test_what_is_confidential_is_nowhere_without_the_scope(program, people, web_engine):
    all_but = [each for each in API_SCOPES if each != "request:confidential"]
    cleared, robot = program(), program(scopes=all_but)
    filed = cleared.once("/requests", pothole(description="on a secret street")).json
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        session.execute(
            update(ServiceRequest)
            .where(ServiceRequest.public_id == filed["request"])
            .values(confidential=True),
            execution_options={"synchronize_session": False},
        )
    at = f"/requests/{filed['request']}"
    assert cleared.get(at).json["confidential"] is True
    robot.get(at, status=404)
    robot.get(f"{at}/notes", status=404)
    robot.post(f"{at}/close", {"resolution": "other", "message": "nothing to see"}, status=404,
               **{"If-Match": "*"})  # fmt: skip
    assert filed["request"] not in robot.get("/requests?limit=200").text
    assert filed["request"] in cleared.get("/requests?limit=200").text


def test_needs_and_referrals_for_what_is_confidential_are_nowhere_either(program, people):
    all_but = [each for each in API_SCOPES if each != "request:confidential"]
    cleared, robot = program(), program(scopes=all_but)
    services = cleared.get("/services?limit=200").json["items"]
    secret = next(
        each["key"]
        for each in services
        if each["confidential"] and each["place"] != "required"
        and not cleared.get(f"/services/{each['key']}").json["questions"].get("required")
    )  # fmt: skip
    said = {"service": secret, "description": "a quiet word", "person": {"name": "Ana Q"}}
    filed = cleared.once("/requests", said).json
    at = f"/contacts/{filed['contact']}"
    assert cleared.get(at).json["services"] == [f"{CITY}/{secret}"]
    told = robot.get(at)
    assert told.json["services"] == told.json["needs"] == told.json["requests"] == []
    assert "quiet word" not in told.text
    assert "Ana Q" not in told.text
    assert secret not in robot.get("/contacts?limit=200").text


def test_what_is_followed_and_confidential_is_nowhere_either(program, people, web_engine, clock):
    number = follow_confidential(web_engine, people, clock)
    cleared = program()
    robot = program(scopes=[each for each in API_SCOPES if each != "request:confidential"])
    assert number in cleared.get("/requests/followed").text
    assert cleared.get(f"/requests/{number}").json["owner"] == "211info"
    assert number not in robot.get("/requests/followed").text
    robot.get(f"/requests/{number}", status=404)


def test_words_and_callers_need_their_own_scope(program):
    robot, facts = program(), program(scopes=["contact:read"])
    filed = robot.once(
        "/requests", pothole(description="by the red house", person={"name": "Ana Q"})
    ).json
    at = f"/contacts/{filed['contact']}"
    whole = robot.get(at).json
    assert whole["caller"]["name"] == "Ana Q"
    assert whole["needs"][0]["description"] == "by the red house"
    assert whole["requests"] == [filed["request"]]
    told = facts.get(at)
    assert told.json["caller"] is None
    assert "red house" not in told.text
    assert "Ana Q" not in told.text


def test_a_session_is_as_good_as_a_key_with_its_secret(sign_in):
    browser = sign_in("supervisor", CITY)
    json_only = {"Accept": "application/json"}
    assert browser.get(f"/{CITY}/requests", headers=json_only).json["items"] is not None
    assert browser.get(f"/{CITY}/requests?format=json").json["items"] is not None
    assert browser.get(f"/{CITY}/requests").content_type == "text/html"
    repeat = {"Idempotency-Key": "from-a-browser"}
    body = {"channel": "phone"}
    forged = browser.post_json(f"/{CITY}/contacts", body, headers=repeat, status=400)
    assert forged.json["code"] == "BadCSRFToken"
    secret = browser.get(f"/{CITY}/desk").html.find("input", {"name": "csrf_token"})["value"]
    browser.post_json(
        f"/{CITY}/contacts", body, headers={**repeat, "X-CSRF-Token": secret}, status=201
    )


# --- lists ----------------------------------------------------------------------------------------


def test_walking_a_list_gives_each_once_while_others_arrive(program):
    robot = program()
    before = [robot.once("/requests", pothole()).json["request"] for _ in range(5)]
    seen, after, pages = [], None, 0
    while True:
        asked = f"/requests?limit=2&service=pothole{'&after=' + after if after else ''}"
        page = robot.get(asked)
        seen += [each["number"] for each in page.json["items"]]
        pages += 1
        robot.once("/requests", pothole())
        after = page.json["next"]
        if after is None:
            break
        assert f"after={after}" in page.headers["Link"]
    assert len(seen) == len(set(seen))
    assert set(before) <= set(seen)
    assert pages > 2


@pytest.mark.parametrize("cursor", ["x", "AAAA", "%ff", "2026-01-01T00:00:00+00:00_1"])
def test_a_cursor_that_was_not_given_out_is_refused(program, cursor):
    refused = program().get(f"/requests?after={cursor}", status="4*").json
    assert refused["status"] in (400, 422)


def test_a_cursor_is_good_for_its_list_with_its_filters_only(program):
    robot, county = program(), program(COUNTY)
    for _ in range(2):
        robot.once("/requests", pothole())
    after = robot.get("/requests?limit=1").json["next"]
    robot.get(f"/requests?limit=2&after={after}")
    for path in ("/requests?priority=high&", "/requests?sort=opened&", "/contacts?"):
        assert robot.get(f"{path}after={after}", status=422).json["code"] == "BadCursor"
    county.get(f"/requests?after={after}", status=422)


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("state=lost", "state"),
        ("limit=0", "limit"),
        ("limit=1000", "limit"),
        ("limit=ten", "limit"),
        ("colour=red", "colour"),
        ("state=open&state=closed", "state"),
        ("format=xml", "format"),
    ],
)
def test_a_parameter_that_is_not_offered_is_named(program, query, parameter):
    refused = program().get(f"/requests?{query}", status=422).json
    assert refused["errors"][0]["parameter"] == parameter


# --- versions and repeats -------------------------------------------------------------------------


def test_what_is_read_again_unchanged_is_not_sent_again(program):
    robot = program()
    at = f"/requests/{robot.once('/requests', pothole()).json['request']}"
    tag = robot.get(at).headers["ETag"]
    assert robot.get(at, status=304, **{"If-None-Match": tag}).body == b""
    robot.change(f"{at}/assign", {"priority": "low"})
    assert robot.get(at, **{"If-None-Match": tag}).json["priority"] == "low"


@pytest.mark.parametrize("path", ["/services/pothole", "/lines/main"])
def test_what_is_configured_has_a_tag_too(keyed, path):
    robot, at = keyed(*map(str, API_SCOPES)), path
    tag = robot.get(at).headers["ETag"]
    assert robot.get(at, status=304, **{"If-None-Match": tag}).body == b""
    assert robot.get(at, **{"If-None-Match": '"0"'}).headers["ETag"] == tag


def test_every_list_is_walked_by_a_cursor():
    """What a list answers is a page, and a page is asked for by the one before."""
    for each in OPERATIONS.values():
        pages = "next" in getattr(each.answer, "model_fields", {})
        assert issubclass(each.query, Paged) == pages, each.id
        if each.method == "POST":
            assert each.creates != each.changes, each.id
        elif "{" in each.path and not pages and each.id != "readStatement":
            assert each.tagged, each.id  # a statement is a file, written out as it is read


def test_a_change_names_the_version_it_saw(program):
    robot = program()
    at = f"/requests/{robot.once('/requests', pothole()).json['request']}"
    seen = robot.get(at).headers["ETag"]
    assert robot.post(f"{at}/assign", {"priority": "low"}, 428).json["code"] == "VersionMissing"
    done = robot.change(f"{at}/assign", {"priority": "low"}, seen=seen)
    refused = robot.change(f"{at}/assign", {"priority": "high"}, 412, seen=seen)
    assert refused.json["code"] == "Stale"
    assert robot.get(at).json["priority"] == "low"
    robot.change(f"{at}/assign", {"priority": "high"}, seen=done.headers["ETag"])
    robot.change(f"{at}/assign", {"priority": "low"}, seen="*")
    for wrong in ('"x"', 'W/"4"', "4", '""', '"99999999999999999999"'):
        robot.change(f"{at}/assign", {"priority": "high"}, 412, seen=wrong)


def test_the_same_key_gives_the_same_answer(program):
    robot, other = program(), program()
    body = pothole(description="once only")
    first = robot.once("/requests", body, key="one")
    again = robot.once("/requests", body, key="one")
    assert again.json == first.json
    assert again.headers["Idempotent-Replayed"] == "true"
    assert robot.once("/requests", pothole(), 422, key="one").json["code"] == "KeyReused"
    robot.once("/contacts", {"channel": "phone"}, 422, key="one")
    # another program's keys are its own
    assert other.once("/requests", pothole(), key="one").json["request"] != first.json["request"]
    missing = robot.post("/requests", pothole(), 400).json
    assert missing["errors"][0]["header"] == "Idempotency-Key"
    robot.once("/requests", pothole(), 400, key="k" * 201)


def test_nothing_secret_is_kept_of_what_is_done_once(program, people, web_engine):
    """The link that opens a request, and the key that it is made from, stand in no table."""
    robot = program()
    body = pothole(description="followed by its link")
    link = robot.once("/requests", body, key="my-own-key").json["track_url"]
    token = link.rpartition("/")[2]
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        kept = session.execute(select(IdempotencyKey.key, IdempotencyKey.answer)).all()
    assert any("track_url" in each.answer.get("content", {}) for each in kept)
    assert not any(token in str(each) or "my-own-key" in str(each) for each in kept)
    again = robot.once("/requests", body, key="my-own-key")
    assert again.json["track_url"] == link
    assert robot.app.get(f"/track/{token}").status_int == 200


def test_a_key_has_no_blanks(program):
    for key in ("two words", "tab\there"):
        assert program().once("/requests", pothole(), 400, key=key).json["code"] == "IdempotencyKey"


def test_requests_that_are_the_same_are_merged_and_taken_out(program):
    robot = program()
    kept, same = (robot.once("/requests", pothole()).json["request"] for _ in range(2))
    at = f"/requests/{same}"
    words = {"into": kept, "message": "Somebody told us of the same hole before."}
    robot.change(f"{at}/merge", {**words, "into": same}, 422)
    assert robot.change(f"{at}/merge", words).json["state"] == "merged"
    assert robot.get(f"{at}/duplicates").json == {"merged_into": kept, "merged": []}
    assert robot.get(f"/requests/{kept}/duplicates").json["merged"] == [same]
    refused = robot.change(f"{at}/reopen", {}, 409).json
    assert refused["code"] == "StillMerged"
    assert "take-out" in refused["detail"]
    assert robot.change(f"{at}/take-out").json["state"] == "triaged"
    robot.change(f"{at}/take-out", {}, 409)
    assert robot.get(f"{at}/duplicates").json == {"merged_into": None, "merged": []}


def test_tags_are_put_on_and_taken_off(program):
    robot = program()
    at = f"/requests/{robot.once('/requests', pothole()).json['request']}"
    assert robot.change(f"{at}/tag", {"tag": "near school"}).json == {"tags": ["near school"]}
    robot.change(f"{at}/tag", {"tag": "near school"}, 409)
    robot.change(f"{at}/tag", {"tag": "a,b"}, 422)
    assert robot.get(f"{at}/tags").json == {"tags": ["near school"]}
    assert robot.change(f"{at}/untag", {"tag": "near school"}).json == {"tags": []}


def test_a_file_comes_with_a_request_and_is_read_again(program, document):
    robot = program()
    shown = BytesIO()
    Image.new("RGB", (40, 30), "red").save(shown, "JPEG")
    picture = base64.b64encode(shown.getvalue()).decode()
    file = {"question": "photo", "name": "wall.jpeg", "content": picture}
    body = {**pothole(), "service": "graffiti", "answers": {"on": "public"}, "files": [file]}
    for wrong, where in (
        ({"content": "!!!!"}, "content"),
        ({"content": base64.b64encode(b"MZ programs").decode()}, "content"),
        ({"question": "no-such"}, "question"),
    ):
        refused = robot.once("/requests", {**body, "files": [file | wrong]}, 422).json
        assert refused["errors"][0]["pointer"] == f"#/files/0/{where}"
    at = f"/requests/{robot.once('/requests', body).json['request']}"
    (entry,) = robot.get(f"{at}/attachments").json["items"]
    assert (entry["question"], entry["media_type"]) == ("photo", "image/jpeg")
    whole = robot.get(f"{at}/attachment?question=photo").json
    answer_of(document, OPERATIONS["readAttachment"], 200).validate(whole)
    content = base64.b64decode(whole["content"])
    assert hashlib.sha256(content).hexdigest() == entry["sha256"]
    assert Image.open(BytesIO(content)).size == (40, 30)
    robot.get(f"{at}/attachment?question=other", 404)


def test_a_file_is_added_to_a_request_that_is_there(program, document, sign_in):
    robot = program()
    number = robot.once("/requests", pothole()).json["request"]
    at = f"/requests/{number}/attachments"
    shown = BytesIO()
    place = Image.Exif()
    place[0x010E] = "at my own door"
    Image.new("RGB", (40, 30), "green").save(shown, "JPEG", exif=place)
    file = {"name": "mended.exe", "content": base64.b64encode(shown.getvalue()).decode()}
    robot.post(at, file, 400)
    for wrong, where in (
        ({"content": "!!!!"}, "content"),
        ({"content": base64.b64encode(b"MZ programs").decode()}, "content"),
        ({"audience": "public"}, "audience"),
        ({"name": ""}, "name"),
    ):
        refused = robot.once(at, file | wrong, 422).json
        assert refused["errors"][0]["pointer"] == f"#/{where}"
    assert robot.get(at).json["items"] == []
    first = robot.once(at, file, key="mended")
    answer_of(document, OPERATIONS["addAttachment"], 201).validate(first.json)
    assert (first.json["name"], first.json["media_type"]) == ("mended.jpg", "image/jpeg")
    assert robot.once(at, file, key="mended").json == first.json
    assert robot.get(at).json["items"] == [first.json]
    assert robot.once(at, file, 409).json["code"] == "FileThere"
    question = first.json["question"]
    whole = robot.get(f"/requests/{number}/attachment?question={question}").json
    kept = base64.b64decode(whole["content"])
    assert b"my own door" in shown.getvalue()
    assert b"my own door" not in kept
    assert hashlib.sha256(kept).hexdigest() == first.json["sha256"]
    robot.change(f"/requests/{number}/close", {"resolution": "completed", "message": "It is done."})
    bill = base64.b64encode(b"%PDF-1.7 what it cost").decode()
    robot.once(at, {"name": "bill.pdf", "content": bill})
    # staff see both, and who added them
    worker = sign_in("worker", CITY)
    page = worker.get(f"/{CITY}/requests/{number}")
    assert "File added" in page
    assert page.click("mended.jpg").body == kept
    assert page.click("bill.pdf").content_disposition.startswith("attachment")
    # with a key that only reads nothing is added, and nothing to what is nobody's
    program(scopes=["request:read"]).once(at, {"name": "b.pdf", "content": bill}, 403)
    robot.once("/requests/R-00000-00000/attachments", file, 404)


def test_a_key_takes_no_request_and_a_person_does(program, sign_in):
    robot = program()
    number = robot.once("/requests", pothole()).json["request"]
    refused = robot.change(f"/requests/{number}/claim", {}, 409).json
    assert refused["code"] == "NobodyAsks"
    worker = sign_in("worker", CITY)
    at = f"/{CITY}/requests/{number}"
    secret = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', worker.get(at).text)[1]
    heads = {"X-CSRF-Token": secret, "If-Match": "*", "Accept": "application/json"}
    assert worker.post_json(f"{at}/claim", {}, headers=heads).json["state"] == "assigned"


def test_what_became_of_a_need_is_said_and_what_was_written_is_read(program, referred):
    sender, receiver, number = referred
    contact = sender.get(f"/referrals/{number}").json["contact"]
    at = f"/contacts/{contact}"
    (need,) = sender.get(f"{at}/needs").json["items"]
    assert need["status"] == "referred"
    sender.change(f"{at}/outcome", {"need": need["id"], "status": "unmet"}, 422)
    sender.change(f"{at}/outcome", {"need": str(new_id()), "status": "met"}, 404)
    said = {"need": need["id"], "status": "unmet", "unmet_reason": "none_in_area"}
    assert sender.change(f"{at}/outcome", said).json["status"] == "unmet"
    said["unmet_reason"] = "other"
    sender.change(f"{at}/outcome", said, 422)
    sender.change(f"{at}/outcome", said | {"unmet_words": "The bus ended."})
    (need,) = sender.get(f"{at}/needs").json["items"]
    assert (need["unmet_reason"], need["unmet_words"]) == ("other", "The bus ended.")
    at = f"/referrals/{number}"
    receiver.change(f"{at}/ask", {"text": "Is there a dog?"})
    sender.change(f"{at}/reply", {"text": "A small one."})
    for each in (sender, receiver):
        lines = each.get(f"{at}/messages").json["items"]
        assert [line["text"] for line in lines] == ["Is there a dog?", "A small one."]


def test_a_waitlist_is_kept_by_a_program(program, referred):
    _sender, receiver, number = referred
    at = f"/referrals/{number}"
    service = receiver.get(at).json["service"]
    assert receiver.change(f"{at}/waitlist").json["state"] == "on_hold"
    receiver.change(f"{at}/waitlist", {}, 409)
    walked, after = [], ""
    while True:
        found = receiver.get(f"/referrals/waitlist?service={service}&limit=1{after}").json
        walked += [each["number"] for each in found["items"]]
        if found["next"] is None:
            break
        after = f"&after={found['next']}"
    assert number in walked
    assert len(walked) == len(set(walked))
    receiver.change(f"{at}/offer-place")
    receiver.change(f"{at}/offer-place", {}, 409)


def test_a_change_that_is_sent_again_is_answered_again(program):
    robot = program()
    at = f"/requests/{robot.once('/requests', pothole()).json['request']}"
    closing = {"resolution": "completed", "message": "It is filled."}
    heads = {"If-Match": robot.get(at).headers["ETag"], "Idempotency-Key": "close-it"}
    first = robot.post(f"{at}/close", closing, **heads)
    again = robot.post(f"{at}/close", closing, **heads)
    assert (again.json, again.headers["ETag"]) == (first.json, first.headers["ETag"])


def test_what_is_refused_leaves_its_key_free(program):
    robot = program()
    robot.once("/requests", {"service": "no-such-thing"}, 422, key="again")
    robot.once("/requests", pothole(), key="again")


def test_two_at_once_are_one(program):
    robot = program()
    body = pothole(description="at the same moment")

    def send(_):
        return robot.once("/requests", body, "*", key="together")

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(send, range(4)))
    assert {each.status_int for each in answers} == {201}
    assert len({each.json["request"] for each in answers}) == 1


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (f"/{CITY}/requests", "application/problem+json"),
        (f"/{CITY}/open311/v2/requests.json", "application/json"),
        (f"/{CITY}/open311/v2/requests.xml", "text/xml"),
    ],
)
def test_too_much_is_refused_in_the_format_that_was_asked(application, path, kind):
    """By the outermost tween, before anything of it is read."""
    call = Request.blank(path, method="POST", headers={"Authorization": "Bearer any"})
    call.environ["CONTENT_LENGTH"] = "3000000"
    call.registry = application.registry
    refused = guard_factory(None, application.registry)(call)
    assert refused.status_int == 413
    assert refused.content_type == kind
    assert "too large" in refused.text


def test_files_may_be_larger_than_other_bodies(application):
    for path, status in (("notes", 413), ("attachments", 204)):
        call = Request.blank(f"/{CITY}/requests/R-1/{path}", method="POST")
        call.content_type = "application/json"
        call.environ["CONTENT_LENGTH"] = "3000000"
        call.registry = application.registry
        guard = guard_factory(lambda request: HTTPNoContent(), application.registry)
        assert guard(call).status_int == status


def test_every_refusal_is_a_problem(program, document):
    robot = program()
    at = f"/{CITY}/requests"
    heads = robot.headers | {"Idempotency-Key": "odd"}
    app = robot.app
    found = [
        app.get(f"{at}/R-00000-00000", headers=heads, status=404),
        app.put(at, b"", headers=heads, status=405),
        app.get(at, headers={**heads, "Accept": "application/xml"}, status=406),
        app.post(at, "a=b", headers=heads, status=415),
        app.post(at, b"{", headers=heads, content_type="application/json", status=400),
        app.post(at, b"\xff", headers=heads, content_type="application/json", status=400),
        app.post(at, b"[]", headers=heads, content_type="application/json", status=422),
        app.post_json(at, {}, headers=heads, status=422),
    ]
    schema = Draft202012Validator(document["components"]["schemas"]["Problem"])
    for each in found:
        assert each.content_type == "application/problem+json", each
        schema.validate(each.json)
        assert each.json["status"] == each.status_int
    assert found[1].headers["Allow"]


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"service": "no-such"}, "#/service"),
        ({"service": ""}, "#/service"),
        ({"place": None}, "#/place"),
        ({"place": {"latitude": 45.5}}, "#/place"),
        ({"place": {"latitude": 91, "longitude": 0}}, "#/place/latitude"),
        ({"place": {"latitude": "45.5", "longitude": 0}}, "#/place/latitude"),
        ({"answers": {"size": "enormous"}}, "#/answers/size"),
        ({"answers": {"no-such": "x"}}, "#/answers/no-such"),
        ({"person": {"email": "nobody"}}, "#/person/email"),
        ({"description": "x" * 4001}, "#/description"),
        ({"urgency": "yesterday"}, "#/urgency"),
        ({"colour": "red"}, "#/colour"),
        ({"language": "xx"}, "#/language"),
    ],
)
def test_a_field_that_is_wrong_is_named_and_nothing_is_filed(program, changes, pointer):
    robot = program()
    refused = robot.once("/requests", pothole() | changes, 422).json
    assert [each["pointer"] for each in refused["errors"]] == [pointer]


def test_words_of_danger_are_answered_with_the_number_to_call(program):
    refused = program().once("/requests", pothole(description="there is a gas leak"), 422).json
    assert refused["code"] == "DangerNamed"
    assert "911" in refused["detail"]


def test_steps_that_are_not_possible_now(program):
    robot = program()
    at = f"/requests/{robot.once('/requests', pothole()).json['request']}"
    assert robot.change(f"{at}/reopen", {}, 409).json["code"] == "StepNotAllowed"
    robot.change(f"{at}/assign", {}, 422)
    robot.change(f"{at}/assign", {"queue": "no-such"}, 422)
    robot.change(f"{at}/assign", {"assignee": "018f0000-0000-7000-8000-000000000000"}, 422)
    robot.change(f"{at}/close", {"resolution": "completed", "message": " " * 12}, 422)


def test_a_request_is_given_to_somebody_who_works_requests(program, people):
    people.account(CITY, "worker")
    robot = program()
    at = f"/requests/{robot.once('/requests', pothole()).json['request']}"
    worker = robot.get("/requests/workers").json["items"][0]
    assert robot.change(f"{at}/assign", {"assignee": worker["id"]}).json["state"] == "assigned"


# --- referrals and contacts -----------------------------------------------------------------------


def test_a_referral_is_answered_and_completed_by_a_program(program, referred):
    sender, receiver, number = referred
    at = f"/referrals/{number}"
    found = receiver.get("/referrals?view=new&limit=100").json["items"]
    assert number in [each["number"] for each in found]
    assert receiver.get(at).json["side"] == "received"
    receiver.change(f"{at}/accept", {"note": "ours"})
    assert sender.get(at).json["state"] == "accepted"
    receiver.change(f"{at}/progress")
    receiver.change(f"{at}/hold", {"reason": "waiting_for_documents"})
    receiver.change(f"{at}/progress")
    receiver.change(f"{at}/reject", {"reason": "other", "words": "too late"}, 409)
    done = receiver.change(f"{at}/complete", {"outcome": "met"})
    assert done.json["state"] == "completed"
    assert sender.get(at).json["outcome"] == "met"
    names = {each["by"] for each in receiver.get(at).json["history"]}
    assert any(name and name.startswith("Program") for name in names)


def test_the_sender_withdraws_what_it_sent(program, referred):
    sender, receiver, number = referred
    at = f"/referrals/{number}"
    sender.change(f"{at}/accept", {}, 409)
    sender.change(f"{at}/cancel", {"reason": "sender_withdrew"})
    assert receiver.get(at).json["state"] == "cancelled"
    # however far it went, it can be said that it should never have been sent
    receiver.change(f"{at}/in-error", {}, 409)
    assert sender.change(f"{at}/in-error").json["state"] == "entered_in_error"
    assert receiver.get(at).json["state"] == "entered_in_error"


def test_a_reason_that_stands_in_no_list_is_said_in_words(program, referred):
    sender, receiver, number = referred
    at = f"/referrals/{number}"
    refused = receiver.change(f"{at}/hold", {"reason": "other"}, 422)
    assert refused.json["errors"][0]["pointer"] == "#/words"
    receiver.change(f"{at}/reject", {"reason": "other", "words": "The house is being rebuilt"})
    (line,) = sender.get(f"{at}/messages").json["items"]
    assert (line["side"], line["text"]) == ("received", "The house is being rebuilt")


@pytest.fixture
def referred(program):
    """A referral of the City's, with programs of the sender and of the receiver."""
    sender, receiver = program(CITY), program(INFO)
    filed = sender.once("/requests", SHELTER).json
    assert filed["referral"], filed
    return sender, receiver, filed["referral"]


def test_a_contact_is_logged_and_ended(program):
    robot = program()
    body = {"channel": "phone", "line": f"{CITY}/main", "danger": "none", "note": "asked the way"}
    logged = robot.once("/contacts", body).json
    at = f"/contacts/{logged['number']}"
    assert robot.get(at).json["note"] == "asked the way"
    assert logged["number"] in robot.get("/contacts?state=open&specialist=me").text
    ended = robot.change(f"{at}/wrap-up", {"disposition": "answered"})
    assert ended.json["state"] == "ended"
    robot.change(f"{at}/wrap-up", {"disposition": "answered"}, 409)
    over = {"channel": "walk_in", "danger": "none", "disposition": "answered"}
    assert robot.once("/contacts", over).json["state"] == "ended"
    assert logged["number"] in robot.get("/contacts?from=2026-11-03&until=2026-11-03").text


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"channel": "pigeon"}, "#/channel"),
        ({"channel": "phone", "line": f"{COUNTY}/nobody"}, "#/line"),
        ({"channel": "phone", "disposition": "answered"}, "#/danger"),
    ],
)
def test_a_contact_that_cannot_be_logged(program, body, pointer):
    refused = program().once("/contacts", body, 422).json
    assert refused["errors"][0]["pointer"] == pointer


def test_a_contact_whose_danger_was_not_asked_does_not_end(program):
    robot = program()
    number = robot.once("/contacts", {"channel": "phone"}).json["number"]
    refused = robot.change(f"/contacts/{number}/wrap-up", {"disposition": "answered"}, 409)
    assert refused.json["code"] == "DangerNotAsked"


def test_services_say_what_must_be_answered(program):
    robot = program(scopes=["service:read"])
    found = robot.get("/services/pothole").json
    assert "size" in found["questions"]["properties"]
    first = robot.get("/services?limit=3").json
    second = robot.get(f"/services?limit=3&after={first['next']}").json
    keys = [each["key"] for page in (first, second) for each in page["items"]]
    assert keys == sorted(set(keys))
    assert len(keys) == 6


# --- keys in the hands of administrators ----------------------------------------------------------


def test_a_key_is_changed_without_a_gap_at_once_and_for_good(sign_in, application, clock):
    admin = sign_in("administrator", CITY)
    form = admin.get(f"/{CITY}/clients/new").forms["form"]
    form["name"] = "Turning"
    form.set("scopes", "service:read", index=SCOPES.index("service:read"))
    form.set("scopes", False, index=SCOPES.index("open311:requests"))
    keys = [Program(TestApp(application), CITY, form.submit("submit").html.code.text)]

    def turn(action, **values):
        # a day later nobody is signed in any more
        admin = sign_in("administrator", CITY)
        page = admin.get(f"/{CITY}/clients")
        row = page.html.find(string=re.compile("Turning")).find_parent("tr")
        (url,) = {each["action"] for each in row.find_all("form") if action in each["action"]}
        forms = [each for each in page.forms.values() if each.action == url]
        found = next(each for each in forms if ("at_once" in each.fields) == bool(values))
        return found.submit()

    keys[0].get("/services")
    keys.append(Program(keys[0].app, CITY, turn("rotate").html.code.text))
    for each in keys:
        each.get("/services")
    clock.advance(hours=25)
    keys[0].get("/services", status=401)
    keys.append(Program(keys[0].app, CITY, turn("rotate", at_once="yes").html.code.text))
    keys[1].get("/services", status=401)
    keys[2].get("/services")
    listed = sign_in("administrator", CITY).get(f"/{CITY}/clients").text
    assert keys[2].key not in listed
    assert keys[2].key[-4:] in listed
    turn("revoke")
    keys[2].get("/services", status=401)
