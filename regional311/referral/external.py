"""Referrals of a partner that works in a system of its own.

Such a partner's rows here stand for it: what others do to them is told to its system, and what its
system says is done in its name, by the same steps and checks as by a person. Whether a row has
news is seen from its version, so that whatever changed it, and whenever the worker died, nothing
is forgotten; only what holds now is told, so that nothing comes twice or in the wrong order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid5

from sqlalchemy import cast, func, select
from sqlalchemy import update as sql_update
from sqlalchemy.dialects.postgresql import JSONB

from regional311.audit.models import AuditEvent
from regional311.audit.service import audit_row
from regional311.database.rows import new_row, put, send
from regional311.database.session import (
    TenantSession,
    acting_for,
    mark_changed,
    scope_of,
)
from regional311.errors import Conflict, NotFound
from regional311.exchange import service as exchange
from regional311.exchange.fhir import (
    URI,
    Agreed,
    Fault,
    Handover,
    Identifier,
    Note,
    Progress,
    read_message,
)
from regional311.exchange.models import Envelope, ExchangeTask
from regional311.exchange.systems import System
from regional311.intake.models import Contact, Inquirer
from regional311.intake.service import NO_FOLLOWERS, Followers
from regional311.referral import consents, lifecycle, papers, questions, service
from regional311.referral.acceptance import DECLINE_REASON
from regional311.referral.held import hold
from regional311.referral.models import Referral, ReferralMessage
from regional311.referral.prohibition import (
    CONTACT_PROHIBITED,
    REACHED,
    UNREACHABLE,
    forbid,
    prohibit,
)
from regional311.referral.rings import came_through
from regional311.referral.sending import AnswerLink, Outgoing, referral_rows
from regional311.referral.sending_on import verdict_of
from regional311.referral.snapshot import Published, Sharing
from regional311.referral.undoing import undo
from regional311.tenancy.jurisdiction import Reach

CHANNEL: Final = "app"
"""The channel by which a referral from outside counts as taken in."""


OVERTAKEN: Final = "referral:overtaken"
"""In the history: what a system said that does not follow from where the referral was here."""

NOTE_PATH: Final = "Task.note"
SHARED_PATH: Final = "ServiceRequest.extension"
PLACES: Final = ("place", "location")
"""Shared fields that say where: an object with text, latitude and longitude."""

LINES: Final = {"name": 300, "phone": 40, "email": 300}
"""Shared fields of one line, and how many characters each has at most."""

NOT_WITHOUT_CONSENT: Final = "what is written may cross only with a Consent that holds."
A_DAY: Final = timedelta(days=1)
"""A day begins earlier elsewhere: a paper of tomorrow's date there was signed."""


AHEAD: Final = timedelta(minutes=5)
"""How far another system's clock may be ahead; what it says of later was said now."""


class Overtaken(Conflict):
    """Both sides went on, and the other's step does not follow from where the referral is here.

    What came along is kept, and the histories say what was said: whoever answers with it commits.
    """


# --- steps ----------------------------------------------------------------------------------------


def steps_to(state: str, to: str, side: str) -> tuple[str, ...] | None:
    """Give the steps by which one side comes from a state to another; None when it cannot.

    A system that was not heard for a while tells only where it is now. On the way there no step
    is taken that needs a reason of its own.

    >>> steps_to("requested", "completed", "received")
    ('accepted', 'completed')
    >>> steps_to("completed", "accepted", "received") is None
    True
    """
    ways: deque[tuple[str, ...]] = deque([()])
    seen = {state}
    while ways:
        way = ways.popleft()
        for each in lifecycle.next_states(way[-1] if way else state, side):
            if each == to:
                return (*way, each)
            if each not in seen and each in lifecycle.OPEN and each not in lifecycle.REASONS:
                seen.add(each)
                ways.append((*way, each))
    return None


# --- in -------------------------------------------------------------------------------------------


