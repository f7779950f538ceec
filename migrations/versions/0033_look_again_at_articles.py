"""Look again at articles and organisations, and take suggestions about them.

While the previous release still runs, its reminders wait: the column that it names has another
name. It does no harm; what is due is told of by this release.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

_KINDS = {
    "keepers": ("'service', 'bureau'", "'service', 'bureau', 'article', 'organization'"),
    "suggestions": ("'service', 'location'", "'service', 'location', 'article', 'organization'"),
}


def upgrade() -> None:
    for table in ("articles", "organizations"):
        op.add_column(table, sa.Column("verified_on", sa.Date()))
        op.add_column(table, sa.Column("review_on", sa.Date()))
    for table, (_before, after) in _KINDS.items():
        _allow(table, after)
    op.drop_constraint(
        op.f("fk_review_reminders_tenant_id_service_id"), "review_reminders", type_="foreignkey"
    )
    _rename("service_id", "subject_id")
    op.add_column(
        "review_reminders",
        sa.Column("subject_kind", sa.Text(), nullable=False, server_default="service"),
    )
    op.alter_column("review_reminders", "subject_kind", server_default=None)
    op.drop_constraint(
        op.f("uq_review_reminders_tenant_id_service_id_due_on"), "review_reminders", type_="unique"
    )
    op.create_unique_constraint(
        op.f("uq_review_reminders_tenant_id_subject_kind_subject_id_due_on"),
        "review_reminders",
        ["tenant_id", "subject_kind", "subject_id", "due_on"],
    )


def downgrade() -> None:
    for table in ("keepers", "suggestions"):
        op.execute(f"DELETE FROM {table} WHERE subject_kind IN ('article', 'organization')")  # noqa: S608
    op.execute("DELETE FROM review_reminders WHERE subject_kind <> 'service'")
    op.drop_constraint(
        op.f("uq_review_reminders_tenant_id_subject_kind_subject_id_due_on"),
        "review_reminders",
        type_="unique",
    )
    op.drop_column("review_reminders", "subject_kind")
    _rename("subject_id", "service_id")
    op.create_unique_constraint(
        op.f("uq_review_reminders_tenant_id_service_id_due_on"),
        "review_reminders",
        ["tenant_id", "service_id", "due_on"],
    )
    op.create_foreign_key(
        op.f("fk_review_reminders_tenant_id_service_id"),
        "review_reminders",
        "services",
        ["tenant_id", "service_id"],
        ["tenant_id", "id"],
    )
    for table, (before, _after) in _KINDS.items():
        _allow(table, before)
    for table in ("articles", "organizations"):
        op.drop_column(table, "review_on")
        op.drop_column(table, "verified_on")


def _rename(old: str, new: str) -> None:
    op.alter_column("review_reminders", old, new_column_name=new)
    op.execute(
        f"ALTER TABLE review_reminders RENAME CONSTRAINT review_reminders_{old}_not_null"
        f" TO review_reminders_{new}_not_null"
    )


def _allow(table: str, kinds: str) -> None:
    name = op.f(f"ck_{table}_subject_known")
    op.drop_constraint(name, table, type_="check")
    op.create_check_constraint(name, table, f"subject_kind IN ({kinds})")
