"""How many rates stand side by side: gaps, overlaps and pages of work, asked of the database.

`rate_grid` and `rates.rate_problems` say what a gap and an overlap are; this says the same of
twenty thousand rates without loading them. A proposal is looked at in the same way: what would hold
with it, what it no longer fits, and its changes page by page.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from regional311.chargeback.rate_cards import RateSaid
from regional311.chargeback.rates import RateProblem, Scope
from regional311.database.session import scope_of

NAMED: Final = 10
"""Overlaps and gaps that are told in words; all are counted."""

_WORK: Final = "card, activity, channel, service, language, hours"
_OF_ROW: Final = (
    "card_key AS card, activity, coalesce(channel, '') AS channel,"
    " coalesce(service_key, '') AS service, coalesce(language, '') AS language, hours, key,"
    " coalesce(lower(valid), '-infinity') AS since, coalesce(upper(valid), 'infinity') AS until_on"
)
_OF_JSON: Final = (
    "rate->>'card' AS card, rate->>'activity' AS activity,"
    " coalesce(rate->>'channel', '') AS channel, coalesce(rate->>'service', '') AS service,"
    " coalesce(rate->>'language', '') AS language, rate->>'hours' AS hours, key,"
    " coalesce((rate->>'valid_from')::date, '-infinity') AS since,"
    " coalesce((rate->>'valid_to')::date, 'infinity') AS until_on"
)
_CURRENT: Final = "tenant_id = :tenant AND NOT isempty(recorded) AND upper(recorded) IS NULL"

_AS_KNOWN: Final = """tenant_id = :tenant AND NOT isempty(recorded)
    AND CASE WHEN CAST(:known_at AS timestamptz) IS NULL THEN upper(recorded) IS NULL
        ELSE (lower(recorded) IS NULL OR lower(recorded) <= :known_at)
            AND (upper(recorded) IS NULL OR upper(recorded) > :known_at) END"""
"""Rates as they were known at an instant; now, where none is given."""

_KNOWN: Final = f"""
said AS MATERIALIZED (
    SELECT {_OF_ROW} FROM rates
    WHERE {_AS_KNOWN}
        AND (CAST(:card AS text) IS NULL OR card_key = :card)
        AND (CAST(:activity AS text) IS NULL OR activity = :activity)
        AND (CAST(:channel AS text) IS NULL OR channel = :channel)
        AND (CAST(:language AS text) IS NULL OR language = :language)
        AND (CAST(:hours AS text) IS NULL OR hours = :hours)
)"""

# what would hold with a proposal, of the work that it touches
_PROPOSED: Final = f"""
proposed AS MATERIALIZED (
    SELECT c.place, c.said->>'key' AS key, (c.said->>'expected')::uuid AS expected,
        nullif(c.said->'rate', 'null') AS rate
    FROM rate_proposals p, jsonb_array_elements(p.changes) WITH ORDINALITY AS c(said, place)
    WHERE p.tenant_id = :tenant AND p.id = :proposal
), now_known AS MATERIALIZED (
    SELECT id, {_OF_ROW} FROM rates WHERE {_CURRENT}
), would AS MATERIALIZED (
    SELECT {_OF_JSON}, true AS changed FROM proposed WHERE rate IS NOT NULL
    UNION ALL
    SELECT {_WORK}, key, since, until_on, false FROM now_known
    WHERE key NOT IN (SELECT key FROM proposed)
), touched AS (
    SELECT {_WORK} FROM would WHERE changed
    UNION
    SELECT {_WORK} FROM now_known WHERE key IN (SELECT key FROM proposed)
), said AS MATERIALIZED (
    SELECT would.* FROM would JOIN touched USING ({_WORK})
)"""

_PROBLEMS: Final = f"""
in_order AS (
    SELECT *, max(until_on) OVER (PARTITION BY {_WORK} ORDER BY since, key
        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS reached
    FROM said
), problems AS MATERIALIZED (
    SELECT *, CASE WHEN since < reached THEN 'overlap' ELSE 'gap' END AS kind,
        least(since, reached) AS from_on,
        CASE WHEN since < reached THEN least(reached, until_on) ELSE since END AS to_on
    FROM in_order WHERE since <> reached
)"""

_STANDING: Final = f"""
, counted AS (
    SELECT *, count(*) OVER (PARTITION BY kind) AS many,
        row_number() OVER (PARTITION BY kind ORDER BY from_on, key) AS place
    FROM problems WHERE CAST(:since AS date) IS NULL OR to_on > :since
)
SELECT p.kind, p.many, p.key, nullif(p.from_on, '-infinity') AS from_on,
    nullif(p.to_on, 'infinity') AS to_on, (
        SELECT s.key FROM said s
        WHERE ({", ".join(f"s.{each}" for each in _WORK.split(", "))})
            = ({", ".join(f"p.{each}" for each in _WORK.split(", "))})
            AND s.until_on = p.reached AND (s.since, s.key) < (p.since, p.key)
        ORDER BY s.since, s.key LIMIT 1
    ) AS other
FROM counted p WHERE p.place <= {NAMED} ORDER BY p.kind DESC, p.place
"""

_STANDING_KNOWN: Final = text(f"WITH {_KNOWN}, {_PROBLEMS}{_STANDING}")
_STANDING_PROPOSED: Final = text(f"WITH {_PROPOSED}, {_PROBLEMS}{_STANDING}")

_WORK_PAGE: Final = text(f"""
WITH {_KNOWN}, {_PROBLEMS}
SELECT DISTINCT {_WORK} FROM said
WHERE (NOT :with_gaps OR ({_WORK}) IN (
        SELECT {_WORK} FROM problems WHERE CAST(:since AS date) IS NULL OR to_on > :since))
    AND (CAST(:after AS text[]) IS NULL OR ARRAY[{_WORK}] > CAST(:after AS text[]))
ORDER BY {_WORK} LIMIT :limit
""")

_RATES_OF_WORK: Final = text(f"""
SELECT r.* FROM rates r
JOIN jsonb_to_recordset(CAST(:work AS jsonb)) AS w(card text, activity text, channel text,
    service text, language text, hours text)
    ON r.card_key = w.card AND r.activity = w.activity AND coalesce(r.channel, '') = w.channel
    AND coalesce(r.service_key, '') = w.service AND coalesce(r.language, '') = w.language
    AND r.hours = w.hours
WHERE {_AS_KNOWN}
ORDER BY r.id
""")

_FITS: Final = text(f"""
WITH {_PROPOSED}
SELECT count(*) FILTER (WHERE rate IS NULL) AS gone,
    count(*) FILTER (WHERE rate IS NOT NULL AND expected IS NULL) AS new,
    count(*) FILTER (WHERE rate IS NOT NULL AND expected IS NOT NULL) AS changed,
    (array_agg(p.key ORDER BY p.place) FILTER (WHERE k.id IS DISTINCT FROM p.expected))[1]
        AS overtaken
FROM proposed p LEFT JOIN now_known k ON k.key = p.key
""")

_CHANGES: Final = text("""
SELECT c.place, c.said
FROM rate_proposals p, jsonb_array_elements(p.changes) WITH ORDINALITY AS c(said, place)
WHERE p.tenant_id = :tenant AND p.id = :proposal AND c.place > :after
    AND (CAST(:verdict AS text) IS NULL OR :verdict = CASE WHEN c.said->'rate' = 'null' THEN 'gone'
        WHEN c.said->'expected' = 'null' THEN 'new' ELSE 'changed' END)
ORDER BY c.place LIMIT :limit
""")

_WITH_PROPOSED: Final = text(f"""
WITH {_PROPOSED}, asked AS (
    SELECT * FROM jsonb_to_recordset(CAST(:work AS jsonb)) AS w(card text, activity text,
        channel text, service text, language text, hours text)
)
SELECT p.rate, NULL::uuid AS id FROM would w JOIN asked USING ({_WORK})
JOIN proposed p ON w.changed AND p.key = w.key
UNION ALL
SELECT NULL, k.id FROM would w JOIN asked USING ({_WORK})
JOIN now_known k ON NOT w.changed AND k.key = w.key
""")

_BY_ID: Final = text("SELECT * FROM rates WHERE tenant_id = :tenant AND id = ANY(:ids)")


@dataclass(frozen=True, slots=True)
class Standing:
    """How many gaps and overlaps there are, and the first of each."""

    gaps: int
    overlaps: int
    first: tuple[RateProblem, ...]

    def of(self, kind: str) -> list[RateProblem]:
        """The first of a kind, `gap` or `overlap`."""
        return [each for each in self.first if each.kind == kind]


@dataclass(frozen=True, slots=True)
class Asked:
    """Which rates are looked at: those known at an instant (None: now), of some work."""

    known_at: datetime | None = None
    since: date | None = None
    """Gaps and overlaps that end on this day or earlier do not count."""
    card: str | None = None
    activity: str | None = None
    channel: str | None = None
    language: str | None = None
    hours: str | None = None

    def parameters(self, session: Session) -> dict[str, Any]:
        """What the statements need."""
        said = {name: getattr(self, name) for name in self.__slots__}
        return said | {"tenant": scope_of(session).tenant_id}


def standing(session: Session, asked: Asked) -> Standing:
    """Count the gaps and overlaps of this partner's rates. One statement."""
    return _standing(session.execute(_STANDING_KNOWN, asked.parameters(session)))


def work_page(
    session: Session,
    asked: Asked,
    *,
    after: str | None,
    limit: int | None,
    with_gaps: bool = False,
) -> list[Scope]:
    """Kinds of work that have rates, in order, after the place `after`. One statement."""
    place = _read_place(after)
    rows = session.execute(
        _WORK_PAGE,
        asked.parameters(session) | {"after": place, "limit": limit, "with_gaps": with_gaps},
    )
    return [
        Scope(
            row.card,
            row.activity,
            row.service or None,
            row.language or None,
            row.channel or None,
            row.hours,
        )
        for row in rows
    ]


def place_of(scope: Scope) -> str:
    """Where work stands in the order of `work_page`.

    >>> place_of(Scope("intake", "follow_up", None, "es", "phone", "any"))
    'intake|follow_up|phone||es|any'
    """
    return "|".join(_said(scope).values())


def rates_of_work(
    session: Session, scopes: Iterable[Scope], *, known_at: datetime | None = None
) -> list[RateSaid]:
    """Every rate of some work, as known at an instant. One statement."""
    rows = session.execute(
        _RATES_OF_WORK,
        {
            "tenant": scope_of(session).tenant_id,
            "known_at": known_at,
            "work": json.dumps([_said(each) for each in scopes]),
        },
    )
    return [RateSaid.of_row(row) for row in rows]


# --- proposals ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Fit:
    """How many rates a proposal changes, and the first that was changed meanwhile."""

    new: int
    changed: int
    gone: int
    overtaken: str | None


def fit(session: Session, proposal_id: UUID) -> Fit:
    """Say what a proposal changes, and whether it still fits what is known. One statement."""
    row = session.execute(_FITS, _of(session, proposal_id)).one()
    return Fit(row.new, row.changed, row.gone, row.overtaken)


def standing_with(session: Session, proposal_id: UUID) -> Standing:
    """Count the gaps and overlaps that would be there with a proposal, where it reaches."""
    return _standing(
        session.execute(_STANDING_PROPOSED, _of(session, proposal_id) | {"since": None})
    )


def changes_page(
    session: Session,
    proposal_id: UUID,
    *,
    after: int,
    limit: int | None,
    verdict: str | None = None,
) -> list[tuple[int, dict[str, Any]]]:
    """The changes of a proposal after a place, as plain values with their places. One statement."""
    rows = session.execute(
        _CHANGES,
        _of(session, proposal_id) | {"after": after, "limit": limit, "verdict": verdict},
    )
    return [(row.place, row.said) for row in rows]


def rates_with(session: Session, proposal_id: UUID, scopes: Iterable[Scope]) -> list[RateSaid]:
    """Every rate of some work that would hold with a proposal. Two statements."""
    rows = session.execute(
        _WITH_PROPOSED,
        _of(session, proposal_id) | {"work": json.dumps([_said(each) for each in scopes])},
    ).all()
    kept = session.execute(
        _BY_ID,
        {
            "tenant": scope_of(session).tenant_id,
            "ids": [row.id for row in rows if row.id is not None],
        },
    )
    return [
        *(RateSaid.of_json(row.rate) for row in rows if row.rate is not None),
        *(RateSaid.of_row(row) for row in kept),
    ]


def _of(session: Session, proposal_id: UUID) -> dict[str, Any]:
    return {"tenant": scope_of(session).tenant_id, "proposal": proposal_id}


def _standing(rows: Iterable[Any]) -> Standing:
    many = {"gap": 0, "overlap": 0}
    first = []
    for row in rows:
        many[row.kind] = row.many
        begins = row.from_on or date.min
        first.append(RateProblem(row.kind, (row.other, row.key), begins, row.to_on))
    return Standing(many["gap"], many["overlap"], tuple(first))


def _said(scope: Scope) -> dict[str, str]:
    return {
        "card": scope.card,
        "activity": scope.activity,
        "channel": scope.channel or "",
        "service": scope.service or "",
        "language": scope.language or "",
        "hours": scope.hours,
    }


def _read_place(said: str | None) -> list[str] | None:
    parts = (said or "").split("|")
    return parts if len(parts) == len(_WORK.split(", ")) else None
