"""Handing a request on to the partner whose it is: its number, its history and its clock go along.

The new owner has it under the same id and number, with what was said to the person so far, the day
on which it was opened and the day by which it was promised. What crosses of the person is what the
sharing policy lets cross without consent; where it lets their words cross, what they wrote and sent
by their link goes along, and back. Who asked stays with whoever took it in. Everybody who followed
it goes on hearing: the partner that took it in, the person by their link, whose it is too.

Whoever gets one that is not theirs either sends it back, once. Everybody through whose hands it
goes sees the whole way that it took.

What goes to a confidential service is confidential from then on, also in the rows of everybody who
had it; they and who took it in follow how it stands, and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from regional311.audit.service import audit_row, record
from regional311.catalog.directory import Service
from regional311.database.ids import new_id
from regional311.database.locking import locked_kept
from regional311.database.rows import new_row, put, send
from regional311.database.session import TenantSession, acting_for, mark_changed, scope_of
from regional311.errors import Conflict, InvalidInput
from regional311.exchange import service as exchange
from regional311.intake import lifecycle, links
from regional311.intake.added_files import sent_note
from regional311.intake.attachments import PREFIX, SENT
from regional311.intake.clocks import run_on
from regional311.intake.models import (
    Attachment,
    Contact,
    FollowedRequest,
    RequestHanding,
    RequestNote,
    RequestUpdate,
    ServiceRequest,
)
from regional311.intake.service import (
    NO_FOLLOWERS,
    Followers,
    NewRequest,
    tell_followers,
    update_row,
)
from regional311.referral.filing import (
    Intake,
    NotAccepted,
    Place,
    preview,
    received_request,
    words_cross,
)
from regional311.referral.sending_on import verdict_of
from regional311.referral.snapshot import Published
from regional311.referral.splitting import services_for_parts

HANDED: Final = "handed"
SENT_BACK: Final = "sent_back"
NOT_BEGUN: Final = ("received", "triaged")
"""States in which the receiver can still send it back."""

LONGEST: Final = 2000


class CannotHandOn(Conflict):
    """The request has ended, went to that partner before, or cannot be sent back any more."""


class ReasonNeeded(InvalidInput):
    """Whoever gets it reads why."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Whose it is by the rules, and why; `service` is empty when they say that it is ours."""

    service: str
    sentences: tuple[str, ...]


def suggest(published: Published, slug: str, request: Any, *, now: datetime) -> Suggestion:
    """Ask the rules whose a request is, from its service and its place: no statement is sent."""
    intake = Intake(
        source="desk",
        key="suggestion",
        channel="web",
        started_at=now,
        service=f"{slug}/{request.service_key}",
        place=Place(
            request.place_text or "", request.latitude, request.longitude, request.place_kind
        ),
        danger_answer="none",
    )
    found = preview(published, slug, intake, now=now)
    decision = found.decision
    if decision is None or decision.target in ("", slug) or not decision.service:
        return Suggestion("", found.sentences)
    return Suggestion(f"{decision.target}/{decision.service}", found.sentences)


def targets(published: Published, slug: str, *, now: datetime) -> list[Service]:
    """Give the services of partners to which a request can be handed."""
    return [each for each in services_for_parts(published, slug, now=now) if each.tenant != slug]


def way(session: TenantSession, request_id: UUID) -> list[Any]:
    """Give the way that a request took, in order: one statement."""
    return list(
        session.execute(
            select(
                RequestHanding.from_id,
                RequestHanding.to_id,
                RequestHanding.how,
                RequestHanding.words,
                RequestHanding.at,
            )
            .where(
                RequestHanding.tenant_id == scope_of(session).tenant_id,
                RequestHanding.request_id == request_id,
            )
            .order_by(RequestHanding.at, RequestHanding.id)
        )
    )


def may_send_back(request: Any, way_so_far: Sequence[Any], tenant_id: UUID) -> bool:
    """Whether the bound partner can still say that a request is not its own either."""
    if request.handed_from_id is None or request.state not in NOT_BEGUN:
        return False
    last = way_so_far[-1] if way_so_far else None
    return last is not None and last.how == HANDED and last.to_id == tenant_id


