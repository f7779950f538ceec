"""Which rows are one person: each filing writes down anew who asked."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, union_all
from sqlalchemy.orm import aliased

from regional311.database.session import TenantSession, scope_of
from regional311.intake.models import Contact, Inquirer, ServiceRequest
from regional311.referral.models import FollowUp


def same_person(
    session: TenantSession, inquirers: Collection[UUID], contacts: Collection[UUID] = ()
) -> tuple[set[UUID], set[UUID]]:
    """Give all inquirers at the bound partner that are one person with these, and their contacts.

    They are the same when they stand with one contact, in its requests or follow-ups, or when name
    and either number or address are the same.
    """
    tenant_id = scope_of(session).tenant_id
    known, among = set(inquirers), set(contacts)
    new = set(known)
    one, other = aliased(Inquirer), aliased(Inquirer)
    # where somebody is written down, and with which contact
    places: list[tuple[Any, Any, Any]] = [
        (Contact.tenant_id, Contact.inquirer_id, Contact.id),
        (ServiceRequest.tenant_id, ServiceRequest.inquirer_id, ServiceRequest.contact_id),
        (FollowUp.tenant_id, FollowUp.inquirer_id, FollowUp.contact_id),
    ]
    while True:
        with_these = (
            select(contact).where(tenant == tenant_id, who.in_(new), contact.is_not(None))
            for tenant, who, contact in places
        )
        among |= set(session.execute(union_all(*with_these)).scalars())
        alike = (
            select(other.id)
            .join(
                one,
                (one.tenant_id == other.tenant_id)
                & (one.name_key == other.name_key)
                & (
                    (one.phone_key == other.phone_key)
                    | (func.lower(one.email) == func.lower(other.email))
                ),
            )
            .where(other.tenant_id == tenant_id, one.id.in_(new))
        )
        beside = (
            select(who).where(tenant == tenant_id, contact.in_(among), who.is_not(None))
            for tenant, who, contact in places
        )
        new = set(session.execute(union_all(alike, *beside)).scalars()) - known
        if not new:
            return known, among
        known |= new
