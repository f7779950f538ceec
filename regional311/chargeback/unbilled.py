"""Work of billed periods that no live statement bills: by payer, and by what its run really read.

Every payer is measured by the run behind its own latest statement: another payer's statement, made
from a later run, says nothing about it. What a run read are its charges, one for each event, not
the cut-off that it was given: work that was on its way while the run read counts as not read.

A payer is looked at piece by piece only where its statements and the latest run of the period do
not add up to the same, line by line. Work and what takes it back, neither of them billed, come to
nothing and are not named. Shared costs that changed since are found in `late_pools`.
"""

from __future__ import annotations

from typing import Final

EVERY: Final = """CASE WHEN {key} NOT LIKE '%..%' THEN 'month'
        WHEN right({key}, 10)::date - left({key}, 10)::date < 100 THEN 'quarter' ELSE 'year' END"""
"""How often what a period's key names is billed."""

_LATEST = EVERY.format(key="p.period_key")

# To be asked `joined_by_hash`; the arrays have the charges and lines found by the index of their
# runs and statements. Parameters: `tenant`, and `drafts`, whether a statement that is being
# prepared counts like an issued one; where a payer has no issued statement of the period it always
# does. `periods` is a common table with the column `period_key` that stands before it.
UNBILLED: Final = f"""latest AS MATERIALIZED (
    SELECT DISTINCT ON (p.period_key) p.period_key, r.id AS run_id, r.digest, r.stored_before,
        {_LATEST} AS every,
        (SELECT sum(value::bigint) FROM jsonb_each_text(r.counts)) AS events
    FROM periods p JOIN rating_runs r ON r.tenant_id = :tenant AND r.period_key = p.period_key
    ORDER BY p.period_key, r.number DESC
), said AS MATERIALIZED (
    SELECT s.id, s.period_key, s.run_id, s.counterparty_id AS payer_id, s.payer_kind,
        coalesce(s.payer_key, '') AS payer_key, e.state,
        bool_or(e.state = 'issued') OVER (PARTITION BY s.period_key, s.counterparty_id,
            s.payer_kind, s.payer_key) AS has_issued
    FROM periods p
    JOIN statements s ON s.tenant_id = :tenant AND s.side = 'issued'
        AND s.kind IN ('bill', 'correction') AND s.period_key = p.period_key
    CROSS JOIN LATERAL (
        SELECT state FROM statement_events
        WHERE tenant_id = :tenant AND statement_id = s.id ORDER BY position DESC LIMIT 1
    ) e
), counted AS MATERIALIZED (
    SELECT said.*, r.number, r.digest, r.stored_before FROM said
    JOIN rating_runs r ON r.tenant_id = :tenant AND r.id = said.run_id
    WHERE state <> 'void' AND (:drafts OR state = 'issued' OR NOT has_issued)
), reads AS MATERIALIZED (
    SELECT DISTINCT ON (period_key, payer_id, payer_kind, payer_key)
        period_key, payer_id, payer_kind, payer_key, run_id, digest, stored_before
    FROM counted ORDER BY period_key, payer_id, payer_kind, payer_key, number DESC
), stale AS MATERIALIZED (
    SELECT l.* FROM latest l
    WHERE EXISTS (
        SELECT FROM said LEFT JOIN reads USING (period_key, payer_id, payer_kind, payer_key)
        WHERE said.period_key = l.period_key AND reads.digest IS DISTINCT FROM l.digest)
), fresh AS MATERIALIZED (
    SELECT l.period_key, l.run_id, c.payer_id, c.payer_kind, coalesce(c.payer_key, '') AS payer_key,
        c.line_key, sum(c.quantity) AS quantity, sum(c.amount) AS amount
    FROM stale l
    JOIN charges c ON c.tenant_id = :tenant AND c.run_id = l.run_id AND c.state = 'rated'
        AND c.run_id = ANY (ARRAY(SELECT run_id FROM stale))
    JOIN agreements a ON a.id = c.agreement_id AND a.provider_id = :tenant
        AND coalesce(a.terms->'billing'->>'every', 'month') = l.every
    GROUP BY 1, 2, 3, 4, 5, 6
), billed AS MATERIALIZED (
    SELECT s.period_key, s.payer_id, s.payer_kind, s.payer_key, l.line_key,
        sum(l.quantity) AS quantity, sum(l.exact_amount) AS amount
    FROM stale JOIN counted s USING (period_key)
    JOIN statement_lines l ON l.tenant_id = :tenant AND l.statement_id = s.id
        AND l.statement_id = ANY (ARRAY(SELECT id FROM counted JOIN stale USING (period_key)))
    WHERE l.kind IN ('usage', 'correction')
        AND coalesce(l.basis->'corrects'->>'kind', l.kind) = 'usage'
    GROUP BY 1, 2, 3, 4, 5
), differing AS MATERIALIZED (
    SELECT f.period_key, f.run_id, f.payer_id, f.payer_kind, f.payer_key, f.line_key,
        r.run_id AS read_id, r.stored_before AS read_before
    FROM fresh f
    LEFT JOIN billed b USING (period_key, payer_id, payer_kind, payer_key, line_key)
    LEFT JOIN reads r USING (period_key, payer_id, payer_kind, payer_key)
    WHERE (f.quantity, f.amount) IS DISTINCT FROM (b.quantity, b.amount)
), seen AS MATERIALIZED (
    SELECT run_id AS read_id, usage_event_id, payer_id, payer_kind,
        coalesce(payer_key, '') AS payer_key
    FROM charges
    WHERE tenant_id = :tenant AND state = 'rated'
        AND run_id = ANY (ARRAY(SELECT read_id FROM differing))
), unbilled AS MATERIALIZED (
    SELECT d.period_key, c.usage_event_id, c.rate_id, d.read_before,
        seen.usage_event_id IS NULL AS new
    FROM differing d
    JOIN charges c ON c.tenant_id = :tenant AND c.run_id = d.run_id AND c.state = 'rated'
        AND c.run_id = ANY (ARRAY(SELECT run_id FROM differing))
        AND c.line_key = d.line_key AND c.payer_id = d.payer_id AND c.payer_kind = d.payer_kind
        AND coalesce(c.payer_key, '') = d.payer_key
    LEFT JOIN seen ON seen.usage_event_id = c.usage_event_id AND seen.read_id = d.read_id
        AND seen.payer_id = d.payer_id AND seen.payer_kind = d.payer_kind
        AND seen.payer_key = d.payer_key
)"""
