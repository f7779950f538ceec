"""Two people, one record: the row is locked, and whoever saw an older version is told."""

from __future__ import annotations

from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from regional311.database.base import Base
from regional311.database.session import scope_of
from regional311.errors import NotFound, RecordErased, Stale

Versioned = TypeVar("Versioned", bound=Base)


def locked(
    session: Session,
    model: type[Versioned],
    row_id: UUID,
    version: int | None,
    submitted: dict[str, Any],
    called: str,
) -> Versioned:
    """Return the bound tenant's row, locked and fresh, if it still has the version that was seen.

    `version` None takes any. `called` names the thing in messages, such as "request". Raises
    `NotFound`, or `Stale` with what is stored now beside what was submitted.
    """
    row: Any = session.execute(
        select(model)
        .where(
            model.tenant_id == scope_of(session).tenant_id,  # type: ignore[attr-defined]
            model.id == row_id,  # type: ignore[attr-defined]
        )
        .with_for_update()
        .execution_options(populate_existing=True)
    ).scalar_one_or_none()
    if row is None:
        raise NotFound(f"There is no such {called}.")
    if version is not None and row.version != version:
        current = {name: getattr(row, name) for name in submitted}
        raise Stale(
            f"Somebody else has changed this {called}.",
            current=current | {"version": row.version},
            submitted={**submitted, "version": version},
        )
    found: Versioned = row
    return found


def locked_kept(
    session: Session,
    model: type[Versioned],
    row_id: UUID,
    version: int | None,
    submitted: dict[str, Any],
    called: str,
) -> Versioned:
    """Return what `locked` does, of a record whose personal values are still kept.

    What was erased stays so: nobody works on it or adds words that would be kept for ever. Raises
    `RecordErased`, and what `locked` raises.
    """
    row = locked(session, model, row_id, version, submitted, called)
    if row.erased_at is not None:  # type: ignore[attr-defined]
        raise RecordErased(
            f"What was personal in this {called} was erased: nothing can be added to it any more."
        )
    return row
