"""Finding services by people's words."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regional311.catalog.directory import Directory, Disposition, Service
from regional311.catalog.search import SearchIndex, one_slip, rank, words_of

SERVICES = (
    Service(
        "city",
        "pothole",
        "Pothole in a street",
        term="pothole",
        keywords=("hole in the road", "broken pavement"),
    ),
    Service("county", "bridge-pothole", "Pothole on a County bridge", term="pothole"),
    Service("city", "graffiti", "Graffiti", summary="Paint on a wall or a bridge."),
    Service("211info", "shelter", "Shelter tonight", keywords=("bed", "homeless", "café")),
)


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("pothole", "city/pothole"),
        ("POTHOLES", "city/pothole"),
        ("pohtole", "city/pothole"),
        ("potole", "city/pothole"),
        ("poth", "city/pothole"),
        ("pothole on a bridge", "county/bridge-pothole"),
        ("hole in the road", "city/pothole"),
        ("I need a bed", "211info/shelter"),
        ("cafe", "211info/shelter"),
        ("grafitti", None),
        ("graffitti", "city/graffiti"),
    ],
)
def test_what_comes_first(typed, first):
    hits = rank(SERVICES, typed)
    assert (hits[0].service.ref if hits else None) == first


def test_nothing_for_nothing():
    for typed in ("", "   ", "the of a", "zzzz", "!?"):
        assert rank(SERVICES, typed) == []


def test_own_services_come_first_among_equals():
    twins = (Service("a", "x", "Noise"), Service("b", "x", "Noise"))
    index = SearchIndex(twins)
    assert index.rank("noise", prefer="b")[0].service.tenant == "b"
    assert index.rank("noise", prefer="a")[0].service.tenant == "a"
    assert len(index.rank("noise", limit=1)) == 1


@given(st.text(max_size=40))
def test_any_text_gives_an_ordered_list(text):
    scores = [hit.score for hit in rank(SERVICES, text)]
    assert scores == sorted(scores, reverse=True)
    assert all(score > 0 for score in scores)


@given(st.text("abc", min_size=1, max_size=8), st.data())
def test_one_slip_is_symmetric_and_finds_a_lost_letter(word, data):
    at = data.draw(st.integers(0, len(word) - 1))
    lost = word[:at] + word[at + 1 :]
    assert one_slip(word, lost)
    assert one_slip(lost, word)
    assert not one_slip(word, word + "xy")


def test_words():
    assert words_of("The Addresses of my buses, café!") == ["addresse", "buse", "cafe"]


def test_directory():
    ended = Service("city", "old", "Old", term="pothole", ended_on=date(2026, 1, 1))
    directory = Directory((*SERVICES, ended))
    on = date(2026, 10, 5)
    pothole = directory.find("city/pothole")
    assert [each.ref for each in directory.family(pothole, on)] == [
        "city/pothole",
        "county/bridge-pothole",
    ]
    assert directory.find("city/none") is None
    assert [each.key for each in directory.of("city", on)] == ["graffiti", "pothole"]
    assert len(directory.of("city")) == 3
    graffiti = directory.find("city/graffiti")
    assert directory.family(graffiti, on) == (graffiti,)


def test_disposition_changes_on_a_date():
    service = Service(
        "city",
        "x",
        "X",
        dispositions=(
            Disposition("refer", None, date(2027, 7, 1)),
            Disposition("resolve", date(2027, 7, 1)),
        ),
    )
    assert service.disposition(date(2027, 6, 30)) == "refer"
    assert service.disposition(date(2027, 7, 1)) == "resolve"
    assert Service("city", "y", "Y").disposition(date(2027, 7, 1)) == "undecided"
