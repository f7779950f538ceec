"""What who writes of a danger is told at once, by us alone: which number to call.

A page says it while somebody writes; a letter or a text is read when somebody comes to it, which
may be on Monday. The number leaves at once, at night, too, and to who has sent STOP, in the
language of the words, and repeats nothing of them: others may look at the screen. An address gets
it once an hour, so that two machines never write to each other for long.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select

from regional311.database.ids import new_id
from regional311.database.rows import new_row
from regional311.database.session import TenantSession, scope_of
from regional311.locale.sentences import in_language
from regional311.notices.leaving import DANGER_NUMBER
from regional311.notices.models import OutboxMessage
from regional311.referral.decision import Sign
from regional311.referral.snapshot import Line

CHANNELS: Final = frozenset({"email", "text"})
"""Where nobody is told on the page: a chat says it there."""

AGAIN: Final = timedelta(hours=1)
NOBODY_READS: Final = "Call ${number} now if anybody is in danger: nobody reads this at once."
"""As a page says it that takes words for later."""
READ_LATER: Final = "Nobody reads this at once."
"""What is left to say after a sign's own sentence that names the number already."""


def words(sign: Sign, language: str) -> str:
    """Say whom to call; ``sign`` is as the region says it in that language.

    >>> words(Sign("gas", "Smell of gas", say="Leave the building."), "en")
    'Leave the building. Call 911 now if anybody is in danger: nobody reads this at once.'

    A number is said once:

    >>> words(Sign("dark", "Despair", say="Call or text 988.", number="988"), "en")
    'Call or text 988. Nobody reads this at once.'
    """
    if sign.says_number:
        return f"{sign.written} {in_language(READ_LATER, language)}"
    said = in_language(NOBODY_READS, language).replace("${number}", sign.number)
    return f"{sign.written} {said}".strip()


def number_said(
    session: TenantSession,
    line: Line,
    sign: Sign,
    *,
    thread_id: UUID,
    recipient: str,
    language: str,
    answers: str,
    now: datetime,
) -> Any | None:
    """Give the message that says the number, or nothing where the address just got it.

    ``answers`` is the sender's own id of what they wrote, by which their program shows it below.
    """
    known = session.execute(
        select(OutboxMessage.id)
        .where(
            OutboxMessage.tenant_id == scope_of(session).tenant_id,
            OutboxMessage.event == DANGER_NUMBER,
            OutboxMessage.recipient == recipient,
            OutboxMessage.created_at > now - AGAIN,
        )
        .limit(1)
    ).first()
    if known is not None:
        return None
    headers: dict[str, Any] = {"from": ["", line.address]}
    if line.channel == "email":
        headers = {
            "from": [line.name, line.address],
            "reply_to": line.address,
            "references": [answers] if answers.startswith("<") else [],
            "automatic": True,
        }
    return new_row(
        OutboxMessage,
        tenant_id=scope_of(session).tenant_id,
        id=new_id(),
        event=DANGER_NUMBER,
        subject_id=thread_id,
        channel=line.channel,
        recipient=recipient,
        language=language,
        heading=sign.number if line.channel == "email" else "",
        body=words(sign, language),
        headers=headers,
        created_at=now,
        due_at=now,
    )
