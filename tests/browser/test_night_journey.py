"""A storm from its start to the public banner in Spanish and its end; a hand-over on two desks."""

from __future__ import annotations

import re

import pytest

from .conftest import follow

CITY, INFO, COUNTY = "city-of-portland", "211info", "multnomah-county"


def test_a_storm_begins_is_read_in_spanish_and_ends(open_page, examine):
    boss = open_page("supervisor", CITY)
    boss.goto(f"/{CITY}/emergencies")
    examine(boss, "emergencies")
    follow(boss.get_by_role("link", name="Storm", exact=True))
    boss.get_by_label("Why").fill("Ice on every road")
    examine(boss, "emergency-new")
    follow(boss.get_by_role("button", name="Start it now"))
    examine(boss, "emergency")
    visitor = open_page(width=360)
    visitor.goto("/?lang=es")
    banner = visitor.get_by_role("complementary", name="Emergencia")
    assert "Tormenta en la región de Portland" in banner.inner_text()
    examine(visitor, "storm-in-spanish")
    follow(banner.get_by_role("link").first)
    assert "Qué está pasando ahora" in visitor.locator("h1").inner_text()
    examine(visitor, "what-is-happening")
    follow(boss.get_by_role("link", name="Log a contact in one line").first)
    boss.get_by_label("Where").fill("Kenton")
    boss.get_by_label("In one line").fill("No heat at home")
    examine(boss, "one-line")
    # one key, outside the fields
    boss.locator("h1").click()
    with boss.expect_navigation():
        boss.keyboard.press("1")
    boss.get_by_text("Logged: C-").wait_for()
    boss.goto(f"/{CITY}/emergencies")
    follow(boss.get_by_role("link", name="Storm", exact=True).last)
    examine(boss, "emergency-counted")
    follow(boss.get_by_role("button", name="End it now"))
    visitor.goto("/?lang=es")
    visitor.wait_for_timeout(1_100)
    visitor.reload()
    assert visitor.get_by_text("Tormenta en la región").count() == 0


def test_a_line_is_read_and_changed(open_page, examine):
    page = open_page("administrator", CITY)
    page.goto(f"/{CITY}/lines/main")
    examine(page, "line")
    follow(page.get_by_role("link", name="Change it"))
    examine(page, "line-edit")
    follow(page.get_by_role("button", name="Add a row"))
    page.get_by_label("Who answers").first.select_option("voicemail")
    follow(page.get_by_role("button", name="Save"))
    assert "Voicemail" in page.locator("main").inner_text()


@pytest.mark.parametrize("scripts", [True, False])
def test_a_contact_is_handed_over_between_two_desks(open_page, examine, scripts):
    ours = open_page("specialist", COUNTY, scripts=scripts)
    theirs = open_page("specialist", INFO, scripts=scripts)
    theirs.goto(f"/{INFO}/desk")
    ours.goto(f"/{COUNTY}/desk")
    follow(ours.get_by_role("button", name="Start a contact"))
    ours.get_by_text("None of these").click()
    follow(ours.get_by_role("button", name="Continue"))
    follow(ours.get_by_role("link", name="Ring another partner’s desk"))
    ours.locator("label[for=line-211info-main]").click()
    ours.get_by_label("Why, for the other desk").fill("Needs a bed tonight")
    if scripts:
        examine(ours, "ring-choose")
    follow(ours.get_by_role("button", name="Ring", exact=True))
    if not scripts:
        theirs.reload()
    link = theirs.get_by_role("link", name=re.compile("From Multnomah County"))
    link.wait_for(timeout=20_000)
    follow(link)
    assert "Needs a bed tonight" in theirs.locator("main").inner_text()
    if scripts:
        examine(theirs, "ring-answer")
    follow(theirs.get_by_role("button", name="Take it over"))
    assert "First: is anyone in danger?" in theirs.locator("main").inner_text()
    if not scripts:
        ours.reload()
    ours.get_by_text("has taken it over").wait_for(timeout=20_000)
    if scripts:
        examine(ours, "rung-taken")
