"""Erase one person now, because they ask for it, at this partner and where their data went.

Refused while something of theirs is open. What went to other partners is taken back as a consent
that is revoked: erased there, and told. What a partner knows of the person by itself stays there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import case, or_, select

from regional311.audit.service import record
from regional311.chargeback.models import StatementItem
from regional311.cover.models import Handover, LaterRing
from regional311.database.ids import parse_public_id
from regional311.database.rows import send
from regional311.database.session import TenantSession, acting_for, scope_of
from regional311.erasure import due, records
from regional311.erasure.kinds import Erased, count
from regional311.errors import Conflict, InvalidInput, NotFound
from regional311.inbox.forgetting import forget_threads
from regional311.inbox.models import Thread
from regional311.intake import lifecycle
from regional311.intake.models import (
    Contact,
    FollowedRequest,
    Inquirer,
    ServiceRequest,
)
from regional311.intake.service import NO_FOLLOWERS, Followers
from regional311.metering.models import UsageEvent
from regional311.notices.phones import e164
from regional311.referral import lifecycle as referrals
from regional311.referral.consents import erase_request, revoke_consent
from regional311.referral.identities import same_person
from regional311.referral.models import Consent, FollowUp, Referral
from regional311.referral.onward import holders
from regional311.settlement.models import Dispute

PERSON: Final = "person"
"""The kind under which it is counted."""
REASONS: Final = ("asked", "order", "mistake")
"""Why: the person asked, somebody ordered it who may, or it should never have been kept."""
_WHAT_WAS_SENT: Final = ("answers", "note", "place")


class StillOpen(Conflict):
    """Something of the person is open: `what` names each by kind and number."""

    def __init__(self, what: Sequence[Open]) -> None:
        named = ", ".join(each.number for each in what if each.number)
        super().__init__(
            f"Something is still open, and needs to know whose it is: {named or 'confidential'}."
            " Close it first."
        )
        self.what = tuple(what)


class ErasedAlready(Conflict):
    """Nothing of the person is left here."""


@dataclass(frozen=True, slots=True)
class Open:
    """What is open: its kind (contact, request, referral, ...) and its number.

    The number of what is confidential is empty: who erases need not be who may see it.
    """

    kind: str
    number: str


@dataclass(frozen=True, slots=True)
class Person:
    """Which records of the bound partner are one person's; those that are still kept."""

    number: str
    inquirers: tuple[UUID, ...] = ()
    contacts: tuple[UUID, ...] = ()
    requests: tuple[UUID, ...] = ()
    referrals: tuple[UUID, ...] = ()
    threads: tuple[UUID, ...] = ()

    @property
    def records(self) -> int:
        """How many there are."""
        return sum(
            map(len, (self.inquirers, self.contacts, self.requests, self.referrals, self.threads))
        )


def find(session: TenantSession, number: str) -> Person:
    """Give everything of the person of a contact, request or referral, by its number.

    What belongs to one person is as :func:`regional311.referral.identities.same_person` says, and
    what was written from their address; where nobody said who they were, it is the one contact.

    Raises :class:`InvalidInput`, :class:`NotFound`.
    """
    send(session)
    me = scope_of(session).tenant_id
    contacts, inquirers, requests, received = _begin(session, me, number_from(number))
    inquirers, contacts = same_person(session, inquirers, contacts)
    addresses = addresses_of(session, inquirers)
    written = _of(session, Thread.id, Thread.address.in_(addresses))
    began = _of(session, Thread.contact_id, Thread.id.in_(written))
    # of what they wrote from their own address the contact is theirs, if it is nobody else's
    contacts |= _of(session, Contact.id, Contact.id.in_(began) & Contact.inquirer_id.is_(None))
    requests |= _of(
        session,
        ServiceRequest.id,
        or_(ServiceRequest.contact_id.in_(contacts), ServiceRequest.inquirer_id.in_(inquirers)),
    )
    all_referrals = received | _of(session, Referral.id, Referral.contact_id.in_(contacts))
    threads = written | _of(session, Thread.id, Thread.contact_id.in_(contacts))
    return Person(
        number=number_from(number),
        inquirers=_kept(session, Inquirer, inquirers),
        contacts=_kept(session, Contact, contacts),
        requests=_kept(session, ServiceRequest, requests),
        referrals=_kept(session, Referral, all_referrals),
        threads=_kept(session, Thread, threads),
    )


