"""Known places and where their lists come from: published, so that everybody can find a place."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import DDL, CheckConstraint, Index, LargeBinary, Text, UniqueConstraint, event
from sqlalchemy.orm import Mapped, mapped_column

from regional311.database.base import PUBLISHED, Base, RowId, TenantId, tenant_reference


class PlaceSource(Base):
    """A list of places that a partner keeps, as it was imported last."""

    __tablename__ = "place_sources"
    __table_args__ = (UniqueConstraint("tenant_id", "key"), {"info": PUBLISHED})

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    key: Mapped[str]
    name: Mapped[str]
    licence: Mapped[str]
    """On what terms it may be used."""
    website: Mapped[str | None]
    imported_at: Mapped[datetime]
    places: Mapped[int]
    """How many it names now."""


class KnownPlace(Base):
    """An address, a crossing, a building, or a stretch of a street with its house numbers.

    `words` and `bare` are as `spelling.Said` has them. A stretch goes from `number` at its point to
    `last_number` at its other end, odd or even as `number` is.
    """

    __tablename__ = "known_places"
    __table_args__ = (
        tenant_reference("place_sources", "source_id"),
        UniqueConstraint("tenant_id", "source_id", "digest"),
        CheckConstraint(
            "kind IN ('address', 'crossing', 'landmark', 'stretch')", name="kind_known"
        ),
        CheckConstraint(
            "latitude BETWEEN -90 AND 90 AND longitude BETWEEN -180 AND 180", name="on_earth"
        ),
        CheckConstraint(
            "kind NOT IN ('address', 'stretch') OR number IS NOT NULL", name="has_number"
        ),
        CheckConstraint(
            "(kind = 'stretch') = (last_number IS NOT NULL AND last_latitude IS NOT NULL"
            " AND last_longitude IS NOT NULL)",
            name="stretch_has_an_end",
        ),
        Index("ix_known_places_bare", "bare", postgresql_where="ended_at IS NULL"),
        Index(
            "ix_known_places_number",
            "number",
            postgresql_where="ended_at IS NULL AND kind = 'address'",
        ),
        Index(
            "ix_known_places_alike",
            "bare",
            postgresql_using="gin",
            postgresql_ops={"bare": "gin_trgm_ops"},
            postgresql_where="ended_at IS NULL AND kind IN ('crossing', 'landmark')",
        ),
        {"info": PUBLISHED},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    source_id: Mapped[UUID]
    digest: Mapped[bytes] = mapped_column(LargeBinary)
    """Of all that the list says of it: another point is another place."""
    kind: Mapped[str]
    label: Mapped[str]
    """As it is shown."""
    words: Mapped[str]
    bare: Mapped[str] = mapped_column(Text(collation="C"))
    city: Mapped[str]
    """In one spelling; empty where the list says none."""
    number: Mapped[int | None]
    last_number: Mapped[int | None]
    latitude: Mapped[Decimal]
    longitude: Mapped[Decimal]
    last_latitude: Mapped[Decimal | None]
    last_longitude: Mapped[Decimal | None]
    ended_at: Mapped[datetime | None]


_ALIKENESS = DDL("CREATE EXTENSION IF NOT EXISTS pg_trgm")  # type: ignore[no-untyped-call]
event.listen(KnownPlace.__table__, "before_create", _ALIKENESS)
