from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from regional311.chargeback import billing, memos
from regional311.chargeback.checks import check_region
from regional311.chargeback.given_back import given_back_twice, twice_cents
from regional311.chargeback.memos import CreditExceedsLine, NotIssuedYet, creditable, draft_memo
from regional311.chargeback.rerating import draft_corrections, preview_corrections
from regional311.chargeback.statement import PreparerMayNotApprove
from regional311.errors import InvalidInput, NotFound
from regional311.metering.service import correct
from tests.chargeback.test_billing import NOW, OCTOBER, rate_and_draft, rows, through

LATER = NOW + timedelta(days=20)
ARRIVED = datetime(2026, 11, 10, 17, tzinfo=UTC)


@pytest.fixture
def issued(region):
    """An October that was issued: five contacts at 10.00 for the County."""
    region.agree("city-county", "city", "county", "contact_handled")
    region.rate("city", "phone", "contact_handled", "10", channel="phone")
    for day in range(1, 6):
        region.use("city", "county", at=(2026, 10, day, 9))
    _, drafts = rate_and_draft(region)
    through(region, "city", drafts)
    (region.bill,) = drafts
    return region


def memo(region, *items, kind="credit_memo", statement=None):
    with region.of("city", region.preparer) as session:
        return draft_memo(session, statement or region.bill, items, kind=kind, now=LATER)


def left(region, statement=None):
    with region.of("city") as session:
        return [each.left_cents for each in creditable(session, statement or region.bill)]


@pytest.mark.commits
def test_a_credit_memo_goes_to_both_sides_and_both_books(issued):
    draft = memo(issued, (1, 2000, "Two of these were  test calls"))
    with issued.of("city", issued.preparer) as session:
        billing.submit(session, draft, now=LATER)
    with issued.of("city", issued.preparer) as session, pytest.raises(PreparerMayNotApprove):
        billing.approve(session, draft, now=LATER)
    with issued.of("city", issued.approver) as session:
        billing.approve(session, draft, now=LATER)
    with issued.of("city", issued.preparer) as session:
        made = billing.issue(session, draft, now=LATER)
    assert made.number == "CITY-00002"
    for slug in ("city", "county"):
        with issued.of(slug) as session:
            (found,) = memos.about(session, issued.bill)
        assert (found.kind, found.number, found.total_cents) == (
            "credit_memo",
            "CITY-00002",
            -2000,
        )
        (line,) = found.lines
        assert (line.corrects, line.change, line.amount_cents, line.reason) == (
            1,
            "credit",
            -2000,
            "Two of these were test calls",
        )
    with issued.of("county") as session:
        (theirs,) = memos.listed(session)
        assert memos.listed(session, side="issued") == []
    assert (theirs.number, theirs.corrects_number) == ("CITY-00002", "CITY-00001")
    memo(issued, (1, 100, "Only here"), kind="debit_memo")
    with issued.of("city") as session:
        mine = memos.listed(session)
        assert [row.kind for row in mine] == ["debit_memo", "credit_memo"]
        assert [row.kind for row in memos.listed(session, state="issued")] == ["credit_memo"]
        assert [row.id for row in memos.listed(session, before=mine[0].id)] == [mine[1].id]
    expense = "SELECT sum(debit_cents - credit_cents)::bigint FROM postings WHERE account_key = :a"
    assert rows(issued, "county", expense, a="service_expense")[0][0] == 3000
    assert rows(issued, "county", expense, a="due_to_partners")[0][0] == -3000
    assert rows(issued, "city", expense, a="due_from_partners")[0][0] == 3000
    checks = check_region(issued.engine, issued.tenants)
    assert [check.name for check in checks if not check.holds] == []


@pytest.mark.commits
def test_credits_never_exceed_the_line_with_its_corrections_and_debits(issued):
    """50.00 billed, 30.00 more by a correction, 60.00 credited: 20.00 are left."""
    for day in (6, 7, 8):
        issued.use("city", "county", at=(2026, 10, day, 9), received_at=ARRIVED)
    assert left(issued) == [5000]
    with issued.of("city", issued.preparer) as session:
        (correction,) = draft_corrections(session, OCTOBER, now=LATER)
    through(issued, "city", [correction])
    assert left(issued) == [8000]
    with pytest.raises(InvalidInput, match="credit that line"):
        memo(issued, (1, 1, "Why"), statement=correction)
    memo(issued, (1, 6000, "Agreed"))
    assert left(issued) == [2000]
    with pytest.raises(CreditExceedsLine, match=r"\$20\.00 left to credit, not \$20\.01"):
        memo(issued, (1, 2001, "Too much"))
    with pytest.raises(CreditExceedsLine):
        memo(issued, (1, 1500, "One"), (1, 501, "Two"))
    rest = memo(issued, (1, 2000, "The rest"))
    assert left(issued) == [0]
    with issued.of("city", issued.preparer) as session:
        billing.void(session, rest, reason="A mistake", now=LATER)
    assert left(issued) == [2000]
    memo(issued, (1, 2000, "The rest"))
    through(issued, "city", [memo(issued, (1, 700, "Forgotten"), kind="debit_memo")])
    assert left(issued) == [700]


