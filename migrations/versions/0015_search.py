"""Keep search documents, their words, and synonyms."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, INT4MULTIRANGE, TSVECTOR

from regional311.database.protection import protect

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

STRINGS = ARRAY(sa.Text())

# The stem of a plain word; null for a word that only holds a sentence together.
STEM = """
CREATE FUNCTION search_stem(language text, word text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE language
    WHEN 'en' THEN (ts_lexize('pg_catalog.english_stem', word))[1]
    WHEN 'es' THEN (ts_lexize('pg_catalog.spanish_stem', word))[1]
    WHEN 'ru' THEN (ts_lexize('pg_catalog.russian_stem', word))[1]
    ELSE word
END
"""

# Phrases of plain words, each word stemmed.
STEMS = """
CREATE FUNCTION search_stems(language text, phrases text[]) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ARRAY(
    SELECT (
        SELECT string_agg(coalesce(search_stem(language, word), word), ' ' ORDER BY place)
        FROM unnest(string_to_array(phrase, ' ')) WITH ORDINALITY AS one(word, place)
    )
    FROM unnest(phrases) WITH ORDINALITY AS every(phrase, place)
    ORDER BY place
)
"""

# Plain words as a weighted part of a document.
VECTOR = """
CREATE FUNCTION search_vector(language text, words text, weight "char") RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN setweight(
    CASE language
        WHEN 'en' THEN to_tsvector('pg_catalog.english', words)
        WHEN 'es' THEN to_tsvector('pg_catalog.spanish', words)
        WHEN 'ru' THEN to_tsvector('pg_catalog.russian', words)
        ELSE to_tsvector('pg_catalog.simple', words)
    END,
    weight
)
"""

# A word as it is, and without any one of its letters; a longer one without any two as well. Two
# words that share one of these differ by a slip or two.
SLIPS = """
CREATE FUNCTION search_slips(word text) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN length(word) < 4 OR word ~ '[0-9]' THEN '{}' ELSE ARRAY(
    SELECT word
    UNION
    SELECT overlay(word PLACING '' FROM one FOR 1) FROM generate_series(1, length(word)) AS one
    UNION
    SELECT overlay(overlay(word PLACING '' FROM other FOR 1) PLACING '' FROM one FOR 1)
    FROM generate_series(1, length(word)) AS one, generate_series(2, length(word)) AS other
    WHERE one < other AND length(word) BETWEEN 7 AND 16
) END
"""
FUNCTIONS = {
    "search_stem(text, text)": STEM,
    "search_stems(text, text[])": STEMS,
    'search_vector(text, text, "char")': VECTOR,
    "search_slips(text)": SLIPS,
}


def upgrade() -> None:
    for statement in FUNCTIONS.values():
        op.execute(statement)
    op.create_table(
        "synonyms",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("said", STRINGS, nullable=False),
        sa.Column("means", STRINGS, nullable=False),
        sa.Column("both_ways", sa.Boolean(), nullable=False),
        sa.Column("said_words", STRINGS, nullable=False),
        sa.Column("means_words", STRINGS, nullable=False),
        sa.Column(
            "said_stems",
            STRINGS,
            sa.Computed("search_stems(language, said_words)", persisted=True),
            nullable=False,
        ),
        sa.Column(
            "means_stems",
            STRINGS,
            sa.Computed("search_stems(language, means_words)", persisted=True),
            nullable=False,
        ),
        sa.Column("ended_on", sa.Date()),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_synonyms")),
        sa.UniqueConstraint("tenant_id", "key", name=op.f("uq_synonyms_tenant_id_key")),
    )
    for column in ("said_stems", "means_stems"):
        op.create_index(
            op.f(f"ix_synonyms_{column}"), "synonyms", [column], postgresql_using="gin"
        )
    op.create_table(
        "search_documents",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("for_staff", sa.Boolean(), nullable=False),
        sa.Column("listed", sa.Boolean(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("words", TSVECTOR(), nullable=False),
        sa.Column("spoken", STRINGS, nullable=False),
        sa.Column("verb", sa.Text()),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("heading", sa.Text()),
        sa.Column("terms", STRINGS, nullable=False),
        sa.Column("languages", STRINGS, nullable=False),
        sa.Column("free", sa.Boolean()),
        sa.Column("documents", sa.Boolean()),
        sa.Column("areas", STRINGS, nullable=False),
        sa.Column("week", INT4MULTIRANGE()),
        sa.Column("holiday", INT4MULTIRANGE()),
        sa.Column("valid_from", sa.Date()),
        sa.Column("valid_to", sa.Date()),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_search_documents")),
        sa.UniqueConstraint(
            "tenant_id",
            "kind",
            "key",
            "language",
            "for_staff",
            name=op.f("uq_search_documents_tenant_id_kind_key_language_for_staff"),
        ),
    )
    op.create_index(
        op.f("ix_search_documents_words"), "search_documents", ["words"], postgresql_using="gin"
    )
    op.create_index(
        op.f("ix_search_documents_language_title"),
        "search_documents",
        ["language", "title"],
        postgresql_where=sa.text("listed"),
    )
    op.create_table(
        "search_words",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("word", sa.Text(), nullable=False),
        sa.Column("stem", sa.Text(), nullable=False),
        sa.Column("slips", STRINGS, nullable=False),
        sa.Column("documents", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "language", "word", name=op.f("pk_search_words")),
    )
    op.create_index(op.f("ix_search_words_language_word"), "search_words", ["language", "word"])
    op.create_index(op.f("ix_search_words_language_stem"), "search_words", ["language", "stem"])
    op.create_index(
        op.f("ix_search_words_slips"), "search_words", ["slips"], postgresql_using="gin"
    )
    for statement in protect(published=["synonyms", "search_documents", "search_words"]):
        op.execute(statement)


def downgrade() -> None:
    for table in ("search_words", "search_documents", "synonyms"):
        op.drop_table(table)
    for signature in reversed(FUNCTIONS):
        op.execute(f"DROP FUNCTION {signature}")
