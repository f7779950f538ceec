"""Taking trees and crosswalks in: what would change, the change, and nothing the second time."""

import csv
import io
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from sqlalchemy import select, text

from regional311.audit.models import AuditEvent
from regional311.catalog.queries import terms
from regional311.catalog.taxonomies import TaxonomyTaken
from regional311.catalog.taxonomy_imports import (
    BrokenRows,
    head_of,
    take_crosswalks,
    take_taxonomy,
)
from regional311.catalog.taxonomy_sheet import read_crosswalks, read_terms
from regional311.database.session import acting_for
from regional311.errors import InvalidInput
from regional311.tenancy.models import Tenant

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "211"
NOW = datetime(2026, 11, 3, 18, tzinfo=UTC)
TODAY = date(2026, 11, 3)
TREE = "code,name,parent\nfood,Food,\ngroceries,Groceries,food\nmeals,Meals,food\n"


def take(session, sheet, *, key="our-tree", dry_run=False, **more):
    head = head_of(session, key, name="Our tree", description="Of our own.")
    return take_taxonomy(
        session,
        head,
        read_terms(sheet if isinstance(sheet, bytes) else sheet.encode()),
        dry_run=dry_run,
        today=TODAY,
        now=NOW,
        **more,
    )


def everything(session):
    slugs = dict(session.execute(select(Tenant.id, Tenant.slug)).all())
    return terms(session, slugs)


def revision(session):
    return session.execute(
        select(Tenant.revision).where(Tenant.id == session.scope.tenant_id)
    ).scalar_one()


def test_a_dry_run_says_what_would_change_and_changes_nothing(dbsession):
    report = take(dbsession, TREE, dry_run=True)
    assert report.new == ("food", "groceries", "meals")
    assert "our-tree" not in everything(dbsession).taxonomies
    assert str(report) == (
        "  + food\n  + groceries\n  + meals\n"
        "It would be: 3 new, 0 changed, 0 gone, 0 as they were, 0 broken."
    )


def test_the_second_time_nothing_changes(dbsession):
    assert take(dbsession, TREE).applied
    before = revision(dbsession)
    report = take(dbsession, TREE)
    assert (report.changes, report.same) == (False, 3)
    assert revision(dbsession) == before
    events = dbsession.execute(
        select(AuditEvent.detail).where(AuditEvent.action == "taxonomy:import")
    ).scalars()
    assert [each["new"] for each in events] == [3]


def test_new_changed_and_gone_are_told_and_done(dbsession):
    take(dbsession, TREE)
    dbsession.execute(
        text(
            'UPDATE services SET details = details || \'{"taxonomy": ["our-tree:meals"]}\''
            " WHERE tenant_id = :me AND key = 'pothole'"
        ),
        {"me": dbsession.scope.tenant_id},
    )
    other = (
        "code,name,parent,name_es\nfood,Food,,Comida\ngroceries,Food boxes,food,\nwater,Water,,\n"
    )
    report = take(dbsession, other, dry_run=True)
    assert (report.new, report.gone) == (("water",), ("meals",))
    assert {each.code for each in report.changed} == {"food", "groceries"}
    assert report.used == {"meals": 1}
    assert "name: Groceries -> Food boxes" in str(report)
    assert "- meals (named by 1 services)" in str(report)
    take(dbsession, other)
    trees = everything(dbsession)
    assert [each.ref for each in trees.of("our-tree")] == [
        "our-tree:food",
        "our-tree:groceries",
        "our-tree:water",
    ]
    assert trees.find("our-tree:food").named("es") == "Comida"
    assert take(dbsession, TREE).new == ("meals",)
    assert everything(dbsession).find("our-tree:meals") is not None


def test_another_order_is_kept_and_a_new_name_is_told(dbsession):
    take(dbsession, TREE)
    turned = "code,name,parent\nfood,Food,\nmeals,Meals,food\ngroceries,Groceries,food\n"
    take(dbsession, turned)
    assert [each.name for each in everything(dbsession).below("our-tree:food")] == [
        "Meals",
        "Groceries",
    ]
    head = head_of(dbsession, "our-tree", name="Another name")
    report = take_taxonomy(
        dbsession, head, read_terms(turned.encode()), dry_run=False, today=TODAY, now=NOW
    )
    assert report.notes == ("What it says of itself changes.",)
    tree = everything(dbsession).taxonomies["our-tree"]
    assert (tree.name, tree.description, tree.imported) == ("Another name", "Of our own.", True)


