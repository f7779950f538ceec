"""Why a need is unmet for a reason that stands in no list is kept in words."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0090"
down_revision = "0088"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("needs", sa.Column("unmet_words", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("needs", "unmet_words")
