"""Where services are given: the published locations of a service, each with what differs there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from regional311.catalog.models import Location, Organization, ServiceLocation


@dataclass(frozen=True)
class ServicePlace:
    """A location and the service there, both as `content` says them, in plain values.

    `at` is what differs for the service at the location.
    """

    key: str
    name: str
    latitude: float | None
    longitude: float | None
    location: Mapping[str, Any]
    at: Mapping[str, Any]


def places_of(session: Session, tenant_id: UUID, service_id: UUID, on: date) -> list[ServicePlace]:
    """Give the locations at which a service is given on a day, by name."""
    rows = session.execute(
        select(
            Location.key,
            Location.name,
            Location.latitude,
            Location.longitude,
            Location.details,
            ServiceLocation.details,
        )
        .join(
            ServiceLocation,
            (ServiceLocation.tenant_id == Location.tenant_id)
            & (ServiceLocation.location_id == Location.id),
        )
        .where(
            Location.tenant_id == tenant_id,
            ServiceLocation.service_id == service_id,
            or_(ServiceLocation.ended_on.is_(None), ServiceLocation.ended_on > on),
            or_(Location.ended_on.is_(None), Location.ended_on > on),
        )
        .order_by(Location.name, Location.key)
    )
    return [ServicePlace(*row) for row in rows]


def organization_named(
    session: Session, tenant_id: UUID, key: str
) -> tuple[str, Mapping[str, Any]] | None:
    """Give the name of a partner's organisation, and what else it says."""
    row = session.execute(
        select(Organization.name, Organization.details).where(
            Organization.tenant_id == tenant_id, Organization.key == key
        )
    ).one_or_none()
    return None if row is None else (row.name, row.details)
