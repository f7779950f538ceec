"""Reading a search of another FHIR server: its Tasks page by page, with what they lead to.

A server may give them in any order, leave out what was to be included, or not search by time at
all. What was read is told together with the moment until which nothing is missing, so that whoever
goes on from there loses nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Final
from urllib.parse import quote, urljoin, urlsplit

from regional311.exchange.fhir import RESOURCES
from regional311.exchange.transport import AddressRefused, Reply, Unreachable, judged

PAGE: Final = 50
"""Tasks that are asked for at once."""

MOST_PAGES: Final = 20
"""Pages of one search that are read in a round; the next round goes on."""

MOST_APART: Final = 3
"""Resources that are asked for one by one, for each Task."""

LEADS_TO: Final = ("focus", "for", "subject", "supportingInfo")
"""Elements that lead from a Task to what belongs to it."""

NO_BUNDLE: Final = "The other system's answer to a search is no Bundle."
UNDATED: Final = "A Task of the other system says no time at which it was changed: it was left."
ELSEWHERE: Final = "The next page of the other system's search is at another host."
IN_A_CIRCLE: Final = "The pages of the other system's search lead back to each other."
SLOW: Final = "The other system answers slowly: what is left is asked for again."
STUCK: Final = (
    "The other system has more Tasks than one search brings, and they cannot be told apart by time."
)
_LATER: Final = (401, 408, 425, 429)
"""Answers after which the same may be had another time, besides those of a server that failed."""

_LOGICAL: Final = re.compile(r"[A-Za-z]+/[A-Za-z0-9.-]{1,64}", re.ASCII)

Asking = Callable[[str, str], Reply]
"""Asks for an address with a query. Raises `Unreachable` and `AddressRefused`."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A Task that another system has, with the resources that it leads to."""

    updated_at: datetime
    task_id: str
    bundle: dict[str, Any]


@dataclass
class Found:
    """What was read of a search."""

    tasks: list[Fetched] = field(default_factory=list)
    times: list[datetime] = field(default_factory=list)
    """When each Task was changed that was seen, in the order in which they came."""
    left: list[datetime] = field(default_factory=list)
    """The times of those that were seen and not read."""
    whole: bool = False
    """Whether there are no further pages."""
    problem: str | None = None

    @property
    def until(self) -> datetime | None:
        """The moment until which nothing is missing; None when something may be, however old.

        Where the search broke off, others of the same moment as the last may follow.
        """
        if not self.whole and any(later < earlier for earlier, later in pairwise(self.times)):
            return None
        missing = [*self.left, *(() if self.whole else self.times[-1:])]
        return max((at for at in self.times if not missing or at < min(missing)), default=None)


def search(base: str, cursor: datetime | None, ask: Asking, *, late: Callable[[], bool]) -> Found:
    """Read the Tasks that were changed after ``cursor``, at most :data:`MOST_PAGES` pages of them.

    ``base`` is the address of the server; ``late`` says when it took long enough. What broke the
    search off is its ``problem``, in our own words.
    """
    found = Found()
    since = f"_lastUpdated=gt{quote(cursor.isoformat(), safe='')}&" if cursor else ""
    wanted = "_sort=_lastUpdated&_include=Task:focus&_include=Task:patient"
    page = (f"{base}/Task", f"{since}{wanted}&_count={PAGE}")
    seen: set[tuple[str, str]] = set()
    try:
        while page not in seen and len(seen) < MOST_PAGES:
            seen.add(page)
            reply = ask(*page)
            refused = judged(reply) or _no_search(reply.content)
            if refused is not None:
                found.problem = refused
                return found
            _read_page(found, reply.content, base, cursor, ask, late)
            following = _next(reply.content)
            if following is None:
                found.whole = True
                return found
            if late():
                found.problem = SLOW
                return found
            onward = _same_host(base, page, following)
            if onward is None:
                found.problem = ELSEWHERE
                return found
            page = onward
    except (Unreachable, AddressRefused) as error:
        found.problem = str(error)
        return found
    if page in seen:
        found.problem, found.whole = IN_A_CIRCLE, True
    elif found.until is None or (cursor is not None and found.until <= cursor):
        found.problem = STUCK
    return found


def _read_page(
    found: Found,
    content: dict[str, Any],
    base: str,
    cursor: datetime | None,
    ask: Asking,
    late: Callable[[], bool],
) -> None:
    tasks, undated = _tasks(content)
    if undated:
        found.problem = UNDATED
    found.times += [each.updated_at for each in tasks]
    for at, each in enumerate(tasks):
        if cursor is not None and each.updated_at <= cursor:
            continue
        if late():
            found.problem = SLOW
            found.left += [one.updated_at for one in tasks[at:]]
            return
        try:
            bundle = _completed(each.bundle, base, ask)
        except (Unreachable, AddressRefused):
            found.left += [one.updated_at for one in tasks[at:]]
            raise
        if isinstance(bundle, str):
            found.problem = bundle
            found.left.append(each.updated_at)
        else:
            found.tasks.append(Fetched(each.updated_at, each.task_id, bundle))


def _no_search(content: Any) -> str | None:
    is_one = isinstance(content, dict) and content.get("resourceType") == "Bundle"
    return None if is_one else NO_BUNDLE


