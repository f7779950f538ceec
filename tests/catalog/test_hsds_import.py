"""A package comes in whole or not at all, once, and what people changed here stays."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import func, select, text

from regional311.catalog import content
from regional311.catalog.hsds import documents, queries
from regional311.catalog.hsds.assembling import Naming, assemble
from regional311.catalog.hsds.faults import Broken
from regional311.catalog.hsds.importing import NoBureau, Order
from regional311.catalog.hsds.queries import Asked
from regional311.catalog.hsds.reading import read_path, read_stream
from regional311.catalog.models import (
    ContentVersion,
    Location,
    Organization,
    SearchDocument,
    Service,
    ServiceLocation,
    TaxonomyTerm,
)
from regional311.catalog.service import stored_service, write_location, write_service
from regional311.config.directories import region_of, take_for
from regional311.database.session import Scope, acting_for, open_session
from regional311.referral.snapshot import Published
from regional311.strict import canonical, from_plain
from tests.catalog.hsds_schemas import EXAMPLES, ILLINOIS, SPECIFICATION, faults, needs_data

INFO = "211info"
NOW = datetime(2026, 11, 2, 20, tzinfo=UTC)
DAY = date(2026, 11, 2)
LATER = NOW + timedelta(days=7)
TABLES = {
    "organizations": "id,name,description\n1,Rose Food Bank,Food for all\n2,Kitchen,Cooks\n",
    "services": "id,organization_id,name,description,status,url\n"
    "10,1,Pantry on Mondays,Bags of food,active,http://pantry.example\n"
    "11,2,Soup kitchen,Soup,active,\n12,2,Cooking class,Lessons,inactive,\n",
    "locations": "id,organization_id,name,location_type,latitude,longitude\n"
    "20,1,Hall,physical,45.5,-122.6\n21,2,Kitchen,physical,45.6,-122.7\n",
    "service_at_location": "id,service_id,location_id,description\n"
    "30,10,20,Ring twice\n31,11,21,\n32,11,20,\n",
    "phones": "id,service_id,location_id,number\n40,10,,(503) 555-0100\n41,,20,503-555-0101\n",
    "schedules": 'id,service_id,freq,byday,opens_at,closes_at\n50,10,WEEKLY,"MO,TU",09:00,17:00\n',
    "taxonomies": "id,name,description\n80,Trial Tree,A tree\n",
    "taxonomy_terms": "id,code,name,description,parent_id,taxonomy_id\n"
    "70,food,Food,Food,,80\n71,pantry,Pantries,Pantries,70,80\n",
    "attributes": "id,link_id,link_entity,taxonomy_term_id\n60,10,service,71\n",
}


@pytest.fixture
def info(engine, tenants):
    """A session of 211's in a transaction that is rolled back."""
    with engine.connect() as connection, connection.begin() as transaction:
        scope = Scope(tenants[INFO])
        with open_session(connection, scope, join_transaction_mode="create_savepoint") as session:
            yield session
        transaction.rollback()


def zipped(tables):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content_ in tables.items():
            archive.writestr(f"{name}.csv", content_)
    return read_stream(stream, "package.zip")


def take(session, source=None, *, now=NOW, tenant=INFO, **order):
    """Take a package in: tables, a path, or a document."""
    wanted = Order(**order)
    if isinstance(source, dict) and "id" in source:
        files = read_stream(io.BytesIO(json.dumps(source).encode()), "document.json")
    elif source is None or isinstance(source, dict):
        files = zipped(TABLES | (source or {}))
    else:
        files = read_path(source)
    package = assemble(files, Naming(tenant, wanted.feed))
    snapshot = Published.load(session)
    return take_for(session, snapshot, tenant, package, wanted, now=now, url="http://x")


def counts(report, kind):
    return dict(report.entries[kind])


def rows(session, table):
    return {
        row.source_id: row
        for row in session.scalars(
            select(table)
            .where(table.tenant_id == session.scope.tenant_id, table.source_id.is_not(None))
            .execution_options(populate_existing=True)
        )
    }


