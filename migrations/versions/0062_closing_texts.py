"""Keep texts for closing requests beside the templates of answers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0062"
down_revision = "0061"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "answer_templates", sa.Column("purpose", sa.Text(), nullable=False, server_default="answer")
    )
    op.add_column("answer_templates", sa.Column("service_key", sa.Text()))
    op.add_column("answer_templates", sa.Column("resolution", sa.Text()))
    op.create_check_constraint(
        op.f("ck_answer_templates_purpose_known"),
        "answer_templates",
        "(purpose = 'answer' AND service_key IS NULL AND resolution IS NULL)"
        " OR (purpose = 'closing' AND channel IS NULL)",
    )


def downgrade() -> None:
    op.execute("ALTER TABLE answer_templates NO FORCE ROW LEVEL SECURITY")
    op.execute("DELETE FROM answer_templates WHERE purpose = 'closing'")
    op.execute("ALTER TABLE answer_templates FORCE ROW LEVEL SECURITY")
    op.drop_constraint(
        op.f("ck_answer_templates_purpose_known"), "answer_templates", type_="check"
    )
    op.drop_column("answer_templates", "resolution")
    op.drop_column("answer_templates", "service_key")
    op.drop_column("answer_templates", "purpose")
