"""What a full rating of a period gives each payer: usage, pool shares, terms, carried balances.

Nothing is written here. The same run gives the same lines as long as the same other statements of
the fiscal year are there, since caps and authorised funding count what these have billed. A period
is a month, a quarter or a fiscal year; only agreements that are billed by such periods take part,
and one that an amendment begins in is billed by the version in force at its beginning.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from typing import Any
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import Range

from regional311.allocation import service as allocation
from regional311.allocation.service import MonthShares, PoolMissing
from regional311.allocation.year import fiscal_year_of
from regional311.calendars import Period, fiscal_year, month_of_fiscal_year
from regional311.chargeback import service_levels, true_up
from regional311.chargeback.agreement_terms import Terms
from regional311.chargeback.calendar import MONTHS, period_of, periods
from regional311.chargeback.models import RatingRun
from regional311.chargeback.planning import joined_by_hash
from regional311.chargeback.statement import Line, Payer
from regional311.chargeback.waterfall import MICRO, Earlier, further_lines
from regional311.database.session import TenantSession, scope_of
from regional311.errors import InvalidInput, NotFound
from regional311.money import from_cents, to_cents


class NoBillingPeriod(InvalidInput):
    """Billed are months, quarters and fiscal years of the provider."""


@dataclass(frozen=True, slots=True)
class Party:
    """A partner, a bureau or an outside body as it is printed on a statement."""

    id: UUID
    slug: str
    name: str
    contact: Mapping[str, Any]

    def snapshot(self) -> dict[str, Any]:
        """The party as a statement keeps it."""
        return {"slug": self.slug, "name": self.name, "contact": dict(self.contact)}


@dataclass(frozen=True)
class Dealing:
    """A version of an agreement that this partner bills by."""

    key: str
    version: int
    name: str
    payer_id: UUID
    payer_kind: str
    payer_key: str | None
    pool_key: str | None
    json: dict[str, Any]
    valid: Range[date]
    in_period: bool

    @cached_property
    def terms(self) -> Terms:
        """Its terms with types."""
        return Terms.of(self.json)

    def holds_on(self, day: date) -> bool:
        """Whether it is in force on a day."""
        return day in self.valid


@dataclass(frozen=True)
class Dealings:
    """This partner, those it deals with, and its agreements as provider in a period."""

    me: Party
    starts_in: int
    zone: str
    partners: Mapping[UUID, Party]
    bureaus: Mapping[str, str]
    agreements: Mapping[str, Dealing]

    def order(self, payer: Payer) -> tuple[str, str]:
        """Where a payer stands among others: partners, outside bodies, bureaus, each by key."""
        if payer.kind == "partner":
            return "", self.partners[payer.id].slug
        return {"outside": "1", "bureau": "2"}[payer.kind], payer.key or ""

    def party(self, payer: Payer) -> Party:
        """Who a payer is, with its address."""
        if payer.kind == "partner":
            return self.partners[payer.id]
        key = payer.key or ""
        if payer.kind == "bureau":
            name = self.bureaus.get(key, key)
            return Party(payer.id, f"{self.me.slug}/{key}", name, self.me.contact)
        for each in self.agreements.values():
            outside = each.terms.outside
            if each.payer_kind == "outside" and each.payer_key == key and outside is not None:
                contact = {"address": outside.address, "email": outside.email}
                said = {name: value for name, value in contact.items() if value}
                return Party(payer.id, key, outside.name, said)
        return Party(payer.id, key, key, {})


_PARTNERS = text("""
SELECT id, slug, name, coalesce(settings->'contact', '{}'::jsonb) AS contact,
    fiscal_year_starts_in, zone
FROM tenants WHERE id = tenant_id
""")

_BUREAUS = text("SELECT key, name FROM bureaus WHERE tenant_id = :tenant")

_AGREEMENTS = text("""
SELECT DISTINCT ON (a.key) a.key, a.version, a.name, a.payer_id, a.payer_kind, a.payer_key,
    a.pool_key, a.terms, a.valid,
    a.valid && daterange(CAST(:first_day AS date), CAST(:end_day AS date)) AS in_period
FROM agreements a
JOIN tenants region ON region.tenant_id = a.tenant_id AND region.kind = 'region'
WHERE a.provider_id = :tenant
ORDER BY a.key, a.valid && daterange(CAST(:first_day AS date), CAST(:end_day AS date)) DESC,
    lower(a.valid)
