"""Make search documents of what is published, in the transaction that publishes it.

Whoever publishes a service or an article calls `refresh` for it; many at once are refreshed
together, in a few statements for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final
from uuid import UUID

import orjson
from sqlalchemy import text

from regional311.catalog.documents import Document, documents_of_article, documents_of_service
from regional311.database.ids import new_id
from regional311.database.rows import send
from regional311.database.session import TenantSession, mark_changed, scope_of

_WAITING: Final = "search_documents_waiting"
_BATCH: Final = 500

_PARTNER: Final = text("""
SELECT slug, name, short_name, coalesce(settings -> 'languages' ->> 0, 'en') AS language
FROM tenants WHERE tenant_id = :me AND id = :me
""")

_SERVICES: Final = text("""
SELECT s.key, s.name, s.summary, s.verb, s.bureau_key, s.term, s.keywords, s.boundary_key,
    s.details, s.ended_on, b.name AS bureau,
    (
        SELECT concat_ws(' ', o.name, o.details ->> 'alternate_name') FROM organizations AS o
        WHERE o.tenant_id = :me AND o.key = s.details ->> 'organization' AND o.ended_on IS NULL
    ) AS organization,
    (
        SELECT jsonb_agg(
            jsonb_build_object('here', h.details, 'there', l.details, 'name', l.name)
            ORDER BY l.key
        )
        FROM service_locations AS h
        JOIN locations AS l ON l.tenant_id = :me AND l.id = h.location_id
        WHERE h.tenant_id = :me AND h.service_id = s.id
            AND h.ended_on IS NULL AND l.ended_on IS NULL
    ) AS places,
    (
        SELECT jsonb_object_agg(language, names) FROM (
            SELECT w.language, jsonb_agg(w.name) AS names
            FROM jsonb_array_elements_text(s.details -> 'taxonomy') AS ref
            JOIN taxonomies AS t ON t.key = split_part(ref, ':', 1) AND t.ended_on IS NULL
            JOIN taxonomy_terms AS m ON m.tenant_id = t.tenant_id AND m.taxonomy_id = t.id
                AND m.code = split_part(ref, ':', 2) AND m.ended_on IS NULL
            CROSS JOIN LATERAL (
                SELECT 'en' AS language, m.name
                UNION ALL
                SELECT each ->> 'language', each ->> 'name'
                FROM jsonb_array_elements(m.details -> 'translation') AS each
            ) AS w
            GROUP BY w.language
        ) AS by_language
    ) AS term_names
FROM services AS s
LEFT JOIN bureaus AS b ON b.tenant_id = :me AND b.key = s.bureau_key
WHERE s.tenant_id = :me AND (s.key = ANY(:keys) OR :everything)
ORDER BY s.key
""")

_ARTICLES: Final = text("""
SELECT key, kind, title, public, valid_from, valid_to, ended_on, details
FROM articles
WHERE tenant_id = :me AND (key = ANY(:keys) OR :everything)
ORDER BY key
""")

_WRITE: Final = text("""
WITH new AS MATERIALIZED (
    SELECT * FROM json_to_recordset(CAST(:documents AS json)) AS d (
        id uuid, kind text, key text, language text, for_staff boolean, title text, summary text,
        a text, b text, c text, d text, phrases text[], spoken text[], verb text, status text,
        heading text, terms text[], languages text[], free boolean, documents boolean,
        areas text[], week int4multirange, holiday int4multirange, valid_from date,
        valid_to date, digest text
    )
), old AS MATERIALIZED (
    SELECT id, key, language, for_staff, spoken, digest FROM search_documents
    WHERE tenant_id = :me AND kind = :kind AND listed AND key = ANY(:keys)
), changed AS MATERIALIZED (
    SELECT new.* FROM new
    LEFT JOIN old USING (key, language, for_staff)
    WHERE old.digest IS DISTINCT FROM new.digest
), gone AS MATERIALIZED (
    SELECT old.* FROM old
    LEFT JOIN new USING (key, language, for_staff)
    WHERE new.digest IS NULL
), emptied AS (
    UPDATE search_documents AS d
    SET listed = false, title = '', summary = '', words = '', spoken = '{}', heading = NULL,
        terms = '{}', areas = '{}', digest = ''
    FROM gone WHERE d.tenant_id = :me AND d.id = gone.id
), written AS (
    INSERT INTO search_documents (
        tenant_id, id, kind, key, language, for_staff, listed, title, summary, words, spoken,
        verb, status, heading, terms, languages, free, documents, areas, week, holiday,
        valid_from, valid_to, digest
    )
    SELECT :me, id, kind, key, language, for_staff, true, title, summary,
        search_vector(language, a, 'A') || search_vector(language, b, 'B')
            || search_vector(language, c, 'C') || search_vector(language, d, 'D')
            || search_phrases(language, phrases),
        spoken, verb, status, heading, terms, languages, free, documents, areas, week, holiday,
        valid_from, valid_to, digest
    FROM changed
    ON CONFLICT (tenant_id, kind, key, language, for_staff) DO UPDATE SET
        listed = true, title = excluded.title, summary = excluded.summary,
        words = excluded.words, spoken = excluded.spoken, verb = excluded.verb,
        status = excluded.status, heading = excluded.heading, terms = excluded.terms,
        languages = excluded.languages, free = excluded.free, documents = excluded.documents,
        areas = excluded.areas, week = excluded.week, holiday = excluded.holiday,
        valid_from = excluded.valid_from, valid_to = excluded.valid_to, digest = excluded.digest
), counted AS MATERIALIZED (
    SELECT language, word, sum(difference) AS difference FROM (
        SELECT language, unnest(spoken) AS word, 1 AS difference FROM changed
        UNION ALL
        SELECT old.language, unnest(old.spoken), -1
        FROM old JOIN changed USING (key, language, for_staff)
        UNION ALL
        SELECT language, unnest(spoken), -1 FROM gone
    ) AS every
    WHERE word = '' OR search_stem(language, word) <> ''
    GROUP BY language, word HAVING sum(difference) <> 0
)
INSERT INTO search_words (tenant_id, language, word, stem, slips, documents)
SELECT :me, c.language, c.word, coalesce(search_stem(c.language, c.word), ''),
    CASE WHEN w.word IS NULL THEN search_slips(c.word) ELSE '{}' END, c.difference
