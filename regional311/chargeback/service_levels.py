"""How well the promises of an agreement were kept, period by period, from what was recorded.

Each measure reads facts that the provider has anyway:

- `answer_seconds`: how long nine in ten callers waited, over the telephone contacts of the work;
- `first_contact_percent`: how many contacts ended with an answer or a filed request at once;
- `accept_hours`, `close_days`: within how many hours nine in ten of the payer's referrals were
  answered, within how many days closed. One that is still open at the end of the period counts with
  its age once that is over the goal, so that a promise is not kept by never answering.

What nobody recorded is *not measured*, never *kept*: somebody enters the figure with its source.
Readings that are shared are a row on each side with the same id. A missed promise with a credit
gives `credits`, from which billing makes its lines.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, select, text

from regional311.audit.service import record
from regional311.calendars import Period
from regional311.chargeback.agreement_terms import Target, Terms
from regional311.chargeback.calendar import period_of
from regional311.chargeback.models import Agreement, ServiceLevelReading
from regional311.database.ids import new_id
from regional311.database.rows import put
from regional311.database.session import TenantSession, acting_for, scope_of
from regional311.errors import Forbidden, InvalidInput, NotFound
from regional311.exchange.service import tell
from regional311.tenancy.models import Tenant

READING: Final = "service_level"
MEASURED: Final = "Measured from contacts and referrals"
MAX_SOURCE: Final = 500


@dataclass(frozen=True, slots=True)
class Credit:
    """What a missed promise gives back: `percent` of the gross of the period."""

    key: str
    name: str
    reading: Decimal
    goal: Decimal
    percent: Decimal


@dataclass(frozen=True, slots=True)
class Level:
    """One promise in one period; `reading` is None when it was not measured.

    `count` is how many pieces of work it rests on; `source` says where it comes from.
    """

    target: Target
    reading: Decimal | None
    count: int
    source: str | None
    entered: bool = False

    @property
    def met(self) -> bool | None:
        """Whether it was kept; None when nobody knows."""
        return None if self.reading is None else self.target.met(self.reading)


_WORK = """
SELECT e.contact_id, e.occurred_at FROM usage_events e
WHERE e.tenant_id = :tenant AND e.occurred_at >= :since AND e.occurred_at < :until
    AND e.activity = 'contact_handled' AND e.reverses_id IS NULL
    AND (CAST(:services AS text[]) IS NULL OR e.service_key = ANY(CAST(:services AS text[])))
    AND CASE :kind
        WHEN 'partner' THEN :payer = CASE :rule
            WHEN 'service_owner' THEN e.service_owner_id
            WHEN 'jurisdiction' THEN e.jurisdiction_id
            WHEN 'referrer' THEN e.referrer_id
            ELSE e.line_owner_id END
        WHEN 'bureau' THEN e.service_owner_id = :tenant
            AND (CAST(:key AS text) IS NULL OR e.bureau_key = :key)
        ELSE true END
    AND NOT EXISTS (SELECT 1 FROM usage_events r
        WHERE r.tenant_id = e.tenant_id AND r.reverses_id = e.id)
"""

_REFERRED = """
SELECT r.id, r.public_id, r.sent_at, {ended} AS ended_at,
    extract(epoch FROM coalesce(least({ended}, :until), :until) - r.sent_at) / {unit} AS age,
    {ended} IS NOT NULL AND {ended} < :until AS done
FROM referrals r
WHERE r.tenant_id = :tenant AND r.side = 'received' AND r.counterparty_id = :payer
    AND r.state NOT IN ('draft', 'entered_in_error') AND r.sent_at < :until
    AND ({ended} IS NULL OR {ended} >= :since)
"""
_BEHIND: dict[str, str] = {
    "answer_seconds": f"""
SELECT c.public_id, c.started_at AS at, c.wait_seconds AS value
FROM ({_WORK}) w JOIN contacts c ON c.tenant_id = :tenant AND c.id = w.contact_id
WHERE c.channel = 'phone'""",
    "first_contact_percent": f"""
SELECT c.public_id, c.started_at AS at,
    CASE WHEN c.disposition IN ('answered', 'request_filed') THEN 100 ELSE 0 END AS value
