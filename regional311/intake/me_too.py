"""*Me too*: somebody else has the same need as a request that is open already.

Nothing new is filed. The request counts one more, and whoever left an address hears what becomes
of it: the address lives with the request's owner and serves nothing else. The contact and its need
are kept all the same by the partner at whose desk or form it was said, and the need ends as the
request does.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, exists, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import aliased

from regional311.audit.service import record
from regional311.database.ids import new_id, token_hash
from regional311.database.rows import new_row, put, send
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.errors import Conflict
from regional311.exchange.service import REQUEST_STATUS, tell
from regional311.identity.models import TrackingToken
from regional311.intake import lifecycle
from regional311.intake.models import FollowedRequest, MeToo, ServiceRequest
from regional311.notices.service import withdraw_to

NEWS: Final = ("me_too_status", "me_too_closed")
"""Letters and texts to who said *me too*."""


class NotOpen(Conflict):
    """The request was closed or merged meanwhile, or others may not know of it."""


@dataclass(frozen=True, slots=True)
class Joins:
    """One who has the need of a request, by its number, for one of these services.

    `source_key` is what makes it count once. `token` is the secret of the link that shows the
    request, empty for none; `need_id` is the need at `intake_tenant_id`, where it was said. `email`
    or `phone`, as E.164, is where news go.
    """

    number: str
    service_keys: tuple[str, ...]
    source_key: str
    at: datetime
    intake_tenant_id: UUID
    need_id: UUID | None = None
    token: str = ""
    email: str | None = None
    phone: str | None = None
    language: str = "en"


def join(session: TenantSession, joins: Joins) -> UUID:
    """Count one more who has this need, in the scope of the request's owner; give the request.

    The same `source_key` counts once. Raises `NotOpen`.
    """
    tenant_id = scope_of(session).tenant_id
    send(session)
    found = session.execute(
        select(ServiceRequest)
        .where(
            ServiceRequest.tenant_id == tenant_id,
            ServiceRequest.public_id == joins.number,
            ServiceRequest.service_key.in_(joins.service_keys),
            ServiceRequest.confidential.is_(False),
        )
        .with_for_update()
        .execution_options(populate_existing=True)
    ).scalar_one_or_none()
    if found is None or found.state in lifecycle.CLOSED:
        raise NotOpen(
            "That request is no longer open. Please file one of your own.", field="same_as"
        )
    me_too_id = new_id()
    made = session.execute(
        insert(MeToo)
        .values(
            tenant_id=tenant_id,
            id=me_too_id,
            request_id=found.id,
            intake_tenant_id=joins.intake_tenant_id,
            need_id=joins.need_id,
            source_key=joins.source_key,
            email=joins.email,
            phone=joins.phone,
            language=joins.language,
            token=joins.token if joins.email or joins.phone else None,
            at=joins.at,
        )
        .on_conflict_do_nothing()
        .returning(MeToo.id)
    ).one_or_none()
    if made is None:
        return found.id
    # not by the mapper: who works on the request has seen nothing that is no longer so
    session.execute(
        update(ServiceRequest)
        .where(ServiceRequest.tenant_id == tenant_id, ServiceRequest.id == found.id)
        .values(me_too=ServiceRequest.me_too + 1)
        .execution_options(synchronize_session=False)
    )
    if joins.token:
        put(
            session,
            new_row(
                TrackingToken,
                token_hash=token_hash(joins.token),
                tenant_id=tenant_id,
                request_id=found.id,
                me_too_id=me_too_id,
            ),
        )
    record(
        session,
        now=joins.at,
        action="request:me_too",
        subject_kind="request",
        subject_id=found.id,
        detail={"me_too": str(me_too_id)},
    )
    mark_changed(session)
    if joins.need_id is not None and joins.intake_tenant_id != tenant_id:
        said = Standing(found.state, None, None)
        tell_need(session, joins.intake_tenant_id, joins.need_id, said, now=joins.at)
    return found.id


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a request is, as a need that joined it elsewhere hears; nothing else crosses."""

    state: str
    resolution: str | None
    closed_at: datetime | None


def tell_need(
    session: TenantSession, partner_id: UUID, need_id: UUID, said: Standing, *, now: datetime
) -> None:
    """Tell another partner how far the request is that a need of its joined; it keeps the word."""
    tell(
        session,
        to=partner_id,
        kind=REQUEST_STATUS,
        subject_id=need_id,
        payload={
            "state": said.state,
            "resolution": said.resolution,
            "closed_at": said.closed_at.isoformat() if said.closed_at else None,
        },
        now=now,
    )


