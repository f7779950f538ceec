"""Forgetting what people wrote and called about, when its time is up: a chore of the worker.

That there was a thread or a call, when, on which line and how long it took stays counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import or_, select, update

from regional311.audit.service import record
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.inbox.models import Call, Thread, ThreadMessage
from regional311.intake.service import erase_attachments
from regional311.notices.models import OutboxMessage
from regional311.tenancy.retention import KEPT_DAYS, kept_before

KIND: Final = "conversation"
KEEP_DAYS: Final = KEPT_DAYS[KIND]
"""Days for which conversations are kept where the region's policy says nothing: three years."""

AT_ONCE: Final = 500
"""Threads of one round; the next round takes more."""


def forget(session: TenantSession, now: datetime) -> int:
    """Forget old conversations of the bound partner; give how many threads and calls there were.

    A thread is old when it is done and nobody wrote since; one that waits for somebody is never
    forgotten. Its words, subject, name, address, link and files go, and so do the answers in the
    outbox. Of a call the number goes.
    """
    tenant_id = scope_of(session).tenant_id
    before = kept_before(session, KIND, now)
    threads = list(
        session.scalars(
            select(Thread.id)
            .where(
                Thread.tenant_id == tenant_id,
                Thread.erased_at.is_(None),
                Thread.state == "done",
                Thread.last_at < before,
                Thread.done_at < before,
            )
            .order_by(Thread.last_at)
            .limit(AT_ONCE)
            .with_for_update(skip_locked=True)
        )
    )
    if threads:
        forget_threads(session, threads, now)
    calls = session.execute(
        update(Call)
        .where(
            Call.tenant_id == tenant_id,
            Call.caller.is_not(None),
            Call.rang_at < before,
            or_(Call.contact_id.is_not(None), Call.settled_at.is_not(None), Call.ended_at < before),
        )
        .values(caller=None)
        .execution_options(synchronize_session=False)
    )
    mark_changed(session)
    return len(threads) + int(calls.rowcount)  # type: ignore[attr-defined]


def forget_threads(session: TenantSession, threads: Sequence[UUID], now: datetime) -> None:
    """Empty these threads, their messages, files and the answers in the outbox."""
    tenant_id = scope_of(session).tenant_id
    messages = list(
        session.scalars(
            update(ThreadMessage)
            .where(ThreadMessage.tenant_id == tenant_id, ThreadMessage.thread_id.in_(threads))
            .values(text="", subject=None, sender=None, left_out=[], signs=[])
            .returning(ThreadMessage.id)
            .execution_options(synchronize_session=False)
        )
    )
    erase_attachments(session, *messages, now=now)
    session.execute(
        update(OutboxMessage)
        .where(
            OutboxMessage.tenant_id == tenant_id,
            or_(OutboxMessage.id.in_(messages), OutboxMessage.subject_id.in_(threads)),
            OutboxMessage.state != "pending",
        )
        .values(recipient="", heading="", body="", sent_body=None, headers=None)
        .execution_options(synchronize_session=False)
    )
    session.execute(
        update(Thread)
        .where(Thread.tenant_id == tenant_id, Thread.id.in_(threads))
        .values(
            address=None,
            name=None,
            subject=None,
            danger=None,
            secret_hash=None,
            before=None,
            erased_at=now,
            version=Thread.version + 1,
        )
        .execution_options(synchronize_session=False)
    )
    for each in threads:
        record(
            session,
            now=now,
            action="thread:forget",
            subject_kind="thread",
            subject_id=each,
            detail={},
        )
