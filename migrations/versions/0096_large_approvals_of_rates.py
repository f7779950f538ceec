"""Approvals of large changes of rates are kept, and taken over by the worker."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from regional311.database.protection import protect

revision = "0096"
down_revision = "0095"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
STATE = "ck_rate_proposals_state_known"


def upgrade() -> None:
    op.drop_constraint(op.f(STATE), "rate_proposals")
    op.create_check_constraint(
        op.f(STATE),
        "rate_proposals",
        "state IN ('draft', 'proposed', 'approving', 'approved', 'refused', 'withdrawn')",
    )
    op.create_table(
        "rate_approvals",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("proposal_id", sa.Uuid(), nullable=False),
        sa.Column("approved_by", sa.Uuid(), nullable=False),
        sa.Column("approved_at", TIME, nullable=False),
        sa.Column("changes", sa.BigInteger(), nullable=False),
        sa.Column("done", sa.BigInteger(), nullable=False),
        sa.Column("begun", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", TIME),
        sa.Column("ended_at", TIME),
        sa.Column("problem", sa.Text()),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_rate_approvals")),
    )
    op.create_index(
        "uq_rate_approvals_open",
        "rate_approvals",
        ["tenant_id", "proposal_id"],
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index(
        op.f("ix_rate_approvals_tenant_id_proposal_id_id"),
        "rate_approvals",
        ["tenant_id", "proposal_id", "id"],
    )
    for statement in protect(tenant=["rate_approvals"]):
        op.execute(statement)


def downgrade() -> None:
    """What was approved and is not taken over yet waits for approval again."""
    op.execute("ALTER TABLE rate_proposals NO FORCE ROW LEVEL SECURITY")
    op.execute(
        "UPDATE rate_proposals SET state = 'proposed', decided_by = NULL, decided_at = NULL"
        " WHERE state = 'approving'"
    )
    op.execute("ALTER TABLE rate_proposals FORCE ROW LEVEL SECURITY")
    op.drop_table("rate_approvals")
    op.drop_constraint(op.f(STATE), "rate_proposals")
    op.create_check_constraint(
        op.f(STATE),
        "rate_proposals",
        "state IN ('draft', 'proposed', 'approved', 'refused', 'withdrawn')",
    )
