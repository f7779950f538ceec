"""Texts for closing: kept by service, outcome and language; put in, changed, and sent."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from regional311.casework.models import PreparedText
from regional311.database.ids import new_id, public_id
from regional311.database.rows import new_row, put
from regional311.database.session import Scope, session_scope
from regional311.intake.models import Inquirer, ServiceRequest
from regional311.intake.service import NewRequest, open_request

CITY = "city-of-portland"
TEXTS = f"/{CITY}/closing-texts"


@pytest.fixture(autouse=True)
def tuesday(clock):
    clock.now = datetime(2026, 10, 13, 18, tzinfo=UTC)


@pytest.fixture
def spanish(web_engine, people, clock):
    """The number of a request that somebody asked for in Spanish."""
    tenant, person, number = people.tenants[CITY], new_id(), public_id("R")
    with session_scope(web_engine, Scope(tenant)) as session:
        row = new_row(Inquirer, tenant_id=tenant, id=person, name="Rosa", language="es")
        put(session, row)
        made = NewRequest(
            new_id(),
            number,
            tenant,
            "pothole",
            clock.now,
            inquirer_id=person,
            place_kind="address",
            place_text="SE Division 12",
        )
        open_request(session, made, now=clock.now)
    return number


def add(browser, **values):
    form = browser.get(f"{TEXTS}/new").forms["text"]
    for name, value in values.items():
        form[name] = value
    return form.submit("submit", status="*")


def closing_form(browser, number):
    return browser.get(f"/{CITY}/requests/{number}").forms["close"]


def test_a_text_is_put_in_in_the_persons_language_changed_and_sent(sign_in, spanish):
    supervisor = sign_in("supervisor", CITY)
    assert "Saved." in add(supervisor, name="Hole filled", text_en="We filled {place}.").follow()
    add(
        supervisor,
        name="Bache tapado",
        service_key="pothole",
        resolution="completed",
        text_es="Tapamos el bache en {place} el {closed} ({number}).",
    )
    listed = supervisor.get(TEXTS)
    assert "Bache tapado" in listed
    assert "Hole filled" in listed
    worker = sign_in("worker", CITY)
    form = closing_form(worker, spanish)
    named = [words for _value, _chosen, words in form["text"].options]
    assert named[1].startswith("Bache tapado · Spanish")
    form["text"] = form["text"].options[1][0]
    form["message"] = "Hola Rosa:"
    page = form.submit("put_in")
    form = page.forms["close"]
    words = form["message"].value
    assert words.startswith("Hola Rosa:\n\nTapamos el bache en SE Division 12 el 13 de octubre de")
    assert spanish in words
    assert form["resolution"].value == "completed"
    assert "It is closed" not in worker.get(f"/{CITY}/requests/{spanish}")
    form["message"] = words.replace("Hola Rosa:", "Hola:")
    form.submit("submit").follow()
    closed = worker.get(f"/{CITY}/requests/{spanish}")
    assert "Hola:" in closed
    assert "Tapamos el bache" in closed


def test_bad_input_names_the_field_and_keeps_nothing(sign_in, web_engine, people):
    supervisor = sign_in("supervisor", CITY)
    refused = add(supervisor, name="Bad", text_en="Dear {name}")
    assert refused.status_int == 400
    assert "{name} is no place that can be filled in. Places are {number}, {service}" in refused
    assert add(supervisor, name="", text_en="It is filled.").status_int == 400
    short = add(supervisor, name="Bad", text_en="It is filled.", text_es="Listo: {number} {place}")
    assert short.status_int == 400
    assert "Write at least 10 letters, places not counted." in short
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        kept = session.scalars(
            select(PreparedText.name).where(PreparedText.name.in_(["Bad", ""]))
        ).all()
    assert kept == []


def test_one_that_is_offered_no_more_and_those_of_answers_are_apart(sign_in, spanish):
    supervisor = sign_in("supervisor", CITY)
    add(supervisor, name="Once only", text_en="That was once only.")
    page = supervisor.get(TEXTS)
    link = next(a["href"] for a in page.html.select("th a") if a.text == "Once only")
    path = link.removeprefix("http://localhost")
    end = next(f for f in page.forms.values() if f.action == f"{link}/end")
    assert "It is offered no more." in end.submit().follow()
    form = closing_form(sign_in("worker", CITY), spanish)
    offered = form["text"].options if "text" in form.fields else []
    assert not [words for _value, _chosen, words in offered if words.startswith("Once only")]
    assert "Once only" in supervisor.get(f"{TEXTS}?state=ended")
    assert "Once only" not in supervisor.get(f"/{CITY}/answer-templates")
    text_id = path.rpartition("/")[2]
    supervisor.get(f"/{CITY}/answer-templates/{text_id}", status=404)
    supervisor.get(path)


def test_many_are_closed_with_one_text_each_in_their_own_language(
    sign_in, web_engine, people, clock
):
    tenant, numbers = people.tenants[CITY], {}
    with session_scope(web_engine, Scope(tenant)) as session:
        for language in ("es", "en", "ru", "other", None):
            person, numbers[language] = new_id(), public_id("R")
            if language is None:
                person = None  # as of what came through another partner
            else:
                row = new_row(Inquirer, tenant_id=tenant, id=person, name="P", language=language)
                put(session, row)
            made = NewRequest(
                new_id(),
                numbers[language],
                tenant,
                "pothole",
                clock.now,
                inquirer_id=person,
                place_kind="address",
                place_text="NE Many 7",
            )
            open_request(session, made, now=clock.now)
    add(
        sign_in("supervisor", CITY),
        name="Many filled",
        service_key="pothole",
        resolution="completed",
        text_en="{service}, {place}: filled on {closed}.",
        text_es="{service}, {place}: tapado el {closed}.",
    )
    worker = sign_in("worker", CITY)
    page = worker.get(f"/{CITY}/requests?state=open&service=pothole")
    form = page.forms["bulk"]
    form["action"] = "close"
    for field in form.fields["chosen"]:
        field.checked = field._value in numbers.values()
    page = form.submit("which", value="chosen")
    assert "Another language: 1" in page.text
    assert "Spanish: 1" in page.text
    assert "Not known: 1" in page.text
    first = closing_form(worker, numbers[None])["text"].options[1][2]
    assert first.startswith("Many filled · English")
    form = page.forms["change"]
    assert form.submit("submit", status=400).html.select(".usa-error-message")
    form = page.forms["change"]
    form["text"] = next(
        value
        for value, _chosen, words in form["text"].options
        if words.startswith("Many filled · English, Spanish · ")
    )
    form["message"] = "Ticket 7."
    assert "5 of 5 changed." in form.submit("submit").follow()
    day = "13 de octubre de 2026"
    said = {
        "es": f"Ticket 7.\n\nBache en la calle, NE Many 7: tapado el {day}.",
        "en": "Ticket 7.\n\nPothole in a street, NE Many 7: filled on October 13, 2026.",
    }
    with session_scope(web_engine, Scope(tenant)) as session:
        rows = dict(
            session.execute(
                select(ServiceRequest.public_id, ServiceRequest.public_message).where(
                    ServiceRequest.public_id.in_(numbers.values())
                )
            ).all()
        )
    for language, number in numbers.items():
        assert rows[number] == said.get(language, said["en"])
