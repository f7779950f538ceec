"""A step for several statements at once, each for itself: what is refused stops no other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select

from regional311.chargeback.models import Statement
from regional311.database.session import TenantSession, scope_of
from regional311.errors import DomainError, InvalidInput

MOST = 500


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of each statement: the public ids that were done, and why others were not."""

    done: tuple[str, ...]
    refused: tuple[tuple[str, str], ...]


def take_together(
    session: TenantSession,
    period_key: str,
    public_ids: Sequence[str],
    act: Callable[..., Any],
    *,
    now: datetime,
) -> Taken:
    """Submit, approve or issue (`act`) some of this partner's statements of a period.

    They are taken in the order of their ids, each in a savepoint of its own.

    :raises InvalidInput: when none is named, too many are, or one is not of the period.
    """
    wanted = sorted(set(public_ids))
    if not wanted:
        raise InvalidInput("Choose at least one statement.", field="statement")
    if len(wanted) > MOST:
        raise InvalidInput(f"Choose at most {MOST} statements.", field="statement")
    found: dict[str, UUID] = {
        row.public_id: row.id
        for row in session.execute(
            select(Statement.id, Statement.public_id)
            .where(
                Statement.tenant_id == scope_of(session).tenant_id,
                Statement.side == "issued",
                Statement.period_key == period_key,
                Statement.public_id.in_(wanted),
            )
            .order_by(Statement.id)
        )
    }
    if missing := [each for each in wanted if each not in found]:
        raise InvalidInput(
            f"There is no statement {missing[0]} of {period_key}.", field="statement"
        )
    done, refused = [], []
    for public_id, statement_id in found.items():
        savepoint = session.begin_nested()
        try:
            act(session, statement_id, now=now)
        except DomainError as error:
            savepoint.rollback()
            refused.append((public_id, error.message))
        else:
            savepoint.commit()
            done.append(public_id)
    return Taken(tuple(done), tuple(refused))
