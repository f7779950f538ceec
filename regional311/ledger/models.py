"""Each partner's own double-entry books. They know nothing of 311.

Entries and postings are insert-only. A constraint trigger checks at commit that an entry balances
and still has the legs and the total it was made with, so that not even balanced legs can be added
to an old one.
"""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from regional311.database.base import APPEND_ONLY, TENANT, Base, RowId, TenantId


class Account(Base):
    """An account of the partner's chart, mapped to its own general ledger's code."""

    __tablename__ = "accounts"
    __table_args__ = (
        CheckConstraint(
            "type IN ('asset', 'liability', 'equity', 'revenue', 'expense')", name="type_known"
        ),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    key: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    type: Mapped[str]
    external_code: Mapped[str | None]
    fund_code: Mapped[str | None]
    ended_on: Mapped[date | None]


class LedgerPeriod(Base):
    """A month of the books: open, soft-closed or closed."""

    __tablename__ = "ledger_periods"
    __table_args__ = (
        CheckConstraint("state IN ('open', 'soft-closed', 'closed')", name="state_known"),
        CheckConstraint("end_on > start_on", name="ends_after_start"),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    key: Mapped[str] = mapped_column(primary_key=True)
    """`2026-10`; start inclusive, end exclusive."""
    start_on: Mapped[date]
    end_on: Mapped[date]
    state: Mapped[str] = mapped_column(default="open")


class JournalEntry(Base):
    """A balanced set of postings; the other partner's side has the same `mirror_id`."""

    __tablename__ = "journal_entries"
    __table_args__ = (
        UniqueConstraint("tenant_id", "source_key"),
        ForeignKeyConstraint(
            ["tenant_id", "period_key"], ["ledger_periods.tenant_id", "ledger_periods.key"]
        ),
        CheckConstraint("leg_count >= 2", name="has_legs"),
        Index(None, "tenant_id", "mirror_id"),
        {"info": APPEND_ONLY},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    period_key: Mapped[str]
    """The period it is booked in."""
    service_period: Mapped[str]
    """The period in which the work was done; the mirror compares these."""
    memo: Mapped[str]
    source_key: Mapped[str]
    """What made it, such as `statement:<id>:issue`: the same thing is never posted twice."""
    source_id: Mapped[UUID | None]
    counterparty_id: Mapped[UUID | None]
    mirror_id: Mapped[UUID | None]
    reverses_id: Mapped[UUID | None]
    leg_count: Mapped[int]
    total_cents: Mapped[int]
    posted_by: Mapped[UUID | None]
    posted_at: Mapped[datetime]


class Posting(Base):
    """One leg of an entry: a debit or a credit, in cents."""

    __tablename__ = "postings"
    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant_id", "entry_id"], ["journal_entries.tenant_id", "journal_entries.id"]
        ),
        ForeignKeyConstraint(["tenant_id", "account_key"], ["accounts.tenant_id", "accounts.key"]),
        CheckConstraint(
            "debit_cents >= 0 AND credit_cents >= 0 AND (debit_cents = 0) <> (credit_cents = 0)",
            name="one_side",
        ),
        Index(None, "tenant_id", "account_key"),
        {"info": APPEND_ONLY},
    )

    tenant_id: Mapped[TenantId]
    entry_id: Mapped[UUID] = mapped_column(primary_key=True)
    leg: Mapped[int] = mapped_column(primary_key=True)
    account_key: Mapped[str]
    debit_cents: Mapped[int] = mapped_column(default=0)
    credit_cents: Mapped[int] = mapped_column(default=0)
    counterparty_id: Mapped[UUID | None]
