"""Mail over real SMTP: accepted when it is kept, kept once, and answered where it came from."""

from __future__ import annotations

import smtplib
import socket
from collections.abc import Iterator
from datetime import date
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from aiosmtpd.controller import Controller
from sqlalchemy import Engine, select, text

from regional311.database.ids import new_id
from regional311.database.session import Scope, make_engine, session_scope
from regional311.inbox import letters
from regional311.inbox.mail_server import receiving
from regional311.inbox.models import Thread, ThreadMessage
from regional311.inbox.working import From, answer
from regional311.intake.models import Attachment, Contact
from regional311.notices.delivery import Fate, Letter, compose
from regional311.notices.leaving import DANGER_NUMBER
from regional311.notices.models import OutboxMessage
from regional311.notices.worker import work
from regional311.referral.snapshot import invalidate
from regional311.settings import Settings
from tests.intake.pictures_sent import JPEG

from .conftest import ADDRESS, NOW, SECRET

pytestmark = pytest.mark.commits


@pytest.fixture(scope="module")
def mail_database(server, region_template):
    made = server.clone(region_template)
    yield made
    server.drop(made.name)


@pytest.fixture(scope="module")
def mail_engine(mail_database) -> Iterator[Engine]:
    made = make_engine(mail_database.app_url)
    invalidate()
    yield made
    made.dispose()


@pytest.fixture(scope="module")
def tenant(mail_engine: Engine):
    with mail_engine.connect() as connection:
        return connection.scalar(text("SELECT id FROM tenants WHERE slug = 'city-of-portland'"))


@pytest.fixture(scope="module")
def port(mail_engine: Engine, tmp_path_factory) -> Iterator[int]:
    settings = Settings(
        var=tmp_path_factory.mktemp("var"), secret=SECRET, mail_listen=("127.0.0.1", 0)
    )
    with receiving(mail_engine, settings, clock=lambda: NOW) as found:
        yield found


def letter(text: str = "It is dark.", **headers: str) -> EmailMessage:
    made = EmailMessage()
    given = {
        "From": "Ana Lopez <ana@example.org>",
        "To": ADDRESS,
        "Subject": "Street light",
        "Message-ID": f"<{new_id()}@example.org>",
    } | {name.replace("_", "-"): value for name, value in headers.items()}
    for name, value in given.items():
        made[name] = value
    made.set_content(text)
    return made


def post(port: int, made, *, to: str = ADDRESS, sender: str = "ana@example.org"):
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as server:
        if isinstance(made, bytes):
            return server.sendmail(sender, [to], made)
        return server.send_message(made, from_addr=sender, to_addrs=[to])


def kept(engine, tenant, made):
    with session_scope(engine, Scope(tenant)) as session:
        session.expire_on_commit = False
        message = session.scalars(
            select(ThreadMessage).where(
                ThreadMessage.tenant_id == tenant,
                ThreadMessage.external_key == f"email:email:{made['Message-ID']}",
            )
        ).one()
        thread = session.get_one(Thread, (tenant, message.thread_id))
        return thread, message


def test_a_letter_is_a_contact_once_however_often_it_comes(port, mail_engine, tenant):
    made = letter()
    post(port, made)
    post(port, made)
    thread, message = kept(mail_engine, tenant, made)
    assert (thread.state, thread.address, thread.name) == ("new", "ana@example.org", "Ana Lopez")
    assert (message.text, message.direction) == ("It is dark.", "in")
    with session_scope(mail_engine, Scope(tenant)) as session:
        contact = session.get_one(Contact, (tenant, thread.contact_id))
        assert (contact.channel, contact.line_key, contact.ended_at) == ("email", "email", None)


def test_nobody_has_this_address(port):
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        post(port, letter(), to="mayor@portland.example")
    assert refused.value.recipients["mayor@portland.example"][0] == 550


def test_what_came_along_is_kept_by_the_rules_of_uploads(port, mail_engine, tenant):
    made = letter()
    made.add_attachment(JPEG, maintype="image", subtype="jpeg", filename="../hole.exe")
    made.add_attachment(b"MZ", maintype="application", subtype="octet-stream", filename="run.exe")
    post(port, made)
    _thread, message = kept(mail_engine, tenant, made)
    assert message.files == 1
    assert message.left_out[0]["name"] == "run.exe"
    with session_scope(mail_engine, Scope(tenant)) as session:
        (file,) = session.scalars(select(Attachment).where(Attachment.subject_id == message.id))
        assert (file.name, file.media_type) == ("hole.jpg", "image/jpeg")


@pytest.mark.parametrize(
    ("headers", "sender", "why"),
    [
        ({"Auto_Submitted": "auto-replied"}, "ana@example.org", "auto-reply"),
        ({"Precedence": "bulk"}, "ana@example.org", "list"),
        ({"From": "MAILER-DAEMON@example.org"}, "x@example.org", "bounce"),
        ({"From": ADDRESS}, ADDRESS, "own"),
        ({"X_Spam_Flag": "YES"}, "ana@example.org", "spam"),
    ],
)
def test_machines_begin_no_contact(port, mail_engine, tenant, headers, sender, why):
    made = letter("Out of the office until Monday", **headers)
    post(port, made, sender=sender)
    thread, message = kept(mail_engine, tenant, made)
    assert (thread.automatic, message.automatic, thread.state) == (why, why, "done")
    assert (thread.contact_id, thread.danger) == (None, None)


