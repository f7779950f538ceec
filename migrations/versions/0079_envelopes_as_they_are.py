"""Envelopes: large ones are kept as they are, since what was in them is taken out soon after."""

from __future__ import annotations

from alembic import op

revision = "0079"
down_revision = "0078"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE envelopes ALTER COLUMN payload SET STORAGE EXTERNAL")


def downgrade() -> None:
    op.execute("ALTER TABLE envelopes ALTER COLUMN payload SET STORAGE EXTENDED")
