"""Authorisations that bound an issued bill and have room again: caps, and what a source may give.

A yearly cap took something off a bill, or a grant was too far used up to bear its whole part. When
another bill of the fiscal year is corrected downwards, or a draft that counted is made void, the
authorisation has room again; drafting the corrections of the bill's period bills the difference.
Each is named with the rating run that it comes from and with what freed it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import text

from regional311.chargeback.statement import Payer
from regional311.database.session import TenantSession, scope_of

CAP: Final = "cap"
SOURCE: Final = "source"


@dataclass(frozen=True, slots=True)
class Freed:
    """Room that an issued bill has under an authorisation again, in cents."""

    kind: str
    """A yearly `cap` of a payer, or what a funding `source` may give in a year."""
    period_key: str
    payer: Payer
    agreement_key: str
    agreement: str
    source: str | None
    """Name of the source."""
    authorised_cents: int
    used_cents: int
    """What the fiscal year has used of it by now; drafts count."""
    held_back_cents: int
    """What the cap took off this period, or the source could not bear of it."""
    freed_cents: int
    """What of this has room now: a cap's is billed to the payer, a source's given to it."""
    statement: str
    """Public id of the last issued statement of the period, and its number."""
    number: str
    run: int
    """Number of that period's rating run which the statement is of, and when it ran."""
    run_at: datetime
    freed_by: str | None
    """Public id of the correction, or of the void draft, that made the room; None for drafts that
    were made again for less."""
    freed_by_period: str | None
    freed_by_void: bool


