"""Programs that are told by webhook: signed, once, again when they were away, no secrets."""

from __future__ import annotations

import json
import threading
from collections import Counter
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from sqlalchemy import select, text

from regional311.audit.service import record
from regional311.database.session import Scope, session_scope
from regional311.exchange.webhooks import key_of, verify
from regional311.identity.clients import make_client
from regional311.identity.models import ApiClient
from regional311.intake import program_hooks
from regional311.intake.models import ServiceRequest
from regional311.intake.program_hooks import ProgramNews
from regional311.notices.models import OutboxMessage
from regional311.settings import Settings
from tests.web.conftest import SECRET, elsewhere

pytestmark = pytest.mark.commits
CITY = "city-of-portland"


class Program:
    """A program that keeps what it is told."""

    def __init__(self) -> None:
        self.status, self.got = 204, []
        program = self

        class Answer(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if program.status < 300:
                    program.got.append((dict(self.headers.items()), body))
                self.send_response(program.status)
                self.end_headers()

            def log_message(self, *_args: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.host = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture(scope="module")
def program():
    made = Program()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture(scope="module")
def configured(tmp_path_factory, program) -> Settings:
    return Settings(
        var=Path(tmp_path_factory.mktemp("var")), secret=SECRET, exchange_hosts=(program.host,)
    )


@pytest.fixture(autouse=True)
def office_hours(clock, program):
    clock.now = datetime(2026, 10, 13, 18, tzinfo=UTC)
    program.status = 204
    program.got.clear()


@pytest.fixture
def scope(people):
    return Scope(people.tenants[CITY])


@pytest.fixture
def client(web_engine, scope):
    """Make a program with a key; give its id."""
    made = []

    def make(*scopes):
        name = f"Works {len(made)} {datetime.now(UTC).timestamp()}"
        with session_scope(web_engine, scope) as session:
            make_client(session, name=name, scopes=list(scopes), a_minute=60, now=datetime.now(UTC))
        with session_scope(web_engine, scope) as session:
            found = session.scalars(select(ApiClient.id).where(ApiClient.name == name)).one()
        made.append(found)
        return found

    return make


@pytest.fixture
def deliver(web_engine, configured, scope, clock):
    errand = ProgramNews(configured)
    return lambda: errand(web_engine, scope.tenant_id, clock)


@pytest.fixture
def admin(sign_in):
    return sign_in("administrator", CITY)


@pytest.fixture
def worker(sign_in):
    return sign_in("worker", CITY)


def set_hook(browser, client_id, address):
    form = browser.get(f"/{CITY}/clients/{client_id}/webhook").forms["hook"]
    form["address"] = address
    page = form.submit("submit")
    return page.html.select_one("main code").get_text()


def press(browser, number, end):
    page = browser.get(f"/{CITY}/requests/{number}")
    next(f for f in page.forms.values() if f.action.endswith(end)).submit().follow()


def report(browser):
    screen = browser.get(f"/report?service={CITY}/pothole").forms["screen"]
    screen["danger"] = "none"
    form = screen.submit("submit").follow().forms["report"]
    for name, value in {**elsewhere(), "name": "Zephyrine", "description": "A hole"}.items():
        form[name] = value
    return form.submit("submit").html.select_one(".d-number").text.strip()


def told(program, number):
    found = [json.loads(body) for _headers, body in program.got]
    return [each for each in found if each["data"].get("number") == number]


def test_a_program_is_told_once_of_each_step_and_of_nobody(
    testapp, admin, worker, program, deliver, client, clock
):
    secret = set_hook(admin, client("request:read"), f"{program.host}/in")
    clock.advance(minutes=1)
    number = report(testapp)
    deliver()
    deliver()
    (opened,) = told(program, number)
    assert (opened["type"], opened["data"]["service"]) == ("request.opened", "pothole")
    headers, body = next(each for each in program.got if number.encode() in each[1])
    sent = {name.lower(): value for name, value in headers.items()}
    assert verify(sent, body, key=key_of(secret), now=clock.now)
    assert "Zephyrine" not in body.decode()
    # away for an hour: nothing is lost, nothing comes twice
    program.status = 503
    clock.advance(minutes=1)
    press(worker, number, "/assign")
    for _each in range(3):
        deliver()
        clock.advance(minutes=20)
    program.status = 204
    deliver()
    deliver()
    assert Counter(each["type"] for each in told(program, number)) == {
        "request.opened": 1,
        "request.changed": 1,
    }


def test_however_much_happens_at_once_all_of_it_is_told(
    testapp, admin, program, deliver, client, clock, web_engine, scope, monkeypatch
):
    monkeypatch.setattr(program_hooks, "AT_ONCE", 2)
    set_hook(admin, client("request:read"), f"{program.host}/in")
    clock.advance(minutes=1)
    number = report(testapp)
    with session_scope(web_engine, scope) as session:
        filed = session.scalars(
            select(ServiceRequest.id).where(ServiceRequest.public_id == number)
        ).one()
        for _each in range(5):
            record(
                session,
                now=clock.now,
                action="request:assign",
                subject_kind="request",
                subject_id=filed,
            )
    for _each in range(4):
        deliver()
    assert Counter(each["type"] for each in told(program, number)) == {
        "request.opened": 1,
        "request.changed": 5,
    }


def test_another_address_loses_nothing_and_repeats_nothing(
    testapp, admin, worker, program, deliver, client, clock, web_engine, scope
):
    here = client("request:read")
    set_hook(admin, here, f"{program.host}/old")
    clock.advance(minutes=1)
    number = report(testapp)
    deliver()
    program.status = 503
    clock.advance(seconds=10)
    press(worker, number, "/assign")
    deliver()
    clock.advance(seconds=10)
    press(worker, number, "/start")
    program.status = 204
    # one waits to be tried again, one was not even written
    secret = set_hook(admin, here, f"{program.host}/new")
    deliver()
    deliver()
    mine = [each for each in program.got if number.encode() in each[1]]
    assert Counter(json.loads(body)["type"] for _headers, body in mine) == {
        "request.opened": 1,
        "request.changed": 2,
    }
    headers, body = mine[-1]
    sent = {name.lower(): value for name, value in headers.items()}
    assert verify(sent, body, key=key_of(secret), now=clock.now)


def test_what_is_confidential_is_told_to_whom_it_may_concern_only(
    testapp, admin, worker, program, deliver, client, clock, web_engine, scope
):
    set_hook(admin, client("request:read"), f"{program.host}/in")
    clock.advance(minutes=1)
    number = report(testapp)
    with session_scope(web_engine, scope) as session:
        session.execute(
            text("UPDATE service_requests SET confidential = true WHERE public_id = :n"),
            {"n": number},
        )
        session.commit()
    deliver()
    assert told(program, number) == []
    cleared = client("request:read", "request:confidential")
    set_hook(admin, cleared, f"{program.host}/in")
    clock.advance(minutes=1)
    press(worker, number, "/assign")
    deliver()
    (changed,) = told(program, number)
    assert changed["type"] == "request.changed"


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("https://elsewhere.example/in", "is not allowed"),
        ("http://169.254.169.254/latest", "is not allowed"),
        ("not an address", "not"),
        ("https://u:p@elsewhere.example/", "without user"),
    ],
)
def test_only_hosts_that_are_listed_are_told(admin, client, address, said):
    form = admin.get(f"/{CITY}/clients/{client('request:read')}/webhook").forms["hook"]
    form["address"] = address
    assert said in form.submit("submit", status=400)


def test_a_key_that_reads_no_requests_is_told_nothing(admin, client, program):
    form = admin.get(f"/{CITY}/clients/{client('service:read')}/webhook").forms["hook"]
    form["address"] = f"{program.host}/in"
    assert "good for reading requests" in form.submit("submit", status=400)


def test_it_is_tried_ended_and_gone(admin, client, program, deliver, web_engine, scope, clock):
    here = client("request:read")
    set_hook(admin, here, f"{program.host}/in")
    page = admin.get(f"/{CITY}/clients/{here}/webhook")
    next(f for f in page.forms.values() if f.action.endswith("/try-webhook")).submit().follow()
    program.status = 410
    deliver()
    assert "It is told nothing." in admin.get(f"/{CITY}/clients/{here}/webhook")
    listed = admin.get(f"/{CITY}/messages?channel=webhook&state=dead")
    assert "Could not be sent" in listed
    with session_scope(web_engine, scope) as session:
        errors = session.scalars(
            select(OutboxMessage.last_error).where(
                OutboxMessage.channel == "webhook", OutboxMessage.state == "dead"
            )
        ).all()
    assert "The program wants no more (410)." in errors
