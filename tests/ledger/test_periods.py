from __future__ import annotations

import json
from datetime import UTC, datetime
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from regional311.database.ids import new_id
from regional311.database.session import Scope, session_scope
from regional311.errors import Conflict, Forbidden, InvalidInput
from regional311.ledger import queries
from regional311.ledger.books import credit, debit
from regional311.ledger.periods import (
    PeriodsCloseInOrder,
    ReopeningNotAsked,
    SamePerson,
    approve_reopening,
    close_period,
    decline_reopening,
    period_events,
    request_reopening,
    waiting_request,
)
from regional311.ledger.service import (
    NewEntry,
    PeriodClosed,
    first_open_period,
    lock_open_period,
    post,
    post_many,
    reverse,
)

pytestmark = pytest.mark.commits

NOW = datetime(2026, 11, 3, 17, tzinfo=UTC)
OFFICER, APPROVER = UUID(int=11), UUID(int=12)


def entry(source, period="2026-10", cents=500):
    legs = [debit("due_from_outside", cents), credit("service_revenue", cents)]
    return NewEntry(period, "2026-10", "October", source, legs)


def as_person(books, person):
    return session_scope(books.engine, Scope(books.tenants["city"], person))


@pytest.fixture
def closed(books):
    """October is closed; one entry was posted to it."""
    with as_person(books, OFFICER) as session:
        first = post(session, entry("first"), now=NOW)
        close_period(session, "2026-10", now=NOW)
    books.first = first
    return books


def raw_entry(session, legs):
    session.execute(
        text(
            "WITH entry AS (INSERT INTO journal_entries (tenant_id, id, period_key,"
            " service_period, memo, source_key, leg_count, total_cents, posted_at)"
            " VALUES (:t, :e, '2026-10', '2026-10', 'x', 'raw', 2, 5, :now))"
            " INSERT INTO postings (tenant_id, entry_id, leg, account_key, debit_cents,"
            " credit_cents) SELECT :t, :e, leg.* FROM jsonb_to_recordset(:legs)"
            " AS leg (number bigint, account text, debit bigint, credit bigint)"
        ),
        {
            "t": session.scope.tenant_id,
            "e": new_id(),
            "now": NOW,
            "legs": json.dumps(
                [
                    {"number": number, "account": "cash", "debit": debited, "credit": credited}
                    for number, debited, credited in legs
                ]
            ),
        },
    )


