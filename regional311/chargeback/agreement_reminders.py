"""Remind both sides, in good time and once, that an agreement ends.

Either side must say by the notice whether it goes on; the reminders come so many days before that
(`expiry_reminder_days`, usually 180, 90 and 30). They go through the outbox to each side's people
who may draft its next version. A worker that was away sends the latest step only.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from regional311.chargeback.agreement_terms import Terms
from regional311.chargeback.agreements import newest, parties
from regional311.chargeback.models import AgreementReminder
from regional311.database.ids import new_id
from regional311.database.rows import put
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.identity.permissions import Permissions
from regional311.identity.queries import who_may
from regional311.notices.service import outbox_row
from regional311.tenancy.models import Tenant

EVENT: Final = "agreement_expiring"


def notice_days(terms: Terms) -> int:
    """How many days before the end either side says whether it goes on."""
    return terms.notice_days if terms.ends_notice_days is None else terms.ends_notice_days


def reminded_from(terms: Terms) -> int:
    """How many days before its end the first reminder comes: from then on it is expiring."""
    return notice_days(terms) + max(terms.expiry_reminder_days, default=0)


def steps_due(terms: Terms, ends_on: date, today: date) -> list[int]:
    """The steps whose day has come, the latest last; none once the agreement is over.

    >>> steps_due(Terms(notice_days=90), date(2029, 7, 1), date(2029, 1, 15))
    [180, 90]
    """
    if today >= ends_on:
        return []
    notice = timedelta(days=notice_days(terms))
    return [
        days
        for days in terms.expiry_reminder_days
        if today >= ends_on - notice - timedelta(days=days)
    ]


def remind(session: TenantSession, *, now: datetime) -> int:
    """Write this partner's reminders that are due into the outbox; say how many messages."""
    me = scope_of(session).tenant_id
    rows = [row for row in newest(parties(session)) if row.valid.upper is not None]
    rows = [row for row in rows if me in (row.provider_id, row.payer_id)]
    if not rows:
        return 0
    zone, name = session.execute(
        select(Tenant.zone, Tenant.name).where(Tenant.tenant_id == me, Tenant.id == me)
    ).one()
    today = now.astimezone(ZoneInfo(zone)).date()
    told = 0
    people: list[str] | None = None
    for row in rows:
        terms = Terms.of(row.terms)
        due = steps_due(terms, row.valid.upper, today)
        if not due:
            continue
        if people is None:
            people = [each.email for each in who_may(session, Permissions.AGREEMENT_EDIT)]
        fresh = [
            days
            for days in due
            if _first(session, row.key, row.valid.upper, days, now, len(people))
        ]
        if due[-1] not in fresh:
            continue
        last_day = row.valid.upper - timedelta(days=1)
        say_by = row.valid.upper - timedelta(days=notice_days(terms))
        for email in people:
            put(
                session,
                outbox_row(
                    me,
                    event=EVENT,
                    recipient=email,
                    language="en",
                    now=now,
                    subject_id=row.id,
                    values={
                        "agreement": row.name,
                        "reference": terms.reference,
                        "partner": name,
                        "last_day": last_day.isoformat(),
                        "notice_day": say_by.isoformat(),
                    },
                ),
            )
            told += 1
    return told


def _first(
    session: TenantSession, key: str, ends_on: date, days: int, now: datetime, told: int
) -> bool:
    """Whether a step is reminded of for the first time; it is remembered at once."""
    made = session.execute(
        insert(AgreementReminder)
        .values(
            tenant_id=scope_of(session).tenant_id,
            id=new_id(),
            agreement_key=key,
            ends_on=ends_on,
            days=days,
            told=told,
            at=now,
        )
        .on_conflict_do_nothing()
        .returning(AgreementReminder.id)
    ).scalar_one_or_none()
    if made is not None:
        mark_changed(session)
    return made is not None
