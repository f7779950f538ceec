"""Search everything that is published in the region, in one box.

Two statements: what the vocabulary knows of the words, then the documents by how well they meet
them. Everybody reads all documents but those for staff.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final
from uuid import UUID

import orjson
from sqlalchemy import text
from sqlalchemy.orm import Session

from regional311.catalog.reading import (
    Interpretation,
    Known,
    Place,
    Question,
    Reading,
    Way,
    question,
    quoted,
    read,
)

LONGEST: Final = 200
"""Characters of a question that are looked at."""

MOST: Final = 100
"""Hits that can be paged through; browsing without words has no such end."""

_WEAKEST: Final = 0.3
"""A hit that is worth less than this part of the best is left out."""

_LABELS: Final = (("A", 1.0), ("B", 0.8), ("C", 0.35), ("D", 0.12))
"""What a word counts in the name, in callers' words, in what it is about, in the details."""

_WHOLE: Final = 0.6
_PART: Final = 0.3
"""What it adds that all the words together, or some of them, are a name or callers' words."""

_OFTEN: Final = 0.1
_LONG: Final = 0.0006
"""Among equals: what says the words more often comes first, and what has the shorter name."""

_WHILE_TYPING: Final = 40
_ENOUGH: Final = 20
"""When so many meet all the words in their names or in callers' words, the others are left out."""

_OWN: Final = 1.08
_LAST: Final = "\U0010ffff"
"""The last character there is: all words that begin with a text sort before the two together."""

_DEGREE: Final = 111_320.0
"""Metres of a degree of latitude."""


@dataclass(frozen=True, slots=True)
class Point:
    """A point on Earth, in WGS 84 degrees."""

    longitude: float
    latitude: float


@dataclass(frozen=True, slots=True)
class Moment:
    """What time it is at a partner: minutes of the week and of the day, and whether its lines
    are answered then.
    """

    tenant_id: UUID
    week: int
    day: int
    holiday: bool
    answered: bool


