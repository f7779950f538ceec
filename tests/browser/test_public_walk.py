"""Every page that anybody can open: at 320 px, enlarged to 400 %, printed, without scripts, and in
every language; those that no journey examines are examined here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import text

from regional311.cover import emergencies
from regional311.database.ids import new_id, new_token
from regional311.database.rows import put
from regional311.database.session import Scope, session_scope
from regional311.notices.models import OutboxMessage
from regional311.notices.ways_out import make_token
from regional311.referral.filing import Asker, Intake, take_in
from regional311.referral.snapshot import invalidate, published
from regional311.web.i18n import LANGUAGE_NAMES

from .conftest import SHOTS, follow, visit

CITY, INFO = "city-of-portland", "211info"
SECRET: Final = "a secret for tests of forty characters.."
NARROW: Final = 320
ENLARGED: Final = {"width": NARROW, "height": 256}
"""What is left of 1280 by 1024 at 400 %."""


@dataclass
class Public:
    """Addresses of public pages by name, and the cookies of the browser that made them."""

    paths: dict[str, str] = field(default_factory=dict)
    english: dict[str, set[str]] = field(default_factory=dict)
    state: Any = None


FIXED: Final = {
    "start": "/",
    "partner": f"/partners/{CITY}",
    "partner-of-help": f"/partners/{INFO}",
    "search": "/search?q=pothole",
    "search-nothing": "/search?q=zzzz",
    "partners": "/services",
    "services": f"/services/{CITY}",
    "service": f"/services/{CITY}/pothole",
    "service-of-help": f"/services/{INFO}/shelter",
    "screen": f"/report?service={CITY}/pothole",
    "report": f"/report?service={CITY}/pothole&danger=none",
    "articles": "/articles",
    "articles-of": f"/articles/{CITY}",
    "suggest": f"/suggest?about={CITY}/pothole",
    "accommodation": "/accommodation",
    "code": "/mine",
    "chat-start": f"/chat/{INFO}",
    "waiting": f"/waiting/{CITY}",
    "sign-in": "/auth/sign-in",
    "data-guide": "/data-guide",
    "emergency": "/emergency",
    "nothing-here": "/nothing-here",
}


def _referred(site: Any) -> str:
    """Refer somebody who needs shelter, and give the code of their page."""
    specialist = site.account(CITY, "specialist")
    with session_scope(site.engine, Scope(site.tenants[CITY])) as session:
        found = "SELECT person_id FROM memberships WHERE email = :email"
        person = session.execute(text(found), {"email": specialist}).scalar_one()
    now = datetime.now(UTC)
    intake = Intake(
        source="desk", key=new_token(), channel="phone", started_at=now, ended_at=now,
        service=f"{INFO}/shelter", description="sleeps in a car", danger_answer="none",
        asker=Asker(name="Dana Reed", phone="503 555 0101"), consent="given",
    )  # fmt: skip
    with session_scope(site.engine, Scope(site.tenants[CITY], person)) as session:
        return take_in(session, published(site.engine), intake, now=now).code


@pytest.fixture(scope="module")
def public(site: Any, chromium: Any) -> Public:
    """What one visitor made: a report, a need that is passed on, a chat, an accommodation."""
    found = Public(dict(FIXED))
    with session_scope(site.engine, Scope(site.tenants[CITY])) as session:
        message = OutboxMessage(
            tenant_id=site.tenants[CITY], id=(message_id := new_id()), event="request_closed",
            subject_id=new_id(), recipient="ana@example.org", language="es", heading="Cerrada",
            body="Reparado.\n", created_at=datetime.now(UTC), due_at=datetime.now(UTC),
            state="sent",
        )  # fmt: skip
        put(session, message)
    found.paths["letters"] = f"/letters/{make_token(SECRET, site.tenants[CITY], message_id)}"
    context = chromium.new_context(base_url=site.url, java_script_enabled=False, locale="en-US")
    page = context.new_page()
    page.set_default_timeout(60_000)
    visit(page, FIXED["report"])
    page.get_by_label("Where is it?").fill("Downtown, SW 5th and Main")
    follow(page.get_by_role("button", name="Send it"))
    found.paths["filed"] = page.url.removeprefix(site.url)
    number = page.locator(".d-number").inner_text()
    tracked = page.locator("a.d-token").get_attribute("href") or ""
    found.paths["tracked"] = tracked[tracked.index("/track/") :]
    found.paths["numbered"] = f"/track?code={number}"
    page.goto(FIXED["chat-start"])
    if page.get_by_label("Your message").count():
        page.get_by_label("Your message").fill("Where is food?")
        follow(page.get_by_role("button", name="Start the chat"))
        found.paths["chat"] = page.url.removeprefix(site.url)
    page.goto(FIXED["accommodation"])
    page.get_by_label("Which office it is about").select_option(f"{CITY}/")
    page.get_by_text("I need something so that I can take part").click()
    page.get_by_label("If you need something: what it is").select_option("interpreter")
    page.get_by_label("Say it in your own words").fill("For the meeting.")
    follow(page.get_by_role("button", name="Send it"))
    found.paths["accommodation-own"] = page.url.removeprefix(site.url)
    page.goto(FIXED["articles"])
    if page.locator(".p-services a").count():
        follow(page.locator(".p-services a").first)
        found.paths["article"] = page.url.removeprefix(site.url)
    found.paths["persons-page"] = f"/mine/{_referred(site)}"
    found.state = context.storage_state()
    context.close()
    texts = {
        "en": {"title": "Ice on every road", "text": "Stay at home."},
        "es": {"title": "Hielo en las calles", "text": "Quédese en casa."},
    }
    now = datetime.now(UTC)
    known = emergencies.Known({"storm"}, (), (), (), entries=[f"{CITY}/pothole"])
    plan = emergencies.Plan("storm", texts, now + timedelta(hours=5))
    with session_scope(site.engine, Scope(site.tenants[CITY])) as session:
        emergencies.start(session, plan, reason="Ice", drill=False, known=known, now=now)
    invalidate()
    return found


@pytest.fixture
def walk(chromium, site, public):
    """A narrow, low window without scripts that has the cookies of who made the pages."""
    context = chromium.new_context(
        viewport=ENLARGED,
        base_url=site.url,
        java_script_enabled=False,
        locale="en-US",
        storage_state=public.state,
    )
    page = context.new_page()
    page.set_default_timeout(60_000)
    yield page
    context.close()


LOOK: Final = """
() => {
  const shown = node => node.checkVisibility({visibilityProperty: true, opacityProperty: true});
  const said = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode, parent = node.parentElement;
    const words = node.data.replace(/\\s+/g, " ").trim();
    if (!words || parent.closest("script, style, template")) continue;
    const pressed = parent.closest("a, button, nav, label, summary, form, .r-person, .p-now");
    said.push([words, parent.closest("[lang]").lang, shown(parent), pressed !== null]);
  }
  for (const each of document.querySelectorAll("[aria-label], [placeholder], [title], [alt]"))
    for (const name of ["aria-label", "placeholder", "title", "alt"])
      if (each.getAttribute(name))
        said.push([each.getAttribute(name), each.closest("[lang]").lang, false, true]);
  return {
    lang: document.documentElement.lang,
    wide: document.documentElement.scrollWidth - window.innerWidth,
    said: said,
  };
}
"""


def at(path: str, language: str) -> str:
    return f"{path}{'&' if '?' in path else '?'}lang={language}"


LETTERS: Final = re.compile(r"[A-Za-z]{2,}")
NAMED: Final = re.compile(
    r"https?://\S+|\S+@\S+|\b[RCATMF]-\w{5}-\w{5}\b|\d+ [NS][EW] [\w ]+|Portland, OR \d+"
    r"|Harbor Night[\w, ]*|Regional 311|Error 404|\bNo\b|Cerrada|Where is food\?"
)
"""What is a name, an address or somebody's own words, in every language the same."""