""")


def read_dealings(session: TenantSession, period: Period) -> Dealings:
    """Read this partner's agreements as they are in a period, and all names. Three statements."""
    tenant_id = scope_of(session).tenant_id
    rows = session.execute(_PARTNERS).all()
    partners = {row.id: Party(row.id, row.slug, row.name, row.contact) for row in rows}
    mine = next(row for row in rows if row.id == tenant_id)
    agreements = session.execute(
        _AGREEMENTS,
        {"tenant": tenant_id, "first_day": period.start_on, "end_day": period.end_on},
    )
    bureaus = session.execute(_BUREAUS, {"tenant": tenant_id})
    return Dealings(
        me=partners[tenant_id],
        starts_in=mine.fiscal_year_starts_in,
        zone=mine.zone,
        partners=partners,
        bureaus={row.key: row.name for row in bureaus},
        agreements={row.key: Dealing(*row) for row in agreements},
    )


def billing_period(label: str) -> Period:
    """The month, quarter or fiscal year that a label names.

    :raises NoBillingPeriod: when it is none of these.

    >>> billing_period("2026-07-01..2026-09-30").start_on
    datetime.date(2026, 7, 1)
    """
    period = period_of(label)
    if period is None or every(period) is None:
        raise NoBillingPeriod(
            f"{label!r} is no month such as 2026-10, and no quarter or year such as "
            "2026-07-01..2026-09-30.",
            field="period",
        )
    return period


def every(period: Period) -> str | None:
    """What kind of period it is: month, quarter or year; None for none of these.

    >>> every(Period.of(2026, 10))
    'month'
    """
    if period.start_on.day != 1 or period.end_on.day != 1:
        return None
    months = 12 * (period.end_on.year - period.start_on.year)
    months += period.end_on.month - period.start_on.month
    return next((kind for kind, size in MONTHS.items() if size == months), None)


def fresh_lines(session: TenantSession, run_id: UUID) -> dict[Payer, list[Line]]:
    """Every line that a full rating of the run's period gives each payer, with all terms applied.

    Lines have no positions yet. Payers come in order: partners by slug, outside bodies, bureaus.

    :raises NotFound: when this partner has no such run.
    :raises PoolMissing: when an agreement shares a pool without an amount for the year.
    :raises SharesDoNotSum: when the shares of a pool do not make 100 %.
    """
    run = read_run(session, run_id)
    return lines_of(session, run, read_dealings(session, billing_period(run.period_key)))


def read_run(session: TenantSession, run_id: UUID) -> RatingRun:
    """One of this partner's rating runs.

    :raises NotFound: when this partner has no such run.
    """
    run = session.execute(
        select(RatingRun).where(
            RatingRun.tenant_id == scope_of(session).tenant_id, RatingRun.id == run_id
        )
    ).scalar_one_or_none()
    if run is None:
        raise NotFound("There is no such rating run.")
    return run


def lines_of(
    session: TenantSession,
    run: RatingRun,
    dealings: Dealings,
    *,
    billed_before: Collection[Payer] = (),
) -> dict[Payer, list[Line]]:
    """As `fresh_lines`, for a run and dealings that were read before.

    Payers in `billed_before` keep their issued bills of the period: sources have given what these
    say, and nobody else finds more than what that leaves.
    """
    period = billing_period(run.period_key)
    billed = {
        key: each
        for key, each in dealings.agreements.items()
        if each.terms.billing.every == every(period)
    }
    gross: defaultdict[Payer, defaultdict[str, list[Line]]] = defaultdict(lambda: defaultdict(list))
    for payer, line in _usage_lines(session, run, billed):
        gross[payer][line.agreement_key].append(line)
    for payer, line in pool_lines(session, run.stored_before, period, dealings, billed):
        gross[payer][line.agreement_key].append(line)
    final = _is_final(run, period, dealings.zone)
    if final:
        for payer, key in _owing_a_minimum(billed, dealings):
            gross[payer].setdefault(key, [])
    carried: defaultdict[Payer, list[Line]] = defaultdict(list)
    if period.is_month:
        for payer, line in true_up.carried(session, period):
            carried[payer].append(line)
    earlier = _Earlier.read(session, period, dealings, billed, billed_before)
    found: dict[Payer, list[Line]] = {}
    missed: dict[str, list[service_levels.Credit]] = {}
    for payer in sorted(gross.keys() | carried.keys(), key=dealings.order):
        lines = []
        for key, under in sorted(gross.get(payer, {}).items()):
            agreement = billed[key]
            if key not in missed:
                missed[key] = _missed(session, agreement, period)
            further = further_lines(
                under,
                agreement.terms,
                agreement_key=key,
                period_key=period.label,
                earlier=earlier.of(key, payer),
                missed=missed[key],
                final=final,
            )
            if payer not in billed_before:
                earlier.count(key, further)
            lines += [*under, *further]
        lines += carried.get(payer, [])
        if lines:
            found[payer] = lines
    return found