def receive(
    session: TenantSession,
    system: System,
    message: Any,
    *,
    now: datetime,
    known: Published,
    followers: Followers = NO_FOLLOWERS,
    link: AnswerLink | None = None,
    url: str = "",
) -> tuple[UUID, bool]:
    """Take a message of the bound partner's system; give the referral and whether it is new here.

    ``url`` is the address of this site, for letters. The same message again changes nothing; one
    that is older than what was taken is left alone.

    :raises Fault: naming the path of what cannot be taken.
    :raises Overtaken: when both sides went on and this step does not follow any more.
    """
    progress, handover = read_message(message)
    referral_id = _own_id(progress.identifier)
    if referral_id is not None and _state(session, referral_id) is None:
        referral_id = None
    if referral_id is None:
        referral_id = uuid5(system.id, f"{progress.identifier.system}|{progress.identifier.value}")
        if _state(session, referral_id) is None:
            if handover is None:
                raise NotFound(
                    "Task.identifier: this is not known here; send its ServiceRequest, too.",
                    field="Task.identifier",
                )
            if progress.state == "draft" or progress.state in lifecycle.CLOSED:
                # nothing was handed over, and nothing is to be done
                return referral_id, False
            _open(
                session,
                system,
                referral_id,
                handover,
                now=now,
                known=known,
                followers=followers,
                link=link,
            )
            _take_notes(session, system, referral_id, progress, now, known, handover.consent)
            return referral_id, True
    _own_task(session, system, referral_id, progress, now)
    if handover is not None:
        _protect(session, referral_id, handover.shared, now, url)
    taken_back = (
        handover is not None and handover.consent is not None and not handover.consent.active
    )
    kept = replace(progress, notes=()) if taken_back else progress
    agreed = handover.consent if handover is not None else None
    pending = _take_notes(session, system, referral_id, kept, now, known, agreed)
    try:
        _apply(session, referral_id, progress, now, known, followers, pending=pending)
    except Overtaken:
        # a consent is taken back however far both sides have gone
        if not taken_back:
            raise
    if taken_back:
        _erase(session, referral_id, now, followers)
    return referral_id, False


def update(
    session: TenantSession,
    system: System,
    referral_id: UUID,
    progress: Progress,
    *,
    now: datetime,
    known: Published,
    followers: Followers = NO_FOLLOWERS,
) -> None:
    """Take where a referral that the system knows stands.

    :raises NotFound: when it is not one of this connection.
    :raises Overtaken: as :func:`receive`.
    """
    if _state(session, referral_id) is None:
        raise NotFound("There is no such Task.")
    _own_task(session, system, referral_id, progress, now)
    pending = _take_notes(session, system, referral_id, progress, now, known)
    _apply(session, referral_id, progress, now, known, followers, pending=pending)


def _own_id(identifier: Identifier) -> UUID | None:
    """The id of a referral that began here; None for another's identifier."""
    if identifier.system != URI:
        return None
    try:
        return UUID(identifier.value.removeprefix("urn:uuid:"))
    except ValueError:
        return None


def _state(session: TenantSession, referral_id: UUID) -> str | None:
    hold(session, referral_id, onward=True)
    return session.execute(
        select(Referral.state).where(
            Referral.tenant_id == scope_of(session).tenant_id, Referral.id == referral_id
        )
    ).scalar_one_or_none()


def _part_of(session: TenantSession, system: System, named: Iterable[Identifier]) -> UUID | None:
    """The nearest of the named referrals that the bound partner received here."""
    ids = [
        each
        for one in named
        for each in (_own_id(one), uuid5(system.id, f"{one.system}|{one.value}"))
        if each is not None
    ]
    if not ids:
        return None
    known = set(
        session.scalars(
            select(Referral.id).where(
                Referral.tenant_id == scope_of(session).tenant_id,
                Referral.id.in_(ids),
                Referral.side == lifecycle.RECEIVER,
            )
        )
    )
    return next((each for each in ids if each in known), None)


