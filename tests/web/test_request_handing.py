"""Handing a request on and sending it back, on the pages of both partners and of the person."""

from __future__ import annotations

from tests.web.test_requests import BRIDGE, CITY, COUNTY, filed, office_hours, worker

__all__ = ["filed", "office_hours", "worker"]
WHY = "It is on your bridge, not in our street."


def test_a_request_goes_to_whose_it_is_and_comes_back_once(
    worker, sign_in, testapp, web_engine, people, clock
):
    from regional311.database.ids import new_token
    from regional311.database.session import Scope, session_scope
    from regional311.referral.filing import Intake, take_in
    from regional311.referral.snapshot import published
    from tests.web.conftest import elsewhere

    there = elsewhere()
    place = BRIDGE.__class__("", there["latitude"], there["longitude"])
    intake = Intake(
        source="web",
        key=new_token(),
        channel="web",
        started_at=clock.now,
        service="city-of-portland/pothole",
        place=place,
        danger_answer="none",
    )
    with session_scope(web_engine, Scope(people.tenants["city-of-portland"])) as session:
        made = take_in(session, published(web_engine), intake, now=clock.now)
    number = made.request_public_id
    page = worker.get(f"{CITY}/requests/{number}").click("It is not ours: hand it on")
    form = page.forms["hand-on"]
    offered = [value for value, _chosen, _label in form["service"].options if "multnomah" in value]
    form["service"] = next(each for each in offered if "bridge" in each or "road" in each)
    form["words"], form["message"] = WHY, "The County looks after this one."
    page = form.submit("submit").follow()
    assert "Multnomah County has it now" in page
    shown = page.html.select_one("main").get_text(" ", strip=True)
    assert "Handed on" in shown
    assert "There it is: Received" in shown
    assert "close" not in page.forms
    assert "reopen" not in page.forms
    tracked = testapp.get(f"/track/{made.token}")
    assert "Multnomah County" in tracked
    theirs = sign_in("worker", "multnomah-county")
    page = theirs.get(f"{COUNTY}/requests/{number}")
    assert WHY in page
    form = page.forms["send-back"]
    form["words"] = "short"
    page = form.submit("submit", status=400)
    form = page.forms["send-back"]
    form["words"] = "It lies in a street of yours after all."
    page = form.submit("submit").follow()
    assert "City of Portland has it now" in page, page.html.select_one("main").text
    mine = worker.get(f"{CITY}/requests/{number}")
    assert "The way it took: 2 steps" in mine
    assert "send-back" not in mine.forms
    assert "close" in mine.forms
    assert "City of Portland" in testapp.get(f"/track/{made.token}")


def test_to_a_confidential_service_it_is_confidential_here_and_there(
    worker, sign_in, filed, people
):
    made = filed()
    here = f"{CITY}/requests/{made.request_public_id}"
    specialist = sign_in("specialist", "city-of-portland")
    people.make("second-specialist@city-of-portland.example", {"city-of-portland": ("specialist",)})
    colleague = sign_in(
        "specialist", "city-of-portland", email="second-specialist@city-of-portland.example"
    )
    assert "deep, in the right lane" in colleague.get(here)
    page = worker.get(here).click("It is not ours: hand it on")
    assert "as a confidential request" in page
    form = page.forms["hand-on"]
    named = {value: label for value, _chosen, label in form["service"].options}
    assert named["multnomah-county/mental-health"].endswith("· confidential")
    form["service"] = "multnomah-county/mental-health"
    form["words"] = "Whoever called hears voices and is afraid."
    page = form.submit("submit").follow()
    assert "Multnomah County has it now" in page
    assert "Handed on Confidential" in page.html.select_one("main").get_text(" ", strip=True)
    for browser in (specialist, colleague):
        browser.get(here, status=404)
        assert made.request_public_id not in browser.get(f"{CITY}/requests?state=closed")
        assert made.request_public_id not in browser.get(f"{CITY}/requests?with=partners")
    assert "Confidential contact" in colleague.get(f"{CITY}/contacts/{made.contact_public_id}")
    there = f"{COUNTY}/requests/{made.request_public_id}"
    assert "hears voices" in sign_in("worker", "multnomah-county").get(there)
    sign_in("specialist", "multnomah-county").get(there, status=404)


def test_a_part_for_a_confidential_service_is_followed_by_who_is_cleared(worker, sign_in, filed):
    made = filed()
    here = f"{CITY}/requests/{made.request_public_id}"
    form = worker.get(f"{here}/split").forms["split"]
    form["service"] = "multnomah-county/mental-health"
    form["words"] = "Whoever called hears voices and is afraid."
    page = form.submit("submit").follow()
    said = page.html.select_one(".usa-alert").get_text(" ", strip=True)
    assert "Confidential, and not linked here: R-" in said
    number = said.partition("here: ")[2].partition(".")[0]
    page = worker.get(here)
    assert number not in page
    followed = worker.get(f"{CITY}/requests/{number}").html.select_one("main")
    assert "Received Confidential" in followed.get_text(" ", strip=True)
    specialist = sign_in("specialist", "city-of-portland")
    specialist.get(f"{CITY}/requests/{number}", status=404)
    assert number not in specialist.get(here)
    assert "hears voices" in sign_in("worker", "multnomah-county").get(
        f"{COUNTY}/requests/{number}"
    )


def test_who_said_me_too_does_not_read_what_it_became(worker, testapp, filed, web_engine, people):
    from regional311.database.ids import new_token
    from regional311.database.session import Scope, session_scope
    from regional311.intake import me_too, service
    from regional311.intake.models import ServiceRequest

    made, token = filed(), new_token()
    city, county = (people.tenants[each.strip("/")] for each in (CITY, COUNTY))
    with session_scope(web_engine, Scope(city)) as session:
        opened = session.get(ServiceRequest, (city, made.request_id)).opened_at
        me_too.join(
            session,
            me_too.Joins(
                number=made.request_public_id,
                service_keys=("pothole",),
                source_key="too",
                token=token,
                need_id=None,
                intake_tenant_id=city,
                email="ben@canary.example",
                language="en",
                at=opened,
            ),
        )
    form = worker.get(f"{CITY}/requests/{made.request_public_id}/hand-on").forms["hand-on"]
    form["service"] = "multnomah-county/mental-health"
    form["words"] = "Whoever called hears voices and is afraid."
    form.submit("submit").follow()
    with session_scope(web_engine, Scope(county)) as session:
        words = "A nurse visits you tomorrow."
        asked = {"request_id": made.request_id, "text": words, "internal": False}
        service.add_note(session, now=opened, **asked)
    assert "A nurse visits" in testapp.get(f"/track/{made.token}")
    theirs = testapp.get(f"/track/{token}")
    assert "You are counted too" in theirs
    assert "A nurse visits" not in theirs
    assert "Mental health" not in theirs
