"""Let a later save of a draft supersede the one before it, and publish one version at a time."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

STATE = "ck_content_versions_state_known"
BEFORE = "state IN ('draft', 'reviewed', 'published', 'retired', 'discarded')"
NOW = "state IN ('draft', 'reviewed', 'published', 'retired', 'discarded', 'superseded')"


def upgrade() -> None:
    op.drop_constraint(op.f(STATE), "content_versions")
    op.create_check_constraint(op.f(STATE), "content_versions", NOW)
    op.create_index(
        "uq_content_versions_published",
        "content_versions",
        ["tenant_id", "kind", "key"],
        unique=True,
        postgresql_where=sa.text("state = 'published'"),
    )


def downgrade() -> None:
    op.drop_index("uq_content_versions_published", "content_versions")
    # forced row security would hide every row from the owner, who updates all partners' rows here
    op.execute("ALTER TABLE content_versions NO FORCE ROW LEVEL SECURITY")
    op.execute("UPDATE content_versions SET state = 'discarded' WHERE state = 'superseded'")
    op.execute("ALTER TABLE content_versions FORCE ROW LEVEL SECURITY")
    op.drop_constraint(op.f(STATE), "content_versions")
    op.create_check_constraint(op.f(STATE), "content_versions", BEFORE)
