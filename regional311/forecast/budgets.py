"""Budgets by payer and fiscal year: set, watched against bills and forecast, put on statements."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import text

from regional311.audit.service import record
from regional311.calendars import Period, fiscal_year, fiscal_year_label
from regional311.chargeback.documents import content
from regional311.chargeback.queries import StatementDetail
from regional311.database.ids import new_id
from regional311.database.rows import put
from regional311.database.session import TenantSession, scope_of
from regional311.errors import InvalidInput, NotFound
from regional311.forecast.models import Budget
from regional311.forecast.outlook import Billed, Outlook, Standing, outlook, standing
from regional311.forecast.queries import own_payers

SIDES = ("received", "issued")
YEARS = range(2000, 2200)
MOST_CENTS = 10**14


class BadBudget(InvalidInput):
    """A budget names nobody, no year, or an amount that is none."""


@dataclass(frozen=True, slots=True)
class Party:
    """Between whom a budget is: the other side, and which of its payers."""

    side: str
    counterparty_id: UUID
    payer_kind: str = "partner"
    payer_key: str | None = None
    agreement_key: str | None = None


@dataclass(frozen=True, slots=True)
class BudgetRow:
    """A budget as it holds now, and how its year goes."""

    id: UUID
    party: Party
    counterparty: str
    fiscal_year: int
    label: str
    amount_cents: int
    warn_percent: int
    note: str | None
    set_by: UUID | None
    set_at: datetime
    outlook: Outlook
    elapsed: Decimal
    """The part of the year that has gone by, in percent."""

    @property
    def standing(self) -> Standing:
        """Whether it lasts."""
        return standing(
            self.amount_cents,
            self.warn_percent,
            self.outlook.billed_cents,
            self.outlook.year_cents,
        )

    @property
    def billed_percent(self) -> Decimal | None:
        """What part of it is billed; None of a budget of nothing."""
        return _percent(self.outlook.billed_cents, self.amount_cents)

    @property
    def year_percent(self) -> Decimal | None:
        """What part of it the year is likely to take; None of a budget of nothing."""
        return _percent(self.outlook.year_cents, self.amount_cents)


@dataclass(frozen=True, slots=True)
class FiscalYear:
    """A fiscal year of this partner: named by the calendar year in which it ends."""

    number: int
    period: Period
    label: str

    @property
    def months(self) -> list[str]:
        """The keys of its twelve months."""
        return [month.label for month in self.period.months()]

    def before(self) -> list[str]:
        """The keys of the same months a year earlier."""
        return [f"{int(key[:4]) - 1}{key[4:]}" for key in self.months]

    def elapsed(self, on: date) -> Decimal:
        """The part of the year that has gone by before a day, in percent to one place."""
        days = (self.period.end_on - self.period.start_on).days
        gone = min(max((on - self.period.start_on).days, 0), days)
        return (Decimal(100) * gone / days).quantize(Decimal("0.1"), ROUND_HALF_UP)


# Range labels such as 2026-07-01..2026-09-30 count in their last month.
_MONTH = (
    "CASE WHEN length(l.service_period) > 7 THEN left(right(l.service_period, 10), 7)"
    " ELSE l.service_period END"
)

_BILLED = text(f"""
SELECT s.side, s.counterparty_id, s.payer_kind, s.payer_key, l.agreement_key, {_MONTH} AS month,
    coalesce(sum(l.amount_cents) FILTER (WHERE l.kind = 'usage'), 0)::bigint AS work,
    coalesce(sum(l.amount_cents) FILTER (WHERE l.kind <> 'usage'), 0)::bigint AS rest,
    coalesce(sum(l.item_count), 0)::bigint AS pieces
