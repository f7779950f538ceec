"""Referrals whose consent a partner's own system keeps are found when its time is up."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0085"
down_revision = "0084"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_referrals_agreed_outside",
        "referrals",
        ["tenant_id", "use_until"],
        postgresql_where=sa.text(
            "side = 'sent' AND consent_id IS NULL AND use_until IS NOT NULL"
            " AND consent_ended_at IS NULL"
        ),
    )


def downgrade() -> None:
    op.drop_index("ix_referrals_agreed_outside", table_name="referrals")
