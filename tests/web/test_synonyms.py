"""A partner's synonyms and what was asked for in vain, as its editors see them."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime

import pytest

from regional311.catalog.search_log import record_search
from regional311.database.session import Scope, session_scope

CITY = "city-of-portland"


@pytest.fixture
def editor(sign_in):
    return sign_in("editor", CITY)


def new(browser, **values):
    form = browser.get(f"/{CITY}/synonyms/new").forms["synonym"]
    for name, value in {"said": "wobbly road", "means": "pothole", **values}.items():
        form[name] = value
    return form.submit("submit", expect_errors=True)


def form_to(page, end):
    return next(form for form in page.forms.values() if str(form.action).endswith(end))


def about(page, words):
    return next(
        form
        for form in page.forms.values()
        if "words" in form.fields and form["words"].value == words and form.method == "post"
    )


def found(browser, words):
    page = browser.get("/search", {"q": words})
    return [each.get_text(strip=True) for each in page.html.select(".p-hits__title")]


def test_an_editor_adds_a_synonym_that_is_found_ends_it_and_brings_it_back(editor):
    assert "Pothole in a street" not in found(editor, "flibberty")
    added = new(editor, said="flibberty\nflibberty gibbet").follow()
    assert "now finds it" in added
    assert "Pothole in a street" in found(editor, "flibberty")
    page = added.click("flibberty, flibberty gibbet")
    assert page.forms["synonym"]["means"].value == "pothole"
    ended = form_to(page, "/end").submit().follow()
    assert "It has ended" in ended
    assert "Pothole in a street" not in found(editor, "flibberty")
    assert "flibberty" in editor.get(f"/{CITY}/synonyms?state=ended")
    assert "Nothing matches" in editor.get(f"/{CITY}/synonyms?words=flibberty")
    back = form_to(ended, "/restore").submit()
    assert "looked for again" in back.follow()
    assert "Pothole in a street" in found(editor, "flibberty")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"said": ""}, "Fill this in."),
        ({"said": "the"}, "has no word that says what is asked for"),
        ({"said": "!!!"}, "has no letters"),
        ({"said": "one two three four five six"}, "longer than 4 words"),
        ({"said": "pothole"}, "means itself"),
        ({"said": "road\nroad"}, "is there twice"),
        ({"said": "x" * 201}, "at most 200 characters"),
        ({"said": "\n".join(f"word{n}" for n in range(60))}, "at most 50 lines"),
        ({"means_language": "es", "both_ways": True}, "make two synonyms"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_kept(editor, values, message):
    before = editor.get(f"/{CITY}/synonyms?format=csv").text
    answer = new(editor, **values)
    assert answer.status_int == 400
    assert message in answer
    assert editor.get(f"/{CITY}/synonyms?format=csv").text == before


def test_a_synonym_that_is_called_like_a_page_has_a_page(editor):
    page = new(editor, said="new").follow()
    assert page.click("new", href="new-2").forms["synonym"]["said"].value == "new"


def test_the_list_is_filtered_and_goes_out_as_csv(editor):
    new(editor, said="bache", language="es", means="pothole", means_language="en")
    rows = list(
        csv.DictReader(io.StringIO(editor.get(f"/{CITY}/synonyms?words=bache&format=csv").text))
    )
    assert [(each["said"], each["means_language"]) for each in rows] == [("bache", "en")]
    assert "Nothing matches" in editor.get(f"/{CITY}/synonyms?language=vi")


def test_who_may_not_publish_reads_only(sign_in):
    page = sign_in("specialist", CITY).get(f"/{CITY}/synonyms")
    assert "Add a synonym" not in page
    sign_in("specialist", CITY).get(f"/{CITY}/synonyms/new", status=403)


def test_what_was_asked_for_in_vain_becomes_a_synonym(editor, web_engine, people):
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        for words in ("flumph on the road", "flumph on the road", "snerk"):
            record_search(
                session, now=datetime.now(UTC), door="desk", words=words, language="en", results=0
            )
    page = editor.get(f"/{CITY}/searches")
    assert "flumph on the road" in page
    form = page.click("Make a synonym", index=0).forms["synonym"]
    assert form["said"].value == "flumph on the road"
    form["means"] = "pothole"
    after = form.submit("submit").follow()
    assert after.request.path == f"/{CITY}/searches"
    assert "flumph on the road" not in after.html.select_one("table").get_text()
    aside = about(after, "snerk").submit()
    assert "Nobody has searched in vain" in aside.follow()
    kept = editor.get(f"/{CITY}/searches?state=aside")
    assert "snerk" in kept
    again = about(kept, "snerk").submit("back")
    assert "snerk" in again.follow().html.select_one("table").get_text()
