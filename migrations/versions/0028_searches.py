"""Keep what was searched for, find in other languages, and names and callers' words first."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TSVECTOR

from regional311.database.protection import protect

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


MEANS = (
    "ALTER TABLE synonyms ALTER COLUMN means_stems SET EXPRESSION AS (search_stems({}, means_words))"
)


def upgrade() -> None:
    op.add_column("synonyms", sa.Column("means_language", sa.Text()))
    op.execute(MEANS.format("coalesce(means_language, language)"))
    op.add_column(
        "search_documents",
        sa.Column(
            "strong",
            TSVECTOR(),
            sa.Computed("ts_filter(words, '{a,b}'::\"char\"[])", persisted=True),
            nullable=False,
        ),
    )
    op.create_index(
        op.f("ix_search_documents_strong"),
        "search_documents",
        ["strong"],
        postgresql_using="gin",
        postgresql_with={"fastupdate": "off"},
    )
    op.create_index(
        op.f("ix_contacts_tenant_id_specialist_id_started_at"),
        "contacts",
        ["tenant_id", "specialist_id", "started_at"],
    )
    op.create_table(
        "searches",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("door", sa.Text(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("results", sa.BigInteger(), nullable=False),
        sa.Column("chosen", sa.Text()),
        sa.Column("set_aside_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_searches")),
        sa.CheckConstraint("door IN ('desk', 'public')", name=op.f("ck_searches_door_known")),
    )
    op.create_index(op.f("ix_searches_tenant_id_at"), "searches", ["tenant_id", "at"])
    op.create_index(
        op.f("ix_searches_tenant_id_words_at"), "searches", ["tenant_id", "words", "at"]
    )
    for statement in protect(tenant=["searches"]):
        op.execute(statement)


def downgrade() -> None:
    op.drop_table("searches")
    op.drop_index(op.f("ix_contacts_tenant_id_specialist_id_started_at"), "contacts")
    op.drop_column("search_documents", "strong")
    op.execute(MEANS.format("language"))
    op.drop_column("synonyms", "means_language")