FROM statements s
JOIN statement_lines l ON l.tenant_id = :tenant AND l.statement_id = s.id
WHERE s.tenant_id = :tenant AND left(right(s.period_key, 10), 7) BETWEEN :first AND :last
    AND (CAST(:counterparty AS uuid) IS NULL OR s.counterparty_id = :counterparty)
    AND EXISTS (SELECT FROM statement_events e WHERE e.tenant_id = :tenant
        AND e.statement_id = s.id AND e.state IN ('issued', 'received'))
GROUP BY 1, 2, 3, 4, 5, 6
""")

_USAGE = text("""
SELECT to_char(date_trunc('month', occurred_at AT TIME ZONE :zone), 'YYYY-MM') AS month, count(*)
FROM usage_events
WHERE tenant_id = :tenant AND occurred_at >= :first AND occurred_at < :after GROUP BY 1
""")

_CURRENT = """
SELECT DISTINCT ON (b.side, b.counterparty_id, b.payer_kind, b.payer_key, b.agreement_key,
        b.fiscal_year)
    b.id, b.side, b.counterparty_id, b.payer_kind, b.payer_key, b.agreement_key, b.fiscal_year,
    b.amount_cents, b.warn_percent, b.note, b.set_by, b.set_at, t.short_name
FROM budgets b JOIN tenants t ON t.tenant_id = b.counterparty_id AND t.id = b.counterparty_id
WHERE b.tenant_id = :tenant AND b.fiscal_year = :year
ORDER BY b.side, b.counterparty_id, b.payer_kind, b.payer_key, b.agreement_key, b.fiscal_year,
    b.set_at DESC, b.id DESC"""

_BUDGETS = text(_CURRENT)

_AT_ISSUE = text("""
SELECT amount_cents FROM budgets
WHERE tenant_id = :tenant AND side = :side AND counterparty_id = :counterparty
    AND payer_kind = :payer_kind AND payer_key IS NOT DISTINCT FROM :payer_key
    AND agreement_key IS NULL AND fiscal_year = :year AND set_at <= :until
ORDER BY set_at DESC, id DESC LIMIT 1
""")

_USED = text("""
SELECT coalesce(sum(s.total_cents), 0)::bigint FROM statements s
WHERE s.tenant_id = :tenant AND s.side = :side AND s.counterparty_id = :counterparty
    AND s.payer_kind = :payer_kind AND s.payer_key IS NOT DISTINCT FROM :payer_key
    AND left(right(s.period_key, 10), 7) BETWEEN :first AND :last
    AND EXISTS (SELECT FROM statement_events e WHERE e.tenant_id = :tenant
        AND e.statement_id = s.id AND e.state IN ('issued', 'received')
        AND (e.at, s.id) <= (:until, CAST(:statement AS uuid)))
""")


def set_budget(
    session: TenantSession,
    party: Party,
    *,
    fiscal_year: int,
    amount_cents: int,
    warn_percent: int = 90,
    note: str | None = None,
    now: datetime,
) -> UUID:
    """Set what is budgeted between this partner and another for a fiscal year; the latest holds.

    :raises BadBudget: for another side, year, amount or percentage than there is, or oneself as
        another partner.
    :raises NotFound: when there is no such other partner.
    """
    me = scope_of(session).tenant_id
    if party.side not in SIDES:
        raise BadBudget("A budget is for what is received or for what is issued.", field="side")
    if (party.payer_kind == "partner") == (party.counterparty_id == me):
        raise BadBudget(
            "A budget is between this partner and another, or one of its own payers.",
            field="counterparty",
        )
    if fiscal_year not in YEARS:
        raise BadBudget("Name the calendar year in which the fiscal year ends.", field="year")
    if not 0 <= amount_cents <= MOST_CENTS:
        raise BadBudget("A budget is an amount of zero or more.", field="amount")
    if not 1 <= warn_percent <= 100:
        raise BadBudget("Warn at 1 to 100 percent of the budget.", field="warn_percent")
    known = session.execute(
        text("SELECT 1 FROM tenants WHERE tenant_id = :other AND id = :other"),
        {"other": party.counterparty_id},
    ).one_or_none()
    if known is None:
        raise NotFound("There is no such partner.")
    budget_id = new_id()
    put(
        session,
        Budget(
            tenant_id=me,
            id=budget_id,
            side=party.side,
            counterparty_id=party.counterparty_id,
            payer_kind=party.payer_kind,
            payer_key=party.payer_key,
            agreement_key=party.agreement_key,
            fiscal_year=fiscal_year,
            amount_cents=amount_cents,
            warn_percent=warn_percent,
            note=note,
            set_by=scope_of(session).person_id,
            set_at=now,
        ),
    )
    record(
        session,
        now=now,
        action="budget:set",
        subject_kind="budget",
        subject_id=budget_id,
        detail={
            "side": party.side,
            "counterparty": str(party.counterparty_id),
            "fiscal_year": fiscal_year,
            "amount_cents": amount_cents,
        },
    )
    return budget_id


def year_of(session: TenantSession, on: date) -> FiscalYear:
    """This partner's fiscal year on a day."""
    first_month: int = session.execute(
        text("SELECT fiscal_year_starts_in FROM tenants WHERE tenant_id = :me AND id = :me"),
        {"me": scope_of(session).tenant_id},
    ).scalar_one()
    return _year(on, first_month)


