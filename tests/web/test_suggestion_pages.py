"""Suggesting a correction as a specialist and as a visitor, and deciding it, through HTTP."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from regional311.database.session import Scope, session_scope
from regional311.referral.snapshot import invalidate

CITY, HELP = "city-of-portland", "211info"
AT = datetime(2026, 10, 13, 18, tzinfo=UTC)
ABOUT = f"/suggest?about={CITY}/pothole"

pytestmark = pytest.mark.commits


@pytest.fixture(autouse=True)
def a_tuesday(clock):
    clock.now = AT


def visitor_sends(testapp, field, wanted, **more):
    form = testapp.get(f"{ABOUT}&field={field}").forms["suggestion"]
    form["wanted"] = wanted
    for name, value in more.items():
        form[name] = value
    return form.submit("submit")


def received(browser, **asked):
    query = "&".join(f"{name}={value}" for name, value in asked.items())
    return browser.get(f"/{CITY}/suggestions?{query}")


def newest(browser):
    page = received(browser, state="new")
    return browser.get(page.html.select_one("tbody th a")["href"])


def says(engine, people, column="summary"):
    with session_scope(engine, Scope(people.tenants[CITY])) as session:
        return session.execute(
            text(f"SELECT {column} FROM services WHERE tenant_id = :me AND key = 'pothole'"),
            {"me": people.tenants[CITY]},
        ).scalar_one()


def test_a_visitor_sees_what_it_says_field_by_field(testapp):
    page = testapp.get(ABOUT)
    assert "What is wrong with “Pothole in a street”?" in page
    fields = [each.text for each in page.html.select("dl.r-summary dt")]
    assert fields[:3] == ["Name", "Short description", "Phone number"]
    assert "The page shows 503-823-4000." in page
    missing = [each.text for each in page.html.select("details dt")]
    assert "What to bring" in missing
    assert "Name" not in missing
    link = page.html.select_one("dl.r-summary a")["href"]
    assert testapp.get(link).forms["suggestion"]["wanted"].value == "Pothole in a street"
    assert "/suggest?about=" in testapp.get(f"/services/{CITY}/pothole")


def test_from_the_public_to_published_and_thanked(testapp, sign_in, web_engine, people):
    done = visitor_sends(
        testapp, "summary", "A <b>hole</b> in a City street.", reason="I saw it", email="k@x.org"
    )
    assert "Thank you" in done.follow()
    editor = sign_in("editor", CITY)
    page = newest(editor)
    assert "&lt;b&gt;hole&lt;/b&gt;" in page
    assert "k@x.org" in page
    assert "k@x.org" not in sign_in("specialist", CITY).get(page.request.path)
    form = page.forms["approve"]
    assert form["text"].value == "A <b>hole</b> in a City street."
    form["text"] = "A hole in a City street."
    done = form.submit("submit").follow()
    assert "Published." in done
    assert "Taken over" in done
    assert "k@x.org" not in done
    assert says(web_engine, people) == "A hole in a City street."
    invalidate()
    assert "A hole in a City street." in testapp.get(f"/services/{CITY}/pothole")
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        letter = session.execute(
            text(
                "SELECT heading, recipient FROM outbox_messages WHERE event ="
                " 'suggestion_approved' AND tenant_id = :me"
            ),
            {"me": people.tenants[CITY]},
        ).one()
    assert letter == ("Thank you for correcting Pothole in a street", "k@x.org")


def test_an_answer_is_corrected_by_the_public_too(testapp, sign_in, web_engine, people):
    shelf = testapp.get(f"/articles/{CITY}")
    page = testapp.get(shelf.html.select_one(".p-services a")["href"])
    address = page.request.path
    about = page.html.find("a", string="Something wrong here? Tell us")["href"]
    page = testapp.get(about)
    assert [each.text for each in page.html.select("dt")] == [
        "Question or title",
        "What it says",
        "Something else",
    ]
    form = testapp.get(page.html.select("dl.r-summary a")[1]["href"]).forms["suggestion"]
    form["wanted"] = "Nobody knows."
    assert "Thank you" in form.submit("submit").follow()
    editor = sign_in("editor", CITY)
    page = newest(editor)
    assert page.html.find("a", href=re.compile(f"^/{CITY}/articles/"))
    page = page.forms["approve"].submit("submit").follow()
    assert "Published." in page
    assert "Nobody knows." in testapp.get(address)


def test_it_is_called_by_its_name_in_the_language_of_the_page(testapp):
    page = testapp.get(ABOUT, headers={"Accept-Language": "es"})
    assert page.html.h1.text == "¿Qué está mal en «Bache en la calle»?"


def test_what_only_staff_read_is_not_there_for_the_public(testapp, sign_in):
    """The desk's guides have no public part."""
    listed = sign_in("editor", CITY).get(f"/{CITY}/articles?kind=script")
    key = listed.html.select_one("tbody th a")["href"].rpartition("/")[2]
    about = f"about=article%3A{CITY}%2F{key}"
    assert sign_in("specialist", "211info").get(f"/211info/suggestions/new?{about}")
    testapp.get(f"/suggest?{about}", status=404)
    for nonsense in ("article:", f"article:{CITY}", "article:no-such/x", f"article:{CITY}/no-such"):
        testapp.get("/suggest", {"about": nonsense}, status=404)


