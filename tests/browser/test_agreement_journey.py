"""An amendment from draft to force between two partners, in a real browser, at 360 px, with axe."""

from __future__ import annotations

CITY, COUNTY = "city-of-portland", "multnomah-county"
KEY = "county-intake-for-city"


def sign(page, name, title, button):
    page.get_by_label("Who signs").fill(name)
    page.get_by_label("As what").fill(title)
    page.get_by_role("button", name=button).click()


def test_a_cap_is_drafted_proposed_and_accepted(open_page, examine):
    drafter = open_page("finance", CITY, width=360)
    for name, path in (
        ("agreements", "agreements"),
        ("agreement", "agreements/referrals-city"),
        ("agreement-new", "agreements/new"),
        ("agreement-levels", "agreements/city-intake-for-county/levels"),
        ("billing-calendar", "agreements/calendar"),
        ("billing-with-calendar", "billing"),
    ):
        drafter.goto(f"/{CITY}/{path}")
        assert drafter.locator("h1").count() == 1, name
        examine(drafter, name)
    drafter.goto(f"/{CITY}/agreements/{KEY}/edit")
    examine(drafter, "agreement-edit")
    drafter.get_by_label("First day").fill("2028-01-01")
    drafter.get_by_label("Not to exceed, a fiscal year").fill("50,000.00")
    drafter.get_by_label("Why, for whoever approves").fill("Council asked for a cap.")
    drafter.get_by_role("button", name="Save the draft").click()
    drafter.wait_for_url("**/proposals/**")
    examine(drafter, "proposal-draft")
    address = drafter.url
    approver = open_page("approver", CITY, width=360)
    approver.goto(address)
    examine(approver, "proposal-to-approve")
    sign(approver, "Ann Lee", "Director", "Approve and propose")
    approver.get_by_text("has it and answers").wait_for()
    other = open_page("approver", COUNTY, width=360)
    other.goto(f"/{COUNTY}/agreements/proposals")
    examine(other, "proposals")
    other.get_by_role("link", name="County takes contacts for the City").click()
    other.get_by_text("Council asked for a cap.").wait_for()
    examine(other, "proposal-to-answer")
    sign(other, "Bo Chen", "Chair", "Accept and sign")
    other.get_by_text("Published as version 2.").wait_for()
    other.get_by_role("link", name="The agreement as it is").click()
    other.get_by_text("What version 2 changed").first.wait_for()
    examine(other, "agreement-versions")
