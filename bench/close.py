"""The whole close of a month of the region, beside plain SQL that writes the same rows.

Three partners with 160,000 contacts bill each other, and one of them its forty bureaus: rate,
allocate a pool, draft, two people's review, issue, deliver, post. Plain SQL copies the charges and
the items of both sides into the same tables, under their constraints and row security; it reckons
nothing, rounds nothing, checks nothing and delivers nothing. `REGIONAL311_BENCH_CONTACTS` sets how
many contacts there are.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text

from bench import Figure, Site, peak_memory_mb
from regional311.calendars import Period
from regional311.chargeback.checks import check_region
from regional311.chargeback.month import Billed, bill_month
from regional311.database.ids import new_id
from regional311.database.session import Scope, mark_changed, session_scope
from regional311.referral.snapshot import published

CONTACTS = int(os.environ.get("REGIONAL311_BENCH_CONTACTS", "160000"))
BUREAUS, SERVICES = 40, 60
CITY, COUNTY, INFO, REGION = "city-of-portland", "multnomah-county", "211info", "region"
PARTS = {CITY: 5, COUNTY: 3, INFO: 2}
"""Tenths of the contacts that each partner takes in."""
MONTH = Period.month("2026-10")
END = datetime(2026, 11, 3, 17, tzinfo=UTC)

AGREE = text("""
INSERT INTO agreements (tenant_id, id, key, version, name, provider_id, payer_id, payer_kind,
    activities, payer_rule, rate_card_key, pool_key, valid, terms)
VALUES (:region, uuidv7(), :key, 1, :key, :provider, :payer, :kind, ARRAY['bench_work'],
    'service_owner', 'bench', :pool, '[2026-07-01,)', CAST(:terms AS jsonb))
""")

RATES = text("""
INSERT INTO rates (tenant_id, id, key, card_key, activity, channel, service_key, hours, unit,
    model, surcharges, phases, amount, valid, recorded)
SELECT :tenant, uuidv7(), concat_ws('-', 'bench', service, hours), 'bench', 'bench_work', NULL,
    'service-' || service, hours, 'each', 'unit', '[]', '[]', 4.905 + service * 0.01,
    '[2026-07-01,)', tstzrange(NULL, NULL)
FROM generate_series(1, :services) AS service, unnest(ARRAY['business', 'after']) AS hours
""")

POOL = text("""
WITH pool AS (
    INSERT INTO cost_pools (tenant_id, id, key, fiscal_year, number, name, yearly_cents, source,
        sources, revenues, non_allocable, method, step_order)
    VALUES (:tenant, uuidv7(), 'bench', 2027, 1, 'Bench', 600000000, 'Bench', '[]', '[]', '[]',
        'step_down', 0)
    RETURNING id
)
INSERT INTO pool_shares (tenant_id, id, pool_id, payer_slug, percent)
SELECT :tenant, uuidv7(), pool.id, 'bureau:bureau-' || n, 100.0 / :bureaus
FROM pool, generate_series(1, :bureaus) AS n
""")

FILL = text("""
INSERT INTO usage_events (tenant_id, id, source_key, content_digest, activity, channel, language,
    after_hours, service_owner_id, service_key, bureau_key, contact_id, quantity, handle_seconds,
    occurred_at, received_at, booked_on)
SELECT :tenant, uuidv7(), 'bench:' || number, '', 'bench_work',
    (ARRAY['phone', 'web', 'chat', 'walk_in'])[1 + number % 4],
    (ARRAY['en', 'en', 'es'])[1 + number % 3], number % 5 = 0,
    (CAST(:owners AS uuid[]))[1 + number % 3], 'service-' || 1 + number * 7919 % :services,
    'bureau-' || 1 + number * 31 % :bureaus, uuidv7(), 1, 60 + number % 600, at, at, at::date
FROM (
    SELECT number::bigint AS number,
        CAST(:since AS timestamptz) + number * (interval '29 days' / :many) AS at
    FROM generate_series(1, :many) AS number
) made
""")

COPY_RUN = text("""
INSERT INTO rating_runs (tenant_id, id, period_key, number, service_from, service_to,
    stored_before, counts, digest, run_at)
SELECT tenant_id, :run, 'copy', 1, service_from, service_to, stored_before, counts, digest, run_at
FROM rating_runs WHERE tenant_id = :tenant LIMIT 1
""")

COPY_CHARGES = text("""
INSERT INTO charges (tenant_id, run_id, usage_event_id, state, agreement_id, payer_id,
    payer_kind, payer_key, rate_id, quantity, price, amount, line_key)
