"""Keep payments, disputes, netting sets and confirmed balances."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, DATERANGE, JSONB, ExcludeConstraint

from regional311.database.protection import protect

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

TENANT = [
    "settlement_relations",
    "disputes",
    "interest_assessments",
    "balance_confirmations",
    "settlement_differences",
    "netting_sets",
]
APPEND_ONLY = ["payments", "dispute_events", "payment_reminders", "netting_answers"]


def upgrade() -> None:
    op.create_table(
        "settlement_relations",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("counterparty_id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Uuid()),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_settlement_relations")),
        sa.UniqueConstraint(
            "tenant_id",
            "counterparty_id",
            name=op.f("uq_settlement_relations_tenant_id_counterparty_id"),
        ),
    )
    op.create_table(
        "payments",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("public_id", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("counterparty_id", sa.Uuid(), nullable=False),
        sa.Column("payer_kind", sa.Text(), nullable=False),
        sa.Column("payer_key", sa.Text()),
        sa.Column("statement_id", sa.Uuid()),
        sa.Column("paid_on", sa.Date(), nullable=False),
        sa.Column("period_key", sa.Text(), nullable=False),
        sa.Column("cash_cents", sa.BigInteger(), nullable=False),
        sa.Column("netted_cents", sa.BigInteger(), nullable=False),
        sa.Column("applied_cents", sa.BigInteger(), nullable=False),
        sa.Column("advance_cents", sa.BigInteger(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("reverses_id", sa.Uuid()),
        sa.Column("netting_id", sa.Uuid()),
        sa.Column("key", sa.Text()),
        sa.Column("recorded_by", sa.Uuid()),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_payments")),
        sa.UniqueConstraint("tenant_id", "public_id", name=op.f("uq_payments_tenant_id_public_id")),
        sa.UniqueConstraint("tenant_id", "key", name=op.f("uq_payments_tenant_id_key")),
        sa.UniqueConstraint(
            "tenant_id", "reverses_id", name=op.f("uq_payments_tenant_id_reverses_id")
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "statement_id"],
            ["statements.tenant_id", "statements.id"],
            name=op.f("fk_payments_tenant_id_statement_id"),
        ),
        sa.CheckConstraint("side IN ('received', 'paid')", name=op.f("ck_payments_side_known")),
        sa.CheckConstraint(
            "kind IN ('payment', 'refund', 'application', 'netting', 'reversal')",
            name=op.f("ck_payments_kind_known"),
        ),
        sa.CheckConstraint(
            "cash_cents + netted_cents = applied_cents + advance_cents",
            name=op.f("ck_payments_adds_up"),
        ),
        sa.CheckConstraint(
            "cash_cents <> 0 OR applied_cents <> 0 OR advance_cents <> 0",
            name=op.f("ck_payments_not_empty"),
        ),
        sa.CheckConstraint(
            "(kind = 'reversal') = (reverses_id IS NOT NULL)",
            name=op.f("ck_payments_reversal_names"),
        ),
        sa.CheckConstraint(
            "applied_cents = 0 OR statement_id IS NOT NULL", name=op.f("ck_payments_applied_to_one")
        ),
        sa.CheckConstraint(
            "payer_kind IN ('partner', 'outside')", name=op.f("ck_payments_payer_kind_known")
        ),
    )
    op.create_index(
        op.f("ix_payments_counterparty"), "payments", ["tenant_id", "counterparty_id", "paid_on"]
    )
    op.create_index(
        op.f("ix_payments_tenant_id_statement_id"), "payments", ["tenant_id", "statement_id"]
    )
    op.create_table(
        "disputes",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("public_id", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("counterparty_id", sa.Uuid(), nullable=False),
        sa.Column("statement_id", sa.Uuid(), nullable=False),
        sa.Column("line_id", sa.Uuid(), nullable=False),
        sa.Column("line_position", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("amount_cents", sa.BigInteger(), nullable=False),
        sa.Column("upheld_cents", sa.BigInteger(), nullable=False),
        sa.Column("credited_cents", sa.BigInteger(), nullable=False),
        sa.Column("withdrawn_cents", sa.BigInteger(), nullable=False),
        sa.Column("open_cents", sa.BigInteger(), nullable=False),
        sa.Column("opened_on", sa.Date(), nullable=False),
        sa.Column("answer_by", sa.Date(), nullable=False),
        sa.Column("owner_id", sa.Uuid()),
        sa.Column("owner_name", sa.Text()),
        sa.Column("opened_by", sa.Uuid()),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_disputes")),
        sa.UniqueConstraint("tenant_id", "public_id", name=op.f("uq_disputes_tenant_id_public_id")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "statement_id"],
            ["statements.tenant_id", "statements.id"],
            name=op.f("fk_disputes_tenant_id_statement_id"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "line_id"],
            ["statement_lines.tenant_id", "statement_lines.id"],
            name=op.f("fk_disputes_tenant_id_line_id"),
        ),
        sa.CheckConstraint("side IN ('issued', 'received')", name=op.f("ck_disputes_side_known")),
        sa.CheckConstraint(
            "amount_cents = upheld_cents + credited_cents + withdrawn_cents + open_cents",
            name=op.f("ck_disputes_adds_up"),
        ),
        sa.CheckConstraint(
            "amount_cents > 0 AND upheld_cents >= 0 AND credited_cents >= 0"
            " AND withdrawn_cents >= 0 AND open_cents >= 0",
            name=op.f("ck_disputes_parts_not_negative"),
        ),
    )
    op.create_index(
        op.f("ix_disputes_tenant_id_statement_id"), "disputes", ["tenant_id", "statement_id"]
    )
    op.create_table(
        "dispute_events",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("dispute_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("amount_cents", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("by_partner_id", sa.Uuid(), nullable=False),
        sa.Column("person_id", sa.Uuid()),
        sa.Column("memo_id", sa.Uuid()),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_dispute_events")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "dispute_id"],
            ["disputes.tenant_id", "disputes.id"],
            name=op.f("fk_dispute_events_tenant_id_dispute_id"),
        ),
        sa.UniqueConstraint(
            "tenant_id",
            "dispute_id",
            "position",
            name=op.f("uq_dispute_events_tenant_id_dispute_id_position"),
        ),
        sa.CheckConstraint(
            "kind IN ('opened', 'comment', 'assigned', 'upheld', 'credited', 'redrafted',"
            " 'withdrawn')",
            name=op.f("ck_dispute_events_kind_known"),
        ),
    )
    op.create_table(
        "interest_assessments",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("statement_id", sa.Uuid(), nullable=False),
        sa.Column("days", DATERANGE(), nullable=False),
        sa.Column("percent", sa.Numeric(18, 6), nullable=False),
        sa.Column("cents", sa.BigInteger(), nullable=False),
        sa.Column("basis", JSONB(), nullable=False),
        sa.Column("memo_id", sa.Uuid(), nullable=False),
        sa.Column("live", sa.Boolean(), nullable=False),
        sa.Column("assessed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_interest_assessments")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "statement_id"],
            ["statements.tenant_id", "statements.id"],
            name=op.f("fk_interest_assessments_tenant_id_statement_id"),
        ),
        ExcludeConstraint(
            ("tenant_id", "="),
            ("statement_id", "="),
            ("days", "&&"),
            name=op.f("ex_interest_assessments_no_day_twice"),
            where=sa.text("live"),
        ),
        sa.CheckConstraint("cents > 0", name=op.f("ck_interest_assessments_something")),
    )
    op.create_table(
        "payment_reminders",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("told", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_payment_reminders")),
        sa.UniqueConstraint(
            "tenant_id",
            "subject_id",
            "step",
            name=op.f("uq_payment_reminders_tenant_id_subject_id_step"),
        ),
    )
    op.create_table(
        "balance_confirmations",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("public_id", sa.Text(), nullable=False),
        sa.Column("counterparty_id", sa.Uuid(), nullable=False),
        sa.Column("asked_by_us", sa.Boolean(), nullable=False),
        sa.Column("as_of_on", sa.Date(), nullable=False),
        sa.Column("claims_cents", sa.BigInteger()),
        sa.Column("owes_cents", sa.BigInteger()),
        sa.Column("their_claims_cents", sa.BigInteger()),
        sa.Column("their_owes_cents", sa.BigInteger()),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("stated_by", sa.Uuid()),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_balance_confirmations")),
        sa.UniqueConstraint(
            "tenant_id", "public_id", name=op.f("uq_balance_confirmations_tenant_id_public_id")
        ),
        sa.CheckConstraint(
            "state IN ('asked', 'agreed', 'differs')",
            name=op.f("ck_balance_confirmations_state_known"),
        ),
        sa.CheckConstraint(
            "(claims_cents IS NULL) = (owes_cents IS NULL)"
            " AND (their_claims_cents IS NULL) = (their_owes_cents IS NULL)",
            name=op.f("ck_balance_confirmations_figures_together"),
        ),
    )
    op.create_table(
        "settlement_differences",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("confirmation_id", sa.Uuid(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("ours_cents", sa.BigInteger(), nullable=False),
        sa.Column("theirs_cents", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("note", sa.Text()),
        sa.Column("owner_id", sa.Uuid()),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_settlement_differences")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "confirmation_id"],
            ["balance_confirmations.tenant_id", "balance_confirmations.id"],
            name=op.f("fk_settlement_differences_tenant_id_confirmation_id"),
        ),
        sa.UniqueConstraint(
            "tenant_id",
            "confirmation_id",
            "what",
            name=op.f("uq_settlement_differences_tenant_id_confirmation_id_what"),
        ),
        sa.CheckConstraint(
            "what IN ('claim', 'debt')", name=op.f("ck_settlement_differences_what_known")
        ),
        sa.CheckConstraint(
            "state IN ('open', 'explained', 'resolved')",
            name=op.f("ck_settlement_differences_state_known"),
        ),
        sa.CheckConstraint(
            "ours_cents <> theirs_cents", name=op.f("ck_settlement_differences_differs")
        ),
    )
    op.create_table(
        "netting_sets",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("public_id", sa.Text(), nullable=False),
        sa.Column("proposer_id", sa.Uuid(), nullable=False),
        sa.Column("period_key", sa.Text(), nullable=False),
        sa.Column("parties", ARRAY(sa.Text()), nullable=False),
        sa.Column("positions", JSONB(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("proposed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_netting_sets")),
        sa.UniqueConstraint(
            "tenant_id", "public_id", name=op.f("uq_netting_sets_tenant_id_public_id")
        ),
        sa.CheckConstraint(
            "state IN ('proposed', 'executed', 'declined', 'withdrawn')",
            name=op.f("ck_netting_sets_state_known"),
        ),
    )
    op.create_table(
        "netting_answers",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("netting_id", sa.Uuid(), nullable=False),
        sa.Column("party_id", sa.Uuid(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("person_id", sa.Uuid()),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_netting_answers")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "netting_id"],
            ["netting_sets.tenant_id", "netting_sets.id"],
            name=op.f("fk_netting_answers_tenant_id_netting_id"),
        ),
        sa.UniqueConstraint(
            "tenant_id",
            "netting_id",
            "party_id",
            name=op.f("uq_netting_answers_tenant_id_netting_id_party_id"),
        ),
        sa.CheckConstraint(
            "answer IN ('consented', 'declined')", name=op.f("ck_netting_answers_answer_known")
        ),
    )
    for statement in protect(tenant=TENANT, append_only=APPEND_ONLY):
        op.execute(statement)


def downgrade() -> None:
    op.drop_table("netting_answers")
    op.drop_table("netting_sets")
    op.drop_table("settlement_differences")
    op.drop_table("balance_confirmations")
    op.drop_table("payment_reminders")
    op.drop_table("interest_assessments")
    op.drop_table("dispute_events")
    op.drop_table("disputes")
    op.drop_table("payments")
    op.drop_table("settlement_relations")
