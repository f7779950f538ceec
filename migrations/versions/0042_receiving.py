"""Let partners say what they take, what room they have, and work what they are referred."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from regional311.database.protection import protect

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None

ADDED = (
    ("finish_by", sa.DateTime(timezone=True)),
    ("progress", sa.Text()),
    ("asked_at", sa.DateTime(timezone=True)),
    ("offer_id", sa.Uuid()),
    ("waitlist_position", sa.BigInteger()),
    ("waitlist_days", sa.BigInteger()),
    ("before", postgresql.JSONB()),
    ("link_used_at", sa.DateTime(timezone=True)),
)

ORDERED = (
    ("due", ("side", "state", "due_at", "id"), None),
    ("finish", ("side", "state", "finish_by", "id"), None),
    ("claimed", ("claimed_by", "state", "sent_at", "id"), "claimed_by IS NOT NULL"),
    ("asked", ("side", "state", "sent_at", "id"), "asked_at IS NOT NULL"),
    ("waiting", ("state", "sent_at", "id"), "waitlist_position IS NOT NULL"),
)


def upgrade() -> None:
    op.create_table(
        "acceptance_policies",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("said", postgresql.JSONB(), nullable=False),
        sa.Column("ended_on", sa.Date()),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_acceptance_policies")),
        sa.UniqueConstraint("tenant_id", "key", name=op.f("uq_acceptance_policies_tenant_id_key")),
    )
    op.create_table(
        "progress_words",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("ended_on", sa.Date()),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_progress_words")),
        sa.UniqueConstraint("tenant_id", "key", name=op.f("uq_progress_words_tenant_id_key")),
        sa.CheckConstraint(
            "state IN ('accepted', 'in_progress', 'on_hold')",
            name=op.f("ck_progress_words_state_known"),
        ),
    )
    op.create_table(
        "capacities",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("service_key", sa.Text(), nullable=False),
        sa.Column("location_key", sa.Text()),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("places", sa.BigInteger()),
        sa.Column("note", sa.Text()),
        sa.Column("set_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("set_by", sa.Uuid()),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_capacities")),
        sa.CheckConstraint(
            "state IN ('has', 'none', 'none_waitlist', 'assessment')",
            name=op.f("ck_capacities_state_known"),
        ),
        sa.CheckConstraint("places >= 0", name=op.f("ck_capacities_places_counted")),
        sa.CheckConstraint("until_at > set_at", name=op.f("ck_capacities_ends_later")),
    )
    op.create_index(
        op.f("ix_capacities_tenant_id_service_key_location_key_set_at"),
        "capacities",
        ["tenant_id", "service_key", "location_key", "set_at"],
    )
    for name, kind in ADDED:
        op.add_column("referrals", sa.Column(name, kind))
    for name in ("offer", "part_of", "replaces"):
        op.create_index(
            f"ix_referrals_{name}",
            "referrals",
            ["tenant_id", f"{name}_id"],
            postgresql_where=sa.text(f"{name}_id IS NOT NULL"),
        )
    for name, columns, where in ORDERED:
        op.create_index(
            f"ix_referrals_{name}",
            "referrals",
            ["tenant_id", *columns],
            postgresql_where=sa.text(where) if where else None,
        )
    op.add_column("consents", sa.Column("referral_id", sa.Uuid()))
    op.alter_column("consents", "contact_id", existing_type=sa.Uuid(), nullable=True)
    op.create_table(
        "referral_offers",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("taken_id", sa.Uuid()),
        sa.Column("taken_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_referral_offers")),
    )
    op.create_table(
        "referral_messages",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("referral_id", sa.Uuid(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("body", sa.Text()),
        sa.Column("written_by", sa.Uuid()),
        sa.Column("written_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_referral_messages")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "referral_id"],
            ["referrals.tenant_id", "referrals.id"],
            name=op.f("fk_referral_messages_tenant_id_referral_id"),
        ),
        sa.CheckConstraint(
            "side IN ('sent', 'received')", name=op.f("ck_referral_messages_side_known")
        ),
    )
    op.create_index(
        op.f("ix_referral_messages_tenant_id_referral_id_written_at"),
        "referral_messages",
        ["tenant_id", "referral_id", "written_at"],
    )
    op.create_table(
        "waitlist_places",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("referral_id", sa.Uuid(), nullable=False),
        sa.Column("service_key", sa.Text(), nullable=False),
        sa.Column("rank", sa.BigInteger(), nullable=False),
        sa.Column("joined_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("offered_at", sa.DateTime(timezone=True)),
        sa.Column("left_at", sa.DateTime(timezone=True)),
        sa.Column("how", sa.Text()),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_waitlist_places")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "referral_id"],
            ["referrals.tenant_id", "referrals.id"],
            name=op.f("fk_waitlist_places_tenant_id_referral_id"),
        ),
    )
    op.create_index(
        "ix_waitlist_places_waiting",
        "waitlist_places",
        ["tenant_id", "service_key", "rank"],
        postgresql_where=sa.text("left_at IS NULL"),
    )
    op.create_index(
        "uq_waitlist_places_one_place",
        "waitlist_places",
        ["tenant_id", "referral_id"],
        unique=True,
        postgresql_where=sa.text("left_at IS NULL"),
    )
    op.create_index(
        op.f("ix_waitlist_places_tenant_id_service_key_left_at"),
        "waitlist_places",
        ["tenant_id", "service_key", "left_at"],
    )
    for statement in protect(
        tenant=["referral_offers", "referral_messages", "waitlist_places"],
        published=["acceptance_policies", "progress_words"],
        for_ever=["capacities"],
    ):
        op.execute(statement)


def downgrade() -> None:
    for table in (
        "waitlist_places",
        "referral_messages",
        "referral_offers",
        "capacities",
        "progress_words",
        "acceptance_policies",
    ):
        op.drop_table(table)
    op.execute("ALTER TABLE consents NO FORCE ROW LEVEL SECURITY")
    op.execute("DELETE FROM consents WHERE contact_id IS NULL")
    op.execute("ALTER TABLE consents FORCE ROW LEVEL SECURITY")
    op.alter_column("consents", "contact_id", existing_type=sa.Uuid(), nullable=False)
    op.drop_column("consents", "referral_id")
    for name, _columns, _where in reversed(ORDERED):
        op.drop_index(f"ix_referrals_{name}", "referrals")
    for name in ("replaces", "part_of", "offer"):
        op.drop_index(f"ix_referrals_{name}", "referrals")
    for name, _kind in reversed(ADDED):
        op.drop_column("referrals", name)