def still_open(session: TenantSession, person: Person) -> list[Open]:
    """Give what of the person is not over yet, or disputed, by kind and number."""
    me = scope_of(session).tenant_id
    contacts, requests = person.contacts, person.requests

    def of(kind: str, model: Any, number: Any, *conditions: Any) -> list[Open]:
        found = session.scalars(
            select(number).where(model.tenant_id == me, *conditions).order_by(model.id)
        )
        return [Open(kind, str(each)) for each in found]

    mine = ServiceRequest.id.in_(requests)
    shown = case((ServiceRequest.confidential, ""), else_=ServiceRequest.public_id)
    return [
        *of(
            "contact",
            Contact,
            Contact.public_id,
            Contact.id.in_(contacts),
            Contact.ended_at.is_(None),
        ),
        *of(
            "request",
            ServiceRequest,
            shown,
            mine,
            ServiceRequest.state.not_in(lifecycle.CLOSED),
        ),
        *of(
            "request",
            FollowedRequest,
            FollowedRequest.public_id,
            or_(FollowedRequest.contact_id.in_(contacts), FollowedRequest.id.in_(requests)),
            FollowedRequest.state.not_in(lifecycle.CLOSED),
        ),
        *of(
            "request",
            ServiceRequest,
            shown,
            ServiceRequest.state.not_in(lifecycle.CLOSED),
            ServiceRequest.id.in_(
                select(ServiceRequest.merged_into_id).where(ServiceRequest.tenant_id == me, mine)
            ),
        ),
        *of(
            "referral",
            Referral,
            Referral.public_id,
            or_(Referral.id.in_(person.referrals), Referral.part_of_id.in_(person.referrals)),
            Referral.state.not_in(referrals.CLOSED),
        ),
        *of(
            "follow_up",
            FollowUp,
            FollowUp.public_id,
            FollowUp.contact_id.in_(contacts),
            FollowUp.state == "open",
        ),
        *of(
            "thread",
            Thread,
            Thread.public_id,
            Thread.id.in_(person.threads),
            Thread.state != "done",
        ),
        *of(
            "handover",
            Handover,
            Handover.public_id,
            Handover.contact_id.in_(contacts),
            Handover.state == "ringing",
        ),
        *of(
            "ring",
            LaterRing,
            LaterRing.line,
            LaterRing.contact_id.in_(contacts),
            LaterRing.state == "waiting",
        ),
        *_disputes(session, me, person),
    ]


def erase_person(
    session: TenantSession,
    *,
    now: datetime,
    number: str,
    reason: str,
    followers: Followers = NO_FOLLOWERS,
) -> int:
    """Erase everything of a person here, and take back what went to others; give how much it was.

    Raises :class:`InvalidInput`, :class:`NotFound`, :class:`StillOpen`, :class:`ErasedAlready`.
    """
    if reason not in REASONS:
        raise InvalidInput("Say why.", field="reason")
    me = scope_of(session).tenant_id
    found = find(session, number)
    if not found.records:
        raise ErasedAlready("Nothing of this person is left here: it was erased already.")
    # nobody begins something for the person meanwhile
    session.execute(
        select(Contact.id)
        .where(Contact.tenant_id == me, Contact.id.in_(found.contacts))
        .order_by(Contact.id)
        .with_for_update()
    )
    open_now = still_open(session, found)
    if open_now:
        raise StillOpen(open_now)
    addresses = addresses_of(session, found.inquirers)
    for consent_id in _consents(session, found):
        revoke_consent(session, now=now, consent_id=consent_id, followers=followers)
    _take_back_requests(session, found, now)
    records.erase_referrals(session, found.referrals, now)
    records.erase_requests(session, found.requests, now)
    records.erase_contacts(session, found.contacts, now)
    records.erase_inquirers(session, found.inquirers, now)
    if found.threads:
        forget_threads(session, found.threads, now)
    records.forget_addresses(session, addresses)
    count(session, PERSON, Erased(found.records), now, reason=reason)
    record(
        session,
        now=now,
        action="person:erase",
        subject_kind="inquirer" if found.inquirers else "contact",
        subject_id=next(
            iter((*found.inquirers, *found.contacts, *found.requests, *found.referrals))
        ),
        detail={"reason": reason, "records": found.records},
    )
    return found.records


