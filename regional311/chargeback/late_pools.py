"""Pools and bases that were stored after bills rested on them, where somebody's part changes.

As with late work, every payer is measured by the run behind its own latest statement. What was
stored since and changes nobody's part, such as a note, is not named.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import text

from regional311.allocation.year import Year, fiscal_year_of, read_year
from regional311.calendars import Period
from regional311.chargeback.collecting import (
    Dealings,
    billing_period,
    every,
    pool_lines,
    read_dealings,
)
from regional311.chargeback.statement import Payer
from regional311.database.session import TenantSession, scope_of
from regional311.errors import DomainError

# One row a payer: the cut-off of the run behind its latest statement that is not void; drafts count
# while it has no issued one.
_READS: Final = text("""
WITH said AS (
    SELECT s.period_key, s.counterparty_id, s.payer_kind, s.payer_key, e.state, r.number,
        r.stored_before, bool_or(e.state = 'issued') OVER (PARTITION BY s.period_key,
            s.counterparty_id, s.payer_kind, s.payer_key) AS has_issued
    FROM statements s
    JOIN rating_runs r ON r.tenant_id = :tenant AND r.id = s.run_id
    CROSS JOIN LATERAL (
        SELECT state FROM statement_events
        WHERE tenant_id = :tenant AND statement_id = s.id ORDER BY position DESC LIMIT 1
    ) e
    WHERE s.tenant_id = :tenant AND s.side = 'issued' AND s.kind IN ('bill', 'correction')
        AND s.period_key = ANY(:periods)
)
SELECT DISTINCT ON (period_key, counterparty_id, payer_kind, payer_key)
    period_key, counterparty_id, payer_kind, payer_key, stored_before
FROM said WHERE state = 'issued' OR state <> 'void' AND NOT has_issued
ORDER BY period_key, counterparty_id, payer_kind, payer_key, number DESC
""")

_STORED: Final = text("""
SELECT greatest((SELECT max(stored_at) FROM cost_pools WHERE tenant_id = :tenant),
    (SELECT max(stored_at) FROM allocation_bases WHERE tenant_id = :tenant),
    (SELECT max(taken_at) FROM base_snapshots WHERE tenant_id = :tenant))
""")


@dataclass(frozen=True, slots=True)
class LatePools:
    """Keys of pools whose parts of a period are others now, and of bases that made them so."""

    pools: list[str]
    bases: list[str]


def late_pools(session: TenantSession, periods: Iterable[str]) -> dict[str, LatePools]:
    """What was stored after the statements of some periods and changes somebody's part of a pool.

    Periods of which nothing can be said are left out. Two statements, and for each period that
    something was stored after about ten for each of its runs and months.
    """
    tenant = {"tenant": scope_of(session).tenant_id}
    reads: defaultdict[str, dict[Payer, datetime]] = defaultdict(dict)
    for row in session.execute(_READS, tenant | {"periods": list(periods)}):
        payer = Payer(row.counterparty_id, row.payer_kind, row.payer_key)
        reads[row.period_key][payer] = row.stored_before
    newest = session.execute(_STORED, tenant).scalar_one()
    found = {}
    for label, cut_offs in reads.items():
        if newest is not None and newest >= min(cut_offs.values()):
            with suppress(DomainError):
                found[label] = _of_period(session, billing_period(label), cut_offs)
    return found


def _of_period(
    session: TenantSession, period: Period, cut_offs: Mapping[Payer, datetime]
) -> LatePools:
    dealings = read_dealings(session, period)
    now = _parts(session, period, dealings, None)
    # whoever was billed nothing at all is measured by the latest run that bills rest on
    latest = max(cut_offs.values())
    changed: set[str] = set()
    for cut_off in sorted(set(cut_offs.values())):
        then = _parts(session, period, dealings, cut_off)
        changed |= {
            pool
            for payer, pool in now.keys() | then.keys()
            if cut_offs.get(payer, latest) == cut_off
            and now.get((payer, pool)) != then.get((payer, pool))
        }
    bases: set[str] = set()
    for number in sorted(
        {fiscal_year_of(month.start_on, dealings.starts_in) for month in period.months()}
    ):
        then_known = read_year(session, number, stored_before=min(cut_offs.values()))
        bases |= _new_bases(then_known, read_year(session, number), changed)
    return LatePools(sorted(changed), sorted(bases))


def _parts(
    session: TenantSession, period: Period, dealings: Dealings, stored_before: datetime | None
) -> dict[tuple[Payer, str], tuple[object, ...]]:
    """What each payer bears of each pool, month by month, as known before an instant, or now."""
    billed = {
        key: each
        for key, each in dealings.agreements.items()
        if each.terms.billing.every == every(period)
    }
    found: defaultdict[tuple[Payer, str], tuple[object, ...]] = defaultdict(tuple)
    for payer, line in pool_lines(session, stored_before, period, dealings, billed):
        found[payer, str(line.basis["pool"])] += ((line.service_period, line.exact_amount),)
    return dict(found)


def _new_bases(then: Year, now: Year, changed: Iterable[str]) -> set[str]:
    """The bases that divide some pools, or pools that serve these, and have something newer."""
    dividing: set[str] = set()
    for key in changed:
        for pool in now.perhaps_with(key) if key in now.pools else ():
            if pool.base_key is not None:
                dividing |= now.bases_in(pool.base_key)
    before, after = then.bases(), now.bases()
    return {
        key
        for key in dividing & after.keys()
        if key not in before
        or before[key].number != after[key].number
        or len(before[key].snapshots) != len(after[key].snapshots)
    }