PATHS = {
    "post": lambda session, _first: post(session, entry("late"), now=NOW),
    "post_many": lambda session, _first: post_many(session, [entry("a"), entry("b")], now=NOW),
    "reverse": lambda session, first: reverse(
        session, first, period_key="2026-10", memo="Late", now=NOW
    ),
    "hold": lambda session, _first: lock_open_period(session, "2026-10"),
    "an earlier month that nobody used": lambda session, _first: post(
        session, entry("older", "2026-08"), now=NOW
    ),
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("soft", [False, True])
def test_nothing_is_posted_to_a_closed_period_by_any_path(books, path, soft):
    with as_person(books, OFFICER) as session:
        first = post(session, entry("first"), now=NOW)
        close_period(session, "2026-10", soft=soft, now=NOW)
    with as_person(books, OFFICER) as session, pytest.raises(PeriodClosed):
        PATHS[path](session, first)
    with as_person(books, OFFICER) as session:
        assert len(queries.journal(session)) == 1


def test_the_database_itself_refuses_a_posting_to_a_closed_period(closed):
    def write():
        with as_person(closed, OFFICER) as session:
            raw_entry(session, [(1, 5, 0), (2, 0, 5)])

    with pytest.raises(IntegrityError, match="2026-10, which is closed"):
        write()


def test_the_database_refuses_legs_that_are_not_numbered_from_one(books):
    def write():
        with as_person(books, OFFICER) as session:
            lock_open_period(session, "2026-10")
            raw_entry(session, [(2, 5, 0), (3, 0, 5)])

    with pytest.raises(IntegrityError, match="not balanced"):
        write()


def test_a_retry_is_no_error_after_the_close(closed):
    with as_person(closed, OFFICER) as session:
        assert post(session, entry("first"), now=NOW) == closed.first
        assert post_many(session, [entry("first")], now=NOW) == [closed.first]
        assert first_open_period(session, "2026-08") == "2026-11"


def test_opening_again_takes_two_people_and_a_reason(closed):
    with as_person(closed, OFFICER) as session:
        for reason in ("", "  ", "x" * 501):
            with pytest.raises(InvalidInput) as caught:
                request_reopening(session, "2026-10", reason=reason, now=NOW)
            assert caught.value.field == "reason"
        with pytest.raises(ReopeningNotAsked):
            approve_reopening(session, "2026-10", now=NOW)
        request_reopening(session, "2026-10", reason=" The bank's letter came late ", now=NOW)
        with pytest.raises(Conflict, match="already"):
            request_reopening(session, "2026-10", reason="Again", now=NOW)
        with pytest.raises(SamePerson):
            approve_reopening(session, "2026-10", now=NOW)
        with pytest.raises(PeriodClosed):
            post(session, entry("late"), now=NOW)
    with as_person(closed, None) as session:
        with pytest.raises(SamePerson):
            approve_reopening(session, "2026-10", now=NOW)
        with pytest.raises(Forbidden):
            request_reopening(session, "2026-10", reason="Nobody", now=NOW)
    with as_person(closed, APPROVER) as session:
        asked = waiting_request(session, "2026-10")
        assert (asked.person_id, asked.reason) == (OFFICER, "The bank's letter came late")
        approve_reopening(session, "2026-10", now=NOW)
        assert waiting_request(session, "2026-10") is None
        post(session, entry("late"), now=NOW)
        close_period(session, "2026-10", now=NOW)
    with as_person(closed, APPROVER) as session:
        events = period_events(session, "2026-10")
        assert [(each.kind, each.person_id) for each in reversed(events)] == [
            ("closed", OFFICER),
            ("reopen_requested", OFFICER),
            ("reopened", APPROVER),
            ("closed", APPROVER),
        ]
        actions = session.execute(
            text("SELECT action FROM audit_events WHERE subject_kind = 'ledger_period' ORDER BY id")
        ).scalars()
        assert list(actions) == [f"ledger_period:{each.kind}" for each in reversed(events)]


def test_a_second_person_may_say_no(closed):
    with as_person(closed, OFFICER) as session:
        request_reopening(session, "2026-10", reason="Late", now=NOW)
        with pytest.raises(SamePerson):
            decline_reopening(session, "2026-10", reason="No", now=NOW)
    with as_person(closed, APPROVER) as session:
        with pytest.raises(InvalidInput):
            decline_reopening(session, "2026-10", reason=" ", now=NOW)
        decline_reopening(session, "2026-10", reason="Book it in November", now=NOW)
        with pytest.raises(ReopeningNotAsked):
            approve_reopening(session, "2026-10", now=NOW)


def test_months_open_again_the_latest_first(closed):
    with as_person(closed, OFFICER) as session:
        post(session, entry("november", "2026-11"), now=NOW)
        with pytest.raises(Conflict, match="is open"):
            request_reopening(session, "2026-11", reason="Why", now=NOW)
        close_period(session, "2026-11", soft=True, now=NOW)
        with pytest.raises(PeriodsCloseInOrder, match="2026-11"):
            request_reopening(session, "2026-10", reason="Late", now=NOW)
        request_reopening(session, "2026-11", reason="Late", now=NOW)
    with as_person(closed, APPROVER) as session:
        approve_reopening(session, "2026-11", now=NOW)
    with as_person(closed, OFFICER) as session:
        request_reopening(session, "2026-10", reason="Late", now=NOW)
        close_period(session, "2026-11", now=NOW)
    with as_person(closed, APPROVER) as session, pytest.raises(PeriodsCloseInOrder):
        approve_reopening(session, "2026-10", now=NOW)


def test_months_are_soft_closed_in_order_too(books):
    with as_person(books, OFFICER) as session:
        post(session, entry("september", "2026-09"), now=NOW)
        post(session, entry("october"), now=NOW)
        with pytest.raises(PeriodsCloseInOrder, match="2026-09"):
            close_period(session, "2026-10", soft=True, now=NOW)
        close_period(session, "2026-09", soft=True, now=NOW)
        close_period(session, "2026-10", soft=True, now=NOW)
        with pytest.raises(PeriodClosed, match="soft-closed"):
            post(session, entry("older", "2026-08"), now=NOW)
