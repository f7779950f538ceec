"""Never contact this person: said once, it holds everywhere.

The flags that allow a call, a message, news or a question are taken away with it, and the database
refuses them from then on; what was written and has not left is withdrawn. The word goes along every
way that the person went, from partner to partner, each in its own name: referrals and what was
referred onward, requests and whoever has or had them, calls that were rung through. Whoever works
there is told by letter, and reads it first on the page.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import literal, select, union_all, update
from sqlalchemy.dialects.postgresql import JSONB

from regional311.audit.service import record
from regional311.cover import handovers, later_rings
from regional311.database.rows import put, send
from regional311.database.session import TenantSession, acting_for, mark_changed, scope_of
from regional311.errors import NotFound
from regional311.exchange.service import tell
from regional311.identity.permissions import Permissions
from regional311.identity.queries import Member, who_may
from regional311.intake import me_too
from regional311.intake.models import (
    Contact,
    FollowedRequest,
    Inquirer,
    MeToo,
    Need,
    ServiceRequest,
)
from regional311.keeping.letters import letterhead
from regional311.locale.sentences import in_language
from regional311.notices.service import outbox_row, withdraw
from regional311.referral import lifecycle
from regional311.referral.follow_ups import stop_for_contact
from regional311.referral.held import hold
from regional311.referral.identities import same_person
from regional311.referral.models import Referral
from regional311.referral.onward import holders, passed_on
from regional311.tenancy.models import Tenant

CONTACT_PROHIBITED: Final = "contact_prohibited"
"""Kind of the envelope, and the field of what is shared."""

SUPERVISOR: Final = "supervisor"

REACHED: Final = ("safe_to_call", "may_leave_message")
"""Shared fields that say how the person may be reached."""

UNREACHABLE: Final[Mapping[str, bool]] = {CONTACT_PROHIBITED: True, **dict.fromkeys(REACHED, False)}
NOT_ALLOWED: Final = {**UNREACHABLE, "wants_updates": False, "may_follow_up": False}


@dataclass(frozen=True, slots=True)
class _Word:
    """The word that goes along: what it forbids, when it was said, and what letters of it need.

    ``names`` are those of the partners, ``url`` the address of this site.
    """

    forbidden: Mapping[str, bool]
    now: datetime
    names: Mapping[UUID, str]
    url: str


def prohibit(session: TenantSession, *, now: datetime, contact_id: UUID, url: str = "") -> None:
    """Let nobody contact the person of a contact any more, here or wherever they were handed to.

    ``url`` is the address of this site, for the letters. Doing it again tells those only whom it
    has not reached. Raises :class:`NotFound` when the person did not say who they are: then nobody
    can contact them.
    """
    send(session)
    inquirer_id = _inquirer_of(session, contact_id)
    if inquirer_id is None:
        raise NotFound("The person did not say who they are: nobody can contact them.")
    record(
        session,
        now=now,
        action="contact:prohibit",
        subject_kind="contact",
        subject_id=contact_id,
    )
    _never(session, inquirer_id, _word(session, UNREACHABLE, now, url))


def forbid(
    session: TenantSession,
    referral_id: UUID,
    forbidden: Mapping[str, bool],
    *,
    now: datetime,
    url: str = "",
) -> None:
    """Write into a referral that the bound partner sent how the person may not be reached any more.

    ``forbidden`` are fields of what was shared. It goes on to whoever was asked onward. Where
    nobody may contact the person at all, what has not left is withdrawn and the receivers are told.
    """
    receiver_id = session.execute(
        select(Referral.counterparty_id).where(
            Referral.tenant_id == scope_of(session).tenant_id,
            Referral.id == referral_id,
            Referral.side == lifecycle.SENDER,
        )
    ).scalar_one()
    hold(session, referral_id, onward=True)
    _along(session, referral_id, receiver_id, _word(session, forbidden, now, url))


def _word(session: TenantSession, forbidden: Mapping[str, bool], now: datetime, url: str) -> _Word:
    rows = session.execute(select(Tenant.id, Tenant.name).where(Tenant.tenant_id == Tenant.id))
    return _Word(forbidden, now, {row.id: row.name for row in rows}, url)


def _inquirer_of(session: TenantSession, contact_id: UUID) -> UUID | None:
    return session.execute(
        select(Contact.inquirer_id).where(
            Contact.tenant_id == scope_of(session).tenant_id, Contact.id == contact_id
        )
    ).scalar_one_or_none()


def _never(session: TenantSession, inquirer_id: UUID, word: _Word) -> None:
    """Let nobody contact one whom the bound partner knows, in whichever contact, nor whoever else.

    A person who was found again has several contacts, and may be written down anew for each need.
    Forms that are open with one of these contacts are out of date.
    """
    tenant_id, now = scope_of(session).tenant_id, word.now
    known, found = same_person(session, [inquirer_id])
    contacts = sorted(found)
    hold(session, *[row.id for row in _referrals_of(session, contacts)], onward=True)
    for each in sorted(known):
        _forbid(session, each)
    session.execute(
        update(Contact)
        .where(Contact.tenant_id == tenant_id, Contact.id.in_(contacts))
        .values(version=Contact.version + 1)
        .execution_options(synchronize_session=False)
    )
    mark_changed(session)
    needs = select(Need.id).where(Need.tenant_id == tenant_id, Need.contact_id.in_(contacts))
    me_too.end(session, me_too.listens(), MeToo.need_id.in_(needs), now=now)
    for contact_id in contacts:
        stop_for_contact(session, contact_id, reason="contact_prohibited", now=now)
        later_rings.drop_all(session, contact_id, now=now)
    requests = _requests_of(session, contacts)
    referrals = _referrals_of(session, contacts)
    # one that was sent while the contact was waited for is held now
    hold(session, *[row.id for row in referrals], onward=True)
    for row in referrals:
        _along(session, row.id, row.counterparty_id, word)
    for request_id in requests:
        withdraw(session, request_id)
        _at_owners(session, request_id, word)
    for partner_id, contact_id in handovers.mark(session, contacts, UNREACHABLE, now=now):
        with acting_for(session, partner_id):
            there = _inquirer_of(session, contact_id)
            # who was known there as such before is never gone round again
            if there is not None and _forbid(session, there):
                _never(session, there, word)


def _forbid(session: TenantSession, inquirer_id: UUID) -> bool:
    """Take the flags away; whether any was there, or it was not said before."""
    send(session)
    changed = session.execute(
        update(Inquirer)
        .where(
            Inquirer.tenant_id == scope_of(session).tenant_id,
            Inquirer.id == inquirer_id,
            ~Inquirer.contact_prohibited,
        )
        .values(NOT_ALLOWED)
        .returning(Inquirer.id)
        .execution_options(synchronize_session=False)
    ).scalar_one_or_none()
    mark_changed(session)
    return changed is not None


# --- requests -------------------------------------------------------------------------------------


def _requests_of(session: TenantSession, contacts: Collection[UUID]) -> list[UUID]:
    """The requests that came of contacts, wherever they live."""
    tenant_id = scope_of(session).tenant_id
    own, followed = ServiceRequest, FollowedRequest
    found = session.execute(
        union_all(
            *(
                select(each.id).where(each.tenant_id == tenant_id, each.contact_id.in_(contacts))
                for each in (own, followed)
            )
        )
    )
    return sorted(set(found.scalars()))


def _at_owners(session: TenantSession, request_id: UUID, word: _Word) -> None:
    """Say it to whoever has a request or had it: the person came along, or may have."""
    home = scope_of(session).tenant_id
    for owner_id in holders(session, request_id):
        with acting_for(session, owner_id):
            told = _at_owner(session, request_id, home, word)
        if told:
            tell(
                session,
                to=owner_id,
                kind=CONTACT_PROHIBITED,
                subject_id=request_id,
                payload={CONTACT_PROHIBITED: True},
                now=word.now,
            )


def _at_owner(session: TenantSession, request_id: UUID, sender_id: UUID, word: _Word) -> bool:
    """Mark who asked for a request of the bound partner's; whether that is new to it."""
    send(session)
    row = session.execute(
        select(ServiceRequest.public_id, ServiceRequest.assignee_id, ServiceRequest.inquirer_id)
        .where(
            ServiceRequest.tenant_id == scope_of(session).tenant_id,
            ServiceRequest.id == request_id,
        )
        .with_for_update()
    ).one_or_none()
    if row is None or row.inquirer_id is None or not _forbid(session, row.inquirer_id):
        return False
    record(
        session,
        now=word.now,
        action="request:prohibit",
        subject_kind="request",
        subject_id=request_id,
    )
    people = who_may(session, Permissions.REQUEST_WORK)
    leads = [each for each in people if SUPERVISOR in each.roles]
    mine = [each for each in people if each.person_id == row.assignee_id]
    page = f"requests/{row.public_id}"
    _write(session, mine or leads or people, row.public_id, request_id, page, sender_id, word)
    return True


