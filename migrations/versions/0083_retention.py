"""What was erased when its time was up: marks on the records, counts, and what finds the rest."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from regional311.database.protection import protect

revision = "0083"
down_revision = "0082"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
MARKED = ("contacts", "service_requests", "referrals")
INDEXES = (
    ("ix_contacts_kept", "contacts", "started_at", "ended_at IS NOT NULL AND erased_at IS NULL"),
    (
        "ix_service_requests_kept",
        "service_requests",
        "opened_at",
        "state IN ('closed', 'merged') AND erased_at IS NULL",
    ),
    (
        "ix_service_requests_inquirer",
        "service_requests",
        "inquirer_id",
        "inquirer_id IS NOT NULL",
    ),
    (
        "ix_referrals_kept",
        "referrals",
        "sent_at",
        "state NOT IN ('draft', 'requested', 'accepted', 'in_progress', 'on_hold')"
        " AND erased_at IS NULL",
    ),
    ("ix_inquirers_kept", "inquirers", "retain_until", "erased_at IS NULL"),
    (
        "ix_outbox_messages_kept",
        "outbox_messages",
        "created_at",
        "state IN ('sent', 'aside', 'withdrawn', 'gathered') AND recipient <> ''",
    ),
    (
        "ix_envelopes_personal",
        "envelopes",
        "sent_at",
        "kind IN ('referral', 'request', 'request_status', 'referral_message')",
    ),
)

FORGET_ATTEMPT_NOTES = """
CREATE FUNCTION forget_attempt_notes(follow_ups uuid[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE follow_up_attempts SET note = NULL
    WHERE tenant_id = nullif(current_setting('app.tenant', true), '')::uuid
    AND follow_up_id = ANY (follow_ups) AND note IS NOT NULL
$$
"""
FORGET_SESSIONS = """
CREATE FUNCTION forget_sessions(before timestamptz, most integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH attempts AS (
        DELETE FROM sign_in_attempts WHERE (digest, window_at) IN (
            SELECT a.digest, a.window_at FROM sign_in_attempts a WHERE a.window_at < before
            LIMIT most FOR UPDATE SKIP LOCKED
        )
    ), sessions AS (
        DELETE FROM sign_in_sessions WHERE token_hash IN (
            SELECT s.token_hash FROM sign_in_sessions s WHERE s.expires_at < before
            LIMIT most FOR UPDATE SKIP LOCKED
        ) RETURNING 1
    )
    SELECT count(*) FROM sessions
$$
"""
FUNCTIONS = ("forget_attempt_notes(uuid[])", "forget_sessions(timestamptz, integer)")


def upgrade() -> None:
    for table in MARKED:
        op.add_column(table, sa.Column("erased_at", TIME))
    for name, table, column, where in INDEXES:
        op.create_index(name, table, ["tenant_id", column], postgresql_where=sa.text(where))
    op.create_table(
        "erasures",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("by_id", sa.Uuid()),
        sa.Column("reason", sa.Text()),
        sa.Column("last_at", TIME),
        sa.Column("last_id", sa.Uuid()),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_erasures")),
        sa.CheckConstraint("count > 0", name=op.f("ck_erasures_something")),
        sa.CheckConstraint(
            "(kind = 'person') = (reason IS NOT NULL)", name=op.f("ck_erasures_person_has_reason")
        ),
    )
    op.create_index(op.f("ix_erasures_tenant_id_kind_at"), "erasures", ["tenant_id", "kind", "at"])
    for statement in protect(append_only=["erasures"]):
        op.execute(statement)
    op.execute(FORGET_ATTEMPT_NOTES)
    op.execute(FORGET_SESSIONS)
    for function in FUNCTIONS:
        op.execute(f"REVOKE ALL ON FUNCTION {function} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION {function} TO regional311_app")


def downgrade() -> None:
    for function in FUNCTIONS:
        op.execute(f"DROP FUNCTION {function}")
    op.drop_table("erasures")
    for name, table, _column, _where in INDEXES:
        op.drop_index(name, table)
    for table in MARKED:
        op.drop_column(table, "erased_at")
