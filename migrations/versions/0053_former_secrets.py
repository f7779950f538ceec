"""Take the secret before for a time, so that two systems need not change it at one moment."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0053"
down_revision = "0052"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("external_systems", sa.Column("sealed_former", sa.Text()))
    op.add_column("external_systems", sa.Column("former_until", sa.DateTime(timezone=True)))


def downgrade() -> None:
    op.drop_column("external_systems", "former_until")
    op.drop_column("external_systems", "sealed_former")
