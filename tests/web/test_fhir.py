"""The FHIR interface over HTTP: signed, minimised, idempotent, and refusing by name."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from webtest import TestApp

from regional311.app import main
from regional311.database.ids import new_token
from regional311.database.session import Scope, make_engine, session_scope
from regional311.exchange import systems
from regional311.exchange.fhir import (
    Agreed,
    Handover,
    Identifier,
    Progress,
    write_bundle,
    write_task,
)
from regional311.exchange.models import ExchangeReceipt, ExternalSystem
from regional311.exchange.sealing import new_secret, secret_bytes
from regional311.exchange.signing import Message, sign
from regional311.referral import service
from regional311.referral.external_delivery import gather
from regional311.referral.models import Referral
from regional311.settings import Settings
from tests.little_region import IDS, NOW, little_template
from tests.web.conftest import Clock

__all__ = ["little_template"]
pytestmark = pytest.mark.commits

SECRET, COUNTY = new_secret(), IDS["county"]
HOST = "localhost"


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock(NOW)


@pytest.fixture(autouse=True)
def a_monday(clock) -> None:
    clock.now = NOW


@pytest.fixture(scope="module")
def settings(tmp_path_factory) -> Settings:
    return Settings(var=Path(tmp_path_factory.mktemp("var")), secret="s" * 40)


@pytest.fixture(scope="module")
def site(little_engine, settings, clock, compiled_templates) -> TestApp:
    return TestApp(
        main({}, configured=settings, engine=little_engine, clock=clock, **compiled_templates),
        extra_environ={"HTTP_HOST": HOST},
    )


@pytest.fixture(scope="module")
def little_engine(server, little_template: str):
    database = server.clone(little_template)
    engine = make_engine(database.app_url)
    yield engine
    engine.dispose()
    server.drop(database.name)


@pytest.fixture(scope="module", autouse=True)
def connected(little_engine, settings) -> None:
    """The County works in a system of its own that fetches."""
    with session_scope(little_engine, Scope(COUNTY)) as session:
        systems.connect(
            session,
            name="The County's own",
            way="they_poll",
            address=None,
            key_id="county-1",
            secret=SECRET,
            known_as="county",
            services={},
            hosts=(),
            sealed_by=settings.secret,
            now=NOW - timedelta(days=1),
        )


def handover(**more: Any) -> Handover:
    given: dict[str, Any] = {
        "progress": Progress(Identifier("http://county.example", new_token()), "requested", NOW),
        "sender": "county",
        "receiver": "211info",
        "service": "food",
        "sent_at": NOW,
        "shared": {"language": "es", "need": "Food boxes"},
        **more,
    }
    return Handover(**given)


@pytest.fixture
def send(site, clock):
    """Send a request, signed by the County's key unless told otherwise."""

    def call(method: str, path: str, content: Any = None, **more: Any) -> Any:
        body = more.pop("body", b"" if content is None else json.dumps(content).encode())
        given = {"key_id": "county-1", "secret": SECRET, "now": clock.now, "nonce": new_token()}
        given |= {key: more.pop(key) for key in list(more) if key in given}
        where, _, query = path.partition("?")
        headers = sign(
            Message(method, HOST, more.pop("signed_path", where), query, body),
            **{**given, "secret": secret_bytes(given["secret"])},
        )
        headers |= more.pop("headers", {})
        return site.request(
            path,
            method=method,
            body=body,
            headers={"Content-Type": "application/fhir+json", **headers},
            status=more.pop("status", "*"),
        )

    return call


def issue(response: Any) -> dict[str, Any]:
    assert response.content_type == "application/fhir+json"
    assert response.json["resourceType"] == "OperationOutcome"
    return response.json["issue"][0]


def count(engine, tenant: str, model: Any = Referral) -> int:
    with session_scope(engine, Scope(IDS[tenant])) as session:
        return session.execute(
            select(func.count()).select_from(model).where(model.tenant_id == IDS[tenant])
        ).scalar_one()


def test_the_statement_of_what_it_can_do_is_for_everybody(site):
    found = site.get("/county/fhir/metadata").json
    assert (found["resourceType"], found["fhirVersion"]) == ("CapabilityStatement", "4.0.1")
    assert found["implementation"]["url"].endswith("/county/fhir")


def test_a_referral_comes_in_once_however_often_it_is_sent(send, little_engine):
    before = count(little_engine, "211info")
    bundle = write_bundle(handover(), "x")
    first = send("POST", "/county/fhir", bundle)
    assert first.status_int == 201
    again = send("POST", "/county/fhir", bundle)
    assert again.status_int == 200
    place = [each.json["entry"][0]["response"]["location"] for each in (first, again)]
    assert place[0] == place[1]
    assert count(little_engine, "211info") == before + 1
    task = send("GET", f"/county/fhir/{place[0]}").json
    assert (task["status"], task["identifier"][0]["system"]) == (
        "requested",
        "http://county.example",
    )


