"""Documents that books rest on: what each statement and payment was, and PDFs as first made.

Going back loses both: seals that were made over documents are then found broken, since what was
sealed is gone. Keep the heads of before.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from regional311.database.protection import protect

revision = "0080"
down_revision = "0079"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "ledger_documents",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("recorded_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_ledger_documents")),
        sa.UniqueConstraint(
            "tenant_id",
            "kind",
            "subject_id",
            name=op.f("uq_ledger_documents_tenant_id_kind_subject_id"),
        ),
    )
    op.create_table(
        "statement_files",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("statement_id", sa.Uuid(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("rendering", sa.Text(), nullable=False),
        sa.Column("made_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_statement_files")),
        sa.UniqueConstraint(
            "tenant_id",
            "statement_id",
            name=op.f("uq_statement_files_tenant_id_statement_id"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "statement_id"],
            ["statements.tenant_id", "statements.id"],
            name=op.f("fk_statement_files_tenant_id_statement_id"),
        ),
    )
    for statement in protect(append_only=["ledger_documents", "statement_files"]):
        op.execute(statement)


def downgrade() -> None:
    op.drop_table("statement_files")
    op.drop_table("ledger_documents")
