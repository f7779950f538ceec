"""Find what is confidential without reading every service."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_services_confidential",
        "services",
        ["tenant_id", "id"],
        postgresql_where=sa.text("confidential"),
    )


def downgrade() -> None:
    op.drop_index("ix_services_confidential", "services")
