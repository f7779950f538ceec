"""Bill what changed after a period was issued: rate it again in full, draft the differences.

While a period is open, that is until its statement is issued, late work simply falls into it: the
drafts are made again. What comes in after that, and what changes because rates or dispositions were
corrected, is billed by correction statements, which go the way of every statement: a preparer, an
approver, a number, an entry in both books, an envelope. Drafting again is free: open drafts become
void and the same differences are drafted anew.
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text

from regional311.calendars import Period
from regional311.chargeback import billing
from regional311.chargeback.agreement_terms import Terms
from regional311.chargeback.corrections import (
    ADDITION,
    DIFFERENCE,
    REVERSAL,
    IssuedLine,
    difference,
)
from regional311.chargeback.freed import freed
from regional311.chargeback.late_pools import LatePools, late_pools
from regional311.chargeback.planning import joined_by_hash
from regional311.chargeback.rating import RunResult, run_rating
from regional311.chargeback.series import lock_series
from regional311.chargeback.statement import Line, Payer, total_cents
from regional311.chargeback.true_up import carried_unbilled
from regional311.chargeback.unbilled import UNBILLED
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.errors import Conflict

SUPERSEDED = "Superseded by a later rating"


class NothingIssued(Conflict):
    """Only a period with issued statements can be corrected; an open one is drafted again."""


@dataclass(frozen=True, slots=True)
class Due:
    """What a payer would be billed for a period after it was issued.

    `corrects_id` and `corrects` are id and number of the bill; none when it had no bill yet, and
    `lines` are then those of one.
    """

    payer: Payer
    corrects_id: UUID | None
    corrects: str | None
    lines: tuple[Line, ...]

    @property
    def total_cents(self) -> int:
        """More to pay, or less when below zero."""
        return total_cents(self.lines)


_BILLED = text("""
SELECT s.id, s.kind AS statement_kind, s.counterparty_id, s.payer_kind, s.payer_key, e.number,
    l.position, l.kind, l.service_period, l.line_key, l.label, l.agreement_key, l.basis, l.quantity,
    l.price, l.exact_amount, l.item_count, l.amount_cents
FROM statements s
JOIN statement_events e ON e.tenant_id = s.tenant_id AND e.statement_id = s.id
    AND e.state = 'issued'
JOIN statement_lines l ON l.tenant_id = s.tenant_id AND l.statement_id = s.id
WHERE s.tenant_id = :tenant AND s.side = 'issued' AND s.kind IN ('bill', 'correction')
    AND s.period_key = :period
ORDER BY s.id, l.position
""")

_OPEN = text("""
SELECT s.id FROM statements s
CROSS JOIN LATERAL (
    SELECT state FROM statement_events
    WHERE tenant_id = s.tenant_id AND statement_id = s.id ORDER BY position DESC LIMIT 1
) e
WHERE s.tenant_id = :tenant AND s.side = 'issued' AND s.kind IN ('bill', 'correction')
    AND s.period_key = :period AND e.state IN ('draft', 'in_review', 'approved')
ORDER BY s.id
""")

# What every piece of work behind some lines was billed so far beside what it comes to now. The
# array has the items found by the index of their lines; joined by hash, all would be read.
_BOTH = """
WITH lines AS MATERIALIZED (
    SELECT l.id, s.counterparty_id AS payer_id, s.payer_kind,
        coalesce(s.payer_key, '') AS payer_key, l.line_key
    FROM statements s
    JOIN statement_events e ON e.tenant_id = s.tenant_id AND e.statement_id = s.id
        AND e.state = 'issued'
    JOIN statement_lines l ON l.tenant_id = s.tenant_id AND l.statement_id = s.id
    WHERE s.tenant_id = :tenant AND s.side = 'issued' AND s.kind IN ('bill', 'correction')
        AND s.period_key = :period AND l.line_key = ANY(:keys)
), billed AS MATERIALIZED (
    SELECT l.payer_id, l.payer_kind, l.payer_key, l.line_key, i.usage_event_id,
        sum(i.quantity) AS quantity, sum(i.amount) AS amount
    FROM lines l
    JOIN statement_items i ON i.tenant_id = :tenant AND i.line_id = l.id
    WHERE i.line_id = ANY (ARRAY(SELECT id FROM lines))
    GROUP BY l.payer_id, l.payer_kind, l.payer_key, l.line_key, i.usage_event_id
    HAVING sum(i.quantity) <> 0 OR sum(i.amount) <> 0
), fresh AS MATERIALIZED (
    SELECT payer_id, payer_kind, coalesce(payer_key, '') AS payer_key, line_key, usage_event_id,
        quantity, amount, price
    FROM charges
    WHERE tenant_id = :tenant AND run_id = :run AND state = 'rated' AND line_key = ANY(:keys)
), works AS MATERIALIZED (
    SELECT payer_id, payer_kind, payer_key, line_key, usage_event_id,
        b.quantity AS old_quantity, b.amount AS old_amount,
        f.quantity AS new_quantity, f.amount AS new_amount, f.price,
        (coalesce(b.quantity, 0), coalesce(b.amount, 0))
            <> (coalesce(f.quantity, 0), coalesce(f.amount, 0)) AS changed
    FROM billed b FULL JOIN fresh f
        USING (payer_id, payer_kind, payer_key, line_key, usage_event_id)
)"""

_COUNTS = text(f"""{_BOTH}
SELECT payer_id, payer_kind, nullif(payer_key, '') AS payer_key, line_key,
    count(*) FILTER (WHERE changed) AS changed,
    count(old_quantity) AS before, count(new_quantity) AS after