def versions(session, source="import"):
    return session.scalar(
        select(func.count()).select_from(ContentVersion).where(ContentVersion.source == source)
    )


def region(session):
    return region_of(Published.load(session), NOW, "http://x/hsds")


def full(session, service_id, day=DAY):
    row = queries.service(session, region(session), UUID(str(service_id)), day)
    return documents.full_service(row, region(session))


def edit(session, key, now=NOW, **changes):
    """Change a service as a form does."""
    row, model = stored_service(session, key)
    said = {n: v for n, v in (canonical(model) | changes).items() if v is not None}
    write_service(
        session,
        from_plain(content.Service, said),
        known=(row.id, model),
        today=DAY,
        now=now,
        person_id=None,
        source="form",
    )


# --- the specification's own examples -------------------------------------------------------------


@needs_data
@pytest.mark.parametrize("name", ["service", "organization", "service_at_location"])
def test_the_official_full_examples_come_out_as_they_came_in(info, name):
    path = EXAMPLES / f"{name}_full.json"
    wanted = json.loads(path.read_text(encoding="utf-8"))
    report = take(info, path)
    assert report.broken == 0
    around, entry_id = region(info), UUID(wanted["id"])
    if name == "service":
        found = full(info, entry_id)
    elif name == "organization":
        row = queries.organization(info, around, entry_id, DAY)
        mine = queries.services_of(info, around, [entry_id], DAY, full=True)[entry_id]
        found = documents.full_organization(row, around)
        found = documents.with_services(found, mine, around, full=True)
    else:
        found = documents.full_site(queries.site(info, around, entry_id, DAY), around)
    assert json.loads(json.dumps(found)) == wanted
    assert faults(name, found) == []


@needs_data
def test_the_official_lists_come_from_the_full_examples(info):
    take(info, EXAMPLES / "service_full.json")
    around = region(info)
    for name, ask, show in (
        ("service", queries.services, documents.service_entry),
        ("service_at_location", _sites, documents.site_entry),
        ("organization", _organizations, documents.organization_entry),
    ):
        page = json.loads((EXAMPLES / f"{name}_list.json").read_text(encoding="utf-8"))
        wanted = page["contents"][0]
        found = ask(info, around, Asked(), DAY, full=False, start=0, size=1000)
        shown = [show(row, around) for row in found.rows if str(row.get("id")) != ""]
        assert wanted in json.loads(json.dumps(shown)), name


def _sites(*asked, **page):
    return queries.sites(*asked[:3], None, asked[3], **page)


def _organizations(*asked, **page):
    return queries.organizations(*asked, **page)[0]


@needs_data
def test_a_list_of_the_api_leaves_what_it_does_not_show(info):
    take(info, EXAMPLES / "service_full.json")
    wanted = json.loads((EXAMPLES / "service_full.json").read_text(encoding="utf-8"))
    report = take(info, EXAMPLES / "service_list.json")
    assert report.changes == 0
    assert json.loads(json.dumps(full(info, wanted["id"]))) == wanted


@needs_data
def test_the_specifications_tables_come_in_without_what_dangles(info):
    with pytest.raises(Broken, match=r"attributes\.csv row 2, link_id"):
        take(info, SPECIFICATION / "csv")
    assert rows(info, Service) == {}
    report = take(info, SPECIFICATION / "csv", skip_broken=True)
    assert counts(report, "services") == {"new": 1}
    assert take(info, SPECIFICATION / "csv", skip_broken=True).changes == 0


@needs_data
def test_the_illinois_directory_comes_in_twice_and_changes_nothing_the_second_time(
    info, statements
):
    dry = take(info, ILLINOIS, dry_run=True)
    assert rows(info, Service) == {}
    report = take(info, ILLINOIS, skip_broken=True)
    assert report.as_dict() == dry.as_dict() | {"dry_run": False}
    assert counts(report, "services") == {"new": 429}
    assert report.files["services.csv"] == {"new": 429, "broken": 1}
    assert report.files["regular_schedules.csv"] == {"new": 1798, "broken": 29}
    before = versions(info)
    statements.clear()
    again = take(info, ILLINOIS, skip_broken=True, now=LATER)
    assert again.changes == 0
    assert counts(again, "services") == {"unchanged": 429}
    assert versions(info) == before == 33 + 553 + 429
    assert [each for each in statements if each.lstrip()[:6] in ("UPDATE", "INSERT")] == []
    around = region(info)
    for row in queries.stream_services(info, around, Asked(), DAY, full=True):
        assert faults("service", json.loads(json.dumps(documents.full_service(row, around)))) == []


