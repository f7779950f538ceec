"""Texts over real HTTP: signed in, kept once, answered by the provider; STOP holds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, text, update
from webtest import TestApp

from regional311.app import main
from regional311.database.ids import new_id
from regional311.database.rows import put
from regional311.database.session import Scope, make_engine, session_scope
from regional311.exchange.signing import SignatureRefused
from regional311.exchange.webhooks import key_of, sign, verify
from regional311.inbox.models import Thread, ThreadMessage
from regional311.inbox.texting import Texts
from regional311.inbox.working import From, NotNow, answer
from regional311.notices.delivery import Letter
from regional311.notices.handling import send_again
from regional311.notices.leaving import who_gets
from regional311.notices.models import MailTrouble, OutboxMessage
from regional311.notices.phones import e164
from regional311.notices.troubles import note_trouble
from regional311.referral.snapshot import invalidate
from regional311.settings import Settings
from tests.provider import Provider, texts_provider

from .conftest import NOW, SECRET

pytestmark = pytest.mark.commits
WHSEC = "whsec_" + "c2VjcmV0" * 4
LINE = "503-555-0171"
NIGHT = datetime(2026, 10, 6, 10, tzinfo=UTC)


@given(
    st.sampled_from(["", "+1", "1", "+1 ", "1-", "tel:+1-", "tel:", "001-", "  "]),
    st.sampled_from(["503", "(503)", "503.", "(503) ", "503-", "503 ", "5 0 3 "]),
    st.sampled_from(["823", "823-", "823.", "823 ", "8 2 3 ", "823–"]),
    st.sampled_from(["4000", "40 00", " 4000 ", "4000;ext=3", "4000 x3"]),
)
def test_a_hundred_spellings_are_one_number(country, area, exchange, rest):
    spelled = f"{country}{area}{exchange}{rest}"
    assert e164(spelled) == ("+15038234000" if "001" not in country else e164(spelled))


def test_a_webhook_is_what_was_signed_and_not_long_ago():
    key = key_of(WHSEC)
    headers = sign("msg_1", b"{}", key=key, now=NOW)
    assert verify(headers, b"{}", key=key, now=NOW) == "msg_1"
    rotated = headers | {"webhook-signature": f"v1,AAAA {headers['webhook-signature']}"}
    assert verify(rotated, b"{}", key=key, now=NOW) == "msg_1"
    for changed, body, at in (
        (headers, b"{ }", NOW),
        (headers | {"webhook-id": "msg_2"}, b"{}", NOW),
        (headers, b"{}", NOW + timedelta(minutes=6)),
        (headers, b"{}", NOW - timedelta(minutes=6)),
        (headers | {"webhook-signature": ""}, b"{}", NOW),
        (headers | {"webhook-timestamp": "x"}, b"{}", NOW),
        ({}, b"{}", NOW),
    ):
        with pytest.raises(SignatureRefused):
            verify(changed, body, key=key, now=at)


@pytest.fixture
def provider() -> Iterator[Provider]:
    with texts_provider() as made:
        yield made


@pytest.fixture(scope="module")
def texts_engine(server, region_template):
    database = server.clone(region_template)
    made = make_engine(database.app_url)
    invalidate()
    yield made
    made.dispose()
    server.drop(database.name)


@pytest.fixture(scope="module")
def tenant(texts_engine):
    with texts_engine.connect() as connection:
        return connection.scalar(text("SELECT id FROM tenants WHERE slug = 'city-of-portland'"))


@pytest.fixture(scope="module")
def browser(texts_engine, tmp_path_factory):
    settings = Settings(var=tmp_path_factory.mktemp("var"), secret=SECRET, text_secret=WHSEC)
    return TestApp(main({}, configured=settings, engine=texts_engine, clock=lambda: NOW))


def bring(browser, kind="message.received", status=200, key=None, **data):
    given = {"id": str(new_id()), "to": LINE} | data
    if kind != "message.received":
        given = data
    body = json.dumps({"type": kind, "data": given}).encode()
    headers = sign(key or str(new_id()), body, key=key_of(WHSEC), now=NOW)
    return browser.post("/texts", body, headers, content_type="application/json", status=status)


def thread_of(engine, tenant, number):
    with session_scope(engine, Scope(tenant)) as session:
        session.expire_on_commit = False
        return session.scalars(select(Thread).where(Thread.address == number)).one()


def test_a_text_is_kept_once_whoever_signs_it_rightly(browser, texts_engine, tenant):
    data = {"id": "sms-1", "from": "(503) 555-0123", "text": "The light is out"}
    assert bring(browser, **data).json["repeated"] is False
    assert bring(browser, **data).json["repeated"] is True
    bring(browser, **{"from": "503.555.0123", "text": "on Division"})
    thread = thread_of(texts_engine, tenant, "+15035550123")
    assert (thread.state, thread.channel, thread.line_key) == ("new", "text", "text")
    with session_scope(texts_engine, Scope(tenant)) as session:
        words = select(ThreadMessage.text).where(ThreadMessage.thread_id == thread.id)
        assert session.scalars(words.order_by(ThreadMessage.id)).all() == [
            "The light is out",
            "on Division",
        ]
    forged = browser.post("/texts", b"{}", {"webhook-id": "x"}, status=401)
    assert "webhook-timestamp" in forged.json["message"]
    bring(browser, status=400, **{"from": "call me", "text": "x"})
    bring(browser, status=404, **{"from": "503-555-0123", "to": "503-555-0199", "text": "x"})
    assert bring(browser, kind="message.read").json == {"kept": False}


def test_an_answer_leaves_by_the_provider_and_is_reported(
    browser, texts_engine, tenant, provider, tmp_path
):
    bring(browser, **{"from": "+15035550124", "text": "Hello"})
    thread = thread_of(texts_engine, tenant, "+15035550124")
    sender = From(LINE, "Text with 311", "City of Portland", SECRET)
    with session_scope(texts_engine, Scope(tenant, new_id())) as session:
        made = answer(
            session,
            thread.id,
            thread.version,
            text="Bonjour – we look.",
            sender=sender,
            done=False,
            today=NOW.date(),
            now=NOW,
        )
    settings = Settings(
        var=tmp_path,
        text_url=f"http://127.0.0.1:{provider.server_port}/v1/texts",
        text_key="key",
    )

    def letter():
        with session_scope(texts_engine, Scope(tenant)) as session:
            session.expire_on_commit = False
            return session.get_one(OutboxMessage, (tenant, made))

    provider.status = 503
    errand = Texts(settings)
    assert errand(texts_engine, tenant, lambda: NOW) >= 1
    assert (letter().state, letter().last_error) == (
        "pending",
        "The provider refused the text (503).",
    )
    provider.status = 202
    later = NOW + timedelta(minutes=1)
    errand(texts_engine, tenant, lambda: later)
    headers, sent = provider.got[-1]
    assert headers["Authorization"] == "Bearer key"
    assert headers["Idempotency-Key"] == str(made)
    assert sent == {
        "reference": f"{tenant}/{made}",
        "from": "+15035550171",
        "to": "+15035550124",
        "text": "Bonjour – we look.",
    }
    assert letter().state == "sent"
    assert bring(browser, kind="message.delivered", reference=sent["reference"]).json["kept"]
    assert letter().delivered_at == NOW
    failed = bring(
        browser, kind="message.failed", reference=sent["reference"], reason="no such number"
    )
    assert failed.json["kept"]
    assert letter().state == "dead"
    assert thread_of(texts_engine, tenant, "+15035550124").undeliverable_at == NOW
    bring(browser, kind="message.failed", status=404, reference="nonsense")
    # a person sends it again: for the provider that is another text, and an old report is not of it
    with session_scope(texts_engine, Scope(tenant, new_id())) as session:
        assert send_again(session, [made], now=later) == 1
    errand(texts_engine, tenant, lambda: later)
    headers, again = provider.got[-1]
    assert headers["Idempotency-Key"] == f"{made}.2"
    assert again["reference"] == f"{tenant}/{made}.2"
    assert letter().state == "sent"
    old = {"reference": sent["reference"], "reason": "late"}
    assert bring(browser, kind="message.failed", **old).json == {"kept": False}
    assert letter().state == "sent"
    assert bring(browser, kind="message.delivered", reference=again["reference"]).json["kept"]


def test_who_texts_of_danger_is_told_the_number_by_night_too(browser, texts_engine, tenant):
    for words in ("I want to kill myself", "I want to die, I will kill myself"):
        bring(browser, **{"from": "+15035550141", "text": words})
    with session_scope(texts_engine, Scope(tenant)) as session:
        (said,) = session.scalars(
            select(OutboxMessage).where(OutboxMessage.recipient == "+15035550141")
        )
        assert (said.event, said.channel, said.heading) == ("danger_number", "text", "")
        assert said.body.count("988") == 1
        assert "kill" not in said.body
        letter = taken(said)
        assert who_gets(session, [letter], NIGHT, secret="") == [letter]


def test_who_sent_stop_is_told_whom_to_call_all_the_same(browser, texts_engine, tenant):
    """Also when STOP comes right after, and where texts did not arrive once."""
    number = "+15035550142"
    for words in ("STOP", "I want to kill myself", "STOP"):
        bring(browser, **{"from": number, "text": words})
    with session_scope(texts_engine, Scope(tenant)) as session:
        note_trouble(session, number, "410", message_id=None, lasting=True, now=NOW)
        (said,) = session.scalars(
            select(OutboxMessage).where(
                OutboxMessage.recipient == number, OutboxMessage.event == "danger_number"
            )
        )
        assert (said.state, "988" in said.body) == ("pending", True)
        letter = taken(said)
        assert who_gets(session, [letter], NIGHT, secret="") == [letter]


def waiting(engine, tenant, recipient, **more):
    """A text about a request that is due."""
    message_id = new_id()
    given = {"event": "request_status", "heading": "", "body": "News.", "due_at": NOW} | more
    with session_scope(engine, Scope(tenant)) as session:
        row = {"tenant_id": tenant, "id": message_id, "recipient": recipient, "channel": "text"}
        put(session, OutboxMessage(**row, created_at=NOW, **given))
    return message_id


def test_stop_holds_for_what_a_worker_has_in_hand(
    browser, texts_engine, tenant, provider, tmp_path
):
    numbers = ["+15035550143", "+15035550144"]
    _first, second = (waiting(texts_engine, tenant, each) for each in numbers)
    said = []

    def clock():
        if provider.texts(numbers[0]) and not said:
            said.append(bring(browser, **{"from": numbers[1], "text": "STOP"}))
        return NOW

    errand = Texts(Settings(var=tmp_path, text_url=provider.url, text_key="key"))
    errand(texts_engine, tenant, clock)
    assert provider.texts(numbers[0]) == ["News."]
    assert provider.texts(numbers[1]) == []
    with session_scope(texts_engine, Scope(tenant)) as session:
        row = session.get_one(OutboxMessage, (tenant, second))
        assert (row.state, row.sent_at) == ("withdrawn", None)


def test_a_refusal_of_a_later_try_does_not_blame_the_number(
    texts_engine, tenant, provider, tmp_path
):
    """The text is completed anew then, and some refuse a key that comes with other content so."""
    errand = Texts(Settings(var=tmp_path, text_url=provider.url, text_key="key"))
    later = NOW + timedelta(minutes=1)
    blamed = {}
    for number, answers in (
        ("+15035550145", (503, 422)),
        ("+15035550146", (422,)),
        ("+15035550147", (503, 410)),
    ):
        message_id = waiting(texts_engine, tenant, number)
        for status, now in zip(answers, (NOW, later), strict=False):
            provider.status = status
            errand(texts_engine, tenant, lambda now=now: now)
        with session_scope(texts_engine, Scope(tenant)) as session:
            assert session.get_one(OutboxMessage, (tenant, message_id)).state == "dead"
            known = select(MailTrouble.id).where(MailTrouble.address == number)
            blamed[number] = session.execute(known).first() is not None
    assert list(blamed.values()) == [False, True, True]


def taken(row) -> Letter:
    """A row of the outbox as a worker takes it."""
    return Letter(
        row.id,
        1,
        row.recipient,
        row.language,
        row.heading,
        row.body,
        event=row.event,
        headers=row.headers,
        subject_id=row.subject_id,
        channel=row.channel,
    )


def test_stop_holds_until_start(browser, texts_engine, tenant):
    bring(browser, **{"from": "+15035550125", "text": "Hello"})
    bring(browser, **{"from": "+15035550125", "text": " Stop."})
    thread = thread_of(texts_engine, tenant, "+15035550125")
    assert (thread.stopped_at, thread.state) == (NOW, "new")
    sender = From(LINE, "Text with 311", "City of Portland", SECRET)
    with (
        pytest.raises(NotNow, match="STOP"),
        session_scope(texts_engine, Scope(tenant, new_id())) as session,
    ):
        answer(
            session,
            thread.id,
            thread.version,
            text="Hi",
            sender=sender,
            done=False,
            today=NOW.date(),
            now=NOW,
        )
    with session_scope(texts_engine, Scope(tenant)) as session:
        session.execute(update(OutboxMessage).values(state="dead"))
    bring(browser, **{"from": "+15035550125", "text": "STOP"})
    with session_scope(texts_engine, Scope(tenant)) as session:
        states = session.scalars(
            select(OutboxMessage.state)
            .where(OutboxMessage.recipient == "+15035550125")
            .order_by(OutboxMessage.id)
        ).all()
    assert states == ["withdrawn", "pending"]
    bring(browser, **{"from": "+15035550125", "text": "START"})
    bring(browser, **{"from": "+15035550125", "text": "ayuda"})
    assert thread_of(texts_engine, tenant, "+15035550125").stopped_at is None
    with session_scope(texts_engine, Scope(tenant)) as session:
        rows = session.execute(
            select(OutboxMessage.event, OutboxMessage.language)
            .where(OutboxMessage.recipient == "+15035550125")
            .order_by(OutboxMessage.id)
        ).all()
    assert rows == [("text_stop", "en")] * 2 + [("text_start", "en"), ("text_help", "es")]
