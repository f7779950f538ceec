"""What must not happen twice: the first answer is kept and given again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from regional311.database.ids import new_id
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.errors import AnswerForgotten, KeyReused
from regional311.tenancy.models import IdempotencyKey


def once(
    session: TenantSession, key: str, content: Any, do: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """Do something the first time that `key` comes, and give its answer every time.

    `content` is what the key stands for, as plain data. A second caller waits for the first; if
    the first rolls back, the second is the first. Raises `KeyReused` for other content, and
    `AnswerForgotten` when it came so long ago that its answer was erased.
    """
    tenant_id = scope_of(session).tenant_id
    digest = hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()
    first = session.execute(
        insert(IdempotencyKey)
        .values(tenant_id=tenant_id, id=new_id(), key=key, content_digest=digest, answer={})
        .on_conflict_do_nothing()
        .returning(IdempotencyKey.id)
    ).scalar_one_or_none()
    if first is None:
        known = session.execute(
            select(IdempotencyKey.content_digest, IdempotencyKey.answer).where(
                IdempotencyKey.tenant_id == tenant_id, IdempotencyKey.key == key
            )
        ).one()
        if known.content_digest != digest:
            raise KeyReused("This form was sent already, with other content. Open it again.")
        return remembered(known.answer)
    mark_changed(session)
    answer = do()
    session.execute(
        update(IdempotencyKey)
        .where(IdempotencyKey.tenant_id == tenant_id, IdempotencyKey.id == first)
        .values(answer=answer)
        .execution_options(synchronize_session=False)
    )
    return answer


def remembered(answer: dict[str, Any]) -> dict[str, Any]:
    """Give a first answer again; raises `AnswerForgotten` once it was erased."""
    if answer.get("erased"):
        raise AnswerForgotten("This was sent long ago, and was done then. Open the form again.")
    return answer
