"""Two entries are found to be alike by signs that both give, whoever comes first."""

from __future__ import annotations

import doctest
from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regional311.catalog import likeness as rule
from regional311.catalog.likeness import (
    COMMON,
    ENOUGH,
    WEIGHTS,
    Described,
    address_of,
    email_of,
    find_alike,
    likeness,
    name_of,
    phone_of,
    website_of,
)

CITY, COUNTY, INFO = (UUID(int=number) for number in (1, 2, 3))


def entry(
    kind="organization", tenant=CITY, key="a", name="", point=None, **signs: str | frozenset[str]
):
    sets = {
        sign: each if isinstance(each, frozenset) else frozenset([each])
        for sign, each in signs.items()
    }
    return Described(kind, tenant, key, name_of(name), sets, point)


def test_examples_of_the_docstrings():
    assert doctest.testmod(rule).failed == 0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Oregon Food Bank", "The Food Bank of Oregon, Inc."),
        ("Niñas & Niños", "ninas and ninos"),
        ("St. John’s Pantry", "St Johns Pantry"),
        ("The On-Ramp", "on ramp"),
    ],
)
def test_names_have_one_spelling(one, other):
    assert name_of(one) == name_of(other) != frozenset()


def test_a_name_of_small_words_only_keeps_them():
    assert name_of("The Inc") == frozenset(["inc the"])
    assert name_of("!?") == frozenset() == name_of(None)


@pytest.mark.parametrize("number", ["211", "911", "", None, "ask for Rosa"])
def test_short_numbers_tell_nothing(number):
    assert phone_of(number) == frozenset()


@pytest.mark.parametrize("address", ["", None, "localhost", "http://[broken", "no address"])
def test_what_is_no_web_address_tells_nothing(address):
    assert website_of(address) == frozenset()


def test_e_mail_addresses_in_small_letters():
    assert email_of(" Help@Pantry.example ") == frozenset(["help@pantry.example"])
    assert email_of("see the website") == frozenset() == email_of(None)


def test_an_address_needs_a_number_and_a_place():
    assert address_of("Pioneer Square", "Portland", None) == frozenset()
    assert address_of("12 Main Street", None, None) == frozenset()
    assert address_of("12 Main St", None, "97201") == frozenset(["12 main st, 97201"])


@pytest.mark.parametrize(
    ("kind", "mine", "theirs", "reasons", "enough"),
    [
        ("organization", {"name": "Rose Pantry"}, {"name": "Pantry Rose"}, ("name",), True),
        ("organization", {"name": "Rose Pantry"}, {"name": "Roses Pantry"}, ("near_name",), False),
        (
            "organization",
            {"name": "Rose Pantry", "phone": "5035550100"},
            {"name": "Roses Pantry", "phone": "5035550100"},
            ("near_name", "phone"),
            True,
        ),
        (
            "organization",
            {"name": "Rose", "website": "rose.example", "email": "a@rose.example"},
            {"name": "Lily", "website": "rose.example", "email": "a@rose.example"},
            ("website", "email"),
            True,
        ),
        ("organization", {"name": "Rose", "id": "x"}, {"name": "Lily", "id": "x"}, ("id",), True),
        (
            "location",
            {"name": "Hall", "address": "1 a st, portland"},
            {"name": "Annex", "address": "1 a st, portland"},
            ("address",),
            True,
        ),
        (
            "location",
            {"name": "Hall", "point": (45.5, -122.6)},
            {"name": "Hall", "point": (45.5003, -122.6)},
            ("name", "point"),
            True,
        ),
        (
            "location",
            {"name": "Hall", "point": (45.5, -122.6)},
            {"name": "Hall", "point": (45.51, -122.6)},
            ("name",),
            False,
        ),
        ("service", {"name": "Pantry"}, {"name": "Pantry"}, ("name",), False),
        (
            "service",
            {"name": "Pantry", "organization": "rose"},
            {"name": "Pantry", "organization": "rose"},
            ("name", "organization"),
            True,
        ),
        (
            "service",
            {"name": "Rent help", "organization": "rose", "phone": "5", "website": "r.example"},
            {"name": "Free lunch", "organization": "rose", "phone": "5", "website": "r.example"},
            (),
            False,
        ),
        ("service", {"name": "Rent", "id": "x"}, {"name": "Lunch", "id": "x"}, ("id",), True),
    ],
)
def test_signs_add_up(kind, mine, theirs, reasons, enough):
    found = likeness(entry(kind, CITY, **mine), entry(kind, COUNTY, **theirs))
    assert (found.reasons, found.score >= ENOUGH) == (reasons, enough)


