"""Ask for what agreements have their payers pay in advance of each period.

A request is no bill: nothing is earned yet and nothing is posted. It asks for so much by a day,
once for each agreement and period, and stands on both sides; a body outside gets it as a letter.
What comes in is recorded as an advance, answers the oldest request first, and is taken off the
period's bill (`prepayments`), so that nobody pays it twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, select, text

from regional311.audit.service import record
from regional311.calendars import Period, fiscal_year
from regional311.chargeback import calendar
from regional311.chargeback.agreement_terms import Terms
from regional311.chargeback.documents.content import period_words
from regional311.database.ids import new_id, public_id
from regional311.database.rows import put, send
from regional311.database.session import TenantSession, acting_for, scope_of
from regional311.identity.permissions import Permissions
from regional311.identity.queries import who_may
from regional311.money import format_cents
from regional311.notices.service import outbox_row
from regional311.settlement.models import AdvanceRequest
from regional311.settlement.payments import Whom
from regional311.settlement.relations import (
    both_ways,
    deliver,
    lock_relations,
    parties,
    today_of,
)
from regional311.tenancy.models import Tenant

EVENT: Final = "advance_requested"
EVENT_OUTSIDE: Final = "advance_outside"


@dataclass(frozen=True, slots=True)
class ToAsk:
    """What an agreement has its payer pay in advance of a period, not asked for yet."""

    agreement_key: str
    agreement: str
    version: int
    whom: Whom
    payer: str
    email: str | None
    """Where a body outside is reached."""
    period: Period
    amount_cents: int
    due_on: date


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, issued or received, and how much of it has come, in cents."""

    public_id: str
    side: str
    other: str
    """The payer of one that was issued; who asked, of one that was received."""
    agreement_key: str
    agreement: str
    period_key: str
    amount_cents: int
    came_cents: int
    due_on: date
    asked_at: datetime

    def is_late(self, today: date) -> bool:
        """Whether something should have come that has not."""
        return self.came_cents < self.amount_cents and today > self.due_on


def due_of(period: Period, due_days: int, today: date) -> date | None:
    """When an advance for a period is due, if it can be asked for today; None if not.

    It is due on the first day of the period, and never sooner than the agreement's days to pay;
    it can be asked for from so many days before, until the period is over.

    >>> october = Period.of(2026, 10)
    >>> due_of(october, 30, date(2026, 9, 1)), due_of(october, 30, date(2026, 10, 20))
    (datetime.date(2026, 10, 1), datetime.date(2026, 11, 19))
    >>> due_of(october, 30, date(2026, 8, 31)), due_of(october, 30, date(2026, 11, 1))
    (None, None)
    """
    if not period.start_on - timedelta(days=due_days) <= today < period.end_on:
        return None
    return max(period.start_on, today + timedelta(days=due_days))


def answered(amounts: Iterable[int], came_cents: int) -> list[int]:
    """How much of each request has come, the oldest first.

    >>> answered([500, 500, 500], 700)
    [500, 200, 0]
    """
    found = []
    for amount in amounts:
        part = max(0, min(amount, came_cents))
        came_cents -= part
        found.append(part)
    return found


_AGREED = text("""
SELECT a.key, a.version, a.name, a.payer_id, a.payer_kind, a.payer_key, a.valid, a.terms
FROM agreements a
JOIN tenants region ON region.tenant_id = a.tenant_id AND region.kind = 'region'
WHERE a.provider_id = :me AND a.payer_kind <> 'bureau' AND NOT isempty(a.valid)
ORDER BY a.key, lower(a.valid) NULLS FIRST, a.version
""")

_CAME = text("""
SELECT p.counterparty_id, p.payer_key, sum(p.advance_cents)::bigint AS cents
FROM payments p
JOIN (SELECT counterparty_id, payer_key, min(asked_at) AS since FROM advance_requests
    WHERE tenant_id = :me AND side = :side GROUP BY 1, 2) r
    ON r.counterparty_id = p.counterparty_id AND r.payer_key IS NOT DISTINCT FROM p.payer_key
WHERE p.tenant_id = :me AND p.side = :paid AND p.cash_cents <> 0 AND p.recorded_at >= r.since
GROUP BY 1, 2
""")
"""What came in advance, or went back, since it was first asked for; its use is not counted."""


def to_ask(session: TenantSession, today: date) -> list[ToAsk]:
    """What this partner may ask for today and has not, by agreement and period."""
    me = scope_of(session).tenant_id
    known = parties(session)
    starts_in = session.execute(
        select(Tenant.fiscal_year_starts_in).where(Tenant.tenant_id == me, Tenant.id == me)
    ).scalar_one()
    there = {
        (row.agreement_key, row.period_key)
        for row in session.execute(
            select(AdvanceRequest.agreement_key, AdvanceRequest.period_key).where(
                AdvanceRequest.tenant_id == me, AdvanceRequest.side == "issued"
            )
        )
    }
    found = []
    for row, period in _bound(session.execute(_AGREED, {"me": me}), today, starts_in):
        terms = Terms.of(row.terms)
        due_on = due_of(period, terms.due_days, today)
        if not terms.prepay_cents or due_on is None or (row.key, period.label) in there:
            continue
        reached = (row.terms.get("outside") or {}) if row.payer_kind == "outside" else {}
        found.append(
            ToAsk(
                row.key,
                row.name,
                row.version,
                Whom(row.payer_id, row.payer_key),
                reached.get("name") or row.payer_key or known[row.payer_id].name,
                reached.get("email"),
                period,
                terms.prepay_cents,
                due_on,
            )
        )
    return sorted(found, key=lambda each: (each.due_on, each.agreement_key, each.period.start_on))


