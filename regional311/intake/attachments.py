"""Files that came with a request or a need, as lists show them: without their content."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from regional311.database.session import scope_of
from regional311.intake.models import Attachment
from regional311.intake.queries import Page, beyond, page_of

PREFIX: Final = "added:"
"""Begins the key of a file that was added later; no question's key has a colon."""


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
    columns = [getattr(Attachment, name) for name in FileRow.__dataclass_fields__]
    query = select(*columns).where(
        Attachment.tenant_id == scope_of(session).tenant_id,
        Attachment.subject_id.in_([each for each in subjects if each is not None]),
    )
    if question is not None:
        query = query.where(Attachment.question == question)
    if added:
        query = query.where(Attachment.question.startswith(PREFIX))
    if after is not None:
        query = query.where(beyond(Attachment.stored_at, Attachment.id, after, oldest_first=True))
    rows = session.execute(query.order_by(Attachment.stored_at, Attachment.id).limit(limit + 1))
    return page_of([FileRow(*row) for row in rows], limit, lambda row: row.stored_at)
