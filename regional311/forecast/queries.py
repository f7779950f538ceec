"""What can be asked about budgets and scenarios, and what a scenario can be made of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text

from regional311.calendars import Period
from regional311.database.session import TenantSession, scope_of

PAGE = 50


@dataclass(frozen=True, slots=True)
class ScenarioRow:
    """A saved scenario in a list."""

    id: UUID
    public_id: str
    name: str
    period_key: str
    from_tenant_id: UUID | None
    shared_with: list[str]
    made_by: UUID | None
    made_at: datetime


@dataclass(frozen=True, slots=True)
class BudgetVersion:
    """A figure that a budget had, and since when."""

    amount_cents: int
    warn_percent: int
    note: str | None
    set_by: UUID | None
    set_at: datetime


@dataclass(frozen=True, slots=True)
class Offered:
    """What there is in a period that a scenario can change, each as key and name."""

    rates: tuple[tuple[str, str], ...]
    pools: tuple[tuple[str, str], ...]
    agreements: tuple[tuple[str, str], ...]


def scenarios(
    session: TenantSession, *, before: UUID | None = None, limit: int = PAGE
) -> list[ScenarioRow]:
    """A page of this partner's scenarios, its own and those shared with it, latest first."""
    rows = session.execute(
        text(
            "SELECT id, public_id, name, period_key, from_tenant_id, shared_with, made_by, made_at"
            " FROM scenarios WHERE tenant_id = :me"
            " AND (CAST(:before AS uuid) IS NULL OR id < :before) ORDER BY id DESC LIMIT :limit"
        ),
        {"me": scope_of(session).tenant_id, "before": before, "limit": limit},
    )
    return [ScenarioRow(*row) for row in rows]


def versions(session: TenantSession, budget_id: UUID) -> list[BudgetVersion]:
    """Every figure of the budget that a row belongs to, the latest first."""
    rows = session.execute(
        text(
            "SELECT v.amount_cents, v.warn_percent, v.note, v.set_by, v.set_at"
            " FROM budgets b JOIN budgets v ON v.tenant_id = b.tenant_id AND v.side = b.side"
            " AND v.counterparty_id = b.counterparty_id AND v.payer_kind = b.payer_kind"
            " AND v.payer_key IS NOT DISTINCT FROM b.payer_key"
            " AND v.agreement_key IS NOT DISTINCT FROM b.agreement_key"
            " AND v.fiscal_year = b.fiscal_year"
            " WHERE b.tenant_id = :me AND b.id = :budget ORDER BY v.set_at DESC, v.id DESC"
        ),
        {"me": scope_of(session).tenant_id, "budget": budget_id},
    )
    return [BudgetVersion(*row) for row in rows]


def offered(session: TenantSession, period: Period) -> Offered:
    """The rates, pools and agreements by which this partner bills in a period."""
    about = {
        "me": scope_of(session).tenant_id,
        "first": period.start_on,
        "after": period.end_on,
    }
    valid = "valid && daterange(CAST(:first AS date), CAST(:after AS date))"
    rates = session.execute(
        text(
            "SELECT DISTINCT key, key AS name FROM rates WHERE tenant_id = :me"
            f" AND upper_inf(recorded) AND NOT isempty(recorded) AND {valid} ORDER BY 1"
        ),
        about,
    )
    pools = session.execute(
        text(
            "SELECT key, name FROM (SELECT DISTINCT ON (key) key, name FROM cost_pools"
            " WHERE tenant_id = :me ORDER BY key, fiscal_year DESC, number DESC) p ORDER BY 2, 1"
        ),
        about,
    )
    agreements = session.execute(
        text(
            "SELECT DISTINCT ON (key) key, name FROM agreements WHERE provider_id = :me"
            f" AND {valid} ORDER BY key, version DESC"
        ),
        about,
    )
    return Offered(
        tuple((row.key, row.name) for row in rates),
        tuple((row.key, row.name) for row in pools),
        tuple((row.key, row.name) for row in agreements),
    )


def own_payers(session: TenantSession) -> list[tuple[str, str, str]]:
    """This partner's payers that are no partners: kind, key and name, by name."""
    me = scope_of(session).tenant_id
    rows = session.execute(
        text(
            "SELECT 'outside' AS kind, payer_key AS key, max(terms->'outside'->>'name') AS name"
            " FROM agreements WHERE provider_id = :me AND payer_kind = 'outside' GROUP BY 2"
            " UNION ALL SELECT 'bureau', b.key, b.name FROM bureaus b"
            " WHERE b.tenant_id = :me AND EXISTS (SELECT FROM agreements a"
            "  WHERE a.provider_id = :me AND a.payer_kind = 'bureau'"
            "  AND (a.payer_key IS NULL OR a.payer_key = b.key))"
            " ORDER BY 1, 3, 2"
        ),
        {"me": me},
    )
    return [(row.kind, row.key, row.name or row.key) for row in rows]
