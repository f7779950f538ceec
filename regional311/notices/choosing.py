"""Which notices a colleague gets by mail: at once, once a day with others, or never.

Letters are known by their address, so a choice holds for the address that its person has here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from regional311.audit.service import record
from regional311.database.ids import new_id
from regional311.database.rows import put
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.errors import InvalidInput
from regional311.locale.sentences import in_language
from regional311.notices.models import NoticeChoice, OutboxMessage
from regional311.notices.service import TEXTS, TO_OUTSIDE, TO_PEOPLE, outbox_row
from regional311.tenancy.models import Tenant

HOWS: Final = ("at_once", "daily", "never")
ALWAYS: Final = frozenset(
    {
        "accommodation_new",
        "accommodation_unplaced",
        "accommodation_appeal",
        "accommodation_due",
        "accommodation_given",
        "accommodation_overdue",
        "referral_new",
        "referral_unanswered",
        "question_unanswered",
        "question_answered",
        "onward_goes_on",
        "never_contact",
        "line_open",
        "line_open_late",
        "line_gone",
        "publishing_refused",
        "rates_not_taken_over",
        "payment_overdue",
        "dispute_unanswered",
    }
)
"""What may not be turned off or put off: somebody waits or is in danger, or a date has gone by."""
_OTHERS: Final = TO_OUTSIDE | {
    "suggestion_approved",
    "suggestion_declined",
    "mailbox_link",
    "digest",
}
TO_STAFF: Final = frozenset(TEXTS) - TO_PEOPLE - _OTHERS
"""Events that colleagues are told of."""


def choices(session: Session, person_id: UUID) -> dict[str, str]:
    """Give how a colleague gets each kind that they chose for; all others come at once."""
    rows = session.execute(
        select(NoticeChoice.event, NoticeChoice.how).where(
            NoticeChoice.tenant_id == scope_of(session).tenant_id,
            NoticeChoice.person_id == person_id,
        )
    )
    return {row.event: row.how for row in rows}


def choose(
    session: TenantSession,
    person_id: UUID,
    address: str,
    wanted: Mapping[str, str],
    *,
    now: datetime,
) -> None:
    """Keep how a colleague gets notices at their address. Raises `InvalidInput` by event."""
    tenant_id = scope_of(session).tenant_id
    for event, how in wanted.items():
        if event not in TO_STAFF or how not in HOWS:
            raise InvalidInput("Choose one of those listed.", field=event)
        if event in ALWAYS and how != "at_once":
            raise InvalidInput("These always come at once.", field=event)
    if not wanted:
        return
    rows = [
        {
            "tenant_id": tenant_id,
            "id": new_id(),
            "person_id": person_id,
            "address": address.lower(),
            "event": event,
            "how": how,
        }
        for event, how in sorted(wanted.items())
    ]
    made = insert(NoticeChoice).values(rows)
    session.execute(
        made.on_conflict_do_update(
            index_elements=[NoticeChoice.tenant_id, NoticeChoice.person_id, NoticeChoice.event],
            set_={"how": made.excluded.how, "address": made.excluded.address},
        )
    )
    mark_changed(session)
    record(
        session,
        now=now,
        action="notices:choose",
        subject_kind="person",
        subject_id=person_id,
        detail=dict(sorted(wanted.items())),
    )


def gather(session: TenantSession, now: datetime, *, url: str) -> int:
    """Write the letter of the day to everybody for whom notices wait; give how many letters.

    A chore of the worker. What it takes is kept, word for word, and marked as gathered.
    """
    tenant_id = scope_of(session).tenant_id
    taken = session.execute(
        update(OutboxMessage)
        .where(
            OutboxMessage.tenant_id == tenant_id,
            OutboxMessage.state == "pending",
            OutboxMessage.digest,
            OutboxMessage.due_at <= now,
        )
        .values(state="gathered", sent_at=now, last_error=None)
        .returning(
            OutboxMessage.id,
            func.lower(OutboxMessage.recipient).label("address"),
            OutboxMessage.language,
            OutboxMessage.heading,
            OutboxMessage.body,
        )
        .execution_options(synchronize_session=False)
    ).all()
    if not taken:
        return 0
    mark_changed(session)
    mine = session.execute(
        select(Tenant.slug, Tenant.name, Tenant.zone).where(
            Tenant.tenant_id == tenant_id, Tenant.id == tenant_id
        )
    ).one()
    found: dict[str, list[tuple[UUID, str, str, str]]] = {}
    for row in taken:
        found.setdefault(row.address, []).append((row.id, row.language, row.heading, row.body))
    for address, notices in sorted(found.items()):
        notices.sort()
        put(
            session,
            outbox_row(
                tenant_id,
                event="digest",
                recipient=address,
                language=notices[0][1],
                now=now,
                values={
                    "number": str(len(notices)),
                    "partner": mine.name,
                    "day": now.astimezone(ZoneInfo(mine.zone)).date().isoformat(),
                    "notices": "\n\n\n".join(
                        f"* {heading}\n\n{body.strip()}"
                        for _id, _language, heading, body in notices
                    ),
                    "address": f"{url}/{mine.slug}/notices",
                },
                translate=in_language,
            ),
        )
    return len(found)
