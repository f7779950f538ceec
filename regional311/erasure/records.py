"""Erase what is personal in records of the bound partner, and keep what figures and books need.

Numbers, ids, services, times, channels, languages, states, outcomes and everything in the books
stay as they are. Whoever calls says that the records may be erased: nothing is asked here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Text, and_, case, cast, func, null, or_, select, text, update

from regional311.audit.service import audit_row
from regional311.casework.models import BulkRow
from regional311.cover.models import EmergencyEntry, Handover
from regional311.database.rows import put, send
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.erasure.due import OVER
from regional311.exchange.service import ERASED
from regional311.exchange.service import erase as erase_envelopes
from regional311.floor.models import InternalNote
from regional311.inbox.models import Call
from regional311.intake.models import (
    Contact,
    FollowedRequest,
    Inquirer,
    MeToo,
    Need,
    RequestHanding,
    RequestNote,
    RequestUpdate,
    ServiceRequest,
)
from regional311.intake.service import erase_attachments
from regional311.notices.models import MailTrouble, OutboxMessage
from regional311.notices.service import forget_whom
from regional311.referral.models import FollowUp, PersonLink, Referral
from regional311.referral.questions import erase_messages

_FORGET_NOTES: Final = text("SELECT forget_attempt_notes(:follow_ups)")
_COARSE: Final = 2
"""Decimals of a degree that stay of where a request was, for the figures: about a kilometre."""
_AREA: Final = "neighbourhood"


def erase_contacts(session: TenantSession, ids: Sequence[UUID], now: datetime) -> None:
    """Erase the words of contacts and their needs, what went along with them, and their codes."""
    if not ids:
        return
    tenant_id = _begin(session)
    needs = ids_of(session, Need, Need.contact_id.in_(ids))
    area = Need.place_kind == _AREA
    _set(
        session,
        Need,
        Need.contact_id.in_(ids),
        description=None,
        unmet_words=None,
        answers=null(),
        place_kind=case((area, _AREA), else_="none"),
        place_text=case((area, Need.place_text)),
        latitude=None,
        longitude=None,
    )
    _set(
        session,
        Handover,
        Handover.contact_id.in_(ids),
        shared=ERASED,
        reason=None,
        told=None,
    )
    _set(session, EmergencyEntry, EmergencyEntry.contact_id.in_(ids), note=None)
    followed = ids_of(session, FollowedRequest, FollowedRequest.contact_id.in_(ids))
    _set(session, FollowedRequest, FollowedRequest.id.in_(followed), public_message=None)
    erase_envelopes(session, *followed)
    _set(session, Call, Call.contact_id.in_(ids), caller=None)
    _set(
        session,
        PersonLink,
        PersonLink.contact_id.in_(ids),
        ended_at=func.coalesce(PersonLink.ended_at, now),
        word_hash=None,
    )
    asked = ids_of(session, FollowUp, FollowUp.contact_id.in_(ids))
    session.execute(_FORGET_NOTES, {"follow_ups": asked})
    living = _living(session, ServiceRequest, needs) | _living(session, Referral, needs)
    erase_attachments(session, *(each for each in needs if each not in living), now=now)
    _forget_what_was_said(session, ids)
    _set(
        session,
        Contact,
        Contact.id.in_(ids),
        note=None,
        accommodation=None,
        draft=null(),
        erased_at=now,
        version=Contact.version + 1,
    )
    _trail(session, tenant_id, "contact", ids, now)


def erase_requests(session: TenantSession, ids: Sequence[UUID], now: datetime) -> None:
    """Erase what requests say, what was said about them, and their files; where, but roughly."""
    if not ids:
        return
    tenant_id = _begin(session)
    row = ServiceRequest
    of_these = {
        model: model.request_id.in_(ids)
        for model in (RequestNote, RequestUpdate, RequestHanding, BulkRow, MeToo)
    }
    _set(session, RequestNote, of_these[RequestNote], text="")
    _set(session, RequestUpdate, of_these[RequestUpdate], message=None)
    _set(session, RequestHanding, of_these[RequestHanding], words="")
    _set(session, BulkRow, of_these[BulkRow], before=null())
    _set(session, MeToo, of_these[MeToo], email=None, phone=None, token=None)
    _set(session, FollowedRequest, FollowedRequest.id.in_(ids), public_message=None)
    needs = [
        each
        for each in session.scalars(
            select(row.need_id).where(row.tenant_id == tenant_id, row.id.in_(ids))
        )
        if each is not None
    ]
    erase_attachments(session, *ids, *needs, now=now)
    erase_envelopes(session, *ids)
    _forget_what_was_said(session, ids)
    area = and_(row.place_kind == _AREA, ~row.confidential)
    seen = and_(row.latitude.is_not(None), ~row.confidential)
    _set(
        session,
        row,
        row.id.in_(ids),
        description=None,
        answers=null(),
        public_message=None,
        helped_words=None,
        place_kind=case((area, _AREA), (seen, "point"), else_="none"),
        place_text=case((area, row.place_text)),
        latitude=case((seen, func.round(row.latitude, _COARSE))),
        longitude=case((seen, func.round(row.longitude, _COARSE))),
        place_cell=None,
        place_words=None,
        erased_at=now,
        updated_at=now,
        version=row.version + 1,
    )
    _trail(session, tenant_id, "request", ids, now)


def erase_referrals(session: TenantSession, ids: Sequence[UUID], now: datetime) -> None:
    """Erase this side's copy of what referrals shared, its notes, and what was written."""
    if not ids:
        return
    tenant_id = _begin(session)
    erase_messages(session, *ids)
    erase_attachments(session, *ids, now=now)
    erase_envelopes(session, *ids)
    _forget_what_was_said(session, ids)
    _set(
        session,
        Referral,
        Referral.id.in_(ids),
        shared=ERASED,
        note=None,
        before=null(),
        code_hash=None,
        erased_at=now,
        version=Referral.version + 1,
    )
    _trail(session, tenant_id, "referral", ids, now)


