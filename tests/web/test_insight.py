"""Insight: figures that open to their rows, and trends of all partners without persons."""

from __future__ import annotations

import csv
import io
import re
from datetime import UTC, datetime

import pytest

from regional311.database.ids import new_token
from regional311.database.session import Scope, session_scope
from regional311.insight.publishing import publish_months
from regional311.referral import service
from regional311.referral.filing import Asker, Intake, take_in
from regional311.referral.models import Referral
from regional311.referral.snapshot import published
from regional311.web.telling import Telling

pytestmark = pytest.mark.commits

CITY, HELP = "/city-of-portland", "/211info"


@pytest.fixture(autouse=True)
def office_hours(clock):
    """A Tuesday at eleven in Portland."""
    clock.now = datetime(2026, 10, 13, 18, tzinfo=UTC)


@pytest.fixture(scope="module")
def sent(web_engine, people):
    """Six people who need shelter and were referred to 211info, who answered them."""
    now = datetime(2026, 10, 13, 17, tzinfo=UTC)
    person = people.known[people.account("city-of-portland", "specialist")]
    numbers = []
    for at in range(6):
        intake = Intake(
            source="desk",
            key=new_token(),
            channel="phone",
            started_at=now,
            service="211info/shelter",
            description="sleeps in a car",
            asker=Asker(name="Dana Reed", phone=f"503 555 010{at}"),
            danger_answer="none",
            consent="given",
        )
        with session_scope(
            web_engine, Scope(people.tenants["city-of-portland"], person)
        ) as session:
            filed = take_in(session, published(web_engine), intake, now=now)
        numbers.append(filed.referral_public_id)
        steps = {
            0: [("rejected", {"reason": "no_capacity"})],
            1: [
                ("accepted", {}),
                ("completed", {"outcome": "met", "booked_on": now.date()}),
            ],
        }.get(at, [])
        for to, more in steps:
            with session_scope(web_engine, Scope(people.tenants["211info"])) as session:
                found = session.get_one(Referral, (people.tenants["211info"], filed.referral_id))
                service.move(
                    session,
                    now=now,
                    referral_id=filed.referral_id,
                    version=found.version,
                    to=to,
                    **more,
                )
    return numbers


def test_each_figure_opens_to_its_rows(sign_in, sent):
    browser = sign_in("specialist", "city-of-portland")
    page = browser.get(f"{CITY}/insight")
    assert "Loop-closure rate" in page
    assert "33 %" in page
    rows = page.click(href=r"insight/rejected\?", index=0)
    assert sent[0] in rows
    assert sent[1] not in rows
    assert "No capacity" in rows
    assert "Rejected" in rows.click(sent[0])
    narrowed = page.click(href=r"reason=no_capacity", index=0)
    assert sent[0] in narrowed
    assert "Why they were rejected" in narrowed


def test_each_pairs_rejections_open_to_their_reasons_and_rows(sign_in, sent):
    browser = sign_in("specialist", "city-of-portland")
    page = browser.get(f"{CITY}/insight")
    table = page.html.find("h2", string="By partner").find_next("table")
    reason = table.select_one("a[href*='reason=no_capacity']")
    assert "No capacity: 1" in reason.text
    assert {"partner=211info", "side=sent"} <= set(reason["href"].partition("?")[2].split("&"))
    assert sent[0] in browser.get(reason["href"])
    every = browser.get(table.select_one("a[href*='/rejected?']")["href"])
    shown = every.html.find("summary", string="Why they were rejected").find_parent("details")
    assert [each.text for each in shown.select("li")] == ["No capacity: 1"]
    narrowed = browser.get(every.request.path + shown.select_one("a")["href"])
    assert narrowed.html.select_one(".d-more a[aria-current=true]").text == "No capacity"
    assert "side=sent" in narrowed.request.path_qs
    assert sent[0] in narrowed.click("All of them")


def test_what_was_before_and_how_long_it_took_open_to_their_rows(sign_in, sent, clock):
    """Seven days later the same referrals are those of the time before."""
    browser = sign_in("specialist", "city-of-portland")
    page = browser.get(f"{CITY}/insight?from=2026-10-08&to=2026-10-14")
    took = page.html.find("h2", string="By partner").find_next("table")
    rows = browser.get(took.select_one("a[href*='/completed?']")["href"])
    assert sent[1] in rows
    assert sent[0] not in rows
    about = page.html.find("h2", string=re.compile("by whose services")).find_next("table")
    assert "211info" in about.text
    clock.now = datetime(2026, 10, 21, 18, tzinfo=UTC)
    browser = sign_in("specialist", "city-of-portland")
    page = browser.get(f"{CITY}/insight?from=2026-10-15&to=2026-10-21")
    before = page.html.select_one("a[href*='/rejected?from=2026-10-08&to=2026-10-14']")
    assert before.text.startswith("1")
    assert sent[0] in browser.get(before["href"])


def test_filters_stay_on_the_way_to_the_rows(sign_in, sent):
    browser = sign_in("specialist", "city-of-portland")
    page = browser.get(f"{CITY}/insight?partner=multnomah-county&side=sent")
    assert "/insight/sent" not in page
    page = browser.get(f"{CITY}/insight?partner=211info&side=sent&service=shelter")
    rows = page.click(href=r"insight/sent\?", index=0)
    assert rows.request.GET["partner"] == "211info"
    assert all(number in rows for number in sent)