SELECT tenant_id, :run, usage_event_id, state, agreement_id, payer_id, payer_kind,
    payer_key, rate_id, quantity, price, amount, line_key
FROM charges WHERE tenant_id = :tenant AND run_id <> :run
""")

COPY_ITEMS = text("""
INSERT INTO statement_items (tenant_id, id, line_id, usage_event_id, contact_id,
    contact_reference, occurred_at, activity, channel, language, after_hours, service_key,
    quantity, price, amount)
SELECT tenant_id, uuidv7(), line_id, usage_event_id, contact_id, contact_reference, occurred_at,
    activity, channel, language, after_hours, service_key, quantity, price, amount
FROM statement_items WHERE tenant_id = :tenant
""")


def run(site: Site) -> list[Figure]:
    """Close a month, check it, and copy its rows beside."""
    ids = published(site.engine).ids
    partners = {slug: ids[slug] for slug in PARTS}
    _prepare(site, ids)
    for table in ("usage_events", "rates", "agreements"):
        with site.owner() as connection:
            connection.execute(text(f"VACUUM ANALYZE {table}"))
    before = peak_memory_mb()
    steps: dict[str, float] = {}
    begun = time.perf_counter()
    now = max(END, datetime.now(UTC))  # the example region's bases were read just before
    people = {tenant_id: new_id() for tenant_id in partners.values()}
    others = {tenant_id: new_id() for tenant_id in partners.values()}
    last = [begun, "start"]

    def told(_slug: str, step: str) -> None:
        at = time.perf_counter()
        steps[last[1]] = steps.get(last[1], 0) + at - last[0]
        last[:] = [at, "rate and draft" if step == "draft" else "review and issue"]

    billed = bill_month(
        site.engine, partners, MONTH, preparer=people, approver=others, now=now, progress=told
    )
    taken = time.perf_counter() - begun
    told("", "end")
    memory = peak_memory_mb() - before
    _check(site, partners, billed)
    plain = _plain(site, partners)
    return [
        Figure("statements", len(billed), ""),
        Figure("items", sum(each.item_count for each in billed), ""),
        *(Figure(name, steps[name], "s") for name in ("rate and draft", "review and issue")),
        Figure(f"plain SQL: rows of {CONTACTS} contacts", plain, "s"),
        Figure(f"close of a month of {CONTACTS} contacts", taken, "s", at_most=15),
        Figure("close to plain SQL", taken / plain, ""),
        Figure("memory that it added", memory, "MB", at_most=200),
    ]


def _prepare(site: Site, ids: Any) -> None:
    terms = '{"due_days": 30, "number_prefix": "BENCH", "overhead_percent": "4.5"}'
    deals = [(one, other, "partner", None) for one in PARTS for other in PARTS if one != other]
    with session_scope(site.engine, Scope(ids[REGION])) as session:
        for provider, payer, kind, pool in [*deals, (CITY, CITY, "bureau", "bench")]:
            session.execute(
                AGREE,
                {
                    "region": ids[REGION],
                    "key": f"bench-{provider}-{payer}",
                    "provider": ids[provider],
                    "payer": ids[payer],
                    "kind": kind,
                    "pool": pool,
                    "terms": terms,
                },
            )
        mark_changed(session)
    owners = [ids[slug] for slug in PARTS]
    since, _until = MONTH.bounds("America/Los_Angeles")
    for slug, tenths in PARTS.items():
        said = {"tenant": ids[slug], "services": SERVICES, "bureaus": BUREAUS}
        with session_scope(site.engine, Scope(ids[slug])) as session:
            session.execute(RATES, said)
            if slug == CITY:
                session.execute(POOL, said)
            session.execute(
                FILL, said | {"owners": owners, "since": since, "many": CONTACTS * tenths // 10}
            )
            mark_changed(session)


def _check(site: Site, partners: dict[str, UUID], billed: list[Billed]) -> None:
    """Refuse to report a close that does not hold."""
    assert len(billed) >= 6 + BUREAUS, len(billed)
    assert all(each.state == "issued" for each in billed)
    wrong = [check.name for check in check_region(site.engine, partners) if not check.holds]
    assert not wrong, wrong


def _plain(site: Site, partners: dict[str, UUID]) -> float:
    begun = time.perf_counter()
    for tenant_id in partners.values():
        said = {"tenant": tenant_id, "run": new_id()}
        with session_scope(site.engine, Scope(tenant_id)) as session:
            session.execute(COPY_RUN, said)
            session.execute(COPY_CHARGES, said)
            session.execute(COPY_ITEMS, said)
            mark_changed(session)
    return time.perf_counter() - begun
