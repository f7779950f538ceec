"""Seal the books, reopen their periods by two people, export each entry once."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from regional311.database.protection import protect

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

NEW_TABLES = (
    "export_batch_entries",
    "export_batches",
    "ledger_seal_entries",
    "ledger_seals",
    "ledger_period_events",
    "gl_mappings",
)

# A plan made while the books were still small is kept by a connection for long: it must not scan.
# The entry's own trigger sees all of its legs at commit, two or more, numbered from one without
# gaps. A leg that comes later is therefore never the first or second: only others are looked at.
BALANCE = """
CREATE OR REPLACE FUNCTION check_entry_balanced() RETURNS trigger
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

BALANCE_BEFORE = """
CREATE OR REPLACE FUNCTION check_entry_balanced() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    tenant uuid := NEW.tenant_id;
    entry uuid := CASE TG_TABLE_NAME WHEN 'postings' THEN to_jsonb(NEW)->>'entry_id'
                                     ELSE to_jsonb(NEW)->>'id' END;
    debits bigint;
    credits bigint;
    legs bigint;
    expected record;
BEGIN
    SELECT leg_count, total_cents INTO expected
    FROM journal_entries WHERE tenant_id = tenant AND id = entry;
    SELECT coalesce(sum(debit_cents), 0), coalesce(sum(credit_cents), 0), count(*)
    INTO debits, credits, legs
    FROM postings WHERE tenant_id = tenant AND entry_id = entry;
    IF expected IS NULL OR debits <> credits OR legs <> expected.leg_count
       OR debits <> expected.total_cents THEN
        RAISE EXCEPTION 'journal entry % is not balanced: debits %, credits %, legs %',
            entry, debits, credits, legs USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$
"""


def leg_trigger(when: str) -> None:
    """Make the trigger of later legs anew."""
    op.execute("DROP TRIGGER entry_balanced ON postings")
    op.execute(
        "CREATE CONSTRAINT TRIGGER entry_balanced AFTER INSERT ON postings "
        f"DEFERRABLE INITIALLY DEFERRED FOR EACH ROW {when}EXECUTE FUNCTION check_entry_balanced()"
    )


def upgrade() -> None:
    op.add_column("accounts", sa.Column("cost_centre", sa.Text()))
    op.add_column("postings", sa.Column("party", sa.Text()))
    op.add_column("postings", sa.Column("family", sa.Text()))
    op.create_table(
        "gl_mappings",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("account_key", sa.Text()),
        sa.Column("party", sa.Text()),
        sa.Column("family", sa.Text()),
        sa.Column("external_code", sa.Text()),
        sa.Column("fund_code", sa.Text()),
        sa.Column("cost_centre", sa.Text()),
        sa.Column("ended_on", sa.Date()),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_gl_mappings")),
        sa.UniqueConstraint("tenant_id", "key", name=op.f("uq_gl_mappings_tenant_id_key")),
    )
    op.create_table(
        "ledger_period_events",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("period_key", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("person_id", sa.Uuid()),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "kind IN ('soft_closed', 'closed', 'reopen_requested', 'reopen_declined', 'reopened')",
            name=op.f("ck_ledger_period_events_kind_known"),
        ),
        sa.CheckConstraint(
            "kind NOT LIKE 'reopen%' OR reason <> ''",
            name=op.f("ck_ledger_period_events_reason_given"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "period_key"],
            ["ledger_periods.tenant_id", "ledger_periods.key"],
            name=op.f("fk_ledger_period_events_tenant_id_period_key"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_ledger_period_events")),
        sa.UniqueConstraint(
            "tenant_id",
            "period_key",
            "position",
            name=op.f("uq_ledger_period_events_tenant_id_period_key_position"),
        ),
    )
    op.create_table(
        "ledger_seals",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("previous_hash", sa.Text(), nullable=False),
        sa.Column("entry_count", sa.BigInteger(), nullable=False),
        sa.Column("entries_digest", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("snapshot_xmin", sa.BigInteger(), nullable=False),
        sa.Column("sealed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("entry_count > 0", name=op.f("ck_ledger_seals_some_entries")),
        sa.PrimaryKeyConstraint("tenant_id", "number", name=op.f("pk_ledger_seals")),
    )
    op.create_table(
        "ledger_seal_entries",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("entry_id", sa.Uuid(), nullable=False),
        sa.Column("seal_number", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "seal_number"],
            ["ledger_seals.tenant_id", "ledger_seals.number"],
            name=op.f("fk_ledger_seal_entries_tenant_id_seal_number"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "entry_id", name=op.f("pk_ledger_seal_entries")),
        sa.UniqueConstraint(
            "tenant_id",
            "seal_number",
            "position",
            name=op.f("uq_ledger_seal_entries_tenant_id_seal_number_position"),
        ),
    )
    op.create_table(
        "export_batches",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("through_period", sa.Text(), nullable=False),
        sa.Column("layout", JSONB(), nullable=False),
        sa.Column("mappings", JSONB(), nullable=False),
        sa.Column("entry_count", sa.BigInteger(), nullable=False),
        sa.Column("leg_count", sa.BigInteger(), nullable=False),
        sa.Column("debit_cents", sa.BigInteger(), nullable=False),
        sa.Column("credit_cents", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("made_by", sa.Uuid()),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("debit_cents = credit_cents", name=op.f("ck_export_batches_balanced")),
        sa.CheckConstraint("entry_count > 0", name=op.f("ck_export_batches_some_entries")),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_export_batches")),
        sa.UniqueConstraint("tenant_id", "number", name=op.f("uq_export_batches_tenant_id_number")),
    )
    op.create_table(
        "export_batch_entries",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("entry_id", sa.Uuid(), nullable=False),
        sa.Column("batch_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "entry_id"],
            ["journal_entries.tenant_id", "journal_entries.id"],
            name=op.f("fk_export_batch_entries_tenant_id_entry_id"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "batch_id"],
            ["export_batches.tenant_id", "export_batches.id"],
            name=op.f("fk_export_batch_entries_tenant_id_batch_id"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "entry_id", name=op.f("pk_export_batch_entries")),
        sa.UniqueConstraint(
            "tenant_id",
            "batch_id",
            "position",
            name=op.f("uq_export_batch_entries_tenant_id_batch_id_position"),
        ),
    )
    append_only = [table for table in NEW_TABLES if table != "gl_mappings"]
    for statement in protect(tenant=["gl_mappings"], append_only=append_only):
        op.execute(statement)
    op.execute(BALANCE)
    leg_trigger("WHEN (NEW.leg NOT IN (1, 2)) ")


def downgrade() -> None:
    op.execute(BALANCE_BEFORE)
    leg_trigger("")
    for table in NEW_TABLES:
        op.drop_table(table)
    op.drop_column("postings", "family")
    op.drop_column("postings", "party")
    op.drop_column("accounts", "cost_centre")
