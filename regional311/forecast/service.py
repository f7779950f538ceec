"""What-if: a period billed by other rules, beside what was billed; no row of truth is changed.

The changes are made for real, the period is rated and its lines reckoned by the same code as every
bill, and then all of it is taken back: everything happens behind a savepoint that is rolled back
whatever comes. What remains is the comparison, which can be saved under a name and shared.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import text, update

from regional311.audit.service import record
from regional311.calendars import Period
from regional311.chargeback import billing
from regional311.chargeback.agreement_terms import problems
from regional311.chargeback.rating import run_rating
from regional311.chargeback.statement import Line, Payer
from regional311.database.ids import new_id, public_id
from regional311.database.rows import put
from regional311.database.session import TenantSession, acting_for, mark_changed, scope_of
from regional311.errors import Conflict, InvalidInput, NotFound
from regional311.forecast.budgets import year_of
from regional311.forecast.changes import BadChange, Changes
from regional311.forecast.models import Scenario
from regional311.forecast.queries import own_payers
from regional311.metering.models import UsageEvent

MOST_MONTHS = 12
MOST_ROWS = 5000
"""How many lines a saved comparison keeps; of more, the smallest differences are taken together."""
MICRO = Decimal("0.000001")


class PeriodTooLong(InvalidInput):
    """A scenario is tried out on whole months, at most twelve."""


class AlreadyShared(Conflict):
    """The partner has this scenario already."""


@dataclass(frozen=True, slots=True)
class Row:
    """A line as it was billed, or would be as things stand, and as it would be otherwise."""

    payer: str
    payer_kind: str
    payer_key: str | None
    payer_name: str
    agreement_key: str
    line_key: str
    kind: str
    label: str
    before_cents: int
    after_cents: int

    @property
    def difference_cents(self) -> int:
        """More, or less when below zero."""
        return self.after_cents - self.before_cents


@dataclass(frozen=True, slots=True)
class Comparison:
    """A period side by side: `basis` says whether *before* was billed or stands to be billed."""

    period_key: str
    basis: str
    rows: tuple[Row, ...]

    @property
    def before_cents(self) -> int:
        """All lines as they were, or stand."""
        return sum(row.before_cents for row in self.rows)

    @property
    def after_cents(self) -> int:
        """All lines as they would be."""
        return sum(row.after_cents for row in self.rows)

    def by_payer(self) -> list[Row]:
        """One row a payer, by name."""
        sums: dict[tuple[str, str, str | None], list[Row]] = defaultdict(list)
        for row in self.rows:
            sums[row.payer_name, row.payer, row.payer_key].append(row)
        return [
            Row(
                payer=rows[0].payer,
                payer_kind=rows[0].payer_kind,
                payer_key=rows[0].payer_key,
                payer_name=rows[0].payer_name,
                agreement_key="",
                line_key="",
                kind="",
                label=rows[0].payer_name,
                before_cents=sum(row.before_cents for row in rows),
                after_cents=sum(row.after_cents for row in rows),
            )
            for _, rows in sorted(sums.items(), key=lambda item: (item[0][0], item[0][2] or ""))
        ]

    def as_json(self) -> dict[str, Any]:
        """The same as plain data."""
        names = Row.__dataclass_fields__
        return {
            "period": self.period_key,
            "basis": self.basis,
            "rows": [{name: getattr(row, name) for name in names} for row in self.rows],
        }

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> Comparison:
        """Read what `as_json` wrote."""
        return cls(kept["period"], kept["basis"], tuple(Row(**row) for row in kept["rows"]))


_Key = tuple[Payer, str]


class _Sums:
    """Lines by payer and line key, before and after."""

    def __init__(self) -> None:
        self.cents: defaultdict[_Key, list[int]] = defaultdict(lambda: [0, 0])
        self.about: dict[_Key, tuple[str, str, str]] = {}

    def add(
        self, payer: Payer, line_key: str, about: tuple[str, str, str], place: int, cents: int
    ) -> None:
        self.cents[payer, line_key][place] += cents
        self.about.setdefault((payer, line_key), about)

    def add_lines(self, found: Mapping[Payer, Iterable[Line]], place: int) -> None:
        for payer, lines in found.items():
            for line in lines:
                about = (line.agreement_key, line.kind, line.label)
                self.add(payer, line.line_key, about, place, line.amount_cents)


_BILLED = text("""
SELECT s.counterparty_id, s.payer_kind, s.payer_key, l.line_key, l.agreement_key,
    coalesce(l.basis->'corrects'->>'kind', l.kind) AS kind, l.label, l.amount_cents
