"""A rule is written, tried, tested and checked by one administrator and approved by another."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from playwright.sync_api import expect

from regional311.database.session import Scope, session_scope
from regional311.referral import backtest
from regional311.referral.filing import Intake, Place, take_in
from regional311.referral.snapshot import published

from .conftest import follow

CITY = "city-of-portland"


def contacts(site) -> None:
    """A few contacts of the last days, to try rules on."""
    with session_scope(site.engine, Scope(site.tenants[CITY])) as session:
        for number in range(6):
            at = datetime.now(UTC) - timedelta(days=2, minutes=number)
            take_in(
                session,
                published(site.engine),
                Intake(
                    source="desk",
                    key=f"{number:030d}",
                    channel="phone",
                    started_at=at,
                    service=f"{CITY}/street-light",
                    place=Place("", 45.5231, -122.63),
                    danger_answer="none",
                ),
                now=at,
            )


def work(site) -> None:
    """What the worker does in one of its rounds."""
    with session_scope(site.engine, Scope(site.tenants[CITY])) as session:
        backtest.work(session, datetime.now(UTC))


def test_a_rule_from_the_first_word_to_its_approval(open_page, examine, site):
    contacts(site)
    page = open_page("administrator", CITY)
    page.goto(f"/{CITY}/rules")
    examine(page, "rules-index")
    follow(page.get_by_role("link", name="Begin a draft"))
    examine(page, "rules-new")
    page.get_by_label("What it is about").fill("Lamps at night")
    follow(page.get_by_role("button", name="Begin a draft"))
    expect(page.get_by_role("heading", name="Lamps at night")).to_be_visible()
    draft = page.url
    write_the_rule(page, examine)
    put_it_in_order(page)
    examine(page, "rules-editor")
    try_and_keep(page, draft, examine)
    run_it_over_the_past(page, draft, examine, site)
    page.goto(f"{draft}/diff")
    expect(page.get_by_text("Street lights at night").first).to_be_visible()
    examine(page, "rules-diff")
    page.goto(f"{draft}/checks")
    examine(page, "rules-checks")
    follow(page.get_by_role("button", name="Mark as checked"))
    expect(page.get_by_text("Somebody else can approve it now")).to_be_visible()
    expect(page.get_by_role("button", name="Approve these rules")).to_have_count(0)
    second = open_page("administrator", "supervisor", CITY)
    second.goto(draft)
    examine(second, "rules-approve")
    follow(second.get_by_role("button", name="Approve these rules"))
    expect(second.get_by_text("The rules were approved.")).to_be_visible()
    expect(second.get_by_text("Decides later").first).to_be_visible()


def write_the_rule(page, examine):
    follow(page.get_by_role("link", name="Add a rule"))
    page.get_by_label("What the rule says").fill("Street lights at night")
    page.get_by_label("Heading it stands under").fill("Night")
    page.get_by_label("Place in the order").fill("1")
    page.locator("#rule-services summary", has_text="City of Portland").click()
    # a long list is searched, not scrolled
    page.locator("#rule-services input[type=search]").first.fill("street light")
    page.locator("#rule-services label", has_text="Street light").first.click()
    page.get_by_label("And this holds").fill("hour >= 17 && type")
    expect(page.locator("#condition-check")).to_contain_text("Unknown fact 'type'")
    page.get_by_label("And this holds").fill('hour >= 17 || channel == "phone"')
    expect(page.locator("#condition-check")).to_contain_text("This can be read")
    page.get_by_text("Give the information", exact=True).click()
    page.get_by_label("Agreement or policy it rests on").fill("Night crew agreement")
    examine(page, "rules-rule")
    follow(page.get_by_role("button", name="Save in the draft"))
    expect(page.get_by_text("is saved in the draft")).to_be_visible()


def put_it_in_order(page):
    first = page.locator(".r-rules > li").first
    expect(first).to_contain_text("Street lights at night")
    follow(first.get_by_role("button", name="Move down"))
    second = page.locator(".r-rules > li").nth(1)
    expect(second).to_contain_text("Street lights at night")
    expect(second).to_be_focused()
    with page.expect_navigation():
        page.keyboard.press("Alt+ArrowUp")
    expect(page.locator(".r-rules > li").first).to_contain_text("Street lights at night")
    last = page.locator(".r-rules > li").nth(2)
    key = last.get_attribute("data-key-of")
    with page.expect_navigation():
        last.locator(".r-rules__handle").drag_to(second, target_position={"x": 200, "y": 20})
    expect(page.locator(".r-rules > li").nth(1)).to_have_attribute("data-key-of", key)


def try_and_keep(page, draft, examine):
    page.goto(f"{draft}/try")
    examine(page, "rules-try-empty")
    page.get_by_label("What is asked for").select_option(f"{CITY}/street-light")
    page.get_by_label("Hour", exact=True).select_option("22")
    page.get_by_text("The line is closed").click()
    follow(page.get_by_role("button", name="Try it", exact=True))
    expect(page.get_by_text("It fits, and decides.")).to_be_visible()
    examine(page, "rules-try")
    follow(page.get_by_role("button", name="Keep it"))
    expect(page.get_by_text("The one test passes.")).to_be_visible()
    examine(page, "rules-cases")


def run_it_over_the_past(page, draft, examine, site):
    page.goto(f"{draft}/backtests")
    follow(page.get_by_role("button", name="Run it"))
    expect(page.get_by_text("Waits for the worker")).to_be_visible()
    examine(page, "rules-backtest-waits")
    work(site)
    expect(page.get_by_text("Done", exact=True).first).to_be_visible()
    expect(page.get_by_text("6 of 6 contacts would have gone elsewhere")).to_be_visible()
    examine(page, "rules-backtest")
    follow(page.get_by_role("link", name="Every rule, before and after").first)
    examine(page, "rules-backtest-example")


def test_the_order_is_changed_without_scripts(open_page):
    page = open_page("administrator", CITY, scripts=False)
    page.goto(f"/{CITY}/rules/new")
    follow(page.get_by_role("button", name="Begin a draft"))
    names = page.locator(".r-rules__name").all_inner_texts()
    follow(page.locator(".r-rules > li").nth(2).get_by_role("button", name="Move up"))
    after = page.locator(".r-rules__name").all_inner_texts()
    assert after[1] == names[2]
    follow(page.get_by_role("button", name="Undo the last change"))
    assert page.locator(".r-rules__name").all_inner_texts() == names
