"""Each partner's own double-entry books. They know nothing of 311.

Entries and postings are insert-only, and an entry and its legs are written by one statement. When
it ends a trigger checks everything it wrote at once: that entries balance, have the legs and the
total they were made with, accounts that exist and an open period. No leg can come later, not even
balanced ones. The trigger stands for the foreign keys to entry, account and period, which looked at
every row by itself; that what is referred to stays follows from the application's rights.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
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
    cost_centre: Mapped[str | None]
    ended_on: Mapped[date | None]


class GlMapping(Base):
    """Where the partner's own general ledger has postings of some account, party or family.

    What is null fits everything; of several that fit, the one that says most counts. A code that
    is null is the account's.
    """

    __tablename__ = "gl_mappings"
    __table_args__ = (UniqueConstraint("tenant_id", "key"), {"info": TENANT})

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    key: Mapped[str]
    account_key: Mapped[str | None]
    party: Mapped[str | None]
    """A partner's slug, `bureau:<key>` or `outside:<key>`."""
    family: Mapped[str | None]
    external_code: Mapped[str | None]
    fund_code: Mapped[str | None]
    cost_centre: Mapped[str | None]
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


class LedgerPeriodEvent(Base):
    """A step in the life of a period; reopening is asked for by one person, granted by another."""

    __tablename__ = "ledger_period_events"
    __table_args__ = (
        UniqueConstraint("tenant_id", "period_key", "position"),
        ForeignKeyConstraint(
            ["tenant_id", "period_key"], ["ledger_periods.tenant_id", "ledger_periods.key"]
        ),
        CheckConstraint(
            "kind IN ('soft_closed', 'closed', 'reopen_requested', 'reopen_declined', 'reopened')",
            name="kind_known",
        ),
        CheckConstraint("kind NOT LIKE 'reopen%' OR reason <> ''", name="reason_given"),
        {"info": APPEND_ONLY},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    period_key: Mapped[str]
    position: Mapped[int]
    kind: Mapped[str]
    reason: Mapped[str | None]
    person_id: Mapped[UUID | None]
    at: Mapped[datetime]


class JournalEntry(Base):
    """A balanced set of postings; the other partner's side has the same `mirror_id`."""

    __tablename__ = "journal_entries"
    __table_args__ = (
        UniqueConstraint("tenant_id", "source_key"),
        CheckConstraint("leg_count >= 2", name="has_legs"),
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
    party: Mapped[str | None]
    """Who it is about when that is no partner: `bureau:<key>` or `outside:<key>`."""
    family: Mapped[str | None]
    """What it is about, such as an agreement's key; only mappings to other ledgers read it."""


class LedgerSeal(Base):
    """A link of the chain: a digest over entries, and over the seal before."""

    __tablename__ = "ledger_seals"
    __table_args__ = (
        CheckConstraint("entry_count > 0", name="some_entries"),
        {"info": APPEND_ONLY},
    )

    tenant_id: Mapped[TenantId]
    number: Mapped[int] = mapped_column(primary_key=True)
    previous_hash: Mapped[str]
    entry_count: Mapped[int]
    entries_digest: Mapped[str]
    hash: Mapped[str]
    snapshot_xmin: Mapped[int]
    """Transactions before this one had ended when the entries were chosen."""
    sealed_at: Mapped[datetime]


class SealedEntry(Base):
    """Which seal has an entry, and the digest of the entry as it was then."""

    __tablename__ = "ledger_seal_entries"
    __table_args__ = (
        UniqueConstraint("tenant_id", "seal_number", "position"),
        ForeignKeyConstraint(
            ["tenant_id", "seal_number"], ["ledger_seals.tenant_id", "ledger_seals.number"]
        ),
        {"info": APPEND_ONLY},
    )

    tenant_id: Mapped[TenantId]
    entry_id: Mapped[UUID] = mapped_column(primary_key=True)
    """No foreign key: an entry that somebody deleted must leave this behind."""
    seal_number: Mapped[int]
    position: Mapped[int]
    digest: Mapped[str]


class LedgerDocument(Base):
    """What a document was when books took it: the digest is sealed like an entry.

    Statements and payments have one on each side; the rule of the digest is its kind's own.
    """

    __tablename__ = "ledger_documents"
    __table_args__ = (
        UniqueConstraint("tenant_id", "kind", "subject_id"),
        {"info": APPEND_ONLY},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    kind: Mapped[str]
    """statement, statement_pdf, payment."""
    subject_id: Mapped[UUID]
    """No foreign key: a document that somebody deleted must leave this behind."""
    digest: Mapped[str]
    recorded_at: Mapped[datetime]


class ExportBatch(Base):
    """Entries that went to the partner's general ledger together, each entry once.

    Layout and mappings are kept as they were, so that the same bytes can be made again.
    """

    __tablename__ = "export_batches"
    __table_args__ = (
        UniqueConstraint("tenant_id", "number"),
        CheckConstraint("debit_cents = credit_cents", name="balanced"),
        CheckConstraint("entry_count > 0", name="some_entries"),
        {"info": APPEND_ONLY},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    number: Mapped[int]
    through_period: Mapped[str]
    layout: Mapped[dict[str, Any]]
    mappings: Mapped[dict[str, Any]]
    entry_count: Mapped[int]
    leg_count: Mapped[int]
    debit_cents: Mapped[int]
    credit_cents: Mapped[int]
    digest: Mapped[str]
    made_by: Mapped[UUID | None]
    made_at: Mapped[datetime]


class ExportedEntry(Base):
    """The one batch that an entry went out in."""

    __tablename__ = "export_batch_entries"
    __table_args__ = (
        UniqueConstraint("tenant_id", "batch_id", "position"),
        ForeignKeyConstraint(
            ["tenant_id", "entry_id"], ["journal_entries.tenant_id", "journal_entries.id"]
        ),
        ForeignKeyConstraint(
            ["tenant_id", "batch_id"], ["export_batches.tenant_id", "export_batches.id"]
        ),
        {"info": APPEND_ONLY},
    )

    tenant_id: Mapped[TenantId]
    entry_id: Mapped[UUID] = mapped_column(primary_key=True)
    batch_id: Mapped[UUID]
    position: Mapped[int]
