"""Keep what a pool is made of, what it is divided by, and how a payer divides its bill."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from regional311.database.protection import protect

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


NEW_TABLES = ("bill_splits", "base_snapshots", "allocation_bases")


def tenant_row() -> list[sa.Column]:
    """The columns that every table of a tenant begins with."""
    return [
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
    ]


def add(table: str, column: str, kind: sa.types.TypeEngine, value: str) -> None:
    """Add a column that is never empty; the rows that are there get `value`."""
    op.add_column(table, sa.Column(column, kind, nullable=False, server_default=sa.text(value)))
    op.alter_column(table, column, server_default=None)


def upgrade() -> None:
    for column in ("sources", "revenues", "non_allocable"):
        add("cost_pools", column, JSONB(), "'[]'")
    add("cost_pools", "method", sa.Text(), "'step_down'")
    op.add_column("cost_pools", sa.Column("base_key", sa.Text()))
    add("cost_pools", "step_order", sa.BigInteger(), "0")
    op.add_column("cost_pools", sa.Column("actual_cents", sa.BigInteger()))
    op.add_column("cost_pools", sa.Column("actual_source", sa.Text()))
    op.create_check_constraint(
        op.f("ck_cost_pools_method_known"),
        "cost_pools",
        "method IN ('direct', 'step_down', 'double_step_down', 'reciprocal')",
    )
    op.create_table(
        "allocation_bases",
        *tenant_row(),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("counts", sa.Text()),
        sa.Column("rolling_quarters", sa.BigInteger()),
        sa.Column("parts", JSONB(), nullable=False),
        sa.Column("note", sa.Text()),
        sa.Column("ended_on", sa.Date()),
        sa.CheckConstraint(
            "kind IN ('fixed', 'equal', 'fte', 'budget', 'population', 'assessed_value',"
            " 'contact_count', 'handle_minutes', 'mix')",
            name=op.f("ck_allocation_bases_kind_known"),
        ),
        sa.CheckConstraint(
            "rolling_quarters BETWEEN 1 AND 40", name=op.f("ck_allocation_bases_some_quarters")
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_allocation_bases")),
        sa.UniqueConstraint("tenant_id", "key", name=op.f("uq_allocation_bases_tenant_id_key")),
    )
    op.create_table(
        "base_snapshots",
        *tenant_row(),
        sa.Column("base_key", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("readings", JSONB(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("taken_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("taken_by", sa.Uuid()),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_base_snapshots")),
        sa.UniqueConstraint(
            "tenant_id",
            "base_key",
            "number",
            name=op.f("uq_base_snapshots_tenant_id_base_key_number"),
        ),
    )
    op.create_table(
        "bill_splits",
        *tenant_row(),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("agreement_key", sa.Text()),
        sa.Column("base_key", sa.Text()),
        sa.Column("parts", JSONB(), nullable=False),
        sa.Column("ended_on", sa.Date()),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_bill_splits")),
        sa.UniqueConstraint("tenant_id", "key", name=op.f("uq_bill_splits_tenant_id_key")),
    )
    for statement in protect(
        tenant=["allocation_bases", "bill_splits"], append_only=["base_snapshots"]
    ):
        op.execute(statement)


def downgrade() -> None:
    for table in NEW_TABLES:
        op.drop_table(table)
    op.drop_constraint(op.f("ck_cost_pools_method_known"), "cost_pools")
    for column in (
        "actual_source",
        "actual_cents",
        "step_order",
        "base_key",
        "method",
        "non_allocable",
        "revenues",
        "sources",
    ):
        op.drop_column("cost_pools", column)