def _next(content: dict[str, Any]) -> str | None:
    """The address of the next page of a search."""
    links = content.get("link")
    for each in links if isinstance(links, list) else ():
        if isinstance(each, dict) and each.get("relation") == "next":
            return each["url"] if isinstance(each.get("url"), str) else None
    return None


def _same_host(base: str, page: tuple[str, str], url: str) -> tuple[str, str] | None:
    """Address and query of a further page; None when it is not where the system itself is.

    >>> here = ("https://a.example/fhir/Task", "")
    >>> _same_host("https://a.example/fhir", here, "https://a.example/fhir?page=2")
    ('https://a.example/fhir', 'page=2')
    >>> _same_host("https://a.example/fhir", here, "?page=2")
    ('https://a.example/fhir/Task', 'page=2')
    >>> _same_host("https://a.example/fhir", here, "https://b.example/?page=2") is None
    True
    """
    own = urlsplit(base)
    try:
        onward = urlsplit(urljoin("?".join(page), url))
        same = (onward.hostname, onward.port) == (own.hostname, own.port)
    except ValueError:
        return None
    if not same or not (onward.path + onward.query).isascii() or " " in url:
        return None
    return f"{own.scheme}://{own.netloc}{onward.path}", onward.query


def _tasks(content: dict[str, Any]) -> tuple[list[Fetched], bool]:
    """Put each Task of a search with the resources that it leads to; say if one had no time."""
    entries = content.get("entry")
    by_reference: dict[str, dict[str, Any]] = {}
    tasks = []
    for entry in entries if isinstance(entries, list) else ():
        resource = entry.get("resource") if isinstance(entry, dict) else None
        if not isinstance(resource, dict) or resource.get("resourceType") not in RESOURCES:
            continue
        by_reference[f"{resource['resourceType']}/{resource.get('id')}"] = resource
        if isinstance(entry.get("fullUrl"), str):
            by_reference[entry["fullUrl"]] = resource
        if resource["resourceType"] == "Task":
            tasks.append(resource)
    found, undated = [], False
    for task in tasks:
        updated_at = _updated_at(task)
        if updated_at is None:
            undated = True
            continue
        bundle = _gathered(task, by_reference.get)
        found.append(Fetched(updated_at, str(task.get("id")), bundle))
    return found, undated


def _updated_at(task: dict[str, Any]) -> datetime | None:
    """When a Task was changed, on their clock; a time without a zone is taken as UTC."""
    meta = task.get("meta")
    for said in (
        meta.get("lastUpdated") if isinstance(meta, dict) else None,
        task.get("lastModified"),
    ):
        try:
            at = datetime.fromisoformat(str(said))
        except ValueError:
            continue
        if 1900 <= at.year <= 9000:
            return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return None


def _gathered(
    task: dict[str, Any], look_up: Callable[[str], dict[str, Any] | None]
) -> dict[str, Any]:
    """A Task with what it leads to, one resource of each kind."""
    belongs = {"Task": task}
    # it grows while it is walked: a consent is named by the request
    for kind in RESOURCES:
        each = belongs.get(kind, {})
        for name in LEADS_TO:
            for reference in _references(each.get(name)):
                resource = look_up(_plain(reference)) or look_up(reference)
                if resource is not None:
                    belongs.setdefault(str(resource["resourceType"]), resource)
    entry = [{"resource": each} for each in belongs.values()]
    return {"resourceType": "Bundle", "type": "collection", "entry": entry}


def _completed(bundle: dict[str, Any], base: str, ask: Asking) -> dict[str, Any] | str:
    """Ask once for what a Task leads to and its page did not have: a server need not include it.

    Gives why not, where it may be had another time.
    """
    here: dict[str, dict[str, Any]] = {
        each["resource"]["resourceType"]: each["resource"] for each in bundle["entry"]
    }
    asked: dict[str, dict[str, Any] | None] = {}
    later: list[str] = []

    def look_up(reference: str) -> dict[str, Any] | None:
        kind = reference.partition("/")[0]
        if kind in here:
            return here[kind]
        if reference not in asked:
            known = kind in RESOURCES and _LOGICAL.fullmatch(reference) is not None
            if not known or len(asked) >= MOST_APART:
                return None
            reply = ask(f"{base}/{reference}", "")
            if reply.status >= 500 or reply.status in _LATER:
                later.append(judged(reply) or "")
            content = reply.content if isinstance(reply.content, dict) else {}
            is_one = reply.status == 200 and content.get("resourceType") == kind
            asked[reference] = content if is_one else None
        return asked[reference]

    whole = _gathered(here["Task"], look_up)
    if later:
        return later[0]
    have = {each["resource"]["resourceType"] for each in whole["entry"]}
    whole["entry"] += [{"resource": each} for kind, each in here.items() if kind not in have]
    return whole


def _references(value: Any) -> list[str]:
    return [
        each["reference"]
        for each in (value if isinstance(value, list) else [value])
        if isinstance(each, dict) and isinstance(each.get("reference"), str)
    ]


def _plain(reference: str) -> str:
    """A reference as kind and id, whatever address stands before and version behind.

    >>> _plain("https://a.example/fhir/ServiceRequest/7/_history/2"), _plain("Patient/1")
    ('ServiceRequest/7', 'Patient/1')
    """
    parts = reference.partition("/_history/")[0].split("/")
    return "/".join(parts[-2:])