def test_who_gives_a_service_is_corrected_beside_it(testapp):
    page = testapp.get("/suggest?about=211info/shelter")
    bodies = [each["href"] for each in page.html.select("a[href*='organization=']")]
    assert any("field=description" in each for each in bodies)
    form = testapp.get(next(each for each in bodies if "field=website" in each))
    assert form.forms["suggestion"]["wanted"].value.startswith("https://")


def test_sent_twice_it_is_one(testapp, sign_in):
    form = testapp.get(f"{ABOUT}&field=fee").forms["suggestion"]
    form["wanted"] = "Free."
    assert form.submit("submit").status_int == form.submit("submit").status_int == 303
    page = received(sign_in("editor", CITY), state="new")
    assert len([each for each in page.html.select("tbody tr") if "costs" in each.text]) == 1


def test_what_a_program_fills_in_is_thanked_for_and_forgotten(testapp, sign_in):
    before = len(received(sign_in("editor", CITY)).html.select("tbody tr"))
    done = visitor_sends(testapp, "phone", "503-555-0199", homepage="https://spam.example")
    assert "Thank you" in done.follow()
    assert len(received(sign_in("editor", CITY)).html.select("tbody tr")) == before


def test_bad_input_is_named_and_nothing_is_kept(testapp):
    form = testapp.get(f"{ABOUT}&field=name").forms["suggestion"]
    assert "That is what it says now." in form.submit("submit", status=400)
    form["wanted"] = ""
    assert "Fill this in." in form.submit("submit", status=400)
    form["wanted"], form["email"] = "Hole", "nobody"
    assert "Enter an e-mail address" in form.submit("submit", status=400)
    testapp.get(f"{ABOUT}&field=disposition", status=404)
    testapp.get(f"{ABOUT}&place=no-such&field=address", status=404)
    testapp.get("/suggest?about=nobody/nothing", status=404)
    testapp.get("/suggest", status=404)
    testapp.post(f"{ABOUT}&field=name", {"wanted": "Hole"}, status=400)


def test_a_flood_is_told_kindly(testapp, clock):
    clock.now = datetime(2026, 10, 14, 18, tzinfo=UTC)
    for number in range(10):
        assert visitor_sends(testapp, "wait", f"{number} days").status_int == 303
    form = testapp.get(f"{ABOUT}&field=wait").forms["suggestion"]
    form["wanted"] = "Another"
    assert "within one hour" in form.submit("submit", status=400)


def test_from_a_specialist_of_another_partner_and_back(sign_in, web_engine, people):
    helper = sign_in("specialist", HELP)
    page = helper.get(f"/{HELP}/suggestions/new?about={CITY}/pothole")
    assert "City of Portland" in page
    link = next(a["href"] for a in page.html.select("dl.r-summary a") if "field=phone" in a["href"])
    form = helper.get(link).forms["suggestion"]
    form["wanted"] = "503-823-1700"
    form["reason"] = "The caller rang it."
    sent = form.submit("submit").follow()
    assert "You find the answer here" in sent
    worker = sign_in("worker", CITY)
    page = newest(worker)
    assert "211info" in page.html.select_one("dl.r-summary").text
    assert "Specialist" not in page.html.select_one("main").text
    assert "approve" not in page.forms
    keeper = sign_in("keeper", CITY)
    form = keeper.get(page.request.path).forms["approve"]
    form["text"] = "ask at the desk"
    assert "Write a telephone number in digits" in form.submit("submit", status=400)
    form["text"] = "503-823-1700"
    assert "It is a draft now" in form.submit("submit").follow()
    assert "phone" not in says(web_engine, people, "details")
    assert "1 of your suggestions was answered" in helper.get(f"/{HELP}/desk")
    answers = helper.get(f"/{HELP}/suggestions?view=sent&writer=me")
    assert "new answer" in answers
    seen = next(form for form in answers.forms.values() if form.action.endswith("/seen"))
    assert "new answer" not in seen.submit().follow()
    assert "Thank you: it is taken over" in helper.get(
        answers.html.select_one("tbody th a")["href"]
    )


