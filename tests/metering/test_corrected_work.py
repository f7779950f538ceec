from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select

from regional311.database.rows import put
from regional311.errors import KeyReused, NotFound
from regional311.metering.models import UsageEvent
from regional311.metering.service import (
    CorrectedBefore,
    NoRevision,
    NotDoneYet,
    Usage,
    correct,
    next_revision,
    record,
    usage_row,
)

DONE = datetime(2026, 10, 5, 19, tzinfo=UTC)
LATER = {"received_at": DONE + timedelta(days=40), "booked_on": date(2026, 11, 14)}
FIRST = Usage(
    source_key="contact:7:handled:1",
    activity="contact_handled",
    channel="phone",
    occurred_at=DONE,
    received_at=DONE,
    booked_on=date(2026, 10, 5),
    service_key="pothole",
    handle_seconds=240,
)
LONGER = replace(FIRST, source_key=next_revision(FIRST.source_key), handle_seconds=600)


@pytest.fixture
def done(dbsession):
    record(dbsession, FIRST)
    return dbsession


def events(session):
    rows = session.execute(
        select(UsageEvent)
        .where(UsageEvent.source_key.like("contact:7:%"))
        .order_by(UsageEvent.source_key)
    ).scalars()
    return {row.source_key: row for row in rows}


def test_corrected_work_is_reversed_by_name_and_recorded_anew(done):
    assert correct(done, FIRST.source_key, LONGER, **LATER)
    found = events(done)
    first = found["contact:7:handled:1"]
    back, anew = found["contact:7:handled:1:reversed"], found["contact:7:handled:2"]
    assert (back.reverses_id, back.quantity, back.handle_seconds) == (first.id, -1, 240)
    assert (anew.reverses_id, anew.quantity, anew.handle_seconds) == (None, 1, 600)
    assert back.occurred_at == first.occurred_at
    assert {back.received_at, anew.received_at} == {LATER["received_at"]}
    assert sum((row.quantity for row in found.values()), Decimal(0)) == 1


def test_the_same_correction_again_changes_nothing(done):
    correct(done, FIRST.source_key, LONGER, **LATER)
    assert not correct(done, FIRST.source_key, LONGER, **LATER)
    assert len(events(done)) == 3


def test_work_entered_in_error_is_taken_back_altogether(done):
    assert correct(done, FIRST.source_key, None, **LATER)
    assert not correct(done, FIRST.source_key, None, **LATER)
    assert sum((row.quantity for row in events(done).values()), Decimal(0)) == 0
    with pytest.raises(CorrectedBefore):
        correct(done, FIRST.source_key, LONGER, **LATER)


def test_a_second_correction_corrects_the_latest_revision(done):
    correct(done, FIRST.source_key, LONGER, **LATER)
    third = replace(LONGER, source_key=next_revision(LONGER.source_key), handle_seconds=300)
    for wanted in (third, None):
        with pytest.raises(CorrectedBefore):
            correct(done, FIRST.source_key, wanted, **LATER)
    assert correct(done, LONGER.source_key, third, **LATER)
    net = {}
    for row in events(done).values():
        net[row.handle_seconds] = net.get(row.handle_seconds, 0) + row.quantity
    assert {seconds for seconds, quantity in net.items() if quantity} == {300}


def test_the_same_key_with_another_body_is_a_conflict(done):
    correct(done, FIRST.source_key, LONGER, **LATER)
    with pytest.raises(KeyReused):
        correct(done, FIRST.source_key, replace(LONGER, handle_seconds=1), **LATER)


def test_what_cannot_be_corrected_is_refused(done):
    with pytest.raises(NotFound, match="contact:8:handled:1"):
        correct(done, "contact:8:handled:1", None, **LATER)
    with pytest.raises(NoRevision):
        correct(done, FIRST.source_key, FIRST, **LATER)
    correct(done, FIRST.source_key, LONGER, **LATER)
    with pytest.raises(CorrectedBefore, match="takes other work back"):
        correct(done, "contact:7:handled:1:reversed", None, **LATER)
    assert len(events(done)) == 3


def test_work_of_the_future_is_refused_and_nothing_is_kept(dbsession):
    """A clock may be a little ahead; a day that has not come is a mistake."""
    ahead = replace(FIRST, occurred_at=DONE + timedelta(minutes=4))
    assert record(dbsession, ahead)
    for minutes in (6, 60 * 24 * 400):
        later = replace(
            FIRST, source_key="contact:9:handled:1", occurred_at=DONE + timedelta(minutes=minutes)
        )
        with pytest.raises(NotDoneYet, match="has not come yet") as refused:
            record(dbsession, later)
        assert refused.value.field == "started_at"
    with pytest.raises(NotFound):
        correct(dbsession, "contact:9:handled:1", None, **LATER)


def test_work_of_the_future_that_is_there_is_taken_back(dbsession):
    """It was recorded while that was still possible; now it must not stay."""
    ahead = DONE + timedelta(days=400)
    there = replace(FIRST, occurred_at=ahead, received_at=ahead)
    put(dbsession, usage_row(dbsession.scope.tenant_id, there))
    assert correct(dbsession, FIRST.source_key, LONGER, **LATER)
    still = [each.quantity for each in events(dbsession).values() if each.occurred_at == ahead]
    assert sorted(still) == [-1, 1]
