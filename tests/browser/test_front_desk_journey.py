"""Somebody walks in: a number by keyboard alone, the waiting room's screen, and the contact."""

from __future__ import annotations

from .conftest import PASSWORD, follow
from .test_floor_journey import press, tab_to

CITY = "city-of-portland"
HERE = f"/{CITY}/front-desk"
PHONE = {"width": 360, "height": 740}


def take_in(page, name, reason):
    """Take somebody in with the keyboard; give the number that they got."""
    page.goto(HERE)
    tab_to(page, "Name, or what to call")
    page.keyboard.type(name)
    page.keyboard.press("Tab")
    page.keyboard.type(reason)
    press(page, "Enter")
    said = page.get_by_role("status").filter(has_text="Number").inner_text()
    return said.split("Number ")[1].split(".")[0]


def test_from_the_door_to_the_contact_by_keyboard_alone(open_page, site, examine):
    page = open_page()
    page.goto("/auth/sign-in")
    tab_to(page, "E-mail")
    page.keyboard.type(site.account(CITY, "specialist"))
    tab_to(page, "Password")
    page.keyboard.type(PASSWORD)
    press(page, "Enter")
    page.goto(HERE)
    page.get_by_text("Nobody is waiting.").wait_for()
    examine(page, "front-desk-empty")
    screen = open_page()
    screen.goto(f"/waiting/{CITY}")
    screen.get_by_text("Nobody is called at the moment.").wait_for()
    first = take_in(page, "Ana", "A permit for a tree")
    second = take_in(page, "", "")
    assert second != first
    screen.get_by_text("2 people wait").wait_for(timeout=20_000)
    examine(page, "front-desk")
    page.evaluate("document.activeElement.blur()")
    tab_to(page, "Your window or table")
    page.keyboard.type("Window 3")
    page.evaluate("document.activeElement.blur()")
    press(page, "n")
    page.get_by_text(f"Number {first} is called.").wait_for()
    assert "/contacts/" in page.url
    examine(page, "front-desk-contact")
    # by itself, for who sits there and looks
    screen.get_by_text("Window 3").wait_for(timeout=20_000)
    assert screen.locator(".w-number").inner_text() == first
    assert "Ana" not in screen.content()
    examine(screen, "waiting-room")
    page.goto(HERE)
    assert page.get_by_label("Your window or table").input_value() == "Window 3"
    examine(page, "front-desk-called")


def test_at_phone_width_and_without_a_script_people_are_taken_in_and_put_back(open_page, examine):
    page = open_page("specialist", CITY, **PHONE, scripts=False)
    page.goto(HERE)
    page.get_by_label("Name, or what to call").fill("Bo")
    page.get_by_label("Accommodation needed").fill("Reads lips")
    follow(page.get_by_role("button", name="Give a number"))
    page.get_by_text("Reads lips").wait_for()
    row = page.locator("tr", has_text="Bo")
    number = row.locator("th").inner_text()
    follow(row.get_by_role("button", name="Has left"))
    page.get_by_text(f"Number {number} has left. It can be put back below.").wait_for()
    page.get_by_text("done today").click()
    follow(page.get_by_role("button", name="Put back in the queue"))
    page.get_by_text(f"Number {number} waits again.").wait_for()
    screen = open_page(**PHONE, scripts=False)
    screen.goto(f"/waiting/{CITY}")
    assert screen.locator("meta[http-equiv=refresh]").count() == 1
    assert "Bo" not in screen.content()
