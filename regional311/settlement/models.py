"""Payments, disputes, interest, reminders, confirmed balances and netting, a row on each side."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import DATERANGE, ExcludeConstraint, Range
from sqlalchemy.orm import Mapped, mapped_column

from regional311.database.base import (
    APPEND_ONLY,
    TENANT,
    Base,
    RowId,
    TenantId,
    tenant_reference,
)


class SettlementRelation(Base):
    """One row for each other party: the lock that orders what is settled with it.

    Whatever changes what two partners owe each other holds the row of both sides, taken in the
    order of the partners' ids.
    """

    __tablename__ = "settlement_relations"
    __table_args__ = (UniqueConstraint("tenant_id", "counterparty_id"), {"info": TENANT})

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    counterparty_id: Mapped[UUID]
    """The other partner; the partner itself for all bodies outside the region."""
    owner_id: Mapped[UUID | None]
    """Who answers disputes of that partner unless somebody else is named."""


class Payment(Base):
    """What settles a statement in whole or in part, or is held in advance; signed cents.

    `cash_cents` came from the payer (below zero: went back), `netted_cents` was set off,
    `applied_cents` is what the statement's open amount falls by, `advance_cents` what is held for
    later ones. A reversal has the opposite of all. Issuer and payer have a row with the same id.
    """

    __tablename__ = "payments"
    __table_args__ = (
        UniqueConstraint("tenant_id", "public_id"),
        UniqueConstraint("tenant_id", "key"),
        UniqueConstraint("tenant_id", "reverses_id"),
        tenant_reference("statements", "statement_id"),
        CheckConstraint("side IN ('received', 'paid')", name="side_known"),
        CheckConstraint(
            "kind IN ('payment', 'refund', 'application', 'netting', 'reversal')",
            name="kind_known",
        ),
        CheckConstraint(
            "cash_cents + netted_cents = applied_cents + advance_cents", name="adds_up"
        ),
        CheckConstraint(
            "cash_cents <> 0 OR applied_cents <> 0 OR advance_cents <> 0", name="not_empty"
        ),
        CheckConstraint("(kind = 'reversal') = (reverses_id IS NOT NULL)", name="reversal_names"),
        CheckConstraint("applied_cents = 0 OR statement_id IS NOT NULL", name="applied_to_one"),
        CheckConstraint("payer_kind IN ('partner', 'outside')", name="payer_kind_known"),
        Index(None, "tenant_id", "statement_id"),
        Index("ix_payments_counterparty", "tenant_id", "counterparty_id", "paid_on"),
        {"info": APPEND_ONLY},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    public_id: Mapped[str]
    side: Mapped[str]
    kind: Mapped[str]
    counterparty_id: Mapped[UUID]
    payer_kind: Mapped[str] = mapped_column(default="partner")
    payer_key: Mapped[str | None]
    statement_id: Mapped[UUID | None]
    paid_on: Mapped[date]
    period_key: Mapped[str]
    """The month in whose books it stands on this side."""
    cash_cents: Mapped[int]
    netted_cents: Mapped[int] = mapped_column(default=0)
    applied_cents: Mapped[int]
    advance_cents: Mapped[int]
    reference: Mapped[str]
    method: Mapped[str]
    reason: Mapped[str | None]
    reverses_id: Mapped[UUID | None]
    netting_id: Mapped[UUID | None]
    key: Mapped[str | None]
    """By which the issuer recognises what it has recorded already."""
    recorded_by: Mapped[UUID | None]
    recorded_at: Mapped[datetime]


class AdvanceRequest(Base):
    """What an agreement has its payer pay in advance of a period, asked for once.

    No bill: nothing is posted before money comes. Issuer and payer have a row with the same id; a
    body outside the region has none.
    """

    __tablename__ = "advance_requests"
    __table_args__ = (
        UniqueConstraint("tenant_id", "public_id"),
        UniqueConstraint("tenant_id", "agreement_key", "period_key"),
        CheckConstraint("side IN ('issued', 'received')", name="side_known"),
        CheckConstraint("payer_kind IN ('partner', 'outside')", name="payer_kind_known"),
        CheckConstraint("amount_cents > 0", name="above_zero"),
        {"info": APPEND_ONLY},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    public_id: Mapped[str]
    side: Mapped[str]
    """As a statement's: issued by us, or received."""
    counterparty_id: Mapped[UUID]
    """The other partner; the partner itself for a body outside."""
    payer_kind: Mapped[str]
    payer_key: Mapped[str | None]
    agreement_key: Mapped[str]
    agreement: Mapped[str]
    """Its name then."""
    version: Mapped[int]
    period_key: Mapped[str]
    amount_cents: Mapped[int]
    due_on: Mapped[date]
    asked_by: Mapped[UUID | None]
    asked_at: Mapped[datetime]


