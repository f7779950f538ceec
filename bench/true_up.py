"""A fiscal year's true-up over 1,900,000 contacts, beside plain SQL that only adds the year up.

The year is billed first, month by month, and is not measured. Then, measured: every month is rated
again in full at a new cut-off and compared with what was issued, a little late work among it; the
year's contacts are counted as the base of a pool shared by a partner and forty bureaus; pool and
rate card are settled; all drafts are reviewed, issued and posted. The plain SQL sums the charges
and counts the contacts of the year by payer, once each. `REGIONAL311_BENCH_YEAR` sets how many
contacts there are.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text

from bench import Figure, Site, peak_memory_mb
from regional311.allocation.models import AllocationBase
from regional311.allocation.snapshots import (
    BaseSaid,
    ReadingsSaid,
    count_readings,
    save_base,
    take_snapshot,
)
from regional311.calendars import Period
from regional311.chargeback import billing
from regional311.chargeback.rating import run_rating
from regional311.chargeback.rerating import draft_corrections
from regional311.chargeback.true_up import enter_cost, year_rows
from regional311.chargeback.year_end import settle_year
from regional311.database.ids import new_id
from regional311.database.session import Scope, TenantSession, mark_changed, session_scope
from regional311.referral.snapshot import published

CONTACTS = int(os.environ.get("REGIONAL311_BENCH_YEAR", "1900000"))
BUREAUS, SERVICES, LATE = 40, 60, 50
CITY, COUNTY, REGION = "city-of-portland", "multnomah-county", "region"
YEAR = Period(date(2025, 7, 1), date(2026, 7, 1))
ISSUED = datetime(2026, 7, 5, 17, tzinfo=UTC)

AGREE = text("""
INSERT INTO agreements (tenant_id, id, key, version, name, provider_id, payer_id, payer_kind,
    activities, payer_rule, rate_card_key, pool_key, valid, terms)
VALUES (:region, uuidv7(), :key, 1, :key, :city, :payer, :kind,
    CAST(:activities AS text[]), 'service_owner', 'bench', 'bench', '[2025-07-01,)',
    '{"due_days": 30, "number_prefix": "BENCH"}')
""")

RATES = text("""
INSERT INTO rates (tenant_id, id, key, card_key, activity, channel, service_key, hours, unit,
    model, surcharges, phases, amount, valid, recorded)
SELECT :city, uuidv7(), concat_ws('-', 'bench', service, hours), 'bench', 'contact_handled', NULL,
    'service-' || service, hours, 'each', 'unit', '[]', '[]', 4.905 + service * 0.01,
    '[2025-07-01,)', tstzrange(NULL, NULL)
FROM generate_series(1, :services) AS service, unnest(ARRAY['business', 'after']) AS hours
""")

POOL = text("""
INSERT INTO cost_pools (tenant_id, id, key, fiscal_year, number, name, yearly_cents, source,
    sources, revenues, non_allocable, method, step_order, base_key)
VALUES (:city, uuidv7(), 'bench', 2026, 1, 'Bench', 600000000, 'Bench', '[]', '[]', '[]',
    'step_down', 0, 'bench')
""")

ACTUAL = text("""
INSERT INTO cost_pools (tenant_id, id, key, fiscal_year, number, name, yearly_cents, source,
    sources, revenues, non_allocable, method, step_order, base_key, actual_cents, actual_source)
SELECT tenant_id, uuidv7(), key, fiscal_year, 2, name, yearly_cents, source,
    sources, revenues, non_allocable, method, step_order, base_key, 618000001, 'Bench'
FROM cost_pools WHERE tenant_id = :city AND key = 'bench' AND fiscal_year = 2026
""")

FILL = text("""
INSERT INTO usage_events (tenant_id, id, source_key, content_digest, activity, channel, language,
    after_hours, service_owner_id, service_key, bureau_key, contact_id, quantity, handle_seconds,
    occurred_at, received_at, booked_on)