def erase_inquirers(session: TenantSession, ids: Sequence[UUID], now: datetime) -> None:
    """Erase who asked: names, numbers and addresses; that it was one person stays."""
    if not ids:
        return
    tenant_id = _begin(session)
    _set(
        session,
        Inquirer,
        Inquirer.id.in_(ids),
        name=None,
        phone=None,
        email=None,
        safe_to_call=False,
        may_leave_message=False,
        wants_updates=False,
        may_follow_up=False,
        erased_at=now,
    )
    _trail(session, tenant_id, "inquirer", ids, now)


def forget_addresses(session: TenantSession, addresses: Sequence[str]) -> None:
    """Erase addresses and numbers wherever messages went to them, or did not arrive.

    That a person wants no messages there stays: it is what they said, and is kept for them.
    """
    if not addresses:
        return
    _begin(session)
    _set(
        session,
        OutboxMessage,
        OutboxMessage.recipient.in_(addresses) & OutboxMessage.state.in_(OVER),
        recipient="",
        heading="",
        body="",
        sent_body=None,
        headers=null(),
        last_error=None,
        begins_for=None,
    )
    settled = or_(Call.contact_id.is_not(None), Call.settled_at.is_not(None))
    _set(session, Call, Call.caller.in_(addresses) & settled, caller=None)
    _set(
        session,
        MailTrouble,
        MailTrouble.address.in_(addresses),
        address=cast(MailTrouble.id, Text),
        message_id=None,
    )
    _set(
        session,
        MeToo,
        or_(MeToo.email.in_(addresses), MeToo.phone.in_(addresses)),
        email=None,
        phone=None,
        token=None,
    )


def empty_messages(session: TenantSession, ids: Sequence[UUID]) -> None:
    """Empty messages that have left, or never will: what they said, and to whom."""
    _begin(session)
    _set(
        session,
        OutboxMessage,
        OutboxMessage.id.in_(ids),
        recipient="",
        heading="",
        body="",
        sent_body=None,
        headers=null(),
        last_error=None,
    )


def _begin(session: TenantSession) -> UUID:
    send(session)
    session.flush()
    mark_changed(session)
    return scope_of(session).tenant_id


def _set(session: TenantSession, model: Any, condition: Any, **values: Any) -> None:
    session.execute(
        update(model)
        .where(model.tenant_id == scope_of(session).tenant_id, condition)
        .values(**values)
        .execution_options(synchronize_session=False)
    )


def ids_of(session: TenantSession, model: Any, condition: Any) -> list[UUID]:
    """Give the ids of the bound partner's rows of a table that meet a condition."""
    return list(
        session.scalars(
            select(model.id).where(model.tenant_id == scope_of(session).tenant_id, condition)
        )
    )


def _living(session: TenantSession, model: Any, needs: Sequence[UUID]) -> set[UUID]:
    """Which needs have a request or referral that is still kept: their files are kept with it."""
    return set(
        session.scalars(
            select(model.need_id).where(
                model.tenant_id == scope_of(session).tenant_id,
                model.need_id.in_(needs),
                model.erased_at.is_(None),
            )
        )
    )


def _forget_what_was_said(session: TenantSession, ids: Sequence[UUID]) -> None:
    _set(session, InternalNote, InternalNote.subject_id.in_(ids), text="")
    forget_whom(session, *ids)


def _trail(
    session: TenantSession, tenant_id: UUID, kind: str, ids: Iterable[UUID], now: datetime
) -> None:
    person_id = scope_of(session).person_id
    put(
        session,
        *(
            audit_row(
                tenant_id,
                at=now,
                action=f"{kind}:forget",
                subject_kind=kind,
                subject_id=each,
                person_id=person_id,
            )
            for each in ids
        ),
    )
    send(session)
