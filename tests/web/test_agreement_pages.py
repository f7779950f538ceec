"""Agreements on the screen: every term in words, drafts, answers, calendar, promises kept."""

from __future__ import annotations

import csv
import io
import re
import shutil
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import event, select, text
from sqlalchemy.dialects.postgresql import Range
from webtest import TestApp

from regional311.chargeback.models import Agreement
from regional311.config.apply import apply
from regional311.config.export import export
from regional311.config.plan import NOBODY, plan
from regional311.database.ids import new_token, token_hash
from regional311.database.session import Scope, open_session, session_scope

pytestmark = pytest.mark.commits

CITY, COUNTY, INFO = "city-of-portland", "multnomah-county", "211info"
KEY = "city-intake-for-county"
NOVEMBER = datetime(2026, 11, 3, 18, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _november(clock):
    clock.now = NOVEMBER


@pytest.fixture
def sign_in(application, people, web_engine, clock):
    """`sign_in("finance", CITY)` returns a browser with a session that took no password."""

    def enter(*roles, email=None):
        *roles, tenant = roles
        person = people.known[email or people.account(tenant, *roles)]
        token = new_token()
        with web_engine.begin() as connection:
            connection.execute(
                text("SELECT start_session(:token, :person, :csrf, :now, :until)"),
                {
                    "token": token_hash(token),
                    "person": person,
                    "csrf": new_token(),
                    "now": clock.now,
                    "until": clock.now + timedelta(hours=1),
                },
            )
        browser = TestApp(application)
        browser.set_cookie("session", token)
        return browser

    return enter


def versions(engine, key=KEY):
    with open_session(engine, NOBODY) as session:
        return list(
            session.execute(
                select(Agreement).where(Agreement.key == key).order_by(Agreement.version)
            ).scalars()
        )


def amend(browser, key=KEY, **changes):
    form = browser.get(f"/{CITY}/agreements/{key}/edit").forms["form"]
    for name, value in changes.items():
        form[name] = value
    return form.submit("submit")


def sign(browser, page, name, who="Ann Lee", title="Director"):
    form = page.forms[name]
    form["name"], form["title"] = who, title
    return form.submit("submit")


def withdraw_all(sign_in):
    """Leave nothing open for the next test."""
    for slug in (CITY, COUNTY):
        browser = sign_in("finance", slug)
        for each in browser.get(f"/{slug}/agreements/proposals?format=json").json:
            if each["side"] == "drafted" and each["state"] in ("draft", "proposed"):
                page = browser.get(f"/{slug}/agreements/proposals/{each['id']}")
                form = page.forms["withdraw"]
                form["reason"] = "Done with."
                form.submit("submit")


def test_the_list_says_who_pays_whom_and_what_ends(sign_in, clock):
    browser = sign_in("finance", CITY)
    page = browser.get(f"/{CITY}/agreements")
    assert "City takes contacts for the County" in page
    rows = list(csv.DictReader(io.StringIO(browser.get(f"/{CITY}/agreements?format=csv").text)))
    assert {row["standing"] for row in rows} == {"holds"}
    assert [row["name"] for row in rows] == sorted((r["name"] for r in rows), key=str.casefold)
    paid = browser.get(f"/{CITY}/agreements?side=payer&format=json").json
    assert {row["payer"] for row in paid} >= {"City of Portland"}
    down = browser.get(f"/{CITY}/agreements?sort=-name&format=csv")
    names = [row["name"] for row in csv.DictReader(io.StringIO(down.text))]
    assert names == sorted(names, key=str.casefold, reverse=True)
    page = browser.get(f"/{CITY}/agreements?as_of=2029-05-01&standing=expiring")
    assert "Expires in 61 days" in page
    assert "Expires in" in browser.get(f"/{CITY}/agreements/{KEY}?as_of=2029-05-01")
    assert browser.get(f"/{CITY}/agreements?as_of=2030-01-01&format=json").json == []
    gone = browser.get(f"/{CITY}/agreements?as_of=2030-01-01&standing=expired&format=json").json
    assert len(gone) >= 4


def test_the_page_says_every_term_and_promise(sign_in):
    page = sign_in("auditor", CITY).get(f"/{CITY}/agreements/{KEY}")
    for said in (
        "Intergovernmental agreement",
        "IGA-2019-002",
        "30 days after issue",
        "within 30 days",
        "once for each line, half a cent away from zero",
        "Nine calls in ten answered within thirty seconds (30 seconds that nine in ten",
        "not measured",
        "Not known",
        "October 2026",
    ):
        assert said in page, said
    assert "Draft the next version" not in page


def test_a_version_goes_from_draft_to_force_and_files_see_it(
    sign_in, web_engine, tmp_path, request
):
    city = sign_in("finance", CITY)
    page = amend(
        city,
        valid_from="2027-01-01",
        not_to_exceed="50,000.00",
        overhead_percent="10",
        note="A cap was asked for.",
    ).follow()
    assert "Saved here only" in page
    assert "Not to exceed" in page
    assert "$50,000.00 in a fiscal year" in page
    address = page.request.path
    assert "propose" not in page.forms
    approver = sign_in("approver", CITY)
    answer = sign(approver, approver.get(address), "propose").follow()
    assert "has it and answers" in answer
    theirs = address.replace(CITY, COUNTY)
    assert sign_in("approver", INFO).get(address.replace(CITY, INFO), status=404)
    clerk = sign_in("finance", COUNTY).get(theirs)
    assert "An approver answers" in clerk
    assert "accept" not in clerk.forms
    other = sign_in("approver", COUNTY)
    inbox = other.get(f"/{COUNTY}/agreements/proposals")
    assert "Proposed to us" in inbox
    page = other.get(theirs)
    assert "A cap was asked for." in page
    assert "Against version 1" in page
    page = sign(other, page, "accept", "Bo Chen", "Chair").follow()
    assert "Published as version 2." in page
    first, second = versions(web_engine)
    assert first.valid == Range(date(2019, 7, 1), date(2027, 1, 1))
    assert second.valid == Range(date(2027, 1, 1), date(2029, 7, 1))
    assert second.terms["not_to_exceed_cents"] == 5_000_000
    assert [each["name"] for each in second.terms["signatures"]] == ["Ann Lee", "Bo Chen"]
    page = city.get(f"/{CITY}/agreements/{KEY}?as_of=2027-01-01")
    assert "What version 2 changed" in page
    assert "for Multnomah County by Bo Chen, Chair" in page
    planned = str(plan(web_engine, request.config.rootpath, now=NOVEMBER))
    assert f"< agreement {KEY}" in planned
    assert "not_to_exceed" in planned
    assert "conflict" not in planned
    exported = tmp_path / "exported"
    export(web_engine, exported, now=NOVEMBER)
    assert str(plan(web_engine, exported, now=NOVEMBER)) == "No changes."
    for name in ("tenants", "policies"):
        shutil.copytree(request.config.rootpath / name, tmp_path / "changed" / name)
    file = tmp_path / "changed" / "policies" / "agreements" / f"{KEY}.toml"
    file.write_text(file.read_text().replace("due_days = 30", "due_days = 60"))
    planned = plan(web_engine, tmp_path / "changed", now=NOVEMBER)
    assert [each.key for each in planned.conflicts] == [KEY]


def test_a_decline_and_a_withdrawal_are_read_on_both_sides(sign_in):
    key = "county-intake-for-city"
    page = amend(sign_in("finance", CITY), key, due_days="45").follow()
    address = page.request.path
    approver = sign_in("approver", CITY)
    sign(approver, approver.get(address), "propose")
    other = sign_in("approver", COUNTY)
    form = other.get(address.replace(CITY, COUNTY)).forms["decline"]
    form["reason"] = ""
    assert "Fill this in." in form.submit("submit", status=400)
    form["reason"] = "Thirty days are enough."
    assert "Thirty days are enough." in form.submit("submit").follow()
    assert "Thirty days are enough." in approver.get(address)
    finance = sign_in("finance", CITY)
    page = amend(finance, key, due_days="40").follow()
    form = page.forms["withdraw"]
    form["reason"] = "Not yet."
    assert "Withdrawn" in form.submit("submit").follow()


def test_whoever_drafts_does_not_approve(sign_in, people):
    email = "both@city.example"
    people.make(email, {CITY: ("finance", "approver")})
    both = sign_in(CITY, email=email)
    page = amend(both, "referrals-city", due_days="45").follow()
    assert "A second person" in page
    assert "propose" not in page.forms
    token = page.forms["withdraw"]["csrf_token"].value
    sent = {
        "csrf_token": token,
        "name": "A",
        "title": "B",
        "on": "2026-11-01",
        "expected": "1",
    }
    both.post(f"{page.request.path}/propose", sent, status=403)
    withdraw_all(sign_in)


def test_a_draft_is_changed_and_sent_twice_is_one(sign_in):
    finance = sign_in("finance", CITY)
    form = finance.get(f"/{CITY}/agreements/referrals-city/edit").forms["form"]
    form["due_days"] = "45"
    first, again = form.submit("submit"), form.submit("submit")
    assert first.location == again.location
    page = finance.get(f"{first.location.split(':80')[-1]}/edit")
    form = page.forms["form"]
    form["due_days"] = "50"
    assert "50 days after issue" in form.submit("submit").follow()
    form["due_days"] = "55"
    stale = form.submit("submit", status=409)
    assert "Somebody else" in stale or "somebody else" in stale
    withdraw_all(sign_in)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"due_days": "0"}, "due_days: 0 is not a number of days from 1 to 365"),
        ({"overhead_percent": "120"}, "is not a percentage from 0 to 100"),
        ({"not_to_exceed": "1.00", "minimum": "2.00"}, "is less than the minimum"),
        ({"valid_from": "2019-07-01"}, "must begin after 2019-07-01"),
        ({"rate_card": "cart"}, "The provider has no rate card cart"),
        ({"number_prefix": "XYZ"}, "numbers its statements with"),
        ({"expiry_reminder_days": "a, b"}, "Write whole numbers with commas"),
    ],
)
def test_bad_terms_are_told_in_the_form_and_nothing_is_kept(sign_in, changes, said):
    browser = sign_in("finance", CITY)
    before = browser.get(f"/{CITY}/agreements/proposals?format=json").json
    form = browser.get(f"/{CITY}/agreements/referrals-city/edit").forms["form"]
    for name, value in changes.items():
        form[name] = value
    answer = form.submit("submit", status=400)
    assert said in answer
    assert browser.get(f"/{CITY}/agreements/proposals?format=json").json == before


