"""Keep the files that people send as answers, with what they were sent for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from regional311.database.protection import protect

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "attachments",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("content", sa.LargeBinary()),
        sa.Column("stored_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("erased_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_attachments")),
        sa.UniqueConstraint(
            "tenant_id",
            "subject_id",
            "question",
            name=op.f("uq_attachments_tenant_id_subject_id_question"),
        ),
        sa.CheckConstraint(
            "(content IS NULL) = (erased_at IS NOT NULL)",
            name=op.f("ck_attachments_there_or_erased"),
        ),
    )
    for statement in protect(tenant=["attachments"]):
        op.execute(statement)


def downgrade() -> None:
    op.drop_table("attachments")
