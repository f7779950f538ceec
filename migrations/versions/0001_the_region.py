"""Lay the first schema: tables, row-level security, grants, functions that cross it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

APPLICATION = "regional311_app"

TENANT_TABLES = (
    "accounts",
    "configured_objects",
    "consents",
    "contacts",
    "cost_pools",
    "followed_requests",
    "idempotency_keys",
    "inquirers",
    "ledger_periods",
    "memberships",
    "needs",
    "outbox_messages",
    "pool_shares",
    "referrals",
    "request_notes",
    "service_requests",
    "statement_counters",
    "transfers",
)
APPEND_ONLY_TABLES = (
    "audit_events",
    "charges",
    "decisions",
    "journal_entries",
    "postings",
    "rating_runs",
    "statement_events",
    "statement_items",
    "statement_lines",
    "statements",
    "usage_events",
)
PUBLISHED_TABLES = (
    "agreements",
    "boundaries",
    "bureaus",
    "lines",
    "policies",
    "rates",
    "rule_sets",
    "service_dispositions",
    "services",
    "tenants",
)
ENVELOPE_TABLES = ("envelopes",)
IDENTITY_TABLES = (
    "people",
    "sign_in_attempts",
    "sign_in_sessions",
    "tracking_tokens",
)
TABLES_IN_ORDER = (
    "accounts",
    "agreements",
    "audit_events",
    "boundaries",
    "bureaus",
    "configured_objects",
    "cost_pools",
    "decisions",
    "envelopes",
    "idempotency_keys",
    "inquirers",
    "ledger_periods",
    "lines",
    "memberships",
    "outbox_messages",
    "people",
    "policies",
    "rates",
    "rating_runs",
    "referrals",
    "rule_sets",
    "service_requests",
    "services",
    "sign_in_attempts",
    "sign_in_sessions",
    "statement_counters",
    "statements",
    "tenants",
    "tracking_tokens",
    "usage_events",
    "charges",
    "contacts",
    "journal_entries",
    "pool_shares",
    "request_notes",
    "service_dispositions",
    "statement_events",
    "statement_lines",
    "consents",
    "followed_requests",
    "needs",
    "postings",
    "statement_items",
    "transfers",
)


def create_tables() -> None:
    """Tables, constraints and indexes."""
    op.create_table(
        "accounts",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("external_code", sa.Text(), nullable=True),
        sa.Column("fund_code", sa.Text(), nullable=True),
        sa.Column("ended_on", sa.Date(), nullable=True),
        sa.CheckConstraint(
            "type IN ('asset', 'liability', 'equity', 'revenue', 'expense')",
            name=op.f("ck_accounts_type_known"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "key", name=op.f("pk_accounts")),
        info={"kind": "tenant"},
    )
    op.create_table(
        "agreements",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("provider_id", sa.Uuid(), nullable=False),
        sa.Column("payer_id", sa.Uuid(), nullable=False),
        sa.Column("activities", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("payer_rule", sa.Text(), nullable=False),
        sa.Column("rate_card_key", sa.Text(), nullable=True),
        sa.Column("pool_key", sa.Text(), nullable=True),
        sa.Column("valid", postgresql.DATERANGE(), nullable=False),
        sa.Column("terms", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        postgresql.ExcludeConstraint(
            (sa.column("tenant_id"), "="),
            (sa.column("key"), "="),
            (sa.column("valid"), "&&"),
            using="gist",
            name="ex_agreements_one_version",
        ),
        sa.CheckConstraint(
            "payer_rule IN ('service_owner', 'jurisdiction', 'referrer', 'line_owner')",
            name=op.f("ck_agreements_payer_rule_known"),
        ),
        sa.CheckConstraint("provider_id <> payer_id", name=op.f("ck_agreements_two_parties")),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_agreements")),
        sa.UniqueConstraint(
            "tenant_id", "key", "version", name=op.f("uq_agreements_tenant_id_key_version")
        ),
        info={"kind": "published"},
    )
    op.create_table(
        "audit_events",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=True),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject_kind", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("detail", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_audit_events")),
        info={"kind": "tenant", "append_only": True},
    )
    op.create_table(
        "boundaries",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("geometry", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("tolerance_m", sa.BigInteger(), nullable=False),
        sa.Column("names", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("agency_key", sa.Text(), nullable=True),
        sa.Column("illustrative", sa.Boolean(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("ended_on", sa.Date(), nullable=True),
        sa.CheckConstraint("tolerance_m >= 0", name=op.f("ck_boundaries_tolerance_not_negative")),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_boundaries")),
        sa.UniqueConstraint("tenant_id", "key", name=op.f("uq_boundaries_tenant_id_key")),
        info={"kind": "published"},
    )
    op.create_table(
        "bureaus",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("fund_code", sa.Text(), nullable=True),
        sa.Column("cost_centre", sa.Text(), nullable=True),
        sa.Column("ended_on", sa.Date(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_bureaus")),
        sa.UniqueConstraint("tenant_id", "key", name=op.f("uq_bureaus_tenant_id_key")),
        info={"kind": "published"},
    )
    op.create_table(
        "configured_objects",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_configured_objects")),
        sa.UniqueConstraint(
            "tenant_id", "kind", "key", name=op.f("uq_configured_objects_tenant_id_kind_key")
        ),
        info={"kind": "tenant"},
    )
    op.create_table(
        "cost_pools",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fiscal_year", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("yearly_cents", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_cost_pools")),
        sa.UniqueConstraint(
            "tenant_id", "key", "fiscal_year", name=op.f("uq_cost_pools_tenant_id_key_fiscal_year")
        ),
        info={"kind": "tenant"},
    )
    op.create_table(
        "decisions",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("contact_id", sa.Uuid(), nullable=False),
        sa.Column("need_id", sa.Uuid(), nullable=True),
        sa.Column("rule_set_version", sa.BigInteger(), nullable=False),
        sa.Column("rule_key", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("target_tenant_id", sa.Uuid(), nullable=True),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("trace", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_decisions")),
        info={"kind": "tenant", "append_only": True},
    )
    op.create_table(
        "envelopes",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("from_tenant_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("consent_id", sa.Uuid(), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_envelopes")),
        info={"kind": "envelope"},
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("content_digest", sa.Text(), nullable=False),
        sa.Column(
            "answer",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_idempotency_keys")),
        sa.UniqueConstraint("tenant_id", "key", name=op.f("uq_idempotency_keys_tenant_id_key")),
        info={"kind": "tenant"},
    )
    op.create_table(
        "inquirers",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("phone", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("safe_to_call", sa.Boolean(), nullable=False),
        sa.Column("may_leave_message", sa.Boolean(), nullable=False),
        sa.Column("wants_updates", sa.Boolean(), nullable=False),
        sa.Column("retain_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_inquirers")),
        info={"kind": "tenant"},
    )
    op.create_table(
        "ledger_periods",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("start_on", sa.Date(), nullable=False),
        sa.Column("end_on", sa.Date(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "state IN ('open', 'soft-closed', 'closed')", name=op.f("ck_ledger_periods_state_known")
        ),
        sa.CheckConstraint("end_on > start_on", name=op.f("ck_ledger_periods_ends_after_start")),
        sa.PrimaryKeyConstraint("tenant_id", "key", name=op.f("pk_ledger_periods")),
        info={"kind": "tenant"},
    )
    op.create_table(
        "lines",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("hours", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("closed_answer", sa.Text(), nullable=True),
        sa.Column("ended_on", sa.Date(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_lines")),
        sa.UniqueConstraint("tenant_id", "key", name=op.f("uq_lines_tenant_id_key")),
        info={"kind": "published"},
    )
    op.create_table(
        "memberships",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("roles", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "person_id", name=op.f("pk_memberships")),
        info={"kind": "tenant"},
    )
    op.create_table(
        "outbox_messages",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=True),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("heading", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("leased_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "state IN ('pending', 'sent', 'dead', 'withdrawn')",
            name=op.f("ck_outbox_messages_state_known"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_outbox_messages")),
        info={"kind": "tenant"},
    )
    op.create_table(
        "people",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_people")),
        info={"kind": "identity"},
    )
    op.create_table(
        "policies",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("valid_to", sa.Date(), nullable=True),
        sa.CheckConstraint("valid_to > valid_from", name=op.f("ck_policies_ends_after_start")),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_policies")),
        sa.UniqueConstraint(
            "tenant_id", "key", "valid_from", name=op.f("uq_policies_tenant_id_key_valid_from")
        ),
        info={"kind": "published"},
    )
    op.create_table(
        "rates",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("card_key", sa.Text(), nullable=False),
        sa.Column("activity", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=True),
        sa.Column("service_key", sa.Text(), nullable=True),
        sa.Column("language", sa.Text(), nullable=True),
        sa.Column("hours", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("amount", sa.Numeric(precision=18, scale=6), nullable=False),
        sa.Column("valid", postgresql.DATERANGE(), nullable=False),
        sa.Column("recorded", postgresql.TSTZRANGE(), nullable=False),
        sa.Column("source", sa.Text(), nullable=True),
        postgresql.ExcludeConstraint(
            (sa.column("tenant_id"), "="),
            (sa.column("card_key"), "="),
            (sa.column("activity"), "="),
            (sa.text("coalesce(channel, '')"), "="),
            (sa.text("coalesce(service_key, '')"), "="),
            (sa.text("coalesce(language, '')"), "="),
            (sa.column("hours"), "="),
            (sa.column("valid"), "&&"),
            (sa.column("recorded"), "&&"),
            using="gist",
            name="ex_rates_one_an_instant",
        ),
        sa.CheckConstraint(
            "hours IN ('any', 'business', 'after')", name=op.f("ck_rates_hours_known")
        ),
        sa.CheckConstraint("unit IN ('each', 'minute')", name=op.f("ck_rates_unit_known")),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_rates")),
        info={"kind": "published"},
    )
    op.create_table(
        "rating_runs",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("period_key", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("service_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("service_to", sa.DateTime(timezone=True), nullable=False),
        sa.Column("stored_before", sa.DateTime(timezone=True), nullable=False),
        sa.Column("counts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("run_by", sa.Uuid(), nullable=True),
        sa.Column("run_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_rating_runs")),
        sa.UniqueConstraint(
            "tenant_id",
            "period_key",
            "number",
            name=op.f("uq_rating_runs_tenant_id_period_key_number"),
        ),
        info={"kind": "tenant", "append_only": True},
    )
    op.create_table(
        "referrals",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("public_id", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("counterparty_id", sa.Uuid(), nullable=False),
        sa.Column("service_key", sa.Text(), nullable=False),
        sa.Column("term", sa.Text(), nullable=False),
        sa.Column("contact_id", sa.Uuid(), nullable=True),
        sa.Column("need_id", sa.Uuid(), nullable=True),
        sa.Column("consent_id", sa.Uuid(), nullable=True),
        sa.Column("shared", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("urgency", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("claimed_by", sa.Uuid(), nullable=True),
        sa.Column("replaces_id", sa.Uuid(), nullable=True),
        sa.Column("part_of_id", sa.Uuid(), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("side IN ('sent', 'received')", name=op.f("ck_referrals_side_known")),
        sa.CheckConstraint(
            "state IN ('draft', 'requested', 'accepted', 'rejected', 'in_progress', 'on_hold', 'completed', 'failed', 'cancelled', 'entered_in_error')",
            name=op.f("ck_referrals_state_known"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_referrals")),
        sa.UniqueConstraint(
            "tenant_id", "public_id", name=op.f("uq_referrals_tenant_id_public_id")
        ),
        info={"kind": "tenant"},
    )
    op.create_table(
        "rule_sets",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("published", postgresql.DATERANGE(), nullable=True),
        sa.Column("rules", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("drafted_by", sa.Uuid(), nullable=True),
        sa.Column("approved_by", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        postgresql.ExcludeConstraint(
            (sa.column("tenant_id"), "="),
            (sa.column("published"), "&&"),
            using="gist",
            name="ex_rule_sets_one_a_day",
        ),
        sa.CheckConstraint(
            "(state = 'draft') = (published IS NULL)", name=op.f("ck_rule_sets_draft_has_no_dates")
        ),
        sa.CheckConstraint(
            "state IN ('draft', 'published', 'retired')", name=op.f("ck_rule_sets_state_known")
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_rule_sets")),
        sa.UniqueConstraint("tenant_id", "version", name=op.f("uq_rule_sets_tenant_id_version")),
        info={"kind": "published"},
    )
    op.create_table(
        "service_requests",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("public_id", sa.Text(), nullable=False),
        sa.Column("service_key", sa.Text(), nullable=False),
        sa.Column("bureau_key", sa.Text(), nullable=True),
        sa.Column("queue", sa.Text(), nullable=True),
        sa.Column("intake_tenant_id", sa.Uuid(), nullable=False),
        sa.Column("contact_id", sa.Uuid(), nullable=True),
        sa.Column("need_id", sa.Uuid(), nullable=True),
        sa.Column("inquirer_id", sa.Uuid(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("priority", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("place_kind", sa.Text(), nullable=False),
        sa.Column("place_text", sa.Text(), nullable=True),
        sa.Column("latitude", sa.Numeric(precision=9, scale=6), nullable=True),
        sa.Column("longitude", sa.Numeric(precision=9, scale=6), nullable=True),
        sa.Column("confidential", sa.Boolean(), nullable=False),
        sa.Column("assignee_id", sa.Uuid(), nullable=True),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expected_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("resolution", sa.Text(), nullable=True),
        sa.Column("public_message", sa.Text(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "state IN ('received', 'triaged', 'assigned', 'in_progress', 'waiting_person', 'waiting_partner', 'closed', 'merged')",
            name=op.f("ck_service_requests_state_known"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_service_requests")),
        sa.UniqueConstraint(
            "tenant_id", "public_id", name=op.f("uq_service_requests_tenant_id_public_id")
        ),
        info={"kind": "tenant"},
    )
    op.create_table(
        "services",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("verb", sa.Text(), nullable=False),
        sa.Column("bureau_key", sa.Text(), nullable=True),
        sa.Column("term", sa.Text(), nullable=False),
        sa.Column("keywords", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("channels", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("boundary_key", sa.Text(), nullable=True),
        sa.Column("confidential", sa.Boolean(), nullable=False),
        sa.Column("target_hours", sa.BigInteger(), nullable=True),
        sa.Column("details", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("ended_on", sa.Date(), nullable=True),
        sa.CheckConstraint(
            "verb IN ('find', 'report', 'request', 'apply', 'pay')",
            name=op.f("ck_services_verb_known"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_services")),
        sa.UniqueConstraint("tenant_id", "key", name=op.f("uq_services_tenant_id_key")),
        info={"kind": "published"},
    )
    op.create_table(
        "sign_in_attempts",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("window_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("failures", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest", "window_at", name=op.f("pk_sign_in_attempts")),
        info={"kind": "identity"},
    )
    op.create_table(
        "sign_in_sessions",
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("csrf_token", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_sign_in_sessions")),
        info={"kind": "identity"},
    )
    op.create_table(
        "statement_counters",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("series", sa.Text(), nullable=False),
        sa.Column("last_number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "series", name=op.f("pk_statement_counters")),
        info={"kind": "tenant"},
    )
    op.create_table(
        "statements",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("public_id", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("counterparty_id", sa.Uuid(), nullable=False),
        sa.Column("period_key", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.Column("total_cents", sa.BigInteger(), nullable=False),
        sa.Column("line_count", sa.BigInteger(), nullable=False),
        sa.Column("item_count", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("parties", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("terms", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("prepared_by", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("side IN ('issued', 'received')", name=op.f("ck_statements_side_known")),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_statements")),
        info={"kind": "tenant", "append_only": True},
    )
    op.create_table(
        "tenants",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("short_name", sa.Text(), nullable=False),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("fiscal_year_starts_in", sa.BigInteger(), nullable=False),
        sa.Column("settings", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("id = tenant_id", name=op.f("ck_tenants_is_its_own")),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_tenants")),
        sa.UniqueConstraint("tenant_id", "slug", name=op.f("uq_tenants_tenant_id_slug")),
        info={"kind": "published"},
    )
    op.create_table(
        "tracking_tokens",
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_tracking_tokens")),
        info={"kind": "identity"},
    )
    op.create_table(
        "usage_events",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("source_key", sa.Text(), nullable=False),
        sa.Column("content_digest", sa.Text(), nullable=False),
        sa.Column("activity", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("after_hours", sa.Boolean(), nullable=False),
        sa.Column("service_owner_id", sa.Uuid(), nullable=True),
        sa.Column("service_key", sa.Text(), nullable=True),
        sa.Column("bureau_key", sa.Text(), nullable=True),
        sa.Column("jurisdiction_id", sa.Uuid(), nullable=True),
        sa.Column("referrer_id", sa.Uuid(), nullable=True),
        sa.Column("line_owner_id", sa.Uuid(), nullable=True),
        sa.Column("contact_id", sa.Uuid(), nullable=True),
        sa.Column("subject_id", sa.Uuid(), nullable=True),
        sa.Column("quantity", sa.Numeric(precision=18, scale=6), nullable=False),
        sa.Column("handle_seconds", sa.BigInteger(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("booked_on", sa.Date(), nullable=False),
        sa.Column("reverses_id", sa.Uuid(), nullable=True),
        sa.CheckConstraint(
            "handle_seconds >= 0", name=op.f("ck_usage_events_seconds_not_negative")
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_usage_events")),
        sa.UniqueConstraint(
            "tenant_id", "source_key", name=op.f("uq_usage_events_tenant_id_source_key")
        ),
        info={"kind": "tenant", "append_only": True},
    )
    op.create_table(
        "charges",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("usage_event_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("agreement_id", sa.Uuid(), nullable=True),
        sa.Column("payer_id", sa.Uuid(), nullable=True),
        sa.Column("rate_id", sa.Uuid(), nullable=True),
        sa.Column("quantity", sa.Numeric(precision=18, scale=6), nullable=False),
        sa.Column("price", sa.Numeric(precision=18, scale=6), nullable=True),
        sa.Column("amount", sa.Numeric(precision=18, scale=6), nullable=True),
        sa.Column("line_key", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "(state = 'rated') = (amount IS NOT NULL AND rate_id IS NOT NULL)",
            name=op.f("ck_charges_rated_priced"),
        ),
        sa.CheckConstraint(
            "state IN ('rated', 'unrated', 'no_agreement', 'excluded')",
            name=op.f("ck_charges_state_known"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "run_id"],
            ["rating_runs.tenant_id", "rating_runs.id"],
            name=op.f("fk_charges_tenant_id_run_id"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_charges")),
        sa.UniqueConstraint(
            "tenant_id",
            "run_id",
            "usage_event_id",
            name=op.f("uq_charges_tenant_id_run_id_usage_event_id"),
        ),
        info={"kind": "tenant", "append_only": True},
    )
    op.create_table(
        "contacts",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("public_id", sa.Text(), nullable=False),
        sa.Column("source_key", sa.Text(), nullable=False),
        sa.Column("line_key", sa.Text(), nullable=True),
        sa.Column("line_owner_id", sa.Uuid(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("interpreter", sa.Boolean(), nullable=False),
        sa.Column("accommodation", sa.Text(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("wait_seconds", sa.BigInteger(), nullable=False),
        sa.Column("handle_seconds", sa.BigInteger(), nullable=False),
        sa.Column("after_hours", sa.Boolean(), nullable=False),
        sa.Column("specialist_id", sa.Uuid(), nullable=True),
        sa.Column("inquirer_id", sa.Uuid(), nullable=True),
        sa.Column("call_type", sa.Text(), nullable=False),
        sa.Column("disposition", sa.Text(), nullable=True),
        sa.Column("danger_answer", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "channel IN ('phone', 'walk_in', 'web', 'email', 'text', 'chat', 'social', 'app', 'voicemail')",
            name=op.f("ck_contacts_channel_known"),
        ),
        sa.CheckConstraint("ended_at >= started_at", name=op.f("ck_contacts_ends_after_start")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "inquirer_id"],
            ["inquirers.tenant_id", "inquirers.id"],
            name=op.f("fk_contacts_tenant_id_inquirer_id"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_contacts")),
        sa.UniqueConstraint("tenant_id", "public_id", name=op.f("uq_contacts_tenant_id_public_id")),
        sa.UniqueConstraint(
            "tenant_id", "source_key", name=op.f("uq_contacts_tenant_id_source_key")
        ),
        info={"kind": "tenant"},
    )
    op.create_table(
        "journal_entries",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("period_key", sa.Text(), nullable=False),
        sa.Column("service_period", sa.Text(), nullable=False),
        sa.Column("memo", sa.Text(), nullable=False),
        sa.Column("source_key", sa.Text(), nullable=False),
        sa.Column("source_id", sa.Uuid(), nullable=True),
        sa.Column("counterparty_id", sa.Uuid(), nullable=True),
        sa.Column("mirror_id", sa.Uuid(), nullable=True),
        sa.Column("reverses_id", sa.Uuid(), nullable=True),
        sa.Column("leg_count", sa.BigInteger(), nullable=False),
        sa.Column("total_cents", sa.BigInteger(), nullable=False),
        sa.Column("posted_by", sa.Uuid(), nullable=True),
        sa.Column("posted_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("leg_count >= 2", name=op.f("ck_journal_entries_has_legs")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "period_key"],
            ["ledger_periods.tenant_id", "ledger_periods.key"],
            name=op.f("fk_journal_entries_tenant_id_period_key"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_journal_entries")),
        sa.UniqueConstraint(
            "tenant_id", "source_key", name=op.f("uq_journal_entries_tenant_id_source_key")
        ),
        info={"kind": "tenant", "append_only": True},
    )
    op.create_table(
        "pool_shares",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("pool_id", sa.Uuid(), nullable=False),
        sa.Column("payer_slug", sa.Text(), nullable=False),
        sa.Column("percent", sa.Numeric(precision=18, scale=6), nullable=False),
        sa.CheckConstraint(
            "percent >= 0 AND percent <= 100", name=op.f("ck_pool_shares_percent_in_range")
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "pool_id"],
            ["cost_pools.tenant_id", "cost_pools.id"],
            name=op.f("fk_pool_shares_tenant_id_pool_id"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_pool_shares")),
        sa.UniqueConstraint(
            "tenant_id",
            "pool_id",
            "payer_slug",
            name=op.f("uq_pool_shares_tenant_id_pool_id_payer_slug"),
        ),
        info={"kind": "tenant"},
    )
    op.create_table(
        "request_notes",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("author_id", sa.Uuid(), nullable=True),
        sa.Column("internal", sa.Boolean(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "request_id"],
            ["service_requests.tenant_id", "service_requests.id"],
            name=op.f("fk_request_notes_tenant_id_request_id"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_request_notes")),
        info={"kind": "tenant"},
    )
    op.create_table(
        "service_dispositions",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("service_id", sa.Uuid(), nullable=False),
        sa.Column("disposition", sa.Text(), nullable=False),
        sa.Column("valid", postgresql.DATERANGE(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        postgresql.ExcludeConstraint(
            (sa.column("tenant_id"), "="),
            (sa.column("service_id"), "="),
            (sa.column("valid"), "&&"),
            using="gist",
            name="ex_dispositions_once",
        ),
        sa.CheckConstraint(
            "disposition IN ('resolve', 'refer', 'undecided')",
            name=op.f("ck_service_dispositions_is_known"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "service_id"],
            ["services.tenant_id", "services.id"],
            name=op.f("fk_service_dispositions_tenant_id_service_id"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_service_dispositions")),
        info={"kind": "published"},
    )
    op.create_table(
        "statement_events",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("statement_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=True),
        sa.Column("person_id", sa.Uuid(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(number IS NOT NULL) = (state IN ('issued', 'received'))",
            name=op.f("ck_statement_events_numbered_when_issued"),
        ),
        sa.CheckConstraint(
            "state IN ('draft', 'in_review', 'approved', 'issued', 'received', 'void')",
            name=op.f("ck_statement_events_state_known"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "statement_id"],
            ["statements.tenant_id", "statements.id"],
            name=op.f("fk_statement_events_tenant_id_statement_id"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_statement_events")),
        sa.UniqueConstraint(
            "tenant_id",
            "statement_id",
            "position",
            name=op.f("uq_statement_events_tenant_id_statement_id_position"),
        ),
        info={"kind": "tenant", "append_only": True},
    )
    op.create_table(
        "statement_lines",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("statement_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("line_key", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("agreement_key", sa.Text(), nullable=False),
        sa.Column("basis", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("quantity", sa.Numeric(precision=18, scale=6), nullable=False),
        sa.Column("price", sa.Numeric(precision=18, scale=6), nullable=True),
        sa.Column("exact_amount", sa.Numeric(precision=18, scale=6), nullable=False),
        sa.Column("amount_cents", sa.BigInteger(), nullable=False),
        sa.Column("item_count", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "statement_id"],
            ["statements.tenant_id", "statements.id"],
            name=op.f("fk_statement_lines_tenant_id_statement_id"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_statement_lines")),
        sa.UniqueConstraint(
            "tenant_id",
            "statement_id",
            "position",
            name=op.f("uq_statement_lines_tenant_id_statement_id_position"),
        ),
        info={"kind": "tenant", "append_only": True},
    )
    op.create_table(
        "consents",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("contact_id", sa.Uuid(), nullable=False),
        sa.Column("to_tenant_id", sa.Uuid(), nullable=False),
        sa.Column("fields", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("given_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant_id", "contact_id"],
            ["contacts.tenant_id", "contacts.id"],
            name=op.f("fk_consents_tenant_id_contact_id"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_consents")),
        info={"kind": "tenant"},
    )
    op.create_table(
        "followed_requests",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("public_id", sa.Text(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("service_key", sa.Text(), nullable=False),
        sa.Column("contact_id", sa.Uuid(), nullable=False),
        sa.Column("need_id", sa.Uuid(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("public_message", sa.Text(), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expected_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "contact_id"],
            ["contacts.tenant_id", "contacts.id"],
            name=op.f("fk_followed_requests_tenant_id_contact_id"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_followed_requests")),
        sa.UniqueConstraint(
            "tenant_id", "public_id", name=op.f("uq_followed_requests_tenant_id_public_id")
        ),
        info={"kind": "tenant"},
    )
    op.create_table(
        "needs",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("contact_id", sa.Uuid(), nullable=False),
        sa.Column("service_owner_id", sa.Uuid(), nullable=False),
        sa.Column("service_key", sa.Text(), nullable=False),
        sa.Column("term", sa.Text(), nullable=False),
        sa.Column("urgency", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("unmet_reason", sa.Text(), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("place_kind", sa.Text(), nullable=False),
        sa.Column("place_text", sa.Text(), nullable=True),
        sa.Column("latitude", sa.Numeric(precision=9, scale=6), nullable=True),
        sa.Column("longitude", sa.Numeric(precision=9, scale=6), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "status IN ('open', 'referred', 'partially_met', 'met', 'unmet', 'unknown')",
            name=op.f("ck_needs_status_known"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "contact_id"],
            ["contacts.tenant_id", "contacts.id"],
            name=op.f("fk_needs_tenant_id_contact_id"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_needs")),
        info={"kind": "tenant"},
    )
    op.create_table(
        "postings",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("entry_id", sa.Uuid(), nullable=False),
        sa.Column("leg", sa.BigInteger(), nullable=False),
        sa.Column("account_key", sa.Text(), nullable=False),
        sa.Column("debit_cents", sa.BigInteger(), nullable=False),
        sa.Column("credit_cents", sa.BigInteger(), nullable=False),
        sa.Column("counterparty_id", sa.Uuid(), nullable=True),
        sa.CheckConstraint(
            "debit_cents >= 0 AND credit_cents >= 0 AND (debit_cents = 0) <> (credit_cents = 0)",
            name=op.f("ck_postings_one_side"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "account_key"],
            ["accounts.tenant_id", "accounts.key"],
            name=op.f("fk_postings_tenant_id_account_key"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "entry_id"],
            ["journal_entries.tenant_id", "journal_entries.id"],
            name=op.f("fk_postings_tenant_id_entry_id"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "entry_id", "leg", name=op.f("pk_postings")),
        info={"kind": "tenant", "append_only": True},
    )
    op.create_table(
        "statement_items",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("line_id", sa.Uuid(), nullable=False),
        sa.Column("usage_event_id", sa.Uuid(), nullable=True),
        sa.Column("contact_id", sa.Uuid(), nullable=True),
        sa.Column("contact_reference", sa.Text(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("activity", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("after_hours", sa.Boolean(), nullable=False),
        sa.Column("service_key", sa.Text(), nullable=True),
        sa.Column("quantity", sa.Numeric(precision=18, scale=6), nullable=False),
        sa.Column("price", sa.Numeric(precision=18, scale=6), nullable=False),
        sa.Column("amount", sa.Numeric(precision=18, scale=6), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "line_id"],
            ["statement_lines.tenant_id", "statement_lines.id"],
            name=op.f("fk_statement_items_tenant_id_line_id"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_statement_items")),
        info={"kind": "tenant", "append_only": True},
    )
    op.create_table(
        "transfers",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("contact_id", sa.Uuid(), nullable=False),
        sa.Column("need_id", sa.Uuid(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "contact_id"],
            ["contacts.tenant_id", "contacts.id"],
            name=op.f("fk_transfers_tenant_id_contact_id"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_transfers")),
        info={"kind": "tenant"},
    )
    op.create_index(
        op.f("ix_audit_events_tenant_id_at"), "audit_events", ["tenant_id", "at"], unique=False
    )
    op.create_index(
        op.f("ix_audit_events_tenant_id_subject_id_id"),
        "audit_events",
        ["tenant_id", "subject_id", "id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_decisions_tenant_id_contact_id"),
        "decisions",
        ["tenant_id", "contact_id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_decisions_tenant_id_need_id"), "decisions", ["tenant_id", "need_id"], unique=False
    )
    op.create_index(
        op.f("ix_envelopes_tenant_id_kind_subject_id"),
        "envelopes",
        ["tenant_id", "kind", "subject_id"],
        unique=False,
    )
    op.create_index(op.f("ix_memberships_person_id"), "memberships", ["person_id"], unique=False)
    op.create_index(
        "ix_outbox_messages_due",
        "outbox_messages",
        ["tenant_id", "due_at"],
        unique=False,
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index("uq_people_email", "people", ["email"], unique=True)
    op.create_index(
        op.f("ix_referrals_tenant_id_contact_id"),
        "referrals",
        ["tenant_id", "contact_id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_referrals_tenant_id_side_state_sent_at_id"),
        "referrals",
        ["tenant_id", "side", "state", "sent_at", "id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_service_requests_tenant_id_contact_id"),
        "service_requests",
        ["tenant_id", "contact_id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_service_requests_tenant_id_opened_at_id"),
        "service_requests",
        ["tenant_id", "opened_at", "id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_service_requests_tenant_id_queue_state_opened_at_id"),
        "service_requests",
        ["tenant_id", "queue", "state", "opened_at", "id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_service_requests_tenant_id_service_key_state_opened_at_id"),
        "service_requests",
        ["tenant_id", "service_key", "state", "opened_at", "id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_service_requests_tenant_id_state_opened_at_id"),
        "service_requests",
        ["tenant_id", "state", "opened_at", "id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_services_tenant_id_term"), "services", ["tenant_id", "term"], unique=False
    )
    op.create_index(
        op.f("ix_sign_in_sessions_person_id"), "sign_in_sessions", ["person_id"], unique=False
    )
    op.create_index(
        op.f("ix_statements_tenant_id_side_period_key"),
        "statements",
        ["tenant_id", "side", "period_key"],
        unique=False,
    )
    op.create_index(
        op.f("ix_usage_events_tenant_id_contact_id"),
        "usage_events",
        ["tenant_id", "contact_id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_usage_events_tenant_id_occurred_at"),
        "usage_events",
        ["tenant_id", "occurred_at"],
        unique=False,
    )
    op.create_index(
        op.f("ix_charges_tenant_id_run_id_state"),
        "charges",
        ["tenant_id", "run_id", "state"],
        unique=False,
    )
    op.create_index(
        "ix_contacts_open",
        "contacts",
        ["tenant_id", "specialist_id"],
        unique=False,
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index(
        op.f("ix_contacts_tenant_id_started_at_id"),
        "contacts",
        ["tenant_id", "started_at", "id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_journal_entries_tenant_id_mirror_id"),
        "journal_entries",
        ["tenant_id", "mirror_id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_request_notes_tenant_id_request_id_id"),
        "request_notes",
        ["tenant_id", "request_id", "id"],
        unique=False,
    )
    op.create_index(
        "uq_statement_events_issued_number",
        "statement_events",
        ["tenant_id", "number"],
        unique=True,
        postgresql_where=sa.text("state = 'issued'"),
    )
    op.create_index(
        op.f("ix_consents_tenant_id_contact_id"),
        "consents",
        ["tenant_id", "contact_id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_followed_requests_tenant_id_contact_id"),
        "followed_requests",
        ["tenant_id", "contact_id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_followed_requests_tenant_id_sent_at_id"),
        "followed_requests",
        ["tenant_id", "sent_at", "id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_needs_tenant_id_contact_id"), "needs", ["tenant_id", "contact_id"], unique=False
    )
    op.create_index(
        op.f("ix_postings_tenant_id_account_key"),
        "postings",
        ["tenant_id", "account_key"],
        unique=False,
    )
    op.create_index(
        op.f("ix_statement_items_tenant_id_line_id_occurred_at_id"),
        "statement_items",
        ["tenant_id", "line_id", "occurred_at", "id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_transfers_tenant_id_contact_id"),
        "transfers",
        ["tenant_id", "contact_id"],
        unique=False,
    )


MINE = "tenant_id = nullif(current_setting('app.tenant', true), '')::uuid"
SENT_BY_ME = "from_tenant_id = nullif(current_setting('app.tenant', true), '')::uuid"
ABOUT_ME = "person_id = nullif(current_setting('app.person', true), '')::uuid"


def protect_tables() -> None:
    """Row-level security and grants, by the kind of table."""
    for table in TENANT_TABLES + APPEND_ONLY_TABLES + PUBLISHED_TABLES + ENVELOPE_TABLES:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    for table in TENANT_TABLES + APPEND_ONLY_TABLES:
        op.execute(f"CREATE POLICY own_rows ON {table} USING ({MINE}) WITH CHECK ({MINE})")
    for table in PUBLISHED_TABLES:
        op.execute(f"CREATE POLICY all_read ON {table} FOR SELECT USING (true)")
        op.execute(f"CREATE POLICY own_insert ON {table} FOR INSERT WITH CHECK ({MINE})")
        op.execute(
            f"CREATE POLICY own_update ON {table} FOR UPDATE USING ({MINE}) WITH CHECK ({MINE})"
        )
    for table in ENVELOPE_TABLES:
        op.execute(f"CREATE POLICY receiver_reads ON {table} FOR SELECT USING ({MINE})")
        op.execute(
            f"CREATE POLICY receiver_works ON {table} FOR UPDATE USING ({MINE}) WITH CHECK ({MINE})"
        )
        op.execute(f"CREATE POLICY sender_inserts ON {table} FOR INSERT WITH CHECK ({SENT_BY_ME})")
    op.execute(f"CREATE POLICY own_memberships ON memberships FOR SELECT USING ({ABOUT_ME})")

    op.execute("REVOKE ALL ON ALL TABLES IN SCHEMA public FROM PUBLIC")
    for table in TENANT_TABLES + PUBLISHED_TABLES + ENVELOPE_TABLES:
        op.execute(f"GRANT SELECT, INSERT, UPDATE ON {table} TO {APPLICATION}")
    for table in APPEND_ONLY_TABLES:
        op.execute(f"GRANT SELECT, INSERT ON {table} TO {APPLICATION}")
    op.execute(f"GRANT INSERT ON tracking_tokens TO {APPLICATION}")
    op.execute(f"GRANT SELECT ON alembic_version TO {APPLICATION}")


BIND = """
CREATE FUNCTION bind_tenant(tenant uuid, person uuid) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF tenant IS NULL THEN
        RAISE EXCEPTION 'a transaction needs a tenant';
    END IF;
    -- what is deferred must be checked while the rows that it is about can be seen
    SET CONSTRAINTS ALL IMMEDIATE;
    SET CONSTRAINTS ALL DEFERRED;
    EXECUTE format('SET LOCAL app.tenant = %L', tenant);
    EXECUTE format('SET LOCAL app.person = %L', coalesce(person::text, ''));
