"""Agreements and rates; the runs that rate usage; statements as issuer and as payer."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, LargeBinary, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import DATERANGE, TSTZRANGE, ExcludeConstraint, Range
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


class Agreement(Base):
    """What was agreed: who provides, who pays, by which rule and terms.

    The region owns it and publishes it: agreements between governments are public documents. A
    payer is another partner; a bureau of the provider itself (`payer_key` names it, none stands
    for every bureau), billed inside one book; or an outside body without a tenant, named by
    `payer_key`. For the last two `payer_id` is the provider.
    """

    __tablename__ = "agreements"
    __table_args__ = (
        UniqueConstraint("tenant_id", "key", "version"),
        CheckConstraint(
            "payer_rule IN ('service_owner', 'jurisdiction', 'referrer', 'line_owner')",
            name="payer_rule_known",
        ),
        CheckConstraint("payer_kind IN ('partner', 'bureau', 'outside')", name="payer_kind_known"),
        CheckConstraint(
            "(payer_kind = 'partner') = (provider_id <> payer_id)", name="own_payers_are_no_partner"
        ),
        CheckConstraint(
            "CASE payer_kind WHEN 'partner' THEN payer_key IS NULL"
            " WHEN 'outside' THEN payer_key IS NOT NULL ELSE true END",
            name="payer_key_fits",
        ),
        ExcludeConstraint(
            ("tenant_id", "="), ("key", "="), ("valid", "&&"), name="ex_agreements_one_version"
        ),
        {"info": PUBLISHED},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    key: Mapped[str]
    version: Mapped[int]
    name: Mapped[str]
    provider_id: Mapped[UUID]
    payer_id: Mapped[UUID]
    payer_kind: Mapped[str] = mapped_column(default="partner")
    payer_key: Mapped[str | None]
    activities: Mapped[list[str]]
    """Usage activities it covers; none when it only shares a pool."""
    payer_rule: Mapped[str]
    rate_card_key: Mapped[str | None]
    pool_key: Mapped[str | None]
    valid: Mapped[Range[date]] = mapped_column(DATERANGE())
    terms: Mapped[dict[str, Any]]
    """Due days, rounding level, reference, notice, contacts."""


class Rate(Base):
    """The price of one unit of an activity, under one scope, for one stretch of time.

    Null in a scope column means *any*. Bitemporal: `valid` is when the work was done, `recorded`
    when we knew; a correction closes `recorded` and adds a row.
    """

    __tablename__ = "rates"
    __table_args__ = (
        CheckConstraint("hours IN ('any', 'business', 'after')", name="hours_known"),
        CheckConstraint("unit IN ('each', 'minute')", name="unit_known"),
        CheckConstraint(
            "model IN ('unit', 'graduated', 'volume', 'package', 'percentage')", name="model_known"
        ),
        CheckConstraint("(model = 'unit') = (steps IS NULL)", name="steps_fit_the_model"),
        ExcludeConstraint(
            ("tenant_id", "="),
            ("card_key", "="),
            ("activity", "="),
            (text("coalesce(channel, '')"), "="),
            (text("coalesce(service_key, '')"), "="),
            (text("coalesce(language, '')"), "="),
            ("hours", "="),
            ("valid", "&&"),
            ("recorded", "&&"),
            name="ex_rates_one_an_instant",
        ),
        {"info": PUBLISHED},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    key: Mapped[str]
    """Stable name of the rate on its card; its versions share it."""
    card_key: Mapped[str]
    activity: Mapped[str]
    channel: Mapped[str | None]
    service_key: Mapped[str | None]
    language: Mapped[str | None]
    hours: Mapped[str] = mapped_column(default="any")
    unit: Mapped[str] = mapped_column(default="each")
    model: Mapped[str] = mapped_column(default="unit")
    steps: Mapped[dict[str, Any] | None]
    """What the charge model needs besides the amount: tiers, package, percentage."""
    surcharges: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    """Added to the price when the work was after hours or in one of some languages."""
    phases: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    """The part of the price that is charged, by date, while a rate is phased in."""
    amount: Mapped[Decimal]
    valid: Mapped[Range[date]] = mapped_column(DATERANGE())
    recorded: Mapped[Range[datetime]] = mapped_column(TSTZRANGE())
    source: Mapped[str | None]


class RatingRun(Base):
    """One reproducible pass over the usage of a period: the same cut-offs give the same charges."""

    __tablename__ = "rating_runs"
    __table_args__ = (
        UniqueConstraint("tenant_id", "period_key", "number"),
        {"info": APPEND_ONLY},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    period_key: Mapped[str]
    number: Mapped[int]
    service_from: Mapped[datetime]
    service_to: Mapped[datetime]
    """Exclusive."""
    stored_before: Mapped[datetime]
    """Exclusive: what came in later belongs to a later run."""
    counts: Mapped[dict[str, Any]]
    digest: Mapped[str]
    run_by: Mapped[UUID | None]
    run_at: Mapped[datetime]


class Charge(Base):
    """What became of one usage event in one run: priced, or waiting in a named queue.

    `state`: rated, unrated (no rate), no_agreement, excluded (the payer is the provider itself).
    """

    __tablename__ = "charges"
    __table_args__ = (
        tenant_reference("rating_runs", "run_id"),
        CheckConstraint(
            "state IN ('rated', 'unrated', 'no_agreement', 'excluded')", name="state_known"
        ),
        CheckConstraint(
            "(state = 'rated') = (amount IS NOT NULL AND rate_id IS NOT NULL)", name="rated_priced"
        ),
        {"info": APPEND_ONLY},
    )

    tenant_id: Mapped[TenantId]
    run_id: Mapped[UUID] = mapped_column(primary_key=True)
    usage_event_id: Mapped[UUID] = mapped_column(primary_key=True)
    state: Mapped[str]
    agreement_id: Mapped[UUID | None]
    payer_id: Mapped[UUID | None]
    payer_kind: Mapped[str] = mapped_column(default="partner")
    payer_key: Mapped[str | None]
    rate_id: Mapped[UUID | None]
    quantity: Mapped[Decimal]
    price: Mapped[Decimal | None]
    amount: Mapped[Decimal | None]
    line_key: Mapped[str | None]
    """Charges with the same key add up to one statement line."""


class Statement(Base):
    """What one partner bills another for a period; frozen from the moment it exists.

    Issuer and payer each have a row with the same id (`side`). What happens to it is in
    `statement_events`.
    """

    __tablename__ = "statements"
    __table_args__ = (
        CheckConstraint("side IN ('issued', 'received')", name="side_known"),
        CheckConstraint(
            "kind IN ('bill', 'correction', 'true_up', 'credit_memo', 'debit_memo')",
            name="kind_known",
        ),
        CheckConstraint("payer_kind IN ('partner', 'bureau', 'outside')", name="payer_kind_known"),
        Index(None, "tenant_id", "side", "period_key"),
        {"info": APPEND_ONLY},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    public_id: Mapped[str]
    side: Mapped[str]
    kind: Mapped[str] = mapped_column(default="bill")
    counterparty_id: Mapped[UUID]
    """The other partner; the issuer itself when the payer is its bureau or an outside body."""
    payer_kind: Mapped[str] = mapped_column(default="partner")
    payer_key: Mapped[str | None]
    corrects_id: Mapped[UUID | None]
    """The issued statement that a correction or a memo is about."""
    period_key: Mapped[str]
    run_id: Mapped[UUID | None]
    total_cents: Mapped[int]
    line_count: Mapped[int]
    item_count: Mapped[int]
    digest: Mapped[str]
    """SHA-256 over its lines, the same on both sides."""
    parties: Mapped[dict[str, Any]]
    """Names and addresses of issuer and payer as they were."""
    terms: Mapped[dict[str, Any]]
    prepared_by: Mapped[UUID | None]
    created_at: Mapped[datetime]


class StatementLine(Base):
    """One line in cents: a group of charges, or a share of a pool."""

    __tablename__ = "statement_lines"
    __table_args__ = (
        tenant_reference("statements", "statement_id"),
        UniqueConstraint("tenant_id", "statement_id", "position"),
        {"info": APPEND_ONLY},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    statement_id: Mapped[UUID]
    position: Mapped[int]
    kind: Mapped[str]
    """One of `statement.KINDS`."""
    service_period: Mapped[str]
    """When the work was done; a correction keeps that of the line it corrects."""
    line_key: Mapped[str]
    label: Mapped[str]
    agreement_key: Mapped[str]
    basis: Mapped[dict[str, Any]]
    """How it was reckoned: rate, scope, dates, or pool, share and split."""
    quantity: Mapped[Decimal]
    price: Mapped[Decimal | None]
    exact_amount: Mapped[Decimal]
    amount_cents: Mapped[int]
    item_count: Mapped[int]


class StatementItem(Base):
    """A leaf of a line: one priced piece of work, on both sides.

    The issuer's row names the usage event; the payer's has only a pseudonymous contact reference.
    That its line is there is checked once for all items of a statement, by a trigger.
    """

    __tablename__ = "statement_items"
    __table_args__ = (
        Index(None, "tenant_id", "line_id", "occurred_at", "id"),
        {"info": APPEND_ONLY},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    line_id: Mapped[UUID]
    usage_event_id: Mapped[UUID | None]
    contact_id: Mapped[UUID | None]
    """Null on the payer's side."""
    contact_reference: Mapped[str]
    occurred_at: Mapped[datetime]
    activity: Mapped[str]
    channel: Mapped[str]
    language: Mapped[str]
    after_hours: Mapped[bool]
    service_key: Mapped[str | None]
    quantity: Mapped[Decimal]
    price: Mapped[Decimal | None]
    """None where the price depends on how much was done before."""
    amount: Mapped[Decimal]


