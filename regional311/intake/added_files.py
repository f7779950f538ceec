"""Files that answer no question: what staff add to a request, and what the person sends.

A picture of the mended hole, an invoice: what **staff** or their programs add has a key of its own
among the request's files, is seen by the staff of that partner, as an internal note is, and by the
person where staff say so. It stays there when the request is handed on. What the **person** sends,
with the report or later by their link, is theirs: they see it, and it goes where their words go.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select, update

from regional311.audit.models import AuditEvent
from regional311.audit.service import audit_row, record
from regional311.database.locking import locked_kept
from regional311.database.rows import put, send
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.errors import Conflict, InvalidInput, NotFound
from regional311.intake import lifecycle
from regional311.intake.attachments import PREFIX, SENT, FileRow
from regional311.intake.models import Attachment, ServiceRequest
from regional311.intake.service import attachment_rows
from regional311.intake.uploads import Upload

ADDED: Final = "request:attach"
"""What the trail of a request says when a file is added."""
SENT_FILE: Final = "request:sent_file"
"""What it says when the person sent one."""
SHOWN: Final = "request:show_file"
"""What it says when it is changed who may have one."""
MOST: Final = 20
"""Files that staff add to one request."""
MOST_SENT: Final = 10
"""Files that the person sends besides their answers; who has more to show is better called."""
AUDIENCES: Final = ("staff", "person")
"""Who may have a file: staff only, or the person who asked, too."""


class TooManyFiles(Conflict):
    """The request has as many added files as it can have."""


class FileThere(Conflict):
    """The same file was added before."""


def add_file(
    session: TenantSession,
    request_id: UUID,
    file: Upload,
    *,
    audience: str = "staff",
    now: datetime,
) -> FileRow:
    """Add a file to a request of one's own, open or closed; give it as lists show it.

    `file` was checked by :func:`regional311.intake.uploads.upload`; its question is not looked at.
    Raises :class:`TooManyFiles`, :class:`FileThere`, `NotFound`, and `StepNotAllowed` for what was
    handed on.
    """
    _known(audience)
    request = locked_kept(session, ServiceRequest, request_id, None, {}, "request")
    if request.handed_to_id is not None:
        raise lifecycle.StepNotAllowed("It was handed on; who has it now adds files to it.")
    digests = _digests(session, PREFIX, request_id)
    if file.digest in digests:
        raise FileThere("The same file was added before.", field="content")
    if len(digests) >= MOST:
        raise TooManyFiles(f"At most {MOST} files are added to a request.", field="content")
    row = _keep(session, request_id, keyed(file, PREFIX), audience, now)
    record(
        session,
        now=now,
        action=ADDED,
        subject_kind="request",
        subject_id=request_id,
        detail={"file": str(row.id), "audience": audience},
    )
    return FileRow(
        row.id,
        row.question,
        row.name,
        row.media_type,
        row.size,
        row.digest,
        now,
        erased_at=None,
        audience=audience,
    )


def is_wanted(session: TenantSession, request: ServiceRequest, file: Upload) -> bool:
    """Whether a file that the person sends by their link is new; what came with the report counts.

    The caller has locked the request. Raises :class:`TooManyFiles`.
    """
    digests = _digests(session, SENT, request.id, request.need_id)
    if file.digest in digests:
        return False
    if len(digests) >= MOST_SENT:
        raise TooManyFiles("You have sent many files already. Please call instead.", field="file")
    return True


def send_file(
    session: TenantSession, request: ServiceRequest, file: Upload, *, now: datetime
) -> None:
    """Keep a file that the person sends by their link, once :func:`is_wanted` has said so."""
    row = _keep(session, request.id, keyed(file, SENT), "person", now)
    record(
        session,
        now=now,
        action=SENT_FILE,
        subject_kind="request",
        subject_id=request.id,
        detail={"file": str(row.id), "by": "link"},
    )


def sent_note(
    tenant_id: UUID, kind: str, subject_id: UUID, files: Iterable[Any], *, now: datetime
) -> list[AuditEvent]:
    """Say in the trail of a request or referral that files besides the answers came with it."""
    if not any(each.question.startswith(SENT) for each in files):
        return []
    return [
        audit_row(
            tenant_id,
            at=now,
            action=f"{kind}:sent_file",
            subject_kind=kind,
            subject_id=subject_id,
        )
    ]


def show_file(
    session: TenantSession, request_id: UUID, file_id: UUID, audience: str, *, now: datetime
) -> None:
    """Say who may have a file of a request of one's own. Twice is as good as once.

    Raises `NotFound` and `InvalidInput`.
    """
    _known(audience)
    request = locked_kept(session, ServiceRequest, request_id, None, {}, "request")
    send(session)
    row = session.execute(
        select(Attachment.id, Attachment.audience, Attachment.question).where(
            Attachment.tenant_id == request.tenant_id,
            Attachment.subject_id.in_([each for each in (request.id, request.need_id) if each]),
            Attachment.id == file_id,
            Attachment.erased_at.is_(None),
        )
    ).one_or_none()
    if row is None:
        raise NotFound("There is no such file.")
    if row.audience == audience:
        return
    if row.question.startswith(SENT) and audience == "staff":
        raise InvalidInput("What the person sent stays with them.", field="audience")
    session.execute(
        update(Attachment)
        .where(Attachment.tenant_id == request.tenant_id, Attachment.id == row.id)
        .values(audience=audience)
        .execution_options(synchronize_session=False)
    )
    mark_changed(session)
    record(
        session,
        now=now,
        action=SHOWN,
        subject_kind="request",
        subject_id=request_id,
        detail={"file": str(row.id), "audience": audience},
    )


def keyed(file: Upload, prefix: str) -> Upload:
    """Give a file a key of its own that no question has, the same for the same content."""
    return replace(file, question=f"{prefix}{file.digest[:16]}")


def _known(audience: str) -> None:
    if audience not in AUDIENCES:
        raise InvalidInput(f"It is one of {', '.join(AUDIENCES)}.", field="audience")


def _digests(session: TenantSession, prefix: str, *subjects: UUID | None) -> Sequence[str]:
    send(session)
    return session.scalars(
        select(Attachment.digest).where(
            Attachment.tenant_id == scope_of(session).tenant_id,
            Attachment.subject_id.in_([each for each in subjects if each]),
            Attachment.question.startswith(prefix),
        )
    ).all()


def _keep(
    session: TenantSession, request_id: UUID, file: Upload, audience: str, now: datetime
) -> Attachment:
    tenant_id = scope_of(session).tenant_id
    (row,) = attachment_rows(tenant_id, request_id, [file], now=now, audience=audience)
    put(session, row)
    return row
