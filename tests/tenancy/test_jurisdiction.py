"""Places and boundaries: the most specific wins, ties and neighbours are shown."""

from __future__ import annotations

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry.base import BaseGeometry

from regional311.tenancy.jurisdiction import (
    NO_PLACE,
    BadBoundary,
    Boundary,
    JurisdictionIndex,
    geometry_from,
)

METRE = 1 / 111_320


def boundary(key: str, tenant: str, shape: BaseGeometry, **values) -> Boundary:
    return Boundary(f"{tenant}/{key}", tenant, key.title(), shape, **values)


CITY = boundary("portland", "city", shapely.box(-122.7, 45.4, -122.5, 45.6), names=("St. Johns",))
COUNTY = boundary("county", "county", shapely.box(-122.8, 45.3, -122.2, 45.7))
BRIDGE = boundary(
    "bridge",
    "county",
    shapely.LineString([(-122.65, 45.52), (-122.55, 45.52)]),
    tolerance_m=30.0,
    names=("burnside bridge",),
)
INDEX = JurisdictionIndex([COUNTY, CITY, BRIDGE])


def test_smaller_area_first():
    located = INDEX.locate(-122.6, 45.5)
    assert located.keys == ("city/portland", "county/county")
    assert located.known
    assert not located.near
    assert not located.ambiguous
    assert located.reasons == (("inside", "city/portland"), ("inside", "county/county"))


def test_line_within_its_tolerance_beats_areas():
    assert INDEX.locate(-122.6, 45.52 + 29 * METRE).keys[0] == "county/bridge"
    assert "county/bridge" not in INDEX.locate(-122.6, 45.52 + 32 * METRE).keys


def test_neighbour_is_shown_near_an_edge():
    inside = INDEX.locate(-122.6, 45.4 + 10 * METRE)
    assert inside.near
    assert inside.keys == ("city/portland", "county/county")
    outside = INDEX.locate(-122.6, 45.4 - 10 * METRE)
    assert outside.keys == ("county/county",)
    assert [(each.key, each.inside) for each in outside.candidates] == [
        ("county/county", True),
        ("city/portland", False),
    ]
    assert outside.near
    assert not INDEX.locate(-122.6, 45.4 - 40 * METRE).near


def test_ties_are_shown_not_guessed():
    twin = boundary("twin", "other", CITY.geometry)
    located = JurisdictionIndex([CITY, twin]).locate(-122.6, 45.5)
    assert located.ambiguous
    assert ("tie", "2") in located.reasons
    assert {each.rank for each in located.candidates} == {0}


def test_outside_everything():
    for point in ((-121.0, 44.0), (-122.8 - 60 * METRE, 45.5)):
        located = INDEX.locate(*point)
        assert not located.known
        assert located.reasons == (("outside-region", ""),)
    assert JurisdictionIndex([]).locate(0, 0).candidates == ()


@pytest.mark.parametrize(
    ("words", "keys"),
    [
        ("N Lombard St, St Johns, 97203", ("city/portland",)),
        ("on the BURNSIDE bridge, Portland", ("county/bridge", "city/portland")),
        ("97203", ()),
        ("Portlandia", ()),
        ("", ()),
    ],
)
def test_words(words, keys):
    located = INDEX.locate_words(words)
    assert located.keys == keys
    assert located.how == ("words" if keys else "none")


def test_no_place_is_a_result():
    assert not NO_PLACE.known
    assert NO_PLACE.reasons == (("no-place", ""),)


SQUARE = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]]}


def test_geometry_is_read():
    assert geometry_from(SQUARE).area == 1
    assert geometry_from({"type": "Feature", "geometry": SQUARE, "properties": {}}).area == 1
    assert geometry_from('{"type": "LineString", "coordinates": [[0, 0], [1, 1]]}').length > 1


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({**SQUARE, "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]}, "crossing|Self"),
        ({"type": "Polygon", "coordinates": []}, "empty"),
        ({"type": "Point", "coordinates": [0, 0]}, "not a Point"),
        ({**SQUARE, "coordinates": [[[0, 0], [500, 0], [500, 1], [0, 0]]]}, "longitude"),
        ({"type": "Feature"}, "not a GeoJSON"),
        ("not json", "not a GeoJSON"),
        ("[]", "not a GeoJSON"),
    ],
)
def test_bad_geometry_says_why(bad, words):
    with pytest.raises(BadBoundary, match=words):
        geometry_from(bad)


@given(st.floats(-122.9, -122.1), st.floats(45.2, 45.8))
def test_index_agrees_with_geometry(longitude, latitude):
    """Every area that holds a point is found, ordered from small to large, and no other."""
    located = INDEX.locate(longitude, latitude)
    point = shapely.Point(longitude, latitude)
    near_edge = any(each.geometry.boundary.distance(point) < METRE / 100 for each in (CITY, COUNTY))
    areas = {each.key for each in located.candidates if each.kind == "area" and each.inside}
    if not near_edge:
        assert areas == {each.key for each in (CITY, COUNTY) if each.geometry.intersects(point)}
    ranks = [each.rank for each in located.candidates]
    assert ranks == sorted(ranks)
    assert all(each.kind == "line" for each in located.candidates[:1] if each.key == BRIDGE.key)


def test_a_point_that_nobody_can_mean_lies_out_of_reach():
    reach = JurisdictionIndex([CITY]).reach
    assert (reach.west, reach.south, reach.east, reach.north) == (-123.3, 45.0, -121.9, 46.0)
    assert reach.holds(-122.0, 45.9)  # some way outside: somebody may ask whose that is
    for longitude, latitude in ((45.5, -122.6), (122.6, 45.5), (0.0, 0.0), (151.2, -33.9)):
        assert not reach.holds(longitude, latitude)
    assert JurisdictionIndex([]).reach.holds(151.2, -33.9)
