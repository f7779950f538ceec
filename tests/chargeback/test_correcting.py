"""Recorded work that a person corrects, and work that somebody has to look at."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, text

from regional311.audit.models import AuditEvent
from regional311.chargeback import recorded_work
from regional311.chargeback.correcting import (
    NothingCorrected,
    Really,
    correct_work,
    keep_work,
)
from regional311.database.ids import new_id
from regional311.database.rows import send
from regional311.errors import InvalidInput, NotFound
from regional311.metering.models import UsageEvent
from regional311.metering.service import (
    CorrectedBefore,
    Usage,
    next_revision,
    record,
    revision_keys,
)

DONE = datetime(2026, 10, 5, 19, tzinfo=UTC)
LATER = {"now": DONE + timedelta(days=40), "booked_on": date(2026, 11, 14)}


@pytest.fixture
def work(dbsession):
    """A closed referral, by its key."""

    def did(key="referral:7:closed:1"):
        record(
            dbsession,
            Usage(
                source_key=key,
                activity="referral_closed",
                channel="phone",
                occurred_at=DONE,
                received_at=DONE,
                booked_on=date(2026, 10, 5),
                service_key="pothole",
                handle_seconds=240,
            ),
        )
        send(dbsession)
        return row(dbsession, key)

    return did


def row(session, key):
    table = UsageEvent.__table__
    return session.execute(select(table).where(table.c.source_key == key)).one()


def test_a_correction_takes_the_work_back_and_says_what_it_was_with_the_reason(dbsession, work):
    first = work()
    really = replace(Really.of(first), handle_seconds=600, language="es")
    made = correct_work(dbsession, first.id, really, reason="wrong_facts", **LATER)
    chain = recorded_work.revisions(dbsession, first.source_key)
    assert [(each.quantity, each.handle_seconds, each.language) for each in chain] == [
        (Decimal(1), 240, "en"),
        (Decimal(-1), 240, "en"),
        (Decimal(1), 600, "es"),
    ]
    assert chain[2].id == made
    (listed,) = recorded_work.corrected(dbsession)
    assert (listed.id, listed.anew_id, listed.reason) == (first.id, made, "wrong_facts")
    trail = dbsession.execute(select(AuditEvent).where(AuditEvent.subject_id == made)).scalar_one()
    assert trail.detail == {"reason": "wrong_facts", "corrects": str(first.id)}


def test_a_second_correction_goes_on_from_the_latest_revision_and_may_take_all_back(
    dbsession, work
):
    first = work()
    second = correct_work(
        dbsession,
        first.id,
        replace(Really.of(first), handle_seconds=600),
        reason="wrong_facts",
        **LATER,
    )
    with pytest.raises(CorrectedBefore):
        correct_work(dbsession, first.id, None, reason="duplicate", **LATER)
    back = correct_work(dbsession, second, None, reason="duplicate", **LATER)
    chain = recorded_work.revisions(dbsession, first.source_key)
    assert sum(each.quantity for each in chain) == 0
    assert len(chain) == 4
    listed = {each.id: each for each in recorded_work.corrected(dbsession)}
    assert (listed[second].reversal_id, listed[second].anew_id) == (back, None)
    assert (listed[second].reason, listed[first.id].reason) == ("duplicate", "wrong_facts")


def test_what_no_work_can_be_is_refused_and_nothing_changes(dbsession, work):
    first = work()
    really = Really.of(first)
    for wrong, field in (
        (replace(really, quantity=Decimal(0)), "quantity"),
        (replace(really, quantity=Decimal("0.0000001")), "quantity"),
        (replace(really, quantity=Decimal(10_001)), "quantity"),
        (replace(really, handle_seconds=-1), "handle_seconds"),
        (replace(really, handle_seconds=86_401), "handle_seconds"),
    ):
        with pytest.raises(InvalidInput) as refused:
            correct_work(dbsession, first.id, wrong, reason="agreed", **LATER)
        assert refused.value.field == field
    with pytest.raises(InvalidInput, match="reason"):
        correct_work(dbsession, first.id, None, reason="because", **LATER)
    with pytest.raises(NothingCorrected):
        correct_work(dbsession, first.id, really, reason="agreed", **LATER)
    with pytest.raises(NotFound):
        correct_work(dbsession, new_id(), None, reason="agreed", **LATER)
    with pytest.raises(NotFound):
        keep_work(dbsession, new_id(), now=LATER["now"])
    assert len(recorded_work.revisions(dbsession, first.source_key)) == 1


@pytest.mark.parametrize("before", [0, 2])
@pytest.mark.parametrize("what", ["taken back", "kept"])
def test_a_merged_request_is_looked_at_until_it_is_taken_back_or_kept(
    dbsession, work, what, before
):
    """By its latest revision, however often it was corrected before."""
    request_id = new_id()
    me = dbsession.execute(text("SELECT current_setting('app.tenant')::uuid")).scalar_one()
    dbsession.execute(
        text(
            "INSERT INTO followed_requests (tenant_id, id, public_id, owner_id, service_key, state,"
            " sent_at, updated_at) VALUES (:me, :id, 'R-LOOKAT-1', :id, 'pothole', 'merged',"
            " :now, :now)"
        ),
        {"me": me, "id": request_id, "now": DONE},
    )
    event = work(f"request:{request_id}:taken_in:1")
    for seconds in range(before):
        really = replace(Really.of(event), handle_seconds=seconds)
        correct_work(dbsession, event.id, really, reason="wrong_facts", **LATER)
        send(dbsession)
        event = row(dbsession, next_revision(event.source_key))
    (found,) = recorded_work.doubtful(dbsession)
    assert (found.id, found.why, found.public_id) == (event.id, "merged", "R-LOOKAT-1")
    if what == "kept":
        keep_work(dbsession, event.id, now=LATER["now"])
        really = replace(Really.of(event), handle_seconds=9)
        correct_work(dbsession, event.id, really, reason="agreed", **LATER)
    else:
        correct_work(dbsession, event.id, None, reason="duplicate", **LATER)
    send(dbsession)
    assert recorded_work.doubtful(dbsession) == []


@given(st.sampled_from(["contact:7:handled:1", "contact:7:transfer:abc"]), st.integers(0, 20))
def test_every_revision_is_found_from_any_other(key, steps):
    later = key
    for _ in range(steps):
        later = next_revision(later)
    assert {key, f"{key}:reversed", later, f"{later}:reversed"} <= set(revision_keys(later))
    assert revision_keys(later) == revision_keys(f"{later}:reversed") == revision_keys(key)
