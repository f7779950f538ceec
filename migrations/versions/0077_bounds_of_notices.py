"""How many matters one mailbox or number is told of: which messages began one, and when."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0077"
down_revision = "0076"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("outbox_messages", sa.Column("begins_for", sa.Text()))
    op.add_column("outbox_messages", sa.Column("begins_at", sa.DateTime(timezone=True)))
    op.create_index(
        "ix_outbox_messages_begins",
        "outbox_messages",
        ["tenant_id", "begins_for", "begins_at"],
        postgresql_where=sa.text("begins_for IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_outbox_messages_begins", table_name="outbox_messages")
    op.drop_column("outbox_messages", "begins_at")
    op.drop_column("outbox_messages", "begins_for")