FROM counted AS c
LEFT JOIN search_words AS w
    ON w.tenant_id = :me AND w.language = c.language AND w.word = c.word
ORDER BY c.language, c.word
ON CONFLICT (tenant_id, language, word) DO UPDATE
SET documents = search_words.documents + excluded.documents
""")

_SERVICES_OF: Final = {
    "organization": text(
        "SELECT key FROM services WHERE tenant_id = :me AND details ->> 'organization' = :key"
    ),
    "location": text(
        "SELECT s.key FROM locations AS l"
        " JOIN service_locations AS h ON h.tenant_id = :me AND h.location_id = l.id"
        " JOIN services AS s ON s.tenant_id = :me AND s.id = h.service_id"
        " WHERE l.tenant_id = :me AND l.key = :key"
    ),
}


def refresh_about(session: TenantSession, kind: str, key: str) -> None:
    """Make the documents anew that tell of one thing: of an organisation, those of its services.

    There are none of other kinds than services, articles, organisations and locations.
    """
    if kind in _KINDS:
        refresh(session, kind, [key])
    elif kind in _SERVICES_OF:
        send(session)
        asked = {"me": scope_of(session).tenant_id, "key": key}
        refresh(session, "service", session.scalars(_SERVICES_OF[kind], asked).all())


def refresh_everything(session: TenantSession, _at: object = None) -> int:
    """Make all of this partner's documents anew, as a chore of the worker; give how many there are.

    It finds what no publication told of, such as another partner's terms or an older release.
    """
    return refresh(session, "service") + refresh(session, "article")


def refresh(session: TenantSession, kind: str, keys: Collection[str] | None = None) -> int:
    """Make the documents of this partner's services or articles anew; give how many there are.

    ``kind`` is `service` or `article`. Without ``keys``, of all of them. What did not change is not
    written, what nobody may find any more loses its documents. Inside `together` it happens at the
    end, and 0 is given now.
    """
    waiting: dict[str, set[str] | None] | None = session.info.get(_WAITING)
    if waiting is not None:
        known = waiting.get(kind, set())
        waiting[kind] = None if keys is None or known is None else known | set(keys)
        return 0
    if keys is not None and not keys:
        return 0
    send(session)
    me = scope_of(session).tenant_id
    partner = dict(session.execute(_PARTNER, {"me": me}).mappings().one())
    read, make = _KINDS[kind]
    asked = {"me": me, "keys": list(keys or ()), "everything": keys is None}
    rows = [dict(row) for row in session.execute(read, asked).mappings()]
    count = 0
    for start in range(0, len(rows), _BATCH):
        batch = rows[start : start + _BATCH]
        documents = [each for row in batch for each in make(row, partner)]
        _write(session, me, kind, [row["key"] for row in batch], documents)
        count += len(documents)
    return count


@contextmanager
def together(session: TenantSession) -> Iterator[None]:
    """Put off what `refresh` is asked for in the block, and do it at once when the block ends.

    For whoever writes many services of one partner in a row; a block within a block waits for the
    outer one.
    """
    if _WAITING in session.info:
        yield
        return
    session.info[_WAITING] = {}
    try:
        yield
    except BaseException:
        del session.info[_WAITING]
        raise
    for kind, keys in session.info.pop(_WAITING).items():
        refresh(session, kind, keys)


def _write(
    session: TenantSession, me: UUID, kind: str, keys: list[str], documents: list[Document]
) -> None:
    rows = [{"id": new_id(), **each.plain()} for each in documents]
    session.execute(
        _WRITE, {"me": me, "kind": kind, "keys": keys, "documents": orjson.dumps(rows).decode()}
    )
    mark_changed(session)


_KINDS: Final[
    Mapping[str, tuple[Any, Callable[[Mapping[str, Any], Mapping[str, Any]], list[Document]]]]
] = {
    "service": (_SERVICES, documents_of_service),
    "article": (_ARTICLES, documents_of_article),
}
