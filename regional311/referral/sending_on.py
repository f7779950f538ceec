"""Sending a referral on while it is open: to others as well, or onward.

While nobody has answered, the sender may offer the need to others as well: who accepts first has
it. A receiver refers onward what it has: a new referral, in its own name, that is part of the one
that it received. What was declined, or came to nothing, is referred again (`further.py`). It never
goes to a partner through whose hands it came: nobody waits in a circle (`rings.py`).

Only what both the sharing policy and the person allow crosses. Each new receiver is another one to
whom the person is asked to agree; without it only what needs no consent goes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select, update

from regional311.audit.service import record
from regional311.catalog.directory import Service
from regional311.database.ids import new_id
from regional311.database.locking import locked
from regional311.database.rows import new_row, put
from regional311.database.session import TenantSession, acting_for, mark_changed, scope_of
from regional311.errors import Conflict, InvalidInput
from regional311.intake.models import Contact, Inquirer, Need
from regional311.referral import lifecycle
from regional311.referral.acceptance import ASK, Offer, Verdict
from regional311.referral.filing import ConsentNotWritten, NotAccepted
from regional311.referral.held import hold
from regional311.referral.models import Consent, Referral, ReferralOffer
from regional311.referral.papers import paper_of
from regional311.referral.prohibition import CONTACT_PROHIBITED
from regional311.referral.rings import came_through
from regional311.referral.sending import AnswerLink, Outgoing, referral_rows
from regional311.referral.service import settle_need
from regional311.referral.snapshot import ENGLISH, Published
from regional311.referral.waitlist import tell_position

MOST: Final = 8
"""Partners to whom one need is offered at once."""


class CannotSendOn(Conflict):
    """The referral is not in a state from which this side can send it on."""


class InRing(InvalidInput):
    """The person would come back to a partner that has passed them on."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """Another partner's service that could help, and what its partner says to the offer."""

    service: Service
    verdict: Verdict

    @property
    def ref(self) -> str:
        """The service as ``partner/key``."""
        return self.service.ref


def may_send_on(side: str, state: str) -> str:
    """Say how a side may send a referral on: ``others``, ``onward``, or not at all.

    >>> may_send_on("sent", "requested"), may_send_on("received", "accepted")
    ('others', 'onward')
    """
    if side == lifecycle.SENDER:
        return "others" if state == "requested" else ""
    return "onward" if state in ("accepted", "in_progress", "on_hold") else ""


def candidates(
    published: Published,
    slug: str,
    service: Service,
    shared: Mapping[str, Any],
    *,
    channel: str,
    except_for: Sequence[str],
    now: datetime,
) -> list[Candidate]:
    """Give the services of other partners for the same kind of thing, each with its verdict.

    ``except_for`` are partners that have it already.
    """
    on = published.today(slug, now)
    region = published.region(on)
    found = []
    for each in published.directory.family(service, on):
        if each.tenant in (slug, *except_for) or not region.may_send(slug, each.tenant):
            continue
        found.append(
            Candidate(each, verdict_of(published, slug, each, shared, channel=channel, now=now))
        )
    return sorted(found, key=lambda each: (each.verdict.refused, each.ref))


def verdict_of(
    published: Published,
    slug: str,
    service: Service,
    shared: Mapping[str, Any],
    *,
    channel: str,
    now: datetime,
) -> Verdict:
    """Ask a receiver with facts only, about a need that is known from a referral."""
    place = shared.get("place") or shared.get("location") or {}
    latitude, longitude = place.get("latitude"), place.get("longitude")
    located = published.locate(
        longitude=float(longitude) if longitude else None,
        latitude=float(latitude) if latitude else None,
        words=place.get("text") or "",
    )
    known = {name for name in ("name", "phone", "email", "note") if shared.get(name)}
    if place:
        known.add("place")
    return published.reception.verdict(
        service.tenant,
        Offer(
            slug,
            service.key,
            channel,
            frozenset(located.keys),
            located.known,
            frozenset(known),
        ),
        now,
    )