def _own_task(
    session: TenantSession, system: System, referral_id: UUID, progress: Progress, now: datetime
) -> None:
    """Make sure that the system has a task of a referral, also when it was never told of it."""
    tenant_id = scope_of(session).tenant_id
    owner = session.execute(
        select(ExchangeTask.system_id).where(
            ExchangeTask.tenant_id == tenant_id, ExchangeTask.id == referral_id
        )
    ).scalar_one_or_none()
    if owner is None:
        put(session, _task(tenant_id, system, referral_id, progress, 0, now))
    elif owner != system.id:
        raise NotFound("Task.identifier: this is not known here.", field="Task.identifier")


def _task(
    tenant_id: UUID,
    system: System,
    referral_id: UUID,
    progress: Progress,
    version: int,
    now: datetime,
    heard_at: datetime | None = None,
) -> ExchangeTask:
    return new_row(
        ExchangeTask,
        tenant_id=tenant_id,
        id=referral_id,
        system_id=system.id,
        identifier_system=progress.identifier.system,
        identifier_value=progress.identifier.value,
        version=version,
        told_version=version,
        changed_at=now,
        state="told",
        attempts=0,
        due_at=now,
        heard_at=heard_at,
    )


def _open(
    session: TenantSession,
    system: System,
    referral_id: UUID,
    handover: Handover,
    *,
    now: datetime,
    known: Published,
    followers: Followers,
    link: AnswerLink | None,
) -> None:
    """Make a referral of the bound partner to one that works here, as a desk would.

    What the receiver takes by itself, puts on its waitlist or refuses is so at once. One that comes
    back to a partner that has passed the person on is refused for it: nobody waits in a circle.
    """
    tenant_id, progress = scope_of(session).tenant_id, handover.progress
    slug = known.slugs[tenant_id]
    if progress.state != "requested":
        raise Fault("Task.status", "a referral begins as requested.", "business-rule")
    receiver_id = known.ids.get(handover.receiver)
    if receiver_id is None or receiver_id == tenant_id:
        raise Fault("Task.owner.identifier.value", "is no partner of this region.", "not-found")
    offered = known.directory.find(f"{handover.receiver}/{handover.service}")
    today = known.today(handover.receiver, now)
    if offered is None or not offered.offered(today):
        raise Fault(
            "ServiceRequest.code.coding.code",
            f"{handover.receiver} has no such service now.",
            "not-found",
        )
    shared, days = minimised(known, handover, slug, today, now)
    verdict = verdict_of(known, slug, offered, shared, channel=CHANNEL, now=now)
    part_of_id = _part_of(session, system, handover.part_of)
    circles = part_of_id is not None and receiver_id in came_through(session, part_of_id)
    out = Outgoing(
        sender=slug,
        receiver=handover.receiver,
        service_key=handover.service,
        shared=shared,
        urgency=handover.urgency,
        channel=CHANNEL,
        days=verdict.answer_days,
        expires_days=days,
        verdict=None if verdict.refused or circles else verdict,
        agreed_outside=_holds(handover.consent, now),
        paper=handover.consent.paper if handover.consent else None,
        part_of_id=part_of_id,
        id=referral_id,
    )
    own, received = referral_rows(known, out, now=now, link=link)
    # what is answered at once its system has yet to hear
    version = 1 if out.state == "requested" else 0
    put(
        session,
        *own,
        audit_row(
            tenant_id,
            at=now,
            action="referral:send",
            subject_kind="referral",
            subject_id=referral_id,
            detail={"from": slug, "service": handover.service, "system": str(system.id)},
        ),
        _task(tenant_id, system, referral_id, progress, version, now, _said_at(progress, now)),
    )
    with acting_for(session, receiver_id):
        put(session, *received)
        if verdict.refused or circles:
            reasons = (
                iter(["duplicate"])
                if circles
                else (DECLINE_REASON.get(code[0]) for code in verdict.codes)
            )
            service.move(
                session,
                now=now,
                referral_id=referral_id,
                version=1,
                to="rejected",
                reason=next(filter(None, reasons), "other"),
                followers=followers,
            )


