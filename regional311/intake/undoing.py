"""Taking a change of a request back: it says again what it said before, and everybody hears so.

Only what nobody has touched since is taken back. Letters that wait for the time to undo are never
sent; whoever has had theirs gets another one. The history keeps both, the change and that it was
undone, and so do those who follow: the last word that they have says that it was taken back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select, update

from regional311.audit.service import record
from regional311.database.locking import locked_kept
from regional311.database.rows import put, send
from regional311.database.session import TenantSession, acting_for, mark_changed, scope_of
from regional311.intake import lifecycle, links, me_too
from regional311.intake.models import FollowedRequest, RequestHanding, ServiceRequest
from regional311.intake.needs import settle
from regional311.intake.service import (
    NO_FOLLOWERS,
    Changed,
    Followers,
    tell_followers,
    update_row,
)
from regional311.notices.models import OutboxMessage
from regional311.notices.service import GONE, STATES, as_written, outbox_row

TAKEN_BACK: Final = "What was said of it last was a mistake and is taken back."
"""What those who follow a request read when a change of it is undone."""

_TIMES: Final = (
    "expected_at",
    "warn_at",
    "stands_since",
    "closed_at",
    "heard_at",
    "helped_at",
)
_IDS: Final = ("assignee_id", "merged_into_id")
_PLAIN: Final = (
    "state",
    "queue",
    "priority",
    "left_seconds",
    "stood_seconds",
    "resolution",
    "public_message",
    "helped",
    "helped_words",
)


_ANSWERED: Final = {
    "request_status": "request_status",
    "request_closed": "request_status",
    "me_too_status": "me_too_status",
    "me_too_closed": "me_too_status",
}
"""Letters that one about the taking back answers, and which that is."""


def as_it_was(request: Any) -> dict[str, Any]:
    """Give what a change can touch of a request, as plain values."""
    return {
        **{name: getattr(request, name) for name in _PLAIN},
        **{name: _text(getattr(request, name)) for name in (*_TIMES, *_IDS)},
    }


def put_back(
    session: TenantSession,
    *,
    now: datetime,
    request_id: UUID,
    version: int,
    before: Mapping[str, Any],
    changed_at: datetime,
    followers: Followers = NO_FOLLOWERS,
) -> Changed:
    """Put a request back as it was before a change that left it at `version`.

    `changed_at` is when that was: letters of that moment that have not left are withdrawn, and who
    has had one is told that it was taken back. Raises `Stale` when somebody has changed it since.
    """
    request = locked_kept(session, ServiceRequest, request_id, version, dict(before), "request")
    was, promised = request.state, request.expected_at
    # what was changed before there were such columns says nothing of them
    for name in before.keys() & set(_PLAIN):
        setattr(request, name, before[name])
    for name in before.keys() & set(_TIMES):
        value = before[name]
        setattr(request, name, datetime.fromisoformat(value) if value else None)
    for name in _IDS:
        setattr(request, name, UUID(before[name]) if before[name] else None)
    request.updated_at = now
    session.flush()
    changed = Changed(request_id, request.version, request.state)
    intake_id, need_id, me_toos = request.intake_tenant_id, request.need_id, request.me_too
    record(
        session,
        now=now,
        action="request:undo",
        subject_kind="request",
        subject_id=request_id,
        detail={"from": was, "to": request.state, **_day(promised, request)},
    )
    told = _who_was_told(session, request)
    if was != request.state:
        status = lifecycle.update_status(was, request.state, request.resolution)
        put(session, update_row(request, now, status, TAKEN_BACK))
        if request.linked:
            links.tell_linked(session, request, now=now)
        words = "\n\n".join(filter(None, (TAKEN_BACK, request.public_message)))
        tell_followers(session, request, now, words, replace(NO_FOLLOWERS, silent=True))
        if need_id is not None and was in lifecycle.CLOSED:
            settle(session, need_id)
        if me_toos and was in lifecycle.CLOSED:
            _settle_me_toos(session, request_id, now)
        if intake_id != scope_of(session).tenant_id:
            with acting_for(session, intake_id):
                theirs = session.execute(
                    select(FollowedRequest.need_id).where(
                        FollowedRequest.tenant_id == intake_id, FollowedRequest.id == request_id
                    )
                ).scalar_one_or_none()
                if theirs is not None and was in lifecycle.CLOSED:
                    settle(session, theirs)
    elif promised != request.expected_at:
        tell_followers(session, request, now, None, replace(NO_FOLLOWERS, silent=True))
    here = scope_of(session).tenant_id
    for tenant_id, subjects in told.items():
        if tenant_id == here:
            _answer_letters(session, subjects, changed_at, here, changed.state, now, followers)
            continue
        with acting_for(session, tenant_id):
            _answer_letters(session, subjects, changed_at, here, changed.state, now, followers)
    return changed


def _settle_me_toos(session: TenantSession, request_id: UUID, now: datetime) -> None:
    """Whoever said *me too* waits again, too, and the partners at which they said it hear so."""
    home = scope_of(session).tenant_id
    request = session.get_one(ServiceRequest, (home, request_id))
    said = me_too.Standing(request.state, request.resolution, request.closed_at)
    for each in me_too.listeners(session, request_id):
        if each.need_id is None:
            continue
        if each.intake_tenant_id == home:
            settle(session, each.need_id)
            continue
        me_too.tell_need(session, each.intake_tenant_id, each.need_id, said, now=now)
        with acting_for(session, each.intake_tenant_id):
            settle(session, each.need_id)


def in_words(text: str, translate: Callable[[str], str]) -> str:
    """Give words for a person with that something was taken back in their language.

    >>> in_words(f"{TAKEN_BACK} We come on Monday.", str.upper)[-30:]
    'TAKEN BACK. We come on Monday.'
    """
    if not text.startswith(TAKEN_BACK):
        return text
    return translate(TAKEN_BACK) + text.removeprefix(TAKEN_BACK)


def _who_was_told(session: TenantSession, request: ServiceRequest) -> dict[UUID, dict[UUID, str]]:
    """The numbers of requests of which letters may have been written, by id and by partner.

    Whoever took it in, the partners through whose hands it went, and the same for what was merged
    into it: theirs are letters about their own request.
    """
    here = scope_of(session).tenant_id
    found = {here: {request.id: request.public_id}}
    found.setdefault(request.intake_tenant_id, {})[request.id] = request.public_id
    if request.handed_from_id is not None:
        handed = session.execute(
            select(RequestHanding.from_id, RequestHanding.to_id).where(
                RequestHanding.tenant_id == here, RequestHanding.request_id == request.id
            )
        )
        for partner_id in {each for row in handed for each in row}:
            found.setdefault(partner_id, {})[request.id] = request.public_id
    if request.me_too:
        merged = session.execute(
            select(
                ServiceRequest.id, ServiceRequest.public_id, ServiceRequest.intake_tenant_id
            ).where(ServiceRequest.tenant_id == here, ServiceRequest.merged_into_id == request.id)
        )
        for each in merged:
            for tenant_id in (here, each.intake_tenant_id):
                found.setdefault(tenant_id, {})[each.id] = each.public_id
    return found


def _answer_letters(
    session: TenantSession,
    numbers: Mapping[UUID, str],
    written_at: datetime,
    owner_id: UUID,
    state: str,
    now: datetime,
    followers: Followers,
) -> None:
    """Withdraw the letters of a moment that have not left, and answer those that have."""
    send(session)
    mine = (
        OutboxMessage.tenant_id == scope_of(session).tenant_id,
        OutboxMessage.subject_id.in_(numbers),
        OutboxMessage.created_at == written_at,
    )
    session.execute(
        update(OutboxMessage)
        .where(*mine, OutboxMessage.state == "pending")
        .values(dict(GONE))
        .execution_options(synchronize_session=False)
    )
    mark_changed(session)
    left: Iterable[Any] = session.execute(
        select(
            OutboxMessage.event,
            OutboxMessage.subject_id,
            OutboxMessage.channel,
            OutboxMessage.recipient,
            OutboxMessage.language,
        ).where(*mine, OutboxMessage.state == "sent", OutboxMessage.event.in_(_ANSWERED))
    ).all()
    for each in left:
        options: dict[str, Any] = {}
        if followers.translate is not None:
            options["translate"] = followers.translate
        if each.event.startswith("me_too"):
            said_too = me_too.listeners(session, each.subject_id)
            token = next(
                (one.token for one in said_too if each.recipient in (one.email, one.phone)), None
            )
            if token is None:
                continue
            options["address"] = f"{followers.url}/track/{token}"
        say = followers.translate or as_written
        put(
            session,
            outbox_row(
                scope_of(session).tenant_id,
                event=_ANSWERED[each.event],
                channel=each.channel,
                recipient=each.recipient,
                language=each.language,
                now=now,
                subject_id=each.subject_id,
                wording=followers.wording,
                values={
                    "number": numbers[each.subject_id],
                    "partner": followers.name(owner_id),
                    "state": say(STATES.get(state, state), each.language),
                    "message": say(TAKEN_BACK, each.language),
                },
                **options,
            ),
        )


def _day(promised: datetime | None, request: ServiceRequest) -> dict[str, str]:
    """By when it is promised again, where the change had moved that."""
    if request.expected_at in (None, promised) or request.state in lifecycle.CLOSED:
        return {}
    return {"expected_at": request.expected_at.isoformat()}


def _text(value: Any) -> str | None:
    if value is None:
        return None
    return value.isoformat() if isinstance(value, datetime) else str(value)
