"""Hold files that were sent while the rest of their form is answered or corrected."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from regional311.database.protection import protect

revision = "0063"
down_revision = "0062"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "held_files",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("content", sa.LargeBinary()),
        sa.Column("held_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_held_files")),
        sa.UniqueConstraint(
            "tenant_id", "token_hash", name=op.f("uq_held_files_tenant_id_token_hash")
        ),
    )
    op.create_index(
        "ix_held_files_there",
        "held_files",
        ["tenant_id", "held_at"],
        postgresql_where=sa.text("content IS NOT NULL"),
    )
    for statement in protect(tenant=["held_files"]):
        op.execute(statement)


def downgrade() -> None:
    op.drop_table("held_files")
