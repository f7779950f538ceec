"""Somebody is found again by their number whatever extension was written behind it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0082"
down_revision = "0081"
branch_labels = None
depends_on = None

BEFORE = "right(regexp_replace(phone, '[^0-9]', '', 'g'), 10)"
AFTER = (
    "right(regexp_replace(regexp_replace(phone,"
    " '([0-9])[^0-9[:alpha:];,#]*[[:alpha:];,#].*$', '\\1'), '[^0-9]', '', 'g'), 10)"
)


def upgrade() -> None:
    _make(AFTER)


def downgrade() -> None:
    _make(BEFORE)


def _make(expression: str) -> None:
    op.drop_index("ix_inquirers_phone_key", table_name="inquirers")
    op.drop_column("inquirers", "phone_key")
    op.add_column(
        "inquirers",
        sa.Column("phone_key", sa.Text(), sa.Computed(expression, persisted=True)),
    )
    op.create_index(
        "ix_inquirers_phone_key",
        "inquirers",
        ["tenant_id", "phone_key"],
        postgresql_where=sa.text("phone_key IS NOT NULL"),
    )
