"""Nothing is lost between the catalogue and HSDS, either way."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given, settings

from regional311.catalog import content
from regional311.catalog.hsds import mapping
from regional311.catalog.hsds.mapping import Area, Around
from regional311.catalog.hsds.shapes import SHAPES, own, unknown_keys
from regional311.strict import canonical, from_plain
from tests.catalog import hsds_cases as cases

ID = UUID("d9d5e0f5-d3ce-4f73-9a2f-4dd0ecc6c610")


def around(*keys: str, inside: bool = True) -> Around:
    areas = {key: Area(UUID(int=place), key) for place, key in enumerate(keys, 1)}
    return Around(offset=-8, areas=areas, inside=inside)


def again(model, said):
    return canonical(from_plain(model, said))


@settings(max_examples=80, deadline=None)
@given(cases.SAID_SERVICE)
def test_a_service_of_ours_comes_back_as_it_was(said) -> None:
    here = around(*filter(None, [said.get("boundary")]))
    said.pop("confidential", None)
    if said.get("maximum_age", 130) < said.get("minimum_age", 0):
        del said["maximum_age"]
    document = mapping.service_document(said, ID, here)
    assert list(unknown_keys("service", document)) == []
    apart = {name: said[name] for name in ("organization", "location") if name in said}
    back = again(content.Service, mapping.said_service(document, here) | apart)
    said["taxonomy"] = list(dict.fromkeys(said.get("taxonomy", ())))
    said["languages"] = list(dict.fromkeys(said.get("languages", ())))
    assert back == {name: value for name, value in said.items() if value != []}


@settings(max_examples=60, deadline=None)
@given(cases.SAID_LOCATION)
def test_a_location_comes_back_as_it_was(said) -> None:
    document = mapping.location_document(said, ID, around())
    assert list(unknown_keys("location", document)) == []
    back = mapping.said_place(document) | {
        name: said[name] for name in ("organization",) if name in said
    }
    if None in (said.get("latitude"), said.get("longitude")):
        said = {n: v for n, v in said.items() if n not in ("latitude", "longitude")}
    assert again(content.Location, back) == _spoken(said)


@settings(max_examples=60, deadline=None)
@given(cases.SAID_ORGANIZATION)
def test_an_organisation_comes_back_as_it_was(said) -> None:
    document = mapping.organization_document(said, ID, around(), parent_id=ID)
    assert list(unknown_keys("organization", document)) == []
    back = mapping.said_body(document) | {n: said[n] for n in ("parent",) if n in said}
    assert again(content.Organization, back) == _spoken(said)


@settings(max_examples=60, deadline=None)
@given(cases.SAID_SITE)
def test_a_service_at_a_location_comes_back_as_it_was(said) -> None:
    here = around(*dict.fromkeys(said.get("areas", ())))
    document = mapping.site_document(said, ID, here)
    assert list(unknown_keys("service_at_location", document)) == []
    back = mapping.said_site(document, here) | {"location": said["location"]}
    assert again(content.ServiceLocation, back) == _spoken(said)


def _spoken(said):
    said = dict(said)
    if "languages" in said:
        said["languages"] = list(dict.fromkeys(said["languages"]))
    if "phone" in said:
        said["phone"] = [_spoken(each) for each in said["phone"]]
    return said


MODELS = {
    "service": (
        content.Service,
        lambda doc: mapping.said_service(doc, around()),
        lambda said: mapping.service_document(said, ID, around()),
        {"key": "k", "verb": "find", "bureau": "b", "term": "t", "group": "g"}
        | {"disposition": [{"kind": "refer", "valid_from": "2026-07-01"}]},
    ),
    "location": (
        content.Location,
        mapping.said_place,
        lambda said: mapping.location_document(said, ID, around()),
        {"key": "k"},
    ),
    "organization": (
        content.Organization,
        mapping.said_body,
        lambda said: mapping.organization_document(said, ID, around()),
        {"key": "k"},
    ),
    "service_at_location": (
        content.ServiceLocation,
        lambda doc: mapping.said_site(doc, around()),
        lambda said: mapping.site_document(said, ID, around()),
        {"location": "k"},
    ),
}


@pytest.mark.parametrize("kind", MODELS)
def test_whatever_hsds_says_is_understood_and_kept(kind) -> None:
    model, read, write, needed = MODELS[kind]

    @settings(max_examples=40, deadline=None)
    @given(cases.document(kind))
    def check(document) -> None:
        plain = needed | read(document)
        said = again(model, plain)
        assert said == plain
        regenerate = lambda doc: write(read(doc))  # noqa: E731
        mapped = {n: v for n, v in said.items() if n not in needed}
        assert mapping.overlay(document, write(mapped), regenerate) == document

    check()


def test_an_edit_changes_its_own_field_and_nothing_beside_it() -> None:
    document = {
        "id": str(ID),
        "name": "Legal clinic",
        "status": "active",
        "licenses": "A licence",
        "phones": [
            {"id": str(UUID(int=1)), "number": "(312) 938-2106", "description": "Front desk"},
            {"id": str(UUID(int=2)), "number": "no phone"},
            {"id": str(UUID(int=3)), "number": "312-938-2107"},
        ],
        "languages": [{"id": str(UUID(int=4)), "name": "Urdu", "code": "ur"}],
    }
    here = around()
    said = mapping.said_service(document, here)
    assert said["phone"] == "312-938-2106"
    now = mapping.service_document(said | {"phone": "503-555-0100"}, ID, here)
    edited = mapping.overlay(
        document,
        now,
        lambda doc: mapping.service_document(mapping.said_service(doc, here), ID, here),
    )
    assert [each["number"] for each in edited["phones"]] == [
        "503-555-0100",
        "no phone",
        "312-938-2107",
    ]
    assert {n: v for n, v in edited.items() if n != "phones"} == {
        n: v for n, v in document.items() if n != "phones"
    }
    spoken = mapping.service_document(said | {"languages": ["es"]}, ID, here)
    edited = mapping.overlay(
        document,
        spoken,
        lambda doc: mapping.service_document(mapping.said_service(doc, here), ID, here),
    )
    assert [each["name"] for each in edited["languages"]] == ["Urdu", "Spanish"]


def test_every_child_has_an_id_that_stays_when_others_come() -> None:
    said = {"key": "k", "name": "Bank", "description": "Food"}
    one, two = {"number": "503-555-0101"}, {"number": "503-555-0102"}
    first = mapping.organization_document(said | {"phone": [two]}, ID, around())["phones"]
    both = mapping.organization_document(said | {"phone": [one, two]}, ID, around())["phones"]
    same = mapping.organization_document(said | {"phone": [two, two]}, ID, around())["phones"]
    assert both[1] == first[0]
    assert same[0] == first[0]
    assert same[1]["id"] != same[0]["id"]


def test_nights_are_two_spans_and_midnight_ends_a_day() -> None:
    said = {"hours": {"fri": ["20:00-24:00"], "sat": ["00:00-02:00", "20:00-24:00"]}}
    document = mapping.site_document(said | {"location": "x"}, ID, around())
    assert [
        (each["byday"], each["opens_at"], each["closes_at"]) for each in document["schedules"]
    ] == [
        ("FR,SA", "20:00", "23:59:59"),
        ("SA", "00:00", "02:00"),
    ]
    assert mapping.said_hours(document["schedules"]) == said["hours"]


@pytest.mark.parametrize(
    "odd",
    [
        {"freq": "MONTHLY", "bymonthday": "1"},
        {"freq": "WEEKLY", "byday": "1MO"},
        {"freq": "WEEKLY", "byday": "MO", "interval": 2},
        {"freq": "WEEKLY", "byday": "MO", "valid_from": "2026-06-01", "valid_to": "2026-09-01"},
        {"byday": "MO", "opens_at": "soon"},
        {"byday": "MO", "closes_at": "08:00"},
    ],
)
def test_hours_that_are_no_week_are_not_shown_as_one(odd) -> None:
    plain = {"freq": "WEEKLY", "byday": "TU", "opens_at": "09:00", "closes_at": "17:00"}
    assert mapping.said_hours([plain]) == {"tue": ["09:00-17:00"]}
    assert mapping.said_hours([plain, {"opens_at": "09:00", "closes_at": "17:00"} | odd]) is None


def test_what_stays_within_the_partner_is_not_in_public_documents() -> None:
    said = {
        "key": "shelter",
        "name": "Shelter",
        "summary": "A bed",
        "verb": "request",
        "queue": "housing",
        "review_days": 30,
    }
    names = lambda doc: [each["taxonomy_term"]["code"] for each in doc["attributes"]]  # noqa: E731
    assert "queue" in names(mapping.service_document(said, ID, around()))
    shown = names(mapping.service_document(said, ID, around(inside=False)))
    assert shown == ["key", "verb"]


def test_own_parts_of_a_document_are_without_other_entities_and_their_keys() -> None:
    document = {
        "id": "1",
        "organization_id": "2",
        "program_id": "3",
        "organization": {},
        "name": "x",
    }
    assert own("service", document) == {"id": "1", "name": "x"}
    assert set(SHAPES["service"].columns) >= {"organization_id", "program_id"}
