"""Keeping services right in a real browser: axe, no sideways scrolling, one key."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from regional311.database.session import Scope, session_scope

from .conftest import PHONE, follow

CITY = "city-of-portland"


@pytest.fixture(scope="module")
def overdue(site) -> None:
    """Some services were looked at long ago, or never."""
    today = datetime.now(UTC).date()
    with session_scope(site.engine, Scope(site.tenants[CITY])) as session:
        for key, verified, review in (
            ("pothole", today - timedelta(days=430), today - timedelta(days=65)),
            ("road-hazard", None, today - timedelta(days=1)),
            ("street-light", today - timedelta(days=20), today + timedelta(days=10)),
        ):
            session.execute(
                text(
                    "UPDATE services SET verified_on = :verified, review_on = :review"
                    " WHERE tenant_id = :me AND key = :key"
                ),
                {"me": site.tenants[CITY], "key": key, "verified": verified, "review": review},
            )


def test_pages_of_a_keeper(open_page, examine, overdue):
    page = open_page("editor", CITY, width=PHONE)
    for name, path in (
        ("reviews", "reviews"),
        ("reviews-overdue", "reviews?state=overdue"),
        ("reviews-keepers", "reviews/keepers"),
        ("reviews-keepers-bureau", "reviews/keepers?bureau=pbot"),
        ("reviews-service", "services/pothole"),
    ):
        page.goto(f"/{CITY}/{path}")
        assert page.locator("h1").count() == 1, name
        examine(page, name)


def test_one_key_says_that_it_is_right_and_goes_on(open_page, overdue):
    page = open_page("worker", CITY)
    page.goto(f"/{CITY}/services/pothole")
    with page.expect_navigation():
        page.keyboard.press("n")
    page.get_by_text("Pothole in a street is right as it stands.").wait_for()
    page.get_by_role("heading", name="Debris or hazard in the roadway").wait_for()


def test_an_article_and_an_organisation_are_looked_at_by_one_key(open_page, examine):
    for partner, kind in ((CITY, "article"), ("211info", "organization")):
        page = open_page("editor", partner)
        page.goto(f"/{partner}/reviews?kind={kind}")
        follow(page.locator("tbody th a").first)
        examine(page, f"looked-at-{kind}")
        with page.expect_navigation():
            page.keyboard.press("v")
        page.get_by_text("is right as it stands.").wait_for()
        follow(page.get_by_role("link", name="Name who keeps it"))
        page.get_by_text("Editor", exact=True).last.click()
        follow(page.get_by_role("button", name="Save"))
        page.get_by_text("Saved: who keeps").wait_for()
        examine(page, f"keepers-{kind}")


def test_the_ticked_ones_are_right(open_page, overdue):
    page = open_page("worker", CITY)
    page.goto(f"/{CITY}/reviews?sort=name")
    page.get_by_role("button", name="Tick all of this page").click()
    follow(page.get_by_role("button", name="The ticked ones are still right"))
    page.get_by_text("entries are right as they stand.").wait_for()


def test_a_tree_is_taken_in_browsed_and_tied(open_page, examine, tmp_path):
    sheet = tmp_path / "tree.csv"
    sheet.write_text("code,name,parent\nfood,Food,\nmeals,Hot meals,food\ntea,Tea,watr\n")
    page = open_page("editor", CITY, width=PHONE)
    page.goto(f"/{CITY}/taxonomies")
    examine(page, "taxonomies")
    follow(page.get_by_role("link", name="Take a tree in"))
    page.get_by_label("Key", exact=True).fill("our-tree")
    page.get_by_label("Name").fill("Our tree")
    page.get_by_label("What it sorts, and for whom").fill("What we are asked.")
    page.get_by_label("CSV file").set_input_files(sheet)
    follow(page.get_by_role("button", name="See what changes"))
    page.get_by_text("there is no term watr").wait_for()
    examine(page, "taxonomy-report")
    follow(page.get_by_role("button", name="Take the sound rest in"))
    page.get_by_text("Taken in: Our tree.").wait_for()
    for name, path in (
        ("taxonomy", "our-tree"),
        ("taxonomy-regional", "regional"),
        ("taxonomy-branch", "regional?branch=streets"),
        ("taxonomy-unused", "our-tree/unused"),
        ("taxonomy-unmapped", "unmapped"),
    ):
        page.goto(f"/{CITY}/taxonomies/{path}")
        assert page.locator("h1").count() == 1, name
        examine(page, name)
    page.goto(f"/{CITY}/taxonomies/crosswalks")
    page.get_by_label("Term", exact=True).fill("our-tree:food")
    page.get_by_label("Relation").select_option("exact")
    page.get_by_label("Term of another taxonomy").fill("regional:streets")
    follow(page.get_by_role("button", name="Tie them"))
    page.get_by_text("Tied.").wait_for()
    examine(page, "taxonomy-crosswalks")
