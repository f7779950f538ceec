"""Post an entry, and check what a statement posted, with one query each.

A query costs more to set up than to run on one entry: posting took three, each check two. What is
asked is the same.
"""

from __future__ import annotations

from alembic import op

revision = "0066"
down_revision = "0065"
branch_labels = None
depends_on = None

# A plan made while the books were still small is kept by a connection for long: it must not scan.
CHECK_ENTRIES = """
CREATE OR REPLACE FUNCTION check_entries() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
    wrong record;
BEGIN
    -- Every period that is written to is read, and so held open. The legs that an entry has are
    -- checked where they are written: here, that there are any.
    WITH held AS MATERIALIZED (
        SELECT p.tenant_id, p.key, p.state FROM ledger_periods p
        WHERE (p.tenant_id, p.key) IN (SELECT tenant_id, period_key FROM written)
        ORDER BY p.tenant_id, p.key FOR SHARE
    )
    SELECT w.id, w.period_key, p.state INTO wrong
    FROM written w
    LEFT JOIN held p ON p.tenant_id = w.tenant_id AND p.key = w.period_key
    LEFT JOIN postings l ON l.tenant_id = w.tenant_id AND l.entry_id = w.id AND l.leg = 1
    WHERE p.state IS DISTINCT FROM 'open' OR l.leg IS NULL LIMIT 1;
    IF NOT FOUND THEN
        RETURN NULL;
    ELSIF wrong.state = 'open' THEN
        RAISE EXCEPTION 'journal entry % is not balanced: it has no legs', wrong.id
            USING ERRCODE = 'check_violation';
    END IF;
    RAISE EXCEPTION 'journal entry % is for period %, which is %',
        wrong.id, wrong.period_key, coalesce(wrong.state, 'unknown')
        USING ERRCODE = 'check_violation';
END
$$
"""

CHECK_LEGS = """
CREATE OR REPLACE FUNCTION check_legs() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
    wrong record;
BEGIN
    -- All legs of an entry come with one statement, numbered from one without gaps: whatever comes
    -- later would have to be numbered likewise, and has no number left.
    SELECT * INTO wrong
    FROM (
        SELECT l.*, (l.debits = l.credits AND l.debits = e.total_cents AND l.legs = e.leg_count
            AND l.first = 1 AND l.last = l.legs) IS TRUE AS balanced
        FROM (
            SELECT w.tenant_id, w.entry_id, sum(w.debit_cents) AS debits,
                sum(w.credit_cents) AS credits, count(*) AS legs, min(w.leg) AS first,
                max(w.leg) AS last, min(w.account_key) FILTER (WHERE a.key IS NULL) AS lacking
            FROM written w
            LEFT JOIN accounts a ON a.tenant_id = w.tenant_id AND a.key = w.account_key
            GROUP BY w.tenant_id, w.entry_id
        ) l
        LEFT JOIN journal_entries e ON e.tenant_id = l.tenant_id AND e.id = l.entry_id
    ) checked
    WHERE NOT balanced OR lacking IS NOT NULL LIMIT 1;
    IF NOT FOUND THEN
        RETURN NULL;
    ELSIF wrong.balanced THEN
        RAISE EXCEPTION 'there is no account %', wrong.lacking
            USING ERRCODE = 'foreign_key_violation';
    END IF;
    RAISE EXCEPTION 'journal entry % is not balanced: debits %, credits %, legs %',
        wrong.entry_id, wrong.debits, wrong.credits, wrong.legs
        USING ERRCODE = 'check_violation';
END
$$
"""

# What is refused is told, not raised: the transaction goes on. The caller asks for the rest.
POST_ENTRY = """
CREATE FUNCTION post_entry(tenant uuid, person uuid, at timestamptz, entry jsonb, kept_open text[])
RETURNS boolean
LANGUAGE plpgsql SET search_path = public, pg_temp SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    WITH held AS (
        SELECT FROM ledger_periods
        WHERE tenant_id = tenant AND key = entry->>'period_key' AND state = 'open' FOR SHARE
    ), made AS (
        INSERT INTO journal_entries (tenant_id, id, period_key, service_period, memo, source_key,
            source_id, counterparty_id, mirror_id, reverses_id, leg_count, total_cents, posted_by,
            posted_at)
        SELECT tenant, (entry->>'id')::uuid, entry->>'period_key', entry->>'service_period',
            entry->>'memo', entry->>'source_key', (entry->>'source_id')::uuid,
            (entry->>'counterparty_id')::uuid, (entry->>'mirror_id')::uuid,
            (entry->>'reverses_id')::uuid, (entry->>'leg_count')::bigint,
            (entry->>'total_cents')::bigint, person, at
        FROM held
        WHERE NOT EXISTS (
            SELECT FROM jsonb_array_elements(entry->'legs') leg
            WHERE NOT EXISTS (
                SELECT FROM accounts a WHERE a.tenant_id = tenant AND a.key = leg->>'account'
                    AND (a.ended_on IS NULL OR a.ended_on > (entry->>'today')::date
                        OR a.key = ANY (kept_open)))
        )
        ON CONFLICT (tenant_id, source_key) DO NOTHING
        RETURNING id
    )
    INSERT INTO postings (tenant_id, entry_id, leg, account_key, debit_cents, credit_cents,
        counterparty_id, party, family)
    SELECT tenant, made.id, leg.number, said->>'account', (said->>'debit')::bigint,
        (said->>'credit')::bigint, (said->>'counterparty_id')::uuid, said->>'party',
        said->>'family'
    FROM made, jsonb_array_elements(entry->'legs') WITH ORDINALITY AS leg (said, number);
    RETURN FOUND;
END
$$
"""


def upgrade() -> None:
    op.execute("DROP FUNCTION post_entry(uuid, uuid, timestamptz, jsonb, text[])")
    for function in (CHECK_ENTRIES, CHECK_LEGS, POST_ENTRY):
        op.execute(function)


def downgrade() -> None:
    before = op.get_context().script.get_revision("0020").module
    for function in (before.CHECK_ENTRIES, before.CHECK_LEGS):
        op.execute(function.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"))
    op.execute("DROP FUNCTION post_entry(uuid, uuid, timestamptz, jsonb, text[])")
    op.execute(before.POST_ENTRY)
