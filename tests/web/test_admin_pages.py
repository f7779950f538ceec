"""Administrators and auditors at work: people, rules, settings, the trail; story 7."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime

import pytest
from sqlalchemy import select, text
from webtest import TestApp

from regional311.database.ids import new_id
from regional311.database.rows import put
from regional311.database.session import Scope, session_scope
from regional311.referral.models import RuleSet

pytestmark = pytest.mark.commits

CITY, COUNTY, INFO = "city-of-portland", "multnomah-county", "211info"
NOW = datetime(2026, 11, 3, 18, tzinfo=UTC)


@pytest.fixture(autouse=True)
def today(clock):
    clock.now = NOW


@pytest.fixture
def admin(sign_in):
    return sign_in("administrator", CITY)


def end_form(page):
    return next(form for form in page.forms.values() if form.action.endswith("/end"))


# People


def add(admin, name, email, *roles):
    form = admin.get(f"/{CITY}/people/new").forms["form"]
    form["name"], form["email"] = name, email
    for box in form.fields["roles"]:
        box.checked = box._value in roles
    return form.submit("submit", status="*")


def person_page(admin, name):
    return admin.get(f"/{CITY}/people").click(description=name)


def test_a_person_is_added_changed_and_ended(admin, application, people, web_engine):
    assert "The person was added." in add(admin, "Wren Ito", "wren@city.example", "worker").follow()
    form = person_page(admin, "Wren Ito").forms["form"]
    for box in form.fields["roles"]:
        box.checked = box._value in ("worker", "supervisor")
    form.submit("submit").follow()
    listed = admin.get(f"/{CITY}/people")
    assert "Supervisor, Worker" in listed or "Worker, Supervisor" in listed
    again = add(admin, "Wren Ito", "wren@city.example", "worker")
    assert again.status_int == 400
    assert "is a member already" in again
    answer = end_form(person_page(admin, "Wren Ito")).submit().follow()
    assert "signed out" in answer
    assert "left on" in admin.get(f"/{CITY}/people?who=left")


def test_sessions_die_with_the_membership(admin, sign_in, people):
    email = "leaver@city.example"
    people.make(email, {CITY: ("finance",)})
    leaver = sign_in("finance", CITY, email=email)
    assert leaver.get(f"/{CITY}/statements").status_int == 200
    end_form(person_page(admin, "Leaver")).submit()
    assert leaver.get(f"/{CITY}/statements", status=303).location.startswith(
        "http://localhost/auth/sign-in"
    )


def test_nobody_gives_up_their_own_administration(admin, people):
    me = people.known[people.account(CITY, "administrator")]
    page = admin.get(f"/{CITY}/people/{me}")
    assert not [form for form in page.forms.values() if form.action.endswith("/end")]
    form = page.forms["form"]
    for box in form.fields["roles"]:
        box.checked = box._value == "worker"
    refused = form.submit("submit", status=400)
    assert "cannot give up your own administrator role" in refused
    token = form["csrf_token"].value
    refused = admin.post(f"/{CITY}/people/{me}/end", {"csrf_token": token}, status=409)
    assert "cannot end your own membership" in refused


def test_roles_changed_by_somebody_else_are_shown_beside_mine(admin):
    add(admin, "Sam Roe", "sam@city.example", "worker")
    mine = person_page(admin, "Sam Roe").forms["form"]
    theirs = person_page(admin, "Sam Roe").forms["form"]
    for box in theirs.fields["roles"]:
        box.checked = box._value == "partner"
    theirs.submit("submit")
    for box in mine.fields["roles"]:
        box.checked = box._value == "finance"
    page = mine.submit("submit", status=409)
    assert "Somebody else saved first" in page
    assert '<td data-label="Stored now">partner</td>' in page
    assert "<strong>finance</strong>" in page
    page.forms["form"].submit("submit").follow()
    assert "Finance officer" in admin.get(f"/{CITY}/people?role=finance")


# Rules


@pytest.fixture
def rules_draft(web_engine, people):
    """A draft by somebody else: the rules of now without the last, the first one renamed."""
    tenant = people.tenants[CITY]
    with session_scope(web_engine, Scope(tenant)) as session:
        now = session.scalars(
            select(RuleSet)
            .where(RuleSet.tenant_id == tenant, RuleSet.state == "published")
            .order_by(RuleSet.version.desc())
        ).first()
        last = session.execute(
            text("SELECT max(version) FROM rule_sets WHERE tenant_id = :t"), {"t": tenant}
        ).scalar_one()
        rules = [dict(rule) for rule in now.rules][:-1]
        rules[0]["name"] = "Renamed for the test"
        put(
            session,
            RuleSet(
                tenant_id=tenant,
                id=new_id(),
                version=last + 1,
                state="checked",
                published=None,
                rules=rules,
                digest="0" * 64,
                drafted_by=people.known[people.account(CITY, "supervisor")],
                created_at=NOW,
            ),
        )
    return last + 1


def test_rules_are_sentences_and_a_second_person_approves_a_draft(
    admin, rules_draft, sign_in, people, statements
):
    page = admin.get(f"/{CITY}/rules")
    assert "When " in page
    assert "Version 1" in page
    draft = page.click(description=f"^Version {rules_draft}$")
    assert "It decides nothing until somebody approves it" in draft
    assert "Changed" in draft
    assert "Left out since" in draft
    early = draft.forms["form"]
    early["decides_from"] = "2026-11-02"
    assert "or a later day" in early.submit("submit", status=400)
    form = draft.forms["form"]
    form["decides_from"] = f"2026-12-{rules_draft:02d}"
    first = form.submit("submit")
    assert form.submit("submit").location == first.location
    assert "The rules were approved." in first.follow()
    later = admin.get(f"/{CITY}/rules?as_of=2026-12-31")
    assert f"Version {rules_draft}, which decides on 2026-12-31" in later
    for path in (f"/{CITY}/rules", f"/{CITY}/rules/{rules_draft}"):
        statements.clear()
        admin.get(path)
        assert len(statements) <= 8, statements


def test_who_drafted_rules_cannot_approve_them(rules_draft, people, sign_in, web_engine):
    email = "drafter@city.example"
    person = people.make(email, {CITY: ("administrator",)})
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        session.execute(
            text("UPDATE rule_sets SET drafted_by = :p WHERE version = :v AND tenant_id = :t"),
            {"p": person, "v": rules_draft, "t": people.tenants[CITY]},
        )
    drafter = sign_in("administrator", CITY, email=email)
    page = drafter.get(f"/{CITY}/rules/{rules_draft}")
    assert "another administrator must approve them" in page
    token = drafter.get(f"/{CITY}/people/new").forms["form"]["csrf_token"].value
    refused = drafter.post(
        f"/{CITY}/rules/{rules_draft}/approve",
        {
            "csrf_token": token,
            "form_key": "k" * 43,
            "decides_from": "2026-12-20",
            "submit": "submit",
        },
        status=403,
    )
    assert "cannot approve them" in refused


# Agreements, pools


def test_agreements_and_pools_as_of_a_day(sign_in):
    browser = sign_in("auditor", COUNTY)
    page = browser.get(f"/{COUNTY}/agreements")
    assert "City takes contacts for the County" in page
    assert "City takes contacts for the County" not in browser.get(
        f"/{COUNTY}/agreements?as_of=2018-01-01"
    )
    one = browser.get(f"/{COUNTY}/agreements/city-intake-for-county")
    assert "The partner whose service it was pays." in one
    assert "IGA-2019-002" in one
    old = browser.get(f"/{COUNTY}/agreements/city-intake-for-county?as_of=2018-01-01")
    assert "does not hold on that day" in old
    mine = sign_in("auditor", CITY).get(f"/{CITY}/pools/i-and-r?as_of=2026-10-15")
    assert "$600,000.00" in mine
    assert "$25,000.00" in mine
    assert "Does not hold" not in mine
    browser.get(f"/{COUNTY}/pools/i-and-r", status=404)


# Settings and the trail


def test_settings_say_what_they_are_and_whether_messages_were_sent(admin):
    page = admin.get(f"/{CITY}/settings")
    assert "America/Los_Angeles" in page
    assert "tenants/city-of-portland/" in page
    assert "Every message was sent" in page


def test_the_trail_says_who_did_what_in_ids_and_codes(admin, sign_in, people, statements):
    add(admin, "Ada Quill", "ada@city.example", "worker")
    page = admin.get(f"/{CITY}/audit?action=membership:grant")
    assert "membership:grant" in page
    assert "ada@city.example" not in page
    auditor = sign_in("auditor", CITY)
    me = people.known[people.account(CITY, "administrator")]
    rows = list(
        csv.DictReader(
            io.StringIO(auditor.get(f"/{CITY}/audit?person={me}&format=csv&action=membership").text)
        )
    )
    assert {row["person_id"] for row in rows} == {str(me)}
    assert "Ada" not in str(rows)
    assert "Nothing matches" in auditor.get(f"/{CITY}/audit?until=2020-01-01")
    assert "Nothing matches" in auditor.get(f"/{CITY}/audit?subject=nonsense")
    for path in ("audit", "people", "settings"):
        browser = admin
        browser.get(f"/{CITY}/{path}")
        statements.clear()
        browser.get(f"/{CITY}/{path}")
        assert len(statements) <= 8, (path, statements)


def test_a_page_of_the_trail_has_a_next_one(admin, web_engine, people):
    from regional311.audit.service import record

    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        for _number in range(60):
            record(
                session,
                now=NOW,
                action="test:many",
                subject_kind="test",
                subject_id=people.tenants[CITY],
            )
    page = admin.get(f"/{CITY}/audit?action=test:many")
    assert page.text.count("<code>test:many</code>") == 50
    assert page.click(description="Next page").text.count("<code>test:many</code>") == 10


# Story 7


def test_anyone_else_sees_nothing(application, sign_in, people):
    county = sign_in("administrator", COUNTY)
    someone = people.known[people.account(CITY, "supervisor")]
    county.get(f"/{CITY}/people", status=404)
    county.get(f"/{COUNTY}/people/{someone}", status=404)
    sign_in("worker", CITY).get(f"/{CITY}/statements", status=403)
    visitor = TestApp(application)
    assert "/auth/sign-in" in visitor.get(f"/{CITY}/ledger", status=303).location
    for slug in (CITY, COUNTY, INFO):
        sign_in("auditor", "region").get(f"/{slug}/ledger", status=404)
