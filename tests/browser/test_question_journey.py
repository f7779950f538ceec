"""A form with a branch: built in the browser, answered on the desk and on the public page."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.intake.pictures_sent import JPEG
from tests.web.forms_asked import QUESTIONS, ask, publish_person

from .conftest import PHONE, follow, visit

CITY = "city-of-portland"
BUILDER = f"/{CITY}/services/street-light/questions"
REPORT = f"/report?service={CITY}/street-light&danger=none"
NUMBER = re.compile(r"R-[0-9A-Z]{5}-[0-9A-Z]{5}")


@pytest.fixture(scope="module")
def nothing_asked(site) -> None:
    """Two services whose forms ask nothing yet."""
    for key in ("street-light", "road-hazard"):
        ask(site.engine, site.tenants[CITY], key=key)


def add(page, kind, label):
    """Choose a kind of question, and write its words."""
    follow(page.get_by_role("link", name="Add a question").first)
    follow(page.get_by_role("link", name=kind))
    page.get_by_label("Question", exact=True).fill(label)


def reload_until(page, address, text):
    """What is published is read by the next look within a second."""
    for _ in range(20):
        visit(page, address)
        if page.get_by_text(text).count():
            return
        page.wait_for_timeout(250)
    raise AssertionError(f"{text} does not come up at {address}")


def test_build_a_form_with_a_branch_and_answer_it(open_page, examine, nothing_asked):
    page = open_page("editor", CITY)
    page.goto(f"/{CITY}/services/street-light")
    follow(page.get_by_role("link", name="Questions of its form"))
    examine(page, "builder-empty")
    add(page, "One of several answers", "What is wrong with it?")
    answers = page.get_by_label("Answer", exact=True)
    answers.nth(0).fill("It is dark")
    answers.nth(1).fill("The pole is bent")
    page.get_by_text("It must be answered").click()
    # the question is seen while it is written
    frame = page.locator("#preview .q-frame")
    expect(frame.get_by_text("What is wrong with it?")).to_be_visible()
    expect(frame.get_by_text("The pole is bent")).to_be_visible()
    examine(page, "builder-choice")
    follow(page.get_by_role("button", name="Save as a draft"))
    expect(page.get_by_text("is saved in the draft")).to_be_visible()
    add(page, "A number", "How many poles are bent?")
    boxes = page.get_by_role("group", name="Answers to “What is wrong with it?”")
    expect(boxes).to_be_hidden()
    page.get_by_text("Only after the answers ticked below").click()
    expect(boxes).to_be_visible()
    boxes.get_by_text("The pole is bent").click()
    examine(page, "builder-number")
    follow(page.get_by_role("button", name="Save as a draft"))
    expect(page.get_by_text("Only if “What is wrong with it?” is answered")).to_be_visible()
    # the preview is the form itself: its branch opens and closes
    frame = page.locator("#preview .q-frame")
    many = frame.get_by_label("How many poles are bent?")
    expect(many).to_be_hidden()
    frame.get_by_text("The pole is bent").click()
    expect(many).to_be_visible()
    page.get_by_role("link", name="For programs").click()
    expect(page.get_by_role("heading", name="Open311 attributes")).to_be_visible()
    examine(page, "builder-two")
    follow(page.get_by_role("link", name="Review and publish it"))
    follow(page.get_by_role("button", name="I have read it: it is right"))
    follow(page.get_by_role("button", name="Publish", exact=True))
    answer_on_the_desk(open_page)
    answer_on_the_public_page(open_page)
    answer_without_scripts(open_page)


def answer_on_the_desk(open_page):
    page = open_page("specialist", CITY)
    page.goto(f"/{CITY}/desk")
    follow(page.get_by_role("button", name="Start a contact"))
    page.get_by_text("None of these").click()
    follow(page.get_by_role("button", name="Continue"))
    here = page.url.split("?")[0]
    reload_until(page, f"{here}?service={CITY}/street-light", "What is wrong with it?")
    many = page.get_by_label("How many poles are bent?")
    expect(many).to_be_hidden()
    page.get_by_text("The pole is bent").click()
    many.fill("2")
    page.locator("#need-place").fill("Downtown")
    page.keyboard.press("Tab")
    page.locator(".d-preview__answer").wait_for()
    follow(page.get_by_role("button", name="File it"))
    assert NUMBER.fullmatch(page.locator(".d-number").inner_text())
    shown = page.locator("article .r-answers").inner_text()
    assert "How many poles are bent?" in shown
    assert "The pole is bent" in shown


def answer_on_the_public_page(open_page):
    page = open_page(width=PHONE, height=740)
    reload_until(page, REPORT, "What is wrong with it?")
    many = page.get_by_label("How many poles are bent?")
    page.get_by_text("The pole is bent").click()
    many.fill("none of your business")
    page.get_by_text("It is dark").click()
    expect(many).to_be_hidden()
    page.get_by_label("Where is it?").fill("Downtown")
    follow(page.get_by_role("button", name="Send it"))
    assert NUMBER.search(page.locator(".d-number").inner_text())


def answer_without_scripts(open_page):
    page = open_page(width=PHONE, height=740, scripts=False)
    visit(page, REPORT)
    condition = "Only if “What is wrong with it?” is answered: The pole is bent."
    expect(page.get_by_text(condition)).to_be_visible()
    page.get_by_text("The pole is bent", exact=True).click()
    page.get_by_label("Where is it?").fill("Downtown")
    page.get_by_label("How many poles are bent?").fill("many")
    follow(page.get_by_role("button", name="Send it"))
    expect(page.get_by_text("Enter a number, for example 12.5.").first).to_be_visible()
    page.get_by_label("How many poles are bent?").fill("3")
    follow(page.get_by_role("button", name="Send it"))
    assert NUMBER.search(page.locator(".d-number").inner_text())


def test_the_builder_by_keyboard_without_scripts(open_page, nothing_asked):
    page = open_page("keeper", CITY, scripts=False)
    for label in ("Is it in the lane?", "Does it move?"):
        page.goto(f"/{CITY}/services/road-hazard/questions/add?kind=yes_no")
        page.get_by_label("Question", exact=True).fill(label)
        with page.expect_navigation():
            page.keyboard.press("Enter")
    up = page.get_by_role("button", name=re.compile("Move up.*Does it move"))
    up.focus()
    with page.expect_navigation():
        page.keyboard.press("Enter")
    labels = page.locator(".q-item__label").all_inner_texts()
    assert [each.split(". ")[1] for each in labels][-2:] == ["Does it move?", "Is it in the lane?"]
    out = page.get_by_role("button", name=re.compile("Take out.*Does it move"))
    out.focus()
    with page.expect_navigation():
        page.keyboard.press("Enter")
    undo = page.get_by_role("button", name="Undo the last change")
    undo.focus()
    with page.expect_navigation():
        page.keyboard.press("Enter")
    expect(page.locator("#q-does-it-move")).to_be_visible()


@pytest.fixture(scope="module")
def every_kind(site) -> None:
    """A form with every kind of question, a group and branches."""
    publish_person(site.engine, site.tenants[CITY])
    photo = {"key": "photo", "label": "A photo?", "kind": "file"}
    ask(site.engine, site.tenants[CITY], *QUESTIONS, photo)


def test_every_page_of_forms(open_page, examine, every_kind):
    page = open_page("editor", CITY, width=PHONE)
    for name, path in (
        ("builder", "services/pothole/questions"),
        ("builder-public", "services/pothole/questions?preview=public"),
        ("builder-programs", "services/pothole/questions?preview=definition"),
        ("builder-kinds", "services/pothole/questions/add"),
        ("builder-edit", "services/pothole/questions/edit?question=size"),
        ("builder-edit-date", "services/pothole/questions/edit?question=since"),
        ("builder-edit-group", "services/pothole/questions/edit?question=driver"),
        ("builder-translate", "services/pothole/questions/translate?language=es"),
        ("groups", "question-groups"),
        ("groups-new", "question-groups/new"),
        ("group", "question-groups/person/questions"),
        ("group-name", "question-groups/person/questions/name"),
    ):
        page.goto(f"/{CITY}/{path}")
        assert page.locator("h1").count() == 1, name
        examine(page, name)


def test_every_kind_of_question_is_asked_and_shown(open_page, examine, every_kind, tmp_path):
    for scripts in (True, False):
        page = open_page(width=PHONE, scripts=scripts)
        visit(page, f"/report?service={CITY}/pothole&danger=none")
        if not scripts:
            page.get_by_text("Larger", exact=True).click()
            continue
        page.get_by_text("Larger", exact=True).click()
        page.get_by_label("How wide is it, in feet?").fill("3")
        page.get_by_role("group", name="Did it damage a car?").get_by_text("Yes").click()
        page.get_by_role("group", name="Who was driving?").get_by_label("Name").fill("Rosa Lee")
        examine(page, "asked")
        picture = tmp_path / "hole.jpg"
        picture.write_bytes(JPEG)
        page.get_by_label("A photo?").set_input_files(picture)
        page.get_by_label("Since which day?").fill("2000-01-01")
        page.get_by_label("Where is it?").fill("Downtown")
        follow(page.get_by_role("button", name="Send it"))
        examine(page, "asked-wrong")
        page.get_by_label("Since which day?").fill("")
        page.get_by_label("A photo?").set_input_files(picture)
        follow(page.get_by_role("button", name="Send it"))
        number = page.locator(".d-number").inner_text()
    worker = open_page("worker", CITY, width=PHONE)
    worker.goto(f"/{CITY}/requests/{number}")
    examine(worker, "answered")
    with worker.expect_download() as download:
        worker.get_by_role("link", name="hole.jpg").click()
    assert download.value.suggested_filename == "hole.jpg"
