"""The schema's rules hold, and each of them can fail."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest
from sqlalchemy import NullPool, create_engine, text

from regional311.database.base import Base
from tests.architecture import catalogue_rules as rules

ROOT = Path(__file__).resolve().parents[2]
for models in sorted(ROOT.glob("regional311/*/models.py")):
    import_module(f"regional311.{models.parent.name}.models")

APPEND_ONLY = sorted(
    table.name for table in Base.metadata.tables.values() if table.info.get("append_only")
)

# One statement for each rule that breaks it.
BREAKS = {
    rules.every_table_has_its_tenant: "CREATE TABLE bad (id uuid PRIMARY KEY)",
    rules.tenant_comes_first_in_every_key: "CREATE UNIQUE INDEX bad ON bureaus (key, tenant_id)",
    rules.every_table_has_a_primary_key: "CREATE TABLE bad (tenant_id uuid NOT NULL)",
    rules.references_stay_within_the_tenant: "ALTER TABLE tracking_tokens"
    " ADD FOREIGN KEY (token_hash) REFERENCES sign_in_sessions",
    rules.nothing_is_set_null_by_a_deletion: "ALTER TABLE needs ADD CONSTRAINT bad FOREIGN KEY"
    " (tenant_id, contact_id) REFERENCES contacts (tenant_id, id) ON DELETE SET NULL",
    rules.no_serials: "ALTER TABLE bureaus ADD bad serial",
    rules.no_default_calls_a_function: "ALTER TABLE contacts"
    " ADD bad timestamptz DEFAULT clock_timestamp()",
    rules.row_security_is_forced: "ALTER TABLE contacts NO FORCE ROW LEVEL SECURITY",
    rules.policies_are_those_of_the_tables_kind: "CREATE POLICY bad ON contacts FOR SELECT"
    " USING (true)",
    rules.triggers_are_the_listed_ones: "CREATE TRIGGER bad BEFORE INSERT ON contacts"
    " EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    rules.the_application_may_only_read_and_add_or_also_change: "GRANT DELETE ON contacts"
    " TO regional311_app",
    rules.nobody_else_has_rights: "GRANT SELECT ON contacts TO PUBLIC",
    rules.views_ask_with_the_readers_rights: "CREATE VIEW bad AS SELECT * FROM contacts",
    rules.functions_with_the_owners_rights_are_closed: "CREATE FUNCTION bad() RETURNS int"
    " LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'",
    rules.the_application_owns_nothing_and_bypasses_nothing: "CREATE TABLE bad (id uuid)",
}


@pytest.mark.parametrize("check", rules.RULES, ids=lambda check: check.__name__)
def test_the_schema_keeps_the_rule(owner_engine, check) -> None:
    with owner_engine.connect() as connection:
        assert check(connection) == []


@pytest.mark.parametrize("check", rules.RULES, ids=lambda check: check.__name__)
def test_a_schema_that_breaks_the_rule_is_found(server, empty_database, check) -> None:
    url = server.address.url("postgres", empty_database.name)
    with create_engine(url, poolclass=NullPool).begin() as connection:
        connection.execute(text(BREAKS[check]))
        if check is rules.the_application_owns_nothing_and_bypasses_nothing:
            connection.execute(text("ALTER TABLE bad OWNER TO regional311_app"))
        assert check(connection) != []


def test_models_and_rules_agree_on_what_is_append_only(owner_engine) -> None:
    with owner_engine.connect() as connection:
        found = rules.rows(
            connection,
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
            " AND relkind = 'r' AND has_table_privilege('regional311_app', oid, 'INSERT')"
            " AND has_table_privilege('regional311_app', oid, 'SELECT')"
            " AND NOT has_any_column_privilege('regional311_app', oid, 'UPDATE')",
        )
    assert sorted(name for (name,) in found) == APPEND_ONLY
    assert {"audit_events", "journal_entries", "postings", "usage_events"} <= set(APPEND_ONLY)


def test_models_say_what_kind_each_table_is() -> None:
    kinds = {"tenant", "published", "envelope", "identity"}
    assert {table.info["kind"] for table in Base.metadata.tables.values()} <= kinds
    identity = {t.name for t in Base.metadata.tables.values() if t.info["kind"] == "identity"}
    assert identity == rules.IDENTITY_TABLES
