"""What is confidential, for those who may not see it: as if it were not there.

Requests say so themselves. Referrals and needs are confidential when what they ask for is.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pyramid.httpexceptions import HTTPNotFound

from regional311.web.api.operations import Call


def hidden_services(call: Call[Any, Any]) -> frozenset[tuple[UUID, str]]:
    """Return the services, as (owner, key), of which who asks may know nothing; once a call."""
    found: frozenset[tuple[UUID, str]] | None = getattr(call.request, "hidden_services", None)
    if found is None:
        published = call.tell.published
        found = call.request.hidden_services = frozenset(
            (published.ids[each.tenant], each.key)
            for each in published.directory.services
            if each.confidential and not call.cleared
        )
    return found


def check_seen(call: Call[Any, Any], owner: UUID, key: str) -> None:
    """Answer 404 for what asks for a service that is confidential to who asks."""
    if (owner, key) in hidden_services(call):
        raise HTTPNotFound
