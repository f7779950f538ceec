"""A partner of two people and a telephone: a message, its link, a refusal, and somebody else."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from email import message_from_bytes, policy
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from aiosmtpd.controller import Controller

from regional311.database.ids import new_id
from regional311.database.session import Scope, session_scope
from regional311.notices.delivery import deliver_due
from regional311.referral.acceptance import Acceptance
from regional311.referral.policies import write_policy
from regional311.referral.snapshot import invalidate
from regional311.settings import Settings

from .conftest import DESK, PHONE, follow

CITY, COUNTY, HELP = "city-of-portland", "multnomah-county", "211info"
DESK_ADDRESS = "two-people@help.example"


class Mailbox:
    """Keeps what it gets."""

    def __init__(self) -> None:
        self.messages: list = []
        self._lock = threading.Lock()

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        with self._lock:
            self.messages.append(message_from_bytes(envelope.content, policy=policy.default))
        return "250 OK"


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, int]]:
    box = Mailbox()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    yield box, port
    controller.stop()


@pytest.fixture(scope="module")
def beds(site) -> None:
    """211 has a mailbox for help with rent, and the County helps with rent, too."""
    from regional311.catalog.models import Service

    with session_scope(site.engine, Scope(site.tenants[HELP])) as session:
        made = Acceptance(
            key="two-people",
            name="Two people and a telephone",
            services=("rent-help",),
            notify=(DESK_ADDRESS,),
            documents=("A paper with your name",),
        )
        write_policy(session, made, None, now=datetime.now(UTC))
        term = (
            session.query(Service.term)
            .filter(Service.tenant_id == site.tenants[HELP], Service.key == "rent-help")
            .scalar()
        )
    with session_scope(site.engine, Scope(site.tenants[COUNTY])) as session:
        session.add(
            Service(
                tenant_id=site.tenants[COUNTY],
                id=new_id(),
                key="county-rent",
                name="County rent help",
                summary="Rent, paid by the County.",
                verb="request",
                term=term,
                keywords=[],
                channels=[],
                details={},
            )
        )
        made = Acceptance(key="all", name="All")
        write_policy(session, made, None, now=datetime.now(UTC))
    invalidate()


def test_a_partner_without_accounts_declines_and_the_sender_finds_somebody_else(
    site, open_page, examine, mailbox, beds
):
    box, port = mailbox
    city = open_page("specialist", CITY, width=DESK)
    city.goto(f"/{CITY}/desk")
    follow(city.get_by_role("button", name="Start a contact"))
    city.get_by_text("None of these").click()
    follow(city.get_by_role("button", name="Continue"))
    city.goto(f"{city.url}?service={HELP}/rent-help")
    city.get_by_label("What the person says").fill("Two months behind.")
    city.get_by_text("Who is calling (optional)").click()
    city.locator("[name=name]").fill("Dana Reed")
    with city.expect_response(re.compile("/preview$")):
        city.locator("[name=phone]").fill("503 555 0101")
        city.locator("[name=phone]").blur()
    city.get_by_text("Bring to 211info: A paper with your name.").wait_for()
    city.get_by_text("The person agrees", exact=True).click()
    examine(city, "receiving-desk")
    follow(city.get_by_role("button", name="File it"))
    city.get_by_text("Referred to 211info").first.wait_for()
    number = re.search(r"F-[0-9A-Z]{5}-[0-9A-Z]{5}", city.content())[0]

    settings = Settings(var=Path("unused"), smtp_url=f"smtp://127.0.0.1:{port}")
    deliver_due(site.engine, settings, site.tenants[HELP], clock=lambda: datetime.now(UTC))
    letter = next(each for each in box.messages if each["To"] == DESK_ADDRESS)
    body = letter.get_content()
    assert number in body
    assert "Dana" not in f"{letter['Subject']} {body}"
    link = urlsplit(re.search(r"http\S+/answer/\S+", body)[0]).path

    phone = open_page(width=PHONE)
    phone.goto(link)
    phone.get_by_text("Dana Reed").wait_for()
    examine(phone, "receiving-link")
    phone.get_by_text("Decline it").first.click()
    phone.get_by_label("Reason").select_option("no_capacity")
    follow(phone.get_by_role("button", name="Decline it"))
    phone.get_by_role("heading", name="Declined").wait_for()
    examine(phone, "receiving-link-declined")
    phone.goto(link)
    phone.get_by_role("heading", name="This was answered already").wait_for()
    assert "Dana" not in phone.content()

    city.goto(f"/{CITY}/referrals/{number}")
    city.get_by_text("No capacity").first.wait_for()
    examine(city, "receiving-declined")
    follow(city.get_by_role("link", name="Refer again"))
    city.get_by_label("Who is asked, for what").select_option(label="County rent help")
    follow(city.get_by_role("button", name="See what would go there"))
    examine(city, "receiving-again")
    city.get_by_text("The person agrees", exact=True).click()
    follow(city.get_by_role("button", name="Refer", exact=True))
    city.get_by_text("Referred: F-").wait_for()
    city.goto(f"/{CITY}/referrals/{number}")
    city.get_by_text("Referred again as").wait_for()


def test_the_worklist_of_a_partner_who_signs_in(site, open_page, examine, beds):
    page = open_page("partner", HELP, width=DESK)
    page.goto(f"/{HELP}/referrals")
    page.get_by_text("Our room").click()
    follow(page.get_by_role("button", name="No room, with a waitlist").first)
    page.get_by_text("Said, for a day.").wait_for()
    examine(page, "receiving-worklist")
    page.goto(f"/{HELP}/referrals/room?service=rent-help")
    examine(page, "receiving-room")
    page.goto(f"/{HELP}/referrals/waitlist")
    examine(page, "receiving-waitlist")
    administrator = open_page("administrator", HELP, width=DESK)
    administrator.goto(f"/{HELP}/receiving")
    examine(administrator, "receiving-policies")
    follow(administrator.get_by_role("link", name="Two people and a telephone"))
    examine(administrator, "receiving-policy")
    administrator.goto(f"/{HELP}/receiving/words")
    examine(administrator, "receiving-words")