def test_declined_by_hand_and_erased(testapp, sign_in):
    visitor_sends(testapp, "place", "The door is at the back.", email="kim@x.org")
    worker = sign_in("worker", CITY)
    page = newest(worker)
    assert "This field has several parts" in page
    form = page.forms["decline"]
    assert "Fill this in." in form.submit("submit", status=400)
    form["answer"] = "The door is at the front."
    page = form.submit("submit").follow()
    assert "The door is at the front." in page
    assert "decline" not in page.forms
    erase = next(form for form in page.forms.values() if form.action.endswith("/erase"))
    page = erase.submit().follow()
    assert "What was written here was erased" in page
    assert "The door is at the back." not in page

    visitor_sends(testapp, "hours", "Closed on Mondays now.")
    page = newest(worker)
    settle = page.forms["settle"]
    settle["answer"] = "Corrected."
    assert "Taken over" in settle.submit("submit").follow()


def test_hours_in_plain_lines_can_be_approved(testapp, sign_in, web_engine, people):
    visitor_sends(testapp, "hours", "Mon-Fri 8-17")
    editor = sign_in("editor", CITY)
    form = newest(editor).forms["approve"]
    assert form["text"].value == "Mon-Fri 8-17"
    form.submit("submit").follow()
    assert says(web_engine, people, "details")["hours"]["fri"] == ["08:00-17:00"]


def test_a_suggestion_received_is_not_decided_by_its_sender(sign_in, testapp):
    helper = sign_in("editor", HELP)
    form = helper.get(f"/{HELP}/suggestions/new?about={CITY}/pothole&field=eligibility").forms[
        "suggestion"
    ]
    form["wanted"] = "Everybody."
    sent = form.submit("submit").follow()
    link = sent.html.select_one("tbody th a")["href"]
    page = helper.get(link)
    assert not {"approve", "decline", "settle"} & set(page.forms)
    token = re.search(r'name="csrf_token" value="([^"]+)"', page.text)[1]
    for name in ("decline", "settle", "erase", "approve"):
        helper.post(f"{link}/{name}", {"csrf_token": token, "answer": "No"}, status=404)


def test_the_list_for_programs(sign_in, testapp):
    visitor_sends(testapp, "information", "Say how deep it is.")
    sent = sign_in("specialist", HELP).get(
        f"/{HELP}/suggestions/new?about={CITY}/pothole&field=fee"
    )
    sent.forms["suggestion"]["wanted"] = "Free of charge"
    sent.forms["suggestion"].submit("submit").follow()
    editor = sign_in("editor", CITY)
    rows = received(editor, format="json").json
    assert {"public", HELP} <= {each["from"] for each in rows}
    assert "wanted" not in rows[0]
    assert "id,entry,kind,key,field,state" in received(editor, format="csv", state="declined").text
    assert received(editor, writer="partner").html.select("tbody tr")


@pytest.mark.parametrize(
    "path", ["suggestions", "suggestions?view=sent", f"suggestions/new?about={CITY}/pothole"]
)
def test_pages_run_few_statements(sign_in, statements, path):
    editor = sign_in("editor", CITY)
    editor.get(f"/{CITY}/{path}")
    statements.clear()
    editor.get(f"/{CITY}/{path}")
    assert len(statements) <= 8, statements


def test_the_page_of_one_runs_few_statements(sign_in, testapp, statements):
    visitor_sends(testapp, "information", "Say where it is.")
    editor = sign_in("editor", CITY)
    path = newest(editor).request.path
    statements.clear()
    editor.get(path)
    assert len(statements) <= 10, statements


def test_each_part_says_who_keeps_it_and_how_to_correct_it(testapp):
    page = testapp.get(f"/data-guide?partner={CITY}")
    assert "City of Portland" in page
    assert "Something wrong here? Tell us" in page
    assert "after 365 days" in page
    assert "503-823-4000" in page
    every = testapp.get("/data-guide")
    assert [each.text for each in every.html.select("section h2")] == [
        "211info",
        "City of Portland",
        "Multnomah County",
    ]
    assert "/data-guide?partner=" in testapp.get(f"/services/{CITY}")
    told = testapp.get(f"/hsds/{CITY}").json["data_guide"]
    assert testapp.get(told.removeprefix("http://localhost")).text == page.text
    assert testapp.get("/hsds/").json["data_guide"].endswith("/data-guide")
    testapp.get("/data-guide?partner=nobody", status=404)