SELECT :city, uuidv7(), 'bench:' || :name || ':' || lpad(number::text, 9, '0'), '',
    'contact_handled',
    (ARRAY['phone', 'web', 'chat', 'walk_in'])[1 + number % 4],
    (ARRAY['en', 'en', 'es'])[1 + number % 3], number % 5 = 0,
    CASE WHEN number % 3 = 0 THEN CAST(:county AS uuid) ELSE CAST(:city AS uuid) END,
    'service-' || 1 + number * 7919 % :services,
    CASE WHEN number % 3 = 0 THEN NULL ELSE 'bureau-' || 1 + number * 31 % :bureaus END,
    uuidv7(), 1, 60 + number % 600, at, coalesce(:received, at), at::date
FROM (
    SELECT number::bigint AS number,
        CAST(:since AS timestamptz) + number * (interval '364 days' / :many) AS at
    FROM generate_series(1, :many) AS number
) made
""")

PLAIN_COUNT = text("""
SELECT service_owner_id, bureau_key, count(DISTINCT contact_id) FROM usage_events
WHERE tenant_id = :city AND occurred_at >= :since AND occurred_at < :until GROUP BY 1, 2
""")

PLAIN_SUM = text("""
SELECT r.period_key, c.payer_id, c.line_key, sum(c.amount)
FROM charges c JOIN rating_runs r ON r.tenant_id = c.tenant_id AND r.id = c.run_id
WHERE c.tenant_id = :city AND c.state = 'rated' GROUP BY 1, 2, 3
""")


def run(site: Site) -> list[Figure]:
    """Bill a year, then settle it."""
    ids = published(site.engine).ids
    city = Books(site, ids[CITY])
    city.prepare(ids)
    begun = time.perf_counter()
    for month in YEAR.months():
        city.bill(month)
    billed = time.perf_counter() - begun
    city.fill("late", LATE, received=ISSUED + timedelta(days=10))
    for table in ("usage_events", "charges", "statement_items", "statement_lines"):
        with site.owner() as connection:
            connection.execute(text(f"VACUUM ANALYZE {table}"))
    plain = timed(city.plain)
    before = peak_memory_mb()
    steps = {
        "count the year's contacts": timed(city.count),
        "rate twelve months again and draft": timed(city.correct),
        "review and issue corrections": timed(city.issue),
        "settle the year": timed(city.settle),
        "review and issue true-ups": timed(city.issue),
    }
    memory = peak_memory_mb() - before
    city.check()
    whole = sum(steps.values())
    return [
        Figure(f"billing twelve months of {CONTACTS} contacts (not measured)", billed, "s"),
        Figure("plain SQL: adding the year up once", plain, "s"),
        *(Figure(name, seconds, "s") for name, seconds in steps.items()),
        Figure(f"true-up of a year of {CONTACTS} contacts", whole, "s", at_most=120),
        Figure("true-up to plain SQL", whole / plain, ""),
        Figure("memory that it added", memory, "MB", at_most=200),
    ]


def timed(work: Callable[[], object]) -> float:
    """How long it takes, in seconds."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


