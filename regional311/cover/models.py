"""Emergencies, what was counted in them, who is on duty, lent help, hand-overs of live contacts."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from regional311.database.base import PUBLISHED, TENANT, Base, RowId, TenantId, tenant_reference


class Emergency(Base):
    """A storm, an outage, or its drill: what the region or a partner says and does meanwhile.

    Published, so that every process acts on it; pages for everybody never show a drill.
    """

    __tablename__ = "emergencies"
    __table_args__ = (
        UniqueConstraint("tenant_id", "public_id"),
        CheckConstraint("ends_at > started_at", name="ends_after_start"),
        Index(None, "tenant_id", "started_at", "id"),
        {"info": PUBLISHED},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    public_id: Mapped[str]
    kind: Mapped[str]
    """A kind of the policy `emergencies`: storm, heat, smoke, ..."""
    drill: Mapped[bool]
    reason: Mapped[str]
    texts: Mapped[dict[str, Any]]
    """Language (BCP 47) to its title and text, as they were sent."""
    services: Mapped[list[str]]
    """Services shown first, as `partner/key`."""
    articles: Mapped[list[str]]
    """Scripts and answers shown first, as `partner/key`."""
    places: Mapped[list[dict[str, Any]]]
    """Shelters and closures: `kind`, `name`, `address`, `note`; `service` and `location` of the
    directory, as `partner/key`, where they have an entry."""
    surges: Mapped[list[dict[str, Any]]]
    """`line` and `answer`: who answers it before every fallback."""
    started_at: Mapped[datetime]
    started_by: Mapped[UUID | None]
    ends_at: Mapped[datetime]
    """When it ends by itself."""
    ended_at: Mapped[datetime | None]
    ended_by: Mapped[UUID | None]
    """Who ended it; nobody when it came to its planned end."""
    version: Mapped[int] = mapped_column(default=1)

    __mapper_args__ = {"version_id_col": version, "version_id_generator": lambda v: (v or 0) + 1}


class EmergencyEntry(Base):
    """One line of the simplified log: what was needed, where. A drill writes nothing else."""

    __tablename__ = "emergency_entries"
    __table_args__ = (
        UniqueConstraint("tenant_id", "form_key"),
        tenant_reference("contacts", "contact_id"),
        Index(None, "tenant_id", "emergency_id", "at"),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    emergency_id: Mapped[UUID]
    form_key: Mapped[str]
    """The form's own key: sent twice it is one entry."""
    contact_id: Mapped[UUID | None]
    """The contact that was kept; none in a drill."""
    service: Mapped[str]
    """As `partner/key`."""
    area: Mapped[str]
    note: Mapped[str | None]
    danger: Mapped[bool]
    person_id: Mapped[UUID | None]
    at: Mapped[datetime]


