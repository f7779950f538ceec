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
