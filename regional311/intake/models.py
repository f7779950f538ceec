"""Contacts, the people behind them, their needs, and the service requests that follow."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    Computed,
    Index,
    LargeBinary,
    Numeric,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from regional311.database.base import APPEND_ONLY, TENANT, Base, RowId, TenantId, tenant_reference
from regional311.intake.lifecycle import HELPED

CHANNELS = (
    "phone",
    "walk_in",
    "web",
    "email",
    "text",
    "chat",
    "social",
    "app",
    "voicemail",
)
REQUEST_STATES = (
    "received",
    "triaged",
    "assigned",
    "in_progress",
    "waiting_person",
    "waiting_partner",
    "closed",
    "merged",
)


def _among(column: str, values: tuple[str, ...]) -> str:
    return f"{column} IN ({', '.join(repr(value) for value in values)})"


SEEN = "NOT confidential AND state NOT IN ('closed', 'merged')"
"""Requests that somebody who is about to file the same may be shown."""


class Inquirer(Base):
    """The person who asks, when they chose to say who they are; erasable, with a retention date."""

    __tablename__ = "inquirers"
    __table_args__ = (
        CheckConstraint(
            "NOT contact_prohibited OR NOT"
            " (safe_to_call OR may_leave_message OR wants_updates OR may_follow_up)",
            name="prohibited_is_prohibited",
        ),
        CheckConstraint("updates_by IN ('email', 'text')", name="updates_by_known"),
        Index(
            "ix_inquirers_phone_key",
            "tenant_id",
            "phone_key",
            postgresql_where=text("phone_key IS NOT NULL"),
        ),
        Index(
            "ix_inquirers_name_key",
            "tenant_id",
            "name_key",
            postgresql_where=text("name_key IS NOT NULL"),
        ),
        Index(
            "ix_inquirers_email",
            "tenant_id",
            text("lower(email)"),
            postgresql_where=text("email IS NOT NULL"),
        ),
        Index(
            "ix_inquirers_kept",
            "tenant_id",
            "retain_until",
            postgresql_where=text("erased_at IS NULL"),
        ),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    name: Mapped[str | None]
    phone: Mapped[str | None]
    email: Mapped[str | None]
    language: Mapped[str] = mapped_column(default="en")
    safe_to_call: Mapped[bool] = mapped_column(default=False)
    may_leave_message: Mapped[bool] = mapped_column(default=False)
    wants_updates: Mapped[bool] = mapped_column(default=False)
    updates_by: Mapped[str] = mapped_column(default="email", server_default="email")
    """By what news go to them, if they want any: email, or text to their telephone."""
    may_follow_up: Mapped[bool] = mapped_column(default=False, server_default="false")
    """Whether they agreed to be asked later what became of it."""
    contact_prohibited: Mapped[bool] = mapped_column(default=False, server_default="false")
    """Contact would put them in danger: nobody calls, writes or leaves a message, ever."""
    retain_until: Mapped[datetime | None]
    erased_at: Mapped[datetime | None]
    phone_key: Mapped[str | None] = mapped_column(
        Computed(
            "right(regexp_replace(regexp_replace(phone,"
            " '([0-9])[^0-9[:alpha:];,#]*[[:alpha:];,#].*$', '\\1'), '[^0-9]', '', 'g'), 10)",
            persisted=True,
        )
    )
    """The last ten digits before an extension, by which the person is found again."""
    name_key: Mapped[str | None] = mapped_column(Computed("lower(name)", persisted=True))


class Contact(Base):
    """One interaction on one channel, kept even when nothing follows from it."""

    __tablename__ = "contacts"
    __table_args__ = (
        UniqueConstraint("tenant_id", "public_id"),
        UniqueConstraint("tenant_id", "source_key"),
        tenant_reference("inquirers", "inquirer_id"),
        CheckConstraint(_among("channel", CHANNELS), name="channel_known"),
        CheckConstraint("ended_at >= started_at", name="ends_after_start"),
        Index(None, "tenant_id", "started_at", "id"),
        Index(None, "tenant_id", "specialist_id", "started_at"),
        Index(
            "ix_contacts_open",
            "tenant_id",
            "specialist_id",
            postgresql_where=text("ended_at IS NULL"),
        ),
        Index(
            "ix_contacts_inquirer",
            "tenant_id",
            "inquirer_id",
            "started_at",
            postgresql_where=text("inquirer_id IS NOT NULL"),
        ),
        Index(
            "ix_contacts_kept",
            "tenant_id",
            "started_at",
            postgresql_where=text("ended_at IS NOT NULL AND erased_at IS NULL"),
        ),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    public_id: Mapped[str]
    source_key: Mapped[str]
    """Where it came from: `desk:<id>`, `web:<key>`, `replay:<file key>:<row key>`."""
    line_key: Mapped[str | None]
    line_owner_id: Mapped[UUID]
    """Whose line was answered; another partner's when it was closed."""
    channel: Mapped[str]
    language: Mapped[str] = mapped_column(default="en")
    interpreter: Mapped[bool] = mapped_column(default=False)
    accommodation: Mapped[str | None]
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    wait_seconds: Mapped[int] = mapped_column(default=0)
    handle_seconds: Mapped[int] = mapped_column(default=0)
    after_hours: Mapped[bool] = mapped_column(default=False)
    specialist_id: Mapped[UUID | None]
    inquirer_id: Mapped[UUID | None]
    call_type: Mapped[str] = mapped_column(default="information")
    disposition: Mapped[str | None]
    """How it ended: answered, request_filed, referred, transferred, declined, hang_up, danger."""
    danger_answer: Mapped[str | None]
    """`none`, or the key of the sign that was named; null until the screen was asked."""
    note: Mapped[str | None]
    gone_at: Mapped[datetime | None]
    """When the person was gone, as was said at the desk: from then on it is wrapped up."""
    draft: Mapped[dict[str, Any] | None]
    """What is being written of a need, as `drafts` keeps it; null when nothing is."""
    erased_at: Mapped[datetime | None]
    """When its words were erased, its needs' too; what is counted stays."""
    version: Mapped[int] = mapped_column(default=1)

    __mapper_args__ = {"version_id_col": version, "version_id_generator": lambda v: (v or 0) + 1}