END
$$
"""

BALANCE = """
CREATE FUNCTION check_entry_balanced() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    tenant uuid := NEW.tenant_id;
    entry uuid := CASE TG_TABLE_NAME WHEN 'postings' THEN to_jsonb(NEW)->>'entry_id'
                                     ELSE to_jsonb(NEW)->>'id' END;
    debits bigint;
    credits bigint;
    legs bigint;
    expected record;
BEGIN
    SELECT leg_count, total_cents INTO expected
    FROM journal_entries WHERE tenant_id = tenant AND id = entry;
    SELECT coalesce(sum(debit_cents), 0), coalesce(sum(credit_cents), 0), count(*)
    INTO debits, credits, legs
    FROM postings WHERE tenant_id = tenant AND entry_id = entry;
    IF expected IS NULL OR debits <> credits OR legs <> expected.leg_count
       OR debits <> expected.total_cents THEN
        RAISE EXCEPTION 'journal entry % is not balanced: debits %, credits %, legs %',
            entry, debits, credits, legs USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$
"""

# Each is one exact look-up or one change. They run as the schema's owner, because the
# application's role has no rights on the identity tables themselves.
IDENTITY_FUNCTIONS = {
    "identity_of_session(bytea, timestamptz, interval)": """
CREATE FUNCTION identity_of_session(token bytea, at timestamptz, idle interval)
RETURNS TABLE (person_id uuid, name text, email text, csrf_token text, memberships jsonb)
LANGUAGE plpgsql AS $$
DECLARE
    found_session sign_in_sessions;
    found_person people;
