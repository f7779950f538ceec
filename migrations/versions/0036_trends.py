"""Publish the counts of partners' months, and find referrals by when they were sent."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from regional311.database.protection import protect

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "trends",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("month_on", sa.Date(), nullable=False),
        sa.Column("figures", postgresql.JSONB(), nullable=False),
        sa.Column("threshold", sa.BigInteger(), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_trends")),
        sa.UniqueConstraint("tenant_id", "month_on", name=op.f("uq_trends_tenant_id_month_on")),
    )
    for statement in protect(for_ever=["trends"]):
        op.execute(statement)
    op.create_index(
        op.f("ix_referrals_tenant_id_sent_at"), "referrals", ["tenant_id", "sent_at"]
    )


def downgrade() -> None:
    op.drop_index(op.f("ix_referrals_tenant_id_sent_at"), "referrals")
    op.drop_table("trends")
