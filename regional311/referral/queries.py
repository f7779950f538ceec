"""What may be asked about referrals and decisions: flat rows, a fixed number of statements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, or_, select, text
from sqlalchemy.orm import Session

from regional311.audit.queries import HISTORY, AuditRow, history
from regional311.cover.models import Handover
from regional311.database.session import scope_of
from regional311.errors import NotFound
from regional311.intake.models import Contact
from regional311.intake.queries import people
from regional311.referral.models import (
    Consent,
    Decision,
    PersonLink,
    Referral,
    ReferralReminder,
)


@dataclass(frozen=True, slots=True)
class ReferralItem:
    """A referral in a list."""

    id: UUID
    public_id: str
    side: str
    counterparty_id: UUID
    service_key: str
    term: str
    urgency: str
    state: str
    reason: str | None
    outcome: str | None
    claimed_by: UUID | None
    contact_id: UUID | None
    need_id: UUID | None
    consent_id: UUID | None
    replaces_id: UUID | None
    sent_at: datetime
    received_at: datetime | None
    answered_at: datetime | None
    closed_at: datetime | None
    due_at: datetime | None
    finish_by: datetime | None
    progress: str | None
    asked_at: datetime | None
    waitlist_position: int | None
    waitlist_days: int | None
    heard_at: datetime | None
    use_until: datetime | None
    consent_ended: str | None
    consent_ended_at: datetime | None
    stop_seen_at: datetime | None
    version: int


@dataclass(frozen=True, slots=True)
class ReferralDetail:
    """A referral with exactly what was shared, its history and the people in it.

    ``contact`` is the sender's contact number; empty on the receiver's side.
    """

    referral: ReferralItem
    shared: Mapping[str, Any]
    note: str | None
    part_of_id: UUID | None
    before: Mapping[str, Any] | None
    contact: str | None
    history: list[AuditRow]
    people: Mapping[UUID, str]


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """A stored decision; :func:`regional311.referral.decision.explain_stored` says it."""

    id: UUID
    need_id: UUID | None
    rule_set_version: int
    rule_key: str | None
    outcome: str
    target_tenant_id: UUID | None
    facts: Mapping[str, Any]
    trace: Mapping[str, Any]
    decided_at: datetime


@dataclass(frozen=True, slots=True)
class ConsentRow:
    """A consent of a contact's person."""

    id: UUID
    to_tenant_id: UUID
    fields: list[str]
    method: str
    given_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    expired_at: datetime | None
    words: str | None
    purpose: str
    language: str
    handed: list[list[str]]
    """Live hand-overs that rest on it: number and state."""


def _of(model: Any, row: type) -> list[Any]:
    return [getattr(model, each.name) for each in fields(row)]


def referral_detail(
    session: Session, referral_id: UUID, *, past: int | None = HISTORY
) -> ReferralDetail:
    """Give one referral with its history: three statements. Raises :class:`NotFound`.

    `past` is how many of the newest steps of the history are given; None: all.
    """
    tenant_id = scope_of(session).tenant_id
    row = session.execute(
        select(
            *_of(Referral, ReferralItem),
            Referral.shared,
            Referral.note,
            Referral.part_of_id,
            Referral.before,
            Contact.public_id.label("contact_number"),
        )
        .outerjoin(
            Contact,
            and_(Contact.tenant_id == Referral.tenant_id, Contact.id == Referral.contact_id),
        )
        .where(Referral.tenant_id == tenant_id, Referral.id == referral_id)
    ).one_or_none()
    if row is None:
        raise NotFound("There is no such referral.")
    values = tuple(row)
    width = len(fields(ReferralItem))
    referral = ReferralItem(*values[:width])
    steps = history(session, referral_id, past)
    named = [referral.claimed_by, *(each.person_id for each in steps)]
    shared, note, part_of_id, before, contact = values[width:]
    return ReferralDetail(
        referral=referral,
        shared=shared,
        note=note,
        part_of_id=part_of_id,
        before=before,
        contact=contact,
        history=steps,
        people=people(session, named),
    )


