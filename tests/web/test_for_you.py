"""Mentions in notes and the list *For you*: unread, seen, undone; a mail that says nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from regional311.database.ids import new_id, public_id
from regional311.database.session import Scope, session_scope
from regional311.inbox.receiving import Incoming, receive
from regional311.intake.models import ServiceRequest
from regional311.intake.service import NewRequest, open_request
from regional311.notices.models import OutboxMessage
from regional311.referral.models import Referral
from regional311.referral.snapshot import published

CITY = "city-of-portland"
FOR_YOU = f"/{CITY}/for-you"


@pytest.fixture(autouse=True)
def a_day_of_its_own(clock, request):
    """Another Tuesday for each test, at eleven in Portland; what is older is not shown any more."""
    names = [each.name for each in request.session.items if each.fspath == request.node.fspath]
    weeks = 6 * sorted(names).index(request.node.name)
    clock.now = datetime(2026, 10, 13, 18, tzinfo=UTC) + timedelta(weeks=weeks)


@pytest.fixture
def city(web_engine, people):
    """`city()` is a session of the City's."""
    return lambda: session_scope(web_engine, Scope(people.tenants[CITY]))


@pytest.fixture
def new_request(city, people, clock):
    """`new_request(confidential=…, assignee=…)` opens a request of the City's; gives its number."""

    def make(*, assignee=None, **said) -> str:
        number, request_id = public_id("R"), new_id()
        tenant = people.tenants[CITY]
        with city() as session:
            made = NewRequest(request_id, number, tenant, "pothole", clock.now, **said)
            open_request(session, made, now=clock.now)
            if assignee:
                session.execute(
                    update(ServiceRequest)
                    .where(ServiceRequest.tenant_id == tenant, ServiceRequest.id == request_id)
                    .values(assignee_id=assignee, state="assigned")
                )
        return number

    return make


def note(browser, url, text, **chosen):
    page = browser.get(url if chosen else f"{url}/note")
    form = next(form for form in page.forms.values() if form.action.endswith("/note"))
    form["text"] = text
    for name, value in chosen.items():
        form[name] = value
    return form.submit("submit", status="*")


def unread(browser, *numbers):
    """Which of these are unread there: other tests leave theirs."""
    page = browser.get(FOR_YOU)
    # it stands in the head alone, and is marked there
    (link,) = page.html.select(f'header a[href$="{FOR_YOU}"]')
    assert link["aria-current"] == "page"
    rows = page.html.select(".d-for-you > li")
    found = {row.select_one("a").text for row in rows if "Unread" in row.text}
    return found & set(numbers)


def test_a_mention_is_on_the_list_and_in_a_mail_without_content(sign_in, new_request, city):
    worker, supervisor = sign_in("worker", CITY), sign_in("supervisor", CITY)
    number = new_request()
    url = f"/{CITY}/requests/{number}"
    assert "@supervisor" in worker.get(url)
    sent = note(worker, url, "@Supervisor, the owner is Mr Bell. @nobody", audience="internal")
    page = sent.follow()
    assert "Nobody here is @nobody: nobody else was told." in page
    assert unread(supervisor, number)
    assert " unread" in supervisor.get(f"{FOR_YOU}/count")
    assert not unread(worker, number)
    with city() as session:
        mail = session.execute(
            select(OutboxMessage.recipient, OutboxMessage.heading, OutboxMessage.body).where(
                OutboxMessage.event == "mentioned",
                OutboxMessage.heading.contains(number),
            )
        ).one()
    assert mail.recipient == f"supervisor@{CITY}.example"
    assert mail.body.strip().endswith(url)
    assert "Bell" not in mail.body + mail.heading
    links = supervisor.get(FOR_YOU).html.select(".d-for-you a")
    link = next(each["href"] for each in links if each.text == number)
    opened = supervisor.get(link).follow()
    assert "Mr Bell" in opened
    assert not unread(supervisor, number)


