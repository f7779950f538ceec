"""Keep articles, and the day on which what a service says was published."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from regional311.database.protection import protect

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("services", sa.Column("updated_on", sa.Date()))
    op.create_table(
        "articles",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("services", ARRAY(sa.Text()), nullable=False),
        sa.Column("public", sa.Boolean(), nullable=False),
        sa.Column("valid_from", sa.Date()),
        sa.Column("valid_to", sa.Date()),
        sa.Column("details", JSONB(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("updated_on", sa.Date(), nullable=False),
        sa.Column("ended_on", sa.Date()),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_articles")),
        sa.UniqueConstraint("tenant_id", "key", name=op.f("uq_articles_tenant_id_key")),
        sa.CheckConstraint(
            "kind IN ('answer', 'script', 'notice')", name=op.f("ck_articles_kind_known")
        ),
    )
    op.create_index(
        op.f("ix_articles_services"), "articles", ["services"], postgresql_using="gin"
    )
    for statement in protect(published=["articles"]):
        op.execute(statement)


def downgrade() -> None:
    op.drop_table("articles")
    op.drop_column("services", "updated_on")
