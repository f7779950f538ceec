"""A fiscal year's end: what each payer was billed beside its part of what the year really cost.

For each pool, and for each service billed by a rate card, the year rolls: opening balance + billed
- owed = closing balance. What is left over is settled now by a statement of its own, carried
forward as a line of the payer's next bill, or kept for the next year's rates; `year_end` does that.
Here is what may be asked, and what was carried forward to a bill.

Everything is reckoned from the lines of issued statements in one statement for all pools and
services, however much work stands behind them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, select, text
from sqlalchemy.dialects.postgresql import insert

from regional311.allocation.year import read_year
from regional311.audit.service import record
from regional311.calendars import Period, fiscal_year
from regional311.chargeback.agreement_terms import YEAR_ENDS, Terms
from regional311.chargeback.models import Rate, ServiceCost
from regional311.chargeback.reconciliation import (
    Part,
    Roll,
    WorkingCapital,
    sixty_day_test,
)
from regional311.chargeback.statement import Line, Payer
from regional311.chargeback.waterfall import YearSoFar
from regional311.database.ids import new_id
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.errors import DomainError, InvalidInput
from regional311.money import from_cents

POOL, CARD = "pool", "card"
SETTLE, CARRY, KEEP = YEAR_ENDS
MOST_CENTS: Final = 10**15


_YEAR_LINES = """
    SELECT CASE WHEN l.basis ? 'pool' THEN 'pool' ELSE 'card' END AS subject,
        coalesce(l.basis->>'pool', l.basis->>'card') AS key,
        s.counterparty_id AS payer_id, s.payer_kind, s.payer_key, l.agreement_key, l.amount_cents
    FROM statements s
    JOIN statement_events e ON e.tenant_id = s.tenant_id AND e.statement_id = s.id
        AND e.state = 'issued'
    JOIN statement_lines l ON l.tenant_id = s.tenant_id AND l.statement_id = s.id
    WHERE s.tenant_id = :tenant AND s.side = 'issued'
        AND coalesce(l.basis->'corrects'->>'kind', l.kind)
            IN ('usage', 'pool', 'true_up', 'carry_forward')
        AND coalesce((l.basis->>'fiscal_year')::int = :year, l.service_period = ANY(:labels))
"""

_BILLED = text(f"""
SELECT subject, key, payer_id, payer_kind, payer_key, max(agreement_key) AS agreement_key,
    sum(amount_cents)::bigint AS cents
FROM ({_YEAR_LINES}) billed
WHERE key IS NOT NULL GROUP BY subject, key, payer_id, payer_kind, payer_key
""")

# What other years left for this one: a balance that was carried forward opens the year of the month
# that it was carried to, as it stands on that bill; one that was kept opens the year after its own.
# Settled is nothing, as long as the statement that settles it is not void.
_VOID = """EXISTS (SELECT FROM statement_events v WHERE v.tenant_id = p.tenant_id
        AND v.statement_id = p.statement_id AND v.state = 'void')"""

_OPENINGS = text(f"""
WITH latest AS (
    SELECT DISTINCT ON (fiscal_year, subject, key) * FROM true_ups
    WHERE tenant_id = :tenant AND fiscal_year < :year
    ORDER BY fiscal_year, subject, key, number DESC
)
SELECT t.subject, t.key, p.payer_id, p.payer_kind, p.payer_key,
    max(p.agreement_key) AS agreement_key, -sum(d.cents)::bigint AS cents
FROM latest t JOIN true_up_shares p ON p.tenant_id = t.tenant_id AND p.true_up_id = t.id
CROSS JOIN LATERAL (
    SELECT p.due_cents + CASE WHEN p.carried_to IS NULL THEN 0 ELSE coalesce((
        SELECT sum((step->>'cents')::bigint) FROM jsonb_array_elements(p.further) step), 0) END
        AS cents
) d
WHERE t.tenant_id = :tenant AND p.due_cents <> 0
    AND CASE WHEN p.carried_to IS NOT NULL THEN p.carried_to = ANY(:months)
        ELSE t.fiscal_year = :year - 1 AND (p.statement_id IS NULL OR {_VOID}) END
