"""Rating: every usage event of a period becomes exactly one charge of a run, by set-based SQL.

A charge is *rated*, or waits by name: *unrated* (an agreement but no rate), *no_agreement*
(another partner should pay, but nothing was agreed), *excluded* (the provider's own work). Nothing
is dropped and nothing is priced zero for lack of a rate.

Who pays is the rule of the agreement; the rate is the most particular one on the agreement's card
on the provider's local day of the work, as it was known before `stored_before`. `rates.resolve`
says the same for a single event. Two cut-offs make a run reproducible: `service_to` bounds when
the work was done, `stored_before` when it came in, both exclusive.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text

from regional311.audit.service import record
from regional311.calendars import Period
from regional311.chargeback.planning import joined_by_hash
from regional311.chargeback.series import lock_series
from regional311.database.ids import new_id
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.errors import InvalidInput

STATES = ("rated", "unrated", "no_agreement", "excluded")

_PARTY = """CASE {agreement}.payer_rule
    WHEN 'service_owner' THEN {work}.service_owner_id
    WHEN 'jurisdiction' THEN {work}.jurisdiction_id
    WHEN 'referrer' THEN {work}.referrer_id
    WHEN 'line_owner' THEN {work}.line_owner_id END"""

# All that decides payer and price; events that agree in it are resolved once.
_SCOPE_COLUMNS = (
    "activity",
    "done_on",
    "channel",
    "language",
    "after_hours",
    "service_key",
    "service_owner_id",
    "jurisdiction_id",
    "referrer_id",
    "line_owner_id",
)

_RATE = text(f"""
WITH events AS MATERIALIZED (
    SELECT id, activity, (occurred_at AT TIME ZONE :zone)::date AS done_on, channel, language,
        after_hours, service_key, service_owner_id, jurisdiction_id, referrer_id, line_owner_id,
        quantity, handle_seconds
    FROM usage_events
    WHERE tenant_id = :tenant AND occurred_at >= :service_from AND occurred_at < :service_to
        AND received_at < :stored_before
), scoped AS MATERIALIZED (
    SELECT id, quantity, handle_seconds, ROW({", ".join(_SCOPE_COLUMNS)})::text AS scope FROM events
), agreed AS MATERIALIZED (
    SELECT a.* FROM agreements a
    JOIN tenants region ON region.tenant_id = a.tenant_id AND region.kind = 'region'
    WHERE a.provider_id = :tenant AND cardinality(a.activities) > 0
), scopes AS MATERIALIZED (
    SELECT DISTINCT {", ".join(_SCOPE_COLUMNS)},
        ROW({", ".join(_SCOPE_COLUMNS)})::text AS scope
    FROM events
), resolved AS MATERIALIZED (
    SELECT s.*, a.id AS agreement_id, a.key AS agreement_key,
        coalesce(a.payer_id, other.party) AS payer_id,
        r.id AS rate_id, r.key AS rate_key, r.unit, r.amount AS price, r.hours AS rate_hours,
        r.language AS rate_language, lower(r.valid) AS rate_from, owner.slug AS owner_slug
    FROM scopes s
    LEFT JOIN LATERAL (
        SELECT agreed.* FROM agreed
        WHERE s.activity = ANY (agreed.activities) AND agreed.valid @> s.done_on
            AND agreed.payer_id = {_PARTY.format(agreement="agreed", work="s")}
        ORDER BY agreed.key, agreed.id LIMIT 1
    ) a ON true
    LEFT JOIN LATERAL (
        SELECT party FROM (
            SELECT agreed.key, {_PARTY.format(agreement="agreed", work="s")} AS party FROM agreed
            WHERE s.activity = ANY (agreed.activities) AND agreed.valid @> s.done_on
            UNION ALL SELECT '', s.service_owner_id
        ) parties
        WHERE party <> :tenant ORDER BY key, party LIMIT 1
    ) other ON a.id IS NULL
    LEFT JOIN LATERAL (
        SELECT rates.* FROM rates
        WHERE rates.tenant_id = :tenant AND rates.card_key = a.rate_card_key
            AND rates.activity = s.activity
            AND (rates.service_key IS NULL OR rates.service_key = s.service_key)
            AND (rates.language IS NULL OR rates.language = s.language)
            AND (rates.channel IS NULL OR rates.channel = s.channel)
            AND rates.hours IN ('any', CASE WHEN s.after_hours THEN 'after' ELSE 'business' END)
            AND rates.valid @> s.done_on
            AND (lower(rates.recorded) IS NULL OR lower(rates.recorded) < :stored_before)
            AND (upper(rates.recorded) IS NULL OR upper(rates.recorded) >= :stored_before)
        ORDER BY 8 * (rates.service_key IS NOT NULL)::int + 4 * (rates.language IS NOT NULL)::int
            + 2 * (rates.channel IS NOT NULL)::int + (rates.hours <> 'any')::int DESC, rates.id
        LIMIT 1
    ) r ON true
    LEFT JOIN tenants owner ON owner.tenant_id = s.service_owner_id
        AND owner.id = s.service_owner_id
), counted AS (
    SELECT e.id AS usage_event_id, s.*,
        CASE WHEN s.rate_id IS NULL THEN e.quantity
             WHEN s.unit = 'minute' AND e.handle_seconds > 0
                 THEN round(sign(e.quantity) * e.handle_seconds / 60, 6)
             ELSE e.quantity END AS units
    FROM scoped e JOIN resolved s ON s.scope = e.scope
), priced AS MATERIALIZED (
    SELECT usage_event_id,
        CASE WHEN rate_id IS NOT NULL THEN 'rated' WHEN agreement_id IS NOT NULL THEN 'unrated'
             WHEN payer_id IS NOT NULL THEN 'no_agreement' ELSE 'excluded' END AS state,
        agreement_id, coalesce(payer_id, :tenant) AS payer_id, rate_id, units AS quantity, price,
        round(price * units, 6) AS amount,
        CASE WHEN rate_id IS NOT NULL THEN concat_ws('|', agreement_key, activity,
            coalesce(owner_slug || '/', '') || coalesce(service_key, '-'), channel,
            CASE WHEN after_hours THEN 'after' ELSE 'business' END, coalesce(rate_language, '*'),
            rate_key, coalesce(rate_from::text, '-')) END AS line_key
    FROM counted
), inserted AS (
    INSERT INTO charges (tenant_id, id, run_id, usage_event_id, state, agreement_id, payer_id,
        payer_kind, rate_id, quantity, price, amount, line_key)
    SELECT :tenant, uuidv7(), :run, usage_event_id, state, agreement_id, payer_id, 'partner',
        rate_id, quantity, price, amount, line_key
    FROM priced
), hashes AS (
    SELECT get_byte(uuid_send(usage_event_id), 15) AS bucket,
        sha256(convert_to(string_agg(concat_ws(' ', usage_event_id, state,
            coalesce(agreement_id::text, '-'), payer_id, coalesce(rate_id::text, '-'),
            quantity::numeric(18, 6), coalesce(amount::text, '-'), coalesce(line_key, '-')),
            E'\\n' ORDER BY usage_event_id), 'UTF8')) AS hash
    FROM priced GROUP BY bucket
)
INSERT INTO rating_runs (tenant_id, id, period_key, number, service_from, service_to,
    stored_before, counts, digest, run_by, run_at)
