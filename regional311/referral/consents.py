"""The end of a consent: taken back by the person, or because its time is up.

What rested on it is erased where it went, what is still open ends, and the receiver is told that it
may not use it any more; it says that it has seen so, and the sender sees that it has. So it is with
what the receiver has referred onward, from partner to partner. Where only the time was up, what has
a consent of its own goes on: the person was asked again, and agreed for longer.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import and_, or_, select, update

from regional311.audit.service import record
from regional311.cover import handovers
from regional311.database.rows import send
from regional311.database.session import TenantSession, acting_for, mark_changed, scope_of
from regional311.errors import Conflict, DomainError, NotFound
from regional311.exchange.models import Envelope
from regional311.exchange.service import ERASED, REFERRAL, REQUEST, erase, tell
from regional311.intake.models import Inquirer, ServiceRequest
from regional311.intake.service import NO_FOLLOWERS, Followers, erase_attachments
from regional311.referral import lifecycle
from regional311.referral.follow_ups import stop_for_contact
from regional311.referral.held import hold
from regional311.referral.models import Consent, Referral
from regional311.referral.onward import passed_on
from regional311.referral.questions import erase_messages
from regional311.referral.service import move

CONSENT_ENDED: Final = "consent_ended"
CONSENT_SEEN: Final = "consent_seen"
"""Kinds of envelopes."""

REVOKED: Final = "revoked"
EXPIRED: Final = "expired"

BATCH: Final = 200
"""Consents that are ended in one round of the worker."""

OUTSIDE: Final = (
    Referral.side == lifecycle.SENDER,
    Referral.consent_id.is_(None),
    Referral.use_until.is_not(None),
    Referral.consent_ended_at.is_(None),
)
"""Referrals that rest on a consent which a partner's own system keeps."""


class NothingToStop(Conflict):
    """The consent that this referral rests on holds, or its end was seen before."""


def revoke_consent(
    session: TenantSession,
    *,
    now: datetime,
    consent_id: UUID,
    contact_id: UUID | None = None,
    followers: Followers = NO_FOLLOWERS,
) -> int:
    """Take a consent back: what rested on it is erased at the receiver, what is open ends.

    With `contact_id` it must be one of that contact. Nobody asks the person any more what became
    of it, either. Gives the number of referrals, requests and hand-overs that rested on it; taken
    back before, nothing happens. Raises :class:`NotFound`.
    """
    _hold_what_rests(session, [consent_id])
    consent = _consent(session, consent_id)
    if consent is None or contact_id not in (None, consent.contact_id):
        raise NotFound("There is no such consent.")
    if consent.revoked_at is not None:
        return 0
    consent.revoked_at = now
    about = consent.contact_id
    rested = _end(session, consent, REVOKED, now=now, followers=followers)
    if about is not None:
        stop_for_contact(session, about, reason="consent_withdrawn", now=now)
    return rested


def revoke_onward(
    session: TenantSession,
    *,
    now: datetime,
    referral_id: UUID,
    followers: Followers = NO_FOLLOWERS,
) -> int:
    """Take back the consent to a referral onward, by whoever referred the person on.

    The person told the bound partner so, which has no contact of theirs. Gives and raises what
    :func:`revoke_consent` does.
    """
    consent_id = session.execute(
        select(Referral.consent_id).where(
            Referral.tenant_id == scope_of(session).tenant_id,
            Referral.id == referral_id,
            Referral.side == lifecycle.SENDER,
            Referral.contact_id.is_(None),
        )
    ).scalar_one_or_none()
    if consent_id is None:
        raise NotFound("There is no such consent.")
    return revoke_consent(session, now=now, consent_id=consent_id, followers=followers)


def expire_consents(
    session: TenantSession, *, now: datetime, followers: Followers = NO_FOLLOWERS
) -> int:
    """End the bound partner's consents whose time is up; say how many."""
    due = list(
        session.execute(
            select(Consent.id)
            .where(
                Consent.tenant_id == scope_of(session).tenant_id,
                Consent.expires_at <= now,
                Consent.revoked_at.is_(None),
                Consent.expired_at.is_(None),
            )
            .order_by(Consent.expires_at, Consent.id)
            .limit(BATCH)
        ).scalars()
    )
    ended = 0
    _hold_what_rests(session, due)
    for consent_id in due:
        # what somebody changes at the same moment ends in the next round
        with suppress(DomainError), session.begin_nested():
            consent = _consent(session, consent_id)
            if consent is None or consent.revoked_at is not None or consent.expired_at is not None:
                continue
            consent.expired_at = now
            _end(session, consent, EXPIRED, now=now, followers=followers)
            ended += 1
    return ended + _expire_outside(session, now=now, followers=followers)


def _expire_outside(session: TenantSession, *, now: datetime, followers: Followers) -> int:
    """End what rests on consents that a partner's own system keeps, and whose time is up."""
    due = list(
        session.execute(
            select(Referral.id)
            .where(
                Referral.tenant_id == scope_of(session).tenant_id,
                *OUTSIDE,
                Referral.use_until <= now,
            )
            .order_by(Referral.use_until, Referral.id)
            .limit(BATCH)
        ).scalars()
    )
    ended = 0
    hold(session, *due, onward=True)
    for referral_id in due:
        with suppress(DomainError), session.begin_nested():
            end_outside(session, referral_id, EXPIRED, now=now, followers=followers)
            ended += 1
    return ended


