"""A million usage events against 18,000 dated rates, beside plain SQL that writes the same charges.

Both write into the same table, as the same role, under its constraints and row security, in turns.
The plain SQL knows what the rating finds out: that one agreement covers everything, that every
rate is for a service, a channel and hours, and that nobody wants to know what came out.
`REGIONAL311_BENCH_EVENTS` sets how many events there are; growth is measured to four times as many.
"""

from __future__ import annotations

import os
import statistics
import time
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import text

from bench import Figure, Site
from regional311.calendars import Period
from regional311.chargeback.planning import joined_by_hash
from regional311.chargeback.rating import run_rating
from regional311.database.ids import new_id
from regional311.database.session import (
    Scope,
    TenantSession,
    mark_changed,
    scope_of,
    session_scope,
)
from regional311.referral.snapshot import published

EVENTS = int(os.environ.get("REGIONAL311_BENCH_EVENTS", "1000000"))
ROUNDS = int(os.environ.get("REGIONAL311_BENCH_ROUNDS", "3"))
SERVICES, YEARS = 100, 10
CITY, COUNTY, REGION = "city-of-portland", "multnomah-county", "region"
NOW = datetime(2027, 3, 1, 12, tzinfo=UTC)
FEW, MANY = Period.month("2026-10"), Period.month("2026-11")

AGREE = text("""
INSERT INTO agreements (tenant_id, id, key, version, name, provider_id, payer_id, payer_kind,
    activities, payer_rule, rate_card_key, valid, terms)
VALUES (:region, uuidv7(), 'bench', 1, 'Bench', :city, :county, 'partner',
    ARRAY['after_hours_answer'], 'service_owner', 'bench', '[2016-07-01,)', '{"due_days": 30}')
""")

RATES = text("""
INSERT INTO rates (tenant_id, id, key, card_key, activity, channel, service_key, hours, unit,
    model, surcharges, phases, amount, valid, recorded)
SELECT :city, uuidv7(), concat_ws('-', 'bench', service, channel, hours, year), 'bench',
    'after_hours_answer', channel, 'service-' || service, hours, 'each', 'unit', '[]', '[]',
    1 + service * 0.01 + year * 0.1,
    daterange(make_date(2017 + year, 7, 1),
        CASE WHEN year < :years THEN make_date(2018 + year, 7, 1) END), tstzrange(NULL, NULL)
FROM generate_series(1, :services) AS service, generate_series(1, :years) AS year,
    unnest(ARRAY['phone', 'walk_in', 'web', 'email', 'text', 'chat', 'social', 'app',
        'voicemail']) AS channel,
    unnest(ARRAY['business', 'after']) AS hours
""")

FILL = text("""
INSERT INTO usage_events (tenant_id, id, source_key, content_digest, activity, channel, language,
    after_hours, service_owner_id, service_key, bureau_key, contact_id, quantity, handle_seconds,
    occurred_at, received_at, booked_on)
SELECT :city, uuidv7(), 'bench:' || :period || ':' || lpad(number::text, 9, '0'), '',
    'after_hours_answer',
    (ARRAY['phone', 'walk_in', 'web', 'email', 'text', 'chat', 'social', 'app', 'voicemail'])
        [1 + number % 9],
    (ARRAY['en', 'en', 'en', 'es', 'vi'])[1 + number / 9 % 5], number / 45 % 4 = 0, :county,
    'service-' || 1 + number * 7919 % :services, NULL, uuidv7(), 1, number % 900, at, at, at::date
FROM (
    SELECT number::bigint AS number,
        CAST(:since AS timestamptz) + number * (interval '29 days' / :many) AS at
    FROM generate_series(1, :many) AS number
) made
""")

PLAIN_RUN = text("""
INSERT INTO rating_runs (tenant_id, id, period_key, number, service_from, service_to,
    stored_before, counts, digest, run_at)
VALUES (:tenant, :run, 'plain', (SELECT count(*) + 1 FROM rating_runs WHERE period_key = 'plain'
    AND tenant_id = :tenant), :service_from, :service_to, :stored_before, '{}', '', :stored_before)
""")

