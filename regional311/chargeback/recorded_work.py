"""Recorded work and its corrections: what is known of a piece, what was corrected, what to look at.

Facts beside what became of them: whether a rating has seen a piece, and what may have to be taken
back because a referral was entered in error, or a request was merged, after the work on it was
recorded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select, text

from regional311.chargeback.correcting import CORRECTED, KEPT, TAKEN_BACK
from regional311.database.session import TenantSession, scope_of
from regional311.metering.models import UsageEvent
from regional311.metering.service import MOST_REVISIONS, revision_keys

PAGE = 50
CHUNK = 1_000
"""As many rows of a file are read at once."""


def revisions(session: TenantSession, source_key: str) -> list[Row[Any]]:
    """Every event of one piece of work, the first first: what was recorded, taken back, anew."""
    table = UsageEvent.__table__
    return list(
        session.execute(
            select(table)
            .where(
                table.c.tenant_id == scope_of(session).tenant_id,
                table.c.source_key.in_(revision_keys(source_key)),
            )
            .order_by(table.c.received_at, table.c.reverses_id.nulls_last(), table.c.id)
        )
    )


@dataclass(frozen=True, slots=True)
class Rated:
    """What the latest rating of its period made of an event, and whether its payer has a bill."""

    event_id: UUID
    period_key: str
    state: str
    payer: str | None
    amount: Decimal | None
    issued: bool
    """Whether a bill or a correction of that period was issued to its payer, by any rating."""


_RATED = text("""
SELECT DISTINCT ON (e.id) e.id, r.period_key, c.state,
    CASE WHEN c.payer_kind = 'partner' THEN payer.short_name ELSE c.payer_key END, c.amount,
    EXISTS (
        SELECT FROM statements s
        JOIN statement_events x ON x.tenant_id = s.tenant_id AND x.statement_id = s.id
            AND x.state = 'issued'
        WHERE s.tenant_id = :tenant AND s.side = 'issued' AND s.period_key = r.period_key
            AND s.kind IN ('bill', 'correction')
            AND s.counterparty_id = c.payer_id AND s.payer_kind = c.payer_kind
            AND s.payer_key IS NOT DISTINCT FROM c.payer_key
    )
FROM usage_events e
JOIN rating_runs r ON r.tenant_id = :tenant AND r.service_from <= e.occurred_at
    AND e.occurred_at < r.service_to
JOIN charges c ON c.tenant_id = :tenant AND c.run_id = r.id AND c.usage_event_id = e.id
LEFT JOIN tenants payer ON payer.tenant_id = c.payer_id AND payer.id = c.payer_id
WHERE e.tenant_id = :tenant AND e.id = ANY(:events)
ORDER BY e.id, r.number DESC
""")


def rated(session: TenantSession, event_ids: list[UUID]) -> dict[UUID, Rated]:
    """What became of some events in the latest rating that saw them: one statement."""
    rows = session.execute(
        _RATED, {"tenant": scope_of(session).tenant_id, "events": sorted(event_ids)}
    )
    return {row[0]: Rated(*row) for row in rows}


@dataclass(frozen=True, slots=True)
class Corrected:
    """A correction of recorded work: what was taken back, and what stands now, if anything."""

    id: UUID
    """The event that was taken back."""
    activity: str
    service_owner_id: UUID | None
    service_key: str | None
    occurred_at: datetime
    corrected_at: datetime
    reversal_id: UUID
    anew_id: UUID | None
    reason: str | None
    """A code; None where the work itself was taken back by whoever did it."""
    person_id: UUID | None


_CORRECTED = text("""
SELECT o.id, o.activity, o.service_owner_id, o.service_key, o.occurred_at, b.received_at, b.id,
    said.subject_id, coalesce(said.reason, gone.reason), coalesce(said.person_id, gone.person_id)
