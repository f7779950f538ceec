"""Hand a request on to the partner whose it is, with the way that it took.

The previous release goes on beside it: what is handed on looks closed to it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from regional311.database.protection import protect

revision = "0052"
down_revision = "0051"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("handed_to_id", "handed_from_id"):
        op.add_column("service_requests", sa.Column(name, sa.Uuid()))
    op.create_table(
        "request_handings",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("from_id", sa.Uuid(), nullable=False),
        sa.Column("to_id", sa.Uuid(), nullable=False),
        sa.Column("how", sa.Text(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_request_handings")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "request_id"],
            ["service_requests.tenant_id", "service_requests.id"],
            name=op.f("fk_request_handings_tenant_id_request_id"),
        ),
        sa.CheckConstraint(
            "how IN ('handed', 'sent_back')", name=op.f("ck_request_handings_how_known")
        ),
    )
    op.create_index(
        op.f("ix_request_handings_tenant_id_request_id_at"),
        "request_handings",
        ["tenant_id", "request_id", "at"],
    )
    for statement in protect(tenant=("request_handings",)):
        op.execute(statement)


def downgrade() -> None:
    op.drop_table("request_handings")
    for name in ("handed_from_id", "handed_to_id"):
        op.drop_column("service_requests", name)