class Need(Base):
    """One thing the person needs, in one taxonomy term, with its own status."""

    __tablename__ = "needs"
    __table_args__ = (
        tenant_reference("contacts", "contact_id"),
        CheckConstraint(
            "status IN ('open', 'referred', 'partially_met', 'met', 'unmet', 'unknown')",
            name="status_known",
        ),
        Index(None, "tenant_id", "contact_id"),
        Index(
            "ix_needs_without_outcome",
            "tenant_id",
            "created_at",
            "id",
            postgresql_where=text("status IN ('open', 'referred', 'unknown')"),
        ),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    contact_id: Mapped[UUID]
    service_owner_id: Mapped[UUID]
    service_key: Mapped[str]
    term: Mapped[str]
    urgency: Mapped[str] = mapped_column(default="normal")
    status: Mapped[str] = mapped_column(default="open")
    unmet_reason: Mapped[str | None]
    unmet_words: Mapped[str | None]
    """The reason in somebody's own words, for one that stands in no list."""
    description: Mapped[str | None]
    place_kind: Mapped[str] = mapped_column(default="none")
    """point, address, neighbourhood, none."""
    place_text: Mapped[str | None]
    latitude: Mapped[Decimal | None] = mapped_column(Numeric(9, 6))
    longitude: Mapped[Decimal | None] = mapped_column(Numeric(9, 6))
    answers: Mapped[dict[str, Any] | None]
    """What was answered to which form, as `catalog.answers.Kept` says it; null: nothing asked."""
    created_at: Mapped[datetime]


class NeedStatement(Base):
    """What somebody said of a need: its status, why it is unmet, and when; the newest counts."""

    __tablename__ = "need_statements"
    __table_args__ = (
        tenant_reference("needs", "need_id"),
        CheckConstraint(
            "status IN ('open', 'partially_met', 'met', 'unmet', 'unknown')", name="status_known"
        ),
        CheckConstraint("(status = 'unmet') = (unmet_reason IS NOT NULL)", name="unmet_has_reason"),
        Index(None, "tenant_id", "need_id", "said_at"),
        Index(None, "tenant_id", "contact_id"),
        {"info": APPEND_ONLY},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    contact_id: Mapped[UUID]
    need_id: Mapped[UUID]
    status: Mapped[str]
    unmet_reason: Mapped[str | None]
    how: Mapped[str]
    """Where it was said: decision, wrap_up, page, follow_up, link."""
    said_by: Mapped[UUID | None]
    said_at: Mapped[datetime]


class ServiceRequest(Base):
    """Work that the owner has promised to look at; it lives with the owner alone."""

    __tablename__ = "service_requests"
    __table_args__ = (
        UniqueConstraint("tenant_id", "public_id"),
        CheckConstraint(_among("state", REQUEST_STATES), name="state_known"),
        Index(None, "tenant_id", "opened_at", "id"),
        Index(None, "tenant_id", "state", "opened_at", "id"),
        Index(None, "tenant_id", "service_key", "state", "opened_at", "id"),
        Index(None, "tenant_id", "queue", "state", "opened_at", "id"),
        Index(None, "tenant_id", "contact_id"),
        Index(
            "ix_service_requests_assignee",
            "tenant_id",
            "assignee_id",
            "state",
            "opened_at",
            "id",
            postgresql_where="assignee_id IS NOT NULL",
        ),
        Index(
            "ix_service_requests_heard",
            "tenant_id",
            "opened_at",
            "id",
            postgresql_where="heard_at IS NOT NULL",
        ),
        CheckConstraint(_among("helped", HELPED), name="helped_known"),
        tenant_reference("service_requests", "merged_into_id"),
        Index(
            "ix_service_requests_merged",
            "tenant_id",
            "merged_into_id",
            postgresql_where="merged_into_id IS NOT NULL",
        ),
        Index(
            "ix_service_requests_near",
            "tenant_id",
            "service_key",
            "place_cell",
            postgresql_where=f"place_cell IS NOT NULL AND {SEEN}",
        ),
        Index(
            "ix_service_requests_said",
            "tenant_id",
            "service_key",
            "place_words",
            postgresql_where=f"place_words IS NOT NULL AND {SEEN}",
        ),
        Index(
            "ix_service_requests_promised",
            "tenant_id",
            "warn_at",
            postgresql_where="warn_at IS NOT NULL AND state NOT IN ('closed', 'merged')",
        ),
        Index(
            "ix_service_requests_updated",
            "tenant_id",
            "updated_at",
            postgresql_where=text("NOT confidential"),
        ),
        Index(
            "ix_service_requests_kept",
            "tenant_id",
            "opened_at",
            postgresql_where=text("state IN ('closed', 'merged') AND erased_at IS NULL"),
        ),
        Index(
            "ix_service_requests_inquirer",
            "tenant_id",
            "inquirer_id",
            postgresql_where=text("inquirer_id IS NOT NULL"),
        ),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    public_id: Mapped[str]
    service_key: Mapped[str]
    bureau_key: Mapped[str | None]
    queue: Mapped[str | None]
    intake_tenant_id: Mapped[UUID]
    """Who took it in: the owner itself, or the partner that hears of its status."""
    contact_id: Mapped[UUID | None]
    """The contact, when it was taken in here."""
    need_id: Mapped[UUID | None]
    inquirer_id: Mapped[UUID | None]
    state: Mapped[str] = mapped_column(default="received")
    priority: Mapped[str] = mapped_column(default="normal")
    description: Mapped[str | None]
    place_kind: Mapped[str] = mapped_column(default="none")
    place_text: Mapped[str | None]
    latitude: Mapped[Decimal | None] = mapped_column(Numeric(9, 6))
    longitude: Mapped[Decimal | None] = mapped_column(Numeric(9, 6))
    confidential: Mapped[bool] = mapped_column(default=False)
    assignee_id: Mapped[UUID | None]
    opened_at: Mapped[datetime]
    expected_at: Mapped[datetime | None]
    """By when it is promised; null: nothing is, or time stands still (`intake.promises`)."""
    warn_at: Mapped[datetime | None]
    """When so much of the promised time is gone that staff are warned."""
    stands_since: Mapped[datetime | None]
    """Since when time stands still, because the person has to answer."""
    left_seconds: Mapped[int | None]
    """Business time that was left then."""
    stood_seconds: Mapped[int | None]
    """Business time since the opening that does not count, the present standing still not in it."""
    closed_at: Mapped[datetime | None]
    resolution: Mapped[str | None]
    public_message: Mapped[str | None]
    """The latest words for the person, in plain language."""
    answers: Mapped[dict[str, Any] | None]
    """What was answered to which form, as `catalog.answers.Kept` says it; null: nothing asked."""
    heard_at: Mapped[datetime | None]
    """When the person last wrote by the link, while nobody has done anything since."""
    helped: Mapped[str | None]
    """Whether it helped, as the person says once it is closed."""
    helped_words: Mapped[str | None]
    helped_at: Mapped[datetime | None]
    place_cell: Mapped[int | None]
    """The square of the grid of `intake.nearby` in which it is."""
    place_words: Mapped[str | None]
    """The place in words, as `intake.nearby` compares them."""
    me_too: Mapped[int] = mapped_column(default=0, server_default="0")
    """How many others said that it is theirs too."""
    merged_into_id: Mapped[UUID | None]
    """The request that says the same and goes on, when this one is merged."""
    handed_to_id: Mapped[UUID | None]
    """The partner that has it now, when it was handed on; what is left here is its history."""
    handed_from_id: Mapped[UUID | None]
    """The partner that handed it on to here, and hears what becomes of it."""
    linked: Mapped[int] = mapped_column(default=0, server_default="0")
    """How many links with other requests it has (`request_links`)."""
    erased_at: Mapped[datetime | None]
    """When its words and who asked were erased; what is counted stays."""
    updated_at: Mapped[datetime]
    version: Mapped[int] = mapped_column(default=1)

    __mapper_args__ = {"version_id_col": version, "version_id_generator": lambda v: (v or 0) + 1}


LINK_KINDS = (
    "whole",
    "part",
    "related",
    "follows",
    "precedes",
    "blocks",
    "blocked_by",
)


class RequestLink(Base):
    """That a request has to do with another one; each side has a row, also across partners.

    What it says of the other one is what that one's followers know of it: number, service, state.
    """

    __tablename__ = "request_links"
    __table_args__ = (
        tenant_reference("service_requests", "request_id"),
        CheckConstraint(_among("kind", LINK_KINDS), name="kind_known"),
        CheckConstraint("request_id <> other_id", name="two_requests"),
        Index(
            "ux_request_links_one_a_pair",
            "tenant_id",
            "request_id",
            "other_id",
            unique=True,
            postgresql_where=text("ended_at IS NULL"),
        ),
        Index(
            "ux_request_links_one_whole",
            "tenant_id",
            "request_id",
            unique=True,
            postgresql_where=text("kind = 'whole' AND ended_at IS NULL"),
        ),
        Index(None, "tenant_id", "pair_id"),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    pair_id: Mapped[UUID]
    """What the rows of the two sides have in common."""
    request_id: Mapped[UUID]
    kind: Mapped[str]
    """What the other one is to this one: its whole, a part of it, what it follows, ..."""
    other_tenant_id: Mapped[UUID]
    other_id: Mapped[UUID]
    other_number: Mapped[str]
    other_service_key: Mapped[str]
    other_state: Mapped[str]
    made_at: Mapped[datetime]
    made_by: Mapped[UUID | None]
    ended_at: Mapped[datetime | None]


class RequestHanding(Base):
    """That a request went from one partner to another; each owner has the whole way it took."""

    __tablename__ = "request_handings"
    __table_args__ = (
        tenant_reference("service_requests", "request_id"),
        CheckConstraint("how IN ('handed', 'sent_back')", name="how_known"),
        Index(None, "tenant_id", "request_id", "at"),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    request_id: Mapped[UUID]
    from_id: Mapped[UUID]
    to_id: Mapped[UUID]
    how: Mapped[str]
    words: Mapped[str]
    """Why, as one partner says it to the other."""
    at: Mapped[datetime]


class MeToo(Base):
    """Somebody else who says that a request is theirs too; it lives with the request's owner."""

    __tablename__ = "me_toos"
    __table_args__ = (
        tenant_reference("service_requests", "request_id"),
        UniqueConstraint("tenant_id", "source_key"),
        Index(None, "tenant_id", "request_id"),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    request_id: Mapped[UUID]
    intake_tenant_id: Mapped[UUID]
    """Who heard it: the owner itself, or a partner at whose desk it was said."""
    need_id: Mapped[UUID | None]
    """The need that it is, at who heard it."""
    source_key: Mapped[str]
    """What makes it count once: the form that was sent."""
    email: Mapped[str | None]
    """Where news go, given for nothing else; null for who only counts, or wants no more."""
    phone: Mapped[str | None]
    """The number, as E.164, to which they go as texts instead."""
    language: Mapped[str]
    token: Mapped[str | None]
    """The link in those letters: it shows the request, and stops them."""
    at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    """Since when no more news are wanted."""


class RequestNote(Base):
    """A note on a request; internal ones never leave the owner."""

    __tablename__ = "request_notes"
    __table_args__ = (
        tenant_reference("service_requests", "request_id"),
        Index(None, "tenant_id", "request_id", "id"),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    request_id: Mapped[UUID]
    author_id: Mapped[UUID | None]
    internal: Mapped[bool]
    from_person: Mapped[bool] = mapped_column(default=False)
    """Whether the person who asked wrote it, by their link."""
    text: Mapped[str]
    at: Mapped[datetime]
    withdrawn_at: Mapped[datetime | None]
    """When it was taken back, as part of a change of many requests that was undone."""


class RequestUpdate(Base):
    """A change of a request that the public may know: a new state, words for the person.

    Those that came from a client of the interface are kept beside our own and shown to staff.
    """

    __tablename__ = "request_updates"
    __table_args__ = (
        tenant_reference("service_requests", "request_id"),
        UniqueConstraint("tenant_id", "client_id", "client_key"),
        Index(None, "tenant_id", "at", "id"),
        Index(None, "tenant_id", "request_id", "id"),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    request_id: Mapped[UUID]
    at: Mapped[datetime]
    status: Mapped[str]
    """As `lifecycle.UPDATE_STATUSES` names what happened."""
    message: Mapped[str | None]
    client_id: Mapped[UUID | None]
    client_key: Mapped[str | None]
    """The client's own id of the update: the same one is not taken twice."""


class FollowedRequest(Base):
    """What the intake partner knows of a request that lives with another partner.

    Its id and public number are the request's own. Envelopes keep the status current.
    """

    __tablename__ = "followed_requests"
    __table_args__ = (
        UniqueConstraint("tenant_id", "public_id"),
        tenant_reference("contacts", "contact_id"),
        Index(None, "tenant_id", "contact_id"),
        Index(None, "tenant_id", "sent_at", "id"),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    public_id: Mapped[str]
    owner_id: Mapped[UUID]
    service_key: Mapped[str]
    contact_id: Mapped[UUID | None]
    """The contact that it came from; null when it is part of a request of one's own."""
    need_id: Mapped[UUID | None]
    state: Mapped[str]
    """As the owner last said; `in_transit` until the owner has received it."""
    public_message: Mapped[str | None]
    sent_at: Mapped[datetime]
    expected_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    updated_at: Mapped[datetime]


class Transfer(Base):
    """A live contact handed to somebody else: 911, a partner's line, an outside body."""

    __tablename__ = "transfers"
    __table_args__ = (
        tenant_reference("contacts", "contact_id"),
        Index(None, "tenant_id", "contact_id"),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    contact_id: Mapped[UUID]
    need_id: Mapped[UUID | None]
    kind: Mapped[str]
    """warm (with a person at the other end) or cold."""
    target: Mapped[str]
    """A partner's slug or an outside body's name."""
    number: Mapped[str]
    result: Mapped[str]
    """offered, taken_over, returned, refused."""
    at: Mapped[datetime]


VISIT_STATES = ("waiting", "called", "left")


class Visit(Base):
    """Somebody who came to a front desk, under a number of the day.

    What they say of themselves is forgotten when the day is over.
    """

    __tablename__ = "visits"
    __table_args__ = (
        UniqueConstraint("tenant_id", "day", "number"),
        tenant_reference("contacts", "contact_id"),
        CheckConstraint(_among("state", VISIT_STATES), name="state_known"),
        CheckConstraint(
            "(state = 'called') <= (called_at IS NOT NULL AND contact_id IS NOT NULL)",
            name="called_to_a_contact",
        ),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    day: Mapped[date]
    """The partner's local day."""
    number: Mapped[int]
    line_key: Mapped[str | None]
    """The front desk, as a line of the partner."""
    name: Mapped[str | None]
    reason: Mapped[str | None]
    language: Mapped[str] = mapped_column(default="en")
    interpreter: Mapped[bool] = mapped_column(default=False)
    accommodation: Mapped[str | None]
    state: Mapped[str] = mapped_column(default="waiting")
    arrived_at: Mapped[datetime]
    taken_in_by: Mapped[UUID | None]
    called_at: Mapped[datetime | None]
    called_by: Mapped[UUID | None]
    called_to: Mapped[str | None]
    """The window or table, as the waiting room calls it."""
    contact_id: Mapped[UUID | None]
    """The contact that began when they were called."""
    left_at: Mapped[datetime | None]
    for_id: Mapped[UUID | None]
    """For whom they wait; anybody calls whoever waits for nobody in particular."""


class Attachment(Base):
    """A file that somebody sent, in answer to a question or added later; kept, or erased."""

    __tablename__ = "attachments"
    __table_args__ = (
        UniqueConstraint("tenant_id", "subject_id", "question"),
        CheckConstraint("(content IS NULL) = (erased_at IS NOT NULL)", name="there_or_erased"),
        CheckConstraint("audience IN ('staff', 'person')", name="audience_known"),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    subject_id: Mapped[UUID]
    """The need that it was sent for; at a partner that got it, the request or the referral."""
    question: Mapped[str]
    name: Mapped[str]
    media_type: Mapped[str]
    """What it is by its first bytes, whatever it was called."""
    size: Mapped[int]
    digest: Mapped[str]
    content: Mapped[bytes | None] = mapped_column(LargeBinary)
    stored_at: Mapped[datetime]
    erased_at: Mapped[datetime | None]
    audience: Mapped[str] = mapped_column(default="staff", server_default="staff")
    """Who may have it: staff, or the person who asked, too, by their link."""


class HeldFile(Base):
    """A file that was sent with a form that is not done yet; emptied after some hours."""

    __tablename__ = "held_files"
    __table_args__ = (
        UniqueConstraint("tenant_id", "token_hash"),
        Index(
            "ix_held_files_there",
            "tenant_id",
            "held_at",
            postgresql_where=text("content IS NOT NULL"),
        ),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    token_hash: Mapped[bytes] = mapped_column(LargeBinary)
    """Of the secret that the form carries."""
    question: Mapped[str]
    name: Mapped[str]
    media_type: Mapped[str]
    content: Mapped[bytes | None] = mapped_column(LargeBinary)
    held_at: Mapped[datetime]


class ProgramHook(Base):
    """Where a program is told by webhook that a request has moved on; ended, never changed."""

    __tablename__ = "program_hooks"
    __table_args__ = (
        tenant_reference("api_clients", "client_id"),
        Index(
            "ux_program_hooks_live",
            "tenant_id",
            "client_id",
            unique=True,
            postgresql_where=text("ended_at IS NULL"),
        ),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    client_id: Mapped[UUID]
    address: Mapped[str]
    sealed_secret: Mapped[str]
    """By which messages are signed, sealed by the installation's own."""
    told_until: Mapped[datetime]
    """Up to when it was written what happened."""
    made_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    ended_why: Mapped[str | None]
