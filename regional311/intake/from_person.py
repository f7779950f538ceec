"""What the person who asked does with their request, by its secret link: add words and files, open
it again, say whether it helped.

Every function is called in the scope of the partner that gave out the link; the request may live
with another one, the ``owner_id``. Nothing here looks at the clock or commits.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import func, select

from regional311.audit.service import record
from regional311.database.ids import new_id
from regional311.database.locking import locked_kept
from regional311.database.rows import new_row, put
from regional311.database.session import TenantSession, acting_for
from regional311.errors import Conflict, InvalidInput
from regional311.intake import lifecycle
from regional311.intake.added_files import is_wanted, send_file
from regional311.intake.models import RequestNote, ServiceRequest
from regional311.intake.service import NO_FOLLOWERS, Followers, change_request
from regional311.intake.uploads import Upload

LONGEST: Final = 2000
MOST_NOTES: Final = 30
"""Notes of the person on one request; who has more to say is better heard on the phone."""

_SAME: Final = timedelta(minutes=10)
"""The same words so soon after are the same form, sent twice."""


class TooLate(Conflict):
    """The request was closed too long ago, or is no longer one of its own."""


class TooMany(Conflict):
    """The person has written as often as can be read."""


def can_reopen(state: str, closed_at: datetime | None, now: datetime) -> bool:
    """Whether the person may open a request again: closed, and not too long ago."""
    return (
        state == "closed"
        and closed_at is not None
        and now - closed_at <= timedelta(days=lifecycle.REOPEN_DAYS)
    )


def add_words(
    session: TenantSession,
    *,
    owner_id: UUID,
    request_id: UUID,
    text: str | None,
    file: Upload | None = None,
    now: datetime,
    followers: Followers = NO_FOLLOWERS,
) -> None:
    """Keep what the person adds: words, a file, or both. Work that waited for the person goes on.

    Raises `InvalidInput` for nothing at all or too many words, `TooMany`, `TooManyFiles`,
    `NotFound`.
    """
    words = None if file is not None and not (text or "").strip() else _words(text or "")
    with acting_for(session, owner_id):
        request = locked_kept(session, ServiceRequest, request_id, None, {}, "request")
        if _heard(session, request, words, file, now) and request.state == "waiting_person":
            change_request(
                session,
                now=now,
                request_id=request_id,
                version=request.version,
                to="in_progress",
                followers=followers,
            )


def reopen(
    session: TenantSession,
    *,
    owner_id: UUID,
    request_id: UUID,
    text: str,
    file: Upload | None = None,
    now: datetime,
    followers: Followers = NO_FOLLOWERS,
) -> None:
    """Open a closed request again, with the person's words why; its history and clock stay.

    Raises `TooLate` when it is not closed or was closed more than `lifecycle.REOPEN_DAYS` ago, and
    what `add_words` raises.
    """
    text = _words(text)
    with acting_for(session, owner_id):
        request = locked_kept(session, ServiceRequest, request_id, None, {}, "request")
        if not can_reopen(request.state, request.closed_at, now):
            raise TooLate(
                f"A request can be opened again within {lifecycle.REOPEN_DAYS} days after it"
                " was closed.",
                field="text",
            )
        _heard(session, request, text, file, now)
        change_request(
            session,
            now=now,
            request_id=request_id,
            version=request.version,
            to="triaged",
            followers=followers,
        )


def rate(
    session: TenantSession,
    *,
    owner_id: UUID,
    request_id: UUID,
    helped: str,
    text: str | None,
    now: datetime,
) -> None:
    """Keep whether it helped, and why; a second answer replaces the first.

    Raises `TooLate` while the request is open, `InvalidInput`, `NotFound`.
    """
    if helped not in lifecycle.HELPED:
        raise InvalidInput("Say whether it helped.", field="helped")
    words = _words(text) if text and text.strip() else None
    with acting_for(session, owner_id):
        request = locked_kept(session, ServiceRequest, request_id, None, {}, "request")
        if request.state != "closed":
            raise TooLate("It is still being worked on.", field="helped")
        request.helped, request.helped_words, request.helped_at = helped, words, now
        session.flush()
        _record(session, request_id, "request:rate", {"helped": helped}, now)


def _words(text: str) -> str:
    found = text.strip()
    if not found or len(found) > LONGEST:
        raise InvalidInput(f"Write something, at most {LONGEST} characters.", field="text")
    return found


def _heard(
    session: TenantSession,
    request: ServiceRequest,
    words: str | None,
    file: Upload | None,
    now: datetime,
) -> bool:
    """Keep words and a file; False when both were just sent."""
    # before the words are kept: what is refused leaves nothing behind
    shown = file is not None and is_wanted(session, request, file)
    said = words is not None and _note(session, request, words, now)
    if file is not None and shown:
        send_file(session, request, file, now=now)
        request.heard_at = request.updated_at = now
        session.flush()
    return said or shown


def _note(session: TenantSession, request: ServiceRequest, text: str, now: datetime) -> bool:
    """Keep the words as a note; False when they were just sent."""
    mine = (
        RequestNote.tenant_id == request.tenant_id,
        RequestNote.request_id == request.id,
        RequestNote.from_person,
    )
    just_sent = func.count().filter(RequestNote.text == text, RequestNote.at > now - _SAME)
    many, same = session.execute(select(func.count(), just_sent).where(*mine)).one()
    if same:
        return False
    if many >= MOST_NOTES:
        raise TooMany("You have written often already. Please call instead.", field="text")
    note_id = new_id()
    put(
        session,
        new_row(
            RequestNote,
            tenant_id=request.tenant_id,
            id=note_id,
            request_id=request.id,
            author_id=None,
            internal=False,
            from_person=True,
            text=text,
            at=now,
        ),
    )
    request.heard_at = now
    request.updated_at = now
    session.flush()
    _record(session, request.id, "request:heard", {"note": str(note_id)}, now)
    return True


def _record(
    session: TenantSession, request_id: UUID, action: str, detail: dict[str, str], now: datetime
) -> None:
    # by link, and not by whoever happens to be signed in where it was opened
    record(
        session,
        now=now,
        action=action,
        subject_kind="request",
        subject_id=request_id,
        detail={**detail, "by": "link"},
    )
