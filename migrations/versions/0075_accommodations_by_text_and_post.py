"""Accommodations: by what the person hears, and where letters on paper go; letters to be printed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0075"
down_revision = "0074"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("accommodations", sa.Column("address", sa.Text()))
    op.add_column("accommodations", sa.Column("updates_by", sa.Text()))
    op.create_check_constraint(
        op.f("ck_accommodations_updates_by_known"),
        "accommodations",
        "updates_by IN ('email', 'text', 'post', 'none')",
    )
    op.drop_constraint(op.f("ck_outbox_messages_channel_known"), "outbox_messages")
    op.create_check_constraint(
        op.f("ck_outbox_messages_channel_known"),
        "outbox_messages",
        "channel IN ('email', 'text', 'post')",
    )
    op.create_index(
        "ix_outbox_messages_posted",
        "outbox_messages",
        ["tenant_id", "subject_id"],
        postgresql_where=sa.text("channel = 'post' AND state = 'pending'"),
    )


def downgrade() -> None:
    # there were no letters on paper before: what waits is taken back, what was sent stays readable
    op.execute("ALTER TABLE outbox_messages NO FORCE ROW LEVEL SECURITY")
    op.execute(
        "UPDATE outbox_messages SET channel = 'email',"
        " state = CASE WHEN state = 'pending' THEN 'withdrawn' ELSE state END"
        " WHERE channel = 'post'"
    )
    op.execute("ALTER TABLE outbox_messages FORCE ROW LEVEL SECURITY")
    op.drop_index("ix_outbox_messages_posted", table_name="outbox_messages")
    op.drop_constraint(op.f("ck_outbox_messages_channel_known"), "outbox_messages")
    op.create_check_constraint(
        op.f("ck_outbox_messages_channel_known"), "outbox_messages", "channel IN ('email', 'text')"
    )
    op.drop_constraint(op.f("ck_accommodations_updates_by_known"), "accommodations")
    op.drop_column("accommodations", "updates_by")
    op.drop_column("accommodations", "address")
