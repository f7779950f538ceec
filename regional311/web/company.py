"""Whose contact it is, who looks along, that it was taken over: as the contact's page says it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from regional311.audit.queries import AuditRow
from regional311.floor.giving import GIVE, LOOK, LOOKS_FOR
from regional311.identity.permissions import Permissions as P
from regional311.inbox.queries import colleagues
from regional311.web.security import may
from regional311.web.telling import telling


def company_of(
    request: Any, found: Any, history: Iterable[AuditRow], people: Mapping[UUID, str]
) -> dict[str, Any] | None:
    """Say it of an open contact; nothing of one that has ended.

    ``people`` are the names of who is in the history. `company_url` names what was seen, so that
    asking again is answered only when it has changed.
    """
    if found.ended_at is not None:
        return None
    tell, me = telling(request), request.identity.person_id
    mine = found.specialist_id == me
    past = list(history)
    looks: dict[UUID, Any] = {}
    for each in past:
        if each.action == LOOK and each.person_id and each.person_id != found.specialist_id:
            looks[each.person_id] = each.at
    along = [
        {"name": people.get(person, ""), "since": tell.when(at)}
        for person, at in looks.items()
        if request.now - at < LOOKS_FOR
    ]
    given = next((each for each in reversed(past) if each.action == GIVE), None)
    taken = None
    if given is not None and not mine and given.detail.get("from") == str(me):
        taken = {"by": people.get(given.person_id or me), "when": tell.when(given.at)}
    here = f"/{tell.slug}/contacts/{found.public_id}"
    seen = hashlib.sha256(
        repr((along, taken and taken["when"], str(found.specialist_id))).encode()
    ).hexdigest()[:12]
    return {
        "mine": mine,
        "free": found.specialist_id is None,
        "whose": people.get(found.specialist_id),
        "along": along if mine else [],
        "taken": taken,
        "give_url": f"{here}/give" if may(request, P.FLOOR_RUN) else None,
        "me": str(me),
        "company_url": f"{here}/company?seen={seen}",
        "seen": seen,
    }


def to_give_to(request: Any, found: Any) -> list[tuple[UUID, str]]:
    """To whom the contact can be given, by name; one statement."""
    return [
        (person, name)
        for person, name in colleagues(request.dbsession).items()
        if person != found.specialist_id
    ]