def year_named(session: TenantSession, number: int) -> FiscalYear:
    """This partner's fiscal year that ends in a calendar year.

    :raises BadBudget: when that is no year that is kept.
    """
    if number not in YEARS:
        raise BadBudget("Name the calendar year in which the fiscal year ends.", field="year")
    found = year_of(session, date(number, 1, 1))
    return found if found.number == number else year_of(session, found.period.end_on)


def _year(on: date, first_month: int) -> FiscalYear:
    period = fiscal_year(on, first_month)
    label = fiscal_year_label(on, first_month)
    last = period.end_on.year if first_month > 1 else period.start_on.year
    return FiscalYear(last, period, label)


def budgets(session: TenantSession, year: FiscalYear, *, now: datetime) -> list[BudgetRow]:
    """Every budget of a year that holds now, with what is billed and forecast against it.

    At most five statements, however many budgets there are; the worst first.
    """
    me = scope_of(session).tenant_id
    rows = session.execute(_BUDGETS, {"tenant": me, "year": year.number}).all()
    own = {(kind, key): name for kind, key, name in own_payers(session)} if rows else {}
    zone = _zone(session)
    today = now.astimezone(ZoneInfo(zone)).date()
    outlooks = _Outlooks(session, year, zone)
    found = []
    for row in rows:
        party = Party(
            row.side, row.counterparty_id, row.payer_kind, row.payer_key, row.agreement_key
        )
        found.append(
            BudgetRow(
                id=row.id,
                party=party,
                counterparty=own.get(
                    (row.payer_kind, row.payer_key or ""), row.payer_key or row.short_name
                ),
                fiscal_year=row.fiscal_year,
                label=year.label,
                amount_cents=row.amount_cents,
                warn_percent=row.warn_percent,
                note=row.note,
                set_by=row.set_by,
                set_at=row.set_at,
                outlook=outlooks.of(party),
                elapsed=year.elapsed(today),
            )
        )
    order = list(Standing)
    return sorted(
        found,
        key=lambda each: (-order.index(each.standing), each.party.side, each.counterparty),
    )


def outlook_of(session: TenantSession, party: Party, year: FiscalYear) -> Outlook:
    """How a fiscal year is likely to end between this partner and another, budget or not."""
    return _Outlooks(session, year, _zone(session), party.counterparty_id).of(party)


