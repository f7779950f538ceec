"""Ask another partner, or the same once more: a need may have several referrals.

After a rejection, or one that came to nothing, a new referral is made that names the old one;
another may also be made beside one that is open. What goes along is what the need and its contact
hold, by the sharing policy and by a consent that is asked for this partner.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import exists, func, select

from regional311.catalog.directory import Service
from regional311.database.rows import put, send
from regional311.database.session import TenantSession, acting_for, scope_of
from regional311.errors import Conflict, InvalidInput, NotFound
from regional311.intake.models import Attachment, Contact, Inquirer, Need
from regional311.intake.uploads import Upload
from regional311.notices.service import Translate
from regional311.referral import drafts, lifecycle
from regional311.referral.conditions import Facts
from regional311.referral.decision import Decision, Offered, judged, offered
from regional311.referral.filing import Asker, Filed, Intake, Place, Planner, known_of, sharing_of
from regional311.referral.held import hold
from regional311.referral.models import FollowUp, PersonLink, Referral
from regional311.referral.rules import DECLINE, REFER, WARM_TRANSFER
from regional311.referral.sending import AnswerLink
from regional311.referral.service import settle_need
from regional311.referral.snapshot import Published
from regional311.referral.waitlist import tell_position


class Declined(Conflict):
    """The partner's own rules say that it does not take this."""


class AskedAlready(Conflict):
    """The partner has an open referral of this need for this service."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What another referral would be: what crosses, what is read out, why it may not be.

    ``words`` are in ``language``, that of the person or English; ``english`` says the same.
    """

    service: Service
    shared_fields: tuple[str, ...] = ()
    consent_fields: tuple[str, ...] = ()
    words: str = ""
    language: str = "en"
    english: str = ""
    written: bool = False
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class _Kept:
    """What is stored of a need, with its contact and its person."""

    row: Any

    def asker(self) -> Asker | None:
        row = self.row
        if row.inquirer_id is None or row.erased_at is not None:
            return None
        return Asker(
            name=row.name,
            phone=row.phone,
            email=row.email,
            safe_to_call=row.safe_to_call,
            may_leave_message=row.may_leave_message,
            wants_updates=row.wants_updates,
            updates_by=row.updates_by,
            may_follow_up=row.may_follow_up,
            contact_prohibited=row.contact_prohibited,
        )

    def place(self) -> Place:
        row = self.row
        kind = "" if row.place_kind == "none" else row.place_kind
        return Place(row.place_text or "", _number(row.latitude), _number(row.longitude), kind)


def choices_for(published: Published, slug: str, need: Any, *, now: datetime) -> list[Service]:
    """Give the services that a need can be referred to: others' of its kind first, then all."""
    on = published.today(slug, now)
    region = published.region(on)
    asked = published.directory.find(
        f"{published.slugs.get(need.service_owner_id, '')}/{need.service_key}"
    )
    family = published.directory.family(asked, on) if asked is not None else ()
    alike = {each.ref for each in family} | ({asked.ref} if asked is not None else set())
    there = [
        each
        for each in published.directory.services
        if each.tenant != slug and each.offered(on) and region.may_send(slug, each.tenant)
    ]
    return sorted(there, key=lambda each: (each.ref not in alike, each.tenant, each.name))


def offer(
    published: Published, slug: str, need: Any, contact: Any, ref: str, *, now: datetime
) -> Offer:
    """Say what a referral of a need to a service (``partner/key``) would be; nothing is stored.

    Raises :class:`InvalidInput` for a service that this need cannot be referred to.
    """
    service = _service(published, slug, ref, now)
    decision = _decide(published, slug, service, need, contact, now, consent=False)
    if decision.outcome == DECLINE:
        return Offer(service, refused=decision.reason or "other")
    told = sharing_of(
        published, slug, decision, on=published.today(slug, now), language=contact.language
    )
    return Offer(
        service,
        told.shared,
        told.with_consent,
        told.words,
        told.language,
        told.english,
        told.written,
    )


