"""Keeping the clock of a request as it changes: what :mod:`regional311.intake.promises` decides.

The partner's hours and levels are read only when a change touches the clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, select

from regional311.calendars import BusinessCalendar
from regional311.catalog.models import Service
from regional311.database.session import TenantSession
from regional311.intake import promises
from regional311.intake.lifecycle import CLOSED
from regional311.intake.models import ServiceRequest
from regional311.intake.promises import Clock, Level, Levels
from regional311.tenancy.hours import business_hours
from regional311.tenancy.models import Tenant


@dataclass(frozen=True, slots=True)
class Before:
    """What a request was before a change, as far as its clock asks for it."""

    state: str
    priority: str
    closed_at: datetime | None

    @classmethod
    def of(cls, request: ServiceRequest) -> Before:
        """Remember a request that is about to be changed."""
        return cls(request.state, request.priority, request.closed_at)


def keep_time(
    session: TenantSession, request: ServiceRequest, before: Before, *, now: datetime
) -> Mapping[str, str]:
    """Let the clock of a changed request follow, and give what its history says of that.

    One statement, when the change touches the clock at all.
    """
    clock = _clock(request)
    other = request.priority != before.priority
    if not promises.concerns(clock, before.state, request.state, other_priority=other):
        return {}
    calendar, levels, level = _promised_here(session, request)
    found = promises.changed(
        clock,
        calendar,
        was=before.state,
        to=request.state,
        now=now,
        percent=levels.warning(request.priority),
        closed_at=before.closed_at,
        level=level if other else None,
    )
    _set(request, found)
    return {} if request.state in CLOSED else _said(clock, found)


def run_on(session: TenantSession, request: ServiceRequest, *, now: datetime) -> None:
    """Let time go on where it stands still, because the request leaves for somebody else."""
    clock = _clock(request)
    if clock.stands_since is None:
        return
    calendar, levels, _level = _promised_here(session, request)
    _set(request, promises.resume(clock, calendar, now, levels.warning(request.priority)))


def _promised_here(
    session: TenantSession, request: ServiceRequest
) -> tuple[BusinessCalendar, Levels, Level | None]:
    with session.no_autoflush:
        row = session.execute(
            select(Tenant.zone, Tenant.settings, Service.target_hours)
            .outerjoin(
                Service,
                and_(
                    Service.tenant_id == Tenant.tenant_id,
                    Service.key == request.service_key,
                ),
            )
            .where(Tenant.tenant_id == request.tenant_id, Tenant.id == request.tenant_id)
        ).one()
    levels = promises.levels_of(row.settings)
    return business_hours(row), levels, levels.level(row.target_hours, request.priority)


def _clock(request: ServiceRequest) -> Clock:
    return Clock(
        request.opened_at,
        request.expected_at,
        request.warn_at,
        request.stands_since,
        timedelta(seconds=request.left_seconds or 0),
        timedelta(seconds=request.stood_seconds or 0),
    )


def _set(request: ServiceRequest, clock: Clock) -> None:
    request.expected_at, request.warn_at = clock.expected_at, clock.warn_at
    request.stands_since = clock.stands_since
    request.left_seconds = None if clock.stands_since is None else _seconds(clock.left)
    request.stood_seconds = _seconds(clock.stood) or None


def _seconds(time: timedelta) -> int:
    return round(time.total_seconds())


def _said(before: Clock, clock: Clock) -> dict[str, str]:
    said: dict[str, Any] = {}
    if before.stands_since is None and clock.stands_since is not None:
        said["clock"] = "stands"
    if clock.expected_at is not None and clock.expected_at != before.expected_at:
        said["expected_at"] = clock.expected_at.isoformat()
        if before.stands_since is not None:
            said["clock"] = "goes_on"
    return said
