"""Changing several requests at once in a real browser, and undoing it, also by hand only."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from regional311.database.ids import new_token
from regional311.database.session import Scope, session_scope
from regional311.referral.filing import Intake, Place, take_in
from regional311.referral.snapshot import published

from .conftest import PHONE, follow

CITY = "city-of-portland"


@pytest.fixture(scope="module")
def potholes(site) -> list[str]:
    """Three potholes, far enough from each other."""
    numbers = []
    now = datetime.now(UTC)
    with session_scope(site.engine, Scope(site.tenants[CITY])) as session:
        for row in range(3):
            intake = Intake(
                source="web",
                key=new_token(),
                channel="web",
                started_at=now,
                service="city-of-portland/pothole",
                place=Place("", Decimal(f"45.4{81 + row}5"), Decimal("-122.6215")),
                danger_answer="none",
            )
            made = take_in(session, published(site.engine), intake, now=now)
            numbers.append(made.request_public_id)
    return numbers


@pytest.mark.parametrize("scripts", [True, False])
def test_several_are_closed_and_that_is_undone(open_page, examine, potholes, scripts):
    page = open_page("worker", CITY, width=PHONE, scripts=scripts)
    page.goto(f"/{CITY}/requests?state=open&service=pothole")
    if scripts:
        examine(page, "requests-bulk")
        page.get_by_role("button", name="Choose all on this page").click()
    else:
        for number in potholes:
            page.locator(f"label[for='chosen-{number}']").click()
    page.get_by_label("What is done").select_option("close")
    follow(page.get_by_role("button", name="With those chosen"))
    page.get_by_text("3 requests", exact=True).wait_for()
    page.get_by_label("How they were resolved").select_option("completed")
    page.get_by_label("Words for the people").fill("Your street was repaired today.")
    follow(page.get_by_role("button", name="Close with words for the people"))
    page.get_by_text("3 of 3 changed.").wait_for()
    if scripts:
        examine(page, "requests-changed")
    follow(page.get_by_role("button", name="Undo it for all"))
    page.get_by_text("3 are as they were before.").wait_for()
    follow(page.get_by_role("link", name="Back to the list"))
    page.goto(f"/{CITY}/requests?state=open&service=pothole")
    for number in potholes:
        page.get_by_role("link", name=number).wait_for()
