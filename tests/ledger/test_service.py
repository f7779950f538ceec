from __future__ import annotations

import json
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from regional311.database.ids import new_id
from regional311.database.session import acting_for, ask
from regional311.errors import KeyReused, NotFound
from regional311.ledger import queries, service
from regional311.ledger.books import Leg, credit, debit, entry_problems, leg_problems
from regional311.ledger.periods import PeriodsCloseInOrder, close_period
from regional311.ledger.service import (
    AlreadyReversed,
    NewEntry,
    PeriodClosed,
    Unbalanced,
    UnknownAccount,
    first_open_period,
    post,
    reverse,
)

pytestmark = pytest.mark.commits

NOW = datetime(2026, 11, 3, 17, tzinfo=UTC)
OTHER = UUID(int=7)


def entry(cents=500, source="test:1", period="2026-10", **fields):
    said = {
        "period_key": period,
        "service_period": "2026-10",
        "memo": "October",
        "source_key": source,
        "legs": [
            debit("due_from_partners", cents, OTHER),
            credit("service_revenue", cents, OTHER),
        ],
        "counterparty_id": OTHER,
    }
    return NewEntry(**(said | fields))


def test_posts_a_balanced_entry_and_shows_it(books):
    with books.of("city") as session:
        entry_id = post(session, entry(), now=NOW)
    with books.of("city") as session:
        (row,) = queries.journal(session)
        assert (row.id, row.total_cents, row.period_key) == (entry_id, 500, "2026-10")
        balances = {one.account_key: one.balance_cents for one in queries.trial_balance(session)}
        assert balances["due_from_partners"] == 500
        assert balances["service_revenue"] == -500
        assert sum(balances.values()) == 0
        (partner,) = queries.partner_balances(session)
        assert (partner.counterparty_id, partner.net_cents) == (OTHER, 500)
        (leg,) = queries.account_page(session, "due_from_partners")
        assert (leg.debit_cents, leg.balance_cents) == (500, 500)
        (period,) = queries.periods(session)
        assert (period.key, period.state, period.entries) == ("2026-10", "open", 1)
        assert [entry_problems(one) for one in queries.entries_to_check(session)] == [[]]
        assert queries.entries_to_check(session, ["2026-09"]) == []
        later = queries.trial_balance(session, "2026-09")
        assert {one.balance_cents for one in later} == {0}
    with books.of("county") as session:
        assert queries.journal(session) == []


def test_posting_again_gives_the_first_entry(books):
    with books.of("city") as session:
        first = post(session, entry(), now=NOW)
    with books.of("city") as session:
        assert post(session, entry(), now=NOW) == first
        assert len(queries.journal(session)) == 1
        with pytest.raises(KeyReused):
            post(session, entry(cents=501), now=NOW)


@pytest.mark.parametrize(
    ("legs", "error"),
    [
        ([Leg("due_from_partners", 5), Leg("service_revenue", 0, 4)], Unbalanced),
        ([], Unbalanced),
        ([Leg("due_from_partners", 5), Leg("petty_cash", 0, 5)], UnknownAccount),
    ],
)
def test_refuses_what_does_not_balance_or_has_no_account(books, legs, error):
    with books.of("city") as session:
        with pytest.raises(error):
            post(session, entry(legs=legs), now=NOW)
        assert queries.journal(session) == []


def test_a_reversal_is_neutral_and_happens_once(books):
    with books.of("city") as session:
        first = post(session, entry(), now=NOW)
        second = reverse(session, first, period_key="2026-11", memo="Entered twice", now=NOW)
        assert reverse(session, first, period_key="2026-11", memo="Again", now=NOW) == second
        assert {one.balance_cents for one in queries.trial_balance(session)} == {0}
        with pytest.raises(AlreadyReversed):
            reverse(session, second, period_key="2026-11", memo="Back", now=NOW)
        with pytest.raises(NotFound):
            reverse(session, UUID(int=1), period_key="2026-11", memo="What", now=NOW)


