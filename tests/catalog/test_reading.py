"""How a question is read, from what the vocabulary knows of its words."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regional311.catalog.reading import (
    BEGINS,
    LIKE,
    MOST_WORDS,
    SAME,
    SLIP,
    SYNONYM,
    Correction,
    Known,
    question,
    quoted,
    read,
)

DOCUMENTS = {"en": 100, "es": 100}
CITY = UUID(int=7)


def known(how, at, word, documents=1, *, until=None, language="en", stems=None, tenant_id=None):
    return Known(
        how,
        at,
        at if until is None else until,
        language,
        word,
        tuple((stems or word).split()),
        documents,
        tenant_id,
    )


def english(text, *found, typing=False, language="en"):
    reading = read(question(text, typing=typing), found, DOCUMENTS, language=language)
    return reading, reading.interpretations[0] if reading.interpretations else None


def test_words_of_speech_are_asked_about_only_as_part_of_a_phrase():
    forms = {
        (form.word, form.content) for form in question("pick it up", typing=False).forms
        if form.language == "en"
    }  # fmt: skip
    assert forms == {("pick", True), ("it", False), ("up", False)}


def test_neighbours_are_asked_about_as_one_word():
    forms = [form for form in question("pot hole", typing=False).forms if form.language == "en"]
    assert [(form.word, form.at, form.until) for form in forms] == [
        ("pot", 0, 0),
        ("hole", 1, 1),
        ("pothole", 0, 1),
    ]


@pytest.mark.parametrize(("text", "begins"), [("street li", True), ("street li ", False)])
def test_only_the_last_word_is_unfinished_and_only_before_a_space(text, begins):
    forms = {form.word: form.begins for form in question(text, typing=True).forms}
    assert forms["li"] is begins
    assert forms["street"] is False
    assert forms["streetli"] is begins


def test_a_word_that_nobody_uses_is_not_held_against_anything():
    _reading, one = english("xyzzy pothole", known(SAME, 1, "pothole"))
    assert [place.word for place in one.places] == ["pothole"]


def test_what_is_rare_weighs_more():
    _reading, one = english(
        "street pothole", known(SAME, 0, "street", 80), known(SAME, 1, "pothole", 2)
    )
    street, pothole = one.places
    assert street.weight < pothole.weight / 4


def test_a_slip_is_corrected_to_the_nearest_word_and_told():
    reading, one = english(
        "pohtole",
        known(SLIP, 0, "pothole", 2),
        known(SLIP, 0, "potholder", 9),
        known(SLIP, 0, "pathole", 1),
    )
    assert reading.corrections == (Correction("pohtole", "pothole"),)
    assert one.places[0].ways[0].words == ("pothole",)


def test_a_short_word_keeps_its_first_letter():
    _reading, one = english("kill", known(SLIP, 0, "bill", 9))
    assert one is None
    _reading, one = english("bil", known(SLIP, 0, "bill", 9))
    assert one.places[0].ways[0].how == SLIP


def test_what_is_known_is_not_corrected():
    reading, one = english("park", known(SAME, 0, "park"), known(SLIP, 0, "part", 9))
    assert reading.corrections == ()
    assert [way.how for way in one.places[0].ways] == [SAME]


def test_a_beginning_counts_less_when_it_is_a_word_itself():
    _reading, word = english("park", known(SAME, 0, "park"), known(BEGINS, 0, "parking"))
    _reading, piece = english("parki", known(BEGINS, 0, "parking"))
    assert word.places[0].ways[1].factor < piece.places[0].ways[0].factor


def test_a_phrase_of_several_words_is_met_at_each_of_them():
    _reading, one = english(
        "food stamps",
        known(SAME, 0, "food", 30),
        known(SYNONYM, 0, "snap", 2, until=1),
    )
    assert [[way.how for way in place.ways] for place in one.places] == [[SAME, SYNONYM], [SYNONYM]]


def test_a_phrase_of_words_of_speech_alone_has_a_place():
    _reading, one = english("get out", known(SYNONYM, 0, "eviction", 2, until=1))
    assert [place.word for place in one.places] == ["get"]


def test_a_partners_synonym_holds_for_its_own():
    _reading, one = english(
        "snap", known(SAME, 0, "snap"), known(SYNONYM, 0, "benefits", tenant_id=CITY)
    )
    assert [way.tenant_id for way in one.places[0].ways] == [None, CITY]


def test_the_language_is_the_one_that_knows_most_of_the_words():
    reading, _one = english(
        "luces de la calle",
        known(SAME, 0, "luces", language="es", stems="luc"),
        known(SAME, 3, "calle", language="es", stems="call"),
        known(SLIP, 3, "call", language="en"),
    )
    assert [each.language for each in reading.interpretations] == ["es"]
    assert reading.language == "es"


def test_a_word_of_two_languages_is_looked_for_in_both_the_pages_first():
    found = (known(SAME, 0, "bus"), known(SAME, 0, "bus", language="es"))
    for language in ("en", "es"):
        reading, _one = english("bus", *found, language=language)
        assert len(reading.interpretations) == 2
        assert reading.language == language


def test_a_synonym_may_be_of_another_language():
    reading, one = english("thư viện", known(SYNONYM, 0, "library", until=1))
    assert one.language == "en"
    assert [place.word for place in one.places] == ["thư", "viện"]
    assert reading.words == ("thư", "viện")


def test_phrases_are_all_the_words_and_some_neighbours():
    _reading, one = english(
        "hole road house",
        known(SAME, 0, "hole"),
        known(SAME, 1, "road"),
        known(SAME, 2, "house", stems="hous"),
    )
    assert one.whole == ("=hole hous road",)
    assert one.parts == ("=hole road", "=hous road", "=hole", "=road", "=hous")


def test_better_part_wants_two_words_or_one_that_weighs_as_much():
    words = ("hole", "road", "light", "tree")
    found = [known(SAME, at, word, 5) for at, word in enumerate(words)]
    _reading, alike = english(" ".join(words), *found)
    assert alike.better_part.count("&") == 6
    assert "'hole'" in alike.some_places
    _reading, heavy = english(
        "street xylophone", known(SAME, 0, "street", 60), known(SAME, 1, "xylophone", 1)
    )
    assert heavy.better_part == "('xylophone')"
    assert "street" not in heavy.some_places
    assert heavy.all_places == "(('street')) & (('xylophone'))"


def test_nothing_is_known_of_nothing():
    reading, one = english("the of a")
    assert one is None
    assert reading.words == ("the", "of", "a")


@given(st.text(max_size=400), st.booleans())
def test_any_text_is_a_question(text, typing):
    asked = question(text, typing=typing)
    assert len(asked.words) <= MOST_WORDS
    found = [
        Known(how, form.at, form.until, form.language, form.word, (form.word,), 1)
        for form in asked.forms
        for how in (SAME, BEGINS, SLIP, LIKE, SYNONYM)
    ]
    reading = read(asked, found, DOCUMENTS, language="en")
    for each in reading.interpretations:
        assert each.places
        assert each.weight > 0
        assert each.better_part
        assert each.all_places


@given(st.text(max_size=30))
def test_a_word_never_breaks_out_of_its_quotes(text):
    inner = quoted(text)[1:-1]
    assert "'" not in inner.replace("''", "").replace("\\\\", "")
