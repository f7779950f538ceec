"""Known places: what somebody says of where it is finds a point."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from regional311.database.protection import protect

revision = "0087"
down_revision = "0086"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
DEGREES = sa.Numeric(18, 6)


def upgrade() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    op.create_table(
        "place_sources",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("licence", sa.Text(), nullable=False),
        sa.Column("website", sa.Text()),
        sa.Column("imported_at", TIME, nullable=False),
        sa.Column("places", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_place_sources")),
        sa.UniqueConstraint("tenant_id", "key", name=op.f("uq_place_sources_tenant_id_key")),
    )
    op.create_table(
        "known_places",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("source_id", sa.Uuid(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("bare", sa.Text(collation="C"), nullable=False),
        sa.Column("city", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger()),
        sa.Column("last_number", sa.BigInteger()),
        sa.Column("latitude", DEGREES, nullable=False),
        sa.Column("longitude", DEGREES, nullable=False),
        sa.Column("last_latitude", DEGREES),
        sa.Column("last_longitude", DEGREES),
        sa.Column("ended_at", TIME),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_known_places")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "source_id"],
            ["place_sources.tenant_id", "place_sources.id"],
            name=op.f("fk_known_places_tenant_id_source_id"),
        ),
        sa.UniqueConstraint(
            "tenant_id",
            "source_id",
            "digest",
            name=op.f("uq_known_places_tenant_id_source_id_digest"),
        ),
        sa.CheckConstraint(
            "kind IN ('address', 'crossing', 'landmark', 'stretch')",
            name=op.f("ck_known_places_kind_known"),
        ),
        sa.CheckConstraint(
            "latitude BETWEEN -90 AND 90 AND longitude BETWEEN -180 AND 180",
            name=op.f("ck_known_places_on_earth"),
        ),
        sa.CheckConstraint(
            "kind NOT IN ('address', 'stretch') OR number IS NOT NULL",
            name=op.f("ck_known_places_has_number"),
        ),
        sa.CheckConstraint(
            "(kind = 'stretch') = (last_number IS NOT NULL AND last_latitude IS NOT NULL"
            " AND last_longitude IS NOT NULL)",
            name=op.f("ck_known_places_stretch_has_an_end"),
        ),
    )
    op.create_index(
        "ix_known_places_bare",
        "known_places",
        ["bare"],
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index(
        "ix_known_places_number",
        "known_places",
        ["number"],
        postgresql_where=sa.text("ended_at IS NULL AND kind = 'address'"),
    )
    op.create_index(
        "ix_known_places_alike",
        "known_places",
        ["bare"],
        postgresql_using="gin",
        postgresql_ops={"bare": "gin_trgm_ops"},
        postgresql_where=sa.text("ended_at IS NULL AND kind IN ('crossing', 'landmark')"),
    )
    for statement in protect(published=["place_sources", "known_places"]):
        op.execute(statement)


def downgrade() -> None:
    op.drop_table("known_places")
    op.drop_table("place_sources")
    op.execute("DROP EXTENSION pg_trgm")
