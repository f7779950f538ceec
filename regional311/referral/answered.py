"""That a question was answered is told at once to a receiver that works by letters and links.

Whoever has an inbox sees it there. Whom the receiver's policy names may have no account: they get
a new link, because the clock stood still while they waited and the first one may have expired.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import select

from regional311.database.rows import put, send
from regional311.database.session import TenantSession, acting_for, scope_of
from regional311.referral.lifecycle import SENDER
from regional311.referral.models import Referral
from regional311.referral.sending import AnswerLink, letters_with_link
from regional311.referral.snapshot import Published

EVENT: Final = "question_answered"


def tell_of_answer(
    session: TenantSession,
    published: Published,
    *,
    now: datetime,
    referral_id: UUID,
    link: AnswerLink | None,
) -> int:
    """Write to those whom the receiver's policy names that its question was answered; say how many.

    The bound partner sent the referral and has just answered. Of one that was accepted nobody is
    written to: a link answers no more, and who works it has an account.
    """
    if link is None:
        return 0
    send(session)
    row = session.execute(
        select(
            Referral.public_id,
            Referral.counterparty_id,
            Referral.service_key,
            Referral.due_at,
        ).where(
            Referral.tenant_id == scope_of(session).tenant_id,
            Referral.id == referral_id,
            Referral.side == SENDER,
            Referral.state == "requested",
        )
    ).one_or_none()
    if row is None:
        return 0
    sender = published.slugs[scope_of(session).tenant_id]
    receiver = published.slugs.get(row.counterparty_id, "")
    policy = published.reception.policy(receiver, row.service_key, sender)
    if policy is None or not policy.notify:
        return 0
    letters = letters_with_link(
        published,
        EVENT,
        sender=sender,
        receiver=receiver,
        to=policy.notify,
        referral_id=referral_id,
        number=row.public_id,
        service_key=row.service_key,
        due_at=row.due_at or now,
        now=now,
        link=link,
    )
    with acting_for(session, row.counterparty_id):
        put(session, *letters)
    return len(letters)
