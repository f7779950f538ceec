"""Budgets and saved scenarios."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from regional311.database.base import (
    APPEND_ONLY,
    TENANT,
    Base,
    RowId,
    TenantId,
    tenant_reference,
)


class Budget(Base):
    """What a partner has set aside, or expects to be paid, for a fiscal year; the latest holds.

    `side` is received for what it pays to `counterparty_id`, issued for what that one pays to it;
    bureaus and outside bodies are told apart as on statements. A new figure is a new row, so that
    a statement's document always finds the budget that held when it was issued.
    """

    __tablename__ = "budgets"
    __table_args__ = (
        CheckConstraint("side IN ('issued', 'received')", name="side_known"),
        CheckConstraint("payer_kind IN ('partner', 'bureau', 'outside')", name="payer_kind_known"),
        CheckConstraint("amount_cents >= 0", name="not_negative"),
        CheckConstraint("warn_percent BETWEEN 1 AND 100", name="warns_in_time"),
        Index(None, "tenant_id", "fiscal_year", "side", "counterparty_id"),
        {"info": APPEND_ONLY},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    side: Mapped[str]
    counterparty_id: Mapped[UUID]
    payer_kind: Mapped[str] = mapped_column(default="partner")
    payer_key: Mapped[str | None]
    agreement_key: Mapped[str | None]
    """Only what is billed under this agreement; None stands for everything between the two."""
    fiscal_year: Mapped[int]
    """The calendar year in which it ends."""
    amount_cents: Mapped[int]
    warn_percent: Mapped[int]
    """Warned when this part of the budget is billed or forecast to be."""
    note: Mapped[str | None]
    set_by: Mapped[UUID | None]
    set_at: Mapped[datetime]


class BudgetWarning(Base):
    """That people were told, once, how a figure of a budget stands."""

    __tablename__ = "budget_warnings"
    __table_args__ = (
        tenant_reference("budgets", "budget_id"),
        UniqueConstraint("tenant_id", "budget_id", "standing"),
        {"info": APPEND_ONLY},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    budget_id: Mapped[UUID]
    standing: Mapped[str]
    told: Mapped[int]
    """How many people."""
    at: Mapped[datetime]


class Scenario(Base):
    """What would have been billed if something else held: saved, named, shared.

    `changes` is what was assumed, `result` the comparison as it came out then. A partner that it
    was shared with has a row with the same id and only its own lines.
    """

    __tablename__ = "scenarios"
    __table_args__ = (
        UniqueConstraint("tenant_id", "public_id"),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    public_id: Mapped[str]
    name: Mapped[str]
    note: Mapped[str | None]
    period_key: Mapped[str]
    changes: Mapped[dict[str, Any]]
    result: Mapped[dict[str, Any]]
    from_tenant_id: Mapped[UUID | None]
    """Who shared it; None for one's own."""
    shared_with: Mapped[list[str]]
    """The slugs of the partners that have it too."""
    made_by: Mapped[UUID | None]
    made_at: Mapped[datetime]
