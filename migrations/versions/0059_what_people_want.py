"""Keep who wants no notices, who wants them once a day, and where mail does not arrive.

The previous release goes on beside it: what it writes is gathered nowhere.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from regional311.database.protection import protect

revision = "0059"
down_revision = "0058"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
STATE = "ck_outbox_messages_state_known"
TABLES = ("notice_stops", "notice_choices", "mail_troubles")


def upgrade() -> None:
    op.add_column(
        "outbox_messages",
        sa.Column("digest", sa.Boolean(), nullable=False, server_default=sa.text("false")),
    )
    op.add_column("outbox_messages", sa.Column("died_at", TIME))
    op.add_column("outbox_messages", sa.Column("cause_id", sa.Uuid()))
    op.create_index(
        "ix_outbox_messages_cause",
        "outbox_messages",
        ["tenant_id", "cause_id"],
        postgresql_where=sa.text("cause_id IS NOT NULL AND state = 'pending'"),
    )
    op.drop_constraint(op.f(STATE), "outbox_messages", type_="check")
    op.create_check_constraint(
        op.f(STATE),
        "outbox_messages",
        "state IN ('pending', 'sent', 'dead', 'aside', 'withdrawn', 'gathered')",
    )
    op.create_table(
        "notice_stops",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Uuid()),
        sa.Column("stopped_at", TIME),
        sa.Column("changed_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_notice_stops")),
        sa.UniqueConstraint(
            "tenant_id",
            "address",
            "subject_id",
            name=op.f("uq_notice_stops_tenant_id_address_subject_id"),
            postgresql_nulls_not_distinct=True,
        ),
    )
    op.create_table(
        "notice_choices",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("how", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "how IN ('at_once', 'daily', 'never')", name=op.f("ck_notice_choices_how_known")
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_notice_choices")),
        sa.UniqueConstraint(
            "tenant_id",
            "person_id",
            "event",
            name=op.f("uq_notice_choices_tenant_id_person_id_event"),
        ),
    )
    op.create_index(
        op.f("ix_notice_choices_tenant_id_address"), "notice_choices", ["tenant_id", "address"]
    )
    op.create_table(
        "mail_troubles",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("passing", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Uuid()),
        sa.Column("last_at", TIME, nullable=False),
        sa.Column("stopped_at", TIME),
        sa.Column("lifted_at", TIME),
        sa.Column("lifted_by", sa.Uuid()),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_mail_troubles")),
        sa.UniqueConstraint(
            "tenant_id", "address", name=op.f("uq_mail_troubles_tenant_id_address")
        ),
    )
    for statement in protect(tenant=TABLES):
        op.execute(statement)


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)
    op.drop_constraint(op.f(STATE), "outbox_messages", type_="check")
    # what was gathered left with others
    op.execute("ALTER TABLE outbox_messages NO FORCE ROW LEVEL SECURITY")
    op.execute("UPDATE outbox_messages SET state = 'sent' WHERE state = 'gathered'")
    op.execute("ALTER TABLE outbox_messages FORCE ROW LEVEL SECURITY")
    op.create_check_constraint(
        op.f(STATE), "outbox_messages", "state IN ('pending', 'sent', 'dead', 'aside', 'withdrawn')"
    )
    op.drop_index("ix_outbox_messages_cause", "outbox_messages")
    for name in ("cause_id", "died_at", "digest"):
        op.drop_column("outbox_messages", name)