def hand_on(
    session: TenantSession,
    published: Published,
    *,
    now: datetime,
    request_id: UUID,
    version: int,
    service: str,
    words: str,
    message: str | None = None,
    followers: Followers = NO_FOLLOWERS,
) -> str:
    """Hand a request on to a partner's `service` (``partner/key``); give that partner's slug.

    `words` are for the new owner, `message` for the person. Raises :class:`CannotHandOn`,
    :class:`ReasonNeeded`, `NotAccepted`, `NotFound`, `Stale`.
    """
    request = _held(session, request_id, version, words)
    tenant_id = request.tenant_id
    slug = published.slugs[tenant_id]
    known = {each.ref: each for each in targets(published, slug, now=now)}
    chosen = known.get(service)
    if chosen is None:
        raise InvalidInput("Choose whose it is from the list.", field="service")
    receiver_id = published.ids[chosen.tenant]
    so_far = way(session, request_id)
    if any(each.how == SENT_BACK and each.from_id == receiver_id for each in so_far):
        raise CannotHandOn(
            f"{published.names[chosen.tenant]} has sent it back before. Talk to them, or choose"
            " another one.",
            field="service",
        )
    run_on(session, request, now=now)
    allowed = _allowed(published, slug, chosen.tenant, request)
    shared = _shared(chosen, request, allowed)
    verdict = verdict_of(published, slug, chosen, shared, channel="web", now=now)
    if verdict.refused:
        raise NotAccepted(verdict.codes, published.names)
    new = NewRequest(
        id=request_id,
        public_id=request.public_id,
        intake_tenant_id=request.intake_tenant_id,
        service_key=chosen.key,
        opened_at=request.opened_at,
        bureau_key=chosen.bureau or None,
        queue=chosen.queue or published.unplaced_queue(chosen.tenant),
        priority=request.priority,
        confidential=request.confidential or chosen.confidential,
        expected_at=request.expected_at,
        warn_at=request.warn_at,
        stood_seconds=request.stood_seconds,
    )
    going = words_cross(allowed, chosen)
    if new.confidential:
        _keep_secret(session, request_id, {tenant_id, *(each.from_id for each in so_far)})
        request = _held(session, request_id, version, words)
    _go(session, request, new, receiver_id, shared, going, so_far, HANDED, words, message, now)
    _say(session, receiver_id, request_id, message, now, followers)
    return chosen.tenant


def send_back(
    session: TenantSession,
    published: Published,
    *,
    now: datetime,
    request_id: UUID,
    version: int,
    words: str,
    followers: Followers = NO_FOLLOWERS,
) -> str:
    """Send a request that was handed on back to its sender; give the sender's slug.

    Raises what :func:`hand_on` raises.
    """
    request = _held(session, request_id, version, words)
    so_far = way(session, request_id)
    sender_id = request.handed_from_id
    if sender_id is None or not may_send_back(request, so_far, request.tenant_id):
        raise CannotHandOn("It can be sent back once, before work on it has begun.")
    with acting_for(session, sender_id):
        theirs = session.execute(
            select(ServiceRequest.service_key).where(
                ServiceRequest.tenant_id == sender_id, ServiceRequest.id == request_id
            )
        ).scalar_one()
    # what was loaded is not any more, after having been at the sender
    request = _held(session, request_id, version, words)
    new = NewRequest(
        id=request_id,
        public_id=request.public_id,
        intake_tenant_id=request.intake_tenant_id,
        service_key=theirs,
        opened_at=request.opened_at,
        priority=request.priority,
        expected_at=request.expected_at,
        warn_at=request.warn_at,
        stood_seconds=request.stood_seconds,
    )
    slug, sender = published.slugs[request.tenant_id], published.slugs[sender_id]
    service = published.directory.find(f"{sender}/{theirs}")
    going = words_cross(_allowed(published, slug, sender, request), service)
    _go(session, request, new, sender_id, {}, going, so_far, SENT_BACK, words, None, now)
    _say(session, sender_id, request_id, None, now, followers)
    return sender