class Duty(Base):
    """That somebody of the partner's is there to take contacts, from when until when."""

    __tablename__ = "duties"
    __table_args__ = (
        CheckConstraint("ended_at >= started_at", name="ends_after_start"),
        Index(
            "uq_duties_open",
            "tenant_id",
            "person_id",
            unique=True,
            postgresql_where=text("ended_at IS NULL"),
        ),
        Index(None, "tenant_id", "started_at"),
        {"info": PUBLISHED},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    person_id: Mapped[UUID]
    name: Mapped[str]
    """The name that other partners' specialists see."""
    languages: Mapped[list[str]]
    aid_id: Mapped[UUID | None]
    """The lent help that it is done for; none on the partner's own desk."""
    started_at: Mapped[datetime]
    until: Mapped[datetime]
    """When it ends by itself."""
    ended_at: Mapped[datetime | None]


class Aid(Base):
    """Specialists whom one partner lends to another's lines in an emergency; a row on each side."""

    __tablename__ = "aids"
    __table_args__ = (
        CheckConstraint("lender_id <> borrower_id", name="two_partners"),
        CheckConstraint(
            "state IN ('offered', 'accepted', 'declined', 'withdrawn', 'ended')",
            name="state_known",
        ),
        Index(None, "tenant_id", "emergency_id"),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    emergency_id: Mapped[UUID]
    lender_id: Mapped[UUID]
    borrower_id: Mapped[UUID]
    people: Mapped[list[dict[str, Any]]]
    """`id`, `name` and `languages` of those who are lent."""
    lines: Mapped[list[str]]
    """The borrower's lines that they may take contacts on, as `partner/key`."""
    note: Mapped[str | None]
    state: Mapped[str]
    offered_at: Mapped[datetime]
    offered_by: Mapped[UUID | None]
    answered_at: Mapped[datetime | None]
    answered_by: Mapped[UUID | None]
    ended_at: Mapped[datetime | None]


class Handover(Base):
    """A live contact rung through to another partner's desk, or brought by 911; a row on each side.

    The receiver's row decides: whoever changes it from `ringing` first has done it. The sender's
    row follows in the same transaction.
    """

    __tablename__ = "handovers"
    __table_args__ = (
        UniqueConstraint("tenant_id", "public_id"),
        UniqueConstraint("tenant_id", "client_id", "incident"),
        tenant_reference("contacts", "contact_id"),
        CheckConstraint("side IN ('out', 'in')", name="side_known"),
        CheckConstraint(
            "state IN ('ringing', 'taken_over', 'returned', 'unanswered', 'withdrawn')",
            name="state_known",
        ),
        Index(
            "uq_handovers_ringing",
            "tenant_id",
            "contact_id",
            unique=True,
            postgresql_where=text("state = 'ringing' AND side = 'out'"),
        ),
        Index(
            "ix_handovers_waiting",
            "tenant_id",
            "started_at",
            postgresql_where=text("state = 'ringing'"),
        ),
        Index(
            "ix_handovers_to_stop",
            "tenant_id",
            "consent_ended_at",
            postgresql_where=text("consent_ended_at IS NOT NULL AND stop_seen_at IS NULL"),
        ),
        Index(
            "ix_handovers_consent",
            "tenant_id",
            "consent_id",
            postgresql_where=text("consent_id IS NOT NULL"),
        ),
        Index(None, "tenant_id", "contact_id"),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    public_id: Mapped[str]
    side: Mapped[str]
    """`out` at who rings, `in` at who is rung."""
    partner_id: Mapped[UUID | None]
    """The other side; none when a 911 center brought it."""
    contact_id: Mapped[UUID | None]
    """This side's own contact; at who is rung there is one once it was taken over."""
    channel: Mapped[str]
    language: Mapped[str]
    line: Mapped[str]
    """The line that is rung, as `partner/key`."""
    person_id: Mapped[UUID | None]
    """The person who is rung; none: whoever is there."""
    person_name: Mapped[str | None]
    shared: Mapped[dict[str, Any]]
    """Exactly what went with it."""
    consent_id: Mapped[UUID | None]
    """What the person agreed to, kept at who rings; none when nothing went that needs it."""
    told: Mapped[str | None]
    """What taking it over wrote into the note of this side's contact."""
    consent_ended: Mapped[str | None]
    """Why it may not be used any more: revoked, expired."""
    consent_ended_at: Mapped[datetime | None]
    stop_seen_at: Mapped[datetime | None]
    """When who was rung said that they have seen so."""
    stop_seen_by: Mapped[UUID | None]
    reason: Mapped[str | None]
    """Why it is handed over, as the receiver reads it."""
    state: Mapped[str]
    attempts: Mapped[list[dict[str, Any]]]
    """Each ring: `at`, `to`, `ended_at` and `result`."""
    rings_until: Mapped[datetime | None]
    """When nobody has answered; none: it waits until somebody does."""
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    taken_by: Mapped[UUID | None]
    taken_name: Mapped[str | None]
    return_reason: Mapped[str | None]
    client_id: Mapped[UUID | None]
    incident: Mapped[str | None]
    """The 911 center's own number: the same one is not taken twice."""
    digest: Mapped[str | None]


class LaterRing(Base):
    """That a contact is to be rung through to a line that was closed, as soon as it is open.

    The person is called back then, and the other desk is rung with them on the line. It stays until
    the other desk has taken the contact over, or somebody has said why it is not needed any more.
    """

    __tablename__ = "later_rings"
    __table_args__ = (
        tenant_reference("contacts", "contact_id"),
        CheckConstraint("state IN ('waiting', 'done', 'dropped')", name="state_known"),
        CheckConstraint("(state = 'dropped') = (reason IS NOT NULL)", name="dropped_says_why"),
        Index(
            "uq_later_rings_waiting",
            "tenant_id",
            "contact_id",
            "line",
            unique=True,
            postgresql_where=text("state = 'waiting'"),
        ),
        Index(None, "tenant_id", "contact_id"),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    contact_id: Mapped[UUID]
    line: Mapped[str]
    """The line that is to be rung, as `partner/key`."""
    asked_at: Mapped[datetime]
    asked_by: Mapped[UUID | None]
    opens_at: Mapped[datetime]
    """When it was going to open, as the person was told."""
    tries: Mapped[list[dict[str, Any]]]
    """Each call that did not reach the person: `at` and `by`."""
    taken_by: Mapped[UUID | None]
    """Who said that they call the person now, so that nobody is called twice at once."""
    taken_at: Mapped[datetime | None]
    told_at: Mapped[datetime | None]
    """When whoever asked was told that it is open; none while it is closed."""
    late_at: Mapped[datetime | None]
    """When who leads them was told that it is open and nothing was done."""
    state: Mapped[str]
    reason: Mapped[str | None]
    """Why it was not needed any more."""
    ended_at: Mapped[datetime | None]
    ended_by: Mapped[UUID | None]