def test_nothing_is_posted_to_a_closed_period(books):
    with books.of("city") as session:
        post(session, entry(), now=NOW)
        close_period(session, "2026-10", soft=True, now=NOW)
        close_period(session, "2026-10", soft=True, now=NOW)
    with books.of("city") as session:
        with pytest.raises(PeriodClosed, match="soft-closed"):
            post(session, entry(source="late"), now=NOW)
        close_period(session, "2026-10", now=NOW)
        with pytest.raises(PeriodClosed):
            close_period(session, "2026-10", soft=True, now=NOW)
        assert first_open_period(session, "2026-10") == "2026-11"
        assert first_open_period(session, "2026-12") == "2026-12"
        with pytest.raises(PeriodClosed):
            reverse(
                session,
                queries.journal(session)[0].id,
                period_key="2026-10",
                memo="Late",
                now=NOW,
            )


def test_periods_close_in_order(books):
    with books.of("city") as session:
        post(session, entry(period="2026-09", source="september"), now=NOW)
        post(session, entry(), now=NOW)
        with pytest.raises(PeriodsCloseInOrder, match="2026-09"):
            close_period(session, "2026-10", now=NOW)
        close_period(session, "2026-09", now=NOW)
        close_period(session, "2026-10", now=NOW)
        with pytest.raises(NotFound):
            close_period(session, "2027-01", now=NOW)


def test_closing_waits_for_a_posting_in_progress(books):
    with books.of("city") as session:
        post(session, entry(source="first"), now=NOW)
    closed = threading.Event()

    def close():
        with books.of("city") as other:
            close_period(other, "2026-10", now=NOW)
        closed.set()

    with books.of("city") as session:
        post(session, entry(source="second"), now=NOW)
        thread = threading.Thread(target=close)
        thread.start()
        assert not closed.wait(0.3)
    thread.join(10)
    assert closed.is_set()
    with books.of("city") as session:
        assert len(queries.journal(session)) == 2


def test_the_database_refuses_an_unbalanced_entry_across_a_switch_of_tenant(books):
    def spoil_and_switch():
        with books.of("city") as session:
            post(session, entry(), now=NOW)
            insert_leg(session, 3, "due_from_partners", debit=1)
            with acting_for(session, books.tenants["county"]):
                pass

    with pytest.raises(IntegrityError, match="not balanced"):
        spoil_and_switch()
    with books.of("city") as session:
        assert queries.journal(session) == []


@pytest.mark.parametrize("numbers", [(3, 4), (-1, 0)])
def test_the_database_refuses_balanced_legs_added_later(books, numbers):
    def add_legs():
        with books.of("city") as session:
            insert_leg(session, numbers[0], "due_from_partners", debit=1)
            insert_leg(session, numbers[1], "service_revenue", credit=1)

    with books.of("city") as session:
        post(session, entry(), now=NOW)
    with pytest.raises(IntegrityError, match="not balanced"):
        add_legs()


@pytest.mark.parametrize(
    ("legs", "refused"),
    [
        ([debit("due_from_partners", 500), credit("service_revenue", 499)], "not balanced"),
        ([debit("due_from_partners", 500), debit("service_revenue", 500)], "not balanced"),
        ([Leg("due_from_partners", 500, 500), credit("service_revenue", 0)], "one_side"),
        ([debit("due_from_partners", 500)], "has_legs"),
        ([], "has_legs"),
    ],
)
def test_the_database_itself_refuses_what_does_not_balance(books, monkeypatch, legs, refused):
    monkeypatch.setattr(service, "leg_problems", lambda _legs: [])

    with pytest.raises(IntegrityError, match=refused), books.of("city") as session:
        post(session, entry(legs=legs), now=NOW)
    with books.of("city") as session:
        assert queries.journal(session) == []


def test_a_total_that_is_not_the_legs_is_refused_by_the_database(books, monkeypatch):
    monkeypatch.setattr(NewEntry, "total_cents", 400)

    with pytest.raises(IntegrityError, match="not balanced"), books.of("city") as session:
        post(session, entry(), now=NOW)


