"""Calls on a line that another partner answers ring there; the line's owner keeps that it rang."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0088"
down_revision = "0087"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("calls", sa.Column("line_owner_id", sa.Uuid()))
    op.add_column("calls", sa.Column("rings", sa.Text(), server_default="here", nullable=False))
    op.add_column(
        "calls",
        sa.Column("others", sa.ARRAY(sa.Uuid()), server_default=sa.text("'{}'"), nullable=False),
    )
    op.create_check_constraint(
        op.f("ck_calls_rings_known"), "calls", "rings IN ('here', 'beside', 'lent', 'elsewhere')"
    )


def downgrade() -> None:
    op.drop_constraint(op.f("ck_calls_rings_known"), "calls")
    op.drop_column("calls", "others")
    op.drop_column("calls", "rings")
    op.drop_column("calls", "line_owner_id")