BEGIN
    SELECT * INTO found_session FROM sign_in_sessions s
    WHERE s.token_hash = token AND s.expires_at > at AND s.seen_at > at - idle;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT * INTO found_person FROM people p
    WHERE p.id = found_session.person_id AND p.disabled_at IS NULL;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF found_session.seen_at < at - interval '1 minute' THEN
        UPDATE sign_in_sessions s SET seen_at = at WHERE s.token_hash = token;
    END IF;
    PERFORM set_config('app.person', found_person.id::text, true);
    RETURN QUERY SELECT found_person.id, found_person.name, found_person.email,
        found_session.csrf_token,
        (SELECT coalesce(jsonb_object_agg(m.tenant_id, to_jsonb(m.roles)), '{}'::jsonb)
         FROM memberships m WHERE m.person_id = found_person.id AND m.ended_at IS NULL);
END
$$
""",
    "sign_in_candidate(text)": """
CREATE FUNCTION sign_in_candidate(address text)
RETURNS TABLE (person_id uuid, password_hash text)
LANGUAGE sql STABLE AS $$
    SELECT p.id, p.password_hash FROM people p
    WHERE p.email = lower(address) AND p.disabled_at IS NULL
$$
""",
    "start_session(bytea, uuid, text, timestamptz, timestamptz)": """
