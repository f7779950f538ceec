"""The declarative base and the column types every table is made of.

Each table says in `info` what kind it is, and the migration, the grants and the architecture tests
follow from that:

- `TENANT`: rows belong to one tenant and only it sees them;
- `PUBLISHED`: everybody reads, only the owning tenant writes;
- `ENVELOPE`: the receiver reads and works, a sender may only insert under its own name;
- `IDENTITY`: known before a tenant is; the application reaches these through functions only;
- `APPEND_ONLY`: beside TENANT, the application may insert and select, nothing else;
- `FOR_EVER`: published and append-only.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    Date,
    DateTime,
    ForeignKeyConstraint,
    MetaData,
    Numeric,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, mapped_column

TENANT = {"kind": "tenant"}
APPEND_ONLY = {"kind": "tenant", "append_only": True}
PUBLISHED = {"kind": "published"}
FOR_EVER = {"kind": "published", "append_only": True}
ENVELOPE = {"kind": "envelope"}
IDENTITY = {"kind": "identity"}

NAMING = {
    "pk": "pk_%(table_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
}


class Base(DeclarativeBase):
    """Every table of the system."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {
        UUID: Uuid(),
        str: Text(),
        bool: Boolean(),
        int: BigInteger(),
        date: Date(),
        datetime: DateTime(timezone=True),
        Decimal: Numeric(18, 6),
        dict[str, Any]: JSONB(),
        list[dict[str, Any]]: JSONB(),
        list[str]: ARRAY(Text()),
    }


TenantId = Annotated[UUID, mapped_column(primary_key=True, sort_order=-2)]
"""The owning tenant: first column, first in the primary key."""

RowId = Annotated[UUID, mapped_column(primary_key=True, sort_order=-1)]
"""A UUIDv7 made in Python."""


def tenant_reference(table: str, *columns: str) -> ForeignKeyConstraint:
    """Return a foreign key to a row of the same tenant: `(tenant_id, x_id) -> (tenant_id, id)`."""
    return ForeignKeyConstraint(["tenant_id", *columns], [f"{table}.tenant_id", f"{table}.id"])