FROM statements s
JOIN statement_lines l ON l.tenant_id = :tenant AND l.statement_id = s.id
WHERE s.tenant_id = :tenant AND s.side = 'issued' AND s.period_key = :period
    AND s.kind IN ('bill', 'correction')
    AND EXISTS (SELECT FROM statement_events e WHERE e.tenant_id = :tenant
        AND e.statement_id = s.id AND e.state = 'issued')
ORDER BY s.id, l.position
""")

_NAMES = text("SELECT id, slug, short_name FROM tenants WHERE id = tenant_id")

_EVENT_COLUMNS = [
    column.name
    for column in UsageEvent.__table__.columns
    if column.name not in ("tenant_id", "id", "source_key", "quantity", "occurred_at", "booked_on")
]

# One more piece of work for every so many of the same kind, so that the mix stays as it was.
_VOLUME = text(f"""
INSERT INTO usage_events (tenant_id, id, source_key, quantity, occurred_at, booked_on,
    {", ".join(_EVENT_COLUMNS)})
SELECT :tenant, uuidv7(), 'what-if:' || n || ':' || id, quantity * CAST(:sign AS integer),
    occurred_at, booked_on, {", ".join(_EVENT_COLUMNS)}
FROM (
    SELECT e.*, row_number() OVER (ORDER BY activity, channel, service_owner_id, service_key,
        after_hours, language, occurred_at, id) AS place
    FROM usage_events e
    WHERE tenant_id = :tenant AND occurred_at >= :first AND occurred_at < :after
        AND (CAST(:activity AS text) IS NULL OR activity = :activity)
) placed
CROSS JOIN LATERAL generate_series(1,
    (round(place * CAST(:part AS numeric)) - round((place - 1) * CAST(:part AS numeric)))::integer
) AS n
""")

_WORK_OF = text(f"""
INSERT INTO usage_events (tenant_id, id, source_key, quantity, occurred_at, booked_on,
    {", ".join(_EVENT_COLUMNS)})
SELECT :tenant, uuidv7(), 'what-if:' || id, quantity,
    least((occurred_at AT TIME ZONE :zone) + CAST(:shift AS interval),
        CAST(:last AS timestamp)) AT TIME ZONE :zone,
    booked_on, {", ".join(_EVENT_COLUMNS)}