@pytest.mark.parametrize(
    "headers",
    [{"List_Id": "<help.example.org>"}, {"X_Spam_Flag": "YES"}, {"Auto_Submitted": "auto-replied"}],
)
def test_whoever_is_in_danger_is_a_person(port, mail_engine, tenant, headers):
    made = letter("My house is on fire", **headers)
    post(port, made)
    thread, message = kept(mail_engine, tenant, made)
    assert (thread.automatic, thread.state, thread.danger) == (None, "new", message.signs[0])
    assert thread.contact_id is not None


def numbers_said(engine, tenant, address):
    with session_scope(engine, Scope(tenant)) as session:
        session.expire_on_commit = False
        return session.scalars(
            select(OutboxMessage).where(
                OutboxMessage.event == DANGER_NUMBER, OutboxMessage.recipient == address
            )
        ).all()


def test_who_writes_of_danger_is_told_the_number_at_once_and_not_again(port, mail_engine, tenant):
    """By night nobody reads letters; what is sent repeats nothing of what was written."""
    given = {"From": "Luis <luis@example.org>", "Subject": "Ayuda"}
    words = "Mi casa huele a gas desde ayer por la noche y no sabemos qué hacer con los niños"
    made = letter(words, **given)
    post(port, made, sender="luis@example.org")
    post(port, letter(words, **given), sender="luis@example.org")
    (said,) = numbers_said(mail_engine, tenant, "luis@example.org")
    assert (said.heading, said.language, said.due_at) == ("911", "es", NOW)
    assert said.body.startswith("Salga del edificio")
    assert "911" in said.body
    assert "niños" not in said.body
    left = compose(
        Letter(
            said.id,
            1,
            said.recipient,
            said.language,
            said.heading,
            said.body,
            headers=said.headers,
        ),
        mail_from="noreply@example.org",
        now=NOW,
    )
    assert left["Auto-Submitted"] == "auto-replied"
    assert left["In-Reply-To"] == made["Message-ID"]
    assert ADDRESS in left["From"]


def test_where_there_is_no_danger_or_a_machine_writes_nothing_is_said(port, mail_engine, tenant):
    sender = "quiet@example.org"
    post(port, letter("The light is out.", From=sender), sender=sender)
    bounced = letter("My house is on fire", From="MAILER-DAEMON@example.org")
    post(port, bounced, sender="mailer-daemon@example.org")
    assert numbers_said(mail_engine, tenant, sender) == []
    assert numbers_said(mail_engine, tenant, "mailer-daemon@example.org") == []


def test_the_same_id_with_other_words_is_another_letter(port, mail_engine, tenant):
    made = letter("The first")
    post(port, made)
    made.set_content("The second")
    post(port, made)
    post(port, made)
    with session_scope(mail_engine, Scope(tenant)) as session:
        said = session.scalars(
            select(ThreadMessage.text).where(
                ThreadMessage.external_key.contains(made["Message-ID"], autoescape=True)
            )
        ).all()
    assert sorted(each.strip() for each in said) == ["The first", "The second"]


def test_danger_is_seen_first(port, mail_engine, tenant):
    made = letter("My neighbour wrote that he wants to kill himself, there was a gunshot")
    post(port, made)
    thread, message = kept(mail_engine, tenant, made)
    assert thread.danger == "violence"
    assert "violence" in message.signs


@pytest.mark.parametrize(
    "content",
    [
        b"Subject: =?utf-8?q?=ff?=\r\nFrom: a@e.org\r\nMessage-ID: <bad-1@e>\r\n\r\n\xff\x00 ok",
        b"From: <<<>>>@@\r\nMessage-ID: <bad-2@e>\r\nContent-Type: text/plain; charset=k\r\n\r\nhi",
        b"Message-ID: <bad-3@e>\r\nContent-Type: multipart/mixed; boundary=\r\n\r\nnothing",
        b"Message-ID: <bad-4@e>\r\nContent-Type: text/html\r\n\r\n<script>alert(1)</script><p>Hi",
    ],
)
def test_broken_letters_are_kept_as_far_as_they_can_be_read(port, mail_engine, tenant, content):
    post(port, content)
    number = content.partition(b"<bad-")[2][:1].decode()
    _thread, message = kept(mail_engine, tenant, {"Message-ID": f"<bad-{number}@e>"})
    assert "\x00" not in message.text
    assert "<" not in message.text


@pytest.mark.parametrize("sender", ['"x@a..b', "x@a..b", "x@a.-b", "x@a-.b", ".x@a", "x@a\x00b"])
def test_what_is_no_address_is_nobody(sender):
    content = f"From: {sender}\r\nMessage-ID: <a\x00b@e>\r\n\r\nhi".encode()
    read = letters.read(content, envelope_from="")
    assert (read.sender, "\x00" in read.message_id) == ("", False)


