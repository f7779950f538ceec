"""Keep emergencies, what is counted in them, who is on duty, and help that partners lend."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from regional311.database.protection import protect

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "emergencies",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("public_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("drill", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("texts", JSONB(), nullable=False),
        sa.Column("services", ARRAY(sa.Text()), nullable=False),
        sa.Column("articles", ARRAY(sa.Text()), nullable=False),
        sa.Column("places", JSONB(), nullable=False),
        sa.Column("surges", JSONB(), nullable=False),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("started_by", sa.Uuid()),
        sa.Column("ends_at", TIME, nullable=False),
        sa.Column("ended_at", TIME),
        sa.Column("ended_by", sa.Uuid()),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_emergencies")),
        sa.UniqueConstraint(
            "tenant_id", "public_id", name=op.f("uq_emergencies_tenant_id_public_id")
        ),
        sa.CheckConstraint("ends_at > started_at", name=op.f("ck_emergencies_ends_after_start")),
    )
    op.create_index(
        op.f("ix_emergencies_tenant_id_started_at_id"),
        "emergencies",
        ["tenant_id", "started_at", "id"],
    )
    op.create_table(
        "emergency_entries",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("emergency_id", sa.Uuid(), nullable=False),
        sa.Column("form_key", sa.Text(), nullable=False),
        sa.Column("contact_id", sa.Uuid()),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("area", sa.Text(), nullable=False),
        sa.Column("note", sa.Text()),
        sa.Column("danger", sa.Boolean(), nullable=False),
        sa.Column("person_id", sa.Uuid()),
        sa.Column("at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_emergency_entries")),
        sa.UniqueConstraint(
            "tenant_id", "form_key", name=op.f("uq_emergency_entries_tenant_id_form_key")
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "contact_id"],
            ["contacts.tenant_id", "contacts.id"],
            name=op.f("fk_emergency_entries_tenant_id_contact_id"),
        ),
    )
    op.create_index(
        op.f("ix_emergency_entries_tenant_id_emergency_id_at"),
        "emergency_entries",
        ["tenant_id", "emergency_id", "at"],
    )
    op.create_table(
        "duties",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("languages", ARRAY(sa.Text()), nullable=False),
        sa.Column("aid_id", sa.Uuid()),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("until", TIME, nullable=False),
        sa.Column("ended_at", TIME),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_duties")),
        sa.CheckConstraint("ended_at >= started_at", name=op.f("ck_duties_ends_after_start")),
    )
    op.create_index(
        "uq_duties_open",
        "duties",
        ["tenant_id", "person_id"],
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index(
        op.f("ix_duties_tenant_id_started_at"), "duties", ["tenant_id", "started_at"]
    )
    op.create_table(
        "aids",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("emergency_id", sa.Uuid(), nullable=False),
        sa.Column("lender_id", sa.Uuid(), nullable=False),
        sa.Column("borrower_id", sa.Uuid(), nullable=False),
        sa.Column("people", JSONB(), nullable=False),
        sa.Column("lines", ARRAY(sa.Text()), nullable=False),
        sa.Column("note", sa.Text()),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("offered_at", TIME, nullable=False),
        sa.Column("offered_by", sa.Uuid()),
        sa.Column("answered_at", TIME),
        sa.Column("answered_by", sa.Uuid()),
        sa.Column("ended_at", TIME),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_aids")),
        sa.CheckConstraint("lender_id <> borrower_id", name=op.f("ck_aids_two_partners")),
        sa.CheckConstraint(
            "state IN ('offered', 'accepted', 'declined', 'withdrawn', 'ended')",
            name=op.f("ck_aids_state_known"),
        ),
    )
    op.create_index(op.f("ix_aids_tenant_id_emergency_id"), "aids", ["tenant_id", "emergency_id"])
    for statement in protect(
        tenant=["emergency_entries", "aids"], published=["emergencies", "duties"]
    ):
        op.execute(statement)


def downgrade() -> None:
    for table in ("aids", "duties", "emergency_entries", "emergencies"):
        op.drop_table(table)
