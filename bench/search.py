"""Search and typeahead over twenty thousand services and articles, beside a plain text search.

The documents are made by set-based SQL of the example region's services, mixed, spread over its
partners, with rare words added: the commonest words are in a quarter of them, most in a few. The
statements are timed as the application's role sends them, under forced row security, planning and
fetching included; the plain search is the text search query that the same question rests on.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, event, text
from sqlalchemy.orm import Session

from bench import Figure, Site
from regional311.catalog.reading import question
from regional311.catalog.search import Moment, Search
from regional311.database.session import Scope, open_session, session_scope
from regional311.referral.snapshot import NOBODY, published

DOCUMENTS = 20_000
SHARES = {"city-of-portland": 8_000, "multnomah-county": 4_000, "211info": 8_000}
"""Documents by partner; every tenth is an article."""

ROUNDS = 7
QUESTIONS = (
    "pothole",
    "street light out",
    "my trash wasn't picked up",
    "there is a huge hole in the road in front of my house",
    "graffitti on the wall",
    "abandonned vehical",
    "water bill",
    "help with rent",
    "food pantry",
    "I got an eviction notice",
    "my husband hits me",
    "building permit",
    "noise complaint",
    "library card",
    "property tax",
    "where can I get a covid vaccine",
    "someone broke into my car",
    "homeless shelter",
    "free dentist",
    "sewer is backing up into the basement",
)


def plain(words: str) -> str:
    return f"trim(regexp_replace(lower({words}), '[^a-z0-9]+', ' ', 'g'))"


def rare(number: str) -> str:
    """A word that is none: the number in consonants."""
    return f"'q' || translate(to_hex({number}), '0123456789abcdef', 'bcdfghjklmnpqrst')"


FILL = text(f"""
WITH base AS MATERIALIZED (
    SELECT row_number() OVER (ORDER BY tenant_id, key) - 1 AS n, count(*) OVER () AS many, name,
        summary, verb, keywords, details ->> 'information' AS more,
        coalesce(details ->> 'group', '') AS heading
    FROM services
), made AS MATERIALIZED (
    SELECT i, one.name || ' ' || {rare("i % 1500")} AS title, one.summary, one.verb, one.heading,
        {plain(f"one.name || ' ' || {rare('i % 1500')}")} AS a,
        {plain("array_to_string(one.keywords, ' ') || ' ' || other.keywords[1]")} AS b,
        {plain("concat_ws(' ', one.summary, one.heading, other.heading)")} AS c,
        {plain("concat_ws(' ', one.more, third.summary, tail.words)")} AS d
    FROM generate_series(CAST(:first AS int), CAST(:last AS int)) AS i
    JOIN base AS one ON one.n = i % one.many
    JOIN base AS other ON other.n = (i * 7 + i / other.many) % other.many
    JOIN base AS third ON third.n = (i * 13 + i / third.many) % third.many
    CROSS JOIN LATERAL (
        SELECT string_agg({rare("(i * 31 + k * k * 97) % (40 * k * k)")}, ' ') AS words
        FROM generate_series(1, 25) AS k
    ) AS tail
)
INSERT INTO search_documents (
    tenant_id, id, kind, key, language, for_staff, listed, title, summary, words, spoken, verb,
    status, heading, terms, languages, free, documents, areas, digest
)
SELECT :tenant, uuidv7(), CASE WHEN i % 10 = 0 THEN 'article' ELSE 'service' END, 'bench-' || i,
    'en', false, true, title, summary,
    search_vector('en', a, 'A') || search_vector('en', b, 'B') || search_vector('en', c, 'C')
        || search_vector('en', d, 'D') || search_phrases('en', ARRAY[a, b]),
    ARRAY(SELECT DISTINCT regexp_split_to_table(concat_ws(' ', '', a, b, c, d), ' +')), verb,
    'active', heading, '{{}}', CASE i % 5 WHEN 0 THEN ARRAY['es'] ELSE '{{}}' END, i % 3 = 0,
    i % 4 = 0, '{{}}', ''
