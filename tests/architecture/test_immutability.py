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


def post(connection, tenant: UUID, entry: UUID, *, legs: int, total: int) -> None:
    """An entry of October that says it has so many legs and that total, without its postings."""
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
    connection.execute(
        text(
            "INSERT INTO journal_entries (tenant_id, id, period_key, service_period, memo,"
            " source_key, leg_count, total_cents, posted_at)"
            " VALUES (:t, :e, '1999-10', '1999-10', 'test', :s, :l, :c, '1999-10-05Z')"
        ),
        {"t": tenant, "e": entry, "s": str(entry), "l": legs, "c": total},
    )


def leg(connection, tenant: UUID, entry: UUID, number: int, debit: int, credit: int) -> None:
    connection.execute(
        text(
            "INSERT INTO postings (tenant_id, entry_id, leg, account_key, debit_cents,"
            " credit_cents) VALUES (:t, :e, :n, :k, :d, :c)"
        ),
        {"t": tenant, "e": entry, "n": number, "k": "ab"[number % 2], "d": debit, "c": credit},
    )


def check_now(connection) -> None:
    connection.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))
    connection.execute(text("SET CONSTRAINTS ALL DEFERRED"))


@pytest.fixture
def city(tenants) -> UUID:
    return tenants["city-of-portland"]


def test_a_balanced_entry_is_accepted(bound, city) -> None:
    entry = new_id()
    post(bound, city, entry, legs=2, total=500)
    leg(bound, city, entry, 1, 500, 0)
    leg(bound, city, entry, 2, 0, 500)
    check_now(bound)


@pytest.mark.parametrize(
    "legs",
    [[], [(500, 0)], [(500, 0), (0, 499)], [(500, 0), (0, 500), (1, 0), (0, 1)], [(5, 0), (0, 5)]],
    ids=["none", "one leg", "a cent short", "too many legs", "another total"],
)
def test_an_unbalanced_entry_is_refused(bound, city, legs) -> None:
    entry = new_id()
    post(bound, city, entry, legs=2, total=500)
    for number, (debit, credit) in enumerate(legs, start=1):
        leg(bound, city, entry, number, debit, credit)
    with pytest.raises(DBAPIError, match="is not balanced"), bound.begin_nested():
        check_now(bound)


def test_balanced_legs_cannot_be_added_to_an_old_entry(bound, city) -> None:
    entry = new_id()
    post(bound, city, entry, legs=2, total=500)
    leg(bound, city, entry, 1, 500, 0)
    leg(bound, city, entry, 2, 0, 500)
    check_now(bound)
    leg(bound, city, entry, 3, 70, 0)
    leg(bound, city, entry, 4, 0, 70)
    with pytest.raises(DBAPIError, match="is not balanced"), bound.begin_nested():
        check_now(bound)


def test_a_row_cannot_be_given_to_another_tenant(bound, tenants) -> None:
    entry = new_id()
    county = tenants["multnomah-county"]
    with pytest.raises(DBAPIError, match="row-level security"), bound.begin_nested():
        post(bound, county, entry, legs=2, total=500)
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
