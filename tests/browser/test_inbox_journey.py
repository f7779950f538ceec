"""A mail comes over SMTP, is claimed, answered with a template, and the answer arrives by SMTP."""

from __future__ import annotations

import smtplib
import socket
from email import message_from_bytes, policy
from email.message import EmailMessage

from aiosmtpd.controller import Controller

from regional311.inbox.mail_server import receiving
from regional311.notices.worker import work
from regional311.settings import Settings

from .conftest import follow

CITY = "city-of-portland"
SECRET = "a secret for tests of forty characters.."


class Mailbox:
    """Keeps what it gets."""

    def __init__(self) -> None:
        self.got: list = []

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        self.got.append(message_from_bytes(envelope.content, policy=policy.default))
        return "250 OK"


def mail(port: int, words: str, subject: str, number: int) -> None:
    letter = EmailMessage()
    letter["From"] = "Ana Lopez <ana@example.org>"
    letter["To"] = "311@portland.example"
    letter["Subject"] = subject
    letter["Message-ID"] = f"<journey-{number}@example.org>"
    letter.set_content(words)
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as server:
        server.send_message(letter)


def test_a_mail_is_answered_by_mail(open_page, examine, site, tmp_path):
    boss = open_page("supervisor", CITY)
    boss.goto(f"/{CITY}/answer-templates")
    examine(boss, "templates")
    follow(boss.get_by_role("link", name="Add a template"))
    boss.get_by_role("textbox", name="Name", exact=True).fill("On its way")
    words = "Dear {name}, somebody looks at it. Your number is {number}."
    boss.get_by_label("Text in English").fill(words)
    examine(boss, "template")
    follow(boss.get_by_role("button", name="Save"))
    settings = Settings(var=tmp_path, secret=SECRET, mail_listen=("127.0.0.1", 0))
    with receiving(site.engine, settings) as port:
        mail(port, "It is dark on Division Street.", "Street light", 1)
        mail(port, "I think there is a gas leak", "Smell", 2)
    page = open_page("specialist", CITY)
    page.goto(f"/{CITY}/inbox")
    examine(page, "inbox")
    follow(page.get_by_role("row", name="Street light").get_by_role("link", name="Ana Lopez"))
    examine(page, "thread")
    page.locator("h1").click()
    with page.expect_navigation():
        page.keyboard.press("c")
    page.get_by_text("You have it").wait_for()
    page.get_by_label("Template").select_option(label="On its way (en)")
    follow(page.get_by_role("button", name="Insert"))
    words = page.get_by_label("Answer", exact=True).input_value()
    assert words.startswith("Dear Ana Lopez, somebody looks at it. Your number is T-")
    follow(page.get_by_role("button", name="Send, and done"))
    page.get_by_text("Sent and done: resolved at the first contact.").wait_for()
    examine(page, "inbox-done")
    box = Mailbox()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        out = probe.getsockname()[1]
    controller = Controller(box, hostname="127.0.0.1", port=out)
    controller.start()
    try:
        address = f"smtp://127.0.0.1:{out}"
        work(site.engine, Settings(var=tmp_path, smtp_url=address), once=True)
    finally:
        controller.stop()
    told, sent = sorted(box.got, key=lambda each: "journey-1" in str(each["In-Reply-To"]))
    assert told["In-Reply-To"] == "<journey-2@example.org>"
    assert "911" in told.get_content()
    assert {told["To"], sent["To"]} == {"ana@example.org"}
    assert sent["In-Reply-To"] == "<journey-1@example.org>"
    assert sent.get_content().replace("\r\n", "\n").startswith(words)
    follow(page.get_by_role("link", name="Ana Lopez").first)
    page.get_by_text("This sounds like danger: Smell of gas").wait_for()
    examine(page, "thread-danger")
