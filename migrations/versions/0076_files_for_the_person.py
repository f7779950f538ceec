"""Files of a request: who may have them, staff only or the person who asked, too."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0076"
down_revision = "0075"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "attachments", sa.Column("audience", sa.Text(), server_default="staff", nullable=False)
    )
    op.create_check_constraint(
        op.f("ck_attachments_audience_known"), "attachments", "audience IN ('staff', 'person')"
    )


def downgrade() -> None:
    op.drop_constraint(op.f("ck_attachments_audience_known"), "attachments")
    op.drop_column("attachments", "audience")