CREATE FUNCTION start_session(
    token bytea, person uuid, csrf text, at timestamptz, expires timestamptz
) RETURNS void LANGUAGE sql AS $$
    INSERT INTO sign_in_sessions
        (token_hash, person_id, csrf_token, created_at, seen_at, expires_at)
    VALUES (token, person, csrf, at, at, expires)
$$
""",
    "end_session(bytea)": """
CREATE FUNCTION end_session(token bytea) RETURNS void LANGUAGE sql AS $$
    DELETE FROM sign_in_sessions WHERE token_hash = token
$$
""",
    "end_sessions_of(uuid)": """
CREATE FUNCTION end_sessions_of(person uuid) RETURNS void LANGUAGE sql AS $$
    DELETE FROM sign_in_sessions WHERE person_id = person
$$
""",
    "sign_in_failures(bytea, timestamptz)": """
CREATE FUNCTION sign_in_failures(who bytea, since timestamptz) RETURNS bigint
LANGUAGE sql STABLE AS $$
    SELECT coalesce(sum(failures), 0)::bigint FROM sign_in_attempts
    WHERE digest = who AND window_at >= since
$$
""",
    "note_sign_in_failure(bytea, timestamptz)": """
CREATE FUNCTION note_sign_in_failure(who bytea, at_window timestamptz) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO sign_in_attempts (digest, window_at, failures) VALUES (who, at_window, 1)
    ON CONFLICT (digest, window_at) DO UPDATE SET failures = sign_in_attempts.failures + 1
