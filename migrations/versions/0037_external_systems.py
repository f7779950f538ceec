"""Let a partner work in a system of its own: connections, their tasks, what came."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from regional311.database.protection import protect

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "external_systems",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("way", sa.Text(), nullable=False),
        sa.Column("address", sa.Text()),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("sealed_secret", sa.Text(), nullable=False),
        sa.Column("known_as", sa.Text(), nullable=False),
        sa.Column("services", postgresql.JSONB(), nullable=False),
        sa.Column("made_by", sa.Uuid()),
        sa.Column("made_at", moment, nullable=False),
        sa.Column("ended_at", moment),
        sa.Column("gathered_at", moment, nullable=False),
        sa.Column("cursor", moment),
        sa.Column("polled_at", moment),
        sa.Column("told_at", moment),
        sa.Column("heard_at", moment),
        sa.Column("problem", sa.Text()),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_external_systems")),
        sa.CheckConstraint(
            "way IN ('push', 'they_poll', 'we_poll')", name=op.f("ck_external_systems_way_known")
        ),
        sa.CheckConstraint(
            "(way = 'they_poll') = (address IS NULL)",
            name=op.f("ck_external_systems_asked_has_address"),
        ),
    )
    op.create_index(
        "ix_external_systems_one",
        "external_systems",
        ["tenant_id"],
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_table(
        "exchange_tasks",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("system_id", sa.Uuid(), nullable=False),
        sa.Column("identifier_system", sa.Text(), nullable=False),
        sa.Column("identifier_value", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("told_version", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", moment, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("due_at", moment, nullable=False),
        sa.Column("leased_until", moment),
        sa.Column("told_at", moment),
        sa.Column("problem", sa.Text()),
        sa.Column("heard_at", moment),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_exchange_tasks")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "system_id"],
            ["external_systems.tenant_id", "external_systems.id"],
            name=op.f("fk_exchange_tasks_tenant_id_system_id"),
        ),
        sa.CheckConstraint(
            "state IN ('waiting', 'told', 'dead')", name=op.f("ck_exchange_tasks_state_known")
        ),
    )
    op.create_index(
        "ix_exchange_tasks_due",
        "exchange_tasks",
        ["tenant_id", "due_at"],
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_index(
        op.f("ix_exchange_tasks_tenant_id_system_id_changed_at_id"),
        "exchange_tasks",
        ["tenant_id", "system_id", "changed_at", "id"],
    )
    op.create_table(
        "exchange_receipts",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("system_id", sa.Uuid(), nullable=False),
        sa.Column("nonce", sa.Text(), nullable=False),
        sa.Column("at", moment, nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Uuid()),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_exchange_receipts")),
        sa.UniqueConstraint(
            "tenant_id",
            "system_id",
            "nonce",
            name=op.f("uq_exchange_receipts_tenant_id_system_id_nonce"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "system_id"],
            ["external_systems.tenant_id", "external_systems.id"],
            name=op.f("fk_exchange_receipts_tenant_id_system_id"),
        ),
    )
    op.create_index(
        op.f("ix_exchange_receipts_tenant_id_system_id_at"),
        "exchange_receipts",
        ["tenant_id", "system_id", "at"],
    )
    for statement in protect(
        tenant=["external_systems", "exchange_tasks"], append_only=["exchange_receipts"]
    ):
        op.execute(statement)


def downgrade() -> None:
    for table in ("exchange_receipts", "exchange_tasks", "external_systems"):
        op.drop_table(table)
