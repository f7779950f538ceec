"""Late work, a memo and the year's end in a real browser: axe, no sideways scrolling at 360 px."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from regional311.calendars import Period
from regional311.chargeback import billing
from regional311.chargeback.rating import run_rating
from regional311.database.session import Scope, session_scope
from regional311.referral.filing import Intake, take_in
from regional311.referral.snapshot import invalidate, published

from .conftest import PHONE

CITY, COUNTY = "city-of-portland", "multnomah-county"
DONE = datetime(2026, 10, 5, 17, tzinfo=UTC)
NOW = datetime(2026, 11, 3, 18, tzinfo=UTC)


@pytest.fixture(scope="module")
def bill(site) -> str:
    """The City's issued bill to the County for October; one contact came in after it."""
    invalidate()
    region = published(site.engine)
    me, people = site.tenants[CITY], {}
    for role in ("finance", "approver"):
        email = site.account(CITY, role)
        with session_scope(site.engine, Scope(me)) as session:
            people[role] = session.execute(
                text("SELECT person_id FROM memberships WHERE email = :e"), {"e": email}
            ).scalar_one()

    def contact(number: int, now: datetime) -> None:
        at = DONE + timedelta(hours=number)
        intake = Intake(
            source="demo",
            key=f"after-{number}",
            channel="phone",
            started_at=at,
            ended_at=at,
            handle_seconds=240,
            service=f"{COUNTY}/pet-license",
            danger_answer="none",
            consent="refused",
            after_hours=False,
        )
        with session_scope(site.engine, Scope(me)) as session:
            take_in(session, region, intake, now=now)

    for number in range(3):
        contact(number, DONE + timedelta(days=1))
    with session_scope(site.engine, Scope(me, people["finance"])) as session:
        run = run_rating(session, period=Period.month("2026-10"), now=NOW)
        drafts = billing.draft_statements(session, run.id, now=NOW)
        for draft in drafts:
            billing.submit(session, draft, now=NOW)
    with session_scope(site.engine, Scope(me, people["approver"])) as session:
        for draft in drafts:
            billing.approve(session, draft, now=NOW)
    with session_scope(site.engine, Scope(me, people["finance"])) as session:
        for draft in drafts:
            billing.issue(session, draft, now=NOW)
        found = session.execute(
            text("SELECT public_id FROM statements WHERE counterparty_id = :county LIMIT 1"),
            {"county": site.tenants[COUNTY]},
        ).scalar_one()
    contact(9, NOW + timedelta(days=3))
    return str(found)


def test_late_work_memo_and_year_end(open_page, examine, bill):
    page = open_page("finance", CITY, width=PHONE)
    for name, path in (
        ("late-work", "corrections"),
        ("late-work-month", "corrections/2026-10"),
        ("corrected-work", "recorded-work"),
        ("memo-new", f"statements/{bill}/memo"),
        ("true-ups", "true-ups"),
        ("true-up-year", "true-ups/2027"),
    ):
        page.goto(f"/{CITY}/{path}")
        assert page.locator("h1").count() == 1, name
        examine(page, name)
    page.goto(f"/{CITY}/billing/2026-10/usage")
    page.locator("main tbody th a").first.click()
    page.get_by_role("heading", name="Correct it").wait_for()
    page.get_by_label("Reason").select_option("agreed")
    page.get_by_role("button", name="Show what it would cost").click()
    page.get_by_role("heading", name="What it would cost").wait_for()
    examine(page, "work-tried")
    page.goto(f"/{CITY}/corrections/2026-10")
    page.get_by_role("button", name="Show what would be billed").click()
    page.get_by_role("heading", name="What would be billed", exact=True).wait_for()
    examine(page, "late-work-tried")
    page.get_by_role("button", name="Draft corrections").click()
    page.wait_for_url("**/statements?period=2026-10")
    page.goto(f"/{CITY}/memos")
    examine(page, "memos")