PLAIN = text("""
INSERT INTO charges (tenant_id, run_id, usage_event_id, state, agreement_id, payer_id,
    payer_kind, rate_id, quantity, price, amount, line_key)
SELECT e.tenant_id, :run, e.id, 'rated', a.id, a.payer_id, a.payer_kind, r.id,
    e.quantity, r.amount, round(r.amount * e.quantity, 6),
    concat_ws('|', a.key, e.activity, owner.slug || '/' || e.service_key, e.channel, r.hours,
        '*', r.key, lower(r.valid))
FROM usage_events e
JOIN agreements a ON a.provider_id = e.tenant_id AND a.payer_id = e.service_owner_id
    AND e.activity = ANY (a.activities)
    AND a.valid @> (e.occurred_at AT TIME ZONE 'America/Los_Angeles')::date
JOIN rates r ON r.tenant_id = e.tenant_id AND r.card_key = a.rate_card_key
    AND r.activity = e.activity AND r.service_key = e.service_key AND r.channel = e.channel
    AND r.hours = CASE WHEN e.after_hours THEN 'after' ELSE 'business' END
    AND r.valid @> (e.occurred_at AT TIME ZONE 'America/Los_Angeles')::date
    AND r.recorded @> CAST(:stored_before AS timestamptz)
JOIN tenants owner ON owner.tenant_id = e.service_owner_id AND owner.id = e.service_owner_id
WHERE e.tenant_id = :tenant AND e.occurred_at >= :service_from AND e.occurred_at < :service_to
    AND e.received_at < :stored_before
""")


WRITTEN = text("""
SELECT count(*), sum(amount), sum(hashtext(line_key)::bigint) FROM charges WHERE tenant_id = :tenant
""")


def run(site: Site) -> list[Figure]:
    """Rate both ways and four times as many events, in turns."""
    ids = published(site.engine).ids
    city = Scope(ids[CITY])
    parameters = {"city": ids[CITY], "county": ids[COUNTY], "region": ids[REGION]}
    with session_scope(site.engine, Scope(ids[REGION])) as session:
        session.execute(AGREE, parameters)
        mark_changed(session)
    with session_scope(site.engine, city) as session:
        session.execute(RATES, parameters | {"services": SERVICES, "years": YEARS})
        mark_changed(session)
    _fill(site, city, parameters, FEW, EVENTS)
    _fill(site, city, parameters, MANY, 4 * EVENTS)
    taken: dict[str, list[float]] = {"plain": [], "few": [], "many": []}
    for _turn in range(ROUNDS):
        seconds, plain_rows = _timed(site, city, _plain, FEW)
        taken["plain"].append(seconds)
        seconds, rated_rows = _timed(site, city, _rating, FEW)
        taken["few"].append(seconds)
        assert plain_rows == rated_rows, (plain_rows, rated_rows)
        assert rated_rows[0] == EVENTS, rated_rows
        taken["many"].append(_timed(site, city, _rating, MANY)[0])
    plain, few, many = (statistics.median(taken[name]) for name in ("plain", "few", "many"))
    return [
        Figure(f"plain SQL: {EVENTS} events", plain, "s"),
        Figure(f"rating: {EVENTS} events", few, "s"),
        Figure("rating to plain SQL", few / plain, "", at_most=1.3),
        Figure(f"rating: {4 * EVENTS} events", many, "s"),
        Figure(f"{4 * EVENTS} to {EVENTS} events", many / few, "", at_most=4.4),
    ]


def _fill(site: Site, city: Scope, parameters: dict[str, Any], period: Period, many: int) -> None:
    since, _until = period.bounds("America/Los_Angeles")
    with session_scope(site.engine, city) as session:
        session.execute(
            FILL,
            parameters
            | {"period": period.label, "since": since, "many": many, "services": SERVICES},
        )
        mark_changed(session)
    with site.owner() as connection:
        for table in ("usage_events", "rates", "agreements"):
            connection.execute(text(f"VACUUM ANALYZE {table}"))


def _timed(site: Site, city: Scope, work: Any, period: Period) -> tuple[float, tuple[Any, ...]]:
    """Seconds until the charges are committed, and what they come to; then they are forgotten."""
    begun = time.perf_counter()
    with session_scope(site.engine, city) as session:
        work(session, period)
    taken = time.perf_counter() - begun
    with session_scope(site.engine, city) as session:
        rows = session.execute(WRITTEN, {"tenant": city.tenant_id}).one()
    with site.owner() as connection:
        connection.execute(text("TRUNCATE charges"))
    return taken, tuple(rows)


def _rating(session: TenantSession, period: Period) -> None:
    found = run_rating(session, period=period, now=NOW)
    assert set(found.counts) >= {"rated"}, found.counts
    assert sum(found.counts.values()) == found.counts["rated"], found.counts


def _plain(session: TenantSession, period: Period) -> None:
    service_from, service_to = period.bounds("America/Los_Angeles")
    parameters = {
        "tenant": scope_of(session).tenant_id,
        "run": new_id(),
        "service_from": service_from,
        "service_to": service_to,
        "stored_before": NOW,
    }
    session.execute(PLAIN_RUN, parameters)
    with joined_by_hash(session):
        session.execute(PLAIN, parameters)
    mark_changed(session)
