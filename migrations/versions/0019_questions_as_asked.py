"""Keep groups of questions, every form as it was asked, and what was answered to it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from regional311.database.protection import protect

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

ANSWERED = ("needs", "service_requests")


def upgrade() -> None:
    op.create_table(
        "question_groups",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("details", JSONB(), nullable=False),
        sa.Column("ended_on", sa.Date()),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_question_groups")),
        sa.UniqueConstraint("tenant_id", "key", name=op.f("uq_question_groups_tenant_id_key")),
    )
    op.create_table(
        "form_versions",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("content", JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_form_versions")),
        sa.UniqueConstraint("tenant_id", "digest", name=op.f("uq_form_versions_tenant_id_digest")),
    )
    for statement in protect(published=["question_groups"], for_ever=["form_versions"]):
        op.execute(statement)
    for table in ANSWERED:
        op.add_column(table, sa.Column("answers", JSONB()))


def downgrade() -> None:
    for table in ANSWERED:
        op.drop_column(table, "answers")
    op.drop_table("form_versions")
    op.drop_table("question_groups")
