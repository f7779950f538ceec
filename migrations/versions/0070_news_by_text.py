"""News by text: how somebody who filed something wants to hear, and numbers of who has it too."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0070"
down_revision = "0069"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "inquirers",
        sa.Column("updates_by", sa.Text(), server_default="email", nullable=False),
    )
    op.create_check_constraint(
        op.f("ck_inquirers_updates_by_known"), "inquirers", "updates_by IN ('email', 'text')"
    )
    op.add_column("me_toos", sa.Column("phone", sa.Text()))
    op.create_index(
        "ix_outbox_messages_texted",
        "outbox_messages",
        ["tenant_id", "recipient"],
        postgresql_where=sa.text("channel = 'text' AND state = 'sent'"),
    )


def downgrade() -> None:
    op.drop_index("ix_outbox_messages_texted", table_name="outbox_messages")
    op.drop_column("me_toos", "phone")
    op.drop_constraint(op.f("ck_inquirers_updates_by_known"), "inquirers")
    op.drop_column("inquirers", "updates_by")