def refer_again(
    session: TenantSession,
    published: Published,
    *,
    now: datetime,
    contact_id: UUID,
    need_id: UUID,
    service: str,
    consent: str,
    key: str,
    method: str = "spoken",
    replaces: str = "",
    draft: str = "",
    url: str = "",
    translate: Translate | None = None,
    link: AnswerLink | None = None,
) -> Filed:
    """Send another referral of a need; its old ones stay as they are.

    `service` is ``partner/key``, `replaces` the number of the referral that this one takes the
    place of, `draft` that of the draft that it was until now, `consent` as in :class:`Intake`,
    `key` the form's secret. Raises :class:`NotFound`,
    :class:`InvalidInput`, :class:`AskedAlready`, :class:`Declined` and the errors of consent.
    """
    scope = scope_of(session)
    slug = published.slugs[scope.tenant_id]
    # its receiver cannot take its refusal back meanwhile
    _hold_replaced(session, need_id, replaces)
    begun = drafts.held(session, need_id, draft) if draft else None
    kept = _read(session, contact_id, need_id)
    old = _replaced(session, need_id, replaces)
    asked = _service(published, slug, service, now)
    receiver_id = published.ids[asked.tenant]
    _check_new(session, need_id, receiver_id, asked.key)
    row = kept.row
    decision = _decide(published, slug, asked, row, row, now, consent=consent == "given", old=old)
    if decision.outcome == DECLINE:
        raise Declined(
            f"{published.names.get(asked.tenant, asked.tenant)} does not take this now: "
            f"{(decision.reason or 'other').replace('_', ' ')}.",
            field="service",
        )
    line = f"{published.slugs[row.line_owner_id]}/{row.line_key}" if row.line_key else ""
    planner = Planner(
        published,
        scope.tenant_id,
        Intake(
            source="desk",
            key=key,
            channel=row.channel,
            started_at=row.started_at,
            service=f"{published.slugs.get(row.service_owner_id, '')}/{row.service_key}",
            line=line if line in published.lines else "",
            language=row.language,
            interpreter=row.interpreter,
            accommodation=row.accommodation,
            asker=kept.asker(),
            place=kept.place(),
            description=row.description or "",
            urgency=row.urgency,
            files=_files(session, need_id),
            danger_answer="none",
            consent=consent,
            consent_method=method,
            contact_id=contact_id,
        ),
        now,
        scope.person_id,
        url,
        translate,
        link,
    )
    region = published.region(published.today(slug, now))
    known = Offered(now, known_of(published, planner.intake), {})
    decision = judged(region, decision, known)
    planner.check_accepted(decision)
    if decision.outcome == WARM_TRANSFER:
        raise Declined(
            f"{published.names.get(asked.tenant, asked.tenant)} takes this only with the person on "
            "the line: transfer them.",
            field="service",
        )
    if begun is not None:
        planner.begun = (begun.id, begun.public_id)
    filed = planner.refer_need(
        decision,
        need_id=need_id,
        number=row.public_id,
        inquirer_id=row.inquirer_id if row.erased_at is None else None,
        answers=row.answers,
        code=row.code or "",
        replaces=(old.id, old.counterparty_id) if old is not None else None,
        followed=row.followed,
    )
    if begun is not None and planner.finished is not None:
        drafts.finish(session, begun.id, planner.finished)
    put(session, *planner.rows)
    send(session)
    for tenant_id in sorted(planner.received):
        with acting_for(session, tenant_id):
            put(session, *planner.received[tenant_id])
            if filed.waits and filed.referral_id is not None:
                tell_position(session, filed.referral_id, now=now)
    settle_need(session, need_id, now)
    return filed


def keep_draft(
    session: TenantSession,
    published: Published,
    *,
    now: datetime,
    contact_id: UUID,
    need_id: UUID,
    service: str,
    waits_for: str,
    number: str = "",
) -> str:
    """Keep a referral of a need for later, or change the draft `number`; give its number.

    `service` is ``partner/key``. Raises :class:`InvalidInput`, and what
    :func:`regional311.referral.drafts.keep` does.
    """
    asked = _service(published, published.slugs[scope_of(session).tenant_id], service, now)
    return drafts.keep(
        session,
        now=now,
        contact_id=contact_id,
        need_id=need_id,
        asked=asked,
        receiver_id=published.ids[asked.tenant],
        waits_for=waits_for,
        number=number,
    )


