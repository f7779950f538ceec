"""Rating: every usage event of a period becomes exactly one charge of a run, by set-based SQL.

A charge is *rated*, or waits by name: *unrated* (an agreement but no rate), *no_agreement*
(another partner should pay, but nothing was agreed), *excluded* (the provider's own work that no
agreement covers). Nothing is dropped and nothing is priced zero for lack of a rate.

Who pays is the rule of the agreement. Where several agreements cover the same work, a partner's
wins, then that of an outside body, then that of one bureau, then that of every bureau; among equals
the first by key. An agreement whose terms name `services` covers only work about these, and one
with an outside body covers nothing else. Bureaus and outside bodies pay for work whose party, by
the rule, is the provider itself.

The rate is the most particular one on the agreement's card on the provider's local day of the work,
as it was known before `stored_before`. `rates.resolve` and `charge_models` say the same for single
events. Charges with one `line_key` and payer add up to one line of a statement: they have one
agreement and one rate and, under the unit model, one price. What is priced by a ladder (tiers,
volumes, packages) makes one line over all services, channels, languages and hours that the rate is
for, and its charges have no price of their own.

Two cut-offs make a run reproducible: `service_to` bounds when the work was done, `stored_before`
when it came in, both exclusive. Prices that are stored later count from the cut-off or later,
however long their own transaction took (`tenancy.cut_offs`).
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
from regional311.tenancy.cut_offs import read_before

STATES = ("rated", "unrated", "no_agreement", "excluded")

_PARTY = """CASE agreed.payer_rule
    WHEN 'service_owner' THEN d.service_owner_id
    WHEN 'jurisdiction' THEN d.jurisdiction_id
    WHEN 'referrer' THEN d.referrer_id
    WHEN 'line_owner' THEN d.line_owner_id END"""

# All that decides who pays; work that agrees in it has one agreement.
_DEALING_COLUMNS = (
    "activity",
    "done_on",
    "service_key",
    "service_owner_id",
    "bureau_key",
    "jurisdiction_id",
    "referrer_id",
    "line_owner_id",
)
# All that decides payer and price; work that agrees in it is resolved once.
_SCOPE_COLUMNS = (*_DEALING_COLUMNS, "channel", "language", "after_hours")
_DEALING, _SCOPE = ", ".join(_DEALING_COLUMNS), ", ".join(_SCOPE_COLUMNS)


def _row(columns: tuple[str, ...], of: str = "") -> str:
    """A composite of columns; two of them are equal where both have nothing."""
    return f"ROW({', '.join(of + each for each in columns)})"


def _same(columns: tuple[str, ...]) -> str:
    """Where a scope `s` is that of an event `e`; by equality alone, so that hashes can join."""
    return " AND ".join(
        f"coalesce(s.{each}, {nothing}) = coalesce(e.{each}, {nothing})"
        if (nothing := _NOTHING.get(each))
        else f"s.{each} = e.{each}"
        for each in columns
    )


_NOBODY = "'00000000-0000-0000-0000-000000000000'::uuid"
_NOTHING = {
    "service_key": "''",
    "bureau_key": "''",
    **dict.fromkeys(
        ("service_owner_id", "jurisdiction_id", "referrer_id", "line_owner_id"), _NOBODY
    ),
}
_SAME_SCOPE = _same(_SCOPE_COLUMNS)
# Records cannot be joined by hash, but their hashes can.
_HASH = "hash_record_extended({}, 0)"
_SAME_DEALING = "d.dealing_hash = s.dealing_hash AND d.dealing = s.dealing"

# No limit at all. As it is no constant, the planner takes a tenth of the events for the scopes,
# instead of one scope an event: it then looks up events among scopes, in the order in which they
# came, and does not hash millions of events to look up scopes among them.
_MANY = "9223372036854775807"

_UNITS = """CASE WHEN s.unit = 'minute' AND e.handle_seconds > 0
    THEN round(sign(e.quantity) * e.handle_seconds / 60, 6) ELSE e.quantity END"""
# Work of one instant goes by all that changes its price, what takes work back after what it takes
# back. Pieces that agree in all of it may change places: their key only keeps the places the same.
_IN_ORDER = "occurred_at, after_hours, language, units DESC, source_key"
_BEYOND_FREE = """greatest(0, abs(reached) - coalesce((steps->>'free')::numeric, 0)),
    (steps->>'size')::numeric"""
# What a quantity has come to, to a millionth; the mirror image below zero, and nothing at zero.
_COME_TO = f"""CASE WHEN reached = 0 THEN 0 ELSE sign(reached) * round(CASE model
    WHEN 'package' THEN amount * (div({_BEYOND_FREE}) + (mod({_BEYOND_FREE}) > 0)::int)
    WHEN 'graduated' THEN (
        SELECT sum(flat + tiers.price * (least(abs(reached), up_to) - below))
        FROM tiers WHERE tiers.rate_id = summed.rate_id AND (first OR abs(reached) > below)
    ) END, 6) END"""
_OF_VOLUME = """(
        SELECT tiers.price * units + flat * (sign(reached) - sign(reached - units))
        FROM tiers
        WHERE tiers.rate_id = climbed.rate_id AND (up_to IS NULL OR abs(whole) <= up_to)
        ORDER BY up_to NULLS LAST LIMIT 1
    )"""

# Adding up the hashes of all charges needs no order and leaves none out.
_SUMS = "concat_ws(' ', {})".format(
    ", ".join(f"sum(substr(hash, {place}, 8)::bigint)" for place in (1, 9, 17, 25))
)

_RATE = text(f"""
WITH events AS NOT MATERIALIZED (
    SELECT id, activity, (occurred_at AT TIME ZONE :zone)::date AS done_on, channel, language,
        after_hours, service_key, service_owner_id, bureau_key, jurisdiction_id, referrer_id,
        line_owner_id, quantity, handle_seconds, occurred_at, source_key
    FROM usage_events
    WHERE tenant_id = :tenant AND occurred_at >= :service_from AND occurred_at < :service_to
        AND received_at < :stored_before
), agreed AS MATERIALIZED (
    SELECT a.*, nullif(nullif(a.terms->'services', 'null'), '[]') AS services,
        CASE a.payer_kind WHEN 'partner' THEN 0 WHEN 'outside' THEN 1
            ELSE 2 + (a.payer_key IS NULL)::int END AS rank
    FROM agreements a
    JOIN tenants region ON region.tenant_id = a.tenant_id AND region.kind = 'region'
    WHERE a.provider_id = :tenant AND cardinality(a.activities) > 0
), scopes AS MATERIALIZED (
    SELECT row_number() OVER () AS number, {_row(_DEALING_COLUMNS)} AS dealing,
        {_HASH.format(_row(_DEALING_COLUMNS))} AS dealing_hash, {_SCOPE}
    FROM (SELECT DISTINCT {_SCOPE} FROM events LIMIT (SELECT {_MANY})) found
), dealings AS MATERIALIZED (
    SELECT {_row(_DEALING_COLUMNS, "d.")} AS dealing,
        {_HASH.format(_row(_DEALING_COLUMNS, "d."))} AS dealing_hash,
        a.id AS agreement_id, a.key || coalesce('/' || a.payer_key, '/' || a.bureau, '')
            AS agreement_key,
        a.rate_card_key, coalesce(a.payer_kind, 'partner') AS payer_kind,
        coalesce(a.payer_key, a.bureau) AS payer_key,
        coalesce(a.payer_id, other.party) AS payer_id, owner.slug AS owner_slug
    FROM (SELECT DISTINCT {_DEALING} FROM scopes) d
    LEFT JOIN LATERAL (
        SELECT agreed.*, CASE agreed.payer_kind WHEN 'bureau' THEN d.bureau_key END AS bureau
        FROM agreed
        WHERE d.activity = ANY (agreed.activities) AND agreed.valid @> d.done_on
            AND agreed.payer_id = {_PARTY}
            AND CASE WHEN agreed.services IS NULL THEN agreed.payer_kind <> 'outside'
                ELSE agreed.services ? d.service_key END
            AND (agreed.payer_kind <> 'bureau'
                OR d.bureau_key = coalesce(agreed.payer_key, d.bureau_key))
        ORDER BY agreed.rank, agreed.key, agreed.id LIMIT 1
    ) a ON true
    LEFT JOIN LATERAL (
        SELECT party FROM (
            SELECT agreed.key, {_PARTY} AS party FROM agreed
            WHERE d.activity = ANY (agreed.activities) AND agreed.valid @> d.done_on
                AND agreed.payer_kind = 'partner'
                AND (agreed.services IS NULL OR agreed.services ? d.service_key)
            UNION ALL SELECT '', d.service_owner_id
        ) parties
        WHERE party <> :tenant ORDER BY key, party LIMIT 1
    ) other ON a.id IS NULL
    LEFT JOIN tenants owner ON owner.tenant_id = d.service_owner_id
        AND owner.id = d.service_owner_id
), known AS MATERIALIZED (
    SELECT *, coalesce(channel, '') AS for_channel, coalesce(service_key, '') AS for_service,
        coalesce(language, '') AS for_language
    FROM rates
    WHERE tenant_id = :tenant AND NOT isempty(recorded)
        AND valid && daterange((CAST(:service_from AS timestamptz) AT TIME ZONE :zone)::date,
            (CAST(:service_to AS timestamptz) AT TIME ZONE :zone)::date, '[]')
        AND (lower(recorded) IS NULL OR lower(recorded) < :stored_before)
        AND (upper(recorded) IS NULL OR upper(recorded) >= :stored_before)
), shapes AS MATERIALIZED (
    SELECT DISTINCT channel IS NOT NULL AS by_channel, service_key IS NOT NULL AS by_service,
        language IS NOT NULL AS by_language, hours <> 'any' AS by_hours
    FROM known
), asked AS MATERIALIZED (
    SELECT s.number, s.activity, s.done_on, d.rate_card_key,
        CASE WHEN by_channel THEN s.channel ELSE '' END AS for_channel,
        CASE WHEN by_service THEN s.service_key ELSE '' END AS for_service,
        CASE WHEN by_language THEN s.language ELSE '' END AS for_language,
        CASE WHEN NOT by_hours THEN 'any' WHEN s.after_hours THEN 'after'
            ELSE 'business' END AS for_hours,
        8 * by_service::int + 4 * by_language::int + 2 * by_channel::int + by_hours::int
            AS specificity
    FROM scopes s JOIN dealings d ON {_SAME_DEALING} CROSS JOIN shapes
    WHERE d.agreement_id IS NOT NULL
), chosen AS MATERIALIZED (
    SELECT DISTINCT ON (asked.number) asked.number, r.id AS rate_id
    FROM asked
    JOIN known r ON r.card_key = asked.rate_card_key AND r.activity = asked.activity
        AND r.for_channel = asked.for_channel AND r.for_service = asked.for_service
        AND r.for_language = asked.for_language AND r.hours = asked.for_hours
        AND r.valid @> asked.done_on
    ORDER BY asked.number, asked.specificity DESC, r.id
), resolved AS MATERIALIZED (
    SELECT {", ".join(f"s.{each}" for each in _SCOPE_COLUMNS)},
        CASE WHEN r.id IS NOT NULL THEN 'rated'
            WHEN d.agreement_id IS NOT NULL THEN 'unrated'
            WHEN d.payer_id IS NOT NULL THEN 'no_agreement' ELSE 'excluded' END AS state,
        d.agreement_id, coalesce(d.payer_id, :tenant) AS payer_id, d.payer_kind, d.payer_key,
        r.id AS rate_id, r.unit, r.model, r.steps, r.amount,
        coalesce(added.fraction, 0) AS fraction, coalesce(added.each, 0) AS each,
        coalesce(phase.part, 1) AS part,
        CASE WHEN r.model = 'unit' THEN round((r.amount * (1 + coalesce(added.fraction, 0))
            + coalesce(added.each, 0)) * coalesce(phase.part, 1), 6) END AS price,
        CASE WHEN r.model IN ('unit', 'percentage') THEN concat_ws('|', d.agreement_key,
                s.activity, coalesce(d.owner_slug || '/', '') || coalesce(s.service_key, '-'),
                s.channel, CASE WHEN s.after_hours THEN 'after' ELSE 'business' END,
                coalesce(r.language, '*') || coalesce(added.keys, ''), r.key,
                coalesce(lower(r.valid)::text, '-') || coalesce(phase.name, ''))
            WHEN r.id IS NOT NULL THEN concat_ws('|', d.agreement_key, s.activity,
                coalesce(r.service_key, '*'), coalesce(r.channel, '*'), r.hours,
                coalesce(r.language, '*'), r.key, coalesce(lower(r.valid)::text, '-'))
            END AS line_key
    FROM scopes s
    JOIN dealings d ON {_SAME_DEALING}
    LEFT JOIN chosen c ON c.number = s.number
    LEFT JOIN known r ON r.id = c.rate_id
    LEFT JOIN LATERAL (
        SELECT sum(x.percent) * 0.01 AS fraction, sum(x.amount) AS each,
            '+' || string_agg(x.key, '+' ORDER BY x.key) AS keys
        FROM jsonb_to_recordset(r.surcharges) AS x(key text, hours text, languages jsonb,
            percent numeric, amount numeric)
        WHERE r.surcharges <> '[]'
            AND (x.hours IS NULL OR (x.hours = 'after') = s.after_hours)
            AND (coalesce(x.languages, '[]') = '[]' OR x.languages ? s.language)
    ) added ON true
    LEFT JOIN LATERAL (
        SELECT x.percent * 0.01 AS part, '@' || x.percent::text || '%' AS name
        FROM jsonb_to_recordset(r.phases) AS x("from" date, percent numeric)
        WHERE r.phases <> '[]' AND x."from" <= s.done_on ORDER BY x."from" DESC LIMIT 1
    ) phase ON true
), tiers AS MATERIALIZED (
    SELECT r.id AS rate_id, x.position = 1 AS first, x.up_to, x.price,
        coalesce(x.flat, 0) AS flat,
        coalesce(lag(x.up_to) OVER (PARTITION BY r.id ORDER BY x.position), 0) AS below
    FROM known r
    CROSS JOIN LATERAL ROWS FROM (jsonb_to_recordset(r.steps->'tiers')
        AS (up_to numeric, price numeric, flat numeric))
        WITH ORDINALITY AS x(up_to, price, flat, position)
    WHERE r.model IN ('graduated', 'volume')
), summed AS (
    SELECT *, sum(units) OVER together AS whole, sum(units) OVER in_order AS reached
    FROM (
        SELECT s.*, e.id, e.occurred_at, e.source_key, {_UNITS} AS units
        FROM events e JOIN resolved s ON {_SAME_SCOPE}
        WHERE s.model IN ('graduated', 'volume', 'package')
    ) laddered
    WINDOW together AS (PARTITION BY payer_id, line_key),
        in_order AS (PARTITION BY payer_id, line_key ORDER BY {_IN_ORDER}
            ROWS UNBOUNDED PRECEDING)
), climbed AS (
    SELECT *, {_COME_TO} AS come_to FROM summed
), charged AS (
    SELECT e.id, s.state, s.agreement_id, s.payer_id, s.payer_kind, s.payer_key, s.rate_id,
        {_UNITS} AS units, s.price,
        CASE s.model WHEN 'unit' THEN round(s.price * {_UNITS}, 6)
            WHEN 'percentage' THEN round((sign({_UNITS}) * round(least(
                (s.steps->>'cap')::numeric, greatest((s.steps->>'floor')::numeric,
                s.amount * abs({_UNITS}) * 0.01)), 6) * (1 + s.fraction) + s.each * {_UNITS})
                * s.part, 6) END AS amount,
        s.line_key
    FROM events e JOIN resolved s ON {_SAME_SCOPE}
    WHERE s.model IS NULL OR s.model IN ('unit', 'percentage')
    UNION ALL
    SELECT id, state, agreement_id, payer_id, payer_kind, payer_key, rate_id, units, NULL,
        round((base * (1 + fraction) + each * units) * part, 6), line_key
    FROM (
        SELECT *, CASE model WHEN 'volume' THEN {_OF_VOLUME}
            ELSE come_to - coalesce(lag(come_to) OVER (PARTITION BY payer_id, line_key
                ORDER BY {_IN_ORDER}), 0) END AS base
        FROM climbed
    ) based
), inserted AS (
    INSERT INTO charges (tenant_id, run_id, usage_event_id, state, agreement_id, payer_id,
        payer_kind, payer_key, rate_id, quantity, price, amount, line_key)
    SELECT :tenant, :run, id, state, agreement_id, payer_id, payer_kind, payer_key,
        rate_id, units, price, amount, line_key
    FROM charged
    RETURNING state, sha256(convert_to(concat_ws(' ', usage_event_id, state,
        coalesce(agreement_id::text, '-'), payer_id, payer_kind, coalesce(payer_key, '-'),
        coalesce(rate_id::text, '-'), quantity, coalesce(price::text, '-'),
        coalesce(amount::text, '-'), coalesce(line_key, '-')), 'UTF8')) AS hash
), states AS MATERIALIZED (
    SELECT state, count(*) AS events, {_SUMS} AS sums FROM inserted GROUP BY state
)
INSERT INTO rating_runs (tenant_id, id, period_key, number, service_from, service_to,
    stored_before, counts, digest, run_by, run_at)
SELECT :tenant, :run, :period,
    (SELECT coalesce(max(number), 0) + 1 FROM rating_runs
     WHERE tenant_id = :tenant AND period_key = :period),
    :service_from, :service_to, :stored_before,
    (SELECT jsonb_object_agg(every.state, coalesce(states.events, 0))
        FROM unnest(CAST(:states AS text[])) AS every(state)
        LEFT JOIN states ON states.state = every.state),
    (SELECT encode(sha256(convert_to(coalesce(string_agg(concat_ws(' ', state, events, sums),
        ' ' ORDER BY state), ''), 'UTF8')), 'hex') FROM states),
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
    stored_before = stored_before or now
    read_before(session, stored_before, now=now)
    run = new_id()
    parameters: dict[str, Any] = {
        "tenant": scope.tenant_id,
        "person": scope.person_id,
        "run": run,
        "period": period.label,
        "zone": zone,
        "service_from": service_from,
        "service_to": service_to,
        "stored_before": stored_before,
        "states": list(STATES),
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
        stored_before=stored_before,
        counts=counts,
        digest=digest,
    )
