"""Check entries a statement at a time, and post one with one call.

What is written by one statement is checked once, when the statement ends: that entries balance,
have the legs and the total they were made with, use accounts that exist and an open period, which
stays locked. Before, each row was looked at by itself, five foreign keys and a trigger an entry;
most of the time of posting went there. An entry and its legs are therefore written by one
statement.

What these foreign keys also forbade, that what is referred to goes away, follows from rights: the
application deletes nothing, changes neither entries nor postings, and from now on not the key of an
account or of a period either.
"""

from __future__ import annotations

from alembic import op

from regional311.database.protection import APPLICATION

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

CHANGEABLE = {
    "accounts": ("name", "type", "external_code", "fund_code", "cost_centre", "ended_on"),
    "ledger_periods": ("state",),
}

# A plan made while the books were still small is kept by a connection for long: it must not scan.
CHECK_ENTRIES = """
CREATE FUNCTION check_entries() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
    wrong record;
BEGIN
    PERFORM FROM ledger_periods p
    WHERE (p.tenant_id, p.key) IN (SELECT tenant_id, period_key FROM written)
    ORDER BY p.tenant_id, p.key FOR SHARE;
    -- The legs that an entry has are checked where they are written: here, that there are any.
    SELECT w.id, w.period_key, p.state INTO wrong
    FROM written w
    LEFT JOIN ledger_periods p ON p.tenant_id = w.tenant_id AND p.key = w.period_key
    LEFT JOIN postings l ON l.tenant_id = w.tenant_id AND l.entry_id = w.id AND l.leg = 1
    WHERE p.state IS DISTINCT FROM 'open' OR l.leg IS NULL LIMIT 1;
    IF FOUND AND wrong.state = 'open' THEN
        RAISE EXCEPTION 'journal entry % is not balanced: it has no legs', wrong.id
            USING ERRCODE = 'check_violation';
    ELSIF FOUND THEN
        RAISE EXCEPTION 'journal entry % is for period %, which is %',
            wrong.id, wrong.period_key, coalesce(wrong.state, 'unknown')
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$
"""

CHECK_LEGS = """
CREATE FUNCTION check_legs() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
    wrong record;
BEGIN
    -- All legs of an entry come with one statement, numbered from one without gaps: whatever comes
    -- later would have to be numbered likewise, and has no number left.
    SELECT l.entry_id, l.debits, l.credits, l.legs INTO wrong
    FROM (
        SELECT tenant_id, entry_id, sum(debit_cents) AS debits, sum(credit_cents) AS credits,
            count(*) AS legs, min(leg) AS first, max(leg) AS last
        FROM written GROUP BY tenant_id, entry_id
    ) l
    LEFT JOIN journal_entries e ON e.tenant_id = l.tenant_id AND e.id = l.entry_id
    WHERE (l.debits = l.credits AND l.debits = e.total_cents AND l.legs = e.leg_count
        AND l.first = 1 AND l.last = l.legs) IS NOT TRUE
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'journal entry % is not balanced: debits %, credits %, legs %',
            wrong.entry_id, wrong.debits, wrong.credits, wrong.legs
            USING ERRCODE = 'check_violation';
    END IF;
    SELECT l.account_key INTO wrong
    FROM (SELECT DISTINCT tenant_id, account_key FROM written) l
    WHERE NOT EXISTS (
        SELECT FROM accounts a WHERE a.tenant_id = l.tenant_id AND a.key = l.account_key
    ) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'there is no account %', wrong.account_key
            USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END
$$
"""

# What is refused is told, not raised: the transaction goes on. The caller asks for the rest.
POST_ENTRY = """
CREATE FUNCTION post_entry(tenant uuid, person uuid, at timestamptz, entry jsonb, kept_open text[])
RETURNS text
LANGUAGE plpgsql SET search_path = public, pg_temp SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    found_state text;
BEGIN
    SELECT state INTO found_state FROM ledger_periods
    WHERE tenant_id = tenant AND key = entry->>'period_key' FOR SHARE;
    IF found_state IS DISTINCT FROM 'open' THEN
        RETURN coalesce(found_state, 'unknown');
    END IF;
    IF EXISTS (
        SELECT FROM jsonb_array_elements(entry->'legs') leg
        WHERE NOT EXISTS (
            SELECT FROM accounts a WHERE a.tenant_id = tenant AND a.key = leg->>'account'
                AND (a.ended_on IS NULL OR a.ended_on > (entry->>'today')::date
                    OR a.key = ANY (kept_open)))
    ) THEN
        RETURN 'account';
    END IF;
    WITH made AS (
        INSERT INTO journal_entries (tenant_id, id, period_key, service_period, memo, source_key,
            source_id, counterparty_id, mirror_id, reverses_id, leg_count, total_cents, posted_by,
            posted_at)
        VALUES (tenant, (entry->>'id')::uuid, entry->>'period_key', entry->>'service_period',
            entry->>'memo', entry->>'source_key', (entry->>'source_id')::uuid,
            (entry->>'counterparty_id')::uuid, (entry->>'mirror_id')::uuid,
            (entry->>'reverses_id')::uuid, (entry->>'leg_count')::bigint,
            (entry->>'total_cents')::bigint, person, at)
        ON CONFLICT (tenant_id, source_key) DO NOTHING
        RETURNING id
    )
    INSERT INTO postings (tenant_id, entry_id, leg, account_key, debit_cents, credit_cents,
        counterparty_id, party, family)
    SELECT tenant, made.id, leg.number, said->>'account', (said->>'debit')::bigint,
        (said->>'credit')::bigint, (said->>'counterparty_id')::uuid, said->>'party',
        said->>'family'
    FROM made, jsonb_array_elements(entry->'legs') WITH ORDINALITY AS leg (said, number);
    RETURN CASE WHEN FOUND THEN 'posted' ELSE 'known' END;
END
$$
"""

