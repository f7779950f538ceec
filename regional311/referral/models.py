"""Rule sets, the decisions they led to, consents and referrals."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlalchemy.dialects.postgresql import DATERANGE, ExcludeConstraint, Range
from sqlalchemy.orm import Mapped, mapped_column

from regional311.database.base import (
    APPEND_ONLY,
    PUBLISHED,
    TENANT,
    Base,
    RowId,
    TenantId,
    tenant_reference,
)

REFERRAL_STATES = (
    "draft",
    "requested",
    "accepted",
    "rejected",
    "in_progress",
    "on_hold",
    "completed",
    "failed",
    "cancelled",
    "entered_in_error",
)


class RuleSet(Base):
    """A version of a partner's ordered referral rules; never edited once published.

    `published` is the range of days on which it decides; null for a draft.
    """

    __tablename__ = "rule_sets"
    __table_args__ = (
        UniqueConstraint("tenant_id", "version"),
        CheckConstraint("state IN ('draft', 'published', 'retired')", name="state_known"),
        CheckConstraint("(state = 'draft') = (published IS NULL)", name="draft_has_no_dates"),
        ExcludeConstraint(("tenant_id", "="), ("published", "&&"), name="ex_rule_sets_one_a_day"),
        {"info": PUBLISHED},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    version: Mapped[int]
    state: Mapped[str]
    published: Mapped[Range[date] | None] = mapped_column(DATERANGE())
    rules: Mapped[list[dict[str, Any]]]
    digest: Mapped[str]
    drafted_by: Mapped[UUID | None]
    approved_by: Mapped[UUID | None]
    created_at: Mapped[datetime]


class Decision(Base):
    """Why a need went where it went: codes and versions only, explained whenever asked."""

    __tablename__ = "decisions"
    __table_args__ = (
        Index(None, "tenant_id", "need_id"),
        Index(None, "tenant_id", "contact_id"),
        {"info": APPEND_ONLY},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    contact_id: Mapped[UUID]
    need_id: Mapped[UUID | None]
    rule_set_version: Mapped[int]
    rule_key: Mapped[str | None]
    outcome: Mapped[str]
    target_tenant_id: Mapped[UUID | None]
    facts: Mapped[dict[str, Any]]
    trace: Mapped[dict[str, Any]]
    """Reason codes: the candidates, one code a rule tried, notices added."""
    decided_at: Mapped[datetime]


class Consent(Base):
    """What the person agreed may go to whom, and how they said so."""

    __tablename__ = "consents"
    __table_args__ = (
        tenant_reference("contacts", "contact_id"),
        Index(None, "tenant_id", "contact_id"),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    contact_id: Mapped[UUID]
    to_tenant_id: Mapped[UUID]
    fields: Mapped[list[str]]
    method: Mapped[str]
    """spoken, written, online."""
    given_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class Referral(Base):
    """A need handed over; sender and receiver each have a row with the same id.

    `shared` is exactly what crossed: the sender keeps a copy of what it sent, the receiver holds
    what came. Notes stay on the side that wrote them.
    """

    __tablename__ = "referrals"
    __table_args__ = (
        UniqueConstraint("tenant_id", "public_id"),
        CheckConstraint("side IN ('sent', 'received')", name="side_known"),
        CheckConstraint(
            f"state IN ({', '.join(repr(state) for state in REFERRAL_STATES)})",
            name="state_known",
        ),
        Index(None, "tenant_id", "side", "state", "sent_at", "id"),
        Index(None, "tenant_id", "contact_id"),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    public_id: Mapped[str]
    side: Mapped[str]
    counterparty_id: Mapped[UUID]
    service_key: Mapped[str]
    """The receiver's service that is asked for."""
    term: Mapped[str]
    contact_id: Mapped[UUID | None]
    """The sender's contact; null on the receiver's side."""
    need_id: Mapped[UUID | None]
    consent_id: Mapped[UUID | None]
    shared: Mapped[dict[str, Any]]
    urgency: Mapped[str] = mapped_column(default="normal")
    channel: Mapped[str]
    state: Mapped[str]
    reason: Mapped[str | None]
    outcome: Mapped[str | None]
    """What became of the person: met, partially_met, unmet, unknown."""
    note: Mapped[str | None]
    claimed_by: Mapped[UUID | None]
    replaces_id: Mapped[UUID | None]
    part_of_id: Mapped[UUID | None]
    sent_at: Mapped[datetime]
    received_at: Mapped[datetime | None]
    answered_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    due_at: Mapped[datetime | None]
    """When an answer is expected."""
    version: Mapped[int] = mapped_column(default=1)

    __mapper_args__ = {"version_id_col": version, "version_id_generator": lambda v: (v or 0) + 1}
