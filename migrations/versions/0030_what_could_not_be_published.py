"""Say why a version was not published on its day.

Safe beside the previous release: a column that may be empty.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("content_versions", sa.Column("problem", sa.Text()))


def downgrade() -> None:
    op.drop_column("content_versions", "problem")