def _read(session: TenantSession, contact_id: UUID, need_id: UUID) -> _Kept:
    tenant_id = scope_of(session).tenant_id
    # whoever forbids that the person is contacted changes this row: what is read next is after it
    session.execute(
        select(Contact.id)
        .where(Contact.tenant_id == tenant_id, Contact.id == contact_id)
        .with_for_update()
    )
    code = (
        select(PersonLink.code)
        .where(
            PersonLink.tenant_id == tenant_id,
            PersonLink.contact_id == contact_id,
            PersonLink.ended_at.is_(None),
        )
        .order_by(PersonLink.made_at.desc())
        .limit(1)
        .scalar_subquery()
    )
    followed = exists().where(
        FollowUp.tenant_id == tenant_id, FollowUp.need_id == need_id, FollowUp.state == "open"
    )
    row = session.execute(
        select(
            Need.service_owner_id,
            Need.service_key,
            Need.urgency,
            Need.description,
            Need.place_kind,
            Need.place_text,
            Need.latitude,
            Need.longitude,
            Need.answers,
            Contact.public_id,
            Contact.line_key,
            Contact.line_owner_id,
            Contact.channel,
            Contact.language,
            Contact.interpreter,
            Contact.accommodation,
            Contact.started_at,
            Contact.inquirer_id,
            Inquirer.name,
            Inquirer.phone,
            Inquirer.email,
            Inquirer.safe_to_call,
            Inquirer.may_leave_message,
            Inquirer.wants_updates,
            Inquirer.updates_by,
            Inquirer.may_follow_up,
            Inquirer.contact_prohibited,
            Inquirer.erased_at,
            code.label("code"),
            followed.label("followed"),
        )
        .join(Contact, (Contact.tenant_id == Need.tenant_id) & (Contact.id == Need.contact_id))
        .outerjoin(
            Inquirer,
            (Inquirer.tenant_id == Contact.tenant_id) & (Inquirer.id == Contact.inquirer_id),
        )
        .where(Need.tenant_id == tenant_id, Need.id == need_id, Contact.id == contact_id)
        .with_for_update(of=Need)
    ).one_or_none()
    if row is None:
        raise NotFound("There is no such need.")
    return _Kept(row)


def _hold_replaced(session: TenantSession, need_id: UUID, number: str) -> None:
    """Hold the referral that another takes the place of, before the contact and the need."""
    if number:
        found = session.execute(
            select(Referral.id).where(
                Referral.tenant_id == scope_of(session).tenant_id,
                Referral.public_id == number,
                Referral.need_id == need_id,
            )
        ).scalars()
        hold(session, *found)


def _replaced(session: TenantSession, need_id: UUID, number: str) -> Any:
    if not number:
        return None
    row = session.execute(
        select(Referral.id, Referral.public_id, Referral.counterparty_id, Referral.state).where(
            Referral.tenant_id == scope_of(session).tenant_id,
            Referral.public_id == number,
            Referral.need_id == need_id,
            Referral.side == lifecycle.SENDER,
        )
    ).one_or_none()
    if row is None:
        raise NotFound("There is no such referral of this need.")
    if row.state not in lifecycle.CLOSED:
        raise Conflict("A referral takes the place of one that is over; this one is open.")
    return row


def _check_new(session: TenantSession, need_id: UUID, receiver_id: UUID, service_key: str) -> None:
    open_there = session.execute(
        select(func.count()).where(
            Referral.tenant_id == scope_of(session).tenant_id,
            Referral.need_id == need_id,
            Referral.counterparty_id == receiver_id,
            Referral.service_key == service_key,
            Referral.state.in_(lifecycle.OPEN),
        )
    ).scalar_one()
    if open_there:
        raise AskedAlready("This partner was asked already, and has not ended it.", field="service")


def _service(published: Published, slug: str, ref: str, now: datetime) -> Service:
    on = published.today(slug, now)
    found = published.directory.find(ref)
    if (
        found is None
        or found.tenant == slug
        or not found.offered(on)
        or not published.region(on).may_send(slug, found.tenant)
    ):
        raise InvalidInput("Choose one of the services listed.", field="service")
    return found


def _decide(
    published: Published,
    slug: str,
    service: Service,
    need: Any,
    contact: Any,
    now: datetime,
    *,
    consent: bool,
    old: Any = None,
) -> Decision:
    """What a person decided; the receiver's own rules are asked as for any other referral."""
    on = published.today(slug, now)
    facts = Facts(
        partner=slug,
        channel=contact.channel,
        language=contact.language,
        urgency=need.urgency,
        service=service.key,
        asked=service.ref,
        owner=service.tenant,
        bureau=service.bureau,
        verb=service.verb,
        terms=(service.term,) if service.term else (),
        disposition=service.disposition(on),
        confidential=service.confidential,
        interpreter=contact.interpreter,
        consent=consent,
    )
    reasons: tuple[tuple[str, ...], ...] = (("chosen", service.ref),)
    if old is not None:
        reasons = (("again", old.public_id), *reasons)
    decision = Decision(
        REFER,
        service.tenant,
        service.key,
        service.tenant,
        facts,
        priority=need.urgency,
        reasons=reasons,
    )
    return offered(published.region(on), decision, service, on)


def _files(session: TenantSession, need_id: UUID) -> tuple[Upload, ...]:
    rows = session.execute(
        select(
            Attachment.question, Attachment.name, Attachment.media_type, Attachment.content
        ).where(
            Attachment.tenant_id == scope_of(session).tenant_id,
            Attachment.subject_id == need_id,
            Attachment.erased_at.is_(None),
        )
    )
    return tuple(
        Upload(row.question, row.name, row.media_type, row.content) for row in rows if row.content
    )


def _number(value: Decimal | None) -> Decimal | None:
    return None if value is None else Decimal(value)
