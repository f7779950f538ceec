"""Link requests with each other, also across partners; let a part of one have no contact.

The previous release goes on beside it: the new column has a default, and what it writes has a
contact. The way back needs a contact of every followed request, so parts without one stop it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from regional311.database.protection import protect

revision = "0044"
down_revision = "0043"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
KINDS = "'whole', 'part', 'related', 'follows', 'precedes', 'blocks', 'blocked_by'"


def upgrade() -> None:
    op.add_column(
        "service_requests",
        sa.Column("linked", sa.BigInteger(), nullable=False, server_default="0"),
    )
    op.alter_column("followed_requests", "contact_id", nullable=True)
    op.create_table(
        "request_links",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("pair_id", sa.Uuid(), nullable=False),
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("other_tenant_id", sa.Uuid(), nullable=False),
        sa.Column("other_id", sa.Uuid(), nullable=False),
        sa.Column("other_number", sa.Text(), nullable=False),
        sa.Column("other_service_key", sa.Text(), nullable=False),
        sa.Column("other_state", sa.Text(), nullable=False),
        sa.Column("made_at", TIME, nullable=False),
        sa.Column("made_by", sa.Uuid()),
        sa.Column("ended_at", TIME),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_request_links")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "request_id"],
            ["service_requests.tenant_id", "service_requests.id"],
            name=op.f("fk_request_links_tenant_id_request_id"),
        ),
        sa.CheckConstraint(f"kind IN ({KINDS})", name=op.f("ck_request_links_kind_known")),
        sa.CheckConstraint("request_id <> other_id", name=op.f("ck_request_links_two_requests")),
    )
    op.create_index(
        "ux_request_links_one_a_pair",
        "request_links",
        ["tenant_id", "request_id", "other_id"],
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index(
        "ux_request_links_one_whole",
        "request_links",
        ["tenant_id", "request_id"],
        unique=True,
        postgresql_where=sa.text("kind = 'whole' AND ended_at IS NULL"),
    )
    op.create_index(
        op.f("ix_request_links_tenant_id_pair_id"), "request_links", ["tenant_id", "pair_id"]
    )
    for statement in protect(tenant=("request_links",)):
        op.execute(statement)


def downgrade() -> None:
    op.drop_table("request_links")
    op.alter_column("followed_requests", "contact_id", nullable=False)
    op.drop_column("service_requests", "linked")