def related(session: Session, referral_id: UUID, *named: UUID | None) -> list[ReferralItem]:
    """Give the referrals that came of one, and those that it names: one statement."""
    asked = [each for each in named if each is not None]
    rows = session.execute(
        select(*_of(Referral, ReferralItem))
        .where(
            Referral.tenant_id == scope_of(session).tenant_id,
            or_(
                Referral.part_of_id == referral_id,
                Referral.replaces_id == referral_id,
                Referral.id.in_(asked),
            ),
        )
        .order_by(Referral.sent_at, Referral.id)
    )
    return [ReferralItem(*row) for row in rows]


def referrals_of_contact(session: Session, contact_id: UUID) -> list[ReferralItem]:
    """Give the referrals that came of a contact: one statement."""
    rows = session.execute(
        select(*_of(Referral, ReferralItem))
        .where(Referral.tenant_id == scope_of(session).tenant_id, Referral.contact_id == contact_id)
        .order_by(Referral.sent_at, Referral.id)
    )
    return [ReferralItem(*row) for row in rows]


def decisions_of_contact(session: Session, contact_id: UUID) -> list[DecisionRow]:
    """Give the decisions about a contact: one statement."""
    rows = session.execute(
        select(*_of(Decision, DecisionRow))
        .where(Decision.tenant_id == scope_of(session).tenant_id, Decision.contact_id == contact_id)
        .order_by(Decision.decided_at, Decision.id)
    )
    return [DecisionRow(*row) for row in rows]


def consent_of(session: Session, consent_id: UUID) -> ConsentRow | None:
    """Give the bound partner's consent that a referral rests on: one statement."""
    found = _consents(session, Consent.id == consent_id)
    return found[0] if found else None


def consents_of_contact(session: Session, contact_id: UUID) -> list[ConsentRow]:
    """Give the consents of a contact's person: one statement."""
    return _consents(session, Consent.contact_id == contact_id)


def _consents(session: Session, which: ColumnElement[bool]) -> list[ConsentRow]:
    handed = (
        select(
            func.coalesce(
                func.jsonb_agg(func.jsonb_build_array(Handover.public_id, Handover.state)),
                text("'[]'::jsonb"),
            )
        )
        .where(Handover.tenant_id == Consent.tenant_id, Handover.consent_id == Consent.id)
        .scalar_subquery()
    )
    kept = [getattr(Consent, each.name) for each in fields(ConsentRow) if each.name != "handed"]
    columns: list[Any] = [*kept, handed]
    rows = session.execute(
        select(*columns)
        .where(Consent.tenant_id == scope_of(session).tenant_id, which)
        .order_by(Consent.given_at, Consent.id)
    )
    return [ConsentRow(*row) for row in rows]


def links_of_contact(session: Session, contact_id: UUID, *, now: datetime) -> list[PersonLink]:
    """Give the codes of a contact that work, the newest first: one statement."""
    return list(
        session.execute(
            select(PersonLink)
            .where(
                PersonLink.tenant_id == scope_of(session).tenant_id,
                PersonLink.contact_id == contact_id,
                PersonLink.ended_at.is_(None),
                PersonLink.expires_at > now,
            )
            .order_by(PersonLink.made_at.desc(), PersonLink.id.desc())
        ).scalars()
    )


def reminders_of(session: Session, referral_id: UUID) -> list[tuple[datetime, str, datetime]]:
    """Give the steps of reminding that were taken for a referral: since when, step, when."""
    rows = session.execute(
        select(ReferralReminder.silent_since, ReferralReminder.step, ReferralReminder.at)
        .where(
            ReferralReminder.tenant_id == scope_of(session).tenant_id,
            ReferralReminder.referral_id == referral_id,
        )
        .order_by(ReferralReminder.at)
    )
    return [(row[0], row[1], row[2]) for row in rows]
