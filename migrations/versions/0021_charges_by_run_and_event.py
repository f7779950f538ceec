"""Know a charge by its run and its usage event alone.

Nothing ever refers to a charge by an id of its own, and nothing asks for charges but by their run.
A million charges a month are written; two of three indexes on them were half of that time.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_constraint(op.f("pk_charges"), "charges")
    op.drop_constraint(op.f("uq_charges_tenant_id_run_id_usage_event_id"), "charges")
    op.drop_index(op.f("ix_charges_tenant_id_run_id_state"), "charges")
    op.drop_column("charges", "id")
    op.create_primary_key(
        op.f("pk_charges"), "charges", ["tenant_id", "run_id", "usage_event_id"]
    )


def downgrade() -> None:
    op.drop_constraint(op.f("pk_charges"), "charges")
    op.add_column(
        "charges", sa.Column("id", sa.Uuid(), nullable=False, server_default=sa.text("uuidv7()"))
    )
    op.alter_column("charges", "id", server_default=None)
    op.create_primary_key(op.f("pk_charges"), "charges", ["tenant_id", "id"])
    op.create_unique_constraint(
        op.f("uq_charges_tenant_id_run_id_usage_event_id"),
        "charges",
        ["tenant_id", "run_id", "usage_event_id"],
    )
    op.create_index(
        op.f("ix_charges_tenant_id_run_id_state"), "charges", ["tenant_id", "run_id", "state"]
    )
