"""Services of every partner: published, so that any specialist finds any partner's answer."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlalchemy.dialects.postgresql import DATERANGE, ExcludeConstraint, Range
from sqlalchemy.orm import Mapped, mapped_column

from regional311.database.base import (
    PUBLISHED,
    Base,
    RowId,
    TenantId,
    tenant_reference,
)


class Service(Base):
    """Something a partner does for people: found, reported, requested, applied for or paid."""

    __tablename__ = "services"
    __table_args__ = (
        UniqueConstraint("tenant_id", "key"),
        CheckConstraint("verb IN ('find', 'report', 'request', 'apply', 'pay')", name="verb_known"),
        Index(None, "tenant_id", "term"),
        {"info": PUBLISHED},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    key: Mapped[str]
    name: Mapped[str]
    summary: Mapped[str]
    verb: Mapped[str]
    bureau_key: Mapped[str | None]
    term: Mapped[str]
    """Taxonomy term; services of several partners for the same kind of need share it."""
    keywords: Mapped[list[str]]
    channels: Mapped[list[str]]
    boundary_key: Mapped[str | None]
    """Where it applies; null means the partner's own outline."""
    confidential: Mapped[bool] = mapped_column(default=False)
    target_hours: Mapped[int | None]
    """Service level: business hours until a request should be closed."""
    details: Mapped[dict[str, Any]]
    """What the specialist reads out: information, phone, fee, hours, documents, languages."""
    ended_on: Mapped[date | None]


class ServiceDisposition(Base):
    """What happens to a service from a date on: resolve here, refer, or still undecided."""

    __tablename__ = "service_dispositions"
    __table_args__ = (
        tenant_reference("services", "service_id"),
        CheckConstraint("disposition IN ('resolve', 'refer', 'undecided')", name="is_known"),
        ExcludeConstraint(
            ("tenant_id", "="), ("service_id", "="), ("valid", "&&"), name="ex_dispositions_once"
        ),
        {"info": PUBLISHED},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    service_id: Mapped[UUID]
    disposition: Mapped[str]
    valid: Mapped[Range[date]] = mapped_column(DATERANGE())
    note: Mapped[str | None]
