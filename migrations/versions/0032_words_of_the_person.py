"""Hear what the person says by the link of their request, and whether it helped."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

COLUMNS = (
    ("heard_at", sa.DateTime(timezone=True)),
    ("helped", sa.Text()),
    ("helped_words", sa.Text()),
    ("helped_at", sa.DateTime(timezone=True)),
)


def upgrade() -> None:
    for name, kind in COLUMNS:
        op.add_column("service_requests", sa.Column(name, kind))
    op.create_check_constraint(
        op.f("ck_service_requests_helped_known"),
        "service_requests",
        "helped IN ('yes', 'partly', 'no')",
    )
    op.create_index(
        "ix_service_requests_heard",
        "service_requests",
        ["tenant_id", "opened_at", "id"],
        postgresql_where=sa.text("heard_at IS NOT NULL"),
    )
    op.add_column(
        "request_notes",
        sa.Column("from_person", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.alter_column("request_notes", "from_person", server_default=None)


def downgrade() -> None:
    op.drop_column("request_notes", "from_person")
    op.drop_index("ix_service_requests_heard", "service_requests")
    for name, _kind in COLUMNS:
        op.drop_column("service_requests", name)
