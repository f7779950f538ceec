"""Keep organisations, locations, and every version of what the catalogue says."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from regional311.database.protection import protect

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

PUBLISHED = ["organizations", "locations", "service_locations"]
SOURCE = "source IN ('kept', 'imported')"


def upgrade() -> None:
    op.add_column(
        "services", sa.Column("version", sa.BigInteger(), nullable=False, server_default="1")
    )
    op.add_column("services", sa.Column("verified_on", sa.Date()))
    op.add_column("services", sa.Column("review_on", sa.Date()))
    op.add_column(
        "services", sa.Column("source", sa.Text(), nullable=False, server_default="kept")
    )
    op.add_column("services", sa.Column("source_id", sa.Text()))
    op.add_column("services", sa.Column("hsds", JSONB()))
    op.alter_column("services", "version", server_default=None)
    op.alter_column("services", "source", server_default=None)
    op.create_check_constraint(op.f("ck_services_source_known"), "services", SOURCE)
    op.create_table(
        "organizations",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("details", JSONB(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("source_id", sa.Text()),
        sa.Column("hsds", JSONB()),
        sa.Column("ended_on", sa.Date()),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_organizations")),
        sa.UniqueConstraint("tenant_id", "key", name=op.f("uq_organizations_tenant_id_key")),
        sa.CheckConstraint(SOURCE, name=op.f("ck_organizations_source_known")),
    )
    op.create_table(
        "locations",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("latitude", sa.Double()),
        sa.Column("longitude", sa.Double()),
        sa.Column("details", JSONB(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("source_id", sa.Text()),
        sa.Column("hsds", JSONB()),
        sa.Column("ended_on", sa.Date()),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_locations")),
        sa.UniqueConstraint("tenant_id", "key", name=op.f("uq_locations_tenant_id_key")),
        sa.CheckConstraint(SOURCE, name=op.f("ck_locations_source_known")),
    )
    op.create_table(
        "service_locations",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("service_id", sa.Uuid(), nullable=False),
        sa.Column("location_id", sa.Uuid(), nullable=False),
        sa.Column("details", JSONB(), nullable=False),
        sa.Column("source_id", sa.Text()),
        sa.Column("hsds", JSONB()),
        sa.Column("ended_on", sa.Date()),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_service_locations")),
        sa.UniqueConstraint(
            "tenant_id",
            "service_id",
            "location_id",
            name=op.f("uq_service_locations_tenant_id_service_id_location_id"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "service_id"],
            ["services.tenant_id", "services.id"],
            name=op.f("fk_service_locations_tenant_id_service_id"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "location_id"],
            ["locations.tenant_id", "locations.id"],
            name=op.f("fk_service_locations_tenant_id_location_id"),
        ),
    )
    op.create_index(
        op.f("ix_service_locations_tenant_id_location_id"),
        "service_locations",
        ["tenant_id", "location_id"],
    )
    op.create_table(
        "content_versions",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("content", JSONB(), nullable=False),
        sa.Column("based_on", sa.BigInteger()),
        sa.Column("effective_on", sa.Date()),
        sa.Column("note", sa.Text()),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("made_by", sa.Uuid()),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reviewed_by", sa.Uuid()),
        sa.Column("reviewed_at", sa.DateTime(timezone=True)),
        sa.Column("published_by", sa.Uuid()),
        sa.Column("published_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_content_versions")),
        sa.UniqueConstraint(
            "tenant_id",
            "kind",
            "key",
            "number",
            name=op.f("uq_content_versions_tenant_id_kind_key_number"),
        ),
        sa.CheckConstraint(
            "state IN ('draft', 'reviewed', 'published', 'retired', 'discarded')",
            name=op.f("ck_content_versions_state_known"),
        ),
    )
    op.create_index(
        op.f("ix_content_versions_tenant_id_state"), "content_versions", ["tenant_id", "state"]
    )
    for statement in protect(tenant=["content_versions"], published=PUBLISHED):
        op.execute(statement)


def downgrade() -> None:
    op.drop_table("content_versions")
    op.drop_table("service_locations")
    op.drop_table("locations")
    op.drop_table("organizations")
    op.drop_constraint(op.f("ck_services_source_known"), "services")
    for column in ("hsds", "source_id", "source", "review_on", "verified_on", "version"):
        op.drop_column("services", column)
