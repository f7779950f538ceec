"""Services, and who answers which line, for programs."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field
from pyramid.httpexceptions import HTTPNotFound

from regional311.catalog.definitions import json_schema
from regional311.identity.permissions import Permissions as P
from regional311.web.api.operations import Call, operation
from regional311.web.api.shapes import Nothing, Page, Paged, PartAsked, Shape
from regional311.web.tree import LineRecord, Lines, ServiceRecord, Services


class ServiceEntry(Shape):
    """A service in a list."""

    key: str
    name: str
    verb: str
    summary: str
    group: str
    bureau: str | None
    place: Literal["required", "optional", "none"]
    confidential: bool
    disposition: str = Field(description="What 311 does with it today.")
    target_hours: int | None = Field(description="Business hours until it should be done.")
    url: str


class ServiceWhole(ServiceEntry):
    """One service with the questions that must be answered to ask for it."""

    keywords: list[str]
    questions: dict[str, Any] = Field(description="`answers` of a new request, as JSON Schema.")


class ServicesAsked(Paged):
    """Which services."""

    verb: Literal["report", "request", "apply", "find", "answer"] | None = None


class LineEntry(Shape):
    """A line, and who answers it now."""

    line: str = Field(description="As `partner/key`.")
    name: str
    channel: str
    address: str
    answers: str = Field(description="How it is answered now.")
    partner: str | None = Field(description="Who answers it now; null when nobody does.")
    answered_on: str | None
    emergency: bool = Field(description="Whether an emergency's table says so.")


@operation(
    group="Services",
    path="/services",
    context=Services,
    permission=P.SERVICE_READ,
    query=ServicesAsked,
    answer=Page[ServiceEntry],
)
def list_services(call: Call[ServicesAsked, None]) -> Any:
    """The services of the partner that can be had today, by key.

    The directory of the whole region, with places and hours, is public at /hsds.
    """
    tell, asked, start = call.tell, call.query, call.after() or ""
    found = [
        each
        for each in tell.published.directory.of(tell.slug, tell.today)
        if each.key > start and asked.verb in (None, each.verb)
    ]
    page = found[: asked.limit]
    following = page[-1].key if len(found) > len(page) else None
    return call.page([_service(call, each) for each in page], following)


@operation(
    group="Services",
    path="/services/{key}",
    context=ServiceRecord,
    permission=P.SERVICE_READ,
    answer=ServiceWhole,
    tagged=True,
)
def read_service(call: Call[Nothing, None]) -> Any:
    """One service, and what must be answered to ask for it."""
    found = call.tell.service(call.tell.slug, call.context.key)
    if found is None:
        raise HTTPNotFound
    form = call.tell.published.form(found)
    return {
        **_service(call, found),
        "keywords": list(found.keywords),
        "questions": json_schema(form, title=found.name),
    }


def _service(call: Call[Any, Any], found: Any) -> dict[str, Any]:
    return {
        "key": found.key,
        "name": found.name,
        "verb": found.verb,
        "summary": found.summary,
        "group": found.group,
        "bureau": found.bureau or None,
        "place": found.place,
        "confidential": found.confidential,
        "disposition": found.disposition(call.tell.today),
        "target_hours": found.target_hours,
        "url": f"{call.here}/services/{found.key}",
    }


@operation(
    group="Lines",
    path="/lines",
    context=Lines,
    permission=P.SERVICE_READ,
    query=PartAsked,
    answer=Page[LineEntry],
)
def list_lines(call: Call[PartAsked, None]) -> Any:
    """Every line of the partner, and who answers it now."""
    tell = call.tell
    items = [
        _line(call, each)
        for each in tell.published.lines.values()
        if each.tenant == tell.slug and not each.ended
    ]
    return call.part(items, "line")


@operation(
    group="Lines",
    path="/lines/{key}",
    context=LineRecord,
    permission=P.SERVICE_READ,
    answer=LineEntry,
    tagged=True,
)
def read_line(call: Call[Nothing, None]) -> Any:
    """One line, and who answers it now."""
    found = call.tell.published.lines.get(f"{call.tell.slug}/{call.record.key}")
    if found is None or found.ended:
        raise HTTPNotFound
    return _line(call, found)


def _line(call: Call[Any, Any], found: Any) -> dict[str, Any]:
    answer = call.tell.published.who_answers(found.ref, call.request.now)
    return {
        "line": found.ref,
        "name": found.name,
        "channel": found.channel,
        "address": found.address,
        "answers": answer.kind,
        "partner": answer.partner or None,
        "answered_on": answer.line or None,
        "emergency": answer.surge,
    }
