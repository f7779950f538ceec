"""What a receiver asks first, on the public form and in Open311, before anything is promised."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import func, select

from regional311.database.session import Scope, session_scope
from regional311.identity.clients import make_client
from regional311.intake.models import Contact
from regional311.referral.models import Referral
from regional311.referral.snapshot import invalidate

HELP = "211info"
BILL = f"/report?service={HELP}/utility-bill-help&danger=none"
NOW = datetime(2026, 10, 13, 18, tzinfo=UTC)


@pytest.fixture(autouse=True)
def office_hours(clock):
    clock.now = NOW
    invalidate()


def count(web_engine, people, kind=Contact):
    with session_scope(web_engine, Scope(people.tenants[HELP])) as session:
        return session.scalar(select(func.count()).select_from(kind))


def filled(form):
    """Every question of the form itself answered with its first answer."""
    for name, fields in form.fields.items():
        if name and name.startswith("answer") and fields[0].tag == "select":
            fields[0].value = next(value for value, *_more in fields[0].options if value)
    return form


@pytest.mark.parametrize(
    ("language", "asks", "refuses"),
    [
        ("en", "Is the home in one of the three counties", "211info cannot help: programs pay"),
        ("es", "¿Está la vivienda en uno", "los programas pagan solo"),
        ("vi", "Nhà có ở một trong ba quận", "các chương trình chỉ chi trả"),
        ("zh-Hant", "住家是否位於三個縣之一", "這些計畫只資助"),
        ("ru", "Жильё находится в одном", "программы платят только"),
    ],
)
def test_who_cannot_be_helped_hears_it_before_anything_is_filed(
    testapp, web_engine, people, language, asks, refuses
):
    before = count(web_engine, people)
    form = testapp.get(f"{BILL}&lang={language}").forms["report"]
    asked = filled(form).submit("submit", expect_errors=True)
    assert asks in asked
    form = filled(asked.forms["report"])
    form["meets-in-the-region"] = "no"
    refused = form.submit("submit", status=400)
    assert refuses in refused
    assert refused.forms["report"]["meets-in-the-region"].value == "no"
    assert count(web_engine, people) == before


def test_who_can_be_helped_is_filed_once_the_question_is_answered(testapp, web_engine, people):
    before = count(web_engine, people)
    form = filled(testapp.get(BILL).forms["report"])
    form["description"] = "The notice says Friday"
    asked = form.submit("submit", expect_errors=True)
    assert "Before anything is promised: 211info asks" in asked
    assert count(web_engine, people) == before
    form = asked.forms["report"]
    assert form["description"].value == "The notice says Friday"
    form["meets-in-the-region"] = "yes"
    form.submit("submit", status=303)
    assert count(web_engine, people) == before + 1


def test_open311_asks_in_its_notice_and_takes_the_answer_as_an_attribute(
    testapp, web_engine, people
):
    with session_scope(web_engine, Scope(people.tenants[HELP])) as session:
        key = make_client(session, name="App", scopes=["open311:requests"], a_minute=99, now=NOW)
    address = f"/{HELP}/open311/v2/requests.json"
    form = testapp.get(f"/{HELP}/open311/v2/services/utility-bill-help.json").json
    given = {"api_key": key, "service_code": "utility-bill-help", "address_string": "Kenton"} | {
        f"attribute[{each['code']}]": each["values"][0]["key"] if each.get("values") else "1"
        for each in form["attributes"]
        if each["required"]
    }
    before = count(web_engine, people), count(web_engine, people, Referral)
    sent = testapp.post(address, given, status=201).json[0]
    assert "211info asks first: Is the home in one of the three" in sent["service_notice"]
    meets = "attribute[meets-in-the-region]"
    assert testapp.post(address, given | {meets: "maybe"}, status=400)
    refused = testapp.post(address, given | {meets: "no"}, status=400).json[0]
    assert "programs pay only for homes" in refused["description"]
    sent = testapp.post(address, given | {meets: "yes"}, status=201).json[0]
    assert "asks first" not in (sent["service_notice"] or "")
    assert count(web_engine, people) == before[0] + 2


def test_translations_are_written_below_the_question(sign_in):
    boss = sign_in("administrator", HELP)
    page = boss.get(f"/{HELP}/receiving/bills")
    form = page.forms["acceptance"]
    lines = form["questions"].value.splitlines()
    assert lines[1].startswith("es: ¿Está la vivienda")
    assert len(lines) == 5
    form["questions"] = "\n".join([*lines, "ru: Ещё раз?"])
    assert "twice in ru" in form.submit("submit", status=400)
    form["questions"] = "\n".join(lines)
    form.submit("submit").follow()
    assert (
        boss.get(f"/{HELP}/receiving/bills").forms["acceptance"]["questions"].value.splitlines()
        == lines
    )
