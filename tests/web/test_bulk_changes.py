"""Saved views, tags, and changing many requests at once, on the pages."""

from __future__ import annotations

from decimal import Decimal

from regional311.casework import bulk
from regional311.intake.service import NO_FOLLOWERS
from regional311.referral.filing import Place
from tests.web.conftest import elsewhere
from tests.web.test_requests import CITY, filed, office_hours, press, worker

__all__ = ["filed", "office_hours", "worker"]
QUEUE = f"{CITY}/requests?state=open&service=pothole"


def somewhere() -> Place:
    there = elsewhere()
    return Place("", Decimal(there["latitude"]), Decimal(there["longitude"]))


def choose(page, action, numbers=(), which="chosen"):
    """Tick requests of the list, and press one of the two buttons below it."""
    form = page.forms["bulk"]
    form["action"] = action
    for field in form.fields.get("chosen", ()):
        field.checked = field._value in numbers
    return form.submit("which", value=which)


def test_some_are_closed_together_and_opened_again_by_undoing(worker, filed, clock):
    numbers = [filed(somewhere()).request_public_id for _ in range(2)]
    other = filed(somewhere()).request_public_id
    page = choose(worker.get(QUEUE), "close", numbers)
    assert "2 requests" in page
    form = page.forms["change"]
    form["resolution"], form["message"] = "completed", "short"
    page = form.submit("submit", status=400)
    form = page.forms["change"]
    form["message"] = "All of them were filled today."
    first = form.submit("submit")
    assert form.submit("submit").location == first.location
    page = first.follow()
    assert "2 of 2 changed." in page
    for number in numbers:
        assert "Closed" in worker.get(f"{CITY}/requests/{number}")
    assert number not in worker.get(QUEUE)
    assert other in worker.get(QUEUE)
    page = press(page, "/undo")
    assert "2 are as they were before." in page
    assert numbers[0] in worker.get(QUEUE)


def test_all_that_match_are_changed_by_the_worker_with_progress(
    worker, filed, clock, web_engine, people, monkeypatch
):
    monkeypatch.setattr("regional311.web.views.bulk_changes.AT_ONCE", 1)
    mine = [filed(somewhere(), urgency="urgent").request_public_id for _ in range(3)]
    for number in mine:
        form = worker.get(f"{CITY}/requests/{number}").forms["triage"]
        form["priority"] = "low"
        form.submit("submit")
    page = choose(worker.get(f"{QUEUE}&priority=low"), "tag", which="all")
    form = page.forms["change"]
    form["tag"] = "Ice  2026"
    page = form.submit("submit").follow()
    assert "0 of 3 done so far." in page
    scope = people.tenants["city-of-portland"]
    for _ in range(2):
        bulk.work(web_engine, scope, lambda: clock.now, followers=lambda _engine: NO_FOLLOWERS)
    page = worker.get(page.request.path)
    assert "3 of 3 changed." in page
    tagged = worker.get(f"{CITY}/requests?tag=ice+2026")
    assert all(number in tagged for number in mine)
    page = choose(tagged, "untag", mine[:1])
    form = page.forms["change"]
    form["tag"] = "other"
    page = form.submit("submit").follow()
    bulk.work(web_engine, scope, lambda: clock.now, followers=lambda _engine: NO_FOLLOWERS)
    page = worker.get(page.request.path)
    assert "It does not have the tag" in page
    rows = worker.get(f"{page.request.path}?format=csv").text
    assert f"{mine[0]},refused,It does not have the tag" in rows
    clock.advance(minutes=11)
    assert "Undo it for all" not in page


def test_nothing_chosen_and_a_list_that_changed_are_said(worker, filed):
    filed(somewhere())
    page = choose(worker.get(QUEUE), "note").follow()
    assert "Choose at least one request" in page
    page = choose(worker.get(QUEUE), "note", which="all")
    filed(somewhere())
    form = page.forms["change"]
    form["note"] = "look at these"
    assert "The list has changed meanwhile" in form.submit("submit", status=400)


def test_a_view_is_saved_shared_and_opens_first(worker, sign_in, filed):
    filed(somewhere())
    page = worker.get(QUEUE)
    form = page.forms["save-view"]
    form["name"] = "Open potholes"
    form["shared"].checked = form["default"].checked = True
    page = form.submit("submit").follow()
    assert page.html.select_one(".d-views [aria-current]").text == "Open potholes"
    again = form.submit("submit", status=400)
    assert "You have a view called" in again
    home = worker.get(f"{CITY}/requests").follow()
    assert "service=pothole" in home.request.url
    other = sign_in("supervisor", "city-of-portland")
    seen = other.get(f"{CITY}/requests")
    assert "Open potholes" in seen
    ends = [each for each in seen.forms.values() if each.action.endswith("/end-view")]
    assert not ends
    specialist = sign_in("specialist", "city-of-portland")
    assert "Change several at once" not in specialist.get(f"{CITY}/requests?state=open")
    press(home, "/end-view")
    assert "Open potholes" not in other.get(f"{CITY}/requests")


def test_a_request_is_given_to_a_colleague(worker, filed, people, sign_in):
    sign_in("supervisor", "city-of-portland")
    number = filed(somewhere()).request_public_id
    form = worker.get(f"{CITY}/requests/{number}").forms["triage"]
    form["assignee"] = str(people.known["supervisor@city-of-portland.example"])
    page = form.submit("submit").follow()
    assert "Assigned" in page
    theirs = worker.get(f"{CITY}/requests?who={form['assignee'].value}")
    assert number in theirs
    assert number not in worker.get(f"{CITY}/requests?who=nobody&state=open")


def test_the_list_and_a_request_ask_a_fixed_number_of_times(worker, filed, statements):
    number = filed(somewhere()).request_public_id
    worker.get(QUEUE)
    for address, most in ((QUEUE, 8), (f"{CITY}/requests/{number}", 10)):
        statements.clear()
        worker.get(address)
        asked = [
            each for each in statements if each.lstrip().upper().startswith(("SELECT", "WITH"))
        ]
        assert len(asked) <= most, [each[:90] for each in asked]