def send_on(
    session: TenantSession,
    published: Published,
    *,
    now: datetime,
    referral_id: UUID,
    version: int,
    targets: Sequence[str],
    consent: str,
    method: str = "spoken",
    link: AnswerLink | None = None,
) -> list[str]:
    """Send a referral on to one or several services, ``partner/key``; give the new numbers.

    ``consent`` is ``given`` or ``refused``. Several at once are an offer to all of them: the first
    to accept has it. Raises :class:`CannotSendOn`, :class:`NotAccepted`, `NotFound`, `Stale` and
    :class:`InvalidInput`.
    """
    before = came_through(session, referral_id)
    hold(session, referral_id)
    referral = locked(session, Referral, referral_id, version, {"state": None}, "referral")
    how = may_send_on(referral.side, referral.state)
    if not how:
        raise CannotSendOn("This referral cannot be sent on as it is now.")
    if not targets or len(targets) > MOST or len(set(targets)) != len(targets):
        raise InvalidInput(f"Choose to whom it goes, at most {MOST} at once.", field="targets")
    if consent not in ("given", "refused"):
        raise InvalidInput(
            "Say whether the person agrees that it is shared with them.", field="consent"
        )
    scope = scope_of(session)
    slug = published.slugs[scope.tenant_id]
    has_it = {published.slugs.get(referral.counterparty_id, "")}
    has_it |= {
        published.slugs.get(other_id, "")
        for other_id in session.execute(_others_asked(referral)).scalars()
    }
    asked = published.directory.find(
        f"{published.slugs[referral.counterparty_id]}/{referral.service_key}"
        if referral.side == lifecycle.SENDER
        else f"{slug}/{referral.service_key}"
    )
    if asked is None:
        raise CannotSendOn("The service that was asked for is not offered any more.")
    known = {
        each.ref: each
        for each in candidates(
            published,
            slug,
            asked,
            referral.shared,
            channel=referral.channel,
            except_for=tuple(has_it),
            now=now,
        )
    }
    chosen = []
    for ref in targets:
        found = known.get(ref)
        if published.ids.get(ref.partition("/")[0]) in before:
            raise InRing(
                f"{published.names.get(ref.partition('/')[0], ref)} passed the person on before:"
                " decline it or end it with a reason instead, so that they can look again.",
                field="targets",
            )
        if found is None:
            raise InvalidInput(f"{ref} cannot be chosen here.", field="targets")
        if found.verdict.refused:
            raise NotAccepted(found.verdict.codes, published.names)
        chosen.append(found)
    content = known_of(session, referral)
    offer_id = _offer(session, referral, len(chosen), how, now)
    numbers = []
    for each in chosen:
        out = _outgoing(
            session, published, referral, each, how, content, consent, now, method, offer_id
        )
        own, received = referral_rows(published, out, now=now, link=link)
        put(session, *own)
        with acting_for(session, published.ids[each.service.tenant]):
            put(session, *received)
            if out.waits:
                tell_position(session, out.id, now=now)
        numbers.append(out.public_id)
    if referral.side == lifecycle.SENDER and referral.need_id is not None:
        settle_need(session, referral.need_id, now)
    record(
        session,
        now=now,
        action="referral:onward" if how == "onward" else "referral:others",
        subject_kind="referral",
        subject_id=referral_id,
        detail={"targets": list(targets), "numbers": numbers},
    )
    return numbers


def _others_asked(referral: Referral) -> Any:
    """Whom the referral went to already: of the same need, or as part of the same referral."""
    if referral.side == lifecycle.RECEIVER:
        same = Referral.part_of_id == referral.id
    elif referral.part_of_id is not None:
        same = Referral.part_of_id == referral.part_of_id
    else:
        same = Referral.need_id == referral.need_id
    return select(Referral.counterparty_id).where(
        Referral.tenant_id == referral.tenant_id,
        Referral.side == lifecycle.SENDER,
        Referral.state != "draft",
        same,
    )


def known_of(session: TenantSession, referral: Any) -> dict[str, Any]:
    """Give what this side knows of the person and the need; what crosses is chosen from it.

    A receiver knows what was shared with it. The sender knows what the contact told it. Answers to
    the first partner's form stay with it: another one asks its own.
    """
    found = {name: value for name, value in referral.shared.items() if name != "answers"}
    if referral.side == lifecycle.RECEIVER or referral.need_id is None:
        return found
    row = session.execute(
        select(
            Need.place_kind,
            Need.place_text,
            Need.latitude,
            Need.longitude,
            Need.description,
            Contact.language,
            Contact.interpreter,
            Contact.accommodation,
            Inquirer.name,
            Inquirer.phone,
            Inquirer.email,
            Inquirer.safe_to_call,
            Inquirer.may_leave_message,
            Inquirer.contact_prohibited,
        )
        .join(Contact, (Contact.tenant_id == Need.tenant_id) & (Contact.id == Need.contact_id))
        .outerjoin(
            Inquirer,
            (Inquirer.tenant_id == Contact.tenant_id)
            & (Inquirer.id == Contact.inquirer_id)
            & Inquirer.erased_at.is_(None),
        )
        .where(Need.tenant_id == referral.tenant_id, Need.id == referral.need_id)
    ).one_or_none()
    if row is None:
        return found
    place = None
    if row.place_kind != "none":
        place = {
            "kind": row.place_kind,
            "text": row.place_text,
            "latitude": str(row.latitude) if row.latitude is not None else None,
            "longitude": str(row.longitude) if row.longitude is not None else None,
        }
    told = {
        "name": row.name,
        "phone": row.phone,
        "email": row.email,
        "safe_to_call": row.safe_to_call,
        "may_leave_message": row.may_leave_message,
        "place": place,
        "note": row.description,
        "language": row.language,
        "interpreter": row.interpreter or None,
        "accommodation": row.accommodation,
        "urgency": referral.urgency,
        CONTACT_PROHIBITED: row.contact_prohibited or None,
    }
    return found | {name: value for name, value in told.items() if value is not None}