def test_personal_fields_need_a_consent_that_holds(send, little_engine):
    before = count(little_engine, "211info")
    shared = {"name": "Dana Reed", "need": "Food boxes"}
    for consent in (None, Agreed("c", NOW - timedelta(days=9), NOW - timedelta(days=1))):
        refused = send(
            "POST", "/county/fhir", write_bundle(handover(shared=shared, consent=consent), "x")
        )
        assert refused.status_int == 422
        assert issue(refused)["expression"] == ["ServiceRequest.supportingInfo"]
        assert "Dana" not in refused
    assert count(little_engine, "211info") == before
    given = handover(shared={**shared, "income": "low"}, consent=Agreed("c", NOW))
    place = send("POST", "/county/fhir", write_bundle(given, "x")).json["entry"][0]["response"]
    with session_scope(little_engine, Scope(IDS["211info"])) as session:
        row = session.execute(
            select(Referral.shared, Referral.counterparty_id).where(
                Referral.tenant_id == IDS["211info"],
                Referral.id == place["location"].removeprefix("Task/"),
            )
        ).one()
    # what the region's policy does not name does not come in
    assert row.shared == shared
    assert row.counterparty_id == COUNTY


def test_news_is_taken_once_and_old_news_is_left_alone(send):
    given = handover()
    place = send("POST", "/county/fhir", write_bundle(given, "x")).json["entry"][0]["response"]
    path = f"/county/fhir/{place['location']}"

    def said(state: str, minutes: int, **more: Any) -> Any:
        at = NOW + timedelta(minutes=minutes)
        progress = Progress(given.progress.identifier, state, at, **more)
        return send("PUT", path, write_task(handover(progress=progress), "x"))

    assert said("cancelled", 5, reason="person_declined").json["status"] == "cancelled"
    assert said("requested", 1).status_int == 200
    assert send("GET", path).json["status"] == "cancelled"
    refused = said("completed", 9, outcome="met")
    assert refused.status_int == 409
    assert issue(refused)["expression"] == ["Task.status"]


def test_the_other_system_fetches_what_changed_and_acknowledges(
    send, little_engine, settings, clock
):
    place = send("POST", "/county/fhir", write_bundle(handover(), "x")).json["entry"][0]["response"]
    referral_id = place["location"].removeprefix("Task/")
    with session_scope(little_engine, Scope(IDS["211info"])) as session:
        row = session.execute(
            select(Referral.version).where(
                Referral.tenant_id == IDS["211info"], Referral.id == referral_id
            )
        ).one()
        service.move(
            session, now=clock.now, referral_id=referral_id, version=row.version, to="accepted"
        )
    with session_scope(little_engine, Scope(COUNTY)) as session:
        assert gather(session, now=clock.now, settings=settings) == 1
    page = send("GET", f"/county/fhir/Task?_lastUpdated=gt{NOW.isoformat().replace('+', '%2B')}")
    tasks = [e["resource"] for e in page.json["entry"] if e["search"]["mode"] == "match"]
    assert [task["id"] for task in tasks] == [referral_id]
    assert tasks[0]["status"] == "accepted"
    updated = tasks[0]["meta"]["lastUpdated"].replace("+", "%2B")
    assert send("GET", f"/county/fhir/Task?_lastUpdated=gt{updated}").json["entry"] == []
    with session_scope(little_engine, Scope(COUNTY)) as session:
        (system,) = systems.systems(session)
        assert systems.queue(session, system.id).waiting == 0


def test_pages_lead_on_and_give_each_task_once(send):
    for _ in range(3):
        send("POST", "/county/fhir", write_bundle(handover(), "x"))
    seen, path = [], "/county/fhir/Task?_count=2"
    while path:
        page = send("GET", path).json
        seen += [e["resource"]["id"] for e in page["entry"] if e["search"]["mode"] == "match"]
        following = [each["url"] for each in page["link"] if each["relation"] == "next"]
        path = following[0].removeprefix(f"http://{HOST}") if following else ""
    assert len(seen) == len(set(seen)) >= 3


@pytest.mark.parametrize(
    ("more", "says"),
    [
        pytest.param({"secret": new_secret()}, "not that of this message", id="forged"),
        pytest.param({"key_id": "county-2"}, "no such key", id="another key"),
        pytest.param({"now": NOW - timedelta(minutes=6)}, "clocks", id="old"),
        pytest.param({"signed_path": "/city/fhir"}, "not that of this message", id="moved"),
        pytest.param({"headers": {"Content-Digest": "sha-256=:AAAA:"}}, "digest", id="changed"),
        pytest.param({"headers": {"Signature-Input": ""}}, "Signature-Input", id="not signed"),
    ],
)
def test_what_is_not_rightly_signed_is_refused_and_changes_nothing(send, little_engine, more, says):
    def counts() -> list[int]:
        return [count(little_engine, "county", each) for each in (Referral, ExchangeReceipt)]

    before = counts()
    refused = send("POST", "/county/fhir", write_bundle(handover(), "x"), **more)
    assert refused.status_int == 401
    assert says in issue(refused)["diagnostics"]
    assert counts() == before


