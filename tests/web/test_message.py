"""A message is filed whole from one form, in one transaction."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from regional311.database.session import Scope, session_scope
from regional311.intake.models import Contact, ServiceRequest
from regional311.notices.models import OutboxMessage

CITY = "city-of-portland"
GRAFFITI = f"/{CITY}/desk/message?service={CITY}/graffiti"


@pytest.fixture
def count(web_engine, people):
    def many(model) -> int:
        tenant_id = people.tenants[CITY]
        with session_scope(web_engine, Scope(tenant_id)) as session:
            return session.scalar(
                select(func.count()).select_from(model).where(model.tenant_id == tenant_id)
            )

    return many


def filled(browser, url: str = GRAFFITI):
    form = browser.get(url).forms["message"]
    form["danger"] = "none"
    form["place"] = "SE Hawthorne Boulevard at 37th"
    form["description"] = "Big letters on the wall"
    return form


def test_a_service_is_picked_by_the_words_of_the_message(sign_in) -> None:
    browser = sign_in("specialist", CITY)

    page = browser.get(f"/{CITY}/desk/message?q=tagging+on+a+wall+graffiti")

    assert "Graffiti" in page.text
    assert page.click("Graffiti", index=0).forms["message"]["service"].value == f"{CITY}/graffiti"


def test_one_form_makes_contact_request_and_news(sign_in, count) -> None:
    browser = sign_in("specialist", CITY)
    before = [count(each) for each in (Contact, ServiceRequest, OutboxMessage)]
    form = filled(browser)
    form["email"] = "ana@example.org"
    form["wants_updates"] = True

    page = form.submit("submit").follow()

    assert "Graffiti" in page.text
    assert "Voicemail" in page.text
    after = [count(each) for each in (Contact, ServiceRequest, OutboxMessage)]
    assert [new - old for old, new in zip(before, after, strict=True)] == [1, 1, 1]


def test_the_same_form_sent_twice_gives_the_same_contact(sign_in, count) -> None:
    browser = sign_in("specialist", CITY)
    form = filled(browser)
    before = count(Contact)

    first = form.submit("submit")
    second = form.submit("submit")

    assert first.location == second.location
    assert count(Contact) == before + 1


def test_danger_is_asked_and_comes_first(sign_in, count) -> None:
    browser = sign_in("specialist", CITY)
    form = browser.get(GRAFFITI).forms["message"]
    form["place"] = "SE Hawthorne Boulevard"
    before = count(ServiceRequest)

    refused = form.submit("submit", status=400)
    assert "Choose one." in refused.text

    form["danger"] = "fire"
    page = form.submit("submit").follow()
    assert "911" in page.text
    assert count(ServiceRequest) == before


def test_a_message_of_tomorrow_is_refused(sign_in, count) -> None:
    browser = sign_in("specialist", CITY)
    form = filled(browser)
    form["received_on"] = "2199-01-01"
    before = count(Contact)

    page = form.submit("submit", status=400)

    assert "cannot have come in the future" in page.text
    assert page.forms["message"]["description"].value == "Big letters on the wall"
    assert count(Contact) == before


def test_filing_takes_few_statements(sign_in, statements) -> None:
    browser = sign_in("specialist", CITY)
    filled(browser).submit("submit")
    form = filled(browser)
    statements.clear()

    form.submit("submit")

    assert len(statements) <= 4, statements
