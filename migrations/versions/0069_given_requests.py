"""Find who was given requests lately without reading what else was done."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0069"
down_revision = "0068"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_audit_events_given",
        "audit_events",
        ["tenant_id", "at"],
        postgresql_where=sa.text("action = 'request:assign'"),
    )


def downgrade() -> None:
    op.drop_index("ix_audit_events_given", table_name="audit_events")
