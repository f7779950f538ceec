"""Lists of places: how they are taken in, and what is found in them."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from regional311.database.session import acting_for, scope_of
from regional311.errors import InvalidInput, NotFound
from regional311.gazetteer import lists
from regional311.gazetteer.lists import Broken, ListRefused, entries_of, read
from regional311.gazetteer.queries import ONE, SEVERAL, UNKNOWN, find, sources
from regional311.gazetteer.service import BrokenRows, Source, end_list, source_of, take_list

NOW = datetime(2026, 10, 1, tzinfo=UTC)
SOURCE = Source("city-list", "Addresses of the city", "Public domain")
LIST = """kind,name,number,street,cross_street,city,lat,lon,last_number,last_lat,last_lon
crossing,,,SE 82nd Ave,SE Division St,Portland,45.50457,-122.57852,,,
crossing,,,NE 82nd Ave,NE Sandy Blvd,Portland,45.56190,-122.57860,,,
landmark,City Hall,1221,SW 4th Ave,,Portland,45.51499,-122.67905,,,
address,,100,Main St,,Gresham,45.49900,-122.43100,,,
address,,100,Main St,,Fairview,45.53800,-122.43900,,,
stretch,,2000,SE Hawthorne Blvd,,Portland,45.51200,-122.64400,2098,45.51200,-122.64300
"""


@pytest.fixture(autouse=True)
def _lists(take):
    take(LIST)


@pytest.fixture
def take(dbsession):
    def take(content, source=SOURCE, name="list.csv", **options):
        content = content if isinstance(content, bytes) else content.encode()
        rows = read(io.BytesIO(content), name)
        return take_list(dbsession, source, rows, now=NOW, **options)

    return take


@pytest.mark.parametrize(
    ("words", "label"),
    [
        ("SE 82nd Ave and SE Division St", "SE 82nd Ave & SE Division St, Portland"),
        ("Division & 82", "SE 82nd Ave & SE Division St, Portland"),
        ("82nd at Sandy, Portland, OR 97220", "NE 82nd Ave & NE Sandy Blvd, Portland"),
        ("1221 Southwest Fourth Avenue, Room 110", "1221 SW 4th Ave, Portland"),
        ("city hall", "City Hall, Portland"),
        ("100 Main St, Gresham", "100 Main St, Gresham"),
        ("100 main street fairview or 97024", "100 Main St, Fairview"),
        ("2050 Hawthorne", "2050 SE Hawthorne Blvd, Portland"),
    ],
)
def test_a_place_is_found_as_people_say_it(dbsession, words, label):
    answer = find(dbsession, words)
    assert (answer.how, [each.label for each in answer.places]) == (ONE, [label])


def test_a_number_lies_on_its_stretch_on_its_side(dbsession):
    found = find(dbsession, "2049 SE Hawthorne Blvd")
    assert found.how == UNKNOWN
    one = find(dbsession, "2049 SE Hawthorne Blvd".replace("2049", "2098")).one
    assert (float(one.latitude), float(one.longitude)) == (45.512, -122.643)


def test_several_are_shown_and_none_is_taken(dbsession):
    answer = find(dbsession, "100 Main St")
    assert answer.how == SEVERAL
    assert {each.label for each in answer.places} == {
        "100 Main St, Gresham",
        "100 Main St, Fairview",
    }
    assert answer.one is None


@pytest.mark.parametrize("words", ["1221 SW 4th Ave, Salem", "City Hall, Lake Oswego, OR 97034"])
def test_another_city_is_asked_about(dbsession, words):
    assert find(dbsession, words).how == UNKNOWN
    assert len(find(dbsession, words).places) == 1


@pytest.mark.parametrize("words", ["SE 82nd & Devision", "Citty Hall", "100 Mian St"])
def test_a_slip_of_the_pen_is_asked_about_and_never_taken(dbsession, words):
    answer = find(dbsession, words)
    assert answer.how == UNKNOWN
    assert answer.places


@pytest.mark.parametrize(
    "words", ["", "  ", "NE 82nd & Division", "1221 NE 4th Ave", "nowhere at all", "&", "\x00"]
)
def test_what_is_said_otherwise_is_not_taken(dbsession, words):
    assert find(dbsession, words).one is None


def test_the_same_list_changes_nothing(take):
    again = take(LIST)
    assert (again.new, again.gone, again.same) == (0, 0, 7)


def test_a_dry_run_says_what_would_change_and_changes_nothing(dbsession, take):
    moved = LIST.replace("-122.57852", "-122.57900").replace(
        "address,,100,Main St,,Fairview", "address,,102,Main St,,Fairview"
    )
    seen = take(moved, dry_run=True)
    assert (seen.new, seen.gone, seen.same, seen.applied) == (2, 2, 5, False)
    assert find(dbsession, "100 Main St").how == SEVERAL
    assert take(moved).gone == 2
    assert find(dbsession, "100 Main St").one.label == "100 Main St, Gresham"
    back = take(LIST)
    assert (back.new, back.gone) == (2, 2)
    assert find(dbsession, "100 Main St").how == SEVERAL


def test_another_list_is_left_alone_and_the_same_place_counts_once(dbsession, take):
    other = Source("county-list", "Of the county", "CC0")
    head, crossing = LIST.splitlines()[:2]
    take(f"{head}\n{crossing.replace('-122.57852', '-122.57855')}\n", other)
    assert find(dbsession, "82nd & Division").how == ONE
    assert take(LIST).same == 7


def test_a_broken_row_stops_all_unless_it_is_skipped(dbsession, take):
    broken = (
        LIST
        + "address,,x12,Oak St,,Portland,45.5,-122.6,,,\n"
        + "crossing,,,Oak St,,,45.5,-122.6,,,\n"
        + "landmark,Far,,,,,95,-122.6,,,\n"
    )
    with pytest.raises(BrokenRows) as refused:
        take(broken)
    assert refused.value.message.splitlines() == [
        "row 8: number is a house number such as 1120.",
        "row 9: cross_street is missing; crossing needs it.",
        "row 10: latitude is a number of degrees between -90 and 90.",
    ]
    seen = take(broken, skip_broken=True)
    assert (seen.broken, seen.same) == (3, 7)


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("a,b\n1,2\n", "list.csv"),
        (b"lat,lon,name\n45,-122,\xff\n", "list.csv"),
        ('lat,lon,name\n45,-122,"open\n', "list.csv"),
        ('{"type": "FeatureCollection", "features": [{"type"', "list.geojson"),
        ("lat,lon\n", "list.xlsx"),
    ],
)
def test_a_file_that_is_none_is_refused_in_a_sentence(take, content, name):
    with pytest.raises(ListRefused):
        take(content, name=name)


def test_a_list_of_nothing_ends_nothing(dbsession, take):
    with pytest.raises(InvalidInput, match="no place"):
        take(LIST.splitlines()[0] + "\n")


def test_a_source_says_on_what_terms(take):
    with pytest.raises(InvalidInput, match="licence"):
        take(LIST, Source("key", "Name", " "))


@pytest.mark.parametrize(
    ("field", "source"),
    [
        ("key", Source("A Key", "Name", "CC0")),
        ("key", Source("", "Name", "CC0")),
        ("name", Source("key", "x" * 201, "CC0")),
        ("licence", Source("key", "Name", "two\nlines")),
        ("website", Source("key", "Name", "CC0", "javascript:alert(1)")),
    ],
)
def test_what_a_source_says_of_itself_is_plain(take, field, source):
    with pytest.raises(InvalidInput) as refused:
        take(LIST, source)
    assert refused.value.field == field


def test_a_source_says_again_only_what_is_new(dbsession):
    said_again = source_of(dbsession, "city-list", website="https://example.org")
    assert said_again == Source(
        "city-list", "Addresses of the city", "Public domain", "https://example.org"
    )


def test_a_list_that_was_ended_finds_nothing_until_it_is_taken_in_again(dbsession, take):
    assert end_list(dbsession, "city-list", now=NOW) == 7
    assert find(dbsession, "city hall").one is None
    assert [each.places for each in sources(dbsession, scope_of(dbsession).tenant_id)] == [0]
    assert take(LIST).new == 7
    assert find(dbsession, "city hall").how == ONE
    with pytest.raises(NotFound):
        end_list(dbsession, "other", now=NOW)


@pytest.mark.parametrize("lines", [False, True])
def test_geojson_is_read_a_feature_at_a_time(monkeypatch, lines):
    monkeypatch.setattr(lists, "_CHUNK", 50)
    features = [
        {
            "type": "Feature",
            "properties": {"number": str(number), "street": "Oak [St] \u00e9, x"},
            "geometry": {"type": "Point", "coordinates": [-122.6, 45.5]},
        }
        for number in range(1, 30)
    ]
    features.append(
        {
            "type": "Feature",
            "properties": {"number": 2, "last_number": 98, "street": "Elm St"},
            "geometry": {"type": "LineString", "coordinates": [[-122.6, 45.5], [-122.5, 45.6]]},
        }
    )
    features.append({"type": "Feature", "geometry": None})
    whole = {"type": "FeatureCollection", "name": "places", "features": features}
    content = (
        "\n".join(json.dumps(each) for each in features) if lines else json.dumps(whole, indent=1)
    )
    found = list(read(io.BytesIO(content.encode()), "list.geojson"))
    assert [number for number, _ in found] == list(range(1, 32))
    assert found[4][1][0].number == 5
    assert found[29][1][0].last_number == 98
    assert isinstance(found[30][1], Broken)


def test_only_the_partner_that_keeps_a_list_writes_it(dbsession, tenants):
    ended = text("UPDATE known_places SET ended_at = now()")
    with acting_for(dbsession, tenants["multnomah-county"]):
        assert find(dbsession, "city hall").how == ONE
        assert dbsession.execute(ended).rowcount == 0
    assert dbsession.execute(ended).rowcount == 7


def test_a_row_of_a_building_is_found_by_name_and_address():
    row = {"name": "City Hall", "number": "1221", "street": "SW 4th Ave", "lat": 45, "lon": -122}
    assert [each.kind for each in entries_of(row)] == ["address", "landmark"]