# --- referrals ------------------------------------------------------------------------------------


def _referrals_of(session: TenantSession, contacts: Collection[UUID]) -> list[Any]:
    """The referrals that were sent for contacts."""
    return list(
        session.execute(
            select(Referral.id, Referral.counterparty_id)
            .where(
                Referral.tenant_id == scope_of(session).tenant_id,
                Referral.contact_id.in_(contacts),
                Referral.side == lifecycle.SENDER,
            )
            .order_by(Referral.counterparty_id, Referral.id)
        )
    )


def _along(session: TenantSession, referral_id: UUID, receiver_id: UUID, word: _Word) -> None:
    """Mark what the bound partner sent, there too, and whatever was referred onward from there.

    Where the consent has ended nothing is known any more; what came of it may go on.
    """
    sender_id = scope_of(session).tenant_id
    never = word.forbidden.get(CONTACT_PROHIBITED, False)
    if never:
        withdraw(session, referral_id)
    _mark(session, referral_id, word)
    with acting_for(session, receiver_id):
        marked = _mark(session, referral_id, word)
        if marked is not None and never:
            people = who_may(session, Permissions.REFERRAL_ACCEPT)
            mine = [each for each in people if each.person_id == marked.claimed_by]
            page = f"referrals/{marked.public_id}"
            _write(session, mine or people, marked.public_id, referral_id, page, sender_id, word)
        for onward in passed_on(session, referral_id):
            _along(session, onward.id, onward.counterparty_id, word)
    if marked is not None and never:
        tell(
            session,
            to=receiver_id,
            kind=CONTACT_PROHIBITED,
            subject_id=referral_id,
            payload={CONTACT_PROHIBITED: True},
            now=word.now,
        )


