"""Searching by the keyboard alone at the desk, and what becomes of what nothing is found for."""

from __future__ import annotations

from .conftest import PHONE, follow
from .test_journeys import start_by_keyboard

CITY = "/city-of-portland"


def test_a_hit_by_the_arrow_keys(open_page):
    page = open_page("specialist", "city-of-portland")
    start_by_keyboard(page)
    page.wait_for_load_state()
    page.keyboard.type("grafiti on the wal")
    page.locator("a.d-hit", has_text="Graffiti").first.wait_for()
    page.keyboard.press("ArrowDown")
    first = page.evaluate("document.activeElement.textContent")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.textContent") != first
    page.keyboard.press("ArrowUp")
    assert page.evaluate("document.activeElement.textContent") == first
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.type") == "search"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.get_by_label("What the person says").wait_for()
    assert "Graffiti" in page.locator("main").inner_text()


def test_what_is_asked_for_in_vain_becomes_a_synonym(open_page, examine):
    specialist = open_page("specialist", "city-of-portland")
    start_by_keyboard(specialist)
    specialist.wait_for_load_state()
    with specialist.expect_response(lambda each: "final=1" in each.url):
        specialist.keyboard.type("snerkleboo")
        specialist.get_by_text("Nothing found for").wait_for()
    editor = open_page("editor", "city-of-portland", width=PHONE)
    editor.goto(f"{CITY}/searches")
    examine(editor, "searches")
    follow(editor.get_by_role("link", name="Make a synonym snerkleboo"))
    editor.get_by_label("What is then looked for as well").fill("pothole")
    examine(editor, "synonym-new")
    follow(editor.get_by_role("button", name="Save"))
    editor.get_by_text("now finds it").wait_for()
    editor.goto(f"{CITY}/synonyms")
    examine(editor, "synonyms")
    follow(editor.get_by_role("link", name="snerkleboo"))
    examine(editor, "synonym")
    specialist.get_by_label("In the caller’s words").fill("the snerkleboo")
    specialist.locator("a.d-hit", has_text="Pothole").first.wait_for()


def test_the_public_search(open_page, examine):
    page = open_page(width=PHONE)
    page.goto("/search?q=food")
    examine(page, "search")
    page.get_by_text("Narrow it down").click()
    page.locator("label[for=free]").click()
    page.get_by_label("Help in your language").select_option("es")
    examine(page, "search-narrowing")
    follow(page.get_by_role("button", name="Show"))
    assert "free=1" in page.url
    assert "language=es" in page.url
    examine(page, "search-narrowed")
    follow(page.get_by_role("link", name="Help in Spanish"))
    assert "language=" not in page.url
    page.get_by_text("Why is this here?").first.click()
    assert "food" in page.locator(".p-hits__why[open]").first.inner_text()
    follow(page.locator(".p-hits__title a").first)
    assert "/services/" in page.url or "/articles/" in page.url
    page.goto("/search?q=zzqqxx")
    examine(page, "search-nothing")


def test_the_public_search_without_scripts(open_page):
    page = open_page(scripts=False)
    page.goto("/search?q=luces+de+la+calle&lang=es")
    page.get_by_text("Afinar la búsqueda").click()
    page.locator("label[for=free]").click()
    page.get_by_role("button", name="Mostrar").click()
    assert "Luz de la calle apagada" in page.locator("main").inner_text()
