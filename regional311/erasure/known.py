"""What a partner knows of one person, to be given to them when they ask.

It is what they said of themselves, what they asked for, what was told to them and to whom it went.
Notes of colleagues for colleagues are not in it, nor is what other partners know: each answers for
its own.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import select

from regional311.audit.service import record
from regional311.database.session import TenantSession, scope_of
from regional311.erasure.person import addresses_of, find
from regional311.erasure.records import ids_of
from regional311.inbox.models import Call, Thread, ThreadMessage
from regional311.intake.models import (
    Attachment,
    Contact,
    FollowedRequest,
    Inquirer,
    Need,
    RequestNote,
    ServiceRequest,
)
from regional311.notices.models import OutboxMessage
from regional311.referral.models import Consent, Referral


def known_of(session: TenantSession, *, number: str, now: datetime) -> dict[str, Any]:
    """Give everything that is known of the person of a contact, request or referral, as plain data.

    A kind of record to its rows, each a field to its value. That it was given is in the trail.
    Raises what :func:`regional311.erasure.person.find` raises.
    """
    person = find(session, number)

    def rows(model: Any, condition: Any, fields: str) -> list[dict[str, Any]]:
        columns = [getattr(model, each) for each in fields.split()]
        found = session.execute(
            select(*columns)
            .where(model.tenant_id == scope_of(session).tenant_id, condition)
            .order_by(model.id)
        )
        return [dict(each) for each in found.mappings()]

    contacts, requests = person.contacts, person.requests
    needs = ids_of(session, Need, Need.contact_id.in_(contacts))
    told = (*contacts, *requests, *person.referrals, *person.threads)
    place = "place_kind place_text latitude longitude"
    known = {
        "people": rows(
            Inquirer,
            Inquirer.id.in_(person.inquirers),
            "name phone email language safe_to_call may_leave_message wants_updates updates_by"
            " may_follow_up contact_prohibited retain_until",
        ),
        "contacts": rows(
            Contact,
            Contact.id.in_(contacts),
            "public_id channel language interpreter accommodation started_at ended_at note",
        ),
        "calls": rows(
            Call, Call.contact_id.in_(contacts), "caller line_key rang_at answered_at ended_at"
        ),
        "needs": rows(
            Need,
            Need.id.in_(needs),
            f"service_key status urgency unmet_words description answers created_at {place}",
        ),
        "requests": rows(
            ServiceRequest,
            ServiceRequest.id.in_(requests),
            "public_id service_key state resolution description answers opened_at closed_at"
            f" public_message helped helped_words {place}",
        ),
        "requests_elsewhere": rows(
            FollowedRequest,
            FollowedRequest.contact_id.in_(contacts),
            "public_id owner_id service_key state public_message sent_at closed_at",
        ),
        "words_about_requests": rows(
            RequestNote,
            RequestNote.request_id.in_(requests) & RequestNote.internal.is_(False),
            "at from_person text",
        ),
        "referrals": rows(
            Referral,
            Referral.id.in_(person.referrals),
            "public_id side counterparty_id service_key state outcome shared sent_at closed_at",
        ),
        "consents": rows(
            Consent,
            Consent.contact_id.in_(contacts),
            "to_tenant_id fields method words given_at expires_at revoked_at",
        ),
        "conversations": rows(
            ThreadMessage,
            ThreadMessage.thread_id.in_(person.threads),
            "at direction sender subject text",
        ),
        "addresses_of_conversations": rows(
            Thread, Thread.id.in_(person.threads), "public_id channel address name subject"
        ),
        "messages": rows(
            OutboxMessage,
            OutboxMessage.subject_id.in_(told)
            & OutboxMessage.recipient.in_(addresses_of(session, person.inquirers)),
            "created_at sent_at channel recipient heading body state",
        ),
        "files": rows(
            Attachment,
            Attachment.subject_id.in_((*needs, *told)) & Attachment.erased_at.is_(None),
            "name media_type size stored_at",
        ),
    }
    about = (*person.inquirers, *contacts, *requests, *person.referrals)
    if about:
        record(
            session,
            now=now,
            action="person:give",
            subject_kind="inquirer" if person.inquirers else "contact",
            subject_id=about[0],
            detail={"records": person.records},
        )
    return {"number": person.number, "given_at": now, **known}
