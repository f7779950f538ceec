"""What people do, in a real browser: by keyboard alone, on a phone, and every page examined."""

from __future__ import annotations

import re

from .conftest import PHONE, follow, visit

CITY, COUNTY, HELP = "/city-of-portland", "/multnomah-county", "/211info"
NUMBER = re.compile(r"[RF]-[0-9A-Z]{5}-[0-9A-Z]{5}")


def tab_to(page, name, *, limit=80):
    """Press Tab until the control with this name has the focus, as a person would."""
    for _ in range(limit):
        focused = page.evaluate(
            "() => { const e = document.activeElement; if (e === document.body) return '';"
            " return [(e.getAttribute('aria-label') || e.innerText || '').trim(),"
            " ...Array.from(e.labels || []).map(l => l.innerText.trim())].join(' | '); }"
        )
        if name in focused:
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab does not reach {name!r}")


def start_by_keyboard(page):
    page.goto(f"{CITY}/desk")
    tab_to(page, "Start a contact")
    page.keyboard.press("Enter")
    page.wait_for_url("**/contacts/C-*")
    tab_to(page, "None of these")
    page.keyboard.press("Space")
    tab_to(page, "Continue")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="What is needed?").wait_for()


def hit(page, partner, word):
    """The first hit of a partner with a word: not one that was offered before that was typed."""
    words = re.compile(word, re.IGNORECASE)
    return page.locator("a.d-hit", has_text=partner).filter(has_text=words).first


def test_a_pothole_by_keyboard_alone(open_page):
    page = open_page("specialist", "city-of-portland")
    start_by_keyboard(page)
    page.wait_for_load_state()
    page.keyboard.type("pothole")  # the search has the focus
    hit(page, "City of Portland", "pothole").wait_for()
    tab_to(page, "Pothole in a street")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Pothole in a street").wait_for()
    tab_to(page, "Where")
    page.keyboard.type("Downtown")
    tab_to(page, "What the person says")
    page.keyboard.type("deep, in the right lane")
    page.keyboard.press("Tab")
    page.locator(".d-preview__answer").wait_for()
    assert "City of Portland" in page.locator("#preview").inner_text()
    tab_to(page, "File it")
    page.keyboard.press("Enter")
    page.locator(".d-number").wait_for()
    assert NUMBER.fullmatch(page.locator(".d-number").inner_text())
    page.keyboard.press("Escape")
    page.locator("h1").click()  # the focus on nothing: the page was loaded anew
    page.keyboard.press("w")
    tab_to(page, "Finish the contact")
    page.keyboard.press("Enter")
    page.get_by_text("resolved at the first contact").wait_for()


def test_answered_is_one_key(open_page):
    page = open_page("specialist", "city-of-portland")
    start_by_keyboard(page)
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("a")
    page.get_by_text("resolved at the first contact").wait_for()


def test_shelter_on_a_phone(open_page, examine):
    page = open_page("specialist", "city-of-portland", width=PHONE, height=740)
    page.goto(f"{CITY}/desk")
    examine(page, "desk")
    page.get_by_role("button", name="Start a contact").click()
    page.wait_for_url("**/contacts/C-*")
    examine(page, "contact-screen")
    page.get_by_text("None of these").click()
    page.get_by_role("button", name="Continue").click()
    page.get_by_label("In the caller’s words").fill("shelter for tonight")
    hit(page, "211info", "place to sleep").wait_for()
    examine(page, "contact-search")
    hit(page, "211info", "place to sleep").click()
    page.get_by_label("How many people?").fill("3")
    page.get_by_label("What the person says").fill("sleeps in a car")
    page.get_by_text("Who is calling (optional)").click()
    page.locator("#need-name").fill("Dana Reed")
    page.locator("#need-phone").fill("503 555 0101")
    page.keyboard.press("Tab")
    page.locator(".d-preview__answer").wait_for()
    examine(page, "contact-need")
    if page.get_by_label("The person agrees").count():
        page.get_by_text("The person agrees", exact=True).click()
    page.get_by_role("button", name="File it").click()
    page.locator(".d-card--done").wait_for()
    examine(page, "contact-filed")


