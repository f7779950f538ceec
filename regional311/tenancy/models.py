"""Partners, their bureaus, lines and boundaries: published, so that everybody can decide."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import CheckConstraint, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from regional311.database.base import PUBLISHED, TENANT, Base, RowId, TenantId


class Tenant(Base):
    """A partner of the region, or the region itself (`kind` = region).

    `tenant_id` equals `id`, so that the rule for published tables holds here too.
    """

    __tablename__ = "tenants"
    __table_args__ = (
        UniqueConstraint("tenant_id", "slug"),
        CheckConstraint("id = tenant_id", name="is_its_own"),
        {"info": PUBLISHED},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    slug: Mapped[str]
    kind: Mapped[str]
    name: Mapped[str]
    short_name: Mapped[str]
    zone: Mapped[str]
    fiscal_year_starts_in: Mapped[int]
    settings: Mapped[dict[str, Any]]
    """The rest of its configuration file: contact, branding, role names, queues, holidays."""
    revision: Mapped[int] = mapped_column(default=1)
    """Rises with every published change; caches compare the sum over all tenants."""


class Bureau(Base):
    """A bureau, department or office of a partner."""

    __tablename__ = "bureaus"
    __table_args__ = (UniqueConstraint("tenant_id", "key"), {"info": PUBLISHED})

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    key: Mapped[str]
    name: Mapped[str]
    kind: Mapped[str]
    fund_code: Mapped[str | None]
    cost_centre: Mapped[str | None]
    ended_on: Mapped[date | None]


class Line(Base):
    """A public line (telephone, desk, mailbox) with its hours and who answers when it is closed."""

    __tablename__ = "lines"
    __table_args__ = (UniqueConstraint("tenant_id", "key"), {"info": PUBLISHED})

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    key: Mapped[str]
    name: Mapped[str]
    channel: Mapped[str]
    address: Mapped[str]
    """The number, street or e-mail address that people use."""
    hours: Mapped[dict[str, Any]]
    """Weekday (mon..sun, holiday) to a list of [opens, closes] in local time."""
    closed_answer: Mapped[str | None]
    """Slug of the partner that answers when this line is closed and no fallback holds."""
    fallbacks: Mapped[list[dict[str, Any]]] = mapped_column(
        default=list, server_default=text("'[]'")
    )
    """Who answers when it is closed, in order, as `answering.Fallback` says it."""
    special_days: Mapped[list[dict[str, Any]]] = mapped_column(
        default=list, server_default=text("'[]'")
    )
    """Days with hours of their own, as `answering.SpecialDay` says them."""
    ended_on: Mapped[date | None]


class Boundary(Base):
    """An area or a line on the map within which a partner is responsible for something."""

    __tablename__ = "boundaries"
    __table_args__ = (
        UniqueConstraint("tenant_id", "key"),
        CheckConstraint("tolerance_m >= 0", name="tolerance_not_negative"),
        {"info": PUBLISHED},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    key: Mapped[str]
    name: Mapped[str]
    kind: Mapped[str]
    """jurisdiction (the partner's own outline), district, neighbourhood, road, bridge, ..."""
    geometry: Mapped[dict[str, Any]]
    """GeoJSON (RFC 7946) geometry, WGS 84, longitude first."""
    tolerance_m: Mapped[int] = mapped_column(default=0)
    names: Mapped[list[str]] = mapped_column(default=list)
    """Names people use for places inside: neighbourhoods, bridges, roads; lower case."""
    agency_key: Mapped[str | None]
    """An outside agency (policy `agencies`) that is responsible there instead of the partner."""
    illustrative: Mapped[bool] = mapped_column(default=False)
    source: Mapped[str]
    ended_on: Mapped[date | None]


class Policy(Base):
    """What the region agreed on: danger screen, sharing, retention; each a dated document."""

    __tablename__ = "policies"
    __table_args__ = (
        UniqueConstraint("tenant_id", "key", "valid_from"),
        CheckConstraint("valid_to > valid_from", name="ends_after_start"),
        {"info": PUBLISHED},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    key: Mapped[str]
    body: Mapped[dict[str, Any]]
    valid_from: Mapped[date]
    valid_to: Mapped[date | None]


class ConfiguredObject(Base):
    """What files and forms last agreed on, for each configured thing.

    A thing whose content differs from this digest was changed since; changed in the file and in
    the forms, it is a conflict and neither wins.
    """

    __tablename__ = "configured_objects"
    __table_args__ = (UniqueConstraint("tenant_id", "kind", "key"), {"info": TENANT})

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    kind: Mapped[str]
    key: Mapped[str]
    digest: Mapped[str]


class IdempotencyKey(Base):
    """The first answer to something that must not happen twice."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (UniqueConstraint("tenant_id", "key"), {"info": TENANT})

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    key: Mapped[str]
    content_digest: Mapped[str]
    answer: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))


class CutOff(Base):
    """The latest instant at which a partner's prices, pools and bases were read for bills or
    changed; its row is locked while either is done.
    """

    __tablename__ = "cut_offs"
    __table_args__ = ({"info": TENANT},)

    tenant_id: Mapped[TenantId]
    latest: Mapped[datetime]