class Books:
    """The City's billing, by two people."""

    def __init__(self, site: Site, tenant_id: UUID) -> None:
        self.site, self.tenant_id = site, tenant_id
        self.prepares, self.approves = Scope(tenant_id, new_id()), Scope(tenant_id, new_id())
        self.now = ISSUED + timedelta(days=30)
        self.parameters: dict[str, Any] = {}

    def session(self, scope: Scope | None = None) -> Any:
        return session_scope(self.site.engine, scope or self.prepares)

    def prepare(self, ids: Any) -> None:
        since, until = YEAR.bounds("America/Los_Angeles")
        self.parameters = {
            "region": ids[REGION],
            "city": ids[CITY],
            "county": ids[COUNTY],
            "services": SERVICES,
            "bureaus": BUREAUS,
            "since": since,
            "until": until,
        }
        with session_scope(self.site.engine, Scope(ids[REGION])) as session:
            for key, payer, kind, activities in (
                ("bench-county", COUNTY, "partner", ["contact_handled"]),
                ("bench-bureaus", CITY, "bureau", []),
            ):
                said = {"key": key, "payer": ids[payer], "kind": kind, "activities": activities}
                session.execute(AGREE, self.parameters | said)
            mark_changed(session)
        targets = [COUNTY, CITY, *(f"bureau:bureau-{n}" for n in range(1, BUREAUS + 1))]
        with self.session() as session:
            session.execute(RATES, self.parameters)
            session.execute(POOL, self.parameters)
            begun = datetime(2025, 7, 2, 17, tzinfo=UTC)
            said = BaseSaid("Bench", "contact_count", counts="all")
            save_base(session, "bench", said, now=begun)
            ones = ReadingsSaid(date(2025, 6, 30), "Budget", dict.fromkeys(targets, "1"))
            take_snapshot(session, "bench", ones, now=begun)
            mark_changed(session)
        self.fill("year", CONTACTS)

    def fill(self, name: str, many: int, received: datetime | None = None) -> None:
        with self.session() as session:
            said = {"name": name, "many": many, "received": received}
            session.execute(FILL, self.parameters | said)
            mark_changed(session)

    def bill(self, month: Period) -> None:
        with self.session() as session:
            made = run_rating(session, period=month, now=ISSUED)
            billing.draft_statements(session, made.id, now=ISSUED)
        self.issue()

    def issue(self) -> None:
        query = text(
            "SELECT s.id FROM statements s CROSS JOIN LATERAL (SELECT state FROM statement_events"
            " WHERE tenant_id = s.tenant_id AND statement_id = s.id ORDER BY position DESC LIMIT 1"
            ") e WHERE s.tenant_id = :city AND s.side = 'issued' AND e.state = 'draft' ORDER BY 1"
        )
        with self.session() as session:
            drafts = list(session.execute(query, self.parameters).scalars())
            for each in drafts:
                billing.submit(session, each, now=self.now)
        with self.session(self.approves) as session:
            for each in drafts:
                billing.approve(session, each, now=self.now)
        for each in drafts:
            with self.session() as session:
                billing.issue(session, each, now=self.now)

    def plain(self) -> None:
        with self.session() as session:
            for query in (PLAIN_COUNT, PLAIN_SUM):
                session.execute(query, self.parameters).all()

    def count(self) -> None:
        with self.session() as session:
            base = self._base(session)
            readings = count_readings(session, base, YEAR)
            counted = ReadingsSaid(date(2025, 7, 1), "Counted", readings)
            take_snapshot(session, "bench", counted, now=self.now)
        # a run reads what was stored before it
        self.now += timedelta(hours=1)

    def _base(self, session: TenantSession) -> AllocationBase:
        return session.query(AllocationBase).filter_by(tenant_id=self.tenant_id, key="bench").one()

    def correct(self) -> None:
        for month in YEAR.months():
            with self.session() as session:
                draft_corrections(session, month, now=self.now)

    def settle(self) -> None:
        with self.session() as session:
            session.execute(ACTUAL, self.parameters)
            enter_cost(
                session,
                "bench",
                2026,
                allowable_cents=300_000_000,
                non_cash_cents=0,
                source="Bench",
                now=self.now,
            )
            choices = {("pool", "bench"): "settle", ("card", "bench"): "settle"}
            settle_year(session, 2026, choices, now=self.now)

    def check(self) -> None:
        """Refuse to report a true-up that does not settle to the cent."""
        with self.session() as session:
            rows = [row for row in year_rows(session, 2026) if row.key == "bench"]
        assert {row.subject for row in rows} == {"pool", "card"}
        assert all(row.closing_cents == 0 for row in rows), rows