@dataclass(frozen=True, slots=True)
class Served:
    """Where somebody is: the boundaries around them (``partner/key``), and the partners whose
    outline holds them.
    """

    areas: tuple[str, ...]
    partners: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class Filters:
    """What hits must be; what is left out does not matter.

    ``terms`` are those of a branch of a taxonomy. ``metres`` is how far from the point a place of
    it may be.
    """

    partner: UUID | None = None
    kind: str | None = None
    verb: str | None = None
    terms: frozenset[str] | None = None
    language: str | None = None
    free: bool = False
    documents: bool | None = None
    open_now: bool = False
    serves: Served | None = None
    metres: int | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """A thing found; a higher ``score`` is a better match, and about 1 is a good one.

    ``language`` is that of the document that was found, ``shown`` that of title and summary.
    ``matched`` has the stems that it has of those looked for, with where: A the name, B callers'
    words, C what it is about, D details. ``metres`` is the way to its nearest place.
    """

    tenant_id: UUID
    kind: str
    key: str
    language: str
    shown: str
    title: str
    summary: str
    verb: str | None
    status: str
    heading: str | None
    free: bool | None
    documents: bool | None
    score: float
    matched: Mapping[str, Sequence[str]] = field(default_factory=dict)
    is_open: bool | None = None
    metres: float | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What a question found, the best first, and how many of all are what.

    ``counts`` has, for each thing that can be filtered by, how many hits have each value.
    """

    reading: Reading
    hits: tuple[Hit, ...] = ()
    total: int = 0
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Search:
    """Whose search it is, where and when: the same for all that one person types.

    ``region`` is the region's own id: its synonyms hold for everybody. ``language`` is the page's.
    ``staff`` also find what is not for everybody; hits of the partner ``own`` come first among
    equals.
    """

    region: UUID
    today: date
    language: str = "en"
    staff: bool = False
    own: UUID | None = None
    moments: tuple[Moment, ...] = ()
    point: Point | None = None

    def find(
        self,
        session: Session,
        words: str,
        filters: Filters | None = None,
        *,
        typing: bool = False,
        first: int = 0,
        limit: int = 10,
        nearest: bool = False,
        counted: bool = False,
    ) -> Found:
        """Find published things by a person's words, in two statements.

        While ``typing``, the last word may be the beginning of one. Without words, everything that
        the filters leave is found, by name. ``first`` hits are left out, for pages. ``nearest``
        sorts by the way to the point.
        """
        asked = question(words[:LONGEST], typing=typing)
        reading = Reading()
        if words.strip():
            reading = self.understand(session, asked)
            if not reading.interpretations:
                return Found(reading)
        wanted = filters or Filters()
        values: dict[str, Any] = {
            "today": self.today,
            "staff": self.staff,
            "own": self.own,
            "display": self.language,
            "first": first,
            "limit": limit,
            "kept": _WHILE_TYPING if typing else MOST,
            "stems": _stems(reading),
            "moments": orjson.dumps([_plain(each) for each in self.moments]).decode(),
        }
        conditions = _conditions(wanted, values)
        near = self.point is not None and (nearest or wanted.metres is not None)
        if near:
            assert self.point is not None
            values |= _around(self.point, wanted.metres)
        parts = {
            f"l{number}": _documents(each, f"l{number}", values, conditions)
            for number, each in enumerate(reading.interpretations)
        } or {"everything": _EVERYTHING.format(conditions=conditions)}
        statement = _RANKED.format(
            near=_NEAR if near else "",
            hits=", ".join(parts.values()),
            every=" UNION ALL ".join(f"SELECT * FROM {name}" for name in parts),
            metres="n.metres" if near else "CAST(NULL AS float)",
            joined="JOIN near AS n USING (tenant_id, kind, key)" if near else "",
            order=("metres" if nearest and near else "score DESC") + ", title, tenant_id, key",
            counts=_COUNTS if counted else "CAST(NULL AS jsonb)",
        )
        rows = session.execute(text(statement), values).all()
        return Found(
            reading,
            tuple(_hit(row) for row in rows if row.key is not None),
            int(rows[0].total),
            rows[0].counts or {},
        )

    def understand(self, session: Session, asked: Question) -> Reading:
        """Ask the vocabulary about the words of a question, in one statement."""
        said = tuple(said for _word, said in asked.words)
        if not any(form.content for form in asked.forms):
            return Reading(said)
        forms = [
            {
                "at": form.at,
                "until": form.until,
                "language": form.language,
                "word": form.word,
                "content": form.content,
                "begins": form.begins,
            }
            for form in asked.forms
        ]
        documents: dict[str, int] = {}
        known: list[Known] = []
        for row in session.execute(
            _VOCABULARY,
            {
                "forms": orjson.dumps(forms).decode(),
                "today": self.today,
                "region": self.region,
                "last": _LAST,
            },
        ):
            if row.how == "documents":
                documents[row.language] = int(row.documents)
                continue
            stems = tuple(row.stems.split())
            known.append(
                Known(
                    row.how,
                    row.at,
                    row.until,
                    row.language,
                    row.word,
                    stems,
                    int(row.documents),
                    row.tenant_id,
                )
            )
        return read(asked, known, documents, language=self.language)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a hit is there: a word that was typed, what was found instead of it, and where.

    ``how`` is one of `reading`'s ways; ``where`` a weight, A to D.
    """

    typed: str
    met: str
    how: str
    where: str


def reasons(reading: Reading, hit: Hit) -> list[Reason]:
    """Say word by word why a hit was found: the best way in which each word is met."""
    found: list[Reason] = []
    for interpretation in reading.interpretations:
        if interpretation.language != hit.language:
            continue
        for place in interpretation.places:
            best: tuple[float, Reason] | None = None
            for way in place.ways:
                if way.tenant_id not in (None, hit.tenant_id):
                    continue
                for worth, label, word in _met(way, hit):
                    reason = Reason(place.word, word, way.how, label)
                    if best is None or way.factor * worth > best[0]:
                        best = (way.factor * worth, reason)
            if best is not None and best[1] not in found:
                found.append(best[1])
    return found


def _met(way: Way, hit: Hit) -> list[tuple[float, str, str]]:
    """Give how much, where and by which word a hit meets one way."""
    worths = dict(_LABELS)
    found = []
    for stems, word in zip(way.phrases, way.words, strict=True):
        if all(stem in hit.matched for stem in stems):
            label = max(min(hit.matched[stem]) for stem in stems)
            found.append((worths[label], label, word))
    return found


# --- what the vocabulary knows --------------------------------------------------------------------

