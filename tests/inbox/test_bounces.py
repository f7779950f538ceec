"""Mail that comes back: real reports by SMTP mark the message; forged ones do nothing."""

from __future__ import annotations

import smtplib
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from uuid import UUID

import pytest
from sqlalchemy import select, text

from regional311.audit.queries import history
from regional311.database.ids import new_id
from regional311.database.rows import put
from regional311.database.session import Scope, session_scope
from regional311.inbox import bounces
from regional311.inbox.bounces import Report, report_in
from regional311.inbox.letters import reply_address
from regional311.inbox.mail_server import receiving
from regional311.inbox.models import Thread, ThreadMessage
from regional311.notices.models import MailTrouble, OutboxMessage
from regional311.notices.ways_out import return_address
from regional311.settings import Settings

NOW = datetime(2026, 10, 5, 17, 0, tzinfo=UTC)
SECRET = "s" * 40
FROM = "no-reply@portland.example"
LINE = "311@portland.example"


def report(status: str = "5.1.1", action: str = "failed", *, to: str = "gone@example.org") -> bytes:
    """A delivery status notification as mail servers send it (RFC 3464)."""
    return (
        "From: Mail Delivery System <MAILER-DAEMON@mx.example>\r\n"
        "To: x\r\n"
        "Subject: Undelivered Mail Returned to Sender\r\n"
        f"Message-ID: <{new_id()}@mx.example>\r\n"
        "Auto-Submitted: auto-replied\r\n"
        "MIME-Version: 1.0\r\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n'
        "\r\n--b\r\nContent-Type: text/plain\r\n\r\nI am sorry.\r\n"
        "\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n"
        "Reporting-MTA: dns; mx.example\r\n\r\n"
        f"Final-Recipient: rfc822; {to}\r\nAction: {action}\r\nStatus: {status}\r\n"
        "Diagnostic-Code: smtp; 550 no such user\r\n"
        "\r\n--b\r\nContent-Type: text/rfc822-headers\r\n\r\nSubject: News\r\n\r\n--b--\r\n"
    ).encode()


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (report(), Report("5.1.1", lasting=True)),
        (report("4.2.2", "delayed"), Report("4.2.2", lasting=False)),
        (report("4.4.7"), Report("4.4.7", lasting=False)),
        (report("2.0.0", "delivered"), None),
        (report("nonsense"), None),
        (b"Subject: hello\r\n\r\nStatus: 5.1.1\r\n", None),
        (b"\xff\xfe\x00", None),
        (b"", None),
    ],
)
def test_reports_are_read(content, found):
    assert report_in(content) == found


@pytest.fixture
def engine(committed_database):
    return committed_database.engine()


@pytest.fixture
def tenant_id(engine) -> UUID:
    with engine.connect() as connection:
        found = connection.scalar(text("SELECT id FROM tenants WHERE slug = 'city-of-portland'"))
        return UUID(str(found))


@pytest.fixture
def port(engine, tmp_path):
    settings = Settings(var=tmp_path, secret=SECRET, mail_listen=("127.0.0.1", 0))
    with receiving(engine, settings, clock=lambda: NOW) as found:
        yield found


@pytest.fixture
def sent(engine, tenant_id):
    """A message that left to an address of its own; gives its id."""

    def made(**said) -> UUID:
        message_id = new_id()
        given = {
            "event": "request_status",
            "recipient": f"{message_id}@example.org",
            "heading": "News",
            "body": "It is fixed.",
            "state": "sent",
            "created_at": NOW,
            "due_at": NOW,
        } | said
        with session_scope(engine, Scope(tenant_id)) as session:
            put(session, OutboxMessage(tenant_id=tenant_id, id=message_id, **given))
        return message_id

    return made


def post(port: int, content: bytes, to: str) -> None:
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as server:
        server.sendmail("", [to], content)


def state_of(engine, tenant_id, message_id) -> str:
    with session_scope(engine, Scope(tenant_id)) as session:
        return session.execute(
            select(OutboxMessage.state).where(OutboxMessage.id == message_id)
        ).scalar_one()


def stopped(engine, tenant_id) -> set[str]:
    with session_scope(engine, Scope(tenant_id)) as session:
        return set(
            session.scalars(select(MailTrouble.address).where(MailTrouble.stopped_at.is_not(None)))
        )