def _bound(
    versions: Iterable[Row[Any]], today: date, starts_in: int
) -> Iterable[tuple[Row[Any], Period]]:
    """Each near period of an agreement with the version by which it is paid in advance.

    That is the one that holds on its first day, else the first that begins in it.
    """
    found: dict[tuple[str, str], tuple[Row[Any], Period]] = {}
    for row in versions:
        terms = Terms.of(row.terms)
        for period in _near(terms.billing.every, today, starts_in, terms.due_days):
            begins = row.valid.lower is None or row.valid.lower <= period.start_on
            if _holds(row.valid, period) and (begins or (row.key, period.label) not in found):
                found[row.key, period.label] = row, period
    return found.values()


def _near(every: str, today: date, starts_in: int, due_days: int) -> list[Period]:
    """The periods that are open today, or begin within the days to pay."""
    ends = today + timedelta(days=due_days)
    years = {
        fiscal_year(day, starts_in).label: fiscal_year(day, starts_in) for day in (today, ends)
    }
    return [
        period
        for year in years.values()
        for period in calendar.periods(every, year)
        if period.end_on > today and period.start_on <= ends
    ]


def _first_day(period: Period) -> date:
    return period.start_on


def _holds(valid: Any, period: Period) -> bool:
    return (valid.lower is None or valid.lower < period.end_on) and (
        valid.upper is None or valid.upper > period.start_on
    )


def ask(session: TenantSession, *, now: datetime) -> int:
    """Ask for everything that may be asked for today; say how many requests were made.

    Whoever asks at the same time waits, and finds it asked for.
    """
    me = scope_of(session).tenant_id
    known = parties(session)
    today = today_of(known[me], now)
    others = {each.whom.id for each in to_ask(session, today)}
    lock_relations(session, [pair for other in others for pair in both_ways(me, other)])
    made = [each for each in to_ask(session, today) if each.whom.id in others]
    for each in made:
        _ask(session, each, known[me].name, now)
    return len(made)


def _ask(session: TenantSession, what: ToAsk, asker: str, now: datetime) -> None:
    me, whom = scope_of(session).tenant_id, what.whom
    request_id, number = new_id(), public_id("V")
    fields: dict[str, Any] = {
        "id": request_id,
        "public_id": number,
        "payer_kind": whom.kind,
        "payer_key": whom.key,
        "agreement_key": what.agreement_key,
        "agreement": what.agreement,
        "version": what.version,
        "period_key": what.period.label,
        "amount_cents": what.amount_cents,
        "due_on": what.due_on,
        "asked_at": now,
    }
    put(
        session,
        AdvanceRequest(
            tenant_id=me,
            side="issued",
            counterparty_id=whom.id,
            asked_by=scope_of(session).person_id,
            **fields,
        ),
    )
    record(
        session,
        now=now,
        action="advance:request",
        subject_kind="advance_request",
        subject_id=request_id,
        detail={"agreement": what.agreement_key, "cents": what.amount_cents},
    )
    values = {
        "number": number,
        "partner": asker,
        "agreement": what.agreement,
        "period": period_words(what.period.label),
        "amount": format_cents(what.amount_cents),
        "day": what.due_on.isoformat(),
    }
    if whom.key is not None:
        if what.email:
            _write(session, EVENT_OUTSIDE, what.email, request_id, values, now)
        return
    payload = {name: str(value) for name, value in fields.items() if value is not None}
    deliver(
        session, to=whom.id, kind="advance_request", subject_id=request_id, payload=payload, now=now
    )
    with acting_for(session, whom.id):
        put(
            session,
            AdvanceRequest(tenant_id=whom.id, side="received", counterparty_id=me, **fields),
        )
        for person in who_may(session, Permissions.SETTLEMENT_EDIT):
            _write(session, EVENT, person.email, request_id, values, now)
        send(session)


def _write(
    session: TenantSession,
    event: str,
    email: str,
    request_id: UUID,
    values: dict[str, str],
    now: datetime,
) -> None:
    put(
        session,
        outbox_row(
            scope_of(session).tenant_id,
            event=event,
            recipient=email,
            language="en",
            now=now,
            subject_id=request_id,
            values=values,
        ),
    )


def asked(session: TenantSession, *, side: str) -> list[Asked]:
    """The requests of one side, the oldest first, with what has come of each. Four statements."""
    me = scope_of(session).tenant_id
    known = parties(session)
    bodies = {
        row.payer_key: (row.terms.get("outside") or {}).get("name")
        for row in session.execute(_AGREED, {"me": me})
        if row.payer_kind == "outside"
    }
    paid = "received" if side == "issued" else "paid"
    came = {
        (row.counterparty_id, row.payer_key): row.cents
        for row in session.execute(_CAME, {"me": me, "side": side, "paid": paid})
    }
    by_payer: defaultdict[tuple[UUID, str | None], list[AdvanceRequest]] = defaultdict(list)
    for row in session.scalars(
        select(AdvanceRequest)
        .where(AdvanceRequest.tenant_id == me, AdvanceRequest.side == side)
        .order_by(AdvanceRequest.due_on, AdvanceRequest.period_key, AdvanceRequest.id)
    ):
        by_payer[row.counterparty_id, row.payer_key].append(row)
    found = []
    for (other, key), rows in by_payer.items():
        name = known[other].name if key is None else bodies.get(key) or key
        parts = answered((row.amount_cents for row in rows), came.get((other, key), 0))
        found += [
            Asked(
                row.public_id,
                side,
                name,
                row.agreement_key,
                row.agreement,
                row.period_key,
                row.amount_cents,
                part,
                row.due_on,
                row.asked_at,
            )
            for row, part in zip(rows, parts, strict=True)
        ]
    return sorted(found, key=lambda each: (each.due_on, each.period_key, each.other))
