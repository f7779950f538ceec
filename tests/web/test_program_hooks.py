"""Programs that are told by webhook: signed, once, again when they were away, no secrets."""

from __future__ import annotations

import json
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import sleep

import pytest
from sqlalchemy import select, text, update

from regional311.audit.service import record
from regional311.database.session import Scope, session_scope
from regional311.exchange import transport
from regional311.exchange.webhooks import key_of, verify
from regional311.identity.clients import make_client
from regional311.identity.models import ApiClient
from regional311.intake import program_hooks
from regional311.intake.models import ProgramHook, ServiceRequest
from regional311.intake.program_hooks import ProgramNews
from regional311.notices.delivery import Fate, Outcome, lease, still_leaves
from regional311.notices.delivery import record as note_outcome
from regional311.notices.handling import send_again
from regional311.notices.models import MailTrouble, OutboxMessage
from regional311.settings import Settings
from tests.web.conftest import SECRET, elsewhere

pytestmark = pytest.mark.commits
CITY = "city-of-portland"


def nothing() -> None:
    """What usually happens while a program answers."""


class Program:
    """A program that keeps what it is told."""

    def __init__(self) -> None:
        self.status, self.got = 204, []
        self.meanwhile, self.path = nothing, ""
        program = self

        class Answer(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if program.status < 300:
                    program.got.append((dict(self.headers.items()), body))
                program.path = self.path
                program.meanwhile()
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
    # later than what the test before it did
    first = datetime(2026, 10, 13, 18, tzinfo=UTC)
    later = clock.now + timedelta(minutes=5)
    clock.now = later if clock.now.date() == first.date() else first
    program.status, program.meanwhile = 204, nothing
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

    yield make
    # the next test's rounds have only its own to tell
    with session_scope(web_engine, scope) as session:
        for each in made:
            program_hooks.end_hook(session, each, now=datetime.now(UTC))
        session.execute(
            update(OutboxMessage)
            .where(OutboxMessage.channel == "webhook", OutboxMessage.state == "pending")
            .values(state="withdrawn")
        )


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
    return form.submit("submit").follow().html.select_one(".d-number").text.strip()


def happens(engine, scope, clock, number, *actions):
    """Let the trail say what was done to a request."""
    with session_scope(engine, scope) as session:
        filed = session.scalars(
            select(ServiceRequest.id).where(ServiceRequest.public_id == number)
        ).one()
        for each in actions:
            record(session, now=clock.now, action=each, subject_kind="request", subject_id=filed)


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
    happens(web_engine, scope, clock, number, *["request:assign"] * 5)
    for _each in range(4):
        deliver()
    assert Counter(each["type"] for each in told(program, number)) == {
        "request.opened": 1,
        "request.changed": 5,
    }


def test_who_copied_a_request_is_told_that_it_was_erased(
    testapp, admin, program, deliver, client, clock, web_engine, scope
):
    number = report(testapp)
    clock.advance(minutes=1)
    set_hook(admin, client("request:read"), f"{program.host}/in")
    clock.advance(minutes=1)
    happens(web_engine, scope, clock, number, "request:erase", "request:rate")
    deliver()
    assert [each["type"] for each in told(program, number)] == ["request.changed"]


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


def try_it(browser, client_id):
    page = browser.get(f"/{CITY}/clients/{client_id}/webhook")
    next(f for f in page.forms.values() if f.action.endswith("/try-webhook")).submit().follow()


def messages_of(engine, scope, client_id):
    """The messages to a program's webhooks, in order."""
    with session_scope(engine, scope) as session:
        hooks = session.scalars(select(ProgramHook.id).where(ProgramHook.client_id == client_id))
        return session.execute(
            select(OutboxMessage.state, OutboxMessage.attempts, OutboxMessage.last_error)
            .where(OutboxMessage.recipient.in_([str(each) for each in hooks]))
            .order_by(OutboxMessage.id)
        ).all()


def test_a_slow_program_holds_up_nobody_for_long(
    admin, program, deliver, client, clock, web_engine, scope
):
    here = client("request:read")
    set_hook(admin, here, f"{program.host}/in")
    for _each in range(4):
        try_it(admin, here)
    program.meanwhile = lambda: clock.advance(seconds=9)
    deliver()
    assert len(program.got) == 1
    rows = messages_of(web_engine, scope, here)
    assert Counter((row.state, row.attempts) for row in rows) == {("sent", 1): 1, ("pending", 0): 3}
    deliver()
    assert len(program.got) == 2


def test_a_slow_program_takes_no_turn_from_a_quick_one(
    admin, program, deliver, client, clock, web_engine, scope
):
    slow, quick = client("request:read"), client("request:read")
    set_hook(admin, slow, f"{program.host}/slow")
    for _each in range(25):
        try_it(admin, slow)
    clock.advance(minutes=1)
    set_hook(admin, quick, f"{program.host}/quick")
    for _each in range(3):
        try_it(admin, quick)

    def dawdle() -> None:
        if program.path == "/slow":
            clock.advance(seconds=9)

    program.meanwhile = dawdle
    deliver()
    assert [row.state for row in messages_of(web_engine, scope, quick)] == ["sent"] * 3
    assert [row.state for row in messages_of(web_engine, scope, slow)].count("sent") == 1


def test_an_answer_that_drips_is_cut(
    admin, client, clock, web_engine, scope, configured, monkeypatch
):
    monkeypatch.setattr(transport, "SECONDS", 0.5)

    class Drips(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            with suppress(OSError):
                for _each in range(40):
                    self.wfile.write(b".")
                    sleep(0.1)
                self.wfile.write(b"\r\nContent-Length: 0\r\n\r\n")

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Drips)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    host = f"http://127.0.0.1:{server.server_port}"
    here = client("request:read")
    settings = replace(configured, exchange_hosts=(host,))
    with session_scope(web_engine, scope) as session:
        program_hooks.set_hook(session, here, host, hosts=(host,), sealed_by=SECRET, now=clock.now)
        program_hooks.try_hook(session, here, now=clock.now)
    ProgramNews(settings)(web_engine, scope.tenant_id, clock)
    server.shutdown()
    server.server_close()
    (row,) = messages_of(web_engine, scope, here)
    assert (row.state, row.last_error) == ("pending", "The program did not answer (TimeoutError).")


def test_what_a_worker_has_in_hand_goes_to_no_address_that_was_ended(
    admin, program, deliver, client, web_engine, scope, clock
):
    here = client("request:read")
    set_hook(admin, here, f"{program.host}/in")
    for _each in range(3):
        try_it(admin, here)

    def end() -> None:
        with session_scope(web_engine, scope) as session:
            program_hooks.end_hook(session, here, now=clock.now)

    program.meanwhile = end
    deliver()
    assert len(program.got) == 1
    states = Counter(row.state for row in messages_of(web_engine, scope, here))
    assert states == {"sent": 1, "dead": 2}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"exchange_hosts": ()}, "REGIONAL311_EXCHANGE_HOSTS"),
        ({"secret": SECRET[::-1]}, "secret has changed"),
    ],
)
def test_a_worker_that_is_set_up_wrongly_kills_nothing(
    admin, program, deliver, client, clock, web_engine, scope, configured, wrong, said
):
    here = client("request:read")
    set_hook(admin, here, f"{program.host}/in")
    try_it(admin, here)
    try_it(admin, here)
    ProgramNews(replace(configured, **wrong))(web_engine, scope.tenant_id, clock)
    for row in messages_of(web_engine, scope, here):
        assert row.state == "pending"
        assert said in row.last_error
    clock.advance(minutes=1)
    deliver()
    assert len(program.got) == 2


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("https://elsewhere.example/in", "is not allowed"),
        ("http://169.254.169.254/latest", "is not allowed"),
        ("not an address", "not"),
        ("https://u:p@elsewhere.example/", "without user"),
        ("https://elsewhere.example/entrée", "has plain letters only"),
    ],
)
def test_only_hosts_that_are_listed_are_told(admin, client, address, said):
    form = admin.get(f"/{CITY}/clients/{client('request:read')}/webhook").forms["hook"]
    form["address"] = address
    assert said in form.submit("submit", status=400)


