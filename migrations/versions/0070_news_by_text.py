"""News by text: how somebody who filed something wants to hear, and numbers of who has it too.

Who has sent STOP gets no news either: until now only their threads said so.
"""

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
    for table in ("threads", "notice_stops"):
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
    # STOP holds for a number on whichever line of the partner it came; what the new release has
    # written meanwhile is newer
    op.execute(
        "INSERT INTO notice_stops (tenant_id, id, address, subject_id, stopped_at, changed_at)"
        " SELECT tenant_id, uuidv7(), address, NULL, max(stopped_at), max(stopped_at)"
        " FROM threads WHERE channel = 'text' AND stopped_at IS NOT NULL AND address IS NOT NULL"
        " GROUP BY tenant_id, address ON CONFLICT DO NOTHING"
    )
    for table in ("threads", "notice_stops"):
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")


def downgrade() -> None:
    # stops of numbers stay: whoever sent STOP has said so
    op.drop_index("ix_outbox_messages_texted", table_name="outbox_messages")
    op.drop_column("me_toos", "phone")
    op.drop_constraint(op.f("ck_inquirers_updates_by_known"), "inquirers")
    op.drop_column("inquirers", "updates_by")