def test_what_many_have_tells_nothing():
    hotline = [
        entry("organization", CITY, f"o{number}", f"Body {number} here", phone="5035550100")
        for number in range(COMMON + 1)
    ]
    other = entry("organization", COUNTY, "o", "Bodies here 0", phone="5035550100")
    assert find_alike(hotline, [other]) == {}
    assert find_alike(hotline[:-1], [other]) != {}
    assert find_alike([other], hotline) == {}


def test_one_partner_s_own_entries_are_not_compared():
    one, other = entry(key="a", name="Rose Pantry"), entry(key="b", name="Rose Pantry")
    assert find_alike([one, other], [one, other]) == {}


def test_kinds_are_not_compared_with_each_other():
    mine = entry("organization", CITY, name="Rose Hall", id="x")
    theirs = entry("location", COUNTY, name="Rose Hall", id="x")
    assert find_alike([mine], [theirs]) == {}


# --- properties ----------------------------------------------------------------------------------

WORDS = st.sampled_from(["rose", "food", "pantry", "pantries", "bank", "1", "2"])
NAMES = st.lists(WORDS, min_size=1, max_size=3).map(" ".join)
VALUES = st.frozensets(st.sampled_from(["v1", "v2", "v3"]), max_size=2)
POINTS = st.none() | st.tuples(
    st.sampled_from([45.5, 45.5002, 45.6]), st.sampled_from([-122.6, -122.6002])
)
ENTRIES = st.builds(
    Described,
    st.sampled_from(sorted(WEIGHTS)),
    st.sampled_from([CITY, COUNTY, INFO]),
    st.sampled_from([f"k{number}" for number in range(12)]),
    st.lists(NAMES, max_size=2).map(
        lambda names: frozenset().union(*(name_of(each) for each in names))
    ),
    st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(
            ("id", "website", "email", "phone", "address", "organization"), VALUES
        ),
    ),
    POINTS,
)
REGIONS = st.lists(ENTRIES, max_size=30, unique_by=lambda each: each.ref)


@settings(deadline=None)
@given(ENTRIES, ENTRIES)
def test_likeness_is_symmetric(one, other):
    other = replace(other, kind=one.kind)
    assert likeness(one, other) == likeness(other, one)


@settings(deadline=None)
@given(ENTRIES, ENTRIES, st.sampled_from(["id", "phone"]), st.sampled_from(["v1", "v2"]))
def test_another_sign_in_common_never_makes_it_less_likely(one, other, sign, value):
    other = replace(other, kind=one.kind)
    if sign not in WEIGHTS[one.kind]:
        return
    more = [
        replace(
            each, signs={**each.signs, sign: each.signs.get(sign, frozenset()) | frozenset([value])}
        )
        for each in (one, other)
    ]
    assert likeness(*more).score >= likeness(one, other).score


@settings(deadline=None)
@given(REGIONS, st.randoms(use_true_random=False))
def test_the_order_of_entries_makes_no_difference(region, chance):
    mine = [each for each in region if each.tenant == CITY]
    others = [each for each in region if each.tenant != CITY]
    found = find_alike(mine, others)
    chance.shuffle(mine)
    chance.shuffle(others)
    assert find_alike(mine, others) == found


@settings(deadline=None)
@given(REGIONS)
def test_both_partners_find_the_same_pairs(region):
    def seen_by(tenant):
        return find_alike(
            [each for each in region if each.tenant == tenant],
            [each for each in region if each.tenant != tenant],
        )

    theirs = {(one, other): said for (other, one), said in seen_by(COUNTY).items()}
    for (one, other), said in seen_by(CITY).items():
        if other[1] == COUNTY:
            assert theirs.pop((one, other)) == said
    assert not [pair for pair in theirs if pair[0][1] == CITY]


@settings(deadline=None)
@given(REGIONS)
def test_what_is_found_is_likely_enough_and_of_one_kind(region):
    by_ref = {each.ref: each for each in region}
    mine = [each for each in region if each.tenant == CITY]
    for (one, other), said in find_alike(mine, region).items():
        assert said.score >= ENOUGH
        assert one[0] == other[0]
        assert one[1] == CITY != other[1]
        assert said.reasons
        assert {one, other} <= by_ref.keys()