FROM works GROUP BY payer_id, payer_kind, payer_key, line_key
""")

# The salt is thrown away after this, as for a bill.
_ITEMS = text(f"""{_BOTH}
INSERT INTO statement_items (tenant_id, id, line_id, usage_event_id, contact_id,
    contact_reference, occurred_at, activity, channel, language, after_hours, service_key,
    quantity, price, amount)
SELECT :tenant, uuidv7(), l.id, e.id, e.contact_id,
    'C-' || substr(encode(sha256(CAST(:salt AS bytea)
        || uuid_send(coalesce(e.contact_id, e.id))), 'hex'), 1, 20),
    e.occurred_at, e.activity, e.channel, e.language, e.after_hours, e.service_key,
    CASE l.change WHEN 'difference' THEN coalesce(w.new_quantity, 0) - coalesce(w.old_quantity, 0)
        WHEN 'reversal' THEN -w.old_quantity ELSE w.new_quantity END,
    CASE WHEN l.change = 'reversal' THEN l.price ELSE coalesce(w.price, l.price) END,
    CASE l.change WHEN 'difference' THEN coalesce(w.new_amount, 0) - coalesce(w.old_amount, 0)
        WHEN 'reversal' THEN -w.old_amount ELSE w.new_amount END
FROM statements s
JOIN (
    SELECT *, coalesce(basis->'corrects'->>'change', 'addition') AS change FROM statement_lines
    WHERE tenant_id = :tenant AND statement_id = ANY(:drafts)
) l ON l.statement_id = s.id
JOIN works w ON w.payer_id = s.counterparty_id AND w.payer_kind = s.payer_kind
    AND w.payer_key = coalesce(s.payer_key, '') AND w.line_key = l.line_key
    AND CASE l.change WHEN 'difference' THEN w.changed
        WHEN 'reversal' THEN w.old_quantity IS NOT NULL ELSE w.new_quantity IS NOT NULL END
JOIN usage_events e ON e.tenant_id = :tenant AND e.id = w.usage_event_id
    AND e.occurred_at >= :service_from AND e.occurred_at < :service_to