GROUP BY t.subject, t.key, p.payer_id, p.payer_kind, p.payer_key
HAVING sum(d.cents) <> 0
""")

# What is carried to each period beside what its bills and corrections have of it.
_UNBILLED = text("""
WITH carried AS MATERIALIZED (
    SELECT DISTINCT carried_to AS period_key FROM true_up_shares
    WHERE tenant_id = :tenant AND carried_to = ANY(:periods)
), latest AS (
    SELECT DISTINCT ON (subject, key, fiscal_year) * FROM true_ups
    WHERE tenant_id = :tenant ORDER BY subject, key, fiscal_year, number DESC
), wanted AS (
    SELECT p.carried_to AS period_key, p.payer_id, p.payer_kind,
        coalesce(p.payer_key, '') AS payer_key,
        concat_ws('|', p.agreement_key, 'carry_forward', t.subject, t.key, t.fiscal_year)
            AS line_key,
        p.due_cents + coalesce((SELECT sum((step->>'cents')::bigint)
            FROM jsonb_array_elements(p.further) step), 0) AS cents
    FROM latest t JOIN true_up_shares p ON p.tenant_id = t.tenant_id AND p.true_up_id = t.id
    WHERE p.carried_to IN (SELECT period_key FROM carried)
), billed AS (
    SELECT s.period_key, s.counterparty_id AS payer_id, s.payer_kind,
        coalesce(s.payer_key, '') AS payer_key, l.line_key, sum(l.amount_cents) AS cents
    FROM statements s
    JOIN statement_lines l ON l.tenant_id = s.tenant_id AND l.statement_id = s.id
    WHERE s.tenant_id = :tenant AND s.side = 'issued' AND s.kind IN ('bill', 'correction')
        AND s.period_key IN (SELECT period_key FROM carried)
        AND coalesce(l.basis->'corrects'->>'kind', l.kind) = 'carry_forward'
        AND NOT EXISTS (SELECT FROM statement_events v WHERE v.tenant_id = :tenant
            AND v.statement_id = s.id AND v.state = 'void')
    GROUP BY 1, 2, 3, 4, 5
)
SELECT period_key, sum(abs(coalesce(w.cents, 0) - coalesce(b.cents, 0)))::bigint AS cents
FROM wanted w FULL JOIN billed b USING (period_key, payer_id, payer_kind, payer_key, line_key)
GROUP BY period_key HAVING sum(abs(coalesce(w.cents, 0) - coalesce(b.cents, 0))) > 0
""")

# What each payer of a year brought into it when it was settled last.
_OPENED = text("""
WITH latest AS (
    SELECT DISTINCT ON (subject, key) * FROM true_ups
    WHERE tenant_id = :tenant AND fiscal_year = :year ORDER BY subject, key, number DESC
)
SELECT t.subject, t.key, t.treatment, p.payer_id, p.payer_kind, p.payer_key, p.opening_cents
FROM latest t LEFT JOIN true_up_shares p ON p.tenant_id = t.tenant_id AND p.true_up_id = t.id
""")

_AFTER = text("""
SELECT DISTINCT fiscal_year FROM true_ups WHERE tenant_id = :tenant AND fiscal_year > :year
ORDER BY fiscal_year
""")

# What each payer was billed for a year under each agreement, whatever it was for.
_SO_FAR = text("""
SELECT agreement_key, payer_id, payer_kind, payer_key, kind, source_key,
    sum(amount_cents)::bigint AS cents, max(periods) AS periods
FROM (
    SELECT l.agreement_key, s.counterparty_id AS payer_id, s.payer_kind, s.payer_key,
        coalesce(l.basis->'corrects'->>'kind', l.kind) AS kind,
        CASE WHEN coalesce(l.basis->'corrects'->>'kind', l.kind) = 'funding'
            THEN l.basis->>'source_key' END AS source_key,
        l.amount_cents,
        dense_rank() OVER (PARTITION BY l.agreement_key, s.counterparty_id, s.payer_kind,
            s.payer_key, s.kind ORDER BY s.period_key) * (s.kind = 'bill')::int AS periods
    FROM statements s
    JOIN statement_events e ON e.tenant_id = s.tenant_id AND e.statement_id = s.id
        AND e.state = 'issued'
    JOIN statement_lines l ON l.tenant_id = s.tenant_id AND l.statement_id = s.id
    WHERE s.tenant_id = :tenant AND s.side = 'issued' AND l.service_period = ANY(:labels)
) lines
WHERE kind NOT IN ('carry_forward', 'interest')
GROUP BY agreement_key, payer_id, payer_kind, payer_key, kind, source_key
""")

_TERMS = text("""
SELECT DISTINCT ON (a.key) a.key, a.terms FROM agreements a
JOIN tenants region ON region.tenant_id = a.tenant_id AND region.kind = 'region'
WHERE a.provider_id = :tenant
    AND a.valid && daterange(CAST(:first_day AS date), CAST(:end_day AS date))
