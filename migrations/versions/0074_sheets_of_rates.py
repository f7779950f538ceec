"""Keep spreadsheets of rates until the worker has read them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from regional311.database.protection import protect

revision = "0074"
down_revision = "0073"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "rate_sheets",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.LargeBinary()),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("rows_read", sa.BigInteger(), nullable=False),
        sa.Column("rows_known", sa.BigInteger()),
        sa.Column("errors", JSONB(), nullable=False),
        sa.Column("problem", sa.Text()),
        sa.Column("proposal_id", sa.Uuid()),
        sa.Column("sent_by", sa.Uuid()),
        sa.Column("sent_at", TIME, nullable=False),
        sa.Column("seen_at", TIME),
        sa.Column("ended_at", TIME),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_rate_sheets")),
        sa.CheckConstraint(
            "state IN ('waiting', 'reading', 'drafted', 'same', 'broken', 'refused')",
            name=op.f("ck_rate_sheets_state_known"),
        ),
    )
    op.create_index(op.f("ix_rate_sheets_tenant_id_state"), "rate_sheets", ["tenant_id", "state"])
    for statement in protect(tenant=["rate_sheets"]):
        op.execute(statement)


def downgrade() -> None:
    op.drop_table("rate_sheets")
