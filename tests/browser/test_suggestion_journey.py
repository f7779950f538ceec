"""A visitor corrects a phone number, the partner approves it, and the page says the new one."""

from __future__ import annotations

from regional311.referral.snapshot import invalidate

from .conftest import DESK, PHONE, follow

CITY, HELP = "city-of-portland", "211info"
NUMBER = "503-823-1700"


def test_a_visitors_correction_is_approved_and_published(open_page, examine):
    visitor = open_page(width=PHONE)
    visitor.goto(f"/services/{CITY}/pothole")
    follow(visitor.get_by_role("link", name="Something wrong here? Tell us"))
    visitor.get_by_role("heading", name="What is wrong with “Pothole in a street”?").wait_for()
    examine(visitor, "suggest-fields")
    follow(visitor.get_by_role("link", name="Correct it: Phone number"))
    visitor.get_by_role("heading", name="Phone number").wait_for()
    examine(visitor, "suggest-field")
    visitor.get_by_label("It should say").fill(NUMBER)
    visitor.get_by_label("How do you know?").fill("I called and was told.")
    visitor.get_by_label("Your e-mail address").fill("kim@example.org")
    follow(visitor.get_by_role("button", name="Send it"))
    visitor.get_by_role("heading", name="Thank you").wait_for()
    examine(visitor, "suggest-sent")
    visitor.goto(f"/data-guide?partner={CITY}")
    examine(visitor, "data-guide")

    editor = open_page("editor", CITY, width=DESK)
    editor.goto(f"/{CITY}/suggestions")
    examine(editor, "suggestions")
    follow(editor.get_by_role("link", name="Pothole in a street"))
    editor.get_by_text("I called and was told.").wait_for()
    examine(editor, "suggestion")
    follow(editor.get_by_role("button", name="Approve and publish"))
    editor.get_by_text("Published.").wait_for()
    examine(editor, "suggestion-approved")

    invalidate()
    visitor.goto(f"/services/{CITY}/pothole")
    visitor.get_by_role("link", name=NUMBER).first.wait_for()


def test_a_specialist_suggests_without_leaving_the_contact(open_page, examine):
    page = open_page("specialist", HELP)
    page.goto(f"/{HELP}/desk")
    follow(page.get_by_role("button", name="Start a contact"))
    page.get_by_text("None of these").click()
    follow(page.get_by_role("button", name="Continue"))
    contact = page.url
    page.goto(f"{contact}?service={CITY}/pothole")
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Something wrong? Suggest a correction").click()
    other = opened.value
    other.get_by_role("heading", name="What is wrong with “Pothole in a street”?").wait_for()
    examine(other, "suggestion-new")
    other.get_by_text("Say what is missing").click()
    follow(other.get_by_role("link", name="Correct it: What it costs"))
    other.get_by_label("It should say").fill("Nothing.")
    examine(other, "suggestion-new-field")
    follow(other.get_by_role("button", name="Send it"))
    other.get_by_text("You find the answer here as soon as there is one.").wait_for()
    examine(other, "suggestions-sent")
    assert page.url.startswith(contact)
    page.get_by_role("heading", name="Pothole in a street").wait_for()