ORDER BY a.key, lower(a.valid) DESC NULLS LAST, a.version DESC
""")

_SHARING = text("""
SELECT DISTINCT ON (a.pool_key, a.payer_id, a.payer_kind, a.payer_key)
    a.key, a.pool_key, a.payer_id, a.payer_kind, a.payer_key
FROM agreements a
JOIN tenants region ON region.tenant_id = a.tenant_id AND region.kind = 'region'
WHERE a.provider_id = :tenant AND a.pool_key IS NOT NULL
    AND a.valid && daterange(CAST(:first_day AS date), CAST(:end_day AS date))
ORDER BY a.pool_key, a.payer_id, a.payer_kind, a.payer_key, lower(a.valid) DESC NULLS LAST, a.key
""")

_AGREED = text("""
SELECT key, pool_key, rate_card_key, payer_id, payer_kind, payer_key, year_end FROM (
    SELECT DISTINCT ON (a.key) a.*, a.terms->>'year_end' AS year_end
    FROM agreements a
    JOIN tenants region ON region.tenant_id = a.tenant_id AND region.kind = 'region'
    WHERE a.provider_id = :tenant
        AND a.valid && daterange(CAST(:first_day AS date), CAST(:end_day AS date))
    ORDER BY a.key, lower(a.valid) DESC NULLS LAST, a.version DESC
) latest WHERE year_end IS NOT NULL ORDER BY key
""")

SLUGS = text("SELECT slug, id FROM tenants WHERE id = tenant_id")

ME = text("""
SELECT id, slug, name, zone, fiscal_year_starts_in FROM tenants
WHERE tenant_id = :tenant AND id = :tenant
""")


@dataclass(frozen=True, slots=True)
class Subject:
    """A pool or a billed service (by its rate card), and where its cost comes from."""

    subject: str
    key: str
    name: str
    source: str


def year_period(year: int, starts_in: int) -> Period:
    """The fiscal year that is named by the calendar year in which it ends.

    >>> year_period(2027, 7).label
    '2026-07-01..2027-06-30'
    """
    return fiscal_year(date(year if starts_in == 1 else year - 1, starts_in, 1), starts_in)


def year_of(session: TenantSession, year: int) -> Period:
    """This partner's fiscal year that is named by a calendar year: one statement."""
    me = session.execute(ME, {"tenant": scope_of(session).tenant_id}).one()
    return year_period(year, me.fiscal_year_starts_in)


def billed_in_year(session: TenantSession, period: Period, year: int) -> Sequence[Row[Any]]:
    """What each payer was billed for each pool and card of a fiscal year: one statement."""
    return session.execute(
        _BILLED,
        {"tenant": scope_of(session).tenant_id, "year": year, "labels": _labels(period)},
    ).all()


def _labels(period: Period) -> list[str]:
    """Every period that a fiscal year can be billed by: its months, its quarters, itself."""
    labels = [month.label for month in period.months()]
    labels += [
        Period(date.fromisoformat(f"{labels[first]}-01"), last.end_on).label
        for first, last in zip(range(0, 12, 3), list(period.months())[2::3], strict=True)
    ]
    return [*labels, period.label]


