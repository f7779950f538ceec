"""Know a search document by its digest, and names and callers' words as a whole."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

# Phrases as words of their own, whatever the order of their words: "=light street".
PHRASES = """
CREATE FUNCTION search_phrases(language text, phrases text[]) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN array_to_tsvector(ARRAY(
    SELECT left('=' || string_agg(DISTINCT search_stem(language, word), ' '), 200)
    FROM unnest(phrases) WITH ORDINALITY AS every(phrase, place),
        unnest(string_to_array(phrase, ' ')) AS word
    WHERE search_stem(language, word) <> ''
    GROUP BY place
))
"""

# As before, in a fifth of the time.
SLIPS = """
CREATE OR REPLACE FUNCTION search_slips(word text) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    size CONSTANT int := length(word);
    found text[] := ARRAY[word];
    before text;
    after text;
BEGIN
    IF size < 4 OR word ~ '[0-9]' THEN
        RETURN '{}';
    END IF;
    FOR one IN 1 .. size LOOP
        before := left(word, one - 1);
        after := substr(word, one + 1);
        found := found || (before || after);
        IF size BETWEEN 7 AND 12 THEN
            FOR other IN 1 .. size - one LOOP
                found := found || (before || left(after, other - 1) || substr(after, other + 1));
            END LOOP;
        END IF;
    END LOOP;
    RETURN found;
END
$$
"""
WRITTEN_THROUGH = [
    "ix_synonyms_said_stems",
    "ix_synonyms_means_stems",
    "ix_search_documents_words",
    "ix_search_words_slips",
]


def upgrade() -> None:
    op.execute(PHRASES)
    op.execute(SLIPS)
    # the beginnings of words are found by their order
    for column in ("word", "stem"):
        op.alter_column("search_words", column, type_=sa.Text(collation="C"))
    # what was just written is found as fast as everything else
    for name in WRITTEN_THROUGH:
        op.execute(f"ALTER INDEX {name} SET (fastupdate = off)")
    # nothing has been written there yet
    op.add_column("search_documents", sa.Column("digest", sa.Text(), nullable=False))


def downgrade() -> None:
    op.drop_column("search_documents", "digest")
    for name in WRITTEN_THROUGH:
        op.execute(f"ALTER INDEX {name} RESET (fastupdate)")
    for column in ("word", "stem"):
        op.alter_column("search_words", column, type_=sa.Text())
    op.execute("DROP FUNCTION search_phrases(text, text[])")
