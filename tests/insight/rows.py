"""Referrals, contacts and needs as rows, for tests of what is counted."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from regional311.database.ids import new_id, public_id
from regional311.database.rows import put
from regional311.database.session import TenantSession, scope_of
from regional311.intake.models import Contact, Need
from regional311.referral.models import Decision, Referral
from tests.little_region import IDS, NOW

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def referral(session: TenantSession, **given: Any) -> Referral:
    """Write a referral to 211info of yesterday; times may be given as spans after it was sent."""
    sent_at = given.pop("sent_at", NOW - DAY)
    values: dict[str, Any] = {
        "side": "sent",
        "counterparty_id": IDS["211info"],
        "service_key": "bed",
        "term": "shelter",
        "shared": {},
        "channel": "phone",
        "state": "requested",
        **given,
    }
    for name in ("answered_at", "closed_at"):
        if isinstance(values.get(name), timedelta):
            values[name] = sent_at + values[name]
    row = Referral(
        tenant_id=scope_of(session).tenant_id,
        id=new_id(),
        public_id=public_id("F"),
        sent_at=sent_at,
        **values,
    )
    put(session, row)
    return row


def need(session: TenantSession, **given: Any) -> Contact:
    """Write a contact of yesterday with one need; ``area`` is where it was decided to lie."""
    tenant_id, area = scope_of(session).tenant_id, given.pop("area", None)
    contact = Contact(
        tenant_id=tenant_id,
        id=new_id(),
        public_id=public_id("C"),
        source_key=f"desk:{new_id()}",
        line_owner_id=tenant_id,
        channel="phone",
        language=given.pop("language", "en"),
        started_at=given.pop("started_at", NOW - DAY),
        disposition=given.pop("disposition", "referred"),
    )
    values: dict[str, Any] = {
        "service_owner_id": IDS["211info"],
        "service_key": "bed",
        "term": "shelter",
        "status": "open",
        **given,
    }
    wanted = Need(tenant_id=tenant_id, id=new_id(), contact_id=contact.id, created_at=NOW, **values)
    put(session, contact, wanted)
    if area is not None:
        put(
            session,
            Decision(
                tenant_id=tenant_id,
                id=new_id(),
                contact_id=contact.id,
                need_id=wanted.id,
                rule_set_version=1,
                outcome="refer",
                facts={"boundaries": [area, "county/county"]},
                trace={},
                decided_at=NOW,
            ),
        )
    return contact
