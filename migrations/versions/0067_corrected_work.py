"""Find what was taken back of recorded work, the latest first."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0067"
down_revision = "0066"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_usage_events_taking_back",
        "usage_events",
        ["tenant_id", "received_at", "id"],
        postgresql_where=sa.text("reverses_id IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_usage_events_taking_back", table_name="usage_events")