def test_seen_and_taken_back(sign_in, new_request):
    worker, supervisor = sign_in("worker", CITY), sign_in("supervisor", CITY)
    numbers = {new_request(), new_request()}
    for number in numbers:
        note(worker, f"/{CITY}/requests/{number}", "@supervisor", audience="internal")
    assert unread(supervisor, *numbers) == numbers
    page = supervisor.get(FOR_YOU)
    forms = [form for form in page.forms.values() if form.action.endswith("/seen")]
    every = next(form for form in forms if form["item"].value == "all")
    page = every.submit().follow()
    assert not unread(supervisor, *numbers)
    undo = next(form for form in page.forms.values() if form.action.endswith("/undo"))
    assert "Unread again." in undo.submit().follow()
    assert unread(supervisor, *numbers) == numbers
    rows = supervisor.get(FOR_YOU).html.select(".d-for-you > li")
    row = next(row for row in rows if row.select_one("a").text in numbers)
    token = supervisor.get(FOR_YOU).html.select_one("input[name=csrf_token]")["value"]
    item = row.select_one("input[name=item]")["value"]
    supervisor.post(f"{FOR_YOU}/seen", {"csrf_token": token, "item": item})
    assert len(unread(supervisor, *numbers)) == 1


def test_who_may_not_read_it_is_not_told_and_nothing_is_kept(sign_in, new_request, city):
    worker = sign_in("worker", CITY)
    sign_in("specialist", CITY)
    number = new_request(confidential=True)
    url = f"/{CITY}/requests/{number}"
    assert "@specialist" not in worker.get(url)
    refused = note(worker, url, "@specialist have a look", audience="internal")
    assert refused.status_int == 400
    assert f"Specialist (@specialist) may not read {number}. Nothing was kept" in refused
    assert "@specialist have a look" in refused
    assert "@specialist have a look" not in worker.get(url)
    with city() as session:
        told = session.scalars(
            select(OutboxMessage.id).where(OutboxMessage.heading.contains(number))
        ).all()
    assert told == []


def test_words_for_the_person_tell_no_colleague(sign_in, new_request):
    worker, supervisor = sign_in("worker", CITY), sign_in("supervisor", CITY)
    number = new_request()
    note(worker, f"/{CITY}/requests/{number}", "@supervisor will come", audience="public")
    assert not unread(supervisor, number)


def test_contacts_threads_and_referrals_have_notes_for_colleagues(
    sign_in, city, web_engine, people, clock
):
    specialist, supervisor = sign_in("specialist", CITY), sign_in("supervisor", CITY)
    contact = specialist.get(f"/{CITY}/desk").forms["start"].submit().follow()
    number = contact.html.select_one("h1").text.strip()
    region = published(web_engine)
    with city() as session:
        came = Incoming(
            line=region.lines[f"{CITY}/email"],
            key=str(new_id()),
            text="Where is it?",
            address=f"{new_id()}@example.org",
        )
        thread = receive(session, region, came, now=clock.now).public_id
        referral = session.scalars(
            select(Referral.public_id).where(Referral.tenant_id == people.tenants[CITY]).limit(1)
        ).first()
    about = [f"contacts/{number}", f"inbox/{thread}"]
    about += [f"referrals/{referral}"] if referral else []
    for place in about:
        page = note(specialist, f"/{CITY}/{place}", "For @supervisor: call Mr Bell").follow()
        assert "call Mr Bell" in page
    noted = {each.partition("/")[2] for each in about}
    assert unread(supervisor, *noted) == noted
    refused = note(specialist, f"/{CITY}/contacts/{number}", "")
    assert refused.status_int == 400
    assert "Note on" in refused
    auditor = sign_in("auditor", CITY)
    assert "Mr Bell" not in auditor.get(f"/{CITY}/contacts/{number}")


def test_what_one_has_and_what_came_back(sign_in, new_request, people, city, clock):
    worker = sign_in("worker", CITY)
    me = people.known[f"worker@{CITY}.example"]
    number = new_request(assignee=me, expected_at=clock.now + timedelta(days=2))
    page = worker.get(FOR_YOU)
    assert unread(worker, number)
    assert "You work it" in page
    start = worker.get(f"/{CITY}/requests/{number}").forms
    next(form for form in start.values() if form.action.endswith("/start")).submit()
    assert not unread(worker, number)
    assert number in worker.get(f"{FOR_YOU}?view=mine")
    clock.advance(minutes=5)
    with city() as session:
        session.execute(
            update(ServiceRequest)
            .where(ServiceRequest.public_id == number)
            .values(heard_at=clock.now)
        )
    assert unread(worker, number)
    assert "The person wrote" in worker.get(f"{FOR_YOU}?view=back")
    clock.advance(days=4)
    assert "was due" in sign_in("worker", CITY).get(FOR_YOU)


def test_the_list_asks_little(sign_in, statements):
    supervisor = sign_in("supervisor", CITY)
    supervisor.get(FOR_YOU)
    statements.clear()
    supervisor.get(FOR_YOU)
    assert len(statements) <= 5, statements
