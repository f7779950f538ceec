"""A storm from its start to its end; a hand-over on two desks, at once and when a line opens."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from regional311.database.ids import new_id
from regional311.database.rows import put
from regional311.database.session import Scope, session_scope
from regional311.tenancy.models import Line
from regional311.tenancy.revision import raise_revision

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


def test_a_closed_line_is_rung_when_it_opens(open_page, examine, site):
    """Closed now, whatever the hour: the line's only day is the day after tomorrow."""
    city = Scope(site.tenants[CITY])
    day = (datetime.now(UTC) + timedelta(days=2)).strftime("%a").lower()
    with session_scope(site.engine, city) as session:
        put(
            session,
            Line(
                tenant_id=site.tenants[CITY],
                id=new_id(),
                key="permits-desk",
                name="Permits desk",
                channel="phone",
                address="503-555-0177",
                hours={day: ["08:00-17:00"]},
            ),
        )
        raise_revision(session)
    ours, theirs = open_page("specialist", COUNTY), open_page("specialist", CITY)
    ours.goto(f"/{COUNTY}/desk")
    follow(ours.get_by_role("button", name="Start a contact"))
    ours.get_by_text("None of these").click()
    follow(ours.get_by_role("button", name="Continue"))
    ours.wait_for_timeout(1_100)
    follow(ours.get_by_role("link", name="Ring another partner’s desk"))
    ours.get_by_text("Where they can be called back").click()
    ours.get_by_label("Telephone number").fill("503-555-0142")
    ours.get_by_text("I asked: a call to that number is safe").click()
    examine(ours, "ring-closed")
    follow(ours.get_by_role("button", name="Call back and ring Permits desk when it opens"))
    ours.get_by_text("Tell the person: we call you back").wait_for()
    examine(ours, "ring-later")
    ours.goto(f"/{COUNTY}/desk")
    ours.get_by_text("1 contact waits for a line to open").wait_for()
    always = {each: ["00:00-24:00"] for each in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")}
    with session_scope(site.engine, city) as session:
        session.execute(
            update(Line)
            .where(Line.tenant_id == site.tenants[CITY], Line.key == "permits-desk")
            .values(hours=always | {"holiday": ["00:00-24:00"]})
        )
        raise_revision(session)
    ours.wait_for_timeout(1_100)
    ours.goto(f"/{COUNTY}/desk")
    examine(ours, "desk-line-open")
    follow(ours.get_by_role("link", name=re.compile("to City of Portland")))
    follow(ours.get_by_role("button", name="I call them: show the number"))
    ours.get_by_role("link", name="(503) 555-0142").wait_for()
    examine(ours, "ring-line-open")
    ours.locator("label[for=line-city-of-portland-permits-desk]").click()
    theirs.goto(f"/{CITY}/desk")
    follow(ours.get_by_role("button", name="Ring", exact=True))
    link = theirs.get_by_role("link", name=re.compile("From Multnomah County"))
    link.wait_for(timeout=20_000)
    follow(link)
    follow(theirs.get_by_role("button", name="Take it over"))
    ours.get_by_text("has taken it over").wait_for(timeout=20_000)
    ours.goto(f"/{COUNTY}/desk")
    assert ours.get_by_text("call back, and put through").count() == 0