def test_what_was_credited_and_is_taken_back_as_well_is_named_until_a_debit_memo_settles_it(issued):
    """20.00 credited for two calls; then three calls turn out never to have been: 20.00 twice."""

    def named(dues=None):
        with issued.of("city", issued.preparer) as session:
            return [
                (
                    each.number,
                    each.line,
                    each.credited_cents,
                    each.taken_back_cents,
                    each.twice_cents,
                )
                for each in given_back_twice(session, OCTOBER, dues)
            ]

    through(issued, "city", [memo(issued, (1, 2000, "Two of these were test calls"))])
    assert named() == []
    with issued.of("city", issued.preparer) as session:
        keys = list(session.execute(text("SELECT source_key FROM usage_events LIMIT 3")).scalars())
        for key in keys:
            correct(session, key, None, received_at=ARRIVED, booked_on=ARRIVED.date())
    with issued.of("city", issued.preparer) as session:
        dues = preview_corrections(session, OCTOBER, now=LATER)
    assert named(dues) == [("CITY-00001", 1, 2000, 3000, 2000)]
    assert named() == []
    with issued.of("city", issued.preparer) as session:
        (draft,) = draft_corrections(session, OCTOBER, now=LATER)
    assert named() == [("CITY-00001", 1, 2000, 3000, 2000)]
    through(issued, "city", [draft])
    assert left(issued) == [0]
    assert named() == [("CITY-00001", 1, 2000, 3000, 2000)]
    part = memo(issued, (1, 500, "A part of it"), kind="debit_memo")
    assert named() == [("CITY-00001", 1, 1500, 3000, 1500)]
    with issued.of("city", issued.preparer) as session:
        billing.void(session, part, reason="All of it", now=LATER)
    settling = memo(issued, (1, 2000, "Credited before"), kind="debit_memo")
    assert named() == []
    through(issued, "city", [settling])
    billed = (
        "SELECT sum(total_cents)::bigint FROM statements s WHERE side = 'issued' AND EXISTS"
        " (SELECT FROM statement_events e WHERE e.statement_id = s.id AND e.state = 'issued')"
    )
    assert rows(issued, "city", billed)[0][0] == 2000
    memo(issued, (1, 500, "Agreed afterwards"))
    assert named() == []


@given(
    st.lists(
        st.tuples(st.sampled_from(["credit", "debit", "correction"]), st.integers(1, 5000)),
        max_size=12,
    )
)
def test_nothing_is_given_back_twice_but_what_was_credited_and_taken_back(steps):
    def sum_of(what):
        return sum(cents for each, cents in steps if each == what)

    twice = twice_cents(steps)
    assert 0 <= twice <= min(sum_of("credit"), sum_of("correction"))
    assert twice_cents([*steps, ("debit", twice or 1)]) == 0
    assert twice_cents([*steps, ("credit", 700)]) == twice


@pytest.mark.commits
def test_two_who_credit_at_once_wait_for_each_other(issued):
    together, refused = threading.Barrier(2), []

    def credit():
        together.wait()
        try:
            memo(issued, (1, 3000, "At once"))
        except CreditExceedsLine as error:
            refused.append(error)

    threads = [threading.Thread(target=credit) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 1
    assert left(issued) == [2000]


WRONG = [
    ([], "credit_memo", "line"),
    ([(9, 100, "No such line")], "credit_memo", "line"),
    ([(1, 0, "Nothing")], "credit_memo", "amount"),
    ([(1, -5, "Backwards")], "debit_memo", "amount"),
    ([(1, 10**14, "Everything")], "debit_memo", "amount"),
    ([(1, 100, " \n ")], "credit_memo", "reason"),
    ([(1, 100, "x" * 501)], "credit_memo", "reason"),
    ([(1, 100, "Which")], "bill", "kind"),
]


@pytest.mark.commits
def test_only_ones_own_issued_statements_have_memos(issued):
    issued.use("city", "community", service_key="shelter")
    issued.agree("city-community", "city", "community", "contact_handled")
    _, drafts = rate_and_draft(issued, now=LATER)
    with pytest.raises(NotIssuedYet):
        memo(issued, (1, 1, "Why"), statement=drafts[0])
    with issued.of("county") as session, pytest.raises(NotFound):
        draft_memo(session, issued.bill, [(1, 1, "Why")], kind="credit_memo", now=LATER)
    with issued.of("community") as session, pytest.raises(NotFound):
        creditable(session, issued.bill)
    for items, kind, field in WRONG:
        with pytest.raises(InvalidInput) as refused:
            memo(issued, *items, kind=kind)
        assert refused.value.field == field, items
    count = "SELECT count(*) FROM statements WHERE kind <> 'bill'"
    assert rows(issued, "city", count)[0][0] == 0


steps = st.lists(
    st.tuples(st.sampled_from(["credit", "debit", "correction"]), st.integers(1, 500)), max_size=12
)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 1000), steps)
def test_credits_stay_within_what_the_line_stands_for(amount, steps):
    changed = credited = 0
    for kind, cents in steps:
        row = SimpleNamespace(
            position=1,
            label="",
            amount_cents=amount,
            changed=changed,
            credited=credited,
            basis={},
        )
        if kind == "credit":
            try:
                memos._check_lines({1: row}, [(1, cents, "Why")], "credit_memo")
            except CreditExceedsLine:
                assert credited + cents > amount + changed
                continue
            credited += cents
            assert credited <= amount + changed
        else:
            changed += cents
