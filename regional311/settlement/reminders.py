"""Remind payers of what they owe and issuers of disputes they have not answered, each step once.

A payer's finance people hear a week before a statement is due, on the day, and every thirty days
that it is overdue, about what is open and not disputed; a body outside hears it from the issuer, at
its address. Who may decide disputes hears on the day after the last day to answer, and every
fourteen days from then on. A worker that was away tells the latest step only. Of a statement that
nobody was reminded of before, a step that is long past is not told: the next one is, on its day, so
that a first round is no burst of letters about old bills.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Final
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert

from regional311.chargeback import outside
from regional311.database.ids import new_id
from regional311.database.rows import put
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.identity.permissions import Permissions, permissions_of
from regional311.identity.queries import who_may
from regional311.money import format_cents
from regional311.notices.service import outbox_row
from regional311.settlement import disputes, queries
from regional311.settlement.models import PaymentReminder
from regional311.settlement.relations import parties, today_of

BEFORE_DAYS: Final = 7
AGAIN_DAYS: Final = 30
ESCALATED_DAYS: Final = 14
FRESH_DAYS: Final = 7
"""So long a first reminder may come after the day of its step."""
MOST_STEPS: Final = 12
"""After so many no more are told: then it is a matter for people."""
LISTED: Final = 10_000


def payment_step(due_on: date, today: date) -> str | None:
    """The step of reminding that has come: before, due, or overdue-30, overdue-60 and so on.

    >>> due = date(2026, 11, 30)
    >>> [payment_step(due, due + timedelta(days=day)) for day in (-8, -7, 0, 29, 30, 65)]
    [None, 'before', 'due', 'due', 'overdue-30', 'overdue-60']
    """
    days = (today - due_on).days
    if days < -BEFORE_DAYS:
        return None
    if days < 0:
        return "before"
    times = min(days // AGAIN_DAYS, MOST_STEPS)
    return f"overdue-{times * AGAIN_DAYS}" if times else "due"


def is_past(due_on: date, today: date) -> bool:
    """Whether the step that has come is too long past to be the first that is told.

    >>> due = date(2026, 11, 30)
    >>> [is_past(due, due + timedelta(days=day)) for day in (-7, -1, 0, 6, 7, 29, 30, 37)]
    [False, False, False, False, True, True, False, True]
    """
    days = (today - due_on).days
    last = min(max(days // AGAIN_DAYS, 0), MOST_STEPS) * AGAIN_DAYS
    return days - last >= FRESH_DAYS


def escalation_step(answer_by: date, today: date) -> str | None:
    """The step of escalating a dispute that was not answered in time.

    >>> last = date(2026, 11, 30)
    >>> [escalation_step(last, last + timedelta(days=day)) for day in (0, 1, 14, 15)]
    [None, 'unanswered-0', 'unanswered-0', 'unanswered-14']
    """
    days = (today - answer_by).days - 1
    if days < 0:
        return None
    return f"unanswered-{min(days // ESCALATED_DAYS, MOST_STEPS) * ESCALATED_DAYS}"


def remind(session: TenantSession, *, now: datetime) -> int:
    """Write this partner's reminders that are due into the outbox; say how many messages."""
    me = parties(session)[scope_of(session).tenant_id]
    if me.kind == "region":
        return 0
    today = today_of(me, now)
    return (
        _remind_of_payments(session, today, now)
        + _remind_outside(session, today, now)
        + _escalate(session, today, now)
    )


def _remind_of_payments(session: TenantSession, today: date, now: datetime) -> int:
    told = 0
    people: list[str] | None = None
    for row, step in _due(session, "received", today).values():
        if people is None:
            people = [each.email for each in who_may(session, Permissions.SETTLEMENT_EDIT)]
        if not _first(session, row.id, step, len(people), now):
            continue
        event = {"before": "payment_due_soon", "due": "payment_due"}.get(step, "payment_overdue")
        values = {
            "number": row.number,
            "partner": row.counterparty,
            "day": row.due_on.isoformat(),
            "days": str(row.open.days_overdue),
            "amount": format_cents(row.open.undisputed_cents),
        }
        told += _tell(session, people, event, row.id, values, now)
    return told