def _is_final(run: RatingRun, period: Period, zone: str) -> bool:
    """Whether a run has the whole period, and was made after its end."""
    end = period.bounds(zone)[1]
    return run.service_to >= end and run.stored_before >= end


def _owing_a_minimum(
    billed: Mapping[str, Dealing], dealings: Dealings
) -> Iterable[tuple[Payer, str]]:
    """Payers that owe a minimum whether or not there was any work."""
    for key, each in billed.items():
        if not (each.in_period and each.terms.minimum_cents is not None):
            continue
        if each.payer_kind == "partner":
            yield Payer(each.payer_id), key
        elif each.payer_key is not None:
            yield Payer(dealings.me.id, each.payer_kind, each.payer_key), key


def _missed(
    session: TenantSession, agreement: Dealing, period: Period
) -> list[service_levels.Credit]:
    if not any(target.credit_percent for target in agreement.terms.targets):
        return []
    return service_levels.credits(session, _Terms(agreement.key, agreement.json), period)


@dataclass(frozen=True, slots=True)
class _Terms:
    key: str
    terms: Mapping[str, Any]


# --- usage ----------------------------------------------------------------------------------------

# Charges with one line key and payer have one agreement and one rate; what else they have in common
# describes the line. Only the run's own time is looked at, however many years of work there are.
_GROUPS = text("""
WITH work AS MATERIALIZED (
    SELECT c.payer_id, c.payer_kind, c.payer_key, c.line_key, a.key AS agreement_key, c.rate_id,
        min(e.activity) AS activity,
        CASE WHEN min(e.channel) = max(e.channel) THEN min(e.channel) END AS channel,
        CASE WHEN bool_and(e.after_hours) = bool_or(e.after_hours)
            THEN bool_and(e.after_hours) END AS after_hours,
        count(DISTINCT coalesce(e.service_key, '')) = 1 AS one_service,
        min(e.service_key) AS service_key, min(e.service_owner_id::text)::uuid AS owner_id,
        CASE WHEN count(c.price) = count(*) AND min(c.price) = max(c.price)
            THEN min(c.price) END AS price,
        sum(c.quantity) AS quantity, sum(c.amount) AS amount,
        sum(round(c.amount, 2)) AS rounded, count(*) AS items
    FROM charges c
    JOIN usage_events e ON e.tenant_id = :tenant AND e.id = c.usage_event_id
        AND e.occurred_at >= :service_from AND e.occurred_at < :service_to
    JOIN agreements a ON a.id = c.agreement_id AND a.provider_id = :tenant
    WHERE c.tenant_id = :tenant AND c.run_id = :run AND c.state = 'rated'
    GROUP BY c.payer_id, c.payer_kind, c.payer_key, c.line_key, a.key, c.rate_id
)
SELECT w.*, owner.slug AS owner_slug, service.name AS service_name,
    r.key AS rate_key, r.card_key, r.unit, r.model, r.steps, r.surcharges, r.phases,
    r.language AS rate_language, r.amount AS base_price, lower(r.valid) AS valid_from,
    upper(r.valid) AS valid_to,
    r.source AS rate_source
FROM work w
JOIN rates r ON r.tenant_id = :tenant AND r.id = w.rate_id
LEFT JOIN tenants owner ON owner.tenant_id = w.owner_id AND owner.id = w.owner_id
LEFT JOIN services service ON service.tenant_id = w.owner_id AND service.key = w.service_key
    AND w.one_service
ORDER BY w.payer_id, w.payer_kind, w.payer_key, w.agreement_key, owner.slug NULLS FIRST,
    w.service_key NULLS FIRST, w.activity, w.channel, w.after_hours, w.line_key
""")


