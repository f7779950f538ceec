"""Costs that partners share: pools, the bases they are divided by, and who bears which part."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
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


class CostPool(Base):
    """A version of a yearly cost that is divided, by a base or by shares that make 100 %.

    A version stays as it was stored; another one follows it. The newest of a key and year holds,
    for a run the newest that was stored before its cut-off.
    """

    __tablename__ = "cost_pools"
    __table_args__ = (
        UniqueConstraint("tenant_id", "key", "fiscal_year", "number"),
        CheckConstraint(
            "method IN ('direct', 'step_down', 'double_step_down', 'reciprocal')",
            name="method_known",
        ),
        {"info": APPEND_ONLY},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    key: Mapped[str]
    fiscal_year: Mapped[int]
    """The year in which it ends: July 2026 to June 2027 is 2027."""
    number: Mapped[int] = mapped_column(default=1)
    stored_at: Mapped[datetime | None]
    """Since when it is known; none: from the beginning."""
    made_by: Mapped[UUID | None]
    """Who wrote it; none: it came from files."""
    approved_by: Mapped[UUID | None]
    why: Mapped[str | None]
    name: Mapped[str]
    yearly_cents: Mapped[int]
    """What is divided: the sources, less revenues and what may not be allocated."""
    source: Mapped[str]
    note: Mapped[str | None]
    sources: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    """Accounts that it is made of: name, account, cents; empty when only the amount is known."""
    revenues: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    """What is taken off first: name, cents."""
    non_allocable: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    """What stays with the general fund: name, cents."""
    method: Mapped[str] = mapped_column(default="step_down")
    base_key: Mapped[str | None]
    """The base it is divided by; none: by its shares."""
    step_order: Mapped[int] = mapped_column(default=0)
    """Its place when pools step down, lowest first, then by key."""
    actual_cents: Mapped[int | None]
    """What it cost in the end, in the sense of `yearly_cents`."""
    actual_source: Mapped[str | None]


class PoolShare(Base):
    """One target's percentage of a version of a pool; the provider's own is billed to nobody."""

    __tablename__ = "pool_shares"
    __table_args__ = (
        tenant_reference("cost_pools", "pool_id"),
        UniqueConstraint("tenant_id", "pool_id", "payer_slug"),
        CheckConstraint("percent >= 0 AND percent <= 100", name="percent_in_range"),
        {"info": APPEND_ONLY},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    pool_id: Mapped[UUID]
    payer_slug: Mapped[str]
    percent: Mapped[Decimal]


class PoolProposal(Base):
    """A version of a pool on its way: written by one person, approved by a second one.

    `content` is a `pools.PoolSaid`: nothing of it holds before the state is approved. `based_on` is
    the version that it follows, `brings_back` the one whose content it says again, `number` the
    version that it became.
    """

    __tablename__ = "pool_proposals"
    __table_args__ = (
        CheckConstraint(
            "state IN ('draft', 'proposed', 'approved', 'refused', 'withdrawn')",
            name="state_known",
        ),
        Index(None, "tenant_id", "pool_key", "fiscal_year"),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    state: Mapped[str] = mapped_column(default="draft")
    pool_key: Mapped[str]
    fiscal_year: Mapped[int]
    based_on: Mapped[int | None]
    brings_back: Mapped[int | None]
    content: Mapped[dict[str, Any]]
    why: Mapped[str]
    proposed_by: Mapped[UUID | None]
    proposed_at: Mapped[datetime]
    decided_by: Mapped[UUID | None]
    decided_at: Mapped[datetime | None]
    reason: Mapped[str | None]
    """Why it was refused or withdrawn."""
    number: Mapped[int | None]


class AllocationBase(Base):
    """A version of what costs are divided by: a driver such as contacts, or a mix of other bases.

    Its readings are snapshots. A pool names a base; targets are named as in a pool's shares, and a
    pool that is served too is `pool:<key>`. A version stays as it was stored. For a day, the newest
    of a key that begins by then holds; for a run, the newest that was stored before its cut-off.
    """

    __tablename__ = "allocation_bases"
    __table_args__ = (
        UniqueConstraint("tenant_id", "key", "number"),
        CheckConstraint(
            "kind IN ('fixed', 'equal', 'fte', 'budget', 'population', 'assessed_value',"
            " 'contact_count', 'handle_minutes', 'mix')",
            name="kind_known",
        ),
        CheckConstraint("rolling_quarters BETWEEN 1 AND 40", name="some_quarters"),
        {"info": APPEND_ONLY},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    key: Mapped[str]
    number: Mapped[int] = mapped_column(default=1)
    valid_from: Mapped[date | None]
    """Months that end on this day or later are divided by it; none: every month."""
    stored_at: Mapped[datetime | None]
    """Since when it is known; none: from the beginning."""
    made_by: Mapped[UUID | None]
    """Who wrote it; none: it came from files."""
    approved_by: Mapped[UUID | None]
    why: Mapped[str | None]
    name: Mapped[str]
    kind: Mapped[str]
    counts: Mapped[str | None]
    """Whose contacts are counted: bureaus, partners or all; for counted kinds only."""
    rolling_quarters: Mapped[int | None]
    """How many quarters' snapshots are averaged; none: the newest snapshot alone."""
    parts: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    """For a mix: the other bases with their percentages."""
    note: Mapped[str | None]
    ended_on: Mapped[date | None]