# --- what comes of it -----------------------------------------------------------------------------


def test_an_imported_service_is_one_of_the_partners_catalogue(info):
    report = take(info, bureau="community")
    assert (report.broken, report.conflicts) == (0, [])
    assert counts(report, "services") == {"new": 3}
    assert report.files["phones.csv"] == {"new": 2}
    service = rows(info, Service)["10"]
    assert service.key.startswith("pantry-on-mondays-")
    assert (service.verb, service.bureau_key, service.source) == ("find", "community", "imported")
    row, model = stored_service(info, service.key)
    assert [(e.kind, e.valid_from) for e in model.disposition] == [("refer", DAY)]
    assert (model.place, model.phone) == ("optional", "503-555-0100")
    assert model.hours.mon == ("09:00-17:00",)
    assert model.taxonomy == ("trial-tree:pantry",)
    assert model.group == "Community services"
    assert model.organization == rows(info, Organization)["1"].key
    assert model.location[0].note == "Ring twice."[:-1]
    assert rows(info, Service)["12"].details["status"] == "inactive"
    assert stored_service(info, rows(info, Service)["12"].key)[1].place == "none"
    assert row.review_on > DAY
    found = Published.load(info)
    here = found.directory.find(f"{INFO}/{service.key}")
    assert here.disposition(DAY) == "refer"
    assert [each.key for each in found.directory.family(here, DAY)] == [service.key]
    listed = info.scalars(select(SearchDocument).where(SearchDocument.key == service.key)).all()
    assert listed
    assert versions(info) == 2 + 2 + 3
    audit = info.execute(
        text("SELECT detail FROM audit_events WHERE action = 'package:take'")
    ).scalar_one()
    assert audit["written"] == {"organization": 2, "location": 2, "service": 3}


def test_terms_come_with_the_services_that_have_them(info):
    take(info)
    found = Published.load(info).terms
    assert found.taxonomies["trial-tree"].imported
    assert [each.ref for each in found.path("trial-tree:pantry")] == [
        "trial-tree:food",
        "trial-tree:pantry",
    ]
    around = region(info)
    term = around.term_documents["trial-tree:pantry"]["id"]
    page = queries.services(info, around, Asked(term=UUID(term)), DAY, full=False, start=0, size=9)
    assert [row["name"] for row in page.rows] == ["Pantry on Mondays"]
    more = TABLES["taxonomy_terms"] + "72,soup,Soup,Soup,70,80\n"
    attributes = TABLES["attributes"] + "61,11,service,72\n"
    take(info, {"taxonomy_terms": more, "attributes": attributes}, now=LATER)
    assert Published.load(info).terms.find("trial-tree:soup").parent == "trial-tree:food"
    assert info.scalar(select(func.count()).where(TaxonomyTerm.source_id.is_not(None))) == 3


def test_a_taxonomy_that_loops_is_named_and_its_loop_left_out(info):
    loop = TABLES["taxonomy_terms"].replace("Food,Food,,80", "Food,Food,71,80")
    with pytest.raises(Broken, match=r"taxonomy_terms\.csv row 3, parent_id: is below itself"):
        take(info, {"taxonomy_terms": loop})
    report = take(info, {"taxonomy_terms": loop}, skip_broken=True)
    assert counts(report, "services") == {"new": 3}