def _usage_lines(
    session: TenantSession, run: RatingRun, billed: Mapping[str, Dealing]
) -> list[tuple[Payer, Line]]:
    parameters = {
        "tenant": scope_of(session).tenant_id,
        "run": run.id,
        "service_from": run.service_from,
        "service_to": run.service_to,
    }
    with joined_by_hash(session):
        rows = session.execute(_GROUPS, parameters).all()
    found = []
    for row in rows:
        agreement = billed.get(row.agreement_key)
        if agreement is None:
            continue
        basis = _usage_basis(row)
        amount = row.amount.quantize(MICRO)
        line = Line(
            position=0,
            kind="usage",
            service_period=run.period_key,
            line_key=row.line_key,
            label=_usage_label(basis),
            agreement_key=row.agreement_key,
            basis=basis,
            quantity=row.quantity.quantize(MICRO),
            price=row.price,
            exact_amount=amount,
            item_count=row.items,
        )
        if agreement.terms.rounding == "item":
            basis["rounding"] = "item"
            line = replace(line, cents=to_cents(row.rounded))
        found.append((Payer(row.payer_id, row.payer_kind, row.payer_key), line))
    return found


def _usage_basis(row: Any) -> dict[str, Any]:
    service = None
    if row.one_service and row.service_key is not None:
        service = f"{row.owner_slug}/{row.service_key}"
    basis = {
        "activity": row.activity,
        "channel": row.channel,
        "hours": None if row.after_hours is None else "after" if row.after_hours else "business",
        "language": row.rate_language,
        "service": service,
        "service_name": row.service_name if row.one_service else None,
        "rate": row.rate_key,
        "card": row.card_key,
        "unit": row.unit,
        "valid_from": None if row.valid_from is None else row.valid_from.isoformat(),
        "valid_to": None if row.valid_to is None else row.valid_to.isoformat(),
        "source": row.rate_source,
    }
    if row.model != "unit":
        basis |= {"model": row.model, "steps": row.steps}
        basis["base_price"] = f"{row.base_price.normalize():f}"
        basis |= {name: rules for name in ("surcharges", "phases") if (rules := getattr(row, name))}
    elif row.price != row.base_price:
        basis["base_price"] = f"{row.base_price.normalize():f}"
    if not row.one_service:
        basis["services"] = "several"
    return basis


def _usage_label(basis: Mapping[str, Any]) -> str:
    words = [basis["activity"]]
    if basis["channel"] is not None:
        words.append(basis["channel"])
    if basis["hours"] == "after":
        words.append("after hours")
    if basis["language"] is not None:
        words.append(basis["language"])
    service = basis["service_name"] or basis["service"]
    if service is None:
        service = "several services" if "services" in basis else "no service"
    return f"{service}: {', '.join(word.replace('_', ' ') for word in words)}"


# --- pools ----------------------------------------------------------------------------------------


def pool_lines(
    session: TenantSession,
    stored_before: datetime | None,
    period: Period,
    dealings: Dealings,
    billed: Mapping[str, Dealing],
) -> list[tuple[Payer, Line]]:
    """A line for each target that pays by an agreement; what one bears is billed once.

    Pools are read as stored before an instant, or as they are now. An agreement with one bureau
    goes before one with every bureau.
    """
    sharing = sorted(
        (each for each in billed.values() if each.pool_key is not None),
        key=lambda each: (each.payer_kind == "bureau" and each.payer_key is None, each.key),
    )
    found = []
    for month in period.months():
        shares: dict[str, MonthShares] = {}
        paid: set[tuple[str, str]] = set()
        for agreement in sharing:
            pool_key = agreement.pool_key
            if pool_key is None or not agreement.holds_on(month.start_on):
                continue
            if pool_key not in shares:
                shares[pool_key] = _month_shares(session, stored_before, agreement, month, dealings)
            for target, payer in _targets(agreement, shares[pool_key], dealings):
                if shares[pool_key].cents.get(target) and (pool_key, target) not in paid:
                    paid.add((pool_key, target))
                    line = _pool_line(agreement, shares[pool_key], target, month)
                    if not period.is_month:
                        line = replace(line, line_key=f"{line.line_key}|{month.label}")
                    found.append((payer, line))
    return found


def _month_shares(
    session: TenantSession,
    stored_before: datetime | None,
    agreement: Dealing,
    month: Period,
    dealings: Dealings,
) -> MonthShares:
    year = fiscal_year_of(month.start_on, dealings.starts_in)
    try:
        return allocation.month_shares(
            session,
            agreement.pool_key or "",
            fiscal_year=year,
            month=month_of_fiscal_year(month.start_on, dealings.starts_in),
            stored_before=stored_before,
        )
    except PoolMissing as error:
        raise PoolMissing(
            f"The agreement {agreement.key} shares the pool {agreement.pool_key}: {error.message}",
            field=agreement.pool_key,
        ) from error


