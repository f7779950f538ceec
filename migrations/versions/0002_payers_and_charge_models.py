"""Let bureaus and outside bodies pay, and rates charge by more than the unit."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

PAYER_KIND = "payer_kind IN ('partner', 'bureau', 'outside')"


def add(table: str, column: str, kind: sa.types.TypeEngine, value: str) -> None:
    """Add a column that is never empty; the rows that are there get `value`."""
    op.add_column(table, sa.Column(column, kind, nullable=False, server_default=sa.text(value)))
    op.alter_column(table, column, server_default=None)


def upgrade() -> None:
    for table in ("agreements", "charges", "statements"):
        add(table, "payer_kind", sa.Text(), "'partner'")
        op.add_column(table, sa.Column("payer_key", sa.Text()))
    op.drop_constraint(op.f("ck_agreements_two_parties"), "agreements")
    for name, rule in {
        "payer_kind_known": PAYER_KIND,
        "own_payers_are_no_partner": "(payer_kind = 'partner') = (provider_id <> payer_id)",
        "payer_key_fits": "CASE payer_kind WHEN 'partner' THEN payer_key IS NULL"
        " WHEN 'outside' THEN payer_key IS NOT NULL ELSE true END",
    }.items():
        op.create_check_constraint(op.f(f"ck_agreements_{name}"), "agreements", rule)
    add("rates", "model", sa.Text(), "'unit'")
    op.add_column("rates", sa.Column("steps", JSONB()))
    add("rates", "surcharges", JSONB(), "'[]'")
    add("rates", "phases", JSONB(), "'[]'")
    op.create_check_constraint(
        op.f("ck_rates_model_known"),
        "rates",
        "model IN ('unit', 'graduated', 'volume', 'package', 'percentage')",
    )
    op.create_check_constraint(
        op.f("ck_rates_steps_fit_the_model"), "rates", "(model = 'unit') = (steps IS NULL)"
    )
    add("statements", "kind", sa.Text(), "'bill'")
    op.create_check_constraint(
        op.f("ck_statements_kind_known"),
        "statements",
        "kind IN ('bill', 'correction', 'true_up', 'credit_memo', 'debit_memo')",
    )
    op.create_check_constraint(
        op.f("ck_statements_payer_kind_known"), "statements", PAYER_KIND
    )
    op.add_column("statements", sa.Column("corrects_id", sa.Uuid()))
    # forced row security would hide every row from the owner and change none, silently
    op.add_column("statement_lines", sa.Column("service_period", sa.Text()))
    op.execute("ALTER TABLE statement_lines NO FORCE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE statements NO FORCE ROW LEVEL SECURITY")
    op.execute(
        "UPDATE statement_lines l SET service_period = s.period_key FROM statements s"
        " WHERE s.tenant_id = l.tenant_id AND s.id = l.statement_id"
    )
    op.execute("ALTER TABLE statement_lines FORCE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE statements FORCE ROW LEVEL SECURITY")
    op.alter_column("statement_lines", "service_period", nullable=False)
    op.alter_column("statement_items", "price", nullable=True)


def downgrade() -> None:
    op.alter_column("statement_items", "price", nullable=False)
    op.drop_column("statement_lines", "service_period")
    op.drop_column("statements", "corrects_id")
    for table, column in (("statements", "kind"), ("rates", "phases"), ("rates", "surcharges")):
        op.drop_column(table, column)
    op.drop_constraint(op.f("ck_rates_steps_fit_the_model"), "rates")
    op.drop_column("rates", "steps")
    op.drop_column("rates", "model")
    for name in ("payer_key_fits", "own_payers_are_no_partner", "payer_kind_known"):
        op.drop_constraint(op.f(f"ck_agreements_{name}"), "agreements")
    for table in ("agreements", "charges", "statements"):
        op.drop_column(table, "payer_key")
        op.drop_column(table, "payer_kind")
    op.create_check_constraint(
        op.f("ck_agreements_two_parties"), "agreements", "provider_id <> payer_id"
    )
