"""What two partners describe is found, decided by either, told to both, and never merged."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import text

from regional311.catalog import alike, content
from regional311.catalog.alike import Finder, count_open, decide, entries_of, pairs, pairs_about
from regional311.catalog.hsds import documents, queries
from regional311.catalog.hsds.mapping import ALSO_LISTED
from regional311.catalog.service import (
    stored_service,
    write_location,
    write_organization,
    write_service,
)
from regional311.config.directories import region_of
from regional311.database.session import Scope, acting_for, open_session
from regional311.errors import InvalidInput, NotFound
from regional311.referral.snapshot import Published
from regional311.strict import canonical, from_plain

INFO, COUNTY = "211info", "multnomah-county"
NOW = datetime(2026, 11, 2, 20, tzinfo=UTC)
DAY = date(2026, 11, 2)
HERE = {
    "organization": {
        "key": "try-rose",
        "name": "Rose Trial Pantry",
        "description": "Food",
        "website": "https://rosetrial.example",
    },
    "location": {
        "key": "try-hall",
        "name": "Rose trial hall",
        "address": "77 SE Trial Street",
        "city": "Portland",
        "postal_code": "97214",
    },
    "service": {
        "key": "try-boxes",
        "name": "Trial food boxes",
        "summary": "A box of food",
        "verb": "find",
        "organization": "try-rose",
        "term": "food",
        "group": "Food",
        "phone": "503-555-0177",
        "location": [{"location": "try-hall"}],
        "disposition": [{"kind": "refer", "valid_from": "2026-01-01"}],
    },
}
THERE = {
    "organization": HERE["organization"] | {"name": "The Trial Pantry of Rose, Inc."},
    "location": HERE["location"] | {"name": "The hall", "address": "77 Southeast Trial St, Room 2"},
    "service": HERE["service"] | {"name": "Food boxes, trial", "summary": "Boxes of food"},
}
_WRITERS = {"organization": write_organization, "location": write_location}


@pytest.fixture
def info(engine, tenants):
    """A session of 211's in a transaction that is rolled back, with both partners' entries."""
    with engine.connect() as connection, connection.begin() as transaction:
        with open_session(
            connection, Scope(tenants[INFO]), join_transaction_mode="create_savepoint"
        ) as session:
            write(session, HERE, "community")
            with acting_for(session, tenants[COUNTY]):
                write(session, THERE, bureau_of(session))
            yield session
        transaction.rollback()


def bureau_of(session):
    return session.scalars(
        text("SELECT key FROM bureaus WHERE tenant_id = :me ORDER BY key LIMIT 1"),
        {"me": session.scope.tenant_id},
    ).one()


def write(session, said, bureau):
    more = {"today": DAY, "now": NOW, "person_id": None, "source": "form"}
    for kind, writer in _WRITERS.items():
        model = {"organization": content.Organization, "location": content.Location}[kind]
        writer(session, from_plain(model, said[kind]), known=None, **more)
    service = said["service"] | {"bureau": bureau}
    write_service(session, from_plain(content.Service, service), known=None, **more)


def edit(session, **changes):
    row, model = stored_service(session, "try-boxes")
    said = {name: value for name, value in (canonical(model) | changes).items() if value}
    write_service(
        session,
        from_plain(content.Service, said),
        known=(row.id, model),
        today=DAY,
        now=NOW,
        person_id=None,
        source="form",
    )


def raise_revisions(session):
    session.execute(
        text("UPDATE tenants SET revision = revision + 1 WHERE id = :me"),
        {"me": session.scope.tenant_id},
    )


def find(session, finder=None):
    return (finder or Finder())(session, NOW)


def ours(session, **asked):
    """The pairs of the entries of this test, by kind."""
    rows = pairs(session, today=DAY, limit=500, **asked).rows
    return {each.kind: each for each in rows if each.key.startswith("try-")}


def test_all_three_kinds_are_found_with_their_reasons(info):
    find(info)
    found = ours(info)
    assert {kind: each.reasons for kind, each in found.items()} == {
        "organization": ("name", "website"),
        "location": ("address",),
        "service": ("name", "phone", "address", "organization"),
    }
    assert found["service"].other_name == "Food boxes, trial"
    assert all(each.standing == "open" for each in found.values())
    assert count_open(info, today=DAY) >= 3


def test_each_partner_has_its_own_row_of_a_pair(info, tenants):
    find(info)
    with acting_for(info, tenants[COUNTY]):
        assert ours(info) == {}
        find(info)
        seen = ours(info)["service"]
        assert (seen.name, seen.other_name) == ("Food boxes, trial", "Trial food boxes")
        assert seen.other == tenants[INFO]
    assert seen.id != ours(info)["service"].id


def test_nothing_is_written_again_while_nobody_publishes(info, statements):
    finder = Finder()
    assert find(info, finder) >= 3
    assert len(ours(info)) == 3
    statements.clear()
    assert find(info, finder) == 0
    assert len(statements) == 1
    raise_revisions(info)
    statements.clear()
    assert find(info, finder) == 0
    # its revision, its three kinds of entries, its pairs: no other partner is read again
    assert len(statements) == 5


def test_what_is_not_alike_any_more_leaves_the_list_and_comes_back(info):
    finder = Finder()
    find(info, finder)
    was = ours(info)["service"].id
    edit(info, name="Something else entirely")
    raise_revisions(info)
    assert find(info, finder) == 1
    assert "service" not in ours(info)
    edit(info, name="Trial food boxes")
    raise_revisions(info)
    assert find(info, finder) == 1
    assert ours(info)["service"].id == was


def test_what_is_decided_does_not_come_again(info):
    finder = Finder()
    find(info, finder)
    decide(info, [ours(info)["service"].id], "different", now=NOW)
    edit(info, phone="503-555-0178")
    find(info, finder)
    assert "service" not in ours(info)
    kept = ours(info, state="different")["service"]
    assert (kept.verdict, kept.standing) == ("different", "different")
    decide(info, [kept.id], None, now=NOW)
    assert ours(info)["service"].standing == "open"


def test_either_partner_s_decision_is_seen_by_the_other(info, tenants):
    find(info)
    with acting_for(info, tenants[COUNTY]):
        find(info)
        decide(info, [ours(info)["service"].id], "same", now=NOW)
    assert "service" not in ours(info)
    seen = ours(info, state="same")["service"]
    assert (seen.verdict, seen.their_verdict, seen.standing) == (None, "same", "same")
    decide(info, [seen.id], "different", now=NOW + timedelta(hours=1))
    assert ours(info, state="disputed")["service"].standing == "disputed"
    with acting_for(info, tenants[COUNTY]):
        assert ours(info, state="disputed")["service"].their_verdict == "different"
        assert pairs_about(info, "service", "try-boxes", today=DAY) == []


def test_nobody_decides_another_partner_s_row(info, tenants):
    find(info)
    mine = ours(info)["service"].id
    with acting_for(info, tenants[COUNTY]), pytest.raises(NotFound):
        decide(info, [mine], "same", now=NOW)
    with pytest.raises(InvalidInput):
        decide(info, [mine], "perhaps", now=NOW)
    assert ours(info)["service"].verdict is None


def test_what_has_ended_is_not_compared(info):
    find(info)
    assert "service" in ours(info)
    info.execute(
        text("UPDATE services SET ended_on = :day WHERE tenant_id = :me AND key = 'try-boxes'"),
        {"me": info.scope.tenant_id, "day": DAY},
    )
    assert set(ours(info)) == {"organization", "location"}
    said = entries_of(info, info.scope.tenant_id, DAY)
    assert {each.kind for each in said if each.key.startswith("try-")} == set(ours(info))


def test_the_interface_says_what_somebody_found_to_be_the_same(info, tenants):
    find(info)
    with acting_for(info, tenants[COUNTY]):
        find(info)
        theirs = stored_service(info, "try-boxes")[0].id
        decide(info, [ours(info)["service"].id], "same", now=NOW)
    mine = stored_service(info, "try-boxes")[0].id

    def told(service_id):
        region = region_of(Published.load(info), NOW, "http://x/hsds")
        row = queries.service(info, region, service_id, DAY)
        attributes = documents.full_service(row, region)["attributes"]
        return [
            each["value"] for each in attributes if each["taxonomy_term"].get("code") == ALSO_LISTED
        ]

    assert (told(mine), told(theirs)) == ([str(theirs)], [str(mine)])
    decide(info, [ours(info, state="same")["service"].id], "different", now=NOW)
    assert (told(mine), told(theirs)) == ([], [])


def test_both_sides_are_given_with_the_names_of_what_they_name(info, tenants):
    find(info)
    mine, theirs = alike.sides(info, ours(info)["service"])
    assert (mine.tenant, theirs.tenant) == (tenants[INFO], tenants[COUNTY])
    assert theirs.said["summary"] == "Boxes of food"
    assert theirs.names["organizations"] == {"try-rose": "The Trial Pantry of Rose, Inc."}
    assert mine.names["locations"] == {"try-hall": "Rose trial hall, 77 SE Trial Street, Portland"}


def test_a_list_goes_on_where_its_page_ended(info):
    find(info)
    every = [each.id for each in pairs(info, today=DAY, limit=500).rows]
    walked, after = [], None
    while True:
        page = pairs(info, today=DAY, after=after, limit=1)
        walked += [each.id for each in page.rows]
        after = page.after
        if after is None:
            break
    assert walked == every
    assert len(every) >= 3
    assert set(ours(info, words="TRIAL PANTRY")) == {"organization"}
    assert set(ours(info, kind="location")) == {"location"}
    assert ours(info, words="100%") == {}