def test_an_address_that_cannot_be_asked_ends_no_round(
    client, web_engine, scope, clock, configured
):
    here, host = client("request:read"), "works..example"
    settings = replace(configured, exchange_hosts=(host,))
    with session_scope(web_engine, scope) as session:
        program_hooks.set_hook(
            session, here, f"https://{host}/", hosts=(host,), sealed_by=SECRET, now=clock.now
        )
        program_hooks.try_hook(session, here, now=clock.now)
    ProgramNews(settings)(web_engine, scope.tenant_id, clock)
    (row,) = messages_of(web_engine, scope, here)
    assert (row.state, row.last_error) == ("pending", "The program did not answer (UnicodeError).")


def test_a_key_that_reads_no_requests_is_told_nothing(admin, client, program):
    form = admin.get(f"/{CITY}/clients/{client('service:read')}/webhook").forms["hook"]
    form["address"] = f"{program.host}/in"
    assert "good for reading requests" in form.submit("submit", status=400)


def test_it_is_tried_ended_and_gone(admin, client, program, deliver, web_engine, scope, clock):
    here = client("request:read")
    set_hook(admin, here, f"{program.host}/in")
    try_it(admin, here)
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
        troubles = session.scalars(select(MailTrouble.address)).all()
    assert "The program wants no more (410)." in errors
    assert troubles == []