class BaseSnapshot(Base):
    """The readings of a base as they were known once; a correction is another snapshot."""

    __tablename__ = "base_snapshots"
    __table_args__ = (
        UniqueConstraint("tenant_id", "base_key", "number"),
        {"info": APPEND_ONLY},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    base_key: Mapped[str]
    number: Mapped[int]
    as_of: Mapped[date]
    """The last day that the readings tell of."""
    source: Mapped[str]
    readings: Mapped[dict[str, Any]]
    """Target to reading, as decimal text."""
    digest: Mapped[str]
    taken_at: Mapped[datetime]
    """Since when it is known."""
    taken_by: Mapped[UUID | None]
    """Who wrote it; none: it came from files."""
    approved_by: Mapped[UUID | None]
    why: Mapped[str | None]


class BaseProposal(Base):
    """A version or readings of a base on their way: written by one person, approved by another.

    `content` is a `snapshots.BaseSaid` or `snapshots.ReadingsSaid`, as `what` says: nothing of it
    holds before the state is approved. `based_on` is the version or snapshot that it follows,
    `brings_back` the one whose content it says again, `number` the one that it became.
    """

    __tablename__ = "base_proposals"
    __table_args__ = (
        CheckConstraint(
            "state IN ('draft', 'proposed', 'approved', 'refused', 'withdrawn')",
            name="state_known",
        ),
        CheckConstraint("what IN ('base', 'readings')", name="what_known"),
        Index(None, "tenant_id", "base_key"),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    state: Mapped[str] = mapped_column(default="draft")
    what: Mapped[str]
    base_key: Mapped[str]
    based_on: Mapped[int | None]
    brings_back: Mapped[int | None]
    content: Mapped[dict[str, Any]]
    why: Mapped[str]
    proposed_by: Mapped[UUID | None]
    proposed_at: Mapped[datetime]
    decided_by: Mapped[UUID | None]
    decided_at: Mapped[datetime | None]
    reason: Mapped[str | None]
    """Why it was refused or withdrawn."""
    number: Mapped[int | None]


class BillSplit(Base):
    """How a payer divides its own bill further over its bureaus, funds and cost centres."""

    __tablename__ = "bill_splits"
    __table_args__ = (
        UniqueConstraint("tenant_id", "key"),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    key: Mapped[str]
    name: Mapped[str]
    agreement_key: Mapped[str | None]
    """The agreement whose lines it divides; none: all that have no rule of their own."""
    base_key: Mapped[str | None]
    """A base whose bureaus divide the bill; none: the percentages of the parts."""
    parts: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    """bureau, fund_code, cost_centre and, without a base, percent."""
    ended_on: Mapped[date | None]
