"""Keep partners' own secrets for texts and calls, and when a conversation was forgotten."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from regional311.database.protection import protect

revision = "0064"
down_revision = "0063"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("threads", sa.Column("erased_at", TIME))
    op.create_table(
        "hook_secrets",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("hook", sa.Text(), nullable=False),
        sa.Column("sealed_secret", sa.Text(), nullable=False),
        sa.Column("sealed_former", sa.Text()),
        sa.Column("former_until", TIME),
        sa.Column("made_at", TIME, nullable=False),
        sa.Column("made_by", sa.Uuid()),
        sa.Column("revoked_at", TIME),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_hook_secrets")),
        sa.CheckConstraint("hook IN ('texts', 'calls')", name=op.f("ck_hook_secrets_hook_known")),
    )
    op.create_index(
        "ix_hook_secrets_one",
        "hook_secrets",
        ["tenant_id", "hook"],
        unique=True,
        postgresql_where=sa.text("revoked_at IS NULL"),
    )
    for statement in protect(tenant=["hook_secrets"]):
        op.execute(statement)


def downgrade() -> None:
    op.drop_table("hook_secrets")
    op.drop_column("threads", "erased_at")
