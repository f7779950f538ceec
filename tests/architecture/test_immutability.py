"""What is written once stays: attacked with SQL as the application's role."""

from __future__ import annotations

from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from regional311.database.ids import new_id
from tests.architecture.test_schema import APPEND_ONLY


@pytest.fixture
def bound(engine, tenants):
    """A connection of the application's role, bound to the City, rolled back at the end."""
    with engine.connect() as connection, connection.begin() as transaction:
        connection.execute(text("SELECT bind_tenant(:t, NULL)"), {"t": tenants["city-of-portland"]})
        yield connection
        transaction.rollback()


def refused(connection, statement: str, **values) -> str:
    """The SQLSTATE with which the database refuses; fails when it does not."""
    with pytest.raises(DBAPIError) as caught, connection.begin_nested():
        connection.execute(text(statement), values)
    return caught.value.orig.sqlstate


OTHER_KEYS = {
    "charges": ("run_id", "usage_event_id"),
    "postings": ("entry_id", "leg"),
    "ledger_seals": ("number",),
    "ledger_seal_entries": ("entry_id",),
    "export_batch_entries": ("entry_id",),
}
"""What names a row of its tenant where that is no id of its own."""

PRIVILEGE = psycopg.errors.InsufficientPrivilege.sqlstate


@pytest.mark.parametrize("table", APPEND_ONLY)
@pytest.mark.parametrize(
    "attack",
    [
        "UPDATE {} SET tenant_id = tenant_id",
        "DELETE FROM {}",
        "TRUNCATE {} CASCADE",
        "SELECT * FROM {} FOR UPDATE",
        "MERGE INTO {} t USING (SELECT 1) s ON true WHEN MATCHED THEN DELETE",
        "INSERT INTO {0} SELECT * FROM {0} ON CONFLICT (tenant_id, id) DO UPDATE SET id = {0}.id",
        "ALTER TABLE {} DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE {} DISABLE TRIGGER ALL",
        "DROP TABLE {} CASCADE",
        "CREATE RULE gone AS ON INSERT TO {} DO INSTEAD NOTHING",
        "GRANT UPDATE ON {} TO regional311_app",
        "COPY {} TO PROGRAM 'cat'",
    ],
    ids=lambda attack: attack.replace("{}", "t").replace("{0}", "t")[:24],
)
def test_no_statement_changes_an_append_only_table(bound, table, attack) -> None:
    if "CONFLICT" in attack and table in OTHER_KEYS:
        *_, last = key = OTHER_KEYS[table]
        attack = attack.replace("(tenant_id, id)", f"(tenant_id, {', '.join(key)})")
        attack = attack.replace("SET id = {0}.id", f"SET {last} = {{0}}.{last}")
    if attack.startswith("GRANT"):
        # PostgreSQL answers a grant by somebody without the grant option with a warning.
        with bound.begin_nested():
            bound.execute(text(attack.format(table)))
        attack = "UPDATE {} SET tenant_id = tenant_id"
    assert refused(bound, attack.format(table)) == PRIVILEGE


@pytest.mark.parametrize(
    "attack",
    [
        "SET ROLE regional311_owner",
        "SET SESSION AUTHORIZATION regional311_owner",
        "SET session_replication_role = replica",
        "CREATE TABLE public.mine (id int)",
        "CREATE SCHEMA mine",
        "CREATE TEMPORARY TABLE journal_entries (tenant_id uuid)",
        "CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE OR REPLACE FUNCTION bind_tenant(a uuid) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "ALTER ROLE regional311_app BYPASSRLS",
        "DROP POLICY own_rows ON contacts",
        "SELECT * FROM people",
        "SELECT * FROM sign_in_sessions",
        "SELECT * FROM tracking_tokens",
        "INSERT INTO people (id, email, name, created_at) VALUES (uuidv7(), 'a', 'a', now())",
        "DELETE FROM contacts",
        "TRUNCATE contacts CASCADE",
        "UPDATE alembic_version SET version_num = 'x'",
        "SELECT pg_read_file('/etc/passwd')",
    ],
)
def test_the_application_cannot_step_around_its_rights(bound, attack) -> None:
    assert refused(bound, attack) == PRIVILEGE


def test_row_security_cannot_be_turned_off(bound) -> None:
    bound.execute(text("SET LOCAL row_security = off"))
    assert refused(bound, "SELECT * FROM contacts") == PRIVILEGE


def prepare(connection, tenant: UUID) -> None:
    """An open month and two accounts."""
    connection.execute(
        text(
            "INSERT INTO ledger_periods (tenant_id, key, start_on, end_on, state)"
            " VALUES (:t, '1999-10', '1999-10-01', '1999-11-01', 'open')"
            " ON CONFLICT DO NOTHING"
        ),
        {"t": tenant},
    )
    for key in ("a", "b"):
        connection.execute(
            text(
                "INSERT INTO accounts (tenant_id, key, name, type) VALUES (:t, :k, :k, 'asset')"
                " ON CONFLICT DO NOTHING"
            ),
            {"t": tenant, "k": key},
        )


