"""A run that is repeated reads what it read, whatever was on its way while it read."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from datetime import date, timedelta

import pytest
from sqlalchemy import text

from regional311.allocation import base_changes, pool_changes
from regional311.allocation.pools import newest
from regional311.allocation.snapshots import BaseSaid, ReadingsSaid
from regional311.allocation.snapshots import newest as newest_base
from regional311.chargeback import rate_changes
from regional311.chargeback.billing import fresh_lines
from regional311.chargeback.rate_changes import Change
from regional311.chargeback.rating import run_rating
from regional311.database.session import scope_of
from regional311.tenancy.cut_offs import read_before, stamp
from tests.chargeback.test_billing import NOW, OCTOBER
from tests.pools import next_base, next_readings, next_version

pytestmark = pytest.mark.commits

SECOND = timedelta(seconds=1)
LAST = date(2026, 9, 30)


@pytest.fixture
def shared(region):
    """Five contacts and a pool by heads; nothing was billed yet."""
    region.agree("city-county", "city", "county", "contact_handled", pool_key="i-and-r")
    region.rate("city", "phone", "contact_handled", "10", channel="phone")
    region.pool("city", "i-and-r", 60_000_000, {"city": 50, "county": 50})
    for day in range(1, 6):
        region.use("city", "county", at=(2026, 10, day, 9))
    with region.of("city") as session:
        next_base(session, "heads", kind="population")
        next_base(session, "floors", kind="fte")
        next_readings(session, "heads", {"city": "3", "county": "1"}, as_of=LAST)
        next_readings(session, "floors", {"city": "1", "county": "1"}, as_of=LAST)
        next_version(session, "i-and-r", base_key="heads", shares={})
    return region


def a_price(session):
    (rate,), ids = rate_changes.current(session, ["phone"])
    change = Change("phone", ids["phone"], replace(rate, amount=rate.amount + 5))
    return rate_changes, rate_changes.propose(session, [change], note=None, now=NOW)


def a_pool(session):
    said = pool_changes.said_of(session, newest(session, "i-and-r", 2027))
    said = replace(said, yearly_cents=said.yearly_cents * 2)
    return pool_changes, pool_changes.draft(session, "i-and-r", 2027, said, why="So", now=NOW)


def a_base(session):
    said = BaseSaid.of_row(newest_base(session, "heads"))
    said = replace(said, kind="mix", parts={"floors": 100})
    return base_changes, base_changes.draft(session, "heads", said, why="So", now=NOW)


def readings(session):
    said = ReadingsSaid(LAST, "A recount", {"city": "1", "county": "1"})
    return base_changes, base_changes.draft_readings(session, "heads", said, why="So", now=NOW)


def sent(region, make):
    with region.of("city", region.preparer) as session:
        slice_of, proposal_id = make(session)
        slice_of.send_for_approval(session, proposal_id, now=NOW)
    return slice_of, proposal_id


def billed(session, run):
    """What a run bills, line by line, and the digest of its charges."""
    return run.digest, {
        payer: [(line.line_key, line.exact_amount) for line in lines]
        for payer, lines in fresh_lines(session, run.id).items()
    }


def run_at(region, now, **cut_off):
    with region.of("city", region.preparer) as session:
        return billed(session, run_rating(session, period=OCTOBER, now=now, **cut_off))


CHANGES = pytest.mark.parametrize("make", [a_price, a_pool, a_base, readings])


@CHANGES
def test_what_was_begun_before_a_run_and_stored_after_it_counts_from_its_cut_off(shared, make):
    slice_of, proposal_id = sent(shared, make)
    first = run_at(shared, NOW + SECOND)
    with shared.of("city", shared.approver) as session:
        slice_of.approve(session, proposal_id, now=NOW)
    assert run_at(shared, NOW + 9 * SECOND, stored_before=NOW + SECOND) == first
    assert run_at(shared, NOW + 9 * SECOND) != first


@CHANGES
def test_a_run_waits_for_what_is_being_stored_and_reads_it_each_time(shared, make):
    slice_of, proposal_id = sent(shared, make)
    before = run_at(shared, NOW - SECOND)
    found = []
    run = threading.Thread(target=lambda: found.append(run_at(shared, NOW + SECOND)))
    with shared.of("city", shared.approver) as session:
        slice_of.approve(session, proposal_id, now=NOW)
        session.flush()
        run.start()
        wait_for_lock(shared, run)
    run.join(60)
    assert found == [run_at(shared, NOW + 9 * SECOND, stored_before=NOW + SECOND)]
    assert found != [before]


def wait_for_lock(region, thread):
    """Return when some connection waits for another, or the thread is done."""
    query = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    until = time.monotonic() + 30
    while thread.is_alive() and time.monotonic() < until:
        with region.engine.connect() as connection:
            if connection.execute(query).scalar_one():
                return
        time.sleep(0.02)


def test_stamps_never_go_back_and_a_cut_off_to_come_holds_nothing(region):
    with region.of("city") as session:
        assert stamp(session, NOW) == NOW
        assert stamp(session, NOW - SECOND) == NOW
        read_before(session, NOW + timedelta(days=9), now=NOW + SECOND)
        assert stamp(session, NOW) == NOW + SECOND
    with region.of("county") as session:
        assert scope_of(session).tenant_id == region.tenants["county"]
        assert stamp(session, NOW - SECOND) == NOW - SECOND
