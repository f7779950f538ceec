"""Erase what accommodations were about once the partner's time to keep it is over.

What stays is what is counted: sort, kind, bureau, channel, language, days and outcome, and which
steps were taken. Nothing of it leads to a person: no words, no names, no addresses, no link.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Final

from sqlalchemy import Text, cast, func, or_, select, update

from regional311.audit.service import audit_row
from regional311.casework.accommodations import APPEAL_DAYS
from regional311.casework.coordinators import terms_of
from regional311.casework.models import Accommodation, AccommodationNote
from regional311.database.rows import put
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.notices.service import forget_whom
from regional311.tenancy.models import Tenant

AT_ONCE: Final = 200
PERSONAL: Final = (
    "needed_on",
    "place",
    "name",
    "phone",
    "email",
    "address",
    "reach",
    "updates_by",
    "outcome_words",
    "appeal",
    "appeal_answer",
    "taken_by",
    "coordinator_id",
    "link_token",
)
"""Columns that are emptied; `details` and the link's hash, which may not be empty, are replaced."""


def kept_until(ended: date, keep_days: int) -> date:
    """The last day on which what it was about is kept; an appeal always finds it there.

    >>> kept_until(date(2026, 1, 1), 365)
    datetime.date(2027, 1, 1)
    """
    return ended + timedelta(days=max(keep_days, APPEAL_DAYS + 1))


def forget(session: TenantSession, now: datetime) -> int:
    """Erase what has been kept long enough at the bound partner; say how many. A worker's chore.

    The time runs from the answer to an appeal, or else from the decision. What is open, or waits
    for the answer to an appeal, is kept.
    """
    tenant_id = scope_of(session).tenant_id
    settings = session.execute(
        select(Tenant.settings).where(Tenant.tenant_id == tenant_id, Tenant.id == tenant_id)
    ).scalar_one()
    row = Accommodation
    days = terms_of(settings).keep_days
    over = now - (kept_until(now.date(), days) - now.date())
    ids = session.scalars(
        update(row)
        .where(
            row.tenant_id == tenant_id,
            row.id.in_(
                select(row.id)
                .where(
                    row.tenant_id == tenant_id,
                    row.forgotten_at.is_(None),
                    row.state.in_(("decided", "withdrawn")),
                    or_(row.appealed_at.is_(None), row.appeal_answered_at.is_not(None)),
                    func.coalesce(row.appeal_answered_at, row.decided_at) < over,
                )
                .order_by(row.id)
                .limit(AT_ONCE)
            ),
        )
        .values(
            dict.fromkeys(PERSONAL)
            | {
                "details": "",
                "token_hash": func.sha256(
                    func.convert_to(cast(func.gen_random_uuid(), Text), "UTF8")
                ),
                "forgotten_at": now,
                "version": row.version + 1,
            }
        )
        .returning(row.id)
        .execution_options(synchronize_session=False)
    ).all()
    if not ids:
        return 0
    session.execute(
        update(AccommodationNote)
        .where(
            AccommodationNote.tenant_id == tenant_id, AccommodationNote.accommodation_id.in_(ids)
        )
        .values(words="", author_id=None)
        .execution_options(synchronize_session=False)
    )
    for each in ids:
        # letters say nothing of what it was about, and yet to whom they went
        forget_whom(session, each)
    mark_changed(session)
    put(
        session,
        *(
            audit_row(
                tenant_id,
                at=now,
                action="accommodation:forget",
                subject_kind="accommodation",
                subject_id=each,
            )
            for each in ids
        ),
    )
    return len(ids)