def test_a_message_that_is_replayed_is_refused(send):
    bundle, nonce = write_bundle(handover(), "x"), new_token()
    assert send("POST", "/county/fhir", bundle, nonce=nonce).status_int == 201
    refused = send("POST", "/county/fhir", bundle, nonce=nonce)
    assert refused.status_int == 401
    assert "came before" in issue(refused)["diagnostics"]


def test_a_key_is_good_for_its_partner_only(send):
    refused = send("POST", "/211info/fhir", write_bundle(handover(), "x"))
    assert (refused.status_int, "no such key" in issue(refused)["diagnostics"]) == (401, True)


@pytest.mark.parametrize(
    ("content", "status", "path"),
    [
        (b"{", 400, "$this"),
        (b"[" * 100_000, 400, "$this"),
        (json.dumps(write_bundle(handover(receiver="nobody"), "x")), 422, "Task.owner"),
        (json.dumps(write_bundle(handover(service="gold"), "x")), 422, "ServiceRequest.code"),
        (json.dumps(write_bundle(handover(receiver="county"), "x")), 422, "Task.owner"),
        (
            json.dumps(write_bundle(handover(), "x")).replace('"requested"', '"ready"'),
            400,
            "Bundle.entry[0].resource.status",
        ),
        *(
            (
                json.dumps(write_bundle(handover(shared={"other": "stands here"}), "x")).replace(
                    json.dumps('"stands here"'), json.dumps(value)
                ),
                400,
                "Bundle.entry[1].resource.extension[1].extension[1].valueString",
            )
            for value in ('"\\u0000"', '"\\ud800"', "[" * 5000)
        ),
        (
            json.dumps(write_task(handover(), "x")),
            404,
            "Task.identifier",
        ),
    ],
)
def test_what_cannot_be_taken_is_named_by_its_path(send, little_engine, content, status, path):
    before = count(little_engine, "211info")
    body = content if isinstance(content, bytes) else content.encode()
    refused = send("POST", "/county/fhir", body=body)
    assert refused.status_int == status, refused.text
    assert issue(refused)["expression"][0].startswith(path)
    assert count(little_engine, "211info") == before


@pytest.mark.parametrize(
    "query",
    ["_lastUpdated=yesterday", "_lastUpdated=lt2026-10-05T17:00:00Z", "_count=x", "_count=999"],
)
def test_a_search_that_cannot_be_read_is_named(send, query):
    refused = send("GET", f"/county/fhir/Task?{query}")
    assert refused.status_int == 400
    assert issue(refused)["expression"] == [query.partition("=")[0]]


def test_the_secret_is_stored_sealed(little_engine):
    with session_scope(little_engine, Scope(COUNTY)) as session:
        stored = session.execute(select(ExternalSystem.sealed_secret)).scalars().all()
    assert SECRET not in stored
    assert SECRET not in repr(stored)


FORM, PARTS = "application/x-www-form-urlencoded", "multipart/form-data"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"body": b"{"}, 400),
        ({"body": b"[]"}, 400),
        ({"body": b'{"resourceType": "Bundle", "resourceType": "Task"}'}, 400),
        ({"body": b"[" * 100_000}, 400),
        ({"body": b"x" * 300_000}, 400),
        ({"body": b"a=b", "headers": {"Content-Type": FORM}}, 400),
        ({"body": b"--a\r\nx", "headers": {"Content-Type": f"{PARTS}; boundary=a"}}, 400),
    ],
)
def test_what_is_no_message_is_refused_and_changes_nothing(send, little_engine, sent, status):
    before = count(little_engine, "211info"), count(little_engine, "211info", ExchangeReceipt)
    answer = send("POST", "/county/fhir", **sent)
    assert answer.status_int == status, answer.text
    assert issue(answer)["diagnostics"]
    after = count(little_engine, "211info"), count(little_engine, "211info", ExchangeReceipt)
    assert after == before


@pytest.mark.parametrize(
    "shared",
    [
        {"name": "x" * 10_000},
        {"name": "Dana\r\nBcc: all@example.org"},
        {"phone": "503\x07"},
        {"email": "dana@example.org\r\nBcc: all@example.org"},
        {"note": "x" * 100_000},
    ],
    ids=lambda shared: next(iter(shared)),
)
def test_facts_that_cannot_be_taken_are_named(send, little_engine, shared):
    before = count(little_engine, "211info")
    given = handover(shared={"need": "Food boxes", **shared}, consent=Agreed("c", NOW))
    answer = send("POST", "/county/fhir", write_bundle(given, "x"))
    assert answer.status_int in (400, 422), answer.text
    told = issue(answer)
    assert next(iter(shared)) in told["diagnostics"] or "entry" in told["expression"][0]
    assert count(little_engine, "211info") == before
