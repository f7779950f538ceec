"""Close the loop: what was said of needs, follow-ups, reminders, the person's own code, consent's end.

The previous release goes on beside it: columns are nullable or have a default.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from regional311.database.protection import APPLICATION, protect

revision = "0043"
down_revision = "0042"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
TENANT = ("follow_ups", "person_links")
APPEND_ONLY = ("need_statements", "follow_up_attempts", "referral_reminders")
COLUMNS = {
    "consents": (
        ("expired_at", TIME),
        ("words", sa.Text()),
        ("recorded_by", sa.Uuid()),
    ),
    "referrals": (
        ("heard_at", TIME),
        ("use_until", TIME),
        ("consent_ended", sa.Text()),
        ("consent_ended_at", TIME),
        ("stop_seen_at", TIME),
        ("stop_seen_by", sa.Uuid()),
        ("code_hash", sa.LargeBinary()),
    ),
}
PROHIBITED = (
    "NOT contact_prohibited OR NOT"
    " (safe_to_call OR may_leave_message OR wants_updates OR may_follow_up)"
)
PARTIAL = (
    (
        "ix_needs_without_outcome",
        "needs",
        ["tenant_id", "created_at", "id"],
        "status IN ('open', 'referred', 'unknown')",
    ),
    (
        "ix_consents_running",
        "consents",
        ["tenant_id", "expires_at"],
        "revoked_at IS NULL AND expired_at IS NULL",
    ),
    (
        "ix_referrals_code_hash",
        "referrals",
        ["tenant_id", "code_hash"],
        "code_hash IS NOT NULL",
    ),
    (
        "ix_referrals_to_stop",
        "referrals",
        ["tenant_id", "consent_ended_at"],
        "consent_ended_at IS NOT NULL AND stop_seen_at IS NULL",
    ),
)
PERSON_CODE = """
CREATE FUNCTION person_code(code bytea) RETURNS TABLE (tenant_id uuid, contact_id uuid)
LANGUAGE sql STABLE AS $$
    SELECT c.tenant_id, c.contact_id FROM person_codes c WHERE c.code_hash = code
