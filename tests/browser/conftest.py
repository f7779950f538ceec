"""A real server on a committed database, driven by the system's headless Chromium.

A page that breaks its Content-Security-Policy, throws in a script or gets an error from the server
fails the test that opened it.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from sqlalchemy import text

from regional311.app import main
from regional311.database.session import Scope, make_engine, session_scope
from regional311.identity.passwords import hash_password
from regional311.identity.service import create_person, grant
from regional311.settings import Settings
from tests.serving import serving

PASSWORD = "teapot gravel sunrise 7"
AXE = Path(__file__).parents[1] / "vendor" / "axe.min.js"
SHOTS = os.environ.get("REGIONAL311_SHOTS")
PHONE, DESK = 360, 1280
"""Widths of the pages that are examined."""
"""Directory for a picture of every page, when somebody wants to look at them."""

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@dataclass
class Site:
    """The running application and its accounts."""

    url: str
    engine: Any
    tenants: dict[str, UUID]
    known: set[str] = field(default_factory=set)

    def account(self, tenant: str, *roles: str) -> str:
        """Return the e-mail of somebody with these roles in this partner."""
        email = f"{'-'.join(roles)}@{tenant}.example"
        if email not in self.known:
            name = "-".join(roles).replace("-", " ").title()
            with session_scope(self.engine, Scope(self.tenants["region"])) as session:
                person_id = create_person(
                    session,
                    email=email,
                    name=name,
                    password=None,
                    password_hash=hash_password(PASSWORD),
                    now=datetime.now(UTC),
                )
            with session_scope(self.engine, Scope(self.tenants[tenant])) as session:
                grant(session, person_id=person_id, name=name, email=email, roles=roles)
            self.known.add(email)
        return email


@pytest.fixture(scope="module")
def site(server, region_template, tmp_path_factory, compiled_templates) -> Iterator[Site]:
    database = server.clone(region_template)
    engine = make_engine(database.app_url)
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT slug, id FROM tenants"))
        tenants = {slug: UUID(str(tenant_id)) for slug, tenant_id in rows}
    configured = Settings(
        var=Path(tmp_path_factory.mktemp("var")), secret="a secret for tests of forty characters.."
    )
    application = main({}, configured=configured, engine=engine, **compiled_templates)
    with serving(application, threads=4) as port:
        yield Site(f"http://127.0.0.1:{port}", engine, tenants)
    engine.dispose()
    server.drop(database.name)


def follow(control: Any) -> None:
    """Click what leads to another page, and be there: a click alone does not wait for the page."""
    with control.page.expect_navigation():
        control.click()


def visit(page: Page, path: str) -> None:
    """Open an address, and answer that nobody is in danger where that is asked first."""
    page.goto(path)
    screen = page.locator("form#screen")
    if "danger=none" in path and screen.count():
        screen.locator("input[value=none] + label").click()
        follow(screen.locator("button[type=submit]"))


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.fail("The browser tests need Chromium; .ci/browser says how to install it.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Browser, site: Site) -> Iterator[Callable[..., Page]]:
    """`open_page("specialist", "city-of-portland")` returns a page of a signed-in browser."""
    problems: list[str] = []
    contexts = []

    def listen(page: Page) -> None:
        def said(message: Any) -> None:
            if "status of 400 (Bad Request)" in message.text:
                return  # a form that is shown again with what to correct
            if re.search("htmx:(sendAbort|afterRequest)", message.text):
                return  # a preview that a newer one replaced; what failed is logged by itself, too
            if "Content Security Policy" in message.text or message.type == "error":
                problems.append(f"{page.url}: {message.text}")

        page.on("console", said)
        page.on("pageerror", lambda error: problems.append(f"{page.url}: {error}"))

    def open_(*who: str, width: int = 1280, height: int = 900, scripts: bool = True) -> Page:
        context = chromium.new_context(
            viewport={"width": width, "height": height},
            base_url=site.url,
            java_script_enabled=scripts,
            locale="en-US",
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        listen(page)
        if who:
            *roles, tenant = who
            page.goto("/auth/sign-in")
            page.get_by_label("E-mail").fill(site.account(tenant, *roles))
            page.get_by_label("Password").fill(PASSWORD)
            page.get_by_role("button", name="Sign in", exact=True).click()
            page.wait_for_url(lambda url: "/auth/" not in url)
        return page

    open_.problems = problems  # type: ignore[attr-defined]
    yield open_
    for context in contexts:
        context.close()
    assert problems == [], "\n".join(problems)


@pytest.fixture(scope="session")
def examine() -> Callable[..., None]:
    """Look at a page with axe-core and for sideways scrolling, and keep its picture if wanted."""
    source = AXE.read_text(encoding="utf-8")

    def look(page: Page, name: str) -> None:
        # the narrow page is the one examined whole; the wide one is looked at as well
        size = page.viewport_size
        assert size is not None
        for width in sorted({size["width"], PHONE, DESK}, key=lambda each: each == size["width"]):
            page.set_viewport_size({"width": width, "height": size["height"]})
            if SHOTS:
                Path(SHOTS).mkdir(parents=True, exist_ok=True)
                page.screenshot(
                    path=Path(SHOTS) / f"{name}-{width}.png", full_page=True, caret="initial"
                )
            wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            assert wide <= 0, f"{name} scrolls sideways by {wide}px at {width}px"
        # through the debugger: the page's own policy lets no foreign script in
        page.evaluate(source)
        found = page.evaluate(
            "async () => (await axe.run(document, {resultTypes: ['violations'], runOnly: ['wcag2a',"
            " 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']})).violations.map(v => [v.impact, v.id,"
            " v.nodes.map(n => n.html.slice(0, 200))])"
        )
        serious = [each for each in found if each[0] in ("serious", "critical")]
        assert serious == [], f"{name}: {serious}"

    return look
