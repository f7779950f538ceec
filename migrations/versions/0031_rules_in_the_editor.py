"""Keep drafts of rules with their edits, their tests and their backtests."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from regional311.database.protection import protect

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

_STATES = "'draft', 'published', 'retired'"
_MORE_STATES = "'draft', 'checked', 'published', 'retired', 'discarded'"


def upgrade() -> None:
    op.drop_constraint(op.f("ck_rule_sets_state_known"), "rule_sets", type_="check")
    op.drop_constraint(op.f("ck_rule_sets_draft_has_no_dates"), "rule_sets", type_="check")
    op.create_check_constraint(
        op.f("ck_rule_sets_state_known"), "rule_sets", f"state IN ({_MORE_STATES})"
    )
    op.create_check_constraint(
        op.f("ck_rule_sets_draft_has_no_dates"),
        "rule_sets",
        "(state IN ('draft', 'checked', 'discarded')) = (published IS NULL)",
    )
    for column in (
        sa.Column("cases", JSONB(), nullable=False, server_default="[]"),
        sa.Column("title", sa.Text()),
        sa.Column("based_on", sa.BigInteger()),
        sa.Column("edits", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("checked_by", sa.Uuid()),
        sa.Column("checked_at", sa.DateTime(timezone=True)),
    ):
        op.add_column("rule_sets", column)
    op.create_table(
        "rule_edits",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("rule_set_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text()),
        sa.Column("before", JSONB(), nullable=False),
        sa.Column("made_by", sa.Uuid()),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "rule_set_id"],
            ["rule_sets.tenant_id", "rule_sets.id"],
            name=op.f("fk_rule_edits_tenant_id_rule_set_id"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_rule_edits")),
        sa.UniqueConstraint(
            "tenant_id",
            "rule_set_id",
            "number",
            name=op.f("uq_rule_edits_tenant_id_rule_set_id_number"),
        ),
    )
    op.create_table(
        "backtests",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("rule_set_id", sa.Uuid(), nullable=False),
        sa.Column("rules", JSONB(), nullable=False),
        sa.Column("first_on", sa.Date(), nullable=False),
        sa.Column("until_on", sa.Date(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("total", sa.BigInteger()),
        sa.Column("done", sa.BigInteger(), nullable=False),
        sa.Column("cursor", sa.Uuid()),
        sa.Column("cursor_at", sa.DateTime(timezone=True)),
        sa.Column("result", JSONB(), nullable=False),
        sa.Column("problem", sa.Text()),
        sa.Column("asked_by", sa.Uuid()),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True)),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint(
            "state IN ('waiting', 'running', 'done', 'failed', 'stopped')",
            name=op.f("ck_backtests_state_known"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "rule_set_id"],
            ["rule_sets.tenant_id", "rule_sets.id"],
            name=op.f("fk_backtests_tenant_id_rule_set_id"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_backtests")),
    )
    op.create_index(
        op.f("ix_backtests_tenant_id_rule_set_id"), "backtests", ["tenant_id", "rule_set_id"]
    )
    op.create_index(
        "ix_backtests_waiting",
        "backtests",
        ["tenant_id", "id"],
        postgresql_where=sa.text("state IN ('waiting', 'running')"),
    )
    op.create_index(
        op.f("ix_decisions_tenant_id_decided_at_id"),
        "decisions",
        ["tenant_id", "decided_at", "id"],
    )
    for statement in protect(tenant=["backtests"], append_only=["rule_edits"]):
        op.execute(statement)


def downgrade() -> None:
    op.drop_index(op.f("ix_decisions_tenant_id_decided_at_id"), "decisions")
    op.drop_table("backtests")
    op.drop_table("rule_edits")
    op.execute("DELETE FROM rule_sets WHERE state IN ('checked', 'discarded')")
    for name in ("checked_at", "checked_by", "edits", "based_on", "title", "cases"):
        op.drop_column("rule_sets", name)
    op.drop_constraint(op.f("ck_rule_sets_state_known"), "rule_sets", type_="check")
    op.drop_constraint(op.f("ck_rule_sets_draft_has_no_dates"), "rule_sets", type_="check")
    op.create_check_constraint(
        op.f("ck_rule_sets_state_known"), "rule_sets", f"state IN ({_STATES})"
    )
    op.create_check_constraint(
        op.f("ck_rule_sets_draft_has_no_dates"),
        "rule_sets",
        "(state = 'draft') = (published IS NULL)",
    )