def so_far_in(session: TenantSession, period: Period) -> dict[tuple[str, Payer], YearSoFar]:
    """What each payer was billed for a fiscal year under each agreement: one statement."""
    rows = session.execute(
        _SO_FAR, {"tenant": scope_of(session).tenant_id, "labels": _labels(period)}
    ).all()
    kinds: defaultdict[tuple[str, Payer], defaultdict[str, int]] = defaultdict(
        lambda: defaultdict(int)
    )
    funded: defaultdict[tuple[str, Payer], dict[str, int]] = defaultdict(dict)
    periods: defaultdict[tuple[str, Payer], int] = defaultdict(int)
    for row in rows:
        about = row.agreement_key, Payer(row.payer_id, row.payer_kind, row.payer_key)
        kinds[about][row.kind] += row.cents
        periods[about] = max(periods[about], row.periods)
        if row.source_key is not None:
            funded[about][row.source_key] = -row.cents
    return {
        about: YearSoFar(
            paid_cents=sum(cents.values()),
            gross_cents=sum(cents[kind] for kind in ("usage", "pool", "true_up")),
            cap_cents=cents["cap"],
            minimum_cents=cents["minimum"],
            funded_cents=funded[about],
            periods=periods[about],
        )
        for about, cents in kinds.items()
    }


def terms_in(session: TenantSession, period: Period) -> dict[str, Terms]:
    """The terms of every agreement in a fiscal year, by its key, as each stood last in it."""
    rows = session.execute(
        _TERMS,
        {
            "tenant": scope_of(session).tenant_id,
            "first_day": period.start_on,
            "end_day": period.end_on,
        },
    )
    return {row.key: Terms.of(row.terms) for row in rows}


def carried(session: TenantSession, period: Period) -> list[tuple[Payer, Line]]:
    """The lines that true-ups of earlier years have carried forward to the bills of a month."""
    rows = session.execute(
        text(
            "WITH latest AS (SELECT DISTINCT ON (subject, key, fiscal_year) * FROM true_ups"
            "  WHERE tenant_id = :tenant ORDER BY subject, key, fiscal_year, number DESC)"
            " SELECT t.subject, t.key, t.name, t.fiscal_year, t.basis, p.* FROM latest t"
            " JOIN true_up_shares p ON p.tenant_id = t.tenant_id AND p.true_up_id = t.id"
            " WHERE t.tenant_id = :tenant AND p.carried_to = :period AND p.due_cents <> 0"
            " ORDER BY t.subject, t.key, t.fiscal_year, p.payer_kind, p.payer_key, p.payer_id"
        ),
        {"tenant": scope_of(session).tenant_id, "period": period.label},
    )
    found = []
    for row in rows:
        about = Subject(row.subject, row.key, row.name, row.basis.get("source", ""))
        part = Part(row.opening_cents, row.billed_cents, row.owed_cents)
        line = line_of(
            about, row.fiscal_year, period.label, part, row.agreement_key, "carry_forward"
        )
        if row.further:
            net = part.due_cents + sum(step["cents"] for step in row.further)
            basis = line.basis | {"due_cents": part.due_cents, "further": row.further}
            line = replace(line, basis=basis, exact_amount=from_cents(net))
        if line.amount_cents:
            found.append((Payer(row.payer_id, row.payer_kind, row.payer_key), line))
    return found


def carried_unbilled(session: TenantSession, periods: Sequence[str]) -> dict[str, int]:
    """By how much carried balances differ from what stands on the bills of some periods, in cents.

    Every payer's and year's difference counts, whichever way it goes; drafts count as billed. One
    statement.
    """
    rows = session.execute(
        _UNBILLED, {"tenant": scope_of(session).tenant_id, "periods": list(periods)}
    )
    return {row.period_key: row.cents for row in rows}


def line_of(
    of: Subject, year: int, service_period: str, part: Part, agreement_key: str, kind: str
) -> Line:
    basis: dict[str, Any] = {
        of.subject: of.key,
        f"{of.subject}_name": of.name,
        "opening_cents": part.opening_cents,
        "billed_cents": part.billed_cents,
        "owed_cents": part.owed_cents,
        "source": of.source,
    }
    if kind == "true_up":
        basis["fiscal_year"] = year
    else:
        basis["from_fiscal_year"] = year
    words = "true-up of" if kind == "true_up" else "carried forward from"
    return Line(
        position=0,
        kind=kind,
        service_period=service_period,
        line_key=f"{agreement_key}|{kind}|{of.subject}|{of.key}|{year}",
        label=f"{of.name}: {words} fiscal year {year}",
        agreement_key=agreement_key,
        basis=basis,
        quantity=Decimal(1),
        price=None,
        exact_amount=from_cents(part.due_cents),
        item_count=0,
    )


