"""What partners publish of their figures: counts of months, without anybody in them."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapped

from regional311.database.base import FOR_EVER, Base, RowId, TenantId


class Trend(Base):
    """The counts of one whole month of one partner, published once and never changed.

    `figures` is measure → `total` and `divided`: way → key → count, `few` or `withheld`, or null
    where the total is not divided. `threshold` is what was small that day.
    """

    __tablename__ = "trends"
    __table_args__ = (UniqueConstraint("tenant_id", "month_on"), {"info": FOR_EVER})

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    month_on: Mapped[date]
    """First day of the month, on the partner's clock."""
    figures: Mapped[dict[str, Any]]
    threshold: Mapped[int]
    published_at: Mapped[datetime]
