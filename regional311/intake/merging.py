"""Requests that are the same: one goes on, the others are merged into it.

Whoever filed a merged one hears what becomes of the one that goes on, as if it were theirs. Merges
are one deep: what was merged into a request goes with it when that is merged itself. A merged
request can be taken out again.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import func, or_, select, update

from regional311.database.locking import locked_kept
from regional311.database.rows import send
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.errors import Conflict, InvalidInput
from regional311.intake import lifecycle
from regional311.intake.models import MeToo, ServiceRequest
from regional311.intake.service import NO_FOLLOWERS, Changed, Followers, change_request


class CannotMerge(InvalidInput):
    """These two cannot be one: not both open here, not equally confidential, or the same."""


class StillMerged(Conflict):
    """The request is merged into another one: it is taken out before it is opened again."""


class NotMerged(Conflict):
    """The request is not merged into another one."""


def merge(
    session: TenantSession,
    *,
    now: datetime,
    request_id: UUID,
    version: int,
    into: str,
    message: str,
    followers: Followers = NO_FOLLOWERS,
) -> Changed:
    """Merge a request into the one with the number `into`, both of the bound partner.

    `message` is for who filed it, in plain words. Raises `CannotMerge`, `NotFound`, `Stale` and
    the errors of the lifecycle.
    """
    tenant_id = scope_of(session).tenant_id
    number = into.strip().upper()
    send(session)
    kept_id = session.execute(
        select(ServiceRequest.id).where(
            ServiceRequest.tenant_id == tenant_id, ServiceRequest.public_id == number
        )
    ).scalar_one_or_none()
    if kept_id is None:
        raise CannotMerge(f"There is no request {number or into!r} here.", field="into")
    if kept_id == request_id:
        raise CannotMerge("A request cannot be merged into itself.", field="into")
    # always in the same order, so that two who merge the other way round do not block each other
    rows = {
        each: locked_kept(session, ServiceRequest, each, None, {}, "request")
        for each in sorted((kept_id, request_id))
    }
    kept, merged = rows[kept_id], rows[request_id]
    if kept.state in lifecycle.CLOSED:
        raise CannotMerge(f"The request {number} is closed. Choose an open one.", field="into")
    if kept.confidential != merged.confidential:
        raise CannotMerge(
            f"One of the two is confidential and {number} would tell of it.", field="into"
        )
    if not lifecycle.says_enough(message):
        raise lifecycle.MessageNeeded(
            "Say in plain words what happened; the person reads this.", field="message"
        )
    changed = change_request(
        session,
        now=now,
        request_id=request_id,
        version=version,
        to="merged",
        message=message.strip(),
        followers=followers,
    )
    session.execute(
        update(ServiceRequest)
        .where(
            ServiceRequest.tenant_id == tenant_id,
            or_(
                ServiceRequest.id == request_id,
                ServiceRequest.merged_into_id == request_id,
            ),
        )
        .values(merged_into_id=kept_id)
        .execution_options(synchronize_session=False)
    )
    _count_again(session, kept_id, request_id)
    return changed


def take_out(
    session: TenantSession,
    *,
    now: datetime,
    request_id: UUID,
    version: int,
    message: str | None = None,
    followers: Followers = NO_FOLLOWERS,
) -> Changed:
    """Take a merged request out again: it is open, with its own history and clock.

    Raises `NotMerged`, `NotFound` and `Stale`.
    """
    request = locked_kept(session, ServiceRequest, request_id, version, {}, "request")
    kept_id = request.merged_into_id
    if kept_id is None:
        raise NotMerged("This request is not merged into another one.")
    changed = change_request(
        session,
        now=now,
        request_id=request_id,
        version=version,
        to="triaged",
        message=message,
        taken_out=True,
        followers=followers,
    )
    _count_again(session, kept_id, request_id)
    return changed


def _count_again(session: TenantSession, *request_ids: UUID) -> None:
    """Let `me_too` say how many others there are, those of merged requests among them."""
    tenant_id = scope_of(session).tenant_id
    merged = (
        select(ServiceRequest.id, ServiceRequest.merged_into_id)
        .where(
            ServiceRequest.tenant_id == tenant_id,
            ServiceRequest.merged_into_id.in_(request_ids),
        )
        .subquery()
    )
    for request_id in request_ids:
        theirs = select(merged.c.id).where(merged.c.merged_into_id == request_id)
        many = select(func.count()).select_from(theirs.subquery()).scalar_subquery()
        said = (
            select(func.count())
            .select_from(MeToo)
            .where(
                MeToo.tenant_id == tenant_id,
                or_(MeToo.request_id == request_id, MeToo.request_id.in_(theirs)),
            )
            .scalar_subquery()
        )
        session.execute(
            update(ServiceRequest)
            .where(ServiceRequest.tenant_id == tenant_id, ServiceRequest.id == request_id)
            .values(me_too=many + said)
            .execution_options(synchronize_session=False)
        )
    mark_changed(session)