def _keep_secret(session: TenantSession, request_id: UUID, partners: set[UUID]) -> None:
    """Make it confidential with everybody who has had it."""
    for partner_id in sorted(partners):
        with acting_for(session, partner_id):
            session.execute(
                update(ServiceRequest)
                .where(ServiceRequest.tenant_id == partner_id, ServiceRequest.id == request_id)
                .values(confidential=True)
                .execution_options(synchronize_session=False)
            )
            mark_changed(session)


def _held(session: TenantSession, request_id: UUID, version: int, words: str) -> ServiceRequest:
    request = locked_kept(session, ServiceRequest, request_id, version, {}, "request")
    if request.state in lifecycle.CLOSED:
        raise CannotHandOn("It has ended, so it is handed on to nobody.")
    if not lifecycle.says_enough(words) or len(words) > LONGEST:
        raise ReasonNeeded("Say why it is not yours; whoever gets it reads this.", field="words")
    return request


def _allowed(
    published: Published, slug: str, receiver: str, request: ServiceRequest
) -> tuple[str, ...]:
    """The fields that may cross to a partner without anybody's consent."""
    kind, sender = published.partners[receiver].kind, published.partners[slug].kind
    on = published.today(slug, request.updated_at)
    return published.sharing(on).allowed("request", kind, consent=False, sender=sender)[0]


def _shared(service: Service, request: ServiceRequest, allowed: Sequence[str]) -> dict[str, Any]:
    """What crosses, of what is known here."""
    place = {
        "kind": request.place_kind,
        "text": request.place_text,
        "latitude": str(request.latitude) if request.latitude is not None else None,
        "longitude": str(request.longitude) if request.longitude is not None else None,
    }
    there = place if request.place_kind != "none" else None
    bound = service.place == "required"
    values = {
        "place": there,
        "location": there if bound else None,
        "note": request.description,
        "problem": request.description if bound else None,
        "need": service.name,
        "urgency": request.priority,
        "answers": request.answers,
    }
    return {name: values[name] for name in allowed if values.get(name) is not None}


def _go(
    session: TenantSession,
    request: ServiceRequest,
    new: NewRequest,
    receiver_id: UUID,
    shared: dict[str, Any],
    words_go: bool,
    so_far: Sequence[Any],
    how: str,
    words: str,
    message: str | None,
    now: datetime,
) -> None:
    """Leave the history here, and open it there."""
    tenant_id, intake_id = request.tenant_id, request.intake_tenant_id
    need_id, contact_id = request.need_id, request.contact_id
    linked, secret = request.linked, request.confidential or new.confidential
    step = {"from_id": tenant_id, "to_id": receiver_id, "how": how, "words": words.strip()}
    told = session.execute(
        select(RequestUpdate.at, RequestUpdate.status, RequestUpdate.message).where(
            RequestUpdate.tenant_id == tenant_id,
            RequestUpdate.request_id == request.id,
            RequestUpdate.client_id.is_(None),
        )
    ).all()
    wrote = _written(session, request.id) if words_go else []
    sent = Attachment.question.startswith(SENT)
    # answers go with what they answer, and what the person sent besides with their words
    going = [
        condition
        for goes, condition in (
            ("answers" in shared, ~sent),
            (words_go, sent),
        )
        if goes
    ]
    files: list[Any] = (
        list(
            session.execute(
                select(*Attachment.__table__.c).where(
                    Attachment.tenant_id == tenant_id,
                    Attachment.subject_id.in_([each for each in (need_id, request.id) if each]),
                    Attachment.content.is_not(None),
                    # what staff added is theirs, as internal notes are
                    ~Attachment.question.startswith(PREFIX),
                    or_(*going),
                )
            )
        )
        if going
        else []
    )
    request.state, request.resolution = "closed", "not_our_responsibility"
    request.closed_at = request.updated_at = now
    request.handed_to_id = receiver_id
    if message:
        request.public_message = message
    session.flush()
    record(
        session,
        now=now,
        action=f"request:{'hand_on' if how == HANDED else 'send_back'}",
        subject_kind="request",
        subject_id=request.id,
        detail={"to_partner": str(receiver_id)},
    )
    put(
        session,
        update_row(request, now, "INTERNAL_REFERRAL", message),
        _handing(tenant_id, request.id, step, now),
    )
    _follow(session, new, receiver_id, contact_id, need_id, now)
    if intake_id != tenant_id:
        with acting_for(session, intake_id):
            _follow(session, new, receiver_id, None, None, now, only_known=True)
    put(
        session,
        exchange.envelope_row(
            to=receiver_id,
            sender=tenant_id,
            kind=exchange.REQUEST,
            subject_id=new.id,
            payload={
                "public_id": new.public_id,
                "service_key": new.service_key,
                "bureau_key": new.bureau_key,
                "queue": new.queue,
                "priority": new.priority,
                "expected_at": new.expected_at.isoformat() if new.expected_at else None,
                "shared": shared,
            },
            now=now,
            expires_at=now + timedelta(days=365),
        ),
    )
    with acting_for(session, receiver_id):
        _arrive(session, new, receiver_id, tenant_id, shared, now)
        put(
            session,
            *(
                _handing(receiver_id, new.id, each._asdict(), each.at)
                for each in _unknown(session, new.id, so_far)
            ),
            _handing(receiver_id, new.id, step, now),
            *(
                new_row(
                    RequestUpdate,
                    tenant_id=receiver_id,
                    id=new_id(),
                    request_id=new.id,
                    at=each.at,
                    status=each.status,
                    message=each.message,
                )
                for each in told
                if how == HANDED
            ),
        )
        send(session)
        _bring_words(session, new.id, wrote)
        _bring(session, new.id, files, now)
        send(session)
    if linked and secret:
        # its new owner may not know of others that are confidential, nor they of it
        links.end_all(session, new.id, now=now)
    elif linked:
        links.move(session, new.id, to=receiver_id, service_key=new.service_key, now=now)


