"""Whoever can open a mailbox finds again what was reported with its address."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from sqlalchemy import select, text, update
from webtest import TestApp

from regional311.database.ids import new_id, new_token
from regional311.database.session import Scope, session_scope
from regional311.identity.attempts import MOST
from regional311.identity.expiring_links import Expiring, make_token
from regional311.intake.models import FollowedRequest, Inquirer, ServiceRequest
from regional311.notices.models import OutboxMessage
from regional311.referral.filing import Asker, Intake, Place, take_in
from regional311.referral.snapshot import published
from regional311.web.tree import MAILBOX
from tests.web.conftest import SECRET

CITY, COUNTY, HELP = "city-of-portland", "multnomah-county", "211info"
LINK = re.compile(r"/mine/[\w=-]{60,}")

pytestmark = pytest.mark.commits


@pytest.fixture
def address():
    return f"{new_token()[:12].lower()}@mailbox.example"


@pytest.fixture
def report(web_engine, people, clock):
    """Take a report in at a partner; give its number, or that of the contact."""

    def report(tenant, service, email, **more):
        region = published(web_engine)
        intake = Intake(
            source="web",
            key=new_token(),
            channel="web",
            started_at=clock.now,
            service=service,
            asker=Asker(name="Ana Example", email=email, **more),
            place=Place("SE 37th and Hawthorne", 45.512, -122.625),
            description="It is broken",
            danger_answer="none",
            consent="given",
        )
        with session_scope(web_engine, Scope(people.tenants[tenant])) as session:
            return take_in(session, region, intake, now=clock.now)

    return report


@pytest.fixture
def letters(web_engine, people):
    """What was written to an address, at whichever partner: its texts."""

    def letters(email):
        found = []
        for slug in (CITY, COUNTY, HELP):
            with session_scope(web_engine, Scope(people.tenants[slug])) as session:
                found += session.scalars(
                    select(OutboxMessage.body).where(
                        OutboxMessage.event == "mailbox_link", OutboxMessage.recipient == email
                    )
                ).all()
        return found

    return letters


@pytest.fixture
def visitor(application):
    """A browser at an address of its own, so that what others tried does not count."""
    number = 0

    def visitor():
        nonlocal number
        number += 1
        return TestApp(application, extra_environ={"REMOTE_ADDR": f"198.51.100.{number}"})

    return visitor


def ask(browser, email):
    form = browser.get("/mine").forms["letter"]
    form["email"] = email
    return form.submit("submit").follow()


def test_one_link_shows_what_every_partner_has(visitor, report, letters, address):
    pothole = report(CITY, f"{CITY}/pothole", address)
    dog = report(CITY, f"{COUNTY}/barking-dog", address.upper())
    browser = visitor()
    assert "on its way" in ask(browser, address.title())
    # it goes once, to the address that was given with the report, however it was typed now
    assert letters(address.title()) == []
    (body,) = letters(address.upper())
    page = browser.get(LINK.search(body)[0])
    assert page.headers["Cache-Control"] == "no-store"
    owners = {each.text.split("\n")[0] for each in page.html.select("section p")}
    assert any("City of Portland" in each for each in owners)
    assert any("Multnomah County" in each for each in owners)
    for filed in (pothole, dog):
        assert page.text.count(f'id="r-{filed.request_public_id}"') == 1
    opened = page.click(href=page.html.select_one("h2 a.usa-link")["href"])
    form = opened.forms["add"]
    form["text"] = "It is worse today"
    assert "Whoever works on it reads it." in form.submit("submit").follow()


def test_an_unknown_address_is_answered_alike(visitor, report, letters, address):
    report(CITY, f"{CITY}/pothole", address)
    known, unknown = ask(visitor(), address).text, ask(visitor(), f"no-{address}").text
    hidden = re.compile(r'value="[^"]*"')
    assert hidden.sub("", known) == hidden.sub("", unknown)
    assert letters(f"no-{address}") == []


def test_no_letter_goes_where_contact_is_dangerous(
    visitor, report, letters, address, people, clock
):
    report(CITY, f"{CITY}/pothole", address)
    browser = visitor()
    ask(browser, address)
    (body,) = letters(address)
    banned = report(COUNTY, f"{COUNTY}/barking-dog", address, contact_prohibited=True)
    page = browser.get(LINK.search(body)[0])
    assert "Nothing is kept under this address any more." in page
    assert banned.request_public_id not in page
    ask(browser, address)
    assert len(letters(address)) == 1


def test_what_is_confidential_is_not_listed(visitor, report, letters, address, web_engine, people):
    shown, secret = (report(CITY, f"{CITY}/pothole", address) for _ in range(2))
    region = published(web_engine)
    service = next(each.ref for each in region.directory.of(HELP) if each.confidential)
    followed = report(CITY, f"{COUNTY}/barking-dog", address)
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        session.execute(
            update(ServiceRequest)
            .where(ServiceRequest.public_id == secret.request_public_id)
            .values(confidential=True)
        )
        session.execute(
            update(FollowedRequest)
            .where(FollowedRequest.public_id == followed.request_public_id)
            .values(owner_id=people.tenants[HELP], service_key=service.partition("/")[2])
        )
    with session_scope(web_engine, Scope(people.tenants[COUNTY])) as session:
        session.execute(
            update(ServiceRequest)
            .where(ServiceRequest.public_id == followed.request_public_id)
            .values(confidential=True)
        )
    browser = visitor()
    ask(browser, address)
    page = browser.get(LINK.search(letters(address)[0])[0])
    assert shown.request_public_id in page
    assert secret.request_public_id not in page
    assert followed.request_public_id not in page
    assert "What is confidential is not listed." in page


def test_links_end_after_an_hour(visitor, report, letters, address, clock):
    report(CITY, f"{CITY}/pothole", address)
    browser = visitor()
    ask(browser, address)
    link = LINK.search(letters(address)[0])[0]
    one = browser.get(link).html.select_one("h2 a.usa-link")["href"]
    clock.advance(minutes=61)
    page = browser.get(link).follow()
    assert "That link no longer works. Ask for a new one." in page
    assert page.request.path == "/mine"
    browser.get(one, status=404)


def test_links_of_others_lead_nowhere(visitor, report, address, web_engine, people, clock):
    filed = report(CITY, f"{CITY}/pothole", address)
    tenant_id, until = people.tenants[CITY], clock.now + timedelta(hours=1)
    with session_scope(web_engine, Scope(tenant_id)) as session:
        person = session.scalar(select(Inquirer.id).where(Inquirer.email == address))
        request = session.scalar(
            select(ServiceRequest.id).where(ServiceRequest.public_id == filed.request_public_id)
        )
    browser = visitor()
    good = make_token(SECRET, MAILBOX, Expiring(tenant_id, person, until))
    assert filed.request_public_id in browser.get(f"/mine/{good}")
    browser.get(f"/mine/{make_token('x', MAILBOX, Expiring(tenant_id, person, until))}", status=404)
    # a link made for one purpose opens nothing else
    browser.get(
        f"/track/{make_token(SECRET, MAILBOX, Expiring(tenant_id, request, until))}", status=404
    )
    stranger = make_token(SECRET, MAILBOX, Expiring(tenant_id, new_id(), until))
    assert "Nothing is kept" in browser.get(f"/mine/{stranger}")


def test_letters_and_tries_are_limited(visitor, report, letters, address):
    report(CITY, f"{CITY}/pothole", address)
    for _ in range(MOST["letter"] + 2):
        assert "on its way" in ask(visitor(), address)
    assert len(letters(address)) == MOST["letter"]
    browser = visitor()
    for _ in range(MOST["mailbox"]):
        ask(browser, f"{new_token()[:8]}@mailbox.example")
    form = browser.get("/mine").forms["letter"]
    form["email"] = address
    form.submit("submit", status=429)


def test_what_is_no_address_is_said_in_the_form(visitor):
    form = visitor().get("/mine").forms["letter"]
    form["email"] = "nobody"
    answer = form.submit("submit", status=400)
    assert "name@example.org" in answer
    form["email"] = "a@b.example\r\nBcc: c@d.example"
    form.submit("submit", status=400)


def test_the_letter_is_in_the_language_of_the_page(visitor, report, letters, address):
    report(CITY, f"{CITY}/pothole", address)
    browser = visitor()
    browser.get("/mine?lang=es")
    ask(browser, address)
    assert "Somebody asked" not in letters(address)[0]


def test_finding_by_address_uses_its_index(web_engine, people):
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        session.execute(text("SET LOCAL enable_seqscan = off"))
        plan = "\n".join(
            session.scalars(
                text(
                    "EXPLAIN SELECT id FROM inquirers WHERE tenant_id = :tenant"
                    " AND email IS NOT NULL AND lower(email) = 'a@b.example'"
                ),
                {"tenant": people.tenants[CITY]},
            )
        )
    assert "ix_inquirers_email" in plan
