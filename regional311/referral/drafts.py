"""A referral that waits before it is sent: for the person's consent, for documents, for a word.

It is a row of the sender's alone: nothing has crossed, and the receiver knows nothing of it. It is
finished with the words and the consent of that day, changed, or discarded. One that is left is
reminded of and expires as silence does; its need is open all the while, so that it is not lost.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select, update

from regional311.audit.service import record
from regional311.catalog.directory import Service
from regional311.database.base import Base
from regional311.database.ids import new_id, public_id
from regional311.database.rows import new_row, put, send
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.errors import Conflict, InvalidInput, NotFound
from regional311.intake.models import Contact, Need
from regional311.referral import lifecycle
from regional311.referral.models import Referral

DRAFT: Final = "draft"
WAITS_FOR: Final = ("waiting_for_person", "waiting_for_documents", "other")
"""What a draft waits for: the person's word or consent, documents, something else."""


class DraftThere(Conflict):
    """A draft of this need for this service waits already."""


def keep(
    session: TenantSession,
    *,
    now: datetime,
    contact_id: UUID,
    need_id: UUID,
    asked: Service,
    receiver_id: UUID,
    waits_for: str,
    number: str = "",
) -> str:
    """Keep a referral of a need for later, or change the draft ``number``; give its number.

    Raises :class:`NotFound`, :class:`InvalidInput`,
    :class:`DraftThere`.
    """
    if waits_for not in WAITS_FOR:
        raise InvalidInput("Say what it waits for.", field="waits_for")
    scope = scope_of(session)
    # the referral is held before its need
    old = held(session, need_id, number) if number else None
    about = session.execute(
        select(Need.urgency, Contact.channel)
        .join(Contact, (Contact.tenant_id == Need.tenant_id) & (Contact.id == Need.contact_id))
        .where(Need.tenant_id == scope.tenant_id, Need.id == need_id, Need.contact_id == contact_id)
        .with_for_update(of=Need)
    ).one_or_none()
    if about is None:
        raise NotFound("There is no such need.")
    _check_alone(session, need_id, receiver_id, asked.key, except_for=old.id if old else None)
    values: dict[str, Any] = {
        "counterparty_id": receiver_id,
        "service_key": asked.key,
        "term": asked.term,
        "reason": waits_for,
        "heard_at": now,
    }
    if old is None:
        referral_id, number = new_id(), public_id("F")
        put(
            session,
            new_row(
                Referral,
                tenant_id=scope.tenant_id,
                id=referral_id,
                public_id=number,
                side=lifecycle.SENDER,
                contact_id=contact_id,
                need_id=need_id,
                shared={},
                urgency=about.urgency,
                channel=about.channel,
                state=DRAFT,
                claimed_by=scope.person_id,
                sent_at=now,
                version=1,
                **values,
            ),
        )
    else:
        referral_id = old.id
        _write(session, referral_id, values)
    record(
        session,
        now=now,
        action="referral:draft",
        subject_kind="referral",
        subject_id=referral_id,
        detail={"service": asked.ref},
    )
    return number


def held(session: TenantSession, need_id: UUID, number: str) -> Any:
    """Give the draft of a need by its number, locked. Raises :class:`NotFound`."""
    send(session)
    row = session.execute(
        select(Referral.id, Referral.public_id)
        .where(
            Referral.tenant_id == scope_of(session).tenant_id,
            Referral.public_id == number,
            Referral.need_id == need_id,
            Referral.side == lifecycle.SENDER,
            Referral.state == DRAFT,
        )
        .with_for_update()
    ).one_or_none()
    if row is None:
        raise NotFound("There is no such draft.")
    return row


def finish(session: TenantSession, draft_id: UUID, row: Base) -> None:
    """Make a draft what it is as it is sent: ``row`` is how the sender's would begin."""
    kept = {"tenant_id", "id", "public_id", "version", "claimed_by"}
    given = {
        column.key: getattr(row, column.key)
        for column in Referral.__mapper__.column_attrs
        if column.key in row.__dict__ and column.key not in kept
    }
    _write(session, draft_id, {"reason": None, "heard_at": None, **given, "claimed_by": None})


def _write(session: TenantSession, referral_id: UUID, values: dict[str, Any]) -> None:
    session.execute(
        update(Referral)
        .where(Referral.tenant_id == scope_of(session).tenant_id, Referral.id == referral_id)
        .values(version=Referral.version + 1, **values)
        .execution_options(synchronize_session=False)
    )
    mark_changed(session)


def _check_alone(
    session: TenantSession,
    need_id: UUID,
    receiver_id: UUID,
    service_key: str,
    *,
    except_for: UUID | None,
) -> None:
    send(session)
    there = session.execute(
        select(Referral.id).where(
            Referral.tenant_id == scope_of(session).tenant_id,
            Referral.need_id == need_id,
            Referral.counterparty_id == receiver_id,
            Referral.service_key == service_key,
            Referral.state.in_((DRAFT, *lifecycle.OPEN)),
        )
    ).scalars()
    if any(each != except_for for each in there):
        raise DraftThere("This partner was asked already, or is going to be.", field="service")
