"""Assess interest on what is overdue and undisputed, and draft it as debit memos.

A statement bears interest when every agreement it rests on has a rate, at the lowest of them. What
is assessed for a day is never assessed for it again: the days of a statement's assessments cannot
overlap, unless the memo of one became void before it was issued. Amounts that round to nothing wait
for the next time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import Range

from regional311.audit.service import record
from regional311.chargeback import billing
from regional311.chargeback.memos import DEBIT_MEMO
from regional311.chargeback.series import lock_series
from regional311.chargeback.statement import Line, Payer
from regional311.database.ids import new_id
from regional311.database.rows import put
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.money import from_cents
from regional311.settlement import queries
from regional311.settlement.accrual import Stretch, first_day, interest_cents, stretches
from regional311.settlement.ageing import open_amounts
from regional311.settlement.models import InterestAssessment
from regional311.settlement.relations import both_ways, lock_relations, parties, today_of


@dataclass(frozen=True, slots=True)
class Accrued:
    """Interest that can be assessed on a statement: for which days, on what, how much."""

    row: queries.OpenRow
    first: date
    to: date
    """Exclusive."""
    over: tuple[Stretch, ...]
    percent: Decimal
    cents: int


def accrued(session: TenantSession, *, now: datetime) -> list[Accrued]:
    """The interest on every statement that this partner issued, up to and without today.

    A fixed number of statements; nothing is written.
    """
    me = parties(session)[scope_of(session).tenant_id]
    today = today_of(me, now)
    rows = queries.documents(session, today, side="issued")
    assessed = _assessed_to(session)
    bearing = [
        row
        for row in rows
        if not row.is_interest and row.total_cents > 0 and row.interest_percent > 0
    ]
    if not bearing:
        return []
    history = _History(rows, queries.movements(session, [row.id for row in rows], zone=me.zone))
    found = []
    for row in bearing:
        first = first_day(row.due_on, assessed.get(row.id))
        if first >= today:
            continue
        over = stretches(first, today, history.of(row, first, today))
        if not over:
            continue
        cents = interest_cents(over, row.interest_percent)
        if cents:
            found.append(Accrued(row, first, today, tuple(over), row.interest_percent, cents))
    return found


def assess(
    session: TenantSession, *, now: datetime, statement_ids: Iterable[UUID] | None = None
) -> list[UUID]:
    """Draft a debit memo for the interest on each overdue statement, or on some; give their ids.

    Doing it again the same day drafts nothing more. A draft bills nothing before it is approved by
    a second person and issued.
    """
    me = scope_of(session).tenant_id
    wanted = None if statement_ids is None else set(statement_ids)
    others = {each.row.counterparty_id for each in accrued(session, now=now)}
    lock_relations(session, [pair for other in others for pair in both_ways(me, other)])
    lock_series(session)
    _free_void(session)
    drafted = []
    for each in accrued(session, now=now):
        if wanted is not None and each.row.id not in wanted:
            continue
        drafted.append(_draft(session, each, now))
    return drafted


def _draft(session: TenantSession, each: Accrued, now: datetime) -> UUID:
    me = scope_of(session).tenant_id
    row = each.row
    basis: list[dict[str, Any]] = [
        {
            "from": stretch.first.isoformat(),
            "to": stretch.to.isoformat(),
            "days": stretch.days,
            "cents": stretch.cents,
        }
        for stretch in each.over
    ]
    last = each.to - timedelta(days=1)
    agreement = min(row.terms.get("agreements") or {"": None})
    line = Line(
        position=0,
        kind="interest",
        service_period=row.period_key,
        line_key=f"interest|{row.number}|{each.first.isoformat()}",
        label=(
            f"Interest of {each.percent.normalize():f} % a year on {row.number},"
            f" {each.first.isoformat()} to {last.isoformat()}"
        ),
        agreement_key=agreement,
        basis={
            "interest": {
                "statement": row.number,
                "percent": f"{each.percent.normalize():f}",
                "from": each.first.isoformat(),
                "to": each.to.isoformat(),
                "over": basis,
            },
            "reason": "Overdue",
        },
        quantity=Decimal(1),
        price=None,
        exact_amount=from_cents(each.cents),
        item_count=0,
    )
    memo_id = billing.put_draft(
        session,
        None,
        Payer(row.counterparty_id, row.payer_kind, row.payer_key),
        [line],
        kind=DEBIT_MEMO,
        corrects_id=row.id,
        period_key=row.period_key,
        now=now,
    )
    put(
        session,
        InterestAssessment(
            tenant_id=me,
            id=new_id(),
            statement_id=row.id,
            days=Range(each.first, each.to),
            percent=each.percent,
            cents=each.cents,
            basis=basis,
            memo_id=memo_id,
            assessed_at=now,
        ),
    )
    record(
        session,
        now=now,
        action="interest:assess",
        subject_kind="statement",
        subject_id=row.id,
        detail={"cents": each.cents, "memo": str(memo_id)},
    )
    return memo_id


def _free_void(session: TenantSession) -> None:
    """Let days whose memo became void be assessed again."""
    session.execute(
        text(
            "UPDATE interest_assessments a SET live = false WHERE a.tenant_id = :tenant AND a.live"
            " AND EXISTS (SELECT FROM statement_events e WHERE e.tenant_id = :tenant"
            "  AND e.statement_id = a.memo_id AND e.state = 'void')"
        ),
        {"tenant": scope_of(session).tenant_id},
    )
    mark_changed(session)


def _assessed_to(session: TenantSession) -> dict[UUID, date]:
    """The day after the last that was assessed, of each statement; void memos do not count."""
    rows = session.execute(
        text(
            "SELECT a.statement_id, max(upper(a.days)) AS day FROM interest_assessments a"
            " WHERE a.tenant_id = :tenant AND a.live AND NOT EXISTS ("
            "  SELECT FROM statement_events e WHERE e.tenant_id = :tenant"
            "  AND e.statement_id = a.memo_id AND e.state = 'void') GROUP BY a.statement_id"
        ),
        {"tenant": scope_of(session).tenant_id},
    )
    return {row.statement_id: row.day for row in rows}


class _History:
    """The principal of each document at the end of the days on which anything changed."""

    def __init__(
        self, rows: Iterable[queries.OpenRow], movements: Iterable[queries.Movement]
    ) -> None:
        self.rows = list(rows)
        self.by_document: defaultdict[UUID, list[queries.Movement]] = defaultdict(list)
        self.known: dict[tuple[tuple[UUID, str | None], date], dict[UUID, int]] = {}
        for each in movements:
            self.by_document[each.document_id].append(each)

    def of(self, row: queries.OpenRow, first: date, to: date) -> list[tuple[date, int]]:
        """What of a document bore interest from the end of each day on, until the day `to`."""
        family = [other for other in self.rows if other.party == row.party]
        days = {first}
        for other in family:
            days.add(other.issued_on)
            days.update(each.on for each in self.by_document[other.id])
        return [
            (day, self._principals(row.party, family, day).get(row.id, 0))
            for day in sorted(days)
            if day < to
        ]

    def _principals(
        self, party: tuple[UUID, str | None], family: Iterable[queries.OpenRow], day: date
    ) -> dict[UUID, int]:
        """What of each document of a party bore interest from the end of a day on."""
        if (party, day) not in self.known:
            documents, disputed = [], {}
            for row in family:
                if row.issued_on > day:
                    continue
                moved = [each for each in self.by_document[row.id] if each.on <= day]
                applied = sum(each.applied_cents for each in moved)
                documents.append(replace(row.open.document, applied_cents=applied))
                disputed[row.id] = sum(each.disputed_cents for each in moved)
            left = open_amounts(documents)
            self.known[party, day] = {each: left[each] - disputed[each] for each in left}
        return self.known[party, day]


def assessments(session: TenantSession, statement_id: UUID) -> list[InterestAssessment]:
    """The interest that was assessed on a statement, the earliest first. One statement."""
    return list(
        session.scalars(
            select(InterestAssessment)
            .where(
                InterestAssessment.tenant_id == scope_of(session).tenant_id,
                InterestAssessment.statement_id == statement_id,
            )
            .order_by(InterestAssessment.id)
        )
    )
