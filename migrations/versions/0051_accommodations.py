"""Accommodation requests and civil-rights complaints, in tables of their own.

The previous release goes on beside it: it knows nothing of them.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from regional311.database.protection import protect

revision = "0051"
down_revision = "0050"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "accommodations",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("public_id", sa.Text(), nullable=False),
        sa.Column("source_key", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("sort", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("bureau_key", sa.Text()),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("needed_on", sa.Date()),
        *(sa.Column(name, sa.Text()) for name in ("place", "name", "phone", "email", "reach")),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text()),
        sa.Column("outcome_words", sa.Text()),
        sa.Column("received_at", TIME, nullable=False),
        sa.Column("acknowledge_by", sa.Date(), nullable=False),
        sa.Column("decide_by", sa.Date(), nullable=False),
        *(sa.Column(name, TIME) for name in ("acknowledged_at", "decided_at", "appealed_at")),
        sa.Column("appeal", sa.Text()),
        sa.Column("appeal_answer", sa.Text()),
        sa.Column("taken_by", sa.Uuid()),
        sa.Column("coordinator_id", sa.Uuid()),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_accommodations")),
        *(
            sa.UniqueConstraint(
                "tenant_id", name, name=op.f(f"uq_accommodations_tenant_id_{name}")
            )
            for name in ("public_id", "source_key", "token_hash")
        ),
        sa.CheckConstraint(
            "sort IN ('request', 'complaint')", name=op.f("ck_accommodations_sort_known")
        ),
        sa.CheckConstraint(
            "state IN ('received', 'acknowledged', 'decided', 'withdrawn')",
            name=op.f("ck_accommodations_state_known"),
        ),
        sa.CheckConstraint(
            "(state IN ('decided', 'withdrawn'))"
            " = (decided_at IS NOT NULL AND outcome IS NOT NULL)",
            name=op.f("ck_accommodations_ended_with_an_outcome"),
        ),
    )
    op.create_index(
        op.f("ix_accommodations_tenant_id_state_received_at"),
        "accommodations",
        ["tenant_id", "state", "received_at"],
    )
    op.create_index(
        op.f("ix_accommodations_tenant_id_received_at"),
        "accommodations",
        ["tenant_id", "received_at"],
    )
    op.create_table(
        "accommodation_notes",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("accommodation_id", sa.Uuid(), nullable=False),
        sa.Column("author_id", sa.Uuid()),
        sa.Column("internal", sa.Boolean(), nullable=False),
        sa.Column("from_person", sa.Boolean(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_accommodation_notes")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "accommodation_id"],
            ["accommodations.tenant_id", "accommodations.id"],
            name=op.f("fk_accommodation_notes_tenant_id_accommodation_id"),
        ),
    )
    op.create_index(
        op.f("ix_accommodation_notes_tenant_id_accommodation_id_id"),
        "accommodation_notes",
        ["tenant_id", "accommodation_id", "id"],
    )
    for statement in protect(tenant=("accommodations", "accommodation_notes")):
        op.execute(statement)


def downgrade() -> None:
    op.drop_table("accommodation_notes")
    op.drop_table("accommodations")
