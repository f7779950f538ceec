"""Which passwords are accepted, and how they are kept."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regional311.identity.passwords import (
    LONGEST,
    SHORTEST,
    PasswordTooWeak,
    check_password,
    hash_password,
    password_matches,
)


@pytest.mark.parametrize(
    "password",
    [
        "teapot gravel sunrise 7",
        "correct-giraffe-battery",
        "ПАРОЛЬ из нескольких слов",
        "a" * 5 + "zebra quilt mountain",
    ],
)
def test_words_make_a_good_password(password):
    check_password(password)


@pytest.mark.parametrize(
    "password",
    [
        "short",
        "fourteen chars",
        "x" * (LONGEST + 1),
        "passwordpassword",
        "Password-2026-Password",
        "111111111111111111",
        "123456789012345678",
        "qwertyuiopasdfghjkl",
        "letmein letmein letmein",
        "Portland Portland 311",
        "CorrectHorseBatteryStaple",
        "aaaaaaaaaaaaaaaaaaaa",
        "abababababababababab",
    ],
)
def test_what_is_tried_first_is_refused(password):
    with pytest.raises(PasswordTooWeak):
        check_password(password)


def test_ones_own_name_does_not_count():
    with pytest.raises(PasswordTooWeak):
        check_password(
            "Rosalind.Franklin.1920", known_of_person=("Rosalind Franklin", "rf@example.org")
        )


def test_a_password_matches_itself_only():
    stored = hash_password("teapot gravel sunrise 7")
    assert stored.startswith("$argon2id$")
    assert password_matches("teapot gravel sunrise 7", stored)
    assert not password_matches("teapot gravel sunrise 8", stored)
    assert not password_matches("teapot gravel sunrise 7", None)
    assert not password_matches("teapot gravel sunrise 7", "not a hash")


def test_the_same_letters_typed_on_another_keyboard_match():
    assert password_matches("cafe\u0301 teapot gravel", hash_password("café teapot gravel"))


def test_nobody_s_password_opens_nothing():
    assert not password_matches("the password of nobody at all", None)


@given(st.text(max_size=300))
def test_any_text_is_judged(password):
    with suppress(PasswordTooWeak):
        check_password(password, known_of_person=("Ada Lovelace", "ada@example.org"))
        assert len(password) >= SHORTEST