_VOCABULARY: Final = text("""
WITH asked AS MATERIALIZED (
    SELECT f.*, search_stem(f.language, f.word) AS stem
    FROM json_to_recordset(CAST(:forms AS json)) AS f (
        "at" int, until int, language text, word text, content boolean, begins boolean
    )
), same AS MATERIALIZED (
    SELECT a."at", a.until, a.language, a.word, w.stem, sum(w.documents) AS documents
    FROM asked AS a JOIN search_words AS w ON w.language = a.language AND w.stem = a.stem
    WHERE a.content AND a.stem <> '' AND w.documents > 0
    GROUP BY a."at", a.until, a.language, a.word, w.stem
), lined AS (
    SELECT language, "at", stem AS one, lead(stem) OVER following AS two,
        lead(stem, 2) OVER following AS three, lead(stem, 3) OVER following AS four
    FROM (
        SELECT "at", language, coalesce(stem, word) AS stem FROM asked WHERE "at" = until
    ) AS every
    WINDOW following AS (PARTITION BY language ORDER BY "at")
), grams AS MATERIALIZED (
    SELECT l.language, l."at", l."at" + g.more AS until, g.gram
    FROM lined AS l CROSS JOIN LATERAL (VALUES
        (0, one), (1, one || ' ' || two), (2, one || ' ' || two || ' ' || three),
        (3, one || ' ' || two || ' ' || three || ' ' || four)
    ) AS g (more, gram)
    WHERE g.gram IS NOT NULL
), synonymous AS MATERIALIZED (
    SELECT tenant_id, language, coalesce(means_language, language) AS to_language,
        said_stems AS from_stems, means_words AS to_words, means_stems AS to_stems
    FROM synonyms
    WHERE said_stems && ARRAY(SELECT gram FROM grams) AND NOT both_ways
        AND (ended_on IS NULL OR ended_on > :today)
    UNION ALL
    SELECT tenant_id, language, language, said_stems || means_stems, said_words || means_words,
        said_stems || means_stems
    FROM synonyms
    WHERE both_ways
        AND (said_stems && ARRAY(SELECT gram FROM grams)
            OR means_stems && ARRAY(SELECT gram FROM grams))
        AND (ended_on IS NULL OR ended_on > :today)
), meant AS MATERIALIZED (
    SELECT g."at", g.until, s.to_language AS language, s.tenant_id, other.words, other.stems
    FROM synonymous AS s
    CROSS JOIN LATERAL unnest(s.from_stems) AS said
    JOIN grams AS g ON g.language = s.language AND g.gram = said
    CROSS JOIN LATERAL unnest(s.to_words, s.to_stems) AS other (words, stems)
    WHERE other.stems <> said OR s.to_language <> s.language
)
SELECT 'same' AS how, "at", until, language, word, stem AS stems, documents,
    CAST(NULL AS uuid) AS tenant_id
FROM same
UNION ALL
SELECT 'begins', a."at", a.until, a.language, w.word, w.stem, w.documents, NULL
FROM asked AS a CROSS JOIN LATERAL (
    SELECT min(w.word) AS word, w.stem, sum(w.documents) AS documents
    FROM search_words AS w
    WHERE w.language = a.language AND w.word >= a.word AND w.word < a.word || :last
        AND w.documents > 0
        AND w.stem IS DISTINCT FROM a.stem
    GROUP BY w.stem ORDER BY documents DESC, w.stem LIMIT 12
) AS w
WHERE a.begins AND length(a.word) > 1
UNION ALL
SELECT 'slip', a."at", a.until, a.language, w.word, w.stem, w.documents, NULL
FROM asked AS a CROSS JOIN LATERAL (
    SELECT w.word, min(w.stem) AS stem, sum(w.documents) AS documents
    FROM search_words AS w
    WHERE w.language = a.language AND w.slips && search_slips(a.word) AND w.documents > 0
    GROUP BY w.word
) AS w
WHERE a.content AND a."at" = a.until AND length(a.word) > 3 AND NOT EXISTS (
    SELECT FROM same AS s WHERE s.language = a.language AND a."at" BETWEEN s."at" AND s.until
)
UNION ALL
SELECT 'like', a."at", a.until, a.language, w.word, w.stem, w.documents, NULL
FROM asked AS a CROSS JOIN LATERAL (
    SELECT min(w.word) AS word, w.stem, sum(w.documents) AS documents
    FROM search_words AS w
    WHERE w.language = a.language AND w.documents > 0
        AND w.word >= left(a.word, greatest(5, length(a.word) * 7 / 10))
        AND w.word < left(a.word, greatest(5, length(a.word) * 7 / 10)) || :last
    GROUP BY w.stem ORDER BY documents DESC, w.stem LIMIT 5
) AS w
WHERE a.content AND a."at" = a.until AND length(a.word) > 5 AND NOT EXISTS (
    SELECT FROM same AS s WHERE s.language = a.language AND a."at" BETWEEN s."at" AND s.until
)
UNION ALL
SELECT 'synonym', m."at", m.until, m.language, m.words, m.stems, (
    SELECT coalesce(sum(w.documents), 0) FROM search_words AS w
    WHERE w.language = m.language AND w.stem = ANY(string_to_array(m.stems, ' '))
), nullif(m.tenant_id, :region)
FROM meant AS m
UNION ALL
SELECT 'documents', 0, 0, language, '', '', sum(documents), NULL
FROM search_words WHERE word = '' GROUP BY language
""")


