"""Which records have been kept long enough: conditions over the bound partner's rows.

Open work keeps its person: a request, referral, follow-up, conversation, call back or hand-over
that is not over, and a line of a statement that is disputed.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select
from sqlalchemy.orm import aliased

from regional311.casework.models import Accommodation
from regional311.chargeback.models import StatementItem
from regional311.cover.models import Handover, LaterRing
from regional311.exchange.models import Envelope
from regional311.inbox.models import Thread
from regional311.intake import lifecycle
from regional311.intake.models import Contact, FollowedRequest, Inquirer, ServiceRequest
from regional311.metering.models import UsageEvent
from regional311.notices.models import OutboxMessage
from regional311.referral import lifecycle as referrals
from regional311.referral.models import FollowUp, Referral
from regional311.settlement.models import Dispute

PERSONAL = ("referral", "request", "request_status", "referral_message")
"""Kinds of envelopes that may tell of a person; the others are between partners alone."""
OVER = ("sent", "aside", "withdrawn", "gathered")
"""States of messages with which nobody has to do anything more."""


def contacts(tenant_id: UUID, before: datetime) -> Select[Any]:
    """Contacts that began before a moment, have ended, and have nothing open behind them."""
    row = Contact
    return (
        select(row.id)
        .where(
            row.tenant_id == tenant_id,
            row.started_at < before,
            row.ended_at.is_not(None),
            row.erased_at.is_(None),
            ~contact_is_open(tenant_id, row),
        )
        .order_by(row.started_at)
    )


def contact_is_open(tenant_id: UUID, row: Any) -> ColumnElement[bool]:
    """Say whether something that came of a contact is not over yet."""

    def of(model: Any, *conditions: ColumnElement[bool]) -> ColumnElement[bool]:
        return exists().where(model.tenant_id == tenant_id, model.contact_id == row.id, *conditions)

    return or_(
        row.ended_at.is_(None),
        of(ServiceRequest, request_is_open(tenant_id, ServiceRequest)),
        of(FollowedRequest, FollowedRequest.state.not_in(lifecycle.CLOSED)),
        of(Referral, Referral.state.not_in(referrals.CLOSED)),
        of(FollowUp, FollowUp.state == "open"),
        of(LaterRing, LaterRing.state == "waiting"),
        of(Thread, Thread.state != "done"),
        of(Handover, Handover.state == "ringing"),
        row.id.in_(disputed(tenant_id, StatementItem.contact_id)),
    )


def requests(tenant_id: UUID, before: datetime) -> Select[Any]:
    """Requests that were over before a moment, with nothing open behind them."""
    row = ServiceRequest
    return (
        select(row.id)
        .where(
            row.tenant_id == tenant_id,
            row.opened_at < before,
            row.state.in_(lifecycle.CLOSED),
            row.erased_at.is_(None),
            func.coalesce(row.closed_at, row.updated_at) < before,
            ~request_is_open(tenant_id, row),
        )
        .order_by(row.opened_at)
    )


def request_is_open(tenant_id: UUID, row: Any) -> ColumnElement[bool]:
    """Say whether a request is not over here, where it goes on, or for who is asked about it."""
    kept = aliased(ServiceRequest)
    return or_(
        row.state.not_in(lifecycle.CLOSED),
        exists().where(
            kept.tenant_id == tenant_id,
            kept.id == row.merged_into_id,
            kept.state.not_in(lifecycle.CLOSED),
        ),
        exists().where(
            FollowedRequest.tenant_id == tenant_id,
            FollowedRequest.id == row.id,
            FollowedRequest.state.not_in(lifecycle.CLOSED),
        ),
        exists().where(
            FollowUp.tenant_id == tenant_id,
            FollowUp.need_id == row.need_id,
            FollowUp.state == "open",
        ),
        row.id.in_(disputed(tenant_id, UsageEvent.subject_id)),
        row.contact_id.is_not(None)
        & row.contact_id.in_(disputed(tenant_id, StatementItem.contact_id)),
    )


def all_referrals(tenant_id: UUID, before: datetime) -> Select[Any]:
    """Referrals, sent or received, that were over before a moment, with nothing open behind."""
    row = Referral
    ended = func.coalesce(row.closed_at, row.answered_at, row.heard_at, row.sent_at)
    return (
        select(row.id)
        .where(
            row.tenant_id == tenant_id,
            row.sent_at < before,
            row.state.not_in(("draft", *referrals.OPEN)),
            row.erased_at.is_(None),
            ended < before,
            ~referral_is_open(tenant_id, row),
        )
        .order_by(row.sent_at)
    )


def referral_is_open(tenant_id: UUID, row: Any) -> ColumnElement[bool]:
    """Say whether a referral is not over, or what was made of it, or what is asked about it."""
    onward = aliased(Referral)
    return or_(
        row.state.not_in(referrals.CLOSED),
        exists().where(
            onward.tenant_id == tenant_id,
            onward.part_of_id == row.id,
            onward.state.not_in(referrals.CLOSED),
        ),
        exists().where(
            FollowUp.tenant_id == tenant_id,
            FollowUp.need_id == row.need_id,
            FollowUp.state == "open",
        ),
        row.id.in_(disputed(tenant_id, UsageEvent.subject_id)),
        row.contact_id.is_not(None)
        & row.contact_id.in_(disputed(tenant_id, StatementItem.contact_id)),
    )


def inquirers(tenant_id: UUID, before: datetime, now: datetime) -> Select[Any]:
    """People whose own date is over, and of whom nothing is open or was heard since `before`."""
    row = Inquirer
    return (
        select(row.id)
        .where(
            row.tenant_id == tenant_id,
            row.erased_at.is_(None),
            or_(row.retain_until.is_(None), row.retain_until <= now),
            ~exists().where(
                Contact.tenant_id == tenant_id,
                Contact.inquirer_id == row.id,
                or_(Contact.started_at >= before, contact_is_open(tenant_id, Contact)),
            ),
            ~exists().where(
                ServiceRequest.tenant_id == tenant_id,
                ServiceRequest.inquirer_id == row.id,
                or_(
                    func.coalesce(ServiceRequest.closed_at, ServiceRequest.updated_at) >= before,
                    request_is_open(tenant_id, ServiceRequest),
                ),
            ),
        )
        .order_by(row.retain_until)
    )


def messages(tenant_id: UUID, before: datetime) -> Select[Any]:
    """Messages of before a moment that have left, or never will, about nothing that is open."""
    row = OutboxMessage

    def about(model: Any, open_: ColumnElement[bool]) -> ColumnElement[bool]:
        return exists().where(model.tenant_id == tenant_id, model.id == row.subject_id, open_)

    return (
        select(row.id)
        .where(
            row.tenant_id == tenant_id,
            row.created_at < before,
            row.state.in_(OVER),
            row.recipient != "",
            ~about(ServiceRequest, ServiceRequest.state.not_in(lifecycle.CLOSED)),
            ~about(Referral, Referral.state.not_in(referrals.CLOSED)),
            ~about(Thread, Thread.state != "done"),
            ~about(Accommodation, Accommodation.state.not_in(("decided", "withdrawn"))),
        )
        .order_by(row.created_at)
    )


def envelopes(tenant_id: UUID, since: datetime | None, before: datetime) -> Select[Any]:
    """Envelopes sent before a moment, from another on, about nothing that is open here."""
    row = Envelope

    def about(model: Any, open_: ColumnElement[bool]) -> ColumnElement[bool]:
        return exists().where(model.tenant_id == tenant_id, model.id == row.subject_id, open_)

    from_there = () if since is None else (row.sent_at >= since,)
    return (
        select(row.id)
        .where(
            row.tenant_id == tenant_id,
            row.kind.in_(PERSONAL),
            row.sent_at < before,
            *from_there,
            ~row.payload.has_key("erased"),
            ~about(ServiceRequest, ServiceRequest.state.not_in(lifecycle.CLOSED)),
            ~about(FollowedRequest, FollowedRequest.state.not_in(lifecycle.CLOSED)),
            ~about(Referral, Referral.state.not_in(referrals.CLOSED)),
        )
        .order_by(row.sent_at)
    )


def disputed(tenant_id: UUID, column: Any) -> Select[Any]:
    """A column of the disputes that are open, or of what their lines are about."""
    return (
        select(column)
        .select_from(Dispute)
        .join(
            StatementItem,
            and_(
                StatementItem.tenant_id == Dispute.tenant_id,
                StatementItem.line_id == Dispute.line_id,
            ),
        )
        .outerjoin(
            UsageEvent,
            and_(
                UsageEvent.tenant_id == StatementItem.tenant_id,
                UsageEvent.id == StatementItem.usage_event_id,
            ),
        )
        .where(Dispute.tenant_id == tenant_id, Dispute.open_cents > 0, column.is_not(None))
        .correlate(None)
    )
