"""What was reported with an e-mail address, for whoever can open its mailbox.

Nothing confidential is found, and nothing at all where contact would put the person in danger: a
mailbox may be read by more than one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, select

from regional311.database.session import TenantSession, scope_of
from regional311.intake.models import Contact, FollowedRequest, Inquirer, ServiceRequest

MOST: Final = 200
"""Requests that a page lists of one partner, the newest."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Who gave an address at a partner last, and whether anybody with it may not be written to."""

    inquirer_id: UUID
    email: str
    """As it was given: two spellings that compare alike may be two mailboxes."""
    forbidden: bool


@dataclass(frozen=True, slots=True)
class Reported:
    """A request that was made with an address."""

    request_id: UUID
    number: str
    owner_id: UUID
    service_key: str
    state: str
    opened_at: datetime


def owner_of(session: TenantSession, email: str) -> Owner | None:
    """Give who gave this address at the bound partner last. One statement."""
    row = session.execute(
        select(
            Inquirer.id,
            Inquirer.email,
            func.bool_or(Inquirer.contact_prohibited).over(),
        )
        .where(*_gave(session, email))
        .order_by(Inquirer.id.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else Owner(*row)


def address_of(session: TenantSession, inquirer_id: UUID) -> str | None:
    """Give the address of somebody at the bound partner; None once it was erased or forbidden."""
    tenant_id = scope_of(session).tenant_id
    return session.execute(
        select(Inquirer.email).where(
            Inquirer.tenant_id == tenant_id,
            Inquirer.id == inquirer_id,
            Inquirer.erased_at.is_(None),
            ~Inquirer.contact_prohibited,
        )
    ).scalar_one_or_none()


def reported_with(session: TenantSession, email: str) -> list[Reported]:
    """Give what was reported with an address at the bound partner.

    At most :data:`MOST` of its own and as many of others, each the newest first.

    What lives with another partner is among it as that one last said; the caller leaves out what is
    confidential there. Two statements.
    """
    gave = _gave(session, email)
    own = (
        select(
            ServiceRequest.id,
            ServiceRequest.public_id,
            ServiceRequest.tenant_id,
            ServiceRequest.service_key,
            ServiceRequest.state,
            ServiceRequest.opened_at,
        )
        .join(
            Inquirer,
            and_(
                Inquirer.tenant_id == ServiceRequest.tenant_id,
                Inquirer.id == ServiceRequest.inquirer_id,
            ),
        )
        .where(
            *gave,
            ServiceRequest.handed_to_id.is_(None),
            ServiceRequest.erased_at.is_(None),
            ~ServiceRequest.confidential,
        )
        .order_by(ServiceRequest.opened_at.desc())
        .limit(MOST)
    )
    followed = (
        select(
            FollowedRequest.id,
            FollowedRequest.public_id,
            FollowedRequest.owner_id,
            FollowedRequest.service_key,
            FollowedRequest.state,
            FollowedRequest.sent_at,
        )
        .join(
            Contact,
            and_(
                Contact.tenant_id == FollowedRequest.tenant_id,
                Contact.id == FollowedRequest.contact_id,
            ),
        )
        .join(
            Inquirer,
            and_(Inquirer.tenant_id == Contact.tenant_id, Inquirer.id == Contact.inquirer_id),
        )
        .where(*gave, Contact.erased_at.is_(None))
        .order_by(FollowedRequest.sent_at.desc())
        .limit(MOST)
    )
    return [Reported(*row) for wanted in (own, followed) for row in session.execute(wanted)]


def _gave(session: TenantSession, email: str) -> tuple[ColumnElement[bool], ...]:
    return (
        Inquirer.tenant_id == scope_of(session).tenant_id,
        Inquirer.email.is_not(None),
        func.lower(Inquirer.email) == email.lower(),
        Inquirer.erased_at.is_(None),
    )
