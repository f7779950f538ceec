"""Insight, trends and a partner's own system in a real browser: axe, and no sideways scrolling."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from regional311.database.ids import new_id, public_id
from regional311.database.rows import put
from regional311.database.session import Scope, session_scope
from regional311.insight.publishing import publish_months
from regional311.referral.models import Referral

from .conftest import PHONE

CITY, HELP = "city-of-portland", "211info"


@pytest.fixture(scope="module")
def referred(site) -> None:
    """Referrals to 211info, of today and of two months ago."""
    now = datetime.now(UTC)
    with session_scope(site.engine, Scope(site.tenants[CITY])) as session:
        for days in (0, 0, *([70] * 6)):
            row = Referral(
                tenant_id=site.tenants[CITY],
                id=new_id(),
                public_id=public_id("F"),
                side="sent",
                counterparty_id=site.tenants[HELP],
                service_key="shelter",
                term="shelter",
                shared={"language": "es"},
                channel="phone",
                state="rejected",
                reason="no_capacity",
                sent_at=now - timedelta(days=days),
                answered_at=now - timedelta(days=days) + timedelta(hours=3),
                closed_at=now - timedelta(days=days) + timedelta(hours=3),
            )
            put(session, row)
    with session_scope(site.engine, Scope(site.tenants[CITY])) as session:
        assert publish_months(session, now=now) >= 1


@pytest.mark.parametrize("width", [PHONE, 1280])
def test_figures_and_their_rows(open_page, examine, referred, width):
    page = open_page("specialist", CITY, width=width)
    for name, path in (
        ("insight", "insight"),
        ("insight-error", "insight?from=2026-10-09&to=2026-10-01"),
        ("insight-empty", "insight?from=2020-01-01&to=2020-02-01"),
        ("insight-rows", "insight/sent"),
        ("insight-reasons", "insight/rejected"),
        ("trends", "trends"),
    ):
        page.goto(f"/{CITY}/{path}")
        assert page.locator("h1").count() == 1, name
        examine(page, name)


def test_a_figure_opens_to_its_rows_by_the_keyboard(open_page, referred):
    page = open_page("specialist", CITY)
    page.goto(f"/{CITY}/insight")
    page.locator("a[href*='/insight/sent?']").first.focus()
    with page.expect_navigation():
        page.keyboard.press("Enter")
    page.get_by_role("heading", name="Referrals", level=1).wait_for()
    with page.expect_navigation():
        page.locator("tbody th a").first.click()
    page.get_by_text("This is all that").first.wait_for()


def test_a_system_is_connected_and_its_secret_shown_once(open_page, examine):
    page = open_page("administrator", HELP, width=PHONE)
    page.goto(f"/{HELP}/connections")
    examine(page, "connections-empty")
    with page.expect_navigation():
        page.get_by_role("link", name="Connect a system").click()
    examine(page, "connections-new")
    page.get_by_label("Name", exact=True).fill("Care")
    page.get_by_text("It fetches from here and sends").click()
    page.get_by_label("Name of the key").fill("care-1")
    with page.expect_navigation():
        page.get_by_role("button", name="Connect").click()
    page.get_by_role("heading", name="The secret of Care").wait_for()
    examine(page, "connections-made")
    with page.expect_navigation():
        page.get_by_role("link", name="I have copied it").click()
    page.get_by_role("heading", name="Care", exact=True).wait_for()
    examine(page, "connections")
