"""Tags: words that staff put on requests, to find them and their like again. They never leave."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, func, select, update
from sqlalchemy.dialects.postgresql import insert

from regional311.audit.service import record
from regional311.casework.models import RequestTag
from regional311.database.ids import new_id
from regional311.database.rows import send
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.errors import Conflict, InvalidInput

LONGEST: Final = 40
TAGGED: Final = "request:tag"
"""What the trail of a request says when a tag is put on."""
MOST: Final = 12
"""Tags of one request."""


class BadTag(InvalidInput):
    """A tag is a few words, written the same way by everybody."""


class TaggedAlready(Conflict):
    """The request has the tag, or, when it is to be taken off, has it not."""


def tag_of(words: str) -> str:
    """Give a tag as it is kept: small letters, single spaces.

    >>> tag_of("  Winter   Storm ")
    'winter storm'
    """
    tag = " ".join(words.split()).casefold()
    if not tag or len(tag) > LONGEST or any(each in tag for each in ",;\"'<>\\"):
        raise BadTag(
            f"A tag is a few words of at most {LONGEST} characters, without commas or quotes.",
            field="tag",
        )
    return tag


def add_tag(session: TenantSession, request_id: UUID, words: str, *, now: datetime) -> str:
    """Put a tag on a request. Raises :class:`BadTag` and :class:`TaggedAlready`."""
    tag, scope = tag_of(words), scope_of(session)
    send(session)
    many = session.execute(
        select(func.count()).select_from(RequestTag).where(*_on(scope.tenant_id, request_id))
    ).scalar_one()
    if many >= MOST:
        raise BadTag(f"A request has at most {MOST} tags.", field="tag")
    made = session.execute(
        insert(RequestTag)
        .values(
            tenant_id=scope.tenant_id,
            id=new_id(),
            request_id=request_id,
            tag=tag,
            at=now,
            by_id=scope.person_id,
        )
        .on_conflict_do_nothing()
        .returning(RequestTag.id)
    ).scalar_one_or_none()
    if made is None:
        raise TaggedAlready(f"It has the tag {tag!r} already.", field="tag")
    mark_changed(session)
    _note(session, request_id, TAGGED, tag, now)
    return tag


def remove_tag(session: TenantSession, request_id: UUID, words: str, *, now: datetime) -> str:
    """Take a tag off a request. Raises :class:`BadTag` and :class:`TaggedAlready`."""
    tag, tenant_id = tag_of(words), scope_of(session).tenant_id
    send(session)
    gone = session.execute(
        update(RequestTag)
        .where(*_on(tenant_id, request_id), RequestTag.tag == tag)
        .values(removed_at=now)
        .returning(RequestTag.id)
        .execution_options(synchronize_session=False)
    ).scalar_one_or_none()
    if gone is None:
        raise TaggedAlready(f"It does not have the tag {tag!r}.", field="tag")
    mark_changed(session)
    _note(session, request_id, "request:untag", tag, now)
    return tag


def _on(tenant_id: UUID, request_id: UUID) -> tuple[Any, ...]:
    return (
        RequestTag.tenant_id == tenant_id,
        RequestTag.request_id == request_id,
        RequestTag.removed_at.is_(None),
    )


def _note(session: TenantSession, request_id: UUID, action: str, tag: str, now: datetime) -> None:
    record(
        session,
        now=now,
        action=action,
        subject_kind="request",
        subject_id=request_id,
        detail={"tag": tag},
    )


def tags(session: TenantSession, request_id: UUID) -> list[str]:
    """Give the tags of a request: one statement."""
    return list(
        session.execute(
            select(RequestTag.tag)
            .where(*_on(scope_of(session).tenant_id, request_id))
            .order_by(RequestTag.tag)
        ).scalars()
    )


def tagged(session: TenantSession, tag: str) -> Select[Any]:
    """Give the query of the requests with a tag."""
    return select(RequestTag.request_id).where(
        RequestTag.tenant_id == scope_of(session).tenant_id,
        RequestTag.tag == " ".join(tag.split()).casefold(),
        RequestTag.removed_at.is_(None),
    )
