"""Who keeps a catalogue: by keyboard alone, two people at once, many together, in a sheet."""

from __future__ import annotations

import csv
import gc
import io
import warnings
from pathlib import Path

import pytest
from playwright.sync_api import expect

from regional311.referral.snapshot import invalidate

from .conftest import DESK, PHONE, follow
from .test_journeys import tab_to

CITY = "city-of-portland"
SERVICES = f"/{CITY}/services"
NAME = "Blocked sidewalk"


@pytest.fixture(autouse=True)
def as_committed():
    """Each journey sees what the one before it committed.

    What WebOb keeps of a large body on disk is closed when it is collected: here, not later.
    """
    invalidate()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        gc.collect()


def press(page, name, key="Enter", limit=400):
    """Go to a control with Tab and follow where its key leads."""
    tab_to(page, name, limit=limit)
    with page.expect_navigation():
        page.keyboard.press(key)


def rewrite(page, label, words):
    """Go to a field with Tab and write other words into it."""
    tab_to(page, label, limit=400)
    page.keyboard.press("Control+a")
    page.keyboard.type(words)


def test_a_service_is_edited_published_and_brought_back_by_keyboard_alone(open_page, examine):
    keeper = open_page("keeper", CITY)
    keeper.goto(f"{SERVICES}/sidewalk-obstruction")
    before = keeper.locator(".r-lead").inner_text()
    press(keeper, "Edit")
    examine(keeper, "catalogue-edit")
    keeper.goto(f"{SERVICES}/sidewalk-obstruction/edit")
    rewrite(keeper, "Summary", "A broken sidewalk, and who has to mend it.")
    rewrite(keeper, "Cost in words", "Free to report")
    with keeper.expect_navigation():
        keeper.keyboard.press("Enter")  # in a field of one line it saves
    keeper.get_by_text("Saved as a draft").wait_for()
    draft = keeper.url
    assert keeper.get_by_role("button", name="I have read it").count() == 0

    reviewer = open_page("editor", CITY)
    reviewer.goto(SERVICES)
    press(reviewer, "Drafts and dates")
    examine(reviewer, "catalogue-drafts")
    reviewer.goto(f"{SERVICES}/drafts")
    press(reviewer, NAME)
    assert reviewer.url.partition("?")[0] == draft.partition("?")[0]
    examine(reviewer, "catalogue-version")
    reviewer.goto(draft)
    press(reviewer, "I have read it: it is right")
    examine(reviewer, "catalogue-version-reviewed")
    press(reviewer, "Publish")
    reviewer.get_by_text("Published.").wait_for()
    invalidate()
    public = open_page(width=PHONE)
    public.goto(f"/services/{CITY}/sidewalk-obstruction")
    assert public.locator(".r-lead").inner_text() == "A broken sidewalk, and who has to mend it."
    assert public.get_by_text("Free to report").is_visible()

    reviewer.goto(f"{SERVICES}/sidewalk-obstruction/versions")
    examine(reviewer, "catalogue-versions")
    reviewer.goto(f"{SERVICES}/sidewalk-obstruction/version?number=1")
    press(reviewer, "Bring this version back")
    press(reviewer, "I have read it: it is right")
    press(reviewer, "Publish")
    reviewer.get_by_text("Published.").wait_for()
    invalidate()
    public.reload()
    assert public.locator(".r-lead").inner_text() == before
    assert public.get_by_text("Free to report").count() == 0


def test_the_work_of_two_people_at_once_is_merged(open_page, examine):
    first, second = open_page("editor", CITY), open_page("keeper", CITY, width=PHONE)
    for page in (first, second):
        page.goto(f"{SERVICES}/graffiti/edit")
    first.get_by_label("Cost in words").fill("Free")
    first.get_by_label("How long people wait").fill("Two days")
    follow(first.get_by_role("button", name="Save as a draft").last)
    second.get_by_label("Cost in words").fill("Five dollars")
    second.get_by_label("Who can get it").fill("Anybody.")
    follow(second.get_by_role("button", name="Save as a draft").last)
    second.get_by_role("heading", name="Two people's work, one draft").wait_for()
    examine(second, "catalogue-merge")
    second.get_by_role("button", name="Make one draft of both").click()
    second.locator("input[type=radio]:invalid").first.wait_for()  # one must be chosen
    second.get_by_text("Five dollars").click()
    follow(second.get_by_role("button", name="Make one draft of both"))
    said = second.locator(".c-changes").inner_text()
    for words in ("Five dollars", "Two days", "Anybody."):
        assert words in said


def test_many_are_changed_together_and_it_is_taken_back(open_page, examine):
    page = open_page("editor", CITY)
    page.goto(f"{SERVICES}?q=parking")
    examine(page, "catalogue-list")
    picks = page.locator(".c-pick label")
    for place in (0, 1):
        picks.nth(place).click()
    follow(page.get_by_role("button", name="Change the chosen ones together"))
    page.get_by_label("Field").select_option("keywords")
    page.get_by_label("How", exact=True).select_option("add")
    page.get_by_label("To", exact=True).fill("parking woes")
    follow(page.get_by_role("button", name="See what changes"))
    examine(page, "catalogue-bulk")
    follow(page.get_by_role("button", name="Make 2 drafts"))
    page.get_by_text("2 drafts were made").wait_for()
    follow(page.get_by_role("button", name="I have read them: they are right"))
    follow(page.get_by_role("button", name="Publish all that are reviewed"))
    page.get_by_text("2 were published.").wait_for()
    examine(page, "catalogue-together")
    changed = page.locator("tbody th a").first.get_attribute("href")
    follow(page.get_by_role("button", name="Take all of it back"))
    page.get_by_text("2 were taken back.").wait_for()
    page.goto(changed.partition("/version")[0] + "/edit")
    assert "parking woes" not in page.get_by_label("Callers’ words").input_value()


def test_a_sheet_goes_out_is_edited_and_comes_back(open_page, examine, tmp_path):
    page = open_page("editor", CITY)
    page.goto(f"{SERVICES}/sheet")
    examine(page, "catalogue-sheet")
    with page.expect_download() as started:
        page.get_by_role("link", name="All services as CSV").click()
    out = tmp_path / "services.csv"
    started.value.save_as(out)
    rows = list(csv.reader(io.StringIO(out.read_text(encoding="utf-8-sig"))))
    head = rows[0]
    by_key = {row[0]: row for row in rows[1:]}
    by_key["noise-variance"][head.index("fee")] = "$95"
    by_key["noise"][head.index("queue")] = "nowhere"
    edited = tmp_path / "edited.csv"
    with Path.open(edited, "w", encoding="utf-8", newline="") as written:
        csv.writer(written).writerows(rows)
    page.get_by_label("XLSX or CSV file").set_input_files(edited)
    follow(page.get_by_role("button", name="See what changes"))
    page.get_by_text("Nothing has changed yet.").wait_for()
    page.get_by_text("there is no queue nowhere").wait_for()
    expect(page.locator(".c-changes")).to_contain_text("$95")
    examine(page, "catalogue-dry-run")
    page.get_by_text("Take in the rest without the broken rows").click()
    follow(page.get_by_role("button", name="Make drafts of it"))
    page.get_by_text("1 draft was made").wait_for()
    follow(page.get_by_role("button", name="I have read them: they are right"))
    follow(page.get_by_role("button", name="Publish all that are reviewed"))
    page.get_by_text("1 was published.").wait_for()
    invalidate()
    page.set_viewport_size({"width": DESK, "height": 900})
    page.goto(f"/services/{CITY}/noise-variance")
    page.get_by_text("$95").wait_for()
