"""Versions of pools: drafted by one, approved by another, read as they were known."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select, text

from regional311.allocation.models import PoolProposal
from regional311.allocation.pool_changes import (
    NothingChanges,
    approve,
    bring_back,
    draft,
    overtaken,
    proposals,
    refuse,
    said_of,
    send_for_approval,
    tied_methods,
    versions,
    withdraw,
)
from regional311.allocation.pool_telling import KIND, Change, changes_of, told_of
from regional311.allocation.pools import PoolExists, PoolSaid, newest, save_pool
from regional311.allocation.service import month_shares, year_shares
from regional311.allocation.year import read_year
from regional311.database.ids import new_id
from regional311.database.session import acting_for
from regional311.errors import Conflict, InvalidInput, NotFound, Stale
from regional311.exchange.models import Envelope
from regional311.identity.members import add_member
from regional311.notices.models import OutboxMessage
from regional311.tenancy.proposals import SecondPersonNeeded
from tests.pools import next_version

NOW = datetime(2026, 12, 5, 18, tzinfo=UTC)
LATER = NOW + timedelta(days=1)
CITY, COUNTY = "city-of-portland", "multnomah-county"
SIXTY_FORTY = {CITY: Decimal(60), COUNTY: Decimal(40)}


@pytest.fixture
def as_person(dbsession):
    """Let some other person act in the session from now on."""

    def act(person_id):
        dbsession._scope = replace(dbsession.scope, person_id=person_id)
        return person_id

    return act


@pytest.fixture
def drafted(dbsession, as_person):
    """A draft of other shares, made by one person and sent; the second one acts from now on."""
    as_person(new_id())
    said = said_of(dbsession, newest(dbsession, "i-and-r", 2027))
    made = draft(
        dbsession,
        "i-and-r",
        2027,
        replace(said, shares=SIXTY_FORTY),
        why=" The board decided so. ",
        now=NOW,
    )
    send_for_approval(dbsession, made, now=NOW)
    as_person(new_id())
    return made


def october(session, stored_before=None):
    found = month_shares(session, "i-and-r", fiscal_year=2027, month=3, stored_before=stored_before)
    return dict(found.cents)


HALVES = {CITY: 25_000_00, COUNTY: 25_000_00}
CHANGED = {CITY: 30_000_00, COUNTY: 20_000_00}


def test_a_run_reads_the_version_that_was_stored_before_its_cut_off(dbsession):
    next_version(dbsession, "i-and-r", now=NOW, shares=SIXTY_FORTY)
    assert october(dbsession) == CHANGED
    assert october(dbsession, stored_before=NOW) == HALVES
    assert october(dbsession, stored_before=NOW + timedelta(microseconds=1)) == CHANGED
    before = year_shares(
        dbsession, "i-and-r", fiscal_year=2027, stored_before=NOW - timedelta(days=100)
    )
    assert dict(before.cents) == {CITY: 300_000_00, COUNTY: 300_000_00}


def test_the_first_version_of_a_file_is_known_from_the_beginning(dbsession):
    assert october(dbsession, stored_before=datetime(2020, 1, 1, tzinfo=UTC)) == HALVES


def test_a_pool_is_not_there_before_it_was_stored(dbsession):
    said = PoolSaid("New", 1200, "Budget", shares={"bureau:water": Decimal(100)})
    save_pool(dbsession, "new-pool", 2027, said, now=NOW, new=True)
    assert "new-pool" not in read_year(dbsession, 2027, stored_before=NOW).pools
    assert "new-pool" in read_year(dbsession, 2027, stored_before=LATER).pools


def test_a_draft_counts_for_nothing_until_a_second_person_approves_it(dbsession, drafted):
    assert october(dbsession) == HALVES
    assert approve(dbsession, drafted, now=LATER) == 2
    assert october(dbsession) == CHANGED
    assert october(dbsession, stored_before=LATER) == HALVES
    second, first = versions(dbsession, "i-and-r", 2027)
    (kept,) = proposals(dbsession, key="i-and-r")
    assert (kept.state, kept.number, kept.based_on) == ("approved", 2, 1)
    assert (second.number, second.stored_at, second.why) == (2, LATER, "The board decided so.")
    assert (second.made_by, second.approved_by) == (kept.proposed_by, kept.decided_by)
    assert first.made_by is first.stored_at is None
    with pytest.raises(Conflict, match="is approved"):
        approve(dbsession, drafted, now=LATER)


def test_whoever_drafted_cannot_approve(dbsession, drafted, as_person):
    (kept,) = proposals(dbsession, key="i-and-r")
    for person_id in (kept.proposed_by, None):
        as_person(person_id)
        with pytest.raises(SecondPersonNeeded):
            approve(dbsession, drafted, now=LATER)
    assert october(dbsession) == HALVES


def test_a_draft_that_was_overtaken_is_not_approved(dbsession, drafted):
    next_version(dbsession, "i-and-r", now=NOW, note="Another change")
    row = dbsession.execute(select(PoolProposal.__table__)).one()
    assert overtaken(dbsession, row)
    with pytest.raises(Stale):
        approve(dbsession, drafted, now=LATER)
    said = said_of(dbsession, newest(dbsession, "i-and-r", 2027))
    with pytest.raises(Stale):
        draft(
            dbsession,
            "i-and-r",
            2027,
            replace(said, note="x"),
            why="So",
            now=LATER,
            based_on=1,
        )
    withdraw(dbsession, drafted, now=LATER)
    assert [row.state for row in proposals(dbsession, states=["withdrawn"])] == ["withdrawn"]


def test_a_refusal_says_why(dbsession, drafted):
    with pytest.raises(InvalidInput, match="Give a reason"):
        refuse(dbsession, drafted, reason=" ", now=LATER)
    refuse(dbsession, drafted, reason="Not agreed", now=LATER)
    (kept,) = proposals(dbsession, limit=1)
    assert (kept.state, kept.reason) == ("refused", "Not agreed")
    assert october(dbsession) == HALVES


def test_what_cannot_be_drafted(dbsession):
    said = said_of(dbsession, newest(dbsession, "i-and-r", 2027))
    with pytest.raises(NothingChanges):
        draft(dbsession, "i-and-r", 2027, said, why="So", now=NOW)
    with pytest.raises(PoolExists):
        draft(dbsession, "i-and-r", 2027, said, why="So", now=NOW, new=True)
    with pytest.raises(InvalidInput, match="Give a reason"):
        draft(dbsession, "i-and-r", 2027, replace(said, note="x"), why="", now=NOW)
    with pytest.raises(NotFound):
        bring_back(dbsession, "i-and-r", 2027, 7, why="So", now=NOW)
    with pytest.raises(NotFound):
        approve(dbsession, new_id(), now=NOW)


def test_an_old_version_comes_back_as_a_new_draft(dbsession, drafted, as_person):
    approve(dbsession, drafted, now=NOW)
    again = bring_back(dbsession, "i-and-r", 2027, 1, why="A mistake", now=LATER)
    assert october(dbsession) == CHANGED
    send_for_approval(dbsession, again, now=LATER)
    as_person(new_id())
    assert approve(dbsession, again, now=LATER) == 3
    assert october(dbsession) == HALVES
    third, _second, first = versions(dbsession, "i-and-r", 2027)
    assert said_of(dbsession, third).as_json() == said_of(dbsession, first).as_json()
    assert proposals(dbsession, key="i-and-r")[0].brings_back == 1


def test_what_is_said_survives_its_plain_form(dbsession):
    for key in read_year(dbsession, 2027).pools:
        said = said_of(dbsession, newest(dbsession, key, 2027))
        again = PoolSaid.of_json(said.as_json())
        assert again.as_json() == said.as_json()
        assert dict(again.shares) == dict(said.shares)


def test_a_change_of_method_is_a_version_of_every_tied_pool(dbsession, as_person):
    as_person(new_id())
    said = said_of(dbsession, newest(dbsession, "technology", 2027))
    made = draft(
        dbsession, "technology", 2027, replace(said, method="reciprocal"), why="Fairer", now=NOW
    )
    row = dbsession.execute(select(PoolProposal.__table__)).one()
    assert len(tied_methods(dbsession, row)) == 2
    send_for_approval(dbsession, made, now=NOW)
    as_person(new_id())
    approve(dbsession, made, now=NOW)
    for key in ("technology", "people-services", "contact-centre"):
        new, old = versions(dbsession, key, 2027)
        assert (new.method, old.method) == ("reciprocal", "step_down")
        assert new.why == "Fairer"
    year = read_year(dbsession, 2027, stored_before=NOW)
    assert {each.method for each in year.pools.values()} == {"step_down"}


# Who is told


def test_a_partner_is_told_of_its_own_part_and_nothing_else(dbsession, drafted, tenants):
    with acting_for(dbsession, tenants[COUNTY]):
        for role in ("finance", "auditor"):
            add_member(dbsession, name=role, email=f"{role}@county.test", roles=[role], now=NOW)
    approve(dbsession, drafted, now=LATER)
    provider = tenants[CITY]
    with acting_for(dbsession, tenants[COUNTY]):
        (told,) = told_of(dbsession, provider, "i-and-r")
        assert told.payload["changes"] == [
            {
                "pool": "i-and-r",
                "name": "Information and referral, 503-823-4000",
                "before_cents": 300_000_00,
                "after_cents": 240_000_00,
                "actual": False,
            }
        ]
        assert told.payload["why"] == "The board decided so."
        assert told_of(dbsession, provider, "technology") == []
        (letter,) = dbsession.execute(
            select(OutboxMessage).where(OutboxMessage.event == "pool_changed")
        ).scalars()
        assert letter.recipient == "finance@county.test"
        body = letter.body
        assert "$300,000.00 before, $240,000.00 now" in body
        assert "360,000" not in body
        assert "The board decided so." in body
    assert not dbsession.execute(
        select(OutboxMessage).where(OutboxMessage.event == "pool_changed")
    ).all()


def test_nobody_is_told_when_no_part_changes(dbsession, drafted, tenants, as_person):
    withdraw(dbsession, drafted, now=NOW)
    said = said_of(dbsession, newest(dbsession, "i-and-r", 2027))
    made = draft(dbsession, "i-and-r", 2027, replace(said, note="A word"), why="So", now=NOW)
    send_for_approval(dbsession, made, now=NOW)
    as_person(new_id())
    approve(dbsession, made, now=NOW)
    with acting_for(dbsession, tenants[COUNTY]):
        assert not dbsession.execute(select(Envelope).where(Envelope.kind == KIND)).all()


def test_an_actual_cost_is_told_beside_the_budget(dbsession):
    before = read_year(dbsession, 2027)
    next_version(dbsession, "i-and-r", actual_cents=620_000_00, actual_source="Close")
    after = read_year(dbsession, 2027)
    assert changes_of(before, after, ["i-and-r"])[COUNTY] == [
        Change(
            "i-and-r",
            "Information and referral, 503-823-4000",
            300_000_00,
            310_000_00,
            actual=True,
        )
    ]


def test_whoever_bears_a_pool_that_is_served_is_touched_too(dbsession):
    before = read_year(dbsession, 2027)
    costs = before.pool("technology").yearly_cents
    next_version(
        dbsession,
        "technology",
        yearly_cents=costs + 100_000_00,
        sources=(),
        revenues=(),
        non_allocable=(),
    )
    found = changes_of(before, read_year(dbsession, 2027), ["technology"])
    assert {each.pool for each in found["bureau:water"]} >= {"contact-centre"}
    moved = sum(
        each.after_cents - each.before_cents for changes in found.values() for each in changes
    )
    assert moved == 100_000_00


# What the database holds to


@pytest.mark.parametrize("table", ["cost_pools", "pool_shares"])
def test_no_version_can_be_changed(dbsession, table):
    allowed = dbsession.execute(
        text("SELECT has_any_column_privilege('regional311_app', :table, 'UPDATE')"),
        {"table": table},
    ).scalar_one()
    assert allowed is False
