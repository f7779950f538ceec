"""What went onward of a referral that has ended is a task until somebody decides about it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0091"
down_revision = "0090"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "referrals", sa.Column("above_ended_at", sa.DateTime(timezone=True), nullable=True)
    )
    op.create_index(
        "ix_referrals_above_ended",
        "referrals",
        ["tenant_id", "state", "sent_at", "id"],
        postgresql_where=sa.text("above_ended_at IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_referrals_above_ended", table_name="referrals")
    op.drop_column("referrals", "above_ended_at")
