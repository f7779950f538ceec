"""Models and migrations say the same, and migrations go both ways and print without a server."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from runpy import run_path

import psycopg
import pytest
from alembic import command
from sqlalchemy import Connection, NullPool, create_engine, text

from regional311.database.base import Base
from regional311.database.health import health
from regional311.database.prepare import alembic_configuration, migrate
from tests.architecture import test_schema  # imports every model

ROOT = Path(__file__).resolve().parents[2]
assert test_schema.APPEND_ONLY

CATALOGUE = {
    "columns": "SELECT t.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)"
    " || CASE WHEN a.attnotnull THEN ' not null ' ELSE ' ' END || a.attgenerated::text"
    " || coalesce(pg_get_expr(d.adbin, d.adrelid), '')"
    " FROM pg_attribute a JOIN pg_class t ON t.oid = a.attrelid"
    " LEFT JOIN pg_attrdef d ON d.adrelid = t.oid AND d.adnum = a.attnum"
    " WHERE t.relnamespace = 'public'::regnamespace AND t.relkind = 'r' AND a.attnum > 0"
    " AND NOT a.attisdropped AND t.relname <> 'alembic_version'",
    "constraints": "SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid)"
    " FROM pg_constraint WHERE connamespace = 'public'::regnamespace"
    " AND conrelid <> coalesce(to_regclass('alembic_version'), 0) AND contype <> 't'",
    "indexes": "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'"
    " AND tablename <> 'alembic_version'",
}
PROTECTION = {
    "policies": "SELECT concat_ws(' ', tablename, policyname, cmd, qual, with_check)"
    " FROM pg_policies",
    "rights": "SELECT relname || coalesce(relacl::text, '') || relforcerowsecurity FROM pg_class"
    " WHERE relnamespace = 'public'::regnamespace",
    "functions": "SELECT pg_get_functiondef(p.oid) || coalesce(proacl::text, '') FROM pg_proc p"
    " WHERE pronamespace = 'public'::regnamespace AND prokind = 'f' AND NOT EXISTS"
    " (SELECT FROM pg_depend WHERE objid = p.oid AND deptype = 'e')",
    "triggers": "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
}


def snapshot(connection: Connection, parts: dict[str, str]) -> dict[str, list[str]]:
    return {name: sorted(connection.scalars(text(query))) for name, query in parts.items()}


@pytest.fixture
def owner(empty_database):
    engine = create_engine(empty_database.owner_url, poolclass=NullPool)
    with engine.connect() as connection:
        yield connection


def test_models_equal_migrations(owner, server) -> None:
    server.run("CREATE DATABASE {} OWNER {}", "from_models", "regional311_owner")
    try:
        engine = create_engine(server.database("from_models").owner_url, poolclass=NullPool)
        with engine.begin() as connection:
            connection.execute(text("CREATE EXTENSION btree_gist"))
            # a generated column calls them, and models make no functions
            (path,) = ROOT.glob("migrations/versions/*_search.py")
            for statement in run_path(str(path))["FUNCTIONS"].values():
                connection.execute(text(statement))
            Base.metadata.create_all(connection)
            from_models = snapshot(connection, CATALOGUE)
    finally:
        server.drop("from_models")
    from_migrations = snapshot(owner, CATALOGUE)
    for part, expected in from_models.items():
        assert expected == from_migrations[part]


def test_the_newest_migration_is_recognised(empty_database, owner) -> None:
    assert health(empty_database.engine()).ok
    owner.execute(text("UPDATE alembic_version SET version_num = 'older'"))
    owner.commit()
    found = health(empty_database.engine())
    assert (found.reachable, found.migrations_current) == (True, False)


def test_a_database_without_a_schema_is_reached_but_not_current(server) -> None:
    server.run("CREATE DATABASE {} OWNER {}", "bare", "regional311_owner")
    try:
        found = health(server.database("bare").engine())
    finally:
        server.drop("bare")
    assert (found.reachable, found.migrations_current) == (True, False)


def test_a_database_that_is_down_is_not_an_exception() -> None:
    engine = create_engine("postgresql+psycopg://a:b@127.0.0.1:1/c", poolclass=NullPool)
    assert not health(engine).reachable


def test_down_and_up_again_leaves_the_same_schema(empty_database, owner) -> None:
    before = snapshot(owner, CATALOGUE | PROTECTION)
    owner.rollback()
    configuration = alembic_configuration()
    configuration.attributes["connection"] = owner
    command.downgrade(configuration, "base")
    left = owner.scalars(
        text(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
            " AND relkind = 'r'"
        )
    ).all()
    assert left == ["alembic_version"]
    owner.rollback()
    migrate(empty_database.owner_url)
    assert snapshot(owner, CATALOGUE | PROTECTION) == before


def test_who_coordinated_everything_still_does_after_the_migration(committed_database) -> None:
    """Under forced row security an update of the owner's would change nothing, silently."""
    (path,) = (ROOT / "migrations" / "versions").glob("*_accommodation_appeals.py")
    before = run_path(str(path))["down_revision"]
    engine = create_engine(committed_database.owner_url, poolclass=NullPool)
    coordinators = text(
        "SELECT slug, settings -> 'coordinators' FROM tenants WHERE settings ? 'coordinators'"
    )

    def read() -> dict[str, list[dict[str, object]]]:
        with engine.begin() as connection:
            connection.execute(text("ALTER TABLE tenants NO FORCE ROW LEVEL SECURITY"))
            rows = connection.execute(coordinators).all()
            connection.execute(text("ALTER TABLE tenants FORCE ROW LEVEL SECURITY"))
        return {str(slug): found for slug, found in rows}

    now = read()
    with engine.connect() as connection:
        configuration = alembic_configuration()
        configuration.attributes["connection"] = connection
        command.downgrade(configuration, before)
    older = read()
    assert older.keys() == now.keys() == {"211info", "city-of-portland", "multnomah-county"}
    assert not any("whole" in each for found in older.values() for each in found)
    migrate(committed_database.owner_url)
    assert read() == now


