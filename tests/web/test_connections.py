"""The page of a partner's own system: set up, its secret once, what was given up, tried again."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from sqlalchemy import select, update

from regional311.database.session import Scope, session_scope
from regional311.exchange import systems
from regional311.exchange.models import ExchangeTask, ExternalSystem
from regional311.referral.external_delivery import gather, run_errand
from regional311.settings import Settings
from tests.little_region import NOW
from tests.web.test_insight import sent

__all__ = ["sent"]
pytestmark = pytest.mark.commits

HERE = "/211info/connections"
BAD_HOST = "https://evil.example/fhir"


@pytest.fixture(scope="module")
def configured(tmp_path_factory):
    return Settings(
        var=tmp_path_factory.mktemp("var"),
        secret="a secret for tests of forty characters..",
        exchange_hosts=("partner.example", "http://127.0.0.1:9"),
    )


@pytest.fixture
def administrator(sign_in):
    return sign_in("administrator", "211info")


def form_of(page, field):
    return next(form for form in page.forms.values() if field in form.fields)


def fill(browser, **values):
    form = form_of(browser.get(f"{HERE}/new"), "key_id")
    given = {"name": "Care", "way": "push", "key_id": "care-1", "known_as": "211info", **values}
    for name, value in given.items():
        form[name] = value
    return form.submit("submit", status="*")


def forget(engine, tenant_id) -> None:
    with session_scope(engine, Scope(tenant_id)) as session:
        session.execute(
            update(ExternalSystem)
            .where(ExternalSystem.tenant_id == tenant_id, ExternalSystem.ended_at.is_(None))
            .values(ended_at=ExternalSystem.made_at),
            execution_options={"synchronize_session": False},
        )


@pytest.fixture(autouse=True)
def nothing_connected(web_engine, people):
    yield
    forget(web_engine, people.tenants["211info"])


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"address": BAD_HOST}, "partner.example"),
        ({"address": "http://partner.example/fhir"}, "is not allowed"),
        ({"address": "http://169.254.169.254/fhir"}, "is not allowed"),
        ({"address": "https://partner.example@evil.example/"}, "without user"),
        ({"address": "https://user@partner.example/"}, "without user"),
        ({"address": "http://127.0.0.1:10/fhir"}, "is not allowed"),
        ({"address": ""}, "Give the address"),
        ({"address": "https://partner.example/", "key_id": "A key"}, "small letters"),
        ({"address": "https://partner.example/", "secret": "short"}, "43"),
        ({"address": "https://partner.example/", "services": "bed: b"}, "Line 1"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_saved(administrator, values, says):
    page = fill(administrator, **values)
    assert page.status_int == 400
    assert says in page
    assert "This partner works here" in administrator.get(HERE)


def test_the_secret_is_shown_once_and_never_again(administrator, web_engine, people):
    page = fill(administrator, address="https://partner.example/city/fhir", services="bed = b-1")
    secret = re.search(r"<code[^>]*>([\w-]{43})</code>", page.text)[1]
    assert page.headers["Cache-Control"] == "no-store"
    page = administrator.get(HERE)
    assert "https://partner.example/city/fhir" in page
    assert "bed = b-1" in page
    assert secret not in page
    with session_scope(web_engine, Scope(people.tenants["211info"])) as session:
        row = session.execute(select(ExternalSystem).limit(1)).scalar_one()
        assert secret not in repr(row.__dict__)
    form = form_of(page.click("Replace the secret"), "secret")
    assert secret not in form.submit("submit")


def test_one_at_a_time_and_ended_for_good(administrator):
    fill(administrator, way="they_poll")
    assert "End the connection" in fill(administrator, way="they_poll")
    page = administrator.get(HERE)
    end = next(form for form in page.forms.values() if form.action.endswith("/end"))
    assert "The connection has ended" in end.submit().follow()


def test_a_test_says_that_nobody_answers(administrator):
    fill(administrator, address="http://127.0.0.1:9/fhir")
    page = administrator.get(HERE)
    attempt = next(form for form in page.forms.values() if form.action.endswith("/test"))
    assert "did not answer" in attempt.submit().follow()


def test_what_was_given_up_is_tried_again(
    administrator, sent, web_engine, people, clock, configured, statements
):
    fill(administrator, address="https://partner.example/fhir")
    me = people.tenants["211info"]
    with session_scope(web_engine, Scope(me)) as session:
        assert gather(session, now=clock.now, settings=configured) >= 1
    with session_scope(web_engine, Scope(me)) as session:
        session.execute(
            update(ExchangeTask)
            .where(ExchangeTask.tenant_id == me)
            .values(state="dead", problem="The other system refused it: 409.", attempts=1),
            execution_options={"synchronize_session": False},
        )
    administrator.get(HERE)
    statements.clear()
    page = administrator.get(HERE)
    assert len(statements) <= 8
    assert "refused it: 409" in page
    again = next(form for form in page.forms.values() if form.action.endswith("/retry"))
    assert "tried again" in again.submit().follow()
    assert "Waiting" in administrator.get(HERE)


def test_an_auditor_sees_and_changes_nothing(sign_in):
    auditor = sign_in("auditor", "211info")
    assert "This partner works here" in auditor.get(HERE)
    auditor.get(f"{HERE}/new", status=403)


def test_a_secret_that_cannot_be_opened_is_said_and_not_fatal(
    administrator, web_engine, people, clock, configured
):
    fill(administrator, address="https://partner.example/fhir")
    elsewhere = replace(configured, secret="another secret of this installation " * 2)
    done = run_errand(web_engine, people.tenants["211info"], clock, settings=elsewhere)
    assert done == 0
    assert "Enter the connection" in administrator.get(HERE)


def test_one_from_a_file_waits_for_its_secret_and_is_changed_in_place(
    administrator, web_engine, people
):
    given = {"name": "Care", "way": "push", "key_id": "care-1", "known_as": "211info"}
    with session_scope(web_engine, Scope(people.tenants["211info"])) as session:
        made = systems.prepare(
            session, **given, address="https://partner.example/fhir", services={"bed": "b"}, now=NOW
        )
    page = administrator.get(HERE)
    assert "It has no secret yet" in page
    assert "Send a test" not in page
    form = form_of(administrator.get(f"{HERE}/{made}/secret"), "secret")
    assert re.search(r"<code[^>]*>([\w-]{43})</code>", form.submit("submit").text)
    assert "It has no secret yet" not in administrator.get(HERE)
    page = administrator.get(f"{HERE}/{made}/change")
    form = form_of(page, "key_id")
    assert "secret" not in form.fields
    assert form["services"].value == "bed = b"
    form["address"] = BAD_HOST
    assert "is not allowed" in form.submit("submit", status=400)
    form["address"] = "https://partner.example/elsewhere"
    form.submit("submit", status=303)
    with session_scope(web_engine, Scope(people.tenants["211info"])) as session:
        found = [each for each in systems.systems(session) if each.ended_at is None]
    assert [(each.id, each.address) for each in found] == [
        (made, "https://partner.example/elsewhere")
    ]
    assert not found[0].waits_for_secret
