"""Rule sets, the decisions they led to, consents and referrals."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, text
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

    `draft` → `checked` → `published` → `retired`; a draft that nobody wants is `discarded`.
    Editing what was checked makes it a draft again. Others read it once it was approved, and not
    before: a policy of the table holds that. `published` is the range of days on which it
    decides; null before. `cases` are the tests that are kept with the rules, `edits` counts the
    changes made in the editor, each kept in `rule_edits`.
    """

    __tablename__ = "rule_sets"
    __table_args__ = (
        UniqueConstraint("tenant_id", "version"),
        CheckConstraint(
            "state IN ('draft', 'checked', 'published', 'retired', 'discarded')",
            name="state_known",
        ),
        CheckConstraint(
            "(state IN ('draft', 'checked', 'discarded')) = (published IS NULL)",
            name="draft_has_no_dates",
        ),
        ExcludeConstraint(("tenant_id", "="), ("published", "&&"), name="ex_rule_sets_one_a_day"),
        {"info": PUBLISHED},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    version: Mapped[int]
    state: Mapped[str]
    published: Mapped[Range[date] | None] = mapped_column(DATERANGE())
    rules: Mapped[list[dict[str, Any]]]
    cases: Mapped[list[dict[str, Any]]] = mapped_column(default=list, server_default="[]")
    title: Mapped[str | None]
    """What the draft is about, in words."""
    based_on: Mapped[int | None]
    """The version that the draft was made from."""
    edits: Mapped[int] = mapped_column(default=0, server_default="0")
    digest: Mapped[str]
    drafted_by: Mapped[UUID | None]
    checked_by: Mapped[UUID | None]
    checked_at: Mapped[datetime | None]
    approved_by: Mapped[UUID | None]
    created_at: Mapped[datetime]


class RuleEdit(Base):
    """One change of a draft of the rules, with what it was before, so that it can be undone."""

    __tablename__ = "rule_edits"
    __table_args__ = (
        tenant_reference("rule_sets", "rule_set_id"),
        UniqueConstraint("tenant_id", "rule_set_id", "number"),
        {"info": APPEND_ONLY},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    rule_set_id: Mapped[UUID]
    number: Mapped[int]
    what: Mapped[str]
    """add, edit, move, copy, switch, remove, group, case, undo, title."""
    subject: Mapped[str | None]
    """Key of the rule or the case."""
    before: Mapped[dict[str, Any]]
    """`rules`, `cases` and `title` as they were."""
    made_by: Mapped[UUID | None]
    made_at: Mapped[datetime]


class Backtest(Base):
    """A draft run over the contacts of a past period, a part at a time, by the worker.

    `rules` is what was tried: the draft may go on. `result` grows with each part; `cursor` and
    `cursor_at` are the decision after which the next one begins.
    """

    __tablename__ = "backtests"
    __table_args__ = (
        tenant_reference("rule_sets", "rule_set_id"),
        CheckConstraint(
            "state IN ('waiting', 'running', 'done', 'failed', 'stopped')", name="state_known"
        ),
        Index(None, "tenant_id", "rule_set_id"),
        Index(
            "ix_backtests_waiting",
            "tenant_id",
            "id",
            postgresql_where=text("state IN ('waiting', 'running')"),
        ),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    rule_set_id: Mapped[UUID]
    rules: Mapped[list[dict[str, Any]]]
    first_on: Mapped[date]
    """First day of the period."""
    until_on: Mapped[date]
    """First day after it."""
    state: Mapped[str]
    total: Mapped[int | None]
    done: Mapped[int] = mapped_column(default=0)
    cursor: Mapped[UUID | None]
    cursor_at: Mapped[datetime | None]
    result: Mapped[dict[str, Any]] = mapped_column(default=dict)
    problem: Mapped[str | None]
    asked_by: Mapped[UUID | None]
    asked_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]


class Decision(Base):
    """Why a need went where it went: codes and versions only, explained whenever asked."""

    __tablename__ = "decisions"
    __table_args__ = (
        Index(None, "tenant_id", "need_id"),
        Index(None, "tenant_id", "contact_id"),
        Index(None, "tenant_id", "decided_at", "id"),
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
        Index(None, "tenant_id", "sent_at"),
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
