"""Keep what people write, who answers it, and by which channel a message leaves.

The previous release goes on beside it: what it adds to the outbox is e-mail.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from regional311.database.protection import protect

revision = "0050"
down_revision = "0049"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
JSON = postgresql.JSONB()
TEXTS = postgresql.ARRAY(sa.Text())
TABLES = ("threads", "thread_messages", "answer_templates")


def upgrade() -> None:
    op.add_column(
        "outbox_messages",
        sa.Column("channel", sa.Text(), nullable=False, server_default="email"),
    )
    op.add_column("outbox_messages", sa.Column("headers", JSON))
    op.add_column("outbox_messages", sa.Column("delivered_at", TIME))
    op.create_check_constraint(
        op.f("ck_outbox_messages_channel_known"),
        "outbox_messages",
        "channel IN ('email', 'text')",
    )
    op.create_table(
        "threads",
        *_key("threads"),
        sa.Column("public_id", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("line_key", sa.Text(), nullable=False),
        sa.Column("address", sa.Text()),
        sa.Column("name", sa.Text()),
        sa.Column("subject", sa.Text()),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("claimed_by", sa.Uuid()),
        sa.Column("contact_id", sa.Uuid()),
        sa.Column("danger", sa.Text()),
        sa.Column("confidential", sa.Boolean(), nullable=False),
        sa.Column("automatic", sa.Text()),
        sa.Column("began_at", TIME, nullable=False),
        sa.Column("waiting_since", TIME, nullable=False),
        sa.Column("acted_at", TIME),
        sa.Column("last_at", TIME, nullable=False),
        sa.Column("done_at", TIME),
        sa.Column("undeliverable_at", TIME),
        sa.Column("handled_seconds", sa.BigInteger(), nullable=False),
        sa.Column("closings", sa.BigInteger(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary()),
        sa.Column("before", JSON),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.UniqueConstraint("tenant_id", "public_id", name=op.f("uq_threads_tenant_id_public_id")),
        _reference("threads", "contacts", "contact_id"),
        sa.CheckConstraint(
            "channel IN ('email', 'text', 'chat')", name=op.f("ck_threads_channel_known")
        ),
        sa.CheckConstraint(
            "state IN ('new', 'claimed', 'waiting', 'done')", name=op.f("ck_threads_state_known")
        ),
        sa.CheckConstraint(
            "(state IN ('claimed', 'waiting')) = (claimed_by IS NOT NULL)",
            name=op.f("ck_threads_claimed_by_one"),
        ),
    )
    _index("threads", "tenant_id", "state", "waiting_since", "id")
    _index("threads", "tenant_id", "channel", "address")
    _index("threads", "tenant_id", "contact_id")
    op.create_index(
        "ix_threads_danger",
        "threads",
        ["tenant_id", "last_at"],
        postgresql_where=sa.text("danger IS NOT NULL"),
    )
    op.create_index(
        "ix_threads_chat",
        "threads",
        ["tenant_id", "secret_hash"],
        postgresql_where=sa.text("secret_hash IS NOT NULL"),
    )
    op.create_table(
        "thread_messages",
        *_key("thread_messages"),
        sa.Column("thread_id", sa.Uuid(), nullable=False),
        sa.Column("contact_id", sa.Uuid()),
        sa.Column("direction", sa.Text(), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("author_id", sa.Uuid()),
        sa.Column("sender", sa.Text()),
        sa.Column("subject", sa.Text()),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("external_key", sa.Text()),
        sa.Column("signs", TEXTS, nullable=False),
        sa.Column("automatic", sa.Text()),
        sa.Column("left_out", JSON, nullable=False),
        sa.Column("files", sa.BigInteger(), nullable=False),
        sa.UniqueConstraint(
            "tenant_id", "external_key", name=op.f("uq_thread_messages_tenant_id_external_key")
        ),
        _reference("thread_messages", "threads", "thread_id"),
        _reference("thread_messages", "contacts", "contact_id"),
        sa.CheckConstraint(
            "direction IN ('in', 'out')", name=op.f("ck_thread_messages_direction_known")
        ),
    )
    _index("thread_messages", "tenant_id", "thread_id", "id")
    op.create_table(
        "answer_templates",
        *_key("answer_templates"),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text()),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("changed_at", TIME, nullable=False),
        sa.Column("changed_by", sa.Uuid()),
        sa.Column("ended_at", TIME),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "channel IS NULL OR channel IN ('email', 'text', 'chat')",
            name=op.f("ck_answer_templates_channel_known"),
        ),
    )
    _index("answer_templates", "tenant_id", "language", "name")
    for statement in protect(tenant=TABLES):
        op.execute(statement)


def _key(table: str) -> tuple[sa.Column, sa.Column, sa.PrimaryKeyConstraint]:
    return (
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f(f"pk_{table}")),
    )


def _reference(table: str, to: str, column: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["tenant_id", column],
        [f"{to}.tenant_id", f"{to}.id"],
        name=op.f(f"fk_{table}_tenant_id_{column}"),
    )


def _index(table: str, *columns: str) -> None:
    op.create_index(op.f(f"ix_{table}_{'_'.join(columns)}"), table, list(columns))


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)
    op.drop_constraint(op.f("ck_outbox_messages_channel_known"), "outbox_messages", type_="check")
    for name in ("delivered_at", "headers", "channel"):
        op.drop_column("outbox_messages", name)