def _mark(session: TenantSession, referral_id: UUID, word: _Word) -> Any:
    """Say in what was shared how nobody may reach the person; gives the row, null: it says so.

    The row is held: nobody sends it on at the same moment without it.
    """
    send(session)
    marked = session.execute(
        update(Referral)
        .where(
            Referral.tenant_id == scope_of(session).tenant_id,
            Referral.id == referral_id,
            Referral.consent_ended_at.is_(None),
            ~Referral.shared.has_key("erased"),
            ~Referral.shared.contains(dict(word.forbidden)),
        )
        .values(
            shared=Referral.shared.op("||")(literal(dict(word.forbidden), type_=JSONB)),
            version=Referral.version + 1,
        )
        .returning(Referral.public_id, Referral.claimed_by)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    mark_changed(session)
    if marked is not None:
        record(
            session,
            now=word.now,
            action="referral:prohibit",
            subject_kind="referral",
            subject_id=referral_id,
            detail={"fields": sorted(word.forbidden)},
        )
    return marked


# --- letters --------------------------------------------------------------------------------------


def _write(
    session: TenantSession,
    people: Iterable[Member],
    number: str,
    subject_id: UUID,
    page: str,
    sender_id: UUID,
    word: _Word,
) -> None:
    """Tell people of the bound partner, in the name of who handed the person to it."""
    head = letterhead(session, word.url)
    put(
        session,
        *(
            outbox_row(
                scope_of(session).tenant_id,
                event="never_contact",
                recipient=each.email,
                language=head.language,
                now=word.now,
                subject_id=subject_id,
                values={
                    "number": number,
                    "partner": word.names.get(sender_id, ""),
                    "address": f"{head.address}/{page}",
                },
                translate=in_language,
            )
            for each in people
        ),
    )
