"""Disputes: cents, clock, owner, decisions by a second person, one thread on both sides."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from regional311.chargeback import billing
from regional311.chargeback.memos import CreditExceedsLine, draft_memo
from regional311.database.ids import new_id
from regional311.errors import Conflict, Forbidden, InvalidInput, NotFound
from regional311.settlement import queries
from regional311.settlement.dispute import (
    OUTCOMES,
    Amounts,
    DisputeTooLate,
    MoreThanDisputable,
    MoreThanOpen,
    check_in_time,
)
from regional311.settlement.disputes import (
    DeciderUnknown,
    PreparerMayNotDecide,
    assign,
    comment,
    credit,
    name_owner,
    open_dispute,
    redraft_memo,
    state_of,
    uphold,
    withdraw,
)

NOW = datetime(2026, 11, 20, 18, tzinfo=UTC)
LATE = datetime(2027, 1, 20, 18, tzinfo=UTC)
DAY = date(2026, 11, 20)


@given(
    st.integers(1, 10**6),
    st.lists(st.tuples(st.sampled_from(OUTCOMES), st.integers(-5, 10**6)), max_size=12),
)
@settings(max_examples=100, deadline=None)
def test_opened_is_upheld_credited_withdrawn_and_open(amount, steps):
    amounts = Amounts(amount)
    for outcome, cents in steps:
        before = amounts.open_cents
        try:
            amounts = amounts.move(outcome, cents)
        except MoreThanOpen:
            assert not 0 < cents <= before
            continue
        assert amounts.open_cents == before - cents
        parts = [getattr(amounts, f"{each}_cents") for each in OUTCOMES]
        assert sum(parts) + amounts.open_cents == amounts.amount_cents == amount
        assert min(*parts, amounts.open_cents) >= 0
        assert (amounts.state in ("open", "partly_decided")) == (amounts.open_cents > 0)


def test_the_last_day_is_in_time_and_the_next_is_not():
    check_in_time(DAY, 30, DAY + timedelta(days=30))
    with pytest.raises(DisputeTooLate, match="until 2026-12-20"):
        check_in_time(DAY, 30, DAY + timedelta(days=31))


def dispute(region, statement_id, cents=3000, *, position=1, now=NOW, partner="county", **fields):
    said = {"reason": "wrong_quantity", "evidence": "Our log has 70 calls."}
    with region.of(partner, region.approver) as session:
        return open_dispute(
            session, statement_id, position, amount_cents=cents, now=now, **said | fields
        )


def seen(region, partner, dispute_id):
    with region.of(partner) as session:
        (row,) = queries.disputes(session, dispute_id=dispute_id)
        return row, queries.thread(session, dispute_id)


def undisputed(region, partner, statement_id):
    with region.of(partner) as session:
        return [line.undisputed_cents for line in queries.disputable(session, statement_id)]


def open_of(region, partner, statement_id, on=DAY):
    with region.of(partner) as session:
        return queries.document(session, statement_id, on).open


@pytest.fixture
def bill(region, bills):
    region.agree("share", "city", "county", "contact_handled")
    return bills.bill("city", "county", [10000, 5000], prepared_by=region.preparer)


@pytest.mark.commits
def test_both_sides_see_the_same_thread_and_nobody_else(region, bills, bill):
    sam = bills.member("city", "Sam", "finance")
    bills.member("city", "Wanda", "worker")
    made = dispute(region, bill)
    with region.of("city", sam) as session:
        comment(session, made, note="We look into it.", now=NOW)
        assign(session, made, sam, now=NOW)
    with region.of("county", region.approver) as session:
        comment(session, made, note="Thank you.", now=NOW)
        withdraw(session, made, amount_cents=500, note="Found five of them.", now=NOW)
    with region.of("city", region.approver) as session:
        uphold(session, made, amount_cents=1000, note="Ten were long calls.", now=NOW)
    mine, my_thread = seen(region, "city", made)
    theirs, their_thread = seen(region, "county", made)
    told = [(e.position, e.kind, e.amount_cents, e.note, e.by_partner_id) for e in my_thread]
    assert told == [
        (e.position, e.kind, e.amount_cents, e.note, e.by_partner_id) for e in their_thread
    ]
    kinds = ["opened", "comment", "assigned", "comment", "withdrawn", "upheld"]
    assert [each[1] for each in told] == kinds
    for row in (mine, theirs):
        assert (row.open_cents, row.upheld_cents, row.withdrawn_cents) == (1500, 1000, 500)
        assert (row.owner_name, state_of(row)) == ("Sam", "partly_decided")
        assert row.answer_by == DAY + timedelta(days=30)
    assert (mine.side, theirs.side) == ("issued", "received")
    assert (mine.owner_id, theirs.owner_id) == (sam, None)
    assert [e.person_id for e in my_thread if e.person_id] == [sam, sam, region.approver]
    with region.of("community") as session:
        assert queries.disputes(session) == []
        for act in (comment, uphold, withdraw):
            more = {} if act is comment else {"amount_cents": 1}
            with pytest.raises(NotFound):
                act(session, made, note="x", now=NOW, **more)
    for partner in ("city", "county"):
        opened = open_of(region, partner, bill, date(2027, 1, 1))
        assert (opened.open_cents, opened.disputed_cents, opened.overdue_cents) == (
            15000,
            1500,
            13500,
        )
        assert undisputed(region, partner, bill) == [10000 - 2500, 5000]


@pytest.mark.commits
def test_a_credit_is_a_memo_that_lowers_what_is_owed_once_issued(region, bills, bill):
    made = dispute(region, bill)
    with region.of("city", region.preparer) as session:
        with pytest.raises(PreparerMayNotDecide):
            credit(session, made, amount_cents=3000, note="Right.", now=NOW)
        with pytest.raises(PreparerMayNotDecide):
            uphold(session, made, amount_cents=3000, note="Wrong.", now=NOW)
    with region.of("city") as session, pytest.raises(DeciderUnknown):
        uphold(session, made, amount_cents=3000, note="Wrong.", now=NOW)
    with region.of("county", region.approver) as session, pytest.raises(Forbidden):
        credit(session, made, amount_cents=3000, note="Mine.", now=NOW)
    with region.of("city", region.approver) as session, pytest.raises(Forbidden):
        withdraw(session, made, amount_cents=3000, note="Not mine.", now=NOW)
    decider = new_id()
    with region.of("city", decider) as session:
        memo = credit(session, made, amount_cents=2000, note="Twenty test calls.", now=NOW)
        with pytest.raises(MoreThanOpen):
            credit(session, made, amount_cents=1001, note="Too much.", now=NOW)
    waiting = open_of(region, "city", bill)
    assert (waiting.open_cents, waiting.disputed_cents) == (15000, 3000)
    with region.of("city", decider) as session:
        billing.void(session, memo, reason="Wrong line", now=NOW)
        again = redraft_memo(session, made, now=NOW)
        with pytest.raises(Conflict, match="No credit memo"):
            redraft_memo(session, made, now=NOW)
    assert again != memo
    number = bills.issue("city", again, at=NOW)
    for partner in ("city", "county"):
        now_open = open_of(region, partner, bill)
        assert (now_open.open_cents, now_open.disputed_cents) == (13000, 1000)
        row, thread = seen(region, partner, made)
        assert (row.credited_cents, row.open_cents) == (2000, 1000)
        assert number in [each.memo for each in thread]
        assert undisputed(region, partner, bill)[0] == 10000 - 2000 - 1000


@pytest.mark.commits
def test_credits_of_disputes_and_memos_together_stay_within_the_line(region, bills, bill):
    made = dispute(region, bill, 8000)
    with region.of("city", region.preparer) as session:
        draft_memo(session, bill, [(1, 5000, "Goodwill")], kind="credit_memo", now=NOW)
    with region.of("city", new_id()) as session:
        with pytest.raises(CreditExceedsLine, match=r"\$50.00 left to credit"):
            credit(session, made, amount_cents=8000, note="All of it.", now=NOW)
        session.rollback()
    assert seen(region, "county", made)[0].open_cents == 8000


@pytest.mark.commits
def test_too_late_too_much_and_not_ours(region, bills, bill):
    with pytest.raises(DisputeTooLate, match="until 2026-12-02") as late:
        dispute(region, bill, now=LATE)
    assert late.value.field == "line"
    for cents in (0, -1, 10001):
        with pytest.raises(MoreThanDisputable, match=r"\$100.00"):
            dispute(region, bill, cents)
    dispute(region, bill, 9999)
    with pytest.raises(MoreThanDisputable, match=r"\$0.01"):
        dispute(region, bill, 2)
    dispute(region, bill, 1)
    with pytest.raises(MoreThanDisputable, match="Nothing of this line"):
        dispute(region, bill, 1)
    with pytest.raises(InvalidInput, match="has no line 3") as missing:
        dispute(region, bill, 1, position=3)
    assert missing.value.field == "line"
    for fields, field in (({"reason": "mood"}, "reason"), ({"evidence": " "}, "evidence")):
        with pytest.raises(InvalidInput) as refused:
            dispute(region, bill, 1, position=2, **fields)
        assert refused.value.field == field
    for partner in ("city", "community"):
        with pytest.raises(NotFound):
            dispute(region, bill, 1, position=2, partner=partner)


@pytest.mark.commits
def test_two_at_once_cannot_dispute_more_than_the_line(region, bills, bill):
    ready = threading.Barrier(2)
    made, refused = [], []

    def one() -> None:
        ready.wait()
        try:
            made.append(dispute(region, bill, 6000))
        except MoreThanDisputable as error:
            refused.append(error)

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert (len(made), len(refused)) == (1, 1)


@pytest.mark.commits
def test_who_answers_is_named_for_a_partner(region, bills, bill):
    ada = bills.member("city", "Ada", "approver")
    worker = bills.member("city", "Wanda", "worker")
    with region.of("city") as session:
        name_owner(session, region.tenants["county"], ada, now=NOW)
        with pytest.raises(InvalidInput):
            name_owner(session, region.tenants["county"], worker, now=NOW)
    made = dispute(region, bill)
    assert seen(region, "county", made)[0].owner_name == "Ada"
    with region.of("city") as session, pytest.raises(InvalidInput):
        assign(session, made, worker, now=NOW)
    with region.of("county") as session, pytest.raises(Forbidden):
        assign(session, made, ada, now=NOW)


@pytest.mark.commits
def test_the_database_refuses_cents_that_do_not_add_up(region, bills, bill):
    dispute(region, bill)
    for column in ("open_cents", "credited_cents", "amount_cents"):
        with pytest.raises(IntegrityError, match="adds_up"), region.of("city") as session:
            session.execute(text(f"UPDATE disputes SET {column} = {column} + 1"))
