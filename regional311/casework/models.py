"""Tags on requests, saved views of the list, changes of many requests, and prepared texts."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from regional311.database.base import APPEND_ONLY, TENANT, Base, RowId, TenantId, tenant_reference


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


class Accommodation(Base):
    """An accommodation request or a civil-rights complaint; only its coordinator reads it."""

    __tablename__ = "accommodations"
    __table_args__ = (
        UniqueConstraint("tenant_id", "public_id"),
        UniqueConstraint("tenant_id", "source_key"),
        UniqueConstraint("tenant_id", "token_hash"),
        CheckConstraint("sort IN ('request', 'complaint')", name="sort_known"),
        CheckConstraint(
            "state IN ('received', 'acknowledged', 'decided', 'withdrawn')", name="state_known"
        ),
        CheckConstraint(
            "(state IN ('decided', 'withdrawn'))"
            " = (decided_at IS NOT NULL AND outcome IS NOT NULL)",
            name="ended_with_an_outcome",
        ),
        CheckConstraint(
            "(appeal_outcome IS NULL) = (appeal_answered_at IS NULL)",
            name="answered_with_an_outcome",
        ),
        CheckConstraint("updates_by IN ('email', 'text', 'post', 'none')", name="updates_by_known"),
        Index(None, "tenant_id", "state", "received_at"),
        Index(None, "tenant_id", "received_at"),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    public_id: Mapped[str]
    source_key: Mapped[str]
    token_hash: Mapped[bytes]
    """Of the secret link to the person's own page."""
    sort: Mapped[str]
    kind: Mapped[str]
    """What is asked for, or for what somebody was treated worse."""
    bureau_key: Mapped[str | None]
    channel: Mapped[str]
    language: Mapped[str]
    details: Mapped[str]
    needed_on: Mapped[date | None]
    place: Mapped[str | None]
    name: Mapped[str | None]
    phone: Mapped[str | None]
    email: Mapped[str | None]
    address: Mapped[str | None]
    """Where letters on paper go."""
    reach: Mapped[str | None]
    updates_by: Mapped[str | None]
    """By what the person hears; null: it came in before that was asked, and is by e-mail."""
    state: Mapped[str]
    outcome: Mapped[str | None]
    outcome_words: Mapped[str | None]
    received_at: Mapped[datetime]
    acknowledge_by: Mapped[date]
    decide_by: Mapped[date]
    acknowledged_at: Mapped[datetime | None]
    decided_at: Mapped[datetime | None]
    appealed_at: Mapped[datetime | None]
    appeal_until: Mapped[date | None]
    """The last day on which the person can say that they do not agree."""
    appeal: Mapped[str | None]
    appeal_by: Mapped[date | None]
    appeal_answer: Mapped[str | None]
    appeal_outcome: Mapped[str | None]
    """What holds since the appeal was answered; `outcome` stays what was decided first."""
    appeal_answered_at: Mapped[datetime | None]
    taken_by: Mapped[UUID | None]
    """Who of the partner that took it in wrote it down, if not the person."""
    coordinator_id: Mapped[UUID | None]
    link_token: Mapped[str | None]
    """The end of the person's link, for messages to them; kept only where some go."""
    forgotten_at: Mapped[datetime | None]
    """When everything but what is counted was erased."""
    updated_at: Mapped[datetime]
    version: Mapped[int] = mapped_column(default=1)

    __mapper_args__ = {"version_id_col": version, "version_id_generator": lambda v: (v or 0) + 1}


class AccommodationNote(Base):
    """Words on an accommodation: the coordinator's own, to the person, or from them."""

    __tablename__ = "accommodation_notes"
    __table_args__ = (
        tenant_reference("accommodations", "accommodation_id"),
        Index(None, "tenant_id", "accommodation_id", "id"),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    accommodation_id: Mapped[UUID]
    author_id: Mapped[UUID | None]
    internal: Mapped[bool]
    from_person: Mapped[bool]
    words: Mapped[str]
    at: Mapped[datetime]


class AccommodationReminder(Base):
    """A step of reminding that was taken: each once."""

    __tablename__ = "accommodation_reminders"
    __table_args__ = (
        tenant_reference("accommodations", "accommodation_id"),
        UniqueConstraint("tenant_id", "accommodation_id", "step"),
        {"info": APPEND_ONLY},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    accommodation_id: Mapped[UUID]
    step: Mapped[str]
    at: Mapped[datetime]


class PreparedText(Base):
    """Words that a partner's people answer with often, or close requests with, by language."""

    __tablename__ = "prepared_texts"
    __table_args__ = (
        CheckConstraint(
            "channel IS NULL OR channel IN ('email', 'text', 'chat')", name="channel_known"
        ),
        CheckConstraint(
            "(purpose = 'answer' AND service_key IS NULL AND resolution IS NULL)"
            " OR (purpose = 'closing' AND channel IS NULL)",
            name="purpose_known",
        ),
        UniqueConstraint("tenant_id", "purpose", "key"),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    key: Mapped[str]
    """What files name it by."""
    purpose: Mapped[str] = mapped_column(default="answer", server_default="answer")
    """answer, or closing: then for one service and outcome, or for all."""
    name: Mapped[str]
    channel: Mapped[str | None]
    """Where it is offered; everywhere when there is none."""
    service_key: Mapped[str | None]
    resolution: Mapped[str | None]
    words: Mapped[dict[str, Any]]
    """Language to text, one at least."""
    changed_at: Mapped[datetime]
    changed_by: Mapped[UUID | None]
    ended_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(default=1)

    __mapper_args__ = {"version_id_col": version, "version_id_generator": lambda v: (v or 0) + 1}
