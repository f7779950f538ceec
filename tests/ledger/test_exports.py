from __future__ import annotations

import csv
import io
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, text

from regional311.database.ids import new_id
from regional311.errors import NotFound
from regional311.ledger import beancount, exports
from regional311.ledger.books import credit, debit
from regional311.ledger.exports import BatchDiffers, NothingToExport, codes, content, make_batch
from regional311.ledger.layouts import (
    BadLayout,
    CodeMissing,
    Layout,
    layout_names,
    read_layout,
    render,
)
from regional311.ledger.service import NewEntry, post, post_many
from tests.ledger.test_seals import tamper

pytestmark = pytest.mark.commits

NOW = datetime(2026, 11, 3, 17, tzinfo=UTC)


def entry(source, cents=500, period="2026-10", memo="October", party=None):
    legs = [
        debit("due_from_outside", cents, party=party),
        credit("service_revenue", cents, party=party),
    ]
    return NewEntry(period, "2026-10", memo, source, legs)


@pytest.fixture
def coded(books):
    """The City's chart has codes in its own general ledger."""
    with books.of("city") as session:
        session.execute(text("UPDATE accounts SET external_code = 'GL ' || key, fund_code = '700'"))
    return books


def rows(made, delimiter):
    return list(csv.DictReader(io.StringIO(made.decode(), newline=""), delimiter=delimiter))


def test_a_batch_as_sap_takes_it(coded):
    with coded.of("city") as session:
        post(session, entry("a", 123456), now=NOW)
        batch_id = make_batch(session, layout_key="sap", through_period="2026-10", now=NOW)
    with coded.of("city") as session:
        made = content(session, batch_id)
    assert made.decode().splitlines(keepends=True)[0].endswith("SGTXT\r\n")
    first, second = rows(made, ";")
    assert first == {
        "BUKRS": "PDX1",
        "BLART": "SA",
        "XBLNR": "R311-00001-000001",
        "BLDAT": "20261103",
        "BUDAT": "20261031",
        "GJAHR": "2027",
        "MONAT": "04",
        "WAERS": "USD",
        "BUZEI": "1",
        "SHKZG": "S",
        "HKONT": "GL due_from_outside",
        "WRBTR": "1234.56",
        "GEBER": "700",
        "KOSTL": "",
        "ZUONR": "",
        "SGTXT": "October",
    }
    assert (second["SHKZG"], second["HKONT"], second["WRBTR"]) == (
        "H",
        "GL service_revenue",
        "1234.56",
    )


def test_a_batch_as_workday_takes_it_defused(coded):
    with coded.of("city") as session:
        post(session, entry("a", 5, memo="=HYPERLINK(1)", party="outside:port"), now=NOW)
        batch_id = make_batch(session, layout_key="workday", through_period="2026-10", now=NOW)
        first, second = rows(content(session, batch_id), ",")
    assert (first["Debit Amount"], first["Credit Amount"]) == ("0.05", "")
    assert (second["Debit Amount"], second["Credit Amount"]) == ("", "0.05")
    assert first["Line Memo"] == "'=HYPERLINK(1)"
    assert first["Accounting Date"] == "2026-10-31"
    assert first["Intercompany Affiliate"] == "outside:port"


def test_a_negative_amount_is_a_number_in_the_plain_layout(coded):
    with coded.of("city") as session:
        post(session, entry("a", 5), now=NOW)
        batch_id = make_batch(session, layout_key="plain", through_period="2026-10", now=NOW)
        assert [row["amount"] for row in rows(content(session, batch_id), ",")] == ["0.05", "-0.05"]


def test_the_same_bytes_whatever_changes_later(coded):
    with coded.of("city") as session:
        post(session, entry("a"), now=NOW)
        batch_id = make_batch(session, layout_key="sap", through_period="2026-10", now=NOW)
        made = content(session, batch_id)
    with coded.of("city") as session:
        session.execute(text("UPDATE accounts SET external_code = '9', name = 'Other'"))
        post(session, entry("b"), now=NOW)
    with coded.of("city") as session:
        assert content(session, batch_id) == made
        second = make_batch(session, layout_key="sap", through_period="2026-10", now=NOW)
        assert [row["HKONT"] for row in rows(content(session, second), ";")] == ["9", "9"]
        assert [batch.number for batch in exports.batches(session)] == [2, 1]
        assert exports.batch_problems(session) == []


@contextmanager
def meanwhile(books, words, source):
    """Post an entry in a transaction of its own just after a statement with these words."""

    def posted(_connection, _cursor, statement, *_):
        if words in statement and not done:
            done.append(statement)
            with books.of("city") as other:
                post(other, entry(source), now=NOW)

    done = []
    event.listen(books.engine, "after_cursor_execute", posted)
    try:
        yield
    finally:
        event.remove(books.engine, "after_cursor_execute", posted)
    assert done


def test_an_entry_that_is_posted_meanwhile_waits_for_the_next_batch(coded):
    with coded.of("city") as session:
        post(session, entry("a"), now=NOW)
    with coded.of("city") as session, meanwhile(coded, "AS place, e.id AS entry_id", "b"):
        first = make_batch(session, layout_key="plain", through_period="2026-10", now=NOW)
    with coded.of("city") as session:
        assert exports.waiting(session, "2026-10") == 1
        make_batch(session, layout_key="plain", through_period="2026-10", now=NOW)
        assert [batch.entry_count for batch in exports.batches(session)] == [1, 1]
        assert len(rows(content(session, first), ",")) == 2
        assert exports.batch_problems(session) == []


