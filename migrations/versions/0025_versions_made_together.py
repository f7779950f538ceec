"""Say which versions were made together, so that a sheet or a bulk edit can be undone."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

INDEX = "ix_content_versions_tenant_id_batch"


def upgrade() -> None:
    op.add_column("content_versions", sa.Column("batch", sa.Uuid()))
    op.create_index(op.f(INDEX), "content_versions", ["tenant_id", "batch"])


def downgrade() -> None:
    op.drop_index(op.f(INDEX), "content_versions")
    op.drop_column("content_versions", "batch")