# --- the documents --------------------------------------------------------------------------------

_NEAR: Final = """
near AS MATERIALIZED (
    SELECT s.tenant_id, 'service' AS kind, s.key, min(
        12742000 * asin(least(1, sqrt(
            power(sin(radians(l.latitude - :latitude) / 2), 2)
            + cos(radians(:latitude)) * cos(radians(l.latitude))
                * power(sin(radians(l.longitude - :longitude) / 2), 2)
        )))
    ) AS metres
    FROM locations AS l
    JOIN service_locations AS h ON h.tenant_id = l.tenant_id AND h.location_id = l.id
        AND (h.ended_on IS NULL OR h.ended_on > :today)
    JOIN services AS s ON s.tenant_id = h.tenant_id AND s.id = h.service_id
    WHERE (l.ended_on IS NULL OR l.ended_on > :today)
        AND l.latitude BETWEEN :south AND :north AND l.longitude BETWEEN :west AND :east
    GROUP BY s.tenant_id, s.key
),"""

# Those that meet all words well; when these are few, those that meet the better part of them; when
# there is none at all, those that meet any. The best of each are chosen roughly, and then scored.
_HITS: Final = """{name}_well AS MATERIALIZED (
    SELECT {columns} FROM search_documents AS d
    WHERE d.strong @@ CAST(:{name}_all AS tsquery) AND {where}
    ORDER BY ts_rank(d.strong, CAST(:{name}_some AS tsquery)) DESC, length(d.title), d.id
    LIMIT :kept
), {name}_part AS MATERIALIZED (
    SELECT {columns} FROM search_documents AS d
    WHERE (SELECT count(*) FROM {name}_well) < @@ENOUGH@@
        AND (d.words @@ CAST(:{name}_part AS tsquery) OR d.strong @@ CAST(:{name}_some AS tsquery))
        AND {where}
    ORDER BY {rough} DESC, length(d.title), d.id
    LIMIT :kept
), {name}_any AS (
    SELECT {columns} FROM search_documents AS d
    WHERE NOT EXISTS (SELECT FROM {name}_well) AND NOT EXISTS (SELECT FROM {name}_part)
        AND d.words @@ CAST(:{name}_any AS tsquery) AND {where}
    ORDER BY {rough} DESC, length(d.title), d.id
    LIMIT :kept
), {name} AS MATERIALIZED (
    SELECT tenant_id, id, kind, key, language, title, {score} AS score
    FROM (
        SELECT * FROM {name}_well UNION ALL SELECT * FROM {name}_part
        UNION ALL SELECT * FROM {name}_any
    ) AS d
)""".replace("@@ENOUGH@@", str(_ENOUGH))

_EVERYTHING: Final = """everything AS (
    SELECT d.tenant_id, d.id, d.kind, d.key, d.language, d.title,
        CASE WHEN d.language = :display THEN 1.0 ELSE 0.5 END AS score
    FROM search_documents AS d
    WHERE {conditions}
)"""