def _due(
    session: TenantSession, side: str, today: date, *, payer_kind: str = "partner"
) -> dict[UUID, tuple[queries.OpenRow, str]]:
    """What is open, not disputed, and has a step to tell of, by its id."""
    found = {
        row.id: (row, step)
        for row in queries.documents(session, today, side=side)
        if row.payer_kind == payer_kind
        and row.open.undisputed_cents > 0
        and (step := payment_step(row.due_on, today)) is not None
    }
    past = {each for each, (row, _) in found.items() if is_past(row.due_on, today)}
    if past:
        past -= set(
            session.scalars(
                select(PaymentReminder.subject_id).where(
                    PaymentReminder.tenant_id == scope_of(session).tenant_id,
                    PaymentReminder.subject_id.in_(past),
                )
            )
        )
    return {each: said for each, said in found.items() if each not in past}


_OUTSIDE = text("""
SELECT s.id, s.parties, coalesce((
    SELECT a.terms->'outside'->>'email' FROM agreements a
    WHERE a.provider_id = :me AND a.payer_kind = 'outside' AND a.payer_key = s.payer_key
        AND lower(a.valid) <= :today
    ORDER BY lower(a.valid) DESC, a.version DESC LIMIT 1
), s.parties->'payer'->'contact'->>'email') AS email
FROM statements s WHERE s.tenant_id = :me AND s.id = ANY(:ids)
""")


def _remind_outside(session: TenantSession, today: date, now: datetime) -> int:
    """Remind bodies outside of what they owe to this partner, where it has their address.

    What has no address is no step told: it comes when there is one. The latest agreement says where
    they are reached, otherwise the statement.
    """
    due = _due(session, "issued", today, payer_kind="outside")
    if not due:
        return 0
    reached = session.execute(
        _OUTSIDE,
        {"me": scope_of(session).tenant_id, "today": today, "ids": list(due)},
    ).all()
    told = 0
    for statement_id, parties_then, email in reached:
        row, step = due[statement_id]
        if not email or not _first(session, statement_id, step, 1, now):
            continue
        event = {"before": "outside_due_soon", "due": "outside_due"}.get(step, "outside_overdue")
        values = {
            "days": str(row.open.days_overdue),
            "amount": format_cents(row.open.undisputed_cents),
        }
        outside.write(
            session,
            event,
            statement_id,
            email,
            row.number,
            row.due_on,
            parties_then,
            values,
            now=now,
        )
        told += 1
    return told


def _escalate(session: TenantSession, today: date, now: datetime) -> int:
    told = 0
    for row in queries.disputes(session, side="issued", still_open=True, limit=LISTED):
        step = escalation_step(row.answer_by, today)
        if step is None:
            continue
        people = [
            each.email
            for each in disputes.answerers(session)
            if each.person_id == row.owner_id
            or Permissions.DISPUTE_APPROVE in permissions_of(each.roles)
        ]
        if not _first(session, row.id, step, len(people), now):
            continue
        values = {
            "number": row.public_id,
            "partner": row.counterparty,
            "statement": row.statement,
            "day": row.answer_by.isoformat(),
            "amount": format_cents(row.open_cents),
            "owner": row.owner_name or "nobody",
        }
        told += _tell(session, people, "dispute_unanswered", row.id, values, now)
    return told


def _tell(
    session: TenantSession,
    people: list[str],
    event: str,
    subject_id: UUID,
    values: dict[str, str],
    now: datetime,
) -> int:
    for email in people:
        put(
            session,
            outbox_row(
                scope_of(session).tenant_id,
                event=event,
                recipient=email,
                language="en",
                now=now,
                subject_id=subject_id,
                values=values,
            ),
        )
    return len(people)


def _first(session: TenantSession, subject_id: UUID, step: str, told: int, now: datetime) -> bool:
    """Whether a step is told of for the first time; it is remembered at once."""
    made = session.execute(
        insert(PaymentReminder)
        .values(
            tenant_id=scope_of(session).tenant_id,
            id=new_id(),
            subject_id=subject_id,
            step=step,
            told=told,
            at=now,
        )
        .on_conflict_do_nothing()
        .returning(PaymentReminder.id)
    ).scalar_one_or_none()
    if made is not None:
        mark_changed(session)
    return made is not None
