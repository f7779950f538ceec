"""Say row by row who answers a line when it is closed, and on which days it keeps other hours."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None

COLUMNS = ("fallbacks", "special_days")


def upgrade() -> None:
    for name in COLUMNS:
        op.add_column(
            "lines", sa.Column(name, JSONB(), nullable=False, server_default=sa.text("'[]'"))
        )


def downgrade() -> None:
    for name in COLUMNS:
        op.drop_column("lines", name)