def _protect(
    session: TenantSession,
    referral_id: UUID,
    told: Mapping[str, Any],
    now: datetime,
    url: str,
) -> None:
    """Let nobody contact the person any more when who refers says so, however late.

    What forbids is taken at any time, on both sides and at whoever was asked onward; what allows is
    only what the referral came with.
    """
    tenant_id = scope_of(session).tenant_id
    found = session.execute(
        select(
            Referral.side,
            Referral.shared,
            Referral.contact_id,
            Inquirer.contact_prohibited,
        )
        .outerjoin(Contact, (Contact.tenant_id == tenant_id) & (Contact.id == Referral.contact_id))
        .outerjoin(
            Inquirer, (Inquirer.tenant_id == tenant_id) & (Inquirer.id == Contact.inquirer_id)
        )
        .where(Referral.tenant_id == tenant_id, Referral.id == referral_id)
    ).one()
    forbids = _forbidden(told)
    news = {key: value for key, value in forbids.items() if found.shared.get(key) != value}
    if found.side != lifecycle.SENDER or not news:
        return
    if CONTACT_PROHIBITED in news and found.contact_prohibited is False:
        # the person is known here, too: all that is to go to them stops
        prohibit(session, now=now, contact_id=found.contact_id, url=url)
        return
    forbid(session, referral_id, forbids, now=now, url=url)


