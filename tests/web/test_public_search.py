"""The region's search for everybody: what narrows it down, and what is kept of it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from regional311.database.session import Scope, session_scope


def titles(page):
    return [each.get_text(" ", strip=True) for each in page.html.select(".p-hits__title")]


def about(page):
    return [each.select_one(".p-hits__who").get_text() for each in page.html.select(".p-hits > li")]


def total(page):
    return int(page.html.select_one("#hits-heading").get_text().split()[0])


@pytest.fixture
def asked(web_engine, people):
    """What is kept of the public's searches."""

    def rows():
        with session_scope(web_engine, Scope(people.tenants["region"])) as session:
            return session.execute(
                text("SELECT words, results > 0 AS found, chosen FROM searches ORDER BY at, id")
            ).all()

    return rows


def test_words_of_a_caller_find_the_service(testapp):
    assert "Missed garbage or recycling pickup" in titles(
        testapp.get("/search", {"q": "my trash wasn't picked up"})
    )


@pytest.mark.parametrize(
    ("narrowed", "says"),
    [
        ({"partner": "211info"}, "211info"),
        ({"verb": "report"}, "Report"),
        ({"kind": "article"}, "Question and answer"),
        ({"free": "1"}, "Costs nothing"),
        ({"language": "es"}, ""),
    ],
)
def test_hits_are_narrowed_and_widened_again(testapp, narrowed, says):
    every = total(testapp.get("/search", {"q": "street food garbage"}))
    page = testapp.get("/search", {"q": "street food garbage", **narrowed})
    assert 0 < total(page) < every
    assert all(says in each for each in about(page))
    (chip,) = page.html.select(".p-chips a")
    assert total(testapp.get(chip["href"])) == every


def test_near_and_serves_are_two_questions(testapp):
    page = testapp.get("/search", {"q": "library", "place": "Downtown", "sort": "near"})
    away = [float(each.split(" · ")[2].split()[0]) for each in about(page) if "miles away" in each]
    assert away
    assert away == sorted(away)
    assert "Portland" in page.html.select_one(".p-place-asked").get_text()
    near = testapp.get("/search", {"q": "", "place": "Downtown", "within": "1"})
    serving = testapp.get("/search", {"q": "", "place": "Downtown", "serves": "1"})
    assert set(titles(near)) != set(titles(serving))
    assert total(near) < total(serving)


def test_an_unknown_place_is_told(testapp):
    page = testapp.get("/search", {"q": "food", "place": "Atlantis", "serves": "1"})
    assert "We do not know that place" in page
    assert not page.html.select(".p-chips")


def test_what_is_not_offered_counts_as_left_out(testapp):
    every = total(testapp.get("/search", {"q": "food"}))
    odd = {"verb": "x", "term": "y:z", "within": "7", "latitude": "nan", "page": "-1", "sort": "?"}
    assert total(testapp.get("/search", {"q": "food", **odd})) == every


def test_danger_comes_first(testapp):
    page = testapp.get("/search", {"q": "my house is on fire"})
    assert page.html.select_one('.p-alert a[href="tel:911"]')


def test_nothing_found_leads_to_people(testapp):
    page = testapp.get("/search", {"q": "zzqqxx"})
    assert "Nothing matches these words" in page
    assert page.html.select('.p-nothing a[href^="tel:"]')


def test_what_is_opened_is_kept_without_a_name(testapp, asked):
    words = f"pothole 503-555-0101 {datetime.now(UTC):%A}".lower()
    page = testapp.get("/search", {"q": words})
    link = page.html.select_one(".p-hits__title a")["href"]
    assert link.startswith("/found?")
    there = testapp.get(link)
    assert there.location.endswith("/services/city-of-portland/pothole")
    kept = asked()[-1]
    assert (kept.found, kept.chosen) == (True, "service:city-of-portland/pothole")
    assert "555" not in kept.words


@pytest.mark.parametrize(
    "to", ["", "service:", "service:nobody/pothole", "service:city-of-portland/nothing", "x:y/z"]
)
def test_only_what_there_is_can_be_opened(testapp, to):
    testapp.get("/found", {"to": to, "q": "x"}, status=404)


def test_searches_are_for_people_and_not_for_machines(testapp):
    assert "Disallow: /search?" in testapp.get("/robots.txt")
