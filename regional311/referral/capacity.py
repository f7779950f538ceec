"""The room that services have, as their partner says it until a moment; all of it is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from regional311.audit.service import record
from regional311.catalog.models import Service
from regional311.database.ids import new_id
from regional311.database.rows import new_row, put
from regional311.database.session import TenantSession, scope_of
from regional311.errors import InvalidInput
from regional311.referral.acceptance import HAS, ROOM_STATES, Room
from regional311.referral.models import Capacity
from regional311.tenancy.revision import raise_revision

USUAL_HOURS: Final = 24
LONGEST_DAYS: Final = 92
MAX_PLACES: Final = 100_000
MAX_NOTE: Final = 200


@dataclass(frozen=True, slots=True)
class Said:
    """What was said of a service's room, when, until when and by whom."""

    service_key: str
    location_key: str | None
    state: str
    places: int | None
    note: str | None
    set_at: datetime
    until_at: datetime
    set_by: UUID | None


def set_room(
    session: TenantSession,
    *,
    now: datetime,
    service_key: str,
    state: str,
    until: datetime | None = None,
    places: int | None = None,
    note: str | None = None,
    location_key: str | None = None,
) -> UUID:
    """Say what room a service of one's own has, for a day unless ``until`` says otherwise.

    Everything said before stays as history. Raises :class:`InvalidInput`.
    """
    if state not in ROOM_STATES:
        raise InvalidInput("Choose what room there is.", field="state")
    until = until or now + timedelta(hours=USUAL_HOURS)
    if not now < until <= now + timedelta(days=LONGEST_DAYS):
        raise InvalidInput(
            f"Say until when it holds: later than now, within {LONGEST_DAYS} days.", field="until"
        )
    if places is not None and not (state == HAS and 0 < places <= MAX_PLACES):
        raise InvalidInput(
            "Give a number of places only where there is room, and at least one.", field="places"
        )
    note = (note or "").strip() or None
    if note and len(note) > MAX_NOTE:
        raise InvalidInput(f"Write a note of at most {MAX_NOTE} characters.", field="note")
    scope = scope_of(session)
    service = session.execute(
        select(Service.id, Service.details, Service.ended_on).where(
            Service.tenant_id == scope.tenant_id, Service.key == service_key
        )
    ).one_or_none()
    if service is None:
        raise InvalidInput(f"There is no service {service_key} here.", field="service")
    if location_key is not None and location_key not in sites(service.details):
        raise InvalidInput(f"The service is not given at {location_key}.", field="location")
    capacity_id = new_id()
    put(
        session,
        new_row(
            Capacity,
            tenant_id=scope.tenant_id,
            id=capacity_id,
            service_key=service_key,
            location_key=location_key,
            state=state,
            places=places,
            note=note,
            set_at=now,
            until_at=until,
            set_by=scope.person_id,
        ),
    )
    record(
        session,
        now=now,
        action="capacity:set",
        subject_kind="service",
        subject_id=service.id,
        detail={"state": state, "until": until.isoformat()}
        | ({"places": places} if places is not None else {})
        | ({"location": location_key} if location_key else {}),
    )
    raise_revision(session)
    return capacity_id


def sites(details: Mapping[str, Any]) -> list[str]:
    """Give the keys of the locations at which a service is given."""
    return [each["location"] for each in details.get("location") or () if each.get("location")]


_NEWEST: Final = (
    select(Capacity)
    .ext(distinct_on(Capacity.tenant_id, Capacity.service_key, Capacity.location_key))
    .order_by(
        Capacity.tenant_id,
        Capacity.service_key,
        Capacity.location_key,
        Capacity.set_at.desc(),
        Capacity.id.desc(),
    )
)


def rooms(session: Session) -> dict[tuple[UUID, str], tuple[Room, ...]]:
    """Give what every partner said last of its services, by partner and service; one statement."""
    found: dict[tuple[UUID, str], list[Room]] = {}
    for row in session.execute(_NEWEST).scalars():
        found.setdefault((row.tenant_id, row.service_key), []).append(
            Room(row.state, row.until_at, row.places, row.note or "", row.location_key or "")
        )
    return {key: tuple(each) for key, each in found.items()}


def said_of(session: Session, service_key: str | None = None, limit: int = 50) -> Sequence[Said]:
    """Give what the bound partner said, the newest first; of one service when it is given."""
    query = select(
        Capacity.service_key,
        Capacity.location_key,
        Capacity.state,
        Capacity.places,
        Capacity.note,
        Capacity.set_at,
        Capacity.until_at,
        Capacity.set_by,
    ).where(Capacity.tenant_id == scope_of(session).tenant_id)
    if service_key is not None:
        query = query.where(Capacity.service_key == service_key)
    rows = session.execute(query.order_by(Capacity.set_at.desc(), Capacity.id.desc()).limit(limit))
    return [Said(*row) for row in rows]