def _forbidden(told: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a message forbids, of the fields that say how a person may be reached."""
    if told.get(CONTACT_PROHIBITED) is True:
        return UNREACHABLE
    return {key: False for key in REACHED if told.get(key) is False}


def _erase(session: TenantSession, referral_id: UUID, now: datetime, followers: Followers) -> None:
    """The person took the consent back over there: what rested on it ends and goes, here too."""
    tenant_id = scope_of(session).tenant_id
    found = session.execute(
        select(Referral.side, Referral.shared, Referral.consent_id).where(
            Referral.tenant_id == tenant_id, Referral.id == referral_id
        )
    ).one()
    if found.side != lifecycle.SENDER or found.shared.get("erased"):
        return
    if found.consent_id is not None:
        # it began here, and so did the consent
        consents.revoke_consent(session, now=now, consent_id=found.consent_id, followers=followers)
    consents.end_outside(session, referral_id, consents.REVOKED, now=now, followers=followers)


def minimised(
    known: Published, handover: Handover, slug: str, today: date, now: datetime
) -> tuple[dict[str, Any], int]:
    """Give the fields that this region's policy lets the receiver have, and for how many days.

    `slug` is the partner that sends. Raises :class:`Fault` for a personal field without a consent
    that holds, or without one on paper where the policy asks for that.
    """
    policy, agreed = known.sharing(today), handover.consent
    holds = _holds(agreed, now)
    personal = sorted(key for key in handover.shared if key in policy.personal)
    if personal and not holds:
        raise Fault(
            "ServiceRequest.supportingInfo",
            f"{', '.join(personal)} may cross only with a Consent that is active and not over.",
            "business-rule",
        )
    kind, sender = (known.tenants[each].kind for each in (handover.receiver, slug))
    written = _on_paper(agreed, now)
    if handover.shared and not written and policy.needs_paper("referral", kind, sender=sender):
        raise Fault(
            "ServiceRequest.supportingInfo",
            "nothing crosses between these partners without a consent on paper: name it, with its"
            " title and its day, as the Consent's sourceAttachment.",
            "business-rule",
        )
    fields, days = _allowed(policy, agreed, kind, sender, now)
    if handover.progress.notes and "note" not in fields:
        raise Fault(NOTE_PATH, NOT_WITHOUT_CONSENT, "business-rule")
    if agreed is not None and agreed.expires_at is not None:
        days = min(days, max(0, (agreed.expires_at - now).days))
    # that nobody may contact the person protects them: it comes along whatever the policy says
    shared = {
        key: value
        for key, value in handover.shared.items()
        if key in fields or key == CONTACT_PROHIBITED
    }
    for key, most in LINES.items():
        if shared.get(key) is not None:
            _check_line(key, shared[key], most)
    for key in PLACES:
        if shared.get(key) is not None:
            _check_place(shared[key], known.jurisdictions.reach)
    return shared, days


def _check_line(key: str, value: Any, most: int) -> None:
    """Refuse what is no line: it may stand in the head of a letter."""
    if not isinstance(value, str) or len(value) > most or not value.isprintable():
        said = f"{key} must be one line of at most {most} characters."
        raise Fault(SHARED_PATH, said, "value")


def _check_place(value: Any, reach: Reach) -> None:
    """Refuse a place that is none: its words are a text, its degrees are numbers, and near."""
    if not isinstance(value, dict):
        raise Fault(SHARED_PATH, "must be a place: text, latitude and longitude.", "value")
    words = value.get("text")
    if words is not None and not isinstance(words, str):
        raise Fault(SHARED_PATH, "the text of the place must be a text.", "value")
    for name, most in (("latitude", 90), ("longitude", 180)):
        degrees = value.get(name)
        if degrees is None:
            continue
        try:
            good = not isinstance(degrees, (bool, list, dict)) and abs(float(degrees)) <= most
        except ValueError:
            good = False
        if not good:
            raise Fault(SHARED_PATH, f"the {name} of the place must be degrees.", "value")
    longitude, latitude = value.get("longitude"), value.get("latitude")
    if (
        longitude is not None
        and latitude is not None
        and not reach.holds(float(longitude), float(latitude))
    ):
        raise Fault(SHARED_PATH, "the place is far from this region.", "value")


def _holds(agreed: Agreed | None, now: datetime) -> bool:
    return (
        agreed is not None
        and agreed.active
        and (agreed.expires_at is None or agreed.expires_at > now)
    )


def _on_paper(agreed: Agreed | None, now: datetime) -> bool:
    """Whether a consent holds and names the paper, and the day on which that was signed."""
    return (
        agreed is not None
        and _holds(agreed, now)
        and agreed.paper is not None
        and (agreed.paper.signed_on or agreed.given_at.date()) <= now.date() + A_DAY
    )


def _allowed(
    policy: Sharing, agreed: Agreed | None, kind: str, sender: str, now: datetime
) -> tuple[tuple[str, ...], int]:
    fields, _missing, days = policy.allowed(
        "referral",
        kind,
        consent=_holds(agreed, now),
        written=_on_paper(agreed, now),
        sender=sender,
    )
    return fields, days


def _apply(
    session: TenantSession,
    referral_id: UUID,
    progress: Progress,
    now: datetime,
    known: Published,
    followers: Followers,
    *,
    pending: bool,
) -> None:
    """Do in the partner's name what its system says, if it is newer than what was taken.

    ``pending``: something was done here that it does not know yet, and is told all the same.
    """
    tenant_id = scope_of(session).tenant_id

    def heard(said_at: datetime | None) -> None:
        _heard(session, referral_id, said_at, pending=pending, now=now)

    task = session.execute(
        select(ExchangeTask.heard_at).where(
            ExchangeTask.tenant_id == tenant_id, ExchangeTask.id == referral_id
        )
    ).one()
    said_at = _said_at(progress, now)
    if _is_old(said_at, task.heard_at, now):
        if progress.notes:
            heard(None)
        return
    found = session.execute(
        select(Referral.state, Referral.side, Referral.received_at, Referral.before).where(
            Referral.tenant_id == tenant_id, Referral.id == referral_id
        )
    ).one()
    if progress.opened and found.side == lifecycle.RECEIVER and found.received_at is None:
        service.opened(session, now=now, referral_id=referral_id)
    steps = (
        () if progress.state == found.state else steps_to(found.state, progress.state, found.side)
    )
    by = None
    if steps is None and (progress.state, progress.reason) == ("failed", lifecycle.EXPIRED):
        # over there nobody said anything for so long: that is its clock's step, and no side's
        steps, by = steps_to(found.state, "failed", lifecycle.CLOCK), lifecycle.CLOCK
        if steps is not None and len(steps) > 1:
            steps = None
    if steps is None:
        others = (_other(found.side), lifecycle.CLOCK)
        if any(steps_to(progress.state, found.state, each) is not None for each in others):
            # its system is only behind: what it has not heard yet is on its way
            return
        if found.before and found.before["state"] == progress.state:
            # somebody there took the last step back, as is possible here
            undo(session, now=now, referral_id=referral_id, version=_version(session, referral_id))
            heard(said_at)
            return
        _keep_late(session, referral_id, progress, now)
        raise Overtaken(
            f"Task.status: the referral is {found.state.replace('_', ' ')} here, from where"
            f" {progress.state.replace('_', ' ')} does not follow.",
            field="Task.status",
        )
    slug = known.slugs[tenant_id]
    for step in steps:
        service.move(
            session,
            by=by,
            now=now,
            referral_id=referral_id,
            version=_version(session, referral_id),
            to=step,
            reason=_reason(step, progress) if step == progress.state else None,
            outcome=(progress.outcome or "unknown") if step == "completed" else None,
            booked_on=known.today(slug, now) if step == "completed" else None,
            followers=followers,
        )
    heard(said_at)


def _keep_late(
    session: TenantSession, referral_id: UUID, progress: Progress, now: datetime
) -> None:
    """Write into both histories what was said too late, once however often it is said."""
    tenant_id = scope_of(session).tenant_id
    detail = {"state": progress.state, "reason": progress.reason, "outcome": progress.outcome}
    send(session)
    known = session.execute(
        select(AuditEvent.id)
        .where(
            AuditEvent.tenant_id == tenant_id,
            AuditEvent.subject_id == referral_id,
            AuditEvent.action == OVERTAKEN,
            AuditEvent.detail == cast(detail, JSONB),
        )
        .limit(1)
    ).first()
    if known is not None:
        return
    other_id = session.execute(
        select(Referral.counterparty_id).where(
            Referral.tenant_id == tenant_id, Referral.id == referral_id
        )
    ).scalar_one()
    for each in (tenant_id, other_id):
        with acting_for(session, each):
            put(
                session,
                audit_row(
                    each,
                    at=now,
                    action=OVERTAKEN,
                    subject_kind="referral",
                    subject_id=referral_id,
                    detail=detail,
                ),
            )


def _said_at(progress: Progress, now: datetime) -> datetime | None:
    """When it was said, on their clock; a clock that is far ahead cannot be right."""
    at = progress.changed_at
    return now if at is not None and at > now + AHEAD else at


def _is_old(said_at: datetime | None, heard_at: datetime | None, now: datetime) -> bool:
    """Whether something is no newer than what was taken.

    Where only what was heard before lies ahead of our clock, theirs was put right in between: what
    they say since then is newer, whatever the hours.
    """
    if said_at is None or heard_at is None or said_at > heard_at:
        return False
    return heard_at <= now or said_at > now


def _take_notes(
    session: TenantSession,
    system: System,
    referral_id: UUID,
    progress: Progress,
    now: datetime,
    known: Published,
    agreed: Agreed | None = None,
) -> bool:
    """Keep what was written over there, each line once; say if it lacks something done here.

    It speaks for its own partner only: lines of the other side are echoes. A line without an id is
    known again by its words and its time. What who refers writes crosses as the sharing policy
    says: with the consent ``agreed`` that came along, or the one that the referral rests on.
    """
    tenant_id = scope_of(session).tenant_id
    row = session.execute(
        select(Referral.side, Referral.version, ExchangeTask.version.label("gathered"))
        .add_columns(ExchangeTask.state, Referral.counterparty_id, Referral.shared)
        .join(
            ExchangeTask,
            (ExchangeTask.tenant_id == tenant_id) & (ExchangeTask.id == Referral.id),
        )
        .where(Referral.tenant_id == tenant_id, Referral.id == referral_id)
    ).one()
    pending = bool(row.state == "waiting" or row.version > row.gathered)
    lines = {
        _line_id(system, referral_id, each): each.text
        for each in progress.notes
        if each.side in (None, row.side)
    }
    # once a consent has ended nothing is kept any more, and nothing is asked of the policy
    fresh = [] if row.shared.get("erased") else _unknown(session, lines)
    if fresh and row.side == lifecycle.SENDER:
        _check_note(session, referral_id, row.counterparty_id, agreed, now, known)
    for message_id in fresh:
        questions.take(
            session,
            now=now,
            referral_id=referral_id,
            message_id=message_id,
            body=lines[message_id],
        )
    return pending


def _unknown(session: TenantSession, ids: Iterable[UUID]) -> list[UUID]:
    """Give those lines that are not kept here, in their order."""
    ids = list(ids)
    if not ids:
        return []
    kept = set(
        session.scalars(
            select(ReferralMessage.id).where(
                ReferralMessage.tenant_id == scope_of(session).tenant_id,
                ReferralMessage.id.in_(ids),
            )
        )
    )
    return [each for each in ids if each not in kept]


def _check_note(
    session: TenantSession,
    referral_id: UUID,
    receiver_id: UUID,
    agreed: Agreed | None,
    now: datetime,
    known: Published,
) -> None:
    """Refuse a line about a person that the sharing policy does not let go to who was asked."""
    tenant_id = scope_of(session).tenant_id
    if agreed is None:
        with acting_for(session, receiver_id):
            agreed = _agreed_before(session, referral_id)
    slug, receiver = known.slugs[tenant_id], known.slugs[receiver_id]
    kind, sender = (known.tenants[each].kind for each in (receiver, slug))
    policy = known.sharing(known.today(receiver, now))
    if "note" not in _allowed(policy, agreed, kind, sender, now)[0]:
        raise Fault(NOTE_PATH, NOT_WITHOUT_CONSENT, "business-rule")


def _agreed_before(session: TenantSession, referral_id: UUID) -> Agreed | None:
    """The consent that a referral rests on, as the bound receiver's envelope tells of it."""
    row = session.execute(
        select(Envelope.payload, Envelope.consent_id, Envelope.sent_at, Envelope.expires_at).where(
            Envelope.tenant_id == scope_of(session).tenant_id,
            Envelope.kind == exchange.REFERRAL,
            Envelope.subject_id == referral_id,
        )
    ).one_or_none()
    if row is None or not (row.consent_id or papers.rests_on_consent(row.payload)):
        return None
    return Agreed(referral_id.urn, row.sent_at, row.expires_at, paper=papers.named(row.payload))


def _line_id(system: System, referral_id: UUID, note: Note) -> UUID:
    try:
        return UUID(note.id or "")
    except ValueError:
        told = note.id or f"{note.at.isoformat() if note.at else ''}|{note.text}"
        return uuid5(system.id, f"{referral_id}|{told}")


def _heard(
    session: TenantSession,
    referral_id: UUID,
    said_at: datetime | None,
    *,
    pending: bool,
    now: datetime,
) -> None:
    """Write that the system knows how it stands: what it told us need not be told to it.

    While something of ours is ``pending`` only when it was heard is kept: that goes out first.
    """
    version = _version(session, referral_id)
    values: dict[str, Any] = {"heard_at": func.coalesce(said_at, ExchangeTask.heard_at)}
    if not pending:
        values |= {
            "version": version,
            "told_version": version,
            "state": "told",
            "due_at": now,
            "problem": None,
        }
    session.execute(
        sql_update(ExchangeTask)
        .where(
            ExchangeTask.tenant_id == scope_of(session).tenant_id, ExchangeTask.id == referral_id
        )
        .values(values)
        .execution_options(synchronize_session=False)
    )
    mark_changed(session)


def _other(side: str) -> str:
    return lifecycle.SENDER if side == lifecycle.RECEIVER else lifecycle.RECEIVER


def _version(session: TenantSession, referral_id: UUID) -> int:
    send(session)
    return session.execute(
        select(Referral.version).where(
            Referral.tenant_id == scope_of(session).tenant_id, Referral.id == referral_id
        )
    ).scalar_one()


def _reason(step: str, progress: Progress) -> str | None:
    allowed = lifecycle.REASONS.get(step)
    if allowed is None:
        return None
    return progress.reason if progress.reason in allowed else "other"
