"""Keep what left word for word, what came back, and what a person had sent again or set aside."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0058"
down_revision = "0057"
branch_labels = None
depends_on = None

STATE = "ck_outbox_messages_state_known"


def upgrade() -> None:
    op.add_column(
        "outbox_messages", sa.Column("sendings", sa.BigInteger(), nullable=False, server_default="1")
    )
    op.add_column("outbox_messages", sa.Column("sent_body", sa.Text()))
    op.add_column("outbox_messages", sa.Column("bounced_at", sa.DateTime(timezone=True)))
    op.drop_constraint(op.f(STATE), "outbox_messages", type_="check")
    op.create_check_constraint(
        op.f(STATE), "outbox_messages", "state IN ('pending', 'sent', 'dead', 'aside', 'withdrawn')"
    )
    op.create_index(
        "ix_outbox_messages_dead",
        "outbox_messages",
        ["tenant_id", "id"],
        postgresql_where=sa.text("state = 'dead'"),
    )
    op.create_index(
        "ix_outbox_messages_subject",
        "outbox_messages",
        ["tenant_id", "subject_id", "id"],
        postgresql_where=sa.text("subject_id IS NOT NULL"),
    )


def downgrade() -> None:
    # what somebody set aside was given up before
    op.drop_constraint(op.f(STATE), "outbox_messages", type_="check")
    op.execute("ALTER TABLE outbox_messages NO FORCE ROW LEVEL SECURITY")
    op.execute("UPDATE outbox_messages SET state = 'dead' WHERE state = 'aside'")
    op.execute("ALTER TABLE outbox_messages FORCE ROW LEVEL SECURITY")
    op.create_check_constraint(
        op.f(STATE), "outbox_messages", "state IN ('pending', 'sent', 'dead', 'withdrawn')"
    )
    op.drop_index("ix_outbox_messages_subject", "outbox_messages")
    op.drop_index("ix_outbox_messages_dead", "outbox_messages")
    for name in ("bounced_at", "sent_body", "sendings"):
        op.drop_column("outbox_messages", name)