FROM ({_WORK}) w JOIN contacts c ON c.tenant_id = :tenant AND c.id = w.contact_id
WHERE c.disposition IS NOT NULL AND c.disposition <> 'hang_up'""",
    "accept_hours": "SELECT public_id, sent_at AS at, age AS value FROM ("
    + _REFERRED.format(ended="r.answered_at", unit=3600)
    + ") f WHERE done OR age > :goal",
    "close_days": "SELECT public_id, sent_at AS at, age AS value FROM ("
    + _REFERRED.format(ended="r.closed_at", unit=86400)
    + ") f WHERE done OR age > :goal",
}
"""The work behind a reading: its number, when, and its own figure."""

_READ: dict[str, str] = {
    "answer_seconds": "SELECT CASE WHEN max(value) > 0"
    " THEN percentile_disc(0.9) WITHIN GROUP (ORDER BY value) END, count(*) FROM",
    "first_contact_percent": "SELECT round(avg(value), 2), count(*) FROM",
    "accept_hours": "SELECT round(percentile_disc(0.9) WITHIN GROUP (ORDER BY value)::numeric, 2),"
    " count(*) FROM",
    "close_days": "SELECT round(percentile_disc(0.9) WITHIN GROUP (ORDER BY value)::numeric, 2),"
    " count(*) FROM",
}


def levels(session: TenantSession, agreement: Any, period: Period) -> list[Level]:
    """Each promise of an agreement in a period, as this partner knows it.

    The provider measures; a figure that somebody entered or shared goes before what is measured.
    The other party knows what was shared with it. `agreement` is a version's row.
    """
    terms = Terms.of(agreement.terms)
    if not terms.targets:
        return []
    entered = _entered(session, agreement.key, period.label)
    found = []
    for target in terms.targets:
        row = entered.get(target.key)
        if row is not None:
            found.append(Level(target, _plain(row.reading), 0, row.source, entered=True))
            continue
        reading, count = None, 0
        if agreement.provider_id == scope_of(session).tenant_id:
            reading, count = _measured(session, agreement, target, period)
        found.append(Level(target, reading, count, None if reading is None else MEASURED))
    return found


def credits(  # noqa: A001 - read as service_levels.credits
    session: TenantSession, agreement: Any, period: Period
) -> list[Credit]:
    """What the promises missed in a period give back, for the provider that bills it.

    `agreement` has the `key` and the `terms` of the version; its parties are read when needed. A
    promise that was not measured gives nothing.
    """
    if not any(each.credit_percent for each in Terms.of(agreement.terms).targets):
        return []
    row = _version(session, agreement.key, period)
    return [
        Credit(
            each.target.key,
            each.target.name,
            each.reading,
            each.target.goal,
            each.target.credit_percent,
        )
        for each in levels(session, row, period)
        if each.reading is not None and each.met is False and each.target.credit_percent
    ]


def behind(
    session: TenantSession, agreement: Any, target: Target, period: Period, *, limit: int = 100
) -> list[Row[Any]]:
    """The work behind a reading, the worst first: `public_id`, `at`, `value`; the provider's."""
    worst = "ASC" if target.measure == "first_contact_percent" else "DESC"
    return list(
        session.execute(
            text(f"{_BEHIND[target.measure]} ORDER BY value {worst}, 1 LIMIT :limit"),
            {**_bounds(session, agreement, target, period), "limit": limit},
        )
    )


def enter(
    session: TenantSession,
    agreement: Any,
    *,
    target_key: str,
    period_key: str,
    reading: Decimal,
    source: str,
    now: datetime,
) -> UUID:
    """Enter a figure of the provider's with its source; the other party gets it too.

    Raises `InvalidInput` for a promise or period that there is not, a figure below zero, a share
    over 100, or no source; `Forbidden` for the payer.
    """
    me = scope_of(session)
    if agreement.provider_id != me.tenant_id:
        raise Forbidden("The provider enters how well it kept its promises.")
    targets = {each.key: each for each in Terms.of(agreement.terms).targets}
    if target_key not in targets:
        raise InvalidInput("The agreement promises no such thing.", field="target")
    period = period_of(period_key)
    if period is None:
        raise InvalidInput("Write the period as a month, such as 2026-10.", field="period")
    most = 100 if targets[target_key].measure == "first_contact_percent" else 10**9
    if not (reading.is_finite() and 0 <= reading <= most):
        raise InvalidInput(f"A figure from 0 to {most} is needed.", field="reading")
    said = source.strip()
    if not said or len(said) > MAX_SOURCE:
        raise InvalidInput(
            f"Say where the figure comes from, in at most {MAX_SOURCE} characters.",
            field="source",
        )
    values: dict[str, Any] = {
        "id": new_id(),
        "agreement_key": agreement.key,
        "target_key": target_key,
        "period_key": period.label,
        "reading": reading,
        "source": said,
        "entered_at": now,
    }
    _keep(session, values, me.person_id, now)
    if agreement.payer_kind == "partner":
        tell(
            session,
            to=agreement.payer_id,
            kind=READING,
            subject_id=values["id"],
            payload={
                "agreement": agreement.key,
                "target": target_key,
                "period": period.label,
                "reading": str(reading),
                "source": said,
            },
            now=now,
        )
        with acting_for(session, agreement.payer_id):
            _keep(session, values, None, now)
    found: UUID = values["id"]
    return found


