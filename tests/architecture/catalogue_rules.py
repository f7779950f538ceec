"""The schema's rules, each a function over pg_catalog that returns what breaks it."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, text

from regional311.database.embedded import APP_ROLE

MINE = "(tenant_id = (NULLIF(current_setting('app.tenant'::text, true), ''::text))::uuid)"
SENT_BY_ME = (
    "(from_tenant_id = (NULLIF(current_setting('app.tenant'::text, true), ''::text))::uuid)"
)
ABOUT_ME = "(person_id = (NULLIF(current_setting('app.person'::text, true), ''::text))::uuid)"

IDENTITY_TABLES = frozenset(
    {"people", "person_codes", "sign_in_attempts", "sign_in_sessions", "tracking_tokens"}
)
OTHER_TABLES = frozenset({"alembic_version"})
TRIGGERS = frozenset(
    {
        ("journal_entries", "entry_balanced"),
        ("postings", "entry_balanced"),
        ("statement_items", "items_have_lines"),
    }
)
# Columns that the application may change where the rest of a row must stay.
CHANGEABLE = {
    "accounts": {"name", "type", "external_code", "fund_code", "cost_centre", "ended_on"},
    "ledger_periods": {"state"},
}
POLICIES = {
    "tenant": {("own_rows", "ALL", MINE, MINE)},
    "published": {
        ("all_read", "SELECT", "true", None),
        ("own_insert", "INSERT", None, MINE),
        ("own_update", "UPDATE", MINE, MINE),
    },
    "envelope": {
        ("receiver_reads", "SELECT", MINE, None),
        ("receiver_works", "UPDATE", MINE, MINE),
        ("sender_inserts", "INSERT", None, SENT_BY_ME),
    },
}
MORE_POLICIES = {"memberships": {("own_memberships", "SELECT", ABOUT_ME, None)}}

RULES: list[Callable[[Connection], list[str]]] = []


def rule(check: Callable[[Connection], list[str]]) -> Callable[[Connection], list[str]]:
    RULES.append(check)
    return check


def rows(connection: Connection, statement: str, **values: object) -> list:
    return list(connection.execute(text(statement), values))


def scoped_tables(connection: Connection) -> list[str]:
    """Every table of ours but the identity tables: those that a tenant's rows are in."""
    names = rows(
        connection,
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        " AND relkind IN ('r', 'p') ORDER BY relname",
    )
    return [name for (name,) in names if name not in IDENTITY_TABLES | OTHER_TABLES]


@rule
def every_table_has_its_tenant(connection: Connection) -> list[str]:
    found = rows(
        connection,
        "SELECT attrelid::regclass::text FROM pg_attribute WHERE attname = 'tenant_id'"
        " AND attnotnull AND atttypid = 'uuid'::regtype",
    )
    have = {name for (name,) in found}
    return [name for name in scoped_tables(connection) if name not in have]


@rule
def tenant_comes_first_in_every_key(connection: Connection) -> list[str]:
    found = rows(
        connection,
        "SELECT t.relname, i.relname FROM pg_index x"
        " JOIN pg_class t ON t.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid"
        " LEFT JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = x.indkey[0]"
        " WHERE t.relnamespace = 'public'::regnamespace"
        " AND (x.indisunique OR x.indisprimary OR x.indisexclusion)"
        " AND a.attname IS DISTINCT FROM 'tenant_id'",
    )
    scoped = set(scoped_tables(connection))
    return [f"{table}.{index}" for table, index in found if table in scoped]


@rule
def every_table_has_a_primary_key(connection: Connection) -> list[str]:
    found = rows(connection, "SELECT indrelid::regclass::text FROM pg_index WHERE indisprimary")
    have = {name for (name,) in found}
    return [name for name in scoped_tables(connection) if name not in have]


@rule
def references_stay_within_the_tenant(connection: Connection) -> list[str]:
    found = rows(
        connection,
        "SELECT c.conrelid::regclass::text, c.conname FROM pg_constraint c"
        " JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]"
        " JOIN pg_attribute f ON f.attrelid = c.confrelid AND f.attnum = c.confkey[1]"
        " WHERE c.contype = 'f' AND (a.attname <> 'tenant_id' OR f.attname <> 'tenant_id'"
        " OR cardinality(c.conkey) < 2)",
    )
    return [f"{table}.{name}" for table, name in found]


@rule
def nothing_is_set_null_by_a_deletion(connection: Connection) -> list[str]:
    found = rows(
        connection,
        "SELECT conrelid::regclass::text, conname FROM pg_constraint"
        " WHERE contype = 'f' AND (confdeltype IN ('n', 'd') OR confupdtype <> 'a')",
    )
    return [f"{table}.{name}" for table, name in found]


@rule
def no_serials(connection: Connection) -> list[str]:
    found = rows(
        connection,
        "SELECT relname FROM pg_class WHERE relkind = 'S'"
        " AND relnamespace = 'public'::regnamespace"
        " UNION ALL SELECT attrelid::regclass || '.' || attname FROM pg_attribute"
        " WHERE attidentity <> ''",
    )
    return [name for (name,) in found]


