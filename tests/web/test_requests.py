"""Requests: worked by their owner, followed by the partner that took them in."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from regional311.database.ids import new_id, new_token
from regional311.database.session import Scope, session_scope
from regional311.intake.models import Inquirer, ServiceRequest
from regional311.notices.troubles import note_trouble
from regional311.referral.filing import Asker, Intake, Place, take_in
from regional311.referral.prohibition import prohibit
from regional311.referral.snapshot import published
from tests.web.conftest import follow_confidential

CITY, COUNTY = "/city-of-portland", "/multnomah-county"
BRIDGE = Place("Hawthorne Bridge", Decimal("45.5132"), Decimal("-122.6706"))
DOWNTOWN = Place("SW 5th and Main", Decimal("45.5152"), Decimal("-122.6784"))


@pytest.fixture(autouse=True)
def office_hours(clock):
    """A Tuesday at eleven in Portland."""
    clock.now = datetime(2026, 10, 13, 18, tzinfo=UTC)


@pytest.fixture
def filed(web_engine, people, clock):
    """File a pothole with the City, as the desk does."""

    def file(place=DOWNTOWN, service="city-of-portland/pothole", **more):
        person = people.known[people.account("city-of-portland", "specialist")]
        intake = Intake(
            source="desk",
            key=new_token(),
            channel="phone",
            started_at=clock.now,
            service=service,
            place=place,
            description="deep, in the right lane",
            danger_answer="none",
            **more,
        )
        scope = Scope(people.tenants["city-of-portland"], person)
        with session_scope(web_engine, scope) as session:
            return take_in(session, published(web_engine), intake, now=clock.now)

    return file


@pytest.fixture
def worker(sign_in):
    return sign_in("worker", "city-of-portland")


def press(page, end):
    """Press the button whose form leads to an address with this end."""
    form = next(f for f in page.forms.values() if f.action.endswith(end))
    return form.submit().follow()


def close(page, message="The hole was filled today.", resolution="completed"):
    form = page.forms["close"]
    form["resolution"] = resolution
    form["message"] = message
    return form.submit("submit")


def test_a_request_goes_from_the_queue_to_its_end(worker, filed):
    number = filed().request_public_id
    listed = worker.get(f"{CITY}/requests?state=open&service=pothole")
    page = listed.click(number)
    assert "deep, in the right lane" in page
    page = press(page, "/assign")
    assert "Assigned" in page
    page = press(page, "/start")
    assert "In progress" in page
    page = close(page).follow()
    assert "Closed" in page
    assert "The hole was filled today." in page
    titles = [each.text for each in page.html.select(".r-timeline__title")]
    assert titles == ["Closed", "Work started", "Assigned", "Request opened"]


def test_that_mail_does_not_reach_the_person_is_said(worker, filed, web_engine, people, clock):
    asker = Asker(name="Ana", email="ana@moved.example", wants_updates=True)
    made = filed(asker=asker)
    page = worker.get(f"{CITY}/requests/{made.request_public_id}")
    assert "Messages do not reach the person" not in page
    with session_scope(web_engine, Scope(people.tenants["city-of-portland"])) as session:
        note_trouble(
            session, "Ana@moved.example", "550", message_id=None, lasting=True, now=clock.now
        )
    page = worker.get(f"{CITY}/requests/{made.request_public_id}")
    assert "Messages do not reach the person" in page


def test_the_owner_reads_first_that_nobody_may_contact_the_person(
    sign_in, filed, web_engine, people, clock
):
    asker = Asker(name="Ana", phone="503-555-0111", safe_to_call=True)
    made = filed(BRIDGE, asker=asker, consent="given")
    county_id, known = people.tenants["multnomah-county"], new_id()
    # the demo's rule lets nobody's number cross with this one; other rules do
    with session_scope(web_engine, Scope(county_id)) as session:
        session.add(Inquirer(tenant_id=county_id, id=known, phone=asker.phone))
        session.flush()
        session.get(ServiceRequest, (county_id, made.request_id)).inquirer_id = known
    county = sign_in("worker", "multnomah-county")
    path = f"{COUNTY}/requests/{made.request_public_id}"
    page = county.get(path)
    assert "503-555-0111" in page
    assert "Never contact this person" not in page
    with session_scope(web_engine, Scope(people.tenants["city-of-portland"])) as session:
        prohibit(session, now=clock.now, contact_id=made.contact_id)
    page = county.get(path)
    assert "Never contact this person" in page
    assert "Contact prohibited: it is not safe" in page


def test_closing_needs_plain_words(worker, filed):
    page = worker.get(f"{CITY}/requests/{filed().request_public_id}")
    form = page.forms["close"]
    form["resolution"] = "completed"
    form["message"] = "done"
    answer = form.submit("submit", status=400)
    assert "Say in plain words what happened" in answer
    assert answer.forms["close"]["message"].value == "done"


def test_a_request_is_sorted_waits_and_is_opened_again(worker, filed):
    path = f"{CITY}/requests/{filed().request_public_id}"
    form = worker.get(path).forms["triage"]
    form["priority"] = "urgent"
    page = form.submit("submit").follow()
    assert "Sorted" in page
    assert "Urgent" in page
    form = page.forms["wait"]
    form["state"] = "waiting_person"
    form["message"] = "Please tell us which lane."
    page = form.submit("submit").follow()
    assert "Waiting for the person" in page
    page = close(page).follow()
    page = page.forms["reopen"].submit("submit").follow()
    assert "Opened again" in page


def test_notes_are_told_apart(worker, filed):
    page = worker.get(f"{CITY}/requests/{filed().request_public_id}")
    for audience, text in (("internal", "ask the crew first"), ("public", "A crew comes Friday.")):
        form = page.forms["note"]
        form["audience"] = audience
        form["text"] = text
        page = form.submit("submit").follow()
    internal = page.html.select_one(".d-note--internal").text
    assert "Internal" in internal
    assert "ask the crew first" in internal
    assert "Public" in page.html.select(".d-note")[1].text


def test_a_stale_form_shows_both_versions(worker, filed):
    page = worker.get(f"{CITY}/requests/{filed().request_public_id}")
    press(page, "/assign")
    answer = next(f for f in page.forms.values() if f.action.endswith("/assign")).submit(status=409)
    assert "Somebody else" in answer


def test_a_hole_on_the_countys_bridge_lands_in_the_countys_queue(sign_in, filed):
    answer = filed(BRIDGE, asker=Asker(name="Dana Reed", phone="503 555 0101"), consent="given")
    assert answer.target == "multnomah-county"
    number = answer.request_public_id
    county = sign_in("worker", "multnomah-county")
    page = county.get(f"{COUNTY}/requests?state=open").click(number)
    assert "Hawthorne Bridge" in page
    form = page.forms["note"]
    form["audience"] = "internal"
    form["text"] = "budget line 77 only"
    page = form.submit("submit").follow()
    page = press(page, "/assign")
    close(page, "The hole on the bridge was filled.").follow()

    city = sign_in("specialist", "city-of-portland")
    listed = city.get(f"{CITY}/requests?with=partners")
    assert "Multnomah County" in listed
    seen = listed.click(number)
    assert "Closed" in seen
    assert "The hole on the bridge was filled." in seen
    assert "budget line 77" not in seen
    assert "note" not in seen.forms
    contact = city.get(f"{CITY}/contacts/{answer.contact_public_id}")
    assert "The hole on the bridge was filled." in contact
    assert "budget line 77" not in contact
    tracked = city.get(f"/track/{answer.token}")
    assert "The hole on the bridge was filled." in tracked
    assert "budget line 77" not in tracked
    assert "Dana" not in tracked


def test_who_takes_contacts_reads_but_does_not_work(sign_in, filed):
    number = filed().request_public_id
    page = sign_in("specialist", "city-of-portland").get(f"{CITY}/requests/{number}")
    assert "close" not in page.forms
    assert not [f for f in page.forms.values() if f.action.endswith("/assign")]


def test_lists_filter_sort_and_export(worker, filed):
    first, second = filed().request_public_id, filed().request_public_id
    for query in ("sort=opened", "priority=normal", "queue=", "state=received"):
        assert second in worker.get(f"{CITY}/requests?{query}")
    assert first not in worker.get(f"{CITY}/requests?overdue=yes")
    assert first in worker.get(f"{CITY}/requests?format=csv")


def test_a_formula_in_a_place_is_defused(worker, filed):
    filed(Place("=HYPERLINK(1)", DOWNTOWN.latitude, DOWNTOWN.longitude))
    assert ",'=HYPERLINK(1)" in worker.get(f"{CITY}/requests?format=csv")


def test_statements_of_the_pages(worker, filed, statements):
    path = f"{CITY}/requests/{filed().request_public_id}"
    for address, limit in (
        (f"{CITY}/requests", 8),
        (f"{CITY}/requests?state=open&overdue=yes", 8),
        (f"{CITY}/requests?with=partners", 8),
        (path, 10),
        (f"{CITY}/services", 8),
        (f"{CITY}/services/pothole", 10),
    ):
        worker.get(address)
        statements.clear()
        worker.get(address)
        assert len(statements) <= limit, (address, statements)


def test_the_catalogue_tells_who_keeps_a_service(worker):
    listed = worker.get(f"{CITY}/services?verb=report&sort=-name")
    page = listed.click("Pothole in a street")
    assert "Kept by" in page
    assert "today" in page
    assert "pothole" in worker.get(f"{CITY}/services?format=csv")


def test_a_confidential_request_is_nowhere_for_who_does_not_work_it(sign_in, worker, filed):
    made = filed(service="city-of-portland/accessibility-complaint", place=Place())
    number = made.request_public_id
    assert made.outcome == "open_request"
    assert number in worker.get(f"{CITY}/requests").text
    assert worker.get(f"{CITY}/requests/{number}").status_int == 200

    specialist = sign_in("specialist", "city-of-portland")
    assert number not in specialist.get(f"{CITY}/requests").text
    assert number not in specialist.get(f"{CITY}/requests?format=csv").text
    specialist.get(f"{CITY}/requests/{number}", status=404)


def test_what_is_confidential_at_another_partner_is_nowhere_either(
    sign_in, worker, web_engine, people, clock
):
    number = follow_confidential(web_engine, people, clock)
    listed, page = f"{CITY}/requests?with=partners", f"{CITY}/requests/{number}"
    assert number in worker.get(listed).text
    assert worker.get(page).status_int == 200

    specialist = sign_in("specialist", "city-of-portland")
    assert number not in specialist.get(listed).text
    assert number not in specialist.get(f"{listed}&format=csv").text
    specialist.get(page, status=404)


def test_perhaps_the_same_is_shown_merged_and_taken_out(worker, filed):
    there = Place("Alone", Decimal("45.5300"), Decimal("-122.6501"))
    first, second = filed(there), filed(there)
    page = worker.get(f"{CITY}/requests/{second.request_public_id}")
    assert "Perhaps the same" in page
    chosen = page.click(href=rf"\?into={first.request_public_id}")
    form = chosen.forms["merge"]
    assert form["into"].value == first.request_public_id
    merged = form.submit("submit").follow()
    assert "The two are one now" in merged
    assert merged.html.select_one("#kept-heading")
    other = worker.get(f"{CITY}/requests/{first.request_public_id}")
    assert "Merged into this one" in other
    assert "Others who have it too" in other
    again = press(merged, "/take-out")
    assert "It is a request of its own again" in again
    assert "Perhaps the same" in again


def test_what_is_merged_is_opened_again_by_taking_it_out_only(worker, filed):
    number, other = filed().request_public_id, filed().request_public_id
    form = worker.get(f"{CITY}/requests/{number}").forms["merge"]
    form["into"], form["message"] = other, "It is the same as another one."
    page = form.submit("submit").follow()
    assert "reopen" not in page.forms
    token = next(iter(page.forms.values()))["csrf_token"].value
    version = next(f for f in page.forms.values() if f.action.endswith("/take-out"))["version"]
    refused = worker.post(
        f"{CITY}/requests/{number}/reopen",
        {"csrf_token": token, "version": version.value, "message": ""},
        status=409,
    )
    assert "Take it out of that one first" in refused
    assert "reopen" not in press(worker.get(f"{CITY}/requests/{number}"), "/take-out").forms


def test_a_request_is_given_to_a_team_and_a_colleague_and_back(worker, filed, sign_in, people):
    people.account("city-of-portland", "supervisor")
    sign_in("supervisor", "city-of-portland")
    path = f"{CITY}/requests/{filed().request_public_id}"
    form = worker.get(path).forms["triage"]
    form["assignee"].select(text="Supervisor")
    page = form.submit("submit").follow()
    assert "Supervisor" in page.html.select_one(".r-summary").get_text()
    assert "Assigned" in page
    form = page.forms["triage"]
    assert form["assignee"].value
    form["assignee"] = ""
    page = form.submit("submit").follow()
    assert "Supervisor" not in page.html.select_one(".r-summary").get_text()
    assert "Sorted" in page
    take = next(f for f in page.forms.values() if f.action.endswith("/assign"))
    fields = {"csrf_token": take["csrf_token"].value, "version": take["version"].value}
    for wrong in ({"queue": "no-such"}, {"assignee": "nobody"}):
        worker.post(f"{path}/assign", fields | wrong, status=400)
    person = form["assignee"].options
    somebody = next(value for value, _chosen, label in person if label == "Supervisor")
    worker.post(f"{path}/assign", fields | {"assignee": somebody}).follow()
    assert "Supervisor" in worker.get(path).html.select_one(".r-summary").get_text()


def test_a_merge_that_cannot_be_says_why(worker, filed):
    number = filed().request_public_id
    form = worker.get(f"{CITY}/requests/{number}").forms["merge"]
    form["into"], form["message"] = "R-00000-00000", "It is the same as that one there."
    answer = form.submit("submit", status=400)
    assert "There is no request" in answer
    form["into"] = number
    assert "into itself" in form.submit("submit", status=400)


def test_a_specialist_sees_what_is_the_same_and_merges_nothing(sign_in, filed):
    there = Place("Apart", Decimal("45.5350"), Decimal("-122.6501"))
    first, second = filed(there), filed(there)
    page = sign_in("specialist", "city-of-portland").get(
        f"{CITY}/requests/{second.request_public_id}"
    )
    assert first.request_public_id in page
    assert "merge" not in page.forms