class StatementEvent(Base):
    """A step in a statement's life; the last one says where it stands."""

    __tablename__ = "statement_events"
    __table_args__ = (
        tenant_reference("statements", "statement_id"),
        UniqueConstraint("tenant_id", "statement_id", "position"),
        Index(
            "uq_statement_events_issued_number",
            "tenant_id",
            "number",
            unique=True,
            postgresql_where=text("state = 'issued'"),
        ),
        CheckConstraint(
            "state IN ('draft', 'in_review', 'approved', 'issued', 'received', 'void')",
            name="state_known",
        ),
        CheckConstraint(
            "(number IS NOT NULL) = (state IN ('issued', 'received'))", name="numbered_when_issued"
        ),
        {"info": APPEND_ONLY},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    statement_id: Mapped[UUID]
    position: Mapped[int]
    state: Mapped[str]
    number: Mapped[str | None]
    """Unique and gap-free for each issuer."""
    person_id: Mapped[UUID | None]
    reason: Mapped[str | None]
    at: Mapped[datetime]


class StatementFile(Base):
    """The PDF of an issued statement as it was first made, on the side that had it made."""

    __tablename__ = "statement_files"
    __table_args__ = (
        UniqueConstraint("tenant_id", "statement_id"),
        tenant_reference("statements", "statement_id"),
        {"info": APPEND_ONLY},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    statement_id: Mapped[UUID]
    content: Mapped[bytes] = mapped_column(LargeBinary)
    digest: Mapped[str]
    """SHA-256 of the content; sealed with the ledger's documents."""
    rendering: Mapped[str]
    """By what it was set: digest of the template, version of Typst."""
    made_at: Mapped[datetime]


class StatementCounter(Base):
    """The last number an issuer has given; its row is locked while one is taken."""

    __tablename__ = "statement_counters"
    __table_args__ = ({"info": TENANT},)

    tenant_id: Mapped[TenantId]
    series: Mapped[str] = mapped_column(primary_key=True)
    last_number: Mapped[int] = mapped_column(default=0)


class AgreementProposal(Base):
    """A version of an agreement on its way: drafted here or received from the other party.

    Each party has a row with the same id (`side`); names of people stay on their own side. `state`
    is one of `agreements.STATES`; once accepted, the version is in the region's `agreements`.
    """

    __tablename__ = "agreement_proposals"
    __table_args__ = (
        CheckConstraint("side IN ('drafted', 'received')", name="side_known"),
        CheckConstraint(
            "state IN ('draft', 'proposed', 'accepted', 'declined', 'withdrawn')",
            name="state_known",
        ),
        CheckConstraint(
            "(published_version IS NOT NULL) = (state = 'accepted')", name="accepted_published"
        ),
        CheckConstraint(
            "reason IS NOT NULL OR state NOT IN ('declined', 'withdrawn')", name="reason_given"
        ),
        Index(None, "tenant_id", "agreement_key"),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    side: Mapped[str]
    counterparty_id: Mapped[UUID | None]
    """The other party; none when own bureaus or an outside body pay."""
    agreement_key: Mapped[str]
    based_on: Mapped[int | None]
    """The version that it amends; none when the agreement is new."""
    content: Mapped[dict[str, Any]]
    """Everything the version will say, as `agreements.Content` reads it."""
    note: Mapped[str | None]
    """Why, in the drafting side's words; the other side reads it."""
    state: Mapped[str] = mapped_column(default="draft")
    reason: Mapped[str | None]
    signatures: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    drafted_by: Mapped[UUID | None]
    drafted_at: Mapped[datetime]
    proposed_by: Mapped[UUID | None]
    proposed_at: Mapped[datetime | None]
    answered_by: Mapped[UUID | None]
    answered_at: Mapped[datetime | None]
    published_version: Mapped[int | None]
    version: Mapped[int] = mapped_column(default=1)
    """Rises with each change: who saw an older one is told."""


class AgreementReminder(Base):
    """That a partner's people were reminded of an agreement's end, once for each step."""

    __tablename__ = "agreement_reminders"
    __table_args__ = (
        UniqueConstraint("tenant_id", "agreement_key", "ends_on", "days"),
        {"info": APPEND_ONLY},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    agreement_key: Mapped[str]
    ends_on: Mapped[date]
    """The first day on which it holds no more."""
    days: Mapped[int]
    told: Mapped[int]
    """How many people were written to."""
    at: Mapped[datetime]


class ServiceLevelReading(Base):
    """A figure of a promised level of service that somebody entered, with where it comes from.

    Only for what is recorded nowhere else; the latest of a period counts.
    """

    __tablename__ = "service_level_readings"
    __table_args__ = (
        Index(None, "tenant_id", "agreement_key", "period_key"),
        {"info": APPEND_ONLY},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    agreement_key: Mapped[str]
    target_key: Mapped[str]
    period_key: Mapped[str]
    reading: Mapped[Decimal]
    source: Mapped[str]
    entered_by: Mapped[UUID | None]
    entered_at: Mapped[datetime]


class ServiceCost(Base):
    """What a billed service cost in a fiscal year, by its rate card: what rates must recover."""

    __tablename__ = "service_costs"
    __table_args__ = (
        UniqueConstraint("tenant_id", "card_key", "fiscal_year"),
        CheckConstraint(
            "non_cash_cents >= 0 AND non_cash_cents <= allowable_cents", name="non_cash_is_a_part"
        ),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    card_key: Mapped[str]
    fiscal_year: Mapped[int]
    """The year in which it ends."""
    allowable_cents: Mapped[int]
    non_cash_cents: Mapped[int] = mapped_column(default=0)
    """Depreciation and the like, which needs no cash."""
    source: Mapped[str]


class TrueUp(Base):
    """A fiscal year of a pool or of a billed service, settled: opening + billed - owed = closing.

    A balance above zero is over-recovered: payers paid more than they owed.
    """

    __tablename__ = "true_ups"
    __table_args__ = (
        UniqueConstraint("tenant_id", "subject", "key", "fiscal_year", "number"),
        CheckConstraint("subject IN ('pool', 'card')", name="subject_known"),
        CheckConstraint("treatment IN ('settle', 'carry', 'keep')", name="treatment_known"),
        CheckConstraint("closing_cents = opening_cents + billed_cents - owed_cents", name="rolls"),
        {"info": APPEND_ONLY},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    subject: Mapped[str]
    key: Mapped[str]
    """The pool, or the rate card of the service."""
    fiscal_year: Mapped[int]
    number: Mapped[int]
    """A later one of the same year takes the place of those before it."""
    name: Mapped[str]
    opening_cents: Mapped[int]
    billed_cents: Mapped[int]
    owed_cents: Mapped[int]
    """What the payers bear of the allowable cost."""
    closing_cents: Mapped[int]
    treatment: Mapped[str]
    """settle now, carry forward to the payers' next bill, or keep for the next year's rates."""
    basis: Mapped[dict[str, Any]]
    run_by: Mapped[UUID | None]
    run_at: Mapped[datetime]


class TrueUpShare(Base):
    """One payer's part of a true-up: what it owed, was billed, and has still to pay or to get."""

    __tablename__ = "true_up_shares"
    __table_args__ = (
        tenant_reference("true_ups", "true_up_id"),
        UniqueConstraint(
            "tenant_id",
            "true_up_id",
            "payer_id",
            "payer_kind",
            "payer_key",
            name="uq_true_up_shares_one_a_payer",
            postgresql_nulls_not_distinct=True,
        ),
        CheckConstraint("due_cents = owed_cents - billed_cents - opening_cents", name="adds_up"),
        {"info": APPEND_ONLY},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    true_up_id: Mapped[UUID]
    payer_id: Mapped[UUID]
    payer_kind: Mapped[str]
    payer_key: Mapped[str | None]
    agreement_key: Mapped[str]
    opening_cents: Mapped[int]
    """Carried into the year: above zero it was paid too much before."""
    billed_cents: Mapped[int]
    owed_cents: Mapped[int]
    due_cents: Mapped[int]
    carried_to: Mapped[str | None]
    """The period on whose bill it stands, when it is carried forward."""
    statement_id: Mapped[UUID | None]
    """The statement that settles it."""
    further: Mapped[list[dict[str, Any]]]
    """What the agreement's terms add to what is due, or take off: kind, label, cents, reason."""


class RateProposal(Base):
    """A change of prices on its way: seen as a whole first, then approved by a second person.

    `changes` is a list of `rate_changes.Change`: nothing of it holds before the state is approved.
    A large one is `approving` from the approval until the worker has taken it over.
    """

    __tablename__ = "rate_proposals"
    __table_args__ = (
        CheckConstraint(
            "state IN ('draft', 'proposed', 'approving', 'approved', 'refused', 'withdrawn')",
            name="state_known",
        ),
        Index(None, "tenant_id", "state"),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    state: Mapped[str] = mapped_column(default="draft")
    changes: Mapped[list[dict[str, Any]]]
    note: Mapped[str | None]
    """What the prices rest on, or why they change."""
    proposed_by: Mapped[UUID | None]
    proposed_at: Mapped[datetime]
    decided_by: Mapped[UUID | None]
    decided_at: Mapped[datetime | None]
    reason: Mapped[str | None]
    """Why it was refused or withdrawn."""


class RateApproval(Base):
    """The approval of a large change of prices, which the worker takes over in one transaction.

    It ends once: with the change approved, or with a `problem` and the change proposed as before.
    """

    __tablename__ = "rate_approvals"
    __table_args__ = (
        Index(
            "uq_rate_approvals_open",
            "tenant_id",
            "proposal_id",
            unique=True,
            postgresql_where=text("ended_at IS NULL"),
        ),
        Index(None, "tenant_id", "proposal_id", "id"),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    proposal_id: Mapped[UUID]
    approved_by: Mapped[UUID]
    approved_at: Mapped[datetime]
    changes: Mapped[int]
    """How many there are."""
    done: Mapped[int] = mapped_column(default=0)
    """How many are taken over; they hold together, when all are."""
    begun: Mapped[int] = mapped_column(default=0)
    """How often a worker began."""
    seen_at: Mapped[datetime | None]
    """When a worker was last at it: one that died is replaced by another."""
    ended_at: Mapped[datetime | None]
    problem: Mapped[str | None]
    """Why nothing was taken over."""


class RateSheet(Base):
    """A spreadsheet of rates that somebody sent: read by the worker, then drafted or refused.

    `waiting` → `reading` → `drafted`, `same` when everything is as it was, `broken` with its
    cells in `errors`, or `refused` as a whole. `content` is erased once it was read.
    """

    __tablename__ = "rate_sheets"
    __table_args__ = (
        CheckConstraint(
            "state IN ('waiting', 'reading', 'drafted', 'same', 'broken', 'refused')",
            name="state_known",
        ),
        Index(None, "tenant_id", "state"),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    name: Mapped[str]
    """Name of the file."""
    size: Mapped[int]
    """Bytes."""
    content: Mapped[bytes | None] = mapped_column(LargeBinary)
    state: Mapped[str]
    rows_read: Mapped[int] = mapped_column(default=0)
    rows_known: Mapped[int | None]
    """How many rows the file says it has; what was read counts, not this."""
    errors: Mapped[list[dict[str, Any]]]
    """What is broken: row, column, message."""
    problem: Mapped[str | None]
    """Why it was refused as a whole."""
    proposal_id: Mapped[UUID | None]
    """The change of rates that it became."""
    sent_by: Mapped[UUID | None]
    sent_at: Mapped[datetime]
    seen_at: Mapped[datetime | None]
    """When a worker was last at it: one that died is replaced by another."""
    ended_at: Mapped[datetime | None]
