"""What pages ask of agreements: work after their end, and where their periods stand."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from regional311.calendars import Period, fiscal_year
from regional311.chargeback import calendar
from regional311.chargeback.agreement_terms import Terms
from regional311.chargeback.agreements import newest, parties
from regional311.database.session import TenantSession, scope_of

# Work of the provider that an agreement would have billed, after its last version's end, and that
# no other agreement with the payer bills since.
_AFTER = text("""
SELECT a.key, count(*) AS events, max(e.occurred_at) AS latest
FROM (
    SELECT DISTINCT ON (key) * FROM agreements
    WHERE provider_id = :me AND payer_kind = 'partner' AND NOT isempty(valid)
    ORDER BY key, version DESC
) a
JOIN tenants me ON me.tenant_id = :me AND me.id = :me
JOIN usage_events e ON e.tenant_id = :me
    AND e.occurred_at >= upper(a.valid)::timestamp AT TIME ZONE me.zone
    AND e.activity = ANY(a.activities)
    AND a.payer_id = CASE a.payer_rule
        WHEN 'service_owner' THEN e.service_owner_id
        WHEN 'jurisdiction' THEN e.jurisdiction_id
        WHEN 'referrer' THEN e.referrer_id
        ELSE e.line_owner_id END
WHERE upper(a.valid) <= :day AND e.reverses_id IS NULL
    AND NOT EXISTS (
        SELECT 1 FROM agreements b
        WHERE b.provider_id = a.provider_id AND b.payer_id = a.payer_id AND b.key <> a.key
            AND b.valid @> (e.occurred_at AT TIME ZONE me.zone)::date
            AND e.activity = ANY(b.activities)
    )
GROUP BY a.key
""")

_STANDING = text("""
SELECT l.agreement_key, s.period_key, s.public_id, coalesce(e.number, s.public_id) AS number,
    e.state, s.created_at
FROM statements s
JOIN LATERAL (
    SELECT DISTINCT agreement_key FROM statement_lines
    WHERE tenant_id = s.tenant_id AND statement_id = s.id
) l ON true
CROSS JOIN LATERAL (
    SELECT state, number FROM statement_events
    WHERE tenant_id = s.tenant_id AND statement_id = s.id ORDER BY position DESC LIMIT 1
) e
WHERE s.tenant_id = :me AND s.kind = 'bill'
ORDER BY s.created_at, s.id
""")

_FIRST = text("""
SELECT (min(e.occurred_at) AT TIME ZONE t.zone)::date
FROM tenants t LEFT JOIN usage_events e ON e.tenant_id = t.id
WHERE t.tenant_id = :me AND t.id = :me GROUP BY t.zone
""")
_RUN = text("SELECT DISTINCT period_key FROM rating_runs WHERE tenant_id = :me")
_YEARS = text("SELECT id, fiscal_year_starts_in FROM tenants WHERE id = tenant_id")


def working_after_end(session: TenantSession, day: date) -> dict[str, Row[Any]]:
    """Agreements that this partner provides under, expired by a day, with work since: by key.

    Each row has how many `events` there were and when the `latest`.
    """
    me = scope_of(session).tenant_id
    mine = newest(each for each in parties(session) if each.provider_id == me)
    if not any(each.valid.upper is not None and each.valid.upper <= day for each in mine):
        return {}
    rows = session.execute(_AFTER, {"me": me, "day": day})
    return {row.key: row for row in rows}


class Standing:
    """One period of one agreement, its days, and where it stands for this partner."""

    __slots__ = ("agreement", "due", "state", "statements")

    def __init__(
        self, agreement: Any, due: calendar.Due, state: str, statements: list[tuple[str, str]]
    ) -> None:
        self.agreement = agreement
        self.due = due
        self.state = state
        self.statements = statements
        """Public id, and number or that, of the period's statements with lines of the agreement."""


def billing_calendar(session: TenantSession, *, year_of: date, today: date) -> list[Standing]:
    """Every period of the fiscal year a day lies in, of every agreement that this partner is in.

    The fiscal year is each provider's own. A period is the newest version's that holds in it. What
    ended before this partner recorded any work or had a statement is left out.
    """
    me = scope_of(session).tenant_id
    first_month = {row.id: row.fiscal_year_starts_in for row in session.execute(_YEARS)}
    there: dict[tuple[str, str], list[Row[Any]]] = {}
    for row in session.execute(_STANDING, {"me": me}):
        there.setdefault((row.agreement_key, row.period_key), []).append(row)
    run = set(session.execute(_RUN, {"me": me}).scalars())
    since = _since(session.execute(_FIRST, {"me": me}).scalar_one(), there, today)
    found: dict[tuple[str, Period], Standing] = {}
    for agreement in parties(session):
        if me not in (agreement.provider_id, agreement.payer_id):
            continue
        year = fiscal_year(year_of, first_month[agreement.provider_id])
        terms = Terms.of(agreement.terms)
        dues = calendar.due(
            agreement.key, terms, year, agreement.valid.lower, agreement.valid.upper
        )
        for each in dues:
            if each.period.end_on <= since:
                continue
            rows = there.get((agreement.key, each.period.label), [])
            state = calendar.state(
                each,
                [_as_issuer(row.state) for row in rows],
                today,
                rated=_rated(agreement, me, each.period, run),
            )
            if state == "late" and agreement.provider_id != me:
                state = "missing"
            numbers = [(row.public_id, row.number) for row in rows if row.state != "void"]
            found[each.agreement_key, each.period] = Standing(agreement, each, state, numbers)
    return sorted(found.values(), key=lambda one: (one.due.submit_on, one.agreement.name))


def _since(
    first_work: date | None, there: dict[tuple[str, str], list[Row[Any]]], today: date
) -> date:
    """The day from which on this partner bills or is billed here."""
    billed = [found.start_on for _key, label in there if (found := calendar.period_of(label))]
    return min([*billed, first_work or today])


def _rated(agreement: Any, me: UUID, period: Period, run: set[str]) -> bool:
    return agreement.provider_id == me and period.label in run


def _as_issuer(state: str) -> str:
    return "issued" if state == "received" else state
