"""Whoever can open a mailbox finds again what was reported with its address."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0099"
down_revision = "0097"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_inquirers_email",
        "inquirers",
        ["tenant_id", sa.text("lower(email)")],
        postgresql_where=sa.text("email IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_inquirers_email", table_name="inquirers")
