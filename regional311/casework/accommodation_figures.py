"""How many accommodation requests and complaints there are, and how fast: no person in sight."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Float, func, select

from regional311.casework.models import Accommodation
from regional311.database.session import TenantSession, scope_of


def counted_until(year: int, today: date) -> date:
    """The day before which what came in is counted: whole months only.

    Counts that grew with every day would tell, from one day to the next, what somebody asked for.

    >>> counted_until(2025, date(2026, 11, 26))
    datetime.date(2026, 1, 1)
    >>> counted_until(2026, date(2026, 11, 26))
    datetime.date(2026, 11, 1)
    """
    return min(date(year + 1, 1, 1), today.replace(day=1))


@dataclass(frozen=True, slots=True)
class Group:
    """How many of one sort, kind, bureau and outcome that holds, and how fast they were.

    `days_to_decide` is the sum of the days of all that are decided.
    """

    sort: str
    kind: str
    bureau: str
    outcome: str
    many: int
    acknowledged_in_time: int
    decided: int
    decided_in_time: int
    days_to_decide: float
    appealed: int
    changed_on_appeal: int


def counts(session: TenantSession, *, since: datetime, until: datetime, zone: str) -> list[Group]:
    """Count what came in between two moments, by days of a time zone: one statement.

    An outcome is the one that holds after an appeal; times are those of the first decision.
    """
    row = Accommodation

    def day(moment: Any) -> Any:
        return func.date(func.timezone(zone, moment))

    holds = func.coalesce(row.appeal_outcome, row.outcome)
    days = func.extract("epoch", row.decided_at - row.received_at) / 86_400
    rows = session.execute(
        select(
            row.sort,
            row.kind,
            func.coalesce(row.bureau_key, ""),
            func.coalesce(holds, ""),
            func.count(),
            func.count().filter(day(row.acknowledged_at) <= row.acknowledge_by),
            func.count().filter(row.decided_at.is_not(None)),
            func.count().filter(day(row.decided_at) <= row.decide_by),
            func.coalesce(func.sum(days), 0).cast(Float),
            func.count().filter(row.appealed_at.is_not(None)),
            func.count().filter(row.appeal_outcome != row.outcome),
        )
        .where(
            row.tenant_id == scope_of(session).tenant_id,
            row.received_at >= since,
            row.received_at < until,
        )
        .group_by(row.sort, row.kind, row.bureau_key, holds)
    )
    return [Group(*each) for each in rows]
