"""Budgets with their warning, and what-if: tried out, saved, shared; nothing billed changes."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from regional311.calendars import Period
from regional311.chargeback.month import bill_month
from regional311.database.session import Scope, session_scope
from regional311.referral.filing import Intake, take_in
from regional311.referral.snapshot import invalidate, published

pytestmark = pytest.mark.commits

CITY, COUNTY = "city-of-portland", "multnomah-county"
NOW = datetime(2026, 11, 3, 18, tzinfo=UTC)
OCTOBER = datetime(2026, 10, 5, 17, tzinfo=UTC)


@pytest.fixture(scope="module")
def billed(web_engine, people, clock):
    """October with four contacts about the County's library, issued to it."""
    clock.now = NOW
    invalidate()
    region = published(web_engine)
    city = people.tenants[CITY]
    with session_scope(web_engine, Scope(city)) as session:
        for number in range(4):
            at = OCTOBER + timedelta(days=number)
            take_in(
                session,
                region,
                Intake(
                    source="demo",
                    key=f"october-{number}",
                    channel="phone",
                    started_at=at,
                    ended_at=at + timedelta(minutes=4),
                    handle_seconds=240,
                    service=f"{COUNTY}/library",
                    danger_answer="none",
                    consent="refused",
                    after_hours=False,
                ),
                now=at,
            )
    bill_month(
        web_engine,
        {CITY: city},
        Period.of(2026, 10),
        preparer={city: people.make("p@city.example", {})},
        approver={city: people.make("a@city.example", {})},
        now=NOW,
    )
    return people.tenants


def set_budget(browser, tenant, status=303, **values):
    form = browser.get(f"/{tenant}/budgets/new").forms["form"]
    for name, value in values.items():
        form[name] = value
    return form.submit("submit", status=status)


def test_a_budget_is_set_watched_and_printed(billed, sign_in, statements):
    browser = sign_in("finance", COUNTY)
    assert "Set one to be warned" in browser.get(f"/{COUNTY}/budgets")
    page = set_budget(browser, COUNTY, counterparty=CITY, amount="100000.00").follow()
    assert "Will not last" in page
    assert "How the forecast was reckoned" in page
    assert "October 2026" in page
    address = page.request.path
    listed = browser.get(f"/{COUNTY}/budgets")
    assert "One budget will not last the year." in listed
    statements.clear()
    browser.get(f"/{COUNTY}/budgets")
    assert len(statements) <= 10, statements
    (row,) = browser.get(f"/{COUNTY}/budgets?format=json").json
    assert row["standing"] == "will_exceed"
    assert row["forecast_cents"] == 12 * row["billed_cents"]
    again = set_budget(
        browser, COUNTY, counterparty=CITY, amount="900000", note="Amended by the board"
    ).follow()
    assert "Lasts" in again
    assert "$100,000.00" in again
    assert "Amended by the board" in again
    assert "Lasts" in browser.get(address)
    rows = list(csv.DictReader(io.StringIO(browser.get(f"/{COUNTY}/budgets?format=csv").text)))
    assert [row["amount_cents"] for row in rows] == ["90000000"]
    assert browser.get(f"/{COUNTY}/budgets?year=2026&format=json").json == []
    assert len(browser.get(f"{address}?format=json").json["months"]) == 12


def test_a_budget_that_is_none_is_refused_at_its_field(billed, sign_in):
    browser = sign_in("finance", CITY)
    refused = set_budget(browser, CITY, 400, counterparty=COUNTY, amount="1", warn_percent="0")
    assert "Warn at 1 to 100 percent" in refused
    refused = set_budget(browser, CITY, 400, counterparty=COUNTY, amount="-1")
    assert "zero or more" in refused
    browser.get(f"/{CITY}/budgets/{billed[CITY]}", status=404)


def test_the_auditor_reads_and_sets_nothing(billed, sign_in):
    browser = sign_in("auditor", CITY)
    assert "/budgets/new" not in browser.get(f"/{CITY}/budgets")
    assert "/scenarios/new" not in browser.get(f"/{CITY}/scenarios")
    browser.get(f"/{CITY}/budgets/new", status=403)