WHERE s.tenant_id = :tenant AND s.id = ANY(:drafts)
""")


def draft_corrections(session: TenantSession, period: Period, *, now: datetime) -> list[UUID]:
    """Rate an issued period again and draft what changed for each payer; return their ids.

    A payer that had no bill for the period gets one, every other a correction that names its bill.
    Nothing changed gives no drafts. Drafts that are still open become void.

    :raises NothingIssued: when no statement of the period was issued.
    """
    run, dues = _reckon(session, period, now)
    for statement_id in _open_drafts(session, period):
        billing.void(session, statement_id, reason=SUPERSEDED, now=now)
    drafts = [
        billing.put_draft(
            session,
            run.id,
            due.payer,
            due.lines,
            kind="bill" if due.corrects_id is None else "correction",
            corrects_id=due.corrects_id,
            now=now,
        )
        for due in dues
    ]
    if drafts:
        parameters = _parameters(session, run, [due.lines for due in dues]) | {
            "drafts": drafts,
            "salt": secrets.token_bytes(32),
        }
        with joined_by_hash(session):
            session.execute(_ITEMS, parameters)
        mark_changed(session)
    return drafts


def preview_corrections(session: TenantSession, period: Period, *, now: datetime) -> list[Due]:
    """What `draft_corrections` would bill, for each payer; nothing is changed or kept.

    :raises NothingIssued: when no statement of the period was issued.
    """
    trial = session.begin_nested()
    try:
        return _reckon(session, period, now)[1]
    finally:
        trial.rollback()


def _reckon(session: TenantSession, period: Period, now: datetime) -> tuple[RunResult, list[Due]]:
    lock_series(session)
    issued, bills = _billed(session, period)
    if not issued:
        raise NothingIssued(
            f"No statement for {period.label} has been issued; draft the period again instead."
        )
    run = run_rating(session, period=period, now=now)
    fresh = billing.fresh_lines(session, run.id)
    changed = {
        payer: lines
        for payer in sorted(issued.keys() | fresh.keys(), key=_payer_order)
        if (lines := difference(issued.get(payer, []), fresh.get(payer, [])))
    }
    counts = _counts(session, _parameters(session, run, changed.values()))
    dues = []
    for payer, lines in changed.items():
        found = counts.get(payer, {})
        counted = tuple(_counted(line, found) for line in lines)
        corrects_id, number = bills.get(payer, (None, None))
        dues.append(Due(payer, corrects_id, number, counted))
    return run, dues


def _payer_order(payer: Payer) -> tuple[str, str, str]:
    return payer.kind, payer.key or "", str(payer.id)


def _counted(line: Line, counts: Mapping[str, tuple[int, int, int]]) -> Line:
    changed, before, after = counts.get(line.line_key, (0, 0, 0))
    change = line.basis.get("corrects", {}).get("change", ADDITION)
    items = {DIFFERENCE: changed, REVERSAL: before}.get(change, after)
    return replace(line, item_count=items)


def _parameters(
    session: TenantSession, run: RunResult, lines: Iterable[Iterable[Line]]
) -> dict[str, Any]:
    return {
        "tenant": scope_of(session).tenant_id,
        "period": run.period_key,
        "run": run.id,
        "service_from": run.service_from,
        "service_to": run.service_to,
        "keys": sorted({line.line_key for each in lines for line in each}),
    }


def _counts(
    session: TenantSession, parameters: Mapping[str, Any]
) -> dict[Payer, dict[str, tuple[int, int, int]]]:
    found: defaultdict[Payer, dict[str, tuple[int, int, int]]] = defaultdict(dict)
    if not parameters["keys"]:
        return found
    with joined_by_hash(session):
        rows = session.execute(_COUNTS, parameters).all()
    for row in rows:
        payer = Payer(row.payer_id, row.payer_kind, row.payer_key)
        found[payer][row.line_key] = (row.changed, row.before, row.after)
    return found


def _billed(
    session: TenantSession, period: Period
) -> tuple[dict[Payer, list[IssuedLine]], dict[Payer, tuple[UUID, str]]]:
    """The issued lines of a period by payer, and the bill that each payer's corrections name."""
    lines: defaultdict[Payer, list[IssuedLine]] = defaultdict(list)
    bills: dict[Payer, tuple[UUID, str]] = {}
    rows = session.execute(_BILLED, {"tenant": scope_of(session).tenant_id, "period": period.label})
    for row in rows:
        payer = Payer(row.counterparty_id, row.payer_kind, row.payer_key)
        if row.statement_kind == "bill":
            bills.setdefault(payer, (row.id, row.number))
        lines[payer].append(
            IssuedLine(
                row.number,
                Line(
                    position=row.position,
                    kind=row.kind,
                    service_period=row.service_period,
                    line_key=row.line_key,
                    label=row.label,
                    agreement_key=row.agreement_key,
                    basis=row.basis,
                    quantity=row.quantity,
                    price=row.price,
                    exact_amount=row.exact_amount,
                    item_count=row.item_count,
                    cents=row.amount_cents,
                ),
            )
        )
    return dict(lines), bills


def _open_drafts(session: TenantSession, period: Period) -> list[UUID]:
    rows = session.execute(_OPEN, {"tenant": scope_of(session).tenant_id, "period": period.label})
    return [row.id for row in rows]


# --- what came after the cut-off ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LateWork:
    """What an issued period has not seen: work, prices and shared costs that became known after it
    was rated.

    Each payer is measured by the run behind its own statement.
    """

    period_key: str
    stored_before: datetime
    """The cut-off of what was issued last."""
    window_end: datetime
    """When the longest window of its agreements for late work ended or will end."""
    events: int
    after_window: int
    """How many of them came in after the window."""
    rates: list[str]
    """Keys of the rates that were corrected since, for days of the period."""
    open_drafts: int
    total_cents: int
    """What has been billed for the period, corrections included."""
    freed_cents: int = 0
    """What a yearly cap or a source's authorisation held back and has room for again."""
    pools: Sequence[str] = ()
    """Keys of pools of which somebody bears another part since."""
    bases: Sequence[str] = ()
    """Keys of bases that were changed or read anew since and divide these pools."""
    carried_cents: int = 0
    """By how much balances that were carried to it changed since: their year was settled again."""

    @property
    def anything(self) -> bool:
        """Whether the period should be rated again."""
        return bool(
            self.events or self.rates or self.freed_cents or self.pools or self.carried_cents
        )


