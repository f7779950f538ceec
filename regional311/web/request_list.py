"""The filters of the list of requests, as the list, a saved view and a change of many read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

from regional311.casework.tags import tagged
from regional311.identity.permissions import Permissions as P
from regional311.identity.permissions import permissions_of
from regional311.identity.queries import Member
from regional311.intake import lifecycle
from regional311.web.i18n import _
from regional311.web.listing import Filter
from regional311.web.noting import everybody
from regional311.web.telling import telling
from regional311.web.wording import PRIORITIES, REQUEST_STATES, choices

OWN_STATES: Final = tuple(state for state in REQUEST_STATES if state != "in_transit")
ME: Final = "me"
NOBODY: Final = "nobody"
NO_QUEUE: Final = "none"
NAMES: Final = (
    "state",
    "queue",
    "service",
    "priority",
    "who",
    "tag",
    "overdue",
    "heard",
)


def colleagues(request: Any) -> list[Member]:
    """Who works requests here, by name; asked once a page."""
    found: list[Member] | None = getattr(request, "made_colleagues", None)
    if found is None:
        found = request.made_colleagues = [
            each for each in everybody(request) if P.REQUEST_WORK in permissions_of(each.roles)
        ]
    return found


def filters(request: Any) -> list[Filter]:
    """The filters that the list offers."""
    tell = telling(request)
    services = [(each.key, each.name) for each in tell.published.directory.of(tell.slug)]
    return [
        Filter(
            "state",
            _("Status"),
            choices=[("open", _("Open")), *choices(REQUEST_STATES, OWN_STATES)],
        ),
        Filter(
            "queue",
            _("Queue"),
            choices=[*tell.published.queues(tell.slug).items(), (NO_QUEUE, _("No queue"))],
        ),
        Filter("service", _("Service"), choices=sorted(services, key=lambda each: each[1])),
        Filter("priority", _("Priority"), choices=choices(PRIORITIES)),
        Filter(
            "who",
            _("Worked by"),
            choices=[
                (ME, _("Me")),
                (NOBODY, _("Nobody yet")),
                *((str(each.person_id), each.name) for each in colleagues(request)),
            ],
        ),
        Filter("tag", _("Tag")),
        Filter(
            "overdue",
            _("Overdue"),
            choices=[("yes", _("Only overdue")), ("soon", _("Due soon"))],
        ),
        Filter("heard", _("News"), choices=[("yes", _("The person wrote"))]),
    ]


def asked(request: Any, values: Mapping[str, str | None]) -> dict[str, Any]:
    """Give what `intake.queries.requests` is asked for with these values of the filters."""
    state, who, tag = values.get("state"), values.get("who"), values.get("tag")
    queue = values.get("queue")
    assignee = None
    if who == ME:
        assignee = request.identity.person_id
    elif who and who != NOBODY:
        assignee = UUID(who)
    states: tuple[str, ...] | None = (state,) if state else None
    if state == "open" or (values.get("overdue") and not state):
        states = lifecycle.OPEN
    return {
        "states": states,
        "queue": queue if queue != NO_QUEUE else None,
        "unqueued": queue == NO_QUEUE,
        "service_key": values.get("service"),
        "priority": values.get("priority"),
        "assignee_id": assignee,
        "unassigned": who == NOBODY,
        "among": tagged(request.dbsession, tag) if tag else None,
        "overdue_at": request.now if values.get("overdue") == "yes" else None,
        "at_risk_at": request.now if values.get("overdue") == "soon" else None,
        "heard": bool(values.get("heard")),
        "cleared": request.identity.cleared(request.tenant.id),
    }


def query_of(values: Mapping[str, str | None]) -> str:
    """Give the filters as they stand in an address; empty when nothing is filtered.

    >>> query_of({"state": "open", "queue": None})
    'state=open'
    """
    return urlencode({name: values[name] for name in NAMES if values.get(name)})


def values_from(request: Any, query: str) -> dict[str, str | None]:
    """Read filters from an address; a value that is not offered counts as absent."""
    given = dict(parse_qsl(query[:1000]))
    found: dict[str, str | None] = {}
    for each in filters(request):
        value = given.get(each.name, "")[:200].replace("\0", "")
        offered = each.choices is None or value in {str(choice[0]) for choice in each.choices}
        found[each.name] = value if value and offered else None
    return found