@rule
def no_default_calls_a_function(connection: Connection) -> list[str]:
    found = rows(
        connection,
        "SELECT d.adrelid::regclass || '.' || a.attname, pg_get_expr(d.adbin, d.adrelid)"
        " FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum"
        " JOIN pg_class t ON t.oid = d.adrelid"
        " WHERE t.relnamespace = 'public'::regnamespace AND a.attgenerated = ''",
    )
    return [f"{column}: {expression}" for column, expression in found if "(" in expression]


@rule
def row_security_is_forced(connection: Connection) -> list[str]:
    found = rows(
        connection, "SELECT relname FROM pg_class WHERE relrowsecurity AND relforcerowsecurity"
    )
    have = {name for (name,) in found}
    return [name for name in scoped_tables(connection) if name not in have]


@rule
def policies_are_those_of_the_tables_kind(connection: Connection) -> list[str]:
    found: dict[str, set] = {name: set() for name in scoped_tables(connection)}
    for table, *policy in rows(
        connection,
        "SELECT tablename, policyname, cmd, qual, with_check FROM pg_policies"
        " WHERE schemaname = 'public' AND permissive = 'PERMISSIVE'",
    ):
        found.setdefault(table, set()).add(tuple(policy))
    return [
        table
        for table, policies in found.items()
        if policies - MORE_POLICIES.get(table, set()) not in POLICIES.values()
    ]


@rule
def triggers_are_the_listed_ones(connection: Connection) -> list[str]:
    found = rows(
        connection, "SELECT tgrelid::regclass::text, tgname FROM pg_trigger WHERE NOT tgisinternal"
    )
    return [f"{table}.{name}" for table, name in found if (table, name) not in TRIGGERS]


@rule
def the_application_may_only_read_and_add_or_also_change(connection: Connection) -> list[str]:
    found = rows(
        connection,
        "SELECT c.relname, array_agg(a.privilege_type ORDER BY a.privilege_type)"
        " FROM pg_class c, aclexplode(c.relacl) a"
        " WHERE c.relnamespace = 'public'::regnamespace AND a.grantee = CAST(:role AS regrole)"
        " GROUP BY c.relname",
        role=APP_ROLE,
    )
    allowed = (["INSERT", "SELECT"], ["INSERT", "SELECT", "UPDATE"])
    listed = {
        "alembic_version": ["SELECT"],
        "tracking_tokens": ["INSERT"],
        "person_codes": ["INSERT"],
    }
    return [
        f"{table}: {', '.join(rights)}"
        for table, rights in found
        if (rights != listed[table] if table in listed else rights not in allowed)
    ]


@rule
def nobody_else_has_rights(connection: Connection) -> list[str]:
    found = rows(
        connection,
        "SELECT c.relname, a.privilege_type FROM pg_class c, aclexplode(c.relacl) a"
        " WHERE c.relnamespace = 'public'::regnamespace AND a.grantee <> c.relowner"
        " AND (a.grantee <> CAST(:role AS regrole) OR a.privilege_type = 'TRUNCATE'"
        " OR a.is_grantable)"
        " UNION ALL SELECT t.relname || '.' || c.attname, a.privilege_type"
        " || CASE WHEN a.grantee = CAST(:role AS regrole) AND NOT a.is_grantable"
        " THEN '' ELSE ' of others' END"
        " FROM pg_attribute c JOIN pg_class t ON t.oid = c.attrelid, aclexplode(c.attacl) a"
        " WHERE t.relnamespace = 'public'::regnamespace",
        role=APP_ROLE,
    )
    listed = {
        (f"{table}.{column}", "UPDATE") for table, some in CHANGEABLE.items() for column in some
    }
    return [f"{table}: {right}" for table, right in found if (table, right) not in listed]


@rule
def views_ask_with_the_readers_rights(connection: Connection) -> list[str]:
    found = rows(
        connection,
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        " AND (relkind = 'm' OR (relkind = 'v' AND NOT coalesce("
        "   'security_invoker=true' = ANY (reloptions), false)))",
    )
    return [name for (name,) in found]


@rule
def functions_with_the_owners_rights_are_closed(connection: Connection) -> list[str]:
    """A fixed search path, and nothing for PUBLIC."""
    found = rows(
        connection,
        "SELECT p.proname FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace"
        " AND p.prosecdef AND (NOT coalesce(p.proconfig::text LIKE '%search_path=%', false)"
        " OR p.proacl IS NULL"
        " OR EXISTS (SELECT FROM aclexplode(p.proacl) a WHERE a.grantee = 0))",
    )
    return [name for (name,) in found]


@rule
def the_application_owns_nothing_and_bypasses_nothing(connection: Connection) -> list[str]:
    owned = rows(
        connection,
        "SELECT relname FROM pg_class WHERE relowner = CAST(:role AS regrole)",
        role=APP_ROLE,
    )
    rights = rows(
        connection,
        "SELECT rolname FROM pg_roles WHERE rolname = :role AND (rolsuper OR rolbypassrls"
        " OR rolcreaterole OR rolcreatedb OR rolreplication)",
        role=APP_ROLE,
    )
    member = rows(
        connection,
        "SELECT roleid::regrole::text FROM pg_auth_members WHERE member = CAST(:role AS regrole)",
        role=APP_ROLE,
    )
    return [name for (name,) in owned + rights + member]