# As rating counts it: bills and corrections of the fiscal year, drafts as well, true-ups not.
_FREED = text("""
WITH bounded AS MATERIALIZED (
    SELECT s.id, s.public_id, s.kind, s.period_key, s.run_id, s.counterparty_id AS payer_id,
        s.payer_kind, coalesce(s.payer_key, '') AS payer_key, s.terms,
        v.id AS step_id, v.state, v.number, coalesce(v.reason, '') LIKE 'Superseded%' AS made_again,
        extract(year FROM (left(s.period_key, 7) || '-01')::date
            - (t.fiscal_year_starts_in - 1) * interval '1 month') AS year
    FROM statements s
    JOIN tenants t ON t.tenant_id = :tenant AND t.id = :tenant
    CROSS JOIN LATERAL (
        SELECT id, state, number, reason FROM statement_events
        WHERE tenant_id = s.tenant_id AND statement_id = s.id ORDER BY position DESC LIMIT 1
    ) v
    WHERE s.tenant_id = :tenant AND s.side = 'issued' AND s.kind IN ('bill', 'correction')
        AND EXISTS (SELECT FROM jsonb_each(s.terms->'agreements') a
            WHERE a.value->'terms' ? 'not_to_exceed_cents'
                OR a.value->'terms' @? '$.funding[*].authorised_cents')
), lines AS MATERIALIZED (
    SELECT b.id, b.public_id, b.kind, b.period_key, b.payer_id, b.payer_kind, b.payer_key, b.year,
        b.state, b.step_id, b.made_again, l.agreement_key, l.amount_cents,
        coalesce(l.basis->'corrects'->>'kind', l.kind) AS line_kind,
        l.basis->>'source_key' AS source_key, (l.basis->>'cap_cents')::bigint AS cap_cents
    FROM bounded b JOIN statement_lines l ON l.tenant_id = :tenant AND l.statement_id = b.id
), paid AS (
    SELECT year, payer_id, payer_kind, payer_key, agreement_key, sum(amount_cents) AS cents
    FROM lines WHERE state <> 'void' AND line_kind NOT IN ('carry_forward', 'interest')
    GROUP BY 1, 2, 3, 4, 5
), given AS (
    SELECT year, agreement_key, source_key, -sum(amount_cents) AS cents
    FROM lines WHERE state <> 'void' AND line_kind = 'funding' GROUP BY 1, 2, 3
), given_here AS (
    SELECT period_key, payer_id, payer_kind, payer_key, agreement_key, source_key,
        -sum(amount_cents) AS cents
    FROM lines WHERE state = 'issued' AND line_kind = 'funding' GROUP BY 1, 2, 3, 4, 5, 6
), issued AS MATERIALIZED (
    SELECT period_key, year, payer_id, payer_kind, payer_key, agreement_key,
        (array_agg(id ORDER BY id DESC))[1] AS id, max(cap_cents) AS cap_cents,
        coalesce(sum(amount_cents) FILTER (WHERE line_kind IN ('usage', 'pool')), 0) AS gross,
        coalesce(-sum(amount_cents) FILTER (WHERE line_kind = 'funding'), 0) AS funded,
        coalesce(-sum(amount_cents) FILTER (WHERE line_kind = 'cap'), 0) AS capped
    FROM lines
    WHERE state = 'issued' AND (CAST(:periods AS text[]) IS NULL OR period_key = ANY(:periods))
    GROUP BY 1, 2, 3, 4, 5, 6
), short AS (
    SELECT i.*, 'cap' AS what, NULL AS source_key, NULL AS source, i.cap_cents AS authorised,
        p.cents AS used, i.capped AS held_back
    FROM issued i JOIN paid p USING (year, payer_id, payer_kind, payer_key, agreement_key)
    WHERE i.capped > 0
    UNION ALL
    SELECT i.*, 'source', f->>'key', f->>'name', (f->>'authorised_cents')::bigint,
        coalesce(g.cents, 0), least(i.gross - i.funded,
            round(i.gross * (f->>'percent')::numeric / 100) - coalesce(h.cents, 0))
    FROM issued i JOIN bounded b ON b.id = i.id
    CROSS JOIN LATERAL jsonb_array_elements(
        coalesce(b.terms->'agreements'->i.agreement_key->'terms'->'funding', '[]')) f
    LEFT JOIN given_here h ON h.source_key = f->>'key'
        AND (h.period_key, h.payer_id, h.payer_kind, h.payer_key, h.agreement_key)
            = (i.period_key, i.payer_id, i.payer_kind, i.payer_key, i.agreement_key)
    LEFT JOIN given g ON g.year = i.year AND g.agreement_key = i.agreement_key
        AND g.source_key = f->>'key'
    WHERE f->>'authorised_cents' IS NOT NULL
)
SELECT s.what, s.period_key, s.payer_id, s.payer_kind, nullif(s.payer_key, '') AS payer_key,
    s.agreement_key, coalesce(b.terms->'agreements'->s.agreement_key->>'name', s.agreement_key)
        AS agreement,
    s.source, s.authorised, s.used::bigint, s.held_back::bigint,
    least(s.held_back, s.authorised - s.used)::bigint AS freed, b.public_id, b.number,
    r.number AS run, r.run_at, c.public_id AS freed_by, c.period_key AS freed_by_period,
    coalesce(c.state = 'void', false) AS freed_by_void
FROM short s
JOIN bounded b ON b.id = s.id
JOIN rating_runs r ON r.tenant_id = :tenant AND r.id = b.run_id
LEFT JOIN LATERAL (
    SELECT o.public_id, o.period_key, o.state FROM lines o
    WHERE o.year = s.year AND o.agreement_key = s.agreement_key AND o.period_key <> s.period_key
        AND o.step_id > b.id AND NOT o.made_again
        AND (o.state = 'void' OR o.kind = 'correction')
        AND CASE WHEN s.what = 'source'
            THEN o.line_kind = 'funding' AND o.source_key = s.source_key
            ELSE o.line_kind NOT IN ('carry_forward', 'interest')
                AND (o.payer_id, o.payer_kind, o.payer_key)
                    = (s.payer_id, s.payer_kind, s.payer_key) END
    GROUP BY o.id, o.public_id, o.period_key, o.state, o.step_id
    HAVING sum(o.amount_cents) * CASE WHEN o.state = 'void' THEN 1 ELSE -1 END
        * CASE WHEN s.what = 'source' THEN -1 ELSE 1 END > 0
    ORDER BY o.step_id DESC LIMIT 1
) c ON true
WHERE least(s.held_back, s.authorised - s.used) > 0
ORDER BY s.period_key DESC, s.agreement_key, s.what, s.source_key, s.payer_kind, s.payer_key,
    s.payer_id
""")


def freed(session: TenantSession, periods: Sequence[str] | None = None) -> list[Freed]:
    """What issued bills have room for again, of some periods or of all. One statement.

    Several bills may wait for the same room: each is named with all that it could have.
    """
    rows = session.execute(
        _FREED,
        {
            "tenant": scope_of(session).tenant_id,
            "periods": None if periods is None else list(periods),
        },
    )
    return [Freed(row[0], row[1], Payer(row[2], row[3], row[4]), *row[5:]) for row in rows]
