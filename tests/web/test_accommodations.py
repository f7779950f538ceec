"""Accommodation requests and complaints: every door, the coordinator, the person, the figures."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from regional311.audit.models import AuditEvent
from regional311.database.session import Scope, session_scope
from regional311.referral.snapshot import invalidate

SLUG = "city-of-portland"
CITY = f"/{SLUG}"
SECRET_WORDS = "I cannot hear the hearing; my name is Zephyrine"


@pytest.fixture(autouse=True)
def office_hours(clock):
    """A Tuesday at eleven in Portland."""
    clock.now = datetime(2026, 10, 13, 18, tzinfo=UTC)


def fill(page, *, owner=f"{SLUG}/pbot", sort="request", what="sign_language", **more):
    form = page.forms["accommodation"]
    form["owner"], form["sort"] = owner, sort
    form["kind" if sort == "request" else "basis"] = what
    form["details"] = SECRET_WORDS
    for name, value in more.items():
        form[name] = value
    return form


def number_in(page) -> str:
    return re.search(r"A-[0-9A-Z]{5}-[0-9A-Z]{5}", page.text).group()


@pytest.fixture
def sent(testapp):
    """Somebody asked on the public page; their own page."""
    return fill(testapp.get("/accommodation"), email="z@zephyr.example").submit("submit").follow()


@pytest.fixture
def coordinator(sign_in):
    return sign_in("coordinator", SLUG)


def test_what_is_asked_for_is_acknowledged_decided_and_appealed(sent, coordinator, clock):
    number = number_in(sent)
    assert "Oct 15, 2026" in sent
    assert "Equity and access coordinator" in sent
    listed = coordinator.get(f"{CITY}/accommodations")
    assert "Zephyrine" not in listed
    page = listed.click(number)
    assert SECRET_WORDS in page
    form = page.forms["acknowledge"]
    form["words"] = "We look for an interpreter."
    page = form.submit("submit").follow()
    form = page.forms["decide"]
    form["outcome"] = "denied"
    page = form.submit("submit", status=400)
    assert "Say why" in page
    form = page.forms["decide"]
    form["outcome"], form["words"] = "denied", "There is none on that day; we offer captions."
    page = form.submit("submit").follow()
    mine = sent.goto(sent.request.path)
    assert "Not granted" in mine
    assert "We look for an interpreter." in mine
    assert "U.S. Department of Justice" in mine
    form = mine.forms["appeal"]
    form["words"] = "Captions do not help me."
    mine = form.submit("submit").follow()
    assert "appealed" in coordinator.get(f"{CITY}/accommodations")
    form = coordinator.get(f"{CITY}/accommodations/{number}").forms["answer-appeal"]
    form["words"] = "We found an interpreter after all."
    form.submit("submit")
    assert "We found an interpreter after all." in sent.goto(sent.request.path)
    assert "appeal" not in sent.goto(sent.request.path).forms


def test_the_person_adds_words_and_takes_it_back(sent, coordinator):
    form = sent.forms["add"]
    form["words"] = "Rather the week after."
    page = form.submit("submit").follow()
    assert "Rather the week after." in page
    page = next(f for f in page.forms.values() if f.action.endswith("/withdraw")).submit().follow()
    assert "Taken back" in page
    seen = coordinator.get(f"{CITY}/accommodations/{number_in(sent)}")
    assert "Rather the week after." in seen
    assert "decide" not in seen.forms


def test_a_form_sent_twice_is_one(testapp, coordinator):
    form = fill(testapp.get("/accommodation"), what="interpreter")
    first, second = form.submit("submit"), form.submit("submit")
    assert first.location == second.location


def test_the_desk_takes_one_in_for_a_partner_and_does_not_see_it_again(sign_in, coordinator):
    specialist = sign_in("specialist", SLUG)
    page = specialist.get(f"{CITY}/accommodation?channel=walk_in&language=es")
    assert page.forms["accommodation"]["language"].value == "es"
    page = fill(page, owner="multnomah-county/", sort="complaint", what="language").submit("submit")
    number = number_in(page)
    link = re.search(r"/accommodation/multnomah-county/[\w-]{20,60}", page.text).group()
    specialist.get(f"{CITY}/accommodations/{number}", status=404)
    specialist.get(f"{CITY}/accommodations", status=403)
    coordinator.get(f"{CITY}/accommodations/{number}", status=404)
    theirs = sign_in("coordinator", "multnomah-county")
    seen = theirs.get(f"/multnomah-county/accommodations/{number}")
    assert "Walk-in" in seen
    assert "Spanish" in seen
    assert number in specialist.get(link)
    specialist.get(link.replace("multnomah-county", SLUG), status=404)


def test_a_coordinator_of_one_bureau_sees_that_bureau(people, sign_in, testapp):
    people.make("access@pbot.example", {SLUG: ("coordinator",)})
    theirs = sign_in(SLUG, email="access@pbot.example")
    mine = number_in(fill(testapp.get("/accommodation")).submit("submit").follow())
    other = number_in(
        fill(testapp.get("/accommodation"), owner=f"{SLUG}/parks").submit("submit").follow()
    )
    listed = theirs.get(f"{CITY}/accommodations")
    assert mine in listed
    assert other not in listed
    theirs.get(f"{CITY}/accommodations/{other}", status=404)


def test_danger_is_asked_about_first(testapp):
    form = fill(testapp.get("/accommodation"))
    form["details"] = "my house is on fire"
    page = form.submit("submit", status=400)
    assert "Call 911 now" in page
    form = page.forms["accommodation"]
    form["cleared"].checked = True
    assert "We have it" in form.submit("submit").follow()


@pytest.mark.parametrize(
    ("name", "value"),
    [("owner", ""), ("kind", ""), ("details", ""), ("details", "x" * 5000), ("name", "x" * 300)],
)
def test_what_is_missing_or_too_long_is_said_and_nothing_is_kept(testapp, web_engine, name, value):
    form = fill(testapp.get("/accommodation"))
    if name in ("owner", "kind"):
        form[name].force_value(value)
    else:
        form[name] = value
    page = form.submit("submit", status=400)
    assert page.forms["accommodation"]["sort"].value == "request"
    assert "There is a problem" in page or "usa-error-message" in page


def test_nothing_tells_of_it_elsewhere(sent, sign_in, web_engine, people):
    number = number_in(sent)
    supervisor = sign_in("supervisor", SLUG)
    for path in ("requests", f"accommodations/{number}", "audit", "insight"):
        answer = supervisor.get(f"{CITY}/{path}", expect_errors=True)
        assert "Zephyrine" not in answer
        assert number not in answer
    assert "accommodation:" not in supervisor.get(f"{CITY}/audit?format=csv")
    with session_scope(web_engine, Scope(people.tenants[SLUG])) as session:
        letters = session.execute(
            text("SELECT recipient, heading || body FROM outbox_messages WHERE event = :event"),
            {"event": "accommodation_new"},
        ).all()
        details = [str(each.detail) for each in session.query(AuditEvent).all()]
    assert any(number in words for to, words in letters if to == "access@pbot.example")
    assert not any("Zephyrine" in words or "sign" in words for _to, words in letters)
    assert not any("Zephyrine" in each or "sign_language" in each for each in details)


def test_somebody_who_is_signed_in_is_not_named_by_it(sign_in, web_engine, people):
    worker = sign_in("worker", SLUG)
    page = fill(worker.get("/accommodation")).submit("submit").follow()
    form = page.forms["add"]
    form["words"] = "It was my own supervisor."
    form.submit("submit").follow()
    with session_scope(web_engine, Scope(people.tenants[SLUG])) as session:
        events = session.query(AuditEvent).filter(
            AuditEvent.subject_kind == "accommodation",
            AuditEvent.action.in_(("accommodation:take", "accommodation:note")),
        )
        person_id = people.known[people.account(SLUG, "worker")]
        assert events.count() >= 2
        assert person_id not in {each.person_id for each in events}


def test_figures_hide_small_counts(testapp, sign_in, clock):
    clock.now = datetime(2025, 3, 4, 19, tzinfo=UTC)
    for kind, many in (("interpreter", 6), ("large_print", 2)):
        for _ in range(many):
            fill(testapp.get("/accommodation"), what=kind).submit("submit")
    clock.now = datetime(2026, 10, 13, 18, tzinfo=UTC)
    supervisor = sign_in("supervisor", SLUG)
    page = supervisor.get(f"{CITY}/accommodation-figures?year=2025")
    assert "Request: 8" in page
    assert "few" in page
    assert "withheld" in page
    rows = supervisor.get(f"{CITY}/accommodation-figures?year=2025&format=csv").text
    assert "2025,request,total,,8" in rows
    assert "2025,request,kind,large_print,few" in rows
    assert "2025,complaint,total,,0" in rows


def test_terms_are_kept_in_a_form(sign_in, testapp):
    admin = sign_in("administrator", "211info")
    form = admin.get("/211info/settings/accommodation").forms["accommodation"]
    form["acknowledge_days"], form["decide_days"] = "9", "3"
    page = form.submit("submit", status=400)
    form = page.forms["accommodation"]
    form["acknowledge_days"], form["decide_days"] = "1", "5"
    names = [each for each in form.fields if each == "name"]
    form[names[0]] = "Access desk of 211info"
    form["phone"] = "503-555-0140"
    form.submit("submit").follow()
    invalidate()
    mine = fill(testapp.get("/accommodation"), owner="211info/").submit("submit").follow()
    assert "Access desk of 211info" in mine
    assert "Oct 14, 2026" in mine