def test_nobody_posts_into_the_books_of_another_partner(books):
    with books.of("county") as session:
        first_open_period(session, "2026-10")
    told = service._told(entry(), new_id()) | {"today": NOW.date()}
    with pytest.raises(DBAPIError, match="of another partner"), books.of("city") as session:
        ask(
            session,
            service._POST,
            str(books.tenants["county"]),
            None,
            NOW.isoformat(),
            orjson.dumps(told).decode(),
            service._KEPT_OPEN,
        )
    for slug in books.tenants:
        with books.of(slug) as session:
            assert queries.journal(session) == []


def insert_leg(session, leg, account, debit=0, credit=0):
    entry_id = queries.journal(session)[0].id
    session.execute(
        text(
            "INSERT INTO postings (tenant_id, entry_id, leg, account_key, debit_cents,"
            " credit_cents) VALUES (:tenant, :entry, :leg, :account, :debit, :credit)"
        ),
        {
            "tenant": session.scope.tenant_id,
            "entry": entry_id,
            "leg": leg,
            "account": account,
            "debit": debit,
            "credit": credit,
        },
    )


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE journal_entries SET memo = 'x'",
        "DELETE FROM journal_entries",
        "UPDATE postings SET debit_cents = 1",
        "DELETE FROM postings",
        "TRUNCATE postings",
        "DELETE FROM ledger_periods",
        "ALTER TABLE postings DISABLE TRIGGER ALL",
    ],
)
def test_the_application_cannot_change_the_books(books, statement):
    with books.of("city") as session:
        post(session, entry(), now=NOW)
    with (
        pytest.raises(DBAPIError, match=r"permission denied|must be owner"),
        books.of("city") as session,
    ):
        session.execute(text(statement))


def test_opening_accounts_keeps_those_that_exist(books):
    with books.of("city") as session:
        session.execute(
            text("UPDATE accounts SET external_code = '1000' WHERE key = 'due_to_partners'")
        )
        service.open_accounts(session)
        codes = {row.account_key: row.external_code for row in queries.trial_balance(session)}
    assert codes["due_to_partners"] == "1000"


def test_an_ended_account_takes_no_postings_unless_it_lies_between_partners(books):
    legs = [debit("supplies", 5), credit("service_revenue", 5)]
    with books.of("city") as session:
        session.execute(
            text(
                "INSERT INTO accounts (tenant_id, key, name, type)"
                " VALUES (:tenant, 'supplies', 'Supplies', 'asset')"
            ),
            {"tenant": session.scope.tenant_id},
        )
        session.execute(text("UPDATE accounts SET ended_on = '2026-11-04'"))
        post(session, entry(legs=legs), now=NOW)
        session.execute(text("UPDATE accounts SET ended_on = '2026-11-03'"))
        post(session, entry(source="between partners"), now=NOW)
        with pytest.raises(UnknownAccount, match="supplies"):
            post(session, entry(legs=legs, source="late"), now=NOW)


def test_many_are_posted_at_once_and_once(books):
    lot = [entry(source=f"lot:{number}", cents=number + 1) for number in range(2_500)]
    with books.of("city") as session:
        first = post(session, lot[7], now=NOW)
        ids = service.post_many(session, lot, now=NOW)
        assert ids[7] == first
        assert len(set(ids)) == 2_500
    with books.of("city") as session:
        assert service.post_many(session, lot[:20], now=NOW) == ids[:20]
        entries = {one.id: one for one in queries.entries_to_check(session)}
        assert len(entries) == 2_500
        assert [entries[each].total_cents for each in ids[:3]] == [1, 2, 3]
        assert [problem for one in entries.values() for problem in entry_problems(one)] == []


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"legs": [Leg("due_from_partners", 5), Leg("service_revenue", 0, 4)]}, Unbalanced),
        ({"legs": [Leg("due_from_partners", 5), Leg("petty_cash", 0, 5)]}, UnknownAccount),
        ({"source": "known"}, KeyReused),
        ({"source": "good"}, KeyReused),
    ],
)
def test_of_many_none_is_posted_when_one_is_wrong(books, wrong, error):
    with books.of("city") as session:
        post(session, entry(source="known"), now=NOW)
    with books.of("city") as session:
        with pytest.raises(error):
            service.post_many(
                session,
                [entry(source="good"), entry(**({"source": "bad", "cents": 7} | wrong))],
                now=NOW,
            )
        session.rollback()
        assert len(queries.journal(session)) == 1