# The pieces of work of a period are counted; only where the latest run has read fewer are they
# looked at one by one.
_LATE = text(f"""
WITH issued AS MATERIALIZED (
    SELECT s.period_key, max(r.stored_before) AS stored_before, max(r.service_to) AS service_to,
        sum(s.total_cents)::bigint AS total_cents,
        max((SELECT max(coalesce((a.value->'terms'->>'late_event_days')::int, :late_days))
            FROM jsonb_each(s.terms->'agreements') a)) AS late_days
    FROM statements s
    JOIN statement_events e ON e.tenant_id = s.tenant_id AND e.statement_id = s.id
        AND e.state = 'issued'
    JOIN rating_runs r ON r.tenant_id = s.tenant_id AND r.id = s.run_id
    WHERE s.tenant_id = :tenant AND s.side = 'issued' AND s.kind IN ('bill', 'correction')
        AND (CAST(:period AS text) IS NULL OR s.period_key = :period)
    GROUP BY s.period_key ORDER BY max(r.service_to) DESC, s.period_key LIMIT :limit
), periods AS MATERIALIZED (
    SELECT i.*, days.first_day, days.end_day,
        days.first_day::timestamp AT TIME ZONE :zone AS begins,
        days.end_day::timestamp AT TIME ZONE :zone AS ends,
        (days.end_day::timestamp AT TIME ZONE :zone)
            + coalesce(i.late_days, 0) * interval '1 day' AS window_end
    FROM issued i
    CROSS JOIN LATERAL (
        SELECT CASE WHEN i.period_key LIKE '%..%' THEN left(i.period_key, 10)::date
                ELSE (i.period_key || '-01')::date END AS first_day,
            CASE WHEN i.period_key LIKE '%..%' THEN right(i.period_key, 10)::date + 1
                ELSE ((i.period_key || '-01')::date + interval '1 month')::date END AS end_day
    ) days
), {UNBILLED}
SELECT p.period_key, p.stored_before, p.window_end,
    coalesce(unread.counts[1], 0) + unbilled.events,
    coalesce(unread.counts[2], 0) + unbilled.after_window,
    ARRAY(SELECT DISTINCT key FROM (
        SELECT key FROM rates
        WHERE tenant_id = :tenant AND lower(recorded) >= l.stored_before
            AND valid && daterange(p.first_day, p.end_day)
        UNION ALL
        SELECT r.key FROM unbilled u
        JOIN rates r ON r.tenant_id = :tenant AND r.id = u.rate_id
            AND lower(r.recorded) >= u.read_before
        WHERE u.period_key = p.period_key
    ) changed ORDER BY key) AS rates,
    (SELECT count(*) FROM said WHERE said.period_key = p.period_key
        AND state IN ('draft', 'in_review', 'approved')) AS open_drafts,
    p.total_cents
FROM periods p
JOIN latest l USING (period_key)
CROSS JOIN LATERAL (
    SELECT CASE WHEN l.events < (
        SELECT count(*) FROM usage_events
        WHERE tenant_id = :tenant AND occurred_at >= p.begins AND occurred_at < p.ends
    ) THEN (
        SELECT ARRAY[count(*), count(*) FILTER (WHERE received_at >= p.window_end)]
        FROM usage_events e
        WHERE tenant_id = :tenant AND occurred_at >= p.begins AND occurred_at < p.ends
            AND NOT EXISTS (SELECT FROM charges c WHERE c.tenant_id = :tenant
                AND c.run_id = l.run_id AND c.usage_event_id = e.id)
    ) END AS counts
) unread
CROSS JOIN LATERAL (
    SELECT count(*) AS events, count(*) FILTER (WHERE received_at >= p.window_end) AS after_window
    FROM unbilled u
    JOIN usage_events e ON e.tenant_id = :tenant AND e.id = u.usage_event_id
        AND e.occurred_at >= p.begins AND e.occurred_at < p.ends
    WHERE u.period_key = p.period_key AND u.new
) unbilled
ORDER BY p.service_to DESC, p.period_key
""")


def late_work(
    session: TenantSession, *, zone: str, period_key: str | None = None, limit: int = 12
) -> list[LateWork]:
    """What no issued statement of each issued period has seen, the latest first."""
    parameters = {
        "tenant": scope_of(session).tenant_id,
        "zone": zone,
        "period": period_key,
        "limit": limit,
        "late_days": Terms().late_event_days,
        "drafts": False,
    }
    with joined_by_hash(session):
        rows = session.execute(_LATE, parameters).all()
    found: defaultdict[str, int] = defaultdict(int)
    for each in freed(session, [row.period_key for row in rows]):
        found[each.period_key] += each.freed_cents
    shared = late_pools(session, [row.period_key for row in rows])
    nothing = LatePools([], [])
    carried = carried_unbilled(session, [row.period_key for row in rows])
    return [
        replace(
            LateWork(*row),
            freed_cents=found[row.period_key],
            pools=shared.get(row.period_key, nothing).pools,
            bases=shared.get(row.period_key, nothing).bases,
            carried_cents=carried.get(row.period_key, 0),
        )
        for row in rows
    ]
