"""Show services whose requests are confidential: no query asks for these apart any more."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_services_confidential", "services")


def downgrade() -> None:
    op.create_index(
        "ix_services_confidential",
        "services",
        ["tenant_id", "id"],
        postgresql_where=sa.text("confidential"),
    )