def test_every_page_of_the_desk(open_page, examine):
    page = open_page("specialist", "city-of-portland", width=PHONE)
    page.goto(f"{CITY}/desk")
    page.get_by_role("button", name="Start a contact").click()
    page.wait_for_url("**/contacts/C-*")
    examine(page, "contact-screen")
    page.get_by_text("Something is on fire").click()
    page.get_by_role("button", name="Continue").click()
    page.locator(".d-emergency").wait_for()
    examine(page, "contact-danger")
    page.goto(f"{CITY}/desk")
    examine(page, "desk")
    page.get_by_role("button", name="Start a contact").click()
    page.wait_for_url("**/contacts/C-*")
    page.get_by_text("None of these").click()
    page.get_by_role("button", name="Continue").click()
    page.get_by_label("In the caller’s words").fill("pothole")
    hit(page, "City of Portland", "pothole").wait_for()
    examine(page, "contact-search")
    hit(page, "City of Portland", "pothole").click()
    page.get_by_text("Point on the map, in numbers").click()
    page.get_by_label("Latitude").fill("45.5132")
    page.get_by_label("Longitude").fill("-122.6706")
    page.get_by_label("Where").fill("Hawthorne Bridge")
    page.get_by_label("What the person says").fill("a hole on the bridge deck")
    page.keyboard.press("Tab")
    page.locator(".d-preview__answer").wait_for()
    examine(page, "contact-need")
    page.get_by_role("button", name="File it").click()
    page.locator(".d-card--done").wait_for()
    examine(page, "contact-filed")
    for path, name in (
        ("contacts", "contacts"),
        ("requests", "requests"),
        ("requests?with=partners", "requests-followed"),
        ("referrals?view=sent", "referrals-sent"),
        ("services", "services"),
        ("services/pothole", "service"),
    ):
        page.goto(f"{CITY}/{path}")
        examine(page, name)
    page.goto(f"{CITY}/requests?with=partners")
    follow(page.locator("tbody a").first)
    examine(page, "request-followed")


def test_every_page_of_who_works(open_page, examine):
    page = open_page("specialist", "city-of-portland", width=PHONE)
    page.goto(f"{CITY}/desk")
    page.get_by_role("button", name="Start a contact").click()
    page.get_by_text("None of these").click()
    page.get_by_role("button", name="Continue").click()
    page.get_by_label("In the caller’s words").fill("help with rent")
    hit(page, "211info", "rent").click()
    page.get_by_label("What the person says").fill("two months behind")
    page.get_by_role("button", name="File it").click()
    page.locator("#need-problems, .d-card--done").first.wait_for()
    if page.locator("#need-problems").count():
        examine(page, "contact-consent")
        page.get_by_text("The person agrees", exact=True).click()
        page.get_by_role("button", name="File it").click()
    page.locator(".d-card--done").wait_for()
    examine(page, "contact-referred")

    county = open_page("worker", "multnomah-county", width=PHONE)
    county.goto(f"{COUNTY}/requests")
    examine(county, "requests-queue")
    if county.locator("tbody a").count():
        follow(county.locator("tbody a").first)
        examine(county, "request-open")
    partner = open_page("partner", "211info", width=PHONE)
    partner.goto(f"{HELP}/referrals")
    examine(partner, "referrals-inbox")
    follow(partner.locator("tbody a").first)
    examine(partner, "referral-new")
    follow(partner.get_by_role("button", name="Accept it"))
    partner.get_by_text("Complete it").first.click()
    partner.get_by_text("The need is met").click()
    examine(partner, "referral-accepted")
    follow(partner.get_by_role("button", name="Complete it"))
    partner.get_by_text("Saved; the other partner sees it.").wait_for()
    examine(partner, "referral-completed")


def test_the_public_door(open_page, examine):
    page = open_page(width=PHONE)
    page.goto("/?q=hole+in+the+street")
    examine(page, "public-door")
    follow(page.get_by_role("link", name="Pothole in a street").first)
    examine(page, "public-service")
    follow(page.get_by_role("link", name="Report it online"))
    examine(page, "public-screen")
    page.get_by_text("None of these").click()
    page.get_by_role("button", name="Continue").click()
    page.get_by_label("Where is it?").fill("Downtown, SW 5th and Main")
    page.get_by_label("What should we know?").fill("a deep hole")
    examine(page, "public-report")
    page.get_by_role("button", name="Send it").click()
    page.locator(".d-card--done").wait_for()
    examine(page, "public-filed")
    follow(page.locator("a.d-token"))
    examine(page, "public-tracked")
    visit(page, "/report?service=city-of-portland/pothole&danger=none")
    page.get_by_label("Where is it?").fill("downtown, SW 5th and main")
    follow(page.get_by_role("button", name="Send it"))
    examine(page, "public-known-already")
    page.get_by_text("I have it too").click()
    follow(page.get_by_role("button", name="Send it"))
    examine(page, "public-me-too")
    page.goto("/report?service=city-of-portland/pothole")
    page.get_by_text("Something is on fire").click()
    follow(page.get_by_role("button", name="Continue"))
    examine(page, "public-danger")


def test_a_report_without_scripts(open_page):
    page = open_page(scripts=False)
    page.goto("/report?service=city-of-portland/pothole")
    page.get_by_text("None of these").click()
    page.get_by_role("button", name="Continue").click()
    page.get_by_label("Where is it?").fill("NW 9th and Flanders")
    page.get_by_role("button", name="Send it").click()
    assert NUMBER.search(page.locator(".d-number").inner_text())