def test_a_known_term_gives_the_kind_of_service_and_its_heading(info):
    said = {
        "key": "own-pantry",
        "name": "Own pantry",
        "summary": "Ours",
        "verb": "find",
        "bureau": "community",
        "term": "food",
        "group": "Food",
        "taxonomy": ["trial-tree:food"],
        "disposition": [{"kind": "refer", "valid_from": "2026-07-01"}],
    }
    write_service(
        info,
        from_plain(content.Service, said),
        known=None,
        today=DAY,
        now=NOW,
        person_id=None,
        source="form",
    )
    take(info)
    pantry = rows(info, Service)["10"]
    # the package's tree was not there when it came: its terms count from the next one on
    assert pantry.term == pantry.key
    take(
        info,
        {
            "services": TABLES["services"] + "13,1,Second pantry,More,active,\n",
            "attributes": TABLES["attributes"] + "61,13,service,71\n",
        },
        now=LATER,
    )
    second = rows(info, Service)["13"]
    assert (second.term, second.details["group"]) == ("food", "Food")


def test_ids_stay_whatever_is_called_otherwise(info):
    take(info)
    before = {name: (row.id, row.key) for name, row in rows(info, Service).items()}
    renamed = TABLES["services"].replace("Pantry on Mondays", "Pantry on Tuesdays")
    report = take(info, {"services": renamed}, now=LATER)
    assert counts(report, "services") == {"changed": 1, "unchanged": 2}
    assert report.files["services.csv"] == {"changed": 1, "unchanged": 2}
    assert {name: (row.id, row.key) for name, row in rows(info, Service).items()} == before
    assert rows(info, Service)["10"].name == "Pantry on Tuesdays"
    assert rows(info, Service)["10"].version == 2


def test_a_second_import_writes_no_row(info, statements):
    take(info)
    stamps = lambda: info.execute(  # noqa: E731
        text(
            "SELECT xmin::text, ctid::text FROM services UNION ALL SELECT xmin::text, ctid::text"
            " FROM content_versions UNION ALL SELECT xmin::text, ctid::text FROM locations"
            " ORDER BY 1, 2"
        )
    ).all()
    before, count = stamps(), versions(info)
    report = take(info, now=LATER)
    assert (report.changes, stamps(), versions(info)) == (0, before, count)
    assert set(report.files["services.csv"]) == {"unchanged"}


def test_a_child_that_changes_is_one_changed_row(info):
    take(info)
    report = take(
        info, {"phones": TABLES["phones"].replace("(503) 555-0100", "503-555-0199")}, now=LATER
    )
    assert report.files["phones.csv"] == {"changed": 1, "unchanged": 1}
    assert report.files["services.csv"] == {"unchanged": 3}
    assert counts(report, "services") == {"changed": 1, "unchanged": 2}
    assert [(e.file, e.row, e.verdict.value) for e in report.rows] == [("phones.csv", 2, "changed")]
    assert rows(info, Service)["10"].details["phone"] == "503-555-0199"


# --- what is gone ---------------------------------------------------------------------------------


def test_what_is_gone_is_ended_and_comes_back_as_it_was(info):
    take(info)
    kept = rows(info, Service)["11"]
    fewer = {
        "services": "\n".join(
            each for each in TABLES["services"].splitlines() if not each.startswith("11")
        ),
        "service_at_location": "id,service_id,location_id,description\n30,10,20,Ring twice\n",
    }
    report = take(info, fewer, now=LATER)
    assert counts(report, "services") == {"unchanged": 2, "gone": 1}
    assert report.files["services.csv"] == {"unchanged": 2, "gone": 1}
    assert report.files["service_at_location.csv"] == {"unchanged": 1, "gone": 2}
    gone = rows(info, Service)["11"]
    assert gone.ended_on == LATER.date()
    assert queries.service(info, region(info), gone.id, LATER.date()) is None
    assert take(info, fewer, now=LATER).changes == 0
    report = take(info, now=LATER + timedelta(days=1))
    assert counts(report, "services") == {"unchanged": 2, "changed": 1}
    back = rows(info, Service)["11"]
    assert (back.ended_on, back.key, back.id) == (None, kept.key, kept.id)
    sites = full(info, back.id)["service_at_locations"]
    assert [each["location"]["name"] for each in sites] == ["Kitchen", "Hall"]


