"""Find callers by telephone number and name, and keep what is being written in a contact."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0065"
down_revision = "0064"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "inquirers",
        sa.Column(
            "phone_key",
            sa.Text(),
            sa.Computed("right(regexp_replace(phone, '[^0-9]', '', 'g'), 10)", persisted=True),
        ),
    )
    op.add_column(
        "inquirers",
        sa.Column("name_key", sa.Text(), sa.Computed("lower(name)", persisted=True)),
    )
    for key in ("phone_key", "name_key"):
        op.create_index(
            f"ix_inquirers_{key}",
            "inquirers",
            ["tenant_id", key],
            postgresql_where=sa.text(f"{key} IS NOT NULL"),
        )
    op.create_index(
        "ix_contacts_inquirer",
        "contacts",
        ["tenant_id", "inquirer_id", "started_at"],
        postgresql_where=sa.text("inquirer_id IS NOT NULL"),
    )
    op.add_column("contacts", sa.Column("draft", JSONB()))


def downgrade() -> None:
    op.drop_column("contacts", "draft")
    op.drop_index("ix_contacts_inquirer", table_name="contacts")
    op.drop_index("ix_inquirers_name_key", table_name="inquirers")
    op.drop_index("ix_inquirers_phone_key", table_name="inquirers")
    op.drop_column("inquirers", "name_key")
    op.drop_column("inquirers", "phone_key")
