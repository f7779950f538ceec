"""Keep how well an agreement was kept."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from regional311.database.protection import protect

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "service_level_readings",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("agreement_key", sa.Text(), nullable=False),
        sa.Column("target_key", sa.Text(), nullable=False),
        sa.Column("period_key", sa.Text(), nullable=False),
        sa.Column("reading", sa.Numeric(18, 6), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("entered_by", sa.Uuid()),
        sa.Column("entered_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_service_level_readings")),
    )
    op.create_index(
        op.f("ix_service_level_readings_tenant_id_agreement_key_period_key"),
        "service_level_readings",
        ["tenant_id", "agreement_key", "period_key"],
    )
    for statement in protect(append_only=["service_level_readings"]):
        op.execute(statement)


def downgrade() -> None:
    op.drop_table("service_level_readings")
