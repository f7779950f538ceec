"""Let nobody else read drafts of rules; what was approved is published, as before."""

from __future__ import annotations

from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "CREATE POLICY drafts_are_ones_own ON rule_sets AS RESTRICTIVE FOR SELECT"
        " USING (published IS NOT NULL"
        " OR tenant_id = nullif(current_setting('app.tenant', true), '')::uuid)"
    )


def downgrade() -> None:
    op.execute("DROP POLICY drafts_are_ones_own ON rule_sets")
