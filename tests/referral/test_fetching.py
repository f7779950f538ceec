"""Fetching from systems that are not ours: what they leave out, turn round or get wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest
from sqlalchemy import NullPool, create_engine, func, select, text
from structlog.testing import capture_logs

from regional311.database.embedded import ADMIN_ROLE
from regional311.database.session import Scope, make_engine, session_scope
from regional311.exchange import searching, systems
from regional311.exchange.fhir import Agreed, Handover, Identifier, Note, Progress, resources
from regional311.exchange.models import ExchangeTask
from regional311.exchange.sealing import new_secret
from regional311.exchange.searching import MOST_PAGES, PAGE
from regional311.exchange.transport import ask
from regional311.intake.service import Followers
from regional311.notices.models import OutboxMessage
from regional311.referral import external, external_delivery
from regional311.referral.acceptance import Acceptance
from regional311.referral.external_delivery import (
    BY_NOBODY,
    LONGEST_ROUND,
    POLL,
    Errands,
    Taking,
)
from regional311.referral.models import Referral
from regional311.settings import Settings
from tests.little_region import IDS, NOW
from tests.serving import serving

pytestmark = pytest.mark.commits
CITY, HELP = IDS["city"], IDS["211info"]
WORK = (
    *("audit_events", "envelopes", "exchange_tasks", "exchange_receipts", "external_systems"),
    *("outbox_messages", "referral_messages", "referrals"),
)
"""Tables of what a test leaves behind."""


class Foreign:
    """A FHIR server of another make: it holds what it is given, and answers as it likes."""

    def __init__(self) -> None:
        self.held: list[list[dict[str, Any]]] = []
        self.asked: list[tuple[str, str]] = []
        self.port = 0
        self.newest_first = self.includes = self.filters = True
        self.pages = True
        self.next_is: str | None = None
        self.answer: Any = None
        self.fails: dict[str, str] = {}
        """Statuses by path."""
        self.on_ask: Callable[[str], None] = lambda _path: None

    def __call__(self, environ: Any, start_response: Any) -> Any:
        path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
        environ["wsgi.input"].read()
        self.asked.append((path, query))
        self.on_ask(path)
        content: Any = self.answer
        if content is None and environ["REQUEST_METHOD"] == "GET":
            content = self.search(query) if path == "/fhir/Task" else self.one(path)
        status = "200 OK" if content is not None else "404 Not Found"
        status = self.fails.get(path, status)
        start_response(status, [("Content-Type", "application/fhir+json")])
        return [content if isinstance(content, bytes) else json.dumps(content).encode()]

    def one(self, path: str) -> Any:
        wanted = path.removeprefix("/fhir/")
        for each in self.held:
            for resource in each:
                if f"{resource['resourceType']}/{resource['id']}" == wanted:
                    return resource
        return None

    def search(self, query: str) -> Any:
        asked = parse_qs(query)
        at = int(asked.get("page", ["0"])[0])
        after = asked.get("_lastUpdated", ["gt"])[0].removeprefix("gt")
        held = sorted(self.held, key=lambda each: changed(each[0]), reverse=self.newest_first)
        if after and self.filters:
            held = [each for each in held if changed(each[0]) > after]
        part = held[at * PAGE : (at + 1) * PAGE] if self.pages else held
        found = {
            "resourceType": "Bundle",
            "type": "searchset",
            "entry": [
                {"resource": each}
                for every in part
                for each in (every if self.includes else every[:1])
            ],
        }
        following = self.next_is
        if following is None and self.pages and len(held) > (at + 1) * PAGE:
            since = f"&_lastUpdated=gt{after.replace('+', '%2B')}" if after else ""
            following = f"http://127.0.0.1:{self.port}/fhir/Task?page={at + 1}{since}"
        if following is not None:
            found["link"] = [{"relation": "next", "url": following}]
        return found

    def hold(self, name: str, at: datetime = NOW, **more: Any) -> list[dict[str, Any]]:
        """Have a referral of the City to 211; its parts, the Task first."""
        given: dict[str, Any] = {
            "sender": "city",
            "receiver": "211info",
            "service": "food",
            "shared": {"need": f"Food {name}"},
            **more,
        }
        said = Progress(Identifier("http://foreign.example", name), "requested", at)
        made = list(resources(Handover(said, sent_at=at, **given), name))
        self.held.append(made)
        return made


def changed(task: dict[str, Any]) -> str:
    return str(task["meta"]["lastUpdated"])


class Place:
    """The City here, whose system is the foreign one."""

    def __init__(self, engine: Any, settings: Settings, foreign: Foreign) -> None:
        self.engine, self.settings, self.foreign = engine, settings, foreign
        self.now = NOW

    def fetch(self, taking: Taking = BY_NOBODY) -> int:
        self.now += POLL
        return Errands(self.settings, taking)(self.engine, CITY, lambda: self.now)

    @property
    def taken(self) -> set[str]:
        """The foreign identifiers of what was taken so far."""
        with session_scope(self.engine, Scope(CITY)) as session:
            return set(session.scalars(select(ExchangeTask.identifier_value)))

    @property
    def system(self) -> systems.System:
        with session_scope(self.engine, Scope(CITY)) as session:
            return next(each for each in systems.systems(session) if each.ended_at is None)

    def refused(self) -> list[str]:
        with session_scope(self.engine, Scope(CITY)) as session:
            return [what for _, what, _ in systems.refused_lately(session, self.system.id)]


@pytest.fixture(scope="module")
def made(server, little_template: str) -> Iterator[Any]:
    database = server.clone(little_template)
    engine = make_engine(database.app_url)
    yield engine, server.address.url(ADMIN_ROLE, database.name)
    engine.dispose()
    server.drop(database.name)


@pytest.fixture
def place(made, tmp_path) -> Iterator[Place]:
    engine, url = made
    with create_engine(url, poolclass=NullPool).begin() as connection:
        connection.execute(text(f"TRUNCATE {', '.join(WORK)} CASCADE"))
    foreign = Foreign()
    with serving(foreign, threads=2) as foreign.port:
        host = f"http://127.0.0.1:{foreign.port}"
        settings = Settings(
            var=tmp_path,
            secret="the secret here " * 4,
            exchange_hosts=(host,),
            url="https://311.example",
        )
        with session_scope(engine, Scope(CITY)) as session:
            systems.connect(
                session,
                name="Foreign",
                way="we_poll",
                address=f"{host}/fhir",
                key_id="f",
                secret=new_secret(),
                known_as="city",
                services={},
                hosts=settings.exchange_hosts,
                sealed_by=settings.secret,
                now=NOW,
            )
        yield Place(engine, settings, foreign)


@pytest.mark.parametrize("newest_first", [True, False])
def test_everything_of_several_pages_is_taken_in_whatever_order_it_comes(place, newest_first):
    names = {f"{newest_first}-{each}" for each in range(PAGE + 12)}
    for at, name in enumerate(sorted(names)):
        place.foreign.hold(name, NOW + timedelta(seconds=at))
    place.foreign.newest_first = newest_first
    assert place.fetch() == len(names)
    assert place.taken == names
    assert place.fetch() == 0
    first = place.foreign.asked[0]
    assert first[0] == "/fhir/Task"
    assert "_sort=_lastUpdated" in first[1]
    assert "_include=Task:focus" in first[1]


def test_many_of_one_moment_are_all_taken(place):
    names = {f"same-{each}" for each in range(PAGE + 3)}
    for name in names:
        place.foreign.hold(name)
    place.fetch()
    assert place.taken == names


def test_what_a_page_leaves_out_is_asked_for_once(place):
    place.foreign.hold(
        "bare", shared={"need": "Food", "name": "Dana Reed"}, consent=Agreed("urn:c:1", NOW)
    )
    whole = place.foreign.hold("addressed")
    whole[0]["focus"]["reference"] = "https://elsewhere.example/ServiceRequest/addressed/_history/3"
    whole[0]["for"] = {"reference": "Practitioner/../../secret"}
    place.foreign.includes = False
    assert place.fetch() == 2
    assert place.taken == {"bare", "addressed"}
    with session_scope(place.engine, Scope(HELP)) as session:
        assert session.scalar(
            select(func.count())
            .select_from(Referral)
            .where(Referral.shared["name"].astext == "Dana Reed")
        )
    apart = [path for path, _ in place.foreign.asked if path != "/fhir/Task"]
    assert sorted(apart) == [
        "/fhir/Consent/bare",
        "/fhir/Patient/bare",
        "/fhir/ServiceRequest/addressed",
        "/fhir/ServiceRequest/bare",
    ]
    place.fetch()
    assert len([path for path, _ in place.foreign.asked if path != "/fhir/Task"]) == 4


def test_one_that_cannot_be_completed_is_refused_once_and_others_go_on(place):
    place.foreign.hold("lost", NOW - timedelta(seconds=1))
    del place.foreign.held[-1][1:]
    place.foreign.hold("found")
    assert place.fetch() == 1
    assert place.fetch() == 0
    assert place.refused() == ["refused:NotFound"]
    assert place.system.cursor == NOW


def test_a_server_that_does_not_search_by_time_is_asked_no_more_than_it_needs(place):
    for each in range(3):
        place.foreign.hold(f"unfiltered-{each}", NOW + timedelta(seconds=each))
    place.foreign.filters = False
    assert [place.fetch(), place.fetch()] == [3, 0]
    assert len(place.foreign.asked) == 2


@pytest.mark.parametrize(
    ("following", "asked", "says"),
    [
        ("/fhir/Task?page=0", 2, "lead back"),
        ("https://elsewhere.example/fhir/Task?page=1", 1, "another host"),
        ("http://[broken", 1, "another host"),
    ],
)
def test_pages_that_lead_nowhere_end(place, following, asked, says):
    place.foreign.hold(f"circle-{following}")
    place.foreign.pages, place.foreign.next_is = False, following
    place.fetch()
    assert place.taken == {f"circle-{following}"}
    assert len(place.foreign.asked) == asked
    assert says in place.system.problem


def test_pages_without_end_are_read_so_far_and_no_further(place, monkeypatch):
    place.foreign.hold("endless")
    real = place.foreign.search

    def endless(query: str) -> Any:
        at = int(parse_qs(query).get("page", ["0"])[0])
        place.foreign.next_is = f"?page={at + 1}"
        return real("")

    monkeypatch.setattr(place.foreign, "pages", False)
    monkeypatch.setattr(place.foreign, "search", endless)
    place.fetch()
    assert len(place.foreign.asked) == MOST_PAGES
    assert place.taken == {"endless"}


def test_what_is_read_in_part_loses_nothing_of_the_same_moment(place, monkeypatch):
    place.foreign.newest_first = False
    place.foreign.hold("early", NOW - timedelta(minutes=1))
    same = {f"part-{each}" for each in range(PAGE + 4)}
    for name in same:
        place.foreign.hold(name)
    monkeypatch.setattr(searching, "MOST_PAGES", 1)
    assert place.fetch() == PAGE
    assert place.system.cursor == NOW - timedelta(minutes=1)
    place.fetch()
    assert place.system.problem == searching.STUCK
    monkeypatch.undo()
    place.fetch()
    assert place.taken == same | {"early"}
    assert (place.system.cursor, place.system.problem) == (NOW, None)


@pytest.mark.parametrize("status", ["500 Broken", "503 Later", "429 Too Many Requests"])
def test_what_cannot_be_had_just_now_is_asked_for_again_and_holds_up_nothing(place, status):
    for at, name in enumerate(("first", "broken", "last")):
        place.foreign.hold(name, NOW + timedelta(seconds=at))
    place.foreign.includes = False
    place.foreign.fails = {"/fhir/ServiceRequest/broken": status}
    assert place.fetch() == 2
    assert place.taken == {"first", "last"}
    assert place.refused() == []
    assert status[:3] in place.system.problem
    assert place.system.cursor == NOW
    place.foreign.fails = {}
    place.fetch()
    assert place.taken == {"first", "broken", "last"}
    assert (place.system.cursor, place.system.problem) == (NOW + timedelta(seconds=2), None)


def test_a_slow_system_takes_no_more_than_its_time_and_goes_on_from_there(place):
    names = {f"slow-{each}" for each in range(6)}
    for at, name in enumerate(sorted(names)):
        place.foreign.hold(name, NOW + timedelta(seconds=at))
    place.foreign.newest_first = place.foreign.includes = False

    def slowly(path: str) -> None:
        if path != "/fhir/Task":
            place.now += LONGEST_ROUND / 3

    place.foreign.on_ask = slowly
    first = place.fetch()
    assert 0 < first < len(names)
    assert place.system.problem == searching.SLOW
    rounds = 1
    while place.taken != names:
        place.fetch()
        rounds += 1
        assert rounds < len(names)
    assert place.refused() == []


def test_times_with_and_without_zone_and_of_the_future(place):
    place.foreign.hold("aware")
    place.foreign.hold("naive")[0]["meta"]["lastUpdated"] = "2026-10-05T18:00:00"
    place.foreign.hold("ahead")[0]["meta"]["lastUpdated"] = "2999-01-01T00:00:00Z"
    del place.foreign.hold("undated")[0]["meta"]["lastUpdated"]
    place.foreign.held[-1][0]["meta"]["lastUpdated"] = "soon"
    assert place.fetch() == 4
    assert place.system.cursor <= place.now + external.AHEAD
    # what came in the meantime is not hidden
    later = place.now + timedelta(minutes=10)
    place.foreign.hold("later", later)
    place.now = later
    place.fetch()
    assert "later" in place.taken


def broken(value: str) -> dict[str, Any]:
    return {
        "url": "urn:regional311:shared-field",
        "extension": [
            {"url": "key", "valueCode": "other"},
            {"url": "value", "valueString": value},
        ],
    }


BROKEN = ('"\\u0000"', '"\\ud800"', "[" * 4000, "1" * 400, '{"\\u0000": 1}', "NaN")


def test_what_is_malformed_is_refused_and_the_rest_goes_on(place):
    for at, value in enumerate(BROKEN):
        made = place.foreign.hold(f"broken-{at}", NOW + timedelta(seconds=at))
        made[1]["extension"].append(broken(value))
    place.foreign.hold("whole", NOW + timedelta(minutes=1))
    assert place.fetch() == 1
    assert place.taken == {"whole"}
    assert place.system.cursor == NOW + timedelta(minutes=1)
    assert place.refused() == ["refused:Fault"] * len(BROKEN)


def test_a_failure_of_one_message_is_logged_without_its_words_and_stops_no_other(
    place, monkeypatch
):
    for name in ("Dana", "other"):
        place.foreign.hold(name)
    real = external_delivery.receive

    def fails(session: Any, system: Any, message: Any, **more: Any) -> Any:
        if "Food Dana" in json.dumps(message):
            raise RuntimeError("Dana Reed, 503 555 0101")
        return real(session, system, message, **more)

    monkeypatch.setattr(external_delivery, "receive", fails)
    with capture_logs() as logs:
        assert place.fetch() == 1
    assert place.refused() == ["refused:Unreadable"]
    assert [each["event"] for each in logs] == ["message_failed"]
    assert "Dana" not in str(logs)


def test_a_system_that_breaks_its_round_does_not_break_the_worker(place, monkeypatch):
    def fails(*_: Any, **__: Any) -> Any:
        raise RuntimeError("Dana Reed")

    monkeypatch.setattr(external_delivery, "fetch", fails)
    with capture_logs() as logs:
        assert place.fetch() == 0
    assert [(each["event"], each["error"]) for each in logs] == [("errand_failed", "RuntimeError")]
    assert place.system.problem == external_delivery.UNEXPECTED


@pytest.mark.parametrize("answer", [b"[" * 100_000, b"{", b"[]", b'{"resourceType": "Patient"}'])
def test_an_answer_that_is_no_search_is_a_problem_that_people_see(place, answer):
    place.foreign.answer = answer
    assert place.fetch() == 0
    assert "is no Bundle" in place.system.problem


def test_nested_beyond_reading_is_no_json(place):
    place.foreign.answer = b"[" * 100_000
    reply = ask(
        "GET",
        f"http://127.0.0.1:{place.foreign.port}/fhir",
        hosts=place.settings.exchange_hosts,
        key_id="f",
        secret=b"s" * 32,
        now=NOW,
    )
    assert reply.content is None


def test_who_is_asked_is_told_of_what_was_fetched_as_of_what_was_sent_to_us(place, monkeypatch):
    real = external.verdict_of
    policy = Acceptance(key="all", name="All", notify=("desk@help.example",))
    monkeypatch.setattr(
        external, "verdict_of", lambda *a, **k: replace(real(*a, **k), policy=policy)
    )
    heard = []
    took = external_delivery.receive
    monkeypatch.setattr(
        external_delivery,
        "receive",
        lambda *a, **k: heard.append(k["followers"].url) or took(*a, **k),
    )
    place.foreign.hold("told")
    followers = Followers({}, "https://311.example")
    place.fetch(
        Taking(lambda tenant, referral, until: "https://311.example/answer/x", lambda _: followers)
    )
    assert heard == ["https://311.example"]
    with session_scope(place.engine, Scope(HELP)) as session:
        (body,) = session.scalars(
            select(OutboxMessage.body).where(
                OutboxMessage.tenant_id == HELP, OutboxMessage.recipient == "desk@help.example"
            )
        )
    assert "https://311.example/answer/x" in body


def test_a_clock_that_is_ahead_silences_nothing(place):
    made = place.foreign.hold("fast")
    made[0]["lastModified"] = (NOW + timedelta(days=365)).isoformat()
    place.fetch()
    place.now += timedelta(hours=1)
    for at, words in enumerate(("One", "Two")):
        place.now += timedelta(minutes=at)
        said = Progress(
            Identifier("http://foreign.example", "fast"),
            ("requested", "cancelled")[at],
            place.now,
            reason=(None, "sender_withdrew")[at],
            notes=(Note(words, "sent", None, place.now),),
        )
        bare = Handover(said, "city", "211info", "food", NOW, consent=Agreed("urn:c", NOW))
        place.foreign.held[-1] = list(resources(bare, "fast"))
        place.fetch()
    with session_scope(place.engine, Scope(CITY)) as session:
        state = session.scalars(
            select(Referral.state)
            .join(ExchangeTask, ExchangeTask.id == Referral.id)
            .where(
                Referral.tenant_id == CITY,
                ExchangeTask.tenant_id == CITY,
                ExchangeTask.identifier_value == "fast",
            )
        ).one()
    assert state == "cancelled"
