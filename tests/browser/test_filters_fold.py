"""Filters of long lists: folded on a phone, open when one is set, always there on a wide screen."""

from __future__ import annotations

import pytest

from .conftest import DESK, PHONE, follow

CITY = "city-of-portland"
LISTS = ("requests", "contacts", "referrals", "inbox")


def wide_of(page):
    return page.evaluate("document.documentElement.scrollWidth")


@pytest.mark.parametrize("scripts", [False, True])
def test_they_fold_on_a_phone_and_open_when_one_is_set(open_page, scripts):
    page = open_page("supervisor", CITY, width=PHONE, scripts=scripts)
    page.goto(f"/{CITY}/requests")
    button = page.get_by_role("button", name="Apply filters")
    assert not button.is_visible()
    page.locator("summary", has_text="Filter").click()
    button.wait_for()
    page.get_by_label("Status", exact=True).select_option("open")
    follow(button)
    page.locator("summary", has_text="Filter: 1 is set").wait_for()
    assert page.get_by_role("button", name="Apply filters").is_visible()
    # without a script the menu above stays open: what is measured is the page below it
    top = page.locator("main").bounding_box()["y"]
    first = page.locator("main tbody tr, main .r-empty").first.bounding_box()
    assert first["y"] - top < 640
    follow(page.get_by_role("link", name="Show everything").first)
    assert not page.get_by_role("button", name="Apply filters").is_visible()


def test_they_are_there_on_a_wide_screen_and_never_wider_than_it(open_page):
    page = open_page("supervisor", CITY, width=DESK)
    for width in (DESK, PHONE, 320):
        page.set_viewport_size({"width": width, "height": 740})
        for name in LISTS:
            for asked in ("", "?state=open&channel=email"):
                page.goto(f"/{CITY}/{name}{asked}")
                assert wide_of(page) <= width, f"{name}{asked} at {width}"
                if width == DESK:
                    assert page.get_by_role("button", name="Apply filters").is_visible()
                    assert not page.locator(".r-fold > summary").is_visible()
