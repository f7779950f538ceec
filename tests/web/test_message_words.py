"""Own words in messages: saved, previewed, tried on oneself, taken back; sent from then on."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from regional311.database.session import Scope, session_scope
from regional311.referral.snapshot import invalidate

pytestmark = pytest.mark.commits

CITY = "city-of-portland"
HERE = f"/{CITY}/message-words"


@pytest.fixture(autouse=True)
def monday(clock):
    clock.now = datetime(2026, 10, 5, 18, tzinfo=UTC)


@pytest.fixture
def admin(sign_in):
    return sign_in("administrator", CITY)


def fill(page, heading, body):
    form = page.forms["words"]
    form["heading"], form["body"] = heading, body
    return form


def test_words_are_saved_shown_and_taken_back(admin, web_engine, people):
    page = admin.get(f"{HERE}/request_closed.es")
    assert "Usual words" in page
    body = "{partner} ha terminado: {message}\n\n{link}"
    saved = fill(page, "Listo: {number}", body).submit("submit").follow()
    assert "Messages say this from now on." in saved
    invalidate()
    page = admin.get(f"{HERE}/request_closed.es")
    assert "Listo: R-7K3M9-QP4TX" in page
    assert "City of Portland ha terminado" in page
    assert "Own words" in admin.get(HERE)
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        trail = session.execute(
            text("SELECT detail FROM audit_events WHERE action = 'settings:wording'")
        ).scalar_one()
    assert trail["before"] is None
    assert trail["after"]["heading"] == "Listo: {number}"
    usual = next(form for form in page.forms.values() if form.action.endswith("/usual"))
    assert "the usual words again" in usual.submit().follow()
    invalidate()
    assert "Own words" not in admin.get(HERE)


def test_a_missing_or_unknown_place_is_one_clear_error(admin):
    page = admin.get(f"{HERE}/request_status.en")
    refused = fill(page, "News", "{message}").submit("submit", status=400)
    assert "needs {link}" in refused
    refused = fill(page, "News", "{message}{link}{x.__class__}").submit("submit", status=400)
    assert "Braces stand only around" in refused
    assert "Usual words" in admin.get(f"{HERE}/request_status.en")


def test_a_preview_changes_nothing(admin):
    page = admin.get(f"{HERE}/request_closed.vi")
    shown = fill(page, "Xong: {number}", "{message}\n\n{link}").submit("preview")
    assert "Xong: R-7K3M9-QP4TX" in shown
    assert "Xong" not in admin.get(f"{HERE}/request_closed.vi")
    refused = fill(page, "Xong", "{message}").submit("preview", status=400)
    assert "needs {link}" in refused


def test_a_preview_shows_a_link_only_where_a_person_gets_one(admin):
    """The link of a request that somebody filed is in the first message alone."""
    for name in ("request_status.en", "request_closed.en.text"):
        assert "/track/" not in admin.get(f"{HERE}/{name}")
    for name in ("request_received.en.text", "me_too_closed.en"):
        assert "/track/" in admin.get(f"{HERE}/{name}")
    form = admin.get(f"{HERE}/request_closed.en.text").forms["words"]
    form["body"] = "{message} " * 5 + "{link}"
    assert "See the link" not in form.submit("preview")
    form["body"] = "{message} " * 20 + "{link}"
    assert "More: see the link in our first text." in form.submit("preview")


def test_a_test_goes_to_oneself(admin, web_engine, people):
    page = admin.get(f"{HERE}/request_closed.en")
    shown = fill(page, "Try: {number}", "{message}\n\n{link}").submit("test")
    address = people.account(CITY, "administrator")
    assert address in shown
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        row = session.execute(
            text("SELECT recipient, heading FROM outbox_messages WHERE event = 'wording_test'")
        ).one()
    assert tuple(row) == (address, "Try: R-7K3M9-QP4TX")


def test_what_is_said_of_accommodations_is_worded_too(admin):
    page = admin.get(f"{HERE}/accommodation_decided.en")
    refused = fill(page, "Decided", "See {link}").submit("submit", status=400)
    assert "needs {day}" in refused
    shown = fill(page, "{number}", "Say so through {day}. {link}").submit("preview")
    assert "Say so through October 10, 2026." in shown


def test_two_who_change_the_same_words(admin, sign_in, people, web_engine):
    people.make("second@city.example", {CITY: ("administrator",)})
    other = sign_in(CITY, email="second@city.example")
    mine, theirs = admin.get(f"{HERE}/me_too_closed.ru"), other.get(f"{HERE}/me_too_closed.ru")
    fill(mine, "A {number}", "{message}{link}").submit("submit").follow()
    refused = fill(theirs, "B {number}", "{message}{link}").submit("submit", status=409)
    assert "Somebody else" in refused


@pytest.mark.parametrize("name", ["request_closed.xx", "reviews_due.en", "nonsense", "a.b.c"])
def test_what_there_is_not(admin, name):
    admin.get(f"{HERE}/{name}", status=404)
