"""The words of a place in one spelling."""

from __future__ import annotations

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regional311.gazetteer import spelling
from regional311.gazetteer.spelling import bare, crossing, said, spelled, within

STREETS = st.builds(
    lambda *parts: " ".join(filter(None, parts)),
    st.sampled_from(["", "N", "SE", "Northwest", "South West"]),
    st.sampled_from(["82nd", "Division", "Martin Luther King Jr", "Fifth", "Saint Helens", "12"]),
    st.sampled_from(["", "Street", "Ave.", "Blvd", "Highway"]),
)


def test_examples_hold():
    assert doctest.testmod(spelling).failed == 0


@given(st.text(max_size=80))
def test_spelling_again_changes_nothing(text):
    once = spelled(text)
    assert spelled(once) == once


@given(st.text(max_size=400))
def test_any_text_is_read(text):
    read = said(text)
    assert within(read.bare, read.words)
    assert read.number is None or 0 <= read.number < 1_000_000


@given(STREETS, STREETS, st.sampled_from([" & ", " and ", " AT ", " @ ", "/", " y "]))
def test_the_order_of_a_crossing_does_not_count(one, other, between):
    assert said(one + between + other) == said(other + between + one)
    assert said(one + between + other).words == crossing(one, other)


@given(st.integers(1, 99_999), STREETS)
def test_a_house_number_stays(number, street):
    read = said(f"{number} {street}")
    assert read.number == number
    assert read.words.split()[0] == str(number)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1120 SW 5th Ave", "1120 southwest fifth avenue"),
        ("1120 SW 5th Ave", "1120 S.W. 5 Av., Suite 100, Portland, Oregon 97204"),
        ("1120 SW 5th Ave", "1120 sw 5th ave portland or 97204"),
        ("1120 SW 5th Ave", "1120 SW 5th Ave #12"),
        ("SE 82nd Ave & SE Division St", "the corner of SE Division Street and SE 82 Avenue"),
        ("SE 82nd Ave & SE Division St", "esquina de SE 82nd Ave y SE Division St"),
        ("St. Johns Bridge", "Saint John's bridge"),
        ("US Hwy 26 & SE 50th Ave", "SE Fiftieth Ave and US Highway 26".replace("Fiftieth", "50")),
    ],
)
def test_the_same_place_is_spelled_the_same(one, other):
    assert said(one).words == said(other).words


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1120 SW 5th Ave", "1120 SE 5th Ave"),
        ("Burnside Bridge", "Burnside Street"),
        ("12 N Main St", "12 Main St"),
    ],
)
def test_other_places_are_not(one, other):
    assert said(one).words != said(other).words


def test_what_was_left_out_may_be_missing():
    assert bare(said("82nd and Division").words) == said("SE 82nd Ave & SE Division St").bare
    assert within(said("82 & Division").words, said("SE 82nd Ave & SE Division St").words)
    assert not within(said("NE 82nd & Division").words, said("SE 82nd Ave & SE Division St").words)


def test_what_follows_the_street_is_kept_apart():
    assert said("100 Main St, Gresham, OR 97030").tail == "gresham"
    assert said("100 Main St Gresham").tail == "gresham"
    assert said("Oak St & 3rd Ave, Fairview").tail == "fairview"
