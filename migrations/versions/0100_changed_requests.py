"""Programs that ask for what changed since they asked last find it without reading all there is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0100"
down_revision = "0099"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_service_requests_updated",
        "service_requests",
        ["tenant_id", "updated_at"],
        postgresql_where=sa.text("NOT confidential"),
    )


def downgrade() -> None:
    op.drop_index("ix_service_requests_updated", table_name="service_requests")
