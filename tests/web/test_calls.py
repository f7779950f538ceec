"""Calls as a telephone system tells of them: the desk opens, the wait is known, and missed ones."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select

from regional311.database.ids import new_id
from regional311.database.session import Scope, session_scope
from regional311.exchange.webhooks import key_of, sign
from regional311.intake.models import Contact
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