def number_from(number: str) -> str:
    """Give the number of a contact, request or referral that was typed, as it is written.

    Raises :class:`InvalidInput`.
    """
    for prefix in ("C", "R", "F"):
        found = parse_public_id(number[:40], prefix)
        if found is not None:
            return found
    raise InvalidInput(
        "Give the number of a contact (C-…), a request (R-…) or a referral (F-…).", field="number"
    )


def _begin(
    session: TenantSession, me: UUID, number: str
) -> tuple[set[UUID], set[UUID], set[UUID], set[UUID]]:
    """Give the contacts, inquirers, requests and received referrals that a number leads to."""
    if number.startswith("C"):
        contacts = _of(session, Contact.id, Contact.public_id == number)
        if contacts:
            return contacts, set(), set(), set()
    elif number.startswith("R"):
        row = session.execute(
            select(ServiceRequest.id, ServiceRequest.contact_id, ServiceRequest.inquirer_id).where(
                ServiceRequest.tenant_id == me, ServiceRequest.public_id == number
            )
        ).one_or_none()
        if row is not None:
            return _some(row.contact_id), _some(row.inquirer_id), {row.id}, set()
        followed = _of(session, FollowedRequest.contact_id, FollowedRequest.public_id == number)
        if followed:
            return followed, set(), set(), set()
    else:
        referral = session.execute(
            select(Referral.id, Referral.contact_id).where(
                Referral.tenant_id == me, Referral.public_id == number
            )
        ).one_or_none()
        if referral is not None:
            return _some(referral.contact_id), set(), set(), {referral.id}
    raise NotFound("There is no contact, request or referral with this number here.")


def _some(value: UUID | None) -> set[UUID]:
    return set() if value is None else {value}


def _of(session: TenantSession, column: Any, condition: Any) -> set[UUID]:
    model = column.class_
    found = session.scalars(
        select(column).where(model.tenant_id == scope_of(session).tenant_id, condition)
    )
    return {each for each in found if each is not None}


def _kept(session: TenantSession, model: Any, ids: Iterable[UUID]) -> tuple[UUID, ...]:
    return tuple(sorted(_of(session, model.id, model.id.in_(ids) & model.erased_at.is_(None))))


def _disputes(session: TenantSession, me: UUID, person: Person) -> list[Open]:
    found = session.scalars(
        due.disputed(me, Dispute.public_id)
        .where(
            or_(
                StatementItem.contact_id.in_(person.contacts),
                UsageEvent.subject_id.in_((*person.requests, *person.referrals)),
            )
        )
        .order_by(Dispute.public_id)
        .distinct()
    )
    return [Open("dispute", each) for each in found]


def _consents(session: TenantSession, person: Person) -> list[UUID]:
    return list(
        session.scalars(
            select(Consent.id)
            .where(
                Consent.tenant_id == scope_of(session).tenant_id,
                or_(
                    Consent.contact_id.in_(person.contacts),
                    Consent.referral_id.in_(person.referrals),
                ),
                Consent.revoked_at.is_(None),
            )
            .order_by(Consent.id)
        )
    )


def addresses_of(session: TenantSession, inquirers: Iterable[UUID]) -> list[str]:
    """Give the addresses and numbers of people, as they were given and as they are written to."""
    rows = session.execute(
        select(Inquirer.email, Inquirer.phone).where(
            Inquirer.tenant_id == scope_of(session).tenant_id, Inquirer.id.in_(inquirers)
        )
    ).all()
    mails = {form for row in rows if row.email for form in (row.email, row.email.lower())}
    numbers = {form for row in rows if row.phone for form in (row.phone, e164(row.phone)) if form}
    return sorted(mails | numbers)


def _take_back_requests(session: TenantSession, person: Person, now: datetime) -> None:
    """Erase at every partner that has had a request of the person what went there with it."""
    me = scope_of(session).tenant_id
    sent = session.scalars(
        select(FollowedRequest.id).where(
            FollowedRequest.tenant_id == me,
            or_(
                FollowedRequest.contact_id.in_(person.contacts),
                FollowedRequest.id.in_(person.requests),
            ),
        )
    ).all()
    for request_id in sorted(set(sent)):
        for owner_id in holders(session, request_id):
            with acting_for(session, owner_id):
                if _of(session, ServiceRequest.id, ServiceRequest.id == request_id):
                    erase_request(session, request_id, _WHAT_WAS_SENT, now=now)
