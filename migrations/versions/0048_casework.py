"""Tags, saved views and changes of many requests; a note that is taken back.

The previous release goes on beside it: it knows none of this, and what it writes has no need of it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from regional311.database.protection import protect

revision = "0048"
down_revision = "0047"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
TABLES = ("request_tags", "saved_views", "default_views", "bulk_changes", "bulk_rows")


def upgrade() -> None:
    op.add_column("request_notes", sa.Column("withdrawn_at", TIME))
    op.create_index(
        "ix_service_requests_assignee",
        "service_requests",
        ["tenant_id", "assignee_id", "state", "opened_at", "id"],
        postgresql_where=sa.text("assignee_id IS NOT NULL"),
    )
    _tags_and_views()
    _bulk()
    for statement in protect(tenant=TABLES):
        op.execute(statement)


def _tags_and_views() -> None:
    op.create_table(
        "request_tags",
        *_key("request_tags"),
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("tag", sa.Text(), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("by_id", sa.Uuid()),
        sa.Column("removed_at", TIME),
        sa.ForeignKeyConstraint(
            ["tenant_id", "request_id"],
            ["service_requests.tenant_id", "service_requests.id"],
            name=op.f("fk_request_tags_tenant_id_request_id"),
        ),
    )
    op.create_index(
        "ux_request_tags_once",
        "request_tags",
        ["tenant_id", "request_id", "tag"],
        unique=True,
        postgresql_where=sa.text("removed_at IS NULL"),
    )
    op.create_index(
        "ix_request_tags_tag",
        "request_tags",
        ["tenant_id", "tag", "request_id"],
        postgresql_where=sa.text("removed_at IS NULL"),
    )
    op.create_table(
        "saved_views",
        *_key("saved_views"),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        sa.Column("shared", sa.Boolean(), nullable=False),
        sa.Column("made_at", TIME, nullable=False),
        sa.Column("ended_at", TIME),
    )
    op.create_index(
        "ux_saved_views_name",
        "saved_views",
        ["tenant_id", "person_id", "name"],
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_table(
        "default_views",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("view_id", sa.Uuid()),
        sa.PrimaryKeyConstraint("tenant_id", "person_id", name=op.f("pk_default_views")),
    )


def _bulk() -> None:
    op.create_table(
        "bulk_changes",
        *_key("bulk_changes"),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("wanted", JSONB(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("made_at", TIME, nullable=False),
        sa.Column("ended_at", TIME),
        sa.Column("undo_until", TIME),
        sa.Column("undone_at", TIME),
        sa.CheckConstraint(
            "state IN ('waiting', 'running', 'done', 'undoing', 'undone')",
            name=op.f("ck_bulk_changes_state_known"),
        ),
    )
    op.create_index(
        "ix_bulk_changes_under_way",
        "bulk_changes",
        ["tenant_id", "id"],
        postgresql_where=sa.text("state IN ('waiting', 'running', 'undoing')"),
    )
    op.create_index(
        op.f("ix_bulk_changes_tenant_id_person_id_made_at"),
        "bulk_changes",
        ["tenant_id", "person_id", "made_at"],
    )
    op.create_table(
        "bulk_rows",
        *_key("bulk_rows"),
        sa.Column("bulk_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("why", sa.Text()),
        sa.Column("before", JSONB()),
        sa.Column("version", sa.BigInteger()),
        sa.Column("at", TIME),
        sa.ForeignKeyConstraint(
            ["tenant_id", "bulk_id"],
            ["bulk_changes.tenant_id", "bulk_changes.id"],
            name=op.f("fk_bulk_rows_tenant_id_bulk_id"),
        ),
        sa.UniqueConstraint(
            "tenant_id",
            "bulk_id",
            "position",
            name=op.f("uq_bulk_rows_tenant_id_bulk_id_position"),
        ),
        sa.CheckConstraint(
            "result IN ('waiting', 'changed', 'refused', 'undone', 'kept')",
            name=op.f("ck_bulk_rows_result_known"),
        ),
    )
    op.create_index(
        op.f("ix_bulk_rows_tenant_id_bulk_id_result_position"),
        "bulk_rows",
        ["tenant_id", "bulk_id", "result", "position"],
    )


def _key(table: str) -> tuple[sa.Column, sa.Column, sa.PrimaryKeyConstraint]:
    return (
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f(f"pk_{table}")),
    )


def downgrade() -> None:
    for table in ("bulk_rows", "bulk_changes", "default_views", "saved_views", "request_tags"):
        op.drop_table(table)
    op.drop_index("ix_service_requests_assignee", "service_requests")
    op.drop_column("request_notes", "withdrawn_at")
