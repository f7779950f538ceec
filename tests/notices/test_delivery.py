"""The outbox, delivered to a real SMTP server on loopback."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path
from uuid import UUID

import pytest
from aiosmtpd.controller import Controller
from sqlalchemy import Engine, select, text

from regional311.database.ids import new_id
from regional311.database.rows import put
from regional311.database.session import Scope, session_scope
from regional311.notices import delivery
from regional311.notices.delivery import (
    Fate,
    Letter,
    compose,
    deliver_due,
    lease,
    retry_after,
)
from regional311.notices.handling import bring_back, dead, send_again, set_aside
from regional311.notices.models import OutboxMessage
from regional311.notices.worker import Chore, Errand, work
from regional311.settings import Settings

NOW = datetime(2026, 10, 5, 17, 0, tzinfo=UTC)


class Mailbox:
    """Keeps what it gets; refuses addresses as told."""

    def __init__(self) -> None:
        self.messages: list = []
        self.refuse: dict[str, str] = {}
        self.refuse_content: str | None = None
        self.answers_after = 0.0
        self.takes_up_after = 0.0
        self._lock = threading.Lock()

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802
        await asyncio.sleep(self.takes_up_after)
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        if self.refuse_content:
            return self.refuse_content
        with self._lock:
            self.messages.append(message_from_bytes(envelope.content, policy=policy.default))
        await asyncio.sleep(self.answers_after)
        return "250 OK"


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, Controller]]:
    box = Mailbox()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    yield box, controller
    controller.stop()


def settings_for(controller: Controller | None, port: int | None = None) -> Settings:
    if controller is not None:
        port = controller.port
    address = None if port is None else f"smtp://127.0.0.1:{port}"
    return Settings(var=Path("unused"), smtp_url=address, mail_from="311@portland.example")


@pytest.fixture
def own_engine(committed_database) -> Engine:
    return committed_database.engine()


@pytest.fixture
def tenant_id(own_engine: Engine) -> UUID:
    with own_engine.connect() as connection:
        return UUID(
            str(connection.scalar(text("SELECT id FROM tenants WHERE slug = 'city-of-portland'")))
        )


def write(engine: Engine, tenant_id: UUID, recipient: str = "ana@example.org", **more) -> UUID:
    message_id = new_id()
    values = {
        "event": "request_received",
        "heading": "We received your request",
        "body": "Número R-7K3M9-QP4TX",
        "created_at": NOW,
        "due_at": NOW,
    } | more
    with session_scope(engine, Scope(tenant_id)) as session:
        put(
            session,
            OutboxMessage(tenant_id=tenant_id, id=message_id, recipient=recipient, **values),
        )
    return message_id


def read(engine: Engine, tenant_id: UUID, message_id: UUID) -> OutboxMessage:
    with session_scope(engine, Scope(tenant_id)) as session:
        return session.scalars(
            select(OutboxMessage).where(
                OutboxMessage.tenant_id == tenant_id, OutboxMessage.id == message_id
            )
        ).one()


def test_a_message_is_delivered_once(own_engine, tenant_id, mailbox) -> None:
    box, controller = mailbox
    message_id = write(own_engine, tenant_id)
    assert work(own_engine, settings_for(controller), once=True, clock=lambda: NOW) == {
        Fate.SENT: 1
    }
    assert not work(own_engine, settings_for(controller), once=True, clock=lambda: NOW)
    (message,) = box.messages
    assert message["Message-ID"] == f"<{message_id}@portland.example>"
    assert message["To"] == "ana@example.org"
    assert message["From"] == "311@portland.example"
    assert "Número R-7K3M9-QP4TX" in message.get_content()
    row = read(own_engine, tenant_id, message_id)
    assert (row.state, row.sent_at, row.attempts, row.leased_until) == ("sent", NOW, 1, None)


def test_what_is_taken_back_while_others_leave_does_not_leave(
    own_engine, tenant_id, mailbox
) -> None:
    box, controller = mailbox
    first, second = write(own_engine, tenant_id), write(own_engine, tenant_id, "bo@example.org")

    def clock() -> datetime:
        if box.messages:
            with session_scope(own_engine, Scope(tenant_id)) as session:
                row = session.get_one(OutboxMessage, (tenant_id, second))
                row.state, row.recipient = "withdrawn", ""
        return NOW

    outcomes = deliver_due(own_engine, settings_for(controller), tenant_id, clock=clock)
    assert [(each.letter.id, each.fate) for each in outcomes] == [
        (first, Fate.SENT),
        (second, Fate.HELD),
    ]
    assert len(box.messages) == 1
    assert read(own_engine, tenant_id, second).state == "withdrawn"


def test_a_message_not_yet_due_waits(own_engine, tenant_id, mailbox) -> None:
    box, controller = mailbox
    write(own_engine, tenant_id, due_at=NOW + timedelta(seconds=1))
    assert not work(own_engine, settings_for(controller), once=True, clock=lambda: NOW)
    assert not box.messages


def test_a_server_that_is_down_is_tried_again_with_growing_waits(own_engine, tenant_id) -> None:
    message_id = write(own_engine, tenant_id)
    down = settings_for(None, port=1)
    (outcome,) = deliver_due(own_engine, down, tenant_id, clock=lambda: NOW)
    assert outcome.fate is Fate.RETRY
    row = read(own_engine, tenant_id, message_id)
    assert (row.state, row.attempts, row.due_at) == ("pending", 1, NOW + timedelta(seconds=30))
    assert row.last_error == "The mail server could not be reached (ConnectionRefusedError)."
    assert deliver_due(own_engine, down, tenant_id, clock=lambda: NOW) == []
    deliver_due(own_engine, down, tenant_id, clock=lambda: row.due_at)
    second = read(own_engine, tenant_id, message_id)
    assert second.due_at == row.due_at + timedelta(minutes=1)


def test_a_message_is_given_up_and_a_person_can_send_it_again(
    own_engine, tenant_id, mailbox
) -> None:
    box, controller = mailbox
    message_id = write(own_engine, tenant_id, attempts=delivery.MAX_ATTEMPTS - 1)
    deliver_due(own_engine, settings_for(None, port=1), tenant_id, clock=lambda: NOW)
    assert read(own_engine, tenant_id, message_id).state == "dead"
    with session_scope(own_engine, Scope(tenant_id)) as session:
        assert send_again(session, [message_id], now=NOW) == 1
        assert send_again(session, [message_id], now=NOW) == 0
    assert work(own_engine, settings_for(controller), once=True, clock=lambda: NOW)[Fate.SENT] == 1
    # a mailbox that had the first one after all does not throw this one away
    (message,) = box.messages
    assert message["Message-ID"] == f"<{message_id}.2@portland.example>"


def test_what_a_person_sets_aside_waits_for_nobody(own_engine, tenant_id) -> None:
    one = write(own_engine, tenant_id, state="dead")
    sent = write(own_engine, tenant_id, state="sent")
    with session_scope(own_engine, Scope(tenant_id)) as session:
        before = dead(session)
        assert set_aside(session, [one, sent], now=NOW) == 1
        assert dead(session) == before - 1
        assert bring_back(session, [one, sent], now=NOW) == 1
        assert dead(session) == before
    assert read(own_engine, tenant_id, sent).state == "sent"
    with session_scope(own_engine, Scope(tenant_id)) as session:
        trail = session.execute(
            text("SELECT action FROM audit_events WHERE subject_id = :id ORDER BY id"), {"id": one}
        ).scalars()
        assert list(trail) == ["message:aside", "message:bring_back"]


def test_a_mail_server_may_be_down_for_a_day(own_engine, tenant_id, mailbox) -> None:
    """Every attempt of a day fails; when the server is back the letter leaves, within an hour."""
    box, controller = mailbox
    message_id = write(own_engine, tenant_id)
    now, ends = NOW, NOW + timedelta(days=1)
    while now < ends:
        deliver_due(own_engine, settings_for(None, port=1), tenant_id, clock=lambda at=now: at)
        row = read(own_engine, tenant_id, message_id)
        assert row.state == "pending"
        now = row.due_at
    assert now - ends <= timedelta(hours=1)
    work(own_engine, settings_for(controller), once=True, clock=lambda: now)
    assert read(own_engine, tenant_id, message_id).state == "sent"
    assert len(box.messages) == 1


def test_a_letter_is_given_up_after_four_days() -> None:
    waits = [retry_after(attempt) for attempt in range(1, delivery.MAX_ATTEMPTS)]
    assert waits[:3] == [timedelta(seconds=30), timedelta(minutes=1), timedelta(minutes=2)]
    assert retry_after(delivery.MAX_ATTEMPTS) is None
    assert timedelta(days=4) <= sum(waits, timedelta()) < timedelta(days=5)


def test_what_left_is_kept_word_for_word(own_engine, tenant_id, mailbox) -> None:
    box, controller = mailbox
    plain = write(own_engine, tenant_id)

    def more(_session, letters, _now):
        return [replace(each, body=f"{each.body}\n\nThe library is closed.\n") for each in letters]

    work(own_engine, settings_for(controller), once=True, clock=lambda: NOW)
    added = write(own_engine, tenant_id)
    work(own_engine, settings_for(controller), once=True, clock=lambda: NOW, complete=more)
    assert read(own_engine, tenant_id, plain).sent_body is None
    row = read(own_engine, tenant_id, added)
    assert row.body == "Número R-7K3M9-QP4TX"
    assert row.sent_body == "Número R-7K3M9-QP4TX\n\nThe library is closed.\n"
    assert box.messages[1].get_content().split() == row.sent_body.split()


@pytest.mark.parametrize(
    ("answer", "state", "fate"),
    [("550 no such mailbox", "dead", Fate.DEAD), ("451 try later", "pending", Fate.RETRY)],
)
def test_a_refused_recipient(own_engine, tenant_id, mailbox, answer, state, fate) -> None:
    box, controller = mailbox
    box.refuse["nobody@example.org"] = answer
    refused = write(own_engine, tenant_id, "nobody@example.org")
    fine = write(own_engine, tenant_id)
    assert work(own_engine, settings_for(controller), once=True, clock=lambda: NOW) == {
        fate: 1,
        Fate.SENT: 1,
    }
    row = read(own_engine, tenant_id, refused)
    assert row.state == state
    assert answer[:3] in row.last_error
    assert "nobody" not in row.last_error
    assert read(own_engine, tenant_id, fine).state == "sent"


def test_a_refused_content(own_engine, tenant_id, mailbox) -> None:
    box, controller = mailbox
    box.refuse_content = "554 no"
    message_id = write(own_engine, tenant_id)
    work(own_engine, settings_for(controller), once=True, clock=lambda: NOW)
    assert read(own_engine, tenant_id, message_id).state == "dead"


def hurried(controller: Controller, *, final: float) -> Settings:
    return replace(settings_for(controller), smtp_seconds=0.3, smtp_final_seconds=final)


def test_a_server_that_is_slow_about_a_whole_message_gets_it_once(
    own_engine, tenant_id, mailbox
) -> None:
    box, controller = mailbox
    box.answers_after = 0.8
    message_id = write(own_engine, tenant_id)
    fates = work(own_engine, hurried(controller, final=20), once=True, clock=lambda: NOW)
    assert fates == {Fate.SENT: 1}
    assert len(box.messages) == 1
    assert read(own_engine, tenant_id, message_id).state == "sent"


def test_a_message_of_which_no_answer_came_is_never_sent_twice_by_itself(
    own_engine, tenant_id, mailbox
) -> None:
    """It may have arrived: it waits for a person, and holds up nothing else."""
    box, controller = mailbox
    box.answers_after = 30
    settings = hurried(controller, final=0.3)
    first = write(own_engine, tenant_id)
    second = write(own_engine, tenant_id, "bo@example.org")
    outcomes = deliver_due(own_engine, settings, tenant_id, clock=lambda: NOW)
    assert [each.fate for each in outcomes] == [Fate.UNKNOWN, Fate.RETRY]
    box.answers_after = 0
    later = NOW + timedelta(days=1)
    assert work(own_engine, settings, once=True, clock=lambda: later) == {Fate.SENT: 1}
    assert [each["To"] for each in box.messages] == ["ana@example.org", "bo@example.org"]
    row = read(own_engine, tenant_id, first)
    assert (row.state, row.last_error) == ("dead", delivery.UNKNOWN)
    assert read(own_engine, tenant_id, second).state == "sent"
    with session_scope(own_engine, Scope(tenant_id)) as session:
        assert send_again(session, [first], now=later) == 1
    work(own_engine, settings, once=True, clock=lambda: later)
    assert len(box.messages) == 3


def test_a_server_that_is_slow_before_a_message_is_tried_again(
    own_engine, tenant_id, mailbox
) -> None:
    """It has nothing yet, so nothing can arrive twice."""
    box, controller = mailbox
    box.takes_up_after = 1.0
    message_id = write(own_engine, tenant_id)
    (outcome,) = deliver_due(
        own_engine, hurried(controller, final=20), tenant_id, clock=lambda: NOW
    )
    assert outcome.fate is Fate.RETRY
    assert read(own_engine, tenant_id, message_id).state == "pending"
    assert not box.messages


def test_another_worker_leaves_alone_what_a_slow_server_is_busy_with(
    own_engine, tenant_id, mailbox
) -> None:
    """The lease is as long as a server may take over a letter, and not only as it is usual."""
    box, controller = mailbox
    box.answers_after = 1.0
    settings = settings_for(controller)
    write(own_engine, tenant_id)
    slow = threading.Thread(
        target=work, args=(own_engine, settings), kwargs={"once": True, "clock": lambda: NOW}
    )
    slow.start()
    while not box.messages:
        slow.join(0.01)
    late = NOW + delivery.LEASE + timedelta(minutes=1)
    assert not deliver_due(own_engine, settings, tenant_id, clock=lambda: late)
    slow.join()
    assert len(box.messages) == 1


def test_lines_that_begin_with_a_dot_arrive_as_they_were_written(
    own_engine, tenant_id, mailbox
) -> None:
    box, controller = mailbox
    body = ".\n..two\n.profile\nend\n"
    write(own_engine, tenant_id, body=body)
    work(own_engine, settings_for(controller), once=True, clock=lambda: NOW)
    (message,) = box.messages
    assert message.get_content().splitlines() == body.splitlines()


@pytest.mark.parametrize(
    ("recipient", "heading"),
    [
        ("ana@example.org\nBcc: all@example.org", "Hello"),
        ("ana@example.org", "Hello\r\nBcc: all@example.org"),
        ("ana", "Hello"),
        ('"x@a..b', "Hello"),
        ("x@a..b", "Hello"),
        ("ana@example.org, bob@example.org", "Hello"),
    ],
)
def test_a_forged_header_is_never_sent(own_engine, tenant_id, mailbox, recipient, heading) -> None:
    box, controller = mailbox
    message_id = write(own_engine, tenant_id, recipient, heading=heading)
    work(own_engine, settings_for(controller), once=True, clock=lambda: NOW)
    assert read(own_engine, tenant_id, message_id).state == "dead"
    assert not box.messages


def test_without_a_mail_server_a_message_says_why_it_waits(own_engine, tenant_id, mailbox) -> None:
    message_id = write(own_engine, tenant_id)
    assert not work(own_engine, settings_for(None), once=True, clock=lambda: NOW)
    row = read(own_engine, tenant_id, message_id)
    assert (row.state, row.attempts, row.last_error) == ("pending", 0, delivery.NO_SERVER)
    assert work(own_engine, settings_for(mailbox[1]), once=True, clock=lambda: NOW) == {
        Fate.SENT: 1
    }


def test_two_workers_do_not_send_twice(own_engine, tenant_id, mailbox) -> None:
    box, controller = mailbox
    ids = {f"<{write(own_engine, tenant_id)}@portland.example>" for _ in range(60)}
    settings = settings_for(controller)
    workers = [
        threading.Thread(
            target=work, args=(own_engine, settings), kwargs={"once": True, "clock": lambda: NOW}
        )
        for _ in range(2)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(message["Message-ID"] for message in box.messages) == sorted(ids)


def test_a_dead_workers_lease_runs_out(own_engine, tenant_id, mailbox) -> None:
    message_id = write(own_engine, tenant_id)
    with session_scope(own_engine, Scope(tenant_id)) as session:
        assert len(lease(session, now=NOW, until=NOW + delivery.LEASE)) == 1
    settings = settings_for(mailbox[1])
    assert not deliver_due(own_engine, settings, tenant_id, clock=lambda: NOW)
    later = NOW + delivery.LEASE
    assert len(deliver_due(own_engine, settings, tenant_id, clock=lambda: later)) == 1
    assert read(own_engine, tenant_id, message_id).attempts == 2


def test_letters_that_the_lease_leaves_no_time_for_are_given_back(
    own_engine, tenant_id, mailbox
) -> None:
    message_id = write(own_engine, tenant_id)
    times = iter([NOW, NOW, NOW + delivery.LEASE, NOW + delivery.LEASE])
    (outcome,) = deliver_due(
        own_engine, settings_for(mailbox[1]), tenant_id, clock=lambda: next(times)
    )
    assert outcome.fate is Fate.UNTRIED
    row = read(own_engine, tenant_id, message_id)
    assert (row.state, row.attempts, row.leased_until) == ("pending", 0, None)
    assert not mailbox[0].messages


def test_a_tenants_message_is_invisible_to_another(own_engine, tenant_id, mailbox) -> None:
    write(own_engine, tenant_id)
    with own_engine.connect() as connection:
        others = [
            UUID(str(other))
            for other in connection.scalars(text("SELECT id FROM tenants"))
            if UUID(str(other)) != tenant_id
        ]
    for other in others:
        assert not deliver_due(own_engine, settings_for(mailbox[1]), other, clock=lambda: NOW)


def test_a_worker_stops_when_told(own_engine, tenant_id) -> None:
    stop = threading.Event()
    stop.set()
    assert not work(own_engine, settings_for(None), stop_event=stop)


def test_ids_of_what_is_answered_are_never_broken() -> None:
    """Large providers make ids that are longer than a line of a header."""
    ids = [f"<{'x' * 90}{number}@mail.example>" for number in range(3)]
    headers = {"from": ["311", "311@portland.example"], "reply_to": "311@portland.example"}
    letter = Letter(
        new_id(), 1, "ana@example.org", "en", "Re: Ñ", "Hi", headers=headers | {"references": ids}
    )
    content = compose(letter, mail_from="311@portland.example", now=NOW).as_bytes()
    assert f"In-Reply-To: {ids[2]}\r\n".encode() in content
    assert "References: {}\r\n".format("\r\n ".join(ids)).encode() in content
    assert b"Subject: Re: =?utf-8?" in content


def test_a_letter_in_another_language() -> None:
    letter = Letter(new_id(), 1, "ana@example.org", "vi", "Yêu cầu của bạn", "Cảm ơn")
    message = compose(letter, mail_from="311@portland.example", now=NOW)
    assert message["Content-Language"] == "vi"
    assert message["Subject"] == "Yêu cầu của bạn"
    assert message["Auto-Submitted"] == "auto-generated"


def test_an_errand_apart_lets_nothing_wait(own_engine):
    stop, quick, waited = threading.Event(), threading.Event(), []

    def slow(_engine, _tenant_id, _clock) -> int:
        waited.append(quick.wait(30))
        stop.set()
        return 0

    def at_once(_session, _now) -> int:
        quick.set()
        return 0

    chores = [Errand("slow", 1, slow, apart=True), Chore("quick", 1, at_once)]
    work(own_engine, settings_for(None), stop_event=stop, chores=chores)
    assert waited[:1] == [True]


def test_chores_do_not_wait_for_a_slow_mail_server(own_engine, tenant_id, mailbox) -> None:
    box, controller = mailbox
    box.answers_after = 1.0
    write(own_engine, tenant_id)
    stop, done_while_busy = threading.Event(), []

    def chore(_session, _now) -> int:
        if box.messages:
            done_while_busy.append(True)
            stop.set()
        return 0

    fates = work(
        own_engine,
        settings_for(controller),
        stop_event=stop,
        chores=[Chore("quick", 0, chore)],
        clock=lambda: NOW,
    )
    assert done_while_busy[:1] == [True]
    assert fates == {Fate.SENT: 1}


def test_a_worker_ends_as_a_whole_when_an_errand_apart_dies(own_engine, monkeypatch):
    monkeypatch.setattr(threading, "excepthook", lambda _args: None)

    def dies(_engine, _tenant_id, _clock) -> int:
        raise RuntimeError

    work(own_engine, settings_for(None), chores=[Errand("dies", 1, dies, apart=True)])