def test_a_line_break_in_a_name_or_a_subject_is_no_header(port, mail_engine, tenant):
    """Neither of what is kept nor of what is answered to it."""
    words = "=?utf-8?q?Rosa=0D=0ABcc:_all=40example.org=07?="
    content = (
        f"From: {words} <rosa@example.org>\r\nTo: {ADDRESS}\r\nSubject: {words}{'x' * 900}\r\n"
        "Message-ID: <breaks@example.org>\r\n\r\nIt is dark.\r\n"
    )
    post(port, content.encode(), sender="rosa@example.org")
    thread, message = kept(mail_engine, tenant, {"Message-ID": "<breaks@example.org>"})
    for said, most in (
        (thread.name, letters.LONGEST_NAME),
        (thread.subject, letters.LONGEST_SUBJECT),
        (message.subject, letters.LONGEST_SUBJECT),
    ):
        assert len(said) <= most
        assert said.isprintable()
    assert thread.address == "rosa@example.org"


def test_what_is_too_large_is_refused_at_once(port):
    head = b"".join(b"X-%d: %s\r\n" % (each, b"y" * 900) for each in range(160))
    with pytest.raises(smtplib.SMTPDataError) as refused:
        post(port, b"From: a@example.org\r\n" + head + b"\r\nhi")
    assert refused.value.smtp_code == 552
    with pytest.raises((smtplib.SMTPSenderRefused, smtplib.SMTPDataError)) as refused:
        post(port, b"From: a@example.org\r\n\r\n" + b"x" * 70 + b"\r\n" + b"y\r\n" * 9_000_000)
    assert refused.value.smtp_code == 552


def test_while_the_database_is_away_the_sender_keeps_the_letter(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nobody = probe.getsockname()[1]
    engine = make_engine(f"postgresql://nobody:x@127.0.0.1:{nobody}/none")
    settings = Settings(var=tmp_path, secret=SECRET, mail_listen=("127.0.0.1", 0))
    invalidate()
    with (
        receiving(engine, settings) as found,
        pytest.raises(smtplib.SMTPRecipientsRefused) as refused,
    ):
        post(found, letter())
    assert refused.value.recipients[ADDRESS][0] == 451
    engine.dispose()


class Mailbox:
    def __init__(self) -> None:
        self.got: list = []

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        self.got.append((envelope, message_from_bytes(envelope.content, policy=policy.default)))
        return "250 OK"


def test_an_answer_leaves_by_smtp_and_its_answer_finds_the_thread(
    port, mail_engine, tenant, tmp_path
):
    made = letter(Subject="Lámpara")
    post(port, made)
    thread, _message = kept(mail_engine, tenant, made)
    me = new_id()
    with session_scope(mail_engine, Scope(tenant, me)) as session:
        sender = From(ADDRESS, "Mail to 311", "City of Portland", SECRET)
        answer(
            session,
            thread.id,
            thread.version,
            text="We look\nat it.",
            sender=sender,
            done=False,
            today=date(2026, 10, 5),
            now=NOW,
        )
    box = Mailbox()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        out = probe.getsockname()[1]
    controller = Controller(box, hostname="127.0.0.1", port=out)
    controller.start()
    try:
        settings = Settings(
            var=tmp_path, smtp_url=f"smtp://127.0.0.1:{out}", mail_from="no-reply@portland.example"
        )
        assert set(work(mail_engine, settings, once=True, clock=lambda: NOW)) == {Fate.SENT}
    finally:
        controller.stop()
    ((envelope, sent),) = [each for each in box.got if each[1]["Subject"] == "Re: Lámpara"]
    assert sent["In-Reply-To"] == made["Message-ID"]
    assert sent["References"] == made["Message-ID"]
    assert sent["Subject"] == "Re: Lámpara"
    assert str(sent["From"]) == f"Mail to 311 <{ADDRESS}>"
    assert sent["Auto-Submitted"] is None
    assert sent.get_content().replace("\r\n", "\n").startswith("We look\nat it.")
    assert letters.thread_named(sent["Reply-To"], SECRET) == (ADDRESS, thread.id)
    assert envelope.mail_from == sent["Reply-To"]
    # by its signed address alone, by our Message-ID alone, by the subject alone
    by_address = letter("Thanks", Subject="x", From="ana@work.example")
    post(port, by_address, to=str(sent["Reply-To"]), sender="ana@work.example")
    by_reference = letter("And?", Subject="y", In_Reply_To=str(sent["Message-ID"]))
    post(port, by_reference)
    by_subject = letter("Once more", Subject="RE: Lámpara")
    post(port, by_subject)
    for each in (by_address, by_reference, by_subject):
        assert kept(mail_engine, tenant, each)[0].id == thread.id
    again, message = kept(mail_engine, tenant, by_address)
    assert message.sender == "ana@work.example"
    assert (again.state, again.claimed_by) == ("claimed", me)
    bounce = letter("undeliverable", From="MAILER-DAEMON@example.org")
    post(port, bounce, to=str(sent["Reply-To"]), sender="")
    assert kept(mail_engine, tenant, bounce)[0].undeliverable_at == NOW