SELECT :tenant, :run, :period,
    (SELECT coalesce(max(number), 0) + 1 FROM rating_runs
     WHERE tenant_id = :tenant AND period_key = :period),
    :service_from, :service_to, :stored_before,
    (SELECT jsonb_build_object('rated', count(*) FILTER (WHERE state = 'rated'),
        'unrated', count(*) FILTER (WHERE state = 'unrated'),
        'no_agreement', count(*) FILTER (WHERE state = 'no_agreement'),
        'excluded', count(*) FILTER (WHERE state = 'excluded')) FROM priced),
    (SELECT encode(sha256(coalesce(string_agg(hash, ''::bytea ORDER BY bucket), ''::bytea)),
        'hex') FROM hashes),
    :person, :now
RETURNING number, counts, digest
""")


class CutOffsReversed(InvalidInput):
    """A run would end before it begins, or outside its period."""


@dataclass(frozen=True, slots=True)
class RunResult:
    """A rating run: its id, its number within the period, its cut-offs and what came out."""

    id: UUID
    period_key: str
    number: int
    service_from: datetime
    service_to: datetime
    stored_before: datetime
    counts: dict[str, int]
    digest: str
    """SHA-256 over all charges: the same cut-offs give the same digest."""


def run_rating(
    session: TenantSession,
    *,
    period: Period,
    now: datetime,
    service_to: datetime | None = None,
    stored_before: datetime | None = None,
) -> RunResult:
    """Price the work that this partner did in a period; earlier runs stay as they are.

    `service_to` is the end of the period in the partner's zone unless an earlier instant is given,
    `stored_before` is now unless given.

    :raises CutOffsReversed: when `service_to` lies outside the period.
    """
    scope = scope_of(session)
    lock_series(session)
    zone = session.execute(
        text("SELECT zone FROM tenants WHERE tenant_id = :tenant AND id = :tenant"),
        {"tenant": scope.tenant_id},
    ).scalar_one()
    service_from, period_end = period.bounds(zone)
    service_to = service_to or period_end
    if not service_from < service_to <= period_end:
        raise CutOffsReversed("The end of the work to rate must lie within the period.")
    run = new_id()
    parameters: dict[str, Any] = {
        "tenant": scope.tenant_id,
        "person": scope.person_id,
        "run": run,
        "period": period.label,
        "zone": zone,
        "service_from": service_from,
        "service_to": service_to,
        "stored_before": stored_before or now,
        "now": now,
    }
    with joined_by_hash(session):
        number, counts, digest = session.execute(_RATE, parameters).one()
    mark_changed(session)
    record(
        session,
        now=now,
        action="rating:run",
        subject_kind="rating_run",
        subject_id=run,
        detail={"period": period.label, "number": number, "digest": digest},
    )
    return RunResult(
        id=run,
        period_key=period.label,
        number=number,
        service_from=service_from,
        service_to=service_to,
        stored_before=parameters["stored_before"],
        counts=counts,
        digest=digest,
    )
