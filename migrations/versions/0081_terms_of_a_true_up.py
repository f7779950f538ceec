"""A share of a true-up says what the agreement's terms made of it: nothing, for those there were."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0081"
down_revision = "0080"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "true_up_shares",
        sa.Column("further", JSONB(), nullable=False, server_default=sa.text("'[]'")),
    )
    op.alter_column("true_up_shares", "further", server_default=None)


def downgrade() -> None:
    op.drop_column("true_up_shares", "further")
