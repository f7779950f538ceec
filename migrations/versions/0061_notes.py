"""Keep notes for colleagues on contacts, referrals and threads."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from regional311.database.protection import protect

revision = "0061"
down_revision = "0060"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "internal_notes",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("subject_kind", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("author_id", sa.Uuid()),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "subject_kind IN ('contact', 'referral', 'thread')",
            name=op.f("ck_internal_notes_subject_known"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_internal_notes")),
    )
    op.create_index(
        op.f("ix_internal_notes_tenant_id_subject_id_id"),
        "internal_notes",
        ["tenant_id", "subject_id", "id"],
    )
    for statement in protect(tenant=["internal_notes"]):
        op.execute(statement)


def downgrade() -> None:
    op.drop_table("internal_notes")