ENTRY = """
INSERT INTO journal_entries (tenant_id, id, period_key, service_period, memo, source_key,
    leg_count, total_cents, posted_at)
SELECT :t, :e, :p, :p, 'test', CAST(:e AS text), 2, 500, '1999-10-05Z'
"""
LEGS = """
INSERT INTO postings (tenant_id, entry_id, leg, account_key, debit_cents, credit_cents)
SELECT :t, :e, leg.* FROM unnest(CAST(:numbers AS bigint[]), CAST(:accounts AS text[]),
    CAST(:debits AS bigint[]), CAST(:credits AS bigint[])) AS leg
"""


def legs(tenant: UUID, entry: UUID, *said: tuple[int, str, int, int], period="1999-10") -> dict:
    """Number, account, debit and credit of legs, as the statements above take them."""
    numbers, accounts, debited, credited = map(list, zip(*said, strict=True)) if said else [[]] * 4
    return {
        "t": tenant,
        "e": entry,
        "p": period,
        "numbers": numbers,
        "accounts": accounts,
        "debits": debited,
        "credits": credited,
    }


def post(connection, *said, **more) -> None:
    """An entry that says it has two legs over 500 cents, with these, in one statement."""
    connection.execute(text(f"WITH entry AS ({ENTRY}) {LEGS}"), legs(*said, **more))


BALANCED = ((1, "a", 500, 0), (2, "b", 0, 500))


@pytest.fixture
def city(tenants, bound) -> UUID:
    prepare(bound, tenants["city-of-portland"])
    return tenants["city-of-portland"]


def test_a_balanced_entry_is_accepted(bound, city) -> None:
    post(bound, city, new_id(), *BALANCED)


@pytest.mark.parametrize(
    "wrong",
    [
        (),
        ((1, "a", 500, 0),),
        ((1, "a", 500, 0), (2, "b", 0, 499)),
        (*BALANCED, (3, "a", 1, 0), (4, "b", 0, 1)),
        ((1, "a", 5, 0), (2, "b", 0, 5)),
        ((2, "a", 500, 0), (3, "b", 0, 500)),
    ],
    ids=["none", "one leg", "a cent short", "too many legs", "another total", "numbered from two"],
)
def test_an_unbalanced_entry_is_refused(bound, city, wrong) -> None:
    with pytest.raises(DBAPIError, match="is not balanced"), bound.begin_nested():
        post(bound, city, new_id(), *wrong)


def test_no_leg_can_be_added_to_an_old_entry(bound, city) -> None:
    entry = new_id()
    post(bound, city, entry, *BALANCED)
    for later in (
        [(3, "a", 70, 0), (4, "b", 0, 70)],
        [(0, "a", 70, 0), (-1, "b", 0, 70)],
    ):
        with pytest.raises(DBAPIError, match="is not balanced"), bound.begin_nested():
            bound.execute(text(LEGS), legs(city, entry, *later))
    with pytest.raises(DBAPIError, match="pk_postings"), bound.begin_nested():
        bound.execute(text(LEGS), legs(city, entry, *BALANCED))


def test_legs_need_their_entry_and_an_account_and_an_entry_its_period(bound, city) -> None:
    with pytest.raises(DBAPIError, match="is not balanced"), bound.begin_nested():
        bound.execute(text(LEGS), legs(city, new_id(), *BALANCED))
    with pytest.raises(DBAPIError, match="there is no account c"), bound.begin_nested():
        post(bound, city, new_id(), (1, "a", 500, 0), (2, "c", 0, 500))
    with pytest.raises(DBAPIError, match="1999-11, which is unknown"), bound.begin_nested():
        post(bound, city, new_id(), *BALANCED, period="1999-11")


@pytest.mark.parametrize("table", ["accounts", "ledger_periods"])
def test_what_entries_refer_to_keeps_its_name(bound, city, table) -> None:
    assert refused(bound, f"UPDATE {table} SET key = 'other'") == PRIVILEGE
    assert refused(bound, f"UPDATE {table} SET tenant_id = tenant_id") == PRIVILEGE
    assert refused(bound, f"DELETE FROM {table}") == PRIVILEGE


def test_a_row_cannot_be_given_to_another_tenant(bound, tenants) -> None:
    county = tenants["multnomah-county"]
    with pytest.raises(DBAPIError, match="row-level security"), bound.begin_nested():
        post(bound, county, new_id(), *BALANCED)
    inquirer = uuid4()
    bound.execute(
        text(
            "INSERT INTO inquirers (tenant_id, id, language, safe_to_call, may_leave_message,"
            " wants_updates) VALUES (:t, :i, 'en', false, false, false)"
        ),
        {"t": tenants["city-of-portland"], "i": inquirer},
    )
    with pytest.raises(DBAPIError, match="row-level security"), bound.begin_nested():
        bound.execute(
            text("UPDATE inquirers SET tenant_id = :c WHERE id = :i"), {"c": county, "i": inquirer}
        )