def _targets(
    agreement: Dealing, shares: MonthShares, dealings: Dealings
) -> Iterable[tuple[str, Payer]]:
    if agreement.payer_kind == "partner":
        yield dealings.partners[agreement.payer_id].slug, Payer(agreement.payer_id)
        return
    prefix = f"{agreement.payer_kind}:"
    for target in sorted(shares.cents):
        key = target.removeprefix(prefix)
        if target.startswith(prefix) and agreement.payer_key in (None, key):
            yield target, Payer(dealings.me.id, agreement.payer_kind, key)


def _pool_line(agreement: Dealing, shares: MonthShares, target: str, month: Period) -> Line:
    pool = shares.pool
    basis = {**shares.basis, "target": target}
    share = basis.get("shares", {}).get(target, {})
    percent = share.get("percent")
    if percent is not None:
        basis["percent"] = percent
    part = f"{percent} % of" if percent is not None else "part of"
    return Line(
        position=0,
        kind="pool",
        service_period=month.label,
        line_key=f"{agreement.key}|pool|{pool.key}",
        label=f"{pool.name}: {part} month {basis['month']} of 12",
        agreement_key=agreement.key,
        basis=basis,
        quantity=Decimal(1),
        price=None,
        exact_amount=from_cents(shares.cents[target]),
        item_count=0,
    )


# --- what other statements have counted already -------------------------------------------------

_COUNTED = text("""
SELECT s.counterparty_id AS payer_id, s.payer_kind, s.payer_key, l.agreement_key,
    CASE WHEN coalesce(l.basis->'corrects'->>'kind', l.kind) = 'funding'
        THEN l.basis->>'source_key' END AS source_key,
    sum(l.amount_cents)::bigint AS cents
FROM statements s
JOIN statement_lines l ON l.tenant_id = s.tenant_id AND l.statement_id = s.id
WHERE s.tenant_id = :tenant AND s.side = 'issued' AND s.kind IN ('bill', 'correction')
    AND s.period_key = ANY(:periods) AND l.agreement_key = ANY(:agreements)
    AND coalesce(l.basis->'corrects'->>'kind', l.kind) NOT IN ('carry_forward', 'interest')
    AND NOT EXISTS (SELECT 1 FROM statement_events v WHERE v.tenant_id = :tenant
        AND v.statement_id = s.id AND v.state = 'void')
GROUP BY 1, 2, 3, 4, 5
""")


def _counted(
    session: TenantSession, period_keys: list[str], agreements: list[str]
) -> Iterator[tuple[Payer, Any]]:
    rows = session.execute(
        _COUNTED,
        {
            "tenant": scope_of(session).tenant_id,
            "periods": period_keys,
            "agreements": agreements,
        },
    )
    for row in rows:
        yield Payer(row.payer_id, row.payer_kind, row.payer_key), row


class _Earlier:
    """What the other periods' bills and corrections of the fiscal year have counted.

    Drafts count as well, so that several open months together never pass a cap.
    """

    def __init__(self) -> None:
        self._paid: defaultdict[tuple[str, Payer], int] = defaultdict(int)
        self._funded: defaultdict[str, defaultdict[str, int]] = defaultdict(
            lambda: defaultdict(int)
        )

    @classmethod
    def read(
        cls,
        session: TenantSession,
        period: Period,
        dealings: Dealings,
        billed: Mapping[str, Dealing],
        billed_before: Collection[Payer],
    ) -> _Earlier:
        found = cls()
        bounded = [
            key
            for key, each in billed.items()
            if each.terms.not_to_exceed_cents is not None
            or any(source.authorised_cents is not None for source in each.terms.funding)
        ]
        if not bounded:
            return found
        year = fiscal_year(period.start_on, dealings.starts_in)
        labels = [each.label for kind in MONTHS for each in periods(kind, year)]
        others = [label for label in labels if label != period.label]
        for payer, row in _counted(session, others, bounded):
            found._paid[row.agreement_key, payer] += row.cents
            if row.source_key is not None:
                found._funded[row.agreement_key][row.source_key] -= row.cents
        for payer, row in _counted(session, [period.label], bounded) if billed_before else ():
            if payer in billed_before and row.source_key is not None:
                found._funded[row.agreement_key][row.source_key] -= row.cents
        return found

    def of(self, agreement_key: str, payer: Payer) -> Earlier:
        return Earlier(self._paid[agreement_key, payer], dict(self._funded[agreement_key]))

    def count(self, agreement_key: str, lines: Iterable[Line]) -> None:
        """What sources have just given: the next payer of the agreement finds less."""
        for line in lines:
            if line.kind == "funding":
                self._funded[agreement_key][line.basis["source_key"]] -= line.amount_cents
