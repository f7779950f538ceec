"""Statements of every payer, budgets and what-if in a real browser: axe, 360 px, a journey."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from regional311.calendars import Period
from regional311.chargeback.month import bill_month
from regional311.database.session import Scope, session_scope
from regional311.referral.filing import Intake, take_in
from regional311.referral.snapshot import invalidate, published

from .conftest import PHONE

CITY, COUNTY = "city-of-portland", "multnomah-county"
OCTOBER = datetime(2026, 10, 5, 17, tzinfo=UTC)
NOW = datetime(2026, 11, 3, 18, tzinfo=UTC)


@pytest.fixture(scope="module")
def billed(site) -> dict[str, str]:
    """October of the City, issued to every kind of payer."""
    invalidate()
    region = published(site.engine)
    me = site.tenants[CITY]
    people = {}
    for role in ("finance", "approver"):
        email = site.account(CITY, role)
        with session_scope(site.engine, Scope(me)) as session:
            people[role] = session.execute(
                text("SELECT person_id FROM memberships WHERE email = :e"), {"e": email}
            ).scalar_one()
    with session_scope(site.engine, Scope(me)) as session:
        for number in range(8):
            at = OCTOBER + timedelta(hours=7 * number)
            owner = (f"{COUNTY}/library", f"{CITY}/utility-provider")[number % 2]
            intake = Intake(
                source="demo",
                key=f"forecast-{number}",
                channel="phone",
                started_at=at,
                ended_at=at,
                handle_seconds=200 + number,
                service=owner,
                danger_answer="none",
                consent="refused",
                after_hours=False,
            )
            take_in(session, region, intake, now=at)
    bill_month(
        site.engine,
        {CITY: me},
        Period.month("2026-10"),
        preparer={me: people["finance"]},
        approver={me: people["approver"]},
        now=NOW,
    )
    found = {}
    with session_scope(site.engine, Scope(me)) as session:
        for kind in ("partner", "bureau", "outside"):
            row = session.execute(
                text(
                    "SELECT s.public_id, l.position, l.kind, i.id, i.contact_reference"
                    " FROM statements s JOIN statement_lines l ON l.statement_id = s.id"
                    " LEFT JOIN statement_items i ON i.line_id = l.id"
                    " WHERE s.payer_kind = :kind AND s.side = 'issued'"
                    " ORDER BY i.id NULLS LAST, l.position LIMIT 1"
                ),
                {"kind": kind},
            ).one()
            found |= {kind: row.public_id, f"{kind}-line": str(row.position)}
            found |= {f"{kind}-item": str(row.id), f"{kind}-contact": row.contact_reference}
        found["last"] = session.execute(
            text(
                "SELECT max(l.position) FROM statement_lines l JOIN statements s"
                " ON s.id = l.statement_id WHERE s.public_id = :number"
            ),
            {"number": found["outside"]},
        ).scalar_one()
        found["person"] = session.execute(
            text(
                "SELECT public_id FROM contacts WHERE id IN"
                " (SELECT contact_id FROM usage_events WHERE service_key = 'library') LIMIT 1"
            )
        ).scalar_one()
    return found


PAGES = (
    ("statement-of-a-bureau", "statements/{bureau}"),
    ("line-of-a-bureau", "statements/{bureau}/{bureau-line}"),
    ("statement-of-an-outside-body", "statements/{outside}"),
    ("line-of-a-minimum", "statements/{outside}/{last}"),
    ("one-contact", "statements/{partner}/contact?reference={partner-contact}"),
    ("contact-with-its-cost", "contacts/{person}"),
    ("budgets-empty", "budgets"),
    ("budget-new", "budgets/new"),
    ("scenarios-empty", "scenarios"),
    ("scenario-new", "scenarios/new"),
)


def test_pages_about_statements_budgets_and_what_if(open_page, examine, billed):
    page = open_page("finance", CITY, width=PHONE)
    for name, path in PAGES:
        page.goto(f"/{CITY}/{path.format(**billed)}")
        assert page.locator("h1").count() == 1, name
        examine(page, name)


def test_a_budget_is_set_and_something_is_tried_out(open_page, examine, billed):
    page = open_page("finance", CITY, width=PHONE)
    page.goto(f"/{CITY}/budgets/new")
    page.get_by_label("Between us and").select_option(COUNTY)
    page.get_by_text("What it pays to us").click()
    page.get_by_label("Fiscal year").fill("2027")
    page.get_by_label("Budget", exact=False).first.fill("290000")
    page.get_by_role("button", name="Set the budget").click()
    page.get_by_role("heading", name="Month by month").wait_for()
    assert "Will not last" in page.content()
    examine(page, "budget")
    page.goto(f"/{CITY}/budgets?year=2027")
    examine(page, "budgets")
    page.goto(f"/{CITY}/scenarios/new")
    page.get_by_label("Name").fill("Five percent more")
    page.get_by_label("First month").fill("2026-10")
    page.get_by_label("All rates by").fill("5")
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("heading", name="By payer").wait_for()
    assert "All rates: +5 %." in page.content()
    examine(page, "scenario")
    page.goto(f"/{CITY}/scenarios")
    examine(page, "scenarios")
