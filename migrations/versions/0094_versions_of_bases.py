"""Versions of bases: what a base was stays, and a second person approves it and its readings.

What stands there becomes version 1, known from the beginning, so that every run reads what it read.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from regional311.database.protection import APPLICATION, protect

revision = "0094"
down_revision = "0091"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
TABLE = "allocation_bases"
KEYED = "uq_allocation_bases_tenant_id_key"
NUMBERED = "uq_allocation_bases_tenant_id_key_number"


def upgrade() -> None:
    op.add_column(TABLE, sa.Column("number", sa.BigInteger(), server_default="1", nullable=False))
    op.alter_column(TABLE, "number", server_default=None)
    op.add_column(TABLE, sa.Column("valid_from", sa.Date()))
    op.add_column(TABLE, sa.Column("stored_at", TIME))
    op.add_column(TABLE, sa.Column("made_by", sa.Uuid()))
    op.add_column(TABLE, sa.Column("approved_by", sa.Uuid()))
    op.add_column(TABLE, sa.Column("why", sa.Text()))
    op.drop_constraint(op.f(KEYED), TABLE)
    op.create_unique_constraint(op.f(NUMBERED), TABLE, ["tenant_id", "key", "number"])
    op.execute(f"REVOKE UPDATE ON {TABLE} FROM {APPLICATION}")
    op.add_column("base_snapshots", sa.Column("approved_by", sa.Uuid()))
    op.add_column("base_snapshots", sa.Column("why", sa.Text()))
    op.create_table(
        "base_proposals",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("base_key", sa.Text(), nullable=False),
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
            name=op.f("ck_base_proposals_state_known"),
        ),
        sa.CheckConstraint(
            "what IN ('base', 'readings')", name=op.f("ck_base_proposals_what_known")
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_base_proposals")),
    )
    op.create_index(
        op.f("ix_base_proposals_tenant_id_base_key"), "base_proposals", ["tenant_id", "base_key"]
    )
    for statement in protect(tenant=["base_proposals"]):
        op.execute(statement)


def downgrade() -> None:
    """Only the newest version of a base can stay: the others are gone for good."""
    op.drop_table("base_proposals")
    op.drop_column("base_snapshots", "why")
    op.drop_column("base_snapshots", "approved_by")
    op.execute(f"ALTER TABLE {TABLE} NO FORCE ROW LEVEL SECURITY")
    op.execute(
        f"DELETE FROM {TABLE} v USING {TABLE} later WHERE later.tenant_id = v.tenant_id"
        " AND later.key = v.key AND later.number > v.number"
    )
    op.execute(f"ALTER TABLE {TABLE} FORCE ROW LEVEL SECURITY")
    op.execute(f"GRANT UPDATE ON {TABLE} TO {APPLICATION}")
    op.drop_constraint(op.f(NUMBERED), TABLE)
    op.create_unique_constraint(op.f(KEYED), TABLE, ["tenant_id", "key"])
    for column in ("why", "approved_by", "made_by", "stored_at", "valid_from", "number"):
        op.drop_column(TABLE, column)
