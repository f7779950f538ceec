"""Keep calls as a telephone system tells of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from regional311.database.protection import protect

revision = "0055"
down_revision = "0054"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "calls",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("call_key", sa.Text(), nullable=False),
        sa.Column("line_key", sa.Text(), nullable=False),
        sa.Column("caller", sa.Text()),
        sa.Column("rang_at", TIME, nullable=False),
        sa.Column("answered_at", TIME),
        sa.Column("ended_at", TIME),
        sa.Column("contact_id", sa.Uuid()),
        sa.Column("settled_at", TIME),
        sa.Column("settled_by", sa.Uuid()),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_calls")),
        sa.UniqueConstraint("tenant_id", "call_key", name=op.f("uq_calls_tenant_id_call_key")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "contact_id"],
            ["contacts.tenant_id", "contacts.id"],
            name=op.f("fk_calls_tenant_id_contact_id"),
        ),
    )
    op.create_index(op.f("ix_calls_tenant_id_contact_id"), "calls", ["tenant_id", "contact_id"])
    op.create_index(
        "ix_calls_open",
        "calls",
        ["tenant_id", "rang_at"],
        postgresql_where=sa.text("contact_id IS NULL AND settled_at IS NULL"),
    )
    for statement in protect(tenant=["calls"]):
        op.execute(statement)


def downgrade() -> None:
    op.drop_table("calls")
