"""Keeping articles in forms: written, looked at, reviewed, published, translated; no script."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from regional311.web.article_forms import article_said, article_values, next_key
from tests.web.test_catalogue_pages import publish

CITY, COUNTY = "city-of-portland", "multnomah-county"
ARTICLES = f"/{CITY}/articles"

pytestmark = pytest.mark.commits


@pytest.fixture(autouse=True)
def tuesday(clock):
    clock.now = datetime(2026, 11, 3, 18, tzinfo=UTC)


@pytest.fixture
def keeper(sign_in):
    return sign_in("keeper", CITY)


@pytest.fixture
def editor(sign_in):
    return sign_in("editor", CITY)


def new(browser, kind, key, title, **values):
    form = browser.get(f"{ARTICLES}/new?kind={kind}").forms["form"]
    form.fields["key"][0].value, form["title"] = key, title
    for name, value in values.items():
        form[name] = value
    return form


def nth(form, name, place):
    """The field with this name that stands at a place, among rows."""
    return form.fields[name][place]


def press(form, label):
    """Press a button of the rows by its value."""
    return form.submit("rows", value=label).forms["form"]


def walked(page, label):
    """Go on from where one is in the guide."""
    ways = page.html.select(".d-ways--here a")
    return page.test_app.get(next(each["href"] for each in ways if each.text.strip() == label))


def test_an_answer_is_written_looked_at_and_published(keeper, editor, sign_in, testapp):
    form = new(
        keeper,
        "answer",
        "leaf-days-test",
        "When are leaves collected?",
        text="# In November\n\n**Mondays**. <script>alert(1)</script>",
        internal="Ask *Sam*.",
        keywords="leaf\nleaves",
    )
    form["service"] = "pothole"
    seen = form.submit("preview")
    assert seen.html.select_one("#preview .p-text h4").text == "In November"
    assert "&lt;script&gt;" in seen.html.select_one("#preview").decode()
    assert keeper.get(f"{ARTICLES}/leaf-days-test", status=404)
    done = seen.forms["form"].submit("submit")
    page = done.follow()
    assert "Saved as a draft" in page
    assert page.html.select_one("#preview").find("em", string="Sam")
    assert "leaf-days-test" not in testapp.get("/sitemap.xml")
    listed = keeper.get(ARTICLES)
    assert listed.html.find("a", string="When are leaves collected?")
    publish(editor, done.location)
    page = sign_in("specialist", CITY).get(f"{ARTICLES}/leaf-days-test")
    assert "Ask" in page
    assert "Public" in page
    assert page.html.find("a", href=f"/articles/{CITY}/leaf-days-test")
    assert "In November" in testapp.get(f"/articles/{CITY}/leaf-days-test")
    assert "leaf-days-test" in testapp.get("/sitemap.xml")


def test_a_script_is_built_without_code_and_without_a_script(keeper, editor, sign_in):
    form = new(keeper, "script", "water-test", "Water in the street")
    assert form.fields["text"][-1].value == ""
    nth(form, "text", 1).value = "Is water coming out of the ground?"
    form = press(form, "add step")
    keys = [each.value for each in form.fields["key"] if each.value.startswith("step-")]
    assert keys == ["step-1", "step-2"]
    nth(form, "text", 2).value = "Is it near wires?"
    nth(form, "label", 0).value = "Yes"
    offered = [words for _value, _chosen, words in nth(form, "to", 0).options]
    assert "Step 2 (still empty)" in offered
    nth(form, "to", 0).value = "step:step-2"
    form = press(form, "add step.0.choice")
    nth(form, "label", 1).value = "No"
    nth(form, "to", 1).value = "service"
    form = press(form, "add step.1.choice")
    place = len(form.fields["label"]) - 1
    nth(form, "label", place).value = "Yes"
    nth(form, "to", place).value = "danger"
    refused = form.submit("submit", status=400)
    assert "Name the service that this leads to." in refused
    form = refused.forms["form"]
    # the service that a way leads to; the last field of that name is that of the article itself
    nth(form, "service", 1).value = "pothole"
    seen = form.submit("preview")
    assert seen.html.select_one("#preview .usa-alert--warning") is None
    steps = [each.text for each in seen.html.select(".c-preview__steps > li")]
    assert "step 2" in steps[0]
    assert "Pothole in a street" in steps[0]
    assert "danger: call 911" in steps[1]
    done = seen.forms["form"].submit("submit")
    publish(editor, done.location)
    page = sign_in("specialist", CITY).get(f"{ARTICLES}/water-test")
    page = walked(page, "Yes")
    assert page.html.select_one('[aria-current="step"] .d-text').text.strip() == "Is it near wires?"
    assert "Call 911" in walked(page, "Yes")
    assert "Nothing of it is public" in keeper.get(f"{ARTICLES}/water-test/version")
    moved = keeper.get(f"{ARTICLES}/water-test/edit").forms["form"]
    moved = press(moved, "up step.1")
    texts = [each.value for each in moved.fields["text"]]
    assert texts[1:3] == ["Is it near wires?", "Is water coming out of the ground?"]
    less = press(moved, "remove step.0")
    gone = [words for _v, _c, words in nth(less, "to", 0).options if "no longer there" in words]
    assert gone == ["step-2 (no longer there)"]


def test_a_script_with_faults_says_so_before_it_is_reviewed(keeper, editor):
    form = new(keeper, "script", "lost-test", "Lost")
    nth(form, "text", 1).value = "Round?"
    nth(form, "label", 0).value = "Again"
    nth(form, "to", 0).value = "step:step-1"
    seen = form.submit("preview")
    assert "the script has no end" in seen
    page = seen.forms["form"].submit("submit").follow()
    assert "the script has no end" in page
    review = next(
        each
        for each in editor.get(page.request.url).forms.values()
        if each.action.endswith("/review")
    )
    assert "the script has no end" in review.submit(status=400)


def test_a_notice_needs_its_end(keeper, editor, testapp, sign_in):
    form = new(keeper, "notice", "fair-test", "County fair", text="Streets are closed.")
    form["level"] = "warning"
    done = form.submit("submit")
    assert "a notice says when it ends" in done.follow()
    form = keeper.get(f"{ARTICLES}/fair-test/edit").forms["form"]
    form["valid_from"], form["valid_to"] = "2026-11-03", "2026-11-03"
    form["from_time"], form["to_time"] = "09:00", "8:00"
    refused = form.submit("submit", status=400)
    assert "form-to_time" in refused
    form = refused.forms["form"]
    form["to_time"] = "15:00"
    for box in form.fields["shown"]:
        box.checked = box._value == "public"
    done = form.submit("submit")
    publish(editor, done.location)
    assert "County fair" in testapp.get("/")
    assert "County fair" not in sign_in("specialist", CITY).get(f"/{CITY}/desk")


def test_a_notice_is_pinned_somewhere(keeper):
    form = new(keeper, "notice", "nowhere-test", "Nowhere", text="x", valid_to="2026-12-01")
    for box in form.fields["shown"]:
        box.checked = False
    assert "form-shown" in form.submit("submit", status=400)


def test_steps_are_translated_beside_their_words(keeper, editor, sign_in):
    form = new(keeper, "script", "spoken-test", "Spoken")
    nth(form, "text", 1).value = "Is anybody hurt?"
    nth(form, "label", 0).value = "Somebody"
    nth(form, "to", 0).value = "danger"
    form = press(form, "add step.0.choice")
    nth(form, "label", 1).value = "Nobody"
    nth(form, "to", 1).value = "end"
    form.submit("submit")
    page = keeper.get(f"{ARTICLES}/spoken-test/translate?language=es")
    assert "Is anybody hurt?" in page
    form = page.forms["form"]
    form["step.step-1"] = "¿Hay alguien herido?"
    form["way.step-1.way-1"] = "Alguien"
    done = form.submit("submit")
    assert "¿Hay alguien herido?" in done.follow()
    edited = keeper.get(f"{ARTICLES}/spoken-test/edit").forms["form"]
    edited["title"] = "Spoken aloud"
    done = edited.submit("submit")
    form = keeper.get(f"{ARTICLES}/spoken-test/translate?language=es").forms["form"]
    assert form["step.step-1"].value == "¿Hay alguien herido?"
    form["way.step-1.way-1"] = ""
    done = form.submit("submit")
    assert "Alguien" not in done.follow().html.select_one("#preview").text
    keeper.get(f"{ARTICLES}/spoken-test/translate?language=en", status=404)


def test_who_may_not_edit_reads(sign_in, editor):
    specialist = sign_in("specialist", CITY)
    page = specialist.get(ARTICLES)
    assert not page.html.find("a", href=re.compile("/new"))
    specialist.get(f"{ARTICLES}/new?kind=answer", status=403)
    other = sign_in("specialist", COUNTY)
    listed = other.get(f"/{COUNTY}/articles?of={CITY}")
    page = listed.click("Water in the street")
    assert "Is water coming out of the ground?" in page
    assert "Is it near wires?" in walked(page, "Yes")
    other.get(f"/{COUNTY}/articles/read?article={CITY}/nothing", status=404)
    other.get(f"/{COUNTY}/articles/read", status=404)
    other.get(f"/{COUNTY}/articles/water-test", status=404)


def test_filters_and_csv(editor):
    page = editor.get(ARTICLES, {"kind": "script", "q": "is it near wires?"})
    titles = [each.text for each in page.html.select("tbody th a")]
    assert titles == ["Water in the street"]
    assert "Nothing matches" in editor.get(ARTICLES, {"q": "nobody writes this"})
    csv = editor.get(ARTICLES, {"format": "csv", "of": "all"})
    assert csv.content_type == "text/csv"
    assert f"{CITY},water-test,Water in the street,script" in csv.text.replace(
        '"Guide, step by step"', "script"
    )


def test_a_forged_target_is_refused(keeper):
    form = new(keeper, "script", "forged-test", "Forged")
    nth(form, "text", 1).value = "x"
    nth(form, "label", 0).value = "y"
    nth(form, "to", 0).force_value("javascript:alert(1)")
    assert "Choose one of the options listed." in form.submit("submit", status=400)
    nth(form, "to", 0).force_value("step:<b>")
    assert "&lt;b&gt;" in form.submit("submit", status=400)


def test_pages_stay_within_their_statements(editor, web_engine):
    from sqlalchemy import event

    sent: list[str] = []

    def record(connection, cursor, statement, parameters, context, executemany) -> None:
        sent.append(statement)

    event.listen(web_engine, "before_cursor_execute", record)
    try:
        for path, limit in (
            (ARTICLES, 8),
            (f"{ARTICLES}?of=all", 8),
            (f"{ARTICLES}/water-test", 10),
            (f"{ARTICLES}/water-test/edit", 10),
            (f"{ARTICLES}/water-test/version", 12),
        ):
            editor.get(path)
            sent.clear()
            editor.get(path)
            assert len(sent) <= limit, (path, len(sent), sent)
    finally:
        event.remove(web_engine, "before_cursor_execute", record)


def test_keys_of_rows_are_never_used_twice():
    assert next_key("way", [{"key": "way-2"}, {"key": "way-1"}, {}, {"key": None}]) == "way-3"
    said = {
        "kind": "script",
        "title": "T",
        "step": [
            {"key": "a", "text": "x", "choice": [{"key": "b", "label": "l", "to": "service:c/d"}]}
        ],
    }
    values = article_values(said)
    assert values["step"][0]["choice"][0]["service"] == "c/d"
    assert article_said({**values}, said)["step"] == said["step"]
    twice = {**values, "step": [{"key": "", "text": "x"}, {"key": "", "text": "y"}]}
    assert [each["key"] for each in article_said(twice, {})["step"]] == ["step-1", "step-2"]
