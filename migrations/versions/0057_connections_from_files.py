"""Let a connection that a file made wait for its secret."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0057"
down_revision = "0056"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.alter_column("external_systems", "sealed_secret", existing_type=sa.Text(), nullable=True)


def downgrade() -> None:
    # a connection without a secret was never used: it ends with the column that lets it be
    op.execute("ALTER TABLE external_systems NO FORCE ROW LEVEL SECURITY")
    op.execute("UPDATE external_systems SET sealed_secret = '' WHERE sealed_secret IS NULL")
    op.execute("ALTER TABLE external_systems FORCE ROW LEVEL SECURITY")
    op.alter_column("external_systems", "sealed_secret", existing_type=sa.Text(), nullable=False)
