"""Never contact this person: said once, it holds everywhere.

The flags that allow a call, a message, news or a question are taken away with it, and the database
refuses them from then on; what was written and has not left is withdrawn, and everybody who holds a
referral of the person is told.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import func, select, update
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

NOT_ALLOWED: Final = {
    "safe_to_call": False,
    "may_leave_message": False,
    "wants_updates": False,
    "may_follow_up": False,
    "contact_prohibited": True,
}


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
    referrals = session.execute(
        select(Referral.id, Referral.counterparty_id)
        .where(
            Referral.tenant_id == tenant_id,
            Referral.contact_id == contact_id,
            Referral.side == lifecycle.SENDER,
            Referral.consent_ended_at.is_(None),
        )
        .order_by(Referral.counterparty_id, Referral.id)
    ).all()
    for subject_id in (*told_of, *(row.id for row in referrals)):
        withdraw(session, subject_id)
    for row in referrals:
        _mark(session, row.id)
        tell(
            session,
            to=row.counterparty_id,
            kind=CONTACT_PROHIBITED,
            subject_id=row.id,
            payload={CONTACT_PROHIBITED: True},
            now=now,
        )
        with acting_for(session, row.counterparty_id):
            _mark(session, row.id)
            record(
                session,
                now=now,
                action="referral:prohibit",
                subject_kind="referral",
                subject_id=row.id,
            )


def _mark(session: TenantSession, referral_id: UUID) -> None:
    """Say in what was shared that nobody may contact the person."""
    send(session)
    session.execute(
        update(Referral)
        .where(
            Referral.tenant_id == scope_of(session).tenant_id,
            Referral.id == referral_id,
        )
        .values(
            shared=Referral.shared.op("||")(
                func.jsonb_build_object(
                    CONTACT_PROHIBITED,
                    True,
                    "safe_to_call",
                    False,
                    "may_leave_message",
                    False,
                    type_=JSONB,
                )
            ),
            version=Referral.version + 1,
        )
        .execution_options(synchronize_session=False)
    )
    mark_changed(session)
