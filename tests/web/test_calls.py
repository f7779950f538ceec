"""Calls as a telephone system tells of them: the desk opens, the wait is known, and missed ones."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from regional311.cover import aid
from regional311.cover.duty import go_on_duty
from regional311.cover.models import Emergency
from regional311.database.ids import new_id, public_id
from regional311.database.rows import new_row, put
from regional311.database.session import Scope, session_scope
from regional311.erasure.known import known_of
from regional311.erasure.records import erase_contacts
from regional311.exchange.webhooks import key_of, sign
from regional311.inbox.models import Call
from regional311.intake.models import Contact, Need
from regional311.metering.models import UsageEvent
from regional311.referral.snapshot import invalidate
from regional311.settings import Settings

from .conftest import SECRET

CITY = "city-of-portland"
WHSEC = "whsec_" + "c2VjcmV0" * 4


@pytest.fixture(scope="module")
def configured(tmp_path_factory) -> Settings:
    return Settings(var=Path(tmp_path_factory.mktemp("var")), secret=SECRET, phone_secret=WHSEC)


@pytest.fixture(autouse=True)
def monday(clock):
    clock.now = datetime(2026, 10, 5, 18, tzinfo=UTC)


@pytest.fixture
def tell(testapp, clock):
    def say(event: str, call: str, status: int = 200, **data):
        given = {"id": call, "to": "(503) 823-4000"} | data
        body = json.dumps({"type": f"call.{event}", "data": given}).encode()
        headers = sign(str(new_id()), body, key=key_of(WHSEC), now=clock.now)
        return testapp.post(
            "/calls", body, headers, content_type="application/json", status=status
        ).json

    return say


def press(page, end, **fields):
    form = next(form for form in page.forms.values() if form.action.endswith(end))
    return form.submit(**fields).follow()


def test_a_call_opens_the_desk_and_ends_its_contact(tell, sign_in, clock, web_engine, people):
    browser = sign_in("specialist", CITY)
    assert tell("ringing", "a", **{"from": "503.555.0123"})["repeated"] is False
    assert tell("ringing", "a", **{"from": "503.555.0123"})["repeated"] is True
    clock.advance(seconds=40)
    desk = browser.get(f"/{CITY}/desk")
    assert "A call on City and County information, 311 from (503) 555-0123" in desk
    page = press(desk, "/desk/call")
    number = page.request.path.rpartition("/")[2]
    assert "A call on" not in browser.get(f"/{CITY}/desk")
    refused = next(form for form in desk.forms.values() if form.action.endswith("/desk/call"))
    assert "Somebody has taken this call" in refused.submit(status=409)
    form = next(form for form in page.forms.values() if form.action.endswith("/danger"))
    form["answer"] = "none"
    page = form.submit().follow()
    asked = browser.get(f"{page.request.path}?service={CITY}/pothole")
    assert asked.forms["need"]["phone"].value == "(503) 555-0123"
    clock.advance(minutes=3)
    hung_up = clock.now
    tell("ended", "a")
    clock.advance(minutes=5)
    press(browser.get(page.request.path), "/wrap-up")
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        contact = session.scalars(select(Contact).where(Contact.public_id == number)).one()
        assert (contact.wait_seconds, contact.ended_at) == (40, hung_up)
        assert (contact.handle_seconds, contact.line_key) == (180, "main")


def test_a_missed_call_is_called_back_or_settled(tell, sign_in):
    browser = sign_in("specialist", CITY)
    for call in ("m", "n"):
        tell("ringing", call, **{"from": "+15035550177"})
        tell("ended", call)
    desk = browser.get(f"/{CITY}/desk")
    assert "2 missed calls" in desk
    page = press(desk, "/desk/call-back", name="then", value="call")
    assert "/contacts/C-" in page.request.path
    desk = browser.get(f"/{CITY}/desk")
    assert "1 missed call" in desk
    desk = press(desk, "/desk/call-back", name="then", value="settle")
    assert "missed call" not in desk


def test_what_is_not_signed_or_not_ours_is_refused(tell, testapp, clock):
    tell("ringing", "x", status=404, to="503-555-0100")
    tell("sung", "x", status=400)
    tell("ringing", " ", status=400)
    body = b'{"type": "call.ringing", "data": {}}'
    headers = sign("1", body, key=key_of(WHSEC), now=clock.now)
    testapp.post("/calls", body + b" ", headers, status=401)
    clock.advance(minutes=6)
    testapp.post("/calls", body, headers, status=401)


# --- a line that another partner answers ----------------------------------------------------------

INFO = "211info"
LINE = "City of Portland: City and County information, 311"
NIGHT = datetime(2026, 10, 6, 5, tzinfo=UTC)
"""Ten at night: the City is closed, 211info answers for it."""


def calls_at(browser, tenant):
    return "A call on" in browser.get(f"/{tenant}/desk")


def contact_of(engine, tenant_id, page):
    number = page.request.path.rpartition("/")[2]
    with session_scope(engine, Scope(tenant_id)) as session:
        return session.scalars(select(Contact).where(Contact.public_id == number)).one()


def ask_danger(page):
    form = next(form for form in page.forms.values() if form.action.endswith("/danger"))
    form["answer"] = "none"
    return form.submit().follow()


def test_a_call_after_hours_rings_at_who_answers_and_is_charged_as_such(
    tell, sign_in, clock, web_engine, people
):
    clock.now = NIGHT
    city, info = sign_in("specialist", CITY), sign_in("specialist", INFO)
    county = sign_in("specialist", "multnomah-county")
    tell("ringing", "night", **{"from": "503.555.0191"})
    desk = info.get(f"/{INFO}/desk")
    assert (
        "A call on City of Portland: City and County information, 311 from (503) 555-0191" in desk
    )
    assert not calls_at(city, CITY)
    assert not calls_at(county, "multnomah-county")
    floor = sign_in("supervisor", INFO).get(f"/{INFO}/floor")
    assert LINE in floor
    assert "Calls that ring" not in sign_in("supervisor", CITY).get(f"/{CITY}/floor")
    clock.advance(seconds=25)
    page = press(desk, "/desk/call")
    assert "/211info/contacts/C-" in page.request.path
    assert not calls_at(info, INFO)
    page = ask_danger(page)
    clock.advance(minutes=4)
    hung_up = clock.now
    assert tell("ended", "night")["repeated"] is False
    assert tell("ended", "night")["repeated"] is True
    clock.advance(minutes=2)
    press(info.get(page.request.path), "/wrap-up")
    kept = contact_of(web_engine, people.tenants[INFO], page)
    assert (kept.line_owner_id, kept.line_key) == (people.tenants[CITY], "main")
    assert (kept.after_hours, kept.wait_seconds, kept.ended_at) == (True, 25, hung_up)
    with session_scope(web_engine, Scope(people.tenants[INFO])) as session:
        used = session.scalars(select(UsageEvent).where(UsageEvent.contact_id == kept.id)).one()
        assert (used.activity, used.after_hours) == ("contact_handled", True)
        assert (used.line_owner_id, used.service_owner_id) == (people.tenants[CITY],) * 2
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        there = session.scalars(select(Call).where(Call.call_key == "night")).one()
        assert (there.caller, there.rings, there.ended_at) == (None, "elsewhere", hung_up)


def test_who_answered_when_it_rang_counts_though_the_line_opens_meanwhile(
    tell, sign_in, clock, web_engine, people
):
    clock.now = datetime(2026, 10, 6, 13, 59, 50, tzinfo=UTC)
    info = sign_in("specialist", INFO)
    tell("ringing", "dawn", **{"from": "503.555.0192"})
    clock.now = datetime(2026, 10, 6, 15, 0, 10, tzinfo=UTC)
    tell("ringing", "day", **{"from": "503.555.0193"})
    tell("ended", "dawn")
    desk = info.get(f"/{INFO}/desk")
    assert "1 missed call" in desk
    assert "0193" not in desk
    page = press(desk, "/desk/call-back", name="then", value="call")
    kept = contact_of(web_engine, people.tenants[INFO], page)
    assert (kept.line_owner_id, kept.after_hours) == (people.tenants[CITY], True)
    assert "555-0193" in sign_in("specialist", CITY).get(f"/{CITY}/desk")
    tell("answered", "day")
    tell("ended", "day")


def test_own_and_others_calls_with_one_key_are_two(tell, sign_in, clock):
    clock.now = NIGHT + timedelta(hours=1)
    info = sign_in("specialist", INFO)
    tell("ringing", "same", **{"from": "503.555.0194"})
    tell("ringing", "same", to="211", **{"from": "503.555.0195"})
    desk = info.get(f"/{INFO}/desk")
    assert "555-0194" in desk
    assert "555-0195" in desk
    tell("ended", "same")
    tell("ended", "same", to="211")


def test_in_an_emergency_it_rings_at_those_who_are_lent_too_and_one_takes_it(
    tell, sign_in, clock, web_engine, people
):
    clock.now = datetime(2026, 10, 6, 18, tzinfo=UTC)
    helper = people.make("helper@county.example", {"multnomah-county": ("specialist",)})
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        surge = {"line": f"{CITY}/main", "answer": INFO}
        emergency = put_emergency(session, clock.now, surge)
    invalidate()
    county_id = people.tenants["multnomah-county"]
    with session_scope(web_engine, Scope(county_id, helper)) as session:
        aid_id = aid.offer(
            session,
            emergency_id=emergency,
            to=people.tenants[CITY],
            people=[{"id": str(helper), "name": "Helper", "languages": ["en"]}],
            lines=[f"{CITY}/main"],
            note=None,
            now=clock.now,
        )
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        aid.answer(session, aid_id, accept=True, now=clock.now)
    with session_scope(web_engine, Scope(county_id, helper)) as session:
        go_on_duty(session, name="Helper", languages=["en"], now=clock.now, aid_id=aid_id)
    lent = sign_in("specialist", "multnomah-county", email="helper@county.example")
    beside = sign_in("specialist", "multnomah-county")
    city, info = sign_in("specialist", CITY), sign_in("specialist", INFO)
    tell("ringing", "storm", **{"from": "503.555.0196"})
    theirs = city.get(f"/{CITY}/desk")
    desk = lent.get("/multnomah-county/desk")
    assert "555-0196" in theirs
    assert "555-0196" in info.get(f"/{INFO}/desk")
    assert f"A call on {LINE}" in desk
    assert not calls_at(beside, "multnomah-county")
    form = next(form for form in desk.forms.values() if form.action.endswith("/desk/call"))
    call = form["call"].value
    mine = beside.get("/multnomah-county/desk").forms["start"]
    forged = {"csrf_token": mine["csrf_token"].value, "call": call}
    beside.post("/multnomah-county/desk/call", forged, status=404)
    page = press(desk, "/desk/call")
    kept = contact_of(web_engine, county_id, page)
    assert (kept.line_owner_id, kept.after_hours) == (people.tenants[CITY], False)
    assert not calls_at(city, CITY)
    assert not calls_at(info, INFO)
    refused = next(form for form in theirs.forms.values() if form.action.endswith("/desk/call"))
    assert "Somebody has taken this call" in refused.submit(status=409)
    tell("ended", "storm")
    tell("ringing", "storm2", **{"from": "503.555.0197"})
    tell("ended", "storm2")
    assert "555-0197" not in lent.get("/multnomah-county/desk")
    assert "555-0197" not in info.get(f"/{INFO}/desk")
    assert "555-0197" in city.get(f"/{CITY}/desk")
    with session_scope(web_engine, Scope(county_id)) as session:
        missed = session.scalars(select(Call).where(Call.call_key.endswith(":storm2"))).one()
        assert missed.caller is None


def put_emergency(session, now, surge):
    emergency_id = new_id()
    put(
        session,
        new_row(
            Emergency,
            tenant_id=session.scope.tenant_id,
            id=emergency_id,
            public_id=public_id("E"),
            kind="storm",
            drill=False,
            texts={"en": {"title": "Storm", "text": "Ice"}},
            services=[],
            articles=[],
            places=[],
            surges=[surge],
            reason="Ice",
            started_at=now,
            ends_at=now + timedelta(hours=8),
        ),
    )
    return emergency_id


# --- the number of who calls ----------------------------------------------------------------------


def ringing(tell, browser, call, number):
    tell("ringing", call, **{"from": number})
    desk = browser.get(f"/{CITY}/desk")
    return press(desk, "/desk/call")


def lookups(page):
    return [form for form in page.forms.values() if form.action.endswith("/caller")]


def test_the_number_stands_on_the_page_and_is_looked_up_and_called_back(tell, sign_in, web_engine):
    browser = sign_in("specialist", CITY)
    page = ask_danger(ringing(tell, browser, "number", "503.555.0140"))
    assert "Calls from (503) 555-0140" in page.html.select_one(".d-called").get_text(
        " ", strip=True
    )
    assert page.html.select_one(".d-called a")["href"] == "tel:+15035550140"
    (form,) = lookups(page)
    assert "0140" not in form.text
    (asked,) = lookups(browser.get(f"{page.request.path}/caller"))
    assert asked["q"].value == "(503) 555-0140"
    assert not asked["consent"].checked
    forged = {"csrf_token": form["csrf_token"].value, "calling": "yes"}
    assert "Ask the person first" in browser.post(form.action, forged, status=400)
    assert "Nobody here by that number" in form.submit("consent")
    asked = browser.get(f"{page.request.path}?service={CITY}/pothole")
    need = asked.forms["need"]
    need["name"], need["contact_prohibited"] = "Rosa Canary", True
    need["latitude"], need["longitude"] = "45.5051", "-122.6750"
    need.submit()
    page = browser.get(page.request.path)
    assert not page.html.select_one(".d-called a"), "nobody calls back who is in danger by it"
    again = ask_danger(ringing(tell, browser, "number2", "503.555.0140"))
    assert "Rosa Canary" in lookups(again)[0].submit("consent")


def test_the_number_is_for_who_may_see_the_contact_and_goes_with_it(
    tell, sign_in, web_engine, people, clock, caplog
):
    browser = sign_in("specialist", CITY)
    page = ask_danger(ringing(tell, browser, "secret", "503.555.0141"))
    number = page.request.path.rpartition("/")[2]
    assert "555-0141" not in sign_in("finance", CITY).get(page.request.path)
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        kept = session.scalars(select(Contact).where(Contact.public_id == number)).one()
        put(session, need_of(kept, "accommodation"))
    assert "555-0141" in browser.get(page.request.path)
    colleague = people.make("colleague@city.example", {CITY: ("specialist",)})
    assert colleague
    seen = sign_in("specialist", CITY, email="colleague@city.example").get(page.request.path)
    assert "Confidential contact" in seen
    assert "555-0141" not in seen
    county = sign_in("specialist", "multnomah-county")
    assert county.get(f"/multnomah-county/contacts/{number}", expect_errors=True).status_int == 404
    assert "0141" not in caplog.text
    kept = contact_of(web_engine, people.tenants[CITY], page)
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        assert known_of(session, number=number, now=clock.now)["calls"][0]["caller"] == (
            "+15035550141"
        )
        erase_contacts(session, [kept.id], clock.now)
    assert "555-0141" not in browser.get(page.request.path)


def need_of(contact, service):
    return new_row(
        Need,
        tenant_id=contact.tenant_id,
        id=new_id(),
        contact_id=contact.id,
        service_owner_id=contact.tenant_id,
        service_key=service,
        term=service,
        place_kind="none",
        status="open",
        created_at=contact.started_at,
    )