class _Outlooks:
    """What was billed in a fiscal year and the one before, to forecast from."""

    def __init__(
        self,
        session: TenantSession,
        year: FiscalYear,
        zone: str,
        counterparty_id: UUID | None = None,
    ) -> None:
        self.session, self.year, self.zone = session, year, zone
        self.months, self.before = year.months, year.before()
        self.rows = session.execute(
            _BILLED,
            {
                "tenant": scope_of(session).tenant_id,
                "first": self.before[0],
                "last": self.months[-1],
                "counterparty": counterparty_id,
            },
        ).all()
        self._usage: dict[str, int] | None = None

    def of(self, party: Party) -> Outlook:
        billed: defaultdict[str, Billed] = defaultdict(Billed)
        for row in self.rows:
            same = (row.side, row.counterparty_id, row.payer_kind, row.payer_key)
            if same != (party.side, party.counterparty_id, party.payer_kind, party.payer_key):
                continue
            if party.agreement_key not in (None, row.agreement_key):
                continue
            known = billed[row.month]
            billed[row.month] = Billed(
                known.work_cents + row.work, known.rest_cents + row.rest, known.pieces + row.pieces
            )
        this_year = {month: billed[month] for month in self.months if month in billed}
        last_year = {
            month: billed[earlier]
            for month, earlier in zip(self.months, self.before, strict=True)
            if earlier in billed
        }
        counted = None
        if party.side == "issued" and not any(each.pieces for each in last_year.values()):
            counted = self.counted()
        return outlook(self.months, this_year, last_year, pieces_last_year=counted)

    def counted(self) -> Mapping[str, int]:
        """Last year's work of this partner, by this year's months."""
        if self._usage is None:
            begins = Period.month(self.before[0]).bounds(self.zone)[0]
            ends = Period.month(self.before[-1]).bounds(self.zone)[1]
            rows: Any = self.session.execute(
                _USAGE,
                {
                    "tenant": scope_of(self.session).tenant_id,
                    "zone": self.zone,
                    "first": begins,
                    "after": ends,
                },
            )
            by_month = {row.month: row.count for row in rows}
            self._usage = {
                month: by_month[earlier]
                for month, earlier in zip(self.months, self.before, strict=True)
                if earlier in by_month
            }
        return self._usage


def budget_of_statement(session: TenantSession, detail: StatementDetail) -> content.Budget | None:
    """The budget as it held when a statement was issued, and what was used by then; or None.

    Later figures and later statements change nothing in it.
    """
    row = detail.row
    sent = [event.at for event in detail.events if event.state in ("issued", "received")]
    until = sent[0] if sent else row.created_at
    last_day = _last_day(row.period_key)
    year = year_of(session, last_day)
    about = {
        "tenant": scope_of(session).tenant_id,
        "side": row.side,
        "counterparty": row.counterparty_id,
        "payer_kind": row.payer_kind,
        "payer_key": row.payer_key,
        "until": until,
    }
    amount = session.execute(_AT_ISSUE, about | {"year": year.number}).scalar_one_or_none()
    if amount is None:
        return None
    months = year.months
    used = session.execute(
        _USED, about | {"first": months[0], "last": months[-1], "statement": row.id}
    ).scalar_one()
    if not sent:
        used += row.total_cents
    elapsed = year.elapsed(_after(row.period_key))
    return content.Budget(year.label, amount, used, elapsed)


def _last_day(period_key: str) -> date:
    first, dots, last = period_key.partition("..")
    return date.fromisoformat(last) if dots else Period.month(first).start_on


def _after(period_key: str) -> date:
    first, dots, _ = period_key.partition("..")
    if dots:
        return Period.month(period_key[-10:-3]).end_on
    return Period.month(first).end_on


def _zone(session: TenantSession) -> str:
    zone: str = session.execute(
        text("SELECT zone FROM tenants WHERE tenant_id = :me AND id = :me"),
        {"me": scope_of(session).tenant_id},
    ).scalar_one()
    return zone


def _percent(part: int, whole: int) -> Decimal | None:
    if not whole:
        return None
    return (Decimal(part) * 100 / whole).quantize(Decimal("0.1"), ROUND_HALF_UP)