def test_what_one_worker_has_in_hand_is_another_message_at_the_new_address(
    admin, client, program, web_engine, scope, clock
):
    here = client("request:read")
    set_hook(admin, here, f"{program.host}/old")
    try_it(admin, here)

    def leased():
        with session_scope(web_engine, scope) as session:
            until = clock.now + timedelta(minutes=5)
            (letter,) = lease(session, now=clock.now, until=until, channel="webhook")
        return letter

    old = leased()
    set_hook(admin, here, f"{program.host}/new")
    new = leased()
    assert (old.id, old.attempt) == (new.id, new.attempt)
    with session_scope(web_engine, scope) as session:
        assert [still_leaves(session, each) for each in (old, new)] == [False, True]
        note_outcome(session, Outcome(old, Fate.DEAD, "It is gone."), now=clock.now)
    assert [row.state for row in messages_of(web_engine, scope, here)] == ["pending"]


def test_what_was_given_up_can_be_sent_again_at_a_new_address(
    admin, client, program, deliver, web_engine, scope, clock
):
    here = client("request:read")
    set_hook(admin, here, f"{program.host}/old")
    try_it(admin, here)
    try_it(admin, here)
    program.status = 410
    deliver()
    program.status = 204
    set_hook(admin, here, f"{program.host}/new")
    deliver()
    rows = messages_of(web_engine, scope, here)
    assert ([row.state for row in rows], program.got) == (["dead"] * 2, [])
    with session_scope(web_engine, scope) as session:
        hook = program_hooks.hook_of(session, here)
        mine = session.scalars(
            select(OutboxMessage.id).where(OutboxMessage.recipient == str(hook.id))
        ).all()
        assert send_again(session, mine, now=clock.now) == 2
    deliver()
    assert len(program.got) == 2
    assert program.path == "/new"


def test_a_program_that_wants_no_more_at_its_old_address_is_told_at_its_new_one(
    admin, client, program, deliver, web_engine, scope, clock
):
    here = client("request:read")
    set_hook(admin, here, f"{program.host}/old")
    try_it(admin, here)
    program.status = 410
    program.meanwhile = lambda: set_hook(admin, here, f"{program.host}/new")
    deliver()
    assert "/new" in admin.get(f"/{CITY}/clients/{here}/webhook")
    program.status, program.meanwhile = 204, nothing
    clock.advance(minutes=1)
    deliver()
    assert len(program.got) == 1
    assert [row.state for row in messages_of(web_engine, scope, here)] == ["sent"]