def test_a_site_that_is_gone_is_ended_and_the_service_stays(info):
    take(info)
    sites = "id,service_id,location_id,description\n30,10,20,Ring twice\n31,11,21,\n"
    report = take(info, {"service_at_location": sites}, now=LATER)
    assert counts(report, "services") == {"unchanged": 2, "changed": 1}
    assert rows(info, ServiceLocation)["32"].ended_on == LATER.date()
    found = full(info, rows(info, Service)["11"].id, LATER.date())
    assert [each["location"]["name"] for each in found["service_at_locations"]] == ["Kitchen"]


def test_a_document_alone_ends_nothing(info):
    take(info)
    said = {"id": "99", "name": "One more", "status": "active"}
    report = take(info, said, now=LATER)
    assert counts(report, "services") == {"new": 1}
    assert all(row.ended_on is None for row in rows(info, Service).values())


def test_feeds_of_one_partner_do_not_end_each_other(info):
    take(info)
    report = take(info, feed="other", now=LATER)
    assert counts(report, "services") == {"new": 3}
    services = info.scalars(select(Service).where(Service.source == "imported")).all()
    assert len({row.id for row in services}) == 6
    assert all(row.ended_on is None for row in services)
    assert take(info, feed="other", now=LATER).changes == 0
    assert take(info, now=LATER).changes == 0


# --- what people changed here ---------------------------------------------------------------------


def test_what_was_edited_here_stays_while_its_package_is_as_it_was(info):
    take(info)
    key = rows(info, Service)["10"].key
    edit(info, key, summary="Two bags of food", verb="request", bureau="housing")
    report = take(info, now=LATER)
    assert (report.changes, report.conflicts) == (0, [])
    found = full(info, rows(info, Service)["10"].id)
    assert found["description"] == "Two bags of food"
    assert found["phones"][0]["number"] == "(503) 555-0100"
    assert faults("service", found) == [] if SPECIFICATION.is_dir() else True


def test_what_changed_on_both_sides_is_shown_and_settled_by_a_person(info):
    take(info)
    key = rows(info, Service)["10"].key
    edit(info, key, summary="Two bags of food")
    theirs = {"services": TABLES["services"].replace("Bags of food", "Boxes of food")}
    report = take(info, theirs, now=LATER)
    assert counts(report, "services") == {"unchanged": 2, "conflict": 1}
    assert report.files["services.csv"] == {"unchanged": 2, "conflict": 1}
    (conflict,) = report.conflicts
    assert conflict.ref == f"service/{key}"
    assert [(each.field, each.old, each.new) for each in conflict.fields] == [
        ("summary", "Two bags of food", "Boxes of food")
    ]
    assert rows(info, Service)["10"].summary == "Two bags of food"
    take(info, theirs, now=LATER, choices={conflict.ref: "ours"})
    assert rows(info, Service)["10"].summary == "Two bags of food"
    settled = take(info, theirs, now=LATER)
    assert (settled.changes, settled.conflicts) == (0, [])
    assert full(info, rows(info, Service)["10"].id)["description"] == "Two bags of food"
    again = {"services": TABLES["services"].replace("Bags of food", "Sacks of food")}
    report = take(info, again, now=LATER, choices={conflict.ref: "theirs"})
    assert report.conflicts == []
    assert rows(info, Service)["10"].summary == "Sacks of food"


def test_what_the_package_does_not_say_is_no_conflict(info):
    take(info)
    key = rows(info, Service)["10"].key
    edit(info, key, verb="request", bureau="housing", keywords=["hungry"], group="Food")
    theirs = {"services": TABLES["services"].replace("Bags of food", "Boxes of food")}
    report = take(info, theirs, now=LATER)
    assert (counts(report, "services")["changed"], report.conflicts) == (1, [])
    row = rows(info, Service)["10"]
    assert (row.summary, row.verb, row.bureau_key) == ("Boxes of food", "request", "housing")
    assert row.keywords == ["hungry"]


def test_both_sides_that_say_the_same_agree(info):
    take(info)
    edit(info, rows(info, Service)["10"].key, summary="Boxes of food")
    theirs = {"services": TABLES["services"].replace("Bags of food", "Boxes of food")}
    report = take(info, theirs, now=LATER)
    assert report.conflicts == []
    assert take(info, theirs, now=LATER).changes == 0


