"""Keep a prepared text in all its languages as one, with a key that files name it by.

A text that was there in several languages stays several texts: which belong together, only people
know.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0068"
down_revision = "0067"
branch_labels = None
depends_on = None

_NAMES = (
    "pk_{}",
    "ck_{}_channel_known",
    "ck_{}_purpose_known",
    *(
        f"{{}}_{column}_not_null"
        for column in ("tenant_id", "id", "name", "purpose", "changed_at", "version")
    ),
)


def upgrade() -> None:
    op.drop_index("ix_answer_templates_tenant_id_language_name", table_name="answer_templates")
    op.rename_table("answer_templates", "prepared_texts")
    _rename("answer_templates", "prepared_texts")
    op.add_column("prepared_texts", sa.Column("key", sa.Text()))
    op.add_column("prepared_texts", sa.Column("words", JSONB()))
    op.execute("ALTER TABLE prepared_texts NO FORCE ROW LEVEL SECURITY")
    op.execute(
        "UPDATE prepared_texts SET key = 'text-' || substr(md5(id::text), 1, 12),"
        " words = jsonb_build_object(language, text)"
    )
    op.execute("ALTER TABLE prepared_texts FORCE ROW LEVEL SECURITY")
    op.alter_column("prepared_texts", "key", nullable=False)
    op.alter_column("prepared_texts", "words", nullable=False)
    op.create_unique_constraint(
        op.f("uq_prepared_texts_tenant_id_purpose_key"),
        "prepared_texts",
        ["tenant_id", "purpose", "key"],
    )
    op.drop_column("prepared_texts", "language")
    op.drop_column("prepared_texts", "text")


def downgrade() -> None:
    op.add_column("prepared_texts", sa.Column("language", sa.Text()))
    op.add_column("prepared_texts", sa.Column("text", sa.Text()))
    op.execute("ALTER TABLE prepared_texts NO FORCE ROW LEVEL SECURITY")
    # one of the languages each: the table before holds no more
    op.execute(
        "UPDATE prepared_texts SET language = said.language, text = said.words FROM ("
        " SELECT DISTINCT ON (t.tenant_id, t.id) t.tenant_id, t.id, each.key AS language,"
        " each.value AS words FROM prepared_texts t, jsonb_each_text(t.words) each"
        " ORDER BY t.tenant_id, t.id, each.key <> 'en', each.key) said"
        " WHERE said.tenant_id = prepared_texts.tenant_id AND said.id = prepared_texts.id"
    )
    op.execute("ALTER TABLE prepared_texts FORCE ROW LEVEL SECURITY")
    op.alter_column("prepared_texts", "language", nullable=False)
    op.alter_column("prepared_texts", "text", nullable=False)
    op.drop_constraint(
        op.f("uq_prepared_texts_tenant_id_purpose_key"), "prepared_texts", type_="unique"
    )
    op.drop_column("prepared_texts", "words")
    op.drop_column("prepared_texts", "key")
    _rename("prepared_texts", "answer_templates")
    op.rename_table("prepared_texts", "answer_templates")
    op.create_index(
        op.f("ix_answer_templates_tenant_id_language_name"),
        "answer_templates",
        ["tenant_id", "language", "name"],
    )


def _rename(before: str, after: str) -> None:
    for name in _NAMES:
        old, new = name.format(before), name.format(after)
        op.execute(f"ALTER TABLE prepared_texts RENAME CONSTRAINT {old} TO {new}")
