"""Webhooks: where programs are told that a request has moved on, and their messages in the outbox."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from regional311.database.protection import protect

revision = "0078"
down_revision = "0077"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "program_hooks",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("sealed_secret", sa.Text(), nullable=False),
        sa.Column("told_until", TIME, nullable=False),
        sa.Column("made_at", TIME, nullable=False),
        sa.Column("ended_at", TIME),
        sa.Column("ended_why", sa.Text()),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_program_hooks")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "client_id"],
            ["api_clients.tenant_id", "api_clients.id"],
            name=op.f("fk_program_hooks_tenant_id_client_id"),
        ),
    )
    op.create_index(
        "ux_program_hooks_live",
        "program_hooks",
        ["tenant_id", "client_id"],
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    for statement in protect(tenant=["program_hooks"]):
        op.execute(statement)
    op.drop_constraint(op.f("ck_outbox_messages_channel_known"), "outbox_messages")
    op.create_check_constraint(
        op.f("ck_outbox_messages_channel_known"),
        "outbox_messages",
        "channel IN ('email', 'text', 'post', 'webhook')",
    )


def downgrade() -> None:
    op.execute("ALTER TABLE outbox_messages NO FORCE ROW LEVEL SECURITY")
    op.execute("UPDATE outbox_messages SET channel = 'email', state = 'withdrawn' WHERE channel = 'webhook'")
    op.execute("ALTER TABLE outbox_messages FORCE ROW LEVEL SECURITY")
    op.drop_constraint(op.f("ck_outbox_messages_channel_known"), "outbox_messages")
    op.create_check_constraint(
        op.f("ck_outbox_messages_channel_known"),
        "outbox_messages",
        "channel IN ('email', 'text', 'post')",
    )
    op.drop_table("program_hooks")
