"""Packages are read whatever their age, and everything that is wrong is named with its row."""

from __future__ import annotations

import io
import json
import zipfile
from collections import Counter

import pytest

from regional311.catalog.hsds import reading
from regional311.catalog.hsds.assembling import Naming, assemble, kind_of
from regional311.catalog.hsds.faults import LeftOut, PackageTooLarge, PackageUnreadable
from regional311.catalog.hsds.reading import read_path, read_stream
from regional311.catalog.hsds.tabular import Tables, armed, defused, rows_of, write_zip
from tests.catalog.hsds_schemas import EXAMPLES, ILLINOIS, SPECIFICATION, faults, needs_data

NAMING = Naming("211info", "")
ORGANIZATION = "id,name,description\n1,Food Bank,Food for all\n"
SERVICES = "id,organization_id,name,status\n10,1,Pantry,active\n"


def package(**tables: str | bytes):
    """A package of CSV tables, each named without its ending."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in tables.items():
            archive.writestr(f"data/{name}.csv", content)
    return assemble(read_stream(stream, "package.zip"), NAMING)


def told(found):
    return [(each.file, each.row, each.column, each.left_out) for each in found.faults]


def service(found):
    (one,) = found.entities["service"].values()
    return one


def test_a_small_package_is_put_together():
    found = package(
        organizations=ORGANIZATION,
        services=SERVICES,
        locations="id,organization_id,name,location_type\n20,1,Hall,physical\n",
        service_at_location="id,service_id,location_id,description\n30,10,20,Ring twice\n",
        phones="id,service_id,location_id,number,extension\n40,10,20,503-555-0100,7\n",
        languages="id,phone_id,name,code\n50,40,Spanish,es\n",
        attributes="id,link_id,link_entity,taxonomy_term_id\n60,10,service,70\n",
        taxonomy_terms="id,name,description,taxonomy_id\n70,Food,Food,80\n",
        taxonomies="id,name,description\n80,Tree,A tree\n",
    )
    assert found.faults == []
    assert found.complete == {"organization", "location", "service", "service_at_location"}
    said = service(found).said
    assert said["phones"][0]["extension"] == 7
    assert said["phones"][0]["languages"][0]["code"] == "es"
    assert said["attributes"][0]["taxonomy_term"]["taxonomy_detail"]["name"] == "Tree"
    (hall,) = found.entities["location"].values()
    assert hall.said["phones"] == said["phones"]
    (site,) = found.entities["service_at_location"].values()
    assert site.refs == {"service": service(found).id, "location": hall.id}
    assert service(package(services=SERVICES, organizations=ORGANIZATION)).id == service(found).id


@pytest.mark.parametrize(
    ("tables", "fault"),
    [
        (
            {"services": SERVICES.replace("10,1,", "10,9,")},
            ("services.csv", 2, "organization_id", LeftOut.VALUE),
        ),
        (
            {"phones": "id,service_id,number\n1,99,503-555-0100\n"},
            ("phones.csv", 2, "service_id", LeftOut.VALUE),
        ),
        (
            {"phones": 'id,service_id,number\n1,"10, 11",503-555-0100\n'},
            ("phones.csv", 2, "service_id", LeftOut.VALUE),
        ),
        (
            {"services": SERVICES + "10,1,Other,active\n"},
            ("services.csv", 3, "id", LeftOut.ROW),
        ),
        (
            {"services": SERVICES + "10,1,Pantry,active\n"},
            ("services.csv", 3, "id", LeftOut.NOTHING),
        ),
        (
            {"services": SERVICES + '"11;12",1,Other,active\n'},
            ("services.csv", 3, "id", LeftOut.ROW),
        ),
        ({"services": SERVICES + ",1,Other,active\n"}, ("services.csv", 3, "id", LeftOut.ROW)),
        ({"services": SERVICES + "11,1,,active\n"}, ("services.csv", 3, "name", LeftOut.ROW)),
        (
            {"services": SERVICES.encode() + b"11,1,Caf\xe9,active\n"},
            ("services.csv", 3, "name", LeftOut.ROW),
        ),
        (
            {"services": SERVICES + "11,1,Nul\0,active\n"},
            ("services.csv", 3, "name", LeftOut.ROW),
        ),
        (
            {"services": SERVICES + "11,1,Other,active,too,many\n"},
            ("services.csv", 3, "", LeftOut.ROW),
        ),
        (
            {"services": SERVICES + "11,1,Other,open\n"},
            ("services.csv", 3, "status", LeftOut.VALUE),
        ),
        (
            {"schedules": "id,service_id,opens_at,closes_at\n1,10,17:00,09:00\n"},
            ("schedules.csv", 2, "closes_at", LeftOut.ROW),
        ),
        (
            {"schedules": "id,service_id,valid_from,valid_to\n1,10,2026-05-02,2026-05-01\n"},
            ("schedules.csv", 2, "valid_to", LeftOut.ROW),
        ),
        (
            {"schedules": "id,service_id,opens_at\n1,10,soon\n"},
            ("schedules.csv", 2, "opens_at", LeftOut.VALUE),
        ),
        (
            {"phones": "id,service_id,number\n1,10,no phone\n"},
            ("phones.csv", 2, "number", LeftOut.ROW),
        ),
        (
            {"phones": "id,service_id,number\n1,10,(618) 453-3217; (618) 536-7711\n"},
            ("phones.csv", 2, "number", LeftOut.NOTHING),
        ),
        (
            {"locations": "id,location_type,latitude,longitude\n1,physical,95,10\n"},
            ("locations.csv", 2, "latitude", LeftOut.NOTHING),
        ),
        (
            {"locations": "id,location_type,latitude,longitude\n1,physical,x,10\n"},
            ("locations.csv", 2, "latitude", LeftOut.VALUE),
        ),
        (
            {"locations": "id,location_type,latitude\n1,physical,45\n"},
            ("locations.csv", 2, "longitude", LeftOut.NOTHING),
        ),
        (
            {"services": "id,organization_id,name,status,url\n10,1,Pantry,active,see page\n"},
            ("services.csv", 2, "url", LeftOut.VALUE),
        ),
        (
            {"services": "id,organization_id,name,status,email\n10,1,Pantry,active,nobody\n"},
            ("services.csv", 2, "email", LeftOut.VALUE),
        ),
        (
            {"services": "id,organization_id,name,status,colour\n10,1,Pantry,active,red\n"},
            ("services.csv", 0, "colour", LeftOut.NOTHING),
        ),
        (
            {"required_documents": "id,document\n1,Passport\n"},
            ("required_documents.csv", 2, "", LeftOut.ROW),
        ),
        ({"weather": "id\n1\n"}, ("weather.csv", 0, "", LeftOut.NOTHING)),
    ],
)
def test_what_is_wrong_is_named_with_its_row(tables, fault):
    found = package(**{"organizations": ORGANIZATION, "services": SERVICES} | tables)
    assert fault in told(found)
    assert len({each.row for each in found.faults}) == 1
    assert "Pantry" in {each.said["name"] for each in found.entities["service"].values()}


def test_what_belongs_to_a_broken_row_says_so():
    found = package(
        organizations=ORGANIZATION,
        services=SERVICES + "11,1,,active\n",
        phones="id,service_id,number\n1,11,503-555-0100\n",
    )
    reasons = [each.reason for each in found.faults if each.file == "phones.csv"]
    assert reasons[0] == "names '11', which is left out (services.csv row 3)"


def test_one_service_at_one_location_is_there_once():
    found = package(
        organizations=ORGANIZATION,
        services=SERVICES,
        locations="id,location_type\n20,physical\n",
        service_at_location="id,service_id,location_id\n1,10,20\n2,10,20\n",
    )
    assert told(found) == [("service_at_location.csv", 3, "location_id", LeftOut.ROW)]


def test_encodings_marks_and_delimiters():
    utf16 = SERVICES.replace("Pantry", "Café").encode("utf-16")
    assert service(package(services=utf16, organizations=ORGANIZATION)).said["name"] == "Café"
    marked = SERVICES.replace("Pantry", "Café").encode("utf-8-sig")
    assert service(package(services=marked, organizations=ORGANIZATION)).said["name"] == "Café"
    semicolons = SERVICES.replace(",", ";")
    assert (
        service(package(services=semicolons, organizations=ORGANIZATION)).said["name"] == "Pantry"
    )


def test_formulas_are_defused_on_the_way_out_and_armed_again_on_the_way_in():
    tables = Tables()
    said = {"id": "1", "name": "=HYPERLINK()", "description": "'=kept", "website": "http://a.org"}
    tables.add(rows_of("organization", said, {}))
    content = dict(tables.contents())["organizations.csv"].decode()
    assert "'=HYPERLINK()" in content
    found = package(organizations=content)
    (one,) = found.entities["organization"].values()
    assert (one.said["name"], one.said["description"]) == ("=HYPERLINK()", "'=kept")
    assert defused("+44 1234 234567") == "+44 1234 234567"
    assert armed("'plain") == "'plain"


@pytest.mark.parametrize(
    ("content", "name", "error"),
    [
        (b"", "empty.csv", "is empty"),
        (b"PK\x03\x04nonsense", "broken.zip", "There is no table"),
        (b"{", "broken.json", "is no JSON"),
        (b'{"a": NaN}', "number.json", "is no JSON"),
        (b"\xff\xfe{", "odd.json", "is not UTF-8"),
        (b"a,b\n1,2\n", "people.csv", "There is no table"),
        (b"\xe9,b\n1,2\n", "services.csv", "must name the columns"),
    ],
)
def test_what_is_no_package_is_refused_with_the_reason(content, name, error):
    with pytest.raises(PackageUnreadable, match=error):
        assemble(read_stream(io.BytesIO(content), name), NAMING)


def test_a_damaged_zip_is_refused_whatever_is_damaged():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("organizations.csv", ORGANIZATION * 3)
        archive.writestr("services.csv", SERVICES)
    whole = stream.getvalue()
    refused = 0
    for place in range(len(whole)):
        damaged = whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :]
        try:
            assemble(read_stream(io.BytesIO(damaged), "damaged.zip"), NAMING)
        except (PackageUnreadable, PackageTooLarge):
            refused += 1
    assert refused > len(whole) // 2


def test_a_document_that_is_nothing_of_hsds_is_named():
    found = assemble(read_stream(io.BytesIO(b'[{"id": "1"}, 5]'), "odd.json"), NAMING)
    assert told(found) == [("odd.json", row, "", LeftOut.ROW) for row in (1, 2)]


def test_a_package_that_is_too_large_is_refused_before_it_is_read(tmp_path, monkeypatch):
    big = tmp_path / "services.csv"
    with big.open("wb") as stream:
        stream.truncate(500 * 1024 * 1024)
    monkeypatch.setattr(reading, "_gather", None)
    with pytest.raises(PackageTooLarge, match="524 MB"):
        read_path(big)
    with pytest.raises(PackageTooLarge, match="524 MB"):
        read_path(tmp_path)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("services.csv", b"0" * (reading.MOST_BYTES + 1))
    assert len(stream.getvalue()) < 1_000_000
    with pytest.raises(PackageTooLarge):
        read_stream(stream, "bomb.zip")
    with zipfile.ZipFile(stream, "w") as archive:
        for number in range(reading.MOST_FILES + 1):
            archive.writestr(f"{number}.csv", "")
    with pytest.raises(PackageTooLarge, match="files"):
        read_stream(stream, "many.zip")


def test_documents_of_any_wrapping_are_found():
    said = {"id": "10", "name": "Pantry", "status": "active", "phones": None}
    for content in (
        json.dumps(said),
        json.dumps([said]),
        json.dumps({"contents": [said], "empty": False}),
        json.dumps({"services": [said]}),
    ):
        found = assemble(read_stream(io.BytesIO(content.encode()), "x.json"), NAMING)
        assert service(found).said["name"] == "Pantry"
        assert found.complete == frozenset()
    lines = io.BytesIO(f"{json.dumps(said)}\n\n{json.dumps(said | {'id': '11'})}\n".encode())
    assert len(assemble(read_stream(lines, "x.ndjson"), NAMING).entities["service"]) == 2


@pytest.mark.parametrize(
    ("document", "column"),
    [
        ({"id": "1", "name": "A", "status": "active", "phones": {}}, ""),
        ({"id": "1", "name": "A", "status": "active", "phones": [5]}, "phones[0]"),
        ({"id": "1", "name": "A", "status": "active", "phones": "none"}, "phones"),
        ({"id": "1", "name": ["A"], "status": "active"}, "name"),
        ({"id": "1", "name": "A", "status": "active", "minimum_age": "ten"}, "minimum_age"),
        ({"id": "1", "name": "A", "status": "active", "location": 1}, "location"),
        (
            {"id": "1", "name": "A", "status": "active", "service_at_locations": 1.5},
            "service_at_locations",
        ),
        ({"id": "1", "name": "A\0", "status": "active"}, ""),
        ({"id": "1", "name": "half \ud800", "status": "active"}, ""),
        ({"id": "1", "name": "A", "status": "active", "minimum_age": 10**40}, ""),
        ({"taxonomy_terms": [None, 5]}, ""),
        ({"id": "1", "location_type": "physical", "schedules": [{"id": None}]}, "schedules[0].id"),
    ],
)
def test_what_is_wrong_in_a_document_is_named_with_its_path(document, column):
    content = json.dumps(document).encode()
    found = assemble(read_stream(io.BytesIO(content), "x.json"), NAMING)
    named = {each.column for each in found.faults}
    assert named == ({column} if column else set()) or column in named


def test_kinds_of_documents():
    assert kind_of({"id": 1, "name": "a", "description": "b"}) == "organization"
    assert kind_of({"id": 1, "name": "a", "description": "b", "version": "1"}) == "taxonomy"
    assert kind_of({"id": 1, "name": "a", "taxonomy": "b"}) == "taxonomy_term"
    assert kind_of({"id": 1, "service_id": "a", "location_id": "b"}) == "service_at_location"
    assert kind_of([]) is None


# --- older packages -------------------------------------------------------------------------------


def test_a_package_of_hsds_1_is_read_as_hsds_3():
    found = package(
        organizations="id,name,description,url\n1,Bank,Food,http://bank.org\n",
        services="id,organization_id,name,status,fees\n10,1,Pantry,,Free\n",
        locations="id,organization_id,name\n20,1,Hall\n",
        services_at_location="id,service_id,location_id\n30,10,20\n",
        phones="id,service_id,number,language\n,10,503-555-0100,Spanish\n",
        physical_addresses="id,location_id,address_1,address_2,city,state_province,postal_code\n"
        "40,20,1 Main,Room 2,Portland,OR,97201\n",
        postal_addresses="id,organization_id,address_1,state_province,postal_code\n"
        "41,1,PO Box,OR,1\n",
        regular_schedules="id,service_id,weekday,opens_at,closes_at\n1,10,Monday,9:00,17:00\n"
        "2,10,2,9:00,17:00\n3,10,Sunday,,\n4,10,Someday,9:00,10:00\n",
        holiday_schedules="id,service_id,closed,start_date,end_date\n5,10,True,2026-12-25,2026-12-25\n",
        eligibility="id,service_id,eligibility\n6,10,Everybody\n",
        payment_accepted="id,service_id,payment\n7,10,Cash\n",
        languages="id,service_id,language\n8,10,Spanish\n",
        service_areas="id,service_id,service_area\n9,10,The county\n",
        taxonomy="id,name,vocabulary\n70,Food,Tree\n",
        service_taxonomy="id,service_id,taxonomy_id,taxonomy_detail\n71,10,70,Boxes\n",
    )
    assert told(found) == [("regular_schedules.csv", 5, "weekday", LeftOut.ROW)]
    said = service(found).said
    assert said["status"] == "active"
    assert said["eligibility_description"] == "Everybody"
    assert said["fees_description"] == "Payment accepted: Cash"
    assert said["phones"][0]["languages"][0]["name"] == "Spanish"
    assert [each.get("byday") for each in said["schedules"]] == ["MO", "TU", None]
    assert said["schedules"][0]["opens_at"] == "09:00"
    assert said["service_areas"][0]["name"] == "The county"
    assert said["attributes"][0]["taxonomy_term"]["taxonomy"] == "Tree"
    hall, mailbox = sorted(
        found.entities["location"].values(), key=lambda each: each.said["location_type"]
    )
    assert hall.said["addresses"][0]["address_2"] == "Room 2"
    assert (mailbox.said["location_type"], mailbox.said["name"]) == ("postal", "PO Box")
    (bank,) = found.entities["organization"].values()
    assert bank.said["website"] == "http://bank.org"


def test_a_package_of_hsds_2_is_read_as_hsds_3():
    found = package(
        organizations="id,name,description,url\n1,Bank,Food,http://bank.org\n",
        services=SERVICES,
        taxonomy_terms="id,term,description,taxonomy\n70,Food,All food,Tree\n",
        service_attributes="id,service_id,taxonomy_term_id\n71,10,70\n",
        other_attributes="id,link_id,link_type,taxonomy_term_id\n72,1,organization,70\n",
    )
    assert found.faults == []
    assert service(found).said["attributes"][0]["taxonomy_term"]["name"] == "Food"
    (bank,) = found.entities["organization"].values()
    assert bank.said["attributes"][0]["link_entity"] == "organization"


@needs_data
def test_the_illinois_directory_is_counted():
    found = assemble(read_path(ILLINOIS), NAMING)
    counts = {kind: len(each) for kind, each in found.entities.items()}
    assert counts == {
        "organization": 33,
        "service": 429,
        "service_at_location": 0,
        "location": 520 + 33,
    }
    kinds = Counter((each.file, each.column, each.left_out.value) for each in found.faults)
    assert kinds == {
        ("locations.csv", "organization_id", "value"): 448,
        ("services.csv", "organization_id", "value"): 340,
        ("regular_schedules.csv", "closes_at", "row"): 29,
        ("phones.csv", "number", "row"): 27,
        ("phones.csv", "number", "nothing"): 3,
        ("services.csv", "id", "row"): 1,
    }


@needs_data
@pytest.mark.parametrize("source", ["csv", "examples/tabular.json"])
def test_the_specifications_own_package_has_its_known_faults(source):
    found = assemble(read_path(SPECIFICATION / source), NAMING)
    dangling = {(each.file, each.column) for each in found.faults if each.column.endswith("_id")}
    assert dangling == {
        *(("contacts.csv", "organization_id"), ("contacts.csv", "service_at_location_id")),
        *(("taxonomy_terms.csv", "taxonomy_id"), ("attributes.csv", "link_id")),
        *(("metadata.csv", "resource_id"), ("locations.csv", "organization_id")),
    }
    assert [len(each) for each in found.entities.values()] == [1, 1, 1, 1]


@needs_data
def test_tables_of_the_official_service_come_back_to_the_same_document():
    said = json.loads((EXAMPLES / "service_full.json").read_text(encoding="utf-8"))
    found = assemble(read_path(EXAMPLES / "service_full.json"), NAMING)
    tables = Tables()
    for kind, entities in found.entities.items():
        for each in entities.values():
            tables.add(rows_of(kind, each.said, each.refs))
    stream = io.BytesIO()
    write_zip(stream, tables)
    again = assemble(read_stream(stream, "again.zip"), NAMING)
    # the example refers to a taxonomy's term above one that is not in it, and says so in no table
    assert {each.left_out for each in again.faults} <= {LeftOut.NOTHING}
    mine, own = (
        service(again).said,
        {
            name: value
            for name, value in said.items()
            if name not in ("organization", "service_at_locations")
        },
    )
    for attribute in own["attributes"]:
        attribute["link_entity"] = "service"
    for entry in own["metadata"]:
        entry["resource_type"] = "service"
    assert mine == own
    assert faults("service", mine) == []