def test_what_comes_back_marks_its_message_and_stops_its_address(engine, tenant_id, port, sent):
    message_id = sent()
    post(port, report(), return_address(FROM, SECRET, tenant_id, message_id))
    assert state_of(engine, tenant_id, message_id) == "dead"
    assert f"{message_id}@example.org" in stopped(engine, tenant_id)


def test_what_says_that_it_will_be_tried_again_stops_nothing(engine, tenant_id, port, sent):
    message_id = sent()
    post(port, report("4.4.1", "delayed"), return_address(FROM, SECRET, tenant_id, message_id))
    assert state_of(engine, tenant_id, message_id) == "sent"
    assert f"{message_id}@example.org" not in stopped(engine, tenant_id)


def test_a_forged_report_does_nothing(engine, tenant_id, port, sent):
    message_id, before = sent(), stopped(engine, tenant_id)
    forged = return_address(FROM, "another secret", tenant_id, message_id)
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        post(port, report(), forged)
    # to a line's own address it is one more automatic letter, whomever it names
    post(port, report(to=f"{message_id}@example.org"), LINE)
    assert state_of(engine, tenant_id, message_id) == "sent"
    assert stopped(engine, tenant_id) == before


def test_an_automatic_reply_to_the_return_address_does_nothing(engine, tenant_id, port, sent):
    message_id = sent()
    away = EmailMessage()
    away["Subject"], away["From"], away["Auto-Submitted"] = "Away", "a@b.example", "auto-replied"
    away.set_content("Status: 5.1.1")
    post(port, away.as_bytes(), return_address(FROM, SECRET, tenant_id, message_id))
    assert state_of(engine, tenant_id, message_id) == "sent"


def thread(engine, tenant_id, *, state: str, last_at: datetime) -> UUID:
    thread_id, person = new_id(), new_id()
    with session_scope(engine, Scope(tenant_id)) as session:
        put(
            session,
            Thread(
                tenant_id=tenant_id,
                id=thread_id,
                public_id=f"T-{str(thread_id)[-8:]}",
                channel="email",
                line_key="email",
                address=f"{thread_id}@example.org",
                state=state,
                claimed_by=person if state == "waiting" else None,
                began_at=NOW,
                waiting_since=NOW,
                last_at=last_at,
                done_at=NOW if state == "done" else None,
            ),
        )
    return thread_id


def test_an_answer_that_comes_back_brings_its_thread_back(engine, tenant_id, port, sent):
    thread_id = thread(engine, tenant_id, state="waiting", last_at=NOW)
    answer = sent(event="thread_answer", subject_id=thread_id, recipient=f"{thread_id}@example.org")
    post(port, report(), reply_address(LINE, thread_id, SECRET))
    assert state_of(engine, tenant_id, answer) == "dead"
    with session_scope(engine, Scope(tenant_id)) as session:
        found = session.get_one(Thread, (tenant_id, thread_id))
        assert (found.state, found.undeliverable_at) == ("claimed", NOW)
        said = session.scalars(
            select(ThreadMessage.automatic).where(ThreadMessage.thread_id == thread_id)
        )
        assert list(said) == ["bounce"]


@pytest.mark.parametrize(
    ("state", "then", "wrote", "comes"),
    [
        ("waiting", "claimed", 0, True),
        ("done", "new", 0, True),
        # whoever has written since is answered anyhow
        ("waiting", "waiting", 2, False),
    ],
)
def test_an_answer_that_was_given_up_brings_its_thread_back(
    engine, tenant_id, sent, state, then, wrote, comes
):
    last_at = NOW + timedelta(hours=wrote)
    thread_id = thread(engine, tenant_id, state=state, last_at=last_at)
    sent(
        event="thread_answer",
        subject_id=thread_id,
        state="dead",
        died_at=NOW + timedelta(hours=1),
    )
    for _ in range(2):
        with session_scope(engine, Scope(tenant_id)) as session:
            bounces.bring_back(session, NOW + timedelta(hours=3))
    with session_scope(engine, Scope(tenant_id)) as session:
        found = session.get_one(Thread, (tenant_id, thread_id))
        assert found.state == then
        assert (found.undeliverable_at is not None) is comes
        assert found.version == (2 if comes else 1)
        trail = [each.action for each in history(session, thread_id)]
        assert trail.count("thread:undelivered") == (1 if comes else 0)
