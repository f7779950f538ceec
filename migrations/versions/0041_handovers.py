"""Keep live contacts that are rung through to another desk, or brought by a 911 center."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from regional311.database.protection import protect

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "handovers",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("public_id", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("partner_id", sa.Uuid()),
        sa.Column("contact_id", sa.Uuid()),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("line", sa.Text(), nullable=False),
        sa.Column("person_id", sa.Uuid()),
        sa.Column("person_name", sa.Text()),
        sa.Column("shared", JSONB(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", JSONB(), nullable=False),
        sa.Column("rings_until", TIME),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("ended_at", TIME),
        sa.Column("taken_by", sa.Uuid()),
        sa.Column("taken_name", sa.Text()),
        sa.Column("return_reason", sa.Text()),
        sa.Column("client_id", sa.Uuid()),
        sa.Column("incident", sa.Text()),
        sa.Column("digest", sa.Text()),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_handovers")),
        sa.UniqueConstraint(
            "tenant_id", "public_id", name=op.f("uq_handovers_tenant_id_public_id")
        ),
        sa.UniqueConstraint(
            "tenant_id",
            "client_id",
            "incident",
            name=op.f("uq_handovers_tenant_id_client_id_incident"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "contact_id"],
            ["contacts.tenant_id", "contacts.id"],
            name=op.f("fk_handovers_tenant_id_contact_id"),
        ),
        sa.CheckConstraint("side IN ('out', 'in')", name=op.f("ck_handovers_side_known")),
        sa.CheckConstraint(
            "state IN ('ringing', 'taken_over', 'returned', 'unanswered', 'withdrawn')",
            name=op.f("ck_handovers_state_known"),
        ),
    )
    op.create_index(
        "uq_handovers_ringing",
        "handovers",
        ["tenant_id", "contact_id"],
        unique=True,
        postgresql_where=sa.text("state = 'ringing' AND side = 'out'"),
    )
    op.create_index(
        "ix_handovers_waiting",
        "handovers",
        ["tenant_id", "started_at"],
        postgresql_where=sa.text("state = 'ringing'"),
    )
    op.create_index(
        op.f("ix_handovers_tenant_id_contact_id"), "handovers", ["tenant_id", "contact_id"]
    )
    for statement in protect(tenant=["handovers"]):
        op.execute(statement)


def downgrade() -> None:
    op.drop_table("handovers")
