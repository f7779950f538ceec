"""The start page: what one may want to do, and what is asked for most."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from regional311.database.session import Scope, session_scope
from tests.web.conftest import elsewhere

CITY = "city-of-portland"


@pytest.fixture(autouse=True)
def office_hours(clock):
    clock.now = datetime(2026, 10, 13, 18, tzinfo=UTC)


def report(browser, service):
    screen = browser.get(f"/report?service={CITY}/{service}").forms["screen"]
    screen["danger"] = "none"
    form = screen.submit("submit").follow().forms["report"]
    for name, value in elsewhere().items():
        form[name] = value
    form.submit("submit")


def test_each_verb_leads_to_what_can_be_done(testapp):
    verbs = testapp.get("/").html.select(".p-verbs a")
    assert [each.get_text() for each in verbs] == [
        "Find",
        "Report",
        "Request",
        "Apply or register",
        "Pay",
    ]
    for each in verbs:
        assert testapp.get(each["href"]).html.select("li h3, li .p-hits__title")


def test_what_was_asked_for_often_is_named_and_what_few_asked_for_is_not(
    testapp, clock, web_engine, people
):
    for _each in range(5):
        report(testapp, "pothole")
    report(testapp, "street-light")
    clock.advance(minutes=11)
    asked = [each["href"] for each in testapp.get("/").html.select(".p-asked a")]
    assert asked == [f"/services/{CITY}/pothole"]
    spanish = testapp.get("/?lang=es")
    assert "Lo más pedido" in spanish
    assert "Bache" in spanish.html.select_one(".p-asked").get_text()
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        session.execute(text("UPDATE service_requests SET confidential = true"))
        session.commit()
    assert testapp.get("/").html.select(".p-asked a")
    clock.advance(minutes=11)
    assert not testapp.get("/").html.select(".p-asked a")