def _written(session: TenantSession, request_id: UUID) -> list[Any]:
    """What the person wrote by their link, as the bound partner has it."""
    mine = (RequestNote.tenant_id == scope_of(session).tenant_id, RequestNote.from_person)
    query = select(RequestNote.at, RequestNote.text).where(
        *mine, RequestNote.request_id == request_id
    )
    return list(session.execute(query.order_by(RequestNote.at, RequestNote.id)))


def _bring_words(session: TenantSession, request_id: UUID, wrote: Sequence[Any]) -> None:
    """Keep what the person wrote at the bound partner, as far as it is not there."""
    if not wrote:
        return
    known = {(each.at, each.text) for each in _written(session, request_id)}
    put(
        session,
        *(
            new_row(
                RequestNote,
                tenant_id=scope_of(session).tenant_id,
                id=new_id(),
                request_id=request_id,
                author_id=None,
                internal=False,
                from_person=True,
                text=each.text,
                at=each.at,
            )
            for each in wrote
            if (each.at, each.text) not in known
        ),
    )


def _bring(session: TenantSession, request_id: UUID, files: Sequence[Any], now: datetime) -> None:
    """Keep files that came along at the bound partner, each once, however often it was sent."""
    if not files:
        return
    tenant_id = scope_of(session).tenant_id
    # whoever took it in and has it back has them with the need
    known = set(
        session.scalars(
            select(Attachment.question)
            .join(
                ServiceRequest,
                (ServiceRequest.tenant_id == Attachment.tenant_id)
                & (ServiceRequest.need_id == Attachment.subject_id),
            )
            .where(ServiceRequest.tenant_id == tenant_id, ServiceRequest.id == request_id)
        )
    )
    rows = [
        {**each._asdict(), "tenant_id": tenant_id, "id": new_id(), "subject_id": request_id}
        for each in files
        if each.question not in known
    ]
    if not rows:
        return
    new = session.execute(
        insert(Attachment)
        .values(rows)
        .on_conflict_do_nothing(index_elements=["tenant_id", "subject_id", "question"])
        .returning(Attachment.question)
    ).all()
    mark_changed(session)
    put(session, *sent_note(tenant_id, "request", request_id, new, now=now))


def _unknown(session: TenantSession, request_id: UUID, so_far: Sequence[Any]) -> list[Any]:
    """The steps of the way that the bound partner has not heard of."""
    known = {(each.from_id, each.at) for each in way(session, request_id)}
    return [each for each in so_far if (each.from_id, each.at) not in known]


