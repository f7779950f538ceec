"""The demo's same month a year earlier: its work, its bills, all paid, so that covers compare.

The work is that of the demo's month, a year earlier and a twelfth less, as records that were kept
before anybody kept contacts here: nothing leads from it to a contact. It is priced and billed by
the rates, agreements and pools of its own days, by the same steps as any month.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import UTC, datetime, time, timedelta
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Engine, select

from regional311.calendars import Period
from regional311.chargeback.month import bill_month
from regional311.database.rows import put, send
from regional311.database.session import Scope, session_scope
from regional311.demo.money import pay
from regional311.metering.models import UsageEvent
from regional311.metering.service import Usage, usage_row
from regional311.referral.snapshot import Published

LEFT_OUT: Final = 12
"""Every so many pieces of work were not there a year earlier."""

AT_ONCE: Final = 5_000
_FACTS: Final = tuple(each.name for each in fields(Usage))


def year_before(period: Period) -> Period:
    """The same month of the year before.

    >>> year_before(Period.of(2026, 10)).label
    '2025-10'
    """
    return Period.of(period.start_on.year - 1, period.start_on.month)


def bill_year_before(
    engine: Engine,
    region: Published,
    period: Period,
    *,
    finance: Mapping[UUID, UUID],
    approver: Mapping[UUID, UUID],
) -> None:
    """Record, bill and pay the month before anything of this year is billed; once."""
    earlier = year_before(period)
    partners = {slug: region.ids[slug] for slug in region.partners}
    for slug, tenant_id in partners.items():
        _record(engine, tenant_id, region.tenant(slug).zone, period, earlier)
    billed = bill_month(
        engine,
        partners,
        earlier,
        preparer=finance,
        approver=approver,
        until="issued",
        now=_morning(earlier.next().start_on.replace(day=5)),
    )
    paid_at = _morning(earlier.next().next().start_on)
    for bill in billed:
        if bill.payer_kind == "partner" and bill.total_cents > 0:
            pay(engine, region, bill, bill.total_cents, finance[bill.issuer_id], paid_at)


def _morning(day: Any) -> datetime:
    return datetime.combine(day, time(17), UTC)


def _record(engine: Engine, tenant_id: UUID, zone: str, period: Period, earlier: Period) -> None:
    """Keep the work of the month as that of the month a year earlier, unless it is there."""
    begins, ends = period.bounds(zone)
    shift = timedelta(days=(period.start_on - earlier.start_on).days)
    table, local = UsageEvent.__table__, ZoneInfo(zone)
    with session_scope(engine, Scope(tenant_id)) as session:
        first, last = earlier.bounds(zone)
        there = session.execute(
            select(table.c.id)
            .where(
                table.c.tenant_id == tenant_id,
                table.c.occurred_at >= first,
                table.c.occurred_at < last,
            )
            .limit(1)
        ).first()
        if there is not None:
            return
        rows = (
            session.execute(
                select(*(table.c[name] for name in _FACTS))
                .where(
                    table.c.tenant_id == tenant_id,
                    table.c.occurred_at >= begins,
                    table.c.occurred_at < ends,
                    table.c.reverses_id.is_(None),
                )
                .order_by(table.c.occurred_at, table.c.source_key)
            )
            .mappings()
            .all()
        )
        for start in range(0, len(rows), AT_ONCE):
            for number, row in enumerate(rows[start : start + AT_ONCE], start):
                if number % LEFT_OUT == 0:
                    continue
                # the same hour of the day, whatever the clocks did between
                done = (row["occurred_at"].astimezone(local) - shift).astimezone(UTC)
                usage = replace(
                    Usage(**row),
                    source_key=f"{earlier.label}:{row['source_key']}",
                    occurred_at=done,
                    received_at=done,
                    booked_on=done.astimezone(local).date(),
                    contact_id=None,
                    subject_id=None,
                )
                put(session, usage_row(tenant_id, usage))
            send(session)
