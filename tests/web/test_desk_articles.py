"""Notices, answers and scripts beside a contact; walking a script loses nothing that was typed."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from regional311.catalog.article_writer import write_article
from regional311.catalog.articles import Article
from regional311.database.session import Scope, session_scope
from regional311.strict import from_plain
from tests.web.test_desk import CITY, POTHOLE, screened

pytestmark = pytest.mark.commits

NOW = datetime(2026, 10, 13, 18, tzinfo=UTC)
SCRIPT = {
    "key": "street-water",
    "kind": "script",
    "title": "Water in the street",
    "internal": "For *leaks*.",
    "services": ["pothole"],
    "step": [
        {
            "key": "source",
            "text": "Is water coming **out of the ground**?",
            "translation": [{"language": "es", "text": "¿Sale agua **del suelo**?"}],
            "choice": [
                {
                    "key": "yes",
                    "label": "Yes, from the ground",
                    "to": "step:wires",
                    "translation": [{"language": "es", "label": "Sí, del suelo"}],
                },
                {"key": "rain", "label": "No, rain", "to": "service:streetlight-test"},
                {"key": "no", "label": "No water", "to": "end"},
            ],
        },
        {
            "key": "wires",
            "text": "Near wires?",
            "choice": [
                {"key": "yes", "label": "Near wires", "to": "danger"},
                {"key": "no", "label": "Away from wires", "to": "step:tell"},
                {"key": "light", "label": "At a light", "to": "service:street-light"},
            ],
        },
        {"key": "tell", "text": "A crew comes within *two hours*."},
    ],
}
ANSWER = {
    "key": "who-fills",
    "kind": "answer",
    "title": "Who fills them?",
    "text": "The **City**.",
    "internal": "Crew: ext. 5. <script>alert(1)</script>",
    "services": ["city-of-portland/pothole"],
}
NOTICE = {
    "key": "closed",
    "kind": "notice",
    "title": "Counters are closed",
    "text": "Until *Monday*.",
    "internal": "Do not transfer.",
    "shown": ["desk"],
    "valid_to": date(2026, 10, 20),
}


def publish(engine, tenant_id, slug, said):
    with session_scope(engine, Scope(tenant_id)) as session:
        write_article(
            session,
            from_plain(Article, said),
            tenant=slug,
            known=None,
            today=NOW.date(),
            now=NOW,
            person_id=None,
            source="form",
        )


@pytest.fixture(scope="module", autouse=True)
def library(web_engine, people):
    city, county = people.tenants["city-of-portland"], people.tenants["multnomah-county"]
    for said in (SCRIPT, ANSWER, NOTICE):
        publish(web_engine, city, "city-of-portland", said)
    publish(web_engine, county, "multnomah-county", {**NOTICE, "title": "County fair"})


@pytest.fixture(autouse=True)
def office_hours(clock):
    clock.now = NOW


@pytest.fixture
def browser(sign_in):
    return sign_in("specialist", "city-of-portland")


def need_page(browser, **started):
    path = screened(browser, **started).request.path
    return browser.get(f"{path}?service={POTHOLE}")


def step(page, label):
    """Press a way on, which stands outside the form that keeps what was typed."""
    button = next(each for each in page.html.select("#knowledge button") if label in each.text)
    assert button["form"] == "need"
    sent = [*page.forms["need"].submit_fields(), (button["name"], button["value"])]
    return page.test_app.post(button["formaction"], sent)


def here(page):
    return page.html.select_one('.d-walk [aria-current="step"] .d-text').text.strip()


def test_notices_are_on_top_of_the_desk(browser, clock):
    page = browser.get(f"{CITY}/desk")
    assert "Counters are closed" in page
    assert "Do not transfer." in page
    assert page.html.find("summary", string="1 notice of other partners")
    assert "Counters are closed" not in browser.get("/")
    clock.now = datetime(2026, 10, 20, 7, tzinfo=UTC)
    assert "Counters are closed" not in browser.get(f"{CITY}/desk")


def test_related_answers_lie_beside_the_need(browser):
    page = need_page(browser)
    titles = [each.text for each in page.html.select("#knowledge summary")]
    assert [each.split(" City")[0] for each in titles] == [
        "Guide: Water in the street",
        "Who fills them?",
        "Who looks after which road?",
    ]
    keys = [each["data-key"] for each in page.html.select("#knowledge summary")]
    assert keys == ["g", "k", "k"]
    assert "<strong>City</strong>" in page
    assert "Crew: ext. 5." in page
    assert "<script>alert" not in page.text
    assert "Counters are closed" in page
    assert "County fair" not in page


def test_a_script_is_walked_and_nothing_typed_is_lost(browser):
    page = need_page(browser)
    assert here(page) == "Is water coming out of the ground?"
    page.forms["need"]["description"] = "deep, near the school"
    page.forms["need"]["latitude"] = "4x"
    page = step(page, "Yes, from the ground")
    assert page.status_int == 200
    assert here(page) == "Near wires?"
    assert page.forms["need"]["description"].value == "deep, near the school"
    assert page.html.select_one("#need-problems") is None
    assert [each.text.strip() for each in page.html.select(".d-way--chosen")] == [
        "✓ Yes, from the ground (chosen)"
    ]
    assert {"No, rain", "No water"} <= {each.text.strip() for each in page.html.select(".d-way")}
    page = step(page, "Away from wires")
    assert here(page) == "A crew comes within two hours."
    assert "The guide ends here." in page
    page = step(page, "Back one step")
    assert here(page) == "Near wires?"
    page = step(page, "No water")
    assert page.html.select_one('.d-walk [aria-current="step"]') is None
    assert "The guide ends here." in page
    page = step(page, "Start again")
    assert here(page) == "Is water coming out of the ground?"
    assert page.forms["need"]["description"].value == "deep, near the school"
    filed = page.forms["need"]
    filed["latitude"] = "45.5152"
    filed["longitude"] = "-122.6784"
    assert "d-number" in filed.submit()


def test_a_script_leads_to_a_service_or_to_danger(browser):
    page = step(need_page(browser), "Yes, from the ground")
    leads = step(page, "At a light").html.select_one(".d-walk__end a")
    assert leads["href"].endswith("?service=city-of-portland%2Fstreet-light")
    assert "Street light" in browser.get(leads["href"]).html.select_one("#need-heading").text
    assert "not offered any more" in step(need_page(browser), "No, rain")
    danger = step(page, "Near wires")
    assert "Call 911" in danger.html.select_one(".d-walk__end").text
    form = next(
        f for f in danger.forms.values() if f.action.endswith("/danger") and "answer" in f.fields
    )
    form["answer"] = "fire"
    after = form.submit().follow()
    assert after.html.select_one("#danger-heading")
    assert after.html.select_one("#knowledge") is None


def test_steps_are_shown_in_the_callers_language_too(browser):
    page = need_page(browser, language="es")
    assert page.html.select_one('.d-said[lang="es"]').text.strip() == "¿Sale agua del suelo?"
    assert "Sí, del suelo" in page
    assert "¿Sale agua" not in need_page(browser)


def test_an_article_can_be_opened_without_a_service(browser):
    path = screened(browser).request.path
    page = browser.get(f"{path}?walk=city-of-portland/street-water:")
    assert here(page) == "Is water coming out of the ground?"
    link = page.html.find("a", string="Yes, from the ground")
    page = browser.get(link["href"])
    assert here(page) == "Near wires?"
    part = browser.get(link["hx-get"])
    assert here(part) == "Near wires?"
    assert "<html" not in part
    for wrong in (
        "nobody/x:",
        "city-of-portland/nothing:",
        "city-of-portland/who-fills:",
        "",
        ":.:",
    ):
        browser.get(f"{path}/guide", {"walk": wrong}, status=404)
        browser.get(path, {"walk": wrong})


def test_a_path_that_nobody_can_walk_ends_where_it_parts(browser):
    path = screened(browser).request.path
    page = browser.get(path, {"walk": "city-of-portland/street-water:yes.gone." + "x." * 5000})
    assert here(page) == "Near wires?"
