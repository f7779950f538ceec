"""Keep in which language a consent was read out: until now always English."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0049"
down_revision = "0048"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "consents", sa.Column("language", sa.Text(), nullable=False, server_default="en")
    )


def downgrade() -> None:
    op.drop_column("consents", "language")
