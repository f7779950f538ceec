"""Let programs use a partner's interfaces, and keep what the public was told of a request."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

from regional311.database.protection import protect

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "api_clients",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("key_hash", sa.LargeBinary(), nullable=False),
        sa.Column("key_end", sa.Text(), nullable=False),
        sa.Column("scopes", ARRAY(sa.Text()), nullable=False),
        sa.Column("a_minute", sa.BigInteger(), nullable=False),
        sa.Column("made_by", sa.Uuid()),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True)),
        sa.Column("minute_at", sa.DateTime(timezone=True)),
        sa.Column("minute_calls", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_api_clients")),
        sa.UniqueConstraint("tenant_id", "key_hash", name=op.f("uq_api_clients_tenant_id_key_hash")),
        sa.UniqueConstraint("tenant_id", "name", name=op.f("uq_api_clients_tenant_id_name")),
    )
    op.create_table(
        "request_updates",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("message", sa.Text()),
        sa.Column("client_id", sa.Uuid()),
        sa.Column("client_key", sa.Text()),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_request_updates")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "request_id"],
            ["service_requests.tenant_id", "service_requests.id"],
            name=op.f("fk_request_updates_tenant_id_request_id"),
        ),
        sa.UniqueConstraint(
            "tenant_id",
            "client_id",
            "client_key",
            name=op.f("uq_request_updates_tenant_id_client_id_client_key"),
        ),
    )
    op.create_index(
        op.f("ix_request_updates_tenant_id_at_id"), "request_updates", ["tenant_id", "at", "id"]
    )
    op.create_index(
        op.f("ix_request_updates_tenant_id_request_id_id"),
        "request_updates",
        ["tenant_id", "request_id", "id"],
    )
    for statement in protect(tenant=["api_clients", "request_updates"]):
        op.execute(statement)


def downgrade() -> None:
    op.drop_table("request_updates")
    op.drop_table("api_clients")
