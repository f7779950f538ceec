"""Let a second person approve a change of prices."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from regional311.database.protection import protect

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "rate_proposals",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("changes", JSONB(), nullable=False),
        sa.Column("note", sa.Text()),
        sa.Column("proposed_by", sa.Uuid()),
        sa.Column("proposed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_by", sa.Uuid()),
        sa.Column("decided_at", sa.DateTime(timezone=True)),
        sa.Column("reason", sa.Text()),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_rate_proposals")),
        sa.CheckConstraint(
            "state IN ('draft', 'proposed', 'approved', 'refused', 'withdrawn')",
            name=op.f("ck_rate_proposals_state_known"),
        ),
    )
    op.create_index(
        op.f("ix_rate_proposals_tenant_id_state"), "rate_proposals", ["tenant_id", "state"]
    )
    for statement in protect(tenant=["rate_proposals"]):
        op.execute(statement)


def downgrade() -> None:
    op.drop_table("rate_proposals")
