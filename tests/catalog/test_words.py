"""Plain words of five languages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regional311.catalog.words import (
    FUNCTION_WORDS,
    content_words,
    is_function_word,
    joined,
    languages_of,
    masked,
    slips_between,
    words_of,
)


@pytest.mark.parametrize(
    ("text", "language", "words"),
    [
        ("My trash wasn't picked up", "en", ["trash", "picked"]),
        ("the A.D.A. e-mail", "en", ["ada", "e", "mail"]),
        ("¿Qué día pasa la basura?", "es", ["dia", "pasa", "basura"]),
        ("Đèn đường bị hỏng", "vi", ["den", "duong", "hong"]),
        # a dog, and the word for *for*: only the accents tell them apart
        ("chó cho", "vi", ["cho"]),
        ("не горит фонарь, моё авто", "ru", ["горит", "фонарь", "авто"]),
        ("路燈壞了 24", "zh-Hant", ["路燈", "燈壞", "壞了", "24"]),
        ("坑", "zh-Hant", ["坑"]),
        ("", "en", []),
    ],
)
def test_content_words(text, language, words):
    assert content_words(text, language) == words


def test_neighbours_are_joined_but_not_in_chinese():
    assert joined(["pot", "hole", "路燈", "路燈"]) == ["pothole"]


def test_a_script_belongs_to_its_languages():
    assert languages_of("路燈") == ("zh-Hant",)
    assert languages_of("свет") == ("ru",)
    assert "ru" in languages_of("311")
    assert "zh-Hant" not in languages_of("light")


def test_every_language_knows_its_words_of_speech_in_plain_form():
    for language, words in FUNCTION_WORDS.items():
        for word in words:
            (plain,) = words_of(word)
            assert is_function_word(plain, word, language)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("503-555-0134", "#"),
        ("(503) 555 0134 call", "# call"),
        ("apt 5 at 1120 SW 5th", "apt # at # sw #th"),
        ("ana@example.org lost cat", "# lost cat"),
        ("  Pot   HOLE ", "pot hole"),
        ("x" * 300, "x" * 100),
    ],
)
def test_nothing_that_points_at_a_person_is_kept(said, kept):
    assert masked(said) == kept


@given(st.text(max_size=60))
def test_masked_text_has_no_digit(text):
    assert not any(each.isdecimal() for each in masked(text))


@given(st.text("abc", min_size=1, max_size=8), st.data())
def test_a_lost_a_changed_and_a_swapped_letter_are_one_slip(word, data):
    at = data.draw(st.integers(0, len(word) - 1))
    lost = word[:at] + word[at + 1 :]
    assert slips_between(word, lost, 2) == 1 == slips_between(lost, word, 2)
    changed = word[:at] + "z" + word[at + 1 :]
    assert slips_between(word, changed, 2) == 1
    swapped = word[:at] + word[at : at + 2][::-1] + word[at + 2 :]
    assert slips_between(word, swapped, 2) in (0, 1)
    assert slips_between(word, word + "xyz", 2) is None


@given(st.text("abcd", max_size=7), st.text("abcd", max_size=7))
def test_slips_are_the_same_both_ways(one, other):
    assert slips_between(one, other, 2) == slips_between(other, one, 2)