def openings_of(session: TenantSession, period: Period, year: int) -> Sequence[Row[Any]]:
    """What each payer brings into a fiscal year, over-recovered above zero: one statement."""
    months = [month.label for month in period.months()]
    return session.execute(
        _OPENINGS, {"tenant": scope_of(session).tenant_id, "year": year, "months": months}
    ).all()


def unsettled_again(session: TenantSession, year: int) -> dict[tuple[str, str], str]:
    """The pools and services of a year that were settled on another opening than they have now.

    Maps ("pool" or "card", key) to how they were settled. An earlier year was settled again, or a
    statement that settled it was made void, since. Two statements.
    """
    then: defaultdict[tuple[str, str], dict[Payer, int]] = defaultdict(dict)
    now: defaultdict[tuple[str, str], dict[Payer, int]] = defaultdict(dict)
    how: dict[tuple[str, str], str] = {}
    rows = session.execute(_OPENED, {"tenant": scope_of(session).tenant_id, "year": year})
    for row in rows:
        how[row.subject, row.key] = row.treatment
        if row.opening_cents:
            payer = Payer(row.payer_id, row.payer_kind, row.payer_key)
            then[row.subject, row.key][payer] = row.opening_cents
    if not how:
        return {}
    for row in openings_of(session, year_of(session, year), year):
        payer = Payer(row.payer_id, row.payer_kind, row.payer_key)
        now[row.subject, row.key][payer] = row.cents
    return {about: said for about, said in how.items() if then[about] != now[about]}


def settled_after(session: TenantSession, year: int) -> list[int]:
    """The later fiscal years that were settled in part at least, the earliest first."""
    rows = session.execute(_AFTER, {"tenant": scope_of(session).tenant_id, "year": year})
    return [row.fiscal_year for row in rows]


def sharing(session: TenantSession, period: Period) -> dict[tuple[str, Payer], str]:
    """By which agreement a payer shares a pool in a fiscal year; a payer without a key stands for
    all of its kind.
    """
    rows = session.execute(
        _SHARING,
        {
            "tenant": scope_of(session).tenant_id,
            "first_day": period.start_on,
            "end_day": period.end_on,
        },
    )
    return {
        (row.pool_key, Payer(row.payer_id, row.payer_kind, row.payer_key)): row.key for row in rows
    }


def agreed(agreements: Mapping[tuple[str, Payer], str], key: str, payer: Payer) -> str | None:
    """The agreement by which a payer shares a pool; None when there is none."""
    everybody = Payer(payer.id, payer.kind, None)
    return agreements.get((key, payer)) or agreements.get((key, everybody))


@dataclass(frozen=True, slots=True)
class Agreed:
    """What an agreement says of a year's balance: of which pool and card, with whom, and how."""

    key: str
    pool_key: str | None
    card_key: str | None
    payer: Payer
    year_end: str

    def about(self, subject: str, key: str) -> bool:
        """Whether a pool or a card is shared or billed by it."""
        return key == (self.pool_key if subject == POOL else self.card_key)


def agreed_ends(session: TenantSession, period: Period) -> list[Agreed]:
    """What agreements say of the balance of a fiscal year, as each stood last in it."""
    rows = session.execute(
        _AGREED,
        {
            "tenant": scope_of(session).tenant_id,
            "first_day": period.start_on,
            "end_day": period.end_on,
        },
    )
    return [
        Agreed(
            row.key,
            row.pool_key,
            row.rate_card_key,
            Payer(row.payer_id, row.payer_kind, row.payer_key),
            row.year_end,
        )
        for row in rows
    ]


def payer_of(target: str, my_id: UUID, slugs: Mapping[str, UUID]) -> Payer | None:
    """The payer that a pool names as text; None for a partner that is not there."""
    kind, found, key = target.partition(":")
    if found:
        return Payer(my_id, kind, key)
    return Payer(slugs[target]) if target in slugs else None


