"""Keep which deciding rules cannot do what they say any more, so that it is told of once."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from regional311.database.protection import protect

revision = "0073"
down_revision = "0072"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "rule_alerts",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("rule_set_id", sa.Uuid(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("told", sa.BigInteger(), nullable=False),
        sa.Column("found_at", TIME, nullable=False),
        sa.Column("gone_at", TIME),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_rule_alerts")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "rule_set_id"],
            ["rule_sets.tenant_id", "rule_sets.id"],
            name=op.f("fk_rule_alerts_tenant_id_rule_set_id"),
        ),
    )
    op.create_index(
        "uq_rule_alerts_open",
        "rule_alerts",
        ["tenant_id", "rule_set_id", "rule", "code", "message"],
        unique=True,
        postgresql_where=sa.text("gone_at IS NULL"),
    )
    for statement in protect(tenant=["rule_alerts"]):
        op.execute(statement)


def downgrade() -> None:
    op.drop_table("rule_alerts")
