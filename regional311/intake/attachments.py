"""Files that came with a request or a need, as lists show them: without their content."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from regional311.database.session import scope_of
from regional311.intake.models import Attachment, ServiceRequest
from regional311.intake.queries import Page, beyond, page_of

PREFIX: Final = "added:"
"""Begins the key of a file that staff added later; no question's key has a colon."""
SENT: Final = "sent:"
"""Begins the key of a file that the person sent, with the report or later, and not in answer."""

MOST_SHOWN: Final = 50
"""Files that the person's page lists."""


@dataclass(frozen=True, slots=True)
class FileRow:
    """A file that was sent, by the question that it answers."""

    id: UUID
    question: str
    name: str
    media_type: str
    size: int
    digest: str
    stored_at: datetime
    erased_at: datetime | None
    audience: str = "staff"


def attachments(
    session: Session,
    *subjects: UUID | None,
    question: str | None = None,
    added: bool = False,
    after: str | None = None,
    limit: int = 50,
) -> Page[FileRow]:
    """Give the files of these records, the first first, or that of one question: one statement.

    `added` gives only those that answer no question (:mod:`regional311.intake.added_files`).
    """
    query = select(*_columns()).where(
        Attachment.tenant_id == scope_of(session).tenant_id,
        Attachment.subject_id.in_([each for each in subjects if each is not None]),
    )
    if question is not None:
        query = query.where(Attachment.question == question)
    if added:
        query = query.where(
            or_(Attachment.question.startswith(PREFIX), Attachment.question.startswith(SENT))
        )
    if after is not None:
        query = query.where(beyond(Attachment.stored_at, Attachment.id, after, oldest_first=True))
    rows = session.execute(query.order_by(Attachment.stored_at, Attachment.id).limit(limit + 1))
    return page_of([FileRow(*row) for row in rows], limit, lambda row: row.stored_at)


def for_person(session: Session, request_id: UUID) -> list[FileRow]:
    """Give the files of a request that the person who asked may have, in order: one statement."""
    tenant_id = scope_of(session).tenant_id
    need = (
        select(ServiceRequest.need_id)
        .where(ServiceRequest.tenant_id == tenant_id, ServiceRequest.id == request_id)
        .scalar_subquery()
    )
    rows = session.execute(
        select(*_columns())
        .where(
            Attachment.tenant_id == tenant_id,
            or_(Attachment.subject_id == request_id, Attachment.subject_id == need),
            Attachment.audience == "person",
            Attachment.erased_at.is_(None),
        )
        .order_by(Attachment.stored_at, Attachment.id)
        .limit(MOST_SHOWN)
    )
    return [FileRow(*row) for row in rows]


def sent_besides(session: Session, *subjects: UUID | None) -> dict[UUID, list[FileRow]]:
    """Give the files that the person sent besides their answers, by what they belong to.

    One statement; what is erased is left out.
    """
    found: dict[UUID, list[FileRow]] = {}
    rows = session.execute(
        select(Attachment.subject_id, *_columns())
        .where(
            Attachment.tenant_id == scope_of(session).tenant_id,
            Attachment.subject_id.in_([each for each in subjects if each is not None]),
            Attachment.question.startswith(SENT),
            Attachment.erased_at.is_(None),
        )
        .order_by(Attachment.stored_at, Attachment.id)
    )
    for row in rows:
        found.setdefault(row[0], []).append(FileRow(*row[1:]))
    return found


def content_of(session: Session, file_id: UUID) -> bytes | None:
    """Give the content of a file, None once it is erased: one statement."""
    return session.execute(
        select(Attachment.content).where(
            Attachment.tenant_id == scope_of(session).tenant_id, Attachment.id == file_id
        )
    ).scalar_one_or_none()


def _columns() -> list[Any]:
    return [getattr(Attachment, name) for name in FileRow.__dataclass_fields__]
