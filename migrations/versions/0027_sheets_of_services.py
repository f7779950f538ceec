"""Keep a spreadsheet of services between its dry run and its application."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from regional311.database.protection import protect

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "sheet_uploads",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("sheet", JSONB(), nullable=False),
        sa.Column("made_by", sa.Uuid()),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("applied_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_sheet_uploads")),
    )
    for statement in protect(tenant=["sheet_uploads"]):
        op.execute(statement)


def downgrade() -> None:
    op.drop_table("sheet_uploads")
