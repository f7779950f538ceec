"""Pools, bases and splits in a real browser: axe, and no sideways scrolling at 360 px."""

from __future__ import annotations

from .conftest import PHONE

CITY, COUNTY = "city-of-portland", "multnomah-county"
DAY = "as_of=2026-10-15"
PAGES = (
    ("pools-of-a-year", f"pools?{DAY}"),
    ("pool-of-bureaus", f"pools/contact-centre?{DAY}"),
    ("pool-methods", f"pools/methods?{DAY}"),
    ("pool-flow", f"pools/flow?{DAY}"),
    ("pool-flow-reciprocal", f"pools/flow?{DAY}&method=reciprocal"),
    ("pool-new", "pools/new"),
    ("pool-edit", f"pools/contact-centre/edit?{DAY}"),
    ("bases", "bases"),
    ("base", "bases/contacts"),
    ("base-mix", "bases/calls-and-positions"),
    ("base-edit", "bases/contacts/edit"),
    ("base-snapshot", "bases/contacts/snapshot"),
)


def test_pages_about_shared_costs(open_page, examine):
    page = open_page("finance", CITY, width=PHONE)
    for name, path in PAGES:
        page.goto(f"/{CITY}/{path}")
        assert page.locator("h1").count() == 1, name
        examine(page, name)


def test_pages_about_our_own_bill(open_page, examine):
    page = open_page("finance", COUNTY, width=PHONE)
    for name, path in (
        ("splits", "splits"),
        ("split", "splits/information-and-referral"),
        ("split-edit", "splits/information-and-referral/edit"),
    ):
        page.goto(f"/{COUNTY}/{path}")
        assert page.locator("h1").count() == 1, name
        examine(page, name)
