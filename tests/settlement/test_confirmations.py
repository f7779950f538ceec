"""Both sides confirm a balance at a day; what differs becomes a task; reminders come once."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import Range

from regional311.database.ids import new_id
from regional311.errors import Conflict, InvalidInput, NotFound
from regional311.settlement.confirmations import (
    AlreadyAnswered,
    accept,
    ask,
    confirmations,
    differences,
    figures,
    follow_up,
    state_figures,
    waiting,
)
from regional311.settlement.disputes import open_dispute
from regional311.settlement.payments import record_payment
from regional311.settlement.reminders import remind

pytestmark = pytest.mark.commits

NOW = datetime(2026, 11, 20, 18, tzinfo=UTC)
DAY = date(2026, 11, 20)


def asked(region, partner="city", other="county", **fields):
    with region.of(partner, region.preparer) as session:
        return ask(session, region.tenants[other], **{"as_of_on": DAY, "now": NOW} | fields)


def seen(region, partner):
    with region.of(partner) as session:
        (row,) = confirmations(session)
        return row, differences(session, row.id)


def test_a_balance_is_accepted_by_the_other_side(region, bills):
    bills.bill("city", "county", [6000])
    bills.bill("county", "city", [1000])
    made = asked(region)
    with region.of("county") as session:
        assert waiting(session) == 1
        assert figures(session, region.tenants["city"], DAY) == (1000, 6000)
        assert accept(session, made, now=NOW) == "agreed"
        with pytest.raises(AlreadyAnswered):
            accept(session, made, now=NOW)
    for partner, figures_there in (("city", (6000, 1000)), ("county", (1000, 6000))):
        row, tasks = seen(region, partner)
        assert (row.claims_cents, row.owes_cents) == figures_there
        assert (row.their_owes_cents, row.their_claims_cents) == figures_there
        assert (row.state, tasks) == ("agreed", [])


def test_a_difference_is_a_task_on_both_sides_until_it_is_resolved(region, bills):
    cora = bills.member("county", "Cora", "finance")
    bill = bills.bill("city", "county", [6000])
    made = asked(region)
    with region.of("county") as session:
        state = state_figures(session, made, claims_cents=0, owes_cents=5000, now=NOW)
        assert state == "differs"
    _row, (task,) = seen(region, "city")
    assert (task.what, task.ours_cents, task.theirs_cents) == ("claim", 6000, 5000)
    _, (theirs,) = seen(region, "county")
    assert (theirs.what, theirs.ours_cents, theirs.theirs_cents) == ("debt", 5000, 6000)
    assert theirs.id == task.id
    with region.of("county", cora) as session:
        follow_up(
            session, task.id, state="explained", note="A check on its way", owner_id=cora, now=NOW
        )
        with pytest.raises(InvalidInput):
            follow_up(session, task.id, state="gone", note="x", owner_id=None, now=NOW)
        with pytest.raises(InvalidInput):
            follow_up(session, task.id, state="open", note="x", owner_id=new_id(), now=NOW)
    _, (task,) = seen(region, "city")
    assert (task.state, task.note, task.owner_id) == ("explained", "A check on its way", None)
    with region.of("city") as session:
        record_payment(
            session,
            statement_id=bill,
            amount_cents=1000,
            paid_on=DAY,
            reference="x",
            method="check",
            key="x",
            now=NOW,
        )
        assert len(differences(session)) == 1
        follow_up(session, task.id, state="resolved", note="It came", owner_id=None, now=NOW)
        assert differences(session) == []
        with pytest.raises(Conflict):
            follow_up(session, task.id, state="open", note="x", owner_id=None, now=NOW)
    with region.of("community") as session:
        assert confirmations(session) == []
        with pytest.raises(NotFound):
            follow_up(session, task.id, state="open", note="x", owner_id=None, now=NOW)
        with pytest.raises(NotFound):
            accept(session, made, now=NOW)


def test_what_may_be_asked(region, bills):
    with pytest.raises(InvalidInput, match="has not come"):
        asked(region, as_of_on=DAY + timedelta(days=1))
    for other in ("city", "region"):
        with pytest.raises(InvalidInput):
            asked(region, other=other)
    made = asked(region)
    with pytest.raises(Conflict, match="asks for the balance of that day already"):
        asked(region, "county", "city")
    with region.of("city") as session, pytest.raises(Conflict, match="other side answers"):
        accept(session, made, now=NOW)
    with region.of("county") as session, pytest.raises(InvalidInput):
        state_figures(session, made, claims_cents=10**14, owes_cents=0, now=NOW)


def mail(region, partner):
    with region.of(partner) as session:
        return session.execute(
            text("SELECT event, recipient, heading, body FROM outbox_messages ORDER BY id")
        ).all()


def reminded(region, partner, day):
    with region.of(partner) as session:
        at = datetime(day.year, day.month, day.day, 20, tzinfo=UTC)
        return remind(session, now=at)


def test_each_step_of_reminding_comes_once(region, bills):
    bills.member("county", "Cora", "finance")
    bills.member("county", "Wanda", "worker")
    bill = bills.bill("city", "county", [6000])  # due December 2
    due = date(2026, 12, 2)
    assert reminded(region, "county", due - timedelta(days=8)) == 0
    for days in (-7, -6, 0, 1, 29, 30, 31):
        reminded(region, "county", due + timedelta(days=days))
    found = mail(region, "county")
    assert [row.event for row in found] == ["payment_due_soon", "payment_due", "payment_overdue"]
    assert {row.recipient for row in found} == {"cora@county.example"}
    assert "$60.00" in found[0].body
    assert "30 days overdue" in found[2].body
    assert "City" in found[2].body
    with region.of("city") as session:
        record_payment(
            session,
            statement_id=bill,
            amount_cents=6000,
            paid_on=date(2027, 1, 5),
            reference="x",
            method="check",
            key="x",
            now=datetime(2027, 1, 6, 20, tzinfo=UTC),
        )
    assert reminded(region, "county", due + timedelta(days=100)) == 0
    assert reminded(region, "region", due) == 0


def outside(region, *, email, valid=None):
    """An agreement of the City with the port, and what it says of where that is reached."""
    reached = {"name": "Port"} | ({"email": email} if email else {})
    region.agree(
        "port" if valid is None else "port-later",
        "city",
        "city",
        "contact_handled",
        payer_kind="outside",
        payer_key="port",
        terms={"outside": reached},
        **({} if valid is None else {"valid": valid}),
    )


def test_a_body_outside_is_reminded_at_its_address_each_step_once(region, bills):
    outside(region, email="bills@port.example")
    bills.member("city", "Carl", "finance")
    bill = bills.bill("city", "city", [6000], outside="port")  # due December 2
    due = date(2026, 12, 2)
    assert reminded(region, "city", due - timedelta(days=8)) == 0
    for days in (-7, -6, 0, 1, 30, 31):
        reminded(region, "city", due + timedelta(days=days))
    found = mail(region, "city")
    assert [row.event for row in found] == ["outside_due_soon", "outside_due", "outside_overdue"]
    assert {row.recipient for row in found} == {"bills@port.example"}
    assert "$60.00" in found[0].body
    assert "30 days overdue" in found[2].body
    with region.of("city") as session:
        record_payment(
            session,
            statement_id=bill,
            amount_cents=6000,
            paid_on=date(2027, 1, 5),
            reference="x",
            method="check",
            key="x",
            now=datetime(2027, 1, 6, 20, tzinfo=UTC),
        )
    assert reminded(region, "city", due + timedelta(days=100)) == 0


def test_a_body_outside_without_an_address_is_reminded_once_there_is_one(region, bills):
    outside(region, email=None)
    bills.bill("city", "city", [6000], outside="port")
    due = date(2026, 12, 2)
    assert reminded(region, "city", due) == 0
    outside(region, email="new@port.example", valid=Range(due, None))
    assert reminded(region, "city", due + timedelta(days=1)) == 1
    (row,) = mail(region, "city")
    assert (row.event, row.recipient) == ("outside_due", "new@port.example")


def test_old_bills_are_reminded_of_at_their_own_next_step_and_not_in_one_burst(region, bills):
    """At a first round three bills are 44 days overdue: they are told of when they are 60."""
    outside(region, email="bills@port.example")
    bills.member("county", "Cora", "finance")
    old = [bills.bill("city", "city", [6000], outside="port") for _ in range(2)]
    bills.bill("city", "county", [5000])
    due = date(2026, 12, 2)
    assert reminded(region, "city", due + timedelta(days=44)) == 0
    assert reminded(region, "county", due + timedelta(days=44)) == 0
    assert reminded(region, "city", due + timedelta(days=59)) == 0
    assert reminded(region, "city", due + timedelta(days=61)) == len(old)
    assert reminded(region, "county", due + timedelta(days=66)) == 1
    assert {row.event for row in mail(region, "city")} == {"outside_overdue"}
    # who was reminded before hears of the latest step, however late the worker comes
    assert reminded(region, "city", due + timedelta(days=115)) == len(old)


def test_a_dispute_that_nobody_answers_is_escalated(region, bills):
    sam = bills.member("city", "Sam", "finance")
    bills.member("city", "Ada", "approver")
    bill = bills.bill("city", "county", [6000], prepared_by=sam)
    with region.of("county") as session:
        open_dispute(session, bill, 1, amount_cents=6000, reason="other", evidence="All", now=NOW)
    answer_by = DAY + timedelta(days=30)
    assert reminded(region, "city", answer_by) == 0
    for days in (1, 2, 14):
        reminded(region, "city", answer_by + timedelta(days=days))
    found = mail(region, "city")
    assert [row.recipient for row in found] == ["ada@city.example", "sam@city.example"]
    assert "It is with Sam" in found[0].body
    assert reminded(region, "city", answer_by + timedelta(days=15)) == 2
    # what is disputed is not reminded of
    bills.member("county", "Cora", "finance")
    assert reminded(region, "county", answer_by) == 0
