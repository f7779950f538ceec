"""Tags on requests, saved views of the list, and changes of many requests at once."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from regional311.database.base import TENANT, Base, RowId, TenantId, tenant_reference


class RequestTag(Base):
    """A word that staff put on a request, to find it and its like again."""

    __tablename__ = "request_tags"
    __table_args__ = (
        tenant_reference("service_requests", "request_id"),
        Index(
            "ux_request_tags_once",
            "tenant_id",
            "request_id",
            "tag",
            unique=True,
            postgresql_where=text("removed_at IS NULL"),
        ),
        Index(
            "ix_request_tags_tag",
            "tenant_id",
            "tag",
            "request_id",
            postgresql_where=text("removed_at IS NULL"),
        ),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    request_id: Mapped[UUID]
    tag: Mapped[str]
    at: Mapped[datetime]
    by_id: Mapped[UUID | None]
    removed_at: Mapped[datetime | None]


class SavedView(Base):
    """The filters of the list of requests, under a name: one's own, or everybody's here."""

    __tablename__ = "saved_views"
    __table_args__ = (
        Index(
            "ux_saved_views_name",
            "tenant_id",
            "person_id",
            "name",
            unique=True,
            postgresql_where=text("ended_at IS NULL"),
        ),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    person_id: Mapped[UUID]
    """Who saved it, and alone may change it."""
    name: Mapped[str]
    query: Mapped[str]
    """The filters as they stand in the address of the list."""
    shared: Mapped[bool]
    made_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class DefaultView(Base):
    """With which view the list of requests opens for somebody; null: with everything."""

    __tablename__ = "default_views"
    __table_args__ = ({"info": TENANT},)

    tenant_id: Mapped[TenantId]
    person_id: Mapped[UUID] = mapped_column(primary_key=True)
    view_id: Mapped[UUID | None]


class BulkChange(Base):
    """The same change of many requests, done a part at a time, and undone within some minutes."""

    __tablename__ = "bulk_changes"
    __table_args__ = (
        CheckConstraint(
            "state IN ('waiting', 'running', 'done', 'undoing', 'undone')", name="state_known"
        ),
        Index(
            "ix_bulk_changes_under_way",
            "tenant_id",
            "id",
            postgresql_where=text("state IN ('waiting', 'running', 'undoing')"),
        ),
        Index(None, "tenant_id", "person_id", "made_at"),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    person_id: Mapped[UUID]
    """In whose name, and with whose rights, it is done."""
    action: Mapped[str]
    wanted: Mapped[dict[str, Any]]
    """What is changed, as `bulk.Wanted` says it."""
    state: Mapped[str]
    total: Mapped[int]
    made_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    undo_until: Mapped[datetime | None]
    undone_at: Mapped[datetime | None]


class BulkRow(Base):
    """One request of a change of many, and what became of it."""

    __tablename__ = "bulk_rows"
    __table_args__ = (
        tenant_reference("bulk_changes", "bulk_id"),
        UniqueConstraint("tenant_id", "bulk_id", "position"),
        CheckConstraint(
            "result IN ('waiting', 'changed', 'refused', 'undone', 'kept')", name="result_known"
        ),
        Index(None, "tenant_id", "bulk_id", "result", "position"),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    bulk_id: Mapped[UUID]
    position: Mapped[int]
    request_id: Mapped[UUID]
    number: Mapped[str]
    result: Mapped[str]
    why: Mapped[str | None]
    """Why it could not be changed, or not be undone."""
    before: Mapped[dict[str, Any] | None]
    """What the request said before, as `intake.undoing` puts it back."""
    version: Mapped[int | None]
    """The request's version once it was changed: undone only while it still has it."""
    at: Mapped[datetime | None]