def end_outside(
    session: TenantSession,
    referral_id: UUID,
    why: str,
    *,
    now: datetime,
    followers: Followers = NO_FOLLOWERS,
) -> None:
    """End a referral of the bound partner's own system, whose consent has ended over there.

    `why` is `REVOKED` or `EXPIRED`. What the bound partner keeps of it is a copy, and goes, too.
    """
    hold(session, referral_id, onward=True)
    row = session.execute(
        select(
            Referral.id,
            Referral.version,
            Referral.state,
            Referral.counterparty_id,
            Referral.consent_ended_at,
        ).where(
            Referral.tenant_id == scope_of(session).tenant_id,
            Referral.id == referral_id,
            Referral.side == lifecycle.SENDER,
        )
    ).one()
    _end_sent(session, row, why, now=now, followers=followers)
    _forget(session, referral_id, now)


def stop_seen(session: TenantSession, *, now: datetime, referral_id: UUID) -> None:
    """Say, as the receiver, that what was shared is not used any more; the sender is told.

    Raises :class:`NotFound`, and :class:`NothingToStop`.
    """
    scope = scope_of(session)
    row = session.execute(
        select(
            Referral.side,
            Referral.counterparty_id,
            Referral.consent_ended_at,
            Referral.stop_seen_at,
        )
        .where(Referral.tenant_id == scope.tenant_id, Referral.id == referral_id)
        .with_for_update()
    ).one_or_none()
    if row is None:
        raise NotFound("There is no such referral.")
    if (
        row.side != lifecycle.RECEIVER
        or row.consent_ended_at is None
        or row.stop_seen_at is not None
    ):
        raise NothingToStop("There is nothing to confirm here.")
    _set(session, referral_id, stop_seen_at=now, stop_seen_by=scope.person_id)
    _record(session, "consent:seen", referral_id, now)
    tell(
        session,
        to=row.counterparty_id,
        kind=CONSENT_SEEN,
        subject_id=referral_id,
        payload={"seen_at": now.isoformat()},
        now=now,
    )
    with acting_for(session, row.counterparty_id):
        _set(session, referral_id, stop_seen_at=now)
        _record(session, "consent:seen", referral_id, now)


def _hold_what_rests(session: TenantSession, consent_ids: Sequence[UUID]) -> None:
    """Hold the referrals that rest on consents, and all that came of them, before the consents."""
    rest = session.execute(
        select(Referral.id)
        .join(
            Consent,
            and_(
                Consent.tenant_id == Referral.tenant_id,
                Consent.id == Referral.consent_id,
                Consent.contact_id.is_not_distinct_from(Referral.contact_id),
            ),
        )
        .where(Referral.tenant_id == scope_of(session).tenant_id, Consent.id.in_(consent_ids))
    ).scalars()
    hold(session, *rest, onward=True)


