"""Versions and readings of bases: drafted by one, approved by another, read as they were known."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select, text

from regional311.allocation.base_changes import (
    approve,
    bring_back,
    draft,
    draft_readings,
    overtaken,
    proposals,
    refuse,
    send_for_approval,
    versions,
    withdraw,
)
from regional311.allocation.models import BaseProposal
from regional311.allocation.pool_changes import NothingChanges
from regional311.allocation.pool_telling import KIND, told_of
from regional311.allocation.service import month_shares
from regional311.allocation.snapshots import (
    BaseSaid,
    KeyTaken,
    ReadingsSaid,
    newest,
    snapshots_of,
)
from regional311.allocation.year import read_year
from regional311.audit.models import AuditEvent
from regional311.database.ids import new_id
from regional311.database.session import acting_for
from regional311.errors import Conflict, InvalidInput, NotFound, Stale
from regional311.exchange.models import Envelope
from regional311.identity.members import add_member
from regional311.notices.models import OutboxMessage
from regional311.tenancy.proposals import SecondPersonNeeded
from tests.pools import next_base, next_readings, next_version

NOW = datetime(2026, 12, 5, 18, tzinfo=UTC)
LATER = NOW + timedelta(days=1)
CITY, COUNTY = "city-of-portland", "multnomah-county"
EVEN = ReadingsSaid(date(2026, 6, 30), "A recount", {CITY: "1", COUNTY: "1"})


@pytest.fixture
def as_person(dbsession):
    """Let some other person act in the session from now on."""

    def act(person_id):
        dbsession._scope = replace(dbsession.scope, person_id=person_id)
        return person_id

    return act


@pytest.fixture
def shared(dbsession):
    """The City and the County share a pool by heads, three to one."""
    next_base(dbsession, "heads", kind="population")
    next_readings(dbsession, "heads", {CITY: "3", COUNTY: "1"}, as_of=date(2026, 6, 30))
    next_base(dbsession, "floors", kind="fte")
    next_readings(dbsession, "floors", {COUNTY: "5"}, as_of=date(2026, 6, 30))
    next_version(dbsession, "i-and-r", base_key="heads", shares={})


@pytest.fixture
def sent(dbsession, as_person):
    """Draft something as one person and send it; another person acts from then on."""

    def send(made):
        as_person(new_id())
        proposal_id = made()
        send_for_approval(dbsession, proposal_id, now=NOW)
        as_person(new_id())
        return proposal_id

    return send


def october(session, stored_before=None, month=3):
    found = month_shares(
        session, "i-and-r", fiscal_year=2027, month=month, stored_before=stored_before
    )
    return {target: cents // 100 for target, cents in found.cents.items()}


def mix(dbsession, **fields):
    said = BaseSaid.of_row(newest(dbsession, "heads"))
    parts = {"floors": Decimal(100)}
    return replace(said, kind="mix", parts=parts, **fields)


BEFORE, HALVES = {CITY: 37_500, COUNTY: 12_500}, {CITY: 25_000, COUNTY: 25_000}


def test_a_run_reads_the_version_that_was_stored_before_its_cut_off(dbsession, shared):
    next_base(dbsession, "heads", kind="mix", parts={"floors": Decimal(100)}, now=NOW)
    assert october(dbsession) == {COUNTY: 50_000}
    assert october(dbsession, stored_before=NOW) == BEFORE
    assert october(dbsession, stored_before=NOW + timedelta(microseconds=1)) == {COUNTY: 50_000}
    basis = month_shares(dbsession, "i-and-r", fiscal_year=2027, month=3).basis["base"]
    assert basis["version"] == 2


def test_a_version_holds_for_months_from_its_day_on(dbsession, shared):
    fields = {"parts": {"floors": Decimal(100)}, "valid_from": date(2026, 11, 1)}
    next_base(dbsession, "heads", kind="mix", **fields)
    assert october(dbsession) == BEFORE
    assert october(dbsession, month=4) == {COUNTY: 50_000}


def test_the_first_version_of_a_file_is_known_from_the_beginning(dbsession):
    assert newest(dbsession, "contacts").stored_at is None
    year = read_year(dbsession, 2027, stored_before=datetime(2020, 1, 1, tzinfo=UTC))
    assert "contacts" in year.bases()


def test_a_draft_counts_for_nothing_until_a_second_person_approves_it(dbsession, shared, sent):
    made = sent(lambda: draft(dbsession, "heads", mix(dbsession), why=" Fairer ", now=NOW))
    assert october(dbsession) == BEFORE
    assert approve(dbsession, made, now=LATER) == 2
    assert october(dbsession) == {COUNTY: 50_000}
    assert october(dbsession, stored_before=LATER) == BEFORE
    second, first = versions(dbsession, "heads")
    (kept,) = proposals(dbsession, key="heads")
    assert (kept.state, kept.number, kept.based_on) == ("approved", 2, 1)
    assert (second.stored_at, second.why) == (LATER, "Fairer")
    assert (second.made_by, second.approved_by) == (kept.proposed_by, kept.decided_by)
    assert first.kind == "population"
    with pytest.raises(Conflict, match="is approved"):
        approve(dbsession, made, now=LATER)
    actions = dbsession.execute(
        select(AuditEvent.action).where(AuditEvent.subject_kind == "base_proposal")
    ).scalars()
    assert set(actions) == {"base:draft", "base:propose", "base:approve"}


def test_readings_wait_for_a_second_person_too(dbsession, shared, sent):
    made = sent(lambda: draft_readings(dbsession, "heads", EVEN, why="A recount", now=NOW))
    assert october(dbsession) == BEFORE
    assert approve(dbsession, made, now=LATER) == 2
    assert october(dbsession) == HALVES
    assert october(dbsession, stored_before=LATER) == BEFORE
    second, _first = snapshots_of(dbsession, "heads")
    (kept,) = proposals(dbsession, key="heads")
    assert (second.taken_by, second.approved_by) == (kept.proposed_by, kept.decided_by)
    assert (second.taken_at, second.why) == (LATER, "A recount")


def test_whoever_drafted_cannot_approve(dbsession, shared, sent, as_person):
    made = sent(lambda: draft_readings(dbsession, "heads", EVEN, why="So", now=NOW))
    (kept,) = proposals(dbsession, key="heads")
    for person_id in (kept.proposed_by, None):
        as_person(person_id)
        with pytest.raises(SecondPersonNeeded):
            approve(dbsession, made, now=LATER)
    assert october(dbsession) == BEFORE


def test_an_old_version_and_old_readings_come_back_as_drafts(dbsession, shared, sent):
    approve(
        dbsession,
        sent(lambda: draft(dbsession, "heads", mix(dbsession), why="So", now=NOW)),
        now=NOW,
    )
    again = sent(lambda: bring_back(dbsession, "heads", 1, why="A mistake", now=NOW))
    assert approve(dbsession, again, now=LATER) == 3
    assert october(dbsession) == BEFORE
    approve(
        dbsession,
        sent(lambda: draft_readings(dbsession, "heads", EVEN, why="So", now=NOW)),
        now=LATER,
    )
    assert october(dbsession) == HALVES
    old = ReadingsSaid.of_row(snapshots_of(dbsession, "heads")[-1])
    back = sent(lambda: draft_readings(dbsession, "heads", old, why="x", now=NOW, brings_back=1))
    assert approve(dbsession, back, now=LATER) == 3
    assert october(dbsession) == BEFORE
    assert [row.brings_back for row in proposals(dbsession, key="heads")] == [1, None, 1, None]


def test_what_was_overtaken_is_not_approved(dbsession, shared, sent):
    def row(proposal_id):
        table = BaseProposal.__table__
        return dbsession.execute(select(table).where(table.c.id == proposal_id)).one()

    version = sent(lambda: draft(dbsession, "heads", mix(dbsession), why="So", now=NOW))
    readings = sent(lambda: draft_readings(dbsession, "heads", EVEN, why="So", now=NOW))
    next_readings(dbsession, "heads", {CITY: "9"}, as_of=date(2026, 3, 31))
    assert not overtaken(dbsession, row(readings))
    next_readings(dbsession, "heads", {CITY: "9"}, as_of=EVEN.as_of)
    next_base(dbsession, "heads", kind="population", note="Other words")
    for each in (version, readings):
        assert overtaken(dbsession, row(each))
        with pytest.raises(Stale):
            approve(dbsession, each, now=LATER)
        withdraw(dbsession, each, now=LATER)
    with pytest.raises(Stale):
        draft(dbsession, "heads", mix(dbsession), why="So", now=NOW, based_on=1)


def test_a_refusal_says_why(dbsession, shared, sent):
    made = sent(lambda: draft_readings(dbsession, "heads", EVEN, why="So", now=NOW))
    with pytest.raises(InvalidInput, match="Give a reason"):
        refuse(dbsession, made, reason=" ", now=LATER)
    refuse(dbsession, made, reason="Not agreed", now=LATER)
    (kept,) = proposals(dbsession, states=["refused"], limit=1)
    assert kept.reason == "Not agreed"


def test_what_cannot_be_drafted(dbsession, shared):
    said = BaseSaid.of_row(newest(dbsession, "heads"))
    with pytest.raises(NothingChanges):
        draft(dbsession, "heads", said, why="So", now=NOW)
    with pytest.raises(KeyTaken):
        draft(dbsession, "heads", said, why="So", now=NOW, new=True)
    with pytest.raises(InvalidInput, match="Give a reason"):
        draft(dbsession, "heads", replace(said, note="x"), why="", now=NOW)
    with pytest.raises(NotFound):
        bring_back(dbsession, "heads", 7, why="So", now=NOW)
    with pytest.raises(NotFound):
        draft_readings(dbsession, "heads", EVEN, why="So", now=NOW, brings_back=7)
    with pytest.raises(NotFound):
        draft_readings(dbsession, "nowhere", EVEN, why="So", now=NOW)
    same = ReadingsSaid.of_row(snapshots_of(dbsession, "heads")[0])
    with pytest.raises(NothingChanges):
        draft_readings(dbsession, "heads", same, why="So", now=NOW)


def test_what_is_said_survives_its_plain_form(dbsession):
    for key in read_year(dbsession, 2027).bases():
        said = replace(BaseSaid.of_row(newest(dbsession, key)), valid_from=date(2027, 1, 1))
        assert BaseSaid.of_json(said.as_json()) == said


# Who is told


def test_a_partner_is_told_of_its_own_part(dbsession, shared, sent, tenants):
    with acting_for(dbsession, tenants[COUNTY]):
        add_member(dbsession, name="Fin", email="fin@county.test", roles=["finance"], now=NOW)
    made = sent(lambda: draft_readings(dbsession, "heads", EVEN, why="A recount", now=NOW))
    approve(dbsession, made, now=LATER)
    with acting_for(dbsession, tenants[COUNTY]):
        (told,) = told_of(dbsession, tenants[CITY], "i-and-r")
        assert (told.payload["base"], told.payload["why"]) == ("heads", "A recount")
        (change,) = told.payload["changes"]
        assert (change["before_cents"], change["after_cents"]) == (150_000_00, 300_000_00)
        (letter,) = dbsession.execute(
            select(OutboxMessage).where(OutboxMessage.event == "pool_changed")
        ).scalars()
        assert letter.recipient == "fin@county.test"
        assert "City of Portland changed Heads for the fiscal year 2027" in letter.body
        assert "$150,000.00 before, $300,000.00 now" in letter.body


def test_a_mix_carries_the_change_of_its_part_to_who_pays(dbsession, shared, sent, tenants):
    next_base(dbsession, "heads", kind="mix", parts={"floors": Decimal(100)})
    halves = replace(EVEN, source="Plans")
    made = sent(lambda: draft_readings(dbsession, "floors", halves, why="So", now=NOW))
    approve(dbsession, made, now=LATER)
    with acting_for(dbsession, tenants[COUNTY]):
        assert len(told_of(dbsession, tenants[CITY], "i-and-r")) == 1


def test_nobody_is_told_when_no_part_changes(dbsession, shared, sent, tenants):
    said = replace(BaseSaid.of_row(newest(dbsession, "heads")), note="A word")
    approve(dbsession, sent(lambda: draft(dbsession, "heads", said, why="So", now=NOW)), now=LATER)
    with acting_for(dbsession, tenants[COUNTY]):
        assert not dbsession.execute(select(Envelope).where(Envelope.kind == KIND)).all()


# What the database holds to


@pytest.mark.parametrize("table", ["allocation_bases", "base_snapshots"])
def test_no_version_can_be_changed(dbsession, table):
    allowed = dbsession.execute(
        text("SELECT has_any_column_privilege('regional311_app', :table, 'UPDATE')"),
        {"table": table},
    ).scalar_one()
    assert allowed is False