# --- what a service cost --------------------------------------------------------------------------


def enter_cost(
    session: TenantSession,
    card_key: str,
    year: int,
    *,
    allowable_cents: int,
    non_cash_cents: int,
    source: str,
    now: datetime,
) -> None:
    """Record what a billed service cost in a fiscal year; entered again, the last figure counts.

    :raises InvalidInput: naming the field that is not allowed.
    """
    scope = scope_of(session)
    said = " ".join(source.split())
    if not 0 <= allowable_cents <= MOST_CENTS:
        raise InvalidInput("A cost is zero or more.", field="allowable")
    if not 0 <= non_cash_cents <= allowable_cents:
        raise InvalidInput("What needs no cash is a part of the cost.", field="non_cash")
    if not said:
        raise InvalidInput("Say where the figure comes from.", field="source")
    known = session.execute(
        select(Rate.card_key)
        .where(Rate.tenant_id == scope.tenant_id, Rate.card_key == card_key)
        .limit(1)
    ).scalar_one_or_none()
    if known is None:
        raise InvalidInput(f"There is no rate card {card_key}.", field="card")
    values = {
        "allowable_cents": allowable_cents,
        "non_cash_cents": non_cash_cents,
        "source": said,
    }
    session.execute(
        insert(ServiceCost)
        .values(
            tenant_id=scope.tenant_id, id=new_id(), card_key=card_key, fiscal_year=year, **values
        )
        .on_conflict_do_update(index_elements=["tenant_id", "card_key", "fiscal_year"], set_=values)
    )
    mark_changed(session)
    record(
        session,
        now=now,
        action="service_cost:enter",
        subject_kind="rate_card",
        subject_id=scope.tenant_id,
        detail={"card": card_key, "fiscal_year": year, "allowable_cents": allowable_cents},
    )


# --- the year as it stands ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class YearRow:
    """A pool or a billed service in a fiscal year as it stands now, in cents.

    `owed_cents` is the payers' part of the actual cost, of the budget while there is no actual, or
    None when nobody has entered what a service costs.
    """

    subject: str
    key: str
    name: str
    opening_cents: int
    billed_cents: int
    owed_cents: int | None
    actual: bool
    cash_expense_cents: int
    treatment: str | None
    """How its last true-up was settled; None when it has none."""
    settled_at: datetime | None
    again_for: int | None = None
    """The earlier year whose settling again made this one be settled again."""
    stale: bool = False
    """Whether it was settled on another opening than it has now."""

    @property
    def closing_cents(self) -> int | None:
        """Over-recovered above zero."""
        if self.owed_cents is None:
            return None
        return Roll(self.opening_cents, self.billed_cents, self.owed_cents).closing_cents

    @property
    def recovery_percent(self) -> Decimal | None:
        """Billed for each hundred owed."""
        if self.owed_cents is None:
            return None
        return Roll(self.opening_cents, self.billed_cents, self.owed_cents).recovery_percent


_LATEST = text("""
SELECT DISTINCT ON (subject, key) subject, key, treatment, run_at,
    (basis->>'again_for')::int AS again_for
FROM true_ups
WHERE tenant_id = :tenant AND fiscal_year = :year ORDER BY subject, key, number DESC
""")

_YEARS = text("""
SELECT fiscal_year FROM cost_pools WHERE tenant_id = :tenant
UNION SELECT fiscal_year FROM service_costs WHERE tenant_id = :tenant
UNION SELECT fiscal_year FROM true_ups WHERE tenant_id = :tenant
ORDER BY 1 DESC LIMIT 20
""")


def years(session: TenantSession) -> list[int]:
    """The fiscal years that have pools, costs or true-ups, the latest first."""
    rows = session.execute(_YEARS, {"tenant": scope_of(session).tenant_id})
    return [row.fiscal_year for row in rows]


