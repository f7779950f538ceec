"""Publish a partner's counts of a month, for the other partners and the region to read.

A month is published once, some days after its end, and never again: two versions of a count would
give away their difference. Every read here is of the bound partner's own rows; only what
:mod:`regional311.insight.suppression` lets out is written.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import case, func, select, tuple_
from sqlalchemy.orm import Session

from regional311.audit.service import record
from regional311.calendars import instant
from regional311.database.ids import new_id
from regional311.database.rows import put
from regional311.database.session import TenantSession, scope_of
from regional311.insight.figures import FIGURES
from regional311.insight.models import Trend
from regional311.insight.queries import UNKNOWN, asked, paths
from regional311.insight.suppression import THRESHOLD, suppress
from regional311.tenancy.models import Policy, Tenant

MONTHS: Final = 12
"""How far back a month that was never published is published still."""

SETTLES: Final = timedelta(days=10)
"""How long after its end a month is published: answers of its last days come in."""

UNMET_WAYS: Final = ("term", "area", "language", "unmet_reason")
SENT_WAYS: Final = ("partner", "loop")

Counts = dict[str, dict[str, int]]
"""Way of dividing → key → how many."""


@dataclass(frozen=True, slots=True)
class TrendRow:
    """A published month of a partner."""

    tenant_id: UUID
    month_on: date
    figures: Mapping[str, Any]
    threshold: int
    published_at: datetime


def publish_months(session: TenantSession, *, now: datetime) -> int:
    """Publish the bound partner's months that are over and were not published; say how many.

    Months without anything are left out. At most four statements, and one to write.
    """
    tenant_id = scope_of(session).tenant_id
    zone = session.execute(
        select(Tenant.zone).where(Tenant.tenant_id == tenant_id, Tenant.id == tenant_id)
    ).scalar_one()
    last = ((now - SETTLES).astimezone(ZoneInfo(zone))).date().replace(day=1)
    first = _months_before(last, MONTHS)
    known = set(
        session.scalars(
            select(Trend.month_on).where(Trend.tenant_id == tenant_id, Trend.month_on >= first)
        )
    )
    wanted = [
        month
        for month in (_months_before(last, each) for each in range(MONTHS, 0, -1))
        if month not in known
    ]
    if not wanted:
        return 0
    since, until = instant(zone, wanted[0]), instant(zone, last)
    threshold = _threshold(session, last)
    unmet = _unmet(session, tenant_id, zone, since, until)
    sent = _sent(session, tenant_id, zone, since, until)
    made = 0
    for month in wanted:
        figures = {
            name: _said(found.get(month, {}), ways, threshold)
            for name, found, ways in (("unmet", unmet, UNMET_WAYS), ("sent", sent, SENT_WAYS))
        }
        if all(each["total"] == 0 for each in figures.values()):
            continue
        row_id = new_id()
        put(
            session,
            Trend(
                tenant_id=tenant_id,
                id=row_id,
                month_on=month,
                figures=figures,
                threshold=threshold,
                published_at=now,
            ),
        )
        record(
            session,
            now=now,
            action="trend:publish",
            subject_kind="trend",
            subject_id=row_id,
            detail={"month": f"{month:%Y-%m}"},
        )
        made += 1
    return made


def trends(session: Session, *, since: date, until: date) -> list[TrendRow]:
    """Give what all partners published of months from one to another, the latest first."""
    columns = [getattr(Trend, name) for name in TrendRow.__dataclass_fields__]
    rows = session.execute(
        select(*columns)
        .where(Trend.month_on >= since, Trend.month_on <= until)
        .order_by(Trend.month_on.desc(), Trend.tenant_id)
    )
    return [TrendRow(*row) for row in rows]


def published_months(session: Session) -> list[date]:
    """Give the months of which any partner published something, the latest first."""
    found = select(Trend.month_on).distinct().order_by(Trend.month_on.desc()).limit(5 * MONTHS)
    return list(session.scalars(found))


def _said(counts: Counts, ways: Sequence[str], threshold: int) -> dict[str, Any]:
    total = sum(counts.get(ways[0], {}).values())
    said = suppress(total, {way: counts.get(way, {}) for way in ways}, threshold)
    return {"total": said.total, "divided": said.divided}


def _threshold(session: TenantSession, on: date) -> int:
    body = session.scalars(
        select(Policy.body)
        .where(
            Policy.key == "sharing",
            Policy.valid_from <= on,
            (Policy.valid_to.is_(None)) | (Policy.valid_to > on),
        )
        .order_by(Policy.valid_from.desc())
        .limit(1)
    ).one_or_none()
    return int(((body or {}).get("sharing") or {}).get("small_counts") or THRESHOLD)


def _month(zone: str, at: Any) -> Any:
    return func.date(func.date_trunc("month", func.timezone(zone, at))).label("month")


def _unmet(
    session: TenantSession, tenant_id: UUID, zone: str, since: datetime, until: datetime
) -> dict[date, Counts]:
    of = asked(tenant_id, since, until).c
    month = _month(zone, of.started_at)
    columns = [of[name] for name in UNMET_WAYS]
    inner = (
        select(month, *columns).where(FIGURES["unmet"].counts(of)).subquery("unmet_of_months")
    ).c
    return _by_month(session, inner, UNMET_WAYS)


def _sent(
    session: TenantSession, tenant_id: UUID, zone: str, since: datetime, until: datetime
) -> dict[date, Counts]:
    of = paths(tenant_id, since, until).c
    loop = case(
        (FIGURES["closed"].counts(of), "closed"),
        (FIGURES["never-known"].counts(of), "never_known"),
        else_="open",
    ).label("loop")
    partner = select(Tenant.slug).where(Tenant.id == of.counterparty_id).scalar_subquery()
    inner = (
        select(_month(zone, of.sent_at), partner.label("partner"), loop)
        .where(of.side == "sent")
        .subquery("sent_of_months")
    ).c
    return _by_month(session, inner, SENT_WAYS)


def _by_month(session: TenantSession, of: Any, ways: Sequence[str]) -> dict[date, Counts]:
    columns = [of[name] for name in ways]
    found: Iterable[Any] = session.execute(
        select(of.month, func.grouping(*columns), *columns, func.count()).group_by(
            func.grouping_sets(*(tuple_(of.month, each) for each in columns))
        )
    )
    counts: dict[date, Counts] = defaultdict(lambda: {way: {} for way in ways})
    everything = (1 << len(ways)) - 1
    for month, kind, *values, count in found:
        at = next(at for at in range(len(ways)) if kind == everything ^ (1 << (len(ways) - 1 - at)))
        counts[month][ways[at]][values[at] or UNKNOWN] = count
    return dict(counts)


def _months_before(month: date, count: int) -> date:
    at = month.year * 12 + month.month - 1 - count
    return date(at // 12, at % 12 + 1, 1)