class Dispute(Base):
    """A part of a line that its payer does not accept; in cents, the same on both sides.

    What was opened is upheld, credited, withdrawn or open still, and nothing else.
    """

    __tablename__ = "disputes"
    __table_args__ = (
        UniqueConstraint("tenant_id", "public_id"),
        tenant_reference("statements", "statement_id"),
        tenant_reference("statement_lines", "line_id"),
        CheckConstraint("side IN ('issued', 'received')", name="side_known"),
        CheckConstraint(
            "amount_cents = upheld_cents + credited_cents + withdrawn_cents + open_cents",
            name="adds_up",
        ),
        CheckConstraint(
            "amount_cents > 0 AND upheld_cents >= 0 AND credited_cents >= 0"
            " AND withdrawn_cents >= 0 AND open_cents >= 0",
            name="parts_not_negative",
        ),
        Index(None, "tenant_id", "statement_id"),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    public_id: Mapped[str]
    side: Mapped[str]
    """As the statement's: issued by us, or received."""
    counterparty_id: Mapped[UUID]
    statement_id: Mapped[UUID]
    line_id: Mapped[UUID]
    line_position: Mapped[int]
    reason: Mapped[str]
    evidence: Mapped[str]
    amount_cents: Mapped[int]
    upheld_cents: Mapped[int] = mapped_column(default=0)
    credited_cents: Mapped[int] = mapped_column(default=0)
    withdrawn_cents: Mapped[int] = mapped_column(default=0)
    open_cents: Mapped[int]
    opened_on: Mapped[date]
    answer_by: Mapped[date]
    """The last day on which the issuer answers in time."""
    owner_id: Mapped[UUID | None]
    """Who answers it; known by id on the issuer's side only."""
    owner_name: Mapped[str | None]
    opened_by: Mapped[UUID | None]
    opened_at: Mapped[datetime]


class DisputeEvent(Base):
    """A step or a comment in the thread of a dispute, on both sides."""

    __tablename__ = "dispute_events"
    __table_args__ = (
        tenant_reference("disputes", "dispute_id"),
        UniqueConstraint("tenant_id", "dispute_id", "position"),
        CheckConstraint(
            "kind IN ('opened', 'comment', 'assigned', 'upheld', 'credited', 'redrafted',"
            " 'withdrawn')",
            name="kind_known",
        ),
        {"info": APPEND_ONLY},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    dispute_id: Mapped[UUID]
    position: Mapped[int]
    kind: Mapped[str]
    amount_cents: Mapped[int] = mapped_column(default=0)
    note: Mapped[str]
    by_partner_id: Mapped[UUID]
    person_id: Mapped[UUID | None]
    """Null on the other side."""
    memo_id: Mapped[UUID | None]
    """The credit memo that a credit was drafted as."""
    at: Mapped[datetime]


class InterestAssessment(Base):
    """Interest on one statement for a run of days; no day is assessed twice while it is live.

    It is no longer live when the memo that it was drafted as has become void.
    """

    __tablename__ = "interest_assessments"
    __table_args__ = (
        tenant_reference("statements", "statement_id"),
        ExcludeConstraint(
            ("tenant_id", "="),
            ("statement_id", "="),
            ("days", "&&"),
            name="ex_interest_assessments_no_day_twice",
            where=text("live"),
        ),
        CheckConstraint("cents > 0", name="something"),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    statement_id: Mapped[UUID]
    days: Mapped[Range[date]] = mapped_column(DATERANGE())
    percent: Mapped[Decimal]
    cents: Mapped[int]
    basis: Mapped[list[dict[str, Any]]]
    """Each stretch of days with one principal: from, to (exclusive), days, cents."""
    memo_id: Mapped[UUID]
    live: Mapped[bool] = mapped_column(default=True)
    assessed_at: Mapped[datetime]


class PaymentReminder(Base):
    """A step of reminding that was told once: of a statement, or of a dispute's clock."""

    __tablename__ = "payment_reminders"
    __table_args__ = (
        UniqueConstraint("tenant_id", "subject_id", "step"),
        {"info": APPEND_ONLY},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    subject_id: Mapped[UUID]
    step: Mapped[str]
    told: Mapped[int]
    """How many people were written to; none when a later step had come already."""
    at: Mapped[datetime]


class BalanceConfirmation(Base):
    """What two partners say at a day that they owe each other, each by its own books, in cents."""

    __tablename__ = "balance_confirmations"
    __table_args__ = (
        UniqueConstraint("tenant_id", "public_id"),
        CheckConstraint("state IN ('asked', 'agreed', 'differs')", name="state_known"),
        CheckConstraint(
            "(claims_cents IS NULL) = (owes_cents IS NULL)"
            " AND (their_claims_cents IS NULL) = (their_owes_cents IS NULL)",
            name="figures_together",
        ),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    public_id: Mapped[str]
    counterparty_id: Mapped[UUID]
    asked_by_us: Mapped[bool]
    as_of_on: Mapped[date]
    claims_cents: Mapped[int | None]
    """What the other owes us, as we say."""
    owes_cents: Mapped[int | None]
    """What we owe the other, as we say."""
    their_claims_cents: Mapped[int | None]
    their_owes_cents: Mapped[int | None]
    state: Mapped[str]
    stated_by: Mapped[UUID | None]
    asked_at: Mapped[datetime]
    answered_at: Mapped[datetime | None]


class SettlementDifference(Base):
    """A figure that two partners state differently, as a task: open, explained, resolved."""

    __tablename__ = "settlement_differences"
    __table_args__ = (
        tenant_reference("balance_confirmations", "confirmation_id"),
        UniqueConstraint("tenant_id", "confirmation_id", "what"),
        CheckConstraint("what IN ('claim', 'debt')", name="what_known"),
        CheckConstraint("state IN ('open', 'explained', 'resolved')", name="state_known"),
        CheckConstraint("ours_cents <> theirs_cents", name="differs"),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    confirmation_id: Mapped[UUID]
    what: Mapped[str]
    """claim: what they owe us; debt: what we owe them."""
    ours_cents: Mapped[int]
    theirs_cents: Mapped[int]
    state: Mapped[str] = mapped_column(default="open")
    note: Mapped[str | None]
    owner_id: Mapped[UUID | None]
    """Who follows it up on this side."""
    changed_at: Mapped[datetime]


class NettingSet(Base):
    """What partners propose to set off against each other; amounts are frozen at the proposal.

    A party's row holds the positions in which it is creditor or debtor; the region, when it
    proposes, holds the sums of each pair and no statements.
    """

    __tablename__ = "netting_sets"
    __table_args__ = (
        UniqueConstraint("tenant_id", "public_id"),
        CheckConstraint(
            "state IN ('proposed', 'executed', 'declined', 'withdrawn')", name="state_known"
        ),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    public_id: Mapped[str]
    proposer_id: Mapped[UUID]
    period_key: Mapped[str]
    parties: Mapped[list[str]]
    """The ids of those who must consent, in order."""
    positions: Mapped[list[dict[str, Any]]]
    """creditor, debtor, statement, number, period, open_cents, netted_cents."""
    digest: Mapped[str]
    """SHA-256 over all positions, the same for everybody."""
    state: Mapped[str] = mapped_column(default="proposed")
    proposed_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class NettingAnswer(Base):
    """What a party said to a netting set."""

    __tablename__ = "netting_answers"
    __table_args__ = (
        tenant_reference("netting_sets", "netting_id"),
        UniqueConstraint("tenant_id", "netting_id", "party_id"),
        CheckConstraint("answer IN ('consented', 'declined')", name="answer_known"),
        {"info": APPEND_ONLY},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    netting_id: Mapped[UUID]
    party_id: Mapped[UUID]
    answer: Mapped[str]
    reason: Mapped[str | None]
    person_id: Mapped[UUID | None]
    at: Mapped[datetime]
