"""Emergencies over HTTP: two clicks and a reason, the banner in each language, drills, the log."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from sqlalchemy import func, select

from regional311.cover.models import EmergencyEntry
from regional311.database.session import Scope, session_scope
from regional311.intake.models import Contact
from regional311.referral.filing import start_contact
from regional311.referral.snapshot import invalidate, published
from regional311.web.telling import Telling

CITY, INFO, REGION, COUNTY = "city-of-portland", "211info", "region", "multnomah-county"


@pytest.fixture(autouse=True)
def afternoon(clock):
    before, clock.now = clock.now, datetime(2026, 12, 3, 22, tzinfo=UTC)
    invalidate()
    yield
    clock.now = before


def begin(app, tenant, *, kind="storm", drill=False, reason="Ice on every road"):
    page = app.get(f"/{tenant}/emergencies").click(href=f"kind={kind}$")
    form = page.forms["form"]
    form["reason"] = reason
    if drill:
        form["drill"] = True
    page = form.submit("submit").follow()
    assert form.submit("submit").follow().request.path == page.request.path
    return page


def end(app, page):
    address = page.request.path
    form = next(each for each in page.forms.values() if each.action.endswith("/end"))
    app_page = form.submit().follow()
    assert "It has ended" in app_page
    return address


def test_two_clicks_and_a_reason_and_everybody_reads_it(sign_in, testapp):
    app = sign_in("administrator", REGION)
    refused = (
        app.get(f"/{REGION}/emergencies/new?kind=storm").forms["form"].submit("submit", status=400)
    )
    assert "Why" in refused
    page = begin(app, REGION)
    for path in ("/", "/search?q=tree", "/services", "/emergency"):
        assert "Storm in the Portland region" in testapp.get(path)
    for language, words in (
        ("es", "Tormenta en la región de Portland"),
        ("vi", "Bão ở vùng Portland"),
        ("zh-Hant", "波特蘭地區風暴"),
        ("ru", "Шторм в районе Портленда"),
    ):
        shown = testapp.get(f"/?lang={language}")
        assert words in shown, language
        testapp.reset()
    assert "/services/211info/warming-center" in testapp.get("/search?q=tree")
    json = testapp.get("/emergency", headers={"Accept": "application/json"}).json
    assert json[0]["texts"]["es"]["title"] == "Tormenta en la región de Portland"
    desk = sign_in("specialist", COUNTY)
    assert "Storm in the Portland region" in desk.get(f"/{COUNTY}/desk")
    contact = desk.get(f"/{COUNTY}/desk").forms["start"].submit().follow()
    screen = contact.forms["screen"]
    screen["answer"] = "none"
    asked = screen.submit().follow()
    assert "In this emergency" in asked
    assert "service=211info/warming-center" in asked
    assert f"walk={CITY}/tree-down:" in asked
    assert "A tree is down or about to fall" in asked
    assert "A tree is down or about to fall" in app.get(page.request.path)
    end(app, page)
    assert "Storm in the Portland region" not in testapp.get("/")
    assert "In this emergency" not in desk.get(asked.request.path)


def test_what_it_opens_and_closes_is_said_at_the_entries_until_it_ends(sign_in, testapp, clock):
    warm = "/services/211info/warming-center"

    def read(name):
        return testapp.get(f"/hsds/services?search={name}&full=true").json["contents"]

    def entry():
        return next(each for each in read("warming") if each["name"].startswith("Warming"))

    app = sign_in("administrator", REGION)
    before = entry()
    tag = testapp.get("/hsds/services").headers["ETag"]
    assert "Open as a warm place now" not in testapp.get(warm)
    page = begin(app, REGION, drill=True)
    assert "Open as a warm place now" not in testapp.get(warm)
    assert "Open as a warm place now" not in app.get(warm)
    assert entry() == before
    end(app, page)
    form = app.get(f"/{REGION}/emergencies/new?kind=storm").forms["form"]
    form["reason"] = "Ice on every road"
    assert form["service"].value == "211info/warming-center"
    form["service"] = f"{CITY}/none"
    refused = form.submit("submit", status=400)
    assert f"There is no service {CITY}/none" in refused, refused.html.find(class_="usa-alert").text
    form["service"], form["note"] = "211info/warming-center", "Dogs are welcome"
    page = form.submit("submit").follow()
    try:
        for language, words in (
            ("en", "Open as a warm place now"),
            ("es", "Abierto ahora como lugar cálido"),
            ("vi", "Hiện mở cửa làm nơi giữ ấm"),
            ("zh-Hant", "現開放為溫暖場所"),
            ("ru", "Сейчас открыто как место обогрева"),
        ):
            for path in (f"{warm}?", "/search?q=warm&", "/services/211info?"):
                assert words in testapp.get(f"{path}lang={language}"), (path, language)
            testapp.reset()
        said = entry()
        assert said["alert"].startswith("Open as a warm place now: Storm in the Portland region.")
        assert said["alert"].endswith("Dogs are welcome.")
        assert said["status"] == "active"
        assert testapp.get("/hsds/services").headers["ETag"] != tag
        desk = sign_in("specialist", COUNTY)
        contact = desk.get(f"/{COUNTY}/desk").forms["start"].submit().follow()
        screen = contact.forms["screen"]
        screen["answer"] = "none"
        asked = screen.submit().follow()
        here = asked.request.path
        assert "Open as a warm place now" in desk.get(f"{here}?q=warm")
        assert "Dogs are welcome" in desk.get(f"{here}?service=211info/warming-center")
        change = app.get(page.request.path + "/edit").forms["form"]
        change["location"] = "211info/harbor-night-hall"
        change.fields["kind"][-1].value = "closure"
        change["name"] = "Harbor night hall"
        change.submit("submit").follow()
        closed = testapp.get(warm)
        assert "Closed for now" in closed
        assert "Harbor night hall" in closed
        assert entry()["status"] == "active"
        clock.advance(hours=49)
        assert "Closed for now" not in testapp.get(warm)
        assert entry() == before
        clock.advance(hours=-49)
    finally:
        end(app, app.get(page.request.path))
    assert "Closed for now" not in testapp.get(warm)
    assert entry() == before


def test_a_partner_opens_and_closes_its_own_entries_only(sign_in):
    boss = sign_in("supervisor", CITY)
    form = boss.get(f"/{CITY}/emergencies/new?kind=storm").forms["form"]
    # what the region has prepared for another partner's entry is not the City's to say
    assert "service" not in form.fields
    form = form.submit("rows", value="add places").forms["form"]
    form["reason"], form["service"], form["name"] = "Ice", "211info/warming-center", "Warm"
    form.fields["kind"][-1].value = "closure"
    assert "could open or close" in form.submit("submit", status=400)


def test_a_drill_is_seen_by_staff_and_by_nobody_else(sign_in, testapp, web_engine, people):
    boss = sign_in("supervisor", CITY)
    page = begin(boss, CITY, kind="heat", drill=True)
    assert "DRILL" in page
    assert "DRILL, not real:" in boss.get(f"/{CITY}/desk")
    assert "DRILL, not real:" in boss.get(f"/{CITY}/requests")
    for path in ("/", "/search?q=hot", "/emergency"):
        assert "Dangerous heat" not in testapp.get(path)
        # staff who look at pages for everybody see what everybody sees
        assert "Dangerous heat" not in boss.get(path)
    assert "Dangerous heat" not in sign_in("specialist", COUNTY).get(f"/{COUNTY}/desk")
    scope = Scope(people.tenants[CITY])
    with session_scope(web_engine, scope) as session:
        contacts = session.scalar(select(func.count()).select_from(Contact))
    log = boss.get(page.request.path + "/log")
    form = log.forms[next(name for name, each in log.forms.items() if each.action.endswith("/log"))]
    form["area"] = "Kenton"
    after = form.submit("service", value="211info/warming-center").follow()
    assert "DRILL: logged" in after
    assert "Kenton" in after
    with session_scope(web_engine, scope) as session:
        assert session.scalar(select(func.count()).select_from(Contact)) == contacts
        assert session.scalar(select(EmergencyEntry.contact_id)) is None
    assert "Nothing: it is a drill." in boss.get(page.request.path)
    assert "Contacts taken here meanwhile" not in boss.get(page.request.path)
    end(boss, boss.get(page.request.path))
    assert "Nothing: it was a drill." in boss.get(page.request.path)


def test_the_table_that_held_when_a_contact_came_counts(sign_in, web_engine, people, clock):
    clock.now = datetime(2026, 12, 4, 5, tzinfo=UTC)
    boss = sign_in("supervisor", CITY)
    form = boss.get(f"/{CITY}/emergencies").click(href="kind=storm$").forms["form"]
    form["reason"] = "Ice"
    form.set("answer", "voicemail", 0)
    page = form.submit("submit").follow()

    def comes():
        clock.advance(minutes=5)
        scope = Scope(people.tenants[CITY])
        with session_scope(web_engine, scope) as session:
            start_contact(
                session,
                published(web_engine),
                now=clock.now,
                channel="phone",
                line=f"{CITY}/main",
            )

    comes()
    clock.advance(minutes=5)
    form = boss.get(page.request.path + "/edit").forms["form"]
    form.set("answer", "211info/main", 0)
    page = form.submit("submit").follow()
    comes()
    review = boss.get(page.request.path)
    assert re.search(r"311: 1 · usually\s+211info", review.html.select_one("main").text)
    end(boss, review)


def test_the_region_is_told_who_sees_contacts(sign_in):
    boss = sign_in("administrator", REGION)
    page = begin(boss, REGION)
    said = page.html.select_one("main").text
    assert "each sees its own on its page of this emergency" in said, said
    assert "Contacts taken here meanwhile" not in page
    specialist = sign_in("specialist", CITY)
    assert "Contacts taken here meanwhile" in specialist.get(
        page.request.path.replace(REGION, CITY)
    )
    end(boss, page)


def test_one_line_makes_a_contact_and_danger_comes_first(sign_in, web_engine, people, monkeypatch):
    boss = sign_in("supervisor", INFO)
    page = begin(boss, INFO, kind="heat")
    address = page.request.path + "/log"
    app = sign_in("specialist", INFO)

    def form_of(shown):
        return next(each for each in shown.forms.values() if each.action == address)

    log = app.get(address)
    assert log.text.index("Is anybody hurt") < log.text.index("log it as")
    form = form_of(log)
    form["note"] = "He is not breathing"
    stopped = form.submit("service", value="211info/warming-center", status=400)
    assert "Call 911 first?" in stopped
    form = form_of(stopped)
    opened = form.submit("danger", value="1").follow()
    assert form.submit("danger", value="1").follow().request.path == opened.request.path
    assert "Is anybody hurt or in danger right now?" in opened
    form = form_of(app.get(address))
    form["area"] = "Kenton"
    form["note"] = "Needs a cool room"
    done = form.submit("service", value="211info/warming-center").follow()
    assert "Logged: C-" in done
    # the same form again makes no second contact
    again = form.submit("service", value="211info/warming-center").follow()
    assert again.request.path == address
    with session_scope(web_engine, Scope(people.tenants[INFO])) as session:
        entries = session.execute(
            select(
                EmergencyEntry.service, EmergencyEntry.danger, EmergencyEntry.contact_id
            ).order_by(EmergencyEntry.at, EmergencyEntry.id)
        ).all()
    assert [(each.service, each.danger) for each in entries] == [
        ("", True),
        ("211info/warming-center", False),
    ]
    assert all(each.contact_id for each in entries)
    review = boss.get(page.request.path)
    assert "Contacts taken here meanwhile" in review
    assert "Kenton" in review
    table = boss.get(page.request.path + "?format=csv").text
    assert table.startswith("area,service,count")
    assert "Kenton,211info/warming-center,1" in table
    # what is confidential is on no map and in no table of who is not cleared
    secret = (people.tenants[INFO], "warming-center")
    monkeypatch.setattr(Telling, "confidential_services", frozenset({secret}))
    for asked in ("", "?format=csv"):
        assert "Kenton" not in app.get(page.request.path + asked)
        assert "Kenton" in boss.get(page.request.path + asked)
    end(boss, review)


def test_help_is_lent_accepted_and_taken_on_the_others_line(sign_in):
    region = sign_in("administrator", REGION)
    page = begin(region, REGION)
    helper = sign_in("specialist", INFO)
    boss = sign_in("supervisor", INFO)
    form = boss.get(f"/{INFO}/emergencies/aid").forms["form"]
    fields = {each._value: each for each in form.fields["lines"] if each._value}
    fields[f"{CITY}/water"].checked = True
    for each in form.fields["people"]:
        if each._value:
            each.checked = True
    assert "The offer is with that partner." in form.submit("submit").follow()
    form.submit("submit").follow()
    city = sign_in("supervisor", CITY)
    answers = city.get(f"/{CITY}/emergencies")
    (accept,) = [
        each
        for each in answers.forms.values()
        if "verb" in each.fields and each["verb"].value == "accept"
    ]
    assert "they can take contacts" in accept.submit().follow()
    desk = helper.get(f"/{INFO}/desk")
    assert f"{CITY}/water" not in [value for value, *_ in desk.forms["start"]["line"].options]
    duty = next(each for each in desk.forms.values() if each.action.endswith("/duty"))
    on = duty.submit("aid", value=duty.fields["aid"][0]._value).follow()
    assert "You are lent" in on
    start = on.forms["start"]
    start["line"] = f"{CITY}/water"
    assert "C-" in start.submit().follow()
    end(region, region.get(page.request.path))
