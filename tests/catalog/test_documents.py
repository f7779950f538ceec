"""What the search knows of services and articles."""

from __future__ import annotations

from datetime import date

import pytest

from regional311.catalog.documents import (
    documents_of_article,
    documents_of_service,
    is_free,
    multirange,
)

CITY = {"slug": "city", "name": "City of Portland", "short_name": "Portland", "language": "en"}


def service(**changed):
    details = changed.pop("details", {})
    return {
        "key": "pothole",
        "name": "Pothole in a street",
        "summary": "A crew fills it.",
        "verb": "report",
        "term": "pothole",
        "bureau": "Bureau of Transportation",
        "boundary_key": None,
        "keywords": ["hole in the road"],
        "details": {"group": "Streets", **details},
        "ended_on": None,
        "organization": None,
        "places": None,
        "term_names": None,
        **changed,
    }


def only(row):
    (found,) = documents_of_service(row, CITY)
    return found


def test_words_go_where_they_weigh():
    found = only(
        service(
            organization="Street Fund",
            term_names={"en": ["Road repair"], "es": ["Reparación"]},
            details={"information": "Call first.", "document": [{"name": "A photo"}]},
        )
    )
    assert found.a == "pothole street potholestreet"
    assert found.b == "hole road holeroad street fund streetfund road repair roadrepair"
    assert "photo" in found.c.split()
    assert "portland" in found.c.split()
    assert found.d == "call first"
    assert found.phrases == ("pothole street", "hole road", "street fund", "road repair")
    assert found.documents is True
    assert found.spoken[0] == ""
    assert "pothole" in found.spoken


def test_each_translation_is_a_document_of_its_own():
    words = {
        "language": "es",
        "name": "Bache en una calle",
        "summary": "Una cuadrilla lo rellena.",
        "keywords": ["hoyo"],
    }
    english, spanish = documents_of_service(service(details={"translation": [words]}), CITY)
    assert (english.language, spanish.language) == ("en", "es")
    assert (spanish.title, spanish.a, spanish.b) == (
        "Bache en una calle",
        "bache calle bachecalle",
        "hoyo",
    )


@pytest.mark.parametrize(
    "hidden",
    [
        {"details": {"status": "inactive"}},
        {"details": {"status": "defunct"}},
    ],
)
def test_what_cannot_be_had_has_no_document(hidden):
    assert documents_of_service(service(**hidden), CITY) == []


def test_hours_are_those_of_the_place_then_the_service_then_the_location():
    own = {"mon": ["09:00-10:00"], "holiday": ["12:00-13:00"]}
    there = {"hours": {"tue": ["08:00-09:00"]}, "languages": ["es", "en"]}
    place = {"name": "Hall", "here": {}, "there": there}
    assert only(service()).week is None
    assert only(service(details={"hours": own})).week == "{[540,600)}"
    assert only(service(details={"hours": own})).holiday == "{[720,780)}"
    assert only(service(places=[place])).week == "{[1920,1980)}"
    assert only(service(places=[place], details={"hours": own})).week == "{[540,600)}"
    here = {**place, "here": {"hours": {"sun": ["00:00-24:00"]}}}
    found = only(service(places=[place, here]))
    assert found.week == "{[1920,1980),[8640,10080)}"
    assert found.holiday == "{}"
    assert found.languages == ("es",)


def test_areas_are_those_of_all_its_places():
    one = {"name": "A", "here": {"areas": ["north"]}, "there": {}}
    other = {"name": "B", "here": {}, "there": {}}
    assert only(service()).areas == ()
    assert only(service(boundary_key="city")).areas == ("city/city",)
    assert only(service(places=[one])).areas == ("city/north",)
    # one of them serves the whole outline
    assert only(service(places=[one, other])).areas == ()
    assert only(service(places=[one, other], boundary_key="east")).areas == (
        "city/east",
        "city/north",
    )


@pytest.mark.parametrize(
    ("verb", "costs", "fee", "free"),
    [
        ("apply", [{"option": "All", "amount": "0.00"}], None, True),
        ("apply", [{"option": "All", "amount": "25.00"}], "Free for children", False),
        ("find", [{"option": "See the list"}], "It depends.", False),
        ("find", [], "There is no charge for it", True),
        ("find", [], None, True),
        ("pay", [], None, None),
    ],
)
def test_what_is_free(verb, costs, fee, free):
    assert is_free(verb, costs, fee) is free


def test_no_spans_are_an_empty_range():
    assert multirange([]) == "{}"


def article(**changed):
    details = changed.pop("details", {})
    return {
        "key": "who",
        "kind": "answer",
        "title": "Who fills potholes?",
        "public": True,
        "valid_from": None,
        "valid_to": None,
        "ended_on": None,
        "details": {"text": "The **City**.", **details},
        **changed,
    }


def test_what_staff_may_read_is_a_document_apart():
    public, staff = documents_of_article(
        article(
            details={
                "internal": "Never promise *a day*.",
                "step": [{"key": "a", "text": "Ask how deep.", "choice": [{"label": "Knee"}]}],
            }
        ),
        CITY,
    )
    assert (public.for_staff, staff.for_staff) == (False, True)
    assert "promise" not in f"{public.a} {public.b} {public.c} {public.d}"
    assert {"promise", "deep", "knee"} <= set(staff.d.split())
    assert public.summary == "The City."


def test_an_article_for_staff_only_has_no_document_for_everybody():
    row = article(public=False, details={"text": None, "internal": "For us."})
    (found,) = documents_of_article(row, CITY)
    assert found.for_staff
    assert found.summary == "For us."


def test_an_article_is_found_from_its_first_day_until_the_earlier_end():
    row = article(
        valid_from=date(2026, 11, 1), valid_to=date(2026, 12, 1), ended_on=date(2026, 11, 20)
    )
    (found,) = documents_of_article(row, CITY)
    assert (found.valid_from, found.valid_to) == (date(2026, 11, 1), date(2026, 11, 20))


def test_a_translated_article_shows_staff_words_once():
    found = documents_of_article(
        article(
            details={
                "internal": "For us.",
                "translation": [{"language": "es", "title": "¿Quién?", "text": "La Ciudad."}],
            }
        ),
        CITY,
    )
    assert [(each.language, each.for_staff) for each in found] == [
        ("en", False),
        ("en", True),
        ("es", False),
    ]