def _outgoing(
    session: TenantSession,
    published: Published,
    referral: Referral,
    to: Candidate,
    how: str,
    content: Mapping[str, Any],
    consent: str,
    now: datetime,
    method: str,
    offer_id: UUID | None,
) -> Outgoing:
    """Choose what crosses to one partner, keep the consent, and address it."""
    scope = scope_of(session)
    slug, receiver = published.slugs[scope.tenant_id], to.service.tenant
    sharing = published.sharing(published.today(slug, now))
    kind = published.partners[receiver].kind
    sender = published.partners[slug].kind
    given = consent == "given"
    written = given and method == "written"
    name = published.names.get(receiver, receiver)
    if given and not written and sharing.needs_paper("referral", kind, sender=sender):
        raise ConsentNotWritten(
            f"Nothing goes to {name} without a consent on paper.", field="consent"
        )
    fields, missing, expires_days = sharing.allowed(
        "referral", kind, consent=given, written=written, sender=sender
    )
    if missing:
        raise InvalidInput(f"Nothing may go to {name} unless the person agrees.", field="consent")
    language = str(content.get("language") or ENGLISH)
    shared = {name: content[name] for name in fields if name in content}
    if "need" in fields:
        shared["need"] = to.service.name
    if content.get(CONTACT_PROHIBITED):
        # it protects the person: it comes along whatever the policy says
        shared[CONTACT_PROHIBITED] = True
    consent_id = new_id() if given else None
    onward = how == "onward"
    part_of_id = referral.id if onward else referral.part_of_id
    if consent_id is not None:
        put(
            session,
            new_row(
                Consent,
                tenant_id=scope.tenant_id,
                id=consent_id,
                contact_id=None if onward else referral.contact_id,
                referral_id=part_of_id,
                to_tenant_id=published.ids[receiver],
                fields=list(fields),
                method=method,
                given_at=now,
                expires_at=now + timedelta(days=expires_days),
                words=_words(published, slug, receiver, now, language, written=written) or None,
                language=sharing.asks_in(language),
                recorded_by=scope.person_id,
            ),
        )
    verdict = to.verdict
    return Outgoing(
        slug,
        receiver,
        to.service.key,
        shared,
        referral.urgency,
        referral.channel,
        verdict.answer_days,
        expires_days,
        # an offer to several is taken by whoever answers first, and by no policy
        replace(verdict, answer=ASK) if offer_id else verdict,
        consent_id,
        None if onward else referral.contact_id,
        None if onward else referral.need_id,
        part_of_id=part_of_id,
        offer_id=offer_id,
        paper=paper_of(
            method if given else None,
            published.names.get(slug, slug),
            published.today(slug, now),
            sharing.asks_in(language),
        ),
        code_hash=None if onward else referral.code_hash,
    )


def read_out(
    published: Published, slug: str, receiver: str, content: Mapping[str, Any], *, now: datetime
) -> tuple[str, str, str, str]:
    """Give what is read out before it goes to one more partner; ``content`` as `known_of` gives it.

    The words, their language (the person's, or English), the same in English, and the language
    that the person speaks. The words are empty where nothing needs consent.
    """
    spoken = str(content.get("language") or ENGLISH)
    asked_in = published.sharing(published.today(slug, now)).asks_in(spoken)
    words, english = (
        _words(published, slug, receiver, now, each, written=True) for each in (spoken, ENGLISH)
    )
    return words, asked_in, english, spoken


def _words(
    published: Published, slug: str, receiver: str, now: datetime, language: str, *, written: bool
) -> str:
    today = published.today(slug, now)
    sharing = published.sharing(today)
    kind, sender = (published.partners[each].kind for each in (receiver, slug))
    free = sharing.allowed("referral", kind, consent=False, sender=sender)[0]
    fields, _missing, days = sharing.allowed(
        "referral", kind, consent=True, written=written, sender=sender
    )
    return sharing.words(
        [each for each in fields if each not in free],
        published.names.get(receiver, receiver),
        today + timedelta(days=days),
        language,
    )


def _offer(
    session: TenantSession, referral: Referral, chosen: int, how: str, now: datetime
) -> UUID | None:
    """Make the offer that several partners share; the one that waits already is part of it."""
    joins = how == "others"
    if chosen == 1 and not joins:
        return None
    if joins and referral.offer_id is not None:
        return referral.offer_id
    offer_id = new_id()
    put(
        session,
        new_row(ReferralOffer, tenant_id=scope_of(session).tenant_id, id=offer_id, made_at=now),
    )
    if joins:
        referral.offer_id = offer_id
        session.flush()
        _join_at_receiver(session, referral.counterparty_id, referral.id, offer_id)
    return offer_id


def _join_at_receiver(
    session: TenantSession, receiver_id: UUID, referral_id: UUID, offer_id: UUID
) -> None:
    """Make the receiver's row part of the offer; who has it open must load it again."""
    with acting_for(session, receiver_id):
        session.execute(
            update(Referral)
            .where(Referral.tenant_id == receiver_id, Referral.id == referral_id)
            .values(offer_id=offer_id, version=Referral.version + 1)
            .execution_options(synchronize_session=False)
        )
        mark_changed(session)