def test_a_leg_keeps_whom_and_what_it_is_about(books):
    legs = [
        debit("interfund_expense", 5, party="bureau:parks", family="overhead"),
        credit("interfund_revenue", 5, party="bureau:parks", family="overhead"),
    ]
    with books.of("city") as session:
        first = post(session, entry(legs=legs), now=NOW)
        assert post(session, entry(legs=legs), now=NOW) == first
        with pytest.raises(KeyReused):
            post(session, entry(legs=[replace(leg, party=None) for leg in legs]), now=NOW)
        back = reverse(session, first, period_key="2026-10", memo="No", now=NOW)
        parties = session.execute(
            text("SELECT party, family FROM postings WHERE entry_id = :id"), {"id": back}
        ).all()
        assert set(parties) == {("bureau:parks", "overhead")}


def test_the_same_source_posted_by_two_at_once_is_there_once(books):
    with books.of("city") as session:
        post(session, entry(source="opens the month"), now=NOW)
    found = []

    def again():
        with books.of("city") as other:
            found.append(post(other, entry(source="both"), now=NOW))

    with books.of("city") as session:
        mine = post(session, entry(source="both"), now=NOW)
        thread = threading.Thread(target=again)
        thread.start()
        thread.join(0.2)
        assert thread.is_alive()
    thread.join(10)
    assert found == [mine]


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    lots=st.lists(st.tuples(st.integers(0, 20), st.integers(1, 10**9), st.booleans()), max_size=6),
    day=st.integers(0, 20),
)
def test_the_balance_as_of_any_day_is_the_sum_until_then(books, lots, day):
    def at(days):
        return NOW + timedelta(days=days)

    def balance(**until):
        with books.of("city") as session:
            rows = queries.trial_balance(session, **until)
        return {row.account_key: row.balance_cents for row in rows}

    before, known = balance()["due_from_partners"], balance(posted_before=at(day))
    wanted = 0
    for days, cents, back in lots:
        with books.of("city") as session:
            posted = post(session, entry(source=str(new_id()), cents=cents), now=at(days))
            if back:
                reverse(session, posted, period_key="2026-10", memo="Back", now=at(days))
        wanted += cents if days < day and not back else 0
    after = balance(posted_before=at(day))
    assert after["due_from_partners"] - known["due_from_partners"] == wanted
    assert sum(after.values()) == 0
    whole = sum(cents for _days, cents, back in lots if not back)
    assert balance()["due_from_partners"] - before == whole


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(legs=st.lists(st.tuples(st.integers(-1, 3), st.integers(-1, 3)), max_size=4))
def test_the_database_takes_just_what_balances_whoever_sends_it(books, legs):
    """What the rules say of legs, its own check says too, without any of our code between."""
    source = str(new_id())

    def send():
        with books.of("city") as session:
            service.lock_open_period(session, "2026-10")
            session.execute(
                text(
                    "WITH entry AS (INSERT INTO journal_entries (tenant_id, id, period_key,"
                    " service_period, memo, source_key, leg_count, total_cents, posted_at)"
                    " VALUES (:t, :e, '2026-10', '2026-10', 'x', :source, :many, :total, :now))"
                    " INSERT INTO postings (tenant_id, entry_id, leg, account_key, debit_cents,"
                    " credit_cents) SELECT :t, :e, row_number() OVER (), 'cash', leg.* FROM"
                    " jsonb_to_recordset(:legs) AS leg (debit bigint, credit bigint)"
                ),
                {
                    "t": session.scope.tenant_id,
                    "e": new_id(),
                    "source": source,
                    "many": len(legs),
                    "total": sum(debited for debited, _ in legs),
                    "now": NOW,
                    "legs": json.dumps([{"debit": one, "credit": two} for one, two in legs]),
                },
            )

    wrong = leg_problems([Leg("cash", *each) for each in legs])
    if wrong:
        with pytest.raises(DBAPIError):
            send()
    else:
        send()
    with books.of("city") as session:
        found = session.execute(
            text("SELECT count(*) FROM journal_entries WHERE source_key = :source"),
            {"source": source},
        ).scalar_one()
    assert found == (0 if wrong else 1)