def test_books_as_text_have_the_same_entries_and_balances_whatever_is_posted_meanwhile(coded):
    with coded.of("city") as session:
        post(session, entry("a"), now=NOW)
    with coded.of("city") as session, meanwhile(coded, "AS cents", "b"):
        made = "".join(beancount.books(session))
    assert made.count('"October"') == 1
    assert "2026-11-01 balance Assets:City:Due-From-Outside 5.00 USD" in made


def test_later_months_wait(coded):
    with coded.of("city") as session:
        post(session, entry("a"), now=NOW)
        post(session, entry("b", period="2026-11"), now=NOW)
        assert exports.waiting(session, "2026-10") == 1
        make_batch(session, layout_key="sap", through_period="2026-10", now=NOW)
        with pytest.raises(NothingToExport):
            make_batch(session, layout_key="sap", through_period="2026-10", now=NOW)
        assert exports.waiting(session, "2026-12") == 1


def test_a_missing_code_refuses_the_whole_batch(coded):
    with coded.of("city") as session:
        session.execute(text("UPDATE accounts SET external_code = NULL WHERE key = 'cash'"))
        post(session, entry("a"), now=NOW)
        legs = [debit("cash", 7), credit("service_revenue", 7)]
        post(session, NewEntry("2026-10", "2026-10", "Cash", "b", legs), now=NOW)
        with pytest.raises(CodeMissing, match="cash"):
            make_batch(session, layout_key="sap", through_period="2026-10", now=NOW)
        assert exports.batches(session) == []
        assert exports.waiting(session, "2026-10") == 2
        with pytest.raises(NotFound, match="plain, sap, workday"):
            make_batch(session, layout_key="oracle", through_period="2026-10", now=NOW)


def test_a_batch_whose_entries_changed_is_refused_and_named(coded, empty_database):
    with coded.of("city") as session:
        posted = post(session, entry("a"), now=NOW)
        batch_id = make_batch(session, layout_key="sap", through_period="2026-10", now=NOW)
    doubled = (
        "UPDATE postings SET debit_cents = debit_cents * 2, credit_cents = credit_cents * 2"
        " WHERE entry_id = :id"
    )
    tamper(empty_database, (doubled, {"id": posted}))
    with coded.of("city") as session:
        with pytest.raises(BatchDiffers):
            content(session, batch_id)
        (problem,) = exports.batch_problems(session)
        assert problem.subject_id == batch_id
    with coded.of("county") as session, pytest.raises(NotFound):
        content(session, batch_id)


@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(lots=st.lists(st.lists(st.integers(1, 10**9), max_size=4), min_size=1, max_size=4))
def test_each_entry_goes_out_once_and_debits_are_credits(coded, lots):
    with coded.of("city") as session:
        for lot in lots:
            entries = [entry(str(new_id()), cents) for cents in lot]
            post_many(session, entries, now=NOW)
            if lot:
                make_batch(session, layout_key="plain", through_period="2026-10", now=NOW)
        found = [
            row
            for batch in exports.batches(session)
            for row in rows(content(session, batch.id), ",")
        ]
        legs = session.execute(text("SELECT count(*) FROM postings")).scalar_one()
    assert len({(row["entry"], row["leg"]) for row in found}) == len(found) == legs
    assert sum(Decimal(row["amount"]) for row in found) == 0


def test_the_mapping_that_says_most_counts():
    def rule(account=None, party=None, family=None, code=None, fund=None):
        return {
            "account_key": account,
            "party": party,
            "family": family,
            "external_code": code,
            "fund_code": fund,
            "cost_centre": None,
        }

    mappings = {
        "chart": {"cash": {"external_code": "1", "fund_code": "F", "cost_centre": "C"}},
        "bureaus": {
            "bureau:parks": {"external_code": None, "fund_code": "130", "cost_centre": "401"}
        },
        "rules": [
            rule(account="cash", code="2"),
            rule(family="share", code="3"),
            rule(party="county", fund="G"),
            rule(party="county", account="cash", code="5"),
        ],
    }
    assert list(codes(mappings, "cash", None, None).values()) == ["2", "F", "C"]
    assert list(codes(mappings, "cash", None, "share").values()) == ["3", "F", "C"]
    assert list(codes(mappings, "cash", "county", "share").values()) == ["5", "F", "C"]
    assert list(codes(mappings, "sales", "county", None).values()) == [None, "G", None]
    assert list(codes(mappings, "sales", "bureau:parks", None).values()) == [None] * 3
    paid = codes(mappings, "interfund_expense", "bureau:parks", None)
    assert list(paid.values()) == [None, "130", "401"]


def test_every_layout_can_be_read():
    assert set(layout_names()) == {"plain", "sap", "workday"}
    for key in layout_names():
        assert Layout.of(read_layout(key)).columns


@pytest.mark.parametrize(
    "wrong",
    [
        {"colour": "red"},
        {"delimiter": "x"},
        {"column": []},
        {"column": [{"title": "A", "value": "nothing"}]},
        {"column": [{"title": "A"}]},
        {"column": [{"title": "A", "constant": "x", "value": "leg"}]},
        {"column": [{"title": "A", "constant": "x", "size": 3}]},
    ],
)
def test_a_layout_that_says_what_there_is_not_is_refused(wrong):
    said = {"name": "L", "column": [{"title": "A", "value": "leg"}]}
    assert Layout.of(said).delimiter == ","
    with pytest.raises(BadLayout):
        Layout.of(said | wrong)


def test_long_files_come_in_chunks():
    layout = Layout.of({"name": "L", "column": [{"title": "A", "value": "leg"}]})
    chunks = list(render(layout, ({"leg": number} for number in range(2_500))))
    assert len(chunks) == 3
    assert b"".join(chunks).count(b"\n") == 2_501
