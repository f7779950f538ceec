"""Keep who waits at a front desk, and who was called by whom."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from regional311.database.protection import protect

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "visits",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("line_key", sa.Text()),
        sa.Column("name", sa.Text()),
        sa.Column("reason", sa.Text()),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("interpreter", sa.Boolean(), nullable=False),
        sa.Column("accommodation", sa.Text()),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("arrived_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("taken_in_by", sa.Uuid()),
        sa.Column("called_at", sa.DateTime(timezone=True)),
        sa.Column("called_by", sa.Uuid()),
        sa.Column("called_to", sa.Text()),
        sa.Column("contact_id", sa.Uuid()),
        sa.Column("left_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint(
            "state IN ('waiting', 'called', 'left')", name=op.f("ck_visits_state_known")
        ),
        sa.CheckConstraint(
            "(state = 'called') <= (called_at IS NOT NULL AND contact_id IS NOT NULL)",
            name=op.f("ck_visits_called_to_a_contact"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "contact_id"],
            ["contacts.tenant_id", "contacts.id"],
            name=op.f("fk_visits_tenant_id_contact_id"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_visits")),
        sa.UniqueConstraint(
            "tenant_id", "day", "number", name=op.f("uq_visits_tenant_id_day_number")
        ),
    )
    for statement in protect(tenant=["visits"]):
        op.execute(statement)


def downgrade() -> None:
    op.drop_table("visits")
