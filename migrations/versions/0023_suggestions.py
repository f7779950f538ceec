"""Take suggestions of what an entry should say."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from regional311.database.protection import protect

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "suggestions",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("from_tenant_id", sa.Uuid()),
        sa.Column("person_id", sa.Uuid()),
        sa.Column("subject_kind", sa.Text(), nullable=False),
        sa.Column("subject_key", sa.Text(), nullable=False),
        sa.Column("subject_name", sa.Text(), nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("language", sa.Text()),
        sa.Column("said", sa.Text()),
        sa.Column("wanted", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("email", sa.Text()),
        sa.Column("written_in", sa.Text(), nullable=False),
        sa.Column("sender_digest", sa.Text()),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text()),
        sa.Column("version", sa.BigInteger()),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True)),
        sa.Column("decided_by", sa.Uuid()),
        sa.Column("told_at", sa.DateTime(timezone=True)),
        sa.Column("seen_at", sa.DateTime(timezone=True)),
        sa.Column("erased_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_suggestions")),
        sa.CheckConstraint(
            "state IN ('new', 'approved', 'declined')", name=op.f("ck_suggestions_state_known")
        ),
        sa.CheckConstraint(
            "subject_kind IN ('service', 'location')", name=op.f("ck_suggestions_subject_known")
        ),
    )
    op.create_index(
        op.f("ix_suggestions_tenant_id_owner_id_state"),
        "suggestions",
        ["tenant_id", "owner_id", "state"],
    )
    op.create_index(
        op.f("ix_suggestions_tenant_id_person_id"), "suggestions", ["tenant_id", "person_id"]
    )
    for statement in protect(tenant=["suggestions"]):
        op.execute(statement)


def downgrade() -> None:
    op.drop_table("suggestions")