def test_who_sent_stop_before_news_came_by_text_gets_none_after(committed_database) -> None:
    """Only their threads said so then; of a number that wrote on two lines it is said once."""
    (path,) = (ROOT / "migrations" / "versions").glob("*_news_by_text.py")
    before = run_path(str(path))["down_revision"]
    engine = create_engine(committed_database.owner_url, poolclass=NullPool)
    with engine.connect() as connection:
        configuration = alembic_configuration()
        configuration.attributes["connection"] = connection
        command.downgrade(configuration, before)
    with engine.begin() as connection:
        for table in ("threads", "tenants"):
            connection.execute(text(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY"))
        for number, (address, channel, stopped) in enumerate(
            [
                ("+15035550123", "text", "2026-03-01T12:00Z"),
                ("+15035550123", "text", "2026-03-02T12:00Z"),
                ("+15035550124", "text", None),
                ("eva@me.example", "email", None),
            ]
        ):
            connection.execute(
                text(
                    "INSERT INTO threads (tenant_id, id, public_id, channel, line_key, address,"
                    " language, state, confidential, began_at, waiting_since, last_at, stopped_at,"
                    " handled_seconds, closings, version) SELECT id, uuidv7(), :key, :channel,"
                    " 'text', :address, 'en', 'new', false, now(), now(), now(), :stopped, 0, 0, 1"
                    " FROM tenants WHERE slug = 'city-of-portland'"
                ),
                {"key": f"T-{number}", "channel": channel, "address": address, "stopped": stopped},
            )
        for table in ("threads", "tenants"):
            connection.execute(text(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY"))
    migrate(committed_database.owner_url)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE notice_stops NO FORCE ROW LEVEL SECURITY"))
        found = connection.execute(
            text("SELECT address, subject_id, stopped_at = '2026-03-02T12:00Z' FROM notice_stops")
        ).all()
        connection.execute(text("ALTER TABLE notice_stops FORCE ROW LEVEL SECURITY"))
    assert [tuple(each) for each in found] == [("+15035550123", None, True)]


def test_open_requests_are_warned_of_after_the_migration_and_go_on_without_it(
    committed_database,
) -> None:
    (path,) = (ROOT / "migrations" / "versions").glob("*_clocks_that_stand_still.py")
    before = run_path(str(path))["down_revision"]
    engine = create_engine(committed_database.owner_url, poolclass=NullPool)

    def run(statement: str) -> list[tuple[object, ...]]:
        with engine.begin() as connection:
            for table in ("service_requests", "tenants"):
                connection.execute(text(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY"))
            done = connection.execute(text(statement))
            found = [tuple(row) for row in done] if done.returns_rows else []
            for table in ("service_requests", "tenants"):
                connection.execute(text(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY"))
        return found

    def down() -> None:
        with engine.connect() as connection:
            configuration = alembic_configuration()
            configuration.attributes["connection"] = connection
            command.downgrade(configuration, before)

    down()
    run(
        "INSERT INTO service_requests (tenant_id, id, public_id, service_key, intake_tenant_id,"
        " state, priority, place_kind, confidential, opened_at, expected_at, updated_at, version)"
        " SELECT t.id, uuidv7(), 'R-' || each.state, 'pothole', t.id, each.state, 'normal', 'none',"
        " false, '2026-03-02T08:00Z', each.due, now(), 1 FROM tenants t, (VALUES"
        " ('received', CAST('2026-03-06T08:00Z' AS timestamptz)), ('triaged', NULL),"
        " ('closed', '2026-03-06T08:00Z')) AS each (state, due) WHERE slug = 'city-of-portland'"
    )
    migrate(committed_database.owner_url)
    assert run(
        "SELECT state, warn_at = '2026-03-05T08:00Z' FROM service_requests"
        " WHERE opened_at = '2026-03-02T08:00Z' ORDER BY state"
    ) == [("closed", None), ("received", True), ("triaged", None)]
    run(
        "UPDATE service_requests SET stands_since = now(), left_seconds = 7200, expected_at = NULL,"
        " warn_at = NULL, state = 'waiting_person' WHERE public_id = 'R-received'"
    )
    down()
    (left,) = run(
        "SELECT expected_at - now() BETWEEN interval '1 hour' AND interval '2 hours'"
        " FROM service_requests WHERE public_id = 'R-received'"
    )
    assert left == (True,)


def test_the_whole_schema_prints_without_a_server_and_makes_the_same(
    tmp_path, server, owner
) -> None:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("REGIONAL311_")
    }
    done = subprocess.run(
        [Path(sys.executable).with_name("alembic"), "upgrade", "head", "--sql"],
        cwd=ROOT,
        env=environment | {"REGIONAL311_VAR": str(tmp_path / "var")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert not (tmp_path / "var").exists()
    server.run("CREATE DATABASE {} OWNER {}", "printed", "regional311_owner")
    try:
        database = server.database("printed")
        with psycopg.connect(database.owner_url.replace("+psycopg", "")) as connection:
            connection.execute(done.stdout.encode())
        with create_engine(database.owner_url, poolclass=NullPool).connect() as printed:
            assert snapshot(printed, CATALOGUE | PROTECTION) == snapshot(
                owner, CATALOGUE | PROTECTION
            )
    finally:
        server.drop("printed")