@pytest.fixture(scope="module")
def left(site):
    """Give what of some words is no name of somebody or of a place."""
    known = published(site.engine)
    names = [
        *LANGUAGE_NAMES.values(),
        *(name for each in known.tenants.values() for name in (each.name, each.short_name)),
        *(each.name for each in known.bureaus.values()),
    ]
    own = re.compile("|".join(re.escape(each) for each in sorted(names, key=len, reverse=True)))
    return lambda words: own.sub("", NAMED.sub("", words))


@pytest.mark.parametrize("language", LANGUAGE_NAMES)
def test_every_page_in_a_language(walk, public, left, language):
    """Nothing is cut off or to be scrolled sideways to, and nothing is left in English."""
    wrong = []
    for name, path in public.paths.items():
        if name not in public.english:
            visit(walk, at(path, "en"))
            public.english[name] = {words for words, *_rest in walk.evaluate(LOOK)["said"]}
        visit(walk, at(path, language))
        seen = walk.evaluate(LOOK)
        if seen["lang"] != language:
            wrong.append(f"{name} is in {seen['lang']}")
        if seen["wide"] > 0:
            wrong.append(f"{name} scrolls sideways by {seen['wide']}px")
        wrong += [
            f"{name}: {words}"
            for words, spoken, *_rest in seen["said"]
            if language != "en"
            and spoken == language
            and words in public.english[name]
            and LETTERS.search(left(words))
        ]
    assert "\n".join(wrong) == ""


PAPER: Final = {"width": 720, "height": 960}
"""A sheet of letter size in CSS pixels, without its margins."""


def test_nothing_that_is_said_is_missing_on_paper(walk, public):
    """Only what is to be pressed is left out, and what holds for this moment alone."""
    wrong = []
    walk.set_viewport_size(PAPER)
    for name, path in public.paths.items():
        walk.emulate_media(media="screen")
        visit(walk, at(path, "en"))
        screen = walk.evaluate(LOOK)
        walk.emulate_media(media="print")
        paper = walk.evaluate(LOOK)
        there = {words for words, _language, shown, _pressed in paper["said"] if shown}
        wrong += [
            f"{name}: {words}"
            for words, _language, shown, pressed in screen["said"]
            if shown and not pressed and words not in there
        ]
        if paper["wide"] > 0:
            wrong.append(f"{name} is {paper['wide']}px wider than the paper")
        if walk.locator("h1").count() != 1 or not walk.locator("h1").is_visible():
            wrong.append(f"{name} has no heading")
        if SHOTS:
            Path(SHOTS).mkdir(parents=True, exist_ok=True)
            walk.screenshot(path=Path(SHOTS) / f"paper-{name}.png", full_page=True)
    assert "\n".join(wrong) == ""


EXAMINED: Final = (
    *("partner", "filed", "tracked", "numbered", "code", "persons-page", "waiting"),
    *("chat-start", "chat", "emergency", "sign-in", "letters", "data-guide", "accommodation-own"),
)


def test_pages_are_examined(open_page, examine, public):
    """At 320 px: what can be pressed is large enough, too."""
    page = open_page(width=NARROW, height=640)
    page.context.add_cookies(public.state["cookies"])
    for name in EXAMINED:
        visit(page, public.paths[name])
        assert page.locator("h1").count() == 1, name
        examine(page, f"walk-{name}")
