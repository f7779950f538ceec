"""Text that no record can keep is refused at every door, with a word on where it stands."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regional311.web.readable import keepable, unkeepable

CITY = "/city-of-portland"
HALF = "\ud83d"
TEXTS = st.text(st.characters() | st.sampled_from("\0" + HALF), max_size=6)
DATA = st.recursive(
    TEXTS | st.integers() | st.none() | st.booleans(),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(TEXTS, inside, max_size=3),
    max_leaves=12,
)


@given(DATA)
def test_what_is_let_through_can_be_kept(data):
    kept = "\0" not in (said := json.dumps(data, ensure_ascii=False)) and "\\u0000" not in said
    try:
        said.encode()
    except UnicodeEncodeError:
        kept = False
    assert (unkeepable(data) is None) == kept


def test_where_it_stands_is_told():
    assert unkeepable([{"a": ["b", {"c": "x\0"}]}]) == "[0].a[1].c"
    assert unkeepable({"a": {"b\0": 1}}) == "a.b\0"
    assert unkeepable("é") is None
    assert not keepable("é" + HALF)


@pytest.mark.parametrize(
    ("address", "field"),
    [
        ("/?q=a%00", "q"),
        ("/?lang=en%00", "lang"),
        ("/?%00=1", "?"),
        ("/services/x%00y", "address"),
        ("/mine/%00", "address"),
        ("/track/%00", "address"),
        ("/hsds/services?search=a%00", "search"),
        (f"{CITY}/open311/v2/requests.json?service_request_id=%00", "service_request_id"),
        (f"{CITY}/open311/v2/requests/%00.json", "address"),
        ("/open311/v2/services.xml?jurisdiction_id=%00", "jurisdiction_id"),
        (f"{CITY}/911?incident=%00", "incident"),
        (f"{CITY}/fhir/Task/%00", "address"),
        (f"{CITY}/contacts?q=%00", "q"),
    ],
)
def test_addresses(testapp, address, field):
    answer = testapp.get(address, status=400)
    said = str(answer.json) if answer.content_type.endswith("json") else answer.text
    assert f"“{field}” has a character that no text has" in said


def test_forms(testapp, sign_in):
    page = testapp.get("/auth/sign-in")
    form = page.forms["sign-in"]
    form["email"], form["password"] = "anna\0@example.org", "secret"
    assert "“email” has a character" in form.submit("submit", status=400)
    browser = sign_in("specialist", "city-of-portland")
    token = browser.get(f"{CITY}/desk").forms["start"]["csrf_token"].value
    sent = {"csrf_token": token, "channel\0": "phone"}
    assert "“channel?” has a character" in browser.post(f"{CITY}/desk", sent, status=400)
    files = [("file", "a\0.png", b"\0\0")]
    answer = browser.post(f"{CITY}/desk", {"csrf_token": token}, upload_files=files, status=400)
    assert "Nothing was saved" in answer


@pytest.mark.parametrize("wrong", ["a\0", HALF])
@pytest.mark.parametrize("kind", ["application/json", "text/plain"])
def test_bodies_in_json(testapp, wrong, kind):
    send = {"headers": {"Content-Type": kind}, "status": 400}
    said = {"incident": "1", "reason": wrong}
    answer = testapp.post(f"{CITY}/911", json.dumps(said), **send)
    assert (answer.json["code"], answer.json["errors"][0]["parameter"]) == (
        "InvalidInput",
        "reason",
    )
    bundle = {"resourceType": "Bundle", "entry": [{"resource": {"note": wrong}}]}
    answer = testapp.post(f"{CITY}/fhir", json.dumps(bundle), **send)
    assert answer.json["issue"][0]["expression"] == ["entry[0].resource.note"]
    answer = testapp.post("/hsds/services", json.dumps({"search": wrong}), **send)
    assert answer.json["errors"][0]["parameter"] == "search"


def test_a_half_that_was_not_escaped_is_found_too(testapp):
    body = b'{"incident": "1", "reason": "\xed\xa0\xbd"}'
    headers = {"Content-Type": "application/json"}
    assert (
        testapp.post(f"{CITY}/911", body, headers=headers, status=400).json["errors"][0][
            "parameter"
        ]
        == "reason"
    )


def test_an_interface_that_takes_forms(testapp):
    sent = {"service_code": "pothole", "description": "a\0"}
    answer = testapp.post(f"{CITY}/open311/v2/requests.json", sent, status=400)
    assert "“description”" in answer.json[0]["description"]


def test_a_cookie_of_nobody_is_no_session(testapp):
    for value in ('"abcdefghijklmnopqrstuv\\000"', "abcdefghijklmnopqrstuv\x00", "ü" * 30):
        testapp.get("/", headers={"Cookie": f"session={value}; language={value}; csrf={value}"})


def test_what_can_be_kept_goes_through(testapp):
    testapp.get("/?q=%F0%9F%9A%B2")
    testapp.post(f"{CITY}/911", '{"incident": "\\ud83d\\udeb2"}', status=403)
    testapp.post(f"{CITY}/911", "no json", status=403)
    broken = {"Content-Type": "multipart/form-data"}
    testapp.post("/auth/sign-in", "x", headers=broken, status=400)
