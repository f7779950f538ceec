"""A resident reads a service in Spanish; a specialist walks a guide by keyboard; one is written."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from regional311.catalog.article_writer import write_article
from regional311.catalog.articles import Article
from regional311.catalog.service import kept_services, write_service
from regional311.database.session import Scope, session_scope
from regional311.referral.snapshot import invalidate
from regional311.strict import canonical, from_plain
from regional311.tenancy.revision import raise_revision

from .conftest import SHOTS, follow
from .test_journeys import start_by_keyboard, tab_to

CITY = "city-of-portland"
POTHOLE = f"/services/{CITY}/pothole"
SCRIPT = {
    "key": "hole-journey",
    "kind": "script",
    "title": "What kind of hole?",
    "services": ["pothole"],
    "step": [
        {
            "key": "water",
            "text": "Is water coming **out of the ground**?",
            "choice": [
                {"key": "yes", "label": "Water comes out", "to": "step:wires"},
                {"key": "no", "label": "No water", "to": "end"},
            ],
        },
        {
            "key": "wires",
            "text": "Is it near wires?",
            "choice": [
                {"key": "yes", "label": "Near wires", "to": "danger"},
                {"key": "no", "label": "Away from wires", "to": "step:tell"},
            ],
        },
        {"key": "tell", "text": "A crew comes within *two hours*."},
    ],
}
NOTICE = {
    "key": "storm-journey",
    "kind": "notice",
    "title": "Storm tonight",
    "text": "Lines are busy.",
    "level": "warning",
    "valid_to": "2199-01-01",
}
SPANISH = {
    "language": "es",
    "name": "Bache en una calle",
    "summary": "Un hoyo en una calle de la Ciudad.",
    "how_to_apply": "Díganos la dirección más cercana.",
}


@pytest.fixture(scope="module", autouse=True)
def library(site):
    now = datetime.now(UTC)
    stamp = {"today": now.date(), "now": now, "person_id": None, "source": "form"}
    with session_scope(site.engine, Scope(site.tenants[CITY])) as session:
        for said in (SCRIPT, NOTICE):
            write_article(session, from_plain(Article, said), tenant=CITY, known=None, **stamp)
        row, model = next(
            each for each in kept_services(session, site.tenants[CITY]) if each[0].key == "pothole"
        )
        said = canonical(model)
        others = [each for each in said.get("translation", []) if each["language"] != "es"]
        said |= {"translation": [SPANISH, *others], "how_to_apply": "Tell us the address."}
        write_service(session, from_plain(type(model), said), known=(row.id, model), **stamp)
        raise_revision(session)
    invalidate()


def test_a_resident_reads_a_service_in_spanish_on_a_small_phone(open_page):
    page = open_page(width=320, height=640, scripts=False)
    page.goto("/")
    page.get_by_role("link", name="Español").click()
    page.wait_for_url("**lang=es*")
    page.goto(POTHOLE)
    assert page.locator("html").get_attribute("lang") == "es"
    assert page.locator("h1").inner_text() == "Bache en una calle"
    assert page.get_by_text("Díganos la dirección más cercana.").is_visible()
    assert page.locator(".p-phone").first.get_attribute("href").startswith("tel:+1")
    assert page.locator("#map").count() == 0 or page.locator("#map").is_hidden()
    wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 0
    page.emulate_media(media="print")
    assert page.locator(".p-action").is_hidden()
    assert page.locator(".r-languages").is_hidden()
    assert page.locator(".p-onpaper").first.is_visible()
    assert page.get_by_text("Díganos la dirección más cercana.").is_visible()
    if SHOTS:
        Path(SHOTS).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(SHOTS) / "public-service-print.png", full_page=True)
    page.emulate_media(media="screen")
    languages = page.get_by_role("navigation", name="Idioma", exact=True)
    languages.get_by_role("link", name="English").click()
    page.wait_for_url("**lang=en*")
    assert page.get_by_text("Tell us the address.").is_visible()


def test_public_pages_are_examined_with_the_map(open_page, examine):
    page = open_page(width=360)
    page.goto(POTHOLE)
    page.locator("#map .leaflet-interactive").first.wait_for()
    examine(page, "public-service-map")
    for path, name in (
        ("/services", "public-partners"),
        (f"/services/{CITY}", "public-services"),
        ("/articles", "public-articles"),
        ("/?lang=vi", "public-door-vi"),
        ("/services?lang=zh-Hant", "public-partners-zh"),
        (f"{POTHOLE}?lang=es", "public-service-es"),
        (f"{POTHOLE}?lang=ru", "public-service-ru"),
    ):
        page.goto(path)
        examine(page, name)
    page.goto("/articles?lang=en")
    first = page.locator(".p-services a").first
    if first.count():
        follow(first)
        examine(page, "public-article")


def test_a_guide_is_walked_by_keyboard_and_nothing_typed_is_lost(open_page, examine):
    page = open_page("specialist", CITY)
    start_by_keyboard(page)
    page.goto(f"{page.url.partition('?')[0]}?service={CITY}/pothole")
    tab_to(page, "What the person says")
    page.keyboard.type("a deep hole")
    page.evaluate("document.activeElement.blur()")
    mine = f"#article-{CITY}-hole-journey"
    # several guides may be about this service: each is opened by its own line
    tab_to(page, "What kind of hole?")
    page.keyboard.press("Enter")
    page.locator(f"{mine}[open]").wait_for()
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("1")
    here = page.locator(f"{mine} .d-walk__step--here")
    here.get_by_text("Is it near wires?").wait_for()
    assert page.locator(f"{mine} .d-way--chosen").inner_text().startswith("✓ Water comes out")
    page.keyboard.press("2")
    page.locator(mine).get_by_text("The guide ends here.").wait_for()
    page.keyboard.press("b")
    here.get_by_text("Is it near wires?").wait_for()
    examine(page, "contact-guide")
    page.keyboard.press("1")
    page.locator(f"{mine} .d-emergency").wait_for()
    examine(page, "contact-guide-danger")
    assert page.get_by_label("What the person says").input_value() == "a deep hole"
    assert page.locator(".d-notice", has_text="Storm tonight").is_visible()


def test_a_guide_is_walked_without_scripts_of_the_browser(open_page):
    page = open_page("specialist", CITY, scripts=False)
    page.goto(f"/{CITY}/desk")
    follow(page.get_by_role("button", name="Start a contact"))
    page.get_by_text("None of these").click()
    follow(page.get_by_role("button", name="Continue"))
    page.goto(f"{page.url.partition('?')[0]}?service={CITY}/pothole")
    page.get_by_label("What the person says").fill("a deep hole")
    mine = page.locator(f"#article-{CITY}-hole-journey")
    mine.locator("summary").click()
    follow(mine.get_by_role("button", name="Water comes out"))
    assert mine.get_by_text("Is it near wires?").is_visible()
    assert page.get_by_label("What the person says").input_value() == "a deep hole"


def test_a_guide_is_written_and_published(open_page, examine):
    page = open_page("editor", CITY, width=360, scripts=False)
    page.goto(f"/{CITY}/articles/new?kind=script")
    page.locator("#form-key").fill("bees-journey")
    page.locator("#form-title").fill("Bees in the street")
    page.get_by_label("What to ask, say or do").fill("Do they swarm?")
    follow(page.get_by_role("button", name="Add a step"))
    page.get_by_label("What to ask, say or do").nth(1).fill("Keep away, and wait an hour.")
    ways = page.locator("#form-step-1-choice")
    ways.get_by_label("Answer").first.fill("They swarm")
    ways.get_by_label("Leads to").first.select_option(label="Step 2 (still empty)")
    follow(page.get_by_role("button", name="Preview"))
    assert page.get_by_text("Keep away, and wait an hour.").first.is_visible()
    examine_without_scripts(page)
    follow(page.get_by_role("button", name="Save as a draft").last)
    follow(page.get_by_role("button", name="I have read it: it is right"))
    follow(page.get_by_role("button", name="Publish", exact=True))
    assert page.locator("h1").inner_text() == "Bees in the street"
    follow(page.get_by_role("link", name="They swarm"))
    assert page.get_by_text("The guide ends here.").is_visible()
    wide = open_page("editor", CITY)
    for path, name in (
        ("articles", "articles"),
        ("articles/bees-journey", "article"),
        ("articles/bees-journey/edit", "article-edit"),
        ("articles/bees-journey/versions", "article-versions"),
        ("articles/bees-journey/version", "article-version"),
        ("articles/bees-journey/translate?language=es", "article-translate"),
        ("articles/new?kind=notice", "article-new"),
    ):
        wide.goto(f"/{CITY}/{path}")
        examine(wide, name)


def examine_without_scripts(page):
    wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 0
