"""Keep since when a contact is wrapped up, for whom somebody waits, and what is for whom."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from regional311.database.protection import protect

revision = "0060"
down_revision = "0059"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("contacts", sa.Column("gone_at", TIME))
    op.add_column("visits", sa.Column("for_id", sa.Uuid()))
    op.create_index(
        "ix_service_requests_promised",
        "service_requests",
        ["tenant_id", "expected_at"],
        postgresql_where=sa.text("expected_at IS NOT NULL AND state NOT IN ('closed', 'merged')"),
    )
    op.create_table(
        "for_you_entries",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject_kind", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("by_id", sa.Uuid()),
        sa.Column("at", TIME, nullable=False),
        sa.CheckConstraint(
            "kind IN ('mentioned', 'given', 'taken', 'looked')",
            name=op.f("ck_for_you_entries_kind_known"),
        ),
        sa.CheckConstraint(
            "subject_kind IN ('request', 'contact', 'referral', 'thread', 'visit')",
            name=op.f("ck_for_you_entries_subject_known"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_for_you_entries")),
    )
    op.create_index(
        op.f("ix_for_you_entries_tenant_id_person_id_at"),
        "for_you_entries",
        ["tenant_id", "person_id", "at"],
    )
    op.create_table(
        "for_you_seen",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("item", sa.Text(), nullable=False),
        sa.Column("seen_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "person_id", "item", name=op.f("pk_for_you_seen")),
    )
    for statement in protect(tenant=["for_you_entries", "for_you_seen"]):
        op.execute(statement)


def downgrade() -> None:
    op.drop_table("for_you_seen")
    op.drop_table("for_you_entries")
    op.drop_index("ix_service_requests_promised", table_name="service_requests")
    op.drop_column("visits", "for_id")
    op.drop_column("contacts", "gone_at")