FROM made
""")
COUNT = text("""
INSERT INTO search_words (tenant_id, language, word, stem, slips, documents)
SELECT :tenant, 'en', word, coalesce(search_stem('en', word), ''), search_slips(word), count(*)
FROM search_documents CROSS JOIN LATERAL unnest(spoken) AS word
WHERE tenant_id = :tenant AND digest = '' AND (word = '' OR search_stem('en', word) <> '')
GROUP BY word ORDER BY word
ON CONFLICT (tenant_id, language, word)
DO UPDATE SET documents = search_words.documents + excluded.documents
""")
PLAIN = text("""
SELECT tenant_id, kind, key, title, summary, ts_rank(words, CAST(:query AS tsquery)) AS score
FROM search_documents
WHERE language = 'en' AND listed AND words @@ CAST(:query AS tsquery)
ORDER BY score DESC, title LIMIT 10
""")


class Clock:
    """How long the statements of a session took, from sending to the last row, in milliseconds."""

    def __init__(self, engine: Engine) -> None:
        self.spent = self.begun = 0.0
        event.listen(engine, "before_cursor_execute", self._begin)
        event.listen(engine, "after_cursor_execute", self._end)

    def _begin(self, *_: Any) -> None:
        self.begun = time.perf_counter()

    def _end(self, *_: Any) -> None:
        self.spent += (time.perf_counter() - self.begun) * 1000

    def of(self, work: Callable[[], object]) -> float:
        self.spent = 0.0
        work()
        return self.spent


def measured(
    clock: Clock, session: Session, search: Search, questions: Sequence[str], *, typing: bool
) -> tuple[float, float]:
    """The median of all questions, and of the plain searches they rest on, in turns."""
    queries = []
    for each in questions:
        reading = search.understand(session, question(each, typing=typing))
        english = [one.some_places for one in reading.interpretations if one.language == "en"]
        if english:
            queries.append((each, english[0]))
    ours, theirs = [], []
    for turn in range(ROUNDS):
        for each, query in queries:
            one = clock.of(lambda: search.find(session, each, typing=typing, limit=8))  # noqa: B023
            other = clock.of(lambda: session.execute(PLAIN, {"query": query}).all())  # noqa: B023
            if turn:
                ours.append(one)
                theirs.append(other)
    return statistics.median(ours), statistics.median(theirs)


def run(site: Site) -> list[Figure]:
    """Fill the region, then time whole questions, and what a typist sends letter by letter."""
    region = published(site.engine)
    first = 1
    for slug, many in SHARES.items():
        with session_scope(site.engine, Scope(region.ids[slug])) as session:
            values = {"tenant": region.ids[slug], "first": first, "last": first + many - 1}
            session.execute(FILL, values)
            session.execute(COUNT, values)
        first += many
    with site.owner() as connection:
        for table in ("search_documents", "search_words", "synonyms"):
            connection.execute(text(f"VACUUM ANALYZE {table}"))
    moments = tuple(
        Moment(tenant_id, 2000, 560, holiday=False, answered=True)
        for tenant_id in region.ids.values()
    )
    search = Search(
        region.ids["region"], region.today("region", datetime.now(UTC)), staff=True, moments=moments
    )
    typed = [each[:length] for each in QUESTIONS for length in range(3, len(each) + 1, 3)]
    clock = Clock(site.engine)
    with open_session(site.engine, NOBODY) as session:
        whole, plain_whole = measured(clock, session, search, QUESTIONS, typing=False)
        typing, plain_typing = measured(clock, session, search, typed, typing=True)
        counted = [
            clock.of(lambda: search.find(session, each, counted=True, limit=20))  # noqa: B023
            for each in QUESTIONS
        ]
    return [
        Figure(f"search: {len(QUESTIONS)} questions, median", whole, "ms", at_most=15),
        Figure("  the plain text search each rests on", plain_whole, "ms"),
        Figure("  to the plain search", whole / plain_whole, "", at_most=2),
        Figure(f"typeahead: {len(typed)} beginnings, median", typing, "ms", at_most=15),
        Figure("  the plain text search each rests on", plain_typing, "ms"),
        Figure("  to the plain search", typing / plain_typing, "", at_most=2),
        Figure("search page with all counts, median", statistics.median(counted), "ms"),
    ]
