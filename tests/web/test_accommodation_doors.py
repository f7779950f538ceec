"""One door on every channel: from what was written, and from a contact at the desk."""

from __future__ import annotations

import pytest

from regional311.database.session import Scope, session_scope
from regional311.inbox.models import Thread
from tests.web.test_accommodations import number_in
from tests.web.test_desk import start
from tests.web.test_inbox import HERE, come, monday

__all__ = ["come", "monday"]

SLUG = "city-of-portland"
WORDS = "I need a sign language interpreter for the hearing."


@pytest.fixture
def browser(sign_in):
    return sign_in("specialist", SLUG)


def sent_on(page):
    """Choose what the words do not say, and take it in."""
    form = page.forms["accommodation"]
    form["owner"], form["sort"], form["kind"] = f"{SLUG}/pbot", "request", "sign_language"
    return form.submit("submit")


def test_a_mail_becomes_one_and_is_confidential_from_then_on(
    browser, come, sign_in, web_engine, people
):
    number = come(WORDS, address="zoe@zephyr.example", name="Zoe", language="es")
    page = browser.get(f"{HERE}/{number}").click("Accommodation or complaint")
    form = page.forms["accommodation"]
    assert form["details"].value == WORDS
    assert (form["name"].value, form["email"].value) == ("Zoe", "zoe@zephyr.example")
    assert (form["channel"].value, form["language"].value) == ("email", "es")
    page = sent_on(page)
    made = number_in(page)
    # whoever wrote it down has it, and can answer with number and link
    assert "Answer" in page.click(f"Answer {number}")
    with session_scope(web_engine, Scope(people.tenants[SLUG])) as session:
        thread = session.query(Thread).filter(Thread.public_id == number).one()
        assert thread.confidential
    other = people.make("other@specialists.example", {SLUG: ("specialist",)})
    assert other
    sign_in(SLUG, email="other@specialists.example").get(f"{HERE}/{number}", status=404)
    seen = sign_in("coordinator", SLUG).get(f"/{SLUG}/accommodations/{made}")
    assert WORDS in seen
    assert "zoe@zephyr.example" in seen


def test_a_contact_becomes_one_and_goes_on(browser, sign_in):
    contact = start(browser, channel="phone", language="vi")
    page = contact.click("Accommodation or complaint of treatment")
    form = page.forms["accommodation"]
    assert (form["channel"].value, form["language"].value) == ("phone", "vi")
    form["details"] = WORDS
    page = sent_on(page)
    assert number_in(page)
    back = page.click("Back to C-")
    assert back.request.path == contact.request.path


def test_what_a_person_may_not_see_fills_in_nothing(browser, come, sign_in):
    number = come(WORDS)
    coordinator = sign_in("coordinator", SLUG)
    for who, asked in ((coordinator, number), (browser, "T-ZZZZZ-ZZZZZ"), (browser, "x" * 300)):
        form = who.get(f"/{SLUG}/accommodation?from={asked}").forms["accommodation"]
        assert not form["details"].value
        assert not form["origin"].value
