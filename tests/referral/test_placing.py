"""Words of a place before anything is decided: a point, several, or words that stay words."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from regional311.gazetteer.lists import read
from regional311.gazetteer.queries import NOT_KNOWN, ONE, SEVERAL, UNKNOWN
from regional311.gazetteer.service import Source, take_list
from regional311.referral.filing import Intake, Place
from regional311.referral.placing import KEEP, placed

NOW = datetime(2026, 10, 1, tzinfo=UTC)
LIST = """number,street,city,latitude,longitude
1200,Main St,Portland,45.51500,-122.67900
1200,Main St,Gresham,45.49900,-122.43100
7,Oak St,,45.52200,-122.67000
"""


@pytest.fixture
def _listed(city):
    rows = read(io.BytesIO(LIST.encode()), "list.csv")
    take_list(city, Source("list", "Addresses", "CC0"), rows, now=NOW)


@pytest.mark.parametrize(
    "place",
    [
        Place(),
        Place("  "),
        Place("7 Oak St", kind="neighbourhood"),
        Place("7 Oak St", Decimal("45.5"), Decimal("-122.6")),
    ],
)
def test_nothing_is_asked_where_nothing_can_be_found(place):
    assert placed(None, None, place) == (place, NOT_KNOWN)


@pytest.mark.usefixtures("_listed")
def test_one_place_is_a_point_and_keeps_its_words(city, region):
    at, answer = placed(city, region, Place("7 oak street"))
    assert at == Place("7 oak street", Decimal("45.522"), Decimal("-122.67"), looked_up=ONE)
    assert at.stored_kind == "address"
    assert answer.one.label == "7 Oak St"


@pytest.mark.usefixtures("_listed")
def test_of_several_the_chosen_one_counts(city, region):
    place = Place("1200 Main St", kind="address")
    several, answer = placed(city, region, place)
    assert (answer.how, several) == (SEVERAL, replace(place, looked_up=SEVERAL))
    assert placed(city, region, place, KEEP)[0] == several
    assert placed(city, region, place, "made up")[0] == several
    for each in answer.places:
        at = placed(city, region, place, each.id)[0]
        assert (at.latitude, at.longitude) == (each.latitude, each.longitude)


@pytest.mark.usefixtures("_listed")
def test_a_known_place_outside_the_city_that_was_named_is_not_meant(city, region):
    named, answer = placed(city, region, Place("7 Oak St, Portland"))
    assert named.latitude is not None
    elsewhere, answer = placed(city, region, Place("7 Oak St, Gresham"))
    assert (elsewhere.latitude, answer.how) == (None, UNKNOWN)


@pytest.mark.usefixtures("_listed")
def test_what_is_known_tomorrow_does_not_change_what_was_said_today(city, region):
    def digest(place):
        return Intake(source="web", key="k", channel="web", started_at=NOW, place=place).digest

    for words in ("7 oak street", "1200 Main St"):
        said = Place(words)
        assert digest(placed(city, region, said)[0]) == digest(said)
    several, answer = placed(city, region, Place("1200 Main St"))
    one, other = (placed(city, region, several, each.id)[0] for each in answer.places)
    assert len({digest(several), digest(one), digest(other)}) == 3
    assert digest(Place("", Decimal(45), Decimal(-122))) != digest(Place())
