"""Requests as the public may see them: those of open services, without who asked.

The shape follows Open311 GeoReport v2. Confidential requests are never among them, and what a
person wrote is only shown where the form said so: when it was sent in by the public's own doors.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, case, select, tuple_
from sqlalchemy.orm import Session

from regional311.database.session import scope_of
from regional311.intake.lifecycle import CLOSED
from regional311.intake.models import Contact, RequestUpdate, ServiceRequest

PUBLIC_CHANNELS: Final = ("web", "app")
"""Channels on which a person is told that others can read the description."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which requests are asked for; what is None or empty does not narrow.

    Times are aware, `start` included and `end` included; `box` is west, south, east, north in
    degrees (WGS 84). `numbers` overrule everything else.
    """

    numbers: Sequence[str] = ()
    service_keys: Collection[str] | None = None
    is_open: bool | None = None
    start: datetime | None = None
    end: datetime | None = None
    updated_start: datetime | None = None
    updated_end: datetime | None = None
    box: tuple[Decimal, Decimal, Decimal, Decimal] | None = None


@dataclass(frozen=True, slots=True)
class OpenRequest:
    """One request as the public may see it."""

    id: UUID
    public_id: str
    service_key: str
    bureau_key: str | None
    is_open: bool
    public_message: str | None
    description: str | None
    opened_at: datetime
    updated_at: datetime
    expected_at: datetime | None
    closed_at: datetime | None
    place_kind: str
    place_text: str | None
    latitude: Decimal | None
    longitude: Decimal | None


def open_requests(
    session: Session,
    wanted: Wanted,
    *,
    open_services: Collection[str],
    limit: int,
    offset: int = 0,
) -> list[OpenRequest]:
    """Give this partner's public requests of open services, newest first. One statement."""
    query = (
        _query(session, wanted, open_services)
        .order_by(ServiceRequest.opened_at.desc(), ServiceRequest.id.desc())
        .limit(limit)
        .offset(offset)
    )
    return [OpenRequest(**row._asdict()) for row in session.execute(query)]


def _query(session: Session, wanted: Wanted, open_services: Collection[str]) -> Select[Any]:
    columns = [
        getattr(ServiceRequest, name)
        for name in OpenRequest.__dataclass_fields__
        if name not in ("is_open", "description")
    ]
    told = case((Contact.channel.in_(PUBLIC_CHANNELS), ServiceRequest.description))
    return (
        select(
            *columns,
            ServiceRequest.state.not_in(CLOSED).label("is_open"),
            told.label("description"),
        )
        .outerjoin(
            Contact,
            and_(
                Contact.tenant_id == ServiceRequest.tenant_id,
                Contact.id == ServiceRequest.contact_id,
            ),
        )
        .where(
            ServiceRequest.tenant_id == scope_of(session).tenant_id,
            ~ServiceRequest.confidential,
            ServiceRequest.service_key.in_(sorted(open_services)),
            *_conditions(wanted),
        )
    )


def every_open_request(
    session: Session, wanted: Wanted, *, open_services: Collection[str], at_once: int = 2_000
) -> Iterator[OpenRequest]:
    """Give all of them, oldest first, in bounded memory: one statement for `at_once` of them."""
    after: tuple[datetime, UUID] | None = None
    while True:
        query = _query(session, wanted, open_services)
        if after is not None:
            query = query.where(tuple_(ServiceRequest.opened_at, ServiceRequest.id) > after)
        rows = session.execute(
            query.order_by(ServiceRequest.opened_at, ServiceRequest.id).limit(at_once)
        ).all()
        yield from (OpenRequest(**row._asdict()) for row in rows)
        if len(rows) < at_once:
            return
        after = (rows[-1].opened_at, rows[-1].id)


def number_of(session: Session, request_id: UUID) -> str | None:
    """Give the public number of one of this partner's own requests that is not confidential."""
    return session.execute(
        select(ServiceRequest.public_id).where(
            ServiceRequest.tenant_id == scope_of(session).tenant_id,
            ServiceRequest.id == request_id,
            ~ServiceRequest.confidential,
        )
    ).scalar_one_or_none()


def _conditions(wanted: Wanted) -> list[ColumnElement[bool]]:
    if wanted.numbers:
        return [ServiceRequest.public_id.in_(wanted.numbers)]
    found: list[ColumnElement[bool]] = []
    if wanted.service_keys is not None:
        found.append(ServiceRequest.service_key.in_(sorted(wanted.service_keys)))
    if wanted.is_open is not None:
        inside = ServiceRequest.state.in_(CLOSED)
        found.append(~inside if wanted.is_open else inside)
    if wanted.start is not None:
        found.append(ServiceRequest.opened_at >= wanted.start)
    if wanted.end is not None:
        found.append(ServiceRequest.opened_at <= wanted.end)
    if wanted.updated_start is not None:
        found.append(ServiceRequest.updated_at >= wanted.updated_start)
    if wanted.updated_end is not None:
        found.append(ServiceRequest.updated_at <= wanted.updated_end)
    if wanted.box is not None:
        west, south, east, north = wanted.box
        found += [
            ServiceRequest.latitude.between(south, north),
            ServiceRequest.longitude.between(west, east),
        ]
    return found


@dataclass(frozen=True, slots=True)
class PublicUpdate:
    """Something that happened to a public request; `status` is one of `UPDATE_STATUSES`."""

    id: UUID
    number: str
    at: datetime
    status: str
    message: str | None


def public_updates(
    session: Session,
    *,
    open_services: Collection[str],
    start: datetime | None,
    end: datetime | None,
    limit: int,
    offset: int = 0,
) -> list[PublicUpdate]:
    """Give what happened to this partner's public requests, oldest first. One statement.

    What clients sent in themselves is left out. Both moments are included.
    """
    window = []
    if start is not None:
        window.append(RequestUpdate.at >= start)
    if end is not None:
        window.append(RequestUpdate.at <= end)
    rows = session.execute(
        select(
            RequestUpdate.id,
            ServiceRequest.public_id.label("number"),
            RequestUpdate.at,
            RequestUpdate.status,
            RequestUpdate.message,
        )
        .join(
            ServiceRequest,
            and_(
                ServiceRequest.tenant_id == RequestUpdate.tenant_id,
                ServiceRequest.id == RequestUpdate.request_id,
            ),
        )
        .where(
            RequestUpdate.tenant_id == scope_of(session).tenant_id,
            RequestUpdate.client_id.is_(None),
            ~ServiceRequest.confidential,
            ServiceRequest.service_key.in_(sorted(open_services)),
            *window,
        )
        .order_by(RequestUpdate.at, RequestUpdate.id)
        .limit(limit)
        .offset(offset)
    )
    return [PublicUpdate(**row._asdict()) for row in rows]
