"""Costs that partners share: pools and who bears which part."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

from sqlalchemy import CheckConstraint, UniqueConstraint
from sqlalchemy.orm import Mapped

from regional311.database.base import TENANT, Base, RowId, TenantId, tenant_reference


class CostPool(Base):
    """A yearly cost that partners share; its shares sum to exactly 100 %."""

    __tablename__ = "cost_pools"
    __table_args__ = (
        UniqueConstraint("tenant_id", "key", "fiscal_year"),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    key: Mapped[str]
    fiscal_year: Mapped[int]
    """The year in which it ends: July 2026 to June 2027 is 2027."""
    name: Mapped[str]
    yearly_cents: Mapped[int]
    source: Mapped[str]
    note: Mapped[str | None]


class PoolShare(Base):
    """One payer's percentage of a pool; the provider's own share is billed to nobody."""

    __tablename__ = "pool_shares"
    __table_args__ = (
        tenant_reference("cost_pools", "pool_id"),
        UniqueConstraint("tenant_id", "pool_id", "payer_slug"),
        CheckConstraint("percent >= 0 AND percent <= 100", name="percent_in_range"),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    pool_id: Mapped[UUID]
    payer_slug: Mapped[str]
    percent: Mapped[Decimal]
