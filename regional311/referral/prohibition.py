"""Never contact this person: said once, it holds everywhere.

The flags that allow a call, a message, news or a question are taken away with it, and the database
refuses them from then on; what was written and has not left is withdrawn, and everybody to whom the
person was referred is told, onward, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import cast, select, update
from sqlalchemy.dialects.postgresql import JSONB

from regional311.audit.service import record
from regional311.cover import later_rings
from regional311.database.rows import send
from regional311.database.session import TenantSession, acting_for, mark_changed, scope_of
from regional311.errors import NotFound
from regional311.exchange.service import tell
from regional311.intake import me_too
from regional311.intake.models import (
    Contact,
    FollowedRequest,
    Inquirer,
    MeToo,
    Need,
    ServiceRequest,
)
from regional311.notices.service import withdraw
from regional311.referral import lifecycle
from regional311.referral.follow_ups import stop_for_contact
from regional311.referral.models import Referral

CONTACT_PROHIBITED: Final = "contact_prohibited"
"""Kind of the envelope, and the field of what is shared."""

REACHED: Final = ("safe_to_call", "may_leave_message")
"""Shared fields that say how the person may be reached."""

UNREACHABLE: Final[Mapping[str, bool]] = {CONTACT_PROHIBITED: True, **dict.fromkeys(REACHED, False)}
NOT_ALLOWED: Final = {**UNREACHABLE, "wants_updates": False, "may_follow_up": False}


def prohibit(session: TenantSession, *, now: datetime, contact_id: UUID) -> None:
    """Let nobody contact the person of a contact any more, here or where they were referred to.

    Raises :class:`NotFound` when the person did not say who they are: then nobody can.
    """
    tenant_id = scope_of(session).tenant_id
    send(session)
    inquirer_id = session.execute(
        select(Contact.inquirer_id).where(Contact.tenant_id == tenant_id, Contact.id == contact_id)
    ).scalar_one_or_none()
    if inquirer_id is None:
        raise NotFound("The person did not say who they are: nobody can contact them.")
    session.execute(
        update(Inquirer)
        .where(Inquirer.tenant_id == tenant_id, Inquirer.id == inquirer_id)
        .values(NOT_ALLOWED)
        .execution_options(synchronize_session=False)
    )
    mark_changed(session)
    record(
        session,
        now=now,
        action="contact:prohibit",
        subject_kind="contact",
        subject_id=contact_id,
    )
    needs = select(Need.id).where(Need.tenant_id == tenant_id, Need.contact_id == contact_id)
    me_too.end(session, me_too.listens(), MeToo.need_id.in_(needs), now=now)
    stop_for_contact(session, contact_id, reason="contact_prohibited", now=now)
    later_rings.drop_all(session, contact_id, now=now)
    told_of = list(
        session.execute(
            select(ServiceRequest.id)
            .where(ServiceRequest.tenant_id == tenant_id, ServiceRequest.contact_id == contact_id)
            .union_all(
                select(FollowedRequest.id).where(
                    FollowedRequest.tenant_id == tenant_id,
                    FollowedRequest.contact_id == contact_id,
                )
            )
        ).scalars()
    )
    referrals = session.scalars(
        select(Referral.id)
        .where(
            Referral.tenant_id == tenant_id,
            Referral.contact_id == contact_id,
            Referral.side == lifecycle.SENDER,
            Referral.consent_ended_at.is_(None),
        )
        .order_by(Referral.counterparty_id, Referral.id)
    ).all()
    for subject_id in told_of:
        withdraw(session, subject_id)
    for referral_id in referrals:
        forbid(session, tenant_id, referral_id, UNREACHABLE, now=now)


def forbid(
    session: TenantSession,
    sender_id: UUID,
    referral_id: UUID,
    forbidden: Mapping[str, bool],
    *,
    now: datetime,
) -> None:
    """Write into a referral that a partner sent how the person may not be reached any more.

    ``forbidden`` are fields of what was shared. It goes on to whoever was asked onward, from
    partner to partner, each in its own name and on both sides. Where nobody may contact the person
    at all, what has not left to them is withdrawn, and the receivers are told.
    """
    waiting, seen = [(sender_id, referral_id)], set[UUID]()
    while waiting:
        sender_id, at = waiting.pop()
        if at in seen:
            continue
        seen.add(at)
        with acting_for(session, sender_id):
            receiver_id = session.execute(
                select(Referral.counterparty_id).where(
                    Referral.tenant_id == sender_id, Referral.id == at
                )
            ).scalar_one()
            if forbidden.get(CONTACT_PROHIBITED):
                withdraw(session, at)
                tell(
                    session,
                    to=receiver_id,
                    kind=CONTACT_PROHIBITED,
                    subject_id=at,
                    payload={CONTACT_PROHIBITED: True},
                    now=now,
                )
            _mark(session, at, forbidden, now)
        with acting_for(session, receiver_id):
            _mark(session, at, forbidden, now)
            onward = session.scalars(
                select(Referral.id).where(
                    Referral.tenant_id == receiver_id,
                    Referral.side == lifecycle.SENDER,
                    Referral.part_of_id == at,
                )
            )
            waiting += [(receiver_id, each) for each in onward]


def _mark(
    session: TenantSession, referral_id: UUID, forbidden: Mapping[str, bool], now: datetime
) -> None:
    """Add to what the bound partner's row says was shared; where it was erased, nothing is."""
    tenant_id = scope_of(session).tenant_id
    send(session)
    changed = session.execute(
        update(Referral)
        .where(
            Referral.tenant_id == tenant_id,
            Referral.id == referral_id,
            ~Referral.shared.has_key("erased"),
        )
        .values(
            shared=Referral.shared.op("||")(cast(dict(forbidden), JSONB)),
            version=Referral.version + 1,
        )
        .returning(Referral.id)
        .execution_options(synchronize_session=False)
    ).first()
    if changed is None:
        return
    mark_changed(session)
    record(
        session,
        now=now,
        action="referral:prohibit",
        subject_kind="referral",
        subject_id=referral_id,
        detail={"fields": sorted(forbidden)},
    )