def test_own_bureaus_agreement_needs_two_people_here_only(sign_in, web_engine):
    finance = sign_in("finance", COUNTY)
    form = finance.get(f"/{COUNTY}/agreements/new").forms["form"]
    for name, value in {
        "key": "county-overhead",
        "payer": "bureau:",
        "name": "Contacts for our departments",
        "reference": "MOU-9",
        "purpose": "Departments pay for their contacts.",
        "valid_from": "2027-07-01",
        "rate_card": "intake",
        "number_prefix": "MULT",
    }.items():
        # groups further down have a key and a name of their own
        next(each for each in form.fields[name] if each.id == f"form-{name}").value = value
    form.fields["activities"][0].checked = True
    page = form.submit("submit").follow()
    assert "All bureaus of Multnomah County" in page
    approver = sign_in("approver", COUNTY)
    page = sign(approver, approver.get(page.request.path), "propose").follow()
    assert "Published as version 1." in page
    (row,) = versions(web_engine, "county-overhead")
    assert (row.payer_kind, row.payer_key) == ("bureau", None)
    assert "county-overhead" not in {
        each["key"] for each in sign_in("auditor", CITY).get(f"/{CITY}/agreements?format=json").json
    }


def test_an_outside_bodys_agreement_says_its_promise_funding_and_discount(sign_in, web_engine):
    finance = sign_in("finance", CITY)
    form = finance.get(f"/{CITY}/agreements/new").forms["form"]
    for what in ("targets", "funding", "discounts"):
        form = form.submit("rows", value=f"add {what}").forms["form"]
    said = {
        "key": "stops",
        "payer": "outside:",
        "outside-key": "transit-district",
        "outside-name": "Transit district",
        "outside-email": "bills@transit.example",
        "name": "Contacts about stops",
        "reference": "MOU-12",
        "purpose": "The district pays for contacts about its stops.",
        "valid_from": "2027-01-01",
        "services": "sidewalk-obstruction, street-light",
        "rate_card": "intake",
        "prepay": "10.00",
        "interest_percent": "4.5",
        "ends_notice_days": "200",
        "expiry_reminder_days": "60, 10",
        "every": "quarter",
        "number_prefix": "COP",
        "targets-1-name": "Nine in ten within a minute",
        "targets-1-measure": "answer_seconds",
        "targets-1-goal": "60",
        "targets-1-credit_percent": "2",
        "funding-1-name": "State transit grant",
        "funding-1-kind": "grant",
        "funding-1-percent": "25",
        "funding-1-authorised": "1,000.00",
        "discounts-1-name": "Volume",
        "discounts-1-percent": "5",
        "discounts-1-from_amount": "500.00",
    }
    controls = {each.id: each for several in form.fields.values() for each in several}
    for name, value in said.items():
        controls[f"form-{name}"].value = value
    form.fields["activities"][0].checked = True
    controls["form-outside-name"].value = ""
    assert "Give the outside body a short name" in form.submit("submit", status=400)
    controls["form-outside-name"].value = "Transit district"
    controls["form-funding-1-name"].value = ""
    assert "Source of funding 1" in form.submit("submit", status=400)
    controls["form-funding-1-name"].value = "State transit grant"
    page = form.submit("submit").follow()
    for words in (
        "Transit district",
        "bills@transit.example",
        "sidewalk-obstruction, street-light",
        "every quarter, within 15 days",
        "4.5 % a year, simple",
        "State transit grant (grant): 25 % of the gross, at most $1,000.00 a fiscal year",
        "Volume: 5 % when the period's gross reaches $500.00",
        "missed, it gives back 2 % of the gross",
        "$10.00 a period",
        "200 days before it ends",
    ):
        assert words in page.text.replace("&#39;", "'"), words
    filled = finance.get(f"{page.request.path}/edit").forms["form"]
    assert filled.fields["interest_percent"][0].value == "4.5"
    assert filled.fields["authorised"][0].value == "1000.00"
    assert "Source of funding 2" in filled.submit("rows", value="add funding")
    approver = sign_in("approver", CITY)
    sign(approver, approver.get(page.request.path), "propose")
    (row,) = versions(web_engine, "stops")
    assert (row.payer_kind, row.payer_key) == ("outside", "transit-district")
    assert row.terms["funding"][0]["key"] == "state-transit-grant"
    assert row.terms["billing"] == {"every": "quarter", "submit_days": 15}
    assert "Transit district" in approver.get(f"/{CITY}/agreements?payer_kind=outside")