def year_rows(session: TenantSession, year: int) -> list[YearRow]:
    """Every pool and billed service of a fiscal year as it stands now."""
    tenant_id = scope_of(session).tenant_id
    me = session.execute(ME, {"tenant": tenant_id}).one()
    billed: defaultdict[tuple[str, str], int] = defaultdict(int)
    period = year_period(year, me.fiscal_year_starts_in)
    for row in billed_in_year(session, period, year):
        billed[row.subject, row.key] += row.cents
    openings: defaultdict[tuple[str, str], int] = defaultdict(int)
    for row in openings_of(session, period, year):
        openings[row.subject, row.key] += row.cents
    latest = {
        (row.subject, row.key): row
        for row in session.execute(_LATEST, {"tenant": tenant_id, "year": year})
    }
    found: dict[tuple[str, str], tuple[str, int | None, bool, int]] = {}
    agreements = sharing(session, period)
    slugs: dict[str, UUID] = {row.slug: row.id for row in session.execute(SLUGS)}
    pools = read_year(session, year)
    for key, pool in pools.pools.items():
        owed = None
        with suppress(DomainError):
            shares, _ = pools.actual_shares(key)
            payers = {each: payer_of(each, me.id, slugs) for each in shares if each != me.slug}
            owed = sum(
                shares[target]
                for target, payer in payers.items()
                if payer is not None and agreed(agreements, key, payer) is not None
            )
        if not owed and (POOL, key) not in billed:
            continue
        found[POOL, key] = (pool.name, owed, pool.actual_cents is not None, 0)
    costs = session.execute(
        select(ServiceCost).where(
            ServiceCost.tenant_id == tenant_id, ServiceCost.fiscal_year == year
        )
    ).scalars()
    for cost in costs:
        cash = cost.allowable_cents - cost.non_cash_cents
        found[CARD, cost.card_key] = (cost.card_key, cost.allowable_cents, True, cash)
    stale = unsettled_again(session, year)
    rows = []
    for subject, key in sorted(found.keys() | billed.keys() | openings.keys(), reverse=True):
        name, owed, actual, cash = found.get((subject, key), (key, None, False, 0))
        settled = latest.get((subject, key))
        rows.append(
            YearRow(
                subject,
                key,
                name,
                openings[subject, key],
                billed[subject, key],
                owed,
                actual,
                cash,
                None if settled is None else settled.treatment,
                None if settled is None else settled.run_at,
                None if settled is None else settled.again_for,
                (subject, key) in stale,
            )
        )
    return rows


def working_capital(rows: Iterable[YearRow]) -> WorkingCapital:
    """The 60-day test of the billed services of a year: their balance beside their cash expense."""
    cards = [row for row in rows if row.subject == CARD and row.closing_cents is not None]
    return sixty_day_test(
        sum(row.closing_cents or 0 for row in cards), sum(row.cash_expense_cents for row in cards)
    )


@dataclass(frozen=True, slots=True)
class ShareRow:
    """One payer's part of a true-up, in cents, and where it went."""

    payer: Payer
    opening_cents: int
    billed_cents: int
    owed_cents: int
    due_cents: int
    to_pay_cents: int
    """What is due after the terms of the agreement; the same for what is kept."""
    carried_to: str | None
    statement_public_id: str | None


_SHARES = text(f"""
SELECT p.payer_id, p.payer_kind, p.payer_key, p.opening_cents, p.billed_cents, p.owed_cents,
    p.due_cents, p.due_cents + coalesce((
        SELECT sum((step->>'cents')::bigint) FROM jsonb_array_elements(p.further) step), 0)::bigint
        AS to_pay_cents,
    p.carried_to, s.public_id
FROM true_up_shares p
LEFT JOIN statements s ON s.tenant_id = p.tenant_id AND s.id = p.statement_id AND NOT {_VOID}
WHERE p.tenant_id = :tenant AND p.true_up_id = (
    SELECT id FROM true_ups WHERE tenant_id = :tenant AND fiscal_year = :year
        AND subject = :subject AND key = :key ORDER BY number DESC LIMIT 1)
ORDER BY p.payer_kind, p.payer_key NULLS FIRST, p.payer_id
""")


def share_rows(session: TenantSession, year: int, subject: str, key: str) -> list[ShareRow]:
    """What the last true-up of a pool or service came to for each payer; empty without one."""
    rows = session.execute(
        _SHARES,
        {"tenant": scope_of(session).tenant_id, "year": year, "subject": subject, "key": key},
    )
    return [ShareRow(Payer(*row[:3]), *row[3:]) for row in rows]
