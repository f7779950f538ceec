"""Versions of pools: what was said of a pool stays, and a second person approves what follows.

What stands there becomes version 1, known from the beginning, so that every run reads what it read.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from regional311.database.protection import APPLICATION, protect

revision = "0084"
down_revision = "0083"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
TABLES = ("cost_pools", "pool_shares")
YEARLY = "uq_cost_pools_tenant_id_key_fiscal_year"
NUMBERED = "uq_cost_pools_tenant_id_key_fiscal_year_number"
KEY = ["tenant_id", "key", "fiscal_year"]

OLDER = """
SELECT v.tenant_id, v.id FROM cost_pools v JOIN cost_pools later ON later.tenant_id = v.tenant_id
    AND later.key = v.key AND later.fiscal_year = v.fiscal_year AND later.number > v.number
"""


def upgrade() -> None:
    op.add_column(
        "cost_pools", sa.Column("number", sa.BigInteger(), server_default="1", nullable=False)
    )
    op.alter_column("cost_pools", "number", server_default=None)
    op.add_column("cost_pools", sa.Column("stored_at", TIME))
    op.add_column("cost_pools", sa.Column("made_by", sa.Uuid()))
    op.add_column("cost_pools", sa.Column("approved_by", sa.Uuid()))
    op.add_column("cost_pools", sa.Column("why", sa.Text()))
    op.drop_constraint(op.f(YEARLY), "cost_pools")
    op.create_unique_constraint(op.f(NUMBERED), "cost_pools", [*KEY, "number"])
    for table in TABLES:
        op.execute(f"REVOKE UPDATE ON {table} FROM {APPLICATION}")
    op.create_table(
        "pool_proposals",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("pool_key", sa.Text(), nullable=False),
        sa.Column("fiscal_year", sa.BigInteger(), nullable=False),
        sa.Column("based_on", sa.BigInteger()),
        sa.Column("brings_back", sa.BigInteger()),
        sa.Column("content", JSONB(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("proposed_by", sa.Uuid()),
        sa.Column("proposed_at", TIME, nullable=False),
        sa.Column("decided_by", sa.Uuid()),
        sa.Column("decided_at", TIME),
        sa.Column("reason", sa.Text()),
        sa.Column("number", sa.BigInteger()),
        sa.CheckConstraint(
            "state IN ('draft', 'proposed', 'approved', 'refused', 'withdrawn')",
            name=op.f("ck_pool_proposals_state_known"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_pool_proposals")),
    )
    op.create_index(
        op.f("ix_pool_proposals_tenant_id_pool_key_fiscal_year"),
        "pool_proposals",
        ["tenant_id", "pool_key", "fiscal_year"],
    )
    for statement in protect(tenant=["pool_proposals"]):
        op.execute(statement)


def downgrade() -> None:
    """Only the newest version of a pool can stay: the others are gone for good."""
    op.drop_table("pool_proposals")
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
    op.execute(
        f"DELETE FROM pool_shares s USING ({OLDER}) v"
        " WHERE s.tenant_id = v.tenant_id AND s.pool_id = v.id"
    )
    op.execute(
        f"DELETE FROM cost_pools p USING ({OLDER}) v WHERE p.tenant_id = v.tenant_id AND p.id = v.id"
    )
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"GRANT UPDATE ON {table} TO {APPLICATION}")
    op.drop_constraint(op.f(NUMBERED), "cost_pools")
    op.create_unique_constraint(op.f(YEARLY), "cost_pools", KEY)
    for column in ("why", "approved_by", "made_by", "stored_at", "number"):
        op.drop_column("cost_pools", column)
