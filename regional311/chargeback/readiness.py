"""How far the billing of a period is, and what somebody should look at before it is sent.

The checks ask nothing of the books: they tell of work without a price, of payers that got nothing,
of agreements that ended, of work that came after the run, of a period that is not over, and of
lines that stand out. None of them stops anybody.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text

from regional311.calendars import Period
from regional311.chargeback import outliers
from regional311.chargeback.collecting import every
from regional311.database.session import TenantSession, scope_of

NAMES = (
    "period_over",
    "all_in_run",
    "all_rated",
    "all_agreed",
    "agreements_hold",
    "everybody_billed",
    "nothing_zero",
    "nothing_unusual",
)
ENDED_WITHIN = timedelta(days=366)
"""How long after its end an agreement is still mentioned."""


@dataclass(frozen=True, slots=True)
class Row:
    """What a check is about: an agreement's key, a statement's public id, or nothing by name."""

    key: str | None
    message: str


@dataclass(frozen=True, slots=True)
class DraftCheck:
    """One thing to look at before statements are sent; it holds when `count` is 0."""

    name: str
    count: int
    rows: tuple[Row, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether there is nothing to look at."""
        return not self.count


@dataclass(frozen=True, slots=True)
class Progress:
    """How many bills and corrections of a period are in a state, and their total in cents."""

    state: str
    statements: int
    total_cents: int


_FACTS = text("""
WITH run AS (
    SELECT id, counts FROM rating_runs WHERE tenant_id = :tenant AND period_key = :period
    ORDER BY number DESC LIMIT 1
), bills AS MATERIALIZED (
    SELECT s.id, s.public_id, s.total_cents, e.state FROM statements s
    CROSS JOIN LATERAL (
        SELECT state FROM statement_events
        WHERE tenant_id = s.tenant_id AND statement_id = s.id ORDER BY position DESC LIMIT 1
    ) e
    WHERE s.tenant_id = :tenant AND s.side = 'issued' AND s.kind = 'bill'
        AND s.period_key = :period AND e.state <> 'void'
), agreed AS (
    SELECT a.key, max(upper(a.valid)) AS ends_on, bool_or(upper_inf(a.valid)) AS endless,
        bool_or(a.valid && daterange(CAST(:first_day AS date), CAST(:end_day AS date))
            AND coalesce(a.terms->'billing'->>'every', 'month') = :every) AS due
    FROM agreements a
    JOIN tenants region ON region.tenant_id = a.tenant_id AND region.kind = 'region'
    WHERE a.provider_id = :tenant GROUP BY a.key
)
SELECT (SELECT counts FROM run) AS counts,
    (SELECT count(*) FROM usage_events e WHERE e.tenant_id = :tenant
        AND e.occurred_at >= :since AND e.occurred_at < :until AND NOT EXISTS (
            SELECT FROM charges c WHERE c.tenant_id = :tenant AND c.usage_event_id = e.id
                AND c.run_id = (SELECT id FROM run))) AS waiting,
    (SELECT coalesce(jsonb_agg(public_id ORDER BY public_id), '[]') FROM bills
        WHERE total_cents = 0 AND state <> 'issued') AS zero,
    (SELECT coalesce(jsonb_agg(jsonb_build_array(key, ends_on) ORDER BY key), '[]') FROM agreed
        WHERE NOT endless AND ends_on < CAST(:end_day AS date)
            AND ends_on > CAST(:not_before AS date)) AS ended,
    (SELECT coalesce(jsonb_agg(key ORDER BY key), '[]') FROM agreed WHERE due AND NOT EXISTS (
        SELECT FROM statement_lines l JOIN bills ON bills.id = l.statement_id
        WHERE l.tenant_id = :tenant AND l.agreement_key = agreed.key)) AS without
""")

_PROGRESS = text("""
SELECT e.state, count(*) AS statements, sum(s.total_cents)::bigint AS total_cents
FROM statements s
CROSS JOIN LATERAL (
    SELECT state FROM statement_events
    WHERE tenant_id = s.tenant_id AND statement_id = s.id ORDER BY position DESC LIMIT 1
) e
WHERE s.tenant_id = :tenant AND s.side = 'issued' AND s.period_key = :period
    AND e.state <> 'void'
GROUP BY e.state
ORDER BY array_position(ARRAY['draft', 'in_review', 'approved', 'issued'], e.state)
""")


def progress(session: TenantSession, period_key: str) -> list[Progress]:
    """The statements of a period by state, those that are void left out. One statement."""
    rows = session.execute(_PROGRESS, {"tenant": scope_of(session).tenant_id, "period": period_key})
    return [Progress(*row) for row in rows]


def draft_checks(
    session: TenantSession, period: Period, *, zone: str, now: datetime
) -> list[DraftCheck]:
    """What to look at before the period's drafts are sent, in a fixed order. Two statements.

    `zone` is this partner's. Without a rating run only the period's end is checked.
    """
    since, until = period.bounds(zone)
    facts = session.execute(
        _FACTS,
        {
            "tenant": scope_of(session).tenant_id,
            "period": period.label,
            "every": every(period),
            "first_day": period.start_on,
            "end_day": period.end_on,
            "not_before": period.start_on - ENDED_WITHIN,
            "since": since,
            "until": until,
        },
    ).one()
    over = DraftCheck("period_over", 0 if now >= until else 1)
    if facts.counts is None:
        return [over]
    unusual = [
        Row(draft.public_id, found.message)
        for draft in outliers.of_drafts(session, period)
        for found in draft.found
    ]
    return [
        over,
        DraftCheck("all_in_run", facts.waiting),
        DraftCheck("all_rated", facts.counts.get("unrated", 0)),
        DraftCheck("all_agreed", facts.counts.get("no_agreement", 0)),
        _named("agreements_hold", [Row(key, day) for key, day in facts.ended]),
        _named("everybody_billed", [Row(key, "") for key in facts.without]),
        _named("nothing_zero", [Row(public_id, "") for public_id in facts.zero]),
        _named("nothing_unusual", unusual),
    ]


def _named(name: str, rows: list[Any]) -> DraftCheck:
    return DraftCheck(name, len(rows), tuple(rows))
