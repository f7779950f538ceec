"""News by text, from the form for everybody to the closed request; STOP; numbers that get none."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, text

from regional311.audit.models import AuditEvent
from regional311.database.ids import new_id
from regional311.database.session import Scope, session_scope
from regional311.exchange.webhooks import key_of, sign
from regional311.identity.clients import API_SCOPES, make_client
from regional311.inbox.texting import Texts
from regional311.notices.leaving import leaving
from regional311.notices.models import MailTrouble, OutboxMessage
from regional311.notices.segments import segments
from regional311.referral.snapshot import invalidate
from regional311.settings import Settings
from tests.provider import texts_provider
from tests.web.conftest import SECRET, elsewhere

pytestmark = pytest.mark.commits
CITY = "city-of-portland"
LINE = "+15035550171"
WHSEC = "whsec_" + "c2VjcmV0" * 4
POTHOLE = f"/report?service={CITY}/pothole"
NUMBERS = (f"+1503555{number}" for number in range(2000, 3000))
"""Numbers of which nobody else has heard."""


@pytest.fixture(scope="module")
def provider():
    with texts_provider() as made:
        yield made


@pytest.fixture(scope="module")
def configured(tmp_path_factory, provider) -> Settings:
    return Settings(
        var=Path(tmp_path_factory.mktemp("var")),
        secret=SECRET,
        url="http://localhost",
        text_url=provider.url,
        text_key="key",
        text_secret=WHSEC,
    )


@pytest.fixture(autouse=True)
def office_hours(clock, provider):
    """A Tuesday at eleven in Portland; the provider is well."""
    clock.now = datetime(2026, 10, 13, 18, tzinfo=UTC)
    provider.status = 202


@pytest.fixture
def city(people):
    return people.tenants[CITY]


@pytest.fixture
def deliver(web_engine, configured, city, clock):
    """Have the worker hand on what is due."""
    errand = Texts(configured, leaving(configured))
    return lambda: errand(web_engine, city, clock)


@pytest.fixture
def rows(web_engine, city):
    """The texts to a number as the outbox has them, in order."""

    def find(number):
        with session_scope(web_engine, Scope(city)) as session:
            return session.execute(
                select(OutboxMessage.__table__)
                .where(OutboxMessage.recipient == number)
                .order_by(OutboxMessage.id)
            ).all()

    return find


@pytest.fixture
def answered(testapp, clock):
    """What comes back from a telephone, as the provider brings it."""

    def bring(kind="message.received", **data):
        given = data if kind != "message.received" else {"id": str(new_id()), "to": LINE} | data
        body = json.dumps({"type": kind, "data": given}).encode()
        headers = sign(str(new_id()), body, key=key_of(WHSEC), now=clock.now)
        return testapp.post("/texts", body, headers, content_type="application/json").json

    return bring


def form_in(browser, language=""):
    screen = browser.get(POTHOLE + (f"&lang={language}" if language else "")).forms["screen"]
    screen["danger"] = "none"
    form = screen.submit("submit").follow().forms["report"]
    for name, value in elsewhere().items():
        form[name] = value
    form["description"] = "A deep hole"
    return form


def report(browser, phone, language="", **more):
    form = form_in(browser, language)
    for name, value in {"phone": phone, "news": "text", **more}.items():
        form[name] = value
    return form.submit("submit").follow().html.select_one(".d-number").text.strip()


def press(page, end):
    return next(f for f in page.forms.values() if f.action.endswith(end)).submit().follow()


def close(worker, number, message):
    page = worker.get(f"/{CITY}/requests/{number}")
    finish(press(press(page, "/assign"), "/start"), message)


def finish(page, message):
    form = page.forms["close"]
    form["resolution"], form["message"] = "completed", message
    form.submit("submit").follow()


def test_from_the_form_to_the_closed_request_and_stop(
    testapp, sign_in, provider, deliver, rows, answered, clock
):
    number, worker = next(NUMBERS), sign_in("worker", CITY)
    request = report(testapp, f"({number[2:5]}) {number[5:8]}-{number[8:]}", "es")
    deliver()
    deliver()
    headers, first = provider.got[-1]
    assert (first["to"], first["from"]) == (number, LINE)
    assert headers["Idempotency-Key"] == str(rows(number)[0].id)
    assert request in first["text"]
    link = re.search(r"http://localhost(/track/\S+)", first["text"])
    assert request in testapp.get(link[1])
    assert first["text"].splitlines()[-1] == "STOP termina estos mensajes."
    assert "bache" not in first["text"].lower()
    assert segments(first["text"]) <= 2

    clock.advance(minutes=20)
    close(worker, request, "We filled the hole this morning.")
    deliver()
    texts = provider.texts(number)
    assert len(texts) == len(rows(number)) == 4
    assert "We filled the hole this morning." in texts[-1]
    assert not any("STOP" in each for each in texts[1:])
    assert all(segments(each) <= 2 for each in texts)

    assert answered(**{"from": number, "text": " Alto."})["kept"]
    reopened = testapp.get(link[1])
    again = next(f for f in reopened.forms.values() if f.action.endswith("/reopen"))
    again["text"] = "It is there again"
    again.submit().follow()
    deliver()
    (confirmed,) = provider.texts(number)[4:]
    assert "no recibirá más mensajes nuestros. Envíe START" in confirmed
    assert "wants no such" in rows(number)[-1].last_error
    assert [row.state for row in rows(number)] == ["sent"] * 5 + ["withdrawn"]

    answered(**{"from": number, "text": "START"})
    finish(worker.get(f"/{CITY}/requests/{request}"), "Filled again.")
    deliver()
    last = provider.texts(number)[-1]
    assert request in last
    assert "Filled again." in last
    admin = sign_in("administrator", CITY)
    assert admin.get(
        f"/{CITY}/messages?channel=text&about={rows(number)[0].subject_id}"
    ).html.select("tbody tr")
    shown = admin.get(f"/{CITY}/messages/{rows(number)[0].id}")
    assert "STOP termina estos mensajes." in shown
    assert link[1] not in shown


@pytest.mark.parametrize("phone", ["", "800-555-0100", "+44 7400 123456", "503-823", "call me"])
def test_a_number_that_gets_no_texts_is_said_at_once(testapp, phone):
    form = form_in(testapp)
    form["news"], form["phone"] = "text", phone
    refused = form.submit("submit", status=400)
    assert "Give a mobile number of this country" in refused
    assert refused.forms["report"]["phone"].value == phone
    form = refused.forms["report"]
    form["news"] = "email"
    assert "Give an e-mail address for news" in form.submit("submit", status=400)


def test_where_no_texts_are_sent_none_are_offered(testapp, configured, web_engine, city):
    form = form_in(testapp)
    assert "wants_updates" not in form.fields
    county = testapp.get("/report?service=multnomah-county/pothole&danger=none", status="*")
    assert "By text to a mobile phone" not in county
    with web_engine.connect() as connection:
        lines = connection.scalars(text("SELECT count(*) FROM lines WHERE channel = 'text'"))
        assert lines.one() >= 1


def test_a_provider_that_is_down_loses_and_doubles_nothing(testapp, provider, deliver, rows, clock):
    number = next(NUMBERS)
    report(testapp, number)
    provider.status = 503
    for _each in range(3):
        deliver()
        clock.advance(minutes=5)
    provider.status = 202
    deliver()
    deliver()
    (row,) = rows(number)
    assert (row.state, row.attempts) == ("sent", 4)
    keys = {headers["Idempotency-Key"] for headers, said in provider.got if said["to"] == number}
    assert keys == {str(row.id)}


def test_at_night_a_text_waits_for_the_morning(testapp, provider, deliver, rows, clock):
    number = next(NUMBERS)
    clock.now = datetime(2026, 10, 14, 5, tzinfo=UTC)
    report(testapp, number)
    deliver()
    assert provider.texts(number) == []
    clock.now = datetime(2026, 10, 14, 15, 1, tzinfo=UTC)
    deliver()
    assert len(provider.texts(number)) == 1


def test_a_number_that_the_provider_knows_not_gets_no_more(
    testapp, sign_in, provider, deliver, rows, web_engine, city, answered
):
    number, worker = next(NUMBERS), sign_in("worker", CITY)
    request = report(testapp, number)
    provider.status = 422
    deliver()
    provider.status = 202
    page = press(worker.get(f"/{CITY}/requests/{request}"), "/assign")
    assert "Messages do not reach the person" in page
    deliver()
    assert [row.state for row in rows(number)] == ["dead", "aside"]
    assert len(provider.texts(number)) == 1
    with session_scope(web_engine, Scope(city)) as session:
        found = session.scalars(select(MailTrouble).where(MailTrouble.address == number)).one()
        assert (found.reason, found.stopped_at is not None) == ("422", True)
    assert f"({number[2:5]}) {number[5:8]}-{number[8:]}" in sign_in("administrator", CITY).get(
        f"/{CITY}/mail-addresses?state=stopped"
    )
    answered(**{"from": number, "text": "start"})
    press(page, "/start")
    deliver()
    assert request in provider.texts(number)[-1]


def test_a_report_that_a_number_is_gone_stops_texts_too(
    testapp, provider, deliver, rows, web_engine, city, answered
):
    number = next(NUMBERS)
    report(testapp, number)
    deliver()
    reference = provider.got[-1][1]["reference"]
    told = {"reference": reference, "reason": "unknown number", "lasting": "yes"}
    assert answered("message.failed", **told)["kept"]
    with session_scope(web_engine, Scope(city)) as session:
        found = session.scalars(select(MailTrouble).where(MailTrouble.address == number)).one()
        assert (found.reason, found.message_id) == ("unknown number", rows(number)[0].id)


def test_who_has_it_too_hears_by_text(testapp, sign_in, provider, deliver, clock):
    first, second = next(NUMBERS), next(NUMBERS)
    form = form_in(testapp)
    where = {name: form[name].value for name in ("latitude", "longitude")}
    form["phone"], form["news"] = first, "text"
    request = form.submit("submit").follow().html.select_one(".d-number").text.strip()
    form = form_in(testapp)
    for name, value in where.items():
        form[name] = value
    form["phone"], form["news"] = second, "text"
    asked = form.submit("submit").forms["report"]
    asked["same_as"] = request
    asked.submit("submit")
    clock.advance(minutes=1)
    close(sign_in("worker", CITY), request, "It is filled.")
    deliver()
    last = provider.texts(second)[-1]
    assert "yours too, is closed. It is filled." in last
    assert re.search(r"/track/\S+", last)


def test_programs_say_it_where_the_person_agreed(testapp, web_engine, city, rows, deliver, clock):
    scopes = [*API_SCOPES, "open311:requests"]
    with session_scope(web_engine, Scope(city)) as session:
        key = make_client(session, name="An app", scopes=scopes, a_minute=1000, now=clock.now)
    number, other = next(NUMBERS), next(NUMBERS)

    def api(person, status=201):
        place = {name: float(value) for name, value in elsewhere().items()}
        body = {"service": "pothole", "place": place, "answers": {"size": "wheel"}}
        headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": str(new_id())}
        here = f"/{CITY}/requests"
        return testapp.post_json(
            here, body | {"person": person}, headers=headers, status=status
        ).json

    api({"phone": number, "wants_updates": True, "updates_by": "text"})
    api({"phone": other, "wants_updates": True})
    refused = api({"phone": "311", "wants_updates": True, "updates_by": "text"}, 422)
    assert "person/phone" in json.dumps(refused)

    def open311(status=201, **given):
        there = elsewhere()
        place = {"lat": there["latitude"], "long": there["longitude"]}
        said = {"api_key": key, "service_code": "pothole", **place, **given}
        here = f"/{CITY}/open311/v2/requests.json"
        return testapp.post(here, said, status=status).json[0]

    open311(phone=number, updates_by="text")
    open311(phone=other)
    assert "gets texts" in open311(400, phone="311", updates_by="text")["description"]
    assert "email or text" in open311(400, phone=number, updates_by="fax")["description"]
    deliver()
    assert [row.state for row in rows(number)] == ["sent", "sent"]
    assert rows(other) == []


def test_the_desk_offers_it(sign_in, rows):
    desk = sign_in("specialist", CITY)
    form = desk.get(f"/{CITY}/desk/message?service={CITY}/pothole").forms["message"]
    form["danger"], form["place"] = "none", "SW 5th and Main"
    form["news"], form["phone"] = "text", "call me"
    refused = form.submit("submit", status=400)
    assert "Give a mobile number of this country" in refused
    form = refused.forms["message"]
    form["phone"] = next(NUMBERS)
    page = form.submit("submit").follow()
    assert "By text to a mobile phone" in page

    page = desk.get(f"/{CITY}/desk").forms["start"].submit().follow()
    page.forms["screen"]["answer"] = "none"
    page = page.forms["screen"].submit().follow()
    contact = page.html.select_one("h1").text.strip()
    form = desk.get(f"/{CITY}/contacts/{contact}?service={CITY}/pothole").forms["need"]
    there = elsewhere()
    form["latitude"], form["longitude"] = there["latitude"], there["longitude"]
    form["place_kind"], form["news"] = "point", "text"
    form["phone"] = "12"
    assert "Give a mobile number of this country" in form.submit(status=400)
    form["phone"] = number = next(NUMBERS)
    form.submit()
    assert [row.event for row in rows(number)] == ["request_received"]


def test_words_of_texts_are_a_partners_own(sign_in, testapp, provider, deliver):
    admin = sign_in("administrator", CITY)
    here = f"/{CITY}/message-words/request_received.en.text"
    page = admin.get(here)
    assert "It takes 1 part." in page
    form = page.forms["words"]
    form["body"] = "{partner} has it, 街. {link}"
    shown = form.submit("preview")
    assert "It takes 2 parts." in shown
    assert "With that it takes 2 parts." in shown
    form["body"] = "{partner} has it. {link}" + "街" * 140
    assert "at most 2 parts" in form.submit("submit", status=400)
    form["body"] = "{partner} has it."
    assert "needs {link}" in form.submit("submit", status=400)
    form["body"] = "{partner} has {number} now: {link}"
    form["number"] = number = next(NUMBERS)
    assert "The test is on its way" in form.submit("test")
    form.submit("submit").follow()
    invalidate()
    assert "Own words" in admin.get(here)
    assert "Usual words" in admin.get(here.removesuffix(".text"))
    deliver()
    assert provider.texts(number)[-1].startswith("City of Portland has R-7K3M9-QP4TX now: http://")
    mine = next(NUMBERS)
    request = report(testapp, mine)
    deliver()
    assert f"has {request} now" in provider.texts(mine)[-1]
    press(admin.get(here), "/usual")
    admin.get(f"/{CITY}/message-words/accommodation_new.en.text", status=404)


def test_tests_of_texts_are_few_and_each_leaves_once(sign_in, web_engine, city, rows, clock):
    clock.now = datetime(2026, 10, 14, 18, tzinfo=UTC)
    admin = sign_in("administrator", CITY)
    form = admin.get(f"/{CITY}/message-words/request_closed.en.text").forms["words"]
    form["number"] = number = next(NUMBERS)
    shown = form.submit("test")
    form.submit("test")  # loaded again
    assert len(rows(number)) == 1
    assert rows(number)[0].body.endswith("\nSTOP ends these texts.")
    form["body"] = "{partner} is done. {message} {link}"  # back, and other words
    form.submit("test")
    assert len(rows(number)) == 2
    for _more in range(8):
        assert shown.forms["words"]["number"].value == number
        shown = shown.forms["words"].submit("test")
    refused = shown.forms["words"].submit("test", status=400)
    assert "10 texts to try words within an hour" in refused
    assert len(rows(number)) == 10
    with session_scope(web_engine, Scope(city)) as session:
        kept = session.scalars(
            select(AuditEvent.detail).where(
                AuditEvent.action == "message:test",
                AuditEvent.subject_id.in_([each.id for each in rows(number)]),
            )
        ).all()
    assert {each["number"] for each in kept} == {f"…{number[-4:]}"}
    clock.now += timedelta(hours=1, minutes=1)
    refused.forms["words"].submit("test")
    assert len(rows(number)) == 11


def test_no_number_is_in_the_log(testapp, deliver, provider, caplog, capsys):
    number = next(NUMBERS)
    report(testapp, number)
    provider.status = 422
    deliver()
    said = caplog.text + "".join(capsys.readouterr())
    assert number not in said
    assert number[2:] not in said
