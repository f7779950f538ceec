"""Files that were sent with a form that is not done yet: held for a while, so that none is lost.

Whoever has the token that the form carries has the file back; nobody else finds it. After some
hours the content is gone. Nothing here looks at the clock or commits.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import func, select, update

from regional311.database.ids import new_id, new_token, token_hash
from regional311.database.rows import new_row, put
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.intake.models import HeldFile
from regional311.intake.uploads import Upload

FOR: Final = timedelta(hours=2)
"""How long a file is held: as long as somebody may leave the form alone."""
MOST: Final = 500
MOST_BYTES: Final = 512 * 1024 * 1024
"""What is held for one partner at a time; beyond that the file must be chosen again."""


def hold(session: TenantSession, file: Upload, *, now: datetime) -> str | None:
    """Hold a file; give the token that has it back, or None when too many are held."""
    tenant_id = scope_of(session).tenant_id
    number, size = session.execute(
        select(func.count(), func.coalesce(func.sum(func.octet_length(HeldFile.content)), 0)).where(
            HeldFile.tenant_id == tenant_id,
            HeldFile.content.is_not(None),
            HeldFile.held_at > now - FOR,
        )
    ).one()
    if number >= MOST or size + len(file.content) > MOST_BYTES:
        return None
    token = new_token()
    put(
        session,
        new_row(
            HeldFile,
            tenant_id=tenant_id,
            id=new_id(),
            token_hash=token_hash(token),
            question=file.question,
            name=file.name,
            media_type=file.media_type,
            content=file.content,
            held_at=now,
        ),
    )
    return token


def held(session: TenantSession, token: str, question: str, *, now: datetime) -> Upload | None:
    """Give a file back; it stays held, because its form may be sent again. One statement."""
    row = session.execute(
        select(HeldFile.name, HeldFile.media_type, HeldFile.content).where(
            HeldFile.tenant_id == scope_of(session).tenant_id,
            HeldFile.token_hash == token_hash(token),
            HeldFile.question == question,
            HeldFile.content.is_not(None),
            HeldFile.held_at > now - FOR,
        )
    ).one_or_none()
    return None if row is None else Upload(question, row.name, row.media_type, row.content)


def forget(session: TenantSession, now: datetime) -> int:
    """Empty what was held long enough; give how many."""
    done = session.execute(
        update(HeldFile)
        .where(
            HeldFile.tenant_id == scope_of(session).tenant_id,
            HeldFile.content.is_not(None),
            HeldFile.held_at <= now - FOR,
        )
        .values(content=None, name="")
        .execution_options(synchronize_session=False)
    )
    emptied: int = done.rowcount  # type: ignore[attr-defined]
    if emptied:
        mark_changed(session)
    return emptied