def work(engine, people, key: str, day: str) -> None:
    """One contact that the City took about a service of the County's."""
    with session_scope(engine, Scope(people.tenants[CITY])) as session:
        session.execute(
            text(
                "INSERT INTO usage_events (tenant_id, id, source_key, content_digest, activity,"
                " channel, language, after_hours, service_owner_id, quantity, handle_seconds,"
                " occurred_at, received_at, booked_on) VALUES (:me, uuidv7(), :key, '',"
                " 'contact_handled', 'phone', 'en', false, :county, 1, 0,"
                " CAST(:day AS date) + time '20:00', CAST(:day AS date) + time '20:00', :day)"
            ),
            {
                "me": people.tenants[CITY],
                "county": people.tenants[COUNTY],
                "key": key,
                "day": date.fromisoformat(day),
            },
        )


def test_the_billing_calendar_says_what_is_due_when(sign_in, web_engine, people, clock):
    work(web_engine, people, "october", "2026-10-05")
    browser = sign_in("finance", CITY)
    rows = browser.get(f"/{CITY}/agreements/calendar?agreement={KEY}&format=json").json
    october = next(row for row in rows if row["period"] == "2026-10")
    assert october == {
        "agreement": KEY,
        "name": "City takes contacts for the County",
        "provider": "City of Portland",
        "payer": "Multnomah County",
        "period": "2026-10",
        "run_on": "2026-11-01",
        "submit_on": "2026-11-16",
        "due_on": "2026-12-16",
        "dispute_on": "2026-12-16",
        "late_on": "2026-11-11",
        "state": "open",
    }
    assert [row["period"] for row in rows] == ["2026-10", "2026-11"]
    coming = f"/{CITY}/agreements/calendar?agreement={KEY}&state=coming&format=json"
    assert len(browser.get(coming).json) == 8
    page = browser.get(f"/{CITY}/agreements/calendar?state=late&side=provider")
    assert "FY 2026-27" in page
    clock.now = datetime(2026, 11, 20, 18, tzinfo=UTC)
    later = sign_in("finance", CITY)
    page = later.get(f"/{CITY}/agreements/calendar?side=provider")
    assert re.search(r"\d+ periods are late", page.text)
    paid = later.get(f"/{CITY}/agreements/calendar?side=payer&format=json").json
    assert {row["state"] for row in paid if row["period"] == "2026-10"} == {"missing"}
    assert "No statement came" in later.get(f"/{CITY}/agreements/calendar?side=payer")
    clock.now = NOVEMBER
    assert "Nov 1, 2026" in browser.get(f"/{CITY}/agreements/calendar?state=open")
    table = browser.get(f"/{CITY}/agreements/calendar?format=csv&year=2027-08-01&state=coming")
    assert {row["state"] for row in csv.DictReader(io.StringIO(table.text))} == {"coming"}


