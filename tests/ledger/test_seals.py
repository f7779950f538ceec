from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import NullPool, create_engine, text

from regional311.database.ids import new_id
from regional311.errors import InvalidInput
from regional311.ledger import queries, seals
from regional311.ledger.books import credit, debit
from regional311.ledger.seals import (
    GENESIS,
    Head,
    document_text,
    entry_text,
    heads_text,
    read_heads,
    sha256,
)
from regional311.ledger.service import NewEntry, post, post_many

pytestmark = pytest.mark.commits

NOW = datetime(2026, 11, 3, 17, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)


def entry(source, cents=500, memo="October"):
    legs = [debit("due_from_outside", cents), credit("service_revenue", cents)]
    return NewEntry("2026-10", "2026-10", memo, source, legs)


def post_and_seal(books, *sources, now=NOW):
    with books.of("city") as session:
        ids = post_many(session, [entry(source) for source in sources], now=now)
    with books.of("city") as session:
        return ids, seals.seal(session, now=now + timedelta(minutes=1))


def problems(books, exported=None):
    with books.of("city") as session:
        return [(each.kind, each.subject_id) for each in seals.verify(session, exported).problems]


def tamper(database, *statements):
    """As the database's owner, who may do anything: row security and triggers are turned off."""
    engine = create_engine(database.owner_url, poolclass=NullPool)
    tables = (
        "journal_entries",
        "postings",
        "ledger_seals",
        "ledger_seal_entries",
        "ledger_documents",
        "statements",
        "statement_lines",
        "statement_events",
        "statement_files",
        "payments",
        "statement_counters",
        "accounts",
        "ledger_periods",
    )
    with engine.begin() as connection:
        for table in tables:
            connection.execute(text(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY"))
            connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
        for statement, *values in statements:
            assert connection.execute(text(statement), dict(*values)).rowcount > 0
        for table in tables:
            connection.execute(text(f"ALTER TABLE {table} ENABLE TRIGGER USER"))
            connection.execute(text(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY"))
    engine.dispose()


def test_seals_follow_one_another_and_have_each_entry_once(books):
    first, head = post_and_seal(books, "a", "b")
    assert head.number == 1
    with books.of("city") as session:
        assert seals.seal(session, now=LATER) is None
        post(session, entry("c"), now=LATER)
    with books.of("city") as session:
        before = seals.verify(session)
        assert (before.seals, before.sealed_entries, before.unsealed_entries) == (1, 2, 1)
        second = seals.seal(session, now=LATER)
        chain = seals.seals(session)
        assert [each.number for each in chain] == [2, 1]
        assert chain[0].previous_hash == chain[1].hash == head.hash
        assert chain[1].previous_hash == GENESIS
        assert seals.head(session) == second
        check = seals.verify(session, second)
        assert (check.sealed_entries, check.unsealed_entries, check.problems) == (3, 0, ())
    with books.of("county") as session:
        assert seals.head(session) == Head(0, GENESIS)
        assert seals.verify(session).problems == ()
    assert len(first) == 2


def test_any_program_can_make_the_digests_again(books):
    memo = 'Ünïcode "quoted" \\ back\nline \u2028 \x7f \t 數'
    with books.of("city") as session:
        entry_id = post(session, entry("key", memo=memo), now=NOW)
        seals.seal(session, now=LATER)
        stored = session.execute(text("SELECT digest FROM ledger_seal_entries")).scalar_one()
    fields = [
        str(books.tenants["city"]),
        str(entry_id),
        "2026-10",
        "2026-10",
        memo,
        "key",
        None,
        None,
        None,
        None,
        2,
        500,
        None,
        "2026-11-03T17:00:00.000000",
        [
            [1, "due_from_outside", 500, 0, None, None, None],
            [2, "service_revenue", 0, 500, None, None, None],
        ],
    ]
    assert sha256(entry_text(fields)) == stored


def test_documents_are_sealed_beside_the_entries(books):
    subject = new_id()
    with books.of("city") as session:
        seals.keep_document(session, "payment", subject, "a" * 64, now=NOW)
        assert seals.unsealed(session) == 1
        assert seals.seal(session, now=LATER).number == 1
        row = session.execute(text("SELECT s.entry_id, s.digest FROM ledger_seal_entries s")).one()
        check = seals.verify(session)
    assert (check.sealed_entries, check.unsealed_entries, check.problems) == (1, 0, ())
    city = str(books.tenants["city"])
    fields = [city, str(row.entry_id), "payment", str(subject), "a" * 64]
    assert sha256(document_text([*fields, "2026-11-03T17:00:00.000000"])) == row.digest


@pytest.mark.parametrize(
    ("attack", "wanted"),
    [
        ("UPDATE ledger_documents SET digest = repeat('b', 64)", "entry_changed"),
        ("DELETE FROM ledger_documents", "entry_deleted"),
        ("UPDATE ledger_documents SET subject_id = uuidv7()", "entry_changed"),
    ],
)
def test_a_sealed_document_that_was_changed_is_found(books, empty_database, attack, wanted):
    with books.of("city") as session:
        seals.keep_document(session, "payment", new_id(), "a" * 64, now=NOW)
        seals.seal(session, now=LATER)
    tamper(empty_database, (attack,))
    assert [kind for kind, _ in problems(books)] == [wanted]


CHANGED = {
    "amounts": "UPDATE postings SET debit_cents = debit_cents * 2, credit_cents = credit_cents * 2"
    " WHERE entry_id = :id",
    "date": "UPDATE journal_entries SET posted_at = posted_at - interval '40 days' WHERE id = :id",
    "period": "UPDATE journal_entries SET service_period = '2026-09' WHERE id = :id",
    "memo": "UPDATE journal_entries SET memo = 'Other' WHERE id = :id",
    "leg deleted": "DELETE FROM postings WHERE entry_id = :id AND leg = 2",
    "legs doubled": "INSERT INTO postings SELECT tenant_id, entry_id, leg + 2, account_key,"
    " debit_cents, credit_cents, counterparty_id, party, family FROM postings WHERE entry_id = :id",
    "account": "UPDATE postings SET account_key = 'share_revenue' WHERE entry_id = :id AND leg = 2",
}


@pytest.mark.parametrize("what", CHANGED)
def test_a_changed_entry_is_named(books, empty_database, what):
    (_, target, _), _ = post_and_seal(books, "a", "b", "c")
    tamper(empty_database, (CHANGED[what], {"id": target}))
    assert problems(books) == [("entry_changed", target)]


def delete(entry_id):
    return [
        ("DELETE FROM postings WHERE entry_id = :id", {"id": entry_id}),
        ("DELETE FROM journal_entries WHERE id = :id", {"id": entry_id}),
    ]


def test_a_deleted_entry_is_named(books, empty_database):
    (_, target, _), _ = post_and_seal(books, "a", "b", "c")
    tamper(empty_database, *delete(target))
    assert problems(books) == [("entry_deleted", target)]


def test_an_entry_deleted_with_its_place_in_the_seal_is_noticed(books, empty_database):
    (_, target), _ = post_and_seal(books, "a", "b")
    place = ("DELETE FROM ledger_seal_entries WHERE entry_id = :id", {"id": target})
    tamper(empty_database, *delete(target), place)
    assert problems(books) == [("seal_changed", None)]


def test_a_backdated_entry_is_named_sealed_or_not(books):
    post_and_seal(books, "a")
    with books.of("city") as session:
        slipped = post(session, entry("slipped in"), now=NOW - timedelta(days=3))
    assert problems(books) == [("entry_backdated", slipped)]
    with books.of("city") as session:
        seals.seal(session, now=LATER)
    assert problems(books) == [("entry_backdated", slipped)]


def test_a_tail_that_was_cut_off_is_found_against_the_head_that_was_kept(books, empty_database):
    _, first = post_and_seal(books, "a")
    (cut,), second = post_and_seal(books, "b", now=LATER)
    tamper(
        empty_database,
        ("DELETE FROM ledger_seal_entries WHERE seal_number = 2",),
        ("DELETE FROM ledger_seals WHERE number = 2",),
        *delete(cut),
    )
    assert problems(books) == []
    assert problems(books, first) == []
    assert problems(books, second) == [("head_differs", None)]


def test_a_chain_rewritten_from_the_start_is_found_against_the_head(books, empty_database):
    (target,), kept = post_and_seal(books, "a")
    tamper(
        empty_database,
        ("DELETE FROM ledger_seal_entries",),
        ("DELETE FROM ledger_seals",),
        (CHANGED["amounts"], {"id": target}),
    )
    with books.of("city") as session:
        seals.seal(session, now=LATER)
    assert problems(books) == []
    assert problems(books, kept) == [("head_differs", None)]


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("UPDATE ledger_seals SET hash = repeat('a', 64) WHERE number = 1", "chain_broken"),
        ("UPDATE ledger_seals SET sealed_at = sealed_at - interval '1 day'", "seal_changed"),
        ("UPDATE ledger_seal_entries SET position = position + 10", None),
        ("UPDATE ledger_seal_entries SET digest = repeat('a', 64)", "seal_changed"),
    ],
)
def test_a_changed_seal_is_found(books, empty_database, statement, kind):
    post_and_seal(books, "a")
    post_and_seal(books, "b", now=LATER)
    tamper(empty_database, (statement,))
    kinds = {found for found, _ in problems(books)}
    assert kind in kinds if kind else not kinds


def test_a_missing_seal_is_found(books, empty_database):
    for number, source in enumerate("abc"):
        post_and_seal(books, source, now=NOW + timedelta(minutes=number))
    tamper(
        empty_database,
        ("DELETE FROM ledger_seal_entries WHERE seal_number = 2",),
        ("DELETE FROM ledger_seals WHERE number = 2",),
    )
    assert {"seal_missing", "chain_broken"} <= {found for found, _ in problems(books)}


def test_an_entry_that_commits_late_is_in_a_later_seal(books):
    """An entry with a lower id, still uncommitted when others were sealed, is not left out."""
    posted, go_on = threading.Event(), threading.Event()

    def slow():
        with books.of("city") as session:
            post(session, entry("slow"), now=NOW)
            posted.set()
            assert go_on.wait(20)

    with books.of("city") as session:
        post(session, entry("opens the month"), now=NOW)
    thread = threading.Thread(target=slow)
    thread.start()
    assert posted.wait(20)
    _, head = post_and_seal(books, "quick")
    assert head.number == 1
    go_on.set()
    thread.join(20)
    with books.of("city") as session:
        assert seals.seal(session, now=LATER).number == 2
        check = seals.verify(session)
        assert (check.sealed_entries, check.unsealed_entries, check.problems) == (3, 0, ())


def test_two_workers_seal_each_entry_once(books):
    with books.of("city") as session:
        post_many(session, [entry(str(number)) for number in range(50)], now=NOW)

    def work():
        with books.of("city") as session:
            seals.seal(session, now=LATER)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    with books.of("city") as session:
        check = seals.verify(session)
        assert (check.seals, check.sealed_entries, check.problems) == (1, 50, ())


def test_the_worker_seals_what_was_posted(books, tmp_path, monkeypatch):
    from regional311.notices.worker import Chore, work
    from regional311.settings import Settings

    monkeypatch.setattr(seals, "AT_ONCE", 20)
    with books.of("city") as session:
        post_many(session, [entry(str(number)) for number in range(50)], now=NOW)
    work(
        books.engine,
        Settings(var=tmp_path, secret="x" * 40),
        once=True,
        clock=lambda: LATER,
        chores=[Chore("seals", 60, seals.seal_everything)],
    )
    with books.of("city") as session:
        check = seals.verify(session)
        assert (check.seals, check.sealed_entries, check.unsealed_entries) == (3, 50, 0)
        assert len(queries.journal(session, limit=100)) == 50


def test_heads_are_written_and_read():
    heads = {"city": Head(3, "ab"), "county": Head(0, GENESIS)}
    content = heads_text(heads, now=NOW)
    assert read_heads(content) == heads
    assert list(json.loads(content)["heads"]) == ["city", "county"]
    for wrong in ("", "{}", "[]", '{"format": "x", "heads": {}}', '{"heads": {"a": 1}}'):
        with pytest.raises(InvalidInput):
            read_heads(wrong)


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(lots=st.lists(st.integers(0, 3), max_size=4))
def test_a_prefix_of_the_chain_never_changes(books, lots):
    with books.of("city") as session:
        before = seals.seals(session)
        begin = len(queries.journal(session, limit=1_000))
    for place, size in enumerate(lots):
        post_and_seal(books, *(f"{begin}-{place}-{each}" for each in range(size)))
    with books.of("city") as session:
        after = seals.seals(session, limit=1_000)
        assert after[len(after) - len(before) :] == before
        assert seals.verify(session).problems == ()