def test_a_location_that_was_edited_here_is_a_conflict_of_its_own(info):
    take(info)
    hall = rows(info, Location)["20"]
    said = {"key": hall.key, "name": "Big hall", "organization": hall.details["organization"]}
    write_location(
        info,
        from_plain(content.Location, said),
        known=hall.id,
        today=DAY,
        now=NOW,
        person_id=None,
        source="form",
    )
    theirs = {"locations": TABLES["locations"].replace("20,1,Hall", "20,1,Great hall")}
    report = take(info, theirs, now=LATER)
    assert [each.ref for each in report.conflicts] == [f"location/{hall.key}"]
    assert rows(info, Location)["20"].name == "Big hall"


# --- nothing by half ------------------------------------------------------------------------------


def test_something_broken_refuses_all_of_it(info):
    broken = {"phones": TABLES["phones"] + "42,99,,503-555-0102\n43,10,,no phone\n"}
    with pytest.raises(Broken) as refused:
        take(info, broken)
    assert [str(each) for each in refused.value.faults][:2] == [
        "phones.csv row 5, number: 'no phone' is no telephone number",
        "phones.csv row 4, service_id: names '99', which is not in services.csv",
    ]
    assert rows(info, Service) == {}
    report = take(info, broken, skip_broken=True)
    assert report.files["phones.csv"] == {"new": 2, "broken": 2}


def test_a_name_that_cannot_be_kept_is_named(info):
    blank = TABLES["services"].replace("Soup kitchen", '" \u00a0"')
    with pytest.raises(Broken, match=r"services\.csv row 3"):
        take(info, {"services": blank})


def test_the_bureau_must_be_there(info):
    with pytest.raises(NoBureau, match="community"):
        take(info, bureau="nobody")


# --- whose it is ----------------------------------------------------------------------------------


def test_the_same_id_at_two_partners_is_two_entries(info, tenants):
    said = {"id": str(UUID(int=77)), "name": "Shared", "status": "active"}
    take(info, said)
    with acting_for(info, tenants["multnomah-county"]):
        take(info, said, tenant="multnomah-county")
        there = rows(info, Service)[said["id"]]
        assert there.id != UUID(int=77)
        assert take(info, said, tenant="multnomah-county").changes == 0
    around = region(info)
    found = [row["id"] for row in queries.stream_services(info, around, Asked(), DAY, full=False)]
    assert len(found) == len(set(found))


def test_a_partners_own_export_comes_back_as_nothing(info):
    from regional311.config.directories import tables_of

    around = region_of(Published.load(info), NOW, "http://x/hsds", slug=INFO, inside=True)
    tables = tables_of(info, around, DAY)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, said in tables.contents():
            archive.writestr(name, said)
    package = assemble(read_stream(stream, "own.zip"), Naming(INFO, ""))
    report = take_for(info, Published.load(info), INFO, package, Order(), now=NOW, url="http://x")
    assert report.changes == 0
    assert {each.column for each in report.faults} == {"id"}
    assert report.broken == 0


def test_what_one_partner_exports_another_may_import(info, tenants):
    from regional311.config.directories import tables_of

    take(info)
    around = region_of(Published.load(info), NOW, "http://x/hsds", slug=INFO)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, said in tables_of(info, around, DAY).contents():
            archive.writestr(name, said)
    package = assemble(read_stream(stream, "own.zip"), Naming("multnomah-county", ""))
    pantry = full(info, rows(info, Service)["10"].id)
    with acting_for(info, tenants["multnomah-county"]):
        report = take_for(
            info,
            Published.load(info),
            "multnomah-county",
            package,
            Order(),
            now=NOW,
            url="http://x",
        )
        assert report.broken == 0
        copied = full(info, rows(info, Service)[pantry["id"]].id)
    apart = ("id", "last_modified", "organization", "service_at_locations", "service_areas")
    assert {n: v for n, v in copied.items() if n not in apart} == {
        n: v for n, v in pantry.items() if n not in apart
    }
    assert copied["organization"]["name"] == "Rose Food Bank"