def share(session: TenantSession, agreement: Any, period: Period, *, now: datetime) -> int:
    """Write down what was measured in a period, on both sides; say how many promises that were."""
    shared = 0
    for each in levels(session, agreement, period):
        if each.entered or each.reading is None:
            continue
        enter(
            session,
            agreement,
            target_key=each.target.key,
            period_key=period.label,
            reading=each.reading,
            source=f"{MEASURED} ({each.count})",
            now=now,
        )
        shared += 1
    return shared


def _keep(
    session: TenantSession, values: Mapping[str, Any], person_id: UUID | None, now: datetime
) -> None:
    tenant_id = scope_of(session).tenant_id
    put(session, ServiceLevelReading(tenant_id=tenant_id, entered_by=person_id, **values))
    record(
        session,
        now=now,
        action="service_level:enter",
        subject_kind="service_level_reading",
        subject_id=values["id"],
        detail={name: values[f"{name}_key"] for name in ("agreement", "target", "period")},
    )


def written(session: TenantSession, key: str) -> list[Row[Any]]:
    """Every figure of an agreement that was entered or shared, the newest period first.

    Of each promise and period only the latest.
    """
    rows = session.execute(
        select(ServiceLevelReading.__table__)
        .where(
            ServiceLevelReading.tenant_id == scope_of(session).tenant_id,
            ServiceLevelReading.agreement_key == key,
        )
        .order_by(ServiceLevelReading.entered_at, ServiceLevelReading.id)
    )
    latest = {(row.period_key, row.target_key): row for row in rows}
    return [latest[key] for key in sorted(latest, reverse=True)]


def _entered(session: TenantSession, key: str, period_key: str) -> dict[str, Any]:
    rows = session.execute(
        select(ServiceLevelReading.__table__)
        .where(
            ServiceLevelReading.tenant_id == scope_of(session).tenant_id,
            ServiceLevelReading.agreement_key == key,
            ServiceLevelReading.period_key == period_key,
        )
        .order_by(ServiceLevelReading.entered_at, ServiceLevelReading.id)
    )
    return {row.target_key: row for row in rows}


def _version(session: TenantSession, key: str, period: Period) -> Row[Any]:
    table = Agreement.__table__
    row = session.execute(
        select(table)
        .where(
            table.c.key == key,
            table.c.provider_id == scope_of(session).tenant_id,
            table.c.valid.op("&&")(
                text("daterange(:first_day, :end_day)").bindparams(
                    first_day=period.start_on, end_day=period.end_on
                )
            ),
        )
        .order_by(table.c.version)
        .limit(1)
    ).one_or_none()
    if row is None:
        raise NotFound("There is no such agreement in that period.")
    return row


def _measured(
    session: TenantSession, agreement: Any, target: Target, period: Period
) -> tuple[Decimal | None, int]:
    found = session.execute(
        text(f"{_READ[target.measure]} ({_BEHIND[target.measure]}) b"),
        _bounds(session, agreement, target, period),
    ).one()
    reading = None if found[0] is None else _plain(Decimal(found[0]))
    return reading, found[1]


def _plain(figure: Decimal) -> Decimal:
    """A figure without closing zeros and without an exponent."""
    return Decimal(f"{figure.normalize():f}")


def _bounds(
    session: TenantSession, agreement: Any, target: Target, period: Period
) -> dict[str, Any]:
    me = scope_of(session).tenant_id
    zone = session.execute(
        select(Tenant.zone).where(Tenant.tenant_id == me, Tenant.id == me)
    ).scalar_one()
    since, until = period.bounds(zone)
    return {
        "tenant": me,
        "payer": agreement.payer_id,
        "kind": agreement.payer_kind,
        "key": agreement.payer_key,
        "rule": agreement.payer_rule,
        "services": list(Terms.of(agreement.terms).services) or None,
        "goal": target.goal,
        "since": since,
        "until": until,
    }