def try_out(browser, status=303, **values):
    form = browser.get(f"/{CITY}/scenarios/new").forms["form"]
    assert form["first"].value == "2026-10"
    for name, value in {"name": "Ten percent more", **values}.items():
        form[name] = value
    return form.submit("submit", status=status)


def counted(engine, tenant_id):
    with session_scope(engine, Scope(tenant_id)) as session:
        return session.execute(
            text(
                "SELECT (SELECT count(*) FROM rating_runs), (SELECT count(*) FROM charges),"
                " (SELECT count(*) FROM statements), (SELECT sum(amount) FROM rates),"
                " (SELECT count(*) FROM usage_events)"
            )
        ).one()


def test_something_is_tried_out_saved_and_shared(billed, sign_in, web_engine):
    browser = sign_in("finance", CITY)
    assert "Nothing was tried out yet" in browser.get(f"/{CITY}/scenarios")
    before = counted(web_engine, billed[CITY])
    page = try_out(browser, rates_percent="100", note="For the council").follow()
    assert counted(web_engine, billed[CITY]) == before
    assert "instead of" in page
    assert "All rates: +100 %." in page
    assert "Billed" in page
    address = page.request.path
    told = browser.get(f"{address}?format=json").json
    assert told["basis"] == "billed"
    usage = [row for row in told["rows"] if row["kind"] == "usage"]
    assert usage
    assert all(row["after_cents"] >= 2 * row["before_cents"] - 1 for row in usage)
    rows = list(csv.DictReader(io.StringIO(browser.get(f"{address}?format=csv").text)))
    assert sum(int(row["after_cents"]) for row in rows) == told["after_cents"]
    assert "Ten percent more" in browser.get(f"/{CITY}/scenarios")
    assert browser.get(f"/{CITY}/scenarios?format=json").json[0]["period"] == "2026-10"

    form = page.forms["share"]
    form["partner"] = COUNTY
    assert "Multnomah County" in form.text
    assert "Shared with" in form.submit("submit").follow()
    theirs = sign_in("finance", COUNTY)
    listed = theirs.get(f"/{COUNTY}/scenarios")
    assert "City of Portland" in listed
    shared = listed.click(description="Ten percent more")
    assert "share" not in shared.forms
    lines = theirs.get(f"{shared.request.path}?format=json").json["rows"]
    assert {row["payer"] for row in lines} == {COUNTY}
    sign_in("finance", "211info").get(f"/211info/scenarios/{address[-13:]}", status=404)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"first": "October"}, "Write a month as year and month"),
        ({"last": "2026-09"}, "before the first"),
        ({"last": "2028-09"}, "at most twelve months"),
        ({"rates": "phone"}, "Write one a line"),
        ({"rates": "fax 3"}, "There is no rate fax"),
        ({"shares": "i-and-r city-of-portland 99.99"}, "not 100 %"),
        ({"shares": "i-and-r nonsense"}, "Write the shares of a pool on one line"),
        ({"payer_rule": "line_owner"}, "Choose the agreement"),
        ({"rates_percent": "5000"}, "between -100 and 1000"),
    ],
)
def test_what_cannot_be_tried_out_is_said_at_the_form(billed, sign_in, values, said):
    browser = sign_in("finance", CITY)
    assert said in try_out(browser, 400, **values)


def test_every_kind_of_change_is_told_in_words(billed, sign_in):
    browser = sign_in("finance", CITY)
    rate = browser.get(f"/{CITY}/rates?format=json").json[0]["key"]
    page = try_out(
        browser,
        name="All at once",
        rates=f"{rate} 6.50",
        volume_percent="50",
        volume_activity="contact_handled",
        pools_percent="10",
        shares=f"i-and-r {CITY} 40, {COUNTY} 60",
        method="direct",
        agreement="city-intake-for-county",
        payer_rule="jurisdiction",
        discount_percent="5",
        overhead_percent="10",
        minimum_cents="50.00",
    ).follow()
    for said in (
        f"The rate {rate} at $6.50.",
        "Work of the kind Contact handled: +50 %.",
        "All shared costs: +10 %.",
        f"The pool i-and-r: {CITY} 40 %, {COUNTY} 60 %.",
        "Pools allocated by: Direct.",
        "minimum cents 5000",
    ):
        assert said in page, said
