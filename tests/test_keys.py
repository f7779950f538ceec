"""Keys are made of what people call a thing."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regional311.keys import LONGEST_KEY, key_for


@pytest.mark.parametrize(
    ("words", "key"),
    [
        ("How big is it?", "how-big-is-it"),
        ("¿Qué tan grande?", "que-tan-grande"),
        ("這是什麼?", "question"),
        ("", "question"),
        ("a" * 90, "a" * LONGEST_KEY),
        (
            "What should the crew know about it before it comes to your street?",
            "what-should-the-crew-know-about-it",
        ),
    ],
)
def test_keys_are_made_of_words(words, key):
    assert key_for(words, set(), "question") == key


@given(st.text(max_size=80), st.lists(st.text(max_size=80), max_size=5))
def test_every_key_is_one_and_new(words, others):
    taken: set[str] = set()
    for each in others:
        taken.add(key_for(each, taken, "thing"))
    made = key_for(words, taken, "thing")
    assert made not in taken
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", made)