def _consent(session: TenantSession, consent_id: UUID) -> Consent | None:
    return session.execute(
        select(Consent)
        .where(Consent.tenant_id == scope_of(session).tenant_id, Consent.id == consent_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).scalar_one_or_none()


def _end(
    session: TenantSession, consent: Consent, why: str, *, now: datetime, followers: Followers
) -> int:
    tenant_id = consent.tenant_id
    consent_id, receiver_id, contact_id = consent.id, consent.to_tenant_id, consent.contact_id
    fields, of_referral = tuple(consent.fields), consent.referral_id
    session.flush()
    record(
        session,
        now=now,
        action="consent:revoke" if why == REVOKED else "consent:expire",
        subject_kind="contact" if contact_id else "referral",
        subject_id=contact_id or of_referral or consent_id,
        detail={"consent": str(consent_id)},
    )
    referrals = session.execute(
        select(
            Referral.id,
            Referral.version,
            Referral.state,
            Referral.counterparty_id,
            Referral.consent_ended_at,
        )
        .where(
            Referral.tenant_id == tenant_id,
            Referral.contact_id.is_not_distinct_from(contact_id),
            Referral.consent_id == consent_id,
        )
        .order_by(Referral.id)
    ).all()
    for row in referrals:
        _end_sent(session, row, why, now=now, followers=followers)
        if of_referral is not None and _has_ended(session, of_referral):
            _forget(session, row.id, now)
    with acting_for(session, receiver_id):
        requests = list(
            session.execute(
                select(Envelope.subject_id).where(
                    Envelope.tenant_id == receiver_id,
                    Envelope.consent_id == consent_id,
                    or_(Envelope.kind == REQUEST, Envelope.kind == REFERRAL),
                    Envelope.subject_id.not_in([row.id for row in referrals]),
                )
            ).scalars()
        )
        for request_id in requests:
            erase_request(session, request_id, fields, now=now)
    rung = handovers.forget(session, consent_id, why=why, now=now)
    return len(referrals) + len(requests) + rung


def _end_sent(
    session: TenantSession, row: Any, why: str, *, now: datetime, followers: Followers
) -> None:
    """End a referral that the bound partner sent, at its receiver and wherever it went from there.

    What ended before is followed only, because what came of it may go on.
    """
    new = row.consent_ended_at is None
    if new:
        _stop(session, row, why, now=now, followers=followers)
    with acting_for(session, row.counterparty_id):
        if new:
            _forget(session, row.id, now, consent_ended=why, consent_ended_at=now, asked_at=None)
        for onward in passed_on(session, row.id):
            if onward.consent_ended_at is not None or _ends_too(session, onward, why, now=now):
                _end_sent(session, onward, why, now=now, followers=followers)
                # the partner has it from what has ended, and from nobody else
                _forget(session, onward.id, now)


def _stop(
    session: TenantSession, row: Any, why: str, *, now: datetime, followers: Followers
) -> None:
    """Take back what the bound partner sent, and tell the receiver why."""
    if "cancelled" in lifecycle.next_states(row.state, lifecycle.SENDER):
        move(
            session,
            to="cancelled",
            now=now,
            referral_id=row.id,
            version=row.version,
            reason="person_declined" if why == REVOKED else "consent_ended",
            followers=followers,
        )
    # what was asked is erased, and nobody can answer it any more
    _set(session, row.id, consent_ended=why, consent_ended_at=now, asked_at=None)
    tell(
        session,
        to=row.counterparty_id,
        kind=CONSENT_ENDED,
        subject_id=row.id,
        payload={"why": why},
        now=now,
    )


def _has_ended(session: TenantSession, referral_id: UUID) -> bool:
    """Whether the consent has ended by which the bound partner has a referral."""
    ended = select(Referral.consent_ended_at.is_not(None)).where(
        Referral.tenant_id == scope_of(session).tenant_id, Referral.id == referral_id
    )
    return bool(session.execute(ended).scalar_one_or_none())


def _ends_too(session: TenantSession, onward: Any, why: str, *, now: datetime) -> bool:
    """Whether what was referred onward ends with what it is part of; then its consent does, too."""
    running = and_(
        Consent.tenant_id == scope_of(session).tenant_id,
        Consent.id == onward.consent_id,
        Consent.revoked_at.is_(None),
        Consent.expired_at.is_(None),
    )
    if why == EXPIRED:
        return session.execute(select(Consent.id).where(running)).first() is None
    send(session)
    session.execute(
        update(Consent)
        .where(running)
        .values(revoked_at=now)
        .execution_options(synchronize_session=False)
    )
    mark_changed(session)
    return True


def _forget(session: TenantSession, referral_id: UUID, now: datetime, **values: Any) -> None:
    """Erase at the bound partner what is known by a referral: fields, files, words, envelopes."""
    _set(session, referral_id, shared=ERASED, **values)
    erase(session, referral_id)
    erase_attachments(session, referral_id, now=now)
    erase_messages(session, referral_id)
    _record(session, "referral:erase", referral_id, now)


def erase_request(
    session: TenantSession, request_id: UUID, fields: tuple[str, ...], *, now: datetime
) -> None:
    """Forget who asked for a request, and what they said; the work itself stays."""
    tenant_id = scope_of(session).tenant_id
    gone: dict[str, Any] = {"answers": None} if "answers" in fields else {}
    if "note" in fields:
        gone["description"] = None
    if "place" in fields and "location" not in fields:
        nowhere = ("place_text", "latitude", "longitude", "place_cell", "place_words")
        gone |= {"place_kind": "none", **dict.fromkeys(nowhere)}
    inquirer_id = session.execute(
        update(ServiceRequest)
        .where(ServiceRequest.tenant_id == tenant_id, ServiceRequest.id == request_id)
        .values(version=ServiceRequest.version + 1, updated_at=now, **gone)
        .returning(ServiceRequest.inquirer_id)
        .execution_options(synchronize_session=False)
    ).scalar_one_or_none()
    if inquirer_id is not None:
        session.execute(
            update(Inquirer)
            .where(Inquirer.tenant_id == tenant_id, Inquirer.id == inquirer_id)
            .values(
                name=None,
                phone=None,
                email=None,
                safe_to_call=False,
                may_leave_message=False,
                wants_updates=False,
                erased_at=now,
            )
            .execution_options(synchronize_session=False)
        )
    mark_changed(session)
    erase(session, request_id)
    erase_attachments(session, request_id, now=now)
    record(
        session,
        now=now,
        action="request:erase",
        subject_kind="request",
        subject_id=request_id,
    )


def _set(session: TenantSession, referral_id: UUID, **values: Any) -> None:
    send(session)
    session.execute(
        update(Referral)
        .where(Referral.tenant_id == scope_of(session).tenant_id, Referral.id == referral_id)
        .values(version=Referral.version + 1, **values)
        .execution_options(synchronize_session=False)
    )
    mark_changed(session)


def _record(session: TenantSession, action: str, referral_id: UUID, now: datetime) -> None:
    record(session, now=now, action=action, subject_kind="referral", subject_id=referral_id)