def _handing(tenant_id: UUID, request_id: UUID, step: dict[str, Any], at: datetime) -> Any:
    return new_row(
        RequestHanding,
        **{**step, "tenant_id": tenant_id, "id": new_id(), "request_id": request_id, "at": at},
    )


def _follow(
    session: TenantSession,
    new: NewRequest,
    owner_id: UUID,
    contact_id: UUID | None,
    need_id: UUID | None,
    now: datetime,
    *,
    only_known: bool = False,
) -> None:
    """Let the bound partner follow it with its new owner."""
    tenant_id = scope_of(session).tenant_id
    send(session)
    values = {
        "owner_id": owner_id,
        "service_key": new.service_key,
        "state": "received",
        "closed_at": None,
        "updated_at": now,
    }
    if only_known:
        session.execute(
            update(FollowedRequest)
            .where(FollowedRequest.tenant_id == tenant_id, FollowedRequest.id == new.id)
            .values(values)
            .execution_options(synchronize_session=False)
        )
    else:
        session.execute(
            insert(FollowedRequest)
            .values(
                tenant_id=tenant_id,
                id=new.id,
                public_id=new.public_id,
                contact_id=contact_id,
                need_id=need_id,
                sent_at=new.opened_at,
                expected_at=new.expected_at,
                **values,
            )
            .on_conflict_do_update(index_elements=["tenant_id", "id"], set_=values)
        )
    mark_changed(session)


def _arrive(
    session: TenantSession,
    new: NewRequest,
    receiver_id: UUID,
    sender_id: UUID,
    shared: dict[str, Any],
    now: datetime,
) -> None:
    """Open it at its new owner; one who had it before goes on with their own row."""
    send(session)
    back = session.execute(
        update(ServiceRequest)
        .where(ServiceRequest.tenant_id == receiver_id, ServiceRequest.id == new.id)
        .values(
            state="triaged",
            resolution=None,
            closed_at=None,
            handed_to_id=None,
            handed_from_id=sender_id,
            confidential=or_(ServiceRequest.confidential, literal(new.confidential)),
            updated_at=now,
            version=ServiceRequest.version + 1,
        )
        .returning(ServiceRequest.id)
        .execution_options(synchronize_session=False)
    ).scalar_one_or_none()
    followed = session.execute(
        select(FollowedRequest.contact_id, FollowedRequest.need_id, Contact.inquirer_id)
        .outerjoin(
            Contact,
            (Contact.tenant_id == FollowedRequest.tenant_id)
            & (Contact.id == FollowedRequest.contact_id),
        )
        .where(FollowedRequest.tenant_id == receiver_id, FollowedRequest.id == new.id)
    ).one_or_none()
    if followed is not None:
        # it is one's own now, and followed nowhere
        session.execute(
            update(FollowedRequest)
            .where(FollowedRequest.tenant_id == receiver_id, FollowedRequest.id == new.id)
            .values(owner_id=receiver_id)
            .execution_options(synchronize_session=False)
        )
    mark_changed(session)
    if back is None:
        rows = received_request(receiver_id, new.intake_tenant_id, new, shared, now=now)
        for row in rows:
            if isinstance(row, ServiceRequest):
                row.__dict__["handed_from_id"] = sender_id
                if followed is not None:
                    row.__dict__["contact_id"] = followed.contact_id
                    row.__dict__["need_id"] = followed.need_id
                    row.__dict__["inquirer_id"] = followed.inquirer_id
        put(session, *rows)
    else:
        put(
            session,
            audit_row(
                receiver_id,
                at=now,
                action="request:came_back",
                subject_kind="request",
                subject_id=new.id,
                detail={"from_partner": str(sender_id)},
            ),
        )


def _say(
    session: TenantSession,
    owner_id: UUID,
    request_id: UUID,
    message: str | None,
    now: datetime,
    followers: Followers,
) -> None:
    """Tell everybody who follows it who has it now, in the new owner's name."""
    with acting_for(session, owner_id):
        request = locked_kept(session, ServiceRequest, request_id, None, {}, "request")
        tell_followers(session, request, now, message, followers, said_before=True)
