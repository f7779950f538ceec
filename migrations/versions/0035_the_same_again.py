"""Find what was reported already, say *me too*, and merge requests that are the same."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from regional311.database.protection import APPLICATION, protect

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None

_SEEN = "NOT confidential AND state NOT IN ('closed', 'merged')"

FILL = """
UPDATE service_requests SET
    place_cell = floor((latitude + 90) / 0.0025) * 144000 + floor((longitude + 180) / 0.0025),
    place_words = CASE WHEN lower(place_text) ~ '[0-9&/]|\\sand\\s'
        THEN lower(trim(regexp_replace(place_text, '\\s+', ' ', 'g'))) END
WHERE latitude IS NOT NULL OR place_text IS NOT NULL
"""

TRACKED = """
CREATE FUNCTION tracked(token bytea)
RETURNS TABLE (tenant_id uuid, request_id uuid, me_too_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT t.tenant_id, t.request_id, t.me_too_id FROM tracking_tokens t WHERE t.token_hash = token
$$
"""
TRACKED_BEFORE = """
CREATE FUNCTION tracked(token bytea) RETURNS TABLE (tenant_id uuid, request_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT t.tenant_id, t.request_id FROM tracking_tokens t WHERE t.token_hash = token
$$
"""


def upgrade() -> None:
    op.add_column(
        "service_requests",
        sa.Column("me_too", sa.BigInteger(), nullable=False, server_default="0"),
    )
    op.add_column("service_requests", sa.Column("merged_into_id", sa.Uuid()))
    op.create_foreign_key(
        op.f("fk_service_requests_tenant_id_merged_into_id"),
        "service_requests",
        "service_requests",
        ["tenant_id", "merged_into_id"],
        ["tenant_id", "id"],
    )
    op.create_index(
        "ix_service_requests_merged",
        "service_requests",
        ["tenant_id", "merged_into_id"],
        postgresql_where=sa.text("merged_into_id IS NOT NULL"),
    )
    # Under row security an index serves only what cannot tell of rows one may not see, such as
    # equality of integers and texts; comparing decimals and lower() are not among them.
    op.add_column("service_requests", sa.Column("place_cell", sa.BigInteger()))
    op.add_column("service_requests", sa.Column("place_words", sa.Text()))
    op.execute("ALTER TABLE service_requests NO FORCE ROW LEVEL SECURITY")
    op.execute(FILL)
    op.execute("ALTER TABLE service_requests FORCE ROW LEVEL SECURITY")
    for name, column in (("near", "place_cell"), ("said", "place_words")):
        op.create_index(
            f"ix_service_requests_{name}",
            "service_requests",
            ["tenant_id", "service_key", column],
            postgresql_where=sa.text(f"{column} IS NOT NULL AND {_SEEN}"),
        )
    op.create_table(
        "me_toos",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("intake_tenant_id", sa.Uuid(), nullable=False),
        sa.Column("need_id", sa.Uuid()),
        sa.Column("source_key", sa.Text(), nullable=False),
        sa.Column("email", sa.Text()),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("token", sa.Text()),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.ForeignKeyConstraint(
            ["tenant_id", "request_id"],
            ["service_requests.tenant_id", "service_requests.id"],
            name=op.f("fk_me_toos_tenant_id_request_id"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_me_toos")),
        sa.UniqueConstraint(
            "tenant_id", "source_key", name=op.f("uq_me_toos_tenant_id_source_key")
        ),
    )
    op.create_index(op.f("ix_me_toos_tenant_id_request_id"), "me_toos", ["tenant_id", "request_id"])
    for statement in protect(tenant=["me_toos"]):
        op.execute(statement)
    op.add_column("tracking_tokens", sa.Column("me_too_id", sa.Uuid()))
    _replace_tracked(TRACKED)


def downgrade() -> None:
    _replace_tracked(TRACKED_BEFORE)
    op.execute("DELETE FROM tracking_tokens WHERE me_too_id IS NOT NULL")
    op.drop_column("tracking_tokens", "me_too_id")
    op.drop_table("me_toos")
    for name in ("said", "near", "merged"):
        op.drop_index(f"ix_service_requests_{name}", "service_requests")
    for column in ("place_words", "place_cell", "merged_into_id"):
        op.drop_column("service_requests", column)
    op.drop_column("service_requests", "me_too")


def _replace_tracked(definition: str) -> None:
    op.execute("DROP FUNCTION tracked(bytea)")
    op.execute(definition)
    op.execute("REVOKE ALL ON FUNCTION tracked(bytea) FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION tracked(bytea) TO {APPLICATION}")