def test_broken_rows_stop_everything_unless_the_rest_is_asked_for(dbsession):
    bad = TREE + "tea,Tea,watr\n"
    with pytest.raises(BrokenRows, match="row 5, parent: there is no term watr"):
        take(dbsession, bad)
    assert "our-tree" not in everything(dbsession).taxonomies
    report = take(dbsession, bad, skip_broken=True)
    assert (len(report.new), len(report.broken)) == (3, 1)
    assert report.as_dict()["broken"] == [
        {"row": 5, "column": "parent", "message": "there is no term watr"}
    ]


def test_a_new_tree_needs_a_name_and_its_key_is_one_of_a_kind(dbsession, tenants):
    with pytest.raises(InvalidInput, match="needs a name"):
        head_of(dbsession, "our-tree")
    with pytest.raises(InvalidInput, match="Write key as lower case"):
        head_of(dbsession, "Our tree", name="x", description="y")
    with pytest.raises(InvalidInput, match="web address"):
        head_of(dbsession, "our-tree", name="x", description="y", website="javascript:1")
    take(dbsession, TREE)
    with acting_for(dbsession, tenants["211info"]), pytest.raises(TaxonomyTaken):
        take(dbsession, TREE)


def test_a_tree_that_is_kept_in_files_stays_so(dbsession, tenants):
    with acting_for(dbsession, tenants["region"]):
        head = head_of(dbsession, "regional")
        written = io.StringIO()
        rows = csv.writer(written)
        rows.writerow(["code", "name", "parent"])
        for each in everything(dbsession).of("regional"):
            codes = [(ref or ":").partition(":")[2] for ref in (each.ref, each.parent)]
            rows.writerow([codes[0], each.name, codes[1]])
        sheet = read_terms(written.getvalue().encode())
        report = take_taxonomy(dbsession, head, sheet, dry_run=False, today=TODAY, now=NOW)
        assert (report.new, report.gone) == ((), ())
        assert not everything(dbsession).taxonomies["regional"].imported


def test_crosswalks_are_added_and_changed_and_stay(dbsession):
    take(dbsession, TREE)
    take(dbsession, "code,name\nnutrition,Nutrition\n", key="other-tree")

    def cross(sheet, **more):
        codes = {
            key: [each.ref.partition(":")[2] for each in everything(dbsession).of(key)]
            for key in everything(dbsession).taxonomies
        }
        return take_crosswalks(
            dbsession, read_crosswalks(sheet.encode()), codes, now=NOW, **{"dry_run": False, **more}
        )

    sheet = "term,relation,other\nour-tree:food,exact,other-tree:nutrition\n"
    assert cross(sheet, dry_run=True).new == ("our-tree:food other-tree:nutrition",)
    assert not everything(dbsession).terms_of("our-tree:food") & {"other-tree:nutrition"}
    cross(sheet)
    assert "other-tree:nutrition" in everything(dbsession).terms_of("our-tree:food")
    before = revision(dbsession)
    assert cross(sheet).same == 1
    assert revision(dbsession) == before
    (changed,) = cross(sheet.replace("exact", "related")).changed
    assert changed.fields == (("relation", "exact", "related"),)
    more = "our-tree:meals,exact,other-tree:nutritoin\nour-tree:meals,exact,gone:x\n"
    with pytest.raises(BrokenRows) as refused:
        cross(sheet + more)
    assert [str(each) for each in refused.value.broken] == [
        "row 3, other: there is no term nutritoin in other-tree; did you mean nutrition?",
        "row 4, other: there is no taxonomy gone",
    ]
    assert cross(sheet + more, skip_broken=True).applied


def test_open_eligibility_twice(dbsession):
    path = DATA / "open_eligibility_kolzchut_services_en_he.csv"
    if not path.exists():
        pytest.skip("the published files are not beside the project")
    assert len(take(dbsession, path.read_bytes()).new) == 190
    assert take(dbsession, path.read_bytes()).same == 190
    food = everything(dbsession).terms_of("our-tree:human_services.food")
    assert len(food) > 3