$$
"""


def upgrade() -> None:
    for name in ("may_follow_up", "contact_prohibited"):
        op.add_column(
            "inquirers",
            sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.text("false")),
        )
    op.create_check_constraint(
        op.f("ck_inquirers_prohibited_is_prohibited"), "inquirers", PROHIBITED
    )
    for table, columns in COLUMNS.items():
        for name, kind in columns:
            op.add_column(table, sa.Column(name, kind))
    op.add_column(
        "consents", sa.Column("purpose", sa.Text(), nullable=False, server_default="referral")
    )
    for name, table, columns, where in PARTIAL:
        op.create_index(name, table, columns, postgresql_where=sa.text(where))
    _tables()
    for statement in protect(tenant=TENANT, append_only=APPEND_ONLY):
        op.execute(statement)
    op.execute(f"GRANT INSERT ON person_codes TO {APPLICATION}")
    op.execute(PERSON_CODE)
    op.execute(
        "ALTER FUNCTION person_code(bytea) SECURITY DEFINER SET search_path = public, pg_temp"
    )
    op.execute("REVOKE ALL ON FUNCTION person_code(bytea) FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION person_code(bytea) TO {APPLICATION}")


def _tables() -> None:
    op.create_table(
        "need_statements",
        *_key("need_statements"),
        sa.Column("contact_id", sa.Uuid(), nullable=False),
        sa.Column("need_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("unmet_reason", sa.Text()),
        sa.Column("how", sa.Text(), nullable=False),
        sa.Column("said_by", sa.Uuid()),
        sa.Column("said_at", TIME, nullable=False),
        _reference("need_statements", "needs", "need_id"),
        sa.CheckConstraint(
            "status IN ('open', 'partially_met', 'met', 'unmet', 'unknown')",
            name=op.f("ck_need_statements_status_known"),
        ),
        sa.CheckConstraint(
            "(status = 'unmet') = (unmet_reason IS NOT NULL)",
            name=op.f("ck_need_statements_unmet_has_reason"),
        ),
    )
    _index("need_statements", "tenant_id", "need_id", "said_at")
    _index("need_statements", "tenant_id", "contact_id")
    op.create_table(
        "follow_ups",
        *_key("follow_ups"),
        sa.Column("public_id", sa.Text(), nullable=False),
        sa.Column("contact_id", sa.Uuid(), nullable=False),
        sa.Column("need_id", sa.Uuid(), nullable=False),
        sa.Column("inquirer_id", sa.Uuid(), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("urgency", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("claimed_by", sa.Uuid()),
        sa.Column("held_at", TIME),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("closed_at", TIME),
        sa.Column("version", sa.BigInteger(), nullable=False),
        _reference("follow_ups", "contacts", "contact_id"),
        _reference("follow_ups", "needs", "need_id"),
        _reference("follow_ups", "inquirers", "inquirer_id"),
        sa.UniqueConstraint(
            "tenant_id", "public_id", name=op.f("uq_follow_ups_tenant_id_public_id")
        ),
        sa.CheckConstraint(
            "state IN ('open', 'done', 'stopped')", name=op.f("ck_follow_ups_state_known")
        ),
        sa.CheckConstraint(
            "(state = 'open') = (closed_at IS NULL)", name=op.f("ck_follow_ups_closed_or_open")
        ),
    )
    _index("follow_ups", "tenant_id", "state", "due_on", "id")
    _index("follow_ups", "tenant_id", "need_id")
    _index("follow_ups", "tenant_id", "contact_id")
    op.create_index(
        "ux_follow_ups_one_open",
        "follow_ups",
        ["tenant_id", "need_id"],
        unique=True,
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_table(
        "follow_up_attempts",
        *_key("follow_up_attempts"),
        sa.Column("follow_up_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("by_id", sa.Uuid()),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("need_status", sa.Text()),
        sa.Column("unmet_reason", sa.Text()),
        sa.Column("note", sa.Text()),
        _reference("follow_up_attempts", "follow_ups", "follow_up_id"),
        sa.UniqueConstraint(
            "tenant_id",
            "follow_up_id",
            "number",
            name=op.f("uq_follow_up_attempts_tenant_id_follow_up_id_number"),
        ),
    )
    op.create_table(
        "referral_reminders",
        *_key("referral_reminders"),
        sa.Column("referral_id", sa.Uuid(), nullable=False),
        sa.Column("silent_since", TIME, nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("told", sa.BigInteger(), nullable=False),
        sa.Column("at", TIME, nullable=False),
        _reference("referral_reminders", "referrals", "referral_id"),
        sa.UniqueConstraint(
            "tenant_id",
            "referral_id",
            "silent_since",
            "step",
            name=op.f("uq_referral_reminders_tenant_id_referral_id_silent_since_step"),
        ),
    )
    op.create_table(
        "person_links",
        *_key("person_links"),
        sa.Column("contact_id", sa.Uuid(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("word_hash", sa.Text()),
        sa.Column("word_tries", sa.BigInteger(), nullable=False),
        sa.Column("made_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("ended_at", TIME),
        _reference("person_links", "contacts", "contact_id"),
        sa.UniqueConstraint("tenant_id", "code", name=op.f("uq_person_links_tenant_id_code")),
    )
    _index("person_links", "tenant_id", "contact_id")
    op.create_table(
        "person_codes",
        sa.Column("code_hash", sa.LargeBinary(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("contact_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("code_hash", name=op.f("pk_person_codes")),
    )


def _key(table: str) -> tuple[sa.Column, sa.Column, sa.PrimaryKeyConstraint]:
    return (
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f(f"pk_{table}")),
    )


def _reference(table: str, to: str, column: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["tenant_id", column],
        [f"{to}.tenant_id", f"{to}.id"],
        name=op.f(f"fk_{table}_tenant_id_{column}"),
    )


def _index(table: str, *columns: str) -> None:
    op.create_index(op.f(f"ix_{table}_{'_'.join(columns)}"), table, list(columns))


def downgrade() -> None:
    op.execute("DROP FUNCTION person_code(bytea)")
    for table in ("person_codes", *APPEND_ONLY, *TENANT):
        op.drop_table(table)
    for name, table, _columns, _where in PARTIAL:
        op.drop_index(name, table)
    op.drop_column("consents", "purpose")
    for table, columns in COLUMNS.items():
        for name, _kind in columns:
            op.drop_column(table, name)
    op.drop_constraint(op.f("ck_inquirers_prohibited_is_prohibited"), "inquirers", type_="check")
    for name in ("may_follow_up", "contact_prohibited"):
        op.drop_column("inquirers", name)
