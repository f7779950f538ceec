"""Know when entries last changed, keep uploaded packages, and what may be the same."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from regional311.database.protection import protect

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

ENTRIES = ("services", "organizations", "locations")


def upgrade() -> None:
    for table in ENTRIES:
        op.add_column(table, sa.Column("modified_at", sa.DateTime(timezone=True)))
        # forced row security would hide every row from the owner, who updates all partners' rows
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
        op.execute(f"UPDATE {table} SET modified_at = now()")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    for table in ("services", "locations"):
        op.create_index(
            f"ix_{table}_organization",
            table,
            ["tenant_id", sa.text("(details ->> 'organization')")],
        )
    op.create_index(
        "ix_services_taxonomy",
        "services",
        [sa.text("(details -> 'taxonomy')")],
        postgresql_using="gin",
    )
    op.create_table(
        "package_imports",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("feed", sa.Text(), nullable=False),
        sa.Column("bureau_key", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.LargeBinary()),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("report", JSONB()),
        sa.Column("skip_broken", sa.Boolean(), nullable=False),
        sa.Column("choices", JSONB(), nullable=False),
        sa.Column("problem", sa.Text()),
        sa.Column("uploaded_by", sa.Uuid()),
        sa.Column("uploaded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ordered_by", sa.Uuid()),
        sa.Column("done_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_package_imports")),
        sa.CheckConstraint(
            "state IN ('waiting', 'checked', 'ordered', 'taken', 'refused', 'discarded')",
            name=op.f("ck_package_imports_state_known"),
        ),
    )
    op.create_index(
        op.f("ix_package_imports_tenant_id_state"), "package_imports", ["tenant_id", "state"]
    )
    op.create_table(
        "alike_pairs",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("other_tenant_id", sa.Uuid(), nullable=False),
        sa.Column("other_key", sa.Text(), nullable=False),
        sa.Column("score", sa.BigInteger(), nullable=False),
        sa.Column("reasons", ARRAY(sa.Text()), nullable=False),
        sa.Column("found_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("over", sa.Boolean(), nullable=False),
        sa.Column("verdict", sa.Text()),
        sa.Column("decided_by", sa.Uuid()),
        sa.Column("decided_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_alike_pairs")),
        sa.UniqueConstraint(
            "tenant_id",
            "kind",
            "key",
            "other_tenant_id",
            "other_key",
            name=op.f("uq_alike_pairs_tenant_id_kind_key_other_tenant_id_other_key"),
        ),
        sa.CheckConstraint(
            "kind IN ('organization', 'location', 'service')",
            name=op.f("ck_alike_pairs_kind_known"),
        ),
        sa.CheckConstraint(
            "verdict IN ('same', 'different')", name=op.f("ck_alike_pairs_verdict_known")
        ),
    )
    op.create_index(
        op.f("ix_alike_pairs_other_tenant_id_kind_other_key"),
        "alike_pairs",
        ["other_tenant_id", "kind", "other_key"],
    )
    for statement in protect(tenant=["package_imports"], published=["alike_pairs"]):
        op.execute(statement)


def downgrade() -> None:
    op.drop_table("alike_pairs")
    op.drop_table("package_imports")
    op.drop_index("ix_services_taxonomy", "services")
    for table in ("services", "locations"):
        op.drop_index(f"ix_{table}_organization", table)
    for table in ENTRIES:
        op.drop_column(table, "modified_at")
