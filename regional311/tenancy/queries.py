"""What is published about partners: everybody may read it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, func, select
from sqlalchemy.orm import Session

from regional311.database.session import TenantSession, scope_of
from regional311.tenancy.models import Boundary, Bureau, Line, Policy, Tenant


@dataclass(frozen=True, slots=True)
class TenantRow:
    """A partner, or the region."""

    id: UUID
    slug: str
    kind: str
    name: str
    short_name: str
    zone: str
    fiscal_year_starts_in: int
    settings: dict[str, Any]
    revision: int


@dataclass(frozen=True, slots=True)
class BureauRow:
    """A bureau of a partner."""

    tenant_id: UUID
    id: UUID
    key: str
    name: str
    kind: str
    ended_on: date | None


@dataclass(frozen=True, slots=True)
class LineRow:
    """A public line of a partner."""

    tenant_id: UUID
    id: UUID
    key: str
    name: str
    channel: str
    address: str
    hours: dict[str, Any]
    closed_answer: str | None
    fallbacks: list[dict[str, Any]]
    special_days: list[dict[str, Any]]
    ended_on: date | None


@dataclass(frozen=True, slots=True)
class BoundaryRow:
    """A boundary with its GeoJSON geometry."""

    tenant_id: UUID
    key: str
    name: str
    kind: str
    geometry: dict[str, Any]
    tolerance_m: int
    names: list[str]
    agency_key: str | None
    illustrative: bool
    ended_on: date | None


@dataclass(frozen=True, slots=True)
class PolicyRow:
    """One version of a policy of the region, valid up to, not including, ``valid_to``."""

    tenant_id: UUID
    key: str
    body: dict[str, Any]
    valid_from: date
    valid_to: date | None


def revision(session: Session | Connection) -> int:
    """Give the sum of all partners' revisions: it rises with every published change."""
    return int(session.execute(select(func.coalesce(func.sum(Tenant.revision), 0))).scalar_one())


def slug_of(session: TenantSession) -> str:
    """Give the slug of the bound partner, read once a session: it never changes."""
    tenant_id = scope_of(session).tenant_id
    known: dict[UUID, str] = session.info.setdefault("slugs", {})
    if tenant_id not in known:
        known[tenant_id] = session.execute(
            select(Tenant.slug).where(Tenant.tenant_id == tenant_id, Tenant.id == tenant_id)
        ).scalar_one()
    return known[tenant_id]


def tenants(session: Session) -> list[TenantRow]:
    """Give every partner and the region, by slug."""
    rows = session.execute(
        select(
            Tenant.id,
            Tenant.slug,
            Tenant.kind,
            Tenant.name,
            Tenant.short_name,
            Tenant.zone,
            Tenant.fiscal_year_starts_in,
            Tenant.settings,
            Tenant.revision,
        ).order_by(Tenant.slug)
    )
    return [TenantRow(*row) for row in rows]


def bureaus(session: Session) -> list[BureauRow]:
    """Give the bureaus of all partners, by partner and key."""
    rows = session.execute(
        select(
            Bureau.tenant_id, Bureau.id, Bureau.key, Bureau.name, Bureau.kind, Bureau.ended_on
        ).order_by(Bureau.tenant_id, Bureau.key)
    )
    return [BureauRow(*row) for row in rows]


def lines(session: Session) -> list[LineRow]:
    """Give the lines of all partners, by partner and key."""
    rows = session.execute(
        select(
            Line.tenant_id,
            Line.id,
            Line.key,
            Line.name,
            Line.channel,
            Line.address,
            Line.hours,
            Line.closed_answer,
            Line.fallbacks,
            Line.special_days,
            Line.ended_on,
        ).order_by(Line.tenant_id, Line.key)
    )
    return [LineRow(*row) for row in rows]


def boundaries(session: Session) -> list[BoundaryRow]:
    """Give the boundaries of all partners, by partner and key."""
    rows = session.execute(
        select(
            Boundary.tenant_id,
            Boundary.key,
            Boundary.name,
            Boundary.kind,
            Boundary.geometry,
            Boundary.tolerance_m,
            Boundary.names,
            Boundary.agency_key,
            Boundary.illustrative,
            Boundary.ended_on,
        ).order_by(Boundary.tenant_id, Boundary.key)
    )
    return [BoundaryRow(*row) for row in rows]


def policies(session: Session) -> list[PolicyRow]:
    """Give every version of every policy, by key and first day."""
    rows = session.execute(
        select(
            Policy.tenant_id, Policy.key, Policy.body, Policy.valid_from, Policy.valid_to
        ).order_by(Policy.key, Policy.valid_from)
    )
    return [PolicyRow(*row) for row in rows]


def local_day(session: TenantSession, at: datetime) -> date:
    """Give the day that a moment falls on at the bound partner. One statement."""
    tenant_id = scope_of(session).tenant_id
    zone = session.execute(
        select(Tenant.zone).where(Tenant.tenant_id == tenant_id, Tenant.id == tenant_id)
    ).scalar_one()
    return at.astimezone(ZoneInfo(zone)).date()
