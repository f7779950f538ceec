"""Links and parts on the pages of requests."""

from __future__ import annotations

from tests.web.test_requests import (
    CITY,
    DOWNTOWN,
    filed,
    office_hours,
    worker,
)

__all__ = ["filed", "office_hours", "worker"]


def test_a_request_is_split_and_closed_with_its_parts(worker, filed):
    number = filed(DOWNTOWN).request_public_id
    page = worker.get(f"{CITY}/requests/{number}").click("Split it into parts")
    form = page.forms["split"]
    form["service"] = "city-of-portland/pothole"
    form["words"] = "Sweep up what is left of it."
    page = form.submit("submit").follow()
    assert "Its parts are R-" in page
    part = page.html.select_one(".d-links a").text
    again = form.submit("submit").follow()
    assert len(again.html.select(".d-links a")) == 1
    form = page.forms["close"]
    form["resolution"], form["message"] = "completed", "The hole was filled today."
    refused = form.submit("submit", status=400)
    assert "Its parts are still open" in refused
    refused.forms["close"]["parts"] = "close"
    page = refused.forms["close"].submit("submit").follow()
    assert "Closed" in page.html.select_one(".d-links").text
    assert "Part of" in worker.get(f"{CITY}/requests/{part}")


def test_two_requests_are_linked_and_the_link_ends(worker, filed):
    one, other = (filed(DOWNTOWN).request_public_id for _ in range(2))
    form = worker.get(f"{CITY}/requests/{one}").forms["link"]
    form["kind"], form["number"] = "follows", other
    page = form.submit("submit").follow()
    assert other in page.html.select_one(".d-links").text
    assert "Comes before" in worker.get(f"{CITY}/requests/{other}")
    end = next(each for each in page.forms.values() if each.action.endswith("/unlink"))
    assert other not in end.submit().follow().html.select("section:has(.d-links)")
    form["number"] = "R-NOTHING"
    assert "There is no request" in form.submit("submit", status=400)
