"""By keyboard alone from signing in to a closed contact; a supervisor takes a contact over."""

from __future__ import annotations

from .conftest import PASSWORD, follow

CITY = "city-of-portland"
DESK = f"/{CITY}/desk"


def tab_to(page, text, *, most=80):
    """Walk with Tab until what has the focus says this."""
    for _step in range(most):
        page.keyboard.press("Tab")
        said = page.evaluate(
            "(() => { const it = document.activeElement; const label = it.labels && it.labels[0];"
            " return `${it.getAttribute('aria-label') || ''} ${label ? label.textContent : ''}"
            " ${it.textContent}`; })()"
        )
        if text in said:
            return
    raise AssertionError(f"{text} is not reached with Tab")


def press(page, key):
    """Press a key that leads to another page, and be there."""
    with page.expect_navigation():
        page.keyboard.press(key)


def begin(page):
    """Start a contact at the desk and answer the danger screen; give its number."""
    page.goto(DESK)
    follow(page.get_by_role("button", name="Start a contact"))
    page.locator("label[for=sign-none]").click()
    follow(page.get_by_role("button", name="Continue"))
    return page.locator("h1").inner_text()


def test_from_signing_in_to_a_closed_contact_by_keyboard_alone(open_page, site, examine):
    page = open_page()
    page.goto("/auth/sign-in")
    tab_to(page, "E-mail")
    page.keyboard.type(site.account(CITY, "specialist"))
    tab_to(page, "Password")
    page.keyboard.type(PASSWORD)
    press(page, "Enter")
    page.goto(DESK)
    page.keyboard.press("?")
    page.get_by_text("Open or close this list").wait_for()
    page.keyboard.press("?")
    press(page, "n")
    page.keyboard.press("Space")  # none of these: it has the focus
    press(page, "Enter")
    page.locator("[data-timer]").filter(has_text=":").wait_for()
    page.evaluate("document.activeElement.blur()")
    press(page, "l")
    page.keyboard.type("Nobody Known")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    press(page, "Enter")
    page.get_by_text("Nobody here by that number or name.").wait_for()
    examine(page, "caller")
    press(page, "b")
    page.evaluate("document.activeElement.blur()")
    press(page, "m")
    tab_to(page, "Note")
    page.keyboard.type("Asked twice")
    tab_to(page, "Add the note")
    press(page, "Enter")
    page.get_by_text("Asked twice").wait_for()
    page.evaluate("document.activeElement.blur()")
    press(page, "h")
    page.get_by_text("They are still there").wait_for()
    page.evaluate("document.activeElement.blur()")
    press(page, "a")
    page.get_by_text("Finished: resolved at the first contact.").wait_for()


def test_a_supervisor_looks_along_and_takes_over(open_page, examine):
    specialist = open_page("specialist", CITY)
    number = begin(specialist)
    boss = open_page("supervisor", CITY)
    boss.goto(f"/{CITY}/floor")
    examine(boss, "floor")
    follow(boss.get_by_role("link", name=number))
    boss.get_by_text("You look along, and they see that you do.").wait_for()
    specialist.reload()
    specialist.get_by_text("looks along").first.wait_for()
    boss.get_by_text("Who has it").click()
    examine(boss, "along")
    follow(boss.get_by_role("button", name="Take it over"))
    boss.get_by_text("You have it now. Whoever had it is told.").wait_for()
    # the specialist's page asks by itself
    specialist.get_by_text("has taken this contact over from you").wait_for(timeout=30_000)
    specialist.locator(".r-count").wait_for(timeout=90_000)
    specialist.goto(f"/{CITY}/for-you")
    examine(specialist, "for-you")
    specialist.get_by_text("Taken over from you").wait_for()
    boss.goto(f"/{CITY}/closing-texts/new")
    examine(boss, "closing-text")


def test_what_was_typed_is_there_after_the_browser_was_killed(open_page, examine):
    page = open_page("specialist", CITY)
    number = begin(page)
    page.get_by_label("Note (optional)").press_sequentially("Calls again at noon")
    page.locator("#wrap-up").get_by_text("Kept as you type.").wait_for()
    page.goto(f"/{CITY}/contacts/{number}?service={CITY}/pothole")
    page.locator("#need").get_by_label("What the person says").press_sequentially(
        "As wide as a car"
    )
    # still in the field: no change was said, and nothing is looked at yet
    page.locator("#need").get_by_text("Kept as you type.").wait_for()
    examine(page, "kept-as-typed")
    page.context.close()
    again = open_page("specialist", CITY)
    again.goto(f"/{CITY}/contacts/{number}")
    assert again.get_by_label("Note (optional)").input_value() == "Calls again at noon"
    follow(again.get_by_role("link", name="Go on with what you were writing"))
    assert (
        again.locator("#need").get_by_label("What the person says").input_value()
        == "As wide as a car"
    )


def test_a_colleague_is_mentioned_by_keyboard(open_page, site, examine):
    site.account(CITY, "supervisor")
    page = open_page("specialist", CITY)
    number = begin(page)
    page.goto(f"/{CITY}/contacts/{number}/note")
    page.get_by_label("Note").focus()
    page.keyboard.type("Please look, @sup")
    page.get_by_role("option", name="Supervisor").first.wait_for()
    examine(page, "note")
    page.get_by_label("Note").focus()
    page.keyboard.press("End")
    page.keyboard.type("e")
    page.get_by_role("option", name="Supervisor").first.wait_for()
    page.keyboard.press("Enter")
    assert page.get_by_label("Note").input_value() == "Please look, @supervisor "
    follow(page.get_by_role("button", name="Add the note"))
    boss = open_page("supervisor", CITY)
    boss.goto(f"/{CITY}/for-you")
    boss.get_by_role("link", name=number).first.wait_for()
