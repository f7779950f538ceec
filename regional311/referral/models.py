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
    FOR_EVER,
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


FOLLOW_UP_STATES = ("open", "done", "stopped")


def _listed(values: tuple[str, ...]) -> str:
    return ", ".join(repr(value) for value in values)


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


class RuleAlert(Base):
    """That a rule that decides cannot do what it says any more, from when until when; told of once.

    What a version rests on can end after it was approved: a target, an agreement, a policy.
    """

    __tablename__ = "rule_alerts"
    __table_args__ = (
        tenant_reference("rule_sets", "rule_set_id"),
        Index(
            "uq_rule_alerts_open",
            "tenant_id",
            "rule_set_id",
            "rule",
            "code",
            "message",
            unique=True,
            postgresql_where=text("gone_at IS NULL"),
        ),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    rule_set_id: Mapped[UUID]
    rule: Mapped[str]
    """Key of the rule; empty for the whole version."""
    name: Mapped[str]
    code: Mapped[str]
    message: Mapped[str]
    told: Mapped[int]
    """How many people were told."""
    found_at: Mapped[datetime]
    gone_at: Mapped[datetime | None]
    """When it was not so any more, or when the version decided no more."""


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
        Index(
            "ix_consents_running",
            "tenant_id",
            "expires_at",
            postgresql_where=text("revoked_at IS NULL AND expired_at IS NULL"),
        ),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    contact_id: Mapped[UUID | None]
    """The contact in which it was given; null when a receiver asked who refers onward."""
    referral_id: Mapped[UUID | None]
    """The referral that a receiver has, when it asked to refer onward."""
    to_tenant_id: Mapped[UUID]
    fields: Mapped[list[str]]
    method: Mapped[str]
    """spoken, written, online."""
    given_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    expired_at: Mapped[datetime | None]
    """When its use was stopped because its time was up."""
    words: Mapped[str | None]
    """What was read out to the person, word for word."""
    language: Mapped[str] = mapped_column(default="en", server_default="en")
    """The language of these words."""
    purpose: Mapped[str] = mapped_column(default="referral", server_default="referral")
    recorded_by: Mapped[UUID | None]


class FollowUp(Base):
    """Somebody asks the person on a day what became of a need; one at a time for each need.

    `held_at` is when its clock stopped, because all that the need waits for is on hold; the due
    day moves by the working days in between once it goes on.
    """

    __tablename__ = "follow_ups"
    __table_args__ = (
        tenant_reference("contacts", "contact_id"),
        tenant_reference("needs", "need_id"),
        tenant_reference("inquirers", "inquirer_id"),
        UniqueConstraint("tenant_id", "public_id"),
        CheckConstraint(f"state IN ({_listed(FOLLOW_UP_STATES)})", name="state_known"),
        CheckConstraint("(state = 'open') = (closed_at IS NULL)", name="closed_or_open"),
        Index(None, "tenant_id", "state", "due_on", "id"),
        Index(None, "tenant_id", "need_id"),
        Index(None, "tenant_id", "contact_id"),
        Index(
            "ux_follow_ups_one_open",
            "tenant_id",
            "need_id",
            unique=True,
            postgresql_where=text("state = 'open'"),
        ),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    public_id: Mapped[str]
    contact_id: Mapped[UUID]
    need_id: Mapped[UUID]
    inquirer_id: Mapped[UUID]
    due_on: Mapped[date]
    urgency: Mapped[str]
    language: Mapped[str]
    state: Mapped[str]
    reason: Mapped[str | None]
    """Why it was stopped: as `follow_up.STOP_REASONS` says."""
    attempts: Mapped[int] = mapped_column(default=0)
    claimed_by: Mapped[UUID | None]
    held_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(default=1)

    __mapper_args__ = {"version_id_col": version, "version_id_generator": lambda v: (v or 0) + 1}


class FollowUpAttempt(Base):
    """One time that somebody tried to ask: when, by which channel, and what came of it."""

    __tablename__ = "follow_up_attempts"
    __table_args__ = (
        tenant_reference("follow_ups", "follow_up_id"),
        UniqueConstraint("tenant_id", "follow_up_id", "number"),
        {"info": APPEND_ONLY},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    follow_up_id: Mapped[UUID]
    number: Mapped[int]
    at: Mapped[datetime]
    by_id: Mapped[UUID | None]
    channel: Mapped[str]
    result: Mapped[str]
    need_status: Mapped[str | None]
    unmet_reason: Mapped[str | None]
    note: Mapped[str | None]


class ReferralReminder(Base):
    """A step of reminding that was taken once for a referral that nobody answers."""

    __tablename__ = "referral_reminders"
    __table_args__ = (
        tenant_reference("referrals", "referral_id"),
        UniqueConstraint("tenant_id", "referral_id", "silent_since", "step"),
        {"info": APPEND_ONLY},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    referral_id: Mapped[UUID]
    silent_since: Mapped[datetime]
    """Since when nobody has said anything: after each word the steps begin again."""
    step: Mapped[str]
    told: Mapped[int]
    at: Mapped[datetime]


class PersonLink(Base):
    """The code by which a person sees what was asked for them; empty once it is ended.

    `word_hash` is of a word that the person chose: without it what is confidential stays unsaid.
    """

    __tablename__ = "person_links"
    __table_args__ = (
        tenant_reference("contacts", "contact_id"),
        UniqueConstraint("tenant_id", "code"),
        Index(None, "tenant_id", "contact_id"),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    contact_id: Mapped[UUID]
    code: Mapped[str]
    word_hash: Mapped[str | None]
    word_tries: Mapped[int] = mapped_column(default=0)
    made_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class AcceptancePolicy(Base):
    """What a partner takes from whom, as :class:`regional311.referral.acceptance.Acceptance`."""

    __tablename__ = "acceptance_policies"
    __table_args__ = (UniqueConstraint("tenant_id", "key"), {"info": PUBLISHED})

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    key: Mapped[str]
    said: Mapped[dict[str, Any]]
    ended_on: Mapped[date | None]


class ProgressWord(Base):
    """A partner's own word for how far a referral is, a finer one for a common state."""

    __tablename__ = "progress_words"
    __table_args__ = (
        UniqueConstraint("tenant_id", "key"),
        CheckConstraint("state IN ('accepted', 'in_progress', 'on_hold')", name="state_known"),
        {"info": PUBLISHED},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    key: Mapped[str]
    name: Mapped[str]
    state: Mapped[str]
    ended_on: Mapped[date | None]


class Capacity(Base):
    """The room that a service has from a moment until another, as its partner said it.

    The last row of a service (and site) counts; the ones before are the history.
    """

    __tablename__ = "capacities"
    __table_args__ = (
        CheckConstraint(
            "state IN ('has', 'none', 'none_waitlist', 'assessment')", name="state_known"
        ),
        CheckConstraint("places >= 0", name="places_counted"),
        CheckConstraint("until_at > set_at", name="ends_later"),
        Index(None, "tenant_id", "service_key", "location_key", "set_at"),
        {"info": FOR_EVER},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    service_key: Mapped[str]
    location_key: Mapped[str | None]
    state: Mapped[str]
    places: Mapped[int | None]
    note: Mapped[str | None]
    set_at: Mapped[datetime]
    until_at: Mapped[datetime]
    set_by: Mapped[UUID | None]


class ReferralOffer(Base):
    """One need that several partners may take: the first to accept has it.

    Each partner that was asked has a referral of its own; this row of the sender's says which of
    them was taken, and is what those who accept at the same moment wait for.
    """

    __tablename__ = "referral_offers"
    __table_args__ = ({"info": TENANT},)

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    made_at: Mapped[datetime]
    taken_id: Mapped[UUID | None]
    """The referral that was accepted."""
    taken_at: Mapped[datetime | None]


class ReferralMessage(Base):
    """A question about a referral, or the answer to one; both sides have a row with the same id."""

    __tablename__ = "referral_messages"
    __table_args__ = (
        tenant_reference("referrals", "referral_id"),
        CheckConstraint("side IN ('sent', 'received')", name="side_known"),
        Index(None, "tenant_id", "referral_id", "written_at"),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    referral_id: Mapped[UUID]
    side: Mapped[str]
    """Who wrote it: the sender of the referral (`sent`) or its receiver (`received`)."""
    body: Mapped[str | None]
    """Null once it was erased."""
    written_by: Mapped[UUID | None]
    written_at: Mapped[datetime]


class WaitlistPlace(Base):
    """A place on the waitlist of a receiver's service. `rank` orders those who wait."""

    __tablename__ = "waitlist_places"
    __table_args__ = (
        tenant_reference("referrals", "referral_id"),
        Index(
            "ix_waitlist_places_waiting",
            "tenant_id",
            "service_key",
            "rank",
            postgresql_where=text("left_at IS NULL"),
        ),
        Index(
            "uq_waitlist_places_one_place",
            "tenant_id",
            "referral_id",
            unique=True,
            postgresql_where=text("left_at IS NULL"),
        ),
        Index(None, "tenant_id", "service_key", "left_at"),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    referral_id: Mapped[UUID]
    service_key: Mapped[str]
    rank: Mapped[int]
    joined_at: Mapped[datetime]
    offered_at: Mapped[datetime | None]
    left_at: Mapped[datetime | None]
    how: Mapped[str | None]
    """How it was left: taken, given_up, ended."""


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
        Index(
            "ix_referrals_offer",
            "tenant_id",
            "offer_id",
            postgresql_where=text("offer_id IS NOT NULL"),
        ),
        Index(
            "ix_referrals_part_of",
            "tenant_id",
            "part_of_id",
            postgresql_where=text("part_of_id IS NOT NULL"),
        ),
        Index(
            "ix_referrals_replaces",
            "tenant_id",
            "replaces_id",
            postgresql_where=text("replaces_id IS NOT NULL"),
        ),
        Index("ix_referrals_due", "tenant_id", "side", "state", "due_at", "id"),
        Index("ix_referrals_finish", "tenant_id", "side", "state", "finish_by", "id"),
        Index(
            "ix_referrals_claimed",
            "tenant_id",
            "claimed_by",
            "state",
            "sent_at",
            "id",
            postgresql_where=text("claimed_by IS NOT NULL"),
        ),
        Index(
            "ix_referrals_asked",
            "tenant_id",
            "side",
            "state",
            "sent_at",
            "id",
            postgresql_where=text("asked_at IS NOT NULL"),
        ),
        Index(
            "ix_referrals_above_ended",
            "tenant_id",
            "state",
            "sent_at",
            "id",
            postgresql_where=text("above_ended_at IS NOT NULL"),
        ),
        Index(
            "ix_referrals_waiting",
            "tenant_id",
            "state",
            "sent_at",
            "id",
            postgresql_where=text("waitlist_position IS NOT NULL"),
        ),
        Index(
            "ix_referrals_code_hash",
            "tenant_id",
            "code_hash",
            postgresql_where=text("code_hash IS NOT NULL"),
        ),
        Index(
            "ix_referrals_agreed_outside",
            "tenant_id",
            "use_until",
            postgresql_where=text(
                "side = 'sent' AND consent_id IS NULL AND use_until IS NOT NULL"
                " AND consent_ended_at IS NULL"
            ),
        ),
        Index(
            "ix_referrals_to_stop",
            "tenant_id",
            "consent_ended_at",
            postgresql_where=text("consent_ended_at IS NOT NULL AND stop_seen_at IS NULL"),
        ),
        Index(
            "ix_referrals_kept",
            "tenant_id",
            "sent_at",
            postgresql_where=text(
                "state NOT IN ('draft', 'requested', 'accepted', 'in_progress', 'on_hold')"
                " AND erased_at IS NULL"
            ),
        ),
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
    above_ended_at: Mapped[datetime | None]
    """When what it is part of ended while it went on; null again once somebody has decided."""
    sent_at: Mapped[datetime]
    received_at: Mapped[datetime | None]
    answered_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    due_at: Mapped[datetime | None]
    """When an answer is expected."""
    finish_by: Mapped[datetime | None]
    """When the work should be done, since it was accepted."""
    progress: Mapped[str | None]
    """The receiver's own word for how far it is, by key."""
    asked_at: Mapped[datetime | None]
    """Since when a question of the receiver waits for the sender's answer."""
    offer_id: Mapped[UUID | None]
    """The sender's offer to several partners that it is part of."""
    waitlist_position: Mapped[int | None]
    """How many are before it on the receiver's waitlist, and itself; 0: a place is offered."""
    waitlist_days: Mapped[int | None]
    """How long it will wait, at the pace of the last weeks; null where that says nothing."""
    before: Mapped[dict[str, Any] | None]
    """What the last step of this side changed, while it can be undone."""
    link_used_at: Mapped[datetime | None]
    """When the link in the message about it was used up."""
    heard_at: Mapped[datetime | None]
    """When the state last changed; null until it does: then silence began when it was sent."""
    use_until: Mapped[datetime | None]
    """Until when the receiver may use what was shared."""
    consent_ended: Mapped[str | None]
    """Why the receiver may not use it any more: revoked, expired."""
    consent_ended_at: Mapped[datetime | None]
    stop_seen_at: Mapped[datetime | None]
    """When the receiver said that it has stopped using what was shared."""
    stop_seen_by: Mapped[UUID | None]
    code_hash: Mapped[bytes | None]
    """Digest of the person's code, by which the receiver's desk finds it."""
    erased_at: Mapped[datetime | None]
    """When this side's copy of what was shared and its notes were erased, their time being up."""
    version: Mapped[int] = mapped_column(default=1)

    __mapper_args__ = {"version_id_col": version, "version_id_generator": lambda v: (v or 0) + 1}
