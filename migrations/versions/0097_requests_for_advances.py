"""Requests for what agreements have payers pay in advance, a row on each side."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from regional311.database.protection import protect

revision = "0097"
down_revision = "0096"
branch_labels = None
depends_on = None

SIDE, PAYER = "ck_advance_requests_side_known", "ck_advance_requests_payer_kind_known"
ABOVE = "ck_advance_requests_above_zero"


def upgrade() -> None:
    op.create_table(
        "advance_requests",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("public_id", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("counterparty_id", sa.Uuid(), nullable=False),
        sa.Column("payer_kind", sa.Text(), nullable=False),
        sa.Column("payer_key", sa.Text()),
        sa.Column("agreement_key", sa.Text(), nullable=False),
        sa.Column("agreement", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("period_key", sa.Text(), nullable=False),
        sa.Column("amount_cents", sa.BigInteger(), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("asked_by", sa.Uuid()),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_advance_requests")),
        sa.UniqueConstraint(
            "tenant_id", "public_id", name=op.f("uq_advance_requests_tenant_id_public_id")
        ),
        sa.UniqueConstraint(
            "tenant_id",
            "agreement_key",
            "period_key",
            name=op.f("uq_advance_requests_tenant_id_agreement_key_period_key"),
        ),
        sa.CheckConstraint("side IN ('issued', 'received')", name=op.f(SIDE)),
        sa.CheckConstraint("payer_kind IN ('partner', 'outside')", name=op.f(PAYER)),
        sa.CheckConstraint("amount_cents > 0", name=op.f(ABOVE)),
    )
    for statement in protect(append_only=["advance_requests"]):
        op.execute(statement)


def downgrade() -> None:
    op.drop_table("advance_requests")
