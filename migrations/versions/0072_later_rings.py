"""Keep who is to be rung through to a line that was closed, once it opens."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from regional311.database.protection import protect

revision = "0072"
down_revision = "0071"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "later_rings",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("contact_id", sa.Uuid(), nullable=False),
        sa.Column("line", sa.Text(), nullable=False),
        sa.Column("asked_at", TIME, nullable=False),
        sa.Column("asked_by", sa.Uuid()),
        sa.Column("opens_at", TIME, nullable=False),
        sa.Column("tries", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("taken_by", sa.Uuid()),
        sa.Column("taken_at", TIME),
        sa.Column("told_at", TIME),
        sa.Column("late_at", TIME),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("ended_at", TIME),
        sa.Column("ended_by", sa.Uuid()),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_later_rings")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "contact_id"],
            ["contacts.tenant_id", "contacts.id"],
            name=op.f("fk_later_rings_tenant_id_contact_id"),
        ),
        sa.CheckConstraint(
            "state IN ('waiting', 'done', 'dropped')", name=op.f("ck_later_rings_state_known")
        ),
        sa.CheckConstraint(
            "(state = 'dropped') = (reason IS NOT NULL)",
            name=op.f("ck_later_rings_dropped_says_why"),
        ),
    )
    op.create_index(
        "uq_later_rings_waiting",
        "later_rings",
        ["tenant_id", "contact_id", "line"],
        unique=True,
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_index(
        op.f("ix_later_rings_tenant_id_contact_id"), "later_rings", ["tenant_id", "contact_id"]
    )
    for statement in protect(tenant=["later_rings"]):
        op.execute(statement)


def downgrade() -> None:
    op.drop_table("later_rings")
