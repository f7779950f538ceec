"""Accommodations: what holds after an appeal, until when, reminders, and when details are erased.

The previous release goes on beside it: what it decides has no last day to appeal, and an appeal that
it answers is to be answered once more.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from regional311.database.protection import protect

revision = "0056"
down_revision = "0055"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
COLUMNS = {
    "appeal_until": sa.Date(),
    "appeal_by": sa.Date(),
    "appeal_outcome": sa.Text(),
    "appeal_answered_at": TIME,
    "link_token": sa.Text(),
    "forgotten_at": TIME,
}


def upgrade() -> None:
    for name, kind in COLUMNS.items():
        op.add_column("accommodations", sa.Column(name, kind))
    op.create_table(
        "accommodation_reminders",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("accommodation_id", sa.Uuid(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_accommodation_reminders")),
        sa.UniqueConstraint(
            "tenant_id",
            "accommodation_id",
            "step",
            name=op.f("uq_accommodation_reminders_tenant_id_accommodation_id_step"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "accommodation_id"],
            ["accommodations.tenant_id", "accommodations.id"],
            name=op.f("fk_accommodation_reminders_tenant_id_accommodation_id"),
        ),
    )
    for statement in protect(append_only=("accommodation_reminders",)):
        op.execute(statement)
    # forced row security would hide every row from the owner and change none, silently
    for table in ("accommodations", "tenants"):
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
    op.execute(
        "UPDATE accommodations SET"
        " appeal_until = CASE WHEN state = 'decided' THEN decided_at::date + 60 END,"
        " appeal_by = appealed_at::date + 21,"
        " appeal_outcome = CASE WHEN appeal_answer IS NOT NULL THEN outcome END,"
        " appeal_answered_at = CASE WHEN appeal_answer IS NOT NULL THEN updated_at END"
    )
    # whoever was named for everything else stays so, now in words
    op.execute(
        "UPDATE tenants SET settings = jsonb_set(settings, '{coordinators}', ("
        "  SELECT jsonb_agg(CASE WHEN coalesce(each ->> 'bureau', '') = ''"
        "    THEN each || '{\"whole\": true}' ELSE each END ORDER BY place)"
        "  FROM jsonb_array_elements(settings -> 'coordinators')"
        "    WITH ORDINALITY AS every(each, place)"
        "))"
        " WHERE jsonb_array_length(coalesce(settings -> 'coordinators', '[]')) > 0"
    )
    for table in ("accommodations", "tenants"):
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.create_check_constraint(
        op.f("ck_accommodations_answered_with_an_outcome"),
        "accommodations",
        "(appeal_outcome IS NULL) = (appeal_answered_at IS NULL)",
    )


def downgrade() -> None:
    # the release before refuses what it does not know
    op.execute("ALTER TABLE tenants NO FORCE ROW LEVEL SECURITY")
    op.execute(
        "UPDATE tenants SET settings = jsonb_set(settings, '{coordinators}', ("
        "  SELECT jsonb_agg(each - 'whole' ORDER BY place)"
        "  FROM jsonb_array_elements(settings -> 'coordinators') WITH ORDINALITY AS every(each, place)"
        "))"
        " WHERE jsonb_array_length(coalesce(settings -> 'coordinators', '[]')) > 0"
    )
    op.execute(
        "UPDATE tenants SET settings = settings"
        " #- '{accommodation,appeal_days}' #- '{accommodation,keep_days}'"
        " WHERE settings -> 'accommodation' IS NOT NULL"
    )
    op.execute("ALTER TABLE tenants FORCE ROW LEVEL SECURITY")
    op.drop_table("accommodation_reminders")
    op.drop_constraint(op.f("ck_accommodations_answered_with_an_outcome"), "accommodations")
    for name in COLUMNS:
        op.drop_column("accommodations", name)
