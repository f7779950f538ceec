"""Keep budgets and saved scenarios."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from regional311.database.protection import protect

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "budgets",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("counterparty_id", sa.Uuid(), nullable=False),
        sa.Column("payer_kind", sa.Text(), nullable=False),
        sa.Column("payer_key", sa.Text()),
        sa.Column("agreement_key", sa.Text()),
        sa.Column("fiscal_year", sa.BigInteger(), nullable=False),
        sa.Column("amount_cents", sa.BigInteger(), nullable=False),
        sa.Column("warn_percent", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.Text()),
        sa.Column("set_by", sa.Uuid()),
        sa.Column("set_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("side IN ('issued', 'received')", name=op.f("ck_budgets_side_known")),
        sa.CheckConstraint(
            "payer_kind IN ('partner', 'bureau', 'outside')",
            name=op.f("ck_budgets_payer_kind_known"),
        ),
        sa.CheckConstraint("amount_cents >= 0", name=op.f("ck_budgets_not_negative")),
        sa.CheckConstraint("warn_percent BETWEEN 1 AND 100", name=op.f("ck_budgets_warns_in_time")),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_budgets")),
    )
    op.create_index(
        op.f("ix_budgets_tenant_id_fiscal_year_side_counterparty_id"),
        "budgets",
        ["tenant_id", "fiscal_year", "side", "counterparty_id"],
    )
    op.create_table(
        "budget_warnings",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("budget_id", sa.Uuid(), nullable=False),
        sa.Column("standing", sa.Text(), nullable=False),
        sa.Column("told", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "budget_id"],
            ["budgets.tenant_id", "budgets.id"],
            name=op.f("fk_budget_warnings_tenant_id_budget_id"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_budget_warnings")),
        sa.UniqueConstraint(
            "tenant_id",
            "budget_id",
            "standing",
            name=op.f("uq_budget_warnings_tenant_id_budget_id_standing"),
        ),
    )
    op.create_table(
        "scenarios",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("public_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("note", sa.Text()),
        sa.Column("period_key", sa.Text(), nullable=False),
        sa.Column("changes", JSONB(), nullable=False),
        sa.Column("result", JSONB(), nullable=False),
        sa.Column("from_tenant_id", sa.Uuid()),
        sa.Column("shared_with", ARRAY(sa.Text()), nullable=False),
        sa.Column("made_by", sa.Uuid()),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_scenarios")),
        sa.UniqueConstraint(
            "tenant_id", "public_id", name=op.f("uq_scenarios_tenant_id_public_id")
        ),
    )
    for statement in protect(tenant=["scenarios"], append_only=["budgets", "budget_warnings"]):
        op.execute(statement)


def downgrade() -> None:
    op.drop_table("scenarios")
    op.drop_table("budget_warnings")
    op.drop_table("budgets")