FROM usage_events
WHERE tenant_id = :tenant AND occurred_at >= :first AND occurred_at < :after
""")


def try_out(
    session: TenantSession, period: Period, changes: Changes, *, now: datetime
) -> Comparison:
    """Bill a period of this partner with some changes, beside what was billed; change no row.

    Months that were not billed are compared with what they would be billed as things stand. With
    `changes.work_of` the work of that month stands in for the period's own, on both sides.

    :raises PeriodTooLong: when the period is not one to twelve whole months.
    :raises BadChange: when something is changed that is not there.
    :raises DomainError: whatever a bill by these rules would be refused for.
    """
    months = _months(period)
    sums = _Sums()
    bases = set()
    savepoint = session.begin_nested()
    try:
        if changes.work_of is not None:
            _bring_work(session, Period.month(changes.work_of), months)
        unbilled = []
        for month in months:
            billed = None if changes.work_of is not None else _billed(session, month)
            if billed:
                bases.add("billed")
                for row in billed:
                    payer = Payer(row.counterparty_id, row.payer_kind, row.payer_key)
                    about = (row.agreement_key, row.kind, row.label)
                    sums.add(payer, row.line_key, about, 0, row.amount_cents)
            else:
                bases.add("as_things_stand")
                unbilled.append(month)
        for month in unbilled:
            sums.add_lines(_fresh(session, month, now), 0)
        _apply(session, period, changes)
        for month in months:
            sums.add_lines(_fresh(session, month, now + timedelta(microseconds=1)), 1)
    finally:
        savepoint.rollback()
        session.expunge_all()
    basis = bases.pop() if len(bases) == 1 else "partly_billed"
    return Comparison(period.label, basis, tuple(_rows(session, sums)))


def _months(period: Period) -> list[Period]:
    if period.start_on.day != 1 or period.end_on.day != 1:
        raise PeriodTooLong("A scenario is tried out on whole months.", field="period")
    months = list(period.months())
    if len(months) > MOST_MONTHS:
        raise PeriodTooLong("A scenario is tried out on at most twelve months.", field="period")
    return months


def _billed(session: TenantSession, month: Period) -> list[Any]:
    return list(
        session.execute(
            _BILLED, {"tenant": scope_of(session).tenant_id, "period": month.label}
        ).all()
    )


def _fresh(
    session: TenantSession, month: Period, stored_before: datetime
) -> Mapping[Payer, list[Line]]:
    """The lines that a rating of the month would bill."""
    later = max(stored_before, _end(session, month))
    run = run_rating(session, period=month, now=later, stored_before=later)
    found: Mapping[Payer, list[Line]] = billing.fresh_lines(session, run.id)
    return found


def _end(session: TenantSession, month: Period) -> datetime:
    """The end of a month: the work of one to come is taken as done."""
    return month.bounds(_zone(session))[1]


def _rows(session: TenantSession, sums: _Sums) -> list[Row]:
    partners = {row.id: (row.slug, row.short_name) for row in session.execute(_NAMES)}
    own = {(kind, key): name for kind, key, name in own_payers(session)}
    rows = []
    for (payer, line_key), (before, after) in sums.cents.items():
        if not before and not after:
            continue
        agreement_key, kind, label = sums.about[payer, line_key]
        slug, name = partners.get(payer.id, (str(payer.id), str(payer.id)))
        rows.append(
            Row(
                payer=slug,
                payer_kind=payer.kind,
                payer_key=payer.key,
                payer_name=own.get((payer.kind, payer.key or ""), payer.key or name),
                agreement_key=agreement_key,
                line_key=line_key,
                kind=kind,
                label=label,
                before_cents=before,
                after_cents=after,
            )
        )
    rows.sort(key=lambda row: (row.payer_name, row.payer, row.agreement_key, row.line_key))
    return rows


# --- the changes ----------------------------------------------------------------------------------


def _apply(session: TenantSession, period: Period, changes: Changes) -> None:
    changes.check()
    me = scope_of(session).tenant_id
    about = {"me": me, "first": period.start_on, "after": period.end_on}
    if changes.volume_percent is not None:
        _volume(session, period, changes.volume_percent, changes.volume_activity)
    if changes.rates or changes.rates_percent is not None:
        _rates(session, about, changes)
    _pools(session, period, changes)
    if changes.payer_rules or changes.terms:
        _agreements(session, about, changes)
    mark_changed(session)


def _volume(session: TenantSession, period: Period, percent: Decimal, activity: str | None) -> None:
    first, after = period.bounds(_zone(session))
    session.execute(
        _VOLUME,
        {
            "tenant": scope_of(session).tenant_id,
            "first": first,
            "after": after,
            "activity": activity,
            "part": abs(percent) / 100,
            "sign": -1 if percent < 0 else 1,
        },
    )


def _bring_work(session: TenantSession, source: Period, months: list[Period]) -> None:
    """Let the work of one month stand in for that of others that have none of their own."""
    zone = _zone(session)
    first, after = source.bounds(zone)
    for month in months:
        if month == source:
            continue
        begins, ends = month.bounds(zone)
        own = session.execute(
            text(
                "SELECT 1 FROM usage_events WHERE tenant_id = :tenant AND occurred_at >= :first"
                " AND occurred_at < :after LIMIT 1"
            ),
            {"tenant": scope_of(session).tenant_id, "first": begins, "after": ends},
        ).one_or_none()
        if own is not None:
            raise BadChange(
                f"{month.label} has work of its own; only a period without any borrows it.",
                field="work_of",
            )
        apart = (month.start_on.year - source.start_on.year) * 12
        apart += month.start_on.month - source.start_on.month
        session.execute(
            _WORK_OF,
            {
                "tenant": scope_of(session).tenant_id,
                "zone": zone,
                "shift": f"{apart} months",
                "last": datetime.combine(month.end_on, datetime.min.time()) - timedelta(seconds=1),
                "first": first,
                "after": after,
            },
        )
    mark_changed(session)


def _rates(session: TenantSession, about: Mapping[str, Any], changes: Changes) -> None:
    rows = session.execute(
        text(
            "SELECT id, key, model, amount, steps, surcharges FROM rates WHERE tenant_id = :me"
            " AND upper_inf(recorded) AND NOT isempty(recorded)"
            " AND valid && daterange(CAST(:first AS date), CAST(:after AS date))"
        ),
        about,
    ).all()
    missing = sorted(set(changes.rates) - {row.key for row in rows})
    if missing:
        raise BadChange(
            f"There is no rate {missing[0]} in this period.", field=f"rates.{missing[0]}"
        )
    factor = 1 + (changes.rates_percent or Decimal(0)) / 100
    for row in rows:
        amount, steps, surcharges = row.amount, row.steps, row.surcharges
        if changes.rates_percent is not None and row.model != "percentage":
            amount = _scaled(amount, factor)
            steps = _scaled_steps(row.model, steps, factor)
            surcharges = [
                each | {"amount": _text(_scaled(each["amount"], factor))}
                if each.get("amount")
                else each
                for each in surcharges or []
            ]
        if row.key in changes.rates:
            if row.model in ("graduated", "volume"):
                raise BadChange(
                    f"The rate {row.key} has tiers; change it in percent.",
                    field=f"rates.{row.key}",
                )
            amount = changes.rates[row.key]
        session.execute(
            _CHANGE_RATE,
            {
                "me": about["me"],
                "id": row.id,
                "amount": amount,
                "steps": _json(steps),
                "surcharges": _json(surcharges or []),
            },
        )


_CHANGE_RATE = text(
    "UPDATE rates SET amount = :amount, steps = CAST(:steps AS jsonb),"
    " surcharges = CAST(:surcharges AS jsonb) WHERE tenant_id = :me AND id = :id"
)


def _scaled(amount: Any, factor: Decimal) -> Decimal:
    return (Decimal(str(amount)) * factor).quantize(MICRO, ROUND_HALF_UP)


def _scaled_steps(model: str, steps: Any, factor: Decimal) -> Any:
    if model not in ("graduated", "volume") or not steps:
        return steps
    return steps | {
        "tiers": [
            tier
            | {
                name: _text(_scaled(tier[name], factor))
                for name in ("price", "flat")
                if tier.get(name)
            }
            for tier in steps["tiers"]
        ]
    }


def _text(amount: Decimal) -> str:
    return f"{amount:f}"


def _json(value: Any) -> str | None:
    return None if value is None else json.dumps(value)


def _pools(session: TenantSession, period: Period, changes: Changes) -> None:
    if not (changes.pools or changes.shares or changes.method or changes.pools_percent is not None):
        return
    me = scope_of(session).tenant_id
    years = sorted({year_of(session, month.start_on).number for month in period.months()})
    rows = session.execute(
        text(
            "SELECT DISTINCT ON (key, fiscal_year) id, key FROM cost_pools"
            " WHERE tenant_id = :me AND fiscal_year = ANY(:years)"
            " ORDER BY key, fiscal_year, number DESC"
        ),
        {"me": me, "years": years},
    ).all()
    for name, wanted in (("pools", changes.pools), ("shares", changes.shares)):
        missing = sorted(set(wanted) - {row.key for row in rows})
        if missing:
            raise BadChange(
                f"There is no pool {missing[0]} in this period.", field=f"{name}.{missing[0]}"
            )
    for row in rows:
        pool_id = new_id()
        session.execute(
            _ASSUMED,
            {
                "me": me,
                "old": row.id,
                "id": pool_id,
                "cents": changes.pools.get(row.key),
                "factor": 1 + (changes.pools_percent or Decimal(0)) / 100,
                "method": changes.method,
                "fixed": row.key in changes.shares,
            },
        )
        if row.key in changes.shares:
            _share(session, pool_id, changes.shares[row.key])
        else:
            session.execute(_SAME_SHARES, {"me": me, "old": row.id, "id": pool_id})


# an assumed version is known from the beginning, so that every cut-off reads it
_ASSUMED = text("""
INSERT INTO cost_pools (tenant_id, id, key, fiscal_year, number, name, yearly_cents, source, note,
    sources, revenues, non_allocable, method, base_key, step_order, actual_cents, actual_source)
