"""Payments: part, over, in advance, back, applied, reversed; in both books, once."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from regional311.database.ids import new_id
from regional311.errors import Conflict, InvalidInput, KeyReused, NotFound
from regional311.ledger.books import entry_problems, mirror_problems, net_zero_problems
from regional311.ledger.queries import entries_to_check, trial_balance
from regional311.settlement import queries
from regional311.settlement.payments import (
    Effect,
    NotReversible,
    PaymentDoubled,
    PaymentInClosedPeriod,
    Whom,
    apply_advance,
    divided,
    payment_legs,
    record_payment,
    refund,
    reverse_payment,
)
from regional311.settlement.verification import payment_problems

pytestmark = pytest.mark.commits

NOW = datetime(2026, 11, 20, 18, tzinfo=UTC)
DAY = date(2026, 11, 20)
CENTS = st.integers(1, 10**9)


@given(CENTS, st.integers(-(10**9), 10**9))
@settings(max_examples=50, deadline=None)
def test_a_payment_settles_what_is_open_and_holds_the_rest(amount, opened):
    effect = divided(amount, opened)
    assert effect.cash + effect.netted == effect.applied + effect.advance
    assert 0 <= effect.applied <= max(0, opened)
    for which in (effect, effect.reversed()):
        mine = payment_legs(which, "received", new_id(), None)
        theirs = payment_legs(which, "paid", new_id(), None)
        assert sum(leg.net_cents for leg in mine) == sum(leg.net_cents for leg in theirs) == 0


def pay(session, statement_id=None, amount=4000, **fields):
    said = {
        "paid_on": DAY,
        "reference": f"CHK-{new_id().hex[:12]}",
        "method": "check",
        "key": new_id().hex,
        "now": NOW,
    }
    return record_payment(session, statement_id=statement_id, amount_cents=amount, **said | fields)


def open_of(region, partner, statement_id, day=DAY):
    with region.of(partner) as session:
        row = queries.document(session, statement_id, day)
        assert row is not None
        return row.open.open_cents


def check_books(region):
    """Every entry balances and mirrors; between partners everything nets to zero."""
    entries, balances = [], []
    for slug in ("city", "county", "community"):
        with region.of(slug) as session:
            assert payment_problems(session) == []
            entries += entries_to_check(session)
            balances += session.execute(
                text(
                    "SELECT tenant_id, counterparty_id, account_key,"
                    " sum(debit_cents - credit_cents)::bigint FROM postings"
                    " WHERE counterparty_id IS NOT NULL GROUP BY 1, 2, 3"
                )
            ).all()
    assert [problem for entry in entries for problem in entry_problems(entry)] == []
    assert mirror_problems(entries) == []
    assert net_zero_problems(balances) == []


def balance(region, partner, account):
    with region.of(partner) as session:
        return next(r.balance_cents for r in trial_balance(session) if r.account_key == account)


def test_part_over_and_advance_in_both_books(region, bills):
    first = bills.bill("city", "county", [10000])
    with region.of("city", region.preparer) as session:
        pay(session, first, 4000)
    assert open_of(region, "city", first) == open_of(region, "county", first) == 6000
    with region.of("city") as session:
        pay(session, first, 7500)
    assert open_of(region, "county", first) == 0
    assert balance(region, "city", "cash") == 11500
    assert balance(region, "city", "due_from_partners") == 0
    assert balance(region, "city", "advances_from_partners") == -1500
    assert balance(region, "county", "advances_to_partners") == 1500
    assert balance(region, "county", "cash") == -11500
    second = bills.bill("city", "county", [2000], period="2026-11", at=NOW)
    with region.of("city") as session:
        apply_advance(session, second, on=DAY, key="apply-1", now=NOW)
        assert apply_advance(session, second, on=DAY, key="apply-1", now=NOW)
    assert open_of(region, "county", second) == 500
    assert balance(region, "city", "advances_from_partners") == 0
    with region.of("city") as session, pytest.raises(Conflict, match="Nothing is held"):
        apply_advance(session, second, on=DAY, key="apply-2", now=NOW)
    check_books(region)
    with region.of("county") as session:
        rows = queries.payments(session)
    assert [row.kind for row in rows] == ["application", "payment", "payment"]
    assert all(row.side == "paid" and row.recorded_by is None for row in rows)


def test_an_advance_without_a_statement_and_its_refund(region, bills):
    whom = Whom(region.tenants["county"])
    with region.of("city") as session:
        pay(session, amount=5000, whom=whom)
        with pytest.raises(InvalidInput, match=r"\$50.00 to give back"):
            refund(
                session,
                whom=whom,
                amount_cents=5001,
                paid_on=DAY,
                reference="back",
                method="ach",
                key="r0",
                now=NOW,
            )
        refund(
            session,
            whom=whom,
            amount_cents=2000,
            paid_on=DAY,
            reference="back",
            method="ach",
            key="r1",
            now=NOW,
        )
    assert balance(region, "county", "advances_to_partners") == 3000
    check_books(region)


def test_a_credit_after_payment_can_be_given_back(region, bills):
    bill = bills.bill("city", "county", [10000])
    with region.of("city") as session:
        pay(session, bill, 10000)
    bills.bill("city", "county", [-1500], kind="credit_memo", corrects=bill, at=NOW)
    with region.of("city") as session:
        rows = queries.documents(session, DAY, side="issued")
        (credit,) = [row for row in rows if row.open.open_cents]
        assert credit.open.states == ("credit",)
        refund(
            session,
            statement_id=credit.id,
            amount_cents=1500,
            paid_on=DAY,
            reference="back",
            method="ach",
            key="r2",
            now=NOW,
        )
    assert balance(region, "city", "due_from_partners") == 0
    check_books(region)


def test_a_reversal_is_the_opposite_with_a_reason(region, bills):
    bill = bills.bill("city", "county", [10000])
    with region.of("city") as session:
        payment = pay(session, bill, 12000)
    with region.of("city") as session:
        with pytest.raises(InvalidInput, match="Fill this in"):
            reverse_payment(session, payment, reason=" ", on=DAY, now=NOW)
        undone = reverse_payment(session, payment, reason="Check bounced", on=DAY, now=NOW)
        assert reverse_payment(session, payment, reason="Again", on=DAY, now=NOW) == undone
        with pytest.raises(NotReversible):
            reverse_payment(session, undone, reason="No", on=DAY, now=NOW)
    assert open_of(region, "county", bill) == 10000
    assert balance(region, "city", "cash") == balance(region, "county", "cash") == 0
    check_books(region)


def test_what_was_used_in_advance_is_not_reversed(region, bills):
    whom = Whom(region.tenants["county"])
    bill = bills.bill("city", "county", [10000])
    with region.of("city") as session:
        payment = pay(session, amount=5000, whom=whom)
        apply_advance(session, bill, on=DAY, key="use", now=NOW)
        with pytest.raises(NotReversible, match="was used since"):
            reverse_payment(session, payment, reason="Bounced", on=DAY, now=NOW)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"amount": 0}, "amount"),
        ({"amount": -5}, "amount"),
        ({"paid_on": DAY + timedelta(days=1)}, "paid_on"),
        ({"paid_on": date(2026, 11, 1)}, "paid_on"),
        ({"reference": "  "}, "reference"),
        ({"reference": "x" * 101}, "reference"),
        ({"method": "gold"}, "method"),
    ],
)
def test_bad_input_names_its_field_and_changes_nothing(region, bills, fields, field):
    bill = bills.bill("city", "county", [10000])
    with region.of("city") as session:
        with pytest.raises(InvalidInput) as refused:
            pay(session, bill, **fields)
        assert refused.value.field == field
        session.rollback()
    assert open_of(region, "city", bill) == 10000


def test_only_the_issuer_records_and_only_for_partners_of_the_region(region, bills):
    bill = bills.bill("city", "county", [10000])
    for partner in ("county", "community"):
        with region.of(partner) as session, pytest.raises(NotFound):
            pay(session, bill)
    with region.of("city") as session:
        for whom in (Whom(region.tenants["city"]), Whom(region.tenants["region"]), Whom(new_id())):
            with pytest.raises(InvalidInput):
                pay(session, whom=whom)
        with pytest.raises(InvalidInput, match="No agreement names"):
            pay(session, whom=Whom(region.tenants["city"], "nobody"))
        with pytest.raises(InvalidInput, match="who paid in advance"):
            pay(session)


def test_a_closed_month_refuses_the_receiver_and_moves_the_payers_copy(region, bills):
    bill = bills.bill("city", "county", [10000])
    bills.close("county", "2026-11")
    with region.of("city") as session:
        payment = pay(session, bill, 1000)
    with region.of("county") as session:
        (row,) = queries.payments(session)
        assert (row.id, row.period_key) == (payment, "2026-12")
    bills.close("city", "2026-11")
    with region.of("city") as session:
        with pytest.raises(PaymentInClosedPeriod, match="Your books of 2026-11 are closed") as no:
            pay(session, bill, 1000)
        assert no.value.field == "paid_on"
        session.rollback()
    check_books(region)


def test_a_key_gives_the_first_answer_and_refuses_another_content(region, bills):
    bill = bills.bill("city", "county", [10000])
    with region.of("city") as session:
        first = pay(session, bill, key="once", reference="CHK-1")
        assert pay(session, bill, key="once", reference="CHK-1") == first
        with pytest.raises(KeyReused):
            pay(session, bill, 4001, key="once", reference="CHK-1")
        with pytest.raises(KeyReused):
            pay(session, bill, key="once", reference="CHK-2")
        with pytest.raises(PaymentDoubled, match="same amount of the same day"):
            pay(session, bill, key="twice", reference="CHK-1")
        reverse_payment(session, first, reason="Wrong payer", on=DAY, now=NOW)
        assert pay(session, bill, key="twice", reference="CHK-1") != first


@pytest.mark.parametrize("same_key", [True, False])
def test_at_the_same_time_nothing_is_paid_twice(region, bills, same_key):
    bill = bills.bill("city", "county", [10000])
    ready = threading.Barrier(2)
    made, failed = [], []

    def one(number: int) -> None:
        ready.wait()
        try:
            with region.of("city") as session:
                key = "same" if same_key else f"key-{number}"
                made.append(pay(session, bill, 10000, key=key, reference="CHK-7"))
        except Conflict as error:
            failed.append(error)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    if same_key:
        assert len(made) == 2
        assert made[0] == made[1]
    else:
        assert len(made) == 1
        assert isinstance(failed[0], PaymentDoubled)
    assert open_of(region, "county", bill) == 0
    with region.of("county") as session:
        assert len(queries.payments(session)) == 1
    check_books(region)


def test_payments_both_ways_at_once_do_not_wait_for_each_other(region, bills):
    owed = {"city": bills.bill("city", "county"), "county": bills.bill("county", "city")}
    ready = threading.Barrier(2)
    made = []

    def one(partner: str) -> None:
        ready.wait()
        for number in range(3):
            with region.of(partner) as session:
                made.append(pay(session, owed[partner], 1000, key=f"{partner}-{number}"))

    threads = [threading.Thread(target=one, args=(partner,)) for partner in owed]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert len(made) == 6
    check_books(region)


def test_a_body_outside_has_one_book(region, bills):
    region.agree(
        "outside",
        "city",
        "city",
        payer_kind="outside",
        payer_key="water-district",
        terms={"due_days": 30, "outside": {"name": "Water District"}},
    )
    bill = bills.bill("city", "city", [10000], outside="water-district")
    whom = Whom(region.tenants["city"], "water-district")
    with region.of("city") as session:
        pay(session, bill, 12000)
        row = queries.document(session, bill, DAY)
        assert row.open.open_cents == 0
        assert row.counterparty == "water-district"
    second = bills.bill("city", "city", [2000], outside="water-district", at=NOW)
    with region.of("city") as session:
        apply_advance(session, second, on=DAY, key="use", now=NOW)
        with pytest.raises(InvalidInput):
            refund(
                session,
                whom=whom,
                amount_cents=1,
                paid_on=DAY,
                reference="x",
                method="ach",
                key="k",
                now=NOW,
            )
    assert balance(region, "city", "due_from_outside") == 0
    check_books(region)


def test_the_database_refuses_a_payment_that_does_not_add_up(region, bills):
    with pytest.raises(IntegrityError, match="adds_up"), region.of("city") as session:
        session.execute(
            text(
                "INSERT INTO payments (tenant_id, id, public_id, side, kind, counterparty_id,"
                " payer_kind, paid_on, period_key, cash_cents, netted_cents, applied_cents,"
                " advance_cents, reference, method, recorded_at) VALUES (:t, :i, 'P', 'received',"
                " 'payment', :c, 'partner', '2026-11-20', '2026-11', 100, 0, 0, 99, 'r',"
                " 'check', now())"
            ),
            {"t": region.tenants["city"], "i": new_id(), "c": region.tenants["county"]},
        )


def test_effects_turn_round():
    assert Effect(cash=5, applied=3, advance=2).reversed().reversed() == Effect(5, 0, 3, 2)
