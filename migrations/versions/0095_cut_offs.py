"""The latest cut-off at which a partner's prices, pools and bases were read or changed.

Runs that were made before go on as the latest of them says.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from regional311.database.protection import protect

revision = "0095"
down_revision = "0094"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "cut_offs",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("latest", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_cut_offs")),
    )
    op.execute("ALTER TABLE rating_runs NO FORCE ROW LEVEL SECURITY")
    op.execute(
        "INSERT INTO cut_offs SELECT tenant_id, max(least(stored_before, run_at))"
        " FROM rating_runs GROUP BY tenant_id"
    )
    op.execute("ALTER TABLE rating_runs FORCE ROW LEVEL SECURITY")
    for statement in protect(tenant=["cut_offs"]):
        op.execute(statement)


def downgrade() -> None:
    op.drop_table("cut_offs")