_RANKED: Final = """
WITH moments AS MATERIALIZED (
    SELECT * FROM json_to_recordset(CAST(:moments AS json)) AS m (
        tenant_id uuid, week int, day int, holiday boolean, answered boolean
    )
), {near} {hits}, best AS MATERIALIZED (
    SELECT DISTINCT ON (tenant_id, kind, key) tenant_id, id, kind, key, language, title,
        score * CASE WHEN tenant_id = CAST(:own AS uuid) THEN @@OWN@@ ELSE 1 END AS score
    FROM ({every}) AS hits WHERE score > 0 ORDER BY tenant_id, kind, key, score DESC
), strong AS MATERIALIZED (
    SELECT best.*, {metres} AS metres
    FROM best {joined}
    WHERE score >= @@WEAKEST@@ * (SELECT max(score) FROM best)
), ranked AS MATERIALIZED (
    SELECT * FROM strong ORDER BY {order} OFFSET :first LIMIT :limit
), every AS MATERIALIZED (
    SELECT count(*) AS total, {counts} AS counts FROM strong
)
SELECT r.tenant_id, r.kind, r.key, r.language, coalesce(s.language, r.language) AS shown,
    coalesce(s.title, d.title) AS title,
    coalesce(s.summary, d.summary) AS summary, d.verb, d.status, d.heading, d.free, d.documents,
    r.score, r.metres, every.total, every.counts, (
        SELECT jsonb_object_agg(w.lexeme, to_jsonb(w.weights)) FROM unnest(d.words) AS w
        WHERE w.lexeme = ANY(:stems)
    ) AS matched, (
        SELECT CASE WHEN d.week IS NULL THEN m.answered WHEN m.holiday THEN d.holiday @> m.day
            ELSE d.week @> m.week END
        FROM moments AS m WHERE m.tenant_id = r.tenant_id AND d.kind = 'service'
    ) AS is_open
FROM every LEFT JOIN ranked AS r ON true
LEFT JOIN search_documents AS d ON d.tenant_id = r.tenant_id AND d.id = r.id
LEFT JOIN search_documents AS s ON s.tenant_id = r.tenant_id AND s.kind = r.kind
    AND s.key = r.key AND s.language = :display AND s.for_staff = d.for_staff AND s.listed
ORDER BY {order}
""".replace("@@OWN@@", str(_OWN)).replace("@@WEAKEST@@", str(_WEAKEST))

_COUNTS: Final = """(
        SELECT jsonb_object_agg(name, counted) FROM (
            SELECT name, jsonb_object_agg(value, many) AS counted FROM (
                SELECT name, value, count(*) AS many
                FROM strong AS t JOIN search_documents AS f USING (tenant_id, id)
                CROSS JOIN LATERAL (
                    VALUES ('partner', CAST(f.tenant_id AS text)), ('verb', f.verb),
                        ('kind', f.kind), ('free', CASE WHEN f.free THEN 'yes' END),
                        ('documents', CASE WHEN f.documents THEN 'yes'
                            WHEN NOT f.documents THEN 'no' END)
                    UNION ALL SELECT 'language', unnest(f.languages)
                    UNION ALL SELECT 'term', unnest(f.terms)
                ) AS one (name, value)
                WHERE value IS NOT NULL GROUP BY name, value
            ) AS each GROUP BY name
        ) AS every_name
    )"""


def _conditions(wanted: Filters, values: dict[str, Any]) -> str:
    parts = [
        "d.listed AND (CAST(:staff AS boolean) OR NOT d.for_staff)",
        "(d.valid_from IS NULL OR d.valid_from <= :today)",
        "(d.valid_to IS NULL OR d.valid_to > :today)",
    ]
    for name, column, value in (
        ("partner", "d.tenant_id = :partner", wanted.partner),
        ("kind", "d.kind = :kind", wanted.kind),
        ("verb", "d.verb = :verb", wanted.verb),
        ("speaks", "d.languages @> ARRAY[CAST(:speaks AS text)]", wanted.language),
        ("papers", "d.documents = :papers", wanted.documents),
    ):
        if value is not None:
            parts.append(column)
            values[name] = value
    if wanted.free:
        parts.append("d.free")
    if wanted.terms is not None:
        parts.append("d.terms && CAST(:terms AS text[])")
        values["terms"] = sorted(wanted.terms)
    if wanted.open_now:
        parts.append(_OPEN)
    if wanted.serves is not None:
        parts.append(_SERVES)
        values["areas"] = list(wanted.serves.areas)
        values["around"] = list(wanted.serves.partners)
    return " AND ".join(parts)


_OPEN: Final = """EXISTS (
        SELECT FROM moments AS m WHERE m.tenant_id = d.tenant_id AND d.kind = 'service'
            AND CASE WHEN d.week IS NULL THEN m.answered WHEN m.holiday THEN d.holiday @> m.day
                ELSE d.week @> m.week END
    )"""
