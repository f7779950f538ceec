"""What comes back: mail servers say that a message did not arrive (RFC 3464).

Only what comes to an address that we signed counts, and it counts for the one message that the
address names: nobody stops anybody else's mail by writing to us.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from email import message_from_bytes, policy
from typing import Final
from uuid import UUID

from sqlalchemy import or_, select, update

from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.inbox.models import Thread
from regional311.inbox.working import as_it_comes_back, note_undelivered
from regional311.notices.models import OutboxMessage
from regional311.notices.troubles import bounced

_STATUS: Final = re.compile(r"\b([245])\.(\d{1,3})\.(\d{1,3})\b")


@dataclass(frozen=True, slots=True)
class Report:
    """What a mail server says of a message: its status, and whether that is for good."""

    status: str
    lasting: bool


def report_in(content: bytes) -> Report | None:
    """Read a report that a message did not arrive; None when it is none, or says that it did."""
    try:
        message = message_from_bytes(content, policy=policy.compat32)
        if message.get_content_type() != "multipart/report":
            return None
        parts = [
            block
            for part in message.walk()
            if part.get_content_type() == "message/delivery-status"
            for block in part.get_payload()
        ]
        said = [
            (str(block.get("Action", "")).strip().lower(), str(block.get("Status", "")))
            for block in parts
            if not isinstance(block, str) and block.get("Action")
        ]
    except Exception:  # noqa: BLE001 - the library raises what it likes for what strangers write
        return None
    for action, status in said:
        found = _STATUS.search(status)
        if found is None or action not in ("failed", "delayed"):
            continue
        return Report(found.group(0), action == "failed" and found.group(1) == "5")
    return None


def take(session: TenantSession, message_id: UUID, content: bytes, *, now: datetime) -> bool:
    """Take a report about a message of the bound partner; False when it is none."""
    found = report_in(content)
    if found is None:
        return False
    bounced(session, message_id, found.status, lasting=found.lasting, now=now)
    return True


def take_of_thread(
    session: TenantSession, thread_id: UUID, content: bytes, *, now: datetime
) -> None:
    """Take a report that came to a thread's own address: it is about the latest answer there."""
    found = report_in(content)
    if found is None:
        return
    latest = session.execute(
        select(OutboxMessage.id)
        .where(
            OutboxMessage.tenant_id == scope_of(session).tenant_id,
            OutboxMessage.subject_id == thread_id,
            OutboxMessage.event == "thread_answer",
            OutboxMessage.state == "sent",
        )
        .order_by(OutboxMessage.id.desc())
        .limit(1)
    ).scalar_one_or_none()
    if latest is not None:
        bounced(session, latest, found.status, lasting=found.lasting, now=now)


def bring_back(session: TenantSession, now: datetime) -> int:
    """Bring threads back whose answer was given up since anybody wrote there; give how many.

    A chore of the worker: whoever answered is told by where the thread now lies.
    """
    tenant_id = scope_of(session).tenant_id
    rows = session.execute(
        update(Thread)
        .where(
            Thread.tenant_id == tenant_id,
            OutboxMessage.tenant_id == tenant_id,
            OutboxMessage.subject_id == Thread.id,
            OutboxMessage.event == "thread_answer",
            OutboxMessage.state == "dead",
            OutboxMessage.died_at >= Thread.last_at,
            or_(
                Thread.undeliverable_at.is_(None),
                Thread.undeliverable_at < OutboxMessage.died_at,
            ),
        )
        .values(as_it_comes_back(OutboxMessage.died_at, now))
        .returning(Thread.id)
        .execution_options(synchronize_session=False)
    ).all()
    threads = {row.id for row in rows}
    for each in sorted(threads):
        note_undelivered(session, each, now=now)
    if threads:
        mark_changed(session)
    return len(threads)