def test_a_figure_is_entered_with_its_source_and_the_other_side_reads_it(sign_in):
    browser = sign_in("finance", CITY)
    address = f"/{CITY}/agreements/{KEY}/levels?period=2026-10"
    form = browser.get(address).forms["reading"]
    form["target"], form["reading"], form["source"] = "answer", "-1", "Telephone system"
    assert "A figure from 0" in form.submit("submit", status=400)
    form = browser.get(address).forms["reading"]
    form["target"], form["reading"], form["source"] = "answer", "41", "Telephone system"
    page = form.submit("submit").follow()
    assert "Missed" in page
    assert "Telephone system" in page
    theirs = sign_in("auditor", COUNTY).get(address.replace(CITY, COUNTY))
    assert "41" in theirs
    assert "Telephone system" in theirs
    assert "Enter a figure" not in theirs
    sign_in("auditor", INFO).get(address.replace(CITY, INFO), status=404)
    assert not any("/share" in form.action for form in page.forms.values())
    sent = {"csrf_token": page.forms["reading"]["csrf_token"].value}
    answer = browser.post(f"/{CITY}/agreements/{KEY}/share?period=2026-10", sent)
    assert "no new figure" in answer.follow()
    facts = browser.get(f"{address}&format=json").json
    assert facts[0]["reading"] == "41"
    assert browser.get(f"{address}&format=csv").text.startswith("number,at,value")
    browser.get(f"/{CITY}/agreements/{KEY}/levels?period=soon", status=404)