SELECT tenant_id, :id, key, fiscal_year, number + 1, name,
    round(coalesce(CAST(:cents AS bigint), yearly_cents) * CAST(:factor AS numeric)), source, note,
    sources, revenues, non_allocable, coalesce(CAST(:method AS text), method),
    CASE WHEN :fixed THEN NULL ELSE base_key END, step_order, actual_cents, actual_source
FROM cost_pools WHERE tenant_id = :me AND id = :old
""")

_SAME_SHARES = text("""
INSERT INTO pool_shares (tenant_id, id, pool_id, payer_slug, percent)
SELECT tenant_id, uuidv7(), :id, payer_slug, percent
FROM pool_shares WHERE tenant_id = :me AND pool_id = :old
""")


def _share(session: TenantSession, pool_id: UUID, parts: Mapping[str, Decimal]) -> None:
    me = scope_of(session).tenant_id
    for target, percent in parts.items():
        session.execute(
            text(
                "INSERT INTO pool_shares (tenant_id, id, pool_id, payer_slug, percent)"
                " VALUES (:me, :id, :pool, :target, :percent)"
            ),
            {"me": me, "id": new_id(), "pool": pool_id, "target": target, "percent": percent},
        )


def _agreements(session: TenantSession, about: Mapping[str, Any], changes: Changes) -> None:
    """The region owns the agreements: what is assumed of them is written in its name."""
    region_id = session.execute(
        text("SELECT id FROM tenants WHERE id = tenant_id AND kind = 'region'")
    ).scalar_one()
    wanted = set(changes.payer_rules) | set(changes.terms)
    rows = session.execute(
        text(
            "SELECT id, key, terms FROM agreements WHERE tenant_id = :region"
            " AND provider_id = :me AND key = ANY(:keys)"
            " AND valid && daterange(CAST(:first AS date), CAST(:after AS date))"
        ),
        {**about, "region": region_id, "keys": sorted(wanted)},
    ).all()
    missing = sorted(wanted - {row.key for row in rows})
    if missing:
        raise BadChange(
            f"We provide nothing by an agreement {missing[0]} in this period.",
            field=f"terms.{missing[0]}",
        )
    laid_over = {}
    for row in rows:
        terms = {**row.terms, **changes.terms.get(row.key, {})}
        wrong = [each for each in problems(terms) if each not in problems(row.terms)]
        if wrong:
            raise BadChange(f"{row.key}: {wrong[0]}.", field=f"terms.{row.key}")
        laid_over[row.id] = (_json(terms), changes.payer_rules.get(row.key))
    with acting_for(session, region_id):
        for agreement_id, (said, rule) in laid_over.items():
            session.execute(
                text(
                    "UPDATE agreements SET terms = CAST(:terms AS jsonb),"
                    " payer_rule = coalesce(CAST(:rule AS text), payer_rule)"
                    " WHERE tenant_id = :region AND id = :id"
                ),
                {"region": region_id, "id": agreement_id, "terms": said, "rule": rule},
            )
        mark_changed(session)


def _zone(session: TenantSession) -> str:
    zone: str = session.execute(
        text("SELECT zone FROM tenants WHERE tenant_id = :me AND id = :me"),
        {"me": scope_of(session).tenant_id},
    ).scalar_one()
    return zone


# --- kept and shared ------------------------------------------------------------------------------


def save(
    session: TenantSession,
    *,
    name: str,
    note: str | None,
    changes: Changes,
    comparison: Comparison,
    now: datetime,
) -> str:
    """Keep a scenario under a name and return its number; the figures stay as they came out."""
    scope = scope_of(session)
    scenario_id, number = new_id(), public_id("X")
    put(
        session,
        Scenario(
            tenant_id=scope.tenant_id,
            id=scenario_id,
            public_id=number,
            name=name,
            note=note,
            period_key=comparison.period_key,
            changes=changes.as_json(),
            result=_bounded(comparison).as_json(),
            shared_with=[],
            made_by=scope.person_id,
            made_at=now,
        ),
    )
    record(
        session,
        now=now,
        action="scenario:save",
        subject_kind="scenario",
        subject_id=scenario_id,
        detail={"period": comparison.period_key, "name": name},
    )
    return number


def _bounded(comparison: Comparison) -> Comparison:
    if len(comparison.rows) <= MOST_ROWS:
        return comparison
    ranked = sorted(comparison.rows, key=lambda row: -abs(row.difference_cents))
    kept, left = ranked[: MOST_ROWS - 500], ranked[MOST_ROWS - 500 :]
    rest = Comparison(comparison.period_key, comparison.basis, tuple(left)).by_payer()
    together = [
        Row(
            **{name: getattr(row, name) for name in Row.__dataclass_fields__}
            | {"kind": "rest", "line_key": "rest", "label": "Lines with smaller differences"}
        )
        for row in rest
    ]
    rows = sorted(
        [*kept, *together],
        key=lambda row: (row.payer_name, row.payer, row.agreement_key, row.line_key),
    )
    return Comparison(comparison.period_key, comparison.basis, tuple(rows))


def share(session: TenantSession, scenario_id: UUID, partner_id: UUID, *, now: datetime) -> None:
    """Let another partner see a scenario of ours, with its own lines and nobody else's.

    It gets a row of its own with the same id, which stays as it is.

    :raises NotFound: when this partner made no such scenario, or there is no such partner in it.
    :raises AlreadyShared: when the partner has it.
    """
    scope = scope_of(session)
    row = session.execute(
        text(
            "SELECT public_id, name, note, period_key, changes, result, shared_with FROM scenarios"
            " WHERE tenant_id = :me AND id = :id AND from_tenant_id IS NULL FOR UPDATE"
        ),
        {"me": scope.tenant_id, "id": scenario_id},
    ).one_or_none()
    slug = session.execute(
        text("SELECT slug FROM tenants WHERE tenant_id = :id AND id = :id"), {"id": partner_id}
    ).scalar_one_or_none()
    if row is None or slug is None:
        raise NotFound("There is no such scenario, or no such partner.")
    if slug in row.shared_with:
        raise AlreadyShared(f"{slug} has this scenario already.")
    whole = Comparison.of(row.result)
    theirs = Comparison(
        whole.period_key,
        whole.basis,
        tuple(each for each in whole.rows if each.payer_kind == "partner" and each.payer == slug),
    )
    if not theirs.rows:
        raise NotFound("This scenario has no line of that partner.")
    session.execute(
        update(Scenario)
        .where(Scenario.tenant_id == scope.tenant_id, Scenario.id == scenario_id)
        .values(shared_with=[*row.shared_with, slug])
        .execution_options(synchronize_session=False)
    )
    mark_changed(session)
    record(
        session,
        now=now,
        action="scenario:share",
        subject_kind="scenario",
        subject_id=scenario_id,
        detail={"with": slug},
    )
    with acting_for(session, partner_id):
        put(
            session,
            Scenario(
                tenant_id=partner_id,
                id=scenario_id,
                public_id=row.public_id,
                name=row.name,
                note=row.note,
                period_key=row.period_key,
                changes=row.changes,
                result=theirs.as_json(),
                from_tenant_id=scope.tenant_id,
                shared_with=[],
                made_at=now,
            ),
        )
        record(
            session,
            now=now,
            action="scenario:receive",
            subject_kind="scenario",
            subject_id=scenario_id,
            detail={"from": str(scope.tenant_id)},
        )