def stop(session: TenantSession, *, me_too_id: UUID, now: datetime) -> None:
    """Send no more news: the address is forgotten, the count stays. Twice is as good as once."""
    for request_id in end(session, MeToo.id == me_too_id, MeToo.ended_at.is_(None), now=now):
        record(
            session,
            now=now,
            action="request:me_too_stop",
            subject_kind="request",
            subject_id=request_id,
            detail={"me_too": str(me_too_id), "by": "link"},
        )


def end(session: TenantSession, *chosen: ColumnElement[bool], now: datetime) -> list[UUID]:
    """Forget the addresses of the *me toos* chosen, and withdraw what has not left to them.

    Gives their requests. Where one was merged meanwhile, its news are about the other.
    """
    tenant_id = scope_of(session).tenant_id
    send(session)
    rows = session.execute(
        select(MeToo.id, MeToo.request_id, ServiceRequest.merged_into_id, MeToo.email, MeToo.phone)
        .join(
            ServiceRequest,
            (ServiceRequest.tenant_id == MeToo.tenant_id) & (ServiceRequest.id == MeToo.request_id),
        )
        .where(MeToo.tenant_id == tenant_id, *chosen)
        .order_by(MeToo.id)
        .with_for_update(of=MeToo)
    ).all()
    if not rows:
        return []
    session.execute(
        update(MeToo)
        .where(MeToo.tenant_id == tenant_id, MeToo.id.in_([row.id for row in rows]))
        .values(ended_at=now, email=None, phone=None, token=None)
        .execution_options(synchronize_session=False)
    )
    mark_changed(session)
    for row in rows:
        withdraw_to(
            session,
            list(filter(None, (row.email, row.phone))),
            list(filter(None, (row.request_id, row.merged_into_id))),
            NEWS,
        )
    return [row.request_id for row in rows]


def forget(session: TenantSession, now: datetime) -> int:
    """Forget addresses once their request can be opened again no more; give how many."""
    tenant_id = scope_of(session).tenant_id
    kept = aliased(ServiceRequest)
    over = (
        select(ServiceRequest.id)
        .join(
            kept,
            (kept.tenant_id == ServiceRequest.tenant_id)
            & (kept.id == func.coalesce(ServiceRequest.merged_into_id, ServiceRequest.id)),
        )
        .where(
            ServiceRequest.tenant_id == tenant_id,
            kept.state == "closed",
            kept.closed_at < now - timedelta(days=lifecycle.REOPEN_DAYS),
            # who has what was handed on says when it is over
            kept.handed_to_id.is_(None)
            | exists().where(
                FollowedRequest.tenant_id == kept.tenant_id,
                FollowedRequest.id == kept.id,
                FollowedRequest.closed_at < now - timedelta(days=lifecycle.REOPEN_DAYS),
            ),
        )
    )
    forgotten = session.execute(
        update(MeToo)
        .where(MeToo.tenant_id == tenant_id, listens(), MeToo.request_id.in_(over))
        .values(email=None, phone=None, token=None, ended_at=now)
        .returning(MeToo.id)
        .execution_options(synchronize_session=False)
    ).all()
    if forgotten:
        mark_changed(session)
    return len(forgotten)


def hears(session: TenantSession, me_too_id: UUID) -> bool:
    """Whether news still go to who said this *me too*. One statement."""
    found = session.execute(
        select(MeToo.id).where(
            MeToo.tenant_id == scope_of(session).tenant_id, MeToo.id == me_too_id, listens()
        )
    )
    return found.first() is not None


def listens() -> ColumnElement[bool]:
    """Say of which *me toos* news still go somewhere."""
    return or_(MeToo.email.is_not(None), MeToo.phone.is_not(None))


@dataclass(frozen=True, slots=True)
class Listener:
    """One who has the need too: where news go, and the need that is met or not with the request."""

    email: str | None
    phone: str | None
    language: str
    token: str | None
    intake_tenant_id: UUID
    need_id: UUID | None

    @property
    def updates_by(self) -> str:
        """By what news go: email or text."""
        return "text" if self.phone else "email"


def listeners(session: TenantSession, request_id: UUID) -> list[Listener]:
    """Give who said *me too* of a request, or of one merged into it. One statement."""
    tenant_id = scope_of(session).tenant_id
    merged = select(ServiceRequest.id).where(
        ServiceRequest.tenant_id == tenant_id, ServiceRequest.merged_into_id == request_id
    )
    rows = session.execute(
        select(
            MeToo.email,
            MeToo.phone,
            MeToo.language,
            MeToo.token,
            MeToo.intake_tenant_id,
            MeToo.need_id,
        )
        .where(
            MeToo.tenant_id == tenant_id,
            or_(MeToo.request_id == request_id, MeToo.request_id.in_(merged)),
        )
        .order_by(MeToo.intake_tenant_id, MeToo.id)
    )
    return [Listener(*row) for row in rows]