_SERVES: Final = """d.kind = 'service' AND CASE WHEN d.areas = '{}'
        THEN d.tenant_id = ANY(CAST(:around AS uuid[]))
        ELSE d.areas && CAST(:areas AS text[]) END"""


def _documents(each: Interpretation, name: str, values: dict[str, Any], conditions: str) -> str:
    """Give the documents that meet all words well, or when these are few, all that meet some."""
    values[f"{name}_language"] = each.language
    values[f"{name}_all"] = each.all_places
    values[f"{name}_part"] = each.better_part
    values[f"{name}_some"] = each.some_places
    values[f"{name}_any"] = " | ".join(place.query() for place in each.places)
    score = " + ".join(
        _place(place, f"{name}_{number}", values) for number, place in enumerate(each.places)
    )
    cases = ""
    for number, (phrases, worth) in enumerate(((each.whole, _WHOLE), (each.parts, _PART))):
        if phrases:
            values[f"{name}_phrases_{number}"] = " | ".join(quoted(one) for one in phrases)
            phrase = f"CAST(:{name}_phrases_{number} AS tsquery)"
            cases += f" WHEN d.words @@ {phrase} THEN {worth}"
    bonus = f"CASE{cases} ELSE 0 END" if cases else "0"
    met = " + ".join(
        f"CASE WHEN d.words @@ CAST(:{name}_{number}_any AS tsquery) THEN {place.weight:.4f} "
        "ELSE 0 END"
        for number, place in enumerate(each.places)
    )
    often = f"{_OFTEN} * ts_rank(d.words, CAST(:{name}_some AS tsquery))"
    return _HITS.format(
        name=name,
        columns="d.tenant_id, d.id, d.kind, d.key, d.language, d.title, d.words",
        where=f"d.language = :{name}_language AND {conditions}",
        rough=f"{met} + {often}",
        score=f"({score}) / {each.weight:.4f} * {each.share:.4f} + {bonus} + {often}"
        f" - {_LONG} * least(length(d.title), 80)",
    )


def _place(place: Place, name: str, values: dict[str, Any]) -> str:
    """Say what a document is worth at one place: by the best of its ways, looked for in order."""
    worths = []
    for number, way in enumerate(place.ways):
        for label, worth in _LABELS:
            key = f"{name}_{number}_{label}"
            values[key] = way.query(label)
            met = f"d.words @@ CAST(:{key} AS tsquery)"
            if way.tenant_id is not None:
                values[f"{name}_{number}_of"] = way.tenant_id
                met = f"d.tenant_id = :{name}_{number}_of AND {met}"
            worths.append((way.factor * worth, met))
    worths.sort(key=lambda each: -each[0])
    values[f"{name}_any"] = place.query()
    cases = "".join(f" WHEN {met} THEN {place.weight * worth:.4f}" for worth, met in worths)
    return f"CASE WHEN NOT d.words @@ CAST(:{name}_any AS tsquery) THEN 0{cases} ELSE 0 END"


def _stems(reading: Reading) -> list[str]:
    return sorted(
        {
            stem
            for each in reading.interpretations
            for place in each.places
            for way in place.ways
            for stems in way.phrases
            for stem in stems
        }
    )


def _plain(moment: Moment) -> dict[str, Any]:
    return {
        "tenant_id": moment.tenant_id,
        "week": moment.week,
        "day": moment.day,
        "holiday": moment.holiday,
        "answered": moment.answered,
    }


def _around(point: Point, metres: int | None) -> dict[str, float]:
    """Give the point, and the box that holds all within a distance of it."""
    up = 180.0 if metres is None else metres / _DEGREE
    # near a pole the box is the whole circle
    shrink = max(math.cos(math.radians(min(89.0, abs(point.latitude)))), 0.01)
    aside = 360.0 if metres is None else up / shrink
    return {
        "longitude": point.longitude,
        "latitude": point.latitude,
        "south": point.latitude - up,
        "north": point.latitude + up,
        "west": point.longitude - aside,
        "east": point.longitude + aside,
    }


def _hit(row: Any) -> Hit:
    return Hit(
        row.tenant_id,
        row.kind,
        row.key,
        row.language,
        row.shown,
        row.title,
        row.summary,
        row.verb,
        row.status,
        row.heading,
        row.free,
        row.documents,
        float(row.score),
        row.matched or {},
        row.is_open,
        row.metres,
    )
