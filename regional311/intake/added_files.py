"""Files that staff or their programs add to a request: a picture of the mended hole, an invoice.

What came with a request answers a question of its form. What is added later answers none: it has a
key of its own among the request's files, is seen by the staff of the partner that added it, as an
internal note is, and stays there when the request is handed on.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import select

from regional311.audit.service import record
from regional311.database.locking import locked
from regional311.database.rows import put, send
from regional311.database.session import TenantSession, scope_of
from regional311.errors import Conflict
from regional311.intake import lifecycle
from regional311.intake.attachments import PREFIX, FileRow
from regional311.intake.models import Attachment, ServiceRequest
from regional311.intake.service import attachment_rows
from regional311.intake.uploads import Upload

ADDED: Final = "request:attach"
"""What the trail of a request says when a file is added."""
MOST: Final = 20
"""Files added to one request."""


class TooManyFiles(Conflict):
    """The request has as many added files as it can have."""


class FileThere(Conflict):
    """The same file was added before."""


def add_file(session: TenantSession, request_id: UUID, file: Upload, *, now: datetime) -> FileRow:
    """Add a file to a request of one's own, open or closed; give it as lists show it.

    `file` was checked by :func:`regional311.intake.uploads.upload`; its question is not looked at.
    Raises :class:`TooManyFiles`, :class:`FileThere`, `NotFound`, and `StepNotAllowed` for what was
    handed on.
    """
    request = locked(session, ServiceRequest, request_id, None, {}, "request")
    if request.handed_to_id is not None:
        raise lifecycle.StepNotAllowed("It was handed on; who has it now adds files to it.")
    tenant_id = scope_of(session).tenant_id
    send(session)
    digests = session.scalars(
        select(Attachment.digest).where(
            Attachment.tenant_id == tenant_id,
            Attachment.subject_id == request_id,
            Attachment.question.startswith(PREFIX),
        )
    ).all()
    if file.digest in digests:
        raise FileThere("The same file was added before.", field="content")
    if len(digests) >= MOST:
        raise TooManyFiles(f"At most {MOST} files are added to a request.", field="content")
    keyed = replace(file, question=f"{PREFIX}{file.digest[:16]}")
    (row,) = attachment_rows(tenant_id, request_id, [keyed], now=now)
    put(session, row)
    record(
        session,
        now=now,
        action=ADDED,
        subject_kind="request",
        subject_id=request_id,
        detail={"file": str(row.id), "internal": True},
    )
    return FileRow(
        row.id, row.question, row.name, row.media_type, row.size, row.digest, now, erased_at=None
    )
