"""Say who keeps entries right, and remember who was reminded."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from regional311.database.protection import protect

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "keepers",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("subject_kind", sa.Text(), nullable=False),
        sa.Column("subject_key", sa.Text(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("named_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("named_by", sa.Uuid()),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_keepers")),
        sa.UniqueConstraint(
            "tenant_id",
            "subject_kind",
            "subject_key",
            "person_id",
            name=op.f("uq_keepers_tenant_id_subject_kind_subject_key_person_id"),
        ),
        sa.CheckConstraint(
            "subject_kind IN ('service', 'bureau')", name=op.f("ck_keepers_subject_known")
        ),
    )
    op.create_table(
        "review_reminders",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("service_id", sa.Uuid(), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("told", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_review_reminders")),
        sa.UniqueConstraint(
            "tenant_id",
            "service_id",
            "due_on",
            name=op.f("uq_review_reminders_tenant_id_service_id_due_on"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "service_id"],
            ["services.tenant_id", "services.id"],
            name=op.f("fk_review_reminders_tenant_id_service_id"),
        ),
    )
    for statement in protect(tenant=["keepers", "review_reminders"]):
        op.execute(statement)


def downgrade() -> None:
    op.drop_table("review_reminders")
    op.drop_table("keepers")
