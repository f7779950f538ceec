"""Let one partner propose an agreement and the other accept it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from regional311.database.protection import protect

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "agreement_proposals",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("counterparty_id", sa.Uuid()),
        sa.Column("agreement_key", sa.Text(), nullable=False),
        sa.Column("based_on", sa.BigInteger()),
        sa.Column("content", JSONB(), nullable=False),
        sa.Column("note", sa.Text()),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("signatures", JSONB(), nullable=False),
        sa.Column("drafted_by", sa.Uuid()),
        sa.Column("drafted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("proposed_by", sa.Uuid()),
        sa.Column("proposed_at", sa.DateTime(timezone=True)),
        sa.Column("answered_by", sa.Uuid()),
        sa.Column("answered_at", sa.DateTime(timezone=True)),
        sa.Column("published_version", sa.BigInteger()),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_agreement_proposals")),
        sa.CheckConstraint(
            "side IN ('drafted', 'received')", name=op.f("ck_agreement_proposals_side_known")
        ),
        sa.CheckConstraint(
            "state IN ('draft', 'proposed', 'accepted', 'declined', 'withdrawn')",
            name=op.f("ck_agreement_proposals_state_known"),
        ),
        sa.CheckConstraint(
            "(published_version IS NOT NULL) = (state = 'accepted')",
            name=op.f("ck_agreement_proposals_accepted_published"),
        ),
        sa.CheckConstraint(
            "reason IS NOT NULL OR state NOT IN ('declined', 'withdrawn')",
            name=op.f("ck_agreement_proposals_reason_given"),
        ),
    )
    op.create_index(
        op.f("ix_agreement_proposals_tenant_id_agreement_key"),
        "agreement_proposals",
        ["tenant_id", "agreement_key"],
    )
    op.create_table(
        "agreement_reminders",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("agreement_key", sa.Text(), nullable=False),
        sa.Column("ends_on", sa.Date(), nullable=False),
        sa.Column("days", sa.BigInteger(), nullable=False),
        sa.Column("told", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_agreement_reminders")),
        sa.UniqueConstraint(
            "tenant_id",
            "agreement_key",
            "ends_on",
            "days",
            name=op.f("uq_agreement_reminders_tenant_id_agreement_key_ends_on_days"),
        ),
    )
    for statement in protect(tenant=["agreement_proposals"], append_only=["agreement_reminders"]):
        op.execute(statement)


def downgrade() -> None:
    op.drop_table("agreement_reminders")
    op.drop_table("agreement_proposals")
