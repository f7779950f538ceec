"""The floor: who is on what, who waits, what is late; look along, take over, give, direct."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text, update

from regional311.audit.models import AuditEvent
from regional311.database.ids import new_id, public_id
from regional311.database.session import Scope, session_scope
from regional311.floor.models import ForYouEntry
from regional311.inbox.receiving import Incoming, receive
from regional311.inbox.working import keep_confidential
from regional311.intake.models import Contact, ServiceRequest
from regional311.intake.service import NewRequest, open_request
from regional311.referral.snapshot import published

CITY = "city-of-portland"
FLOOR = f"/{CITY}/floor"


@pytest.fixture(autouse=True)
def a_day_of_its_own(clock, request):
    """Another Tuesday for each test, at eleven in Portland."""
    names = [each.name for each in request.session.items if each.fspath == request.node.fspath]
    weeks = sorted(names).index(request.node.name)
    clock.now = datetime(2026, 10, 13, 18, tzinfo=UTC) + timedelta(weeks=weeks)


@pytest.fixture(autouse=True)
def nothing_open(web_engine, people):
    """What another test of the module left open is over."""
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        session.execute(
            update(Contact)
            .where(Contact.tenant_id == people.tenants[CITY], Contact.ended_at.is_(None))
            .values(ended_at=Contact.started_at, disposition="answered")
        )
        session.execute(text("UPDATE duties SET ended_at = started_at WHERE ended_at IS NULL"))
        session.execute(text("UPDATE threads SET state = 'done', claimed_by = NULL"))


@pytest.fixture
def specialist(sign_in):
    return sign_in("specialist", CITY)


@pytest.fixture
def supervisor(sign_in):
    return sign_in("supervisor", CITY)


def press(page, end, **values):
    form = next(form for form in page.forms.values() if form.action.endswith(end))
    for name, value in values.items():
        form[name] = value
    return form.submit().follow()


def start(browser, **chosen):
    form = browser.get(f"/{CITY}/desk").forms["start"]
    for name, value in chosen.items():
        form[name] = value
    page = form.submit().follow()
    page.forms["screen"]["answer"] = "none"
    return page.forms["screen"].submit().follow()


def number_of(page):
    return page.html.select_one("h1").text.strip()


def person(page, name):
    rows = page.html.select("[aria-labelledby=people-heading] tbody tr")
    found = [row for row in rows if row.select_one("th").text.strip() == name]
    return " ".join(found[0].get_text(" ").split()) if found else None


def test_who_is_on_what_since_when(specialist, supervisor, clock):
    page = specialist.get(f"/{CITY}/desk")
    press(page, "/desk/duty")
    clock.advance(minutes=4)
    said = person(supervisor.get(FLOOR), "Specialist")
    assert "Available 4 minutes" in said
    contact = start(specialist, language="es")
    number = number_of(contact)
    clock.advance(minutes=7)
    shown = supervisor.get(FLOOR)
    said = person(shown, "Specialist")
    assert "On a contact 7 minutes" in said
    assert number in said
    assert "Phone" in said
    assert "Spanish" in said
    assert shown.html.find(id=f"contact-{number}")["href"] == f"/{CITY}/contacts/{number}"
    gone = press(specialist.get(f"/{CITY}/contacts/{number}"), "/gone")
    assert "The person has gone" in gone
    clock.advance(minutes=2)
    assert "Wrap-up 2 minutes" in person(supervisor.get(FLOOR), "Specialist")
    assert person(supervisor.get(f"{FLOOR}?state=wrap_up"), "Specialist")
    assert person(supervisor.get(f"{FLOOR}?state=available"), "Specialist") is None
    done = specialist.get(f"/{CITY}/contacts/{number}")
    next(f for f in done.forms.values() if f.action.endswith("/wrap-up")).submit()
    clock.advance(minutes=3)
    shown = supervisor.get(FLOOR)
    assert "Available 5 minutes" in person(shown, "Specialist")
    rows = supervisor.get(shown.html.select_one("a[id^=done-]")["href"])
    assert [row.text for row in rows.html.select("tbody th a")] == [number]


def test_the_wrap_up_does_not_count(specialist, clock, web_engine, people):
    number = number_of(start(specialist))
    clock.advance(minutes=5)
    press(specialist.get(f"/{CITY}/contacts/{number}"), "/gone")
    clock.advance(minutes=20)
    page = specialist.get(f"/{CITY}/contacts/{number}")
    next(f for f in page.forms.values() if f.action.endswith("/wrap-up")).submit()
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        took = session.scalar(select(Contact.handle_seconds).where(Contact.public_id == number))
    assert took == 5 * 60


def test_looking_along_is_seen_kept_and_told_once(
    specialist, supervisor, clock, web_engine, people
):
    number = number_of(start(specialist))
    here = f"/{CITY}/contacts/{number}"
    page = supervisor.get(here)
    assert "Specialist has this contact. You look along, and they see that you do." in page
    supervisor.get(here)
    assert "Supervisor looks along" in specialist.get(here)
    clock.advance(minutes=11)
    assert "looks along" not in specialist.get(here)
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        contact_id = session.scalar(select(Contact.id).where(Contact.public_id == number))
        looks = session.scalars(
            select(AuditEvent.person_id).where(
                AuditEvent.subject_id == contact_id, AuditEvent.action == "contact:look"
            )
        ).all()
        told = session.scalars(
            select(ForYouEntry.kind).where(ForYouEntry.subject_id == contact_id)
        ).all()
    assert looks == [people.known[f"supervisor@{CITY}.example"]]
    assert told == ["looked"]


def test_a_contact_is_taken_over_and_the_specialist_is_told(specialist, supervisor, people):
    number = number_of(start(specialist))
    here = f"/{CITY}/contacts/{number}"
    open_page = specialist.get(here)
    quiet = open_page.html.select_one("#company > div")["hx-get"]
    assert specialist.get(quiet, status=204)
    form = supervisor.get(here).forms
    take = next(f for f in form.values() if f.action.endswith("/give") and "to" in f.fields)
    page = take.submit().follow()
    assert "You have it now. Whoever had it is told." in page
    assert number in person(supervisor.get(FLOOR), "Supervisor")
    assert person(supervisor.get(FLOOR), "Specialist") is None
    assert "Supervisor has taken this contact over from you" in specialist.get(quiet)
    assert "Supervisor has taken this contact over from you" in specialist.get(here)
    # what the specialist had in hand is not written over it
    wrap = next(f for f in open_page.forms.values() if f.action.endswith("/wrap-up"))
    assert wrap.submit(status=409)
    back = str(people.known[f"specialist@{CITY}.example"])
    forms = supervisor.get(here).forms.values()
    press_give = [form for form in forms if form.action.endswith("/give")][-1]
    press_give["to"] = back
    assert "Specialist has it now, and is told." in press_give.submit().follow()


def test_only_who_runs_the_floor_gives(specialist, supervisor):
    number = number_of(start(supervisor))
    page = specialist.get(f"/{CITY}/contacts/{number}")
    assert not [f for f in page.forms.values() if f.action.endswith("/give")]
    specialist.get(FLOOR, status=403)


def test_a_confidential_contact_says_no_more_than_that_it_is_there(
    supervisor, sign_in, web_engine, people, clock
):
    region = published(web_engine)
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        came = Incoming(
            line=region.lines[f"{CITY}/email"],
            key=str(new_id()),
            text="My neighbour must not know",
            address=f"{new_id()}@example.org",
            name="Rosa",
            subject="Quietly",
        )
        written = receive(session, region, came, now=clock.now)
        keep_confidential(session, written.thread_id, None, on=True, now=clock.now)
        number = session.execute(
            text(
                "SELECT c.public_id FROM contacts c JOIN threads t"
                " ON t.tenant_id = c.tenant_id AND t.contact_id = c.id WHERE t.id = :thread"
            ),
            {"thread": written.thread_id},
        ).scalar_one()
    other = sign_in("specialist", CITY)
    page = other.get(f"/{CITY}/contacts/{number}")
    assert "Confidential contact" in page
    for words in ("neighbour", "Rosa", "Quietly"):
        assert words not in page
    other.get(f"/{CITY}/contacts/{number}/consents", status=404)
    other.post(f"/{CITY}/contacts/{number}/wrap-up", status=404)
    assert "neighbour" in supervisor.get(f"/{CITY}/contacts/{number}")
    shown = supervisor.get(FLOOR)
    assert "1 confidential" in shown
    assert "Rosa" not in shown
    assert "Quietly" not in shown


def test_who_waits_leads_to_the_rows(specialist, supervisor, clock, web_engine, people):
    form = specialist.get(f"/{CITY}/front-desk").forms["arrive"]
    form["name"] = "Rosa Lee"
    form.submit("submit")
    region = published(web_engine)
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        came = Incoming(
            line=region.lines[f"{CITY}/email"],
            key=str(new_id()),
            text="Where?",
            address=f"{new_id()}@example.org",
        )
        receive(session, region, came, now=clock.now)
    clock.advance(minutes=20)
    page = supervisor.get(FLOOR)
    waits = page.html.select("[aria-labelledby=waits-heading] tbody tr")
    told = {row.select_one("th").text.split(" · ")[0]: row for row in waits}
    assert "20 minutes" in told["Front desk"].text
    assert "Rosa" not in page
    assert "Rosa Lee" in supervisor.get(told["Front desk"].select_one("a")["href"])
    threads = supervisor.get(told["Email"].select_one("a")["href"])
    assert len(threads.html.select("tbody tr")) == int(told["Email"].select_one("a").text)
    to = str(people.known[f"supervisor@{CITY}.example"])
    directed = press(supervisor.get(f"/{CITY}/front-desk"), "/direct", **{"for": to})
    assert "Number 1 waits for Supervisor." in directed
    other = specialist.get(f"/{CITY}/front-desk")
    assert "All wait for somebody else" in other
    page = press(supervisor.get(f"/{CITY}/front-desk"), "/call")
    assert "Number 1 is called." in page


def test_what_is_late_is_counted_by_queue_and_person_and_leads_to_it(
    supervisor, clock, web_engine, people
):
    city = people.tenants[CITY]
    me = people.known[f"supervisor@{CITY}.example"]
    with session_scope(web_engine, Scope(city)) as session:
        session.execute(
            text("UPDATE service_requests SET state = 'closed', resolution = 'completed'")
        )
        for hours, queue, who in ((-30, "streets", me), (-2, "streets", None), (5, None, me)):
            request_id = new_id()
            open_request(
                session,
                NewRequest(
                    request_id,
                    public_id("R"),
                    city,
                    "pothole",
                    clock.now - timedelta(days=3),
                    queue=queue,
                    expected_at=clock.now + timedelta(hours=hours),
                    warn_at=clock.now + timedelta(hours=min(hours, 0)),
                ),
                now=clock.now,
            )
            if who:
                session.execute(
                    update(ServiceRequest)
                    .where(ServiceRequest.tenant_id == city, ServiceRequest.id == request_id)
                    .values(assignee_id=who)
                )
    page = supervisor.get(FLOOR)
    for row in page.html.select("[aria-labelledby=risk-heading] tbody tr"):
        for link in row.select("a[id*=request], a[id^=by-]"):
            if "Requests" not in row.select_one("th").text:
                continue
            rows = supervisor.get(link["href"]).html.select("tbody tr")
            assert len(rows) == int(link.text), row.text
    said = " ".join(page.html.select_one("[aria-labelledby=risk-heading]").get_text(" ").split())
    assert "Supervisor · Requests 1 1 1 day" in said
    assert "Nobody yet · Requests 1 0" in said
    assert "No queue 0 1" in said


def test_it_is_ones_own_partners(sign_in, specialist):
    number = number_of(start(specialist))
    county = sign_in("supervisor", "multnomah-county")
    assert number not in county.get("/multnomah-county/floor")
    county.get(FLOOR, status=404)
    county.get(f"/multnomah-county/contacts/{number}", status=404)


def test_a_page_asks_little_and_says_where_nothing_is(supervisor, statements):
    supervisor.get(FLOOR)
    statements.clear()
    page = supervisor.get(FLOOR)
    assert "Nobody is on duty, and nobody has a contact open." in page
    assert len(statements) <= 10, statements


def test_requests_given_on_many_at_once_are_seen_until_it_is_undone(
    sign_in, supervisor, clock, web_engine, people
):
    city = people.tenants[CITY]
    sign_in("worker", CITY)
    worker = people.known[f"worker@{CITY}.example"]
    numbers = []
    with session_scope(web_engine, Scope(city)) as session:
        for _ in range(2):
            numbers.append(public_id("R"))
            row = NewRequest(new_id(), numbers[-1], city, "pothole", clock.now, queue="streets")
            open_request(session, row, now=clock.now)
    page = supervisor.get(f"/{CITY}/requests?state=open&service=pothole")
    form = page.forms["bulk"]
    form["action"] = "assign"
    for field in form.fields["chosen"]:
        field.checked = field._value in numbers
    form = form.submit("which", value="chosen").forms["change"]
    form["assignee"] = str(worker)
    done = form.submit("submit").follow()
    heading = "[aria-labelledby=given-heading]"

    def told(browser):
        section = browser.get(FLOOR).html.select_one(heading)
        return [" ".join(each.get_text(" ").split()) for each in section.select("tbody tr")]

    assert [each for each in told(supervisor) if each.startswith("Worker Supervisor 2")]
    link = supervisor.get(FLOOR).html.select_one(f"{heading} tbody a")["href"]
    assert all(number in supervisor.get(link) for number in numbers)
    press(done, "/undo")
    assert not [each for each in told(supervisor) if each.startswith("Worker Supervisor")]