def test_rows_and_figures_as_csv(sign_in, sent):
    browser = sign_in("supervisor", "211info")
    figures = browser.get(f"{HELP}/insight?format=csv")
    counts = {
        (row["table"], row["key"]): row["now"] for row in csv.DictReader(io.StringIO(figures.text))
    }
    assert counts["referrals", "sent"] == "6"
    assert counts["rejected:reason", "no_capacity"] == "1"
    assert counts["received:city-of-portland", "sent"] == "6"
    assert counts["received:city-of-portland:shelter", "rejected"] == "1"
    assert counts["received:city-of-portland:rejected", "no_capacity"] == "1"
    assert counts["received:city-of-portland:shelter:rejected", "no_capacity"] == "1"
    rows = browser.get(f"{HELP}/insight/sent?format=csv")
    found = list(csv.DictReader(io.StringIO(rows.text)))
    assert {row["number"] for row in found} == set(sent)
    assert {row["partner"] for row in found} == {"city-of-portland"}


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("from=soon", "Write from as a day"),
        ("to=0001-01-01", "Write to as a day"),
        ("from=2026-10-09&to=2026-10-01", "From is after To"),
        ("from=2001-01-01", "Choose at most three years"),
    ],
)
def test_a_bad_day_is_named_and_the_page_still_shows(sign_in, sent, query, said):
    page = sign_in("specialist", "city-of-portland").get(f"{CITY}/insight?{query}")
    assert said in page
    assert "The last 30 days are shown instead" in page
    assert "Loop-closure rate" in page


def test_an_empty_time_says_so(sign_in):
    page = sign_in("specialist", "city-of-portland").get(
        f"{CITY}/insight?from=2020-01-01&to=2020-02-01"
    )
    assert "Nobody was referred" in page
    assert "There is nothing" not in page


def test_what_is_not_a_figure_is_not_there(sign_in):
    browser = sign_in("specialist", "city-of-portland")
    browser.get(f"{CITY}/insight/nonsense", status=404)
    browser.get(f"{CITY}/insight/sent?after=x", status=404)


def test_statements_of_the_pages(sign_in, sent, statements):
    browser = sign_in("specialist", "city-of-portland")
    for address, limit in (
        ("insight", 8),
        ("insight/sent", 5),
        ("insight/unmet", 5),
        ("insight/avoided", 5),
        ("trends", 6),
    ):
        browser.get(f"{CITY}/{address}")
        statements.clear()
        browser.get(f"{CITY}/{address}")
        assert len(statements) <= limit, (address, statements)


def test_trends_are_read_by_all_and_name_nobody(sign_in, sent, web_engine, people, clock):
    keeper = sign_in("keeper", "multnomah-county")
    assert "No month has been published" in keeper.get("/multnomah-county/trends")
    clock.now = datetime(2026, 11, 12, 18, tzinfo=UTC)
    with session_scope(web_engine, Scope(people.tenants["city-of-portland"])) as session:
        assert publish_months(session, now=clock.now) == 1
    page = sign_in("keeper", "multnomah-county").get("/multnomah-county/trends")
    for said in ("October 2026", "City of Portland", "not divided", "Nov 12, 2026"):
        assert said in page
    assert "Dana" not in page
    assert not any(number in page for number in sent)
    rows = list(csv.DictReader(io.StringIO(page.click("Download as CSV").text)))
    assert {row["partner"] for row in rows} == {"city-of-portland"}
    totals = {row["measure"]: row["count"] for row in rows if not row["divided_by"]}
    assert totals == {"unmet": "0", "sent": "6"}
    assert "month by month" not in page
    november, clock.now = (datetime(2026, month, 12, 18, tzinfo=UTC) for month in (11, 12))
    asked = Intake(
        source="desk",
        key=new_token(),
        channel="phone",
        started_at=november,
        service="211info/shelter",
        danger_answer="none",
        consent="given",
    )
    with session_scope(web_engine, Scope(people.tenants["city-of-portland"])) as session:
        take_in(session, published(web_engine), asked, now=november)
    with session_scope(web_engine, Scope(people.tenants["city-of-portland"])) as session:
        assert publish_months(session, now=clock.now) == 1
    page = sign_in("keeper", "multnomah-county").get("/multnomah-county/trends?month=2026-10")
    course = page.html.find("h2", string="Referrals: month by month").find_next("table")
    assert [cell.text.strip() for cell in course.select("tbody td")] == ["fewer than 5", "6"]


def test_what_is_confidential_is_in_no_figure_of_who_is_not_cleared(
    sign_in, sent, people, monkeypatch
):
    secret = (people.tenants["211info"], "shelter")
    monkeypatch.setattr(Telling, "confidential_services", frozenset({secret}))
    browser = sign_in("specialist", "city-of-portland")
    page = browser.get(f"{CITY}/insight")
    assert "counted for cleared colleagues only" in page
    for name in ("sent", "rejected", "needs", "avoided"):
        assert f"/insight/{name}?" not in page
        for form in ("", "?format=csv"):
            rows = browser.get(f"{CITY}/insight/{name}{form}")
            assert not [number for number in sent if number in rows]
            assert "shelter" not in rows.text.partition("<main")[2]
    assert "shelter" not in browser.get(f"{CITY}/insight?format=csv")
    cleared = sign_in("supervisor", "city-of-portland").get(f"{CITY}/insight/sent")
    assert all(number in cleared for number in sent)
    assert "counted for cleared colleagues only" not in cleared
    # whoever received it works it, confidential or not
    received = sign_in("partner", "211info").get(f"{HELP}/insight/sent")
    assert all(number in received for number in sent)
