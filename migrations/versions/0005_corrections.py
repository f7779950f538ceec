"""Keep what services cost, true-ups and what they carry forward."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from regional311.database.protection import protect
from sqlalchemy.dialects.postgresql import JSONB

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "service_costs",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("card_key", sa.Text(), nullable=False),
        sa.Column("fiscal_year", sa.BigInteger(), nullable=False),
        sa.Column("allowable_cents", sa.BigInteger(), nullable=False),
        sa.Column("non_cash_cents", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_service_costs")),
        sa.UniqueConstraint(
            "tenant_id",
            "card_key",
            "fiscal_year",
            name=op.f("uq_service_costs_tenant_id_card_key_fiscal_year"),
        ),
        sa.CheckConstraint(
            "non_cash_cents >= 0 AND non_cash_cents <= allowable_cents",
            name=op.f("ck_service_costs_non_cash_is_a_part"),
        ),
    )
    op.create_table(
        "true_ups",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fiscal_year", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("opening_cents", sa.BigInteger(), nullable=False),
        sa.Column("billed_cents", sa.BigInteger(), nullable=False),
        sa.Column("owed_cents", sa.BigInteger(), nullable=False),
        sa.Column("closing_cents", sa.BigInteger(), nullable=False),
        sa.Column("treatment", sa.Text(), nullable=False),
        sa.Column("basis", JSONB(), nullable=False),
        sa.Column("run_by", sa.Uuid()),
        sa.Column("run_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_true_ups")),
        sa.UniqueConstraint(
            "tenant_id",
            "subject",
            "key",
            "fiscal_year",
            "number",
            name=op.f("uq_true_ups_tenant_id_subject_key_fiscal_year_number"),
        ),
        sa.CheckConstraint("subject IN ('pool', 'card')", name=op.f("ck_true_ups_subject_known")),
        sa.CheckConstraint(
            "treatment IN ('settle', 'carry', 'keep')", name=op.f("ck_true_ups_treatment_known")
        ),
        sa.CheckConstraint(
            "closing_cents = opening_cents + billed_cents - owed_cents",
            name=op.f("ck_true_ups_rolls"),
        ),
    )
    op.create_table(
        "true_up_shares",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("true_up_id", sa.Uuid(), nullable=False),
        sa.Column("payer_id", sa.Uuid(), nullable=False),
        sa.Column("payer_kind", sa.Text(), nullable=False),
        sa.Column("payer_key", sa.Text()),
        sa.Column("agreement_key", sa.Text(), nullable=False),
        sa.Column("opening_cents", sa.BigInteger(), nullable=False),
        sa.Column("billed_cents", sa.BigInteger(), nullable=False),
        sa.Column("owed_cents", sa.BigInteger(), nullable=False),
        sa.Column("due_cents", sa.BigInteger(), nullable=False),
        sa.Column("carried_to", sa.Text()),
        sa.Column("statement_id", sa.Uuid()),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_true_up_shares")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "true_up_id"],
            ["true_ups.tenant_id", "true_ups.id"],
            name=op.f("fk_true_up_shares_tenant_id_true_up_id"),
        ),
        sa.UniqueConstraint(
            "tenant_id",
            "true_up_id",
            "payer_id",
            "payer_kind",
            "payer_key",
            name=op.f("uq_true_up_shares_one_a_payer"),
            postgresql_nulls_not_distinct=True,
        ),
        sa.CheckConstraint(
            "due_cents = owed_cents - billed_cents - opening_cents",
            name=op.f("ck_true_up_shares_adds_up"),
        ),
    )
    for statement in protect(
        tenant=["service_costs"], append_only=["true_ups", "true_up_shares"]
    ):
        op.execute(statement)
    # what came in late is counted from the index alone
    op.create_index(
        op.f("ix_usage_events_tenant_id_occurred_at_received_at"),
        "usage_events",
        ["tenant_id", "occurred_at", "received_at"],
    )
    op.drop_index(op.f("ix_usage_events_tenant_id_occurred_at"), "usage_events")


def downgrade() -> None:
    op.create_index(
        op.f("ix_usage_events_tenant_id_occurred_at"),
        "usage_events",
        ["tenant_id", "occurred_at"],
    )
    op.drop_index(op.f("ix_usage_events_tenant_id_occurred_at_received_at"), "usage_events")
    op.drop_table("true_up_shares")
    op.drop_table("true_ups")
    op.drop_table("service_costs")
