"""Administrators see what is kept and what was erased, erase a person, and links say that it is."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from sqlalchemy import text

from regional311.database.ids import new_id
from regional311.database.session import Scope, session_scope
from regional311.erasure.kinds import KINDS
from regional311.erasure.person import erase_person
from regional311.referral.person_links import give_code
from tests.web.conftest import elsewhere

CITY = "city-of-portland"
NUMBER = re.compile(r"R-[0-9A-Z]{5}-[0-9A-Z]{5}")
PAGE = f"/{CITY}/settings/erase-person"
REMOVED = "This record was removed"


@pytest.fixture
def link(testapp):
    """Somebody reports a pothole, with a name; the link to their request."""
    screen = testapp.get(f"/report?service={CITY}/pothole").forms["screen"]
    screen["danger"] = "none"
    form = screen.submit("submit").follow().forms["report"]
    for name, value in elsewhere().items():
        form[name] = value
    form["name"], form["email"] = "Dana Canary", f"{new_id().hex}@canary.example"
    token = form.submit("submit").follow().html.select_one("a.d-token")["href"]
    return token[token.index("/track/") :]


def number_of(testapp, link):
    return NUMBER.search(testapp.get(link).text)[0]


def close(sign_in, number):
    worker = sign_in("worker", CITY)
    form = worker.get(f"/{CITY}/requests/{number}").forms["close"]
    form["resolution"], form["message"] = "completed", "Filled for Ms Canary."
    form.submit("submit").follow()
    return worker


def test_a_person_is_erased_after_a_second_confirmation(testapp, sign_in, link):
    number = number_of(testapp, link)
    admin = sign_in("administrator", CITY)
    page = admin.get(PAGE).forms["look"]
    page["number"] = number.lower()
    shown = page.submit()
    assert "Not yet: something is open" in shown
    assert number in shown.html.select_one("main ul.usa-list").text
    assert "erase" not in shown.forms
    worker = close(sign_in, number)
    assert "Ms Canary" in testapp.get(link)
    form = admin.get(PAGE, {"number": number}).forms["erase"]
    assert "Choose one." in form.submit("submit", status=400)
    form["reason"], form["again"] = "asked", "R-00000-0CT7W"
    assert "This is not the number above." in form.submit("submit", status=400)
    assert "Ms Canary" in testapp.get(link)
    form["again"] = number
    done = form.submit("submit").follow()
    assert "Erased: " in done
    assert "The person asked for it" in done
    assert "Administrator" in done
    gone = testapp.get(link)
    assert REMOVED in gone
    assert "Canary" not in gone
    assert "no-store" in gone.headers["Cache-Control"]
    assert not gone.forms.get("rate")
    kept = worker.get(f"/{CITY}/requests/{number}")
    assert "Canary" not in kept
    assert "Erased, but for what is counted" in kept
    assert "What was personal here was erased" in kept
    again = form.submit("submit").follow()
    assert "Nothing of this person is left" in again
    assert "Nothing of this person is left" in admin.get(PAGE, {"number": number})


def test_a_form_that_was_open_before_changes_nothing_of_what_was_erased(testapp, sign_in, link):
    number = number_of(testapp, link)
    close(sign_in, number)
    rated = testapp.get(link).forms["rate"]
    admin = sign_in("administrator", CITY)
    form = admin.get(PAGE, {"number": number}).forms["erase"]
    form["reason"], form["again"] = "asked", number
    form.submit("submit")
    rated["helped"], rated["text"] = "no", "Dana was here"
    rated.submit("submit", status=404)


def test_what_was_opened_meanwhile_is_said(testapp, sign_in, link):
    number = number_of(testapp, link)
    close(sign_in, number)
    form = sign_in("administrator", CITY).get(PAGE, {"number": number}).forms["erase"]
    again = testapp.get(link).forms["reopen"]
    again["text"] = "There is another hole."
    again.submit("submit")
    form["reason"], form["again"] = "asked", number
    assert "Not yet: something is open" in form.submit("submit", status=409)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("Dana Canary", "Give the number of a contact"),
        ("R-00000-0CT7W", "There is no such number at this partner."),
    ],
)
def test_what_is_no_number_is_said(sign_in, typed, said):
    assert said in sign_in("administrator", CITY).get(PAGE, {"number": typed})


def test_the_page_says_what_is_kept_and_what_was_erased(
    testapp, sign_in, link, web_engine, people, clock
):
    number = number_of(testapp, link)
    close(sign_in, number)
    admin = sign_in("administrator", CITY)
    page = admin.get(f"/{CITY}/settings").click("What is kept of people")
    rows = {
        row.select_one("th").text: [cell.text.strip() for cell in row.select("td")]
        for row in page.html.select("main table")[0].select("tbody tr")
    }
    assert len(rows) == len(KINDS)
    assert rows["Requests: what was said, where exactly, files"][0] == (
        "2190 days after it was closed"
    )
    later = clock.now + timedelta(days=4000)
    for kind in KINDS:
        with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
            kind.do(session, later)
    page = admin.get(f"/{CITY}/settings/retention")
    row = next(
        row for row in page.html.select("main tbody tr") if row.th.text.startswith("Requests:")
    )
    assert int(row.select("td")[1].text) >= 1
    assert REMOVED in testapp.get(link)


def test_the_code_of_a_person_says_that_it_was_removed(
    testapp, sign_in, link, web_engine, people, clock
):
    number = number_of(testapp, link)
    close(sign_in, number)
    city = people.tenants[CITY]
    with session_scope(web_engine, Scope(city)) as session:
        contact_id, public_id = session.execute(
            text(
                "SELECT c.id, c.public_id FROM contacts c JOIN service_requests r"
                " ON r.tenant_id = c.tenant_id AND r.contact_id = c.id WHERE r.public_id = :number"
            ),
            {"number": number},
        ).one()
        code = give_code(session, now=clock.now, contact_id=contact_id)
    assert REMOVED not in testapp.get(f"/mine/{code}")
    with session_scope(web_engine, Scope(city)) as session:
        erase_person(session, now=clock.now, number=public_id, reason="asked")
    assert REMOVED in testapp.get(f"/mine/{code}")


def test_a_supervisor_saves_what_is_known_of_a_person(testapp, sign_in, link, web_engine, people):
    number = number_of(testapp, link)
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        contact = session.scalar(
            text(
                "SELECT c.public_id FROM contacts c JOIN service_requests r"
                " ON r.tenant_id = c.tenant_id AND r.contact_id = c.id WHERE r.public_id = :number"
            ),
            {"number": number},
        )
    where = f"/{CITY}/contacts/{contact}/consents"
    page = sign_in("supervisor", CITY).get(where)
    form = next(each for each in page.forms.values() if each.action.endswith("/all-known"))
    saved = form.submit()
    assert saved.content_disposition == f'attachment; filename="{contact}.json"'
    assert saved.json["people"][0]["name"] == "Dana Canary"
    assert saved.json["requests"][0]["public_id"] == number
    assert "/all-known" not in sign_in("specialist", CITY).get(where)
