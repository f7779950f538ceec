"""Keep taxonomies, their terms, and crosswalks between them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from regional311.database.protection import protect

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "taxonomies",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("details", JSONB(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("source_id", sa.Text()),
        sa.Column("hsds", JSONB()),
        sa.Column("ended_on", sa.Date()),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_taxonomies")),
        sa.UniqueConstraint("tenant_id", "key", name=op.f("uq_taxonomies_tenant_id_key")),
        sa.CheckConstraint(
            "source IN ('kept', 'imported')", name=op.f("ck_taxonomies_source_known")
        ),
    )
    op.create_table(
        "taxonomy_terms",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("taxonomy_id", sa.Uuid(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("parent_code", sa.Text()),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("details", JSONB(), nullable=False),
        sa.Column("source_id", sa.Text()),
        sa.Column("hsds", JSONB()),
        sa.Column("ended_on", sa.Date()),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_taxonomy_terms")),
        sa.UniqueConstraint(
            "tenant_id",
            "taxonomy_id",
            "code",
            name=op.f("uq_taxonomy_terms_tenant_id_taxonomy_id_code"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "taxonomy_id"],
            ["taxonomies.tenant_id", "taxonomies.id"],
            name=op.f("fk_taxonomy_terms_tenant_id_taxonomy_id"),
        ),
    )
    op.create_table(
        "term_crosswalks",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("term_ref", sa.Text(), nullable=False),
        sa.Column("other_ref", sa.Text(), nullable=False),
        sa.Column("relation", sa.Text(), nullable=False),
        sa.Column("note", sa.Text()),
        sa.Column("ended_on", sa.Date()),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_term_crosswalks")),
        sa.UniqueConstraint(
            "tenant_id",
            "term_ref",
            "other_ref",
            name=op.f("uq_term_crosswalks_tenant_id_term_ref_other_ref"),
        ),
        sa.CheckConstraint(
            "relation IN ('exact', 'broader', 'narrower', 'related')",
            name=op.f("ck_term_crosswalks_relation_known"),
        ),
    )
    for statement in protect(published=["taxonomies", "taxonomy_terms", "term_crosswalks"]):
        op.execute(statement)


def downgrade() -> None:
    op.drop_table("term_crosswalks")
    op.drop_table("taxonomy_terms")
    op.drop_table("taxonomies")
