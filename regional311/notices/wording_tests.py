"""Words of messages, tried on somebody before anybody gets them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import func, select

from regional311.audit.models import AuditEvent
from regional311.audit.service import record
from regional311.database.ids import new_id
from regional311.database.rows import new_row, put
from regional311.database.session import TenantSession, scope_of
from regional311.errors import Conflict
from regional311.locale.sentences import in_language
from regional311.notices.models import OutboxMessage
from regional311.notices.texts import HOW_TO_STOP, below
from regional311.notices.wording import Words

MOST_AN_HOUR: Final = 10
"""Texts that one person has sent to try words within an hour: each costs, and goes anywhere."""
ACTION: Final = "message:test"


class TooManyTests(Conflict):
    """One person has had as many texts sent to try words as they may within an hour."""


def send_test(
    session: TenantSession,
    *,
    event: str,
    language: str,
    channel: str,
    words: Words,
    to: str,
    now: datetime,
) -> UUID:
    """Send filled words to an address or number, a text with how to stop below; give the message.

    Raises `TooManyTests`.
    """
    body, detail = words.body, {"event": event, "language": language, "channel": channel}
    if channel == "text":
        _check_few(session, now)
        body = below(body, in_language(HOW_TO_STOP, language))
        detail["number"] = f"…{to[-4:]}"
    message_id = new_id()
    put(
        session,
        new_row(
            OutboxMessage,
            tenant_id=scope_of(session).tenant_id,
            id=message_id,
            event="wording_test",
            channel=channel,
            recipient=to,
            language=language,
            heading=words.heading,
            body=body,
            state="pending",
            attempts=0,
            created_at=now,
            due_at=now,
        ),
    )
    record(
        session,
        now=now,
        action=ACTION,
        subject_kind="message",
        subject_id=message_id,
        detail=detail,
    )
    return message_id


def _check_few(session: TenantSession, now: datetime) -> None:
    scope = scope_of(session)
    sent = session.execute(
        select(func.count()).where(
            AuditEvent.tenant_id == scope.tenant_id,
            AuditEvent.at > now - timedelta(hours=1),
            AuditEvent.person_id == scope.person_id,
            AuditEvent.action == ACTION,
            AuditEvent.detail["channel"].astext == "text",
        )
    ).scalar_one()
    if sent >= MOST_AN_HOUR:
        raise TooManyTests(
            f"You sent {MOST_AN_HOUR} texts to try words within an hour. Go on a little later.",
            field="number",
        )
