"""Changes that a second person approves: drafted, proposed, then approved, refused or withdrawn.

A table of such changes has the columns state, decided_by, decided_at and reason.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Row, select, update

from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.errors import Conflict, Forbidden, NotFound

STATES: Final = ("draft", "proposed", "approved", "refused", "withdrawn")
OPEN: Final = ("draft", "proposed")
MOVES: Final[Mapping[str, tuple[str, ...]]] = {
    "proposed": ("draft",),
    "approved": ("proposed",),
    "refused": ("proposed",),
    "withdrawn": OPEN,
}
VERBS: Final[Mapping[str, str]] = {
    "proposed": "propose",
    "approved": "approve",
    "refused": "refuse",
    "withdrawn": "withdraw",
}
"""What the audit trail calls the step to a state."""


class SecondPersonNeeded(Forbidden):
    """Whoever drafted a proposal may not approve it."""


def listed_proposals(
    session: TenantSession,
    model: Any,
    *conditions: ColumnElement[bool],
    states: Iterable[str] = STATES,
    before: UUID | None = None,
    limit: int | None = None,
) -> list[Row[Any]]:
    """This partner's drafts and what became of them, the latest first, without their content.

    A page begins after the proposal `before`. One statement.
    """
    table = model.__table__
    asked = [] if before is None else [table.c.id < before]
    return list(
        session.execute(
            select(*(each for each in table.c if each.name != "content"))
            .where(
                table.c.tenant_id == scope_of(session).tenant_id,
                table.c.state.in_(list(states)),
                *conditions,
                *asked,
            )
            .order_by(table.c.id.desc())
            .limit(limit)
        )
    )


def locked_proposal(
    session: TenantSession,
    model: type[Any],
    proposal_id: UUID,
    wanted: str,
    *,
    without: Collection[str] = (),
) -> Any:
    """Give the bound partner's proposal, locked, which is to go to the state `wanted`.

    Columns that are large and not needed are left out: `without`.

    :raises NotFound: when there is none.
    :raises Conflict: when it is in a state from which it cannot.
    """
    table = model.__table__
    row = session.execute(
        select(*(each for each in table.c if each.name not in without))
        .where(table.c.tenant_id == scope_of(session).tenant_id, table.c.id == proposal_id)
        .with_for_update()
    ).one_or_none()
    if row is None:
        raise NotFound("There is no such proposal.")
    if row.state not in MOVES[wanted]:
        raise Conflict(f"This proposal is {row.state}; it cannot become {wanted}.")
    return row


def move_proposal(
    session: TenantSession,
    model: type[Any],
    proposal_id: UUID,
    state: str,
    now: datetime,
    **values: Any,
) -> None:
    """Write the state of a locked proposal and, where that decides it, who and when."""
    scope = scope_of(session)
    if state != "proposed":
        values |= {"decided_by": scope.person_id, "decided_at": now}
    session.execute(
        update(model)
        .where(model.tenant_id == scope.tenant_id, model.id == proposal_id)
        .values(state=state, **values)
        .execution_options(synchronize_session=False)
    )
    mark_changed(session)
