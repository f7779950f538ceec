"""Giving a request to a team and to one of its people, or back to the team for anybody to take."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from regional311.database.locking import locked_kept
from regional311.database.session import TenantSession
from regional311.intake import lifecycle
from regional311.intake.models import ServiceRequest
from regional311.intake.service import (
    NO_FOLLOWERS,
    Changed,
    Followers,
    assign_request,
    change_request,
)


def state_after(state: str, person_id: UUID | None) -> str | None:
    """The state to which a request goes when it is given to somebody or to nobody; None: it stays.

    >>> [state_after(state, None) for state in ("received", "triaged", "assigned", "in_progress")]
    ['triaged', None, 'triaged', None]
    >>> [state_after(state, UUID(int=1)) for state in ("received", "assigned", "in_progress")]
    ['assigned', None, 'assigned']
    """
    to = "triaged" if person_id is None else "assigned"
    return to if to in lifecycle.next_states(state) else None


def give(
    session: TenantSession,
    *,
    now: datetime,
    request_id: UUID,
    version: int,
    team: str | None,
    person_id: UUID | None,
    priority: str | None = None,
    followers: Followers = NO_FOLLOWERS,
) -> Changed:
    """Give an open request to a team (a queue) and to one person; None: to no team, to nobody yet.

    Raises `StepNotAllowed` for one that has ended, `NotFound` and `Stale`.
    """
    given = {"queue": team, "assignee_id": person_id, "priority": priority}
    request = locked_kept(session, ServiceRequest, request_id, version, given, "request")
    state, had, team_before = request.state, request.assignee_id, request.queue
    if state not in lifecycle.OPEN:
        raise lifecycle.StepNotAllowed("It has ended; nobody works it.", field="state")
    # whoever had it does not have it any more, also when nobody has it next
    request.queue, request.assignee_id = team, person_id
    session.flush()
    known: dict[str, Any] = {
        "now": now,
        "request_id": request_id,
        "version": request.version,
        "had": {
            "assignee_id": had,
            # a team to which it comes back from somebody is given it anew
            "queue": team_before if person_id is not None or had is None else None,
        },
        **given,
    }
    # work that goes on, or waits, goes on so unless somebody else has it now
    to = state_after(state, person_id) if state == "received" or person_id != had else None
    if to is None:
        return assign_request(session, **known)
    return change_request(session, to=to, followers=followers, **known)
