"""Pages about keeping services right: the list, one click, many at once, keepers, freshness."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import text

from regional311.database.session import Scope, session_scope
from regional311.referral.snapshot import invalidate

CITY = "city-of-portland"
PBOT = "Bureau of Transportation"
AT = datetime(2026, 10, 13, 18, tzinfo=UTC)
TODAY = date(2026, 10, 13)

pytestmark = pytest.mark.commits


@pytest.fixture(autouse=True)
def a_tuesday(clock):
    clock.now = AT


def set_days(engine, tenants, key, verified_on, review_on):
    with session_scope(engine, Scope(tenants[CITY])) as session:
        session.execute(
            text(
                "UPDATE services SET verified_on = :verified, review_on = :review"
                " WHERE tenant_id = :me AND key = :key"
            ),
            {"me": tenants[CITY], "key": key, "verified": verified_on, "review": review_on},
        )
        session.execute(
            text("UPDATE tenants SET revision = revision + 1 WHERE id = :me"), {"me": tenants[CITY]}
        )
    invalidate()


@pytest.fixture
def days(web_engine, people):
    """`days("pothole", verified_on, review_on)` sets the days of a service of the City."""

    def change(key, verified_on, review_on):
        set_days(web_engine, people.tenants, key, verified_on, review_on)

    return change


@pytest.fixture
def keeper(sign_in):
    return sign_in("worker", CITY)


def row_of(page, key, kind="service"):
    return page.html.select_one(f"#tick-{kind}-{key}").find_parent("tr").get_text(" ", strip=True)


def test_what_is_overdue_is_found_and_said_to_be_right_at_once(keeper, days):
    days("pothole", TODAY - timedelta(days=430), TODAY - timedelta(days=65))
    days("road-hazard", None, TODAY - timedelta(days=1))
    page = keeper.get(f"/{CITY}/reviews?state=overdue")
    assert len(page.html.select("tbody tr")) == 2
    assert "Overdue" in row_of(page, "pothole")
    assert "Aug 9, 2025" in row_of(page, "pothole")
    assert "Never" in row_of(page, "road-hazard")
    form = page.forms["verify"]
    token, back = form["csrf_token"].value, form["back"].value
    done = keeper.post(
        f"/{CITY}/reviews",
        [
            ("csrf_token", token),
            ("back", back),
            ("entry", "service pothole"),
            ("entry", "service road-hazard"),
        ],
    )
    assert done.location.endswith(f"/{CITY}/reviews?state=overdue")
    page = done.follow()
    assert "2 entries are right as they stand." in page
    assert "Nothing matches these filters." in page


def test_nothing_ticked_and_a_strangers_key_change_nothing(keeper):
    form = keeper.get(f"/{CITY}/reviews").forms["verify"]
    token = form["csrf_token"].value
    done = keeper.post(f"/{CITY}/reviews", {"csrf_token": token, "back": "//elsewhere.example"})
    assert done.location.endswith(f"/{CITY}/reviews")
    assert "Tick the entries" in done.follow()
    keeper.post(f"/{CITY}/reviews", {"csrf_token": token, "entry": "service no-such"}, status=404)
    refused = keeper.post(
        f"/{CITY}/reviews", {"csrf_token": token, "entry": "person no-such"}, status=400
    )
    assert "There is no kind of entry" in refused


def test_one_click_on_the_service_and_on_to_the_next(keeper, days):
    days("pothole", None, TODAY - timedelta(days=3))
    days("road-hazard", None, TODAY - timedelta(days=2))
    page = keeper.get(f"/{CITY}/services/pothole")
    assert "Never checked" in page
    form = next(form for form in page.forms.values() if form.action.endswith("/verify"))
    done = form.submit("next", value="yes")
    assert done.location.endswith(f"/{CITY}/services/road-hazard")
    page = done.follow()
    assert "is right as it stands" in page
    form = next(form for form in page.forms.values() if form.action.endswith("/verify"))
    page = form.submit().follow()
    assert "Checked today by " + PBOT in page
    assert "Oct 13, 2027" in page


def test_freshness_is_read_at_the_desk_and_by_the_public(sign_in, testapp, days):
    days("pothole", TODAY - timedelta(days=21), TODAY + timedelta(days=300))
    days("road-hazard", TODAY - timedelta(days=430), TODAY - timedelta(days=65))
    browser = sign_in("specialist", CITY)
    page = browser.get(f"/{CITY}/desk").forms["start"].submit().follow()
    form = page.forms["screen"]
    form["answer"] = "none"
    page = form.submit().follow()
    contact = page.request.path
    found = browser.get(f"{contact}/services?q=pothole")
    assert "Checked 3 weeks ago by " + PBOT in found
    assert "Checked 3 weeks ago by " + PBOT in browser.get(f"{contact}?service={CITY}/pothole")
    assert "Not checked for 14 months" in browser.get(f"{contact}?service={CITY}/road-hazard")
    public = testapp.get(f"/services/{CITY}/pothole")
    assert "September 22, 2026" in public
    assert "3 weeks ago" not in public


def test_who_keeps_what_is_named_and_filters_the_list(sign_in, people, days):
    worker, other = people.account(CITY, "worker"), people.account(CITY, "keeper")
    editor = sign_in("editor", CITY)
    page = editor.get(f"/{CITY}/reviews/keepers?bureau=pbot")
    form = page.forms["keepers"]
    chosen = str(people.known[worker])
    for box in form.fields["people"]:
        box.checked = box._value == chosen
    page = form.submit("submit").follow()
    assert "Saved: who keeps " + PBOT in page
    assert "Worker" in page.html.select_one("dl.r-summary").text
    days("pothole", None, TODAY)
    mine = sign_in("worker", CITY).get(f"/{CITY}/reviews?keeper=me&bureau=pbot")
    assert "Worker" in row_of(mine, "pothole")
    theirs = sign_in(email=other).get(f"/{CITY}/reviews?keeper=me&bureau=pbot")
    assert "Nothing matches these filters." in theirs
    assert editor.get(f"/{CITY}/reviews?keeper={chosen}&bureau=pbot").html.select("tbody tr")
    editor.get(f"/{CITY}/reviews/keepers?bureau=no-such", status=404)
    editor.get(f"/{CITY}/reviews/keepers?service=no-such", status=404)


def test_a_specialist_reads_and_cannot_say_that_it_is_right(sign_in):
    browser = sign_in("specialist", CITY)
    page = browser.get(f"/{CITY}/reviews")
    assert "verify" not in page.forms
    assert not page.html.select("input[type=checkbox]")
    assert "It is right as it stands" not in browser.get(f"/{CITY}/services/pothole")
    assert "keepers" not in browser.get(f"/{CITY}/reviews/keepers").forms


def test_the_list_as_a_table_for_programs(keeper, days):
    days("pothole", TODAY, TODAY + timedelta(days=10))
    rows = keeper.get(f"/{CITY}/reviews?format=json").json
    row = next(each for each in rows if (each["kind"], each["key"]) == ("service", "pothole"))
    assert (row["verified_on"], row["standing"]) == ("2026-10-13", "soon")
    sheet = keeper.get(f"/{CITY}/reviews?format=csv&state=due").text
    assert sheet.startswith("kind,key,name,bureau,keepers,verified_on,review_on,standing\r\n")
    assert "pothole,Pothole in a street,pbot" in sheet


@pytest.mark.parametrize("path", ["reviews", "reviews/keepers", "services/pothole"])
def test_pages_run_few_statements(keeper, statements, path):
    keeper.get(f"/{CITY}/{path}")
    statements.clear()
    keeper.get(f"/{CITY}/{path}")
    assert len(statements) <= 8, statements


def test_an_article_and_an_organisation_say_when_they_were_looked_at(sign_in, web_engine, people):
    worker, editor = sign_in("worker", CITY), sign_in("editor", CITY)
    listed = worker.get(f"/{CITY}/reviews?kind=article")
    kinds = {row.select("td")[0].text.strip() for row in listed.html.select("tbody tr")}
    assert kinds == {"Article"}
    address = listed.html.select_one("tbody th a")["href"]
    page = worker.get(address)
    assert "Last checked" in page
    form = next(form for form in page.forms.values() if form.action.endswith("/verify"))
    page = form.submit().follow()
    assert "is right as it stands." in page
    assert "Oct 13, 2026" in page.html.select_one(".r-looked").text
    assert worker.get(f"{address}/verify", status=405)
    keepers = editor.get(editor.get(address).html.find("a", string="Name who keeps it")["href"])
    form = keepers.forms["keepers"]
    form.fields["people"][0].checked = True
    page = form.submit("submit").follow()
    assert "(Article)" in page
    notice = worker.get(f"/{CITY}/articles?kind=notice").html.select_one("tbody th a")["href"]
    assert "Last checked" not in worker.get(notice)