FROM usage_events b
JOIN usage_events o ON o.tenant_id = :tenant AND o.id = b.reverses_id
LEFT JOIN LATERAL (
    SELECT detail->>'reason' AS reason, person_id FROM audit_events
    WHERE tenant_id = :tenant AND subject_id = b.id AND action = :taken_back LIMIT 1
) gone ON true
LEFT JOIN LATERAL (
    SELECT a.subject_id, a.detail->>'reason' AS reason, a.person_id
    FROM usage_events n
    JOIN audit_events a ON a.tenant_id = :tenant AND a.subject_id = n.id AND a.action = :corrected
    WHERE n.tenant_id = :tenant AND n.source_key = CASE
        WHEN o.source_key ~ ':[0-9]+$'
        THEN regexp_replace(o.source_key, ':[0-9]+$', '') || ':'
            || (substring(o.source_key FROM ':([0-9]+)$')::bigint + 1)
        ELSE o.source_key || '\\:2' END
    LIMIT 1
) said ON true
WHERE b.tenant_id = :tenant AND b.reverses_id IS NOT NULL
    AND (CAST(:before_at AS timestamptz) IS NULL
        OR (b.received_at, b.id) < (:before_at, CAST(:before_id AS uuid)))
ORDER BY b.received_at DESC, b.id DESC LIMIT :limit
""")


def corrected(
    session: TenantSession, *, before: tuple[datetime, UUID] | None = None, limit: int = PAGE
) -> list[Corrected]:
    """A page of what was corrected, the latest first."""
    rows = session.execute(
        _CORRECTED,
        {
            "tenant": scope_of(session).tenant_id,
            "corrected": CORRECTED,
            "taken_back": TAKEN_BACK,
            "before_at": before and before[0],
            "before_id": before and before[1],
            "limit": limit,
        },
    )
    return [Corrected(*row) for row in rows]


def every_corrected(
    session: TenantSession, *, before: tuple[datetime, UUID] | None = None
) -> Iterator[Corrected]:
    """All that was corrected, the latest first, read a chunk at a time."""
    while rows := corrected(session, before=before, limit=CHUNK):
        yield from rows
        before = rows[-1].corrected_at, rows[-1].reversal_id


@dataclass(frozen=True, slots=True)
class Doubtful:
    """Recorded work whose record has since turned out not to be what it was."""

    id: UUID
    activity: str
    service_owner_id: UUID | None
    service_key: str | None
    occurred_at: datetime
    why: str
    """entered_in_error: the referral; merged: the request."""
    public_id: str
    since: datetime
    about_owner_id: UUID
    about_key: str
    """The service of that referral or request, whatever the work was corrected to."""


# A referral that its sender took back after it was worked, and a request for another partner that
# was merged into one known before; by the revision that holds, unless somebody took the work back,
# or looked at any revision and kept it.
_DOUBTFUL = text("""
WITH gone AS (
    SELECT 'referral\\:' || id || '\\:closed' AS stem, 'entered_in_error' AS why,
        public_id, coalesce(closed_at, sent_at) AS since, tenant_id AS owner_id, service_key
    FROM referrals
    WHERE tenant_id = :tenant AND side = 'received' AND state = 'entered_in_error'
    UNION ALL
    SELECT 'request\\:' || id || '\\:taken_in', 'merged', public_id, updated_at,
        owner_id, service_key
    FROM followed_requests WHERE tenant_id = :tenant AND state = 'merged'
)
SELECT e.id, e.activity, e.service_owner_id, e.service_key, e.occurred_at, g.why, g.public_id,
    g.since, g.owner_id, g.service_key
FROM gone g
CROSS JOIN LATERAL (
    SELECT array_agg(g.stem || '\\:' || number) AS keys
    FROM generate_series(1, CASE WHEN EXISTS (SELECT FROM usage_events b
        WHERE b.tenant_id = :tenant AND b.source_key = g.stem || '\\:1\\:reversed')
        THEN :most ELSE 1 END) AS number
) work
JOIN usage_events e ON e.tenant_id = :tenant AND e.source_key = ANY(work.keys)
WHERE NOT EXISTS (SELECT FROM usage_events b
        WHERE b.tenant_id = :tenant AND b.source_key = e.source_key || '\\:reversed')
    AND NOT EXISTS (SELECT FROM usage_events x
        JOIN audit_events a ON a.tenant_id = :tenant AND a.subject_id = x.id AND a.action = :kept
        WHERE x.tenant_id = :tenant AND x.source_key = ANY(work.keys))
ORDER BY g.since, e.id LIMIT :limit
""")


def doubtful(session: TenantSession, *, limit: int = PAGE) -> list[Doubtful]:
    """Recorded work that somebody has to look at, the longest waiting first: one statement."""
    rows = session.execute(
        _DOUBTFUL,
        {
            "tenant": scope_of(session).tenant_id,
            "kept": KEPT,
            "most": MOST_REVISIONS,
            "limit": limit,
        },
    )
    return [Doubtful(*row) for row in rows]
