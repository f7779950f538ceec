"""Let a live hand-over name the consent it rests on, so that it ends with it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0045"
down_revision = "0044"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
COLUMNS = (
    ("consent_id", sa.Uuid()),
    ("told", sa.Text()),
    ("consent_ended", sa.Text()),
    ("consent_ended_at", TIME),
    ("stop_seen_at", TIME),
    ("stop_seen_by", sa.Uuid()),
)


def upgrade() -> None:
    for name, kind in COLUMNS:
        op.add_column("handovers", sa.Column(name, kind))
    op.create_index(
        "ix_handovers_to_stop",
        "handovers",
        ["tenant_id", "consent_ended_at"],
        postgresql_where=sa.text("consent_ended_at IS NOT NULL AND stop_seen_at IS NULL"),
    )
    op.create_index(
        "ix_handovers_consent",
        "handovers",
        ["tenant_id", "consent_id"],
        postgresql_where=sa.text("consent_id IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_handovers_consent", "handovers")
    op.drop_index("ix_handovers_to_stop", "handovers")
    for name, _kind in reversed(COLUMNS):
        op.drop_column("handovers", name)