def test_expired_with_work_still_coming_in_is_shown(sign_in, web_engine, people, clock):
    work(web_engine, people, "late", "2029-08-01")
    browser = sign_in("finance", CITY)
    page = browser.get(f"/{CITY}/agreements?as_of=2029-09-01")
    assert "Expired with work still coming in" in page
    page = browser.get(f"/{CITY}/agreements/{KEY}?as_of=2029-09-01")
    assert "1 piece of work came in since the agreement ended" in page


def test_apply_keeps_what_forms_published(web_engine, request):
    before = [row.version for row in versions(web_engine)]
    apply(web_engine, request.config.rootpath, now=NOVEMBER)
    assert [row.version for row in versions(web_engine)] == before


@pytest.mark.parametrize(
    ("path", "most"),
    [
        ("agreements", 9),
        (f"agreements/{KEY}", 12),
        ("agreements/calendar", 9),
        ("agreements/proposals", 8),
    ],
)
def test_pages_run_few_statements(sign_in, web_engine, path, most):
    browser = sign_in("finance", CITY)
    browser.get(f"/{CITY}/{path}")
    ran = []

    def note(_connection, _cursor, statement, *_rest):
        ran.append(statement)

    event.listen(web_engine, "before_cursor_execute", note)
    try:
        browser.get(f"/{CITY}/{path}")
    finally:
        event.remove(web_engine, "before_cursor_execute", note)
    assert len(ran) <= most, ran