$$
""",
    "register_person(uuid, text, text, text, timestamptz)": """
CREATE FUNCTION register_person(
    new_id uuid, address text, full_name text, hashed text, at timestamptz
) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    known uuid;
BEGIN
    INSERT INTO people (id, email, name, password_hash, created_at)
    VALUES (new_id, lower(address), full_name, hashed, at)
    ON CONFLICT (email) DO NOTHING;
    SELECT p.id INTO known FROM people p WHERE p.email = lower(address);
    RETURN known;
END
$$
""",
    "change_password(uuid, text)": """
CREATE FUNCTION change_password(person uuid, hashed text) RETURNS void LANGUAGE sql AS $$
    UPDATE people SET password_hash = hashed WHERE id = person;
    DELETE FROM sign_in_sessions WHERE person_id = person
$$
""",
    "disable_person(uuid, timestamptz)": """
CREATE FUNCTION disable_person(person uuid, at timestamptz) RETURNS void LANGUAGE sql AS $$
    UPDATE people SET disabled_at = at WHERE id = person;
    DELETE FROM sign_in_sessions WHERE person_id = person
$$
""",
    "tracked(bytea)": """
CREATE FUNCTION tracked(token bytea) RETURNS TABLE (tenant_id uuid, request_id uuid)
LANGUAGE sql STABLE AS $$
    SELECT t.tenant_id, t.request_id FROM tracking_tokens t WHERE t.token_hash = token
$$
""",
}


def create_functions() -> None:
    """What binds a transaction, checks an entry, and reaches identity."""
    op.execute(BIND)
    op.execute(BALANCE)
    for table in ("journal_entries", "postings"):
        op.execute(
            f"CREATE CONSTRAINT TRIGGER entry_balanced AFTER INSERT ON {table} "
            "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION check_entry_balanced()"
        )
    for signature, definition in IDENTITY_FUNCTIONS.items():
        op.execute(definition)
        op.execute(f"ALTER FUNCTION {signature} SECURITY DEFINER SET search_path = public, pg_temp")
        op.execute(f"REVOKE ALL ON FUNCTION {signature} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION {signature} TO {APPLICATION}")


def upgrade() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS btree_gist")
    create_tables()
    protect_tables()
    create_functions()


def downgrade() -> None:
    for table in reversed(TABLES_IN_ORDER):
        op.execute(f"DROP TABLE {table} CASCADE")
    op.execute("DROP FUNCTION bind_tenant(uuid, uuid)")
    op.execute("DROP FUNCTION check_entry_balanced()")
    for signature in IDENTITY_FUNCTIONS:
        op.execute(f"DROP FUNCTION {signature}")