REFERENCES = (
    ("journal_entries", "period_key", "ledger_periods", "key"),
    ("postings", "account_key", "accounts", "key"),
    ("postings", "entry_id", "journal_entries", "id"),
)

CHECK_EACH = """
CREATE FUNCTION check_entry_balanced() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
    entry uuid;
    found_legs record;
BEGIN
    IF TG_TABLE_NAME = 'postings' THEN
        entry := NEW.entry_id;
    ELSE
        entry := NEW.id;
    END IF;
    SELECT e.leg_count, e.total_cents, e.period_key, p.state, l.* INTO found_legs
    FROM journal_entries e
    JOIN ledger_periods p ON p.tenant_id = NEW.tenant_id AND p.key = e.period_key
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(debit_cents), 0) AS debits, coalesce(sum(credit_cents), 0) AS credits,
            count(*) AS legs, min(leg) AS first, max(leg) AS last
        FROM postings WHERE tenant_id = NEW.tenant_id AND entry_id = e.id
    ) l
    WHERE e.tenant_id = NEW.tenant_id AND e.id = entry;
    IF NOT FOUND OR found_legs.debits <> found_legs.credits
       OR found_legs.legs <> found_legs.leg_count OR found_legs.debits <> found_legs.total_cents
       OR found_legs.first <> 1 OR found_legs.last <> found_legs.legs THEN
        RAISE EXCEPTION 'journal entry % is not balanced: debits %, credits %, legs %',
            entry, found_legs.debits, found_legs.credits, found_legs.legs
            USING ERRCODE = 'check_violation';
    END IF;
    IF found_legs.state <> 'open' THEN
        RAISE EXCEPTION 'journal entry % is for period %, which is %',
            entry, found_legs.period_key, found_legs.state USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$
"""


def upgrade() -> None:
    for table in ("journal_entries", "postings"):
        op.execute(f"DROP TRIGGER entry_balanced ON {table}")
    op.execute("DROP FUNCTION check_entry_balanced()")
    for table, column, _, _ in REFERENCES:
        op.drop_constraint(op.f(f"fk_{table}_tenant_id_{column}"), table, type_="foreignkey")
    for table, columns in CHANGEABLE.items():
        op.execute(f"REVOKE UPDATE ON {table} FROM {APPLICATION}")
        op.execute(f"GRANT UPDATE ({', '.join(columns)}) ON {table} TO {APPLICATION}")
    for function in (CHECK_ENTRIES, CHECK_LEGS, POST_ENTRY):
        op.execute(function)
    for table, function in (("journal_entries", "check_entries"), ("postings", "check_legs")):
        op.execute(
            f"CREATE TRIGGER entry_balanced AFTER INSERT ON {table}"
            f" REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION {function}()"
        )
    # nothing ever asks by the mirror: checks read all entries of a tenant and pair them
    op.drop_index(op.f("ix_journal_entries_tenant_id_mirror_id"), "journal_entries")


def downgrade() -> None:
    op.create_index(
        op.f("ix_journal_entries_tenant_id_mirror_id"),
        "journal_entries",
        ["tenant_id", "mirror_id"],
    )
    for table in ("journal_entries", "postings"):
        op.execute(f"DROP TRIGGER entry_balanced ON {table}")
    op.execute("DROP FUNCTION check_entries()")
    op.execute("DROP FUNCTION check_legs()")
    op.execute("DROP FUNCTION post_entry(uuid, uuid, timestamptz, jsonb, text[])")
    for table, columns in CHANGEABLE.items():
        op.execute(f"REVOKE UPDATE ({', '.join(columns)}) ON {table} FROM {APPLICATION}")
        op.execute(f"GRANT UPDATE ON {table} TO {APPLICATION}")
    for table, column, parent, key in REFERENCES:
        op.create_foreign_key(
            op.f(f"fk_{table}_tenant_id_{column}"),
            table,
            parent,
            ["tenant_id", column],
            ["tenant_id", key],
        )
    op.execute(CHECK_EACH)
    for table, when in (("journal_entries", ""), ("postings", "WHEN (NEW.leg NOT IN (1, 2)) ")):
        op.execute(
            f"CREATE CONSTRAINT TRIGGER entry_balanced AFTER INSERT ON {table} "
            f"DEFERRABLE INITIALLY DEFERRED FOR EACH ROW {when}"
            "EXECUTE FUNCTION check_entry_balanced()"
        )
